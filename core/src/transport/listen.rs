//! Waiting for a connection instead of opening one: the data connections of FTP's active mode.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::task::{Context, Poll};
use std::time::Duration;

/// A port of ours on which the peer is expected.
///
/// Anybody who reaches the port can connect: whether it is the peer who did is for the caller to find out, by
/// [`Stream::peer_addr`](super::Stream::peer_addr).
pub trait Listener<S>: Send {
    /// Where it listens, with the port that was found.
    fn local_addr(&self) -> SocketAddr;

    /// Takes the next connection.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<S>>;

    /// From now on [`Listener::poll_accept`] fails with [`io::ErrorKind::TimedOut`] once `within` has passed.
    fn set_deadline(&mut self, within: Duration);
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenAt {
    /// An address of this machine; its port is not looked at.
    pub address: SocketAddr,
    /// The ports to choose from, such as a firewall lets through; `None`: whichever the system gives.
    pub ports: Option<RangeInclusive<u16>>,
}

impl ListenAt {
    /// Addresses with the ports to try, each once: 0 for the system's choice, or those of the range from a random one
    /// on, since a port that can be foreseen is one that others can connect to first.
    pub fn candidates(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let (first, last) = self.ports.as_ref().map_or((0, 0), |ports| (*ports.start(), *ports.end()));
        let count = u64::from(last.saturating_sub(first)) + u64::from(first <= last);
        let begin = if count > 1 { RandomState::new().hash_one(first) % count } else { 0 };
        let address = self.address;
        (0..count).map(move |step| {
            let mut candidate = address;
            candidate.set_port(first + u16::try_from((begin + step) % count).unwrap_or(0));
            candidate
        })
    }

    /// The first candidate that `bind` can have.
    ///
    /// # Errors
    /// Of the last one tried; any but [`io::ErrorKind::AddrInUse`] and [`io::ErrorKind::PermissionDenied`], which are
    /// about one port, at once.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn first<L>(&self, mut bind: impl FnMut(SocketAddr) -> io::Result<L>) -> io::Result<L> {
        let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the range of ports is empty");
        for candidate in self.candidates() {
            match bind(candidate) {
                Ok(listener) => return Ok(listener),
                Err(error) => failed = error,
            }
            if !matches!(failed.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) {
                break;
            }
        }
        Err(failed)
    }
}

/// The answer of transports that cannot listen.
pub(super) fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this transport cannot wait for connections")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(range: Option<RangeInclusive<u16>>) -> Vec<u16> {
        let at = ListenAt { address: SocketAddr::from(([127, 0, 0, 1], 9)), ports: range };
        let mut ports: Vec<_> = at.candidates().map(|candidate| candidate.port()).collect();
        ports.sort_unstable();
        ports
    }

    #[test]
    fn each_port_of_the_range_once() {
        assert_eq!(ports(None), [0]);
        assert_eq!(ports(Some(4000..=4003)), [4000, 4001, 4002, 4003]);
        assert_eq!(ports(Some(65535..=65535)), [65535]);
        assert_eq!(ports(Some(0..=u16::MAX)).len(), 65536);
        #[expect(clippy::reversed_empty_ranges, reason = "a caller's mistake")]
        let none = ports(Some(2..=1));
        assert_eq!(none, [0; 0]);
    }

    #[test]
    fn a_taken_port_is_passed_over() {
        let at = ListenAt { address: SocketAddr::from(([127, 0, 0, 1], 0)), ports: Some(4000..=4009) };
        let mut tried = 0;
        let found = at.first(|_| {
            tried += 1;
            if tried < 4 { Err(io::ErrorKind::AddrInUse.into()) } else { Ok(tried) }
        });
        assert_eq!(found.ok(), Some(4));
        let refused = at.first(|_| Err::<(), _>(io::ErrorKind::AddrNotAvailable.into()));
        assert_eq!(refused.map_err(|error| error.kind()), Err(io::ErrorKind::AddrNotAvailable));
    }
}
