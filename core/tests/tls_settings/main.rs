//! What is spoken: cipher suites, groups, names, protocols and the key log, with real servers.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../support/tls_server.rs"]
#[allow(dead_code, unreachable_pub)]
mod tls_server;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use starttls::tls::{TlsConfig, Version};
use starttls::transport::Endpoint;
use starttls::{ErrorKind, TlsFault};
use tls_server::{Authority, Issued, authority, handshake, issue};

fn world() -> (Authority, Issued, TlsConfig) {
    let ours = authority("ours");
    let tls = TlsConfig::new().ca_data(ours.der()).unwrap();
    let server = issue(&ours, 1);
    (ours, server, tls)
}

#[cfg(not(feature = "fips"))] // which does not approve of ChaCha20
#[test]
fn suites_and_groups_by_name() {
    let (_ours, server, tls) = world();
    for (suite, group, version) in [
        ("TLS_CHACHA20_POLY1305_SHA256", "secp384r1", "TLSv1.3"),
        ("TLS_AES_256_GCM_SHA384", "secp256r1", "TLSv1.3"),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "x25519", "TLSv1.2"),
    ] {
        let tls = tls.clone().cipher_suites([suite]).unwrap().groups([group]).unwrap();
        let info = handshake(server.server(), &tls).0.unwrap();
        assert_eq!((&*info.cipher_suite, &*info.group, &*info.version), (suite, group, version));
    }
    // The client's order is what it prefers; this server takes it.
    let both = ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"];
    let mut config = server.server();
    config.ignore_client_order = false;
    let info = handshake(config, &tls.clone().cipher_suites(both).unwrap()).0.unwrap();
    assert_eq!(info.cipher_suite, both[0]);
    // Nothing in common is the peers' affair, a suite of no version the caller's.
    let only12 = tls.clone().cipher_suites(["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]).unwrap();
    let error = handshake(server.server(), &only12).0.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Tls(TlsFault::AlertReceived { .. } | TlsFault::NothingInCommon(_))),
        "{error}"
    );
    let error = only12.minimum_version(Version::Tls13).session().unwrap_err();
    assert!(error.to_string().contains("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 is of no TLS version"), "{error}");
    let advice = error.advice().unwrap();
    assert!(advice.contains("TLS_AES_128_GCM_SHA256") && !advice.contains("ECDHE"), "{advice}");
}

#[test]
fn what_fips_approves_of() {
    let (_ours, server, tls) = world();
    assert_eq!(tls.is_fips().unwrap(), cfg!(feature = "fips"));
    assert!(handshake(server.server(), &tls).0.is_ok());
    let chacha = tls.cipher_suites(["TLS_CHACHA20_POLY1305_SHA256"]);
    match chacha {
        Ok(tls) => assert!(!cfg!(feature = "fips") && !tls.is_fips().unwrap()),
        Err(error) => assert!(cfg!(feature = "fips") && error.to_string().contains("TLS_CHACHA20"), "{error}"),
    }
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn the_hybrid_key_exchange() {
    let (_ours, server, tls) = world();
    let mut config = server.server();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    config = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(config.cert_resolver);
    for tls in [tls.clone(), tls.clone().groups(["X25519MLKEM768"]).unwrap()] {
        assert_eq!(handshake(config.clone(), &tls).0.unwrap().group, "X25519MLKEM768");
    }
    let error = tls.groups(["X25519MLKEM768"]).unwrap().maximum_version(Version::Tls12).session().unwrap_err();
    assert!(error.to_string().contains("X25519MLKEM768 is of no TLS version"), "{error}");
}

#[test]
fn the_name_is_told_or_not() {
    let (_ours, server, tls) = world();
    assert_eq!(handshake(server.server(), &tls).1.server_name.as_deref(), Some("localhost"));
    let (info, seen) = handshake(server.server(), &tls.clone().sni(false));
    assert_eq!((info.unwrap().server_name.as_str(), seen.server_name), ("localhost", None));
    assert_eq!(handshake(server.server(), &tls.sni(false).sni(true)).1.server_name.as_deref(), Some("localhost"));
}

#[test]
fn the_key_log_has_every_secret_and_the_binding_remains() {
    let (_ours, server, tls) = world();
    let path = std::env::temp_dir().join(format!("starttls-key-log-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = lines.clone();
    let tls = tls.key_log(move |line| kept.lock().unwrap().push(line.to_owned()));
    let info = handshake(server.server(), &tls).0.unwrap();
    assert_eq!(info.binding.map(|it| it.as_str()), Some("tls-exporter"));
    let labels =
        |lines: &[String]| lines.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
    let logged = std::mem::take(&mut *lines.lock().unwrap());
    for label in ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0", "CLIENT_TRAFFIC_SECRET_0"] {
        assert!(labels(&logged).contains(&label.to_owned()), "{logged:?}");
    }
    for line in &logged {
        let parts: Vec<_> = line.split(' ').collect();
        assert!(parts.len() == 3 && parts[1].len() == 64 && [64, 96].contains(&parts[2].len()), "{line}");
        assert!(parts[1..].iter().all(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())), "{line}");
    }
    let tls = tls.key_log_file(&path).unwrap();
    for _ in 0..2 {
        handshake(server.server(), &tls.clone().maximum_version(Version::Tls12)).0.unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let logged: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(labels(&logged), ["CLIENT_RANDOM", "CLIENT_RANDOM"]);
    assert!(lines.lock().unwrap().is_empty(), "logs replace each other");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::remove_file(&path).unwrap();
    let error = tls.key_log_file(path.join("below")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Local(_)), "{error}");
}

/// A ServerHello of TLS 1.2 that chooses an application protocol, which nobody offered.
#[test]
fn an_application_protocol_that_was_not_offered() {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0xC0, 0x2B, 0]);
    let protocol = b"evil";
    let list = [&[0, protocol.len() as u8 + 1, protocol.len() as u8][..], protocol].concat();
    let extensions = [&[0xFF, 0x01, 0, 1, 0][..], &[0, 0x17, 0, 0], &[0, 0x10, 0, list.len() as u8], &list].concat();
    hello.extend([0, extensions.len() as u8]);
    hello.extend(&extensions);
    let message = [&[2, 0, 0, hello.len() as u8][..], &hello].concat();
    let record = [&[22, 3, 3, 0, message.len() as u8][..], &message].concat();
    for offered in [vec![], vec!["smtp"]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint { host: "localhost".into(), port: listener.local_addr().unwrap().port() };
        let record = record.clone();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut first = [0; 5];
            socket.read_exact(&mut first).unwrap();
            let mut rest = vec![0; usize::from(u16::from_be_bytes([first[3], first[4]]))];
            socket.read_exact(&mut rest).unwrap();
            socket.write_all(&record).unwrap();
            let mut alert = Vec::new();
            let _ = socket.read_to_end(&mut alert);
            alert
        });
        let tls = TlsConfig::new().danger_accept_any_certificate().maximum_version(Version::Tls12).alpn(offered);
        let error = tls_server::visit(&endpoint, &tls).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls(TlsFault::PeerMisbehaved(_))), "{error}");
        assert!(
            error.to_string().contains("ApplicationProtocol")
                || error.to_string().contains("UnsolicitedServerHelloExtension"),
            "{error}"
        );
        let alert = server.join().unwrap();
        assert_eq!(alert.first(), Some(&21), "an alert tells why: {alert:?}");
    }
}
