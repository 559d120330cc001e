//! What a certificate says, for people and probes. Trust is decided elsewhere.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

/// The readable facts of one X.509 certificate (RFC 5280).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// The subject's distinguished name.
    pub subject: String,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// DNS names and IP addresses of subjectAltName.
    pub names: Vec<String>,
    /// Valid from.
    pub not_before: SystemTime,
    /// Valid until.
    pub not_after: SystemTime,
    /// The serial number in hexadecimal.
    pub serial: String,
    /// SHA-256 of its SubjectPublicKeyInfo: what a pin is made of (RFC 7469 §2.4).
    pub public_key_sha256: [u8; 32],
}

/// The bytes are no X.509 certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateError;

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no X.509 certificate")
    }
}

impl std::error::Error for CertificateError {}

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// [`CertificateError`] if it is none.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError)?;
        let names = certificate
            .extensions()
            .iter()
            .filter_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => Some(names.general_names.iter()),
                _ => None,
            })
            .flatten()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                GeneralName::IPAddress(bytes) => address(bytes),
                _ => None,
            })
            .collect();
        Ok(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names,
            not_before: time(certificate.validity().not_before.timestamp()),
            not_after: time(certificate.validity().not_after.timestamp()),
            serial: certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
            public_key_sha256: sha256(certificate.tbs_certificate.subject_pki.raw),
        })
    }

    /// Whether it is valid at this moment; if not, what rustls says of such a certificate.
    pub(super) fn validity_at(&self, now: UnixTime) -> Result<(), rustls::CertificateError> {
        let now = UNIX_EPOCH + Duration::from_secs(now.as_secs());
        if now < self.not_before {
            return Err(rustls::CertificateError::NotValidYet);
        }
        if now > self.not_after { Err(rustls::CertificateError::Expired) } else { Ok(()) }
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string())
}

fn time(seconds: i64) -> SystemTime {
    // A certificate that is valid since before 1970 is as good as valid since then.
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// The SHA-256 input of a pin: the DER of the certificate's SubjectPublicKeyInfo (RFC 7469 §2.4).
pub(super) fn subject_public_key_info(der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate.subject_pki.raw.to_vec())
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    out
}
