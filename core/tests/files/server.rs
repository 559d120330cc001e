//! A server for tests: in clear text, its files in memory, and as unreliable as it is told to be.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};

use starttls::ftp::hash::{Algorithm, Hasher};
use starttls::transport::Endpoint;

/// What happens to one transfer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing: it goes well.
    None,
    /// Data and control end after so many bytes.
    Cut(usize),
    /// The data connection ends after so many bytes, and the server says 426.
    Abort(usize),
    /// The data connection ends after so many bytes, and the server says 226.
    Lie(usize),
    /// Data and control end after so many bytes, and the file becomes another.
    Change(usize, Vec<u8>),
    /// The transfer is refused with this reply.
    Refuse(&'static str),
}

/// A file, and when it was modified, in seconds.
pub type Stored = (Vec<u8>, u64);

pub struct World {
    pub files: Mutex<BTreeMap<String, Stored>>,
    pub faults: Mutex<VecDeque<Fault>>,
    pub features: Mutex<Vec<&'static str>>,
    /// Commands that are refused, by how they begin.
    pub refused: Mutex<Vec<&'static str>>,
    pub log: Mutex<Vec<String>>,
    /// How many sessions there may be at once, and are, and were at most.
    pub most: AtomicUsize,
    pub now: AtomicUsize,
    pub seen: AtomicUsize,
    pub port: u16,
}

/// All that it can do.
pub const ALL: &[&str] = &["SIZE", "MDTM", "REST STREAM", "MFMT", "HASH SHA-256*;MD5", "RANG STREAM", "EPSV"];

impl World {
    pub fn serve(features: &[&'static str]) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let world = Arc::new(Self {
            files: Mutex::default(),
            faults: Mutex::default(),
            features: Mutex::new(features.to_vec()),
            refused: Mutex::default(),
            log: Mutex::default(),
            most: AtomicUsize::new(100),
            now: AtomicUsize::new(0),
            seen: AtomicUsize::new(0),
            port: listener.local_addr().unwrap().port(),
        });
        let shared = world.clone();
        std::thread::spawn(move || {
            for control in listener.incoming() {
                let (world, control) = (shared.clone(), control.unwrap());
                std::thread::spawn(move || {
                    let open = world.now.fetch_add(1, SeqCst) + 1;
                    world.seen.fetch_max(open, SeqCst);
                    // A client that goes away is no failure of the server.
                    let _ = Session { world: &world, control, data: None, rest: 0, range: None, from: None }.run(open);
                    world.now.fetch_sub(1, SeqCst);
                });
            }
        });
        world
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint { host: "127.0.0.1".into(), port: self.port }
    }

    pub fn put(&self, name: &str, content: &[u8], modified: u64) {
        lock(&self.files).insert(name.into(), (content.to_vec(), modified));
    }

    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        lock(&self.files).get(name).map(|(content, _)| content.clone())
    }

    pub fn names(&self) -> Vec<String> {
        lock(&self.files).keys().cloned().collect()
    }

    pub fn will(&self, faults: impl IntoIterator<Item = Fault>) {
        *lock(&self.faults) = faults.into_iter().collect();
    }

    /// How often a command was given that begins so.
    pub fn heard(&self, command: &str) -> usize {
        lock(&self.log).iter().filter(|line| line.starts_with(command)).count()
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Session<'w> {
    world: &'w World,
    control: TcpStream,
    data: Option<TcpListener>,
    rest: usize,
    range: Option<(usize, usize)>,
    from: Option<String>,
}

type Outcome = std::io::Result<()>;

impl Session<'_> {
    fn run(&mut self, open: usize) -> Outcome {
        if open > self.world.most.load(SeqCst) {
            return self.say("421 Too many connections.");
        }
        self.say("220 ready")?;
        let mut lines = BufReader::new(self.control.try_clone()?);
        let mut line = String::new();
        loop {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let command = line.trim_end().to_owned();
            lock(&self.world.log).push(command.clone());
            if lock(&self.world.refused).iter().any(|refused| command.starts_with(refused)) {
                self.say("502 Not here.")?;
                continue;
            }
            let (verb, argument) = command.split_once(' ').unwrap_or((&command, ""));
            match verb {
                "QUIT" => return self.say("221 bye"),
                _ => self.answer(verb, argument)?,
            }
        }
    }

    fn say(&mut self, line: &str) -> Outcome {
        self.control.write_all(format!("{line}\r\n").as_bytes())
    }

    fn answer(&mut self, verb: &str, argument: &str) -> Outcome {
        match verb {
            "USER" => self.say("331 and the password?"),
            "PASS" => self.say("230 welcome"),
            "FEAT" => {
                let features = lock(&self.world.features).join("\r\n ");
                self.say(&format!("211-Features:\r\n {features}\r\n211 end"))
            }
            "PWD" => self.say("257 \"/\" is here"),
            "TYPE" | "OPTS" | "CWD" | "NOOP" | "ALLO" | "PBSZ" | "PROT" | "CLNT" | "LANG" => self.say("200 fine"),
            "ABOR" => self.say("226 nothing to abort"),
            "EPSV" => {
                let data = TcpListener::bind("127.0.0.1:0")?;
                let port = data.local_addr()?.port();
                self.data = Some(data);
                self.say(&format!("229 here (|||{port}|)"))
            }
            "REST" => {
                self.rest = argument.parse().unwrap_or(0);
                self.say("350 from there on")
            }
            "RANG" => {
                let mut ends = argument.split(' ').filter_map(|end| end.parse::<usize>().ok());
                self.range = ends.next().zip(ends.next()).filter(|(first, last)| first <= last);
                self.say("350 that part")
            }
            "SIZE" => match self.world.content(argument) {
                Some(content) => self.say(&format!("213 {}", content.len())),
                None => self.say("550 no such file"),
            },
            "MDTM" => match lock(&self.world.files).get(argument).map(|(_, modified)| *modified) {
                Some(modified) => self.say(&format!("213 {}", digits(modified))),
                None => self.say("550 no such file"),
            },
            "MFMT" => {
                let (time, name) = argument.split_once(' ').unwrap_or_default();
                let known = match lock(&self.world.files).get_mut(name) {
                    Some(file) => {
                        // Only what the tests set: seconds of one day.
                        file.1 = time.parse::<u64>().map_or(0, |time| time % 100);
                        true
                    }
                    None => false,
                };
                self.say(if known { "213 so be it" } else { "550 no such file" })
            }
            "HASH" => {
                let Some(content) = self.world.content(argument) else { return self.say("550 no such file") };
                let (first, last) = self.range.take().unwrap_or((0, content.len().saturating_sub(1)));
                let mut hasher = Hasher::new(Algorithm::Sha256);
                hasher.update(content.get(first..=last).unwrap_or_default());
                self.say(&format!("213 SHA-256 {first}-{last} {} {argument}", hasher.finish()))
            }
            "DELE" => match lock(&self.world.files).remove(argument) {
                Some(_) => self.say("250 gone"),
                None => self.say("550 no such file"),
            },
            "RNFR" => {
                self.from = Some(argument.into());
                self.say("350 and where to?")
            }
            "RNTO" => {
                let from = self.from.take().unwrap_or_default();
                let onto = lock(&self.world.refused).contains(&"onto") && self.world.content(argument).is_some();
                let moved = if onto { None } else { lock(&self.world.files).remove(&from) };
                match moved {
                    Some(file) => {
                        lock(&self.world.files).insert(argument.into(), file);
                        self.say("250 moved")
                    }
                    None => self.say("553 cannot be"),
                }
            }
            "MLSD" => self.list(),
            "RETR" => self.retrieve(argument),
            "STOR" => self.store(argument, false),
            "APPE" => self.store(argument, true),
            _ => self.say("500 what?"),
        }
    }

    fn fault(&self) -> Fault {
        lock(&self.world.faults).pop_front().unwrap_or(Fault::None)
    }

    fn open(&mut self) -> std::io::Result<TcpStream> {
        self.data.take().ok_or(std::io::ErrorKind::NotConnected)?.accept().map(|(data, _)| data)
    }

    fn end(&mut self) -> Outcome {
        self.control.shutdown(Shutdown::Both)
    }

    /// All files there are; every directory has them.
    fn list(&mut self) -> Outcome {
        let line = |(name, (content, modified)): (&String, &Stored)| {
            format!("type=file;size={};modify={}; {name}\r\n", content.len(), digits(*modified))
        };
        let lines: String = lock(&self.world.files).iter().map(line).collect();
        let mut data = self.open()?;
        self.say("150 here they are")?;
        data.write_all(lines.as_bytes())?;
        drop(data);
        self.say("226 done")
    }

    fn retrieve(&mut self, name: &str) -> Outcome {
        let fault = self.fault();
        if let Fault::Refuse(reply) = fault {
            // A range stays until it is used or taken back.
            self.rest = 0;
            return self.say(reply);
        }
        let Some(content) = self.world.content(name) else { return self.say("550 no such file") };
        if self.range.is_some_and(|(_, last)| last >= content.len()) && lock(&self.world.refused).contains(&"beyond") {
            return self.say("554 no such part");
        }
        let (first, end) = match self.range.take() {
            Some((first, _)) if lock(&self.world.refused).contains(&"end of a range") => (first, content.len()),
            Some((first, last)) => (first, last + 1),
            None => (std::mem::take(&mut self.rest), content.len()),
        };
        let mut data = self.open()?;
        self.say("150 here it comes")?;
        let bytes = content.get(first..end.min(content.len())).unwrap_or_default();
        let piece = |count: usize| &bytes[..count.min(bytes.len())];
        match fault {
            Fault::Cut(after) | Fault::Abort(after) | Fault::Lie(after) | Fault::Change(after, _) => {
                data.write_all(piece(after))?;
            }
            Fault::None | Fault::Refuse(_) => {
                if data.write_all(bytes).is_err() {
                    return self.say("426 you hung up");
                }
            }
        }
        drop(data);
        match fault {
            Fault::Cut(_) => self.end(),
            Fault::Change(_, content) => {
                let modified = lock(&self.world.files).get(name).map_or(0, |(_, modified)| modified + 1);
                self.world.put(name, &content, modified);
                self.end()
            }
            Fault::Abort(_) => self.say("426 cut"),
            _ => self.say("226 done"),
        }
    }

    fn store(&mut self, name: &str, append: bool) -> Outcome {
        let fault = self.fault();
        if let Fault::Refuse(reply) = fault {
            return self.say(reply);
        }
        let (mut content, modified) = lock(&self.world.files).get(name).cloned().unwrap_or_default();
        let rest = std::mem::take(&mut self.rest);
        if !append {
            content.resize(rest, 0);
        }
        let mut data = self.open()?;
        self.say("150 go ahead")?;
        let most = match fault {
            Fault::Cut(after) | Fault::Abort(after) | Fault::Lie(after) => after,
            _ => usize::MAX,
        };
        let before = content.len();
        let mut piece = [0; 8192];
        while content.len() - before < most {
            let room = piece.len().min(most - (content.len() - before));
            match data.read(&mut piece[..room]) {
                Ok(0) | Err(_) => break,
                Ok(count) => content.extend_from_slice(&piece[..count]),
            }
        }
        lock(&self.world.files).insert(name.into(), (content, modified));
        match fault {
            Fault::Cut(_) => {
                data.shutdown(Shutdown::Both)?;
                self.end()
            }
            Fault::Abort(_) => {
                drop(data);
                self.say("426 cut")
            }
            Fault::Lie(_) => {
                // To the end, so that the client does not see a reset.
                while data.read(&mut piece).is_ok_and(|count| count > 0) {}
                drop(data);
                self.say("226 all of it")
            }
            _ => {
                drop(data);
                self.say("226 done")
            }
        }
    }
}

fn digits(seconds: u64) -> String {
    format!("2020010100{:02}{:02}", seconds / 60 % 60, seconds % 60)
}
