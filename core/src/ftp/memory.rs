//! What was learnt of servers in this process: what they do not know or cannot take, which is not tried again.

use super::seat::Seats;
use crate::memory::server_memory;

server_memory! {
    /// A memory of servers, shared by the sessions that are given it. By default there is one for the whole process.
    ServerMemory of Facts
}

/// What is known of one server.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The sessions with it.
    pub(super) seats: Seats,
    /// It does not know EPSV.
    pub(super) no_epsv: bool,
    /// It offers MODE Z, and refuses it.
    pub(super) no_compression: bool,
    /// It offers RANG, and does not know it, or does not keep to it.
    pub(super) no_ranges: bool,
    /// It does not know EPRT.
    pub(super) no_eprt: bool,
    /// It leaves data connections open after an upload: waiting for its end is of no use.
    pub(super) lingers: bool,
    /// It refused TLS 1.2: it is not asked again.
    pub(super) newest_tls_only: bool,
    /// It refuses MLSD and MLST as unknown, though it offers them.
    pub(super) mlst_is_refused: bool,
    /// It answered the first command of a flight and none behind it.
    pub(super) pipelining_broke: bool,
    /// It answered what was sent ahead after the transfer.
    pub(super) in_order: bool,
    /// It answered what was sent ahead during the transfer.
    pub(super) at_once: bool,
    /// It takes no command during a transfer: none is sent ahead.
    pub(super) one_at_a_time: bool,
}
