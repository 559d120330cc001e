//! Why a verb failed: the exit code, one line for people, an object for programs. The only file that maps errors.

use std::io;
use std::path::Path;

use serde_json::{Value, json};
use starttls::url::Url;
use starttls::{Error, ErrorKind, Phase, Security, TlsFault};

use crate::exit::Exit;
use crate::view;

/// Why a verb failed.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    /// `None`: nobody is left to tell.
    message: Option<String>,
    advice: Option<String>,
    /// The library's error, where it is one.
    error: Option<Error>,
}

impl Failure {
    /// A failure in our own words.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: Some(message.into()), advice: None, error: None }
    }

    /// The command line cannot be used.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A local file cannot be used.
    pub(crate) fn file(exit: Exit, path: &Path, error: &io::Error) -> Self {
        Self::new(exit, format!("{}: {error}", path.display()))
    }

    /// Standard output cannot be written. Whoever closed it has read enough, and is not told.
    pub(crate) fn output(error: &io::Error) -> Self {
        let mut failure = Self::new(Exit::IoError, format!("standard output: {error}"));
        if error.kind() == io::ErrorKind::BrokenPipe {
            failure.message = None;
        }
        failure
    }

    /// An error that comes before there is a server to talk to.
    pub(crate) fn early(error: Error) -> Self {
        Self::library(error, None, Exit::Unavailable)
    }

    /// An error of a session with the server at `url`. `refused` is what a refusal for good means to the verb.
    pub(crate) fn session(error: Error, url: &Url, refused: Exit) -> Self {
        Self::library(error, Some(url), refused)
    }

    fn library(error: Error, url: Option<&Url>, refused: Exit) -> Self {
        let whole = error.to_string();
        // The advice is told apart, since here it can name flags and whole URLs.
        let bare = error.advice().and_then(|advice| whole.strip_suffix(&format!("; {advice}")));
        let message = bare.unwrap_or(&whole).to_owned();
        let advice = advice(&error, url).or_else(|| error.advice().map(str::to_owned));
        Self { exit: exit(&error, refused), message: Some(message), advice, error: Some(error) }
    }

    /// Says what to try.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// One line for people.
    pub(crate) fn line(&self) -> Option<String> {
        let message = self.message.as_ref()?;
        let advice = self.advice.as_ref().map_or(String::new(), |advice| format!("; {advice}"));
        Some(view::printable(&format!("{message}{advice}")))
    }

    /// The object for programs.
    pub(crate) fn json(&self) -> Value {
        let mut object = match &self.error {
            Some(error) => view::json(error),
            None => {
                let kind = if self.exit == Exit::Usage { "invalid_argument" } else { "local" };
                json!({"kind": kind, "phase": null, "peer": null, "transient": false, "reply": null, "detail": null})
            }
        };
        object["message"] = json!(self.message);
        object["advice"] = json!(self.advice);
        object
    }
}

/// The exit code of an error. `refused` is that of a refusal for good.
fn exit(error: &Error, refused: Exit) -> Exit {
    let login = error.phase() == Some(Phase::Authenticate);
    match error.kind() {
        ErrorKind::Rejected if error.is_transient() => Exit::TempFail,
        ErrorKind::Rejected if login || error.reply().is_some_and(|reply| reply.code().is_login_required()) => {
            Exit::NoPermission
        }
        ErrorKind::Rejected if error.phase() == Some(Phase::Upgrade) => Exit::Protocol,
        ErrorKind::Rejected if matches!(error.phase(), Some(Phase::Command | Phase::Data)) => refused,
        ErrorKind::Rejected => Exit::Unavailable,
        ErrorKind::InvalidArgument(_) | ErrorKind::Unsupported(_) => Exit::Usage,
        // Found out before anything was sent: it is about what we were given.
        ErrorKind::LimitExceeded(_) if error.phase().is_none() => Exit::Data,
        ErrorKind::InvalidState(_) | ErrorKind::NotOffered(_) if login => Exit::NoPermission,
        ErrorKind::AccessDenied | ErrorKind::Tls(TlsFault::ClientCertificateRequired) => Exit::NoPermission,
        ErrorKind::Tls(
            TlsFault::Configuration(_) | TlsFault::NoAuthorities(_) | TlsFault::KeyMismatch | TlsFault::WrongPassphrase,
        ) => Exit::Config,
        ErrorKind::NameUnresolvable => Exit::NoHost,
        ErrorKind::Proxy(_) => Exit::Unavailable,
        ErrorKind::TimedOut | ErrorKind::Interrupted => Exit::TempFail,
        ErrorKind::Local(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory => Exit::NoInput,
            _ => Exit::IoError,
        },
        ErrorKind::SizeMismatch { .. } | ErrorKind::DigestMismatch { .. } => Exit::IoError,
        ErrorKind::FileChanged(_) => Exit::Data,
        ErrorKind::UpgradeNotOffered
        | ErrorKind::Downgraded(_)
        | ErrorKind::BytesBeforeHandshake { .. }
        | ErrorKind::Unsolicited(_)
        | ErrorKind::Tls(_)
        | ErrorKind::ProtocolViolation(_)
        | ErrorKind::LimitExceeded(_) => Exit::Protocol,
        _ => Exit::Unavailable,
    }
}

/// Advice in terms of this command line, where it says more than the library's.
fn advice(error: &Error, url: Option<&Url>) -> Option<String> {
    match error.kind() {
        ErrorKind::Tls(TlsFault::UnknownIssuer) => Some("if the authority is your own, give its --ca-file".into()),
        ErrorKind::Tls(TlsFault::NameMismatch { .. }) => {
            Some("connect by a name that the certificate carries, or give that name with --server-name".into())
        }
        ErrorKind::Tls(TlsFault::ClientCertificateRequired) => Some(format!("{} (--client-cert)", error.advice()?)),
        _ => Some(with_whole_urls(&in_flags(error.advice()?), url?)),
    }
}

/// What can be gone on with is gone on with by a flag.
pub(crate) fn in_flags(advice: &str) -> String {
    advice.replace(", to go on with", ": see --continue")
}

/// The library names the server in the URL that would work; here the user and the path go with it.
fn with_whole_urls(advice: &str, url: &Url) -> String {
    let candidates = [Security::Upgrade, Security::Implicit].map(|security| {
        let mut whole = url.clone();
        whole.security = security;
        let mut bare = whole.clone();
        (bare.user, bare.path) = (None, Vec::new());
        (bare.to_string(), whole.to_string())
    });
    let word = |word: &str| {
        let found = candidates.iter().find(|(bare, _)| bare == word);
        found.map_or_else(|| word.to_owned(), |(_, whole)| whole.clone())
    };
    advice.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
