//! The network as the host provides it: the abstract transport and its drivers.
//!
//! A [`Transport`] opens byte streams; a [`Stream`] reads, writes, half-closes and keeps a deadline. Neither knows a
//! protocol, and no dialogue knows which driver runs it:
//!
//! | driver | who moves the bytes | how a dialogue runs |
//! |---|---|---|
//! | [`Blocking`] | `std::net`, natively and on WASI 0.2 | [`block`] polls it once: its streams never pend |
//! | `Tokio` (feature `tokio`) | tokio | awaited on tokio |
//! | [`Hosted`] | the embedding program | the program polls, does what is asked, hands in bytes |

mod blocking;
mod hosted;
#[cfg(all(feature = "tokio", not(target_family = "wasm")))]
mod tokio;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub use blocking::{Blocking, BlockingStream, Interrupt};
pub use hosted::{ChannelId, Host, Hosted, HostedStream, Request};
#[cfg(all(feature = "tokio", not(target_family = "wasm")))]
pub use tokio::{Tokio, TokioStream};

/// One ordered byte stream to one peer.
pub trait Stream: Send + Unpin {
    /// Reads at least one byte; `Ok(0)` is the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some of `bytes`, at least one.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Ends our direction (half-close); the peer can still send.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// From now on every poll fails with [`io::ErrorKind::TimedOut`] once `within` has passed, however much progress
    /// is made until then. Each call replaces the last one's deadline.
    fn set_deadline(&mut self, within: Duration);

    /// The peer's address, where the host tells.
    fn peer_addr(&self) -> Option<SocketAddr>;
}

/// The network as the host provides it. Outgoing connections only.
pub trait Transport: Send + Sync {
    /// The streams it opens.
    type Stream: Stream;

    /// Opens a stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::PermissionDenied`] where policy forbids it, [`io::ErrorKind::NotFound`] for a name without an
    /// address, [`io::ErrorKind::TimedOut`] after `within`, and the network's own failures.
    fn connect(
        &self,
        to: &Endpoint,
        purpose: Purpose,
        within: Duration,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A DNS name, or an IP address as text (IPv6 without brackets).
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Endpoint {
    /// The address, if the host is one: no look-up is needed then.
    pub fn ip(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What a stream is for: a host may treat them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Commands and replies.
    Control,
    /// An FTP data connection, to the control connection's peer.
    Data,
}

/// Runs a dialogue over streams that never pend, such as [`Blocking`]'s: one poll finishes it.
///
/// # Panics
/// If the future pends, which no dialogue over [`Blocking`] does.
pub fn block<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a blocking stream never pends"),
    }
}
