//! Several servers tried in order: who is passed over, and where the search ends.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::spawn;
use std::time::Duration;

use starttls::smtp::{Client, Route, Routes, Settings};
use starttls::transport::{Blocking, Endpoint, block};
use starttls::{Error, ErrorKind, Options, Security, Timeouts};

/// A server that says these lines, one before anything and one after each line it hears, then closes.
fn serve(lines: &'static [&'static str]) -> Route {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
    spawn(move || {
        let Ok((socket, _)) = listener.accept() else { return };
        let mut heard = BufReader::new(socket.try_clone().unwrap()).lines();
        for line in lines {
            let _ = write!(&socket, "{line}\r\n");
            if heard.next().is_none() {
                return;
            }
        }
    });
    Route::new(endpoint, Security::Plaintext)
}

fn absent() -> Route {
    let endpoint = serve(&[]).endpoint;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Route::new(Endpoint { port, ..endpoint }, Security::Plaintext)
}

fn connect(routes: &[Route], timeouts: Timeouts) -> Result<Client<Blocking>, Error> {
    let routes = Routes::new(routes.to_vec())?;
    let options = Options { timeouts, ..Options::default() };
    block(Client::connect_any(Blocking::new(), &routes, options, &Settings::default()))
}

const READY: &[&str] = &["220 ready", "250 hi", "221 bye"];

fn ten() -> Timeouts {
    Timeouts::all(Duration::from_secs(10))
}

#[test]
fn servers_out_of_order_are_passed_over() {
    let nowhere = Route::new(Endpoint { host: "nowhere.invalid".into(), port: 25 }, Security::Plaintext);
    let passed = [
        nowhere,
        absent(),
        serve(&["421 too busy"]),
        serve(&["450 later"]),
        serve(&["220 hi", "451 not now"]),
        serve(&["220 hi"]),
        serve(READY),
    ];
    let client = connect(&passed, ten()).unwrap();
    assert_eq!(client.greeting().text(), "ready");
    block(client.quit());
}

#[test]
fn what_is_wrong_is_not_passed_over() {
    for lines in [&["554 go away"][..], &["220 hi", "550 not you"], &["* OK IMAP"], &["220 hi", "hello"]] {
        let error = connect(&[serve(lines), serve(READY)], ten()).unwrap_err();
        assert!(!error.is_transient(), "{lines:?}: {error}");
    }
    // An upgrade that is required and not offered, and TLS that is none.
    for (security, lines) in [(Security::Upgrade, &["220 hi", "250 hi"][..]), (Security::Implicit, &["220 hi"])] {
        let error = connect(&[Route { security, ..serve(lines) }, serve(READY)], ten()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::UpgradeNotOffered | ErrorKind::Tls(_)), "{error}");
    }
}

#[test]
fn all_that_was_tried_is_told() {
    let routes = [absent(), serve(&["421 too busy"]), absent()];
    let error = connect(&routes, ten()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionRefused));
    assert_eq!(error.peer(), Some(&*routes[2].endpoint.to_string()));
    let told = error.to_string();
    for route in &routes {
        assert!(told.contains(&route.endpoint.to_string()), "{told}");
    }
    assert!(told.contains("421 too busy"), "{told}");
}

#[test]
fn a_total_is_for_all_servers_together() {
    let silent: Vec<_> = (0..3)
        .map(|_| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            (Route::new(Endpoint { host: "127.0.0.1".into(), port }, Security::Plaintext), listener)
        })
        .collect();
    let routes: Vec<_> = silent.iter().map(|(route, _)| route.clone()).collect();
    let timeouts = Timeouts { total: Some(Duration::from_millis(800)), ..Timeouts::all(Duration::from_millis(500)) };
    let began = std::time::Instant::now();
    let error = connect(&routes, timeouts).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
    assert!(began.elapsed() < Duration::from_millis(1400), "{:?}", began.elapsed());
}
