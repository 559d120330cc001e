//! Proxies that do what they should, and proxies that do not: scripted peers on loopback.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use starttls::transport::{Blocking, Endpoint, Proxied, Proxy, block};
use starttls::{Error, ErrorKind, Options, Security, Timeouts, smtp};

/// What a scripted peer does.
enum Step {
    /// Waits for exactly these bytes.
    Hears(&'static [u8]),
    /// Says these, in one segment.
    Says(Vec<u8>),
    /// Takes whatever comes until the client closes.
    Swallows,
}

use Step::{Hears, Says, Swallows};

fn says(bytes: &[u8]) -> Step {
    Says(bytes.to_vec())
}

/// A peer that takes one connection and follows its script.
fn serve(script: Vec<Step>) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for step in script {
            match step {
                Hears(expected) => hear(&mut socket, expected),
                Says(bytes) => drop(socket.write_all(&bytes)),
                Swallows => drop(socket.read_to_end(&mut Vec::new())),
            }
        }
    });
    (port, peer)
}

fn hear(socket: &mut TcpStream, expected: &[u8]) {
    let mut heard = vec![0; expected.len()];
    socket.read_exact(&mut heard).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), String::from_utf8_lossy(expected));
}

fn within(all: Duration) -> Options {
    Options { security: Security::Plaintext, timeouts: Timeouts::all(all), ..Options::default() }
}

/// A session with mail.test:25 through the proxy.
fn session(proxy: &str, options: Options) -> Result<smtp::Client<Proxied<Blocking>>, Error> {
    let transport = Proxied::new(Blocking::new(), Some(Proxy::parse(proxy)?));
    block(smtp::Client::connect(transport, &Endpoint { host: "mail.test".into(), port: 25 }, options))
}

const CONNECT: &[u8] = b"CONNECT mail.test:25 HTTP/1.1\r\nHost: mail.test:25\r\n\r\n";
const CONNECT_AS_ADA: &[u8] = b"CONNECT mail.test:25 HTTP/1.1\r\nHost: mail.test:25\r\n\
    Proxy-Authorization: Basic YWRhOmh1bnRlcjI=\r\n\r\n";
const REQUEST: &[u8] = b"\x05\x01\0\x03\x09mail.test\0\x19";
const EHLO: &[u8] = b"EHLO [127.0.0.1]\r\n";
const TEN: Duration = Duration::from_secs(10);

#[test]
fn a_greeting_in_the_proxys_last_segment_is_the_servers() {
    let greeting = b"220 mail.test ready\r\n";
    let bound_ip4 = b"\x05\0\0\x01\x7f\0\0\x01\x12\x34";
    let bound_name = b"\x05\0\0\x03\x02ab\x12\x34";
    let bound_ip6 = b"\x05\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x34";
    let socks = |bound: &[u8]| {
        let segment = [bound, greeting].concat();
        vec![Hears(b"\x05\x01\0"), says(b"\x05\0"), Hears(REQUEST), Says(segment)]
    };
    let with_login = vec![
        Hears(b"\x05\x02\0\x02"),
        says(b"\x05\x02"),
        Hears(b"\x01\x03ada\x07hunter2"),
        says(b"\x01\0"),
        Hears(REQUEST),
        Says([&bound_ip4[..], greeting].concat()),
    ];
    let http = |header: &[u8]| vec![Hears(CONNECT), Says([header, greeting].concat())];
    let http_login = vec![Hears(CONNECT_AS_ADA), Says([&b"HTTP/1.1 200 OK\r\n\r\n"[..], greeting].concat())];
    for (url, mut script) in [
        ("socks5://127.0.0.1", socks(bound_ip4)),
        ("socks5h://127.0.0.1", socks(bound_name)),
        ("socks5://127.0.0.1", socks(bound_ip6)),
        ("socks5://ada:hunter2@127.0.0.1", with_login),
        ("http://127.0.0.1", http(b"HTTP/1.1 200 Connection established\r\n\r\n")),
        // There is no content in a 2xx to CONNECT, whatever its header says (RFC 9110 section 9.3.6).
        ("http://127.0.0.1", http(b"HTTP/1.0 204 \r\nContent-Length: 9\r\nVia: x\r\n\r\n")),
        ("http://127.0.0.1", http(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200\n\n")),
        ("http://ada:hunter2@127.0.0.1", http_login),
    ] {
        script.extend([Hears(EHLO), says(b"250 mail.test\r\n"), Hears(b"QUIT\r\n"), says(b"221 bye\r\n"), Swallows]);
        let (port, peer) = serve(script);
        let client = session(&format!("{url}:{port}"), within(TEN)).unwrap();
        assert_eq!(client.greeting().text(), "mail.test ready", "{url}");
        block(client.quit());
        peer.join().unwrap();
    }
}

#[test]
fn what_a_proxy_refuses_is_told() {
    let method = |chosen: &[u8]| vec![Hears(b"\x05\x01\0"), says(chosen), Swallows];
    let reply = |code: u8| {
        let answer = vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0];
        vec![Hears(b"\x05\x01\0"), says(b"\x05\0"), Hears(REQUEST), Says(answer), Swallows]
    };
    let login = |status: &[u8]| {
        let word = b"\x01\x03ada\x07hunter2";
        vec![Hears(b"\x05\x02\0\x02"), says(b"\x05\x02"), Hears(word), says(status), Swallows]
    };
    let http = |header: &[u8]| vec![Hears(CONNECT), says(header), Swallows];
    let (socks, as_ada, web) = ("socks5://127.0.0.1", "socks5://ada:hunter2@127.0.0.1", "http://127.0.0.1");
    for (url, script, kind, words) in [
        (socks, method(b"\x05\xff"), "Proxy", "wants a user and a password"),
        (socks, method(b"\x05\x02"), "Proxy", "not offered"),
        (socks, method(b"\x04\0"), "Proxy", "does not speak SOCKS5"),
        (socks, method(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "Proxy", "does not speak SOCKS5"),
        (as_ada, login(b"\x01\x01"), "Proxy", "does not accept the user and the password"),
        (as_ada, login(b"\x05\0"), "Proxy", "no answer to a user"),
        (socks, reply(1), "Proxy", "does not say why"),
        (socks, reply(2), "AccessDenied", "rules"),
        (socks, reply(3), "Unreachable", "network"),
        (socks, reply(4), "Unreachable", "host cannot be reached"),
        (socks, reply(5), "ConnectionRefused", "connection refused"),
        (socks, reply(6), "TimedOut", "time to live"),
        (socks, reply(7), "Proxy", "cannot connect"),
        (socks, reply(8), "Proxy", "kind of address"),
        (socks, reply(9), "Proxy", "no answer of SOCKS5"),
        (web, http(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), "Proxy", "wants a user and a password"),
        (web, http(b"HTTP/1.1 401 Unauthorized\r\n\r\n"), "Proxy", "wants a user and a password"),
        (web, http(b"HTTP/1.1 403 Forbidden\r\n\r\n"), "AccessDenied", "status 403"),
        (web, http(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), "Unreachable", "status 502"),
        (web, http(b"HTTP/1.1 504 Gateway Timeout\r\n\r\n"), "TimedOut", "status 504"),
        (web, http(b"HTTP/1.1 301 Moved\r\nLocation: http://evil.test/\r\n\r\n"), "Proxy", "status 301"),
        (web, http(b"HTTP/2 200\r\n\r\n"), "Proxy", "does not speak HTTP"),
        (web, http(b"HTTP/1.1 2x0 OK\r\n\r\n"), "Proxy", "no status"),
        (web, http(b"220 smtp ready\r\n"), "Proxy", "does not speak HTTP"),
        (web, http(b"\r\n\r\n\r\n"), "Proxy", "does not speak HTTP"),
    ] {
        let (port, peer) = serve(script);
        let error = session(&format!("{url}:{port}"), within(TEN)).unwrap_err();
        peer.join().unwrap();
        let text = error.to_string();
        assert!(format!("{:?}", error.kind()).starts_with(kind), "{kind}: {error:?} {text}");
        assert!(text.contains(words) && text.contains(&format!("127.0.0.1:{port}")), "{words}: {text}");
        assert!(!text.contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{text}");
        // Who is to blame: the proxy itself, or the target as the proxy says.
        let blamed = if kind == "Proxy" { format!("127.0.0.1:{port}") } else { "mail.test:25".to_owned() };
        assert_eq!(error.peer(), Some(&*blamed), "{text}");
    }
}

#[test]
fn a_proxy_that_goes_away_or_never_ends_is_told() {
    for (url, script, words) in [
        ("socks5://127.0.0.1", vec![Hears(b"\x05\x01\0")], "closed the connection"),
        (
            "socks5://127.0.0.1",
            vec![Hears(b"\x05\x01\0"), says(b"\x05\0"), Hears(REQUEST), says(b"\x05\0\0\x03\xff")],
            "closed",
        ),
        ("http://127.0.0.1", vec![Hears(CONNECT), says(b"HTTP/1.1 200 OK\r\n")], "closed the connection"),
        (
            "http://127.0.0.1",
            vec![Hears(CONNECT), Says([&b"HTTP/1.1 200 OK\r\nX: "[..], &[b'x'; 20_000]].concat()), Swallows],
            "does not end",
        ),
        (
            "http://127.0.0.1",
            vec![Hears(CONNECT), Says(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000)), Swallows],
            "does not end",
        ),
    ] {
        let (port, peer) = serve(script);
        let error = session(&format!("{url}:{port}"), within(TEN)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Proxy(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        peer.join().unwrap();
    }
}

#[test]
fn a_silent_proxy_has_the_connections_time() {
    for url in ["socks5://127.0.0.1", "http://127.0.0.1"] {
        let (port, peer) = serve(vec![Swallows]);
        let began = Instant::now();
        let options = Options {
            timeouts: Timeouts { connect: Duration::from_millis(300), ..Timeouts::default() },
            ..within(TEN)
        };
        let error = session(&format!("{url}:{port}"), options).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
        assert!(error.to_string().contains("did not answer in time"), "{error}");
        assert!(began.elapsed() < TEN / 2);
        peer.join().unwrap();
    }
}

#[test]
fn an_absent_proxy_is_not_mistaken_for_the_server() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = session(&format!("socks5://127.0.0.1:{port}"), within(TEN)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionRefused), "{error}");
    assert_eq!(error.peer(), Some(&*format!("127.0.0.1:{port}")));
    assert!(error.to_string().contains("the proxy socks5://127.0.0.1"), "{error}");
}
