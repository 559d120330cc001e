//! The flags that every verb has, and the session they describe.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use starttls::smtp::{Route, Routes};
use starttls::tls::{TlsInfo, TlsWarning};
use starttls::trace::Trace;
use starttls::transport::{Blocking, Endpoint, Proxied, Proxy};
use starttls::url::{Protocol, Url};
use starttls::{Error, Options, Timeouts, ftp, smtp};

use crate::credentials::{self, Found, Login};
use crate::data::Data;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::note;
use crate::session::Session;
use crate::tls::Tls;
use crate::whole;

const LOGIN: &str = "Login";
const NETWORK: &str = "Network";
const OUTPUT: &str = "Output and time";

/// The flags that every verb has.
#[derive(Args, Debug)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) tls: Tls,

    #[command(flatten)]
    pub(crate) login: Login,

    /// Connect through this proxy: socks5://[USER:PASSWORD@]HOST[:1080] or http://[USER:PASSWORD@]HOST[:80]
    #[arg(long, global = true, value_name = "URL", value_parser = proxy, help_heading = NETWORK)]
    proxy: Option<Proxy>,
    /// Connect from this address of this machine
    #[arg(long, global = true, value_name = "ADDRESS", help_heading = NETWORK)]
    local_address: Option<IpAddr>,

    /// Wait for the reply to each command before the next one, for servers that lose those that come together
    #[arg(long, global = true, help_heading = NETWORK)]
    pub(crate) no_pipelining: bool,

    #[command(flatten)]
    session: Session,
    #[command(flatten)]
    data: Data,

    /// How long a connection, handshake or reply, or a pause in a transfer, may take
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds, help_heading = OUTPUT)]
    timeout: Option<Duration>,
    /// How long everything may take
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds, help_heading = OUTPUT)]
    max_time: Option<Duration>,
    /// Print one JSON value on standard output, errors included
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub(crate) json: bool,
    /// Print what is said on the wire on standard error, secrets as ***
    #[arg(long, global = true, help_heading = OUTPUT)]
    trace: bool,
    /// Print nothing on standard error but warnings and errors
    #[arg(short, long, global = true, help_heading = OUTPUT)]
    pub(crate) quiet: bool,
}

/// The heading of the login flags in `--help`.
pub(crate) const LOGIN_HEADING: &str = LOGIN;

impl Common {
    /// A URL for `protocol`, and what the flags make of it.
    pub(crate) fn target(&self, url: &str, protocol: Protocol) -> Result<Target, Failure> {
        let url = Url::parse(url).map_err(Failure::early)?;
        if url.protocol != protocol {
            let schemes = match protocol {
                Protocol::Smtp => "smtp://, smtps:// or lmtp://",
                Protocol::Ftp => "ftp:// or ftps://",
                Protocol::Other(_) => "another scheme",
            };
            return Err(Failure::usage(format!("{url}: this verb takes {schemes}")));
        }
        if protocol == Protocol::Smtp {
            self.refuse_for_mail()?;
        }
        let options = self.options(&url)?;
        Ok(Target { url, fallbacks: Vec::new(), options, network: self.network() })
    }

    /// The way to servers. `--max-time` counts from now on.
    pub(crate) fn network(&self) -> Network {
        let until = self.max_time.and_then(|most| Instant::now().checked_add(most));
        let network =
            Blocking::with_interrupt(Arc::new(whole::interrupt)).local_address(self.local_address).until(until);
        Proxied::new(network, self.proxy.clone())
    }

    /// The options of a session with `url`; says aloud what is dangerous about them.
    pub(crate) fn options(&self, url: &Url) -> Result<Options, Failure> {
        Ok(Options {
            security: url.security,
            tls: self.tls.config(url)?,
            server_name: self.tls.server_name.clone(),
            timeouts: self.timeout.map_or_else(Timeouts::default, Timeouts::all),
            trace: if self.trace { Trace::new(|event| trace_line(&event.to_string())) } else { Trace::default() },
        })
    }

    /// Who logs in for files, if anybody is named.
    pub(crate) fn ftp_credentials(&self, url: &Url) -> Result<Option<ftp::Credentials>, Failure> {
        let found = credentials::find(&self.login, url)?;
        let credentials = self.ftp_login(found, credentials::no_password)?;
        Ok(match self.login.account()? {
            Some(account) => credentials.map(|credentials| credentials.account(account.as_str())),
            None => credentials,
        })
    }

    /// Who logs in at the second of two servers: never with what is meant for the first one.
    pub(crate) fn ftp_credentials_of_target(
        &self,
        url: &Url,
        file: Option<&Path>,
    ) -> Result<ftp::Credentials, Failure> {
        let found = credentials::find_for_target(&self.login, url, file)?;
        let credentials = self.ftp_login(found, credentials::no_password_for_target)?;
        Ok(credentials.unwrap_or_else(ftp::Credentials::anonymous))
    }

    fn ftp_login(&self, found: Option<Found>, none: fn(&str) -> Failure) -> Result<Option<ftp::Credentials>, Failure> {
        Ok(match found {
            None => None,
            Some((user, Some(password))) => Some(ftp::Credentials::password(user, password.as_str())),
            Some((user, None)) if matches!(user.as_str(), "anonymous" | "ftp") => Some(ftp::Credentials::anonymous()),
            // The certificate may be the login (RFC 4217 §4).
            Some((user, None)) if self.tls.has_identity() => Some(ftp::Credentials::password(user, "")),
            Some((user, None)) => return Err(none(&user)),
        })
    }

    /// How sessions with files are to be; says aloud what is dangerous about them.
    pub(crate) fn ftp_settings(&self) -> ftp::Settings {
        let mut settings = ftp::Settings { pipelining: !self.no_pipelining, ..ftp::Settings::default() };
        self.session.apply(&mut settings);
        self.data.apply(&mut settings);
        settings
    }

    /// Mail has no use for what is about files.
    fn refuse_for_mail(&self) -> Result<(), Failure> {
        if self.login.is_for_files() {
            return Err(Failure::usage("--account-file is about files"));
        }
        self.session.refuse_for_mail()?;
        self.data.refuse_for_mail()
    }

    /// Whether progress is to be shown: to people who look, and to nobody else.
    pub(crate) fn shows_progress(&self) -> bool {
        use std::io::IsTerminal;
        !self.quiet && !self.json && !self.trace && io::stderr().is_terminal()
    }
}

/// The network as the flags have it.
pub(crate) type Network = Proxied<Blocking>;

/// A server, and how to open a session with it.
pub(crate) struct Target {
    pub(crate) url: Url,
    /// Mail servers to try after it.
    fallbacks: Vec<Route>,
    network: Network,
    options: Options,
}

impl Target {
    /// An FTP session, logged in.
    pub(crate) async fn ftp(&self, common: &Common) -> Result<ftp::Client<Network>, Failure> {
        let credentials = common.ftp_credentials(&self.url)?.unwrap_or_else(ftp::Credentials::anonymous);
        self.ftp_as(common, &credentials).await
    }

    /// An FTP session, logged in so.
    pub(crate) async fn ftp_as(
        &self,
        common: &Common,
        credentials: &ftp::Credentials,
    ) -> Result<ftp::Client<Network>, Failure> {
        if common.login.is_for_mail() {
            return Err(Failure::usage("--auth, --authzid and --token-file are about mail"));
        }
        let fail = |error| self.failure(error, Exit::Unavailable);
        let settings = common.ftp_settings();
        let client = ftp::Client::connect_with(self.network.clone(), self.endpoint(), self.options.clone(), &settings);
        let mut client = client.await.map_err(fail)?;
        warn(client.tls());
        client.login(credentials).await.map_err(fail)?;
        Ok(client)
    }

    /// The same, with mail servers that are tried in order where the ones before are out of order.
    pub(crate) fn with_fallbacks(mut self, common: &Common, urls: &[String]) -> Result<Self, Failure> {
        for url in urls {
            let Self { url, .. } = common.target(url, Protocol::Smtp)?;
            if url.user.is_some() || url.password.is_some() {
                return Err(Failure::usage("--fallback: the user and the password are those of the first server"));
            }
            if url.lmtp != self.url.lmtp {
                return Err(Failure::usage("--fallback: all servers speak LMTP, or none does"));
            }
            self.fallbacks.push(Route::new(url.endpoint, url.security));
        }
        Ok(self)
    }

    /// A submission session, logged in if there is a user.
    pub(crate) async fn smtp(
        &self,
        common: &Common,
        settings: &smtp::Settings,
    ) -> Result<smtp::Client<Network>, Failure> {
        let credentials = credentials::for_mail(&common.login, &self.url)?;
        let fail = |error| self.failure(error, Exit::Unavailable);
        let first = Route::new(self.url.endpoint.clone(), self.url.security);
        let routes = std::iter::once(first).chain(self.fallbacks.iter().cloned());
        let routes = Routes::new(routes).map_err(Failure::early)?;
        let client = smtp::Client::connect_any(self.network.clone(), &routes, self.options.clone(), settings);
        let mut client = client.await.map_err(fail)?;
        warn(client.tls());
        if let Some(credentials) = credentials {
            client.login(&credentials).await.map_err(fail)?;
        }
        Ok(client)
    }

    /// An error of this session. `refused` is the exit code of a refusal for good.
    pub(crate) fn failure(&self, error: Error, refused: Exit) -> Failure {
        Failure::session(error, &self.url, refused)
    }

    fn endpoint(&self) -> &Endpoint {
        &self.url.endpoint
    }
}

/// What is odd about a server that was believed. What was asked for by name was warned about before, and a certificate's
/// last days are its owner's business: `probe` and `--json` tell them.
fn warn(tls: Option<&TlsInfo>) {
    for warning in tls.iter().flat_map(|tls| tls.warnings(SystemTime::now())) {
        if matches!(warning, TlsWarning::Expired(_) | TlsWarning::MtaStsViolated) {
            note(&format!("WARNING: {warning}"));
        }
    }
}

fn trace_line(text: &str) {
    // Nobody reads standard error any more: that is no reason to stop in the middle of a transfer.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn proxy(url: &str) -> Result<Proxy, String> {
    Proxy::parse(url).map_err(|error| error.to_string())
}

/// A number of seconds above 0.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "a number of seconds above 0".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(seconds("1.5").unwrap(), Duration::from_millis(1500));
        for bad in ["0", "-1", "nan", "inf", "1e300", "1e-300", "soon", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
