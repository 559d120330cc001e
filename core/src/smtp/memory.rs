//! What was learnt of servers in this process: what broke, and what was offered once.
//!
//! What broke is not tried again. What was offered once, and protects, must stay: a server that had STARTTLS or a strong
//! login mechanism an hour ago and has none now is more likely somebody in between.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use crate::transport::Endpoint;

/// How many servers are remembered; beyond it, whichever comes to hand is forgotten.
const SERVERS: usize = 4096;

/// A memory of servers, shared by the sessions that are given it. By default there is one for the whole process.
#[derive(Clone, Debug)]
pub struct ServerMemory(Arc<Mutex<HashMap<Endpoint, Facts>>>);

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

impl ServerMemory {
    /// An empty memory of its own.
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Forgets one server, for instance after its administrator changed it.
    pub fn forget(&self, server: &Endpoint) {
        self.lock().remove(server);
    }

    /// Forgets all servers.
    pub fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn of(&self, server: &Endpoint) -> Facts {
        self.lock().get(server).cloned().unwrap_or_default()
    }

    pub(super) fn learn(&self, server: &Endpoint, fact: impl FnOnce(&mut Facts)) {
        let mut servers = self.lock();
        if servers.len() >= SERVERS
            && !servers.contains_key(server)
            && let Some(any) = servers.keys().next().cloned()
        {
            servers.remove(&any);
        }
        fact(servers.entry(server.clone()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoint, Facts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ServerMemory {
    /// The process' own.
    fn default() -> Self {
        static PROCESS: LazyLock<ServerMemory> = LazyLock::new(ServerMemory::new);
        PROCESS.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_is_bounded_and_forgets_on_demand() {
        let memory = ServerMemory::new();
        let server = |n: usize| Endpoint { host: format!("host{n}"), port: 587 };
        for n in 0..SERVERS + 10 {
            memory.learn(&server(n), |facts| facts.offered_tls = true);
        }
        assert_eq!(memory.lock().len(), SERVERS);
        assert!(memory.of(&server(SERVERS + 9)).offered_tls);
        memory.forget(&server(SERVERS + 9));
        assert_eq!(memory.of(&server(SERVERS + 9)), Facts::default());
    }
}
