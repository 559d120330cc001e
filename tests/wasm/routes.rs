//! Several servers in order, and SRV records as a plan.

use std::net::TcpListener;

use starttls_tests::embedding::exports::smtp::{Outcome, Route, SrvOrigin, SrvRecord};
use starttls_tests::embedding::exports::types::{Error, ErrorCode, Security, TlsFault};
use starttls_tests::embedding::{Opening, Sandbox};
use wasmtime::component::ResourceAny;

use crate::mail::{envelope, message};
use crate::{assert_same, endpoint, password, postfix, sandbox, trusting};

pub(crate) fn route(port: u16, security: Security) -> Route {
    Route { endpoint: endpoint("localhost", port), security, lmtp: false, server_name: None }
}

/// Nobody listens there.
fn dead() -> Route {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    route(listener.local_addr().expect("an address").port(), Security::Upgrade)
}

fn open(sandbox: &mut Sandbox, routes: &[Route], opening: &Opening) -> Result<ResourceAny, Box<Error>> {
    let (config, options) = sandbox.prepare(opening).expect("no trap")?;
    let Sandbox { store, client } = sandbox;
    let opened = client.starttls_client_smtp().session().call_open_any(store, routes, config, options);
    Ok(opened.expect("no trap")?)
}

#[test]
fn the_first_that_answers() {
    let server = postfix();
    let mut sandbox = sandbox();
    let routes = [dead(), dead(), route(server.port("implicit_port"), Security::Implicit)];
    let session = open(&mut sandbox, &routes, &trusting(server, Security::Upgrade)).expect("the third");
    let text = message(300);
    let Sandbox { store, client } = &mut sandbox;
    let smtp = client.starttls_client_smtp();
    let account = password(server.text("user"), server.text("password"));
    smtp.session().call_login(&mut *store, session, &account, Some("PLAIN")).expect("no trap").expect("a login");
    let sent = smtp.session().call_send_and_quit(store, session, &envelope(&["routed@example.test"]), None, &text);
    let report = sent.expect("no trap").expect("a report");
    assert_eq!(report.outcome, Outcome::Accepted);
    // The report tells who was spoken to.
    let tls = report.tls.expect("TLS");
    assert_eq!((tls.server_name.as_str(), tls.version.as_str()), ("localhost", "TLSv1.3"));
    assert_eq!(report.login.expect("a login").mechanism, "PLAIN");
    assert_same("routed", &text, &postfix().delivered("routed@example.test"));
}

#[test]
fn what_is_wrong_ends_the_search() {
    let server = postfix();
    let good = route(server.port("port"), Security::Upgrade);
    let misnamed = Route { server_name: Some("other.example".into()), ..good.clone() };
    let mut sandbox = sandbox();
    let error = *open(&mut sandbox, &[dead(), misnamed, good.clone()], &trusting(server, Security::Upgrade))
        .expect_err("the certificate is for another name");
    assert!(matches!(error.code, ErrorCode::Tls(TlsFault::NameMismatch(_))), "{error:?}");
    assert!(error.message.contains("tried before"), "{error:?}");
    let error = *open(&mut sandbox, &[good], &Opening::default()).expect_err("its authority is not known");
    assert!(matches!(error.code, ErrorCode::Tls(TlsFault::UnknownIssuer)), "{error:?}");
    let error = *open(&mut sandbox, &[], &Opening::default()).expect_err("no server");
    assert!(matches!(error.code, ErrorCode::InvalidArgument(_)), "{error:?}");
    let routes = [dead(), dead()];
    let error = *open(&mut sandbox, &routes, &Opening::default()).expect_err("nobody listens");
    assert!(matches!(error.code, ErrorCode::ConnectionRefused), "{error:?}");
    for route in routes {
        assert!(error.message.contains(&route.endpoint.port.to_string()), "{error:?}");
    }
}

#[test]
fn service_records() {
    let server = postfix();
    let mut sandbox = sandbox();
    let record = |priority, port, target: &str| SrvRecord { priority, weight: 0, port, target: target.into() };
    let submissions =
        [record(10, server.port("implicit_port"), "localhost."), record(0, dead().endpoint.port, "localhost.")];
    let submission = [record(0, server.port("port"), "localhost.")];
    let mut plan = |origin, submissions: &[SrvRecord]| {
        let Sandbox { store, client } = &mut sandbox;
        let smtp = client.starttls_client_smtp();
        smtp.call_routes_from_srv(store, "example.org", submissions, &submission, origin).expect("no trap")
    };
    let routes = plan(SrvOrigin::Secure, &submissions).expect("a plan");
    let shape: Vec<_> = routes.iter().map(|route| (route.endpoint.port, route.security)).collect();
    let expected = [
        (submissions[1].port, Security::Implicit),
        (submissions[0].port, Security::Implicit),
        (submission[0].port, Security::Upgrade),
    ];
    assert_eq!(shape, expected);
    // Whoever made the records cannot choose the name.
    let insecure = plan(SrvOrigin::Insecure, &submissions).expect("a plan");
    assert!(insecure.iter().all(|route| route.server_name.as_deref() == Some("example.org")));
    let error = plan(SrvOrigin::Secure, &[record(0, 465, "no host")]).expect_err("no host");
    assert!(matches!(error.code, ErrorCode::InvalidArgument(_)), "{error:?}");

    let opening = trusting(server, Security::Upgrade);
    let session = open(&mut sandbox, &routes, &opening).expect("the second");
    let Sandbox { store, client } = &mut sandbox;
    client.starttls_client_smtp().session().call_quit(store, session).expect("no trap");
    let error = *open(&mut sandbox, &insecure, &opening).expect_err("the certificate is not the domain's");
    assert!(matches!(error.code, ErrorCode::Tls(TlsFault::NameMismatch(_))), "{error:?}");
}
