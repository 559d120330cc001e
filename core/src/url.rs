//! `smtp://`, `smtps://`, `lmtp://`, `ftp://`, `ftpes://`, `ftps://`: where to connect, and when the connection becomes TLS.
//!
//! | scheme | port | TLS |
//! |---|---|---|
//! | `smtp` | 587 | STARTTLS, required |
//! | `smtps` | 465 | from the first byte |
//! | `lmtp` | 24 | STARTTLS, required |
//! | `ftp`, `ftpes` | 21 | AUTH TLS and PROT P, required |
//! | `ftps` | 990 | from the first byte |
//! | `imap`, `pop3`, `sieve`, `nntp`, `xmpp`, `ldap`, `postgres`, `mysql` … | the protocol's | its [recipe](crate::upgrade), required |
//! | `imaps`, `pop3s`, `nntps`, `xmpps`, `ldaps` … | the protocol's | from the first byte |
//!
//! `?tls=none` is the only way to clear text.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::options::Security;
use crate::transport::Endpoint;
use crate::upgrade::Recipe;

/// The protocol spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Message submission (RFC 6409).
    Smtp,
    /// File transfer (RFC 959, RFC 4217).
    Ftp,
    /// Another, of which the upgrade is known and no more: what a [`Connection`](crate::Connection) is for.
    Other(Recipe),
}

/// A parsed URL. Its `Debug` and `Display` show no password.
///
/// ```
/// use starttls::{Security, url::Url};
/// let url = Url::parse("smtp://ada%40example.org:s3cret@mail.example.org")?;
/// assert_eq!((url.endpoint.host.as_str(), url.endpoint.port), ("mail.example.org", 587));
/// assert_eq!(url.security, Security::Upgrade);
/// assert_eq!(url.user.as_deref(), Some("ada@example.org"));
/// assert_eq!(url.to_string(), "smtp://ada%40example.org@mail.example.org:587");
/// # Ok::<(), starttls::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Url {
    /// The protocol spoken.
    pub protocol: Protocol,
    /// Whether the mail server is spoken to in LMTP (RFC 2033).
    pub lmtp: bool,
    /// When the connection becomes TLS.
    pub security: Security,
    /// Host and port.
    pub endpoint: Endpoint,
    /// The user, percent-decoded.
    pub user: Option<String>,
    /// The password, percent-decoded.
    pub password: Option<Zeroizing<String>>,
    /// The path, percent-decoded, without its first slash: relative to where the login puts us, as RFC 1738 §3.2.2 has
    /// it (`//etc` or `%2Fetc` is absolute). Empty for SMTP. Bytes, since names are.
    pub path: Vec<u8>,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) says which part cannot be used; it does not repeat the
    /// password.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: String| Err(Error::invalid_argument(why));
        let Some((scheme, rest)) = text.split_once("://") else {
            return bad("a URL begins with smtp://, smtps://, lmtp://, ftp://, ftpes:// or ftps://".into());
        };
        let (protocol, mut security, port) = match scheme.to_ascii_lowercase().as_str() {
            "smtp" => (Protocol::Smtp, Security::Upgrade, 587),
            "lmtp" => (Protocol::Smtp, Security::Upgrade, 24),
            "smtps" => (Protocol::Smtp, Security::Implicit, 465),
            "ftp" | "ftpes" => (Protocol::Ftp, Security::Upgrade, 21),
            "ftps" => (Protocol::Ftp, Security::Implicit, 990),
            other => match Recipe::of_scheme(other) {
                Some((recipe, security, port)) => (Protocol::Other(recipe), security, port),
                None => {
                    return bad(format!("{scheme:?} is none of smtp, smtps, lmtp, ftp, ftpes, ftps, imap, imaps, …"));
                }
            },
        };
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        match query {
            None => {}
            Some("tls=none") => security = Security::Plaintext,
            Some(_) => return bad("after ? only tls=none is known".into()),
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, host) = authority.rsplit_once('@').map_or((None, authority), |(c, h)| (Some(c), h));
        let (host, port) = host_and_port(host, port)?;
        let (user, password) = match credentials {
            None => (None, None),
            Some(text) => {
                let (user, password) = text.split_once(':').map_or((text, None), |(u, p)| (u, Some(p)));
                (Some(decode_text("user", user)?), password.map(|p| decode_text("password", p)).transpose()?)
            }
        };
        Ok(Self {
            protocol,
            lmtp: scheme.eq_ignore_ascii_case("lmtp"),
            security,
            endpoint: Endpoint { host, port },
            user: user.filter(|user| !user.is_empty()),
            password: password.map(Zeroizing::new),
            path: decode(path)
                .ok_or_else(|| Error::invalid_argument("a % in the path is not followed by two hexadecimal digits"))?,
        })
    }
}

pub(crate) fn host_and_port(text: &str, default: u16) -> Result<(String, u16)> {
    // Not repeated: before a / or ? that was not encoded, this is the beginning of a password.
    let bad = || {
        let why = "the URL has no host with an optional port from 1 to 65535";
        Error::invalid_argument(why).advise("in a user or password, write / as %2F, ? as %3F and @ as %40")
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(bad)?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or_else(bad)?) };
            (host, port)
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    let port = match port {
        None | Some("") => default,
        Some(digits) if plain(digits) => digits.parse().map_err(|_| bad())?,
        Some(_) => return Err(bad()),
    };
    let clean = !host.is_empty() && !host.chars().any(|c| c.is_whitespace() || c.is_control() || "/\\@".contains(c));
    if clean && port != 0 { Ok((host.to_owned(), port)) } else { Err(bad()) }
}

pub(crate) fn decode_text(what: &str, text: &str) -> Result<String> {
    let bad = || Error::invalid_argument(format!("the {what} in the URL is not percent-encoded UTF-8"));
    String::from_utf8(decode(text).ok_or_else(bad)?).map_err(|_| bad())
}

/// Percent-decoding (RFC 3986 §2.1).
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                (digit(bytes.next())? * 16 + digit(bytes.next())?) as u8
            }
            byte => byte,
        });
    }
    Some(out)
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.protocol, self.security) {
            (Protocol::Smtp, Security::Implicit) => "smtps",
            (Protocol::Smtp, _) if self.lmtp => "lmtp",
            (Protocol::Smtp, _) => "smtp",
            (Protocol::Ftp, Security::Implicit) => "ftps",
            (Protocol::Ftp, _) => "ftp",
            (Protocol::Other(recipe), security) => recipe.scheme(security),
        };
        write!(f, "{scheme}://")?;
        if let Some(user) = &self.user {
            write!(f, "{}@", encode(user.as_bytes()).replace('/', "%2F"))?;
        }
        write!(f, "{}", self.endpoint)?;
        if !self.path.is_empty() {
            write!(f, "/{}", encode(&self.path))?;
        }
        if self.security == Security::Plaintext { f.write_str("?tls=none") } else { Ok(()) }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn schemes_say_port_and_security() {
        for (text, port, security) in [
            ("smtp://h", 587, Security::Upgrade),
            ("SMTPS://h", 465, Security::Implicit),
            ("ftp://h/a", 21, Security::Upgrade),
            ("ftpes://h", 21, Security::Upgrade),
            ("ftps://h:2990/", 2990, Security::Implicit),
            ("ftp://[::1]:2121/x", 2121, Security::Upgrade),
            ("smtp://h:25?tls=none", 25, Security::Plaintext),
            ("imap://h", 143, Security::Upgrade),
            ("IMAPS://h", 993, Security::Implicit),
            ("postgresql://h/base", 5432, Security::Upgrade),
            ("xmpps-server://h", 5270, Security::Implicit),
            ("ldap://h?tls=none", 389, Security::Plaintext),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.endpoint.port, url.security), (port, security), "{text}");
        }
    }

    #[test]
    fn paths_are_bytes() {
        let url = Url::parse("ftp://u@h/%2Fetc/a%20b%FF").unwrap();
        assert_eq!(url.path, b"/etc/a b\xff");
        assert_eq!(url.to_string(), "ftp://u@h:21//etc/a%20b%FF");
    }

    #[test]
    fn nonsense_is_refused_without_the_password() {
        for bad in [
            "h",
            "http://h",
            "smtp://",
            "smtp://h:0",
            "smtp://h:65536",
            "smtp://h:+25",
            "smtp://a b",
            "smtp://[::1",
            "smtp://u:hunter2@h:x",
            "smtp://u:hunter2/x@h",
            "smtp://u:hunter2?x@h",
            "smtp://u:hunter2%zz@h",
            "ftp://h/%4",
            "smtp://h?tls=maybe",
            "smtp://h\r\n",
        ] {
            let error = Url::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
