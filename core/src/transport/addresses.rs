//! A host's addresses: in which order they are tried, when the next one is, and what became of each (RFC 8305).

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
#[cfg(any(unix, all(feature = "tokio", not(target_family = "wasm"))))]
use std::time::Duration;

/// The Connection Attempt Delay (RFC 8305 §5): how long an attempt is alone before the next address joins it. One that
/// fails makes room at once.
#[cfg(any(unix, all(feature = "tokio", not(target_family = "wasm"))))]
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// What was found for a host, in the order to try: the resolver's (RFC 6724), but with the families taking turns, the
/// preferred one first (RFC 8305 §4). From `local`, only its own family can be reached.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] if there is none, [`io::ErrorKind::AddrNotAvailable`] if `local` reaches none of them.
pub fn in_order(found: Vec<SocketAddr>, local: Option<IpAddr>) -> io::Result<Vec<SocketAddr>> {
    let Some(first) = found.first() else { return Err(io::ErrorKind::NotFound.into()) };
    let preferred = first.is_ipv4();
    let reachable = found.into_iter().filter(|address| local.is_none_or(|local| local.is_ipv4() == address.is_ipv4()));
    let (mut some, mut others): (Vec<_>, Vec<_>) = reachable.partition(|address| address.is_ipv4() == preferred);
    let mut order = Vec::with_capacity(some.len() + others.len());
    let (mut some, mut others) = (some.drain(..), others.drain(..));
    loop {
        let pair = [some.next(), others.next()];
        if pair == [None, None] {
            break;
        }
        for address in pair.into_iter().flatten() {
            if !order.contains(&address) {
                order.push(address);
            }
        }
    }
    if order.is_empty() { Err(io::ErrorKind::AddrNotAvailable.into()) } else { Ok(order) }
}

/// No address of a host could be connected to: what became of each. Inside an [`io::Error`] it becomes part of what
/// [`Error`](crate::Error) tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreached {
    attempts: Vec<(SocketAddr, io::ErrorKind)>,
}

impl Unreached {
    /// Nothing tried so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more address failed.
    pub fn push(&mut self, address: SocketAddr, why: io::ErrorKind) {
        self.attempts.push((address, why));
    }

    /// The addresses, in the order in which they failed, and why.
    pub fn attempts(&self) -> &[(SocketAddr, io::ErrorKind)] {
        &self.attempts
    }

    /// The failure that tells most: that somebody answered, then that nobody did, then that no attempt could be made.
    pub fn kind(&self) -> io::ErrorKind {
        let rank = |kind: io::ErrorKind| match kind {
            io::ErrorKind::ConnectionRefused => 0,
            io::ErrorKind::TimedOut => 2,
            io::ErrorKind::PermissionDenied => 3,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => 4,
            _ => 1,
        };
        let kinds = self.attempts.iter().map(|(_, kind)| *kind);
        kinds.min_by_key(|kind| rank(*kind)).unwrap_or(io::ErrorKind::NotFound)
    }
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried ")?;
        for (i, (address, why)) in self.attempts.iter().enumerate() {
            write!(f, "{}{address} ({why})", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Unreached {}

impl From<Unreached> for io::Error {
    fn from(unreached: Unreached) -> Self {
        Self::new(unreached.kind(), unreached)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<SocketAddr> {
        text.split(' ').map(|ip| SocketAddr::new(ip.parse().unwrap(), 25)).collect()
    }

    #[test]
    fn families_take_turns() {
        for (found, order) in [
            ("::1 ::2 ::3 10.0.0.1", "::1 10.0.0.1 ::2 ::3"),
            ("10.0.0.1 10.0.0.2 ::1 ::2", "10.0.0.1 ::1 10.0.0.2 ::2"),
            ("10.0.0.1 10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(in_order(addresses(found), None).unwrap(), addresses(order), "{found}");
        }
    }

    #[test]
    fn a_local_address_reaches_its_own_family() {
        let found = addresses("::1 10.0.0.1 ::2");
        assert_eq!(in_order(found.clone(), Some("::9".parse().unwrap())).unwrap(), addresses("::1 ::2"));
        assert_eq!(in_order(found, Some("10.0.0.9".parse().unwrap())).unwrap(), addresses("10.0.0.1"));
        let error = in_order(addresses("::1"), Some("10.0.0.9".parse().unwrap())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        assert_eq!(in_order(Vec::new(), None).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_most_telling_failure_is_the_kind() {
        let mut unreached = Unreached::new();
        for (ip, kind) in [("::1", io::ErrorKind::NetworkUnreachable), ("10.0.0.1", io::ErrorKind::TimedOut)] {
            unreached.push(SocketAddr::new(ip.parse().unwrap(), 25), kind);
        }
        assert_eq!(unreached.to_string(), "tried [::1]:25 (network unreachable), 10.0.0.1:25 (timed out)");
        assert_eq!(io::Error::from(unreached).kind(), io::ErrorKind::TimedOut);
    }
}
