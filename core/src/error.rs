//! What went wrong, at which phase, with whom, what the peer said, and what to try.

mod kind;
mod local;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

pub use self::kind::{ErrorKind, Phase, TlsFault};
pub use self::local::LocalFailure;
use crate::reply::{Reply, printable};
use crate::transport::ProxyFailure;

/// The error of every operation in this crate.
///
/// Its `Display` names what was tried, the phase, the peer, the peer's own words and, where there is one, the remedy.
/// [`Error::kind`] is for programs; the text is for people and may change.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    phase: Option<Phase>,
    peer: Option<String>,
    tried: Option<String>,
    advice: Option<Cow<'static, str>>,
    reply: Option<Reply>,
    detail: Option<String>,
    source: Option<Cause>,
}

/// An error of the caller's own code.
pub(crate) type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        let (phase, peer, tried, advice, reply, detail, source) = (None, None, None, None, None, None, None);
        Self(Box::new(Inner { kind, phase, peer, tried, advice, reply, detail, source }))
    }

    /// The server's refusal.
    pub(crate) fn rejected(reply: Reply) -> Self {
        Self::new(ErrorKind::Rejected).with_reply(reply)
    }

    pub(crate) fn invalid_argument(why: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument(why.into()))
    }

    pub(crate) fn invalid_state(why: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidState(why.into()))
    }

    pub(crate) fn not_offered(why: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotOffered(why.into()))
    }

    pub(crate) fn violation(why: impl Into<String>) -> Self {
        Self::new(ErrorKind::ProtocolViolation(why.into()))
    }

    pub(crate) fn limit(why: impl Into<String>) -> Self {
        Self::new(ErrorKind::LimitExceeded(why.into()))
    }

    /// A failure of TLS, by a [`Backend`](crate::tls::Backend).
    pub fn tls(fault: TlsFault) -> Self {
        Self::new(ErrorKind::Tls(fault))
    }

    /// A failure on the caller's side of a transfer: its file, reader or writer.
    pub fn local(error: io::Error) -> Self {
        Self::new(ErrorKind::Local(error))
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Where in the session it went wrong; `None` for errors found before any I/O.
    pub fn phase(&self) -> Option<Phase> {
        self.0.phase
    }

    /// `host:port` of the peer, where there is one.
    pub fn peer(&self) -> Option<&str> {
        self.0.peer.as_deref()
    }

    /// What was tried, where there was more than one thing to try: each address of a host, each of several servers, a
    /// proxy on the way.
    pub fn tried(&self) -> Option<&str> {
        self.0.tried.as_deref()
    }

    /// What to try, where it is known.
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// The server's own words, where it said any.
    pub fn reply(&self) -> Option<&Reply> {
        self.0.reply.as_ref()
    }

    /// What a login mechanism said about its failure beside the reply: the JSON object of OAuth (RFC 7628 §3.2.2, with
    /// `status`, `scope` and `openid-configuration`), the error value of SCRAM (RFC 5802 §7). The server's own text.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// Whether the same call may succeed later without a change: timeouts, lost connections, 4yz replies.
    pub fn is_transient(&self) -> bool {
        match &self.0.kind {
            ErrorKind::Rejected => self.0.reply.as_ref().is_some_and(|r| r.code().is_transient_negative()),
            ErrorKind::TimedOut
            | ErrorKind::ConnectionRefused
            | ErrorKind::Unreachable
            | ErrorKind::ClosedByPeer
            | ErrorKind::Truncated => true,
            _ => false,
        }
    }

    /// Whether the server had ended the session, or ends it with this reply: closed or reset it, or said 421. Where the
    /// operation's errors mean that nothing was done, as those of sending a message do, the same may be tried in a new
    /// session.
    pub fn is_end_of_session(&self) -> bool {
        match self.kind() {
            ErrorKind::ClosedByPeer | ErrorKind::Truncated => true,
            _ => self.reply().is_some_and(|reply| reply.code().is_closing()),
        }
    }

    /// The same error once more, for another operation that it ended.
    pub(crate) fn echo(&self) -> Self {
        let kind = match &self.0.kind {
            ErrorKind::TimedOut => ErrorKind::TimedOut,
            ErrorKind::ClosedByPeer => ErrorKind::ClosedByPeer,
            ErrorKind::Truncated => ErrorKind::Truncated,
            ErrorKind::Rejected => ErrorKind::Rejected,
            ErrorKind::Interrupted => ErrorKind::Interrupted,
            ErrorKind::ProtocolViolation(why) => ErrorKind::ProtocolViolation(why.clone()),
            _ => ErrorKind::InvalidState(format!("the session was lost: {self}")),
        };
        let Inner { phase, peer, advice, reply, .. } = &*self.0;
        let mut echo = Self::new(kind);
        echo.0.phase = *phase;
        (echo.0.peer, echo.0.advice, echo.0.reply) = (peer.clone(), advice.clone(), reply.clone());
        echo
    }

    /// Names the phase, unless a deeper layer already did.
    pub(crate) fn during(mut self, phase: Phase) -> Self {
        self.0.phase.get_or_insert(phase);
        self
    }

    /// Says more of a failure on the caller's side.
    pub(crate) fn map_local(mut self, more: impl FnOnce(io::Error) -> io::Error) -> Self {
        self.0.kind = match self.0.kind {
            ErrorKind::Local(error) => ErrorKind::Local(more(error)),
            other => other,
        };
        self
    }

    /// Names the peer, unless a deeper layer already did.
    pub(crate) fn with_peer(mut self, peer: &str) -> Self {
        self.0.peer.get_or_insert_with(|| peer.to_owned());
        self
    }

    /// Adds what was tried.
    pub(crate) fn tell(mut self, tried: String) -> Self {
        self.0.tried = Some(match self.0.tried.take() {
            Some(before) => format!("{before}; {tried}"),
            None => tried,
        });
        self
    }

    /// Changes what the peer said, wherever it is repeated.
    pub(crate) fn redact(mut self, scrub: impl Fn(Vec<u8>) -> Vec<u8>) -> Self {
        self.0.reply = self.0.reply.take().map(|reply| reply.map(&scrub));
        let clean = |text: &mut String| {
            *text = String::from_utf8_lossy(&scrub(std::mem::take(text).into_bytes())).into_owned();
        };
        if let Some(detail) = &mut self.0.detail {
            clean(detail);
            *detail = printable(detail.as_bytes());
        }
        if let ErrorKind::Tls(TlsFault::PlaintextInsideTls(text))
        | ErrorKind::ProtocolViolation(text)
        | ErrorKind::Unsolicited(text) = &mut self.0.kind
        {
            clean(text);
        }
        self
    }

    /// Says what to try, unless a deeper layer already did.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.0.advice.get_or_insert_with(|| advice.into());
        self
    }

    pub(crate) fn with_reply(mut self, reply: Reply) -> Self {
        self.0.reply = Some(reply);
        self
    }

    pub(crate) fn with_source(mut self, source: Option<Cause>) -> Self {
        self.0.source = source;
        self
    }

    pub(crate) fn with_detail(mut self, detail: Option<String>) -> Self {
        self.0.detail = detail;
        self
    }
}

impl From<io::Error> for Error {
    /// An error of the transport. `AccessDenied` is told apart from the network's own failures.
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as K;
        let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<ProxyFailure>());
        if let Some(failure) = failure {
            let (proxy, why) = (failure.proxy().to_string(), failure.to_string());
            return match error.kind() {
                K::Other => Self::new(ErrorKind::Proxy(why)).with_peer(&proxy),
                kind if failure.is_about_target() => Self::from(io::Error::from(kind)).tell(why),
                kind => Self::from(io::Error::from(kind)).tell(why).with_peer(&proxy),
            };
        }
        let kind = match error.kind() {
            K::PermissionDenied => ErrorKind::AccessDenied,
            K::ConnectionRefused => ErrorKind::ConnectionRefused,
            K::TimedOut | K::WouldBlock => ErrorKind::TimedOut,
            K::HostUnreachable | K::NetworkUnreachable | K::NetworkDown | K::AddrNotAvailable => ErrorKind::Unreachable,
            K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof | K::NotConnected => {
                ErrorKind::ClosedByPeer
            }
            K::Interrupted => ErrorKind::Interrupted,
            K::NotFound => ErrorKind::NameUnresolvable,
            K::InvalidInput | K::Unsupported => ErrorKind::InvalidArgument(error.to_string()),
            _ => ErrorKind::Io(error),
        };
        Self::new(kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, phase, peer, advice, reply, detail, tried, source: _ } = &*self.0;
        match kind {
            // A refusal's news is what the server said.
            ErrorKind::Rejected => f.write_str("the server refused")?,
            kind => write!(f, "{kind}")?,
        }
        if let Some(phase) = phase {
            write!(f, " ({phase}")?;
            if let Some(peer) = peer {
                write!(f, ", {peer}")?;
            }
            f.write_str(")")?;
        } else if let Some(peer) = peer {
            write!(f, " ({peer})")?;
        }
        if let Some(tried) = tried {
            write!(f, ": {tried}")?;
        }
        if let Some(reply) = reply {
            write!(f, ": the server said \"{reply}\"")?;
        }
        if let Some(detail) = detail {
            write!(f, ", in detail: {detail}")?;
        }
        if let Some(advice) = advice {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("phase", &self.0.phase)
            .field("peer", &self.0.peer)
            .field("reply", &self.0.reply)
            .field("detail", &self.0.detail)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            ErrorKind::Local(error) | ErrorKind::Io(error) => Some(error),
            _ => self.0.source.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static)),
        }
    }
}
