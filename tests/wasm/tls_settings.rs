//! What the component can be told of TLS, each setting against a real library's server; and every fault of a certificate.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use starttls_tests::daemon::Daemon;
use starttls_tests::embedding::exports::tls::{SessionInfo, Version};
use starttls_tests::embedding::exports::types::{Error, ErrorCode, Security, TlsFault};
use starttls_tests::embedding::{Opening, Sandbox};
use wasmtime::component::ResourceAny;

use crate::{endpoint, sandbox, trusting};

/// A connection under TLS, with settings changed by `change`, that has heard itself backwards; and what it is under.
fn talk(
    server: &Daemon,
    change: impl FnOnce(&mut Sandbox, ResourceAny),
) -> Result<(SessionInfo, Sandbox, ResourceAny), Error> {
    let mut sandbox = sandbox();
    let (config, options) = sandbox.prepare(&trusting(server, Security::Implicit)).expect("no trap").expect("settings");
    change(&mut sandbox, config);
    let Sandbox { store, client } = &mut sandbox;
    let connection = client.starttls_client_connection().connection();
    let to = endpoint("localhost", server.port("port"));
    let it = connection.call_open(&mut *store, &to, config, options).expect("no trap")?;
    connection.call_write(&mut *store, it, b"drawer\n").expect("no trap")?;
    let answer = connection.call_read_line(&mut *store, it, 100).expect("no trap")?;
    assert_eq!(answer.as_deref(), Some(&b"reward"[..]));
    let info = connection.call_tls(&mut *store, it).expect("no trap").expect("TLS");
    Ok((info, sandbox, config))
}

fn fault(outcome: Result<(SessionInfo, Sandbox, ResourceAny), Error>) -> TlsFault {
    match outcome.map(|(info, ..)| info).expect_err("an error").code {
        ErrorCode::Tls(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_fault_of_a_certificate() {
    for (identity, is_told) in [
        ("expired", (|fault| matches!(fault, TlsFault::CertificateExpired)) as fn(&TlsFault) -> bool),
        ("not_yet_valid", |fault| matches!(fault, TlsFault::CertificateNotYetValid)),
        ("unknown_ca", |fault| matches!(fault, TlsFault::UnknownIssuer)),
        ("self_signed", |fault| matches!(fault, TlsFault::UnknownIssuer)),
        ("chain_missing", |fault| matches!(fault, TlsFault::UnknownIssuer)),
        ("wrong_name", |fault| matches!(fault, TlsFault::NameMismatch(_))),
        ("cn_only", |fault| matches!(fault, TlsFault::NameMismatch(_))),
        ("client", |fault| matches!(fault, TlsFault::WrongUsage)),
    ] {
        let server = Daemon::showing("openssl", identity);
        let fault = fault(talk(&server, |_, _| ()));
        assert!(is_told(&fault), "{identity}: {fault:?}");
    }
}

#[test]
fn suites_groups_and_versions_by_name() {
    let server = Daemon::start("openssl", None);
    let (info, ..) = talk(&server, |sandbox, config| {
        let Sandbox { store, client } = sandbox;
        let configs = client.starttls_client_tls().client_config();
        let suites = ["TLS_AES_256_GCM_SHA384".to_owned()];
        configs.call_set_cipher_suites(&mut *store, config, &suites).expect("no trap").expect("known");
        configs.call_set_groups(&mut *store, config, &["secp384r1".to_owned()]).expect("no trap").expect("known");
        let unknown = configs.call_set_groups(&mut *store, config, &["x448".to_owned()]).expect("no trap");
        let said = unknown.expect_err("unknown").message;
        assert!(said.contains("secp384r1"), "it says what there is: {said}");
    })
    .expect("TLS");
    assert_eq!((info.cipher_suite.as_str(), info.group.as_str()), ("TLS_AES_256_GCM_SHA384", "secp384r1"));

    let (info, ..) = talk(&server, |Sandbox { store, client }, config| {
        client
            .starttls_client_tls()
            .client_config()
            .call_set_maximum_version(store, config, Version::Tls12)
            .expect("no trap");
    })
    .expect("TLS");
    assert_eq!(info.version, "TLSv1.2");
}

#[test]
fn a_client_certificate_where_one_is_demanded() {
    let server = Daemon::start("openssl-asking", None);
    let read = |key| std::fs::read(server.text(key)).expect("a file");
    let (chain, key) = (read("client_cert_file"), read("client_key_file"));
    talk(&server, |Sandbox { store, client }, config| {
        let configs = client.starttls_client_tls().client_config();
        configs.call_add_identity(store, config, &chain, Some(&key), None).expect("no trap").expect("an identity");
    })
    .expect("let in");
    assert!(matches!(fault(talk(&server, |_, _| ())), TlsFault::ClientCertificateRequired));
}

#[test]
fn pins_of_certificates() {
    let server = Daemon::start("openssl", None);
    let wrong = talk(&server, |Sandbox { store, client }, config| {
        let configs = client.starttls_client_tls().client_config();
        configs.call_add_certificate_pin(store, config, &[7; 32]).expect("no trap").expect("a pin");
    });
    assert!(matches!(fault(wrong), TlsFault::PinMismatch));
}

#[test]
fn a_key_log_is_kept_where_it_is_asked_for() {
    let server = Daemon::start("openssl", None);
    let (_, mut sandbox, config) = talk(&server, |Sandbox { store, client }, config| {
        client.starttls_client_tls().client_config().call_keep_key_log(store, config).expect("no trap");
    })
    .expect("TLS");
    let Sandbox { store, client } = &mut sandbox;
    let configs = client.starttls_client_tls().client_config();
    let lines = configs.call_take_key_log(&mut *store, config).expect("no trap");
    for label in ["CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "] {
        assert!(lines.iter().any(|line| line.starts_with(label)), "{lines:?}");
    }
    assert!(configs.call_take_key_log(&mut *store, config).expect("no trap").is_empty());
}

#[test]
fn certificates_that_are_revoked() {
    fn believing(list: &[u8]) -> impl FnOnce(&mut Sandbox, ResourceAny) {
        move |Sandbox { store, client }, config| {
            let configs = client.starttls_client_tls().client_config();
            configs.call_add_crl(store, config, list).expect("no trap").expect("a list");
        }
    }
    let list = |server: &Daemon| std::fs::read(server.text("crl_file")).expect("a file");
    let others = |server: &Daemon| std::fs::read(server.text("other_crl_file")).expect("a file");
    let (revoked, good) = (Daemon::showing("openssl", "revoked"), Daemon::start("openssl", None));
    talk(&revoked, |_, _| ()).expect("who gives no list, hears of none");
    assert!(matches!(fault(talk(&revoked, believing(&list(&revoked)))), TlsFault::Revoked));
    talk(&good, believing(&list(&good))).expect("not on its authority's list");
    // The two have authorities of their own, of one name: this list is forged, as far as the other one can tell.
    assert!(matches!(fault(talk(&good, believing(&list(&revoked)))), TlsFault::RevocationUnknown(_)));
    assert!(matches!(fault(talk(&good, believing(&others(&good)))), TlsFault::RevocationUnknown(_)));
    talk(&good, |sandbox, config| {
        believing(&others(&good))(sandbox, config);
        let Sandbox { store, client } = sandbox;
        let configs = client.starttls_client_tls().client_config();
        configs.call_allow_unknown_revocation(&mut *store, config).expect("no trap");
        let error = configs.call_add_crl(store, config, b"nonsense").expect("no trap").expect_err("no list");
        assert!(matches!(error.code, ErrorCode::Tls(TlsFault::Configuration(_))), "{error:?}");
    })
    .expect("unknown is good enough");
}

/// What the component says first to a server that reads it and hangs up: a ClientHello, in clear text.
fn hello(change: impl FnOnce(&mut Sandbox, ResourceAny)) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let at = listener.local_addr().expect("an address");
    let heard = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("somebody");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
        let mut head = [0; 5];
        socket.read_exact(&mut head).expect("a record");
        let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        socket.read_exact(&mut hello).expect("all of it");
        hello
    });
    let mut sandbox = sandbox();
    let opening = Opening { security: Some(Security::Implicit), ..Opening::default() };
    let (config, options) = sandbox.prepare(&opening).expect("no trap").expect("settings");
    change(&mut sandbox, config);
    let Sandbox { store, client } = &mut sandbox;
    let connection = client.starttls_client_connection().connection();
    connection
        .call_open(store, &endpoint("localhost", at.port()), config, options)
        .expect("no trap")
        .expect_err("an end");
    // Should nobody have come, the listener waits no longer, and the test fails.
    drop(TcpStream::connect(at));
    heard.join().expect("a ClientHello")
}

#[test]
fn the_name_is_told_or_not() {
    let tells = |hello: &[u8]| hello.windows(9).any(|word| word == b"localhost");
    assert!(tells(&hello(|_, _| ())));
    let silent = hello(|Sandbox { store, client }, config| {
        client.starttls_client_tls().client_config().call_set_sni(store, config, false).expect("no trap");
    });
    assert!(!tells(&silent));
    // The certificate is checked for it all the same.
    let wrong = Daemon::showing("openssl", "wrong_name");
    let outcome = talk(&wrong, |Sandbox { store, client }, config| {
        client.starttls_client_tls().client_config().call_set_sni(store, config, false).expect("no trap");
    });
    assert!(matches!(fault(outcome), TlsFault::NameMismatch(_)));
}

#[test]
fn an_application_protocol_is_agreed_on() {
    let offering = |name: &'static str| {
        move |Sandbox { store, client }: &mut Sandbox, config: ResourceAny| {
            let names = [name.to_owned()];
            client.starttls_client_tls().client_config().call_set_alpn(store, config, &names).expect("no trap");
        }
    };
    let server = Daemon::start("openssl", None);
    let (info, ..) = talk(&server, offering("imap")).expect("TLS");
    assert_eq!(info.alpn.as_deref(), Some("imap"));
    let (info, ..) = talk(&server, |_, _| ()).expect("TLS");
    assert_eq!(info.alpn, None);
    match fault(talk(&server, offering("nntp"))) {
        TlsFault::AlertReceived(alert) => assert_eq!(alert.code, 120, "no_application_protocol: {alert:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_next_connection_resumes() {
    let server = Daemon::start("openssl", None);
    for version in [Version::Tls12, Version::Tls13] {
        let mut sandbox = sandbox();
        let (config, options) =
            sandbox.prepare(&trusting(&server, Security::Implicit)).expect("no trap").expect("settings");
        let Sandbox { store, client } = &mut sandbox;
        let stores = client.starttls_client_tls().session_store();
        let configs = client.starttls_client_tls().client_config();
        let sessions = stores.call_constructor(&mut *store).expect("no trap");
        configs.call_set_maximum_version(&mut *store, config, version).expect("no trap");
        configs.call_set_sessions(&mut *store, config, sessions).expect("no trap");
        let connection = client.starttls_client_connection().connection();
        let to = endpoint("localhost", server.port("port"));
        for resumed in [false, true, true] {
            let it = connection.call_open(&mut *store, &to, config, options).expect("no trap").expect("TLS");
            connection.call_write(&mut *store, it, b"drawer\n").expect("no trap").expect("sent");
            let answer = connection.call_read_line(&mut *store, it, 100).expect("no trap").expect("an answer");
            assert_eq!(answer.as_deref(), Some(&b"reward"[..]));
            assert_eq!(connection.call_tls(&mut *store, it).expect("no trap").expect("TLS").resumed, resumed);
            // This server has one client at a time.
            it.resource_drop(&mut *store).expect("no trap");
        }
        let servers = stores.call_servers(&mut *store, sessions).expect("no trap");
        let [known] = &servers[..] else { panic!("{servers:?}") };
        assert_eq!(
            (&*known.host, known.port, &*known.server_name, known.resumed),
            ("localhost", to.port, "localhost", 2)
        );
        assert!(!known.sessions.is_empty());
        for session in &known.sessions {
            assert!(session.version == version && session.cipher_suite.is_some() && session.received > 1_700_000_000);
        }
        let removed = stores.call_remove(&mut *store, sessions, "localhost").expect("no trap");
        assert_eq!(removed as usize, known.sessions.len());
        stores.call_clear(&mut *store, sessions).expect("no trap");
        assert!(stores.call_servers(&mut *store, sessions).expect("no trap").is_empty());
        let it = connection.call_open(&mut *store, &to, config, options).expect("no trap").expect("TLS");
        assert!(!connection.call_tls(&mut *store, it).expect("no trap").expect("TLS").resumed);
    }
}
