//! TLS, timeouts and trace, from Python's arguments.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use starttls::tls::{Fingerprint, FingerprintError, MtaSts, TlsConfig, Tlsa, Version};
use starttls::trace::Trace;
use starttls::transport::Proxy;
use starttls::url::Url;
use starttls::{Options, Security, Timeouts};

use crate::check;
use crate::error::{self, Hint};
use crate::openssl;
use crate::sessions::SessionStore;

/// Whom to trust, who we are, which versions. Made once, it serves any number of sessions.
///
/// By default the server's certificate is checked against the platform's authorities, TLS 1.3 and 1.2 are offered, and no
/// client certificate is shown.
///
/// `ca_file`, a file, `ca_folder`, a folder of files, and `ca_data`, text or bytes, have the authorities to trust instead of
/// the platform's, in PEM or DER; so has `ca_store`, one of the system's stores (Windows: `"Root"`, `"LocalMachine\\Root"`;
/// macOS: `"user"`, `"admin"`, `"system"`). `and_platform` trusts the platform's as well. `crls` are lists of revoked certificates,
/// files or bytes, PEM or DER, that you fetched; `unknown_revocation` says what becomes of certificates that no current one
/// is about: `"refuse"` or `"allow"`.
///
/// `client_cert` and `client_key` are PEM files, or PEM text as bytes; one file may hold both, and a PKCS#12 file does.
/// `client_passphrase` opens the key, or that file. `identities` are more of them, each an `Identity`: the first is shown that
/// one of the authorities issued which the server names. `pins` are SHA-256 hashes
/// of keys and `certificate_pins` of certificates, of which the server's must have one: 32 bytes, or text in hexadecimal or
/// Base64. `tlsa` are DANE records, `"3 1 1 AB12…"`, that you looked up for the server and validated: they decide instead of
/// authorities. `mta_sts` is the text of the mail domain's MTA-STS policy, which a mail server is held to unless there are
/// `tlsa`.
///
/// `minimum_version` and `maximum_version` are `"1.2"` or `"1.3"`. `cipher_suites` and `groups` are the only ones to offer, by
/// their IANA names. `alpn` are the application protocols to offer. `server_name` is the name in the server's certificate,
/// where it is not the host connected to; without `sni` the server is not told it. `key_log`, a file or a callable, gets the
/// secrets of all connections as lines in the format of `SSLKEYLOGFILE`: whoever has them can read everything. `sessions` is a
/// `SessionStore`, with which a connection resumes the session of an earlier one; without it none does but FTP's data
/// connections, their own control connection's.
///
/// `check` is called with a `Presented` during each handshake, in the thread that is at it: anything but `True` rejects the
/// certificate, a `str` for that reason; what it raises is the `__cause__` of the error (what is no `Exception`, such as
/// `KeyboardInterrupt`, is raised as it is). It cannot accept what is refused; `danger_check` can. Both should be quick.
/// `danger_accept_any_certificate` lets anybody in between read and change everything, unless pins are given.
#[pyclass(frozen, module = "starttls")]
pub(crate) struct TLSConfig {
    tls: TlsConfig,
    server_name: Option<String>,
    /// What its `repr` shows: nothing of keys.
    shown: String,
}

#[pymethods]
impl TLSConfig {
    #[new]
    #[pyo3(signature = (*, ca_file=None, ca_folder=None, ca_store=None, ca_data=None, and_platform=false,
        client_cert=None, client_key=None, client_passphrase=None, identities=None, pins=None, certificate_pins=None, tlsa=None, mta_sts=None,
        crls=None, unknown_revocation="refuse", minimum_version=None, maximum_version=None, cipher_suites=None, groups=None,
        alpn=None, server_name=None, sni=true, key_log=None, sessions=None, check=None, danger_check=None,
        danger_accept_any_certificate=false))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        ca_file: Option<PathBuf>,
        ca_folder: Option<PathBuf>,
        ca_store: Option<&str>,
        ca_data: Option<Bound<'_, PyAny>>,
        and_platform: bool,
        client_cert: Option<Bound<'_, PyAny>>,
        client_key: Option<Bound<'_, PyAny>>,
        client_passphrase: Option<&str>,
        identities: Option<Vec<PyRef<'_, Identity>>>,
        pins: Option<Vec<Bound<'_, PyAny>>>,
        certificate_pins: Option<Vec<Bound<'_, PyAny>>>,
        tlsa: Option<Vec<String>>,
        mta_sts: Option<&str>,
        crls: Option<Vec<Bound<'_, PyAny>>>,
        unknown_revocation: &str,
        minimum_version: Option<&str>,
        maximum_version: Option<&str>,
        cipher_suites: Option<Vec<String>>,
        groups: Option<Vec<String>>,
        alpn: Option<Vec<String>>,
        server_name: Option<String>,
        sni: bool,
        key_log: Option<Bound<'_, PyAny>>,
        sessions: Option<PyRef<'_, SessionStore>>,
        check: Option<Py<PyAny>>,
        danger_check: Option<Py<PyAny>>,
        danger_accept_any_certificate: bool,
    ) -> PyResult<Self> {
        let raise = |why| error::core(py, &why, Hint::None);
        let mut shown = Vec::new();
        let mut tls = TlsConfig::new();
        if let Some(path) = &ca_file {
            shown.push(format!("ca_file={path:?}"));
            tls = py.detach(|| tls.ca_file(path)).map_err(raise)?;
        }
        if let Some(path) = &ca_folder {
            shown.push(format!("ca_folder={path:?}"));
            tls = py.detach(|| tls.ca_folder(path)).map_err(raise)?;
        }
        if let Some(name) = ca_store {
            shown.push(format!("ca_store={name:?}"));
            tls = py.detach(|| tls.ca_store(name)).map_err(raise)?;
        }
        if let Some(text) = &ca_data {
            shown.push("ca_data=…".into());
            let text = match text.cast::<PyString>() {
                Ok(text) => text.to_str()?.as_bytes().to_vec(),
                Err(_) => text.extract::<Vec<u8>>()?,
            };
            tls = tls.ca_data(&text).map_err(raise)?;
        }
        if and_platform {
            shown.push("and_platform=True".into());
            tls = tls.and_platform();
        }
        match client_cert {
            None if client_key.is_some() || client_passphrase.is_some() => {
                return Err(error::argument(py, "client_key= and client_passphrase= need client_cert="));
            }
            None => {}
            Some(cert) => {
                shown.push("client_cert=…".into());
                tls = tls.identity(identity(py, &cert, client_key.as_ref(), client_passphrase)?);
            }
        }
        if let Some(identities) = identities {
            shown.push(format!("identities=<{}>", identities.len()));
            tls = identities.iter().fold(tls, |tls, one| tls.identity(one.0.clone()));
        }
        if let Some(pins) = pins {
            for it in &pins {
                tls = tls.pin_spki_sha256(pin(it)?);
            }
            shown.push(format!("pins=<{}>", pins.len()));
        }
        if let Some(pins) = certificate_pins {
            for it in &pins {
                tls = tls.pin_certificate_sha256(pin(it)?);
            }
            shown.push(format!("certificate_pins=<{}>", pins.len()));
        }
        if let Some(records) = tlsa {
            let parsed = records.iter().map(|text| text.parse::<Tlsa>()).collect::<Result<Vec<_>, _>>();
            shown.push(format!("tlsa={records:?}"));
            tls = tls.tlsa(parsed.map_err(|why| raise(why.into()))?);
        }
        if let Some(text) = mta_sts {
            let policy = text.parse::<MtaSts>().map_err(|why| raise(why.into()))?;
            shown.push(format!("mta_sts=<{}>", policy.mode().as_str()));
            tls = tls.mta_sts(policy);
        }
        for list in crls.iter().flatten() {
            shown.push("crls=…".into());
            tls = match list.cast::<PyBytes>() {
                Ok(data) => tls.crl_data(data.as_bytes()),
                Err(_) => {
                    let path = list.extract::<PathBuf>()?;
                    py.detach(|| tls.crl_file(path))
                }
            }
            .map_err(raise)?;
        }
        match unknown_revocation {
            "refuse" => {}
            "allow" => tls = tls.allow_unknown_revocation(),
            _ => return Err(error::argument(py, "unknown_revocation is 'refuse' or 'allow'")),
        }
        if let Some(text) = minimum_version {
            shown.push(format!("minimum_version={text:?}"));
            tls = tls.minimum_version(version(py, text)?);
        }
        if let Some(text) = maximum_version {
            shown.push(format!("maximum_version={text:?}"));
            tls = tls.maximum_version(version(py, text)?);
        }
        if let Some(names) = cipher_suites {
            shown.push(format!("cipher_suites={names:?}"));
            tls = tls.cipher_suites(names).map_err(raise)?;
        }
        if let Some(names) = groups {
            shown.push(format!("groups={names:?}"));
            tls = tls.groups(names).map_err(raise)?;
        }
        if !sni {
            shown.push("sni=False".into());
            tls = tls.sni(false);
        }
        if let Some(log) = key_log {
            shown.push("key_log=…".into());
            tls = if log.is_callable() {
                check::key_log(tls, log.unbind())
            } else {
                let path = log.extract::<PathBuf>()?;
                py.detach(|| tls.key_log_file(path)).map_err(raise)?
            };
        }
        if let Some(store) = sessions {
            shown.push("sessions=…".into());
            tls = tls.sessions(store.0.clone());
        }
        match (check, danger_check) {
            (None, None) => {}
            (Some(check), None) => {
                shown.push("check=…".into());
                tls = tls.check(move |presented| check::ask(&check, false, presented));
            }
            (None, Some(check)) => {
                shown.push("danger_check=…".into());
                tls = tls.danger_check(move |presented| check::ask(&check, true, presented));
            }
            (Some(_), Some(_)) => return Err(error::argument(py, "check= and danger_check= exclude each other")),
        }
        if let Some(alpn) = alpn {
            shown.push(format!("alpn={alpn:?}"));
            tls = tls.alpn(alpn);
        }
        if let Some(name) = &server_name {
            shown.push(format!("server_name={name:?}"));
        }
        if danger_accept_any_certificate {
            shown.push("danger_accept_any_certificate=True".into());
            tls = tls.danger_accept_any_certificate();
        }
        Ok(Self { tls, server_name, shown: shown.join(", ") })
    }

    fn __repr__(&self) -> String {
        format!("TLSConfig({})", self.shown)
    }
}

/// A certificate of the client's own, and its key.
///
/// `certificate` is a PEM file with the chain, its own certificate first, or a PKCS#12 file with the key, too; or the content
/// of one, as bytes. `key` is a PEM file, or text as bytes; without it the key is where the certificate is. `passphrase` opens
/// the key, or the PKCS#12 file.
#[pyclass(frozen, module = "starttls")]
pub(crate) struct Identity(starttls::tls::Identity);

#[pymethods]
impl Identity {
    #[new]
    #[pyo3(signature = (certificate, key=None, *, passphrase=None))]
    fn new(
        py: Python<'_>,
        certificate: Bound<'_, PyAny>,
        key: Option<Bound<'_, PyAny>>,
        passphrase: Option<&str>,
    ) -> PyResult<Self> {
        identity(py, &certificate, key.as_ref(), passphrase).map(Self)
    }

    fn __repr__(&self) -> &'static str {
        "Identity(…)"
    }
}

fn identity(
    py: Python<'_>,
    certificate: &Bound<'_, PyAny>,
    key: Option<&Bound<'_, PyAny>>,
    passphrase: Option<&str>,
) -> PyResult<starttls::tls::Identity> {
    let certificate = pem(py, certificate)?;
    let key = key.map(|key| pem(py, key)).transpose()?;
    // A key derivation takes its time.
    let made =
        py.detach(|| starttls::tls::Identity::new(&certificate, key.as_ref().map(|key| key.as_slice()), passphrase));
    made.map_err(|why| error::core(py, &why, Hint::None))
}

fn read(py: Python<'_>, path: &std::path::Path) -> PyResult<Vec<u8>> {
    py.detach(|| std::fs::read(path)).map_err(|why| error::local(py, &why, Some(path)))
}

/// PEM text as bytes, or the path of a PEM file.
pub(crate) fn pem(py: Python<'_>, it: &Bound<'_, PyAny>) -> PyResult<zeroize::Zeroizing<Vec<u8>>> {
    let text = match it.cast::<PyBytes>() {
        Ok(text) => text.as_bytes().to_vec(),
        Err(_) => read(py, &it.extract::<PathBuf>()?)?,
    };
    Ok(text.into())
}

/// 32 bytes, or their text.
fn pin(it: &Bound<'_, PyAny>) -> PyResult<[u8; 32]> {
    let pin = match it.cast::<PyString>() {
        Ok(text) => text.to_str()?.parse::<Fingerprint>(),
        Err(_) => it.extract::<Vec<u8>>()?.try_into().map(Fingerprint).map_err(|_| FingerprintError),
    };
    pin.map(|pin| pin.0).map_err(|why| error::argument(it.py(), &format!("this is no pin: {why}, or 32 bytes")))
}

fn version(py: Python<'_>, text: &str) -> PyResult<Version> {
    match text.strip_prefix("TLSv").unwrap_or(text) {
        "1.2" => Ok(Version::Tls12),
        "1.3" => Ok(Version::Tls13),
        _ => Err(error::argument(py, &format!("{text:?} is no TLS version: '1.2' or '1.3'"))),
    }
}

/// Seconds for every stage, or for connect, handshake, reply, stall, finish and a whole operation, each of which may be
/// left out.
#[derive(FromPyObject)]
pub(crate) enum TimeoutArgument {
    All(f64),
    Each(Option<f64>, Option<f64>, Option<f64>, Option<f64>, Option<f64>, Option<f64>),
}

/// A time that passes.
pub(crate) fn duration(py: Python<'_>, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| error::argument(py, "a time is a number of seconds above 0"))
}

fn timeouts(py: Python<'_>, argument: Option<TimeoutArgument>) -> PyResult<Timeouts> {
    let duration = |seconds: f64| duration(py, seconds);
    let defaults = Timeouts::default();
    match argument {
        None => Ok(defaults),
        Some(TimeoutArgument::All(seconds)) => Ok(Timeouts::all(duration(seconds)?)),
        Some(TimeoutArgument::Each(connect, handshake, reply, stall, finish, total)) => {
            let or = |seconds: Option<f64>, default| seconds.map_or(Ok(default), duration);
            Ok(Timeouts {
                connect: or(connect, defaults.connect)?,
                handshake: or(handshake, defaults.handshake)?,
                reply: or(reply, defaults.reply)?,
                stall: or(stall, defaults.stall)?,
                finish: or(finish, defaults.finish)?,
                total: total.map(duration).transpose()?,
            })
        }
    }
}

/// Calls `sink` with each event's line. What it raises is reported, and changes nothing.
fn trace(sink: Option<Py<PyAny>>) -> Trace {
    sink.map_or_else(Trace::default, |sink| {
        Trace::new(move |event| {
            let line = event.to_string();
            Python::attach(|py| {
                if let Err(error) = sink.call1(py, (line,)) {
                    error.write_unraisable(py, Some(sink.bind(py)));
                }
            });
        })
    })
}

/// What `tls=` is: a `TLSConfig`, or an `ssl.SSLContext` to which nothing is added.
fn argument(it: &Bound<'_, PyAny>) -> PyResult<(TlsConfig, Option<String>)> {
    if let Ok(config) = it.cast::<TLSConfig>() {
        return Ok((config.get().tls.clone(), config.get().server_name.clone()));
    }
    match openssl::config(it)? {
        Some(config) => Ok((config, None)),
        None => {
            let class = it.get_type().name()?;
            Err(PyTypeError::new_err(format!("tls= is a TLSConfig or an ssl.SSLContext, not {class}")))
        }
    }
}

/// How to open a session.
pub(crate) fn options(
    py: Python<'_>,
    security: Security,
    tls: Option<&Bound<'_, PyAny>>,
    timeout: Option<TimeoutArgument>,
    sink: Option<Py<PyAny>>,
) -> PyResult<Options> {
    let (tls, server_name) = tls.map(argument).transpose()?.unwrap_or_default();
    let timeouts = timeouts(py, timeout)?;
    Ok(Options { security, tls, server_name, timeouts, trace: trace(sink) })
}

/// How to reach servers.
#[derive(Clone, Default)]
pub(crate) struct Network {
    pub(crate) proxy: Option<Proxy>,
    pub(crate) local: Option<IpAddr>,
}

impl Network {
    /// From a proxy's URL and an address of this machine.
    pub(crate) fn new(py: Python<'_>, proxy: Option<&str>, local: Option<&str>) -> PyResult<Self> {
        let proxy = proxy.map(Proxy::parse).transpose().map_err(|why| error::core(py, &why, Hint::None))?;
        let bad = |_| error::argument(py, "local_address is an IP address of this machine");
        Ok(Self { proxy, local: local.map(|text| text.parse().map_err(bad)).transpose()? })
    }
}

/// The user and password to log in with: arguments first, then the URL, then the environment.
pub(crate) fn credentials(
    py: Python<'_>,
    url: &Url,
    user: Option<String>,
    password: Option<String>,
) -> PyResult<Option<(String, String)>> {
    let Some(user) = user.or_else(|| url.user.clone()) else {
        return match password {
            Some(_) => Err(error::argument(py, "password= needs a user, in the URL or as user=")),
            None => Ok(None),
        };
    };
    let password = password
        .or_else(|| url.password.as_ref().map(|password| password.to_string()))
        .or_else(|| std::env::var("STARTTLS_PASSWORD").ok());
    match password {
        Some(password) => Ok(Some((user, password))),
        None => Err(error::argument(py, "there is no password: give password=, or set STARTTLS_PASSWORD")),
    }
}
