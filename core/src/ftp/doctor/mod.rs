//! An examination of a server: what is good about it, what is odd, what is wrong, why, and what would help.
//!
//! ```text
//!   reach ─ as configured ─┬─ TLS versions ─ ways in ─┬─ log in ─ commands ─ passive modes ─ listings ─ [a file of ours]
//!                          │                          └─ log in anew ─ a listing that does not resume
//!                          └ not trusted: the same, up to the login, and nothing is believed or told
//! ```
//!
//! It reads and changes nothing, unless [`Examination::write_test`] asks for it by name. Sessions come one after another, so
//! that a server that limits them is examined like any other.

mod data;
mod offers;
mod reach;
mod session;
mod words;
mod writing;

use std::time::Duration;

use super::client::Client;
use super::credentials::Credentials;
use super::memory::ServerMemory;
use super::settings::Settings;
use crate::error::Error;
use crate::options::Options;
use crate::reply::Reply;
use crate::tls::TlsInfo;
use crate::transport::{Endpoint, Transport};

/// The longest that a stage of an examination takes, whatever [`Options::timeouts`] would allow a transfer: it is silence
/// that is looked for here.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What may be done besides looking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examination {
    /// The directory whose listings are looked at, and that a test file goes to; the one after login if empty.
    pub directory: Vec<u8>,
    /// Uploads a file of a few bytes with a name of its own, looks at its size, time and checksums, and deletes it: the
    /// only way to know the server's clock, and how uploads end.
    pub write_test: bool,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Topic {
    /// Whether somebody answers who speaks FTP.
    Connection,
    /// The ways to TLS: AUTH TLS, AUTH SSL, TLS from the first byte.
    Modes,
    /// The TLS versions that are accepted.
    TlsVersions,
    /// The server's certificate.
    Certificate,
    /// The login, and the protection of data connections.
    Login,
    /// How long it takes to be ready, in time and in round trips.
    Speed,
    /// After which silence the server hangs up.
    IdleTime,
    /// EPSV, and the address that PASV tells.
    PassiveMode,
    /// Whether data connections can be opened at all.
    DataConnection,
    /// Whether data connections must resume the control connection's TLS session.
    SessionReuse,
    /// How many resumable sessions the server gives.
    Tickets,
    /// Whether data connections end with close_notify.
    DataEnd,
    /// MLSD, or LIST, and whether it can be read.
    Listings,
    /// Names: UTF-8 or anything else.
    Names,
    /// Checksums of remote files.
    Checksums,
    /// Whether transfers can go on where they stopped.
    Resuming,
    /// Whether times can be read and set.
    Times,
    /// The server's clock.
    Clock,
    /// Compressed transfers.
    Compression,
    /// Uploads, as the write test saw them.
    Writing,
}

impl Topic {
    /// The topic as reports show it: lower case, words joined by hyphens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Modes => "modes",
            Self::TlsVersions => "tls-versions",
            Self::Certificate => "certificate",
            Self::Login => "login",
            Self::Speed => "speed",
            Self::IdleTime => "idle-time",
            Self::PassiveMode => "passive-mode",
            Self::DataConnection => "data-connection",
            Self::SessionReuse => "session-reuse",
            Self::Tickets => "tickets",
            Self::DataEnd => "data-end",
            Self::Listings => "listings",
            Self::Names => "names",
            Self::Checksums => "checksums",
            Self::Resuming => "resuming",
            Self::Times => "times",
            Self::Clock => "clock",
            Self::Compression => "compression",
            Self::Writing => "writing",
        }
    }
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Good,
    /// Worth knowing: this client copes, others may not.
    Notice,
    /// Something will fail, or cannot be trusted.
    Problem,
}

impl State {
    /// The state in one lower-case word, as reports show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Notice => "notice",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at. Texts are for people and may change; none holds a secret or a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at.
    pub topic: Topic,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// Why it is so, as far as it can be told.
    pub cause: Option<String>,
    /// What would help, and whom it is for.
    pub remedy: Option<String>,
}

/// What an examination found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Diagnosis {
    /// What was found, in the order in which it was looked at; no topic twice.
    pub findings: Vec<Finding>,
    /// Why the examination could not go further: the error of a session as it was configured.
    pub error: Option<Error>,
    /// The server's greeting.
    pub greeting: Option<Reply>,
    /// What TLS agreed on; also where the certificate is not trusted, which [`Diagnosis::error`] says then.
    pub tls: Option<TlsInfo>,
    /// What the server offers (FEAT), after the login if there was one: names in upper case, and parameters.
    pub features: Vec<(String, String)>,
}

impl Diagnosis {
    /// The worst of the findings.
    pub fn state(&self) -> State {
        self.findings.iter().map(|finding| finding.state).max().unwrap_or(State::Good)
    }

    /// What was found about a topic, if it was looked at.
    pub fn about(&self, topic: Topic) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.topic == topic)
    }
}

/// Examines the server at `endpoint`, which sessions would be opened with as `options` and `settings` say. Without
/// credentials it ends before the login; with them, nothing is sent to a server that is not trusted.
///
/// It does not fail: what goes wrong is what it is about.
pub async fn doctor<T: Transport + Clone>(
    transport: &T,
    endpoint: &Endpoint,
    options: &Options,
    settings: &Settings,
    credentials: Option<&Credentials>,
    examination: &Examination,
) -> Diagnosis {
    let mut options = options.clone();
    let times = &mut options.timeouts;
    for stage in [&mut times.connect, &mut times.handshake, &mut times.reply, &mut times.stall, &mut times.finish] {
        *stage = (*stage).min(PATIENCE);
    }
    let pipelining = settings.pipelining;
    let settings = Settings {
        // What is known from elsewhere is not seen here, and a cut end is to be seen rather than refused.
        memory: ServerMemory::new(),
        accept_missing_close_notify: true,
        // Each command is looked at alone.
        pipelining: false,
        ..settings.clone()
    };
    let diagnosis = Diagnosis { findings: Vec::new(), error: None, greeting: None, tls: None, features: Vec::new() };
    let mut doctor = Doctor { transport, endpoint, options, settings, pipelining, credentials, examination, diagnosis };
    doctor.examine().await;
    doctor.hide_secrets();
    doctor.diagnosis
}

impl<T: Transport + Clone> Client<T> {
    /// [`doctor`] for the server of this session, in sessions of its own with the same options, settings and credentials.
    pub async fn doctor(&mut self, examination: &Examination) -> Diagnosis {
        // All of it is taken out before: a future that holds on to a session would keep it from moving between threads.
        let (transport, endpoint, settings) = (self.transport.clone(), self.endpoint.clone(), self.settings.clone());
        let (options, credentials) = (self.options().clone(), self.credentials().cloned());
        doctor(&transport, &endpoint, &options, &settings, credentials.as_ref(), examination).await
    }
}

/// An examination under way.
struct Doctor<'a, T: Transport> {
    transport: &'a T,
    endpoint: &'a Endpoint,
    options: Options,
    settings: Settings,
    /// Whether a login that is measured may be in flights.
    pipelining: bool,
    credentials: Option<&'a Credentials>,
    examination: &'a Examination,
    diagnosis: Diagnosis,
}

impl<T: Transport + Clone> Doctor<'_, T> {
    async fn examine(&mut self) {
        let trusted = self.reach().await;
        if self.diagnosis.tls.is_some() {
            self.tls_versions().await;
            self.ways_in().await;
        }
        match self.credentials {
            Some(credentials) if trusted => self.in_session(credentials).await,
            _ => {}
        }
    }

    /// A session hides its own secrets; but what one was told, a server can repeat to the next one before its login.
    fn hide_secrets(&mut self) {
        let Some(credentials) = self.credentials else { return };
        let hide = |text: &mut String| {
            // Shorter ones would blot out ordinary words.
            for secret in credentials.secrets().filter(|secret| secret.len() >= 4) {
                if text.contains(secret) {
                    *text = text.replace(secret, "***");
                }
            }
        };
        let Diagnosis { findings, error, greeting, features, .. } = &mut self.diagnosis;
        for finding in findings {
            [Some(&mut finding.seen), finding.cause.as_mut(), finding.remedy.as_mut()]
                .into_iter()
                .flatten()
                .for_each(hide);
        }
        features.iter_mut().flat_map(|(name, parameters)| [name, parameters]).for_each(hide);
        let hidden = |bytes: Vec<u8>| match String::from_utf8(bytes) {
            Ok(mut text) => {
                hide(&mut text);
                text.into_bytes()
            }
            Err(error) => error.into_bytes(),
        };
        *greeting = greeting.take().map(|greeting| greeting.map(hidden));
        *error = error.take().map(|error| error.redact(hidden));
    }

    async fn open(&self, options: &Options) -> crate::Result<Client<T>> {
        Client::connect_with(self.transport.clone(), self.endpoint, options.clone(), &self.settings).await
    }

    fn find(&mut self, topic: Topic, state: State, seen: impl Into<String>) -> &mut Finding {
        let findings = &mut self.diagnosis.findings;
        debug_assert!(findings.iter().all(|finding| finding.topic != topic), "{topic:?} twice");
        findings.push(Finding { topic, state, seen: words::shown(&seen.into()), cause: None, remedy: None });
        findings.last_mut().unwrap_or_else(|| unreachable!("one was pushed"))
    }

    /// A finding that is an error.
    fn failed(&mut self, topic: Topic, error: &Error) -> &mut Finding {
        let remedy = error.advice().map(words::shown);
        let finding = self.find(topic, State::Problem, words::of(error));
        finding.remedy = remedy;
        finding
    }
}

impl Finding {
    fn because(&mut self, cause: impl Into<String>) -> &mut Self {
        self.cause = Some(words::shown(&cause.into()));
        self
    }

    fn advise(&mut self, remedy: impl Into<String>) -> &mut Self {
        self.remedy = Some(words::shown(&remedy.into()));
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::reply::{Assembler, Budget, Dialect};
    use crate::transport::Blocking;

    #[test]
    fn what_a_server_repeats_in_a_later_session_is_hidden() {
        let transport = Blocking::new();
        let endpoint = Endpoint { host: "files.test".into(), port: 21 };
        let credentials = Credentials::password("ada", "pencil-secret").account("ink-secret");
        let line = b"220 once it was pencil-secret";
        let reply = Assembler::new(Dialect::Ftp, Budget::DEFAULT).push(line).unwrap().unwrap();
        let mut doctor = Doctor {
            transport: &transport,
            endpoint: &endpoint,
            options: Options::default(),
            settings: Settings::default(),
            pipelining: true,
            credentials: Some(&credentials),
            examination: &Examination::default(),
            diagnosis: Diagnosis {
                findings: Vec::new(),
                error: Some(Error::rejected(reply.clone())),
                greeting: Some(reply),
                tls: None,
                features: vec![("PENCIL".into(), "pencil-secret;ink-secret".into())],
            },
        };
        doctor.find(Topic::Login, State::Problem, "pencil-secret!").because("pencil-secret?").advise("no ink-secret");
        doctor.hide_secrets();
        let shown = format!("{:?} {}", doctor.diagnosis, doctor.diagnosis.error.as_ref().unwrap());
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("once it was ***") && shown.contains("***;***"), "{shown}");
    }
}
