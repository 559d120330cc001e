//! What can go wrong, in which phase, and the words for it.

use std::fmt;
use std::io;

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
    /// Lists of revoked certificates were given, and nothing current is known of a certificate of the chain; in words.
    RevocationUnknown(String),
    /// The caller's own check rejected the certificate, for this reason.
    RejectedByCheck(String),
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
    /// The server insists on a client certificate, and there is none, or none that it would take.
    ClientCertificateRequired,
    /// The peer sent clear text where a TLS record was due; the first bytes, as text.
    PlaintextInsideTls(String),
    /// The peer broke the TLS protocol, in words.
    PeerMisbehaved(String),
    /// The data connection does not resume the control connection's TLS session, which was required.
    NotResumed,
    /// There is no authority to trust: the platform's store, or the folder given, is empty; in words.
    NoAuthorities(String),
    /// The private key is not the one that the client's certificate was issued for.
    KeyMismatch,
    /// The passphrase does not open the client's key, or the file it is in.
    WrongPassphrase,
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
    /// The server said no; [`Error::reply`](crate::Error::reply) has its words.
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
            Self::RevocationUnknown(why) => write!(f, "whether the server's certificate is revoked is unknown: {why}"),
            Self::RejectedByCheck(why) => write!(f, "the caller's check rejected the server's certificate: {why}"),
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
            Self::NoAuthorities(why) => write!(f, "there is nobody to trust: {why}"),
            Self::KeyMismatch => f.write_str("the private key does not fit the client's certificate"),
            Self::WrongPassphrase => f.write_str("the passphrase does not open the client's private key"),
            Self::Configuration(why) => write!(f, "this TLS configuration cannot be used: {why}"),
        }
    }
}
