//! What is known about a transfer when it is over.

use std::time::Duration;

use super::hash::Digest;
use crate::reply::Reply;

/// How sure it is that everything arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Every sign agrees, the size the server tells included.
    Verified,
    /// Every sign that there was agrees; the server told no size.
    Complete,
    /// The data connection ended without close_notify, which the caller allowed. The size agrees where it is known.
    Unproven,
}

impl Status {
    /// The status in one lower-case word, as reports show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Complete => "complete",
            Self::Unproven => "unproven",
        }
    }
}

/// What is known about a transfer. There is none for a transfer that failed: that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferReceipt {
    /// How sure it is that everything arrived.
    pub status: Status,
    /// Bytes transferred now.
    pub size: u64,
    /// Where the transfer began, in bytes: above 0 for a transfer that continued an earlier one.
    pub offset: u64,
    /// Whether the data connection resumed the control connection's TLS session.
    pub tls_resumed: bool,
    /// Whether the peer ended the data connection with close_notify; false in clear text, which has none.
    pub close_notify: bool,
    /// Whether we ended it with close_notify, too.
    pub close_notify_sent: bool,
    /// Whether the content was compressed on its way (MODE Z). The size is that of the content.
    pub compressed: bool,
    /// The server's final reply.
    pub reply: Reply,
    /// The digest of the whole file, if it was computed on both sides: it is the same.
    pub digest: Option<Digest>,
    /// How many attempts it took: above 1 if the network failed in between.
    pub attempts: u32,
    /// How long it took, from the first command on.
    pub duration: Duration,
}
