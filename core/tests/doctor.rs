//! Examinations of servers that do anything but what they should: they end, soon, and say nothing that a terminal obeys.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use starttls::ftp::{self, Credentials, Diagnosis, Examination, State, Topic};
use starttls::transport::{Blocking, Endpoint, block};
use starttls::{Options, Security, Timeouts};

/// The order of whims.
fn next(state: &AtomicU64) -> usize {
    let mut x = state.load(Ordering::Relaxed);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    state.store(x, Ordering::Relaxed);
    (x >> 33) as usize
}

type Answer = dyn Fn(&str, &mut TcpStream) -> bool + Send + Sync;

/// A server in clear text that gives each command to `answer`; `false` ends the connection.
struct Server {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(answer: Arc<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = spawn(move || {
            for socket in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (mut socket, answer) = (socket.unwrap(), answer.clone());
                spawn(move || {
                    if !answer("", &mut socket) {
                        return;
                    }
                    let lines = BufReader::new(socket.try_clone().unwrap()).lines();
                    for line in lines.map_while(Result::ok) {
                        if !answer(&line, &mut socket) {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.thread.take().unwrap().join().unwrap();
    }
}

fn examine(server: &Server) -> Diagnosis {
    let endpoint = Endpoint { host: "127.0.0.1".into(), port: server.port };
    let timeouts = Timeouts::all(Duration::from_millis(150));
    let options = Options { security: Security::Plaintext, timeouts, ..Options::default() };
    let examination = Examination { directory: Vec::new(), write_test: true };
    let settings = ftp::Settings::default();
    let credentials = Credentials::anonymous();
    block(ftp::doctor(&Blocking::new(), &endpoint, &options, &settings, Some(&credentials), &examination))
}

fn is_sound(found: &Diagnosis) {
    for finding in &found.findings {
        let texts = [Some(&finding.seen), finding.cause.as_ref(), finding.remedy.as_ref()];
        for text in texts.into_iter().flatten() {
            assert!(!text.is_empty() && !text.chars().any(char::is_control), "{finding:?}");
            assert!(text.chars().count() < 2000, "{finding:?}");
        }
    }
    let mut topics: Vec<_> = found.findings.iter().map(|finding| finding.topic).collect();
    topics.sort();
    topics.dedup();
    assert_eq!(topics.len(), found.findings.len(), "{found:#?}");
}

const WHIMS: [&str; 20] = [
    "200 ok",
    "200 ok",
    "230 come in",
    "331 password",
    "211-Features:\r\n MLST type*;\r\n UTF8\r\n SIZE\r\n HASH \x1b[2J\r\n211 End",
    "211 none",
    "229 ok (|||1|)",
    "229 ok (|||99999|)",
    "227 ok (10,0,0,1,0,21)",
    "227 nonsense",
    "257 \"/\"",
    "213 20200101000000",
    "150 go",
    "226 done",
    "350 go on",
    "421 bye",
    "500 no\x07\x1b]0;title\x07",
    "550 no such file",
    "\u{ff}\u{fe} what",
    "999 nonsense",
];

#[test]
fn whatever_a_server_says_it_ends_and_is_told() {
    for seed in 1..=60_u64 {
        let state = AtomicU64::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let server = Server::start(Arc::new(move |line: &str, socket: &mut TcpStream| {
            let whim = next(&state);
            if line.is_empty() {
                // Most begin as servers do, or nothing would be seen of the rest.
                return socket
                    .write_all(if whim.is_multiple_of(8) { b"220-\xff\r\n" } else { b"220 ready\r\n" })
                    .is_ok();
            }
            // Half of the answers fit, so that the examination gets further.
            let verb = line.split(' ').next().unwrap_or_default();
            let fitting = match verb {
                "USER" => "331 password",
                "PASS" => "230 come in",
                "FEAT" => "211-Features:\r\n MLST type*;size*;\r\n SIZE\r\n211 End",
                "EPSV" => "229 ok (|||1|)",
                "PASV" => "227 ok (10,0,0,1,0,21)",
                _ => "200 ok",
            };
            match whim % 23 {
                0 => false,
                1 => true, // silence
                _ if whim.is_multiple_of(2) => socket.write_all(format!("{fitting}\r\n").as_bytes()).is_ok(),
                _ => socket.write_all(format!("{}\r\n", WHIMS[whim / 2 % WHIMS.len()]).as_bytes()).is_ok(),
            }
        }));
        let began = Instant::now();
        let found = examine(&server);
        assert!(began.elapsed() < Duration::from_secs(20), "seed {seed}: {:?}", began.elapsed());
        is_sound(&found);
    }
}

#[test]
fn a_listing_without_end_is_left() {
    let server = Server::start(Arc::new(|line: &str, socket: &mut TcpStream| {
        use std::sync::{Mutex, OnceLock};
        static DATA: OnceLock<Mutex<Option<TcpListener>>> = OnceLock::new();
        let data = DATA.get_or_init(Mutex::default);
        let reply = match line.split(' ').next().unwrap_or_default() {
            "" => "220 ready".to_owned(),
            "USER" => "230 come in".to_owned(),
            "FEAT" => "211-Features:\r\n MLST type*;\r\n211 End".to_owned(),
            "EPSV" => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let port = listener.local_addr().unwrap().port();
                *data.lock().unwrap() = Some(listener);
                format!("229 ok (|||{port}|)")
            }
            "MLSD" => {
                socket.write_all(b"150 go\r\n").unwrap();
                let (mut stream, _) = data.lock().unwrap().take().unwrap().accept().unwrap();
                let lines = "type=file; x\r\n".repeat(1000);
                while stream.write_all(lines.as_bytes()).is_ok() {}
                "426 you closed it".to_owned()
            }
            "TYPE" => "200 image".to_owned(),
            "PWD" => "257 \"/\"".to_owned(),
            "ABOR" => "226 nothing to give up".to_owned(),
            _ => "502 no".to_owned(),
        };
        socket.write_all(format!("{reply}\r\n").as_bytes()).is_ok()
    }));
    let found = examine(&server);
    is_sound(&found);
    let listings = found.about(Topic::Listings).unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!(listings.state, State::Notice);
    assert!(listings.seen.contains("more than 1024 KiB"), "{listings:?}");
}

#[test]
fn what_a_server_says_moves_no_terminal() {
    let server = Server::start(Arc::new(|line: &str, socket: &mut TcpStream| {
        let reply = if line.is_empty() { "220 ready" } else { "530 not welcome\x1b[31m" };
        socket.write_all(format!("{reply}\r\n").as_bytes()).is_ok()
    }));
    let found = examine(&server);
    is_sound(&found);
    assert_eq!(found.about(Topic::Login).map(|login| login.state), Some(State::Problem));
}
