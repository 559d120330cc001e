//! What was learnt of servers in this process: what broke, and what was offered once.
//!
//! What broke is not tried again. What was offered once, and protects, must stay: a server that had STARTTLS or a strong
//! login mechanism an hour ago and has none now is more likely somebody in between.

use crate::memory::server_memory;

server_memory! {
    /// A memory of servers, shared by the sessions that are given it. By default there is one for the whole process.
    ServerMemory of Facts
}

/// What is known of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// It offers PIPELINING, and a flight of several commands went unanswered.
    pub(super) pipelining_broke: bool,
    /// It offers CHUNKING, and did not know BDAT.
    pub(super) chunking_broke: bool,
    /// It offered STARTTLS.
    pub(super) offered_tls: bool,
    /// The login mechanisms it offered under TLS with a certificate that was verified, in upper case.
    pub(super) mechanisms: Vec<String>,
}
