//! The name that the server's certificate must be for.

use std::fmt;
use std::net::IpAddr;

use crate::error::{Error, Result};

/// A DNS name or an IP address, as certificates are checked against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(rustls::pki_types::ServerName<'static>);

impl ServerName {
    /// Reads a host as people write it: internationalised names become their A-labels (UTS 46, RFC 5891; U+3002 is a
    /// dot), a trailing dot is dropped, `[::1]` loses its brackets and `fe80::1%eth0` its zone, since a certificate
    /// knows neither.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for what is neither name nor address.
    ///
    /// ```
    /// use starttls::tls::ServerName;
    /// assert_eq!(ServerName::parse("Mail.Example.ORG.")?.to_string(), "mail.example.org");
    /// assert_eq!(ServerName::parse("bücher。example")?.to_string(), "xn--bcher-kva.example");
    /// assert_eq!(ServerName::parse("[::1]")?.to_string(), "::1");
    /// # Ok::<(), starttls::Error>(())
    /// ```
    pub fn parse(host: &str) -> Result<Self> {
        let bad = || Error::invalid_argument(format!("{host:?} is no host name and no IP address"));
        let unwrapped = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let address = match unwrapped.split_once('%') {
            Some((address, zone)) if !zone.is_empty() && address.contains(':') => address,
            _ => unwrapped,
        };
        if let Ok(ip) = address.parse::<IpAddr>() {
            return Ok(Self(rustls::pki_types::ServerName::from(ip)));
        }
        let ascii = idna::domain_to_ascii(unwrapped).map_err(|_| bad())?;
        let ascii = ascii.strip_suffix('.').unwrap_or(&ascii).to_owned();
        rustls::pki_types::ServerName::try_from(ascii).map(Self).map_err(|_| bad())
    }

    /// Whether it is an IP address.
    pub(crate) fn is_address(&self) -> bool {
        matches!(self.0, rustls::pki_types::ServerName::IpAddress(_))
    }

    pub(super) fn to_rustls(&self) -> rustls::pki_types::ServerName<'static> {
        self.0.clone()
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn hosts_as_people_write_them() {
        for (host, name) in [
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25]", "fe80::1"),
            ("straße.example", "xn--strae-oqa.example"),
        ] {
            assert_eq!(ServerName::parse(host).unwrap().to_string(), name, "{host}");
        }
        for bad in ["", ".", "a b", "a\r\nb", "[::1", "::g", "-a..b"] {
            assert!(ServerName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
