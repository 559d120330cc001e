//! The peer joined to a hosted client in memory: no socket, no thread, and time that passes only when nobody has
//! anything to do.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use starttls::tls::TlsConfig;
use starttls::transport::{ChannelId, Host, Purpose, Request};

use crate::client::{Events, Results, play};
use crate::peer::{AGAIN, Action, Connection, Peer};
use crate::pki::Server;
use crate::script::Script;

/// The ports that a session in memory pretends to use.
pub const PORTS: (u16, u16) = (40_587, 40_020);

/// The port that the client pretends to listen on.
const LISTENING: u16 = 40_030;

/// More polls than any session of the corpus takes: beyond, it hangs.
const MOST_POLLS: usize = 4_000_000;

/// How the peer's bytes reach the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Each segment at once.
    Whole,
    /// One byte, then the client's turn.
    Bytes,
    /// As whole, but the segment with this byte (counted over all connections) is cut in front of it.
    Split(usize),
}

/// What happens in front of a byte of the peer, counted over all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The streams end.
    Eof,
    /// The connections are reset.
    Reset,
    /// Nothing comes any more, until every deadline has passed.
    Silence,
    /// The client is cancelled: its future is dropped.
    Cancel,
}

/// What came of a session.
#[derive(Debug)]
pub struct Played {
    /// A result for each operation that ended.
    pub results: Vec<String>,
    /// The events.
    pub trace: Vec<String>,
    /// What the peer saw that is not in the script.
    pub failures: Vec<String>,
    /// Bytes that the peer sent and the client was given.
    pub delivered: usize,
    /// How far the peer came in its steps.
    pub progress: usize,
    /// For each operation that ended, how many bytes had been delivered when it did.
    pub marks: Vec<usize>,
    /// For each step of the peer, how many bytes had been delivered when it was done.
    pub step_marks: Vec<usize>,
}

struct World {
    host: Host,
    peer: Peer,
    /// Ours to the peer's name for a connection.
    connections: BTreeMap<ChannelId, Connection>,
    next_data: Connection,
    next_session: Connection,
    /// Where the client waits for the peer.
    listener: Option<ChannelId>,
    inbound: VecDeque<Arrival>,
    deadlines: BTreeMap<ChannelId, Duration>,
    pauses: BTreeMap<ChannelId, Duration>,
    now: Duration,
    delivered: usize,
    fault: Option<(usize, Fault)>,
    /// The fault has happened.
    faulty: bool,
    step_marks: Vec<usize>,
}

/// On its way to the client.
enum Arrival {
    /// With how many of them are delivered.
    Bytes(Connection, Vec<u8>, usize),
    Eof(Connection),
    Reset(Connection),
}

/// Plays a session in memory.
pub fn session(
    script: &Script,
    server: Server,
    tls: TlsConfig,
    delivery: Delivery,
    fault: Option<(usize, Fault)>,
) -> Played {
    let host = Host::new();
    let (events, results) = (Events::default(), Results::default());
    let mut world = World {
        host: host.clone(),
        peer: Peer::new(script, server, PORTS.1),
        connections: BTreeMap::new(),
        next_data: 1,
        next_session: 0,
        listener: None,
        inbound: VecDeque::new(),
        deadlines: BTreeMap::new(),
        pauses: BTreeMap::new(),
        now: Duration::ZERO,
        delivered: 0,
        fault,
        faulty: false,
        step_marks: Vec::new(),
    };
    let mut marks = Vec::new();
    let hung = {
        let mut future = pin!(play(host.transport(), script, PORTS.0, tls, &events, &results));
        let mut hung = true;
        for _ in 0..MOST_POLLS {
            let poll = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let told = world.serve();
            marks.resize(count(&results), world.delivered);
            if poll.is_ready() {
                hung = false;
                break;
            }
            if told {
                continue;
            }
            match world.turn(delivery) {
                Turn::Go => {}
                Turn::Cancel => {
                    hung = false;
                    break;
                }
                Turn::Nothing => break,
            }
        }
        hung
        // The future is dropped here: what it held is closed.
    };
    world.serve();
    let progress = world.peer.progress();
    let early = script.timing || fault.is_some();
    let mut failures = world.peer.failures(early);
    if hung {
        failures.push("the client hangs".into());
    }
    let results = std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner));
    Played {
        results,
        trace: events.take(),
        failures,
        delivered: world.delivered,
        progress,
        marks,
        step_marks: world.step_marks,
    }
}

fn count(results: &Mutex<Vec<String>>) -> usize {
    results.lock().unwrap_or_else(PoisonError::into_inner).len()
}

enum Turn {
    Go,
    Cancel,
    Nothing,
}

impl World {
    /// Does what the client asks, and takes what the peer answers. Whether the client has reason to go on.
    fn serve(&mut self) -> bool {
        let mut told = false;
        while let Some(request) = self.host.next_request() {
            match request {
                Request::Connect { channel, purpose, within, .. } => {
                    let connection = match purpose {
                        Purpose::Control => {
                            self.next_session += AGAIN;
                            self.next_session - AGAIN
                        }
                        Purpose::Data => {
                            self.next_data += 1;
                            self.next_data - 1
                        }
                    };
                    self.connections.insert(channel, connection);
                    told = true;
                    if self.faulty {
                        match self.fault {
                            Some((_, Fault::Silence)) => {
                                self.deadlines.insert(channel, self.now.saturating_add(within));
                            }
                            _ => self.host.failed(channel, ErrorKind::ConnectionRefused, "refused"),
                        }
                        continue;
                    }
                    let port = if connection.is_multiple_of(AGAIN) { PORTS.0 } else { PORTS.1 };
                    self.host.bound(channel, SocketAddr::from((Ipv4Addr::LOCALHOST, LISTENING + 1)));
                    self.host.connected(channel, Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
                    self.peer.opened(connection);
                }
                Request::Write { channel, bytes } => {
                    told = true;
                    self.host.written(channel, bytes.len());
                    self.tell(channel, |peer, connection| peer.received(connection, &bytes));
                }
                Request::Listen { channel, .. } => {
                    told = true;
                    self.listener = Some(channel);
                    self.host.listening(channel, SocketAddr::from((Ipv4Addr::LOCALHOST, LISTENING)));
                }
                Request::Deadline { channel, within } => {
                    self.deadlines.insert(channel, self.now.saturating_add(within));
                }
                Request::Sleep { channel, time } => {
                    self.pauses.insert(channel, self.now.saturating_add(time));
                }
                Request::Shutdown { channel } => self.tell(channel, Peer::ended),
                Request::Close { channel } => {
                    self.deadlines.remove(&channel);
                    self.pauses.remove(&channel);
                    self.tell(channel, Peer::ended);
                    self.connections.remove(&channel);
                }
                _ => {}
            }
            while let Some(action) = self.peer.next_action() {
                let arrival = match action {
                    Action::Write(connection, bytes) => Arrival::Bytes(connection, bytes, 0),
                    Action::Shutdown(connection) => Arrival::Eof(connection),
                    Action::Reset(connection) => Arrival::Reset(connection),
                    Action::Connect(connection, _) => {
                        told = true;
                        self.knock(Ipv4Addr::LOCALHOST, Some(connection));
                        continue;
                    }
                    Action::ConnectFromElsewhere(_) => {
                        told = true;
                        self.knock(Ipv4Addr::new(127, 0, 0, 2), None);
                        continue;
                    }
                };
                self.inbound.push_back(arrival);
            }
        }
        told
    }

    /// Somebody connects to where the client listens: the peer, or a stranger.
    fn knock(&mut self, from: Ipv4Addr, connection: Option<Connection>) {
        let Some(listener) = self.listener else { return };
        let channel = self.host.accepted(listener, Some(SocketAddr::from((from, LISTENING + 2))));
        if let (Some(channel), Some(connection)) = (channel, connection) {
            self.connections.insert(channel, connection);
            if self.faulty {
                self.break_down(connection);
            } else {
                self.peer.opened(connection);
            }
        }
    }

    fn tell(&mut self, channel: ChannelId, event: impl FnOnce(&mut Peer, Connection)) {
        if let Some(&connection) = self.connections.get(&channel) {
            event(&mut self.peer, connection);
        }
    }

    fn channel(&self, connection: Connection) -> Option<ChannelId> {
        self.connections.iter().find(|(_, known)| **known == connection).map(|(channel, _)| *channel)
    }

    /// Something happens to the client.
    fn turn(&mut self, delivery: Delivery) -> Turn {
        self.step_marks.resize(self.peer.progress(), self.delivered);
        if let Some((at, fault)) = self.fault
            && !self.faulty
            && self.delivered == at
        {
            self.faulty = true;
            if fault == Fault::Cancel {
                return Turn::Cancel;
            }
            let connections: Vec<_> = self.connections.values().copied().collect();
            for connection in connections {
                self.break_down(connection);
            }
            if fault != Fault::Silence {
                return Turn::Go;
            }
        }
        if self.faulty {
            self.inbound.clear();
        }
        let Some(arrival) = self.inbound.pop_front() else { return self.pass_time() };
        match arrival {
            Arrival::Bytes(connection, bytes, start) => {
                let left = bytes.len() - start;
                let mut n = match delivery {
                    Delivery::Bytes => 1,
                    Delivery::Split(at) if (1..left).contains(&at.saturating_sub(self.delivered)) => {
                        at - self.delivered
                    }
                    _ => left,
                };
                if let Some((at, _)) = self.fault.filter(|_| !self.faulty) {
                    n = n.min(at - self.delivered);
                }
                self.delivered += n;
                if let Some(channel) = self.channel(connection) {
                    self.host.received(channel, &bytes[start..start + n]);
                    if n < left {
                        self.inbound.push_front(Arrival::Bytes(connection, bytes, start + n));
                    }
                }
            }
            Arrival::Eof(connection) => {
                if let Some(channel) = self.channel(connection) {
                    self.host.received_eof(channel);
                }
            }
            Arrival::Reset(connection) => {
                if let Some(channel) = self.channel(connection) {
                    self.host.failed(channel, ErrorKind::ConnectionReset, "reset");
                }
            }
        }
        Turn::Go
    }

    fn break_down(&mut self, connection: Connection) {
        let Some(channel) = self.channel(connection) else { return };
        match self.fault {
            Some((_, Fault::Eof)) => self.host.received_eof(channel),
            Some((_, Fault::Reset)) => self.host.failed(channel, ErrorKind::ConnectionReset, "reset"),
            _ => {}
        }
    }

    /// Nobody has anything to do: the earliest pause or deadline passes.
    fn pass_time(&mut self) -> Turn {
        let pause = self.pauses.iter().min_by_key(|(_, at)| **at).map(|(channel, at)| (*channel, *at));
        if let Some((channel, at)) = pause
            && self.deadlines.values().all(|deadline| at <= *deadline)
        {
            self.pauses.remove(&channel);
            self.now = self.now.max(at);
            self.host.slept(channel);
            return Turn::Go;
        }
        let earliest = self.deadlines.iter().min_by_key(|(_, at)| **at).map(|(channel, at)| (*channel, *at));
        let Some((channel, at)) = earliest else { return Turn::Nothing };
        self.deadlines.remove(&channel);
        self.now = self.now.max(at);
        self.host.failed(channel, ErrorKind::TimedOut, "deadline");
        Turn::Go
    }
}
