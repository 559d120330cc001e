//! The core's SMTP client and real mail servers: what they offer, and what they say to it.

use starttls::smtp::{
    Client, Credentials, Envelope, LineEnds, MemoryBody, Notify, Outcome, RecipientPolicy, Return, Settings,
};
use starttls::tls::{TlsConfig, VerifiedBy};
use starttls::transport::{Blocking, Endpoint, block};
use starttls::{ErrorKind, Options};
use starttls_daemons::Daemon;

const ANN: &str = "ann@example.test";
const BOB: &str = "bob@example.test";
const CAROL: &str = "carol@example.test";
const MESSAGE: &[u8] = b"From: ann@example.test\r\nTo: bob@example.test\r\nSubject: x\r\n\r\n.dot\r\n..two\r\n.\r\n";

async fn connect(server: &Daemon, port: &str, settings: &Settings) -> Client<Blocking> {
    let tls = TlsConfig::new().ca_file(server.text("ca_file")).expect("an authority");
    let options = Options { tls, ..Options::default() };
    let endpoint = Endpoint { host: "localhost".into(), port: server.port(port) };
    Client::connect_with(Blocking::new(), &endpoint, options, settings).await.expect("a session")
}

/// A session that is logged in.
async fn submission(server: &Daemon) -> Client<Blocking> {
    let mut client = connect(server, "port", &Settings::default()).await;
    let credentials = Credentials::password(server.text("user"), server.text("password"));
    client.login(&credentials).await.expect("a login");
    client
}

fn envelope(recipients: &[&str]) -> Envelope {
    Envelope::new(ANN, recipients).expect("addresses")
}

/// What the server said at last about each recipient, in their order.
fn codes(report: &starttls::smtp::DeliveryReport) -> Vec<u16> {
    let replies = report.recipients().iter().map(|verdict| verdict.reply.as_ref().expect("a verdict"));
    replies.map(|reply| reply.code().number()).collect()
}

/// Each report says who was spoken to, as far as TLS can tell.
#[test]
fn a_report_has_the_servers_chain() {
    let server = Daemon::start("postfix", None);
    block(async {
        let mut client = submission(&server).await;
        for _ in 0..2 {
            let report = client.send(&envelope(&[BOB]), MESSAGE).await.expect("a report");
            let tls = report.tls().expect("TLS");
            assert_eq!((tls.version.as_str(), tls.verified_by), ("TLSv1.3", VerifiedBy::Authorities));
            assert!(!tls.resumed && tls.cipher_suite.starts_with("TLS_"), "{tls:?}");
            let chain: Vec<_> = tls.certificates().into_iter().map(|it| it.expect("it can be read")).collect();
            assert!(chain[0].names.iter().any(|name| name == "localhost"), "{chain:?}");
            assert!(chain.windows(2).all(|pair| pair[0].issuer == pair[1].subject), "{chain:?}");
            assert!(chain.last().is_some_and(|last| last.issuer.contains("starttls test")), "{chain:?}");
        }
        client.quit().await;
    });
}

#[test]
fn exim_has_a_verdict_for_each_recipient_after_the_message() {
    let server = Daemon::start("exim", None);
    block(async {
        let mut client = submission(&server).await;
        assert!(client.extensions().offers("PRDR"));
        let to = [BOB, "spammed@example.test", "busy@example.test", "unknown@example.test", CAROL];
        let report = client.send(&envelope(&to), MESSAGE).await.expect("a report");
        assert_eq!(report.outcome(), Outcome::Partial);
        assert_eq!(codes(&report), [250, 550, 450, 550, 250]);
        // Its last word on these is yes all the same; what it said of each counts.
        let report = client.send(&envelope(&["spammed@example.test", "busy@example.test"]), MESSAGE).await;
        assert_eq!(report.expect("a report").outcome(), Outcome::Refused);
        let report = client.send(&envelope(&["spammed@example.test", "spammed2@example.test"]), MESSAGE).await;
        assert_eq!(report.expect("a report").outcome(), Outcome::Refused);
        client.quit().await;
    });
    for recipient in [BOB, CAROL] {
        assert_eq!(server.delivered(recipient), MESSAGE);
    }
    assert_eq!(server.mailbox(2).len(), 2);
}

#[test]
fn the_same_bytes_in_chunks_of_every_size() {
    for name in ["exim", "postfix", "dovecot"] {
        let server = Daemon::start(name, None);
        block(async {
            for (number, chunk_size) in [1, 7, 50, 4096].into_iter().enumerate() {
                let settings = Settings { chunk_size, ..Settings::default() };
                let mut client = connect(&server, "port", &settings).await;
                assert!(client.extensions().offers("CHUNKING"));
                let credentials = Credentials::password(server.text("user"), server.text("password"));
                client.login(&credentials).await.expect("a login");
                let recipient = format!("chunks{number}@example.test");
                let report = client.send(&envelope(&[&recipient]), MESSAGE).await.expect("a report");
                assert_eq!(report.outcome(), Outcome::Accepted);
                client.quit().await;
                let came = server.delivered(&recipient);
                assert!(came.ends_with(MESSAGE), "{name}: {}", String::from_utf8_lossy(&came));
                assert!(name == "dovecot" || came == MESSAGE, "{name}");
            }
        });
    }
}

#[test]
fn notices_come_as_they_were_asked_for() {
    for name in ["exim", "postfix"] {
        let server = Daemon::start(name, None);
        block(async {
            let mut client = submission(&server).await;
            let mut envelope = envelope(&[BOB, CAROL]);
            envelope.envelope_id = Some("order+17 x".into());
            envelope.dsn_return = Some(Return::Headers);
            envelope.recipients[0].notify = Some(Notify::NEVER);
            envelope.recipients[1].notify = Some(Notify { success: true, failure: true, delay: false });
            envelope.recipients[1].original = Some("orig+a@example.org".parse().expect("an address"));
            let report = client.send(&envelope, MESSAGE).await.expect("a report");
            assert_eq!(report.outcome(), Outcome::Accepted);
            client.quit().await;
        });
        let messages = server.mailbox(3);
        assert_eq!(messages.len(), 3, "{name}: two copies and one notice");
        let notice = messages.iter().find(|text| text.contains("report-type=delivery-status")).expect("a notice");
        // One of the two repeats the names as they travelled.
        let notice = notice.replace("+2B", "+").replace("+20", " ").replace("rfc822; ", "rfc822;").to_ascii_lowercase();
        for line in ["original-envelope-id: order+17 x\n", "original-recipient: rfc822;orig+a@example.org\n"] {
            assert!(notice.contains(line), "{name}: {line} in {notice}");
        }
        assert!(notice.contains("final-recipient: rfc822;carol@example.test"), "{name}: {notice}");
        assert!(!notice.contains("final-recipient: rfc822;bob@"), "{name}: {notice}");
    }
}

#[test]
fn recipients_beyond_the_limit_go_in_transactions_of_their_own() {
    for name in ["exim-limited", "postfix-limited"] {
        let server = Daemon::start(name, None);
        let to: Vec<String> = (0..11).map(|number| format!("r{number}@example.test")).collect();
        block(async {
            let mut client = submission(&server).await;
            let all = Envelope::new(ANN, &to).expect("addresses");
            let report = client.send(&all, MESSAGE).await.expect("a report");
            assert_eq!(report.outcome(), Outcome::Accepted, "{name}");
            assert_eq!(report.accepted().count(), 11);
            client.quit().await;
        });
        for recipient in &to {
            assert_eq!(server.delivered(recipient), MESSAGE, "{name}");
        }
        assert_eq!(server.mailbox(11).len(), 11, "{name}");
    }
}

#[test]
fn all_or_none() {
    for name in ["exim", "postfix", "dovecot"] {
        let server = Daemon::start(name, None);
        block(async {
            let mut client = submission(&server).await;
            let mut envelope = envelope(&[BOB, "unknown@example.test"]);
            envelope.recipient_policy = RecipientPolicy::All;
            let report = client.send(&envelope, MESSAGE).await.expect("a report");
            assert_eq!(report.outcome(), Outcome::Refused, "{name}");
            envelope.recipients.pop();
            let report = client.send(&envelope, MESSAGE).await.expect("a report");
            assert_eq!(report.outcome(), Outcome::Accepted, "{name}");
            client.quit().await;
        });
        assert!(server.delivered(BOB).ends_with(MESSAGE));
        assert_eq!(server.mailbox(1).len(), 1, "{name}");
    }
}

#[test]
fn each_verdict_finds_its_message() {
    for name in ["exim", "postfix", "dovecot"] {
        let server = Daemon::start(name, None);
        let to = |number: usize| match number % 7 {
            3 => "unknown@example.test".to_owned(),
            5 => "later@example.test".to_owned(),
            _ => format!("r{number}@example.test"),
        };
        let content = |number: usize| [MESSAGE, format!("{}\r\n", "x".repeat(number * 13)).as_bytes()].concat();
        let mut accepted = Vec::new();
        block(async {
            let mut client = submission(&server).await;
            let letters = (0..120).map(|number| (envelope(&[&to(number)]), MemoryBody::new(content(number))));
            let mut reports = client.send_many(letters);
            for number in 0..120 {
                let report = reports.next().await.expect("a message").expect("a report");
                let expected = match number % 7 {
                    3 => 550,
                    5 => 450,
                    _ => 250,
                };
                assert_eq!(codes(&report), [expected], "{name}: message {number}");
                assert_eq!(report.recipients()[0].recipient.to_string(), to(number));
                if expected == 250 {
                    accepted.push(number);
                }
            }
            assert!(reports.next().await.is_none());
            client.quit().await;
        });
        assert_eq!(server.mailbox(accepted.len()).len(), accepted.len(), "{name}");
        for number in accepted {
            assert!(server.delivered(&to(number)).ends_with(&content(number)), "{name}: message {number}");
        }
    }
}

#[test]
fn lmtp_has_a_verdict_for_each_recipient() {
    let server = Daemon::start("dovecot", None);
    block(async {
        let settings = Settings { lmtp: true, ..Settings::default() };
        let mut client = connect(&server, "lmtp_port", &settings).await;
        let to = ["one@example.test", "full@example.test", "nobody@example.test", "two@example.test"];
        for ends in [LineEnds::Normalise, LineEnds::Preserve] {
            let mut envelope = envelope(&to);
            envelope.line_ends = ends;
            let report = client.send(&envelope, MESSAGE).await.expect("a report");
            assert_eq!(report.outcome(), Outcome::Partial, "{ends:?}");
            assert_eq!(codes(&report), [250, 552, 550, 250], "{ends:?}");
        }
        let mut reports = client.send_many((0..20).map(|_| (envelope(&to[..3]), MemoryBody::new(MESSAGE))));
        for _ in 0..20 {
            assert_eq!(codes(&reports.next().await.expect("a message").expect("a report")), [250, 552, 550]);
        }
        drop(reports);
        client.quit().await;
    });
}

#[test]
fn questions_are_answered() {
    for (name, vrfy, expn, etrn, help) in [("exim", 250, true, true, true), ("postfix", 252, false, true, false)] {
        let server = Daemon::start(name, None);
        block(async {
            let mut client = submission(&server).await;
            assert_eq!(client.vrfy(BOB).await.expect("a reply").code().number(), vrfy, "{name}");
            let members = client.expn("list@example.test").await;
            assert_eq!(members.is_ok(), expn, "{name}");
            if let Ok(members) = members {
                assert!(members.text().contains("two@example.test"), "{members}");
            }
            assert_eq!(client.etrn("example.test").await.is_ok(), etrn, "{name}");
            assert_eq!(client.help(None).await.is_ok(), help, "{name}");
            assert_eq!(client.send(&envelope(&[BOB]), MESSAGE).await.expect("a report").outcome(), Outcome::Accepted);
            client.quit().await;
        });
        assert_eq!(server.delivered(BOB), MESSAGE);
    }
}

#[test]
fn a_gateway_speaks_for_another_client() {
    let server = Daemon::start("postfix-gateway", None);
    block(async {
        let mut client = connect(&server, "port", &Settings::default()).await;
        let wrong = client.xclient(&[("COLOUR", Some("blue"))]).await.expect_err("not offered");
        assert!(matches!(wrong.kind(), ErrorKind::NotOffered(_)), "{wrong}");
        client.xclient(&[("ADDR", Some("192.0.2.7")), ("NAME", Some("mail.elsewhere.example"))]).await.expect("taken");
        client.login(&Credentials::password(server.text("user"), server.text("password"))).await.expect("a login");
        assert_eq!(client.send(&envelope(&[BOB]), MESSAGE).await.expect("a report").outcome(), Outcome::Accepted);
        client.quit().await;
    });
    assert!(server.mailbox(1)[0].contains("mail.elsewhere.example [192.0.2.7]"));
}
