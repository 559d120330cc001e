//! Whom a client believes: handshakes with real servers.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../support/tls_server.rs"]
#[allow(dead_code, unreachable_pub)]
mod tls_server;

use starttls::tls::{Certificate, ChannelBindingType, Fingerprint, TlsConfig, VerifiedBy, Version};
use starttls::{ErrorKind, TlsFault};
use tls_server::{authority, handshake, issue};

fn sha256(der: &[u8]) -> [u8; 32] {
    ring::digest::digest(&ring::digest::SHA256, der).as_ref().try_into().unwrap()
}

#[test]
fn authorities_in_every_form() {
    let (ours, other) = (authority("ours"), authority("other"));
    let server = issue(&ours, 1);
    let folder = std::env::temp_dir().join(format!("starttls-trust-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("1a2b3c4d.0"), ours.pem()).unwrap();
    std::fs::write(folder.join("other.der"), other.der()).unwrap();
    let new = TlsConfig::new;
    for good in [
        new().ca_data(ours.der()).unwrap(),
        new().ca_pem(ours.pem().as_bytes()).unwrap(),
        new().ca_data(other.der()).unwrap().ca_data(ours.der()).unwrap(),
        new().ca_folder(&folder).unwrap(),
        new().ca_file(folder.join("1a2b3c4d.0")).unwrap(),
        new().ca_file(folder.join("other.der")).unwrap().ca_data(ours.der()).unwrap(),
        new().danger_accept_any_certificate().ca_data(ours.der()).unwrap(),
    ] {
        let (info, _) = handshake(server.server(), &good);
        let info = info.unwrap();
        assert_eq!((info.verified_by, info.pinned), (VerifiedBy::Authorities, false));
        assert_eq!(info.binding, Some(ChannelBindingType::TlsExporter));
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let (refused, _) = handshake(server.server(), &new().ca_data(other.der()).unwrap());
    let refused = refused.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Tls(TlsFault::UnknownIssuer)), "{refused}");
}

#[test]
fn pins_of_keys_and_of_certificates() {
    let ours = authority("ours");
    let server = issue(&ours, 1);
    let der = server.certificate.der();
    let key = Certificate::from_der(der).unwrap().public_key_sha256;
    let trust = || TlsConfig::new().ca_data(ours.der()).unwrap();
    let text = Fingerprint(sha256(der)).to_string();
    for (tls, fits) in [
        (trust().pin_spki_sha256(key), true),
        (trust().pin_certificate_sha256(sha256(der)), true),
        (trust().pin_certificate_sha256(text.parse::<Fingerprint>().unwrap().0), true),
        (trust().pin_certificate_sha256([0; 32]).pin_spki_sha256(key), true),
        // One kind of pin is not the other, and the authority's is not the server's.
        (trust().pin_certificate_sha256(key), false),
        (trust().pin_spki_sha256(sha256(der)), false),
        (trust().pin_certificate_sha256(sha256(ours.der())), false),
    ] {
        match handshake(server.server(), &tls).0 {
            Ok(info) => assert!(fits && info.pinned),
            Err(error) => {
                assert!(!fits, "{error}");
                assert!(matches!(error.kind(), ErrorKind::Tls(TlsFault::PinMismatch)), "{error}");
            }
        }
    }
    // A pinned certificate is safe whoever signed it.
    let alone = TlsConfig::new().danger_accept_any_certificate().pin_certificate_sha256(sha256(der));
    let info = handshake(server.server(), &alone.maximum_version(Version::Tls12)).0.unwrap();
    assert_eq!((info.verified_by, info.binding), (VerifiedBy::Pin, Some(ChannelBindingType::TlsServerEndPoint)));
}

#[test]
fn a_key_of_another_certificate() {
    let ours = authority("ours");
    let (one, two) = (issue(&ours, 1), issue(&ours, 2));
    let pem = |it: &tls_server::Issued| (it.certificate.pem().into_bytes(), it.key.serialize_pem().into_bytes());
    let ((chain, key), (_, other)) = (pem(&one), pem(&two));
    TlsConfig::new().identity_pem(&chain, &key).unwrap();
    let error = TlsConfig::new().identity_pem(&chain, &other).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls(TlsFault::KeyMismatch)), "{error}");
    assert!(error.advice().unwrap().contains("first one"), "{error}");
}
