//! Errors become Python's: the one place where a core error is given its class.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use starttls::ftp::{LocalFailure, Refusal};
use starttls::{Error, ErrorKind, Phase, TlsFault};

use crate::value;

/// The classes that derive from builtin exceptions only.
const BUILTIN: &str = "starttls._errors";

/// The classes that derive from exceptions of modules which cost time to import.
const FOREIGN: &str = "starttls._foreign_errors";

/// Why an operation failed.
pub(crate) enum Failure {
    /// The core's error.
    Core(Error),
    /// An exception of the caller's own code (a reader, a writer, a progress callback). The session goes on.
    Python(PyErr),
    /// An exception in the middle of what cannot be left half done: the session is over.
    Abandoned(PyErr),
    /// A local file.
    Local(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl Failure {
    /// Whether the session must not be used again.
    pub(crate) fn is_fatal(&self) -> bool {
        match self {
            Self::Abandoned(_) => true,
            Self::Core(error) => matches!(error.kind(), ErrorKind::Interrupted),
            _ => false,
        }
    }

    /// For what reads in the core's service; `core` finds the exception again.
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Local(error) => error,
            Self::Python(error) | Self::Abandoned(error) => io::Error::other(error),
            Self::Core(error) => io::Error::other(error),
        }
    }

    /// The exception to raise. `interrupt` has the one that stopped a wait.
    pub(crate) fn into_exception(self, py: Python<'_>, hint: Hint, interrupt: &Interrupted) -> PyErr {
        match self {
            Self::Python(error) | Self::Abandoned(error) => error,
            Self::Local(error) => local(py, &error, None),
            Self::Core(error) => match interrupt.take() {
                Some(signal) if matches!(error.kind(), ErrorKind::Interrupted) => signal,
                _ => core(py, &error, hint),
            },
        }
    }
}

/// What the operation was about: tells a missing file from other refusals with the same code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Nothing of the kind.
    #[default]
    None,
    /// A file or directory of the server that must be there.
    Existing,
    /// A file or directory of the server that will be made.
    New,
}

/// The exception that a signal handler raised during a wait.
#[derive(Clone, Default)]
pub(crate) struct Interrupted(Arc<Mutex<Option<PyErr>>>);

impl Interrupted {
    pub(crate) fn take(&self) -> Option<PyErr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// [`Interrupted::check`] that goes on failing, for work that would take one failure for an answer.
    pub(crate) fn check_for_good(&self) -> io::Result<()> {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.check()
    }

    /// Lets Python's signal handlers run; an exception of theirs ends the wait.
    pub(crate) fn check(&self) -> io::Result<()> {
        Python::attach(|py| py.check_signals()).map_err(|error| {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            io::ErrorKind::Interrupted.into()
        })
    }
}

/// The exception for a core error.
pub(crate) fn core(py: Python<'_>, error: &Error, hint: Hint) -> PyErr {
    if let ErrorKind::Local(error) = error.kind() {
        // The caller's own code, called by the core, raised it.
        if let Some(raised) = error.get_ref().and_then(|inner| inner.downcast_ref::<PyErr>()) {
            return raised.clone_ref(py);
        }
        let named = error.get_ref().and_then(|inner| inner.downcast_ref::<LocalFailure>());
        return match named {
            Some(failure) => local(py, failure.error(), Some(failure.path())),
            None => local(py, error, None),
        };
    }
    let (module, name) = class(error, hint);
    let details = PyDict::new(py);
    let filled = (|| {
        if let Some(kind) = kind(error) {
            details.set_item("kind", kind)?;
        }
        details.set_item("phase", error.phase().map(Phase::as_str))?;
        details.set_item("host", error.peer())?;
        details.set_item("advice", error.advice())?;
        details.set_item("detail", error.detail())?;
        details.set_item("transient", error.is_transient())?;
        details.set_item("reply", error.reply().map(|reply| value::reply(py, reply)).transpose()?)
    })();
    match filled {
        Ok(()) => {
            let raised = raise(py, module, name, &error.to_string(), &details);
            // A callable of the caller's, in the middle of a handshake.
            let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<PyErr>());
            match cause {
                // Ctrl-C is nothing that a certificate is refused for.
                Some(cause) if !cause.is_instance_of::<PyException>(py) => cause.clone_ref(py),
                Some(cause) => {
                    raised.set_cause(py, Some(cause.clone_ref(py)));
                    raised
                }
                None => raised,
            }
        }
        Err(error) => error,
    }
}

/// The class of a core error: its module and its name.
fn class(error: &Error, hint: Hint) -> (&'static str, &'static str) {
    let builtin = |name| (BUILTIN, name);
    let foreign = |name| (FOREIGN, name);
    match error.kind() {
        ErrorKind::AccessDenied => builtin("AccessDenied"),
        ErrorKind::NameUnresolvable => foreign("NameUnresolvable"),
        ErrorKind::ConnectionRefused => builtin("ConnectionRefused"),
        ErrorKind::Unreachable => builtin("Unreachable"),
        ErrorKind::TimedOut => builtin("TimeoutExceeded"),
        ErrorKind::ClosedByPeer => builtin("ConnectionLost"),
        ErrorKind::Truncated => foreign("Truncated"),
        ErrorKind::UpgradeNotOffered => foreign("UpgradeNotOffered"),
        ErrorKind::NotOffered(_) => builtin("NotOffered"),
        ErrorKind::Downgraded(_) => builtin("Downgraded"),
        ErrorKind::BytesBeforeHandshake { .. } => foreign("BytesBeforeHandshake"),
        ErrorKind::Proxy(_) => builtin("ProxyError"),
        ErrorKind::Tls(fault) => foreign(fault_names(fault).0),
        ErrorKind::SizeMismatch { .. } => builtin("SizeMismatch"),
        ErrorKind::DigestMismatch { .. } => builtin("DigestMismatch"),
        ErrorKind::FileChanged(_) => builtin("RemoteFileChanged"),
        ErrorKind::Rejected if error.phase() == Some(Phase::Authenticate) => builtin("AuthenticationFailed"),
        ErrorKind::Rejected => builtin(refusal(error, hint)),
        ErrorKind::Unsolicited(_) | ErrorKind::ProtocolViolation(_) => builtin("ProtocolError"),
        ErrorKind::LimitExceeded(_) => builtin("LimitExceeded"),
        ErrorKind::InvalidArgument(_) => builtin("InvalidArgument"),
        ErrorKind::Unsupported(_) => builtin("Unsupported"),
        ErrorKind::InvalidState(_) => builtin("InvalidState"),
        _ => builtin("TransportError"),
    }
}

/// A finer word than the class tells, for the classes that stand for several causes.
fn kind(error: &Error) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::Tls(fault) => Some(fault_names(fault).1),
        ErrorKind::Unsolicited(_) => Some("unsolicited"),
        _ => None,
    }
}

/// The class of a TLS fault, and its word.
fn fault_names(fault: &TlsFault) -> (&'static str, &'static str) {
    let certificate = |word| ("CertificateError", word);
    let other = |word| ("TLSError", word);
    match fault {
        TlsFault::CertificateExpired => certificate("certificate-expired"),
        TlsFault::CertificateNotYetValid => certificate("certificate-not-yet-valid"),
        TlsFault::UnknownIssuer => certificate("unknown-issuer"),
        TlsFault::NameMismatch { .. } => certificate("name-mismatch"),
        TlsFault::Revoked => certificate("revoked"),
        TlsFault::RevocationUnknown(_) => certificate("revocation-unknown"),
        TlsFault::RejectedByCheck(_) => certificate("rejected-by-check"),
        TlsFault::WrongUsage => certificate("wrong-usage"),
        TlsFault::PinMismatch => certificate("pin-mismatch"),
        TlsFault::TlsaMismatch => certificate("tlsa-mismatch"),
        TlsFault::TlsaUnusable => other("tlsa-unusable"),
        TlsFault::MtaStsViolation(_) => other("mta-sts-violation"),
        TlsFault::BadCertificate(_) => certificate("bad-certificate"),
        TlsFault::NothingInCommon(_) => other("nothing-in-common"),
        TlsFault::AlertReceived { .. } => other("alert-received"),
        TlsFault::ClientCertificateRequired => other("client-certificate-required"),
        TlsFault::PlaintextInsideTls(_) => other("plaintext-inside-tls"),
        TlsFault::PeerMisbehaved(_) => other("peer-misbehaved"),
        TlsFault::NotResumed => other("not-resumed"),
        TlsFault::NoAuthorities(_) => other("no-authorities"),
        TlsFault::KeyMismatch => other("key-mismatch"),
        TlsFault::WrongPassphrase => other("wrong-passphrase"),
        TlsFault::Configuration(_) => other("configuration"),
        _ => other("tls"),
    }
}

/// The class for a refusal; an operation on files tells more than its code.
fn refusal(error: &Error, hint: Hint) -> &'static str {
    match Refusal::of(error).filter(|_| hint != Hint::None) {
        Some(Refusal::PermissionDenied) => "RemotePermissionDenied",
        Some(Refusal::Exists) => "RemoteFileExists",
        Some(Refusal::NotFound) => "RemoteFileNotFound",
        Some(Refusal::Unavailable) if hint == Hint::Existing => "RemoteFileNotFound",
        _ => "Rejected",
    }
}

/// The exception for a session that is not in a state for what was asked.
pub(crate) fn state(py: Python<'_>, why: &str) -> PyErr {
    raise(py, BUILTIN, "InvalidState", why, &PyDict::new(py))
}

/// The exception for an argument that cannot be used.
pub(crate) fn argument(py: Python<'_>, why: &str) -> PyErr {
    raise(py, BUILTIN, "InvalidArgument", why, &PyDict::new(py))
}

/// The exception for a local file.
pub(crate) fn local(py: Python<'_>, error: &io::Error, path: Option<&std::path::Path>) -> PyErr {
    let name = match error.kind() {
        io::ErrorKind::NotFound => "LocalFileNotFound",
        io::ErrorKind::PermissionDenied => "LocalPermissionDenied",
        _ => "LocalError",
    };
    let message = match path {
        Some(path) => format!("the local file {} cannot be used: {error}", path.display()),
        None => format!("local input or output failed: {error}"),
    };
    let details = PyDict::new(py);
    let filled = details
        .set_item("errno", error.raw_os_error())
        .and_then(|()| details.set_item("filename", path.map(|path| path.as_os_str())));
    match filled {
        Ok(()) => raise(py, BUILTIN, name, &message, &details),
        Err(error) => error,
    }
}

fn raise(py: Python<'_>, module: &str, name: &str, message: &str, details: &Bound<'_, PyDict>) -> PyErr {
    let made = py.import(module).and_then(|module| module.getattr(name)?.call((message,), Some(details)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}
