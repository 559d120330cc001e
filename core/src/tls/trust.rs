//! Whom to believe: the platform, given authorities, TLSA records, pins, or (by a loud name) anybody.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::VerifiedBy;
use super::certificate::{sha256, subject_public_key_info};
use super::tlsa::{Dane, Tlsa};
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

/// Who vouches for a server's certificate.
#[derive(Debug)]
enum Voucher {
    /// Authorities, to whom a chain leads.
    Authorities(Arc<dyn ServerCertVerifier>, VerifiedBy),
    /// TLSA records.
    Records(Dane),
    /// Nobody.
    Nobody,
}

/// The judge of a server's certificate. Signatures are checked whoever vouches, so that the peer has the key of what it
/// shows.
#[derive(Debug)]
pub(super) struct Verifier {
    voucher: Voucher,
    /// SHA-256 of SubjectPublicKeyInfo (RFC 7469 §2.4): the server's must be among them, if there are any.
    pins: Vec<[u8; 32]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// TLSA records, if there are any, stand in the place of `trust`.
    pub(super) fn new(
        trust: &Trust,
        records: &[Tlsa],
        pins: &[[u8; 32]],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self> {
        let voucher = match trust {
            _ if !records.is_empty() => Voucher::Records(Dane::new(records)?),
            Trust::Platform => platform(provider)?,
            Trust::Roots(roots) => Voucher::Authorities(web_pki(roots.clone(), provider)?, VerifiedBy::Authorities),
            Trust::Anybody => Voucher::Nobody,
        };
        Ok(Self { voucher, pins: pins.to_vec(), algorithms: provider.signature_verification_algorithms })
    }

    /// How a server that was let pass was verified.
    pub(super) fn verified_by(&self, end_entity: &[u8]) -> VerifiedBy {
        match &self.voucher {
            Voucher::Authorities(_, whose) => *whose,
            Voucher::Records(records) => records.verified_by(end_entity),
            Voucher::Nobody if self.pins.is_empty() => VerifiedBy::Nobody,
            Voucher::Nobody => VerifiedBy::Pin,
        }
    }
}

/// How a [`Verifier`] tells its own refusals through rustls' error type.
#[derive(Debug)]
pub(super) struct Refused(pub(super) TlsFault);

impl Refused {
    pub(super) fn because(fault: TlsFault) -> rustls::Error {
        CertificateError::Other(rustls::OtherError(Arc::new(Self(fault)))).into()
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refused {}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.voucher {
            Voucher::Authorities(chain, _) => {
                chain.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)?;
            }
            Voucher::Records(records) => records.verify(end_entity, intermediates, name, now, &self.algorithms)?,
            Voucher::Nobody => {}
        }
        // Only the server's own key: what a server sends beside it need not be part of the trusted path.
        let pinned = || subject_public_key_info(end_entity).is_some_and(|key| self.pins.contains(&sha256(&key)));
        if self.pins.is_empty() || pinned() {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Refused::because(TlsFault::PinMismatch))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn web_pki(roots: Arc<RootCertStore>, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
    Ok(verifier.map_err(|error| Error::tls(TlsFault::Configuration(error.to_string())))?)
}

/// The platform's verifier: made at the first use, once in a process, since reading the store takes milliseconds.
#[cfg(not(target_family = "wasm"))]
fn platform(provider: &Arc<CryptoProvider>) -> Result<Voucher> {
    static PLATFORM: OnceLock<Result<Arc<dyn ServerCertVerifier>, String>> = OnceLock::new();
    let verifier = PLATFORM.get_or_init(|| {
        let made = rustls_platform_verifier::Verifier::new(provider.clone());
        made.map(|verifier| Arc::new(verifier) as _).map_err(|error| error.to_string())
    });
    match verifier {
        Ok(verifier) => Ok(Voucher::Authorities(verifier.clone(), VerifiedBy::Platform)),
        Err(why) => {
            let why = format!("the platform's certificate store cannot be used: {why}");
            Err(Error::tls(TlsFault::Configuration(why)).advise("name a file of authorities (ca_file)"))
        }
    }
}

#[cfg(target_family = "wasm")]
fn platform(provider: &Arc<CryptoProvider>) -> Result<Voucher> {
    static BUNDLED: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots =
        BUNDLED.get_or_init(|| Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })).clone();
    Ok(Voucher::Authorities(web_pki(roots, provider)?, VerifiedBy::WebPkiRoots))
}
