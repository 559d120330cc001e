//! Whom the component believes when records and policies say so.

use starttls::tls::Certificate;
use starttls_tests::embedding::exports::tls::{MtaStsVerdict, SessionInfo, VerifiedBy, Warning};
use starttls_tests::embedding::exports::types::{Error, ErrorCode, Security, TlsFault};
use starttls_tests::embedding::{Opening, Sandbox};

use crate::{endpoint, open_mail, postfix, sandbox, trusting};

/// What TLS agreed on with Postfix, by name.
fn agreed(opening: &Opening) -> Result<SessionInfo, Box<Error>> {
    let mut sandbox = sandbox();
    let session = open_mail(&mut sandbox, &endpoint("localhost", postfix().port("port")), opening)?;
    let Sandbox { store, client } = &mut sandbox;
    let info = client.starttls_client_smtp().session().call_tls(store, session).expect("no trap");
    Ok(info.expect("TLS"))
}

fn fault(opening: &Opening) -> TlsFault {
    let error = *agreed(opening).expect_err("an error");
    match error.code {
        ErrorCode::Tls(fault) => fault,
        _ => panic!("{error:?}"),
    }
}

#[test]
fn records_decide() {
    let known = agreed(&trusting(postfix(), Security::Upgrade)).expect("a session");
    assert_eq!((known.verified_by, known.mta_sts), (VerifiedBy::Authorities, None));
    assert!(matches!(known.warnings[..], [Warning::ExpiresSoon]), "{:?}", known.warnings);

    let key = Certificate::from_der(&known.peer_chain[0]).expect("a certificate").public_key_sha256;
    let hash: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let by = |records: &[String]| Opening { tlsa: records.to_vec(), ..Opening::default() };
    // The bundled authorities do not know the server: the record does.
    let shown = agreed(&by(&[format!("1 1 1 {hash}"), format!("3 1 1 {hash}")])).expect("a session");
    assert_eq!(shown.verified_by, VerifiedBy::DaneEe);

    let wrong = format!("3 1 1 {}", "00".repeat(32));
    let both = Opening { tlsa: vec![wrong.clone()], ..trusting(postfix(), Security::Upgrade) };
    assert!(matches!(fault(&both), TlsFault::TlsaMismatch));
    assert!(matches!(fault(&by(&[format!("1 1 1 {hash}")])), TlsFault::TlsaUnusable));
    assert!(matches!(fault(&by(&[format!("2 1 1 {hash}")])), TlsFault::TlsaMismatch));
    let error = *agreed(&by(&["3 1 1 nonsense".into()])).expect_err("no record");
    assert!(matches!(error.code, ErrorCode::InvalidArgument(_)), "{error:?}");
}

#[test]
fn a_policy_decides_too() {
    let held = |mode: &str, mx: &str| Opening {
        mta_sts: Some(format!("version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 86400\n")),
        ..trusting(postfix(), Security::Upgrade)
    };
    assert_eq!(agreed(&held("enforce", "localhost")).expect("a session").mta_sts, Some(MtaStsVerdict::Satisfied));
    let testing = agreed(&held("testing", "mx.example.org")).expect("a session");
    assert_eq!(testing.mta_sts, Some(MtaStsVerdict::Violated));
    assert!(testing.warnings.iter().any(|warning| matches!(warning, Warning::MtaStsViolated)));
    assert!(matches!(fault(&held("enforce", "mx.example.org")), TlsFault::MtaStsViolation(_)));
    let error = *agreed(&held("sometimes", "localhost")).expect_err("no policy");
    assert!(matches!(error.code, ErrorCode::InvalidArgument(_)), "{error:?}");
}
