//! What the sandbox lets out, and how a denial is told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use starttls_tests::daemon::Daemon;
use starttls_tests::embedding::Sandbox;
use starttls_tests::embedding::exports::types::{ErrorCode, Phase, Security};
use wasmtime_wasi::sockets::SocketAddrUse;

use crate::{endpoint, host, open_files, open_mail, policy, postfix, trusting};

#[test]
fn two_servers_are_granted_and_a_third_is_denied() {
    let (mail, files) = (postfix(), Daemon::start("vsftpd", None));
    // Everything on 127.0.0.1 is the file server's here, and mail is granted by the name's own port.
    let third = TcpListener::bind("127.0.0.2:0").expect("a listener");
    let grants = [format!("127.0.0.1:{}", mail.port("port")), "127.0.0.1:*".into()];
    let mut sandbox = host().sandbox(policy(&grants)).expect("an instance");

    let to = endpoint("127.0.0.1", mail.port("port"));
    open_mail(&mut sandbox, &to, &trusting(mail, Security::Upgrade)).expect("the first");
    let to = endpoint("127.0.0.1", files.port("port"));
    let session = open_files(&mut sandbox, &to, &trusting(&files, Security::Upgrade)).expect("the second");
    let Sandbox { store, client } = &mut sandbox;
    let ftp = client.starttls_client_ftp();
    let login = ftp.session().call_login(&mut *store, session, files.text("user"), files.text("password"));
    login.expect("no trap").expect("a login");
    ftp.session().call_list_dir(&mut *store, session, b"/files").expect("no trap").expect("entries");

    let port = third.local_addr().expect("an address").port();
    let error = *open_mail(&mut sandbox, &endpoint("127.0.0.2", port), &trusting(mail, Security::Upgrade))
        .expect_err("the third");
    assert!(matches!(error.code, ErrorCode::AccessDenied), "{error:?}");
    assert_eq!((error.phase, error.retryable), (Some(Phase::Connect), false));
    third.set_nonblocking(true).expect("an option");
    assert_eq!(third.accept().expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn another_port_of_a_granted_address_is_denied() {
    let mail = postfix();
    let mut sandbox = host().sandbox(policy(&[format!("127.0.0.1:{}", mail.port("port"))])).expect("an instance");
    let implicit = endpoint("localhost", mail.port("implicit_port"));
    let error = *open_mail(&mut sandbox, &implicit, &trusting(mail, Security::Implicit)).expect_err("denied");
    assert!(matches!(error.code, ErrorCode::AccessDenied), "{error:?}");
    // By name: what is granted is an address that the name has.
    let granted = endpoint("localhost", mail.port("port"));
    open_mail(&mut sandbox, &granted, &trusting(mail, Security::Upgrade)).expect("granted");
}

#[test]
fn a_data_connection_needs_a_grant_too() {
    let server = Daemon::start("vsftpd", None);
    let mut sandbox = host().sandbox(policy(&[format!("127.0.0.1:{}", server.port("port"))])).expect("an instance");
    let to = endpoint("127.0.0.1", server.port("port"));
    let session = open_files(&mut sandbox, &to, &trusting(&server, Security::Upgrade)).expect("a session");
    let Sandbox { store, client } = &mut sandbox;
    let ftp = client.starttls_client_ftp();
    let login = ftp.session().call_login(&mut *store, session, server.text("user"), server.text("password"));
    login.expect("no trap").expect("a login");
    let error = ftp.session().call_list_dir(&mut *store, session, b"").expect("no trap").expect_err("denied");
    assert!(matches!(error.code, ErrorCode::AccessDenied), "{error:?}");
    ftp.session().call_pwd(&mut *store, session).expect("no trap").expect("the session goes on");
}

#[test]
fn a_denial_is_no_network_failure_and_no_network_failure_a_denial() {
    let mail = postfix();
    let opening = trusting(mail, Security::Upgrade);
    let closed = TcpListener::bind("127.0.0.1:0").expect("a listener").local_addr().expect("an address").port();
    let mut granted = host().sandbox(policy(&["127.0.0.1:*".into()])).expect("an instance");
    let error = *open_mail(&mut granted, &endpoint("127.0.0.1", closed), &opening).expect_err("refused");
    assert!(matches!(error.code, ErrorCode::ConnectionRefused), "{error:?}");
    assert!(error.retryable);
    let error = *open_mail(&mut granted, &endpoint("nowhere.invalid", 25), &opening).expect_err("no such name");
    assert!(matches!(error.code, ErrorCode::NameUnresolvable), "{error:?}");
    let mut nothing = host().sandbox(policy(&[])).expect("an instance");
    let error = *open_mail(&mut nothing, &endpoint("127.0.0.1", closed), &opening).expect_err("denied");
    assert!(matches!(error.code, ErrorCode::AccessDenied), "{error:?}");
}

#[test]
fn the_policy_answers_only_what_a_client_needs() {
    let policy = policy(&["192.0.2.1:587".into(), "[2001:db8::1]:*".into()]);
    let at = |ip: &str, port| SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), port);
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    for (address, purpose, expected) in [
        (at("192.0.2.1", 587), SocketAddrUse::TcpConnect, true),
        (at("192.0.2.1", 25), SocketAddrUse::TcpConnect, false),
        (at("192.0.2.2", 587), SocketAddrUse::TcpConnect, false),
        (at("2001:db8::1", 40_000), SocketAddrUse::TcpConnect, true),
        (any, SocketAddrUse::TcpBind, true),
        (at("::", 0), SocketAddrUse::TcpBind, true),
        (at("0.0.0.0", 25), SocketAddrUse::TcpBind, false),
        (at("127.0.0.1", 0), SocketAddrUse::TcpBind, false),
        (any, SocketAddrUse::TcpListen, false),
        (at("192.0.2.1", 587), SocketAddrUse::TcpAccept, false),
        (any, SocketAddrUse::UdpBind, false),
        (at("192.0.2.1", 587), SocketAddrUse::UdpSend, false),
    ] {
        assert_eq!(policy.allows(address, purpose), expected, "{address} {purpose:?}");
    }
    for bad in ["", "localhost", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "nowhere.invalid:25"] {
        assert!(bad.parse::<starttls_tests::embedding::Grant>().is_err(), "{bad}");
    }
}
