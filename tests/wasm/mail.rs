//! Messages through Postfix, out of the sandbox.

use starttls_tests::daemon::Daemon;
use starttls_tests::embedding::exports::smtp::{self, DeliveryReport, Envelope, Outcome, Verdict};
use starttls_tests::embedding::exports::types::{Endpoint, ErrorCode, Phase, Security, TlsFault};
use starttls_tests::embedding::{Opening, Sandbox};
use wasmtime::component::ResourceAny;

use crate::{assert_same, endpoint, open_mail, password, postfix, sandbox, trusting};

pub(crate) fn envelope(recipients: &[&str]) -> Envelope {
    Envelope {
        sender: Some("ada@example.org".into()),
        recipients: recipients.iter().map(|&recipient| recipient.to_owned()).collect(),
        size: None,
        eight_bit: false,
        utf8: false,
    }
}

/// A message of exactly this many bytes, with lines that begin with dots.
pub(crate) fn message(length: usize) -> Vec<u8> {
    if length < 64 {
        return vec![b'x'; length];
    }
    let mut text = b"Subject: a message\r\nMessage-ID: <1@example.org>\r\n\r\n".to_vec();
    while text.len() + 82 < length {
        text.extend(format!(".{:077} \r\n", text.len()).bytes());
    }
    let rest = length - text.len() - 2;
    text.extend(std::iter::repeat_n(b'.', rest).chain(*b"\r\n"));
    assert_eq!(text.len(), length);
    text
}

/// Opens a session with Postfix, logged in.
fn session(sandbox: &mut Sandbox, server: &Daemon, security: Security) -> ResourceAny {
    let port = server.port(if security == Security::Implicit { "implicit_port" } else { "port" });
    let session = open_mail(sandbox, &endpoint("localhost", port), &trusting(server, security)).expect("a session");
    let Sandbox { store, client } = sandbox;
    let smtp = client.starttls_client_smtp();
    let account = password(server.text("user"), server.text("password"));
    let login = smtp.session().call_login(store, session, &account, None);
    login.expect("no trap").expect("a login");
    session
}

fn send(sandbox: &mut Sandbox, session: ResourceAny, to: &[&str], message: &[u8]) -> DeliveryReport {
    let Sandbox { store, client } = sandbox;
    let sent = client.starttls_client_smtp().session().call_send(store, session, &envelope(to), None, message);
    sent.expect("no trap").expect("a report")
}

fn quit(Sandbox { store, client }: &mut Sandbox, session: ResourceAny) {
    client.starttls_client_smtp().session().call_quit(store, session).expect("no trap");
}

#[test]
fn a_message_arrives_as_it_was_sent_by_starttls_and_by_implicit_tls() {
    for (security, to) in [(Security::Upgrade, "upgrade@example.test"), (Security::Implicit, "implicit@example.test")] {
        let mut sandbox = sandbox();
        let session = session(&mut sandbox, postfix(), security);
        let tls = sandbox.client.starttls_client_smtp().session().call_tls(&mut sandbox.store, session);
        let tls = tls.expect("no trap").expect("TLS");
        assert_eq!((tls.version.as_str(), tls.server_name.as_str()), ("TLSv1.3", "localhost"));
        assert!(!tls.peer_chain.is_empty());
        let text = message(5000);
        let report = send(&mut sandbox, session, &[to], &text);
        assert_eq!(report.outcome, Outcome::Accepted);
        assert!(report.queue_id.is_some(), "{report:?}");
        assert_same(to, &text, &postfix().delivered(to));
        quit(&mut sandbox, session);
    }
}

#[test]
fn each_tls_version_alone() {
    for (wanted, name) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
        let server = Daemon::start("postfix", Some(wanted));
        let mut sandbox = sandbox();
        let session = session(&mut sandbox, &server, Security::Upgrade);
        let tls = sandbox.client.starttls_client_smtp().session().call_tls(&mut sandbox.store, session);
        assert_eq!(tls.expect("no trap").expect("TLS").version, name);
        let text = message(100);
        assert_eq!(send(&mut sandbox, session, &["v@example.test"], &text).outcome, Outcome::Accepted);
        assert_same(name, &text, &server.delivered("v@example.test"));
    }
}

#[test]
fn messages_of_every_size_in_one_session() {
    let mut sandbox = sandbox();
    let session = session(&mut sandbox, postfix(), Security::Upgrade);
    for length in [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 16 * 1024 * 1024] {
        let to = format!("size{length}@example.test");
        let text = message(length);
        let report = send(&mut sandbox, session, &[&to], &text);
        assert_eq!(report.outcome, Outcome::Accepted, "{length}: {report:?}");
        // The server ends a last line, and puts the empty line before a body that has no header.
        let text = if length == 1 { b"\r\nx\r\n".to_vec() } else { text };
        assert_same(&to, &text, &postfix().delivered(&to));
    }
    quit(&mut sandbox, session);
}

#[test]
fn a_message_in_pieces() {
    let mut sandbox = sandbox();
    let session = session(&mut sandbox, postfix(), Security::Upgrade);
    let text = message(100_000);
    let Sandbox { store, client } = &mut sandbox;
    let smtp = client.starttls_client_smtp();
    let begun = smtp.session().call_begin(&mut *store, session, &envelope(&["pieces@example.test"]), None);
    let writer = begun.expect("no trap").expect("a writer");
    let meanwhile = smtp.session().call_noop(&mut *store, session).expect("no trap").expect_err("busy");
    assert!(matches!(meanwhile.code, ErrorCode::InvalidState(_)), "{meanwhile:?}");
    // 7 is shorter than CRLF-dot-CRLF and its neighbours: every sequence is cut somewhere.
    for piece in text[..7000].chunks(7).chain(text[7000..].chunks(9000)) {
        smtp.message_writer().call_write(&mut *store, writer, piece).expect("no trap").expect("written");
    }
    let report = smtp.message_writer().call_finish(&mut *store, writer).expect("no trap").expect("a report");
    assert_eq!(report.outcome, Outcome::Accepted);
    assert_same("in pieces", &text, &postfix().delivered("pieces@example.test"));
    smtp.session().call_noop(&mut *store, session).expect("no trap").expect("the session goes on");
}

#[test]
fn half_a_message_is_never_delivered() {
    let mut sandbox = sandbox();
    let session = session(&mut sandbox, postfix(), Security::Upgrade);
    {
        let Sandbox { store, client } = &mut sandbox;
        let smtp = client.starttls_client_smtp();
        let begun = smtp.session().call_begin(&mut *store, session, &envelope(&["half@example.test"]), None);
        let writer = begun.expect("no trap").expect("a writer");
        smtp.message_writer().call_write(&mut *store, writer, b"Subject: half\r\n\r\n").expect("no trap").expect("ok");
        writer.resource_drop(&mut *store).expect("dropped");
        assert!(smtp.session().call_is_closed(&mut *store, session).expect("no trap"));
        let after = smtp.session().call_noop(&mut *store, session).expect("no trap").expect_err("closed");
        assert!(matches!(after.code, ErrorCode::InvalidState(_)), "{after:?}");
    }
    // What is sent afterwards has arrived, and the half message has not.
    let next = self::session(&mut sandbox, postfix(), Security::Upgrade);
    let _ = send(&mut sandbox, next, &["after-half@example.test"], &message(100));
    postfix().delivered("after-half@example.test");
    assert_eq!(postfix().find("half@example.test"), None);
}

#[test]
fn a_refused_recipient_is_told_by_the_report() {
    let mut sandbox = sandbox();
    let session = session(&mut sandbox, postfix(), Security::Upgrade);
    // Postfix relays nothing to other domains.
    let report = send(&mut sandbox, session, &["partly@example.test", "bob@elsewhere.example"], &message(100));
    assert_eq!(report.outcome, Outcome::Partial, "{report:?}");
    let code = |verdict: &Verdict| verdict.reply.as_ref().map(|reply| reply.code);
    let verdicts: Vec<_> = report.recipients.iter().map(|verdict| (verdict.accepted, code(verdict))).collect();
    assert_eq!(verdicts, [(true, Some(250)), (false, Some(554))]);
    postfix().delivered("partly@example.test");
    let report = send(&mut sandbox, session, &["bob@elsewhere.example"], &message(100));
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    assert!(report.queue_id.is_none() && report.error.is_none());
    quit(&mut sandbox, session);
}

#[test]
fn a_server_that_takes_mail_under_tls_only_says_so_with_what_to_do() {
    let mut sandbox = sandbox();
    let clear = Opening { security: Some(Security::Plaintext), ..Opening::default() };
    let to = endpoint("127.0.0.1", postfix().port("port"));
    let session = open_mail(&mut sandbox, &to, &clear).expect("a session");
    let report = send(&mut sandbox, session, &["never@example.test"], &message(100));
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    assert_eq!(report.reply.as_ref().map(|reply| reply.code), Some(530), "{report:?}");
    let error = report.error.expect("what to do");
    assert!(matches!(error.code, ErrorCode::Rejected), "{error:?}");
    assert_eq!(error.advice.as_deref(), Some("this server takes mail under TLS only: do not ask for clear text"));
    quit(&mut sandbox, session);
}

#[test]
fn errors_are_typed() {
    let server = postfix();
    let mut sandbox = sandbox();
    let to = |port: &str| endpoint("127.0.0.1", server.port(port));
    let mut fails = |to: &Endpoint, opening: &Opening| *open_mail(&mut sandbox, to, opening).expect_err("an error");

    // Its authority is none of the bundled ones.
    let untrusted = fails(&to("port"), &Opening::default());
    assert!(matches!(untrusted.code, ErrorCode::Tls(TlsFault::UnknownIssuer)), "{untrusted:?}");
    assert_eq!(untrusted.phase, Some(Phase::Handshake));
    assert!(untrusted.advice.is_some());

    let misnamed = Opening { server_name: Some("other.example".into()), ..trusting(server, Security::Upgrade) };
    let error = fails(&to("port"), &misnamed);
    let ErrorCode::Tls(TlsFault::NameMismatch(names)) = &error.code else { panic!("{error:?}") };
    assert_eq!(names.expected, "other.example");
    assert!(names.presented.iter().any(|name| name == "localhost"), "{names:?}");

    let nonsense = Opening { trust: Some(b"no certificate".to_vec()), ..Opening::default() };
    let error = fails(&to("port"), &nonsense);
    assert!(matches!(error.code, ErrorCode::Tls(TlsFault::Configuration(_))), "{error:?}");
}

#[test]
fn a_wrong_password_and_a_bad_address() {
    let server = postfix();
    let mut sandbox = sandbox();
    let to = endpoint("127.0.0.1", server.port("port"));
    let session = open_mail(&mut sandbox, &to, &trusting(server, Security::Upgrade)).expect("a session");
    let Sandbox { store, client } = &mut sandbox;
    let smtp = client.starttls_client_smtp();
    let login = smtp
        .session()
        .call_login(&mut *store, session, &password(server.text("user"), "hunter2"), None)
        .expect("no trap");
    let error = login.expect_err("a refusal");
    assert!(matches!(error.code, ErrorCode::Rejected), "{error:?}");
    assert_eq!((error.phase, error.reply.as_ref().map(|reply| reply.code)), (Some(Phase::Authenticate), Some(535)));
    assert!(!format!("{error:?}").contains("hunter2"));
    for address in ["bob@example.test>\r\nRCPT TO:<eve@example.test", "bob", ""] {
        let sent = smtp.session().call_send(&mut *store, session, &envelope(&[address]), None, b"x").expect("no trap");
        let error = sent.expect_err("an error");
        assert!(matches!(error.code, ErrorCode::InvalidArgument(_)), "{error:?}");
    }
}

#[test]
fn the_trace_tells_what_was_said_and_no_secret() {
    let server = postfix();
    let mut sandbox = sandbox();
    let trace = sandbox.trace().expect("a trace");
    let opening = Opening { trace: Some(trace), ..trusting(server, Security::Upgrade) };
    let to = endpoint("127.0.0.1", server.port("port"));
    let session = open_mail(&mut sandbox, &to, &opening).expect("a session");
    {
        let Sandbox { store, client } = &mut sandbox;
        let smtp = client.starttls_client_smtp();
        let account = password(server.text("user"), server.text("password"));
        let login = smtp.session().call_login(store, session, &account, None);
        login.expect("no trap").expect("a login");
    }
    let events = sandbox.events(trace).expect("events");
    let told = events.join("\n");
    for line in ["S: 220 ", "C: STARTTLS", "control secured: TLSv1.3", "C: AUTH PLAIN ***", "S: 235 "] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    assert!(!told.contains(server.text("password")));
    assert!(sandbox.events(trace).expect("events").is_empty(), "what was taken is gone");
}

#[test]
fn a_header_tells_the_envelope() {
    let mut sandbox = sandbox();
    let Sandbox { store, client } = &mut sandbox;
    let smtp = client.starttls_client_smtp();
    let mut read = |message: &[u8]| smtp.call_read_header(&mut *store, message).expect("no trap");
    let message = b"From: Ada <ada@x>\r\nTo: Us: bob@x,\r\n eve@x;\r\nBcc: zoe@x\r\n\r\nBcc: body\r\n";
    let header = read(message).expect("a header");
    assert_eq!((header.sender.as_str(), header.utf8), ("ada@x", false));
    assert_eq!(header.recipients, ["bob@x", "eve@x", "zoe@x"]);
    let sent = [&header.shown, &message[header.length as usize..]].concat();
    assert_eq!(sent, b"From: Ada <ada@x>\r\nTo: Us: bob@x,\r\n eve@x;\r\n\r\nBcc: body\r\n");
    for address in ["bob\0@x", "\"bob\rRSET\"@x", "=?utf-8?q?bob?=@x", "<bob@x> <eve@x>", "eve@x <bob@x>", "nobody", ""]
    {
        let error = read(format!("From: ada@x\r\nTo: {address}\r\n\r\n").as_bytes()).expect_err("an error");
        assert!(matches!(error.code, ErrorCode::InvalidArgument(_)), "{address:?}: {error:?}");
    }
    let error = read(&b"A: b\r\n".repeat(200_000)).expect_err("an error");
    assert!(matches!(error.code, ErrorCode::LimitExceeded(_)), "{error:?}");
}

/// A password by the best mechanism, a token, and one login a session.
#[test]
fn logins_at_dovecot() {
    let server = Daemon::start("dovecot", None);
    let mut sandbox = sandbox();
    let to = endpoint("localhost", server.port("port"));
    let token =
        || smtp::Account { user: server.text("user").into(), secret: server.text("token").into(), authzid: None };
    for (credentials, mechanism, used) in [
        (password(server.text("user"), server.text("password")), None, "SCRAM-SHA-256"),
        (password(server.text("user"), server.text("password")), Some("CRAM-MD5"), "CRAM-MD5"),
        (smtp::Credentials::Token(token()), None, "OAUTHBEARER"),
        (smtp::Credentials::Token(token()), Some("xoauth2"), "XOAUTH2"),
    ] {
        let session = open_mail(&mut sandbox, &to, &trusting(&server, Security::Upgrade)).expect("a session");
        let Sandbox { store, client } = &mut sandbox;
        let face = client.starttls_client_smtp();
        let face = face.session();
        assert!(face.call_login_info(&mut *store, session).expect("no trap").is_none());
        face.call_login(&mut *store, session, &credentials, mechanism).expect("no trap").expect("a login");
        let login = face.call_login_info(&mut *store, session).expect("no trap").expect("it is logged in");
        assert_eq!((login.mechanism.as_str(), login.binding), (used, None));
        let again = face.call_login(&mut *store, session, &credentials, mechanism).expect("no trap");
        assert!(matches!(again.expect_err("one login a session").code, ErrorCode::InvalidState(_)));
        face.call_quit(&mut *store, session).expect("no trap");
    }
    let session = open_mail(&mut sandbox, &to, &trusting(&server, Security::Upgrade)).expect("a session");
    let Sandbox { store, client } = &mut sandbox;
    let wrong = smtp::Credentials::Token(smtp::Account { secret: "no.such.token".into(), ..token() });
    let refused = client.starttls_client_smtp().session().call_login(store, session, &wrong, None).expect("no trap");
    let error = refused.expect_err("a refusal");
    assert!(matches!(error.code, ErrorCode::Rejected), "{error:?}");
    assert!(error.detail.expect("the server says why").contains("status"));
}

#[test]
fn many_messages_are_in_flight_and_each_has_its_report() {
    let mut sandbox = sandbox();
    let session = session(&mut sandbox, postfix(), Security::Upgrade);
    let Sandbox { store, client } = &mut sandbox;
    let smtp = client.starttls_client_smtp();
    let outbox = smtp.session().call_send_many(&mut *store, session).expect("no trap").expect("an outbox");
    let outbox_face = smtp.outbox();
    let mut told = Vec::new();
    for number in 0..100 {
        // Postfix relays nothing to other domains: every seventh is refused.
        let to = if number % 7 == 3 { "bob@elsewhere.example".into() } else { format!("many{number}@example.test") };
        while !outbox_face.call_has_room(&mut *store, outbox).expect("no trap") {
            told.push(outbox_face.call_next(&mut *store, outbox).expect("no trap").expect("some").expect("a report"));
        }
        let text = message(200 + number);
        let pushed = outbox_face.call_push(&mut *store, outbox, &envelope(&[&to]), None, &text);
        pushed.expect("no trap").expect("pushed");
    }
    while let Some(report) = outbox_face.call_next(&mut *store, outbox).expect("no trap") {
        told.push(report.expect("a report"));
    }
    outbox.resource_drop(&mut *store).expect("no trap");
    let refused: Vec<_> = (0..100).filter(|&at| told[at].outcome == Outcome::Refused).collect();
    assert_eq!(refused, (0..100).filter(|number| number % 7 == 3).collect::<Vec<_>>());
    assert_eq!(told.iter().filter(|report| report.outcome == Outcome::Accepted).count(), 100 - refused.len());
    for number in [0, 99] {
        let to = format!("many{number}@example.test");
        assert_same(&to, &message(200 + number), &postfix().delivered(&to));
    }
    quit(&mut sandbox, session);
}

#[test]
fn an_outbox_that_is_dropped_ends_the_session() {
    let mut sandbox = sandbox();
    let session = session(&mut sandbox, postfix(), Security::Upgrade);
    let Sandbox { store, client } = &mut sandbox;
    let smtp = client.starttls_client_smtp();
    let outbox = smtp.session().call_send_many(&mut *store, session).expect("no trap").expect("an outbox");
    let pushed = smtp.outbox().call_push(&mut *store, outbox, &envelope(&["dropped@example.test"]), None, &message(99));
    pushed.expect("no trap").expect("pushed");
    outbox.resource_drop(&mut *store).expect("no trap");
    let after = smtp.session().call_noop(&mut *store, session).expect("no trap").expect_err("over");
    assert!(matches!(after.code, ErrorCode::InvalidState(_)), "{after:?}");
}

#[test]
fn the_last_message_of_a_session_takes_the_good_bye_with_it() {
    let server = postfix();
    let mut sandbox = sandbox();
    let trace = sandbox.trace().expect("a trace");
    let opening = Opening { trace: Some(trace), ..trusting(server, Security::Upgrade) };
    let session = open_mail(&mut sandbox, &endpoint("127.0.0.1", server.port("port")), &opening).expect("a session");
    let text = message(500);
    let Sandbox { store, client } = &mut sandbox;
    let smtp = client.starttls_client_smtp();
    let account = password(server.text("user"), server.text("password"));
    smtp.session().call_login(&mut *store, session, &account, None).expect("no trap").expect("a login");
    let sent = smtp.session().call_send_and_quit(store, session, &envelope(&["last@example.test"]), None, &text);
    assert_eq!(sent.expect("no trap").expect("a report").outcome, Outcome::Accepted);
    assert_same("the last", &text, &postfix().delivered("last@example.test"));
    let events = sandbox.events(trace).expect("events");
    let at = |beginning: &str| events.iter().position(|event| event.starts_with(beginning)).expect(beginning);
    assert!(at("C: QUIT") < at("S: 221 "), "{events:#?}");
}
