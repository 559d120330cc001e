//! Message submission: commands as values, performed over any transport.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use starttls::Options;
use starttls::smtp::{Client, Credentials, EhloName, Envelope};
use starttls::tls::TlsInfo;
use starttls::transport::{Endpoint, Transport};
use starttls::url::{Protocol as Scheme, Url};

use crate::body::{Pulse, Source};
use crate::config::{self, TLSConfig, TimeoutArgument};
use crate::error::{self, Failure, Hint};
use crate::hosted::{Host, Operation};
use crate::session::{Job, Protocol, Session};
use crate::value::Value;

/// How to open a session.
pub(crate) struct Smtp {
    endpoint: Endpoint,
    options: Options,
    name: EhloName,
    credentials: Option<Credentials>,
}

/// What to do in it.
pub(crate) enum Command {
    Send { envelope: Envelope, head: PyBackedBytes, body: Source, pulse: Pulse },
    Begin(Envelope),
    Write(PyBackedBytes),
    Finish,
    Noop,
    Rset,
}

impl Protocol for Smtp {
    type Client<T: Transport + Clone + 'static> = Client<T>;
    type Command = Command;

    async fn connect<T: Transport + Clone + 'static>(&self, transport: T) -> starttls::Result<Client<T>> {
        let options = self.options.clone();
        let mut client = Client::connect_as(transport, &self.endpoint, options, &self.name).await?;
        if let Some(credentials) = &self.credentials {
            client.login(credentials).await?;
        }
        Ok(client)
    }

    async fn perform<T: Transport + Clone + 'static>(
        client: &mut Client<T>,
        command: Command,
    ) -> Result<Value, Failure> {
        Ok(match command {
            Command::Send { envelope, head, body, pulse } => {
                client.begin(&envelope).await?;
                // Without its end a message is none: if the body cannot be had, the session must go.
                stream(client, &head, body, pulse).await.map_err(Failure::fatal)?;
                Value::Report(Box::new(client.finish().await?))
            }
            Command::Begin(envelope) => {
                client.begin(&envelope).await?;
                Value::None
            }
            Command::Write(bytes) => {
                client.write(&bytes).await?;
                Value::None
            }
            Command::Finish => Value::Report(Box::new(client.finish().await?)),
            Command::Noop => Value::Reply(client.noop().await?),
            Command::Rset => Value::Reply(client.rset().await?),
        })
    }

    async fn quit<T: Transport + Clone + 'static>(client: Client<T>) {
        client.quit().await;
    }

    fn hint(_: &Command) -> Hint {
        Hint::None
    }

    fn tls<T: Transport + Clone + 'static>(client: &Client<T>) -> Option<&TlsInfo> {
        client.tls()
    }

    fn offers<T: Transport + Clone + 'static>(client: &Client<T>) -> Vec<(String, String)> {
        client.extensions().iter().map(|(name, parameters)| (name.into(), parameters.into())).collect()
    }
}

async fn stream<T: Transport + Clone + 'static>(
    client: &mut Client<T>,
    head: &[u8],
    mut body: Source,
    mut pulse: Pulse,
) -> Result<(), Failure> {
    client.write(head).await?;
    pulse.advance(head.len())?;
    while let Some(piece) = body.next()? {
        client.write(piece).await?;
        pulse.advance(piece.len())?;
    }
    pulse.tell()
}

/// Something to do in a session; once.
#[pyclass(frozen, module = "starttls._native")]
pub(crate) struct SmtpCommand(Mutex<Option<Command>>);

impl From<Command> for SmtpCommand {
    fn from(command: Command) -> Self {
        Self(Mutex::new(Some(command)))
    }
}

impl SmtpCommand {
    fn take(&self, py: Python<'_>) -> PyResult<Job<Command>> {
        let command = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        command.map(Job::Perform).ok_or_else(|| error::state(py, "this command was used before"))
    }
}

fn envelope(
    py: Python<'_>,
    sender: &str,
    recipients: &[String],
    size: Option<u64>,
    eight_bit: bool,
    utf8: bool,
) -> PyResult<Envelope> {
    let mut envelope = Envelope::new(sender, recipients).map_err(|why| error::core(py, &why, Hint::None))?;
    envelope.size = size;
    envelope.eight_bit = eight_bit;
    envelope.utf8 = utf8;
    Ok(envelope)
}

#[pymethods]
impl SmtpCommand {
    /// A message: `head` first, then `body` from `offset` on, which is bytes, a path or an iterable of bytes.
    #[staticmethod]
    #[pyo3(signature = (sender, recipients, head, body, *, offset=0, eight_bit=None, utf8=false, progress=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn send(
        py: Python<'_>,
        sender: &str,
        recipients: Vec<String>,
        head: PyBackedBytes,
        body: &Bound<'_, PyAny>,
        offset: u64,
        eight_bit: Option<bool>,
        utf8: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let body = Source::new(body, offset)?;
        let size = body.remaining().map(|rest| rest + head.len() as u64);
        // What is not at hand may have any bytes.
        let eight_bit = eight_bit.unwrap_or_else(|| match &body {
            Source::Bytes { all, .. } => !(all.is_ascii() && head.is_ascii()),
            _ => true,
        });
        let envelope = envelope(py, sender, &recipients, size, eight_bit, utf8)?;
        let pulse = Pulse::new(progress, 0, size);
        Ok(Command::Send { envelope, head, body, pulse }.into())
    }

    /// The envelope of a message that comes in pieces.
    #[staticmethod]
    #[pyo3(signature = (sender, recipients, *, size=None, eight_bit=true, utf8=false))]
    fn begin(
        py: Python<'_>,
        sender: &str,
        recipients: Vec<String>,
        size: Option<u64>,
        eight_bit: bool,
        utf8: bool,
    ) -> PyResult<Self> {
        Ok(Command::Begin(envelope(py, sender, &recipients, size, eight_bit, utf8)?).into())
    }

    /// The next piece of a message.
    #[staticmethod]
    fn write(piece: PyBackedBytes) -> Self {
        Command::Write(piece).into()
    }

    /// The end of a message.
    #[staticmethod]
    fn finish() -> Self {
        Command::Finish.into()
    }

    /// NOOP.
    #[staticmethod]
    fn noop() -> Self {
        Command::Noop.into()
    }

    /// RSET.
    #[staticmethod]
    fn rset() -> Self {
        Command::Rset.into()
    }
}

/// A submission session.
#[pyclass(frozen, module = "starttls._native")]
pub(crate) struct SmtpSession {
    session: Session<Smtp>,
    url: String,
}

#[pymethods]
impl SmtpSession {
    #[new]
    #[pyo3(signature = (url, *, user=None, password=None, tls=None, timeout=None, trace=None, ehlo_name=None,
        host=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        url: &str,
        user: Option<String>,
        password: Option<String>,
        tls: Option<&TLSConfig>,
        timeout: Option<TimeoutArgument>,
        trace: Option<Py<PyAny>>,
        ehlo_name: Option<String>,
        host: Option<&Host>,
    ) -> PyResult<Self> {
        let raise = |why| error::core(py, &why, Hint::None);
        let url = Url::parse(url).map_err(raise)?;
        if url.protocol != Scheme::Smtp {
            return Err(error::argument(py, "SMTP takes a URL that begins with smtp:// or smtps://"));
        }
        let smtp = Smtp {
            endpoint: url.endpoint.clone(),
            options: config::options(py, &url, tls, timeout, trace)?,
            name: ehlo_name.map(EhloName::new).transpose().map_err(raise)?.unwrap_or_default(),
            credentials: config::credentials(py, &url, user, password)?
                .map(|(user, password)| Credentials::password(user, password)),
        };
        Ok(Self { session: Session::new(smtp, host.map(|host| host.0.clone())), url: url.to_string() })
    }

    /// The URL, without a password.
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    /// Opens the session and logs in.
    fn connect(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.session.run(py, Job::Connect)
    }

    /// Says good-bye and closes.
    fn close(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.session.run(py, Job::Close)
    }

    /// Does something in it.
    fn run(&self, py: Python<'_>, command: &SmtpCommand) -> PyResult<Py<PyAny>> {
        self.session.run(py, command.take(py)?)
    }

    /// `connect`, as an operation for an event loop.
    fn start_connect(&self, py: Python<'_>) -> PyResult<Operation> {
        self.session.start(py, Job::Connect)
    }

    /// `close`, as an operation for an event loop.
    fn start_close(&self, py: Python<'_>) -> PyResult<Operation> {
        self.session.start(py, Job::Close)
    }

    /// `run`, as an operation for an event loop.
    fn start(&self, py: Python<'_>, command: &SmtpCommand) -> PyResult<Operation> {
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

    /// What the server offers: keywords and parameters.
    #[getter]
    fn offers(&self) -> Vec<(String, String)> {
        self.session.offers()
    }
}
