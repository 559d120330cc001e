//! How sessions are opened: Python's keyword arguments, the same for a session and for a pool.

use pyo3::prelude::*;
use starttls::smtp::dkim::Signer;
use starttls::smtp::{EhloName, PoolSettings, Settings};

use super::Smtp;
use crate::config::{self, Network, TimeoutArgument};
use crate::dkim::Dkim;
use crate::error::{self, Hint};
use crate::login::Login;
use crate::route::Server;

/// Where messages go, as whom, and how sessions speak: what sessions and pools are made of.
#[pyclass(frozen, module = "starttls._native")]
pub(crate) struct SmtpSetup {
    pub(crate) smtp: Smtp,
    pub(crate) network: Network,
    pub(crate) signer: Option<Signer>,
    /// Where they go, for people.
    pub(crate) url: String,
}

#[pymethods]
impl SmtpSetup {
    #[new]
    #[pyo3(signature = (url, *, user=None, password=None, token=None, authzid=None, auth=None, tls=None, timeout=None,
        trace=None, ehlo_name=None, pipelining=true, chunking=true, chunk_size=None, proxy=None, local_address=None, dkim=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        url: Server<'_>,
        user: Option<String>,
        password: Option<String>,
        token: Option<Py<PyAny>>,
        authzid: Option<String>,
        auth: Option<String>,
        tls: Option<Bound<'_, PyAny>>,
        timeout: Option<TimeoutArgument>,
        trace: Option<Py<PyAny>>,
        ehlo_name: Option<String>,
        pipelining: bool,
        chunking: bool,
        chunk_size: Option<usize>,
        proxy: Option<&str>,
        local_address: Option<&str>,
        dkim: Option<&Dkim>,
    ) -> PyResult<Self> {
        let network = Network::new(py, proxy, local_address)?;
        let login = Login { user, password, token, authzid, auth };
        let server = url;
        let url = server.url(py)?;
        let name = ehlo_name.map(EhloName::new).transpose();
        let name = name.map_err(|why| error::core(py, &why, Hint::None))?.unwrap_or_default();
        let defaults = Settings::default();
        let chunk_size = chunk_size.unwrap_or(defaults.chunk_size);
        if chunk_size == 0 {
            return Err(error::argument(py, "chunk_size is at least 1"));
        }
        let smtp = Smtp {
            routes: server.routes(&url),
            options: config::options(py, url.security, tls.as_ref(), timeout, trace)?,
            settings: Settings { name, pipelining, chunking, chunk_size, ..defaults },
            credentials: login.credentials(py, &url)?,
        };
        Ok(Self { smtp, network, signer: dkim.map(|dkim| dkim.signer.clone()), url: server.shown(&url) })
    }
}

impl Smtp {
    /// The same for a pool.
    pub(crate) fn pool(self) -> PoolSettings {
        let Self { routes, options, settings, credentials } = self;
        PoolSettings { options, settings, credentials, ..PoolSettings::new(routes) }
    }
}
