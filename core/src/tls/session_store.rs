//! Sessions that several connections to the same server resume, where the caller can see them.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::SystemTime;

use super::config::Built;
use super::session::Shared;
use super::{ServerName, Version};
use crate::transport::Endpoint;

/// Resumable sessions (RFC 8446 §2.2, RFC 5246 §7.3) that connections leave for the next ones to the same server: given to
/// [`TlsConfig::sessions`](super::TlsConfig::sessions), empty at first, gone with its last clone. All clones are one store.
///
/// A session is resumed only to the host and port that it was agreed with, for the same server name, and by the
/// configuration that it was agreed under, or a clone on which nothing was set since (but for an MTA-STS policy, which is asked
/// before each connection). So no check is avoided by resuming: what another configuration accepted counts for nothing. Where
/// the port is not known (0: a [`Machine`](crate::Machine), a stream without one) a connection shares nothing. A resumed connection is not judged again, and a server
/// may hold on to a session for days (at most seven, RFC 8446 §4.6.1): [`clear`](Self::clear) the store where a certificate
/// was revoked. Whoever sees the servers' side can tell that two connections are of one client.
///
/// Of one server at most 8 tickets are kept, of at most 64 KiB, each with the server's certificates. FTP's data connections resume nothing but their own control connection's
/// session; what is left of that goes to the store when it ends. The secrets are nowhere shown.
#[derive(Clone)]
pub struct SessionStore(Arc<Store>);

struct Store {
    most: usize,
    /// The one used longest ago first.
    shelves: Mutex<Vec<Shelf>>,
}

/// What there is of one server under one configuration.
struct Shelf {
    /// Which configuration. Held weakly, no other one can have its place in memory.
    of: Weak<OnceLock<Built>>,
    to: Endpoint,
    name: ServerName,
    shared: Shared,
}

impl Shelf {
    fn is_for(&self, of: &Arc<OnceLock<Built>>, to: &Endpoint, name: &ServerName) -> bool {
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(of))
            && self.to.port == to.port
            && self.to.host.eq_ignore_ascii_case(&to.host)
            && self.name == *name
    }
}

/// What a [`SessionStore`] has of one server under one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredServer {
    /// The host that was connected to.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name that its certificate was checked for.
    pub server_name: String,
    /// What can be resumed, the oldest first: tickets of TLS 1.3, each for once, and at most one session of TLS 1.2, for any
    /// number of connections. None, if all are used up.
    pub sessions: Vec<StoredSession>,
    /// How many connections resumed one.
    pub resumed: u64,
}

/// A session that can be resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredSession {
    /// Its TLS version.
    pub version: Version,
    /// The cipher suite's IANA name, once the handshake that it came from is over.
    pub cipher_suite: Option<String>,
    /// When it came. How long it lasts is the server's affair.
    pub received: SystemTime,
}

impl SessionStore {
    /// A store for 100 servers.
    pub fn new() -> Self {
        Self::with_capacity(100)
    }

    /// A store for so many servers, at least one; beyond them, what was used longest ago is forgotten.
    pub fn with_capacity(servers: usize) -> Self {
        Self(Arc::new(Store { most: servers.max(1), shelves: Mutex::default() }))
    }

    /// What there is, the server used longest ago first, but for what was agreed under configurations that are gone.
    pub fn servers(&self) -> Vec<StoredServer> {
        let told = |shelf: &Shelf| {
            let (sessions, resumed) = shelf.shared.ledger.shown();
            let server_name = shelf.name.to_string();
            StoredServer { host: shelf.to.host.clone(), port: shelf.to.port, server_name, sessions, resumed }
        };
        self.with(|shelves, _| shelves.iter().map(told).collect())
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.with(|shelves, _| sessions(shelves))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the sessions with servers of this name, also those that connections open now would still leave. How many there
    /// were.
    pub fn remove(&self, server_name: &str) -> usize {
        let Ok(name) = ServerName::parse(server_name) else { return 0 };
        self.with(|shelves, gone| {
            let before = sessions(shelves);
            gone.extend(shelves.extract_if(.., |shelf| shelf.name == name));
            before - sessions(shelves)
        })
    }

    /// Forgets everything, also what connections open now would still leave.
    pub fn clear(&self) {
        self.with(|shelves, gone| gone.append(shelves));
    }

    /// What connections to this server under this configuration have in common.
    pub(super) fn shared(
        &self,
        of: &Arc<OnceLock<Built>>,
        to: &Endpoint,
        name: &ServerName,
        make: impl FnOnce() -> Shared,
    ) -> Shared {
        self.with(|shelves, gone| {
            let shelf = match shelves.iter().position(|shelf| shelf.is_for(of, to, name)) {
                Some(at) => shelves.remove(at),
                None => Shelf { of: Arc::downgrade(of), to: to.clone(), name: name.clone(), shared: make() },
            };
            let shared = shelf.shared.clone();
            if shelves.len() == self.0.most {
                gone.push(shelves.remove(0));
            }
            shelves.push(shelf);
            shared
        })
    }

    /// Works on the shelves, without those of configurations that are gone. What is taken out is dropped when the lock is free
    /// again: the caller's check may go with it, and do anything, such as ask this store.
    fn with<R>(&self, work: impl FnOnce(&mut Vec<Shelf>, &mut Vec<Shelf>) -> R) -> R {
        let mut gone = Vec::new();
        let mut shelves = self.0.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        gone.extend(shelves.extract_if(.., |shelf| shelf.of.strong_count() == 0));
        let result = work(&mut shelves, &mut gone);
        drop(shelves);
        result
    }
}

fn sessions(shelves: &[Shelf]) -> usize {
    shelves.iter().map(|shelf| shelf.shared.ledger.len()).sum()
}

impl Default for SessionStore {
    fn default() -> Self {
        Self::new()
    }
}

/// How many, and nothing of what they are.
impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.with(|shelves, _| shelves.len());
        f.debug_struct("SessionStore").field("servers", &servers).field("sessions", &self.len()).finish()
    }
}
