//! Who logs in, and with what, from Python's arguments.

use std::io;

use pyo3::prelude::*;
use pyo3::types::PyString;
use starttls::smtp::{Credentials, Mechanism, Token};
use starttls::url::Url;

use crate::config;
use crate::error::{self, Hint};

/// The arguments about the login, beside the URL.
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// A `str`, or what gives one when it is called.
    pub(crate) token: Option<Py<PyAny>>,
    pub(crate) authzid: Option<String>,
    pub(crate) auth: Option<String>,
}

impl Login {
    /// What they amount to; `None` if nobody logs in.
    pub(crate) fn credentials(self, py: Python<'_>, url: &Url) -> PyResult<Option<Credentials>> {
        let Self { user, password, token, authzid, auth } = self;
        let mechanism = auth.map(|name| name.parse::<Mechanism>()).transpose();
        let mechanism = mechanism.map_err(|why| error::core(py, &why, Hint::None))?;
        let nameless = matches!(mechanism, Some(Mechanism::External | Mechanism::Anonymous));
        if (nameless || token.is_some()) && password.is_some() {
            return Err(error::argument(py, "password= is of no use beside token= or this auth="));
        }
        let user = || user.clone().or_else(|| url.user.clone());
        let credentials = match (mechanism, token) {
            (Some(Mechanism::External | Mechanism::Anonymous), Some(_)) => {
                return Err(error::argument(py, "token= is of no use beside this auth="));
            }
            (Some(Mechanism::External), None) => Some(Credentials::external(None)),
            (Some(Mechanism::Anonymous), None) => Some(Credentials::anonymous(user().unwrap_or_default())),
            (_, Some(token)) => {
                let user = user().ok_or_else(|| error::argument(py, "token= needs a user, in the URL or as user="))?;
                Some(Credentials::token(user, source(py, token)?))
            }
            (_, None) => config::credentials(py, url, user(), password)?
                .map(|(user, password)| Credentials::password(user, password)),
        };
        let Some(mut credentials) = credentials else {
            return match mechanism.is_some() || authzid.is_some() {
                true => Err(error::argument(py, "auth= and authzid= need a user, in the URL or as user=")),
                false => Ok(None),
            };
        };
        if let Some(mechanism) = mechanism {
            credentials = credentials.with_mechanism(mechanism);
        }
        if let Some(authzid) = authzid {
            credentials = credentials.with_authzid(authzid);
        }
        Ok(Some(credentials))
    }
}

fn source(py: Python<'_>, token: Py<PyAny>) -> PyResult<Token> {
    let it = token.bind(py);
    if let Ok(text) = it.cast::<PyString>() {
        return Ok(text.to_str()?.into());
    }
    if !it.is_callable() {
        return Err(error::argument(py, "token= is a str, or what gives one when it is called"));
    }
    // What it raises is raised.
    Ok(Token::from_fn(move || Python::attach(|py| token.call0(py)?.extract::<String>(py)).map_err(io::Error::other)))
}
