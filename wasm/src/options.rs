//! Options and traces.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use starttls::ftp::Auth;
use starttls::smtp::EhloName;
#[cfg(not(feature = "over-transport"))]
use starttls::transport::Blocking as Sockets;
use starttls::transport::{self, Proxied, Proxy};

use crate::Component;
use crate::exports::types::{Endpoint, Error, Guest, GuestOptions, GuestTrace, Security, Timeouts, TraceBorrow};
#[cfg(feature = "over-transport")]
use crate::imported::Imported as Sockets;

impl Guest for Component {
    type Options = Options;
    type Trace = Trace;
}

/// How to open a session.
#[derive(Default)]
pub(crate) struct Options(RefCell<Settings>);

#[derive(Clone, Default)]
struct Settings {
    /// Without the TLS configuration, which comes with each session.
    session: starttls::Options,
    /// How mail servers are spoken to.
    mail: starttls::smtp::Settings,
    /// How file servers are spoken to.
    files: starttls::ftp::Settings,
    proxy: Option<Proxy>,
}

/// The network that the host provides, and a proxy before it.
pub(crate) type Network = Proxied<Sockets>;

impl Options {
    /// The options of a session with this TLS configuration.
    pub(crate) fn with_tls(&self, tls: starttls::tls::TlsConfig) -> starttls::Options {
        starttls::Options { tls, ..self.0.borrow().session.clone() }
    }

    pub(crate) fn network(&self) -> Network {
        Proxied::new(Sockets::new(), self.0.borrow().proxy.clone())
    }

    pub(crate) fn mail(&self) -> starttls::smtp::Settings {
        self.0.borrow().mail.clone()
    }

    pub(crate) fn files(&self) -> starttls::ftp::Settings {
        self.0.borrow().files.clone()
    }
}

impl GuestOptions for Options {
    fn new() -> Self {
        Self::default()
    }

    fn set_security(&self, security: Security) {
        self.0.borrow_mut().session.security = self::security(security);
    }

    fn set_server_name(&self, name: String) {
        self.0.borrow_mut().session.server_name = Some(name);
    }

    fn set_timeouts(&self, timeouts: Timeouts) {
        let Timeouts { connect, handshake, reply, stall, finish } = timeouts;
        let session = &mut self.0.borrow_mut().session;
        session.timeouts = starttls::Timeouts {
            connect: Duration::from_nanos(connect),
            handshake: Duration::from_nanos(handshake),
            reply: Duration::from_nanos(reply),
            stall: Duration::from_nanos(stall),
            finish: Duration::from_nanos(finish),
            total: session.timeouts.total,
        };
    }

    fn set_total_timeout(&self, total: Option<u64>) {
        self.0.borrow_mut().session.timeouts.total = total.map(Duration::from_nanos);
    }

    fn set_proxy(&self, url: String) -> Result<(), Error> {
        self.0.borrow_mut().proxy = Some(Proxy::parse(&url)?);
        Ok(())
    }

    fn set_ehlo_name(&self, name: String) -> Result<(), Error> {
        self.0.borrow_mut().mail.name = EhloName::new(name)?;
        Ok(())
    }

    fn set_lmtp(&self, lmtp: bool) {
        self.0.borrow_mut().mail.lmtp = lmtp;
    }

    fn set_pipelining(&self, wanted: bool) {
        let mut settings = self.0.borrow_mut();
        (settings.mail.pipelining, settings.files.pipelining) = (wanted, wanted);
    }

    fn set_keep_alive(&self, every: Option<u64>) {
        self.0.borrow_mut().files.keep_alive = every.map(Duration::from_nanos);
    }

    fn set_auth_ssl(&self, wanted: bool) {
        self.0.borrow_mut().files.auth = if wanted { Auth::Ssl } else { Auth::Tls };
    }

    fn set_chunking(&self, wanted: bool) {
        self.0.borrow_mut().mail.chunking = wanted;
    }

    fn set_chunk_size(&self, bytes: u32) {
        self.0.borrow_mut().mail.chunk_size = bytes.max(1) as usize;
    }

    fn set_trace(&self, trace: TraceBorrow<'_>) {
        let lines = trace.get::<Trace>().0.clone();
        self.0.borrow_mut().session.trace = starttls::trace::Trace::new(move |event| lines.push(event.to_string()));
    }
}

/// When the connection becomes TLS.
pub(crate) fn security(when: Security) -> starttls::Security {
    match when {
        Security::Upgrade => starttls::Security::Upgrade,
        Security::Implicit => starttls::Security::Implicit,
        Security::Plaintext => starttls::Security::Plaintext,
    }
}

/// The events of sessions.
#[derive(Default)]
pub(crate) struct Trace(Lines);

impl GuestTrace for Trace {
    fn new() -> Self {
        Self::default()
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<VecDeque<String>>>);

impl Lines {
    /// A trace that nobody takes does not grow beyond this.
    const MOST: usize = 10_000;

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == Self::MOST {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl From<Endpoint> for transport::Endpoint {
    fn from(Endpoint { host, port }: Endpoint) -> Self {
        Self { host, port }
    }
}

impl From<transport::Endpoint> for Endpoint {
    fn from(transport::Endpoint { host, port }: transport::Endpoint) -> Self {
        Self { host, port }
    }
}
