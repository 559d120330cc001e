//! Sessions kept for reuse: each is handed out for one message at a time.
//!
//! ```text
//!   send ─ a place (waits while all are taken) ─ an idle session, or a new one ─ message ─▶ idle again, or closed
//!                                                        │
//!                                        it had ended before the message: a new one, once
//! ```

mod lease;
mod place;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use self::lease::{Lease, quit};
use self::place::Ticket;
use super::body::{Body, MemoryBody};
use super::client::Client;
use super::envelope::Envelope;
use super::outcome::{DeliveryReport, Outcome};
use super::route::Routes;
use super::sasl::Credentials;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::transport::Transport;

/// What a pool's sessions are like, and how many there may be.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// The servers, tried in order for each new session.
    pub routes: Routes,
    /// How to open a session.
    pub options: Options,
    /// How it speaks.
    pub settings: Settings,
    /// Who logs in, if anybody.
    pub credentials: Option<Credentials>,
    /// The most sessions at a time; who wants one more waits. At least 1.
    pub connections: usize,
    /// How long a session may have been idle and still be used: servers close them, many after a minute.
    pub idle: Duration,
    /// The most messages in one session, or the server's own limit (MAILMAX, RFC 9422) if that is less. At least 1.
    pub messages: usize,
}

impl PoolSettings {
    /// Four sessions at most, idle for 50 s at most, 100 messages each; no login.
    pub fn new(routes: impl Into<Routes>) -> Self {
        Self {
            routes: routes.into(),
            options: Options::default(),
            settings: Settings::default(),
            credentials: None,
            connections: 4,
            idle: Duration::from_secs(50),
            messages: 100,
        }
    }
}

/// Sessions that are opened when they are wanted, and kept for the next message. Clones share them.
///
/// On threads, run it with [`block`](crate::transport::block), which parks a thread that waits for a session. Nothing runs
/// in the background: a session that was idle for too long is closed by whoever comes next.
pub struct Pool<T: Transport> {
    shared: Arc<Shared<T>>,
}

struct Shared<T: Transport> {
    transport: T,
    settings: PoolSettings,
    state: Mutex<State<T>>,
}

struct State<T: Transport> {
    /// The longest idle first.
    idle: VecDeque<Idle<T>>,
    taken: usize,
    /// Who waits for a place, in order.
    queue: VecDeque<(u64, Waker)>,
    last_ticket: u64,
    closed: bool,
}

struct Idle<T: Transport> {
    client: Client<T>,
    sent: usize,
    since: Instant,
}

impl<T: Transport> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T: Transport + Clone> Pool<T> {
    /// A pool without sessions; nothing is connected yet.
    pub fn new(transport: T, settings: PoolSettings) -> Self {
        let state = State { idle: VecDeque::new(), taken: 0, queue: VecDeque::new(), last_ticket: 0, closed: false };
        Self { shared: Arc::new(Shared { transport, settings, state: Mutex::new(state) }) }
    }

    /// Sends a message held in memory, as [`Client::send`] does, in a session of the pool.
    ///
    /// A kept session that had ended, or says 421 instead of taking the message, is replaced once, by a new one, without
    /// a word: nothing was accepted then. A message whose end may have left is never sent again.
    ///
    /// # Errors
    /// As [`Client::connect_any`], [`Client::login`] and [`Client::send`]; [`InvalidState`](crate::ErrorKind::InvalidState) for
    /// a closed pool.
    pub async fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<DeliveryReport> {
        self.send_body(envelope, MemoryBody::new(message)).await
    }

    /// Sends a message from wherever its bytes are, as [`Client::send_body`] does, and [`Pool::send`]. For bytes that
    /// cannot come twice a kept session is asked first whether it goes on (RSET); and where the whole message may leave
    /// in one flight (CHUNKING, PIPELINING), one that was idle for a second.
    ///
    /// # Errors
    /// As [`Pool::send`]; [`Local`](crate::ErrorKind::Local) if the bytes cannot be had.
    pub async fn send_body<B: Body>(&self, envelope: &Envelope, mut body: B) -> Result<DeliveryReport> {
        let mut lease = self.lease().await?;
        let twice = lease.kept && body.rewind().map_err(Error::local)?;
        if !twice || lease.may_swallow() {
            lease.ask().await?;
        }
        let twice = twice && lease.kept;
        let mut outcome = lease.client().send_body(envelope, Lent(&mut body)).await;
        if twice && is_stale(&outcome) {
            lease.renew().await?;
            body.rewind().map_err(Error::local)?;
            outcome = lease.client().send_body(envelope, Lent(&mut body)).await;
        }
        lease.give_back().await;
        outcome
    }

    /// Begins a message whose body comes in pieces, which cannot come twice: see [`Pool::send_body`].
    ///
    /// # Errors
    /// As [`Pool::send`].
    pub async fn begin(&self, envelope: &Envelope) -> Result<PooledMessage<T>> {
        let mut lease = self.lease().await?;
        lease.ask().await?;
        lease.client().begin(envelope).await?;
        Ok(PooledMessage { lease })
    }

    /// Says good-bye in all idle sessions. Those that carry a message are closed after it; a message that comes later is
    /// an error, and so are those that wait for a session.
    pub async fn close(&self) {
        let idle = {
            let mut state = self.shared.lock();
            state.closed = true;
            state.queue.drain(..).for_each(|(_, waker)| waker.wake());
            std::mem::take(&mut state.idle)
        };
        for Idle { client, .. } in idle {
            quit(client).await;
        }
    }

    /// How many sessions are open: those with a message, and those without.
    pub fn sessions(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.taken, state.idle.len())
    }

    /// Whether a message would not have to wait for another to end. Who is alone in a process, as a WebAssembly instance
    /// is, would wait for itself.
    pub fn has_room(&self) -> bool {
        let state = self.shared.lock();
        state.closed || (state.queue.is_empty() && state.taken < self.shared.settings.connections.max(1))
    }

    /// A place, and a session for it.
    async fn lease(&self) -> Result<Lease<T>> {
        let mut ticket = Ticket::new(&self.shared);
        let place = poll_fn(|cx| ticket.poll(cx.waker())).await?;
        drop(ticket);
        let mut lease = Lease::of(place);
        lease.take_idle().await;
        if lease.client.is_none() {
            lease.renew().await?;
        }
        Ok(lease)
    }
}

/// A body that is needed afterwards.
struct Lent<'b, B>(&'b mut B);

impl<B: Body> Body for Lent<'_, B> {
    fn size(&self) -> Option<u64> {
        self.0.size()
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.0.next()
    }

    fn rewind(&mut self) -> io::Result<bool> {
        self.0.rewind()
    }

    fn whole(&self) -> Option<&[u8]> {
        self.0.whole()
    }
}

/// Whether the session had ended before the message: closed, or left with a 421. Errors mean that nothing was accepted,
/// and so does a refusal.
fn is_stale(outcome: &Result<DeliveryReport>) -> bool {
    match outcome {
        Ok(report) => {
            report.outcome() == Outcome::Refused && report.reply().is_some_and(|reply| reply.code().is_closing())
        }
        Err(error) => error.is_end_of_session(),
    }
}

impl<T: Transport> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Transport> State<T> {
    fn wake_next(&self) {
        if let Some((_, waker)) = self.queue.front() {
            waker.wake_by_ref();
        }
    }
}

/// A message under way in a session of a [`Pool`]. Dropped unfinished, its connection closes, so that nothing half-written
/// is delivered.
#[must_use = "a message ends with finish()"]
pub struct PooledMessage<T: Transport> {
    lease: Lease<T>,
}

impl<T: Transport + Clone> PooledMessage<T> {
    /// The session, for [`Client::write`]. If a write fails, no other session is tried: pieces of the body are gone.
    pub fn session(&mut self) -> &mut Client<T> {
        self.lease.client()
    }

    /// As [`Client::finish`]; then the session is the pool's again.
    ///
    /// # Errors
    /// As [`Client::finish`].
    pub async fn finish(mut self) -> Result<DeliveryReport> {
        let outcome = self.lease.client().finish().await;
        self.lease.give_back().await;
        outcome
    }
}

impl<T: Transport> std::fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("smtp::Pool")
            .field("taken", &state.taken)
            .field("idle", &state.idle.len())
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}

impl<T: Transport> std::fmt::Debug for PooledMessage<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("smtp::PooledMessage").finish_non_exhaustive()
    }
}
