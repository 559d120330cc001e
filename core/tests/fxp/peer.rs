//! A file server that knows one dialogue: a control connection under TLS, and no data connection, since in a copy from
//! server to server none comes here.
//!
//! ```text
//!   C: line   waits for exactly this line       tell WORD   lets the other peer go on
//!   C~ line   … that begins so                  wait WORD   waits for that
//!   S: line   says a line                       again       waits for a new connection, up to TLS
//!   close     ends the connection               swallow     takes whatever comes, up to the end
//! ```

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use starttls::transport::Endpoint;

use crate::self_signed::SelfSigned;

/// Nobody waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

type Tls = rustls::StreamOwned<rustls::ServerConnection, TcpStream>;

/// Words that one peer says to the other.
#[derive(Clone, Default)]
pub struct Words(Arc<(Mutex<BTreeSet<String>>, Condvar)>);

impl Words {
    fn tell(&self, word: &str) {
        self.0.0.lock().unwrap().insert(word.to_owned());
        self.0.1.notify_all();
    }

    fn wait(&self, word: &str) {
        let told = self.0.0.lock().unwrap();
        let (told, _) = self.0.1.wait_timeout_while(told, PATIENCE, |told| !told.contains(word)).unwrap();
        assert!(told.contains(word), "nobody says {word}");
    }
}

pub struct Peer {
    pub endpoint: Endpoint,
    thread: JoinHandle<()>,
}

impl Peer {
    /// Plays `script` at `host`.
    pub fn play(host: &str, identity: &SelfSigned, words: &Words, script: String) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let endpoint = Endpoint { host: host.into(), port: listener.local_addr().unwrap().port() };
        let (config, words) = (identity.server.clone(), words.clone());
        let thread = std::thread::spawn(move || {
            let mut stage = Stage { listener, config, words, line: None };
            for step in script.lines().map(str::trim).filter(|step| !step.is_empty()) {
                stage.step(step);
            }
        });
        Self { endpoint, thread }
    }

    /// Waits for the end of the script.
    pub fn join(self) {
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

struct Stage {
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    words: Words,
    line: Option<Tls>,
}

impl Stage {
    fn step(&mut self, step: &str) {
        match step.split_at_checked(3) {
            Some(("C: ", wanted)) => {
                let said = self.hear();
                assert_eq!(said.as_deref(), Some(wanted));
            }
            Some(("C~ ", wanted)) => {
                let said = self.hear();
                assert!(said.as_ref().is_some_and(|said| said.starts_with(wanted)), "{said:?}, not {wanted}");
            }
            Some(("S: ", line)) => self.tls().write_all(format!("{line}\r\n").as_bytes()).unwrap(),
            _ => match step.split_once(' ') {
                Some(("tell", word)) => self.words.tell(word),
                Some(("wait", word)) => self.words.wait(word),
                None if step == "again" => self.accept(),
                None if step == "close" => self.close(),
                None if step == "swallow" => while self.hear().is_some() {},
                _ => panic!("no such step: {step}"),
            },
        }
    }

    fn tls(&mut self) -> &mut Tls {
        self.line.as_mut().expect("a connection")
    }

    fn accept(&mut self) {
        let (mut socket, _) = self.listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(b"220 ready\r\n").unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        assert_eq!(asked, b"AUTH TLS\r\n");
        socket.write_all(b"234 go on\r\n").unwrap();
        let tls = rustls::ServerConnection::new(self.config.clone()).unwrap();
        self.line = Some(rustls::StreamOwned::new(tls, socket));
    }

    fn close(&mut self) {
        let mut tls = self.line.take().expect("a connection");
        tls.conn.send_close_notify();
        // The client may be gone.
        let _ = tls.flush();
    }

    /// The next line; `None` at the end.
    fn hear(&mut self) -> Option<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            match self.tls().read(&mut byte) {
                Ok(1) => line.push(byte[0]),
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => panic!("nothing comes"),
                _ => return None,
            }
        }
        line.truncate(line.len() - 2);
        Some(String::from_utf8(line).unwrap())
    }
}

/// A login to a server with these features.
pub fn login(features: &str) -> String {
    let features: String = features.split(' ').map(|feature| format!("S:  {feature}\n")).collect();
    format!(
        "again\nC: USER ada\nS: 331 password\nC: PASS pencil-secret\nS: 230 welcome\nC: FEAT\nS: 211-Features:\n\
         {features}S: 211 End\nC: OPTS UTF8 ON\nS: 200 ok\nC: PBSZ 0\nS: 200 ok\nC: PROT P\nS: 200 ok\nC: TYPE I\n\
         S: 200 ok\n"
    )
}

/// Good-bye.
pub const QUIT: &str = "C: QUIT\nS: 221 bye\nclose\n";
