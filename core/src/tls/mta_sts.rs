//! MTA-STS policies (RFC 8461) that the caller fetched.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{ServerName, TlsConfig};
use crate::error::{Error, Result, TlsFault};

/// What a policy asks of those who send (RFC 8461 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MtaStsMode {
    /// No delivery against the policy.
    Enforce,
    /// Delivery goes on, and a violation is reported.
    Testing,
    /// There is no policy any more.
    None,
}

impl MtaStsMode {
    /// The word in the policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

/// An MTA-STS policy (RFC 8461 §3.2): which hosts take a domain's mail, under TLS that authorities vouch for.
///
/// It is the text that the caller fetched from `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`; how long it may be kept
/// is the caller's to mind, too ([`MtaSts::max_age`]).
///
/// ```
/// use starttls::tls::{MtaSts, MtaStsMode};
/// let policy: MtaSts = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmx: *.example.net\nmax_age: 86400\n".parse()?;
/// assert_eq!(policy.mode(), MtaStsMode::Enforce);
/// assert!(policy.allows("a.example.net") && !policy.allows("a.b.example.net"));
/// # Ok::<(), starttls::tls::MtaStsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MtaSts {
    mode: MtaStsMode,
    max_age: Duration,
    mx: Vec<Pattern>,
}

/// A host, or, after `*.`, any host one label below it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    wildcard: bool,
    domain: String,
}

/// What a connection is to a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MtaStsVerdict {
    /// The host is one of the policy's, and an authority vouches for its certificate.
    Satisfied,
    /// It is not so, and the policy is in testing: delivery went on.
    Violated,
}

impl MtaStsVerdict {
    /// The verdict in one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Satisfied => "satisfied",
            Self::Violated => "violated",
        }
    }
}

/// The text is no MTA-STS policy: to the sender there is none then (RFC 8461 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MtaStsError {
    /// More than 64 KiB.
    TooLarge,
    /// A line that is no `key: value`; its number, from 1.
    Line(usize),
    /// A key that must be there is not: `version`, `mode`, `max_age`, or, unless the mode is `none`, `mx`.
    Missing(&'static str),
    /// A version other than `STSv1`.
    Version(String),
    /// A mode other than `enforce`, `testing` and `none`.
    Mode(String),
    /// `mx` is no host name, nor `*.` and a domain.
    Mx(String),
    /// `max_age` is no number of at most ten digits.
    MaxAge(String),
}

impl fmt::Display for MtaStsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no MTA-STS policy: ")?;
        match self {
            Self::TooLarge => f.write_str("it is larger than 64 KiB"),
            Self::Line(number) => write!(f, "line {number} is no \"key: value\""),
            Self::Missing(key) => write!(f, "it has no {key}"),
            Self::Version(value) => write!(f, "version {value:?} is not STSv1"),
            Self::Mode(value) => write!(f, "{value:?} is no mode"),
            Self::Mx(value) => write!(f, "mx {value:?} is no host"),
            Self::MaxAge(value) => write!(f, "max_age {value:?} is no number of seconds"),
        }
    }
}

impl std::error::Error for MtaStsError {}

impl From<MtaStsError> for Error {
    fn from(error: MtaStsError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

/// RFC 8461 §3.3 proposes this limit.
const LARGEST: usize = 64 * 1024;

/// About a year: the longest that a policy may be kept (RFC 8461 §3.2).
const LONGEST: Duration = Duration::from_secs(31_557_600);

impl FromStr for MtaSts {
    type Err = MtaStsError;

    fn from_str(text: &str) -> Result<Self, MtaStsError> {
        if text.len() > LARGEST {
            return Err(MtaStsError::TooLarge);
        }
        let (mut version, mut mode, mut max_age, mut mx) = (None, None, None, Vec::new());
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_end_matches([' ', '\t']);
            if line.is_empty() {
                continue;
            }
            let (key, value) = line.split_once(':').ok_or(MtaStsError::Line(at + 1))?;
            let value = value.trim_start_matches([' ', '\t']);
            if !is_key(key) || value.is_empty() || value.contains(char::is_control) {
                return Err(MtaStsError::Line(at + 1));
            }
            // Of a key that stands twice the first counts, but for mx; keys of the future are passed over.
            match key {
                "version" => drop(version.get_or_insert(value)),
                "mode" => drop(mode.get_or_insert(value)),
                "max_age" => drop(max_age.get_or_insert(value)),
                "mx" => mx.push(Pattern::parse(value)?),
                _ => {}
            }
        }
        match version.ok_or(MtaStsError::Missing("version"))? {
            "STSv1" => {}
            other => return Err(MtaStsError::Version(other.to_owned())),
        }
        let mode = match mode.ok_or(MtaStsError::Missing("mode"))? {
            "enforce" => MtaStsMode::Enforce,
            "testing" => MtaStsMode::Testing,
            "none" => MtaStsMode::None,
            other => return Err(MtaStsError::Mode(other.to_owned())),
        };
        let max_age = max_age.ok_or(MtaStsError::Missing("max_age"))?;
        let digits = max_age.len() <= 10 && max_age.bytes().all(|b| b.is_ascii_digit());
        let seconds = max_age.parse().ok().filter(|_| digits);
        let seconds = seconds.ok_or_else(|| MtaStsError::MaxAge(max_age.to_owned()))?;
        if mx.is_empty() && mode != MtaStsMode::None {
            return Err(MtaStsError::Missing("mx"));
        }
        Ok(Self { mode, max_age: Duration::from_secs(seconds).min(LONGEST), mx })
    }
}

/// RFC 8461 §3.2, sts-policy-ext-name.
fn is_key(key: &str) -> bool {
    let mut bytes = key.bytes();
    key.len() <= 32
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, MtaStsError> {
        let bad = || MtaStsError::Mx(text.to_owned());
        let (wildcard, domain) = text.strip_prefix("*.").map_or((false, text), |domain| (true, domain));
        let name = ServerName::parse(domain).map_err(|_| bad())?;
        if name.is_address() { Err(bad()) } else { Ok(Self { wildcard, domain: name.to_string() }) }
    }

    fn matches(&self, host: &str) -> bool {
        match host.split_once('.') {
            Some((_, domain)) if self.wildcard => domain == self.domain,
            _ => !self.wildcard && host == self.domain,
        }
    }
}

impl MtaSts {
    /// What it asks.
    pub fn mode(&self) -> MtaStsMode {
        self.mode
    }

    /// How long it may be kept from when it was fetched; at most a year.
    pub fn max_age(&self) -> Duration {
        self.max_age
    }

    /// Whether a pattern of the policy matches this host (RFC 8461 §4.1), whatever the mode. A wildcard stands for one
    /// label, the left-most.
    pub fn allows(&self, host: &str) -> bool {
        ServerName::parse(host).is_ok_and(|name| !name.is_address() && self.lists(&name.to_string()))
    }

    fn lists(&self, host: &str) -> bool {
        self.mx.iter().any(|pattern| pattern.matches(host))
    }

    /// The verdict on a connection that is about to be made to `host`, before it is made. `None`: nothing is asked.
    ///
    /// In testing, a host that is not listed is a [`MtaStsVerdict::Violated`] and delivery goes on. That is all it means
    /// here: TLS and a certificate that authorities vouch for are never given up.
    pub(super) fn judge(&self, host: &ServerName, tls: &TlsConfig) -> Result<Option<MtaStsVerdict>> {
        let violation = if host.is_address() || !self.lists(&host.to_string()) {
            Some(format!("{host} is none of its hosts"))
        } else if tls.accepts_any_certificate() {
            Some("it wants a certificate that an authority vouches for, and any is accepted".to_owned())
        } else {
            None
        };
        match (self.mode, violation) {
            (MtaStsMode::None, _) => Ok(None),
            (_, None) => Ok(Some(MtaStsVerdict::Satisfied)),
            (MtaStsMode::Testing, Some(_)) => Ok(Some(MtaStsVerdict::Violated)),
            (MtaStsMode::Enforce, Some(why)) => Err(Error::tls(TlsFault::MtaStsViolation(why))
                .advise("is this one of the domain's MX hosts, and the policy the domain's latest?")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GOOD: &str =
        "version: STSv1\r\nmode: testing\r\nmx: Mail.Example.COM\r\nmx:*.example.net\r\nmax_age: 604800\r\n";

    #[test]
    fn policies() {
        let policy: MtaSts = GOOD.parse().unwrap();
        assert_eq!((policy.mode(), policy.max_age()), (MtaStsMode::Testing, Duration::from_secs(604_800)));
        // Line ends, white space, order, and keys nobody knows yet do not matter; the first of two counts.
        let other = "\nmax_age:604800 \t\nx-new.key: a:b\nmode:\ttesting\nmode: enforce\nmx: mail.example.com\nmx: *.EXAMPLE.net\nversion: STSv1";
        assert_eq!(other.parse(), Ok(policy));
        let gone: MtaSts = "version: STSv1\nmode: none\nmax_age: 9999999999\n".parse().unwrap();
        assert_eq!((gone.mode(), gone.max_age()), (MtaStsMode::None, LONGEST));
    }

    #[test]
    fn broken_policies() {
        use MtaStsError as E;
        let without = |key: &str| GOOD.lines().filter(|line| !line.starts_with(key)).collect::<Vec<_>>().join("\n");
        let with = |from: &str, to: &str| GOOD.replace(from, to);
        for (text, why) in [
            (String::new(), E::Missing("version")),
            (without("version"), E::Missing("version")),
            (without("mode"), E::Missing("mode")),
            (without("mx"), E::Missing("mx")),
            (without("max_age"), E::Missing("max_age")),
            (with("STSv1", "STSv2"), E::Version("STSv2".into())),
            (with("STSv1", "stsv1"), E::Version("stsv1".into())),
            (with("testing", "Enforce"), E::Mode("Enforce".into())),
            (with("604800", "-1"), E::MaxAge("-1".into())),
            (with("604800", "+1"), E::MaxAge("+1".into())),
            (with("604800", "1d"), E::MaxAge("1d".into())),
            (with("604800", "00000000001"), E::MaxAge("00000000001".into())),
            (with("*.example.net", "*.*.example.net"), E::Mx("*.*.example.net".into())),
            (with("*.example.net", "a*.example.net"), E::Mx("a*.example.net".into())),
            (with("*.example.net", "192.0.2.1"), E::Mx("192.0.2.1".into())),
            (with("*.example.net", "*"), E::Mx("*".into())),
            (with("*.example.net", "a@b"), E::Mx("a@b".into())),
            (with("mx:*.example.net", "mx"), E::Line(4)),
            (with("mx:*.example.net", "mx:"), E::Line(4)),
            (with("mx:*.example.net", " mx: a"), E::Line(4)),
            (with("mx:*.example.net", "mx: a\0b"), E::Line(4)),
            ("<html>404</html>".into(), E::Line(1)),
            ("x".repeat(LARGEST + 1), E::TooLarge),
        ] {
            assert_eq!(text.parse::<MtaSts>(), Err(why), "{text}");
        }
    }

    #[test]
    fn hosts() {
        let policy: MtaSts = GOOD.parse().unwrap();
        for (host, allowed) in [
            ("mail.example.com", true),
            ("MAIL.example.com.", true),
            ("x.mail.example.com", false),
            ("example.com", false),
            ("a.example.net", true),
            ("a.b.example.net", false),
            ("example.net", false),
            (".example.net", false),
            ("*.example.net", false),
            ("192.0.2.1", false),
            ("", false),
        ] {
            assert_eq!(policy.allows(host), allowed, "{host}");
        }
    }
}
