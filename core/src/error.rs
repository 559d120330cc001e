//! What went wrong, at which phase, with whom, what the peer said, and what to try.

use std::borrow::Cow;
use std::fmt;
use std::io;

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
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where in a session an error happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Looking up the host name.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// Waiting for the server's first reply.
    Greeting,
    /// Asking for TLS in clear text: STARTTLS or AUTH TLS.
    Upgrade,
    /// The TLS handshake itself.
    Handshake,
    /// Logging in.
    Authenticate,
    /// A command and its reply.
    Command,
    /// A message body, a file or a listing under way.
    Data,
    /// Saying good-bye.
    Close,
}

impl Phase {
    /// The phase in one lower-case word, as traces and bindings show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::Upgrade => "upgrade",
            Self::Handshake => "handshake",
            Self::Authenticate => "authenticate",
            Self::Command => "command",
            Self::Data => "data",
            Self::Close => "close",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a TLS handshake or record was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFault {
    /// The server's certificate is past its notAfter.
    CertificateExpired,
    /// The server's certificate is before its notBefore.
    CertificateNotYetValid,
    /// No trusted authority signed the chain (self-signed certificates too).
    UnknownIssuer,
    /// The certificate is for other names than the one asked for.
    NameMismatch {
        /// The name the client asked for.
        expected: String,
        /// The names the certificate carries as subjectAltName; none means that it carries a common name at most.
        presented: Vec<String>,
    },
    /// The certificate is revoked.
    Revoked,
    /// The certificate may not be used for a TLS server.
    WrongUsage,
    /// No pin matches the server's public key.
    PinMismatch,
    /// No usable TLSA record matches the server's certificate chain (RFC 6698).
    TlsaMismatch,
    /// TLSA records were given, and none of them can authenticate a server (RFC 7672 §3.1).
    TlsaUnusable,
    /// The MTA-STS policy does not allow this connection (RFC 8461 §4), in words.
    MtaStsViolation(String),
    /// Anything else wrong with the certificate, in words.
    BadCertificate(String),
    /// Client and server share no protocol version, cipher suite or group.
    NothingInCommon(String),
    /// The server sent a fatal alert; the number is the AlertDescription of RFC 8446 §6.
    AlertReceived {
        /// The AlertDescription.
        code: u8,
        /// Its name.
        name: String,
    },
    /// The server insists on a client certificate and none was configured.
    ClientCertificateRequired,
    /// The peer sent clear text where a TLS record was due; the first bytes, as text.
    PlaintextInsideTls(String),
    /// The peer broke the TLS protocol, in words.
    PeerMisbehaved(String),
    /// The data connection does not resume the control connection's TLS session, which was required.
    NotResumed,
    /// Our own configuration cannot be used, in words.
    Configuration(String),
}

/// What went wrong, for programs.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The host's policy denies this connection (a sandbox, a firewall rule answering with EACCES).
    AccessDenied,
    /// The host name has no address.
    NameUnresolvable,
    /// Nobody listens on that port.
    ConnectionRefused,
    /// No route, network or host.
    Unreachable,
    /// The operation's deadline passed.
    TimedOut,
    /// The peer closed, or reset, the connection while an answer was due.
    ClosedByPeer,
    /// The TLS connection ended without close_notify: what was received may be cut short.
    Truncated,
    /// The server does not offer STARTTLS, or not AUTH TLS, and TLS is required.
    UpgradeNotOffered,
    /// The server does not offer what was asked for: an extension, a login mechanism; in words. Nothing was sent.
    NotOffered(String),
    /// The server offered protection earlier in this process and does not now, STARTTLS or a login as strong; in words.
    /// Somebody in between may be stripping it.
    Downgraded(String),
    /// The server spoke after the upgrade reply and before the handshake: injected commands or replies.
    BytesBeforeHandshake {
        /// How many bytes were waiting.
        count: usize,
        /// The first of them, as text.
        sample: String,
    },
    /// The peer spoke while no reply was due.
    Unsolicited(String),
    /// The proxy refused, or does not speak its protocol; in words, which name it.
    Proxy(String),
    /// TLS was refused, by us or by the peer.
    Tls(TlsFault),
    /// The transfer is over, and its size is not what the server says it should be.
    SizeMismatch {
        /// Bytes that the server tells.
        expected: u64,
        /// Bytes that were transferred.
        transferred: u64,
    },
    /// The transfer is over, and its digest is not the one that the server computes.
    DigestMismatch {
        /// What computed both.
        algorithm: &'static str,
        /// What the server computed, in hexadecimal digits.
        expected: String,
        /// What was computed here.
        computed: String,
    },
    /// What there is of a file is not the beginning of the file as it is now, in words: nothing was added to it.
    FileChanged(String),
    /// The server said no; [`Error::reply`] has its words.
    Rejected,
    /// The server's answer breaks the protocol.
    ProtocolViolation(String),
    /// A reply or listing outgrew its budget.
    LimitExceeded(String),
    /// An argument cannot be sent.
    InvalidArgument(String),
    /// The transport cannot do this (wait for connections, as active mode would).
    Unsupported(String),
    /// The session cannot do this now (closed, poisoned, another transfer under way, a secret on clear text).
    InvalidState(String),
    /// Reading or writing on this side failed: a local file, a caller's reader or writer.
    Local(io::Error),
    /// The caller's interrupt hook stopped the wait.
    Interrupted,
    /// The transport failed in another way.
    Io(io::Error),
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, phase: None, peer: None, advice: None, reply: None, detail: None, tried: None }))
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

    pub(crate) fn tls(fault: TlsFault) -> Self {
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

    /// Names the phase, unless a deeper layer already did.
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
    pub(crate) fn advise(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.0.advice.get_or_insert_with(|| advice.into());
        self
    }

    pub(crate) fn with_reply(mut self, reply: Reply) -> Self {
        self.0.reply = Some(reply);
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
        let Inner { kind, phase, peer, advice, reply, detail, tried } = &*self.0;
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

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessDenied => f.write_str("access denied by the host's policy"),
            Self::NameUnresolvable => f.write_str("the host name cannot be resolved"),
            Self::ConnectionRefused => f.write_str("connection refused: nobody listens on that port"),
            Self::Unreachable => f.write_str("no route to the host"),
            Self::TimedOut => f.write_str("timed out"),
            Self::ClosedByPeer => f.write_str("the server closed the connection"),
            Self::Truncated => f.write_str("the TLS connection ended without close_notify: data may be missing"),
            Self::UpgradeNotOffered => {
                f.write_str("the server does not offer TLS on this connection, and TLS is required")
            }
            Self::BytesBeforeHandshake { count, sample } => {
                write!(
                    f,
                    "{count} bytes arrived between the upgrade reply and the TLS handshake (\"{sample}\"): somebody injects them"
                )
            }
            Self::Unsolicited(text) => write!(f, "the server spoke while no reply was due (\"{text}\")"),
            Self::Proxy(why) => write!(f, "the proxy {why}"),
            Self::Tls(fault) => write!(f, "TLS: {fault}"),
            Self::SizeMismatch { expected, transferred } => {
                write!(f, "the server tells {expected} bytes and {transferred} were transferred")
            }
            Self::DigestMismatch { algorithm, expected, computed } => {
                write!(f, "the server's {algorithm} is {expected}, and what was transferred has {computed}")
            }
            Self::FileChanged(why) => write!(f, "the file changed: {why}"),
            Self::Rejected => f.write_str("refused"),
            Self::ProtocolViolation(why) => write!(f, "the server breaks the protocol: {why}"),
            Self::LimitExceeded(what) => write!(f, "limit exceeded: {what}"),
            Self::InvalidArgument(why) => write!(f, "invalid argument: {why}"),
            Self::Unsupported(why) | Self::InvalidState(why) | Self::NotOffered(why) | Self::Downgraded(why) => {
                f.write_str(why)
            }
            Self::Local(error) => write!(f, "local input or output failed: {error}"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CertificateExpired => f.write_str("the server's certificate has expired"),
            Self::CertificateNotYetValid => {
                f.write_str("the server's certificate is not valid yet (is this machine's clock right?)")
            }
            Self::UnknownIssuer => {
                f.write_str("the server's certificate is signed by an authority that is not trusted")
            }
            Self::NameMismatch { expected, presented } if presented.is_empty() => {
                write!(f, "the server's certificate is not for {expected}: it names no host as subjectAltName")
            }
            Self::NameMismatch { expected, presented } => {
                write!(f, "the server's certificate is not for {expected} but for {}", presented.join(", "))
            }
            Self::Revoked => f.write_str("the server's certificate is revoked"),
            Self::WrongUsage => f.write_str("the server's certificate may not be used for a TLS server"),
            Self::PinMismatch => f.write_str("no pin matches the server's key"),
            Self::TlsaMismatch => f.write_str("no TLSA record matches the server's certificate"),
            Self::TlsaUnusable => f.write_str("none of the TLSA records can authenticate a server"),
            Self::MtaStsViolation(why) => write!(f, "the MTA-STS policy forbids this connection: {why}"),
            Self::BadCertificate(why) => write!(f, "the server's certificate cannot be accepted: {why}"),
            Self::NothingInCommon(why) => write!(f, "no common ground with the server: {why}"),
            Self::AlertReceived { code, name } => write!(f, "the server refused with alert {code} ({name})"),
            Self::ClientCertificateRequired => f.write_str("the server insists on a client certificate"),
            Self::PlaintextInsideTls(text) => write!(f, "clear text where a TLS record was due: \"{text}\""),
            Self::NotResumed => f.write_str("the data connection does not resume the control connection's session"),
            Self::PeerMisbehaved(why) => write!(f, "the server breaks the TLS protocol: {why}"),
            Self::Configuration(why) => write!(f, "this TLS configuration cannot be used: {why}"),
        }
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
            _ => None,
        }
    }
}
