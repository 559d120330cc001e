//! A pool of sessions inside the sandbox, where nobody else can end what somebody waits for.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use starttls_tests::embedding::exports::smtp::{DeliveryReport, Outcome, PoolSettings, Route};
use starttls_tests::embedding::exports::types::{Error, ErrorCode, Security};
use starttls_tests::embedding::{Opening, Sandbox};
use wasmtime::component::ResourceAny;

use crate::mail::{envelope, message};
use crate::routes::route;
use crate::{assert_same, password, postfix, sandbox, trusting};

const SETTINGS: PoolSettings =
    PoolSettings { credentials: None, mechanism: None, connections: 2, idle: 50_000_000_000, messages: 100 };

fn logged_in() -> PoolSettings {
    let account = password(postfix().text("user"), postfix().text("password"));
    PoolSettings { credentials: Some(account), ..SETTINGS }
}

fn create(
    sandbox: &mut Sandbox,
    routes: &[Route],
    opening: &Opening,
    settings: &PoolSettings,
) -> Result<ResourceAny, Box<Error>> {
    let (config, options) = sandbox.prepare(opening).expect("no trap")?;
    let Sandbox { store, client } = sandbox;
    let made = client.starttls_client_smtp().pool().call_create(store, routes, config, options, settings);
    Ok(made.expect("no trap")?)
}

fn send(sandbox: &mut Sandbox, pool: ResourceAny, to: &str, text: &[u8]) -> Result<DeliveryReport, Box<Error>> {
    let Sandbox { store, client } = sandbox;
    let sent = client.starttls_client_smtp().pool().call_send(store, pool, &envelope(&[to]), None, text);
    Ok(sent.expect("no trap")?)
}

fn begin(sandbox: &mut Sandbox, pool: ResourceAny, to: &str) -> Result<ResourceAny, Box<Error>> {
    let Sandbox { store, client } = sandbox;
    let begun = client.starttls_client_smtp().pool().call_begin(store, pool, &envelope(&[to]), None);
    Ok(begun.expect("no trap")?)
}

fn sessions(Sandbox { store, client }: &mut Sandbox, pool: ResourceAny) -> (u32, u32) {
    client.starttls_client_smtp().pool().call_sessions(store, pool).expect("no trap")
}

fn close(Sandbox { store, client }: &mut Sandbox, pool: ResourceAny) {
    client.starttls_client_smtp().pool().call_close(store, pool).expect("no trap");
}

#[test]
fn one_session_carries_many_messages_and_each_report_tells_of_it() {
    let server = postfix();
    let mut sandbox = sandbox();
    let trace = sandbox.trace().expect("a trace");
    let opening = Opening { trace: Some(trace), ..trusting(server, Security::Upgrade) };
    let settings = PoolSettings { mechanism: Some("PLAIN".into()), ..logged_in() };
    let routes = [route(server.port("port"), Security::Upgrade)];
    let pool = create(&mut sandbox, &routes, &opening, &settings).expect("a pool");
    assert_eq!(sessions(&mut sandbox, pool), (0, 0));
    let text = message(900);
    for number in 0..5 {
        let to = format!("pooled{number}@example.test");
        let report = send(&mut sandbox, pool, &to, &text).expect("a report");
        assert_eq!(report.outcome, Outcome::Accepted);
        let login = report.login.expect("it logged in");
        assert_eq!((login.mechanism.as_str(), login.binding), ("PLAIN", None));
        let tls = report.tls.expect("TLS");
        // The server's own certificate and the authority's between.
        assert!(!tls.peer_chain.is_empty() && tls.peer_chain.iter().all(|der| der.starts_with(&[0x30])));
        assert_eq!(tls.server_name, "localhost");
        assert_eq!(sessions(&mut sandbox, pool), (0, 1));
    }
    assert_same("pooled", &text, &server.delivered("pooled4@example.test"));
    close(&mut sandbox, pool);
    let late = send(&mut sandbox, pool, "late@example.test", &text).expect_err("closed");
    assert!(matches!(late.code, ErrorCode::InvalidState(_)), "{late:?}");
    let events = sandbox.events(trace).expect("events");
    let count = |line: &str| events.iter().filter(|event| event.starts_with(line)).count();
    assert_eq!((count("C: STARTTLS"), count("C: AUTH"), count("C: QUIT")), (1, 1, 1), "{events:#?}");
}

#[test]
fn who_would_wait_for_itself_is_told() {
    let server = postfix();
    let mut sandbox = sandbox();
    let routes = [route(server.port("port"), Security::Upgrade)];
    let pool = create(&mut sandbox, &routes, &trusting(server, Security::Upgrade), &logged_in()).expect("a pool");
    let first = begin(&mut sandbox, pool, "first@example.test").expect("a place");
    let second = begin(&mut sandbox, pool, "second@example.test").expect("another");
    assert_eq!(sessions(&mut sandbox, pool), (2, 0));
    let full = begin(&mut sandbox, pool, "third@example.test").expect_err("there is no place");
    assert!(matches!(&full.code, ErrorCode::InvalidState(why) if why.contains("finish")), "{full:?}");
    let full = send(&mut sandbox, pool, "third@example.test", b"x").expect_err("there is no place");
    assert!(matches!(full.code, ErrorCode::InvalidState(_)), "{full:?}");
    // One is finished, the other is given up: nothing of it is delivered, and its place is free.
    let text = message(40_000);
    let Sandbox { store, client } = &mut sandbox;
    let writer = client.starttls_client_smtp();
    let writer = writer.message_writer();
    for piece in text.chunks(7000) {
        writer.call_write(&mut *store, first, piece).expect("no trap").expect("written");
    }
    writer.call_write(&mut *store, second, b"Subject: half\r\n").expect("no trap").expect("written");
    let report = writer.call_finish(&mut *store, first).expect("no trap").expect("a report");
    assert_eq!(report.outcome, Outcome::Accepted);
    second.resource_drop(&mut *store).expect("dropped");
    assert_eq!(sessions(&mut sandbox, pool), (0, 1));
    assert_same("first", &text, &server.delivered("first@example.test"));
    send(&mut sandbox, pool, "fourth@example.test", &text).expect("a place");
    server.delivered("fourth@example.test");
    assert_eq!(server.find("second@example.test"), None);
    close(&mut sandbox, pool);
}

/// Takes one message a connection, then says 421 to the next; what was sent.
fn tired() -> (Route, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let shared = heard.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let socket = socket.expect("a connection");
            let mut taken = 0;
            let mut lines = BufReader::new(socket.try_clone().expect("a socket")).lines();
            let say = |text: &str| drop((&socket as &TcpStream).write_all(format!("{text}\r\n").as_bytes()));
            say("220 hi");
            shared.lock().expect("no panic").push("connected".into());
            while let Some(Ok(line)) = lines.next() {
                match &line[..4.min(line.len())] {
                    "MAIL" | "RSET" if taken == 1 => {
                        say("421 4.3.2 enough");
                        break;
                    }
                    "DATA" => {
                        say("354 go on");
                        let body: Vec<_> =
                            lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").collect();
                        shared.lock().expect("no panic").push(body.join("|"));
                        taken += 1;
                        say("250 ok");
                    }
                    "QUIT" => {
                        say("221 bye");
                        break;
                    }
                    _ => say("250 ok"),
                }
            }
        }
    });
    (route(port, Security::Plaintext), heard)
}

#[test]
fn a_session_that_ended_is_replaced_once() {
    let (route, heard) = tired();
    let mut sandbox = sandbox();
    let pool = create(&mut sandbox, &[route], &crate::hostile::within(Duration::from_secs(10)), &SETTINGS);
    let pool = pool.expect("a pool");
    for text in ["one", "two", "three"] {
        let report = send(&mut sandbox, pool, "bob@example.net", text.as_bytes()).expect("a report");
        assert_eq!(report.outcome, Outcome::Accepted);
        assert!(report.tls.is_none());
        assert_eq!(sessions(&mut sandbox, pool), (0, 1));
    }
    let heard = heard.lock().expect("no panic").clone();
    assert_eq!(heard, ["connected", "one", "connected", "two", "connected", "three"]);
    let error = create(&mut sandbox, &[], &Opening::default(), &SETTINGS).expect_err("no server");
    assert!(matches!(error.code, ErrorCode::InvalidArgument(_)), "{error:?}");
}
