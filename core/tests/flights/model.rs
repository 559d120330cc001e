//! A file server as the RFCs leave room for, and as some are: what it does with commands during a transfer, how it answers
//! ABOR, what it says too early, too late, twice, or not at all. It knows what it stored and sent.

use std::collections::{BTreeMap, VecDeque};

use starttls::transport::{ChannelId, Host, Request};

use crate::Dice;
use crate::manners::{Abor, During, Manners};

#[derive(Debug)]
struct Moving {
    command: String,
    number: u64,
    /// What is still to be sent; of an upload, what came.
    bytes: Vec<u8>,
    up: bool,
    /// It is cut here.
    cut: bool,
    /// 150 was said.
    begun: bool,
    verdict_said: bool,
}

/// A control connection and its session.
pub(crate) struct Control {
    channel: ChannelId,
    input: Vec<u8>,
    waiting: VecDeque<String>,
    /// When it is said, and what.
    output: VecDeque<(u64, Vec<u8>)>,
    pub(crate) directory: String,
    lines: bool,
    rest: usize,
    port: Option<u16>,
    data: Option<ChannelId>,
    data_ended: bool,
    moving: Option<Moving>,
    gone: bool,
}

/// So many bytes of lines that tell whose they are.
pub(crate) fn content(name: &str, size: usize) -> Vec<u8> {
    let line = format!("{name}\n");
    let mut content = line.repeat(size / line.len() + 1).into_bytes();
    content.truncate(size);
    content
}

pub(crate) struct Model {
    pub(crate) manners: Manners,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) controls: Vec<Control>,
    owners: BTreeMap<ChannelId, usize>,
    deadlines: BTreeMap<ChannelId, u64>,
    now: u64,
    next_port: u16,
    count: u64,
    /// Commands as they came, for whoever looks into a failure.
    pub(crate) heard: Vec<String>,
}

impl Model {
    pub(crate) fn new(manners: Manners) -> Self {
        let mut files = BTreeMap::new();
        for (number, directory) in ["/", "/a/", "/a/b/"].iter().enumerate() {
            for file in 0..4_usize {
                let size = [0, 37, 4_000, 90_000][file] + number;
                let name = format!("{directory}f{file}");
                let bytes = content(&name, size);
                files.insert(name, bytes);
            }
        }
        Self {
            manners,
            files,
            controls: Vec::new(),
            owners: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            now: 0,
            next_port: 2_000,
            count: 0,
            heard: Vec::new(),
        }
    }

    /// Does what is asked, and moves what there is to move; whether anything happened.
    pub(crate) fn turn(&mut self, host: &Host, dice: &mut Dice) -> bool {
        let mut happened = false;
        while let Some(request) = host.next_request() {
            happened |= !matches!(request, Request::Deadline { .. });
            self.serve(host, dice, request);
        }
        for at in 0..self.controls.len() {
            happened |= self.advance(at, host, dice);
        }
        happened || self.tick(host)
    }

    fn serve(&mut self, host: &Host, dice: &mut Dice, request: Request) {
        match request {
            Request::Connect { channel, to, .. } if to.port == 21 => {
                host.connected(channel, None);
                self.owners.insert(channel, self.controls.len());
                self.controls.push(Control {
                    channel,
                    input: Vec::new(),
                    waiting: VecDeque::new(),
                    output: VecDeque::from([(0, b"220 model\r\n".to_vec())]),
                    directory: "/".into(),
                    lines: false,
                    rest: 0,
                    port: None,
                    data: None,
                    data_ended: false,
                    moving: None,
                    gone: false,
                });
            }
            Request::Connect { channel, to, .. } => {
                match self.controls.iter().position(|control| control.port == Some(to.port) && control.data.is_none()) {
                    Some(at) => {
                        host.connected(channel, None);
                        self.controls[at].data = Some(channel);
                        self.controls[at].data_ended = false;
                        self.owners.insert(channel, at);
                    }
                    None => host.failed(channel, std::io::ErrorKind::ConnectionRefused, "nobody waits there"),
                }
            }
            Request::Write { channel, bytes } => {
                host.written(channel, bytes.len());
                let Some(&at) = self.owners.get(&channel) else { return };
                let control = &mut self.controls[at];
                if control.channel == channel {
                    control.input.extend_from_slice(&bytes);
                    while let Some(end) = self.controls[at].input.windows(2).position(|pair| pair == b"\r\n") {
                        let line: Vec<u8> = self.controls[at].input.drain(..end + 2).collect();
                        let line = String::from_utf8_lossy(&line[..end]).into_owned();
                        self.hear(at, host, dice, line);
                    }
                } else if control.data == Some(channel)
                    && let Some(moving) = control.moving.as_mut().filter(|moving| moving.up)
                {
                    moving.bytes.extend_from_slice(&bytes);
                }
            }
            Request::Shutdown { channel } | Request::Close { channel } => {
                self.deadlines.remove(&channel);
                if let Some(&at) = self.owners.get(&channel) {
                    let control = &mut self.controls[at];
                    if control.channel == channel {
                        control.gone = true;
                    } else if control.data == Some(channel) {
                        control.data_ended = true;
                        host.received_eof(channel);
                    }
                }
            }
            Request::Deadline { channel, within } => {
                self.deadlines.insert(channel, self.now + u64::try_from(within.as_millis()).unwrap_or(u64::MAX / 2));
            }
            other => panic!("nobody asked for {other:?}"),
        }
    }

    fn hear(&mut self, at: usize, host: &Host, dice: &mut Dice, line: String) {
        self.heard.push(format!("{at}: {line}"));
        let Manners { during, abor, .. } = self.manners;
        let control = &mut self.controls[at];
        if control.gone {
            return;
        }
        if control.moving.is_none() || !control.waiting.is_empty() && line != "ABOR" {
            control.waiting.push_back(line);
            return;
        }
        if line == "ABOR" {
            match abor {
                Abor::AfterTransfer => control.waiting.push_back(line),
                Abor::Nothing => {}
                _ => {
                    let moving = control.moving.take();
                    self.drop_data(at, host);
                    let what = moving.map_or_else(String::new, |moving| moving.command);
                    match abor {
                        Abor::CutAndDone => {
                            self.say(at, &format!("426 {what} given up"));
                            self.say(at, "226 ABOR done");
                        }
                        Abor::DoneTwice => {
                            self.say(at, &format!("226 {what} given up"));
                            self.say(at, "226 ABOR done");
                        }
                        Abor::NoTransfer => self.say(at, "225 ABOR nothing there"),
                        _ => self.say(at, "226 ABOR done"),
                    }
                    // What stood behind the transfer has its answers.
                    let waiting = std::mem::take(&mut self.controls[at].waiting);
                    for line in waiting {
                        self.obey(at, dice, &line);
                    }
                }
            }
            return;
        }
        let verb = line.split(' ').next().unwrap_or_default().to_owned();
        match during {
            During::AtOnce => self.obey(at, dice, &line),
            During::EpsvAtOnce if verb == "EPSV" => self.obey(at, dice, &line),
            During::Refused => self.say(at, &format!("450 {verb} not now")),
            During::ThrownAway => self.say(at, &format!("500 {verb} unknown")),
            During::Ignored => {}
            During::EpsvEnds if verb == "EPSV" => {
                let moving = control.moving.take();
                self.drop_data(at, host);
                self.say(at, &format!("426 {} given up", moving.map_or_else(String::new, |moving| moving.command)));
                self.obey(at, dice, &line);
            }
            _ => control.waiting.push_back(line),
        }
    }

    fn drop_data(&mut self, at: usize, host: &Host) {
        if let Some(channel) = self.controls[at].data.take() {
            host.received_eof(channel);
        }
    }

    fn say(&mut self, at: usize, line: &str) {
        self.count += 1;
        let (code, text) = line.split_at(3);
        let number = self.count;
        let line = match self.manners.multiline && !code.starts_with('1') && code != "257" && number.is_multiple_of(3) {
            // A line of a reply that looks like one.
            true => format!("{code}-more\r\n 226 done\r\n257 \"/nowhere\" is no place\r\n{code}{text} #{number}\r\n"),
            false => format!("{code}{text} #{number}\r\n"),
        };
        let when = self.now + if number.is_multiple_of(4) { self.manners.slow } else { 0 };
        self.controls[at].output.push_back((when, line.into_bytes()));
    }

    fn path(&self, at: usize, path: &str) -> String {
        let directory = &self.controls[at].directory;
        match path.strip_prefix('/') {
            Some(_) => path.to_owned(),
            None => format!("{}/{path}", directory.trim_end_matches('/')),
        }
    }

    /// A command whose turn has come.
    fn obey(&mut self, at: usize, dice: &mut Dice, line: &str) {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let Manners { goodbye, extra, silent, .. } = self.manners;
        let fault = |dice: &mut Dice, n: u64| n > 0 && dice.one_in(n);
        if self.count > 12 && fault(dice, goodbye) {
            self.say(at, "421 enough");
            self.controls[at].moving = None;
            self.controls[at].gone = true;
            return;
        }
        if self.count > 12 && fault(dice, silent) {
            return;
        }
        let path = self.path(at, argument);
        match verb {
            "USER" => self.say(at, "331 USER who"),
            "PASS" => self.say(at, "230 PASS in"),
            "FEAT" => {
                let mlst = if self.manners.mlsd { " MLST type*;size*;\r\n" } else { "" };
                let text = format!("211-FEAT\r\n SIZE\r\n REST STREAM\r\n{mlst}211 FEAT end\r\n");
                self.controls[at].output.push_back((self.now, text.into_bytes()));
            }
            "SYST" => self.say(at, "215 UNIX SYST"),
            "OPTS" | "NOOP" => self.say(at, &format!("200 {verb} ok")),
            "TYPE" => {
                self.controls[at].lines = argument == "A";
                self.say(at, "200 TYPE ok");
            }
            "PWD" => {
                let text = format!("257 \"{}\" PWD", self.controls[at].directory);
                self.say(at, &text);
            }
            "CDUP" | "CWD" => {
                let up = || path.trim_end_matches('/').rsplit_once('/').map_or("/", |(up, _)| up).to_owned();
                let mut path = if verb == "CDUP" { up() } else { path.clone() };
                if path.is_empty() {
                    path.push('/');
                }
                let below = format!("{}/", path.trim_end_matches('/'));
                if self.files.keys().any(|file| file.starts_with(&below)) {
                    self.controls[at].directory = path;
                    self.say(at, &format!("250 {verb} {argument}"));
                } else {
                    self.say(at, &format!("550 {verb} {argument}"));
                }
            }
            "SIZE" => match self.files.get(&path) {
                Some(bytes) if !self.controls[at].lines => {
                    let text = format!("213 {}\r\n", bytes.len());
                    self.controls[at].output.push_back((self.now, text.into_bytes()));
                }
                Some(_) => self.say(at, &format!("550 SIZE {argument}: not of lines")),
                None => self.say(at, &format!("550 SIZE {argument}")),
            },
            "REST" => {
                self.controls[at].rest = argument.parse().unwrap();
                self.say(at, &format!("350 REST {argument}"));
            }
            "EPSV" if !self.manners.epsv => self.say(at, "500 EPSV unknown"),
            "EPSV" | "PASV" => {
                if !self.manners.one_port || self.controls[at].port.is_none() {
                    self.next_port += 1;
                    self.controls[at].port = Some(self.next_port);
                }
                let port = self.controls[at].port.unwrap();
                self.controls[at].data = None;
                // No number behind it: the text in the parentheses is what counts.
                match verb {
                    "EPSV" => self.say(at, &format!("229 EPSV (|||{port}|)")),
                    _ => self.say(at, &format!("227 PASV (127,0,0,1,{},{})", port / 256, port % 256)),
                }
            }
            "RETR" | "LIST" | "MLSD" | "STOR" => self.begin(at, dice, line, verb, &path),
            "ABOR" => self.say(at, "225 ABOR nothing there"),
            "QUIT" => {
                self.say(at, "221 QUIT bye");
                self.controls[at].gone = true;
            }
            _ => self.say(at, &format!("500 {verb} unknown")),
        }
        let control = &self.controls[at];
        if self.count > 12 && control.moving.is_none() && control.waiting.is_empty() && fault(dice, extra) {
            let words = ["226 EXTRA", "257 \"/extra\" EXTRA", "200 EXTRA", "550 EXTRA"][dice.below(4) as usize];
            // With the answer that it follows: what comes later than the next command, nobody can tell from its answer.
            let output = &mut self.controls[at].output;
            match output.back_mut() {
                Some((_, last)) => last.extend_from_slice(format!("{words}\r\n").as_bytes()),
                None => output.push_back((self.now, format!("{words}\r\n").into_bytes())),
            }
        }
    }

    fn begin(&mut self, at: usize, dice: &mut Dice, line: &str, verb: &str, path: &str) {
        let control = &mut self.controls[at];
        let offset = std::mem::take(&mut control.rest);
        let content = match verb {
            "STOR" => Some(Vec::new()),
            "RETR" => self.files.get(path).map(|bytes| bytes[offset.min(bytes.len())..].to_vec()),
            _ => {
                let below = format!("{}/", control.directory.trim_end_matches('/'));
                let names = self.files.keys().filter_map(|file| file.strip_prefix(&below));
                let names = names.filter(|name| !name.contains('/'));
                let line = |name: &str| match verb {
                    "MLSD" => format!("type=file;size=1; {name}\r\n"),
                    _ => format!("-rw-r--r-- 1 o g 1 Jan 01 2020 {name}\r\n"),
                };
                Some(names.map(line).collect::<String>().into_bytes())
            }
        };
        let Some(mut bytes) = content else {
            // It waits no more.
            control.port = control.port.filter(|_| self.manners.one_port);
            return self.say(at, &format!("550 {line}"));
        };
        if control.lines && verb == "RETR" {
            bytes = String::from_utf8(bytes).unwrap().replace('\n', "\r\n").into_bytes();
        }
        self.count += 1;
        let cut = self.manners.truncates > 0 && verb == "RETR" && dice.one_in(self.manners.truncates);
        // Of lines nobody knows how many there are.
        let cut = cut && !self.controls[at].lines;
        let number = self.count;
        self.controls[at].moving = Some(Moving {
            command: line.to_owned(),
            number,
            bytes,
            up: verb == "STOR",
            cut,
            begun: false,
            verdict_said: false,
        });
    }

    fn advance(&mut self, at: usize, host: &Host, dice: &mut Dice) -> bool {
        let mut happened = false;
        let control = &mut self.controls[at];
        // Words that are due, in pieces.
        if let Some((when, words)) = control.output.front_mut()
            && *when <= self.now
        {
            let room = if dice.one_in(4) { 3 } else { 200 };
            let most = if self.manners.extra > 0 { words.len() } else { 1 + dice.below(room) as usize };
            let piece: Vec<u8> = words.drain(..most.min(words.len())).collect();
            if words.is_empty() {
                control.output.pop_front();
            }
            host.received(control.channel, &piece);
            happened = true;
        }
        if control.gone && control.output.is_empty() {
            host.received_eof(control.channel);
        }
        if control.gone {
            return happened;
        }
        if control.moving.is_some() && control.data.is_some() {
            return self.shift(at, host, dice) || happened;
        }
        if control.moving.is_none()
            && let Some(line) = control.waiting.pop_front()
        {
            self.obey(at, dice, &line);
            return true;
        }
        happened
    }

    /// A piece of a transfer.
    fn shift(&mut self, at: usize, host: &Host, dice: &mut Dice) -> bool {
        let Manners { announces, verdict_early, .. } = self.manners;
        let control = &mut self.controls[at];
        let (Some(channel), Some(moving)) = (control.data, control.moving.as_mut()) else { return false };
        if !moving.begun {
            moving.begun = true;
            let size = match announces && !moving.up && !control.lines {
                true => format!(" ({} bytes)", moving.bytes.len()),
                false => String::new(),
            };
            let text = format!("150 {}{size}", moving.command);
            self.say(at, &text);
            return true;
        }
        let done = format!("226 {} done {}", moving.command, moving.number);
        if moving.up {
            if !control.data_ended {
                return false;
            }
            let (bytes, command) = (std::mem::take(&mut moving.bytes), moving.command.clone());
            control.moving = None;
            let path = self.path(at, command.strip_prefix("STOR ").unwrap_or_default());
            self.files.insert(path, bytes);
            self.drop_data(at, host);
            self.say(at, &done);
            return true;
        }
        if control.data_ended {
            // Whoever hung up has not got all of it.
            let whole = moving.bytes.is_empty() || moving.verdict_said;
            let text = if whole { done } else { format!("426 {} broken", moving.command) };
            let said = moving.verdict_said;
            control.moving = None;
            control.data = None;
            if !said {
                self.say(at, &text);
            }
            return true;
        }
        if verdict_early && !moving.cut && !moving.verdict_said && moving.bytes.len() < 5_000 {
            moving.verdict_said = true;
            self.say(at, &done);
            return true;
        }
        let most = 1 + dice.below(40_000) as usize;
        let piece: Vec<u8> = moving.bytes.drain(..most.min(moving.bytes.len())).collect();
        let withheld = moving.cut && moving.bytes.is_empty();
        if !piece.is_empty() && !withheld {
            host.received(channel, &piece);
            return true;
        }
        let (cut, said) = (moving.cut && !piece.is_empty(), moving.verdict_said);
        let text = match cut && dice.one_in(2) {
            true => format!("451 {} failed", moving.command),
            false => done,
        };
        control.moving = None;
        self.drop_data(at, host);
        if !said {
            self.say(at, &text);
        }
        true
    }

    /// Nothing moves: the next thing that is due, is.
    fn tick(&mut self, host: &Host) -> bool {
        let words = self.controls.iter().filter_map(|control| control.output.front().map(|(when, _)| *when)).min();
        let deadline = self.deadlines.iter().min_by_key(|(_, when)| **when).map(|(channel, when)| (*channel, *when));
        match (words, deadline) {
            (Some(words), Some((_, deadline))) if words <= deadline => self.now = self.now.max(words),
            (Some(words), None) => self.now = self.now.max(words),
            (_, Some((channel, deadline))) => {
                self.now = self.now.max(deadline);
                self.deadlines.remove(&channel);
                host.failed(channel, std::io::ErrorKind::TimedOut, "nothing came in time");
            }
            (None, None) => return false,
        }
        true
    }
}
