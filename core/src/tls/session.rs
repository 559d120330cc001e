//! What one control connection and its data connections share.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;

use super::engine::RustlsEngine;
use super::identity::Identities;
use super::judged::Judge;
use super::key_log::KeyLog;
use super::ledger::Ledger;
use super::{BackendSession, Engine, MtaStsVerdict, Resumable, ServerName};
use crate::error::Result;
use crate::transport::Endpoint;

/// Whose sessions a connection resumes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sharing<'a> {
    /// Those of its own [`TlsSession`].
    Own,
    /// The store's with this server, if there is a store.
    Store(&'a Endpoint),
    /// For a control connection the same; for its data connections, those that the control connection brought.
    Control(&'a Endpoint),
}

impl Sharing<'_> {
    pub(super) fn knows_the_port(self) -> bool {
        matches!(self, Self::Store(to) | Self::Control(to) if to.port != 0)
    }
}

/// One control connection's TLS: its configuration and its own store of resumable sessions.
#[derive(Clone, Debug)]
pub struct TlsSession(pub(super) By);

/// By what implementation.
#[derive(Clone, Debug)]
pub(super) enum By {
    Rustls(RustlsSession),
    Backend { session: Arc<dyn BackendSession>, resumes: bool },
}

/// rustls' part of a session.
#[derive(Clone, Debug)]
pub(super) struct RustlsSession {
    pub(super) config: Arc<ClientConfig>,
    /// What is in `config`.
    pub(super) shared: Shared,
    pub(super) key_log: Option<KeyLog>,
    pub(super) mta_sts: Option<MtaStsVerdict>,
    /// Whether the caller said which application protocols to offer.
    pub(super) says_alpn: bool,
}

/// What connections have in common that resume each other. rustls resumes for the same verifier and the same identities alone,
/// by their places in memory.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    /// To be asked what it found.
    pub(super) judge: Arc<Judge>,
    /// To be asked what the server wanted.
    pub(super) identities: Arc<Identities>,
    pub(super) ledger: Arc<Ledger>,
}

impl TlsSession {
    pub(crate) fn engine(&self, name: &ServerName) -> Result<Box<dyn Engine>> {
        match &self.0 {
            By::Rustls(session) => Ok(Box::new(RustlsEngine::new(session, name)?)),
            By::Backend { session, resumes } => session.engine(name, *resumes),
        }
    }

    /// The same trust and identity, for a connection that resumes nothing and is not resumed.
    pub(crate) fn without_resumption(&self) -> Self {
        Self(match &self.0 {
            By::Rustls(session) => {
                let mut config = ClientConfig::clone(&session.config);
                config.resumption = Resumption::disabled();
                By::Rustls(RustlsSession { config: Arc::new(config), ..session.clone() })
            }
            By::Backend { session, .. } => By::Backend { session: session.clone(), resumes: false },
        })
    }

    /// The same, which offers this application protocol (RFC 7301), unless the caller said what to offer. A backend offers what
    /// it is set to.
    pub(crate) fn offering(&self, protocol: Option<&str>) -> Self {
        match (&self.0, protocol) {
            (By::Rustls(session), Some(id)) if !session.says_alpn => {
                let mut config = ClientConfig::clone(&session.config);
                config.alpn_protocols = vec![id.into()];
                Self(By::Rustls(RustlsSession { config: Arc::new(config), ..session.clone() }))
            }
            _ => self.clone(),
        }
    }

    /// What the next handshake can resume.
    pub(crate) fn resumable(&self) -> Resumable {
        match &self.0 {
            By::Rustls(session) => session.shared.ledger.resumable(),
            By::Backend { session, .. } => session.resumable(),
        }
    }
}
