//! What asyncio drives: requests out, events in, and operations that are polled in between.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTimeoutError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use starttls::transport::{self, ChannelId, Request};

use crate::error::{Failure, Hint, Interrupted};
use crate::value::Value;

/// The connections of one session, whose I/O the event loop does.
#[pyclass(frozen, module = "starttls._native")]
#[derive(Default)]
pub(crate) struct Host(pub(crate) transport::Host);

#[pymethods]
impl Host {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Everything that is to be done now, in order: `(what, channel, …)`.
    fn take_requests<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let requests = PyList::empty(py);
        while let Some(request) = self.0.next_request() {
            match request {
                Request::Connect { channel, to, within, .. } => {
                    requests.append(("connect", channel.0, to.host, to.port, within.as_secs_f64()))
                }
                Request::Write { channel, bytes } => requests.append(("write", channel.0, PyBytes::new(py, &bytes))),
                Request::Listen { channel, at, within } => {
                    let ports: Vec<u16> = at.candidates().map(|candidate| candidate.port()).collect();
                    let zone = match at.address {
                        SocketAddr::V6(address) => address.scope_id(),
                        SocketAddr::V4(_) => 0,
                    };
                    let address = at.address.ip().to_string();
                    requests.append(("listen", channel.0, address, zone, ports, within.as_secs_f64()))
                }
                Request::Deadline { channel, within } => requests.append(("deadline", channel.0, within.as_secs_f64())),
                Request::Sleep { channel, time } => requests.append(("sleep", channel.0, time.as_secs_f64())),
                Request::Shutdown { channel } => requests.append(("shutdown", channel.0)),
                Request::Close { channel } => requests.append(("close", channel.0)),
                _ => Err(PyRuntimeError::new_err("a request that this host does not know")),
            }?;
        }
        Ok(requests)
    }

    /// The connection is open: the peer's address and ours, as sockets tell them, where they are known.
    #[pyo3(signature = (channel, peer=None, local=None))]
    fn connected(&self, channel: u64, peer: Option<SocketName>, local: Option<SocketName>) {
        if let Some(local) = local.and_then(SocketName::address) {
            self.0.bound(ChannelId(channel), local);
        }
        self.0.connected(ChannelId(channel), peer.and_then(SocketName::address));
    }

    /// The listener is open, at this address.
    fn listening(&self, channel: u64, address: SocketName) {
        if let Some(address) = address.address() {
            self.0.listening(ChannelId(channel), address);
        }
    }

    /// Somebody connected to the listener: the new connection's number, or none if it is to be closed at once.
    #[pyo3(signature = (channel, peer=None))]
    fn accepted(&self, channel: u64, peer: Option<SocketName>) -> Option<u64> {
        self.0.accepted(ChannelId(channel), peer.and_then(SocketName::address)).map(|channel| channel.0)
    }

    /// The pause is over.
    fn slept(&self, channel: u64) {
        self.0.slept(ChannelId(channel));
    }

    /// Bytes arrived. False: stop reading until `wants_more`.
    fn received(&self, channel: u64, data: &[u8]) -> bool {
        self.0.received(ChannelId(channel), data)
    }

    /// Whether to read on.
    fn wants_more(&self, channel: u64) -> bool {
        self.0.wants_more(ChannelId(channel))
    }

    /// The peer ended its direction.
    fn received_eof(&self, channel: u64) {
        self.0.received_eof(ChannelId(channel));
    }

    /// So many more bytes are out of the loop's hands. True: somebody may wait for that.
    fn written(&self, channel: u64, count: usize) -> bool {
        self.0.written(ChannelId(channel), count)
    }

    /// The positions of a host's addresses in the order to try; those that `local` does not reach are left out.
    #[staticmethod]
    #[pyo3(signature = (addresses, local=None))]
    fn in_order(addresses: Vec<String>, local: Option<&str>) -> Vec<usize> {
        let found: Vec<_> =
            addresses.iter().enumerate().filter_map(|(i, text)| Some((SocketAddr::new(ip(text)?, 0), i))).collect();
        let order = transport::in_order(found.iter().map(|(found, _)| *found).collect(), local.and_then(ip))
            .unwrap_or_default();
        order.iter().filter_map(|one| Some(found.iter().find(|(found, _)| found == one)?.1)).collect()
    }

    /// The connection could not be opened: what became of each address, in the order in which they failed.
    fn unreached(&self, channel: u64, attempts: Vec<(String, u16, Bound<'_, PyAny>)>) {
        let mut unreached = transport::Unreached::new();
        for (text, port, error) in attempts {
            if let Some(ip) = ip(&text) {
                unreached.push(SocketAddr::new(ip, port), kind(&error));
            }
        }
        self.0.unreached(ChannelId(channel), unreached);
    }

    /// The connection failed, could not be opened, or its deadline passed.
    fn failed(&self, channel: u64, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let text = error.str()?;
        self.0.failed(ChannelId(channel), kind(error), &text.to_string_lossy());
        Ok(())
    }
}

/// A socket's name as Python has it: `(address, port)`, for IPv6 with flow and zone behind.
#[derive(FromPyObject)]
enum SocketName {
    V6(String, u16, u32, u32),
    V4(String, u16),
}

impl SocketName {
    fn address(self) -> Option<SocketAddr> {
        let (text, port, flow, zone) = match self {
            Self::V6(text, port, flow, zone) => (text, port, flow, zone),
            Self::V4(text, port) => (text, port, 0, 0),
        };
        Some(match ip(&text)? {
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, flow, zone).into(),
            ip => SocketAddr::new(ip, port),
        })
    }
}

/// An address as the system's resolver writes it, without a zone.
fn ip(text: &str) -> Option<IpAddr> {
    text.split('%').next()?.parse().ok()
}

fn kind(error: &Bound<'_, PyAny>) -> io::ErrorKind {
    if error.is_instance_of::<PyTimeoutError>() {
        return io::ErrorKind::TimedOut;
    }
    // By name: its module need not be there.
    if error.get_type().name().is_ok_and(|name| name == "gaierror") {
        return io::ErrorKind::NotFound;
    }
    if !error.is_instance_of::<PyOSError>() {
        return io::ErrorKind::Other;
    }
    match error.getattr("errno").and_then(|errno| errno.extract::<i32>()) {
        Ok(errno) => io::Error::from_raw_os_error(errno).kind(),
        Err(_) => io::Error::from(PyErr::from_value(error.clone())).kind(),
    }
}

/// An operation's future.
pub(crate) type BoxedOperation = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send>>;

/// An operation under way.
#[pyclass(frozen, module = "starttls._native")]
pub(crate) struct Operation {
    stage: Mutex<Stage>,
    hint: Hint,
}

enum Stage {
    Pending(BoxedOperation),
    Done(Result<Value, Failure>),
    Over,
}

impl Operation {
    pub(crate) fn new(future: BoxedOperation, hint: Hint) -> Self {
        Self { stage: Mutex::new(Stage::Pending(future)), hint }
    }

    fn stage(&self) -> PyResult<std::sync::MutexGuard<'_, Stage>> {
        self.stage.try_lock().map_err(|_| PyRuntimeError::new_err("this operation is being polled"))
    }
}

#[pymethods]
impl Operation {
    /// Goes on as far as it can. True when it is done.
    fn poll(&self, py: Python<'_>) -> PyResult<bool> {
        let mut stage = self.stage()?;
        let Stage::Pending(future) = &mut *stage else { return Ok(true) };
        let polled = py.detach(|| future.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        match polled {
            Poll::Pending => Ok(false),
            Poll::Ready(outcome) => {
                *stage = Stage::Done(outcome);
                Ok(true)
            }
        }
    }

    /// What it gave; once.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match std::mem::replace(&mut *self.stage()?, Stage::Over) {
            Stage::Done(Ok(value)) => value.into_python(py),
            Stage::Done(Err(failure)) => Err(failure.into_exception(py, self.hint, &Interrupted::default())),
            _ => Err(PyRuntimeError::new_err("this operation has no result")),
        }
    }

    /// Gives it up, and its session's connections with it.
    fn cancel(&self) -> PyResult<()> {
        *self.stage()? = Stage::Over;
        Ok(())
    }
}
