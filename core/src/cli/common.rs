//! The flags that every verb has, and the session they describe.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use clap::Args;
use starttls::smtp::{Route, Routes};
use starttls::tls::{MtaSts, TlsConfig, TlsInfo, TlsWarning, Tlsa, Version};
use starttls::trace::Trace;
use starttls::transport::{Blocking, Endpoint, Proxied, Proxy};
use starttls::url::{Protocol, Url};
use starttls::{Error, Options, Security, Timeouts, ftp, smtp};

use crate::credentials::{self, Found, Login};
use crate::data::Data;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::note;
use crate::session::Session;
use crate::whole;

const TLS: &str = "TLS";
const LOGIN: &str = "Login";
const NETWORK: &str = "Network";
const OUTPUT: &str = "Output and time";

/// The flags that every verb has.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// Trust the authorities in this PEM file, and no others
    #[arg(long, global = true, value_name = "FILE", help_heading = TLS)]
    ca_file: Option<PathBuf>,
    /// Show this certificate chain (PEM) if the server asks
    #[arg(long, global = true, value_name = "FILE", help_heading = TLS)]
    client_cert: Option<PathBuf>,
    /// The key of --client-cert (PEM), if it is not in the same file
    #[arg(long, global = true, value_name = "FILE", requires = "client_cert", help_heading = TLS)]
    client_key: Option<PathBuf>,
    /// Require this public key, too: SHA-256 in hexadecimal or Base64; several: any of them
    #[arg(long, global = true, value_name = "SHA256", value_parser = pin, help_heading = TLS)]
    pin: Vec<[u8; 32]>,
    /// Believe by this DANE record instead of an authority: "3 1 1 AB12…", looked up and validated; several: any of them
    #[arg(long, global = true, value_name = "RECORD", help_heading = TLS)]
    tlsa: Vec<Tlsa>,
    /// Hold a mail server to the MTA-STS policy in this file
    #[arg(long, global = true, value_name = "FILE", help_heading = TLS)]
    mta_sts: Option<PathBuf>,
    /// The name in the server's certificate, where it is not the host of the URL
    #[arg(long, global = true, value_name = "NAME", help_heading = TLS)]
    server_name: Option<String>,
    /// Accept no TLS version below this one
    #[arg(long, global = true, value_name = "1.2|1.3", value_parser = version, help_heading = TLS)]
    tls_min: Option<Version>,
    /// Accept no TLS version above this one
    #[arg(long, global = true, value_name = "1.2|1.3", value_parser = version, help_heading = TLS)]
    tls_max: Option<Version>,
    /// Accept ANY certificate: whoever is in between reads everything, passwords first
    #[arg(long, global = true, help_heading = TLS)]
    insecure: bool,

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
        let tls = self.tls().map_err(Failure::early)?;
        let tls = self.pin.iter().fold(tls, |tls, pin| tls.pin_spki_sha256(*pin));
        let tls = tls.tlsa(self.tlsa.iter().cloned());
        let tls = match &self.mta_sts {
            Some(_) if url.protocol != Protocol::Smtp => return Err(Failure::usage("--mta-sts is about mail servers")),
            Some(file) => tls.mta_sts(policy(file)?),
            None => tls,
        };
        let tls = if self.insecure { tls.danger_accept_any_certificate() } else { tls };
        match url.security {
            Security::Plaintext => note("WARNING: clear text: everybody on the way can read and change everything"),
            _ if self.insecure && !self.tlsa.is_empty() => {
                return Err(Failure::usage("--insecure and --tlsa contradict each other"));
            }
            _ if self.insecure && self.pin.is_empty() => {
                note("WARNING: --insecure: the server's certificate is not checked; this may be anybody");
            }
            _ if self.insecure => note("WARNING: --insecure: the server's certificate is checked by --pin alone"),
            _ => {}
        }
        Ok(Options {
            security: url.security,
            tls,
            server_name: self.server_name.clone(),
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
            Some((user, None)) if self.client_cert.is_some() => Some(ftp::Credentials::password(user, "")),
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

    /// What TLS is to be, but for pins, policies and `--insecure`.
    pub(crate) fn tls(&self) -> Result<TlsConfig, Error> {
        let mut tls = TlsConfig::new();
        if let Some(file) = &self.ca_file {
            tls = tls.ca_file(file)?;
        }
        if let Some(chain) = &self.client_cert {
            tls = tls.identity_files(chain, self.client_key.as_ref().unwrap_or(chain))?;
        }
        if let Some(version) = self.tls_min {
            tls = tls.minimum_version(version);
        }
        if let Some(version) = self.tls_max {
            tls = tls.maximum_version(version);
        }
        Ok(tls)
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

/// An MTA-STS policy that somebody fetched.
fn policy(file: &Path) -> Result<MtaSts, Failure> {
    let text = std::fs::read(file).map_err(|error| Failure::file(Exit::NoInput, file, &error))?;
    let policy = String::from_utf8_lossy(&text).parse::<MtaSts>();
    policy.map_err(|why| Failure::new(Exit::Data, format!("{}: {why}", file.display())))
}

/// SHA-256 in hexadecimal or Base64, with or without curl's `sha256//` before it.
fn pin(text: &str) -> Result<[u8; 32], String> {
    let text = text.strip_prefix("sha256//").or_else(|| text.strip_prefix("sha256/")).unwrap_or(text);
    let hexadecimal = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let bytes = if hexadecimal {
        (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16)).collect::<Result<Vec<_>, _>>().ok()
    } else {
        BASE64_STANDARD.decode(text).or_else(|_| BASE64_STANDARD_NO_PAD.decode(text)).ok()
    };
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| "64 hexadecimal digits or 44 of Base64".into())
}

fn proxy(url: &str) -> Result<Proxy, String> {
    Proxy::parse(url).map_err(|error| error.to_string())
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "1.2" => Ok(Version::Tls12),
        "1.3" => Ok(Version::Tls13),
        _ => Err("1.2 or 1.3".into()),
    }
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
    fn pins() {
        let bytes = [0xAB; 32];
        for text in [
            &"aB".repeat(32),
            "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=",
            "sha256//q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s",
        ] {
            assert_eq!(pin(text).unwrap(), bytes, "{text}");
        }
        for bad in ["", "ab", "q6ur", &"ag".repeat(32), &"ab".repeat(33)] {
            assert!(pin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(seconds("1.5").unwrap(), Duration::from_millis(1500));
        for bad in ["0", "-1", "nan", "inf", "1e300", "1e-300", "soon", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
