//! How to open a session: what the caller wants, before anything is said.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::tls::{ServerName, Sharing, TlsConfig, TlsSession};
use crate::trace::Trace;
use crate::transport::Endpoint;

/// When and whether a connection becomes TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Security {
    /// Begin in clear text and upgrade in place before anything else is said: STARTTLS (RFC 3207), AUTH TLS
    /// (RFC 4217). A server that does not is an error; there is no opportunistic mode.
    #[default]
    Upgrade,
    /// TLS from the first byte (RFC 8314 §3.3; `ftps` on port 990).
    Implicit,
    /// No TLS at all. Everything can be read and changed on the way; passwords are refused.
    Plaintext,
}

/// How long each stage may take, from its beginning to its end and whatever dribbles in meanwhile.
///
/// The stages are those of RFC 5321 §4.5.3.2, whose limits are the defaults or below them:
///
/// | RFC 5321 | | here |
/// |---|---|---|
/// | greeting, MAIL, RCPT | 5 min each | `reply`: 5 min, for all that share a flight |
/// | DATA initiation | 2 min | `reply`, since it shares MAIL's flight |
/// | data block | 3 min | `stall`: 3 min |
/// | data termination | 10 min | `finish`: 10 min |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Look-up and TCP connection, for control and for data, and a proxy's negotiation.
    pub connect: Duration,
    /// A TLS handshake.
    pub handshake: Duration,
    /// A flight of commands and all its replies; the greeting.
    pub reply: Duration,
    /// The longest pause in a transfer that otherwise goes on.
    pub stall: Duration,
    /// The reply after the last byte of a message or file.
    pub finish: Duration,
    /// A whole operation, whose stages are cut by what is left of it; `None`: its stages alone decide. Operations are:
    /// opening a session, from the look-up to the server's readiness; logging in; a message, from its envelope to the
    /// server's last word; a transfer, from its first command to the receipt; any other call. The time that the caller
    /// takes between two pieces of a message or file counts, too.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    /// 30 s to connect, 30 s for a handshake, 5 min for replies, 3 min without progress, 10 min for the last reply; no
    /// total.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            handshake: Duration::from_secs(30),
            reply: Duration::from_secs(5 * 60),
            stall: Duration::from_secs(3 * 60),
            finish: Duration::from_secs(10 * 60),
            total: None,
        }
    }
}

impl Timeouts {
    /// When an operation that begins now must be done, if it must.
    pub(crate) fn ends(&self) -> Option<Instant> {
        self.total.and_then(|total| Instant::now().checked_add(total))
    }

    /// The same for every stage.
    pub fn all(within: Duration) -> Self {
        Self { connect: within, handshake: within, reply: within, stall: within, finish: within, total: None }
    }
}

/// A stage's time, or what is left of the operation's if that is less.
pub(crate) fn within(ends: Option<Instant>, stage: Duration) -> Duration {
    ends.map_or(stage, |ends| stage.min(ends.saturating_duration_since(Instant::now())))
}

/// How to open a session.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// When the connection becomes TLS.
    pub security: Security,
    /// Whom to trust, who we are.
    pub tls: TlsConfig,
    /// The name in the server's certificate, where it is not the host connected to.
    pub server_name: Option<String>,
    /// How long each stage may take.
    pub timeouts: Timeouts,
    /// Where events go.
    pub trace: Trace,
}

/// [`Options::security`] with all that TLS will need, made before anything is sent: a configuration that cannot work
/// costs no connection.
pub(crate) enum Plan {
    Plain,
    Upgrade(TlsSession, ServerName),
    Implicit(TlsSession, ServerName),
}

impl Options {
    /// For a connection of its own.
    pub(crate) fn plan(&self, endpoint: &Endpoint) -> Result<Plan> {
        self.plan_sharing(endpoint, Sharing::Store(endpoint))
    }

    /// For a control connection.
    pub(crate) fn plan_with_data(&self, endpoint: &Endpoint) -> Result<Plan> {
        self.plan_sharing(endpoint, Sharing::Control(endpoint))
    }

    fn plan_sharing(&self, endpoint: &Endpoint, sharing: Sharing<'_>) -> Result<Plan> {
        if self.security == Security::Plaintext {
            self.tls.allow_plaintext()?;
            return Ok(Plan::Plain);
        }
        let name = ServerName::parse(self.server_name.as_deref().unwrap_or(&endpoint.host))?;
        let session = self.tls.session_with(&name, sharing)?;
        Ok(match self.security {
            Security::Implicit => Plan::Implicit(session, name),
            _ => Plan::Upgrade(session, name),
        })
    }
}
