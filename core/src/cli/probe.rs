//! `starttls probe`: what a server is and says. No credentials are sent but to FTP servers that are trusted, whose
//! examination goes further then.
//!
//! ```text
//!   look once as configured ─ all well ──────────────────────────────▶ what it offers, its certificates: trusted
//!                           └ certificate refused ─ look again ──────▶ the same, and why it is not trusted
//!                           └ anything else ─ look in clear text ────▶ greeting and offers, and the error
//!   FTP: and the examination (ftp::doctor) ──────────────────────────▶ findings, causes, remedies
//! ```

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::{Value, json};
use starttls::ftp::{Diagnosis, Examination, State};
use starttls::reply::Reply;
use starttls::report::timestamp;
use starttls::tls::{Certificate, TlsInfo};
use starttls::transport::block;
use starttls::upgrade::Recipe;
use starttls::url::{Protocol, Url};
use starttls::{Connection, Error, ErrorKind, Options, Phase, Security, TlsFault, ftp, smtp};

use crate::common::{Common, Network};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// Show a server's greeting, capabilities, TLS and certificates; find out what is wrong with an FTP server
///
/// Works when the certificate is not trusted, too: then it says why, and the exit code is 76. Credentials are sent only to
/// FTP servers that are trusted, and only if a user is named: data connections, listings and names are examined then, too.
/// If a problem is found, the exit code is 69.
#[derive(Args, Debug)]
pub(crate) struct Probe {
    /// smtp://, smtps://, ftp://, ftps://, imap://, imaps://, pop3://, sieve://, nntp://, xmpp://, ldap://, postgres://,
    /// mysql:// …, with host and port
    url: String,
    /// FTP: upload a small file to the URL's directory, look at it, and delete it
    #[arg(long)]
    write_test: bool,
}

/// A capability and its parameters.
type Offers = Vec<(String, String)>;

/// What one connection shows.
#[derive(Default)]
struct Look {
    greeting: Option<Reply>,
    /// The greeting of a protocol without replies.
    words: Option<String>,
    /// Before TLS.
    clear: Option<Offers>,
    /// Under TLS; in clear text for `?tls=none`.
    offers: Option<Offers>,
    tls: Option<TlsInfo>,
}

impl Probe {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let url = Url::parse(&self.url).map_err(Failure::early)?;
        if self.write_test && url.protocol != Protocol::Ftp {
            return Err(Failure::usage("--write-test is about FTP servers"));
        }
        let options = common.options(&url)?;
        let network = &common.network();
        let (look, failure) = match block(look(network, &url, options.clone())) {
            Ok(look) => (look, None),
            Err(error) => {
                let second = second_look(common, network, &url, &options, &error);
                // Nothing at all is to be seen: the error is the whole story.
                let Some(look) = second else { return Err(Failure::session(error, &url, Exit::Unavailable)) };
                (look, Some(Failure::session(error, &url, Exit::Unavailable)))
            }
        };
        // Nobody's word counts for a certificate that nobody was asked about.
        let trusted = look.tls.as_ref().map(|_| failure.is_none() && !options.tls.accepts_any_certificate());
        let mut data = String::new();
        describe(&mut data, &url, &look, trusted);
        let mut notes: Vec<_> = failure.iter().filter_map(Failure::line).collect();
        let mut json = look.json(&url);
        json["trusted"] = json!(trusted);
        json["error"] = json!(failure.as_ref().map(Failure::json));
        let mut exit = failure.map_or(Exit::Ok, |failure| failure.exit());
        if url.protocol == Protocol::Ftp {
            let diagnosis = self.examine(common, network, &url, &options, exit == Exit::Ok, &mut notes)?;
            data.push('\n');
            tell(&mut data, &diagnosis);
            json["state"] = json!(diagnosis.state().as_str());
            json["findings"] = json!(diagnosis.findings);
            if exit == Exit::Ok && diagnosis.state() == State::Problem {
                exit = Exit::Unavailable;
            }
            if let (Exit::Ok | Exit::Unavailable, Some(error)) = (exit, diagnosis.error) {
                let failure = Failure::session(error, &url, Exit::Unavailable);
                notes.extend(failure.line());
                json["error"] = failure.json();
                exit = failure.exit();
            }
        }
        Ok(Report { exit, json, data, notes })
    }

    /// What there is to find out about an FTP server, with the credentials that there are.
    fn examine(
        &self,
        common: &Common,
        network: &Network,
        url: &Url,
        options: &Options,
        trusted: bool,
        notes: &mut Vec<String>,
    ) -> Result<Diagnosis, Failure> {
        let credentials = match common.ftp_credentials(url) {
            Ok(credentials) => credentials,
            // A user who is merely part of a URL is no reason to look at nothing.
            Err(_) if !self.write_test && !common.login.is_given() => {
                notes.push("no password: looked at what is seen before the login".into());
                None
            }
            Err(failure) => return Err(failure),
        };
        if self.write_test && credentials.is_none() {
            return Err(Failure::usage("--write-test needs a user: name one in the URL or with --user"));
        }
        let examination = Examination { directory: url.path.clone(), write_test: self.write_test };
        let credentials = credentials.filter(|_| trusted);
        let settings = common.ftp_settings();
        let (to, who) = (&url.endpoint, credentials.as_ref());
        Ok(block(ftp::doctor(network, to, options, &settings, who, &examination)))
    }
}

/// After `error`: what can be seen all the same.
fn second_look(common: &Common, network: &Network, url: &Url, options: &Options, error: &Error) -> Option<Look> {
    let certificate = matches!(
        error.kind(),
        ErrorKind::Tls(
            TlsFault::CertificateExpired
                | TlsFault::CertificateNotYetValid
                | TlsFault::UnknownIssuer
                | TlsFault::NameMismatch { .. }
                | TlsFault::Revoked
                | TlsFault::RevocationUnknown(_)
                | TlsFault::WrongUsage
                | TlsFault::PinMismatch
                | TlsFault::TlsaMismatch
                | TlsFault::BadCertificate(_)
        )
    );
    let mut options = options.clone();
    if certificate {
        // To show what the server shows. Nothing is sent that it may not know, and nothing it says is believed.
        options.tls = common.tls.without_policies().ok()?.danger_accept_any_certificate();
    } else if matches!(url.protocol, Protocol::Smtp | Protocol::Ftp)
        && url.security == Security::Upgrade
        && matches!(error.phase(), Some(Phase::Upgrade | Phase::Handshake))
    {
        options.security = Security::Plaintext;
    } else {
        return None;
    }
    let seen = block(look(network, url, options.clone())).ok()?;
    let clear = options.security == Security::Plaintext;
    Some(if clear { Look { clear: seen.offers, offers: None, ..seen } } else { seen })
}

async fn look(network: &Network, url: &Url, options: Options) -> Result<Look, Error> {
    match url.protocol {
        Protocol::Smtp => look_smtp(network, url, options).await,
        Protocol::Ftp => look_ftp(network, url, options).await,
        Protocol::Other(recipe) => look_other(network, url, recipe, options).await,
    }
}

/// Any other protocol: its upgrade, and nothing of what comes after.
async fn look_other(network: &Network, url: &Url, recipe: Recipe, mut options: Options) -> Result<Look, Error> {
    let security = options.security;
    // An upgrade offers it by itself.
    if let (Security::Implicit, Some(id)) = (security, recipe.alpn()) {
        options.tls = options.tls.alpn([id]);
    }
    let mut connection = Connection::open(network, &url.endpoint, &options).await?;
    let words = match security {
        Security::Upgrade => connection.upgrade(recipe).await?,
        _ => Vec::new(),
    };
    let tls = connection.tls().map(|tls| TlsInfo::clone(tls));
    // Whether it hears that nothing more comes is of no interest.
    let _ = connection.shutdown().await;
    // Of a binary greeting, the first text in it: a version, as a rule.
    let text = words.split(|&byte| byte < 0x20 && !b"\t\r\n".contains(&byte)).find(|text| text.len() > 2);
    let words = text.map(|text| String::from_utf8_lossy(text).trim().to_owned());
    Ok(Look { words, tls, ..Look::default() })
}

async fn look_smtp(network: &Network, url: &Url, options: Options) -> Result<Look, Error> {
    let client = smtp::Client::connect(network.clone(), &url.endpoint, options).await?;
    let seen = Look {
        greeting: Some(client.greeting().clone()),
        words: None,
        clear: client.offered_in_clear().map(|extensions| owned(extensions.iter())),
        offers: Some(owned(client.extensions().iter())),
        tls: client.tls().cloned(),
    };
    client.quit().await;
    Ok(seen)
}

async fn look_ftp(network: &Network, url: &Url, options: Options) -> Result<Look, Error> {
    // The session proper asks nothing before TLS: what is offered then takes a connection of its own.
    let clear = if options.security == Security::Upgrade {
        let clear = Options { security: Security::Plaintext, ..options.clone() };
        features(network, url, clear).await.ok().and_then(|seen| seen.offers)
    } else {
        None
    };
    let seen = features(network, url, options).await?;
    Ok(Look { clear, ..seen })
}

async fn features(network: &Network, url: &Url, options: Options) -> Result<Look, Error> {
    let mut client = ftp::Client::connect(network.clone(), &url.endpoint, options).await?;
    let offers = Some(owned(client.ask_features().await?.iter()));
    let (greeting, tls) = (Some(client.greeting().clone()), client.tls().cloned());
    let seen = Look { greeting, offers, tls, ..Look::default() };
    client.quit().await;
    Ok(seen)
}

fn owned<'a>(offers: impl Iterator<Item = (&'a str, &'a str)>) -> Offers {
    offers.map(|(name, parameters)| (name.to_owned(), parameters.to_owned())).collect()
}

impl Look {
    /// The chain as far as it can be read.
    fn certificates(&self) -> Vec<Option<Certificate>> {
        self.tls.as_ref().map(TlsInfo::certificates).unwrap_or_default()
    }

    fn json(&self, url: &Url) -> Value {
        let offers = |offers: &Offers| -> Vec<_> {
            offers.iter().map(|(name, parameters)| json!({"name": name, "parameters": parameters})).collect()
        };
        let certificates = self.certificates();
        let certificates: Vec<_> = certificates.iter().map(|one| one.as_ref().map(view::json)).collect();
        json!({
            "url": url.to_string(),
            "greeting": self.greeting.as_ref().map(|greeting| json!(greeting)).or_else(|| self.words.clone().map(Value::from)),
            "offered_in_clear": self.clear.as_ref().map(offers),
            "offered": self.offers.as_ref().map(offers),
            "tls": self.tls,
            "certificates": certificates,
        })
    }
}

/// What was found, for people: what is good in one line each, what is not with its cause and remedy.
fn tell(out: &mut String, diagnosis: &Diagnosis) {
    let mut line = |label: &str, text: &str| {
        let _ = writeln!(out, "{label:<17} {}", view::printable(text));
    };
    for finding in &diagnosis.findings {
        let mark = match finding.state {
            State::Good => "",
            State::Notice => "NOTICE: ",
            State::Problem => "PROBLEM: ",
        };
        line(finding.topic.as_str(), &format!("{mark}{}", finding.seen));
        for (label, text) in [("  because", &finding.cause), ("  remedy", &finding.remedy)] {
            if let Some(text) = text {
                line(label, text);
            }
        }
    }
}

/// The same for people.
fn describe(out: &mut String, url: &Url, look: &Look, trusted: Option<bool>) {
    let mut line = |label: &str, text: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(out, "{label:<14} {}", view::printable(text));
    };
    line("server", &url.endpoint.to_string());
    if let Some(greeting) = &look.greeting {
        line("greeting", &greeting.to_string());
    }
    if let Some(words) = &look.words {
        line("greeting", words);
    }
    for (label, offers) in [("in clear text", &look.clear), ("offers", &look.offers)] {
        let Some(offers) = offers else { continue };
        let mut label = label;
        for (name, parameters) in offers {
            line(label, format!("{name} {parameters}").trim_end());
            label = "";
        }
    }
    let Some(tls) = &look.tls else { return };
    let group = if tls.group.is_empty() { String::new() } else { format!(", {}", tls.group) };
    line("TLS", &format!("{tls}{group}"));
    for (position, certificate) in look.certificates().iter().enumerate() {
        let Some(certificate) = certificate else {
            line("certificate", "cannot be read");
            continue;
        };
        line(if position == 0 { "certificate" } else { "signed by" }, &certificate.subject);
        if !certificate.names.is_empty() {
            line("  for", &certificate.names.join(", "));
        }
        line("  issuer", &certificate.issuer);
        line("  pin", &view::pin(certificate));
        line("  valid", &validity(certificate, SystemTime::now()));
    }
    let name = &tls.server_name;
    line(
        "verdict",
        &match trusted {
            Some(true) if tls.verified_by.checks_name() => format!("trusted for {name} ({})", tls.verified_by),
            Some(true) => format!("trusted ({})", tls.verified_by),
            Some(false) => format!("NOT TRUSTED for {name}"),
            None => return,
        },
    );
}

fn validity(certificate: &Certificate, now: SystemTime) -> String {
    let days = |span: Duration| span.as_secs() / 86_400;
    let (from, until) = (timestamp(certificate.not_before), timestamp(certificate.not_after));
    let state = if now < certificate.not_before {
        "NOT YET VALID".to_owned()
    } else {
        match certificate.not_after.duration_since(now) {
            Ok(left) => format!("{} days left", days(left)),
            Err(over) => format!("EXPIRED {} days ago", days(over.duration())),
        }
    };
    format!("{from} to {until} ({state})")
}
