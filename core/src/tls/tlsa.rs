//! TLSA records (RFC 6698) that the caller looked up, and validated by DNSSEC, decide whom to believe.

use std::fmt;
use std::str::FromStr;

use ring::digest;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, RootCertStore};

use super::certificate::{Certificate, subject_public_key_info};
use super::trust::Refused;
use crate::error::{Error, Result, TlsFault};

/// A TLSA record (RFC 6698 §2.1), its fields as they are in the DNS.
///
/// Its text is the presentation format, in numbers or in the words of RFC 7218:
///
/// ```
/// use starttls::tls::Tlsa;
/// let record: Tlsa = "3 1 1 0123456789abcdef0123456789abcdef 0123456789abcdef0123456789abcdef".parse()?;
/// assert_eq!((record.usage, record.selector, record.matching, record.data.len()), (3, 1, 1, 32));
/// assert_eq!(record, format!("DANE-EE SPKI SHA2-256 {}", "0123456789ABCDEF".repeat(4)).parse()?);
/// # Ok::<(), starttls::tls::TlsaError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// Certificate usage: 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE.
    pub usage: u8,
    /// What is compared: 0 the whole certificate, 1 its SubjectPublicKeyInfo.
    pub selector: u8,
    /// How: 0 as it is, 1 by its SHA-256, 2 by its SHA-512.
    pub matching: u8,
    /// The association data: DER, or a digest.
    pub data: Vec<u8>,
}

/// The text is no TLSA record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsaError {
    /// Fewer than four fields: usage, selector, matching type, data.
    Incomplete,
    /// A field that is neither a number up to 255 nor a word of RFC 7218.
    Field(String),
    /// The data is no hexadecimal text.
    Data,
}

impl fmt::Display for TlsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete => f.write_str("a TLSA record has a usage, a selector, a matching type and data"),
            Self::Field(word) => write!(f, "{word:?} is no number and no word of a TLSA record"),
            Self::Data => f.write_str("the data of a TLSA record is hexadecimal"),
        }
    }
}

impl std::error::Error for TlsaError {}

impl From<TlsaError> for Error {
    fn from(error: TlsaError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

const DANE_TA: u8 = 2;
const DANE_EE: u8 = 3;
const CERTIFICATE: u8 = 0;
const PUBLIC_KEY: u8 = 1;
const FULL: u8 = 0;
const SHA2_256: u8 = 1;
const SHA2_512: u8 = 2;

impl FromStr for Tlsa {
    type Err = TlsaError;

    fn from_str(text: &str) -> Result<Self, TlsaError> {
        let mut words = text.split_ascii_whitespace();
        let mut field = |names: &[&str]| {
            let word = words.next().ok_or(TlsaError::Incomplete)?;
            // The words stand in the order of their numbers, but for the last, which is private use.
            let named = names.iter().position(|name| name.eq_ignore_ascii_case(word));
            named
                .and_then(|number| u8::try_from(number).ok())
                .or_else(|| word.eq_ignore_ascii_case("PrivCert").then_some(255))
                .or_else(|| word.eq_ignore_ascii_case("PrivSel").then_some(255))
                .or_else(|| word.eq_ignore_ascii_case("PrivMatch").then_some(255))
                .or_else(|| word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().ok()).flatten())
                .ok_or_else(|| TlsaError::Field(word.to_owned()))
        };
        let usage = field(&["PKIX-TA", "PKIX-EE", "DANE-TA", "DANE-EE"])?;
        let selector = field(&["Cert", "SPKI"])?;
        let matching = field(&["Full", "SHA2-256", "SHA2-512"])?;
        // Long data is written in several words (RFC 6698 §2.2).
        let digits: String = words.collect();
        if digits.is_empty() {
            return Err(TlsaError::Incomplete);
        }
        if !digits.len().is_multiple_of(2) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(TlsaError::Data);
        }
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| TlsaError::Data);
        let data = (0..digits.len()).step_by(2).map(byte).collect::<Result<_, _>>()?;
        Ok(Self { usage, selector, matching, data })
    }
}

/// The presentation format, in numbers.
impl fmt::Display for Tlsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.usage, self.selector, self.matching)?;
        self.data.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Tlsa {
    /// Whether it can authenticate a server: DANE-TA or DANE-EE, with data that fits its other fields. PKIX-TA and
    /// PKIX-EE cannot (RFC 7672 §3.1.3): nobody agreed on the authorities beside them.
    pub fn is_usable(&self) -> bool {
        let data_fits = match (self.selector, self.matching) {
            (CERTIFICATE, FULL) => Certificate::from_der(&self.data).is_ok(),
            (PUBLIC_KEY, FULL) => !self.data.is_empty(),
            (CERTIFICATE | PUBLIC_KEY, SHA2_256) => self.data.len() == digest::SHA256_OUTPUT_LEN,
            (CERTIFICATE | PUBLIC_KEY, SHA2_512) => self.data.len() == digest::SHA512_OUTPUT_LEN,
            _ => false,
        };
        matches!(self.usage, DANE_TA | DANE_EE) && data_fits
    }

    /// Whether the record is about this certificate.
    fn matches(&self, certificate: &[u8]) -> bool {
        let key;
        let selected = match self.selector {
            CERTIFICATE => certificate,
            _ => match subject_public_key_info(certificate) {
                Some(found) => {
                    key = found;
                    &key
                }
                None => return false,
            },
        };
        match self.matching {
            FULL => self.data == selected,
            SHA2_256 => self.data == digest::digest(&digest::SHA256, selected).as_ref(),
            _ => self.data == digest::digest(&digest::SHA512, selected).as_ref(),
        }
    }
}

/// The records of a server that count.
#[derive(Debug)]
pub(super) struct Dane(Vec<Tlsa>);

impl Dane {
    /// Those of `records` that are usable and, among digests of the same thing, the strongest (RFC 7671 §9).
    pub(super) fn new(records: &[Tlsa]) -> Result<Self> {
        let usable: Vec<_> = records.iter().filter(|record| record.is_usable()).collect();
        let strongest = |record: &Tlsa| {
            let same = |other: &&&Tlsa| (other.usage, other.selector) == (record.usage, record.selector);
            usable.iter().filter(same).all(|other| other.matching <= record.matching)
        };
        let counting = |record: &&&Tlsa| record.matching == FULL || strongest(record);
        let kept: Vec<_> = usable.iter().filter(counting).map(|&record| record.clone()).collect();
        if kept.is_empty() {
            return Err(Error::tls(TlsFault::TlsaUnusable).advise(
                "usages 2 (DANE-TA) and 3 (DANE-EE) can be used, with a digest as long as its matching type says",
            ));
        }
        Ok(Self(kept))
    }

    fn any(&self, usage: u8, certificate: &[u8]) -> bool {
        self.0.iter().any(|record| record.usage == usage && record.matches(certificate))
    }

    /// DANE-EE: the certificate is the one; its names and its validity do not matter (RFC 7672 §3.1.1).
    pub(super) fn are_about(&self, end_entity: &[u8]) -> bool {
        self.any(DANE_EE, end_entity)
    }

    /// DANE-TA: the authorities that records are about, sent by the server, or whole in a record. A certificate is to be for
    /// the name, and a valid chain is to lead to one of them (RFC 7672 §3.1.2).
    pub(super) fn anchors(&self, sent: &[CertificateDer<'_>], now: UnixTime) -> Result<RootCertStore, rustls::Error> {
        let whole = |record: &&Tlsa| (record.usage, record.selector, record.matching) == (DANE_TA, CERTIFICATE, FULL);
        let in_records = self.0.iter().filter(whole).map(|record| &record.data[..]);
        let in_chain = sent.iter().map(|certificate| &certificate[..]).filter(|der| self.any(DANE_TA, der));
        let (mut anchors, mut outdated) = (RootCertStore::empty(), None);
        for der in in_chain.chain(in_records) {
            // A trust anchor's own validity is not looked at by those who build a path to it.
            match Certificate::from_der(der).map(|certificate| certificate.validity_at(now)) {
                Ok(Ok(())) => anchors.add(CertificateDer::from(der.to_vec()))?,
                Ok(Err(error)) => outdated = Some(error),
                Err(_) => {}
            }
        }
        match (anchors.is_empty(), outdated) {
            (false, _) => Ok(anchors),
            (true, Some(error)) => Err(CertificateError::into(error)),
            (true, None) => Err(Refused::because(TlsFault::TlsaMismatch)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let record: Tlsa = "  2 0\t2 00ff\n AB".parse().unwrap();
        assert_eq!(record, Tlsa { usage: 2, selector: 0, matching: 2, data: vec![0, 0xFF, 0xAB] });
        assert_eq!(record.to_string(), "2 0 2 00ffab");
        assert_eq!("dane-ta cert sha2-512 00ffab".parse(), Ok(record));
        assert_eq!("255 7 9 00".parse::<Tlsa>().unwrap().usage, 255);
        for (bad, why) in [
            ("", TlsaError::Incomplete),
            ("3 1 1", TlsaError::Incomplete),
            ("3 1 1 abc", TlsaError::Data),
            ("3 1 1 0x", TlsaError::Data),
            ("3 1 1 +1", TlsaError::Data),
            ("256 1 1 ab", TlsaError::Field("256".into())),
            ("+3 1 1 ab", TlsaError::Field("+3".into())),
            ("-1 1 1 ab", TlsaError::Field("-1".into())),
            ("DANE 1 1 ab", TlsaError::Field("DANE".into())),
            ("3 1 SHA-256 ab", TlsaError::Field("SHA-256".into())),
        ] {
            assert_eq!(bad.parse::<Tlsa>(), Err(why), "{bad}");
        }
    }

    #[test]
    fn what_counts() {
        let hash = |length: usize| "ab".repeat(length);
        let kept = |records: &[String]| {
            let records: Vec<Tlsa> = records.iter().map(|text| text.parse().unwrap()).collect();
            Dane::new(&records).map(|dane| dane.0.iter().map(|r| (r.usage, r.selector, r.matching)).collect::<Vec<_>>())
        };
        for unusable in [
            format!("0 0 1 {}", hash(32)),
            format!("1 1 1 {}", hash(32)),
            format!("4 1 1 {}", hash(32)),
            format!("3 2 1 {}", hash(32)),
            format!("3 1 3 {}", hash(32)),
            format!("3 1 1 {}", hash(31)),
            format!("3 1 2 {}", hash(32)),
            format!("2 0 0 {}", hash(32)),
        ] {
            let error = kept(std::slice::from_ref(&unusable)).unwrap_err();
            assert!(matches!(error.kind(), crate::ErrorKind::Tls(TlsFault::TlsaUnusable)), "{unusable}: {error}");
        }
        // Of digests of the same thing the strongest alone; what is whole counts always.
        let mixed = [
            format!("1 1 1 {}", hash(32)),
            format!("3 1 1 {}", hash(32)),
            format!("3 1 2 {}", hash(64)),
            format!("3 1 0 {}", hash(5)),
            format!("3 0 1 {}", hash(32)),
            format!("2 1 1 {}", hash(32)),
        ];
        assert_eq!(kept(&mixed).unwrap(), [(3, 1, 2), (3, 1, 0), (3, 0, 1), (2, 1, 1)]);
    }
}
