//! Python's classes for mail: commands, and the session that performs them.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyList;
use starttls::smtp::ServerMemory;
use starttls::smtp::dkim::Signer;
use starttls::url::Url;

use super::{Command, Question, Smtp, SmtpSetup};
use crate::body::{Pulse, Source};
use crate::error::{self, Hint};
use crate::hosted::{Host, Operation};
use crate::many::Letter;
use crate::message::{Addressing, HeaderReader};
use crate::session::{Job, Once, Session};
use crate::wishes::Wishes;

/// Something to do in a session; once.
#[pyclass(frozen, module = "starttls._native")]
pub(crate) struct SmtpCommand(Once<Command>);

impl From<Command> for SmtpCommand {
    fn from(command: Command) -> Self {
        Self(Once::new(command))
    }
}

impl SmtpCommand {
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<Command> {
        self.0.take(py)
    }
}

#[pymethods]
impl SmtpCommand {
    /// A message: bytes, a path, or an iterable of bytes. Sender and recipients come from `header`, or else from its
    /// own, unless given.
    #[staticmethod]
    #[pyo3(signature = (message, *, sender=None, recipients=None, header=None, wishes=None, progress=None))]
    fn send(
        message: &Bound<'_, PyAny>,
        sender: Option<String>,
        recipients: Option<&Bound<'_, PyAny>>,
        header: Option<PyBackedBytes>,
        wishes: Option<Wishes>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let addressing = Addressing::new(sender, recipients, header)?.with_wishes(wishes);
        let message = Source::new(message, 0)?;
        Ok(Command::Send { message, addressing, signer: None, pulse: Pulse::new(progress, 0, None) }.into())
    }

    /// A message that comes in pieces, from its header.
    #[staticmethod]
    #[pyo3(signature = (header, *, sender=None, recipients=None, wishes=None))]
    fn begin(
        py: Python<'_>,
        header: &HeaderReader,
        sender: Option<String>,
        recipients: Option<&Bound<'_, PyAny>>,
        wishes: Option<Wishes>,
    ) -> PyResult<Self> {
        let addressing = Addressing::new(sender, recipients, None)?.with_wishes(wishes);
        let (envelope, header) = header.read(py, &addressing)?;
        Ok(Command::Begin { envelope, header }.into())
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

    /// Messages, one after another; `prepare` makes what is not bytes into a message, its sender, its recipients, and a
    /// header to take those from that are not given. Gives the
    /// reports of those that had to be awaited, and whether the session can send more.
    #[staticmethod]
    #[pyo3(signature = (messages, prepare, wishes=None))]
    fn submit(messages: &Bound<'_, PyList>, prepare: &Bound<'_, PyAny>, wishes: Option<Wishes>) -> Self {
        Command::Submit { batch: Letter::batch(messages, prepare, wishes.as_ref()), signer: None }.into()
    }

    /// The reports of all messages under way.
    #[staticmethod]
    fn drain() -> Self {
        Command::Drain.into()
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

    /// VRFY.
    #[staticmethod]
    fn vrfy(address: String) -> Self {
        Command::Ask(Question::Vrfy, address).into()
    }

    /// EXPN.
    #[staticmethod]
    fn expn(name: String) -> Self {
        Command::Ask(Question::Expn, name).into()
    }

    /// ETRN.
    #[staticmethod]
    fn etrn(domain: String) -> Self {
        Command::Ask(Question::Etrn, domain).into()
    }

    /// HELP.
    #[staticmethod]
    #[pyo3(signature = (topic=None))]
    fn help(topic: Option<String>) -> Self {
        Command::Help(topic).into()
    }

    /// XCLIENT.
    #[staticmethod]
    fn xclient(attributes: Vec<(String, Option<String>)>) -> Self {
        Command::Xclient(attributes).into()
    }
}

/// Forgets what this process learnt of a server: what it offered and what broke.
#[pyfunction]
pub(crate) fn forget_server(py: Python<'_>, url: &str) -> PyResult<()> {
    let url = Url::parse(url).map_err(|why| error::core(py, &why, Hint::None))?;
    ServerMemory::default().forget(&url.endpoint);
    starttls::ftp::ServerMemory::default().forget(&url.endpoint);
    Ok(())
}

/// A submission session.
#[pyclass(frozen, module = "starttls._native")]
pub(crate) struct SmtpSession {
    session: Session<Smtp>,
    signer: Option<Signer>,
    url: String,
}

impl SmtpSession {
    /// The command's job, signed if this session signs.
    fn job(&self, py: Python<'_>, command: &SmtpCommand) -> PyResult<Job<Command>> {
        let mut command = command.take(py)?;
        if let Command::Send { signer, .. } | Command::Submit { signer, .. } = &mut command {
            signer.clone_from(&self.signer);
        }
        Ok(Job::Perform(command))
    }
}

#[pymethods]
impl SmtpSession {
    #[new]
    #[pyo3(signature = (setup, *, host=None))]
    fn new(setup: &SmtpSetup, host: Option<&Host>) -> Self {
        let SmtpSetup { smtp, network, signer, url } = setup;
        let session = Session::new(smtp.clone(), network.clone(), host.map(|host| host.0.clone()));
        Self { session, signer: signer.clone(), url: url.clone() }
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
        self.session.run(py, self.job(py, command)?)
    }

    /// Does something in it, says good-bye and closes.
    fn run_last(&self, py: Python<'_>, command: &SmtpCommand) -> PyResult<Py<PyAny>> {
        self.session.run(py, self.job(py, command)?.and_close())
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
        self.session.start(py, self.job(py, command)?)
    }

    /// `run_last`, as an operation for an event loop.
    fn start_last(&self, py: Python<'_>, command: &SmtpCommand) -> PyResult<Operation> {
        self.session.start(py, self.job(py, command)?.and_close())
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

    /// Whether a message should have no bytes above 127: the server takes none, or it is signed, and somebody on the way
    /// may have to re-encode them, which would break the signature (RFC 6376 §5.3).
    #[getter]
    fn seven_bit(&self) -> bool {
        self.signer.is_some() || !self.session.offers().iter().any(|(keyword, _)| keyword == "8BITMIME")
    }

    /// How it logged in.
    #[getter]
    fn login(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.session.login(py)
    }

    /// What the server offers: keywords and parameters.
    #[getter]
    fn offers(&self) -> Vec<(String, String)> {
        self.session.offers()
    }
}
