//! How a session speaks and what it insists on.

use super::memory::ServerMemory;
use super::session::DataProtection;

/// How a session speaks and what it insists on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether data connections go under TLS.
    pub data_protection: DataProtection,
    /// Whether an upload is followed by SIZE, where the server offers it, and compared.
    pub verify_uploads: bool,
    /// Whether a download may end without close_notify: its receipt is `unproven` then. An error by default, since
    /// anybody in between can cut a connection short.
    pub accept_missing_close_notify: bool,
    /// What is known of servers, and what is learnt of this one.
    pub memory: ServerMemory,
}

impl Default for Settings {
    /// Everything protected and compared, and the memory of the process.
    fn default() -> Self {
        Self {
            data_protection: DataProtection::default(),
            verify_uploads: true,
            accept_missing_close_notify: false,
            memory: ServerMemory::default(),
        }
    }
}
