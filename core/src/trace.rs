//! What happened on a connection, as events that may be shown: no secret is in them.
//!
//! Events follow the dialogue, not the reads: however the bytes were cut up on the way, the trace is the same.

use std::fmt;
use std::sync::Arc;

use crate::tls::TlsInfo;

/// One event of a session.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A connection was opened.
    Connected {
        /// Whether it is the control connection or one for data.
        channel: Channel,
        /// The peer, `host:port`.
        peer: String,
    },
    /// Somebody else than the server connected where the server was expected, and was turned away.
    TurnedAway {
        /// Which connection was expected.
        channel: Channel,
        /// Who came, `host:port`.
        peer: String,
    },
    /// A command was sent; secrets stand as `***`.
    Sent(String),
    /// A reply line was received; secrets it repeats stand as `***`.
    Received(String),
    /// A connection became TLS.
    Secured {
        /// Which connection.
        channel: Channel,
        /// What was agreed.
        tls: Arc<TlsInfo>,
    },
    /// The body of a message, a file or a listing went by.
    Data {
        /// Which way.
        direction: Direction,
        /// Bytes of content.
        bytes: u64,
    },
    /// A connection was closed.
    Closed {
        /// Which connection.
        channel: Channel,
    },
}

/// Which connection an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Commands and replies.
    Control,
    /// An FTP data connection.
    Data,
}

/// Which way content went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the server.
    Up,
    /// From the server.
    Down,
}

/// One line a person can read, in the manner of protocol examples: `C:` is the client, `S:` the server.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { channel, peer } => write!(f, "*  {channel} connected to {peer}"),
            Self::TurnedAway { channel, peer } => write!(f, "*  {channel} turned away {peer}"),
            Self::Sent(line) => write!(f, "C: {line}"),
            Self::Received(line) => write!(f, "S: {line}"),
            Self::Secured { channel, tls } => write!(f, "*  {channel} secured: {tls}"),
            Self::Data { direction: Direction::Up, bytes } => write!(f, "C: <{bytes} bytes>"),
            Self::Data { direction: Direction::Down, bytes } => write!(f, "S: <{bytes} bytes>"),
            Self::Closed { channel } => write!(f, "*  {channel} closed"),
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::Data => "data",
        })
    }
}

type Sink = dyn Fn(&Event) + Send + Sync;

/// Where events go; none by default.
#[derive(Clone, Default)]
pub struct Trace(Option<Arc<Sink>>);

impl Trace {
    /// Calls `sink` with each event, on the thread that runs the dialogue.
    pub fn new(sink: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }

    /// Makes the event only if somebody listens.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if let Some(sink) = &self.0 {
            sink(&event());
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Trace(on)" } else { "Trace(off)" })
    }
}
