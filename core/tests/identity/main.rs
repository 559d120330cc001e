//! Who a client says it is: certificates of its own, shown to servers that ask.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../support/tls_server.rs"]
#[allow(dead_code, unreachable_pub)]
mod tls_server;

use starttls::tls::{Identity, TlsConfig};
use starttls::{ErrorKind, TlsFault};
use tls_server::{Issued, authority, handshake, insisting, issue};

fn identity(issued: &Issued) -> Identity {
    let (chain, key) = (issued.certificate.pem(), issued.key.serialize_pem());
    Identity::new(chain.as_bytes(), Some(key.as_bytes()), None).unwrap()
}

#[test]
fn the_one_that_the_server_takes() {
    let (ours, one, two) = (authority("ours"), authority("one"), authority("two"));
    let server = issue(&ours, 1);
    let (first, second) = (issue(&one, 11), issue(&two, 22));
    let trust = || TlsConfig::new().ca_data(ours.der()).unwrap();
    let both = trust().identity(identity(&first)).identity(identity(&second));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (authorities, shown) in
            [(vec![&one], &first), (vec![&two], &second), (vec![&two, &one], &first), (vec![&ours, &two], &second)]
        {
            let (said, seen) = handshake(insisting(&server, &authorities, &[version]), &both);
            said.unwrap();
            assert_eq!(seen.client.as_deref(), Some(&shown.certificate.der()[..]));
        }
        // None fits: the server gets none, and insists.
        for (tls, told) in [
            (both.clone(), "none of those given is of an authority that the server names: CN=ours"),
            (trust(), "give a client certificate of one of the authorities that the server names: CN=ours"),
        ] {
            let (said, seen) = handshake(insisting(&server, &[&ours], &[version]), &tls);
            let error = said.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Tls(TlsFault::ClientCertificateRequired)), "{error}");
            assert_eq!((error.advice(), seen.client), (Some(told), None));
        }
    }
    // Nobody asks: nothing is shown.
    let (said, seen) = handshake(server.server(), &both);
    assert!(said.is_ok() && seen.client.is_none());
}

#[test]
fn what_cannot_be_an_identity() {
    let ours = authority("ours");
    let (one, two) = (issue(&ours, 1), issue(&ours, 2));
    let (chain, key) = (one.certificate.pem(), one.key.serialize_pem());
    let both = format!("{chain}{key}");
    assert!(Identity::new(both.as_bytes(), None, None).is_ok());
    assert!(Identity::new(both.as_bytes(), None, Some("not needed")).is_ok());
    let shown = format!("{:?}", Identity::new(both.as_bytes(), None, None).unwrap());
    assert_eq!(shown, "Identity(1 certificates, ***)");
    let other = Identity::new(chain.as_bytes(), Some(two.key.serialize_pem().as_bytes()), None).unwrap_err();
    assert!(matches!(other.kind(), ErrorKind::Tls(TlsFault::KeyMismatch)), "{other}");
    for (certificate, key) in [
        (chain.as_bytes(), None),
        (key.as_bytes(), None),
        (b"", None),
        (chain.as_bytes(), Some(chain.as_bytes())),
        (b"0\x03\x02\x01\x03", None),
        (b"0\x03\x02\x01\x03", Some(key.as_bytes())),
        (&one.certificate.der()[..], None),
    ] {
        let error = Identity::new(certificate, key, None).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls(TlsFault::Configuration(_))), "{error}");
    }
}
