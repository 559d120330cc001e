//! rustls' errors in our words: each cause its own, with the remedy.

use std::time::{Duration, SystemTime};

use rustls::{AlertDescription, CertificateError, Error as Rustls};

use super::trust::Refused;
use crate::error::{Error, TlsFault};

/// The error for what rustls says.
pub(super) fn from_rustls(error: Rustls) -> Error {
    let fault = match error {
        Rustls::InvalidCertificate(error) => return certificate(error),
        Rustls::AlertReceived(AlertDescription::CertificateRequired) => TlsFault::ClientCertificateRequired,
        Rustls::AlertReceived(AlertDescription::ProtocolVersion) => {
            TlsFault::NothingInCommon("the server refused every TLS version that was offered".into())
        }
        Rustls::AlertReceived(alert) => TlsFault::AlertReceived { code: alert.into(), name: format!("{alert:?}") },
        Rustls::PeerIncompatible(why) => TlsFault::NothingInCommon(format!("{why:?}")),
        Rustls::NoApplicationProtocol => {
            TlsFault::NothingInCommon("the server accepts no protocol that was offered (ALPN)".into())
        }
        Rustls::InvalidCertRevocationList(why) => {
            let why = match why {
                rustls::CertRevocationListError::BadSignature => {
                    "a list that was given is not signed by the authority that it names".to_owned()
                }
                other => format!("a list that was given cannot be used: {other:?}"),
            };
            return Error::tls(TlsFault::RevocationUnknown(why))
                .advise("fetch the latest lists (CRLs) from the authorities themselves");
        }
        Rustls::General(why) => TlsFault::Configuration(why),
        error @ (Rustls::FailedToGetCurrentTime | Rustls::FailedToGetRandomBytes | Rustls::InconsistentKeys(_)) => {
            TlsFault::Configuration(error.to_string())
        }
        error => TlsFault::PeerMisbehaved(error.to_string()),
    };
    let advice = match &fault {
        TlsFault::ClientCertificateRequired => Some("give a client certificate and its key"),
        // Those about certificates (RFC 8446 §6.2): a server has only the client's to speak of.
        TlsFault::AlertReceived { code: 42..=46 | 48, .. } => Some("the server does not take the client certificate"),
        TlsFault::NothingInCommon(_) => Some("the server may be too old, or minimum and maximum version too narrow"),
        _ => None,
    };
    let error = Error::tls(fault);
    match advice {
        Some(advice) => error.advise(advice),
        None => error,
    }
}

fn certificate(error: CertificateError) -> Error {
    use CertificateError as C;
    let fault = match error {
        C::Expired | C::ExpiredContext { .. } => TlsFault::CertificateExpired,
        C::NotValidYet | C::NotValidYetContext { .. } => {
            let error = Error::tls(TlsFault::CertificateNotYetValid);
            return match clock_advice(SystemTime::now()) {
                Some(advice) => error.advise(advice),
                None => error,
            };
        }
        C::UnknownRevocationStatus => {
            return Error::tls(TlsFault::RevocationUnknown("no list given is about a certificate of the chain".into()))
                .advise("give the lists (CRLs) of every authority in the chain, or allow what is unknown");
        }
        C::ExpiredRevocationList | C::ExpiredRevocationListContext { .. } => {
            return Error::tls(TlsFault::RevocationUnknown("a list that was given is out of date".into()))
                .advise("fetch the latest lists (CRLs), or allow what is unknown");
        }
        C::UnknownIssuer => {
            return Error::tls(TlsFault::UnknownIssuer)
                .advise("if the authority is your own, give its certificate (ca_file)");
        }
        C::NotValidForNameContext { expected, presented } => {
            return Error::tls(TlsFault::NameMismatch {
                expected: expected.to_str().into_owned(),
                presented: plain(presented),
            })
            .advise("connect by a name that the certificate carries, or set the server name");
        }
        C::NotValidForName => TlsFault::NameMismatch { expected: "this server".into(), presented: Vec::new() },
        C::Revoked => TlsFault::Revoked,
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => TlsFault::WrongUsage,
        C::Other(other) => match other.0.downcast_ref::<Refused>() {
            Some(Refused { fault, source }) => return Error::tls(fault.clone()).with_source(source.clone()),
            None => TlsFault::BadCertificate(other.to_string()),
        },
        // Where rustls' verifier names a cause that is none of the above, its own word is the best.
        error => TlsFault::BadCertificate(error.to_string()),
    };
    Error::tls(fault)
}

/// What to do about a clock that stands before this was written: at its beginning, where nobody has set it.
fn clock_advice(now: SystemTime) -> Option<String> {
    const WRITTEN: Duration = Duration::from_secs(1_790_000_000);
    (now < SystemTime::UNIX_EPOCH + WRITTEN).then(|| {
        let now = crate::moment::timestamp(now);
        format!("this machine's clock says {now}: set it; in a sandbox, have the host grant a real one (wasi:clocks)")
    })
}

/// `DnsName("a.example")` as `a.example`, `IpAddress(0::1)` as `::1`.
fn plain(presented: Vec<String>) -> Vec<String> {
    let bare = |name: &str| {
        let address = name.strip_prefix("IpAddress(").and_then(|rest| rest.strip_suffix(')'));
        match address {
            Some(address) => Some(address.parse::<std::net::IpAddr>().ok()?.to_string()),
            None => name.split('"').nth(1).map(str::to_owned),
        }
    };
    presented.into_iter().map(|name| bare(&name).unwrap_or(name)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_at_its_beginning() {
        let advice = clock_advice(SystemTime::UNIX_EPOCH + Duration::from_secs(5)).unwrap();
        assert!(advice.contains("1970-01-01T00:00:05Z") && advice.contains("wasi:clocks"), "{advice}");
        assert_eq!(clock_advice(SystemTime::now()), None);
    }
}
