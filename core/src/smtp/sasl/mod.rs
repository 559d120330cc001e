//! Logging in: AUTH (RFC 4954) and its mechanisms.

mod login;
mod plain;

use std::fmt;

use zeroize::Zeroizing;

use super::extensions::Extensions;
use crate::error::{Error, Result};

/// What the user proves to be. Its `Debug` shows no secret; memory is wiped on drop.
#[derive(Clone)]
pub struct Credentials {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
}

impl Credentials {
    /// A user name and a password, as they are.
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: Zeroizing::new(password.into()) }
    }

    /// The user name.
    pub fn user(&self) -> &str {
        &self.user
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, ***)", self.user)
    }
}

/// A SASL mechanism this client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: obsolete, and all that some servers offer.
    Login,
}

impl Mechanism {
    /// The best first.
    const PREFERRED: [Self; 2] = [Self::Plain, Self::Login];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// The best that the server offers.
    pub(super) fn choose(extensions: &Extensions) -> Result<Self> {
        let offered: Vec<_> = extensions.parameters("AUTH").map(str::to_ascii_uppercase).collect();
        Self::PREFERRED.into_iter().find(|mechanism| offered.iter().any(|name| name == mechanism.name())).ok_or_else(
            || {
                let what = if offered.is_empty() { "no login".to_owned() } else { offered.join(", ") };
                Error::invalid_state(format!("the server offers {what}; this client knows PLAIN and LOGIN"))
            },
        )
    }

    /// The exchange of this mechanism.
    pub(super) fn start(self, credentials: &Credentials) -> Exchange {
        match self {
            Self::Plain => plain::exchange(credentials),
            Self::Login => login::exchange(credentials),
        }
    }
}

/// What the client says in turn, before Base64: the initial response, if the mechanism begins with one, then an answer
/// to each challenge.
pub(super) struct Exchange {
    pub(super) initial: Option<Zeroizing<Vec<u8>>>,
    pub(super) answers: std::vec::IntoIter<Zeroizing<Vec<u8>>>,
}
