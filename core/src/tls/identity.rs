//! Who we are: certificates of the client's own, and which of them a server is shown.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};
use zeroize::Zeroizing;

use super::authorities::{naming, read};
use super::pem;
use super::provider::provider;
use crate::error::{Error, Result, TlsFault};

/// A certificate of the client's own, its chain, and its key.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// From PEM text (RFC 7468), or a PKCS#12 file's content (RFC 7292).
    ///
    /// Of PEM text, `certificate` has the chain, its own certificate first, and `key` the private key, PKCS#8, PKCS#1 or
    /// SEC 1; without `key` it is in the same text. A PKCS#12 file has both. `passphrase` opens the file, or the key, if it is
    /// encrypted PKCS#8 (PBES2, RFC 8018).
    ///
    /// # Errors
    /// [`WrongPassphrase`](TlsFault::WrongPassphrase); [`KeyMismatch`](TlsFault::KeyMismatch) if the key does not fit the
    /// certificate; [`Configuration`](TlsFault::Configuration) if there is no certificate or key, or it needs a passphrase
    /// and there is none.
    pub fn new(certificate: &[u8], key: Option<&[u8]>, passphrase: Option<&str>) -> Result<Self> {
        let (chain, key) = if pem::is_pem(certificate) || certificate.first() != Some(&SEQUENCE) {
            (pem::certificates(certificate)?, private_key(key.unwrap_or(certificate), passphrase)?)
        } else if key.is_some() {
            return Err(configuration("a PKCS#12 file has its own key: no other can be given"));
        } else {
            pkcs12(certificate, passphrase)?
        };
        let usable = CertifiedKey::from_der(chain, key, &provider());
        usable.map(|usable| Self(Arc::new(usable))).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Error::tls(TlsFault::KeyMismatch).advise(
                "give the key that the certificate was issued for; the certificate is the first one of the chain",
            ),
            error => configuration(format!("the client's certificate and key cannot be used: {error}")),
        })
    }

    /// The same from files.
    ///
    /// # Errors
    /// As [`Identity::new`]; [`Local`](crate::ErrorKind::Local) if a file cannot be read.
    pub fn from_files(
        certificate: impl AsRef<Path>,
        key: Option<impl AsRef<Path>>,
        passphrase: Option<&str>,
    ) -> Result<Self> {
        let certificate = certificate.as_ref();
        let chain = Zeroizing::new(read(certificate)?);
        let key = key.map(|key| read(key.as_ref()).map(Zeroizing::new)).transpose()?;
        naming(certificate, Self::new(&chain, key.as_ref().map(|key| &key[..]), passphrase))
    }

    /// Whether it can sign so, and one of these authorities issued it, or one of its chain; any, if there are none.
    fn suits(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> bool {
        let issued = |der: &CertificateDer<'_>| {
            X509Certificate::from_der(der).is_ok_and(|(_, one)| authorities.contains(&one.issuer().as_raw()))
        };
        self.0.key.choose_scheme(schemes).is_some() && (authorities.is_empty() || self.0.cert.iter().any(issued))
    }
}

/// Says nothing of the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates, ***)", self.0.cert.len())
    }
}

/// How DER of a PKCS#12 file begins.
const SEQUENCE: u8 = 0x30;

fn private_key(text: &[u8], passphrase: Option<&str>) -> Result<PrivateKeyDer<'static>> {
    let Some(encrypted) = pem::encrypted_key(text)? else { return pem::private_key(text) };
    let passphrase = passphrase.ok_or_else(|| {
        configuration("the private key is encrypted").advise("give its passphrase, or decrypt it first")
    })?;
    let info = EncryptedPrivateKeyInfoRef::try_from(&encrypted[..])
        .map_err(|error| configuration(format!("the encrypted private key cannot be read: {error}")))?;
    match info.decrypt(passphrase) {
        Ok(key) => Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into()),
        // What comes out with a wrong one has no padding, or is no key.
        Err(pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::DecryptFailed) | pkcs8::Error::Asn1(_)) => {
            Err(wrong_passphrase())
        }
        Err(error) => Err(configuration(format!("the private key cannot be decrypted: {error}"))
            .advise("encrypt it as PKCS#8 with PBES2 and AES (openssl pkcs8 -topk8)")),
    }
}

fn pkcs12(data: &[u8], passphrase: Option<&str>) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    use p12_keystore::error::Error as E;
    let store = KeyStore::from_pkcs12(data, passphrase.unwrap_or_default(), Pkcs12ImportPolicy::Strict);
    let store = store.map_err(|error| match error {
        E::MacError(_) | E::UnpadError if passphrase.is_some() => wrong_passphrase(),
        E::MacError(_) | E::UnpadError => {
            configuration("the PKCS#12 file is encrypted").advise("give its passphrase, or make one without")
        }
        error => configuration(format!("the PKCS#12 file cannot be read: {error}"))
            .advise("give a PKCS#12 file, or the certificate and its key in PEM"),
    })?;
    let Some((_, found)) = store.private_key_chain() else {
        return Err(configuration("there is no private key with its certificate in the PKCS#12 file"));
    };
    let chain = found.certs().iter().map(|certificate| certificate.as_der().to_vec().into()).collect();
    Ok((chain, PrivatePkcs8KeyDer::from(found.key().as_der().to_vec()).into()))
}

fn wrong_passphrase() -> Error {
    Error::tls(TlsFault::WrongPassphrase).advise("passphrases differ by case, spaces and line ends")
}

fn configuration(why: impl Into<String>) -> Error {
    Error::tls(TlsFault::Configuration(why.into()))
}

/// The identities of connections that resume each other, and what the server asked for in their last handshake.
#[derive(Debug)]
pub(super) struct Identities {
    all: Vec<Identity>,
    /// The authorities that the server names, if it asked and was shown nothing.
    unanswered: Mutex<Option<Vec<String>>>,
}

impl Identities {
    pub(super) fn new(all: Vec<Identity>) -> Self {
        Self { all, unanswered: Mutex::default() }
    }

    /// A handshake begins, in which nothing was asked for yet.
    pub(super) fn forget(&self) {
        *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The error of a server that asked for a certificate, was shown none, and ended the handshake.
    pub(super) fn insisted(&self) -> Option<Error> {
        /// More than anybody reads.
        const MOST: usize = 5;
        let authorities = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let mut named = authorities.iter().take(MOST).cloned().collect::<Vec<_>>().join("; ");
        if authorities.len() > MOST {
            named.push_str("; …");
        }
        let advice = match (self.all.len(), authorities.is_empty()) {
            (0, true) => "give a client certificate and its key".into(),
            (0, false) => format!("give a client certificate of one of the authorities that the server names: {named}"),
            (_, true) => "the client certificates given cannot sign in a way that the server takes".into(),
            (_, false) => format!("none of those given is of an authority that the server names: {named}"),
        };
        Some(Error::tls(TlsFault::ClientCertificateRequired).advise(advice))
    }
}

impl ResolvesClientCert for Identities {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let shown = self.all.iter().find(|identity| identity.suits(authorities, schemes));
        let name = |der: &&[u8]| X509Name::from_der(der).map_or_else(|_| "?".into(), |(_, name)| name.to_string());
        *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner) =
            shown.is_none().then(|| authorities.iter().map(name).collect());
        shown.map(|identity| identity.0.clone())
    }

    fn has_certs(&self) -> bool {
        !self.all.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use p12_keystore::{Certificate, EncryptionAlgorithm, KeyStoreEntry, PrivateKey, PrivateKeyChain};

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn pkcs12_old_and_new() {
        let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let key = PrivateKey::from_der(&made.signing_key.serialize_der()).unwrap();
        let chain = PrivateKeyChain::new(vec![1; 20], key, [Certificate::from_der(made.cert.der()).unwrap()]);
        let mut store = KeyStore::new();
        store.add_entry("client", KeyStoreEntry::PrivateKeyChain(chain));
        for algorithm in [
            EncryptionAlgorithm::PbeWithHmacSha256AndAes256,
            EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc,
            EncryptionAlgorithm::PbeWithShaAnd40BitRc4Cbc,
        ] {
            let data = store.writer("correct").encryption_algorithm(algorithm).write().unwrap();
            let identity = Identity::new(&data, None, Some("correct")).unwrap();
            assert_eq!(identity.0.cert[0], *made.cert.der());
            let wrong = Identity::new(&data, None, Some("wrong")).unwrap_err();
            assert!(matches!(wrong.kind(), ErrorKind::Tls(TlsFault::WrongPassphrase)), "{wrong}");
            let none = Identity::new(&data, None, None).unwrap_err();
            assert!(none.advice().unwrap().contains("passphrase"), "{none}");
        }
    }
}
