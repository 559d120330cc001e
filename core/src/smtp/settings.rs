//! How a session speaks: our name, and which of the server's abilities are made use of.

use super::memory::ServerMemory;
use crate::error::{Error, Result};

/// The name we give in EHLO (RFC 5321 §4.1.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EhloName(String);

impl EhloName {
    /// A domain name or address literal.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for an empty one or one with spaces or control characters.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Error::invalid_argument(format!("{name:?} is no EHLO name")));
        }
        Ok(Self(name))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for EhloName {
    /// `[127.0.0.1]`: an address literal is always allowed where the client has no name of its own, and this one tells
    /// nobody the machine's name.
    fn default() -> Self {
        Self("[127.0.0.1]".into())
    }
}

/// How a session speaks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name we give in EHLO.
    pub name: EhloName,
    /// LMTP (RFC 2033) instead of SMTP: LHLO, and a verdict for each recipient after the body.
    pub lmtp: bool,
    /// Whether PIPELINING (RFC 2920) is made use of where it is offered.
    pub pipelining: bool,
    /// Whether CHUNKING (RFC 3030) is made use of where it is offered.
    pub chunking: bool,
    /// Bytes of a chunk, at least 1; shorter messages are one chunk.
    pub chunk_size: usize,
    /// What is known of servers, and what is learnt of this one.
    pub memory: ServerMemory,
}

impl Default for Settings {
    /// Everything the server offers, in chunks of 512 KiB, and the memory of the process.
    fn default() -> Self {
        Self {
            name: EhloName::default(),
            lmtp: false,
            pipelining: true,
            chunking: true,
            chunk_size: 512 * 1024,
            memory: ServerMemory::default(),
        }
    }
}
