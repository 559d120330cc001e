//! The one place where core's errors become the interface's.

use starttls::{ErrorKind, TlsFault as Fault};

use crate::exports::types::{
    Alert, DigestMismatch, Error, ErrorCode, NameMismatch, Phase, Reply, SizeMismatch, TlsFault,
};

impl From<&starttls::Error> for Error {
    fn from(error: &starttls::Error) -> Self {
        Self {
            code: code(error.kind()),
            phase: error.phase().and_then(phase),
            retryable: error.is_transient(),
            peer: error.peer().map(str::to_owned),
            reply: error.reply().map(Reply::from),
            advice: error.advice().map(str::to_owned),
            detail: error.detail().map(str::to_owned),
            message: error.to_string(),
        }
    }
}

impl From<starttls::Error> for Error {
    fn from(error: starttls::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&starttls::reply::Reply> for Reply {
    fn from(reply: &starttls::reply::Reply) -> Self {
        Self {
            code: reply.code().number(),
            enhanced: reply.enhanced().map(|code| (code.class, code.subject, code.detail)),
            lines: reply.lines().map(std::borrow::Cow::into_owned).collect(),
        }
    }
}

/// An argument that the interface's types let through and core's would not.
pub(crate) fn invalid_argument(why: &str) -> Error {
    local(ErrorCode::InvalidArgument(why.into()), format!("invalid argument: {why}"))
}

/// A resource that cannot do this now.
#[cfg(feature = "clients")]
pub(crate) fn invalid_state(why: &str) -> Error {
    local(ErrorCode::InvalidState(why.into()), why.into())
}

/// The session is used after its end.
#[cfg(feature = "clients")]
pub(crate) fn closed() -> Error {
    invalid_state("the session is closed")
}

/// The caller's stream failed outside of a transfer.
#[cfg(all(feature = "clients", not(feature = "over-transport")))]
pub(crate) fn stream_failed(error: &std::io::Error) -> Error {
    starttls::Error::local(std::io::Error::new(error.kind(), error.to_string())).into()
}

fn local(code: ErrorCode, message: String) -> Error {
    Error { code, phase: None, retryable: false, peer: None, reply: None, advice: None, detail: None, message }
}

fn code(kind: &ErrorKind) -> ErrorCode {
    match kind {
        ErrorKind::AccessDenied => ErrorCode::AccessDenied,
        ErrorKind::NameUnresolvable => ErrorCode::NameUnresolvable,
        ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
        ErrorKind::Unreachable => ErrorCode::Unreachable,
        ErrorKind::TimedOut => ErrorCode::TimedOut,
        ErrorKind::ClosedByPeer => ErrorCode::ClosedByPeer,
        ErrorKind::Truncated => ErrorCode::Truncated,
        ErrorKind::UpgradeNotOffered => ErrorCode::UpgradeNotOffered,
        ErrorKind::NotOffered(what) => ErrorCode::NotOffered(what.clone()),
        ErrorKind::Downgraded(what) => ErrorCode::Downgraded(what.clone()),
        ErrorKind::BytesBeforeHandshake { count, .. } => {
            ErrorCode::BytesBeforeHandshake(u32::try_from(*count).unwrap_or(u32::MAX))
        }
        ErrorKind::Unsolicited(words) => ErrorCode::Unsolicited(words.clone()),
        ErrorKind::Proxy(why) => ErrorCode::Proxy(why.clone()),
        ErrorKind::Tls(fault) => ErrorCode::Tls(tls_fault(fault)),
        ErrorKind::SizeMismatch { expected, transferred } => {
            ErrorCode::SizeMismatch(SizeMismatch { expected: *expected, transferred: *transferred })
        }
        ErrorKind::DigestMismatch { algorithm, expected, computed } => ErrorCode::DigestMismatch(DigestMismatch {
            algorithm: (*algorithm).into(),
            expected: expected.clone(),
            computed: computed.clone(),
        }),
        ErrorKind::FileChanged(why) => ErrorCode::FileChanged(why.clone()),
        ErrorKind::Rejected => ErrorCode::Rejected,
        ErrorKind::ProtocolViolation(why) => ErrorCode::ProtocolViolation(why.clone()),
        ErrorKind::LimitExceeded(what) => ErrorCode::LimitExceeded(what.clone()),
        ErrorKind::InvalidArgument(why) => ErrorCode::InvalidArgument(why.clone()),
        ErrorKind::Unsupported(why) => ErrorCode::Unsupported(why.clone()),
        ErrorKind::InvalidState(why) => ErrorCode::InvalidState(why.clone()),
        ErrorKind::Local(error) => ErrorCode::Local(error.to_string()),
        // Nothing in here interrupts; what else there is to come has no word in this version of the interface.
        other => ErrorCode::Other(Some(other.to_string())),
    }
}

fn tls_fault(fault: &Fault) -> TlsFault {
    match fault {
        Fault::CertificateExpired => TlsFault::CertificateExpired,
        Fault::CertificateNotYetValid => TlsFault::CertificateNotYetValid,
        Fault::UnknownIssuer => TlsFault::UnknownIssuer,
        Fault::NameMismatch { expected, presented } => {
            TlsFault::NameMismatch(NameMismatch { expected: expected.clone(), presented: presented.clone() })
        }
        Fault::Revoked => TlsFault::Revoked,
        Fault::RevocationUnknown(why) => TlsFault::RevocationUnknown(why.clone()),
        Fault::WrongUsage => TlsFault::WrongUsage,
        Fault::PinMismatch => TlsFault::PinMismatch,
        Fault::TlsaMismatch => TlsFault::TlsaMismatch,
        Fault::TlsaUnusable => TlsFault::TlsaUnusable,
        Fault::MtaStsViolation(why) => TlsFault::MtaStsViolation(why.clone()),
        Fault::BadCertificate(why) => TlsFault::BadCertificate(why.clone()),
        Fault::NothingInCommon(why) => TlsFault::NothingInCommon(why.clone()),
        Fault::AlertReceived { code, name } => TlsFault::AlertReceived(Alert { code: *code, name: name.clone() }),
        Fault::ClientCertificateRequired => TlsFault::ClientCertificateRequired,
        Fault::PlaintextInsideTls(text) => TlsFault::PlaintextInsideTls(text.clone()),
        Fault::PeerMisbehaved(why) => TlsFault::PeerMisbehaved(why.clone()),
        Fault::NotResumed => TlsFault::NotResumed,
        Fault::NoAuthorities(why) => TlsFault::NoAuthorities(why.clone()),
        Fault::KeyMismatch => TlsFault::KeyMismatch,
        Fault::WrongPassphrase => TlsFault::WrongPassphrase,
        Fault::Configuration(why) => TlsFault::Configuration(why.clone()),
        other => TlsFault::Other(Some(other.to_string())),
    }
}

fn phase(phase: starttls::Phase) -> Option<Phase> {
    use starttls::Phase as P;
    Some(match phase {
        P::Resolve => Phase::Resolve,
        P::Connect => Phase::Connect,
        P::Greeting => Phase::Greeting,
        P::Upgrade => Phase::Upgrade,
        P::Handshake => Phase::Handshake,
        P::Authenticate => Phase::Authenticate,
        P::Command => Phase::Command,
        P::Data => Phase::Data,
        P::Close => Phase::Close,
        _ => return None,
    })
}
