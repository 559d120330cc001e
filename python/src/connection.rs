//! A connection on its own, which becomes TLS when the caller says so.

use std::convert::Infallible;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use starttls::tls::TlsInfo;
use starttls::transport::{Endpoint, Transport};
use starttls::upgrade::Recipe;
use starttls::{Options, Security};

use crate::config::{self, Network, TimeoutArgument};
use crate::error::{self, Failure, Hint};
use crate::hosted::{Host, Operation};
use crate::session::{Job, Once, Protocol, Session};
use crate::value::Value;

/// Where it goes, and when it becomes TLS.
pub(crate) struct Bare {
    endpoint: Endpoint,
    options: Options,
}

/// What is done with a connection.
pub(crate) enum Command {
    ReadLine(usize),
    Read(usize),
    ReadExactly(usize),
    ReadUntil(Vec<u8>, usize),
    Write(Vec<u8>),
    StartTls,
    Upgrade(Recipe),
    Shutdown,
}

impl Protocol for Bare {
    type Client<T: Transport + Clone + 'static> = starttls::Connection<T::Stream>;
    type Command = Command;
    type Aside = Infallible;

    async fn connect<T: Transport + Clone + 'static>(&self, transport: T) -> starttls::Result<Self::Client<T>> {
        starttls::Connection::open(&transport, &self.endpoint, &self.options).await
    }

    async fn perform<T: Transport + Clone + 'static>(
        connection: &mut Self::Client<T>,
        command: Command,
    ) -> Result<Value, Failure> {
        Ok(match command {
            Command::ReadLine(limit) => connection.read_line(limit).await?.map_or(Value::None, Value::Bytes),
            Command::Read(most) => Value::Bytes(connection.read(most).await?),
            Command::ReadExactly(count) => Value::Bytes(connection.read_exact(count).await?),
            Command::ReadUntil(separator, limit) => Value::Bytes(connection.read_until(&separator, limit).await?),
            Command::Write(bytes) => {
                connection.write(&bytes).await?;
                Value::None
            }
            Command::StartTls => {
                connection.start_tls().await?;
                Value::None
            }
            Command::Upgrade(recipe) => Value::Bytes(connection.upgrade(recipe).await?),
            Command::Shutdown => {
                connection.shutdown().await?;
                Value::None
            }
        })
    }

    async fn aside<T: Transport + Clone + 'static>(&self, _: T, what: Infallible) -> Value {
        match what {}
    }

    /// What was received stays, and what was given up in the middle of an upgrade says so itself.
    fn leave<T: Transport + Clone + 'static>(_: &mut Self::Client<T>) -> bool {
        true
    }

    async fn quit<T: Transport + Clone + 'static>(mut connection: Self::Client<T>) {
        // Whether the peer still hears it is of no interest.
        let _ = connection.shutdown().await;
    }

    fn hint(_: &Command) -> Hint {
        Hint::None
    }

    fn tls<T: Transport + Clone + 'static>(connection: &Self::Client<T>) -> Option<&TlsInfo> {
        connection.tls().map(AsRef::as_ref)
    }

    fn offers<T: Transport + Clone + 'static>(_: &Self::Client<T>) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// One thing to do with a connection.
#[pyclass(frozen, module = "starttls._native")]
pub(crate) struct ConnectionCommand(Once<Command>);

impl From<Command> for ConnectionCommand {
    fn from(command: Command) -> Self {
        Self(Once::new(command))
    }
}

impl ConnectionCommand {
    fn take(&self, py: Python<'_>) -> PyResult<Job<Command>> {
        self.0.take(py).map(Job::Perform)
    }
}

#[pymethods]
impl ConnectionCommand {
    /// A line.
    #[staticmethod]
    fn read_line(limit: usize) -> Self {
        Command::ReadLine(limit).into()
    }

    /// What comes next.
    #[staticmethod]
    fn read(most: usize) -> Self {
        Command::Read(most).into()
    }

    /// So many bytes.
    #[staticmethod]
    fn read_exactly(count: usize) -> Self {
        Command::ReadExactly(count).into()
    }

    /// Everything up to and with a separator.
    #[staticmethod]
    fn read_until(separator: Vec<u8>, limit: usize) -> Self {
        Command::ReadUntil(separator, limit).into()
    }

    /// Bytes to be sent.
    #[staticmethod]
    fn write(data: Vec<u8>) -> Self {
        Command::Write(data).into()
    }

    /// The handshake.
    #[staticmethod]
    fn start_tls() -> Self {
        Command::StartTls.into()
    }

    /// What a protocol says before the handshake, and the handshake.
    #[staticmethod]
    fn upgrade(py: Python<'_>, protocol: &str) -> PyResult<Self> {
        let recipe = Recipe::named(protocol).ok_or_else(|| {
            let known = Recipe::ALL.map(Recipe::as_str).join(", ");
            error::argument(py, &format!("{protocol:?} is no protocol whose upgrade is known: there are {known}"))
        })?;
        Ok(Command::Upgrade(recipe).into())
    }

    /// The end of our direction.
    #[staticmethod]
    fn shutdown() -> Self {
        Command::Shutdown.into()
    }
}

/// A connection.
#[pyclass(frozen, module = "starttls._native")]
pub(crate) struct ConnectionSession {
    session: Session<Bare>,
    url: String,
}

#[pymethods]
impl ConnectionSession {
    #[new]
    #[pyo3(signature = (name, port, *, security="upgrade", server_name=None, tls=None, timeout=None, trace=None, proxy=None,
        local_address=None, host=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        name: Option<String>,
        port: u16,
        security: &str,
        server_name: Option<String>,
        tls: Option<Bound<'_, PyAny>>,
        timeout: Option<TimeoutArgument>,
        trace: Option<Py<PyAny>>,
        proxy: Option<&str>,
        local_address: Option<&str>,
        host: Option<&Host>,
    ) -> PyResult<Self> {
        let security = match security {
            "upgrade" => Security::Upgrade,
            "implicit" => Security::Implicit,
            "plaintext" => Security::Plaintext,
            _ => return Err(error::argument(py, "security is 'upgrade', 'implicit' or 'plaintext'")),
        };
        let mut options = config::options(py, security, tls.as_ref(), timeout, trace)?;
        options.server_name = server_name.or(options.server_name);
        let name = name.or_else(|| options.server_name.clone());
        if name.is_none() && security != Security::Plaintext {
            return Err(error::argument(py, "whose certificate is expected? give the host, or server_name="));
        }
        let endpoint = Endpoint { host: name.unwrap_or_else(|| "peer".into()), port };
        let url = endpoint.to_string();
        let network = Network::new(py, proxy, local_address)?;
        let session = Session::new(Bare { endpoint, options }, network, host.map(|host| host.0.clone()));
        Ok(Self { session, url })
    }

    /// Where it goes.
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    /// Connects.
    fn connect(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.session.run(py, Job::Connect)
    }

    /// Ends our direction and closes.
    fn close(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.session.run(py, Job::Close)
    }

    /// Does something with it.
    fn run(&self, py: Python<'_>, command: &ConnectionCommand) -> PyResult<Py<PyAny>> {
        self.session.run(py, command.take(py)?)
    }

    /// `connect`, as an operation for a driver.
    fn start_connect(&self, py: Python<'_>) -> PyResult<Operation> {
        self.session.start(py, Job::Connect)
    }

    /// `close`, as an operation for a driver.
    fn start_close(&self, py: Python<'_>) -> PyResult<Operation> {
        self.session.start(py, Job::Close)
    }

    /// `run`, as an operation for a driver.
    fn start(&self, py: Python<'_>, command: &ConnectionCommand) -> PyResult<Operation> {
        self.session.start(py, command.take(py)?)
    }

    /// Whether it is open.
    #[getter]
    fn is_open(&self) -> bool {
        self.session.is_open()
    }

    /// What TLS agreed.
    #[getter]
    fn tls(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.session.tls(py)
    }

    /// What ties a login to TLS, while the connection is open and idle: its registered name, and the value.
    #[getter]
    fn channel_binding<'py>(&self, py: Python<'py>) -> Option<(&'static str, Bound<'py, PyBytes>)> {
        let binding = self.session.look(|it| it.channel_binding(), |it| it.channel_binding()).flatten()?;
        Some((binding.kind().as_str(), PyBytes::new(py, binding.data())))
    }

    /// The peer's address and port, where they are known, while the connection is open and idle.
    #[getter]
    fn peer_address(&self) -> Option<(String, u16)> {
        let address = self.session.look(|it| it.peer_addr(), |it| it.peer_addr()).flatten()?;
        Some((address.ip().to_string(), address.port()))
    }
}
