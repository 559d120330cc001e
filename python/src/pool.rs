//! A pool of sessions, on threads or driven by asyncio. All that it decides is the core's.

use pyo3::prelude::*;
use starttls::smtp::dkim::Signer;
use starttls::smtp::{Pool, PoolSettings};
use starttls::transport::{Blocking, Hosted, Proxied, Transport, block_while};

use crate::error::{self, Failure, Hint, Interrupted};
use crate::hosted::{BoxedOperation, Host, Operation};
use crate::message::Message;
use crate::smtp::{Command, SmtpCommand, SmtpSetup};
use crate::value::Value;

/// Submission sessions, kept for the next message.
#[pyclass(frozen, module = "starttls._native")]
pub(crate) struct SmtpPool {
    face: Face,
    signer: Option<Signer>,
    interrupted: Interrupted,
    shown: String,
    /// The process that opened it: what a forked child inherits is not its own.
    process: u32,
}

enum Face {
    Blocking(Pool<Proxied<Blocking>>),
    Hosted(Pool<Proxied<Hosted>>),
}

const OTHER_FACE: &str = "this pool is for the other face";
const FORKED: &str = "this pool was made before a fork and belongs to the parent process: make a new one here";

#[pymethods]
impl SmtpPool {
    #[new]
    #[pyo3(signature = (setup, *, connections=4, idle=50.0, messages=100, host=None))]
    fn new(
        py: Python<'_>,
        setup: &SmtpSetup,
        connections: usize,
        idle: f64,
        messages: usize,
        host: Option<&Host>,
    ) -> PyResult<Self> {
        let SmtpSetup { smtp, network, signer, url } = setup;
        let idle = std::time::Duration::try_from_secs_f64(idle)
            .map_err(|_| error::argument(py, "idle is a number of seconds"))?;
        if connections == 0 || messages == 0 {
            return Err(error::argument(py, "connections and messages are at least 1"));
        }
        let settings = PoolSettings { connections, idle, messages, ..smtp.clone().pool() };
        let interrupted = Interrupted::default();
        let face = match host {
            Some(host) => Face::Hosted(Pool::new(Proxied::new(host.0.transport(), network.proxy.clone()), settings)),
            None => {
                let hook = interrupted.clone();
                let transport = Blocking::with_interrupt(std::sync::Arc::new(move || hook.check()));
                let transport = Proxied::new(transport.local_address(network.local), network.proxy.clone());
                Face::Blocking(Pool::new(transport, settings))
            }
        };
        let (signer, shown) = (signer.clone(), url.clone());
        Ok(Self { face, signer, interrupted, shown, process: std::process::id() })
    }

    /// Where it connects to, without a password.
    #[getter]
    fn url(&self) -> &str {
        &self.shown
    }

    /// How many sessions are open: with a message, and without.
    #[getter]
    fn sessions(&self) -> (usize, usize) {
        match &self.face {
            Face::Blocking(pool) => pool.sessions(),
            Face::Hosted(pool) => pool.sessions(),
        }
    }

    /// Sends a message; waits for a session if all are taken.
    fn run(&self, py: Python<'_>, command: &SmtpCommand) -> PyResult<Py<PyAny>> {
        let Face::Blocking(pool) = &self.face else { return Err(error::state(py, OTHER_FACE)) };
        let work = deliver(pool.clone(), self.letter(py, command)?);
        let done = py.detach(|| block_while(work, || self.interrupted.check().is_ok()));
        let interrupted = || starttls::Error::from(std::io::Error::from(std::io::ErrorKind::Interrupted));
        match done.unwrap_or_else(|| Err(Failure::Core(interrupted()))) {
            Ok(value) => value.into_python(py),
            Err(failure) => Err(failure.into_exception(py, Hint::None, &self.interrupted)),
        }
    }

    /// Says good-bye in all idle sessions.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let Face::Blocking(pool) = &self.face else { return Err(error::state(py, OTHER_FACE)) };
        if !self.is_inherited() {
            py.detach(|| block_while(pool.close(), || true));
        }
        Ok(())
    }

    /// `run`, as an operation for an event loop.
    fn start(&self, py: Python<'_>, command: &SmtpCommand) -> PyResult<Operation> {
        let Face::Hosted(pool) = &self.face else { return Err(error::state(py, OTHER_FACE)) };
        let work: BoxedOperation = Box::pin(deliver(pool.clone(), self.letter(py, command)?));
        Ok(Operation::new(work, Hint::None))
    }

    /// `close`, as an operation for an event loop.
    fn start_close(&self, py: Python<'_>) -> PyResult<Operation> {
        let Face::Hosted(pool) = &self.face else { return Err(error::state(py, OTHER_FACE)) };
        let (pool, inherited) = (pool.clone(), self.is_inherited());
        let work: BoxedOperation = Box::pin(async move {
            if !inherited {
                pool.close().await;
            }
            Ok(Value::None)
        });
        Ok(Operation::new(work, Hint::None))
    }
}

impl SmtpPool {
    fn is_inherited(&self) -> bool {
        self.process != std::process::id()
    }

    /// The command, signed if this pool signs.
    fn letter(&self, py: Python<'_>, command: &SmtpCommand) -> PyResult<Command> {
        if self.is_inherited() {
            return Err(error::state(py, FORKED));
        }
        let mut command = command.take(py)?;
        if let Command::Send { signer, .. } = &mut command {
            signer.clone_from(&self.signer);
        }
        Ok(command)
    }
}

async fn deliver<T: Transport + Clone + 'static>(pool: Pool<T>, command: Command) -> Result<Value, Failure> {
    let Command::Send { message, addressing, signer, pulse } = command else {
        let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "a pool sends whole messages");
        return Err(Failure::Core(error.into()));
    };
    let message = Message::open(message, &addressing, signer.as_ref())?.watched_by(pulse);
    let envelope = message.envelope.clone();
    Ok(Value::Report(Box::new(pool.send_body(&envelope, message).await?)))
}
