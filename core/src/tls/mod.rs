//! Trust, identity, versions, pins and names; and the engine that turns bytes into TLS records.
//!
//! [`TlsConfig`] is what the caller wants, [`TlsSession`] what one control connection and its data connections share:
//! the same verifier, the same identity and one ledger of resumable sessions, which no other connection uses; unless there
//! is a [`SessionStore`]. The built-in [`Engine`] is rustls; a [`Backend`] brings another.

mod authorities;
mod backend;
mod binding;
mod certificate;
mod check;
mod config;
mod engine;
mod fault;
mod fingerprint;
mod identity;
mod info;
mod judged;
mod key_log;
mod ledger;
mod mta_sts;
mod name;
mod pem;
mod platform;
mod provider;
mod revocation;
mod session;
mod session_store;
mod settings;
mod system_store;
mod tlsa;
mod trust;

pub use backend::{Backend, BackendSession, Resumable};
pub use binding::{ChannelBinding, ChannelBindingType};
pub use certificate::{Certificate, CertificateError};
pub use check::{Presented, Rejection};
pub use config::TlsConfig;
pub use engine::{Engine, Outgoing, Progress};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use identity::Identity;
pub use info::{TlsInfo, TlsWarning, VerifiedBy};
pub use mta_sts::{MtaSts, MtaStsError, MtaStsMode, MtaStsVerdict};
pub use name::ServerName;
pub(crate) use pem::PrivateKey;
pub(crate) use session::Sharing;
pub use session::TlsSession;
pub use session_store::{SessionStore, StoredServer, StoredSession};
pub use settings::Version;
pub use tlsa::{Tlsa, TlsaError};
