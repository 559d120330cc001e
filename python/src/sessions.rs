//! Sessions that connections leave for the next ones, as Python sees them.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use starttls::tls::{StoredServer, StoredSession};

use crate::error;
use crate::value;

/// TLS sessions that connections leave for the next ones to the same server: given to `TLSConfig(sessions=…)`, and empty at
/// first. What was agreed under a configuration goes with it. `capacity` is for how many servers there is room; beyond them,
/// what was used longest ago is forgotten.
///
/// A session is resumed to the same host and port, for the same server name, and by the `TLSConfig` that it was agreed under,
/// and no other one: so no check is avoided by resuming. A `Connection` over a `sock=` or `stream=` needs its host and port for
/// that, too, or it shares nothing. A resumed connection is not judged again, and a session may last for
/// days: `clear` the store where a certificate was revoked. Of one server at most 8 tickets are kept. FTP's data connections
/// resume nothing but their own control connection's session; what is left of that goes to the store when it ends.
///
/// It may be used from any thread. What it shows has no secrets.
#[pyclass(frozen, module = "starttls")]
pub(crate) struct SessionStore(pub(crate) starttls::tls::SessionStore);

#[pymethods]
impl SessionStore {
    #[new]
    #[pyo3(signature = (capacity=100))]
    fn new(py: Python<'_>, capacity: usize) -> PyResult<Self> {
        if capacity == 0 {
            return Err(error::argument(py, "a store has room for one server at least"));
        }
        Ok(Self(starttls::tls::SessionStore::with_capacity(capacity)))
    }

    /// What there is, the server used longest ago first: a list of `StoredServer`.
    fn servers<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.0.servers().iter().map(|server| shown(py, server)).collect()
    }

    /// Forgets the sessions with servers of this name, also those that connections open now would still leave. How many there
    /// were.
    fn remove(&self, server_name: &str) -> usize {
        self.0.remove(server_name)
    }

    /// Forgets everything, also what connections open now would still leave.
    fn clear(&self) {
        self.0.clear();
    }

    /// How many sessions there are.
    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// A store is one also while it is empty.
    fn __bool__(&self) -> bool {
        true
    }

    fn __repr__(&self) -> String {
        format!("<SessionStore, {} sessions with {} servers>", self.0.len(), self.0.servers().len())
    }
}

fn shown<'py>(py: Python<'py>, it: &StoredServer) -> PyResult<Bound<'py, PyAny>> {
    let class = value::class(py, intern!(py, "StoredSession"))?;
    let session =
        |it: &StoredSession| class.call1((it.version.as_str(), &it.cipher_suite, value::timestamp(it.received)));
    let sessions = it.sessions.iter().map(session).collect::<PyResult<Vec<_>>>()?;
    let all = (&it.host, it.port, &it.server_name, PyTuple::new(py, sessions)?, it.resumed);
    value::class(py, intern!(py, "StoredServer"))?.call1(all)
}
