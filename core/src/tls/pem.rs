//! PEM text (RFC 7468). The only file that names the `rustls-pemfile` crate.

use std::io;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::{Error, Result, TlsFault};

/// Whether it looks like PEM text, and not like DER.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, BEGIN).is_some()
}

/// All certificates in `text`, at least one.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    at_least_one("CERTIFICATE", "certificate", text, rustls_pemfile::certs(&mut &*text).collect())
}

/// All lists of revoked certificates in `text`, at least one.
pub(super) fn crls(text: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>> {
    at_least_one("X509 CRL", "list of revoked certificates", text, rustls_pemfile::crls(&mut &*text).collect())
}

/// `found`, unless there is nothing or a part of the text is broken.
fn at_least_one<T>(label: &str, what: &str, text: &[u8], found: io::Result<Vec<T>>) -> Result<Vec<T>> {
    check(text)?;
    let found = found.map_err(|error| configuration(format!("the PEM text cannot be read: {error}")))?;
    if found.is_empty() {
        return Err(configuration(format!("no {what} in the PEM text: expected \"-----BEGIN {label}-----\"")));
    }
    Ok(found)
}

/// The first private key in `text`: PKCS#8, PKCS#1 or SEC 1.
pub(super) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>> {
    check(text)?;
    match rustls_pemfile::private_key(&mut &*text) {
        Ok(Some(key)) => Ok(key),
        Ok(None) if encrypted_key(text)?.is_some() => {
            Err(configuration("the private key is encrypted: decrypt it first"))
        }
        Ok(None) => Err(configuration("no private key in the PEM text: expected \"-----BEGIN PRIVATE KEY-----\"")),
        Err(error) => Err(configuration(format!("the private key's PEM text cannot be read: {error}"))),
    }
}

/// The DER of the first encrypted private key in `text` (RFC 5958 §3), if there is one.
pub(super) fn encrypted_key(text: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
    const LABEL: &str = "ENCRYPTED PRIVATE KEY";
    check(text)?;
    let Some(begins) = line_of(text, LABEL, 0) else { return Ok(None) };
    let digits: Vec<&[u8]> = lines(text).skip(begins).take_while(|line| !line.starts_with(END)).collect();
    let decoded = BASE64_STANDARD.decode(digits.concat());
    decoded.map(|der| Some(der.into())).map_err(|error| configuration(format!("the encrypted private key: {error}")))
}

/// The line on which the section of this label and position begins, from 1.
pub(super) fn line_of(text: &[u8], label: &str, position: usize) -> Option<usize> {
    let begins = |line: &[u8]| label_of(line, BEGIN) == Some(label.as_bytes());
    lines(text).enumerate().filter(|(_, line)| begins(line)).nth(position).map(|(before, _)| before + 1)
}

/// Names the line that is broken, and never what is on it, since it may be a key. `rustls-pemfile` says no lines, and takes
/// text that was cut off for text without the last section.
fn check(text: &[u8]) -> Result<()> {
    broken_line(text).map_or(Ok(()), |(line, why)| {
        Err(configuration(format!("line {line} of the PEM text {why}"))
            .advise("was it copied whole, and unchanged, from the first -----BEGIN to the last -----END?"))
    })
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

/// The first line that PEM text cannot have there, from 1, and what is wrong with it.
fn broken_line(text: &[u8]) -> Option<(usize, &'static str)> {
    /// A section that is open: its label, its first line, its last line with content, and whether padding ended it.
    struct Section<'a> {
        label: &'a [u8],
        begins: usize,
        content: usize,
        digits: usize,
        padded: bool,
    }
    let mut open: Option<Section<'_>> = None;
    for (before, line) in lines(text).enumerate() {
        let number = before + 1;
        match &mut open {
            None if line.starts_with(BEGIN) => match label_of(line, BEGIN) {
                Some(label) => {
                    open = Some(Section { label, begins: number, content: number, digits: 0, padded: false })
                }
                None => return Some((number, "should end with -----")),
            },
            None => {}
            Some(section) if line.starts_with(END) => {
                if label_of(line, END) != Some(section.label) {
                    return Some((number, "ends another section than the one that is open"));
                }
                if section.digits % 4 != 0 {
                    return Some((section.content, "is cut short: this is no whole number of Base64 groups"));
                }
                open = None;
            }
            Some(_) if line.starts_with(BEGIN) => return Some((number, "begins a section inside another one")),
            Some(section) if !line.is_empty() => {
                let digits = line.trim_ascii_end();
                let content = digits.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte));
                let padding = &digits[content.count()..];
                if line.contains(&b':') {
                    return Some((number, "is a header, as an old kind of encrypted key has it: make it PKCS#8"));
                }
                if section.padded || padding.len() > 2 || padding.iter().any(|&byte| byte != b'=') {
                    return Some((number, "is no Base64"));
                }
                section.digits += digits.len();
                (section.content, section.padded) = (number, !padding.is_empty());
            }
            Some(_) => {}
        }
    }
    open.map(|section| (section.begins, "begins a section that never ends"))
}

/// The lines of a text, whichever ends they have.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii)
}

/// The label of a line that begins, or ends, a section.
fn label_of<'a>(line: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(mark)?.strip_suffix(b"-----")
}

/// A private key for other uses than TLS.
pub(crate) struct PrivateKey(PrivateKeyDer<'static>);

impl PrivateKey {
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self> {
        private_key(text).map(Self)
    }

    pub(crate) fn der(&self) -> &[u8] {
        self.0.secret_der()
    }

    /// Whether it is RSA's own form; else it is PKCS#8, or SEC 1.
    pub(crate) fn is_pkcs1(&self) -> bool {
        matches!(self.0, PrivateKeyDer::Pkcs1(_))
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

fn configuration(why: impl Into<String>) -> Error {
    Error::tls(TlsFault::Configuration(why.into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pem() -> String {
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem().replace("\r\n", "\n")
    }

    #[test]
    fn the_line_that_is_broken_is_named() {
        let good = pem();
        let lines: Vec<&str> = good.lines().collect();
        let last = lines.len();
        let with = |at: usize, line: &str| {
            let mut changed = lines.clone();
            changed[at - 1] = line;
            format!("a comment\n{}\n", changed.join("\r\n"))
        };
        for (text, line) in [
            (with(3, "MIIB*"), 4),
            (with(3, "subject=nobody"), 4),
            (with(3, "Ag==AgAA"), 4),
            (with(last, "-----END PRIVATE KEY-----"), last + 1),
            (with(last, ""), 2),
            (with(last, "-----BEGIN CERTIFICATE-----"), last + 1),
            (with(last - 1, "Ag"), last),
            (format!("{good}-----BEGIN CERTIFICATE\nAAAA\n-----END CERTIFICATE-----\n"), last + 1),
            (format!("{good}-----BEGIN CERTIFICATE-----\n"), last + 1),
        ] {
            let Err(error) = certificates(text.as_bytes()) else { panic!("accepted: {text}") };
            assert!(error.to_string().contains(&format!(": line {line} of the PEM text ")), "{error}\n{text}");
        }
        assert_eq!(certificates(with(1, lines[0]).as_bytes()).unwrap().len(), 1);
        assert_eq!(line_of(format!("x\n{good}\n{good}").as_bytes(), "CERTIFICATE", 1), Some(last + 3));
    }

    #[test]
    fn a_broken_key_is_not_shown() {
        let error = private_key(b"-----BEGIN PRIVATE KEY-----\nsecret!\n-----END PRIVATE KEY-----\n").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}
