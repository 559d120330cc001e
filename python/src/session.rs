//! One session: a client, and one operation on it at a time, over blocking sockets or driven by asyncio.
//!
//! ```text
//!   New ── connect ──▶ Idle ◀─▶ Busy ── close ──▶ Closed ── connect …
//!                                └── the operation is dropped in the middle ──▶ Idle or Abandoned
//! ```
//!
//! An operation takes the client out of its slot and puts it back when it is done. If it is dropped, or interrupted, a client
//! that can put itself in order is left to its next use; any other goes with it: its connection closes, and the next use is a
//! clear error.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use starttls::smtp::LoginInfo;
use starttls::tls::TlsInfo;
use starttls::transport::{Blocking, Host, Hosted, Proxied, Transport, block};

use crate::config::Network;
use crate::error::{self, Failure, Hint, Interrupted};
use crate::hosted::{BoxedOperation, Operation};
use crate::value::{self, Value};

/// What there is to say in a protocol, over any transport.
pub(crate) trait Protocol: Send + Sync + Sized + 'static {
    /// A client over a transport.
    type Client<T: Transport + Clone + 'static>: Send + 'static;
    /// What to do with it.
    type Command: Send + 'static;
    /// What to do beside it.
    type Aside: Send + 'static;

    /// Opens a session and logs in.
    fn connect<T: Transport + Clone + 'static>(
        &self,
        transport: T,
    ) -> impl Future<Output = starttls::Result<Self::Client<T>>> + Send;

    /// Does one thing.
    fn perform<T: Transport + Clone + 'static>(
        client: &mut Self::Client<T>,
        command: Self::Command,
    ) -> impl Future<Output = Result<Value, Failure>> + Send;

    /// Does something that is about the server and needs sessions of its own. What goes wrong is part of the result.
    fn aside<T: Transport + Clone + 'static>(
        &self,
        transport: T,
        what: Self::Aside,
    ) -> impl Future<Output = Value> + Send;

    /// Does one thing, says good-bye and closes.
    fn perform_last<T: Transport + Clone + 'static>(
        mut client: Self::Client<T>,
        command: Self::Command,
    ) -> impl Future<Output = Result<Value, Failure>> + Send {
        async move {
            let done = Self::perform(&mut client, command).await;
            Self::quit(client).await;
            done
        }
    }

    /// An operation was dropped in the middle: whether the client can go on at its next use.
    fn leave<T: Transport + Clone + 'static>(_: &mut Self::Client<T>) -> bool {
        false
    }

    /// Says good-bye.
    fn quit<T: Transport + Clone + 'static>(client: Self::Client<T>) -> impl Future<Output = ()> + Send;

    /// What a command is about.
    fn hint(command: &Self::Command) -> Hint;

    /// What TLS agreed.
    fn tls<T: Transport + Clone + 'static>(client: &Self::Client<T>) -> Option<&TlsInfo>;

    /// How the session logged in.
    fn login<T: Transport + Clone + 'static>(_: &Self::Client<T>) -> Option<LoginInfo> {
        None
    }

    /// What the server offers: names and parameters.
    fn offers<T: Transport + Clone + 'static>(client: &Self::Client<T>) -> Vec<(String, String)>;
}

/// A command on its way from Python to a session: it is run once.
pub(crate) struct Once<C>(Mutex<Option<C>>);

impl<C> Once<C> {
    pub(crate) fn new(command: C) -> Self {
        Self(Mutex::new(Some(command)))
    }

    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<C> {
        let command = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        command.ok_or_else(|| error::state(py, "this command was used before"))
    }
}

/// What is asked of a session.
pub(crate) enum Job<C> {
    Connect,
    Close,
    Perform(C),
    /// And close.
    PerformLast(C),
}

impl<C> Job<C> {
    /// The same as the last thing in the session.
    pub(crate) fn and_close(self) -> Self {
        match self {
            Self::Perform(command) => Self::PerformLast(command),
            other => other,
        }
    }
}

enum State<C> {
    New,
    Idle(Box<C>),
    Busy,
    Closed,
    Abandoned,
}

struct Slot<C>(Mutex<State<C>>);

impl<C> Slot<C> {
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot's client, if the job needs one, and the right to use it; when it is dropped without a word, the client goes on
/// only if it can.
struct Lease<C> {
    slot: Option<Arc<Slot<C>>>,
    client: Option<Box<C>>,
    leave: fn(&mut C) -> bool,
}

impl<C> Lease<C> {
    fn end(mut self, state: State<C>) {
        if let Some(slot) = self.slot.take() {
            *slot.lock() = state;
        }
    }

    /// The client goes back.
    fn give_back(mut self) {
        let state = self.client.take().map_or(State::Closed, State::Idle);
        self.end(state);
    }
}

impl<C> Drop for Lease<C> {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        let left = self.client.take().and_then(|mut client| (self.leave)(&mut client).then_some(client));
        *slot.lock() = left.map_or(State::Abandoned, State::Idle);
    }
}

/// A session, and who moves its bytes.
pub(crate) struct Session<P: Protocol> {
    protocol: Arc<P>,
    network: Network,
    face: Face<P>,
    interrupted: Interrupted,
    /// The process that opened it: what a forked child inherits is not its own.
    process: u32,
}

enum Face<P: Protocol> {
    Blocking(Proxied<Blocking>, Arc<Slot<P::Client<Proxied<Blocking>>>>),
    Hosted(Proxied<Hosted>, Arc<Slot<P::Client<Proxied<Hosted>>>>),
}

const FORKED: &str = "this session was opened before a fork and belongs to the parent process: open a new one here";

impl<P: Protocol> Session<P> {
    /// A session over blocking sockets, or over a host that asyncio drives; the local address is then its business.
    pub(crate) fn new(protocol: P, network: Network, host: Option<Host>) -> Self {
        let interrupted = Interrupted::default();
        let slot = State::New;
        let face = match host {
            Some(host) => Face::Hosted(
                Proxied::new(host.transport(), network.proxy.clone()),
                Arc::new(Slot(Mutex::new(State::New))),
            ),
            None => {
                let hook = interrupted.clone();
                let transport = blocking(&network, move || hook.check());
                Face::Blocking(transport, Arc::new(Slot(Mutex::new(slot))))
            }
        };
        Self { protocol: Arc::new(protocol), network, face, interrupted, process: std::process::id() }
    }

    /// How it is opened.
    pub(crate) fn protocol(&self) -> Arc<P> {
        self.protocol.clone()
    }

    /// Does it now; the interpreter is free meanwhile.
    pub(crate) fn run(&self, py: Python<'_>, job: Job<P::Command>) -> PyResult<Py<PyAny>> {
        let Face::Blocking(transport, slot) = &self.face else {
            return Err(error::state(py, "this session is driven by asyncio: start its operations"));
        };
        if self.is_inherited(slot) {
            return if matches!(job, Job::Close) { Ok(py.None()) } else { Err(error::state(py, FORKED)) };
        }
        let hint = self.hint(&job);
        let lease = take(slot, &job, P::leave).map_err(|why| error::state(py, why))?;
        let work = work(self.protocol.clone(), transport.clone(), lease, job);
        match py.detach(|| block(work)) {
            Ok(value) => value.into_python(py),
            Err(failure) => Err(failure.into_exception(py, hint, &self.interrupted)),
        }
    }

    /// Does it now, beside the session, whether that is open or not.
    pub(crate) fn run_aside(&self, py: Python<'_>, what: P::Aside) -> PyResult<Py<PyAny>> {
        if matches!(self.face, Face::Hosted(..)) {
            return Err(error::state(py, "this session is driven by asyncio: start its operations"));
        }
        let interrupted = Interrupted::default();
        let hook = interrupted.clone();
        let transport = blocking(&self.network, move || hook.check_for_good());
        let protocol = self.protocol.clone();
        let value = py.detach(|| block(protocol.aside(transport, what)));
        match interrupted.take() {
            Some(signal) => Err(signal),
            None => value.into_python(py),
        }
    }

    /// The same as an operation for asyncio to drive.
    pub(crate) fn start_aside(&self, py: Python<'_>, what: P::Aside) -> PyResult<Operation> {
        let Face::Hosted(transport, _) = &self.face else {
            return Err(error::state(py, "this session is not driven by asyncio: run its operations"));
        };
        let (protocol, transport) = (self.protocol.clone(), transport.clone());
        let work: BoxedOperation = Box::pin(async move { Ok(protocol.aside(transport, what).await) });
        Ok(Operation::new(work, Hint::None))
    }

    /// An operation for asyncio to drive.
    pub(crate) fn start(&self, py: Python<'_>, job: Job<P::Command>) -> PyResult<Operation> {
        let Face::Hosted(transport, slot) = &self.face else {
            return Err(error::state(py, "this session is not driven by asyncio: run its operations"));
        };
        if self.is_inherited(slot) {
            let nothing: BoxedOperation = Box::pin(std::future::ready(Ok(Value::None)));
            let closed = Operation::new(nothing, Hint::None);
            return if matches!(job, Job::Close) { Ok(closed) } else { Err(error::state(py, FORKED)) };
        }
        let hint = self.hint(&job);
        let lease = take(slot, &job, P::leave).map_err(|why| error::state(py, why))?;
        let future: BoxedOperation = Box::pin(work(self.protocol.clone(), transport.clone(), lease, job));
        Ok(Operation::new(future, hint))
    }

    /// Whether this is a forked child, and the session its parent's. Then our copy of the sockets is closed; nothing is
    /// said on them.
    fn is_inherited<C>(&self, slot: &Slot<C>) -> bool {
        let inherited = self.process != std::process::id();
        if inherited {
            *slot.lock() = State::Abandoned;
        }
        inherited
    }

    fn hint(&self, job: &Job<P::Command>) -> Hint {
        match job {
            Job::Perform(command) | Job::PerformLast(command) => P::hint(command),
            _ => Hint::None,
        }
    }

    /// Whether there is a session that was not closed or abandoned.
    pub(crate) fn is_open(&self) -> bool {
        fn open<C>(slot: &Slot<C>) -> bool {
            matches!(*slot.lock(), State::Idle(_) | State::Busy)
        }
        match &self.face {
            Face::Blocking(_, slot) => open(slot),
            Face::Hosted(_, slot) => open(slot),
        }
    }

    /// What is under way and idle is given up at the session's next use.
    pub(crate) fn abandon(&self) {
        fn abandon<C>(slot: &Slot<C>, leave: fn(&mut C) -> bool) {
            if let State::Idle(client) = &mut *slot.lock() {
                leave(client);
            }
        }
        match &self.face {
            Face::Blocking(_, slot) => abandon(slot, P::leave),
            Face::Hosted(_, slot) => abandon(slot, P::leave),
        }
    }

    /// A look at the client, while the session is open and idle: over blocking sockets, or driven by asyncio.
    pub(crate) fn look<R>(
        &self,
        blocking: impl FnOnce(&P::Client<Proxied<Blocking>>) -> R,
        hosted: impl FnOnce(&P::Client<Proxied<Hosted>>) -> R,
    ) -> Option<R> {
        fn look<C, R>(slot: &Slot<C>, at: impl FnOnce(&C) -> R) -> Option<R> {
            match &*slot.lock() {
                State::Idle(client) => Some(at(client)),
                _ => None,
            }
        }
        match &self.face {
            Face::Blocking(_, slot) => look(slot, blocking),
            Face::Hosted(_, slot) => look(slot, hosted),
        }
    }

    /// What TLS agreed, while the session is open and idle.
    pub(crate) fn tls(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let agreed = self.look(|client| P::tls(client).cloned(), |client| P::tls(client).cloned());
        agreed.flatten().map(|agreed| value::tls(py, &agreed).map(Bound::unbind)).transpose()
    }

    /// How it logged in, while the session is open and idle.
    pub(crate) fn login(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let login = self.look(P::login, P::login);
        login.flatten().map(|login| value::login(py, &login).map(Bound::unbind)).transpose()
    }

    /// What the server offers, while the session is open and idle.
    pub(crate) fn offers(&self) -> Vec<(String, String)> {
        self.look(P::offers, P::offers).unwrap_or_default()
    }
}

/// Sockets that wait until something comes or `hook` fails.
fn blocking(network: &Network, hook: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Proxied<Blocking> {
    let sockets = Blocking::with_interrupt(Arc::new(hook)).local_address(network.local);
    Proxied::new(sockets, network.proxy.clone())
}

fn take<C, J>(slot: &Arc<Slot<C>>, job: &Job<J>, leave: fn(&mut C) -> bool) -> Result<Lease<C>, &'static str> {
    let mut state = slot.lock();
    let client = match (std::mem::replace(&mut *state, State::Busy), job) {
        (State::New | State::Closed | State::Abandoned, Job::Connect | Job::Close) => None,
        (State::Idle(client), Job::Close | Job::Perform(_) | Job::PerformLast(_)) => Some(client),
        (before, _) => {
            let why = match &before {
                State::New => "this session is not connected: call connect(), or use it in a with statement",
                State::Idle(_) => "this session is connected already",
                State::Busy => "another operation is under way on this session: it does one at a time",
                State::Closed => "this session is closed: connect() opens a new one",
                State::Abandoned => {
                    "an operation on this session was cancelled or interrupted, so its connection was closed: connect() opens a new one"
                }
            };
            *state = before;
            return Err(why);
        }
    };
    Ok(Lease { slot: Some(slot.clone()), client, leave })
}

async fn work<P: Protocol, T: Transport + Clone + 'static>(
    protocol: Arc<P>,
    transport: T,
    mut lease: Lease<P::Client<T>>,
    job: Job<P::Command>,
) -> Result<Value, Failure> {
    if let Job::Perform(command) = job {
        let Some(client) = lease.client.as_mut() else {
            return connect(protocol, transport, lease).await;
        };
        let outcome = P::perform(client, command).await;
        if outcome.as_ref().is_err_and(Failure::is_fatal) {
            drop(lease);
        } else {
            lease.give_back();
        }
        return outcome;
    }
    match (job, lease.client.take()) {
        (Job::PerformLast(command), Some(client)) => {
            let outcome = P::perform_last(*client, command).await;
            lease.end(State::Closed);
            outcome
        }
        (Job::Close, client) => {
            if let Some(client) = client {
                P::quit(*client).await;
            }
            lease.end(State::Closed);
            Ok(Value::None)
        }
        (Job::Connect | Job::Perform(_) | Job::PerformLast(_), _) => connect(protocol, transport, lease).await,
    }
}

async fn connect<P: Protocol, T: Transport + Clone + 'static>(
    protocol: Arc<P>,
    transport: T,
    lease: Lease<P::Client<T>>,
) -> Result<Value, Failure> {
    match protocol.connect(transport).await {
        Ok(client) => {
            lease.end(State::Idle(Box::new(client)));
            Ok(Value::None)
        }
        Err(error) => {
            lease.end(State::Closed);
            Err(error.into())
        }
    }
}
