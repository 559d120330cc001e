//! Which sockets a component may have: outgoing TCP to granted addresses, and nothing else.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use wasmtime_wasi::sockets::SocketAddrUse;

/// One granted peer: an address, and a port or all of them.
///
/// `127.0.0.1:587`, `[::1]:21`; `192.0.2.7:*` for a file server, whose data connections are on ports that it chooses as
/// it goes. A name stands for the addresses that it has when the grant is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    addresses: Vec<IpAddr>,
    /// `None` is every port.
    port: Option<u16>,
}

/// The text is no grant, or the name has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantError(String);

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no ADDRESS:PORT, nor ADDRESS:*, of something that has an address", self.0)
    }
}

impl std::error::Error for GrantError {}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let bad = || GrantError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port = if port == "*" { None } else { Some(port.parse().map_err(|_| bad())?) };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let resolved = (host, port.unwrap_or(0)).to_socket_addrs().map_err(|_| bad())?;
        let addresses: Vec<_> = resolved.map(|address| address.ip()).collect();
        if addresses.is_empty() { Err(bad()) } else { Ok(Self { addresses, port }) }
    }
}

/// What a component may connect to; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    grants: HashSet<Grant>,
}

impl Policy {
    /// A policy of these grants.
    pub fn new(grants: impl IntoIterator<Item = Grant>) -> Self {
        Self { grants: grants.into_iter().collect() }
    }

    /// The answer to WASI's question.
    pub fn allows(&self, address: SocketAddr, purpose: SocketAddrUse) -> bool {
        match purpose {
            // Every connection begins with one: to any free port of any of our addresses.
            SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
            SocketAddrUse::TcpConnect => self.grants.iter().any(|grant| grant.covers(address)),
            // Listening, accepting, and everything about UDP.
            _ => false,
        }
    }
}

impl Grant {
    fn covers(&self, address: SocketAddr) -> bool {
        self.port.is_none_or(|port| port == address.port()) && self.addresses.contains(&address.ip())
    }
}
