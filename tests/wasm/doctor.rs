//! Examinations of file servers, out of the sandbox.

use starttls_tests::daemon::Daemon;
use starttls_tests::embedding::exports::ftp::{Diagnosis, Finding, FindingState, Login};
use starttls_tests::embedding::exports::types::{ErrorCode, Security};
use starttls_tests::embedding::{Opening, Sandbox};

use crate::{endpoint, sandbox, trusting};

fn examine(server: &Daemon, opening: &Opening, password: Option<&str>, write_test: bool) -> Diagnosis {
    let mut sandbox = sandbox();
    let to = endpoint("localhost", server.port("port"));
    let (config, options) = sandbox.prepare(opening).expect("no trap").expect("options");
    let Sandbox { store, client } = &mut sandbox;
    let login =
        password.map(|password| Login { user: server.text("user").into(), password: password.into(), account: None });
    let ftp = client.starttls_client_ftp();
    ftp.call_doctor(store, &to, config, options, login.as_ref(), b"/files", write_test).expect("no trap")
}

fn about<'a>(found: &'a Diagnosis, topic: &str) -> &'a Finding {
    found.findings.iter().find(|finding| finding.topic == topic).unwrap_or_else(|| panic!("{topic}: {found:?}"))
}

#[test]
fn a_server_that_demands_resumption() {
    let server = Daemon::start("vsftpd", None);
    let trusting = trusting(&server, Security::Upgrade);
    let found = examine(&server, &trusting, Some(server.text("password")), true);
    assert!(found.error.is_none(), "{found:?}");
    let reuse = about(&found, "session-reuse");
    assert!(matches!(reuse.state, FindingState::Notice) && reuse.seen.contains("must resume"), "{reuse:?}");
    assert!(reuse.cause.is_some() && reuse.remedy.is_some());
    assert!(about(&found, "tls-versions").seen.contains("TLS 1.2 and TLS 1.3"));
    assert!(about(&found, "writing").seen.ends_with("the file is deleted"));
    assert_eq!(std::fs::read_dir(server.file("")).expect("a folder").count(), 0);
}

#[test]
fn what_goes_wrong_is_what_it_is_about() {
    let server = Daemon::start("vsftpd", None);
    let trusting = trusting(&server, Security::Upgrade);
    let found = examine(&server, &trusting, Some("wrong-password"), false);
    assert!(matches!(about(&found, "login").state, FindingState::Problem));
    assert!(matches!(found.error.expect("an error").code, ErrorCode::Rejected));
    // Nobody vouches for it: it is looked at, and told nothing.
    let distrusting = Opening { security: Some(Security::Upgrade), ..Opening::default() };
    let found = examine(&server, &distrusting, Some(server.text("password")), false);
    assert!(matches!(about(&found, "certificate").state, FindingState::Problem));
    assert!(found.findings.iter().all(|finding| finding.topic != "login"), "{found:?}");
    assert!(matches!(found.error.expect("an error").code, ErrorCode::Tls(_)));
}
