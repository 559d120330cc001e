//! A pool's sessions: reused, replaced once when they had ended, never after a message may have left.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::spawn;
use std::time::{Duration, Instant};

use starttls::smtp::{Envelope, Outcome, Pool, PoolSettings, Route};
use starttls::transport::{Blocking, Endpoint, block};
use starttls::{Options, Security, Timeouts};

/// What a server does with a connection, besides taking messages.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    Kind,
    /// Closes, after a message.
    Leaves,
    /// Says 421 and closes, after a message.
    SaysGoodbye,
    /// Answers the second MAIL with 421.
    TiredOfMail,
    /// Answers each MAIL with 421.
    Unwilling,
    /// Takes the second message and closes without a word.
    Forgets,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    quits: AtomicUsize,
    messages: Mutex<Vec<String>>,
}

impl Seen {
    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A server; each connection has its habit, those beyond the list the last one.
fn serve(habits: &'static [Habit], limits: &'static str) -> (Route, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
    let seen = Arc::new(Seen::default());
    let shared = seen.clone();
    spawn(move || {
        for socket in listener.incoming() {
            let (socket, seen) = (socket.unwrap(), shared.clone());
            let number = seen.connections.fetch_add(1, Ordering::SeqCst);
            let habit = habits[number.min(habits.len() - 1)];
            spawn(move || {
                let open = seen.open.fetch_add(1, Ordering::SeqCst) + 1;
                seen.most_open.fetch_max(open, Ordering::SeqCst);
                converse(&socket, habit, limits, &seen);
                seen.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (Route::new(endpoint, Security::Plaintext), seen)
}

fn converse(socket: &TcpStream, habit: Habit, limits: &str, seen: &Seen) {
    let mut socket = socket;
    let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
    let mut say = |line: &str| drop(write!(socket, "{line}\r\n"));
    say("220 hi");
    let mut taken = 0;
    while let Some(Ok(line)) = lines.next() {
        match &line[..4.min(line.len())] {
            "EHLO" => say(&format!("250-hi\r\n250{limits}")),
            "MAIL" | "RSET" if habit == Habit::Unwilling || (habit == Habit::TiredOfMail && taken == 1) => {
                return say("421 4.3.2 enough");
            }
            data @ ("DATA" | "BDAT") => {
                let body: Vec<_> = if data == "BDAT" {
                    // Messages are one line here.
                    lines.by_ref().map_while(Result::ok).take(1).collect()
                } else {
                    say("354 go");
                    lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").collect()
                };
                std::thread::sleep(Duration::from_millis(20));
                seen.messages.lock().unwrap().push(body.join("|"));
                taken += 1;
                if habit == Habit::Forgets && taken == 2 {
                    return;
                }
                say("250 ok");
                match habit {
                    Habit::Leaves => return,
                    Habit::SaysGoodbye => return say("421 4.4.2 bye"),
                    _ => {}
                }
            }
            "QUIT" => {
                seen.quits.fetch_add(1, Ordering::SeqCst);
                return say("221 bye");
            }
            _ => say("250 ok"),
        }
    }
}

fn settings(route: Route) -> PoolSettings {
    let timeouts = Timeouts::all(Duration::from_secs(10));
    PoolSettings { options: Options { timeouts, ..Options::default() }, ..PoolSettings::new(route) }
}

fn send(pool: &Pool<Blocking>, text: &str) -> Outcome {
    block(pool.send(&envelope(), text.as_bytes())).unwrap().outcome()
}

fn envelope() -> Envelope {
    Envelope::new("a@example.org", ["b@example.org"]).unwrap()
}

/// Waits for what the server's threads are about to do.
fn eventually(what: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !what() {
        assert!(Instant::now() < until, "it never happened");
        std::thread::yield_now();
    }
}

#[test]
fn one_session_carries_many_messages() {
    let (route, seen) = serve(&[Habit::Kind], " OK");
    let pool = Pool::new(Blocking::new(), settings(route));
    for i in 0..5 {
        assert_eq!(send(&pool, &format!("{i}")), Outcome::Accepted);
    }
    assert_eq!((seen.connections(), pool.sessions()), (1, (0, 1)));
    block(pool.close());
    assert_eq!(seen.quits.load(Ordering::SeqCst), 1);
    let late = block(pool.send(&envelope(), b"late")).unwrap_err();
    assert!(late.to_string().contains("closed"), "{late}");
}

#[test]
fn an_ended_session_is_replaced_once() {
    for habit in [Habit::Leaves, Habit::SaysGoodbye, Habit::TiredOfMail] {
        for in_pieces in [false, true] {
            let habits: &'static [Habit] = Box::leak(Box::new([habit, Habit::Kind]));
            let (route, seen) = serve(habits, " OK");
            let pool = Pool::new(Blocking::new(), settings(route));
            assert_eq!(send(&pool, "one"), Outcome::Accepted);
            if habit != Habit::TiredOfMail {
                // Its end is on the way, or here: both must do.
                eventually(|| seen.open.load(Ordering::SeqCst) == 0);
            }
            if in_pieces {
                let report = block(async {
                    let mut message = pool.begin(&envelope()).await?;
                    message.session().write(b"t").await?;
                    message.session().write(b"wo").await?;
                    message.finish().await
                });
                assert_eq!(report.unwrap().outcome(), Outcome::Accepted);
            } else {
                assert_eq!(send(&pool, "two"), Outcome::Accepted);
            }
            assert_eq!((seen.connections(), pool.sessions()), (2, (0, 1)));
            assert_eq!(*seen.messages.lock().unwrap(), ["one", "two"]);
        }
    }
}

#[test]
fn a_session_that_ended_swallows_no_message_that_leaves_in_one_flight() {
    for habit in [Habit::Leaves, Habit::SaysGoodbye, Habit::TiredOfMail] {
        let habits: &'static [Habit] = Box::leak(Box::new([habit, Habit::Kind]));
        let (route, seen) = serve(habits, "-PIPELINING\r\n250 CHUNKING");
        let pool = Pool::new(Blocking::new(), settings(route));
        assert_eq!(send(&pool, "one"), Outcome::Accepted);
        let began = Instant::now();
        if habit != Habit::TiredOfMail {
            eventually(|| seen.open.load(Ordering::SeqCst) == 0);
        }
        if habit == Habit::Leaves {
            // Who leaves without a word is noticed once the session has rested for a while.
            eventually(|| began.elapsed() > Duration::from_millis(1100));
        }
        assert_eq!(send(&pool, "two"), Outcome::Accepted);
        assert_eq!((seen.connections(), pool.sessions()), (2, (0, 1)));
        assert_eq!(*seen.messages.lock().unwrap(), ["one", "two"]);
    }
}

#[test]
fn a_new_session_that_ends_is_not_replaced() {
    let (route, seen) = serve(&[Habit::Unwilling], " OK");
    let pool = Pool::new(Blocking::new(), settings(route));
    let report = block(pool.send(&envelope(), b"one")).unwrap();
    assert_eq!((report.outcome(), report.reply().unwrap().code().number()), (Outcome::Refused, 421));
    assert_eq!(seen.connections(), 1);
    let (route, seen) = serve(&[Habit::Leaves, Habit::Unwilling], " OK");
    let pool = Pool::new(Blocking::new(), settings(route));
    assert_eq!(send(&pool, "one"), Outcome::Accepted);
    assert_eq!(send(&pool, "two"), Outcome::Refused);
    assert_eq!((seen.connections(), pool.sessions()), (2, (0, 0)));
}

#[test]
fn a_message_that_may_have_been_accepted_is_not_sent_again() {
    let (route, seen) = serve(&[Habit::Forgets, Habit::Kind], " OK");
    let pool = Pool::new(Blocking::new(), settings(route));
    assert_eq!(send(&pool, "one"), Outcome::Accepted);
    assert_eq!(send(&pool, "two"), Outcome::Unknown);
    assert_eq!(seen.connections(), 1);
    assert_eq!(send(&pool, "three"), Outcome::Accepted);
    assert_eq!(*seen.messages.lock().unwrap(), ["one", "two", "three"]);
}

#[test]
fn sessions_end_by_messages_and_by_idle_time() {
    for (limits, messages) in [(" OK", 2), (" LIMITS RCPTMAX=9 MAILMAX=2", 100)] {
        let (route, seen) = serve(&[Habit::Kind], limits);
        let pool = Pool::new(Blocking::new(), PoolSettings { messages, ..settings(route) });
        for _ in 0..6 {
            assert_eq!(send(&pool, "m"), Outcome::Accepted);
        }
        assert_eq!((seen.connections(), seen.quits.load(Ordering::SeqCst)), (3, 3), "{limits}");
    }
    let (route, seen) = serve(&[Habit::Kind], " OK");
    let pool = Pool::new(Blocking::new(), PoolSettings { idle: Duration::ZERO, ..settings(route) });
    for _ in 0..3 {
        assert_eq!(send(&pool, "m"), Outcome::Accepted);
    }
    assert_eq!((seen.connections(), seen.quits.load(Ordering::SeqCst)), (3, 2));
}

#[test]
fn threads_wait_for_a_session() {
    let (route, seen) = serve(&[Habit::Kind], " OK");
    let pool = Pool::new(Blocking::new(), PoolSettings { connections: 2, ..settings(route) });
    let threads: Vec<_> = (0..8)
        .map(|i| {
            let pool = pool.clone();
            spawn(move || (0..3).map(|j| send(&pool, &format!("{i}{j}"))).collect::<Vec<_>>())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), [Outcome::Accepted; 3]);
    }
    assert_eq!(seen.messages.lock().unwrap().len(), 24);
    assert!(seen.most_open.load(Ordering::SeqCst) <= 2 && seen.connections() <= 2);
}

#[test]
fn half_a_message_is_none_and_its_place_is_free() {
    let (route, seen) = serve(&[Habit::Kind], " OK");
    let pool = Pool::new(Blocking::new(), PoolSettings { connections: 1, ..settings(route) });
    let mut message = block(pool.begin(&envelope())).unwrap();
    block(message.session().write(b"half")).unwrap();
    let waiting = {
        let pool = pool.clone();
        spawn(move || send(&pool, "whole"))
    };
    drop(message);
    assert_eq!(waiting.join().unwrap(), Outcome::Accepted);
    eventually(|| seen.messages.lock().unwrap().contains(&"whole".to_owned()));
    assert_eq!(pool.sessions(), (0, 1));
}

#[test]
fn who_waits_when_a_pool_closes_is_told() {
    let (route, _) = serve(&[Habit::Kind], " OK");
    let pool = Pool::new(Blocking::new(), PoolSettings { connections: 1, ..settings(route) });
    let message = block(pool.begin(&envelope())).unwrap();
    let waiting = {
        let pool = pool.clone();
        spawn(move || block(pool.send(&envelope(), b"late")).unwrap_err().to_string())
    };
    block(pool.close());
    assert!(waiting.join().unwrap().contains("closed"));
    // What is under way ends well.
    assert_eq!(block(message.finish()).unwrap().outcome(), Outcome::Accepted);
    assert_eq!(pool.sessions(), (0, 0));
}
