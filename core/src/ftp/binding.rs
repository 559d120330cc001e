//! What ties a data connection to its control connection: the TLS session that it resumes.

use super::client::Client;
use crate::error::{Error, Phase, Result, TlsFault};
use crate::tls::Resumable;
use crate::transport::Transport;

/// Whether data connections resume the control connection's TLS session: a proof, besides the certificate, that both
/// end at the same peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SessionBinding {
    /// A data connection that does not resume is an error, before any of its bytes is believed and before any is sent on
    /// it; so is one in clear text. Some servers cannot: those that give no tickets under TLS 1.3.
    Require,
    /// Resumed wherever the server does; the receipt tells. A server's own demand is met, by a new control connection
    /// where its tickets are used up.
    #[default]
    Prefer,
    /// Never resumed: a full handshake each time. Servers that insist on resumption refuse.
    Off,
}

impl SessionBinding {
    /// In one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::Prefer => "prefer",
            Self::Off => "off",
        }
    }
}

impl std::str::FromStr for SessionBinding {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Require, Self::Prefer, Self::Off]
            .into_iter()
            .find(|binding| binding.as_str() == text)
            .ok_or_else(|| Error::invalid_argument("session binding is require, prefer or off"))
    }
}

impl<T: Transport> Client<T> {
    /// Before a transfer: if the server's TLS 1.3 tickets are used up, or a cut connection spoilt them, a server that
    /// insists on resumption would refuse the data connection, and may truncate the file it was to receive. So the session
    /// is renewed first: on TLS 1.2, where one session resumes any number of connections, if both sides have it.
    pub(super) async fn ensure_resumable(&mut self) -> Result<()> {
        let binding = self.settings.session_binding;
        if !self.session.private && binding == SessionBinding::Require {
            let why = "data connections in clear text resume no session, which the session binding `require` demands";
            let advice = "protect data connections (PROT P), or choose the session binding `prefer`";
            return Err(self.explain(Error::invalid_state(why).during(Phase::Data).advise(advice)));
        }
        if !self.session.private || binding == SessionBinding::Off {
            return Ok(());
        }
        let renew = match self.resumable() {
            Resumable::Tickets(0) => true,
            Resumable::Tickets(_) | Resumable::Session => self.cut,
            // TLS 1.2 resumes without tickets.
            Resumable::Never => binding == SessionBinding::Require && self.has_older_version(),
        };
        if renew && self.credentials.is_some() {
            self.renew().await?;
        }
        // Known before the command, it costs no remote file its content.
        if binding == SessionBinding::Require && matches!(self.resumable(), Resumable::Tickets(0) | Resumable::Never) {
            return Err(self.explain(not_resumed()));
        }
        Ok(())
    }

    fn resumable(&self) -> Resumable {
        self.session.tls.as_ref().map_or(Resumable::Never, |(tls, _)| tls.resumable())
    }

    /// Whether the session's TLS 1.2 can be had instead of its TLS 1.3.
    pub(super) fn has_older_version(&self) -> bool {
        self.options.tls.has_versions_to_choose() && !self.known.newest_tls_only
    }
}

/// The error where resumption is required.
pub(super) fn not_resumed() -> Error {
    let advice = "the server may give too few tickets, or none: TLS 1.2, or the session binding `prefer`, may do";
    Error::tls(TlsFault::NotResumed).during(Phase::Handshake).advise(advice)
}
