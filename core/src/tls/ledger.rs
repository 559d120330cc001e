//! Resumable sessions with one server, and how many are left.
//!
//! FTP servers may refuse data connections that do not resume the control connection's session. A TLS 1.3 ticket is
//! used once, so a client that does not count them fails at the first transfer after the last one. The ledger counts.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, NamedGroup};

use super::provider::suite_name;
use super::{Resumable, StoredSession, Version};

/// More tickets than a server gives at once; the oldest go first.
const MOST_TICKETS: usize = 32;

/// What a store keeps of one server.
const MOST_STORED: usize = 8;

/// The sessions of one control connection and its data connections, or those of a store with one server.
#[derive(Default)]
pub(super) struct Ledger {
    state: Mutex<State>,
    whose: Whose,
}

#[derive(Default)]
enum Whose {
    /// A control connection's.
    #[default]
    Own,
    /// The same, where a store stands behind it: the first handshake may take a session from there, and there goes what is
    /// left in the end.
    Lent(Arc<Ledger>),
    /// A store's.
    Stored,
}

#[derive(Default)]
struct State {
    group: Option<NamedGroup>,
    tls12: Option<Kept<Tls12ClientSessionValue>>,
    tickets: VecDeque<Kept<Tls13ClientSessionValue>>,
    ever_had_ticket: bool,
    /// Whether a handshake looked for a session here.
    began: bool,
    /// Whether the handshake under way was given one of the store's.
    borrowed: bool,
    /// How many connections resumed one.
    resumed: u64,
}

struct Kept<T> {
    value: T,
    suite: Option<CipherSuite>,
    received: SystemTime,
}

impl<T> Kept<T> {
    fn new(value: T, suite: Option<CipherSuite>) -> Self {
        Self { value, suite, received: SystemTime::now() }
    }

    fn shown(&self, version: Version) -> StoredSession {
        StoredSession { version, cipher_suite: self.suite.map(suite_name), received: self.received }
    }
}

impl State {
    fn add_ticket(&mut self, ticket: Kept<Tls13ClientSessionValue>, most: usize) {
        if self.tickets.len() == most {
            self.tickets.pop_front();
        }
        self.tickets.push_back(ticket);
        self.ever_had_ticket = true;
    }

    /// The newest: a server may let the older ones of a connection expire first.
    fn take_ticket(&mut self) -> Option<Tls13ClientSessionValue> {
        self.tickets.pop_back().map(|ticket| ticket.value)
    }

    fn session(&self) -> Option<Tls12ClientSessionValue> {
        self.tls12.as_ref().map(|session| session.value.clone())
    }
}

impl Ledger {
    /// One of a store.
    pub(super) fn stored() -> Self {
        Self { state: Mutex::default(), whose: Whose::Stored }
    }

    /// One with a store's behind it.
    pub(super) fn lent(from: Arc<Self>) -> Self {
        Self { state: Mutex::default(), whose: Whose::Lent(from) }
    }

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

    /// What is there, the oldest first, and how many connections resumed one.
    pub(super) fn shown(&self) -> (Vec<StoredSession>, u64) {
        let state = self.lock();
        let older = state.tls12.iter().map(|session| session.shown(Version::Tls12));
        let tickets = state.tickets.iter().map(|ticket| ticket.shown(Version::Tls13));
        (older.chain(tickets).collect(), state.resumed)
    }

    pub(super) fn len(&self) -> usize {
        let state = self.lock();
        state.tickets.len() + usize::from(state.tls12.is_some())
    }

    /// A handshake is over, and agreed on this.
    pub(super) fn agreed(&self, suite: Option<CipherSuite>, resumed: bool) {
        let mut state = self.lock();
        // rustls does not tell it of a session of TLS 1.2, which is kept just before.
        if let Some(session) = state.tls12.as_mut().filter(|session| session.suite.is_none()) {
            session.suite = suite;
        }
        state.resumed += u64::from(resumed);
        if std::mem::take(&mut state.borrowed)
            && let Whose::Lent(from) = &self.whose
        {
            // A server that resumes gives tickets, though it may give none with that: none is left then.
            state.ever_had_ticket |= resumed;
            from.lock().resumed += u64::from(resumed);
        }
    }

    /// A handshake failed, or the connection later did: a session that it may have been about is not tried again
    /// (RFC 5246 §7.2.2, RFC 8446 §6.2).
    pub(super) fn failed(&self) {
        let forget = |state: &mut State| {
            state.tls12 = None;
            state.tickets.clear();
        };
        let mut state = self.lock();
        match &self.whose {
            // Why the data connection of a transfer failed, is for the transfer to find out.
            Whose::Own => {}
            Whose::Lent(from) if std::mem::take(&mut state.borrowed) => forget(&mut from.lock()),
            Whose::Lent(_) => {}
            Whose::Stored => forget(&mut state),
        }
    }

    /// The store's, for the first handshake alone: those after it resume what that one brought.
    fn lender(&self, state: &State) -> Option<&Arc<Self>> {
        match &self.whose {
            Whose::Lent(from) if !state.began => Some(from),
            _ => None,
        }
    }

    fn most(&self) -> usize {
        if matches!(self.whose, Whose::Stored) { MOST_STORED } else { MOST_TICKETS }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many, and nothing of what they are.
impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("sessions", &self.len()).finish_non_exhaustive()
    }
}

/// What is left over goes to the store.
impl Drop for Ledger {
    fn drop(&mut self) {
        let Whose::Lent(to) = &self.whose else { return };
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut stored = to.lock();
        stored.group = state.group.or(stored.group);
        if let Some(session) = state.tls12.take() {
            stored.tls12 = Some(session);
        }
        for ticket in state.tickets.drain(..) {
            stored.add_ticket(ticket, to.most());
        }
    }
}

impl ClientSessionStore for Ledger {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.lock().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        let own = self.lock().group;
        match &self.whose {
            Whose::Lent(from) => own.or_else(|| from.lock().group),
            _ => own,
        }
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.lock().tls12 = Some(Kept::new(value, None));
    }

    // rustls asks for a ticket first, then for a session.
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        let mut state = self.lock();
        let lent = self.lender(&state).and_then(|from| from.lock().session());
        state.began = true;
        state.borrowed |= lent.is_some();
        lent.or_else(|| state.session())
    }

    // The server speaks TLS 1.3 now.
    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.lock().tls12 = None;
        if let Whose::Lent(from) = &self.whose {
            from.lock().tls12 = None;
        }
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        let suite = value.suite().common.suite;
        let most = self.most();
        self.lock().add_ticket(Kept::new(value, Some(suite)), most);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut state = self.lock();
        if let Some(lent) = self.lender(&state).and_then(|from| from.lock().take_ticket()) {
            (state.began, state.borrowed) = (true, true);
            return Some(lent);
        }
        state.take_ticket()
    }
}
