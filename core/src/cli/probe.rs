//! `starttls probe`: what a server is and says, with no credentials sent.
//!
//! ```text
//!   look once as configured ─ all well ──────────────────────────────▶ what it offers, its certificates: trusted
//!                           └ certificate refused ─ look again ──────▶ the same, and why it is not trusted
//!                           └ anything else ─ look in clear text ────▶ greeting and offers, and the error
//! ```

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::{Value, json};
use starttls::reply::Reply;
use starttls::report::timestamp;
use starttls::tls::{Certificate, TlsInfo};
use starttls::transport::block;
use starttls::url::{Protocol, Url};
use starttls::{Error, ErrorKind, Options, Phase, Security, TlsFault, ftp, smtp};

use crate::common::{Common, Network};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// Show a server's greeting, capabilities, TLS and certificates; no credentials are sent
///
/// Works when the certificate is not trusted, too: then it says why, and the exit code is 76.
#[derive(Args, Debug)]
pub(crate) struct Probe {
    /// smtp://, smtps://, ftp:// or ftps://, with host and port
    url: String,
}

/// A capability and its parameters.
type Offers = Vec<(String, String)>;

/// What one connection shows.
#[derive(Default)]
struct Look {
    greeting: Option<Reply>,
    /// Before TLS.
    clear: Option<Offers>,
    /// Under TLS; in clear text for `?tls=none`.
    offers: Option<Offers>,
    tls: Option<TlsInfo>,
}

impl Probe {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let url = Url::parse(&self.url).map_err(Failure::early)?;
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
        let notes = failure.iter().filter_map(Failure::line).collect();
        let mut json = look.json(&url);
        json["trusted"] = json!(trusted);
        json["error"] = json!(failure.as_ref().map(Failure::json));
        Ok(Report { exit: failure.map_or(Exit::Ok, |failure| failure.exit()), json, data, notes })
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
                | TlsFault::WrongUsage
                | TlsFault::PinMismatch
                | TlsFault::TlsaMismatch
                | TlsFault::BadCertificate(_)
        )
    );
    let mut options = options.clone();
    if certificate {
        // To show what the server shows. Nothing is sent that it may not know, and nothing it says is believed.
        options.tls = common.tls().ok()?.danger_accept_any_certificate();
    } else if url.security == Security::Upgrade && matches!(error.phase(), Some(Phase::Upgrade | Phase::Handshake)) {
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
    }
}

async fn look_smtp(network: &Network, url: &Url, options: Options) -> Result<Look, Error> {
    let client = smtp::Client::connect(network.clone(), &url.endpoint, options).await?;
    let seen = Look {
        greeting: Some(client.greeting().clone()),
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
    let seen = Look { greeting: Some(client.greeting().clone()), clear: None, offers, tls: client.tls().cloned() };
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
            "greeting": self.greeting,
            "offered_in_clear": self.clear.as_ref().map(offers),
            "offered": self.offers.as_ref().map(offers),
            "tls": self.tls,
            "certificates": certificates,
        })
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
