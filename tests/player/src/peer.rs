//! The server's side of a session, without I/O: events go in, actions come out.

use std::collections::VecDeque;
use std::io::Write;

use ring::digest;
use rustls::ProtocolVersion;

use crate::pki::Server;
use crate::scram;
use crate::script::{Script, Step};
use crate::text::{contains, shown};
use crate::wire::Wire;

/// A connection: 0 is control, n the n-th data connection, and multiples of [`AGAIN`] are further control connections.
pub type Connection = usize;

/// More than the data connections of any session.
pub const AGAIN: Connection = 1 << 20;

/// What the peer wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send all of this in one piece.
    Write(Connection, Vec<u8>),
    /// End our direction.
    Shutdown(Connection),
    /// Reset the connection.
    Reset(Connection),
    /// Connect to this port of the client, and say [`Peer::opened`].
    Connect(Connection, u16),
    /// Connect to this port of the client from another address, and say nothing.
    ConnectFromElsewhere(u16),
}

/// The server's side of one session.
pub struct Peer {
    steps: Vec<Step>,
    at: usize,
    tls: Server,
    data_port: u16,
    control: Wire,
    /// Which control connection that is.
    session: Connection,
    /// One that came and has not had its turn.
    next_session: Option<Connection>,
    data: Wire,
    /// Data connections so far.
    data_connections: usize,
    /// Of those, the ones that a step waited for.
    data_opened: usize,
    /// Where the client listens.
    client_port: u16,
    /// A connection to there is on its way.
    connecting: bool,
    /// A login under way.
    scram: Option<scram::Exchange>,
    segment: Vec<u8>,
    actions: VecDeque<Action>,
    /// Taken without being looked at, and everything that came in clear text: no secret may be in here.
    public: Vec<u8>,
    secrets: Vec<Vec<u8>>,
    /// The name that the client must ask for (RFC 6066 §3).
    server_name: Option<String>,
    failures: Vec<String>,
}

impl Peer {
    /// The peer of a script.
    pub fn new(script: &Script, tls: Server, data_port: u16) -> Self {
        Self {
            steps: script.server.clone(),
            at: 0,
            tls,
            data_port,
            control: Wire::default(),
            session: 0,
            next_session: None,
            data: Wire::default(),
            data_connections: 0,
            data_opened: 0,
            client_port: 0,
            connecting: false,
            scram: None,
            segment: Vec::new(),
            actions: VecDeque::new(),
            public: Vec::new(),
            secrets: script.secrets(),
            server_name: script.settings.iter().find_map(|word| word.strip_prefix("server-name=")).map(str::to_owned),
            failures: Vec::new(),
        }
    }

    /// What to do next.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The client connected.
    pub fn opened(&mut self, connection: Connection) {
        if connection == 0 {
            self.control.open = true;
        } else if connection.is_multiple_of(AGAIN) {
            self.next_session = Some(connection);
        } else {
            self.data_connections = connection;
            self.data = Wire { open: true, ..Wire::default() };
        }
        self.run();
    }

    /// Bytes came in.
    pub fn received(&mut self, connection: Connection, bytes: &[u8]) {
        let Some(wire) = self.wire(connection) else { return };
        if wire.tls.is_none() {
            wire.inbox.extend_from_slice(bytes);
            // A hello belongs to the handshake that has not begun on this side.
            self.public.extend_from_slice(bytes);
        } else {
            wire.decrypt(bytes);
            self.transmit(connection);
        }
        self.run();
    }

    /// The client sends no more, or the connection is gone.
    pub fn ended(&mut self, connection: Connection) {
        let Some(wire) = self.wire(connection) else { return };
        wire.ended = true;
        self.run();
    }

    /// Whether the client closed the control connection, and every step was done that could be.
    pub fn is_over(&self) -> bool {
        let more = self.steps[self.at..].iter().any(|step| matches!(step, Step::Again));
        self.control.ended && !more
    }

    /// How many steps were done.
    pub fn progress(&self) -> usize {
        self.at
    }

    /// What was not as the script has it. `early` forgives an end before the script's.
    pub fn failures(mut self, early: bool) -> Vec<String> {
        if let Some(step) = self.steps.get(self.at)
            && !early
            && !matches!(step, Step::Gone | Step::Swallow | Step::TlsRefused)
        {
            self.failures.push(format!("the session ended at step {}: {}", self.at + 1, describe(step)));
        }
        let in_step = self.at == self.steps.len();
        if in_step && !self.control.inbox.is_empty() {
            self.failures.push(format!("the client sent {} after the end", shown(&self.control.inbox)));
        }
        if self.secrets.iter().any(|secret| contains(&self.public, secret)) {
            self.failures.push("a secret was sent where anybody could read it".into());
        }
        self.failures
    }

    fn wire(&mut self, connection: Connection) -> Option<&mut Wire> {
        match connection {
            n if n == self.session => Some(&mut self.control),
            n if n == self.data_connections => Some(&mut self.data),
            _ => None,
        }
    }

    /// Puts what TLS wants to send into one write.
    fn transmit(&mut self, connection: Connection) {
        let records = self.wire(connection).map(Wire::records).unwrap_or_default();
        if !records.is_empty() {
            self.actions.push_back(Action::Write(connection, records));
        }
    }

    fn flush(&mut self) {
        let segment = std::mem::take(&mut self.segment);
        self.send(self.session, &segment);
    }

    fn send(&mut self, connection: Connection, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let Some(wire) = self.wire(connection) else { return };
        let Some(tls) = &mut wire.tls else {
            self.actions.push_back(Action::Write(connection, bytes.to_vec()));
            return;
        };
        tls.set_buffer_limit(None);
        if let Err(error) = tls.writer().write_all(bytes) {
            self.failures.push(format!("cannot encrypt: {error}"));
        }
        self.transmit(connection);
    }

    fn run(&mut self) {
        if !self.control.open {
            return;
        }
        while let Some(step) = self.steps.get(self.at).cloned() {
            if !matches!(step, Step::Say(_)) {
                self.flush();
            }
            if !self.step(step) {
                return;
            }
            self.at += 1;
        }
        self.flush();
    }

    /// Does one step; `false` to wait.
    fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Say(bytes) => {
                let bytes = self.with_port(&bytes);
                self.segment.extend_from_slice(&bytes);
                true
            }
            Step::Raw(bytes) => {
                self.actions.push_back(Action::Write(self.session, bytes));
                true
            }
            Step::Break => true,
            Step::Expect(line) => self.expect(&line, |got| got == line),
            Step::ExpectBeginning(line) => self.expect(&line, |got| got.starts_with(&line)),
            Step::ExpectBytes(bytes) => self.expect_bytes(&bytes),
            Step::Scram(scram) => self.scram(*scram),
            Step::Tls => self.handshake(self.session, &[]),
            Step::TlsWith(words) => self.handshake(self.session, &words),
            Step::TlsRefused => self.refused_handshake(self.session),
            Step::Hello => self.control.inbox.first() == Some(&22),
            Step::Rekey => {
                let rekeyed = self.control.tls.as_mut().map(|tls| tls.refresh_traffic_keys());
                if !matches!(rekeyed, Some(Ok(()))) {
                    self.failures.push(format!("step {}: the keys cannot be changed", self.at + 1));
                }
                self.transmit(self.session);
                true
            }
            Step::Swallow => {
                let taken = std::mem::take(&mut self.control.inbox);
                self.public.extend(taken);
                self.control.ended
            }
            Step::Gone => self.control.ended,
            Step::Close => self.close(self.session),
            Step::Cut => {
                self.actions.push_back(Action::Shutdown(self.session));
                true
            }
            Step::Reset => {
                self.actions.push_back(Action::Reset(self.session));
                true
            }
            Step::Again => {
                let Some(session) = self.next_session.take() else { return false };
                self.session = session;
                self.control = Wire { open: true, ..Wire::default() };
                true
            }
            Step::DataOpen => {
                let opened = self.data_connections > self.data_opened;
                if opened {
                    self.data_opened = self.data_connections;
                }
                opened
            }
            Step::DataConnect => {
                if !self.connecting {
                    self.connecting = true;
                    self.actions.push_back(Action::Connect(self.data_connections + 1, self.client_port));
                    return false;
                }
                let opened = self.data_connections > self.data_opened;
                if opened {
                    self.data_opened = self.data_connections;
                    self.connecting = false;
                }
                opened
            }
            Step::DataStranger => {
                self.actions.push_back(Action::ConnectFromElsewhere(self.client_port));
                true
            }
            Step::DataTls => self.handshake(self.data_connections, &[]),
            Step::DataTlsRefused => self.refused_handshake(self.data_connections),
            Step::DataSay(bytes) => {
                self.send(self.data_connections, &bytes);
                true
            }
            Step::DataExpect(bytes) => self.expect_content(&bytes),
            Step::DataEnd => self.data_end(),
            Step::DataClose => self.close(self.data_connections),
            Step::DataCut => {
                self.actions.push_back(Action::Shutdown(self.data_connections));
                true
            }
            Step::DataReset => {
                self.actions.push_back(Action::Reset(self.data_connections));
                true
            }
        }
    }

    fn with_port(&self, bytes: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
        let (high, low) = (self.data_port >> 8, self.data_port & 255);
        text.replace("{data}", &self.data_port.to_string()).replace("{data/256}", &format!("{high},{low}")).into_bytes()
    }

    /// The client's next line, without its end.
    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.control.inbox.windows(2).position(|pair| pair == b"\r\n")?;
        Some(self.control.inbox.drain(..end + 2).take(end).collect())
    }

    fn scram(&mut self, scram: scram::Scram) -> bool {
        let mut exchange = self.scram.take().unwrap_or_else(|| scram::Exchange::new(scram));
        let binding = self.binding();
        while let Some(line) = self.line() {
            match exchange.answer(&line, &binding) {
                Ok((says, done)) => {
                    self.send(self.session, &says);
                    if done {
                        return true;
                    }
                }
                Err(why) => {
                    self.failures.push(format!("step {}: {why}", self.at + 1));
                    return true;
                }
            }
        }
        self.scram = Some(exchange);
        false
    }

    /// What a login can be bound to: exported by the TLS library itself (RFC 9266), or the certificate's hash (RFC 5929).
    fn binding(&self) -> (&'static str, Vec<u8>) {
        match &self.control.tls {
            Some(tls) if tls.protocol_version() == Some(ProtocolVersion::TLSv1_3) => {
                let exported = tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""));
                ("tls-exporter", exported.map(Vec::from).unwrap_or_default())
            }
            Some(_) => {
                let hash = digest::digest(&digest::SHA384, &self.tls.certificate);
                ("tls-server-end-point", hash.as_ref().to_vec())
            }
            None => ("", Vec::new()),
        }
    }

    fn expect(&mut self, line: &[u8], is_right: impl Fn(&[u8]) -> bool) -> bool {
        let Some(got) = self.line() else { return false };
        if !is_right(&got) {
            let why = format!("step {}: expected {}, got {}", self.at + 1, shown(line), shown(&got));
            self.failures.push(why);
        }
        if let Some(port) = announced_port(&got) {
            self.client_port = port;
        }
        true
    }

    fn expect_bytes(&mut self, due: &[u8]) -> bool {
        let n = due.len().min(self.control.inbox.len());
        if self.control.inbox[..n] != due[..n] {
            let why = format!("step {}: expected {}, got {}", self.at + 1, shown(due), shown(&self.control.inbox[..n]));
            self.failures.push(why);
        } else if n < due.len() {
            return false;
        }
        self.control.inbox.drain(..n);
        true
    }

    fn expect_content(&mut self, content: &[u8]) -> bool {
        if self.data.inbox.len() < content.len() && !self.data.ended {
            return false;
        }
        let n = content.len().min(self.data.inbox.len());
        let got: Vec<u8> = self.data.inbox.drain(..n).collect();
        if got != content {
            self.failures.push(format!("step {}: got {} as content", self.at + 1, shown(&got)));
        }
        true
    }

    fn data_end(&mut self) -> bool {
        if !self.data.ended {
            return false;
        }
        if !self.data.inbox.is_empty() {
            self.failures.push(format!("step {}: {} after the content", self.at + 1, shown(&self.data.inbox)));
        }
        if self.data.tls.is_some() && !self.data.orderly {
            self.failures.push(format!("step {}: the client ended its data without close_notify", self.at + 1));
        }
        true
    }

    fn handshake(&mut self, connection: Connection, early: &[u8]) -> bool {
        if !self.begin_handshake(connection, early) {
            return false;
        }
        let at = self.at + 1;
        let Some(wire) = self.wire(connection) else { return false };
        if let Some(why) = wire.broken.clone() {
            self.failures.push(format!("step {at}: the handshake failed: {why}"));
            return true;
        }
        let Some(tls) = wire.tls.as_ref().filter(|tls| !tls.is_handshaking()) else { return false };
        let asked = tls.server_name().map(str::to_owned);
        if asked != self.server_name {
            self.failures.push(format!("step {at}: the client asked for the server {asked:?}"));
        }
        true
    }

    fn refused_handshake(&mut self, connection: Connection) -> bool {
        if !self.begin_handshake(connection, &[]) {
            return false;
        }
        let at = self.at + 1;
        let Some(wire) = self.wire(connection) else { return false };
        if wire.broken.is_none() && wire.tls.as_ref().is_some_and(|tls| !tls.is_handshaking()) {
            self.failures.push(format!("step {at}: the client finished a handshake that it must refuse"));
            return true;
        }
        wire.broken.is_some() || wire.ended
    }

    /// `early` goes out as soon as there are keys for it.
    fn begin_handshake(&mut self, connection: Connection, early: &[u8]) -> bool {
        let config = match &self.tls.data_config {
            Some(data) if !connection.is_multiple_of(AGAIN) => data.clone(),
            _ => self.tls.config.clone(),
        };
        let Some(wire) = self.wire(connection).filter(|wire| wire.open) else { return false };
        if wire.tls.is_none() {
            wire.begin_handshake(config, early);
            self.transmit(connection);
        }
        true
    }

    fn close(&mut self, connection: Connection) -> bool {
        if let Some(tls) = self.wire(connection).and_then(|wire| wire.tls.as_mut()) {
            tls.send_close_notify();
            self.transmit(connection);
        }
        self.actions.push_back(Action::Shutdown(connection));
        true
    }
}

/// Where the client says that it listens.
fn announced_port(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line).ok()?;
    if let Some(address) = line.strip_prefix("EPRT ") {
        return address.split('|').nth(3)?.parse().ok();
    }
    let mut parts = line.strip_prefix("PORT ")?.split(',').skip(4).map(str::parse::<u8>);
    let (high, low) = (parts.next()?.ok()?, parts.next()?.ok()?);
    Some(u16::from_be_bytes([high, low]))
}

fn describe(step: &Step) -> String {
    match step {
        Step::Expect(line) | Step::ExpectBytes(line) => format!("waiting for {}", shown(line)),
        Step::DataExpect(bytes) => format!("waiting for {} bytes of content", bytes.len()),
        step => format!("{step:?}").chars().take(80).collect(),
    }
}
