//! Addresses (RFC 5321 §4.1.2).

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// `local-part@domain`, as it stands between the angle brackets of MAIL and RCPT.
///
/// ```
/// use starttls::smtp::Mailbox;
/// assert_eq!("ada@example.org".parse::<Mailbox>()?.domain(), "example.org");
/// assert!("ada@example.org> NOTIFY=NEVER".parse::<Mailbox>().is_err());
/// # Ok::<(), starttls::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    text: String,
    at: usize,
}

impl Mailbox {
    /// What stands before the last `@`.
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// What stands behind the last `@`.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same address with its domain as A-labels (RFC 5890), so that it needs no SMTPUTF8 if its local part does
    /// not.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the domain is no internationalised domain name.
    pub fn with_ascii_domain(&self) -> Result<Self> {
        if self.domain().is_ascii() {
            return Ok(self.clone());
        }
        let domain = idna::domain_to_ascii(self.domain())
            .map_err(|_| Error::invalid_argument(format!("{self}: the domain is no internationalised domain name")))?;
        format!("{}@{domain}", self.local_part()).parse()
    }
}

impl FromStr for Mailbox {
    type Err = Error;

    /// Reads an address as it goes on the wire: a dot-string or quoted string, `@`, and a domain or address literal.
    /// Display names and angle brackets do not belong here.
    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| Err(Error::invalid_argument(format!("{text:?} is no address: {why}")));
        let Some(at) = text.rfind('@') else { return bad("it has no @") };
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if text.chars().any(char::is_control) {
            return bad("it contains a control character");
        }
        if local.len() > 64 * 4 || text.len() > 1024 {
            return bad("it is too long (RFC 5321 §4.5.3.1)");
        }
        let quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
        let local_fits = if quoted { quotes_balance(&local[1..local.len() - 1]) } else { is_dot_string(local) };
        if !local_fits {
            return bad("its local part is neither a dot-string nor a quoted string");
        }
        let literal = domain.starts_with('[') && domain.ends_with(']');
        let inner = if literal { &domain[1..domain.len() - 1] } else { domain };
        if inner.is_empty() || inner.chars().any(|c| c.is_whitespace() || "<>()[]\\,;\"@".contains(c)) {
            return bad("its domain cannot be one");
        }
        Ok(Self { text: text.to_owned(), at })
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_dot_string(local: &str) -> bool {
    // Real mailboxes have leading, trailing and double dots, against the letter of the RFC: the server knows its own.
    !local.is_empty() && !local.chars().any(|c| c.is_whitespace() || "<>()[]\\,;:\"@".contains(c))
}

fn quotes_balance(inner: &str) -> bool {
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return false,
            '\\' if chars.next().is_none() => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["a@b", "a.b+c@example.org", "\"a b\"@c", "\"a\\\"b@c\"@d", "x@[127.0.0.1]", "ü@bücher.example"] {
            assert_eq!(good.parse::<Mailbox>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            "a b@c",
            "a@b c",
            "<a@b>",
            "a@b>",
            "a@b\r\nRSET",
            "a\0@b",
            "\"a\"b\"@c",
            "\"\\\"@c",
            "a@[]",
        ] {
            assert!(bad.parse::<Mailbox>().is_err(), "{bad:?}");
        }
        let idn = "a@bücher.example".parse::<Mailbox>().unwrap();
        assert_eq!(idn.with_ascii_domain().unwrap().as_str(), "a@xn--bcher-kva.example");
    }
}
