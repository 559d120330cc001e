//! SHA-256 of a key or a certificate, as people write it.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine as _};

use super::certificate::sha256;
use super::certificate::subject_public_key_info;
use crate::error::Error;

/// A SHA-256 digest of a certificate or of its key: what a pin is.
///
/// ```
/// use starttls::tls::Fingerprint;
/// let key: Fingerprint = "sha256//GtAALQ4hCT0ScPZfc5hDIyLf0DSP0RajJk05zhfiSOQ=".parse()?;
/// assert_eq!(key.to_string(), "1ad0002d0e21093d1270f65f7398432322dfd0348fd116a3264d39ce17e248e4");
/// assert_eq!("1A:D0:00:2D:0E:21:09:3D:12:70:F6:5F:73:98:43:23:22:DF:D0:34:8F:D1:16:A3:26:4D:39:CE:17:E2:48:E4".parse(), Ok(key));
/// # Ok::<(), starttls::tls::FingerprintError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// The text is no SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FingerprintError;

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SHA-256 digest is 64 hexadecimal digits, with colons or without, or 44 characters of Base64")
    }
}

impl std::error::Error for FingerprintError {}

impl From<FingerprintError> for Error {
    fn from(error: FingerprintError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

/// Hexadecimal, with colons or without, or Base64, which may stand behind `sha256//` or `sha256/`.
impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let text = text.strip_prefix("sha256//").or_else(|| text.strip_prefix("sha256/")).unwrap_or(text);
        let bytes = hexadecimal(text)
            .or_else(|| BASE64_STANDARD.decode(text).or_else(|_| BASE64_STANDARD_NO_PAD.decode(text)).ok());
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(FingerprintError)
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = match text.contains(':') {
        true if text.split(':').all(|pair| pair.len() == 2) => text.bytes().filter(|&byte| byte != b':').collect(),
        true => return None,
        false => text.bytes().collect(),
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = digits.chunks_exact(2);
    if digits.len() != 64 {
        return None;
    }
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Hexadecimal, in lower case.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What the server's own certificate must have, besides being believed: any of these.
#[derive(Clone, Debug, Default)]
pub(super) struct Pins {
    /// Of the SubjectPublicKeyInfo (RFC 7469 §2.4).
    pub(super) keys: Vec<[u8; 32]>,
    /// Of the whole certificate.
    pub(super) certificates: Vec<[u8; 32]>,
}

impl Pins {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.certificates.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len() + self.certificates.len()
    }

    /// Whether one of them is of this certificate, in DER.
    pub(super) fn include(&self, der: &[u8]) -> bool {
        self.certificates.contains(&sha256(der))
            || subject_public_key_info(der).is_some_and(|key| self.keys.contains(&sha256(&key)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        let bytes = [0xABu8; 32];
        for text in [
            "ab".repeat(32),
            "AB".repeat(32),
            vec!["aB"; 32].join(":"),
            BASE64_STANDARD.encode(bytes),
            BASE64_STANDARD_NO_PAD.encode(bytes),
            format!("sha256//{}", BASE64_STANDARD.encode(bytes)),
            format!("sha256/{}", "ab".repeat(32)),
        ] {
            assert_eq!(text.parse::<Fingerprint>().unwrap().0, bytes, "{text}");
        }
        for bad in
            ["", "ab", "q6ur", &"ag".repeat(32), &"ab".repeat(33), &vec!["ab"; 31].join(":"), &["a:b"; 32].concat()]
        {
            assert_eq!(bad.parse::<Fingerprint>(), Err(FingerprintError), "{bad}");
        }
    }
}
