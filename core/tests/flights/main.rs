//! Transfers in flights against a model of a server: whatever it does with commands during a transfer, however it answers
//! ABOR, whatever it breaks off, and wherever a call is dropped: what is called complete is, every answer is that of its own
//! command, nobody waits for ever, and the session goes on in step or says why not.
#![allow(missing_docs, clippy::unwrap_used)]

mod manners;
mod model;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use manners::Manners;
use model::Model;
use starttls::ftp::{Client, Credentials, ServerMemory, Settings};
use starttls::trace::Trace;
use starttls::transport::{Endpoint, Host, Hosted};
use starttls::{Error, ErrorKind, Options, Security};

/// Random numbers, the same ones for the same seed (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A session under way, and what is true on the other side.
struct Play {
    host: Host,
    model: Model,
    dice: Dice,
    /// Where the session is; `None` after a change that nobody waited for.
    directory: Option<String>,
    /// It could not be replaced, because nobody knows where it was.
    lost: bool,
    uploads: u64,
}

/// How long a call is waited for: so many polls, or to its end.
type Patience = Option<u64>;

impl Play {
    /// Polls `work` to its end, or so many times.
    fn drive<T>(&mut self, mut patience: Patience, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        for _ in 0..200_000 {
            if let Poll::Ready(output) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Some(output);
            }
            if patience == Some(0) {
                return None;
            }
            patience = patience.map(|left| left - 1);
            assert!(self.model.turn(&self.host, &mut self.dice), "nobody can do anything any more");
        }
        panic!("the client goes on for ever");
    }

    /// An operation's result: with a well-behaved server there is one, and after a failure everything may fail, clearly.
    fn judge<T>(&mut self, what: &str, outcome: Option<Result<T, Error>>) -> Option<T> {
        match outcome? {
            Ok(value) => Some(value),
            Err(error) => {
                let refused = error.reply().is_some_and(|reply| reply.text().contains("nowhere"));
                let lost = self.directory.is_none() && error.to_string().contains("directory was not waited for");
                let expected = lost || self.lost || !self.model.manners.are_good() || refused;
                self.lost |= lost;
                assert!(expected, "{what}: {error:?}\n{:?}", self.model.manners);
                // Nobody's own words are another's.
                assert!(
                    !matches!(error.kind(), ErrorKind::Local(_) | ErrorKind::InvalidArgument(_)),
                    "{what}: {error:?}"
                );
                None
            }
        }
    }

    fn here(&self, name: &str) -> Option<String> {
        self.directory.as_ref().map(|directory| format!("{}/{name}", directory.trim_end_matches('/')))
    }

    /// Whoever dropped a call says that the transfer is over, now or at the next one.
    fn give_up(&mut self, client: &mut Client<Hosted>) {
        if self.dice.one_in(2) {
            client.abandon();
        } else {
            let patience = self.patience();
            self.drive(patience, client.abort());
        }
    }

    fn patience(&mut self) -> Patience {
        if self.dice.one_in(5) { Some(self.dice.below(60)) } else { None }
    }

    fn step(&mut self, client: &mut Client<Hosted>) {
        let patience = self.patience();
        let name = match self.dice.below(12) {
            0 => "nowhere".to_owned(),
            n => format!("f{}", n % 4),
        };
        match self.dice.below(10) {
            0..=3 => self.get(client, &name, patience),
            4 => self.put(client, patience),
            5 => self.list(client, patience),
            6 => self.change_directory(client, patience),
            7 => {
                let size = self.drive(patience, client.size(&name));
                if let (Some(size), Some(path)) = (self.judge("size", size), self.here(&name)) {
                    assert_eq!(
                        Some(size),
                        self.model.files.get(&path).map(|bytes| bytes.len() as u64),
                        "size of {path}"
                    );
                }
            }
            8 => {
                let path = self.drive(patience, client.pwd());
                if let (Some(path), Some(directory)) = (self.judge("pwd", path), &self.directory) {
                    assert_eq!(String::from_utf8(path).unwrap(), *directory, "pwd");
                }
            }
            _ => {
                let reply = self.drive(patience, client.noop());
                if let Some(reply) = self.judge("noop", reply) {
                    assert!(reply.text().contains("NOOP"), "{reply:?}");
                }
            }
        }
    }

    fn get(&mut self, client: &mut Client<Hosted>, name: &str, patience: Patience) {
        let lines = self.dice.one_in(6);
        let offset = if !lines && self.dice.one_in(3) { 1 + self.dice.below(30) } else { 0 };
        let stop_after = if self.dice.one_in(4) { Some(self.dice.below(4)) } else { None };
        let mut content = Vec::new();
        let work = async {
            match lines {
                true => client.start_download_text(name).await?,
                false => client.start_download(name, offset).await?,
            }
            let mut pieces = 0;
            while client.receive(&mut |bytes| content.extend_from_slice(bytes)).await? {
                pieces += 1;
                if Some(pieces) == stop_after {
                    client.abort().await;
                    return Ok(None);
                }
            }
            client.finish().await.map(Some)
        };
        let outcome = self.drive(patience, work);
        if outcome.is_none() {
            self.give_up(client);
        }
        let Some(Some(receipt)) = self.judge("get", outcome) else { return };
        assert!(receipt.reply.text().contains("RETR"), "{receipt:?}");
        if let Some(path) = self.here(name) {
            let whole = &self.model.files[&path];
            let expected = &whole[whole.len().min(offset as usize)..];
            assert!(content == expected, "{path} from {offset}: {} bytes, not {}", content.len(), expected.len());
        }
    }

    fn put(&mut self, client: &mut Client<Hosted>, patience: Patience) {
        self.uploads += 1;
        let name = format!("up{}", self.uploads);
        let size = [0, 100, 20_000, 120_000][self.dice.below(4) as usize];
        let content: Vec<u8> = model::content(&name, size);
        let stop = self.dice.one_in(4);
        let work = async {
            client.start_upload(&name, 0).await?;
            for piece in content.chunks(9_000) {
                client.transmit(piece).await?;
                if stop {
                    client.abort().await;
                    return Ok(None);
                }
            }
            client.finish().await.map(Some)
        };
        let outcome = self.drive(patience, work);
        if outcome.is_none() {
            self.give_up(client);
        }
        let Some(Some(receipt)) = self.judge("put", outcome) else { return };
        assert!(receipt.reply.text().contains(&format!("STOR {name} ")), "{receipt:?}");
        if let Some(path) = self.here(&name) {
            assert!(self.model.files.get(&path) == Some(&content), "{path} was called complete");
        }
    }

    fn list(&mut self, client: &mut Client<Hosted>, patience: Patience) {
        let outcome = self.drive(patience, client.entries(""));
        if outcome.is_none() {
            self.give_up(client);
        }
        let Some(entries) = self.judge("list", outcome) else { return };
        if let Some(below) = self.here("") {
            let names: Vec<_> = self.model.files.keys().filter_map(|file| file.strip_prefix(&below)).collect();
            let names: Vec<_> = names.into_iter().filter(|name| !name.contains('/')).collect();
            let mut told: Vec<_> = entries.iter().map(|entry| entry.name().into_owned()).collect();
            told.sort_unstable();
            assert_eq!(told, names, "{below}");
        }
    }

    fn change_directory(&mut self, client: &mut Client<Hosted>, patience: Patience) {
        let to = ["/", "/a", "/a/b", "a", "b", "..", "nowhere"][self.dice.below(7) as usize];
        let before = self.directory.take();
        match self.drive(patience, client.cwd(to)) {
            Some(Ok(reply)) => {
                let verb = if to == ".." { "CDUP" } else { to };
                assert!(reply.text().contains(verb), "{reply:?}");
                self.directory = match (to, before) {
                    ("..", Some(before)) => {
                        Some(before.rsplit_once('/').map_or("/", |(up, _)| if up.is_empty() { "/" } else { up }).into())
                    }
                    (to, _) if to.starts_with('/') => Some(to.into()),
                    (to, Some(before)) => Some(format!("{}/{to}", before.trim_end_matches('/'))),
                    (_, None) => None,
                };
            }
            Some(Err(error)) if error.reply().is_some_and(|reply| reply.code() == 550) => {
                let words = error.reply().unwrap().text();
                assert!(words.contains("CWD") || words.contains("EXTRA") || words.contains("CDUP"), "{words}");
                self.directory = before;
            }
            outcome => drop(self.judge("cwd", outcome)),
        }
    }
}

/// One random session.
fn session(seed: u64, shown: bool) {
    let mut dice = Dice(seed);
    let manners = Manners::random(&mut dice);
    let host = Host::new();
    let endpoint = Endpoint { host: "model.example".into(), port: 21 };
    let trace = match shown {
        true => Trace::new(|event| eprintln!("{event}")),
        false => Trace::default(),
    };
    let options = Options { security: Security::Plaintext, trace, ..Options::default() };
    let keep_alive = dice.one_in(4).then_some(std::time::Duration::ZERO);
    let settings = Settings { memory: ServerMemory::new(), keep_alive, ..Settings::default() };
    let transport = host.transport();
    let mut play =
        Play { host, model: Model::new(manners), dice, directory: Some("/".into()), lost: false, uploads: 0 };
    let opened = play.drive(None, async {
        let mut client = Client::connect_with(transport, &endpoint, options, &settings).await?;
        client.login(&Credentials::anonymous()).await?;
        Ok::<_, Error>(client)
    });
    let Ok(mut client) = opened.unwrap() else {
        assert!(!manners.are_good(), "{manners:?}");
        return;
    };
    for _ in 0..3 + play.dice.below(12) {
        play.step(&mut client);
    }
    play.drive(None, client.quit());
}

#[test]
fn every_answer_finds_its_command() {
    let only: Option<u64> = std::env::var("STARTTLS_SEED").ok().and_then(|text| text.parse().ok());
    let failed: Vec<u64> = only
        .map_or(1..4_000, |seed| seed..seed + 1)
        .filter(|seed| {
            std::panic::catch_unwind(|| session(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15), only.is_some())).is_err()
        })
        .take(20)
        .collect();
    assert!(failed.is_empty(), "STARTTLS_SEED=… plays it again: {failed:?}");
}
