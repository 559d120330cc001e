//! TLS records as real servers cut them, over the hosted driver: no socket, no time.
//!
//! The cases are those that hand-written clients stumbled over: the greeting that a fast server encrypts at once and that
//! arrives with the last handshake bytes, records that arrive in parts, handshake messages spread over many records.
#![allow(missing_docs, clippy::unwrap_used)]

use std::future::Future;
use std::io::{Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustls::ServerConnection;
use starttls::tls::{TlsConfig, Version};
use starttls::transport::{Endpoint, Host, Request};
use starttls::{Error, ErrorKind, Options, Security, TlsFault, smtp};

struct Authority {
    certificate: rcgen::CertifiedKey<rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        Self { certificate: rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap() }
    }

    fn client(&self, version: Version) -> Options {
        let tls = TlsConfig::new().ca_pem(self.certificate.cert.pem().as_bytes()).unwrap().maximum_version(version);
        Options { security: Security::Implicit, tls, ..Options::default() }
    }

    /// A server whose records carry at most `fragment` bytes, if not 16 KiB.
    fn server(&self, fragment: Option<usize>) -> ServerConnection {
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(self.certificate.signing_key.serialize_der().into());
        // The chain is repeated so that it spans several records even at full size.
        let chain = vec![self.certificate.cert.der().clone(); 40];
        let mut config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.max_fragment_size = fragment;
        ServerConnection::new(Arc::new(config)).unwrap()
    }
}

/// Runs a client against a server until the client is done. `answer` sees what the server has decrypted so far.
fn run<T>(
    host: &Host,
    client: impl Future<Output = T>,
    mut server: ServerConnection,
    step: usize,
    mut answer: impl FnMut(&mut ServerConnection, &mut Vec<u8>),
) -> T {
    let mut client = pin!(client);
    let mut decrypted = Vec::new();
    let mut channel = None;
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = client.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        while let Some(request) = host.next_request() {
            match request {
                Request::Connect { channel: id, .. } => {
                    host.connected(id, None);
                    channel = Some(id);
                }
                Request::Write { channel, bytes } => {
                    host.written(channel, bytes.len());
                    let mut bytes = bytes.as_slice();
                    while !bytes.is_empty() {
                        server.read_tls(&mut bytes).unwrap();
                        // An alert from the client ends the conversation; what it was is the client's to tell.
                        let _ = server.process_new_packets();
                        let _ = server.reader().read_to_end(&mut decrypted);
                    }
                }
                _ => {}
            }
        }
        answer(&mut server, &mut decrypted);
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        for piece in wire.chunks(step) {
            host.received(channel.unwrap(), piece);
            if let Poll::Ready(output) = client.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return output;
            }
        }
    }
    panic!("the client waits for ever");
}

#[test]
fn the_greeting_may_come_with_the_handshake_and_records_in_parts() {
    let authority = Authority::new();
    for version in [Version::Tls12, Version::Tls13] {
        for fragment in [None, Some(64), Some(1_000)] {
            for step in [1, 7, 1_000, usize::MAX] {
                let cut = (version, fragment, step);
                let host = Host::new();
                let endpoint = Endpoint { host: "localhost".into(), port: 465 };
                let connect = smtp::Client::connect(host.transport(), &endpoint, authority.client(version));
                let mut said = 0;
                let client = run(&host, connect, authority.server(fragment), step, |server, decrypted| {
                    // As soon as it may: under TLS 1.3 that is before the client's Finished.
                    if said == 0 && server.writer().write(b"220 early\r\n").is_ok_and(|n| n > 0) {
                        said = 1;
                    }
                    if said == 1 && decrypted.ends_with(b"\r\n") {
                        assert!(decrypted.starts_with(b"EHLO "), "{decrypted:?}");
                        server.writer().write_all(b"250-hi\r\n250 PIPELINING\r\n").unwrap();
                        said = 2;
                    }
                });
                let client = client.unwrap_or_else(|error| panic!("{cut:?}: {error}"));
                assert_eq!(client.greeting().text(), "early", "{cut:?}");
                assert!(client.extensions().offers("PIPELINING"), "{cut:?}");
            }
        }
    }
}

#[test]
fn clear_text_where_a_record_is_due_is_reported_with_the_port_that_fits() {
    let authority = Authority::new();
    for step in [1, usize::MAX] {
        let host = Host::new();
        let endpoint = Endpoint { host: "localhost".into(), port: 465 };
        let mut client = pin!(smtp::Client::connect(host.transport(), &endpoint, authority.client(Version::Tls13)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(client.as_mut().poll(&mut context).is_pending());
        let Some(Request::Connect { channel, .. }) = host.next_request() else { panic!("it connects first") };
        host.connected(channel, None);
        assert!(client.as_mut().poll(&mut context).is_pending());
        let outcome = b"220 mail.example.org ESMTP\r\n".chunks(step).find_map(|piece| {
            host.received(channel, piece);
            match client.as_mut().poll(&mut context) {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => None,
            }
        });
        let error: Error = outcome.expect("one byte is enough").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls(TlsFault::PlaintextInsideTls(_))), "{error}");
        assert!(error.to_string().contains("smtp://"), "{error}");
    }
}

#[test]
fn who_was_not_verified_teaches_nothing_about_logins() {
    let authority = Authority::new();
    let settings = smtp::Settings { memory: smtp::ServerMemory::new(), ..smtp::Settings::default() };
    let endpoint = Endpoint { host: "localhost".into(), port: 465 };
    let credentials = smtp::Credentials::password("ada", "pencil");
    let login = |tls: TlsConfig, mechanism: &'static str| {
        let host = Host::new();
        let options = Options { security: Security::Implicit, tls, ..Options::default() };
        let session = async {
            let mut client = smtp::Client::connect_with(host.transport(), &endpoint, options, &settings).await?;
            client.login(&credentials).await
        };
        let (mut heard, mut greeted) = (0, false);
        run(&host, session, authority.server(None), usize::MAX, move |server, decrypted| {
            if !greeted && !server.is_handshaking() {
                greeted = true;
                server.writer().write_all(b"220 hi\r\n").unwrap();
            }
            let lines = decrypted.iter().filter(|&&byte| byte == b'\n').count();
            if lines > heard {
                heard = lines;
                let answer = match (lines, mechanism) {
                    (1, _) => format!("250-localhost\r\n250 AUTH {mechanism}\r\n"),
                    (_, "PLAIN") => "235 welcome\r\n".to_owned(),
                    _ => "535 5.7.8 no\r\n".to_owned(),
                };
                server.writer().write_all(answer.as_bytes()).unwrap();
            }
        })
    };
    let verified = authority.client(Version::Tls13).tls;
    // Somebody in between, once, where anybody was believed.
    login(TlsConfig::new().danger_accept_any_certificate(), "SCRAM-SHA-256").unwrap_err();
    login(verified.clone(), "PLAIN").unwrap();
    // The server itself is believed.
    login(verified.clone(), "SCRAM-SHA-256").unwrap_err();
    let error = login(verified, "PLAIN").unwrap_err();
    assert!(error.to_string().contains("earlier"), "{error}");
}

#[test]
fn no_part_of_a_token_is_shown_where_a_long_text_is_cut() {
    let authority = Authority::new();
    let endpoint = Endpoint { host: "localhost".into(), port: 465 };
    let token = "ya29.".repeat(60);
    let credentials = smtp::Credentials::token("ada@example.org", token.as_str());
    let told = format!("{{\"status\":\"invalid_token\",\"token\":\"{token}\"}}");
    let challenge = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, told);
    let host = Host::new();
    let session = async {
        let options = authority.client(Version::Tls13);
        let mut client = smtp::Client::connect(host.transport(), &endpoint, options).await?;
        client.login(&credentials).await
    };
    let (mut heard, mut greeted) = (0, false);
    let outcome = run(&host, session, authority.server(None), usize::MAX, |server, decrypted| {
        if !greeted && !server.is_handshaking() {
            greeted = true;
            server.writer().write_all(b"220 hi\r\n").unwrap();
        }
        let lines = decrypted.iter().filter(|&&byte| byte == b'\n').count();
        if lines > heard {
            heard = lines;
            let answer = match lines {
                1 => "250-localhost\r\n250 AUTH XOAUTH2\r\n".to_owned(),
                2 => format!("334 {challenge}\r\n"),
                _ => "535 5.7.8 no\r\n".to_owned(),
            };
            server.writer().write_all(answer.as_bytes()).unwrap();
        }
    });
    let error = outcome.unwrap_err();
    assert!(error.detail().unwrap().starts_with("{\"status\":\"invalid_token\""), "{error}");
    assert!(!format!("{error} {error:?} {:?}", error.detail()).contains("ya29"), "{error}");
}
