//! What a user has to log in with.

use std::fmt;
use std::io;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Mechanism;
use crate::error::{Error, Result};

/// What the user proves to be, and with what. Its `Debug` shows no secret; memory is wiped on drop.
#[derive(Clone)]
pub struct Credentials {
    pub(super) kind: Kind,
    /// The user, or the trace of nobody.
    name: String,
    secret: Token,
    pub(super) authzid: Option<String>,
    pub(super) mechanism: Option<Mechanism>,
}

/// What there is to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Password,
    Token,
    External,
    Anonymous,
}

impl Credentials {
    /// A user name and a password, as they are. For every mechanism that takes a password.
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::new(Kind::Password, user.into(), password.into().into())
    }

    /// A user name and an OAuth 2.0 access token, or where to get one. For OAUTHBEARER and XOAUTH2.
    ///
    /// ```
    /// use starttls::smtp::{Credentials, Token};
    /// let fixed = Credentials::token("ada@example.org", "ya29.a0Af");
    /// let fresh = Credentials::token("ada@example.org", Token::from_fn(|| std::fs::read_to_string("token")));
    /// ```
    pub fn token(user: impl Into<String>, token: impl Into<Token>) -> Self {
        Self::new(Kind::Token, user.into(), token.into())
    }

    /// What the connection proves already: the client certificate of the TLS configuration, as a rule. With no
    /// `authzid` the server derives from it who we are. For EXTERNAL.
    pub fn external(authzid: Option<&str>) -> Self {
        let authzid = authzid.map(str::to_owned);
        Self { authzid, ..Self::new(Kind::External, String::new(), "".into()) }
    }

    /// Nobody in particular. `trace` is for the server's log, a mail address or any other word (RFC 4505 §2); it may be
    /// empty. For ANONYMOUS.
    pub fn anonymous(trace: impl Into<String>) -> Self {
        Self::new(Kind::Anonymous, trace.into(), "".into())
    }

    /// Logs in with this mechanism and no other.
    #[must_use]
    pub fn with_mechanism(mut self, mechanism: Mechanism) -> Self {
        self.mechanism = Some(mechanism);
        self
    }

    /// Acts as somebody else than who the credentials belong to: the authorization identity (RFC 4422 §2). Mechanisms
    /// that cannot say it are not used then.
    #[must_use]
    pub fn with_authzid(mut self, authzid: impl Into<String>) -> Self {
        self.authzid = Some(authzid.into());
        self
    }

    fn new(kind: Kind, name: String, secret: Token) -> Self {
        Self { kind, name, secret, authzid: None, mechanism: None }
    }

    /// The user name; with ANONYMOUS the trace, with EXTERNAL empty.
    pub fn user(&self) -> &str {
        &self.name
    }

    /// Whether there is anything in them that nobody else may know.
    pub(in crate::smtp) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Password | Kind::Token)
    }

    /// The password or the token, which is fetched now. Empty if there is none.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for what no mechanism can carry, in the names too, or would
    /// carry to a server that may cut the word there. [`Local`](crate::ErrorKind::Local) if the token cannot be had.
    pub(in crate::smtp) fn secret(&self) -> Result<Zeroizing<String>> {
        let clean = |what: &str, word: &str| match word.contains(['\r', '\n', '\0']) {
            true => Err(Error::invalid_argument(format!("the {what} contains CR, LF or NUL"))),
            false => Ok(()),
        };
        clean(if self.kind == Kind::Anonymous { "trace" } else { "user name" }, &self.name)?;
        clean("authorization identity", self.authzid.as_deref().unwrap_or_default())?;
        let secret = self.secret.get().map_err(Error::local)?;
        if self.kind != Kind::Token {
            clean("password", &secret)?;
            return Ok(secret);
        }
        let token = secret.trim();
        // RFC 6750 §2.1 allows fewer; what separates the parts of a message is outside.
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid_argument("the token is empty or has characters that no token has"));
        }
        Ok(Zeroizing::new(token.to_owned()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Password | Kind::Token => write!(f, "Credentials({:?}, ***", self.name)?,
            Kind::External => f.write_str("Credentials(external")?,
            Kind::Anonymous => write!(f, "Credentials(anonymous, {:?}", self.name)?,
        }
        if let Some(authzid) = &self.authzid {
            write!(f, ", as {authzid:?}")?;
        }
        match self.mechanism {
            Some(mechanism) => write!(f, ", by {mechanism})"),
            None => f.write_str(")"),
        }
    }
}

/// An OAuth 2.0 access token (RFC 6750), or a function that gets one. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Token(Source);

#[derive(Clone)]
enum Source {
    Fixed(Zeroizing<String>),
    Function(Arc<dyn Fn() -> io::Result<String> + Send + Sync>),
}

impl Token {
    /// Calls `get` at each login, once the server is known to take tokens and before anything about the login is sent.
    /// White space around what it gives is ignored. Its failure is the login's: [`Local`](crate::ErrorKind::Local).
    pub fn from_fn(get: impl Fn() -> io::Result<String> + Send + Sync + 'static) -> Self {
        Self(Source::Function(Arc::new(get)))
    }

    fn get(&self) -> io::Result<Zeroizing<String>> {
        match &self.0 {
            Source::Fixed(text) => Ok(text.clone()),
            Source::Function(get) => get().map(Zeroizing::new),
        }
    }
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        Self(Source::Fixed(Zeroizing::new(token)))
    }
}

impl From<&str> for Token {
    fn from(token: &str) -> Self {
        token.to_owned().into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        let shown = format!(
            "{:?} {:?} {:?} {:?}",
            Credentials::password("ada", "pencil").with_authzid("bob").with_mechanism(Mechanism::Plain),
            Credentials::token("ada", "pencil"),
            Credentials::external(Some("bob")),
            Credentials::anonymous("sirhc"),
        );
        assert_eq!(
            shown,
            "Credentials(\"ada\", ***, as \"bob\", by PLAIN) Credentials(\"ada\", ***) \
             Credentials(external, as \"bob\") Credentials(anonymous, \"sirhc\")"
        );
        assert_eq!(format!("{:?}", Token::from("pencil")), "Token(***)");
    }

    #[test]
    fn tokens() {
        let secret = |token: Token| Credentials::token("ada", token).secret();
        assert_eq!(*secret(" abc.~+/= \n".into()).unwrap(), "abc.~+/=");
        for bad in ["", " ", "a b", "a\x01b", "ä"] {
            assert!(secret(bad.into()).is_err(), "{bad:?}");
        }
        let failing = Token::from_fn(|| Err(io::Error::other("the vault is shut")));
        assert!(secret(failing).unwrap_err().to_string().contains("the vault is shut"));
    }

    #[test]
    fn words_that_no_line_carries() {
        for word in ["a\r", "a\n", "a\0"] {
            for bad in [
                Credentials::password(word, "b"),
                Credentials::password("a", word),
                Credentials::token(word, "b"),
                Credentials::external(Some(word)),
                Credentials::anonymous(word),
                Credentials::password("a", "b").with_authzid(word),
            ] {
                assert!(bad.secret().is_err(), "{bad:?}");
            }
        }
    }
}
