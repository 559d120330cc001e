//! Where to connect to: one server, or several in the order to try.

use pyo3::prelude::*;
use starttls::Security;
use starttls::smtp::{self, Route, SrvOrigin, SrvRecord};
use starttls::url::{Protocol, Url};

use crate::error::{self, Hint};

/// Servers in the order to try: URLs, or ``Routes.from_srv``.
///
/// The next one is tried if a server has no address, does not answer, closes, or says that it has no time (4yz). A failed
/// certificate or handshake, an upgrade that is not offered, a refusal for good and a refused login end the search.
#[pyclass(frozen, module = "starttls")]
pub(crate) struct Routes(smtp::Routes);

#[pymethods]
impl Routes {
    #[new]
    #[pyo3(signature = (*urls))]
    fn new(py: Python<'_>, urls: Vec<String>) -> PyResult<Self> {
        let routes: Vec<_> = urls.iter().map(|url| Ok(route(&parse(py, url)?))).collect::<PyResult<_>>()?;
        smtp::Routes::new(routes).map(Self).map_err(|why| error::core(py, &why, Hint::None))
    }

    /// The servers that submit mail of a domain, from its SRV records, each ``(priority, weight, port, target)``:
    /// ``submissions`` those of ``_submissions._tcp`` (RFC 8314), which go first, ``submission`` those of
    /// ``_submission._tcp`` (RFC 6186).
    ///
    /// With ``secure``, for records that DNSSEC validated, a server's certificate must name the record's target; without,
    /// the domain, since anybody may have made the records.
    #[staticmethod]
    #[pyo3(signature = (domain, *, submissions=Vec::new(), submission=Vec::new(), secure))]
    fn from_srv(
        py: Python<'_>,
        domain: &str,
        submissions: Vec<(u16, u16, u16, String)>,
        submission: Vec<(u16, u16, u16, String)>,
        secure: bool,
    ) -> PyResult<Self> {
        let records = |given: Vec<(u16, u16, u16, String)>| -> Vec<_> {
            let record = |(priority, weight, port, target)| SrvRecord { priority, weight, port, target };
            given.into_iter().map(record).collect()
        };
        let origin = if secure { SrvOrigin::Secure } else { SrvOrigin::Insecure };
        let routes = smtp::Routes::from_srv(domain, &records(submissions), &records(submission), origin);
        routes.map(Self).map_err(|why| error::core(py, &why, Hint::None))
    }

    /// The servers' URLs, in order.
    #[getter]
    fn urls(&self) -> Vec<String> {
        self.0.iter().map(shown).collect()
    }

    /// The names that the servers' certificates must have, in order.
    #[getter]
    fn server_names(&self) -> Vec<String> {
        let name = |route: &Route| route.server_name.clone().unwrap_or_else(|| route.endpoint.host.clone());
        self.0.iter().map(name).collect()
    }

    fn __repr__(&self) -> String {
        format!("Routes({})", self.urls().iter().map(|url| format!("'{url}'")).collect::<Vec<_>>().join(", "))
    }
}

/// A server's URL, or several servers.
#[derive(FromPyObject)]
pub(crate) enum Server<'py> {
    Url(String),
    Routes(PyRef<'py, Routes>),
}

impl Server<'_> {
    /// The URL with the user and the password, if there is one; of several, the first, which has none.
    pub(crate) fn url(&self, py: Python<'_>) -> PyResult<Url> {
        match self {
            Self::Url(url) => parse(py, url),
            Self::Routes(routes) => {
                let first = routes.0.iter().next().map(shown);
                parse(py, &first.unwrap_or_default())
            }
        }
    }

    pub(crate) fn routes(&self, url: &Url) -> smtp::Routes {
        match self {
            Self::Url(_) => route(url).into(),
            Self::Routes(routes) => routes.0.clone(),
        }
    }

    /// For people, without a password.
    pub(crate) fn shown(&self, url: &Url) -> String {
        match self {
            Self::Url(_) => url.to_string(),
            Self::Routes(routes) => routes.urls().join(" "),
        }
    }
}

fn parse(py: Python<'_>, url: &str) -> PyResult<Url> {
    let url = Url::parse(url).map_err(|why| error::core(py, &why, Hint::None))?;
    match url.protocol {
        Protocol::Smtp => Ok(url),
        _ => Err(error::argument(py, "SMTP takes a URL that begins with smtp:// or smtps://")),
    }
}

fn route(url: &Url) -> Route {
    Route { lmtp: url.lmtp, ..Route::new(url.endpoint.clone(), url.security) }
}

fn shown(Route { endpoint, security, lmtp, .. }: &Route) -> String {
    let scheme = if *lmtp { "lmtp" } else { "smtp" };
    match security {
        Security::Implicit => format!("smtps://{endpoint}"),
        Security::Upgrade => format!("{scheme}://{endpoint}"),
        Security::Plaintext => format!("{scheme}://{endpoint}?tls=none"),
    }
}
