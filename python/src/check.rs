//! The caller's callables that TLS calls in the middle of a handshake.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use starttls::tls::{Presented, Rejection, TlsConfig};

use crate::error::{self, Hint};
use crate::value;

/// What the callable thinks of a certificate: `True`, or a reason to reject it. What it raises rejects, and is the error's cause;
/// of a certificate that is refused whatever it says, it is reported.
pub(crate) fn ask(callable: &Py<PyAny>, may_accept: bool, presented: &Presented<'_>) -> Result<(), Rejection> {
    Python::attach(|py| {
        let said = shown(py, presented).and_then(|shown| callable.bind(py).call1((shown,)));
        let said = match said {
            Ok(said) if said.is(&*pyo3::types::PyBool::new(py, true)) => return Ok(()),
            Ok(said) => said,
            Err(raised) => {
                if presented.verdict.is_err() && !may_accept {
                    raised.clone_ref(py).write_unraisable(py, Some(callable.bind(py)));
                }
                return Err(Rejection::caused_by(format!("it raised {raised}"), raised));
            }
        };
        Err(match said.cast::<PyString>() {
            Ok(why) => why.to_string_lossy().into_owned().into(),
            Err(_) => format!("it returned {said}, and not True").into(),
        })
    })
}

fn shown<'py>(py: Python<'py>, presented: &Presented<'_>) -> PyResult<Bound<'py, PyAny>> {
    let chain = PyTuple::new(py, presented.chain.iter().map(|der| PyBytes::new(py, der)))?;
    let ocsp = presented.ocsp_response.map(|der| PyBytes::new(py, der));
    let (whose, refusal) = match presented.verdict {
        Ok(whose) => (Some(whose.as_str()), None),
        Err(why) => (None, Some(error::core(py, why, Hint::None).into_value(py))),
    };
    value::class(py, pyo3::intern!(py, "Presented"))?.call1((chain, presented.server_name, whose, refusal, ocsp))
}

/// Hands the lines of the key log to a callable. What it raises is reported, and changes nothing.
pub(crate) fn key_log(tls: TlsConfig, callable: Py<PyAny>) -> TlsConfig {
    tls.key_log(move |line| {
        Python::attach(|py| {
            if let Err(error) = callable.call1(py, (line,)) {
                error.write_unraisable(py, Some(callable.bind(py)));
            }
        });
    })
}
