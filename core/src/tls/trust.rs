//! Whom to believe: the platform, given authorities, TLSA records, pins, or (by a loud name) anybody.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::authorities::Authorities;
use super::fingerprint::Pins;
use super::tlsa::{Dane, Tlsa};
use super::{VerifiedBy, platform};
use crate::error::{Error, Result, TlsFault};

/// Whose word counts.
#[derive(Clone, Debug)]
pub(super) enum Trust {
    /// Authorities'.
    Authorities(Authorities),
    /// Nobody is checked. Only `danger_accept_any_certificate` sets this.
    Anybody,
}

impl Default for Trust {
    fn default() -> Self {
        Self::Authorities(Authorities::default())
    }
}

/// Who vouches for a server's certificate.
#[derive(Debug)]
enum Voucher {
    /// Authorities, to whom a chain leads: those given first, then the platform's.
    Authorities { given: Option<Arc<dyn ServerCertVerifier>>, platform: Option<Arc<dyn ServerCertVerifier>> },
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
    pins: Pins,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// TLSA records, if there are any, stand in the place of `trust`.
    pub(super) fn new(trust: &Trust, records: &[Tlsa], pins: &Pins, provider: &Arc<CryptoProvider>) -> Result<Self> {
        let web_pki = |roots: Arc<RootCertStore>| web_pki(roots, provider);
        let voucher = match trust {
            _ if !records.is_empty() => Voucher::Records(Dane::new(records)?),
            Trust::Authorities(authorities) => Voucher::Authorities {
                given: authorities.given().cloned().map(web_pki).transpose()?,
                platform: authorities.with_platform().then(|| platform::verifier(provider, web_pki)).transpose()?,
            },
            Trust::Anybody => Voucher::Nobody,
        };
        Ok(Self { voucher, pins: pins.clone(), algorithms: provider.signature_verification_algorithms })
    }

    /// How a server that was let pass was verified; its chain has its own certificate first.
    pub(super) fn verified_by(&self, chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> VerifiedBy {
        let Some((end_entity, intermediates)) = chain.split_first() else { return VerifiedBy::Nobody };
        match &self.voucher {
            Voucher::Authorities { given: Some(_), platform: None } => VerifiedBy::Authorities,
            Voucher::Authorities { given: Some(given), .. }
                if given.verify_server_cert(end_entity, intermediates, name, &[], UnixTime::now()).is_ok() =>
            {
                VerifiedBy::Authorities
            }
            Voucher::Authorities { .. } => platform::VOUCHES,
            Voucher::Records(records) => records.verified_by(end_entity),
            Voucher::Nobody if self.pins.is_empty() => VerifiedBy::Nobody,
            Voucher::Nobody => VerifiedBy::Pin,
        }
    }

    /// Whether servers that are let pass have a pin.
    pub(super) fn is_pinning(&self) -> bool {
        !self.pins.is_empty()
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
            Voucher::Authorities { given, platform } => {
                let ask = |voucher: &Arc<dyn ServerCertVerifier>| {
                    voucher.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
                };
                // Only who does not know the issuer leaves the word to the next.
                match (given.as_ref().map(ask), platform) {
                    (
                        None | Some(Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))),
                        Some(platform),
                    ) => ask(platform)?,
                    (Some(said), _) => said?,
                    (None, None) => return Err(CertificateError::UnknownIssuer.into()),
                };
            }
            Voucher::Records(records) => records.verify(end_entity, intermediates, name, now, &self.algorithms)?,
            Voucher::Nobody => {}
        }
        // Only the server's own certificate: what a server sends beside it need not be part of the trusted path.
        if self.pins.is_empty() || self.pins.include(end_entity) {
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
