//! The authorities of the platform this runs on.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;

use super::VerifiedBy;
use crate::error::{Error, Result, TlsFault};

/// Whose authorities they are.
pub(super) const VOUCHES: VerifiedBy =
    if cfg!(target_family = "wasm") { VerifiedBy::WebPkiRoots } else { VerifiedBy::Platform };

/// Whether the system verifies by itself, and cannot be told of revoked certificates.
pub(super) const VERIFIES: bool = cfg!(any(windows, target_vendor = "apple", target_os = "android"));

/// The platform's verifier, which is its own, or what `web_pki` makes of its authorities. They are read at the first use,
/// once in a process, since that takes milliseconds.
pub(super) fn verifier(
    provider: &Arc<CryptoProvider>,
    web_pki: impl FnOnce(Arc<RootCertStore>) -> Result<Arc<dyn ServerCertVerifier>>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    store::verifier(provider, web_pki)
}

fn none(why: &str) -> Error {
    Error::tls(TlsFault::NoAuthorities(why.to_owned()))
        .advise("install the system's authorities (ca-certificates), or give those to trust (ca_file)")
}

/// On Windows, Apple's systems and Android the system verifies, with the store that its users and administrators keep.
#[cfg(any(windows, target_vendor = "apple", target_os = "android"))]
mod store {
    use std::sync::OnceLock;

    use super::*;

    pub(super) fn verifier(
        provider: &Arc<CryptoProvider>,
        _: impl FnOnce(Arc<RootCertStore>) -> Result<Arc<dyn ServerCertVerifier>>,
    ) -> Result<Arc<dyn ServerCertVerifier>> {
        static SYSTEM: OnceLock<Result<Arc<dyn ServerCertVerifier>, String>> = OnceLock::new();
        let made = SYSTEM.get_or_init(|| {
            let made = rustls_platform_verifier::Verifier::new(provider.clone());
            made.map(|verifier| Arc::new(verifier) as _).map_err(|error| error.to_string())
        });
        made.clone().map_err(|why| none(&why))
    }
}

/// On other systems the store is a file or a folder; the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name another. In
/// wasm there is no store, and the web PKI's roots are bundled.
#[cfg(not(any(windows, target_vendor = "apple", target_os = "android")))]
mod store {
    use std::sync::OnceLock;

    use super::*;

    pub(super) fn verifier(
        _: &Arc<CryptoProvider>,
        web_pki: impl FnOnce(Arc<RootCertStore>) -> Result<Arc<dyn ServerCertVerifier>>,
    ) -> Result<Arc<dyn ServerCertVerifier>> {
        static ROOTS: OnceLock<Result<Arc<RootCertStore>, String>> = OnceLock::new();
        let roots = ROOTS.get_or_init(|| read().map(Arc::new));
        web_pki(roots.clone().map_err(|why| none(&why))?)
    }

    #[cfg(not(target_family = "wasm"))]
    fn read() -> Result<RootCertStore, String> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Stores have authorities that nobody here can use, and are not ours to mend.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
            return Err(format!("the platform's certificate store is empty{why}"));
        }
        Ok(roots)
    }

    #[cfg(target_family = "wasm")]
    fn read() -> Result<RootCertStore, String> {
        Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }
}
