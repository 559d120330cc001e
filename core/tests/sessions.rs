//! Sessions that connections leave for the next ones, in a store that one can look into, with real servers.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/tls_server.rs"]
#[allow(dead_code, unreachable_pub)]
mod tls_server;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use starttls::tls::{Identity, SessionStore, TlsConfig, VerifiedBy, Version};
use starttls::transport::{Blocking, BlockingStream, Endpoint, block};
use starttls::{Connection, ErrorKind, Options, Security, TlsFault};
use tls_server::{Authority, Issued, authority, issue, serve, visit};

fn world() -> (Authority, Issued, TlsConfig) {
    let ours = authority("ours");
    let tls = TlsConfig::new().ca_data(ours.der()).unwrap();
    let server = issue(&ours, 1);
    (ours, server, tls)
}

/// Whether the next connection resumed.
fn resumed(endpoint: &Endpoint, tls: &TlsConfig) -> bool {
    visit(endpoint, tls).unwrap().resumed
}

#[test]
fn the_next_connection_resumes() {
    let (_ours, server, tls) = world();
    for (version, suite) in
        [(Version::Tls13, "TLS_AES_256_GCM_SHA384"), (Version::Tls12, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")]
    {
        let store = SessionStore::new();
        let tls = tls.clone().maximum_version(version).cipher_suites([suite]).unwrap().sessions(store.clone());
        let mut config = server.server();
        // Whoever would take early data is offered none: this server's connections would wait for it.
        config.max_early_data_size = 16_384;
        let (endpoint, thread) = serve(config, 3);
        assert!(store.is_empty());
        let before = SystemTime::now();
        for (count, expected) in [false, true, true].into_iter().enumerate() {
            let info = visit(&endpoint, &tls.clone()).unwrap();
            assert_eq!((info.resumed, info.verified_by), (expected, VerifiedBy::Authorities));
            assert_eq!(info.cipher_suite, suite);
            let there = store.servers();
            assert_eq!((there.len(), there[0].resumed), (1, count as u64));
            assert_eq!(
                (&*there[0].host, there[0].port, &*there[0].server_name),
                ("localhost", endpoint.port, "localhost")
            );
            assert!(!there[0].sessions.is_empty() && there[0].sessions.len() == store.len());
            for session in &there[0].sessions {
                assert_eq!((session.version, session.cipher_suite.as_deref()), (version, Some(suite)));
                assert!(session.received >= before && session.received <= SystemTime::now());
            }
        }
        thread.join().unwrap();
        let shown = format!("{store:?}");
        assert_eq!(shown, format!("SessionStore {{ servers: 1, sessions: {} }}", store.len()));
    }
}

#[test]
fn nothing_is_shared_without_a_store() {
    let (_ours, server, tls) = world();
    let (endpoint, thread) = serve(server.server(), 2);
    assert_eq!([resumed(&endpoint, &tls), resumed(&endpoint, &tls)], [false, false]);
    thread.join().unwrap();
}

/// Whatever is set of a configuration, it trusts no session of another one.
#[test]
fn another_configuration_resumes_nothing() {
    let (ours, server, tls) = world();
    let client = issue(&ours, 2);
    let key = client.key.serialize_pem();
    let identity = Identity::new(client.certificate.pem().as_bytes(), Some(key.as_bytes()), None).unwrap();
    for version in [Version::Tls13, Version::Tls12] {
        let store = SessionStore::new();
        let tls = tls.clone().maximum_version(version).sessions(store.clone());
        let others = [
            tls.clone().ca_data(authority("theirs").der()).unwrap(),
            tls.clone().identity(identity.clone()),
            tls.clone().check(|_| Ok(())),
            tls.clone().alpn(["smtp"]),
            tls.clone().allow_unknown_revocation(),
            tls.clone().maximum_version(version),
            tls.clone().danger_accept_any_certificate(),
        ];
        let (endpoint, thread) = serve(server.server(), 4 + others.len() + 1);
        assert_eq!([resumed(&endpoint, &tls), resumed(&endpoint, &tls)], [false, true]);
        for other in &others {
            assert!(!resumed(&endpoint, other), "{other:?}");
        }
        // What a lenient configuration accepted is no way around a pin.
        let pinned = tls.clone().pin_spki_sha256([7; 32]);
        let error = visit(&endpoint, &pinned).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls(TlsFault::PinMismatch)), "{error}");
        // What a configuration agreed goes with it.
        assert_eq!(store.servers().len(), others.len() + 2);
        drop((others, pinned));
        assert_eq!(store.servers().len(), 1);
        assert_eq!([resumed(&endpoint, &tls), resumed(&endpoint, &tls)], [true, true]);
        thread.join().unwrap();
    }
}

/// Neither another port nor another name.
#[test]
fn another_server_resumes_nothing() {
    let (_ours, server, tls) = world();
    let store = SessionStore::new();
    let tls = tls.sessions(store.clone());
    let config = server.server();
    let (one, first) = serve(config.clone(), 2);
    let (two, second) = serve(config, 1);
    assert_eq!([resumed(&one, &tls), resumed(&two, &tls), resumed(&one, &tls)], [false, false, true]);
    assert_eq!(store.servers().iter().map(|server| server.port).collect::<Vec<_>>(), [two.port, one.port]);
    for server in [first, second] {
        server.join().unwrap();
    }
}

#[test]
fn sessions_are_forgotten() {
    let (_ours, server, tls) = world();
    let store = SessionStore::with_capacity(1);
    let tls = tls.sessions(store.clone());
    let (one, first) = serve(server.server(), 4);
    assert!(!resumed(&one, &tls) && resumed(&one, &tls));
    assert_eq!(store.remove("elsewhere.example"), 0);
    let had = store.len();
    assert_eq!((store.remove("LOCALHOST."), store.len()), (had, 0));
    assert!(!resumed(&one, &tls));
    store.clear();
    assert!(store.is_empty() && store.servers().is_empty());
    // Room for one: the other one has gone.
    let (two, second) = serve(server.server(), 1);
    assert!(!resumed(&two, &tls) && !resumed(&one, &tls));
    assert_eq!(store.servers().len(), 1);
    for server in [first, second] {
        server.join().unwrap();
    }
}

/// A check goes with its configuration, and may ask the store as it goes.
#[test]
fn what_goes_with_a_configuration_may_use_the_store() {
    struct Last(SessionStore);
    impl Drop for Last {
        fn drop(&mut self) {
            assert!(self.0.is_empty());
        }
    }
    let (_ours, server, tls) = world();
    let store = SessionStore::new();
    let last = Arc::new(Last(store.clone()));
    let seen = Arc::downgrade(&last);
    let tls = tls.sessions(store.clone()).check(move |_| {
        let _mine = &last;
        Ok(())
    });
    let (endpoint, thread) = serve(server.server(), 1);
    assert!(!resumed(&endpoint, &tls));
    thread.join().unwrap();
    drop(tls);
    assert!(store.is_empty() && seen.upgrade().is_none());
}

/// Any server of a host could be behind a port that is not known.
#[test]
fn an_unknown_port_shares_nothing() {
    let (_ours, server, tls) = world();
    let store = SessionStore::new();
    let tls = tls.sessions(store.clone());
    let (endpoint, thread) = serve(server.server(), 2);
    for _ in 0..2 {
        let socket = TcpStream::connect(("127.0.0.1", endpoint.port)).unwrap();
        let unknown = Endpoint { port: 0, ..endpoint.clone() };
        let options = Options { security: Security::Implicit, tls: tls.clone(), ..Options::default() };
        block(async {
            let stream = BlockingStream::from_socket(socket).unwrap();
            let mut connection = Connection::over(stream, &unknown, &options).await.unwrap();
            assert!(!connection.tls().unwrap().resumed);
            assert_eq!(connection.read_line(100).await.unwrap().unwrap(), b"220 ready");
            connection.shutdown().await.unwrap();
        });
    }
    thread.join().unwrap();
    assert!(store.servers().is_empty());
}

/// A server that has lost its keys gives a whole handshake, and one that breaks off is not tried in the same way again.
#[test]
fn a_session_that_is_no_good_any_more() {
    let (_ours, server, tls) = world();
    for version in [Version::Tls13, Version::Tls12] {
        let store = SessionStore::new();
        let tls = tls.clone().maximum_version(version).sessions(store.clone());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint { host: "localhost".into(), port: listener.local_addr().unwrap().port() };
        let configs = [server.server(), server.server()].map(Arc::new);
        let thread = std::thread::spawn(move || {
            let talk = |config: &Arc<rustls::ServerConfig>, socket: TcpStream| {
                let connection = rustls::ServerConnection::new(config.clone()).unwrap();
                tls_server::converse(&mut rustls::StreamOwned::new(connection, socket)).unwrap();
            };
            let accept = || listener.accept().unwrap().0;
            talk(&configs[0], accept());
            // A fatal handshake_failure; and nothing but the end.
            for last_words in [&[21, 3, 3, 0, 2, 2, 40][..], &[]] {
                talk(&configs[1], accept());
                let mut socket = accept();
                let _ = socket.read(&mut [0; 4096]).unwrap();
                socket.write_all(last_words).unwrap();
            }
            talk(&configs[1], accept());
        });
        assert!(!resumed(&endpoint, &tls));
        for _ in 0..2 {
            assert!(!resumed(&endpoint, &tls));
            assert!(!store.is_empty());
            let error = visit(&endpoint, &tls).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Tls(_) | ErrorKind::ClosedByPeer), "{error}");
            assert!(store.is_empty(), "{version:?} after {error}");
        }
        assert!(!resumed(&endpoint, &tls));
        thread.join().unwrap();
    }
}

/// Tickets that come behind application data, in two pieces and between two reads: the reads lose nothing, and the store has
/// them.
#[test]
fn late_tickets() {
    let (_ours, server, tls) = world();
    let store = SessionStore::new();
    let options = Options { security: Security::Implicit, tls: tls.sessions(store.clone()), ..Options::default() };
    let mut config = server.server();
    // What is said before the client has finished comes before the tickets.
    config.send_half_rtt_data = true;
    config.send_tls13_tickets = 3;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint { host: "localhost".into(), port: listener.local_addr().unwrap().port() };
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut greeted = false;
        let mut late = Vec::new();
        while late.is_empty() {
            assert!(tls.read_tls(&mut socket).unwrap() > 0);
            tls.process_new_packets().unwrap();
            if !greeted && tls.wants_write() {
                tls.writer().write_all(b"first\r\n").unwrap();
                greeted = true;
            }
            while tls.wants_write() {
                let to: &mut dyn Write = if tls.is_handshaking() { &mut socket } else { &mut late };
                tls.write_tls(to).unwrap();
            }
        }
        let (begun, rest) = late.split_at(10);
        socket.write_all(begun).unwrap();
        let mut said = [0; 6];
        let mut have = 0;
        while have < said.len() {
            match tls.reader().read(&mut said[have..]) {
                Ok(n) => have += n,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    assert!(tls.read_tls(&mut socket).unwrap() > 0);
                    tls.process_new_packets().unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(&said, b"more\r\n");
        socket.write_all(rest).unwrap();
        tls.writer().write_all(b"second\r\n").unwrap();
        while tls.wants_write() {
            tls.write_tls(&mut socket).unwrap();
        }
        let _ = socket.read(&mut said);
    });
    block(async {
        let mut connection = Connection::open(&Blocking::new(), &endpoint, &options).await?;
        assert_eq!(connection.read_line(100).await?.as_deref(), Some(&b"first"[..]));
        assert!(store.is_empty());
        connection.write(b"more\r\n").await?;
        assert_eq!(connection.read_line(100).await?.as_deref(), Some(&b"second"[..]));
        Ok::<(), starttls::Error>(())
    })
    .unwrap();
    assert_eq!(store.len(), 3);
    thread.join().unwrap();
}
