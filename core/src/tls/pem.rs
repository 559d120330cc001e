//! PEM text (RFC 7468). The only file that names the `rustls-pemfile` crate.

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroize as _;

use crate::error::{Error, Result, TlsFault};

/// All certificates in `text`, at least one.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found = rustls_pemfile::certs(&mut &*text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| configuration(format!("the PEM text cannot be read: {error}")))?;
    if found.is_empty() {
        return Err(configuration("no certificate in the PEM text: expected \"-----BEGIN CERTIFICATE-----\""));
    }
    Ok(found)
}

/// The first private key in `text`: PKCS#8, PKCS#1 or SEC 1.
pub(super) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>> {
    match rustls_pemfile::private_key(&mut &*text) {
        Ok(Some(key)) => Ok(key),
        Ok(None) if memchr::memmem::find(text, b"ENCRYPTED PRIVATE KEY").is_some() => {
            Err(configuration("the private key is encrypted: decrypt it first"))
        }
        Ok(None) => Err(configuration("no private key in the PEM text: expected \"-----BEGIN PRIVATE KEY-----\"")),
        Err(error) => Err(configuration(format!("the private key's PEM text cannot be read: {error}"))),
    }
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
