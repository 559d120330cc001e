//! A bounded memory of servers, of what a protocol learnt about them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::transport::Endpoint;

/// How many servers are remembered; beyond it, whichever comes to hand is forgotten.
const SERVERS: usize = 4096;

/// What is known of each server: shared by the sessions that are given it.
#[derive(Debug)]
pub(crate) struct Memory<F>(Arc<Mutex<HashMap<Endpoint, F>>>);

impl<F: Clone + Default> Memory<F> {
    pub(crate) fn of(&self, server: &Endpoint) -> F {
        self.lock().get(server).cloned().unwrap_or_default()
    }

    pub(crate) fn learn(&self, server: &Endpoint, fact: impl FnOnce(&mut F)) {
        let mut servers = self.lock();
        if servers.len() >= SERVERS
            && !servers.contains_key(server)
            && let Some(any) = servers.keys().next().cloned()
        {
            servers.remove(&any);
        }
        fact(servers.entry(server.clone()).or_default());
    }

    pub(crate) fn forget(&self, server: &Endpoint) {
        self.lock().remove(server);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoint, F>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Default for Memory<F> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<F> Clone for Memory<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A protocol's public memory: shared, forgetful on demand, by default one for the process.
macro_rules! server_memory {
    ($(#[$doc:meta])* $name:ident of $facts:ty) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name($crate::memory::Memory<$facts>);

        impl $name {
            /// An empty memory of its own.
            pub fn new() -> Self {
                Self($crate::memory::Memory::default())
            }

            /// Forgets one server, for instance after its administrator changed it.
            pub fn forget(&self, server: &$crate::transport::Endpoint) {
                self.0.forget(server);
            }

            /// Forgets all servers.
            pub fn clear(&self) {
                self.0.clear();
            }

            pub(super) fn of(&self, server: &$crate::transport::Endpoint) -> $facts {
                self.0.of(server)
            }

            pub(super) fn learn(&self, server: &$crate::transport::Endpoint, fact: impl FnOnce(&mut $facts)) {
                self.0.learn(server, fact);
            }
        }

        impl Default for $name {
            /// The process' own.
            fn default() -> Self {
                static PROCESS: std::sync::LazyLock<$name> = std::sync::LazyLock::new($name::new);
                PROCESS.clone()
            }
        }
    };
}
pub(crate) use server_memory;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_is_bounded_and_forgets_on_demand() {
        let memory = Memory::<bool>::default();
        let server = |n: usize| Endpoint { host: format!("host{n}"), port: 587 };
        for n in 0..SERVERS + 10 {
            memory.learn(&server(n), |known| *known = true);
        }
        assert_eq!(memory.lock().len(), SERVERS);
        assert!(memory.of(&server(SERVERS + 9)));
        memory.forget(&server(SERVERS + 9));
        assert!(!memory.of(&server(SERVERS + 9)));
    }
}
