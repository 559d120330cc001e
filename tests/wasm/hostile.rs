//! Servers that stall, drip and inject: the sandbox keeps its deadlines and its word.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use starttls_tests::embedding::Opening;
use starttls_tests::embedding::exports::types::{Endpoint, ErrorCode, Phase, Security, Timeouts};

use crate::{endpoint, open_mail, password, sandbox};

/// Serves one connection.
fn serve(serve: impl FnOnce(TcpStream) + Send + 'static) -> (Endpoint, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let thread = std::thread::spawn(move || serve(listener.accept().expect("a connection").0));
    (endpoint("127.0.0.1", port), thread)
}

pub(crate) fn within(duration: Duration) -> Opening {
    let each = u64::try_from(duration.as_nanos()).expect("not that long");
    let timeouts = Timeouts { connect: each, handshake: each, reply: each, stall: each, finish: each };
    Opening { timeouts: Some(timeouts), ..Opening::default() }
}

#[test]
fn silence_and_dripping_end_at_the_deadline() {
    let silent = |socket: TcpStream| {
        // Until the client goes.
        let _ = BufReader::new(socket).read_line(&mut String::new());
    };
    let dripping = |mut socket: TcpStream| {
        while socket.write_all(b"2").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let servers = [serve(silent), serve(dripping)];
    for (to, thread) in servers {
        let mut sandbox = sandbox();
        let begun = Instant::now();
        let error = *open_mail(&mut sandbox, &to, &within(Duration::from_millis(500))).expect_err("no greeting");
        let took = begun.elapsed();
        assert!(matches!(error.code, ErrorCode::TimedOut), "{error:?}");
        assert_eq!((error.phase, error.retryable), (Some(Phase::Greeting), true));
        assert!(took >= Duration::from_millis(450) && took < Duration::from_secs(3), "{took:?}");
        drop(sandbox);
        thread.join().expect("the server");
    }
}

#[test]
fn no_time_is_a_time_out_at_once() {
    let (to, thread) = serve(drop);
    let mut sandbox = sandbox();
    let error = *open_mail(&mut sandbox, &to, &within(Duration::ZERO)).expect_err("no time");
    assert!(matches!(error.code, ErrorCode::TimedOut), "{error:?}");
    drop(TcpStream::connect((to.host.as_str(), to.port)));
    thread.join().expect("the server");
}

/// Greets, answers EHLO, and says this to STARTTLS.
fn to_starttls(answer: &'static [u8]) -> (Endpoint, JoinHandle<()>) {
    serve(move |socket| {
        let mut lines = BufReader::new(socket.try_clone().expect("a socket")).lines();
        let mut socket = socket;
        for reply in [&b"220 hello\r\n"[..], b"250-hello\r\n250 STARTTLS\r\n", answer] {
            if socket.write_all(reply).is_err() || !matches!(lines.next(), Some(Ok(_))) {
                return;
            }
        }
        // Until the client goes.
        while matches!(lines.next(), Some(Ok(_))) {}
    })
}

#[test]
fn injected_bytes_are_an_error_that_counts_them() {
    let (to, thread) = to_starttls(b"220 go\r\n250 ok\r\n");
    let mut sandbox = sandbox();
    let error = *open_mail(&mut sandbox, &to, &Opening::default()).expect_err("injected");
    assert!(matches!(error.code, ErrorCode::BytesBeforeHandshake(8)), "{error:?}");
    drop(sandbox);
    thread.join().expect("the server");
}

#[test]
fn there_is_no_way_to_clear_text_but_by_its_name() {
    let without = || {
        serve(|mut socket| {
            let mut lines = BufReader::new(socket.try_clone().expect("a socket")).lines();
            for reply in [&b"220 hello\r\n"[..], b"250-hello\r\n250 AUTH PLAIN\r\n"] {
                if socket.write_all(reply).is_err() {
                    return;
                }
                let _ = lines.next();
            }
            while matches!(lines.next(), Some(Ok(_))) {}
        })
    };
    let (to, thread) = without();
    let mut stripped = sandbox();
    let error = *open_mail(&mut stripped, &to, &Opening::default()).expect_err("no STARTTLS");
    assert!(matches!(error.code, ErrorCode::UpgradeNotOffered), "{error:?}");
    drop(stripped);
    thread.join().expect("the server");

    let (to, thread) = without();
    let mut clear = sandbox();
    let plaintext = Opening { security: Some(Security::Plaintext), ..Opening::default() };
    let session = open_mail(&mut clear, &to, &plaintext).expect("a session in clear text");
    let smtp = clear.client.starttls_client_smtp();
    assert!(smtp.session().call_tls(&mut clear.store, session).expect("no trap").is_none());
    let login =
        smtp.session().call_login(&mut clear.store, session, &password("ada", "s3cret"), None).expect("no trap");
    assert!(matches!(login.expect_err("a secret on clear text").code, ErrorCode::InvalidState(_)));
    drop(clear);
    thread.join().expect("the server");
}
