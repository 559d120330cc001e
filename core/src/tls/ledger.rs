//! The resumable sessions of one control connection, and how many are left.
//!
//! FTP servers may refuse data connections that do not resume the control connection's session. A TLS 1.3 ticket is
//! used once, so a client that does not count them fails at the first transfer after the last one. The ledger counts.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

use super::Resumable;

/// More tickets than a server gives at once; the oldest go first.
const MOST_TICKETS: usize = 32;

/// The session store of one control connection and its data connections, all to one server name.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    tickets: VecDeque<Tls13ClientSessionValue>,
    ever_had_ticket: bool,
}

impl Ledger {
    pub(super) fn resumable(&self) -> Resumable {
        let state = self.lock();
        if state.tls12.is_some() {
            Resumable::Session
        } else if state.ever_had_ticket {
            Resumable::Tickets(state.tickets.len())
        } else {
            Resumable::Never
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Ledger {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.lock().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.lock().group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.lock().tls12 = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.lock().tls12.clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.lock().tls12 = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut state = self.lock();
        if state.tickets.len() == MOST_TICKETS {
            state.tickets.pop_front();
        }
        state.tickets.push_back(value);
        state.ever_had_ticket = true;
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        // The newest: a server may let the older ones of a connection expire first.
        self.lock().tickets.pop_back()
    }
}
