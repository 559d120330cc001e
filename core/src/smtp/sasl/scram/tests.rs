#![allow(clippy::unwrap_used)]

use super::*;
use crate::error::ErrorKind;

fn exchange(mechanism: Mechanism, nonce: &str) -> Scram {
    let hash = Hash::of(mechanism);
    Scram::with_nonce(hash, Flag::Unused, None, "user", "pencil", nonce.into()).unwrap()
}

fn encoded(message: &str) -> String {
    BASE64_STANDARD.encode(message)
}

/// The example of RFC 5802 §5.
fn sha_1() -> Scram {
    let mut scram = exchange(Mechanism::ScramSha1, "fyko+d2lbbFgONRv9qkxdawL");
    assert_eq!(**scram.initial().unwrap(), *b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
    scram
}

const SERVER_FIRST: &str = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
const SERVER_FINAL: &str = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=";

#[test]
fn the_example_of_rfc_5802() {
    let mut scram = sha_1();
    let proof = scram.answer(Challenge(&encoded(SERVER_FIRST))).unwrap();
    let expected: &[u8] = b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
    assert_eq!(**proof, *expected);
    assert_eq!(scram.servers_proof(), Some(SERVER_FINAL.as_bytes()));
    assert!(!scram.is_complete());
    assert_eq!(**scram.answer(Challenge(&encoded(SERVER_FINAL))).unwrap(), [0; 0]);
    assert!(scram.is_complete());
    assert!(scram.answer(Challenge("")).is_err());
}

#[test]
fn the_example_of_rfc_7677() {
    let mut scram = exchange(Mechanism::ScramSha256, "rOprNGfwEbeRWgbNEkqO");
    let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let proof = scram.answer(Challenge(&encoded(first))).unwrap();
    let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_eq!(**proof, *expected.as_bytes());
    let last = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    scram.answer(Challenge(&encoded(last))).unwrap();
    assert!(scram.is_complete());
}

#[test]
fn what_is_said_of_binding() {
    let hash = Hash::of(Mechanism::ScramSha256);
    let first = |flag, authzid| {
        let mut scram = Scram::with_nonce(hash, flag, authzid, "a=b,c", "pencil", "x".into()).unwrap();
        String::from_utf8(scram.initial().unwrap().to_vec()).unwrap()
    };
    assert_eq!(first(Flag::Unused, None), "n,,n=a=3Db=2Cc,r=x");
    assert_eq!(first(Flag::Wanted, Some("bob,")), "y,a=bob=2C,n=a=3Db=2Cc,r=x");
    // Where there is nothing to bind to, we do not bind, whatever is offered.
    let server = crate::transport::Endpoint { host: "h".into(), port: 1 };
    let surroundings = |server_binds| Surroundings { server: &server, binding: None, server_binds };
    assert!(matches!(Flag::new(Mechanism::ScramSha256, surroundings(false)), Flag::Unused));
    assert!(matches!(Flag::new(Mechanism::ScramSha256, surroundings(true)), Flag::Unused));
}

#[test]
fn nonces_differ() {
    let nonce = || Scram::new(Hash::of(Mechanism::ScramSha1), Flag::Unused, None, "user", "pencil").unwrap().nonce;
    let (one, other) = (nonce(), nonce());
    assert!(one != other && one.len() == 24 && !one.contains(','), "{one} {other}");
}

#[test]
fn a_first_message_that_is_refused() {
    let own = "fyko+d2lbbFgONRv9qkxdawL";
    for (message, is_limit) in [
        (format!("r={own},s=QSXCR+Q6sek8bf92,i=4096"), false),
        ("r=3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096".into(), false),
        (format!("r=x{own}x,s=QSXCR+Q6sek8bf92,i=4096"), false),
        (format!("r={own}x\u{e9},s=QSXCR+Q6sek8bf92,i=4096"), false),
        (format!("m=new,r={own}x,s=QSXCR+Q6sek8bf92,i=4096"), false),
        (format!("s=QSXCR+Q6sek8bf92,r={own}x,i=4096"), false),
        (format!("r={own}x,s=,i=4096"), false),
        (format!("r={own}x,s=QSXCR+Q6sek8bf9,i=4096"), false),
        (format!("r={own}x,s=QSXCR+Q6sek8bf92"), false),
        (format!("r={own}x,s=QSXCR+Q6sek8bf92,i="), false),
        (format!("r={own}x,s=QSXCR+Q6sek8bf92,i=+4096"), false),
        (format!("r={own}x,s=QSXCR+Q6sek8bf92,i=04096"), false),
        (format!("r={own}x,s=QSXCR+Q6sek8bf92,i=-1"), false),
        (String::new(), false),
        (format!("r={own}x,s=QSXCR+Q6sek8bf92,i=1"), true),
        (format!("r={own}x,s=QSXCR+Q6sek8bf92,i=4095"), true),
        (format!("r={own}x,s=QSXCR+Q6sek8bf92,i=1000001"), true),
        (format!("r={own}x,s=QSXCR+Q6sek8bf92,i=2147483648"), true),
        (format!("r={own}x,s=QSXCR+Q6sek8bf92,i={}", "9".repeat(500)), true),
    ] {
        let mut scram = sha_1();
        let error = scram.answer(Challenge(&encoded(&message))).unwrap_err();
        assert_eq!(matches!(error.kind(), ErrorKind::LimitExceeded(_)), is_limit, "{message}: {error}");
        // Whatever comes next, it does not go on.
        assert!(!scram.is_complete());
        assert!(scram.answer(Challenge(&encoded(SERVER_FIRST))).is_err(), "{message}");
    }
    assert!(sha_1().answer(Challenge("=?")).is_err());
    assert!(sha_1().answer(Challenge(&BASE64_STANDARD.encode(b"r=\xff"))).is_err());
}

#[test]
fn extensions_that_may_be_ignored() {
    let mut scram = sha_1();
    scram.answer(Challenge(&encoded(&format!("{SERVER_FIRST},x=new,y=,")))).unwrap();
    let Some(expected) = scram.servers_proof().map(<[u8]>::to_vec) else { panic!("it has none") };
    let last = [&expected[..], b",x=new"].concat();
    scram.answer(Challenge(&BASE64_STANDARD.encode(last))).unwrap();
    assert!(scram.is_complete());
}

#[test]
fn a_last_message_that_is_refused() {
    let right = SERVER_FINAL.strip_prefix("v=").unwrap();
    for last in
        ["", "v=", "v", "v=AAAA", "x=rmF9pqV8S7suAoZWja4dJRkFsKQ=", right, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ", "v=\u{e9}"]
    {
        let mut scram = sha_1();
        scram.answer(Challenge(&encoded(SERVER_FIRST))).unwrap();
        assert!(scram.answer(Challenge(&encoded(last))).is_err(), "{last}");
        assert!(!scram.is_complete(), "{last}");
        assert!(scram.answer(Challenge(&encoded(SERVER_FINAL))).is_err(), "{last}");
    }
    let mut scram = sha_1();
    scram.answer(Challenge(&encoded(SERVER_FIRST))).unwrap();
    assert_eq!(**scram.answer(Challenge(&encoded("e=invalid-proof\r\n,x=y"))).unwrap(), [0; 0]);
    assert!(!scram.is_complete());
    assert_eq!(scram.detail().unwrap(), "invalid-proof\\r\\n,x=y");
}

/// Every message that is one change away from the right one, and ten thousand that are several: no panic, and no success
/// without the server's signature.
#[test]
fn messages_gone_wrong() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut wrong = |right: &str| {
        let mut bytes = right.as_bytes().to_vec();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = u8::try_from(random(256)).unwrap(),
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                1 | 2 => bytes.insert(at, b",=rsivem\0"[random(9)]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    };
    for _ in 0..10_000 {
        let message = wrong(SERVER_FIRST);
        // The hash itself is not what is tried here: thousands of them would take minutes.
        if let Ok(text) = std::str::from_utf8(&message)
            && let Ok(first) = ServerFirst::parse(text)
        {
            assert!((FEWEST_ITERATIONS..=MOST_ITERATIONS).contains(&first.iterations.get()));
            assert!(!first.salt.is_empty() && !first.nonce.contains(','));
        }
    }
    let mut proven = sha_1();
    proven.answer(Challenge(&encoded(SERVER_FIRST))).unwrap();
    let Stage::ServerFinal { key, signed, .. } = &proven.stage else { panic!("a signature is due") };
    for _ in 0..10_000 {
        let message = wrong(SERVER_FINAL);
        let Ok(text) = std::str::from_utf8(&message) else { continue };
        let mut scram = sha_1();
        let accepted = scram.believe(text, key, signed).is_ok();
        assert_eq!(accepted, text.split(',').next() == Some(SERVER_FINAL), "{text:?}");
        assert_eq!(accepted, scram.is_complete());
    }
}
