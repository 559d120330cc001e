//! Before the login: who answers, by which ways TLS begins, which versions, and whose certificate.

use std::time::{Duration, SystemTime};

use super::{Doctor, State, Topic, words};
use crate::dialogue::{Dialogue, dial};
use crate::error::{Error, ErrorKind, Phase, Result, TlsFault};
use crate::ftp::client::Client;
use crate::ftp::renewal::is_version_refusal;
use crate::line::Line;
use crate::moment::timestamp;
use crate::options::{Options, Security};
use crate::reply::Dialect;
use crate::tls::{TlsInfo, TlsWarning, Version};
use crate::transport::{Endpoint, Transport};

/// The ports on which each way to TLS is at home.
const UPGRADE_PORT: u16 = 21;
const IMPLICIT_PORT: u16 = 990;

impl<T: Transport + Clone> Doctor<'_, T> {
    /// Whether a session comes about that can be trusted. If only trust is missing, looks on without it.
    pub(super) async fn reach(&mut self) -> bool {
        let error = match self.open(&self.options).await {
            Ok(client) => {
                self.connection(&client);
                self.certificate(client.tls());
                self.look_at(client).await;
                return true;
            }
            Err(error) => error,
        };
        if is_about_the_certificate(&error) {
            // To see what the server shows. Nothing that is said to it would be a secret, and nothing it says is believed.
            self.options.tls = self.options.tls.clone().believing_anybody();
            if let Ok(client) = self.open(&self.options).await {
                self.connection(&client);
                let names = client.tls().map(facts);
                let finding = self.failed(Topic::Certificate, &error);
                finding.seen.extend(names.map(|names| words::shown(&format!(" ({names})"))));
                advise_on_certificate(finding, &error);
                self.look_at(client).await;
            }
        } else {
            self.unreachable(&error).await;
        }
        self.diagnosis.error = Some(error);
        false
    }

    async fn look_at(&mut self, mut client: Client<T>) {
        self.diagnosis.greeting = Some(client.greeting().clone());
        self.diagnosis.tls = client.tls().cloned();
        if let Ok(features) = client.ask_features().await {
            self.diagnosis.features =
                features.iter().map(|(name, parameters)| (name.to_owned(), parameters.to_owned())).collect();
        }
        client.quit().await;
    }

    fn connection(&mut self, client: &Client<T>) {
        let greeting = client.greeting();
        let seen = format!("{} answers: {}", self.endpoint, words::said(greeting));
        if greeting.code() == 230 {
            self.find(Topic::Connection, State::Notice, seen)
                .because("the server greets as if somebody were logged in");
        } else {
            self.find(Topic::Connection, State::Good, seen);
        }
    }

    async fn unreachable(&mut self, error: &Error) {
        let topic = match (error.phase(), error.kind()) {
            (_, ErrorKind::UpgradeNotOffered | ErrorKind::BytesBeforeHandshake { .. }) => Topic::Modes,
            (Some(Phase::Upgrade), _) => Topic::Modes,
            (_, ErrorKind::Tls(TlsFault::PlaintextInsideTls(_))) => Topic::Modes,
            (_, ErrorKind::Tls(TlsFault::NothingInCommon(_) | TlsFault::AlertReceived { .. })) => Topic::TlsVersions,
            (_, ErrorKind::Tls(_)) => Topic::Certificate,
            _ => Topic::Connection,
        };
        self.failed(topic, error);
        let implicit = match (self.options.security, error.phase(), error.kind()) {
            // Nothing was said: it may wait for TLS to begin.
            (Security::Upgrade, Some(Phase::Greeting), ErrorKind::TimedOut | ErrorKind::ClosedByPeer) => true,
            // Something was said: it may be the greeting of a server that upgrades.
            (Security::Implicit, _, ErrorKind::Tls(TlsFault::PlaintextInsideTls(_))) => false,
            _ => return,
        };
        let security = if implicit { Security::Implicit } else { Security::Upgrade };
        let other = Options { security, ..self.options.clone() };
        if let Ok(client) = self.open(&other).await {
            client.quit().await;
            let scheme = scheme(security);
            if let Some(finding) = self.diagnosis.findings.last_mut() {
                finding.because(format!("this port speaks {}", way(security)));
                finding.advise(format!("connect to {scheme}://{}", self.endpoint));
            }
        }
    }

    fn certificate(&mut self, tls: Option<&TlsInfo>) {
        let Some(tls) = tls else {
            let finding =
                self.find(Topic::Certificate, State::Notice, "there is none: this connection is in clear text");
            finding.because("clear text was asked for").advise("use ftp:// or ftps://, without ?tls=none");
            return;
        };
        let seen = facts(tls);
        let now = SystemTime::now();
        match tls.warnings(now).first() {
            None => drop(self.find(Topic::Certificate, State::Good, seen)),
            Some(warning) => {
                let finding = self.find(Topic::Certificate, State::Notice, seen);
                finding.because(warning.to_string());
                match warning {
                    TlsWarning::NotVerified => {
                        finding.advise("check it: give its authority, a TLSA record, or a pin");
                    }
                    _ => drop(finding.advise("the server's administrator should renew it")),
                }
            }
        }
    }

    /// Which versions the server takes, each tried alone.
    pub(super) async fn tls_versions(&mut self) {
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for (version, name) in [(Version::Tls12, "TLS 1.2"), (Version::Tls13, "TLS 1.3")] {
            let tls = self.options.tls.clone().for_versions_alone().minimum_version(version).maximum_version(version);
            match self.open(&Options { tls, ..self.options.clone() }).await {
                Ok(client) => {
                    client.quit().await;
                    taken.push(name);
                }
                Err(error) if is_version_refusal(&error) => refused.push(format!("{name} is refused")),
                Err(error) => refused.push(format!("{name} fails: {}", words::of(&error))),
            }
        }
        let accepted = if taken.is_empty() { "none alone".to_owned() } else { taken.join(" and ") };
        let verb = if taken.len() == 2 { "are" } else { "is" };
        let seen = [vec![format!("{accepted} {verb} accepted")], refused].concat().join("; ");
        match taken[..] {
            ["TLS 1.2"] => drop(
                self.find(Topic::TlsVersions, State::Notice, seen)
                    .because("the server's TLS library or settings are from before 2018")
                    .advise("the server's administrator should allow TLS 1.3"),
            ),
            [] => drop(self.find(Topic::TlsVersions, State::Problem, seen)),
            _ => drop(self.find(Topic::TlsVersions, State::Good, seen)),
        }
    }

    /// By which ways TLS begins, here and at the port where the other way is at home.
    pub(super) async fn ways_in(&mut self) {
        let mut ways = vec![format!("{} on port {}", way(self.options.security), self.endpoint.port)];
        let mut strange = None;
        if self.options.security == Security::Upgrade {
            match self.auth_ssl().await {
                Ok(true) => ways.push("AUTH SSL, its old name".into()),
                Ok(false) => {}
                Err(error) => strange = Some(format!("AUTH SSL makes the server fail: {}", words::of(&error))),
            }
        }
        let elsewhere = match (self.options.security, self.endpoint.port) {
            (Security::Upgrade, UPGRADE_PORT) => Some((Security::Implicit, IMPLICIT_PORT)),
            (Security::Implicit, IMPLICIT_PORT) => Some((Security::Upgrade, UPGRADE_PORT)),
            _ => None,
        };
        if let Some((security, port)) = elsewhere {
            let there = Endpoint { host: self.endpoint.host.clone(), port };
            let options = Options { security, ..self.options.clone() };
            let other = Client::connect_with(self.transport.clone(), &there, options, &self.settings).await;
            match other {
                Ok(client) => {
                    client.quit().await;
                    ways.push(format!("{} on port {port}", way(security)));
                }
                Err(error) => ways.push(format!("not {} on port {port} ({})", way(security), error.kind())),
            }
        }
        let finding = self.find(Topic::Modes, State::Good, ways.join("; "));
        if let Some(why) = strange {
            finding.because(why);
        }
    }

    /// Whether the name that AUTH TLS had in drafts is known. The connection ends there.
    async fn auth_ssl(&self) -> Result<bool> {
        let (stream, context) = dial(self.transport, self.endpoint, &self.options, Dialect::Ftp).await?;
        let mut clear = Dialogue::plain(stream, context);
        clear.greeting().await?;
        let reply = clear.exchange(&Line::new("AUTH SSL")).await?;
        clear.close().await;
        Ok(matches!(reply.code().number(), 234 | 334))
    }
}

/// The leaf certificate in words.
fn facts(tls: &TlsInfo) -> String {
    let Some(Some(leaf)) = tls.certificates().into_iter().next() else { return "it cannot be read".into() };
    let now = SystemTime::now();
    let left = match leaf.not_after.duration_since(now) {
        Ok(left) => format!("for {} more", words::time(left)),
        Err(over) => format!("which was {} ago", words::time(over.duration())),
    };
    let names = if leaf.names.is_empty() { "no name".into() } else { leaf.names.join(", ") };
    let believed = if tls.verified_by == crate::tls::VerifiedBy::Nobody {
        "not checked".to_owned()
    } else {
        format!("believed because of {}", tls.verified_by)
    };
    format!("for {names}, by {}, valid until {}, {left}; {believed}", leaf.issuer, timestamp(leaf.not_after))
}

fn is_about_the_certificate(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Tls(
            TlsFault::CertificateExpired
                | TlsFault::CertificateNotYetValid
                | TlsFault::UnknownIssuer
                | TlsFault::NameMismatch { .. }
                | TlsFault::Revoked
                | TlsFault::WrongUsage
                | TlsFault::PinMismatch
                | TlsFault::TlsaMismatch
                | TlsFault::BadCertificate(_)
        )
    )
}

fn advise_on_certificate(finding: &mut super::Finding, error: &Error) {
    let ErrorKind::Tls(fault) = error.kind() else { return };
    let (cause, remedy) = match fault {
        TlsFault::CertificateExpired => ("nobody renewed it", "the server's administrator must renew it"),
        TlsFault::CertificateNotYetValid => {
            ("it was issued for later, or one of the clocks is wrong", "set this machine's clock, or wait")
        }
        TlsFault::UnknownIssuer => (
            "it is self-signed, its authority is not known here, or the server leaves out an intermediate certificate",
            "give the authority (ca_file, --ca-file), or let the administrator send the whole chain",
        ),
        TlsFault::NameMismatch { .. } => (
            "the server is called by another name than its certificate was issued for",
            "connect to one of the certificate's names, or give one as the server's name",
        ),
        TlsFault::WrongUsage => {
            ("it was issued for something else", "the server's administrator must have one for a server")
        }
        TlsFault::PinMismatch | TlsFault::TlsaMismatch => (
            "the server has a new key, or this is not the server",
            "ask its administrator for the new one, by another way than this",
        ),
        _ => return,
    };
    finding.because(cause);
    finding.advise(remedy);
}

/// A way to TLS.
fn way(security: Security) -> &'static str {
    match security {
        Security::Upgrade => "AUTH TLS",
        Security::Implicit => "TLS from the first byte",
        Security::Plaintext => "clear text",
    }
}

fn scheme(security: Security) -> &'static str {
    if security == Security::Implicit { "ftps" } else { "ftp" }
}

/// After so long a wait for a login, something is looked up in vain.
pub(super) const SLOW: Duration = Duration::from_secs(4);
