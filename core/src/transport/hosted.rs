//! The host owns the I/O: it polls the dialogue, does what is asked, and hands the bytes in.
//!
//! No socket, no thread and no clock is in here. Deadlines are handed out as durations for the host to measure, so a
//! test can run a session in virtual time.
//!
//! ```text
//!   dialogue ── polls ── HostedStream ─┐
//!                                      ├─ shared state ── Host ── the embedding program
//!   dialogue ── connect ── Hosted ─────┘
//!
//!   loop: poll the dialogue; until next_request() is None, do it; then wait for an event and hand it in
//! ```

mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use self::stream::HostedListener;
pub use self::stream::HostedStream;
use super::{Endpoint, ListenAt, Listener, Purpose, Transport, Unreached};

/// How many received bytes may wait before the host should stop reading.
const INBOUND_HIGH_WATER: usize = 512 * 1024;

/// How many bytes may be handed to the host and not yet be written by it.
const OUTBOUND_HIGH_WATER: usize = 256 * 1024;

/// A write of at least this size has more behind it, for which room is made at once.
const BULK: usize = 32 * 1024;

/// How many connections may wait to be looked at. One is expected.
const MOST_ACCEPTED: usize = 16;

/// Names one connection, or one listener, of a [`Host`]; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u64);

/// What the dialogue asks of its host, in the order in which it must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Open a connection, then call [`Host::connected`] or [`Host::failed`].
    Connect {
        /// Its name from now on.
        channel: ChannelId,
        /// Where to.
        to: Endpoint,
        /// What for.
        purpose: Purpose,
        /// Call [`Host::failed`] with [`io::ErrorKind::TimedOut`] after this.
        within: Duration,
    },
    /// Listen, then call [`Host::listening`] or [`Host::failed`]; for each connection that comes, [`Host::accepted`].
    Listen {
        /// The listener's name from now on.
        channel: ChannelId,
        /// Where: [`ListenAt::candidates`] are to be tried in order.
        at: ListenAt,
        /// Call [`Host::failed`] with [`io::ErrorKind::TimedOut`] after this.
        within: Duration,
    },
    /// Write all of this, then call [`Host::written`].
    Write {
        /// On which connection.
        channel: ChannelId,
        /// What.
        bytes: Vec<u8>,
    },
    /// Wait, then call [`Host::slept`].
    Sleep {
        /// The pause's name, among those of connections; [`Request::Close`] gives it up.
        channel: ChannelId,
        /// How long.
        time: Duration,
    },
    /// A new deadline for the connection: call [`Host::failed`] with [`io::ErrorKind::TimedOut`] after it, unless
    /// another one came or the dialogue finished meanwhile. It counts only if the dialogue waits for this connection
    /// then; the next deadline takes it back.
    Deadline {
        /// Which connection.
        channel: ChannelId,
        /// How long from now.
        within: Duration,
    },
    /// Half-close after everything written so far.
    Shutdown {
        /// Which connection.
        channel: ChannelId,
    },
    /// Close: the dialogue is done with it. What was written must still go out.
    Close {
        /// Which connection.
        channel: ChannelId,
    },
}

/// The host's side: takes requests, hands in events. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Host {
    shared: Arc<Mutex<Shared>>,
}

/// The dialogue's side: a [`Transport`] whose I/O a [`Host`] does.
#[derive(Clone, Debug)]
pub struct Hosted {
    host: Host,
}

#[derive(Debug, Default)]
struct Shared {
    requests: VecDeque<Request>,
    channels: BTreeMap<ChannelId, Channel>,
    last_id: u64,
}

#[derive(Debug, Default)]
struct Channel {
    state: State,
    inbound: Vec<u8>,
    /// How much of `inbound` was read.
    consumed: usize,
    /// The peer will send no more.
    eof: bool,
    /// Why the channel cannot be used any more; told after what was received before.
    failure: Option<Failure>,
    /// Bytes asked to be written and not yet [`Host::written`].
    outbound: usize,
    /// Our end's address.
    local: Option<SocketAddr>,
    /// Of a listener: connections that came and were not taken yet.
    accepted: VecDeque<ChannelId>,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Failure {
    Told(io::ErrorKind, String),
    Unreached(Unreached),
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Connecting,
    Open(Option<SocketAddr>),
}

impl Channel {
    fn failure(&self) -> Option<io::Error> {
        self.failure.as_ref().map(|failure| match failure {
            Failure::Told(kind, text) => io::Error::new(*kind, text.clone()),
            Failure::Unreached(unreached) => unreached.clone().into(),
        })
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn park<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Host {
    /// A host without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// The transport to give to a client.
    pub fn transport(&self) -> Hosted {
        Hosted { host: self.clone() }
    }

    /// The next thing to do, in order; `None` when the dialogue waits for an event (or was not polled since).
    pub fn next_request(&self) -> Option<Request> {
        self.lock().requests.pop_front()
    }

    /// The connection is open, to `peer` if the host knows.
    pub fn connected(&self, channel: ChannelId, peer: Option<SocketAddr>) {
        self.with(channel, |c| c.state = State::Open(peer));
    }

    /// The pause is over.
    pub fn slept(&self, channel: ChannelId) {
        self.connected(channel, None);
    }

    /// Our end of the connection has this address. To be said before [`Host::connected`], by hosts that can listen: FTP's
    /// active mode listens there.
    pub fn bound(&self, channel: ChannelId, local: SocketAddr) {
        self.with(channel, |c| c.local = Some(local));
    }

    /// The listener is open, at this address.
    pub fn listening(&self, listener: ChannelId, address: SocketAddr) {
        self.with(listener, |c| (c.state, c.local) = (State::Open(Some(address)), Some(address)));
    }

    /// Somebody connected to the listener: the connection's name from now on. `None` if it is not wanted and should be
    /// closed at once.
    pub fn accepted(&self, listener: ChannelId, peer: Option<SocketAddr>) -> Option<ChannelId> {
        let mut shared = self.lock();
        let id = ChannelId(shared.last_id + 1);
        let waiting = shared.channels.get_mut(&listener)?;
        if waiting.accepted.len() == MOST_ACCEPTED {
            return None;
        }
        let local = waiting.local;
        waiting.accepted.push_back(id);
        waiting.wake();
        shared.last_id = id.0;
        shared.channels.insert(id, Channel { state: State::Open(peer), local, ..Channel::default() });
        Some(id)
    }

    /// Bytes arrived. `false`: enough for now, read on when [`Host::wants_more`] says so.
    pub fn received(&self, channel: ChannelId, bytes: &[u8]) -> bool {
        self.with(channel, |c| c.inbound.extend_from_slice(bytes));
        self.wants_more(channel)
    }

    /// Whether the host should read from this connection: what it handed in before is mostly used up.
    pub fn wants_more(&self, channel: ChannelId) -> bool {
        self.lock().channels.get(&channel).is_some_and(|c| c.inbound.len() - c.consumed < INBOUND_HIGH_WATER)
    }

    /// The peer ended its direction.
    pub fn received_eof(&self, channel: ChannelId) {
        self.with(channel, |c| c.eof = true);
    }

    /// `n` more of the bytes asked to be written are out of the host's hands. `true` if the dialogue may wait for that:
    /// poll it.
    pub fn written(&self, channel: ChannelId, n: usize) -> bool {
        let mut is_room_again = false;
        self.with(channel, |c| {
            let was_full = c.outbound >= OUTBOUND_HIGH_WATER;
            c.outbound = c.outbound.saturating_sub(n);
            is_room_again = was_full && c.outbound < OUTBOUND_HIGH_WATER;
        });
        is_room_again
    }

    /// The connection failed, could not be opened, or its deadline passed. The dialogue sees it after the bytes that
    /// were handed in before.
    pub fn failed(&self, channel: ChannelId, kind: io::ErrorKind, text: &str) {
        self.with(channel, |c| c.failure = Some(Failure::Told(kind, text.to_owned())));
    }

    /// The connection could not be opened: what became of each address that was tried.
    pub fn unreached(&self, channel: ChannelId, unreached: Unreached) {
        self.with(channel, |c| c.failure = Some(Failure::Unreached(unreached)));
    }

    /// Asks for something new. From here on a dropped future drops the stream, and with it what was asked for.
    fn ask(&self, request: impl FnOnce(ChannelId) -> Request) -> HostedStream {
        let mut shared = self.lock();
        shared.last_id += 1;
        let id = ChannelId(shared.last_id);
        shared.channels.insert(id, Channel::default());
        shared.requests.push_back(request(id));
        HostedStream { host: self.clone(), id, peer: None }
    }

    fn with(&self, channel: ChannelId, change: impl FnOnce(&mut Channel)) {
        // An event for a connection that the dialogue closed meanwhile is late, not wrong.
        if let Some(c) = self.lock().channels.get_mut(&channel) {
            change(c);
            c.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Shared {
    /// Asks for bytes to be written, in one request with those that were asked for just before.
    fn write(&mut self, id: ChannelId, piece: &[u8]) {
        if let Some(Request::Write { channel, bytes }) = self.requests.back_mut()
            && *channel == id
        {
            bytes.extend_from_slice(piece);
            return;
        }
        let room = if piece.len() < BULK { piece.len() } else { OUTBOUND_HIGH_WATER };
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(piece);
        self.requests.push_back(Request::Write { channel: id, bytes });
    }

    /// Asks for a deadline. One that nobody has seen yet is replaced, not queued.
    fn set_deadline(&mut self, id: ChannelId, time: Duration) {
        for request in self.requests.iter_mut().rev() {
            if let Request::Deadline { channel, within } = request
                && *channel == id
            {
                *within = time;
                return;
            }
        }
        self.requests.push_back(Request::Deadline { channel: id, within: time });
    }

    fn channel(&mut self, id: ChannelId) -> &mut Channel {
        self.channels.get_mut(&id).expect("a channel lives as long as its stream")
    }
}

impl Transport for Hosted {
    type Stream = HostedStream;

    async fn connect(&self, to: &Endpoint, purpose: Purpose, within: Duration) -> io::Result<HostedStream> {
        let connect = |channel| Request::Connect { channel, to: to.clone(), purpose, within };
        let mut stream = self.host.ask(connect);
        stream.peer = stream.opened().await?.or_else(|| to.ip());
        Ok(stream)
    }

    async fn pause(&self, time: Duration) -> io::Result<()> {
        if time.is_zero() {
            return Ok(());
        }
        self.host.ask(|channel| Request::Sleep { channel, time }).opened().await.map(drop)
    }

    async fn listen(&self, at: &ListenAt, within: Duration) -> io::Result<Box<dyn Listener<HostedStream>>> {
        let stream = self.host.ask(|channel| Request::Listen { channel, at: at.clone(), within });
        let address = stream.opened().await?.unwrap_or(at.address);
        let listener = HostedListener { stream, address };
        Ok(Box::new(listener))
    }
}
