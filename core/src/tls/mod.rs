//! Trust, identity, versions, pins and names; and the engine that turns bytes into TLS records.
//!
//! [`TlsConfig`] is what the caller wants, [`TlsSession`] what one control connection and its data connections share:
//! the same verifier, the same identity and one store of resumable sessions, which no other connection uses.

mod certificate;
mod config;
mod engine;
mod fault;
mod ledger;
mod name;
mod pem;
mod trust;

use std::fmt;

pub use certificate::{Certificate, CertificateError};
pub use config::{TlsConfig, TlsSession, Version};
pub(crate) use engine::{Engine, Outgoing, Progress};
pub(crate) use ledger::Resumable;
pub use name::ServerName;

/// What a TLS connection agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// The cipher suite's IANA name.
    pub cipher_suite: String,
    /// The key exchange group's name; empty if the session was resumed without one.
    pub group: String,
    /// The application protocol (ALPN), if one was negotiated.
    pub alpn: Option<String>,
    /// Whether an earlier session was resumed instead of a full handshake.
    pub resumed: bool,
    /// The name that the certificate was checked for.
    pub server_name: String,
    /// The server's certificate chain in DER, its own certificate first.
    pub chain: Vec<Vec<u8>>,
}

impl fmt::Display for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.version, self.cipher_suite)?;
        if let Some(alpn) = &self.alpn {
            write!(f, ", {alpn}")?;
        }
        if self.resumed { f.write_str(", resumed") } else { Ok(()) }
    }
}
