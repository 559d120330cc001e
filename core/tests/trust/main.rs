//! Whom a client believes: handshakes with real servers.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../support/tls_server.rs"]
#[allow(dead_code, unreachable_pub)]
mod tls_server;

use starttls::tls::{Certificate, ChannelBindingType, Fingerprint, Rejection, TlsConfig, VerifiedBy, Version};
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

#[test]
fn certificates_that_are_revoked() {
    let (ours, other) = (authority("ours"), authority("other"));
    let (good, bad) = (issue(&ours, 7), issue(&ours, 8));
    let (list, stale) = (crl(&ours, &[8, 9], false), crl(&ours, &[8], true));
    let (elsewhere, pem) = (crl(&other, &[7], false), list.pem().unwrap());
    let trust = || TlsConfig::new().ca_data(ours.der()).unwrap();
    let said = |server: &tls_server::Issued, tls: &TlsConfig| match handshake(server.server(), tls).0 {
        Ok(_) => "believed",
        Err(error) => match error.kind() {
            ErrorKind::Tls(TlsFault::Revoked) => "revoked",
            ErrorKind::Tls(TlsFault::RevocationUnknown(_)) => {
                assert!(error.advice().unwrap().contains("CRL"), "{error}");
                "unknown"
            }
            _ => panic!("{error}"),
        },
    };
    for data in [list.der().as_ref(), pem.as_bytes()] {
        let tls = trust().crl_data(data).unwrap();
        assert_eq!((said(&good, &tls), said(&bad, &tls)), ("believed", "revoked"));
    }
    // A list that is out of date, or is about others, is no answer; by choice that is no obstacle, and what it says counts.
    let tls = trust().crl_data(stale.der()).unwrap();
    assert_eq!((said(&good, &tls), said(&bad, &tls)), ("unknown", "unknown"));
    let tls = tls.allow_unknown_revocation();
    assert_eq!((said(&good, &tls), said(&bad, &tls)), ("believed", "revoked"));
    let tls = trust().crl_data(elsewhere.der()).unwrap();
    assert_eq!(said(&good, &tls), "unknown");
    assert_eq!(said(&good, &tls.allow_unknown_revocation()), "believed");
    // A list in the authority's name that is not the authority's is no answer either, and may be somebody's work.
    let tls = trust().crl_data(crl(&authority("ours"), &[7], false).der()).unwrap();
    assert_eq!((said(&good, &tls), said(&good, &tls.allow_unknown_revocation())), ("unknown", "unknown"));
    // An authority of a TLSA record is an authority.
    let record = format!("2 0 0 {}", hex(ours.der())).parse().unwrap();
    let tls = TlsConfig::new().tlsa([record]).crl_data(list.der()).unwrap();
    assert_eq!((said(&good, &tls), said(&bad, &tls)), ("believed", "revoked"));
    for nothing in [&b"nonsense"[..], b"", good.certificate.der(), good.certificate.pem().as_bytes()] {
        let error = TlsConfig::new().crl_data(nothing).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls(TlsFault::Configuration(_))), "{error}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn crl(authority: &tls_server::Authority, revoked: &[u64], stale: bool) -> rcgen::CertificateRevocationList {
    let day = |day| rcgen::date_time_ymd(2026, 1, day);
    let revoked = revoked.iter().map(|&serial| rcgen::RevokedCertParams {
        serial_number: serial.into(),
        revocation_time: day(1),
        reason_code: None,
        invalidity_date: None,
    });
    rcgen::CertificateRevocationListParams {
        this_update: day(2),
        next_update: if stale { day(3) } else { rcgen::date_time_ymd(4000, 1, 1) },
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    }
    .signed_by(authority)
    .unwrap()
}

#[test]
fn the_stapled_response_is_shown() {
    let ours = authority("ours");
    let server = issue(&ours, 1);
    let tls = TlsConfig::new().ca_data(ours.der()).unwrap();
    assert_eq!(handshake(server.server(), &tls).0.unwrap().ocsp_response, None);
    let mut config = server.server();
    let mut certified = server.certified();
    certified.ocsp = Some(b"a response".to_vec());
    config.cert_resolver = std::sync::Arc::new(rustls::sign::SingleCertAndKey::from(certified));
    for version in [Version::Tls12, Version::Tls13] {
        let (info, _) = handshake(config.clone(), &tls.clone().maximum_version(version));
        assert_eq!(info.unwrap().ocsp_response.as_deref(), Some(&b"a response"[..]));
    }
}

#[test]
fn a_check_of_the_callers_own() {
    let ours = authority("ours");
    let server = issue(&ours, 1);
    let der = server.certificate.der().to_vec();
    let trust = || TlsConfig::new().ca_data(ours.der()).unwrap();
    let nobody = || TlsConfig::new().ca_data(authority("other").der()).unwrap();
    let fault = |tls: &TlsConfig| match handshake(server.server(), tls).0 {
        Ok(info) => Ok(info.verified_by),
        Err(error) => match error.kind() {
            ErrorKind::Tls(fault) => Err(fault.clone()),
            _ => panic!("{error}"),
        },
    };
    let sees = move |presented: &starttls::tls::Presented<'_>| {
        assert_eq!((presented.chain[0], presented.server_name), (&der[..], "localhost"));
        match presented.verdict {
            Ok(whose) => Err(format!("believed by {whose}").into()),
            Err(error) => Err(format!("not believed: {:?}", error.kind()).into()),
        }
    };
    assert_eq!(fault(&trust().check(|_| Ok(()))), Ok(VerifiedBy::Authorities));
    let believed = TlsFault::RejectedByCheck("believed by authorities".into());
    assert_eq!(fault(&trust().check(sees.clone())), Err(believed.clone()));
    assert_eq!(fault(&trust().danger_check(sees.clone())), Err(believed));
    // It cannot accept, but by name; a pin that does not match is a refusal like others.
    assert_eq!(fault(&nobody().check(|_| Ok(()))), Err(TlsFault::UnknownIssuer));
    assert_eq!(fault(&nobody().check(sees.clone())), Err(TlsFault::UnknownIssuer));
    assert_eq!(fault(&trust().pin_spki_sha256([0; 32]).check(|_| Ok(()))), Err(TlsFault::PinMismatch));
    assert_eq!(fault(&nobody().danger_check(|_| Ok(()))), Ok(VerifiedBy::Check));
    let refused = TlsFault::RejectedByCheck("not believed: Tls(UnknownIssuer)".into());
    assert_eq!(fault(&nobody().danger_check(sees)), Err(refused));
    // What the caller's code failed with is behind the error.
    let fails = |_: &starttls::tls::Presented<'_>| Err(Rejection::caused_by("cannot tell", std::fmt::Error));
    let error = handshake(server.server(), &trust().check(fails)).0.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls(TlsFault::RejectedByCheck(why)) if why == "cannot tell"), "{error}");
    assert!(std::error::Error::source(&error).unwrap().is::<std::fmt::Error>());
    assert!(nobody().danger_check(|_| Ok(())).accepts_any_certificate());
    assert!(!trust().check(|_| Ok(())).accepts_any_certificate());
}
