//! Signatures made in the sandbox.

use std::time::{Duration, Instant};

use starttls::smtp::dkim::Signer;
use starttls_tests::embedding::Sandbox;
use starttls_tests::embedding::exports::types::ErrorCode;

use crate::sandbox;

/// The first key of RFC 8032 §7.1. An Ed25519 signature of the same bytes is always the same.
const KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

const MESSAGE: &[u8] = b"From: ada@example.org\r\nTo: bob@example.net\r\nSubject: hi\r\n\r\nHi.\r\n";

#[test]
fn the_same_signature_as_everywhere() {
    let Sandbox { mut store, client } = sandbox();
    let signers = client.starttls_client_dkim().signer();
    let signer = signers.call_create(&mut store, "example.org", "2026", KEY).expect("no trap").expect("a signer");
    signers.call_set_fields(&mut store, signer, &["Subject".into()]).expect("no trap").expect("a field");
    signers.call_set_lifetime(&mut store, signer, 60_000_000_000).expect("no trap");
    let native = Signer::new("example.org", "2026", KEY).expect("a signer");
    let native = native.fields(["Subject"]).expect("a field").expires_after(Duration::from_secs(60));
    // The time is in it, in whole seconds: both are made in one of them, sooner or later.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let before = native.sign(MESSAGE).expect("a signature");
        let signature = signers.call_sign(&mut store, signer, MESSAGE).expect("no trap").expect("a signature");
        if signature == before {
            break;
        }
        assert!(Instant::now() < deadline, "{}", String::from_utf8_lossy(&signature));
    }
}

#[test]
fn what_cannot_be_signed() {
    let Sandbox { mut store, client } = sandbox();
    let signers = client.starttls_client_dkim().signer();
    let error =
        signers.call_create(&mut store, "example.org", "2026", b"no key").expect("no trap").expect_err("no key");
    assert!(matches!(error.code, ErrorCode::InvalidArgument(_)), "{error:?}");
    let signer = signers.call_create(&mut store, "example.org", "2026", KEY).expect("no trap").expect("a signer");
    let error = signers.call_set_fields(&mut store, signer, &["Bcc".into()]).expect("no trap").expect_err("no field");
    assert!(matches!(error.code, ErrorCode::InvalidArgument(_)), "{error:?}");
    let error = signers.call_sign(&mut store, signer, b"Subject: x\r\n\r\n").expect("no trap").expect_err("no From");
    assert!(matches!(error.code, ErrorCode::InvalidArgument(_)), "{error:?}");
}
