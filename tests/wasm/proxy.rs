//! Through real proxies: the host grants the way to the proxy, and nothing else.

use std::net::TcpListener;

use starttls_tests::daemon::Daemon;
use starttls_tests::embedding::Opening;
use starttls_tests::embedding::exports::smtp::Outcome;
use starttls_tests::embedding::exports::types::{Error, ErrorCode, Security};

use crate::mail::{envelope, message};
use crate::{assert_same, endpoint, host, open_mail, password, policy, postfix, trusting};

/// Sends a message through the proxy at `url`, where only `proxy` may be connected to.
fn send(proxy: &Daemon, url: &str, to: &str, text: &[u8]) -> Result<(), Box<Error>> {
    let server = postfix();
    let grants = [format!("127.0.0.1:{}", proxy.port("port"))];
    let mut sandbox = host().sandbox(policy(&grants)).expect("an instance");
    let opening = Opening { proxy: Some(url.into()), ..trusting(server, Security::Upgrade) };
    let session = open_mail(&mut sandbox, &endpoint("localhost", server.port("port")), &opening)?;
    let smtp = sandbox.client.starttls_client_smtp();
    let account = password(server.text("user"), server.text("password"));
    smtp.session().call_login(&mut sandbox.store, session, &account, None).expect("no trap")?;
    let sent = smtp.session().call_send_and_quit(&mut sandbox.store, session, &envelope(&[to]), None, text);
    assert_eq!(sent.expect("no trap")?.outcome, Outcome::Accepted);
    Ok(())
}

fn by(name: &str) {
    let proxy = Daemon::start(name, None);
    let (to, text) = (format!("{name}@example.test"), message(20_000));
    send(&proxy, proxy.text("url"), &to, &text).expect("it is sent");
    assert_same(name, &text, &postfix().delivered(&to));

    let wrong = proxy.text("url").replace("gate-keeper", "burglar");
    let error = *send(&proxy, &wrong, &to, &text).expect_err("the proxy asks who it is");
    assert!(matches!(error.code, ErrorCode::Proxy(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("burglar"), "{error:?}");
}

#[test]
fn socks5() {
    by("socks5");
}

#[test]
fn http() {
    by("http-proxy");
}

#[test]
fn a_proxy_that_is_not_there_is_told_as_such() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a listener").local_addr().expect("an address");
    let opening = Opening { proxy: Some(format!("socks5://{free}")), ..trusting(postfix(), Security::Upgrade) };
    let to = endpoint("localhost", postfix().port("port"));
    let error = *open_mail(&mut crate::sandbox(), &to, &opening).expect_err("nobody listens");
    assert!(matches!(error.code, ErrorCode::ConnectionRefused), "{error:?}");
    assert!(error.message.contains(&free.to_string()), "{error:?}");
}
