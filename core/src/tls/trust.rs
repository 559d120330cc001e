//! Whom to believe: the platform, given authorities, pins, or (by a loud name) anybody.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::certificate::subject_public_key_info;
use crate::error::{Error, Result, TlsFault};

/// The authorities that may sign a server's certificate.
#[derive(Clone, Debug, Default)]
pub(super) enum Trust {
    /// The platform's store; the bundled web PKI roots where there is none (wasm).
    #[default]
    Platform,
    /// These and no others.
    Roots(Arc<RootCertStore>),
    /// Nobody is checked. Only `danger_accept_any_certificate` sets this.
    Anybody,
}

/// The verifier for `trust` and `pins`.
pub(super) fn verifier(
    trust: &Trust,
    pins: &[[u8; 32]],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    let chain: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Platform => platform(provider)?,
        Trust::Roots(roots) => WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| Error::tls(TlsFault::Configuration(error.to_string())))?,
        Trust::Anybody => Arc::new(AcceptAny(provider.clone())),
    };
    Ok(if pins.is_empty() { chain } else { Arc::new(Pinned { chain, pins: pins.to_vec() }) })
}

/// The platform's verifier: made at the first use, once in a process, since reading the store takes milliseconds.
#[cfg(not(target_family = "wasm"))]
fn platform(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    static PLATFORM: OnceLock<Result<Arc<dyn ServerCertVerifier>, String>> = OnceLock::new();
    PLATFORM
        .get_or_init(|| {
            let made = rustls_platform_verifier::Verifier::new(provider.clone());
            made.map(|verifier| Arc::new(verifier) as _).map_err(|error| error.to_string())
        })
        .clone()
        .map_err(|why| {
            Error::tls(TlsFault::Configuration(format!("the platform's certificate store cannot be used: {why}")))
                .advise("name a file of authorities (ca_file)")
        })
}

#[cfg(target_family = "wasm")]
fn platform(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    static BUNDLED: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots =
        BUNDLED.get_or_init(|| Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })).clone();
    verifier(&Trust::Roots(roots), &[], provider)
}

/// A chain that is trusted and, besides, carries a key that the caller pinned.
#[derive(Debug)]
struct Pinned {
    chain: Arc<dyn ServerCertVerifier>,
    /// SHA-256 of SubjectPublicKeyInfo (RFC 7469 §2.4).
    pins: Vec<[u8; 32]>,
}

/// How [`Pinned`] tells its own refusal through rustls' error type.
#[derive(Debug)]
pub(super) struct NoPinMatches;

impl std::fmt::Display for NoPinMatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no pin matches")
    }
}

impl std::error::Error for NoPinMatches {}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        // Only the server's own key: what a server sends beside it need not be part of the trusted path.
        let matches = subject_public_key_info(end_entity).is_some_and(|key| self.pins.contains(&sha256(&key)));
        if matches {
            Ok(verified)
        } else {
            Err(CertificateError::Other(rustls::OtherError(Arc::new(NoPinMatches))).into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(hash_provider().hash(bytes).as_ref());
    out
}

/// SHA-256 of the provider that is linked in anyway.
fn hash_provider() -> &'static dyn rustls::crypto::hash::Hash {
    rustls::crypto::ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256
        .tls13()
        .expect("a TLS 1.3 suite")
        .common
        .hash_provider
}

/// Accepts every certificate; signatures are still checked, so that the peer has the key of what it shows.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
