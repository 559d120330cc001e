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
//!
//! [`Proxied`] puts a SOCKS5 or HTTP proxy before any of them. Where the host allows it, a transport also waits for a
//! connection ([`Transport::listen`]): natively, on tokio and in programs that host it; not on WASI, not behind a proxy.

mod addresses;
mod blocking;
mod hosted;
mod listen;
mod proxy;
mod together;
#[cfg(all(feature = "tokio", not(target_family = "wasm")))]
mod tokio;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

pub use addresses::{Unreached, in_order};
pub use blocking::{Blocking, BlockingStream, Interrupt};
pub use hosted::{ChannelId, Host, Hosted, HostedStream, Request};
pub use listen::{ListenAt, Listener};
pub use proxy::{Proxied, ProxiedStream, Proxy, ProxyFailure};
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

    /// The peer's address, where the host tells. An IPv6 address that is good on one link only has its zone.
    fn peer_addr(&self) -> Option<SocketAddr>;

    /// Our own address on this stream, where the host tells.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

/// The network as the host provides it. Outgoing connections, and incoming ones where the host has them.
pub trait Transport: Send + Sync {
    /// The streams it opens.
    type Stream: Stream + 'static;

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

    /// Waits so long: before another attempt, or so as not to be faster than the caller wants.
    ///
    /// # Errors
    /// What stops a wait on this transport: [`io::ErrorKind::Interrupted`], [`io::ErrorKind::TimedOut`]. A pause of no
    /// time asks for that alone.
    fn pause(&self, time: Duration) -> impl Future<Output = io::Result<()>> + Send;

    /// Does all of it at the same time, and gives the outputs in order. In one task, unless a driver knows better: where
    /// streams never pend, and there are no threads, one comes after the other.
    fn side_by_side<F>(&self, work: Vec<F>) -> impl Future<Output = Vec<F::Output>> + Send
    where
        F: Future + Send,
        F::Output: Send,
    {
        together::together(work)
    }

    /// Begins to listen, for FTP's active mode. Most hosts can do without.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where nobody can listen: in wasm, behind a proxy, and in transports that do not
    /// say otherwise; [`io::ErrorKind::AddrInUse`] if every port of the range is taken; the system's own failures.
    fn listen(
        &self,
        at: &ListenAt,
        within: Duration,
    ) -> impl Future<Output = io::Result<Box<dyn Listener<Self::Stream>>>> + Send {
        let _ = (at, within);
        std::future::ready(Err(listen::unsupported()))
    }
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
    /// A host by its address. The zone of an IPv6 address that is good on one link only becomes part of the host.
    pub fn at(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            address => address.ip().to_string(),
        };
        Self { host, port: address.port() }
    }

    /// The address, if the host is one: no look-up is needed then. A zone is understood as a number; a named one
    /// (`fe80::1%eth0`) is for the system's resolver.
    pub fn ip(&self) -> Option<SocketAddr> {
        if let Some((ip, zone)) = self.host.split_once('%') {
            let address = SocketAddrV6::new(ip.parse().ok()?, self.port, 0, zone.parse().ok()?);
            return Some(address.into());
        }
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

/// Why a local address cannot be had.
#[cfg(not(unix))]
const NO_LOCAL_ADDRESS: &str = "a local address cannot be chosen on this platform";

/// A connection that is silent for long by right (an FTP control connection during a transfer, one in a pool) must not be
/// forgotten by what is in between, and a peer that is gone must be noticed.
#[cfg(unix)]
fn keep_alive(socket: &impl std::os::fd::AsFd) -> io::Result<()> {
    let every = Duration::from_secs(60);
    socket2::SockRef::from(socket).set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(every))
}

/// Runs a dialogue over streams that never pend, such as [`Blocking`]'s: one poll finishes it. If it waits for another
/// thread (a [`Pool`](crate::smtp::Pool)'s session is taken), this one is parked meanwhile.
///
/// # Panics
/// On WASI, which has no other threads, if the future pends.
pub fn block<F: Future>(future: F) -> F::Output {
    block_while(future, || true).unwrap_or_else(|| unreachable!("it goes on until it is done"))
}

/// [`block`], asking at least every 100 ms of waiting for another thread whether to `go_on`; `None` if not.
///
/// # Panics
/// As [`block`].
pub fn block_while<F: Future>(future: F, mut go_on: impl FnMut() -> bool) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        if cfg!(target_family = "wasm") {
            unreachable!("a blocking stream never pends");
        }
        if !go_on() {
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_kept() {
        for text in ["[fe80::1%3]:21", "[::1]:21", "192.0.2.1:21"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(Endpoint::at(address).ip(), Some(address));
            assert_eq!(Endpoint::at(address).to_string(), text);
        }
        assert_eq!(Endpoint { host: "fe80::1%eth0".into(), port: 21 }.ip(), None);
    }
}

/// Addresses for tests: one that takes connections, one that refuses them, one that swallows them.
#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod places {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    pub(super) fn open() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    pub(super) fn refusing() -> SocketAddr {
        open().1
    }

    /// A listener with a full backlog: the system answers no more attempts. It lasts as long as its parts.
    pub(super) fn black_hole() -> ((socket2::Socket, Vec<TcpStream>), SocketAddr) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, std::time::Duration::from_millis(100)) {
            queued.push(stream);
        }
        ((socket, queued), address)
    }
}
