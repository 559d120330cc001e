//! What a control connection and its data connections can resume.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use starttls::tls::Resumable;

/// More tickets than a server gives at once; the oldest go first.
pub(super) const MOST_TICKETS: usize = 32;

/// The resumable sessions of one control connection and its data connections, as `ssl.SSLSession`.
#[derive(Default)]
pub(super) struct Store(Mutex<State>);

#[derive(Default)]
struct State {
    tls12: Option<Py<PyAny>>,
    /// With the ends of their lifetimes.
    tickets: VecDeque<(Py<PyAny>, Instant)>,
    ever_had_ticket: bool,
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.tickets.retain(|(_, ends)| *ends > now);
        state
    }

    /// For the next handshake: the newest ticket, once; else the session of TLS 1.2.
    pub(super) fn take(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let mut state = self.lock();
        let newest = state.tickets.pop_back().map(|(ticket, _)| ticket);
        newest.or_else(|| state.tls12.as_ref().map(|session| session.clone_ref(py)))
    }

    pub(super) fn set_session(&self, session: Py<PyAny>) {
        self.lock().tls12 = Some(session);
    }

    pub(super) fn add_ticket(&self, ticket: Py<PyAny>, lifetime: Duration) {
        let mut state = self.lock();
        state.ever_had_ticket = true;
        if let Some(ends) = Instant::now().checked_add(lifetime) {
            state.tickets.push_back((ticket, ends));
        }
        if state.tickets.len() > MOST_TICKETS {
            state.tickets.pop_front();
        }
    }

    pub(super) fn resumable(&self) -> Resumable {
        let state = self.lock();
        match (&state.tls12, state.ever_had_ticket) {
            (Some(_), _) => Resumable::Session,
            (None, true) => Resumable::Tickets(state.tickets.len()),
            (None, false) => Resumable::Never,
        }
    }
}
