//! DKIM signatures.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use starttls::smtp::dkim::Signer;

use crate::config;
use crate::error::{self, Hint};

/// Signs messages in the name of a domain, with DKIM.
///
/// `domain` and `selector` say where the key's public half is: at `SELECTOR._domainkey.DOMAIN`. `key` is the private one,
/// RSA of 2048 bits or more or Ed25519, as a PEM file, or PEM text as bytes. `fields` are the header fields to sign in
/// place of the usual ones; `From` always is. `expires_after` is a number of seconds; signatures do not expire by default.
#[pyclass(frozen, name = "DKIM", module = "starttls")]
pub(crate) struct Dkim {
    pub(crate) signer: Signer,
    shown: String,
}

#[pymethods]
impl Dkim {
    #[new]
    #[pyo3(signature = (domain, selector, key, *, fields=None, expires_after=None))]
    fn new(
        domain: &str,
        selector: &str,
        key: &Bound<'_, PyAny>,
        fields: Option<Vec<String>>,
        expires_after: Option<f64>,
    ) -> PyResult<Self> {
        let py = key.py();
        if key.is_instance_of::<PyString>() && key.extract::<&str>()?.contains("-----BEGIN") {
            return Err(error::argument(py, "a key in PEM text comes as bytes"));
        }
        let raise = |why| error::core(py, &why, Hint::None);
        let mut signer = Signer::new(domain, selector, &config::pem(py, key)?).map_err(raise)?;
        if let Some(names) = fields {
            signer = signer.fields(names).map_err(raise)?;
        }
        if let Some(seconds) = expires_after {
            let lifetime = Duration::try_from_secs_f64(seconds).ok().filter(|lifetime| !lifetime.is_zero());
            let bad = || error::argument(py, "expires_after is a number of seconds above 0");
            signer = signer.expires_after(lifetime.ok_or_else(bad)?);
        }
        Ok(Self { signer, shown: format!("DKIM({domain:?}, {selector:?}, …)") })
    }

    /// The `DKIM-Signature` field of a whole message, with its line end: to be sent before the message.
    fn sign<'py>(&self, py: Python<'py>, message: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let signature = self.signer.sign(message).map_err(|why| error::core(py, &why, Hint::None))?;
        Ok(PyBytes::new(py, &signature))
    }

    fn __repr__(&self) -> &str {
        &self.shown
    }
}
