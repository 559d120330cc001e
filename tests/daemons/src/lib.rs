//! The real servers of `tests/servers`, for tests that are not written in Python.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The repository's root.
pub fn root() -> &'static Path {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.ancestors().nth(2).expect("the crate is in a folder of the repository")
}

/// Something that another command built.
///
/// # Panics
/// If it is not there; says how to build it.
pub fn built(variable: &str, path: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let file = std::env::var_os(variable).map_or_else(|| target.join(path), PathBuf::from);
    assert!(file.is_file(), "{} is not there: `make component native` builds it", file.display());
    file
}

/// A running server. It stops when this is dropped, or when the process ends.
pub struct Daemon {
    child: Child,
    facts: Value,
}

impl Daemon {
    /// Starts a server of `tests/servers` by its name, with one TLS version alone if one is given.
    ///
    /// # Panics
    /// If it does not start; what it says is on standard error then.
    pub fn start(name: &str, tls: Option<&str>) -> Self {
        Self::launch(name, tls.map(|version| ["--tls", version]))
    }

    /// Starts a server that shows one of the bad certificates of `tests/servers/pki.py`.
    ///
    /// # Panics
    /// As [`Daemon::start`].
    pub fn showing(name: &str, identity: &str) -> Self {
        Self::launch(name, Some(["--identity", identity]))
    }

    fn launch(name: &str, more: Option<[&str; 2]>) -> Self {
        let venv = root().join(".venv/bin/python");
        let python = if venv.is_file() { venv } else { "python3".into() };
        let mut command = Command::new(python);
        command.current_dir(root()).args(["-m", "tests.servers", name]);
        command.args(more.into_iter().flatten());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let facts =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("{name} did not start: `make setup-daemons`"));
        Self { child, facts }
    }

    /// What the server says about itself.
    ///
    /// # Panics
    /// If it says nothing of that name.
    pub fn text(&self, key: &str) -> &str {
        self.facts[key].as_str().unwrap_or_else(|| panic!("no {key} in {}", self.facts))
    }

    /// One of its ports: `port` or `implicit_port`.
    ///
    /// # Panics
    /// If it has none of that name.
    pub fn port(&self, key: &str) -> u16 {
        let port = self.facts[key].as_u64().unwrap_or_else(|| panic!("no {key} in {}", self.facts));
        port.try_into().expect("a port")
    }

    /// The authority that signed its certificate, as PEM text.
    ///
    /// # Panics
    /// If the file is gone.
    pub fn authority(&self) -> Vec<u8> {
        fs::read(self.text("ca_file")).expect("the authority's certificate")
    }

    /// A local path of what an FTP server serves.
    pub fn file(&self, name: &str) -> PathBuf {
        Path::new(self.text("root")).join(name)
    }

    /// Waits until the mail server has delivered to `recipient`, and returns what came without the server's trace
    /// headers, lines ending in CRLF.
    ///
    /// # Panics
    /// If nothing came within 30 s.
    pub fn delivered(&self, recipient: &str) -> Vec<u8> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(message) = self.find(recipient) {
                return message;
            }
            assert!(Instant::now() < deadline, "nothing was delivered to {recipient}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until `count` messages are in the mailbox, whoever they are for, and returns them whole, lines ending in LF.
    ///
    /// # Panics
    /// If there are not so many within 30 s.
    pub fn mailbox(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let messages: Vec<_> = self.messages().collect();
            if messages.len() >= count {
                return messages.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
            }
            assert!(Instant::now() < deadline, "{} of {count} messages came", messages.len());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What was delivered to `recipient` so far.
    ///
    /// # Panics
    /// If the mailbox cannot be read.
    pub fn find(&self, recipient: &str) -> Option<Vec<u8>> {
        let wanted = ["Delivered-To", "Envelope-to"].map(|name| format!("{name}: {recipient}\n"));
        let is_wanted = |header: &[u8]| wanted.iter().any(|line| header == line.as_bytes());
        let found = self.messages().find(|text| headers(text).any(is_wanted))?;
        let trace: usize = headers(&found).map(<[u8]>::len).sum();
        Some(with_crlf(&found[trace..]))
    }

    fn messages(&self) -> impl Iterator<Item = Vec<u8>> {
        let folder = fs::read_dir(Path::new(self.text("mailbox")).join("new")).expect("a mailbox");
        folder.map(|entry| fs::read(entry.expect("an entry").path()).expect("a message"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It cleans up after itself, and how that ends is not what the test is about.
        let _ = self.child.wait();
    }
}

/// The headers that the server put on top, the last of them `Received`; each with its folded lines.
fn headers(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    const TRACE: [&[u8]; 5] = [b"Return-Path:", b"X-Original-To:", b"Delivered-To:", b"Envelope-to:", b"Received:"];
    let mut rest = Some(message);
    std::iter::from_fn(move || {
        let text = rest?;
        let kind =
            TRACE.iter().find(|name| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))?;
        let mut end = 0;
        loop {
            end += text[end..].iter().position(|&byte| byte == b'\n')? + 1;
            if !matches!(text.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        rest = (*kind != TRACE[4]).then_some(&text[end..]);
        Some(&text[..end])
    })
}

fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    for &byte in text {
        if byte == b'\n' {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}
