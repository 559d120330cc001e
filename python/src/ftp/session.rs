//! A session with files, and files that are read on one at any place.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use starttls::ftp::{Active, Auth, Credentials, DataProtection, Encoding, Examination, PassiveHost, Settings};
use starttls::url::{Protocol as Scheme, Url};

use super::command::FtpCommand;
use super::{Ftp, SharedFile};
use crate::config::{self, TimeoutArgument};
use crate::entry;
use crate::error::{self, Hint};
use crate::hosted::{Host, Operation};
use crate::session::{Job, Session};
use crate::value;

/// How to listen, in active mode: the first and the last port, and the address to tell.
fn active_mode(py: Python<'_>, (ports, address): (Option<(u16, u16)>, Option<String>)) -> PyResult<Active> {
    let address = address.map(|text| text.parse()).transpose();
    let address = address.map_err(|_| error::argument(py, "the address of active mode is an IP address"))?;
    if ports.is_some_and(|(first, last)| first > last || first == 0) {
        return Err(error::argument(
            py,
            "the ports of active mode are the first one and the last one, from 1 to 65535",
        ));
    }
    Ok(Active { ports: ports.map(|(first, last)| first..=last), address })
}

/// A file on the server, to be read at any place.
#[pyclass(frozen, module = "starttls._native")]
pub(crate) struct RemoteFile(pub(super) SharedFile);

#[pymethods]
impl RemoteFile {
    #[new]
    fn new(path: &[u8]) -> Self {
        Self(SharedFile::new(path))
    }

    /// The receipt of the download that came to the file's end, if one did.
    #[getter]
    fn receipt(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.0.receipt().map(|it| value::receipt(py, &it).map(Bound::unbind)).transpose()
    }
}

/// A file transfer session.
#[pyclass(frozen, module = "starttls._native")]
pub(crate) struct FtpSession {
    pub(super) session: Session<Ftp>,
    encoding: Encoding,
    url: String,
    pub(super) path: Vec<u8>,
}

/// The ports to listen on, if not any, and the address to tell, if not our own.
type ActiveArgument = (Option<(u16, u16)>, Option<String>);

#[pymethods]
impl FtpSession {
    #[new]
    #[pyo3(signature = (url, *, user=None, password=None, account=None, tls=None, timeout=None, trace=None,
        data_protection="private", verify_uploads=true, accept_missing_close_notify=false, active=None,
        session_binding="prefer", danger_use_announced_host=false, compression=false, max_connections=None, auth="tls",
        virtual_host=None, client_name=None,        language=None, pipelining=true, keep_alive=None, proxy=None, local_address=None,
        encoding="utf-8", fallback_encoding=None, list_options=None, all_facts=false, host=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        url: &str,
        user: Option<String>,
        password: Option<String>,
        account: Option<String>,
        tls: Option<Bound<'_, PyAny>>,
        timeout: Option<TimeoutArgument>,
        trace: Option<Py<PyAny>>,
        data_protection: &str,
        verify_uploads: bool,
        accept_missing_close_notify: bool,
        active: Option<ActiveArgument>,
        session_binding: &str,
        danger_use_announced_host: bool,
        compression: bool,
        max_connections: Option<usize>,
        auth: &str,
        virtual_host: Option<String>,
        client_name: Option<String>,
        language: Option<String>,
        pipelining: bool,
        keep_alive: Option<f64>,
        proxy: Option<&str>,
        local_address: Option<&str>,
        encoding: &str,
        fallback_encoding: Option<&str>,
        list_options: Option<String>,
        all_facts: bool,
        host: Option<&Host>,
    ) -> PyResult<Self> {
        let url = Url::parse(url).map_err(|why| error::core(py, &why, Hint::None))?;
        if url.protocol != Scheme::Ftp {
            return Err(error::argument(py, "FTP takes a URL that begins with ftp://, ftpes:// or ftps://"));
        }
        let mut credentials = match config::credentials(py, &url, user, password)? {
            Some((user, password)) => Credentials::password(user, password),
            None => Credentials::anonymous(),
        };
        if let Some(account) = account {
            credentials = credentials.account(account);
        }
        let data_protection = match data_protection {
            "private" => DataProtection::Private,
            "clear" => DataProtection::Clear,
            _ => return Err(error::argument(py, "data_protection is 'private' or 'clear'")),
        };
        let passive_host = match danger_use_announced_host {
            true => PassiveHost::DangerAnnounced,
            false => PassiveHost::ControlPeer,
        };
        let session_binding = session_binding.parse().map_err(|why| error::core(py, &why, Hint::None))?;
        let auth = match auth {
            "tls" => Auth::Tls,
            "ssl" => Auth::Ssl,
            _ => return Err(error::argument(py, "auth is 'tls' or 'ssl'")),
        };
        let encoding = entry::chosen(encoding, fallback_encoding)?;
        let keep_alive = keep_alive.map(|every| config::duration(py, every)).transpose()?;
        let no_session = |_| error::argument(py, "there is at least one connection");
        let settings = Settings {
            max_connections: max_connections.map(TryInto::try_into).transpose().map_err(no_session)?,
            keep_alive,
            auth,
            virtual_host,
            client_name,
            language,
            pipelining,
            data_protection,
            verify_uploads,
            accept_missing_close_notify,
            active: active.map(|active| active_mode(py, active)).transpose()?,
            passive_host,
            session_binding,
            encoding,
            list_options,
            all_facts,
            compression,
            ..Settings::default()
        };
        let network = config::Network::new(py, proxy, local_address)?;
        let ftp = Ftp {
            endpoint: url.endpoint.clone(),
            options: config::options(py, url.security, tls.as_ref(), timeout, trace)?,
            credentials,
            settings,
        };
        let session = Session::new(ftp, network, host.map(|host| host.0.clone()));
        Ok(Self { session, encoding, url: url.to_string(), path: url.path })
    }

    /// The URL, without a password.
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    /// The URL's path.
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.path)
    }

    /// A path as bytes: text is written in the session's encoding; surrogate escapes are the bytes they stand for.
    fn encode<'py>(&self, py: Python<'py>, path: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let path = py.import(intern!(py, "os"))?.call_method1(intern!(py, "fspath"), (path,))?;
        let Ok(text) = path.cast::<PyString>() else { return Ok(path) };
        match text.to_cow() {
            Ok(text) => {
                let bytes = self.encoding.encode(&text).map_err(|why| error::core(py, &why, Hint::None))?;
                Ok(PyBytes::new(py, &bytes).into_any())
            }
            Err(_) => text.call_method1(intern!(py, "encode"), ("utf-8", "surrogateescape")),
        }
    }

    /// A path or name as text.
    fn decode<'py>(&self, py: Python<'py>, path: &[u8]) -> PyResult<Bound<'py, PyString>> {
        entry::decode(py, self.encoding, path)
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
    fn run(&self, py: Python<'_>, command: &FtpCommand) -> PyResult<Py<PyAny>> {
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
    fn start(&self, py: Python<'_>, command: &FtpCommand) -> PyResult<Operation> {
        self.session.start(py, command.take(py)?)
    }

    /// Examines the server, in sessions of its own.
    fn examine(&self, py: Python<'_>, directory: Vec<u8>, write_test: bool) -> PyResult<Py<PyAny>> {
        self.session.run_aside(py, Examination { directory, write_test })
    }

    /// `examine`, as an operation for an event loop.
    fn start_examine(&self, py: Python<'_>, directory: Vec<u8>, write_test: bool) -> PyResult<Operation> {
        self.session.start_aside(py, Examination { directory, write_test })
    }

    /// Gives up what is under way without waiting; the next operation puts the session in order.
    fn abandon(&self) {
        self.session.abandon();
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

    /// What the server offers: features and parameters.
    #[getter]
    fn offers(&self) -> Vec<(String, String)> {
        self.session.offers()
    }
}
