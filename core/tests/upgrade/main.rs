//! A connection on its own, and every recipe, against servers that agree, refuse, inject, babble and say nothing.
#![allow(missing_docs, clippy::unwrap_used)]

mod peer;
#[path = "../support/self_signed.rs"]
#[allow(unreachable_pub)]
mod self_signed;

use peer::{Authority, Peer, talk, talk_with};
use starttls::upgrade::Recipe;
use starttls::{ErrorKind, Options, Phase, Security, TlsFault};

const LDAP_REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
const LDAP_SUCCESS: &[u8] = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
const POSTGRES_REQUEST: &[u8] = b"\x00\x00\x00\x08\x04\xd2\x16\x2f";
const XMPP_OPEN: &str = "<?xml version='1.0'?><stream:stream to='host.example' version='1.0' xmlns='jabber:client' \
                         xmlns:stream='http://etherx.jabber.org/streams'>";
const XMPP_WISH: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const XMPP_FEATURES: &str = "<?xml version='1.0'?><stream:stream id='x' from='host.example' version='1.0'>\
                             <stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
                             </stream:features>";

/// MySQL's greeting with these capabilities.
fn mysql_greeting(capabilities: u16) -> Vec<u8> {
    let mut payload = b"\x0a8.0.1\0\x07\0\0\0saltsalt\0".to_vec();
    payload.extend_from_slice(&capabilities.to_le_bytes());
    payload.extend_from_slice(b"\x2d\x02\0\xff\xff\x15");
    let mut packet = vec![payload.len() as u8, 0, 0, 0];
    packet.extend(payload);
    packet
}

fn mysql_request() -> Vec<u8> {
    let mut packet = vec![32, 0, 0, 1, 0x01, 0x8a, 0x08, 0x00, 0, 0, 0, 1, 45];
    packet.extend([0; 23]);
    packet
}

type Script = Vec<(Vec<u8>, Vec<u8>)>;

fn script(steps: &[(&[u8], &[u8])]) -> Script {
    steps.iter().map(|(due, answer)| (due.to_vec(), answer.to_vec())).collect()
}

/// What a server says that agrees.
fn agreeing(recipe: Recipe) -> Script {
    match recipe {
        Recipe::Smtp => script(&[
            (b"", b"220 mx ESMTP\r\n"),
            (b"EHLO ", b""),
            (b"[127.0.0.1]\r\n", b"250-mx\r\n250 STARTTLS\r\n"),
            (b"STARTTLS\r\n", b"220 go\r\n"),
        ]),
        Recipe::Lmtp => script(&[
            (b"", b"220 mx LMTP\r\n"),
            (b"LHLO ", b""),
            (b"[127.0.0.1]\r\n", b"250-mx\r\n250 STARTTLS\r\n"),
            (b"STARTTLS\r\n", b"220 go\r\n"),
        ]),
        Recipe::Ftp => script(&[(b"", b"220-hello\r\n220 ready\r\n"), (b"AUTH TLS\r\n", b"234 go\r\n")]),
        Recipe::Imap => script(&[
            (b"", b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"),
            (b"A1 STARTTLS\r\n", b"* 3 EXISTS\r\nA1 OK begin\r\n"),
        ]),
        Recipe::Pop3 => script(&[(b"", b"+OK ready <1@host>\r\n"), (b"STLS\r\n", b"+OK begin\r\n")]),
        Recipe::Sieve => script(&[
            (b"", b"\"IMPLEMENTATION\" \"x\"\r\n\"StartTLS\"\r\nOK \"ready\"\r\n"),
            (b"STARTTLS\r\n", b"OK\r\n"),
        ]),
        Recipe::Nntp => script(&[(b"", b"200 news\r\n"), (b"STARTTLS\r\n", b"382 go\r\n")]),
        Recipe::Xmpp => script(&[
            (XMPP_OPEN.as_bytes(), XMPP_FEATURES.as_bytes()),
            (XMPP_WISH.as_bytes(), b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        ]),
        Recipe::XmppServer => script(&[
            (XMPP_OPEN.replace("client", "server").as_bytes(), XMPP_FEATURES.as_bytes()),
            (XMPP_WISH.as_bytes(), b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>"),
        ]),
        Recipe::Ldap => script(&[(LDAP_REQUEST, LDAP_SUCCESS)]),
        Recipe::Postgres => script(&[(POSTGRES_REQUEST, b"S")]),
        Recipe::Mysql => vec![(vec![], mysql_greeting(0xf7ff | 0x800)), (mysql_request(), vec![])],
        _ => unreachable!("a recipe without a script"),
    }
}

/// [`agreeing`] with another last answer.
fn answering(recipe: Recipe, last: &[u8]) -> Script {
    let mut script = agreeing(recipe);
    script.last_mut().unwrap().1 = last.to_vec();
    script
}

fn upgrade(script: Script, recipe: Recipe, step: usize) -> (starttls::Result<Vec<u8>>, peer::Heard) {
    let peer = Peer { script, step, ..Peer::default() };
    talk(&Authority::new(), Security::Upgrade, peer, async |connection| {
        let said = connection.upgrade(recipe).await?;
        assert!(connection.tls().is_some(), "{recipe}");
        connection.write(b"secret\r\n").await?;
        assert_eq!(connection.read_line(100).await?.as_deref(), Some(&b"secret"[..]), "{recipe}");
        Ok(said)
    })
}

#[test]
fn every_recipe_becomes_tls_however_the_bytes_come() {
    for recipe in Recipe::ALL {
        for step in [1, 2, 7, usize::MAX] {
            let (said, heard) = upgrade(agreeing(recipe), recipe, step);
            let said = said.unwrap_or_else(|error| panic!("{recipe} in steps of {step}: {error}"));
            let clear = String::from_utf8_lossy(&heard.clear).into_owned();
            assert!(!clear.contains("secret"), "{recipe}: {clear}");
            let first = match recipe {
                Recipe::Ldap | Recipe::Postgres => String::new(),
                Recipe::Imap => "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready".into(),
                Recipe::Sieve => "\"IMPLEMENTATION\" \"x\"\r\n\"StartTLS\"\r\nOK \"ready\"\r\n".into(),
                Recipe::Mysql => String::from_utf8_lossy(&mysql_greeting(0xffff)[4..]).into_owned(),
                Recipe::Xmpp | Recipe::XmppServer => XMPP_FEATURES.into(),
                _ => String::from_utf8_lossy(&said).into_owned(),
            };
            assert_eq!(String::from_utf8_lossy(&said), first, "{recipe}");
        }
    }
}

/// THREATS: bytes behind the answer that means go, in its segment.
#[test]
fn what_comes_behind_the_go_is_never_believed() {
    for recipe in Recipe::ALL {
        for injected in [&b"x"[..], b"* OK injected\r\n", b"\x00", b"250 injected\r\n", b"\r\n"] {
            let mut script = agreeing(recipe);
            // MySQL's server says nothing after the request: what is slipped in comes behind the greeting.
            let at = if recipe == Recipe::Mysql { 0 } else { script.len() - 1 };
            script[at].1.extend_from_slice(injected);
            let (outcome, heard) = upgrade(script, recipe, usize::MAX);
            let error = outcome.unwrap_err();
            let is_named = match error.kind() {
                ErrorKind::BytesBeforeHandshake { count, .. } => *count == injected.len(),
                ErrorKind::Unsolicited(_) => recipe == Recipe::Mysql,
                _ => false,
            };
            assert!(is_named, "{recipe} with {injected:?}: {error}");
            assert!(!heard.clear.windows(6).any(|bytes| bytes == b"secret"), "{recipe}");
        }
    }
}

/// The same in a segment of its own, in the place of the server's hello.
#[test]
fn what_comes_in_the_place_of_the_hello_is_told() {
    for recipe in Recipe::ALL {
        let mut script = agreeing(recipe);
        script.push((b"\x16\x03".to_vec(), b"* OK injected\r\n".to_vec()));
        let (outcome, _) = upgrade(script, recipe, usize::MAX);
        let error = outcome.unwrap_err();
        let words = match error.kind() {
            ErrorKind::Tls(TlsFault::PlaintextInsideTls(words)) => words.clone(),
            other => panic!("{recipe}: {other:?}"),
        };
        assert!(words.contains("injected"), "{recipe}: {words}");
        assert_eq!(error.phase(), Some(Phase::Handshake));
    }
}

#[test]
fn refusals_are_told_in_the_servers_words() {
    let cases: &[(Recipe, &[u8], &str)] = &[
        (Recipe::Smtp, b"454 4.7.0 TLS not available\r\n", "TLS not available"),
        (Recipe::Lmtp, b"554 no\r\n", "554 no"),
        (Recipe::Ftp, b"534 policy\r\n", "policy"),
        (Recipe::Imap, b"A1 NO not now\r\n", "not now"),
        (Recipe::Imap, b"A1 BAD what\r\n", "what"),
        (Recipe::Imap, b"* BYE overloaded\r\n", "overloaded"),
        (Recipe::Pop3, b"-ERR not now\r\n", "not now"),
        (Recipe::Sieve, b"NO \"not now\"\r\n", "not now"),
        (Recipe::Sieve, b"BYE \"overloaded\"\r\n", "overloaded"),
        (Recipe::Nntp, b"580 cannot\r\n", "580 cannot"),
        (Recipe::Nntp, b"502\r\n", "502"),
        (Recipe::Xmpp, b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>", "<failure"),
        (Recipe::Ldap, b"\x30\x12\x02\x01\x01\x78\x0d\x0a\x01\x02\x04\x00\x04\x06no TLS", "result 2: no TLS"),
        (Recipe::Postgres, b"N", "no TLS"),
    ];
    for (recipe, answer, words) in cases {
        let (outcome, _) = upgrade(answering(*recipe, answer), *recipe, usize::MAX);
        let error = outcome.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::UpgradeNotOffered | ErrorKind::Rejected),
            "{recipe}: {:?}",
            error.kind()
        );
        assert!(error.to_string().contains(words), "{recipe}: {error}");
    }
}

/// Before anything is asked for.
#[test]
fn servers_without_tls_are_not_asked() {
    let cases: Vec<(Recipe, Script)> = vec![
        (Recipe::Imap, script(&[(b"", b"* BYE overloaded\r\n")])),
        (Recipe::Pop3, script(&[(b"", b"-ERR overloaded\r\n")])),
        (Recipe::Sieve, script(&[(b"", b"\"IMPLEMENTATION\" \"x\"\r\nOK\r\n")])),
        (Recipe::Sieve, script(&[(b"", b"BYE \"overloaded\"\r\n")])),
        (Recipe::Nntp, script(&[(b"", b"400 overloaded\r\n")])),
        (Recipe::Mysql, vec![(vec![], mysql_greeting(0xf7ff))]),
        (Recipe::Mysql, script(&[(b"", b"\x17\x00\x00\x00\xff\x10\x04Too many connections")])),
        (
            Recipe::Xmpp,
            script(&[(
                XMPP_OPEN.as_bytes(),
                b"<stream:stream version='1.0'><stream:features><mechanisms/></stream:features>",
            )]),
        ),
        (
            Recipe::Xmpp,
            script(&[(
                XMPP_OPEN.as_bytes(),
                b"<stream:stream><stream:error><host-unknown/></stream:error></stream:stream>",
            )]),
        ),
        (
            Recipe::Smtp,
            script(&[(b"", b"220 mx\r\n"), (b"EHLO ", b""), (b"[127.0.0.1]\r\n", b"250-mx\r\n250 SIZE\r\n")]),
        ),
    ];
    for (recipe, script) in cases {
        let asked: usize = script.iter().map(|(due, _)| due.len()).sum();
        let said = script.last().unwrap().1.clone();
        let (outcome, heard) = upgrade(script, recipe, usize::MAX);
        let error = outcome.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::UpgradeNotOffered | ErrorKind::Rejected),
            "{recipe}: {:?}",
            error.kind()
        );
        assert_eq!(heard.clear.len(), asked, "{recipe}: {}", String::from_utf8_lossy(&heard.clear));
        for cause in ["overloaded", "Too many connections", "<host-unknown/>"] {
            let is_cause = said.windows(cause.len()).any(|words| words == cause.as_bytes());
            assert!(!is_cause || error.to_string().contains(cause), "{recipe}: {error}");
        }
    }
}

#[test]
fn other_answers_break_the_protocol() {
    let cases: &[(Recipe, &[u8])] = &[
        (Recipe::Smtp, b"250 ok\r\n"),
        (Recipe::Ftp, b"235 ok\r\n"),
        (Recipe::Imap, b"A2 OK begin\r\n"),
        (Recipe::Imap, b"A1 OKAY\r\n"),
        (Recipe::Imap, b"OK begin\r\n"),
        (Recipe::Pop3, b"+OKAY\r\n"),
        (Recipe::Sieve, b"OKAY\r\n"),
        (Recipe::Nntp, b"381 more\r\n"),
        (Recipe::Nntp, b"3820\r\n"),
        (Recipe::Xmpp, b"<proceeding/>"),
        (Recipe::Xmpp, b"proceed/>"),
        (Recipe::Xmpp, b"go<proceed/>"),
        (Recipe::Xmpp, b"\xff\xfe>"),
        (Recipe::Ldap, b"\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x00\x04\x00\x04\x00"),
        (Recipe::Ldap, b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"),
        (Recipe::Ldap, b"\x30\x80\x02\x01"),
        (Recipe::Ldap, b"S\x00"),
        (Recipe::Postgres, b"s"),
    ];
    for (recipe, answer) in cases {
        let (outcome, _) = upgrade(answering(*recipe, answer), *recipe, usize::MAX);
        let error = outcome.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ProtocolViolation(_)), "{recipe}, {answer:?}: {error}");
    }
    // Logged in before TLS, TLS is too late (RFC 9051 §11.1).
    let (outcome, heard) = upgrade(script(&[(b"", b"* PREAUTH welcome\r\n")]), Recipe::Imap, 1);
    assert!(matches!(outcome.unwrap_err().kind(), ErrorKind::ProtocolViolation(_)));
    assert_eq!(heard.clear, b"");
}

/// Another protocol's greeting is no reason to say anything.
#[test]
fn strangers_are_told_nothing() {
    for (recipe, greeting) in [
        (Recipe::Imap, &b"220 mx ESMTP\r\n"[..]),
        (Recipe::Pop3, b"* OK imap\r\n"),
        (Recipe::Sieve, b"+OK pop\r\n"),
        (Recipe::Nntp, b"220 mx ESMTP\r\n"),
        (Recipe::Mysql, b"SSH-2.0-x\r\n"),
    ] {
        let (outcome, heard) = upgrade(script(&[(b"", greeting)]), recipe, usize::MAX);
        let error = outcome.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ProtocolViolation(_)), "{recipe}: {error}");
        assert_eq!(heard.clear, b"", "{recipe}");
    }
}

#[test]
fn silence_and_tls_in_its_place_name_the_other_port() {
    let (outcome, _) = upgrade(vec![(b"never".to_vec(), vec![])], Recipe::Imap, 1);
    let error = outcome.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
    assert_eq!(error.phase(), Some(Phase::Greeting));
    assert!(error.to_string().contains("imaps://host.example:993"), "{error}");
    let alert = b"\x15\x03\x03\x00\x02\x02\x16\r\n";
    for (recipe, url) in [(Recipe::Pop3, "pop3s://host.example:995"), (Recipe::Nntp, "nntps://host.example:563")] {
        let (outcome, _) = upgrade(script(&[(b"", alert)]), recipe, usize::MAX);
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(url) && error.contains("speaks TLS at once"), "{error}");
    }
}

#[test]
fn babble_has_a_limit() {
    let endless = |line: &[u8]| line.repeat(80 * 1024 / line.len());
    for (recipe, script) in [
        (Recipe::Imap, vec![(vec![], endless(b"x"))]),
        (Recipe::Imap, answering(Recipe::Imap, &endless(b"* 1 EXISTS\r\n"))),
        (Recipe::Sieve, vec![(vec![], endless(b"\"SIEVE\" \"x\"\r\n"))]),
        (Recipe::Xmpp, vec![(XMPP_OPEN.into(), [b"<stream:stream>".to_vec(), endless(b"<x/>")].concat())]),
        (Recipe::Xmpp, vec![(XMPP_OPEN.into(), endless(b"x"))]),
        (Recipe::Ldap, answering(Recipe::Ldap, b"\x30\x84\xff\xff\xff\xff")),
        (Recipe::Mysql, vec![(vec![], b"\xff\xff\xff\x00\x0a".to_vec())]),
    ] {
        let (outcome, _) = upgrade(script, recipe, usize::MAX);
        let error = outcome.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::LimitExceeded(_)), "{recipe}: {error}");
    }
}

/// A deferred handshake: the caller talks, and says when.
#[test]
fn the_caller_says_when() {
    for step in [1, usize::MAX] {
        let peer = Peer {
            script: script(&[(b"", b"hello\r\n"), (b"begin\r\n", b"yes\r\n")]),
            step,
            // A fast server encrypts its next words at once: they come with the last of the handshake.
            greeting: b"early\r\nwords".to_vec(),
            ends: Some((b"bye\r\n".to_vec(), true)),
            ..Peer::default()
        };
        let (outcome, heard) = talk(&Authority::new(), Security::Upgrade, peer, async |connection| {
            assert_eq!(connection.read_line(100).await?.unwrap(), b"hello");
            connection.write(b"begin\r\n").await?;
            assert_eq!(connection.read_until(b"s\r\n", 100).await?, b"yes\r\n");
            assert!(connection.tls().is_none() && connection.channel_binding().is_none());
            connection.start_tls().await?;
            assert_eq!(connection.tls().unwrap().server_name, "host.example");
            assert!(connection.channel_binding().is_some());
            assert_eq!(connection.read_line(100).await?.unwrap(), b"early");
            assert_eq!(connection.read_exact(3).await?, b"wor");
            assert_eq!(connection.read(100).await?.first(), Some(&b'd'));
            let again = connection.start_tls().await.unwrap_err();
            assert!(matches!(again.kind(), ErrorKind::InvalidState(_)), "{again}");
            connection.write(b"bye\r\n").await?;
            assert_eq!(connection.read_until(b"\n", 100).await?.last(), Some(&b'\n'));
            assert_eq!(connection.read(100).await?, b"");
            assert_eq!(connection.read_line(100).await?, None);
            connection.shutdown().await?;
            let late = connection.write(b"more").await.unwrap_err();
            assert!(matches!(late.kind(), ErrorKind::InvalidState(_)), "{late}");
            Ok(())
        });
        outcome.unwrap();
        assert_eq!(heard.clear, b"begin\r\n");
    }
}

#[test]
fn what_nobody_read_ends_the_upgrade_and_the_connection() {
    let peer = Peer { script: script(&[(b"", b"yes\r\nmore")]), ..Peer::default() };
    let (outcome, _) = talk(&Authority::new(), Security::Upgrade, peer, async |connection| {
        assert_eq!(connection.read_line(100).await?.unwrap(), b"yes");
        let error = connection.start_tls().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::BytesBeforeHandshake { count: 4, .. }), "{error}");
        for error in [connection.write(b"x").await.unwrap_err(), connection.read(1).await.unwrap_err()] {
            assert!(matches!(error.kind(), ErrorKind::InvalidState(_)), "{error}");
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn clear_text_by_choice_stays_clear() {
    let peer = Peer { script: script(&[(b"", b"hello\r\n"), (b"ping\r\n", b"pong\r\n")]), ..Peer::default() };
    let (outcome, _) = talk(&Authority::new(), Security::Plaintext, peer, async |connection| {
        let error = connection.start_tls().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidState(_)), "{error}");
        assert_eq!(connection.read_line(100).await?.unwrap(), b"hello");
        connection.write(b"ping\r\n").await?;
        assert_eq!(connection.read_line(100).await?.unwrap(), b"pong");
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn tls_from_the_first_byte() {
    let peer = Peer { greeting: b"hello\r\n".to_vec(), ..Peer::default() };
    let (outcome, heard) = talk(&Authority::new(), Security::Implicit, peer, async |connection| {
        assert!(connection.tls().is_some());
        assert_eq!(connection.read_line(100).await?.unwrap(), b"hello");
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(heard.clear, b"");
}

/// An end without close_notify is told from one with it.
#[test]
fn truncation_is_told() {
    let peer = Peer { ends: Some((b"bye".to_vec(), false)), ..Peer::default() };
    let (outcome, _) = talk(&Authority::new(), Security::Implicit, peer, async |connection| {
        connection.write(b"bye").await?;
        assert_eq!(connection.read_exact(3).await?, b"bye");
        connection.read(1).await
    });
    assert!(matches!(outcome.unwrap_err().kind(), ErrorKind::Truncated));
}

#[test]
fn reads_have_limits_and_lose_nothing() {
    let peer = Peer { script: script(&[(b"", b"0123456789abcdef\r\n")]), step: 5, ..Peer::default() };
    let (outcome, _) = talk(&Authority::new(), Security::Upgrade, peer, async |connection| {
        let error = connection.read_line(10).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::LimitExceeded(_)), "{error}");
        let error = connection.read_until(b"\r\n", 10).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::LimitExceeded(_)), "{error}");
        let error = connection.read_until(b"", 10).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument(_)), "{error}");
        assert_eq!(connection.read(0).await?, b"");
        assert_eq!(connection.read_until(b"9a", 12).await?, b"0123456789a");
        assert_eq!(connection.read_exact(5).await?, b"bcdef");
        // There is no more: the time passes, and what came stays.
        let error = connection.read_exact(3).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
        assert_eq!(connection.read(10).await?, b"\r\n");
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn recipes_have_names() {
    for recipe in Recipe::ALL {
        assert_eq!(Recipe::named(&recipe.as_str().to_uppercase()), Some(recipe));
    }
    assert_eq!(Recipe::named("gopher"), None);
}

/// What is registered for a protocol is offered, unless the caller says what; a server that knows nothing of it is taken.
#[test]
fn application_protocols_are_offered() {
    let agreed = |recipe: Recipe, takes: &[&str], says: Option<&[&str]>| {
        let alpn = takes.iter().map(|id| id.as_bytes().to_vec()).collect();
        let peer = Peer { script: agreeing(recipe), alpn, ..Peer::default() };
        let change = |options: &mut Options| {
            if let Some(ids) = says {
                options.tls = options.tls.clone().alpn(ids.iter().copied());
            }
        };
        let (outcome, _) = talk_with(&Authority::new(), Security::Upgrade, change, peer, async |connection| {
            connection.upgrade(recipe).await?;
            Ok(connection.tls().unwrap().alpn.clone())
        });
        outcome
    };
    for recipe in Recipe::ALL {
        let known = recipe.alpn();
        let expected = match recipe {
            Recipe::Smtp | Recipe::Lmtp | Recipe::Ldap | Recipe::Mysql => None,
            Recipe::Sieve => Some("managesieve"),
            Recipe::Xmpp => Some("xmpp-client"),
            Recipe::Postgres => Some("postgresql"),
            other => Some(other.as_str()),
        };
        assert_eq!(known, expected);
        let Some(id) = known else { continue };
        assert_eq!(agreed(recipe, &["x", id], None).unwrap().as_deref(), Some(id));
        assert_eq!(agreed(recipe, &[], None).unwrap(), None);
        assert_eq!(agreed(recipe, &["x", id], Some(&["x"])).unwrap().as_deref(), Some("x"));
        assert_eq!(agreed(recipe, &[id], Some(&[])).unwrap(), None);
        let error = agreed(recipe, &["x"], None).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls(TlsFault::AlertReceived { code: 120, .. })), "{error}");
    }
}

/// PostgreSQL's `sslnegotiation=direct`: no SSLRequest, and a server that insists on its application protocol.
#[test]
fn postgres_direct() {
    let alpn = || vec![b"postgresql".to_vec()];
    let id = Recipe::Postgres.alpn().unwrap();
    let peer = Peer { alpn: alpn(), ..Peer::default() };
    let offers = |options: &mut Options| options.tls = options.tls.clone().alpn([id]);
    let (outcome, heard) = talk_with(&Authority::new(), Security::Implicit, offers, peer, async |connection| {
        assert_eq!(connection.tls().unwrap().alpn.as_deref(), Some(id));
        connection.write(b"startup").await?;
        connection.read_exact(7).await
    });
    assert_eq!((outcome.unwrap(), heard.clear), (b"startup".to_vec(), vec![]));
}
