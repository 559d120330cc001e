//! Whom to believe: the platform, given authorities, TLSA records, pins, or (by a loud name) anybody.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

use super::authorities::Authorities;
use super::check::{Check, Presented, Rejection};
use super::fingerprint::Pins;
use super::revocation::Revocation;
use super::tlsa::{Dane, Tlsa};
use super::{VerifiedBy, fault, platform};
use crate::error::{Cause, Error, Result, TlsFault};

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

/// Who decides about a server's certificate.
#[derive(Debug)]
pub(super) struct Verifier {
    voucher: Voucher,
    pins: Pins,
    revocation: Revocation,
    check: Option<Check>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// TLSA records, if there are any, stand in the place of `trust`.
    pub(super) fn new(
        trust: &Trust,
        records: &[Tlsa],
        pins: &Pins,
        revocation: &Revocation,
        check: Option<&Check>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self> {
        let web_pki = |roots: Arc<RootCertStore>| revocation.verifier(roots, &provider);
        let voucher = match trust {
            _ if !records.is_empty() => Voucher::Records(Dane::new(records)?),
            Trust::Authorities(authorities) => {
                if platform::VERIFIES && authorities.with_platform() && revocation.is_checked() {
                    let why = "this system verifies certificates itself, and takes no lists of revoked ones";
                    return Err(Error::tls(TlsFault::Configuration(why.into()))
                        .advise("give the authorities to trust (ca_file) beside the lists, and not the platform's"));
                }
                Voucher::Authorities {
                    given: authorities.given().cloned().map(web_pki).transpose()?,
                    platform: authorities
                        .with_platform()
                        .then(|| platform::verifier(&provider, web_pki))
                        .transpose()?,
                }
            }
            Trust::Anybody => Voucher::Nobody,
        };
        Ok(Self { voucher, pins: pins.clone(), revocation: revocation.clone(), check: check.cloned(), provider })
    }

    /// Whether servers that are let pass have a pin.
    pub(super) fn is_pinning(&self) -> bool {
        !self.pins.is_empty()
    }

    pub(super) fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }

    /// What makes the server believed; the caller's check has the last word.
    pub(super) fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<VerifiedBy, rustls::Error> {
        let verdict = self.verdict(end_entity, intermediates, name, ocsp_response, now);
        let Some(check) = &self.check else { return verdict };
        let refusal = verdict.as_ref().err().map(|error| fault::from_rustls(error.clone()));
        let presented = Presented {
            chain: std::iter::once(end_entity).chain(intermediates).map(|der| &der[..]).collect(),
            server_name: &name.to_str(),
            ocsp_response: Some(ocsp_response).filter(|response| !response.is_empty()),
            verdict: match (&verdict, &refusal) {
                (Ok(whose), _) => Ok(*whose),
                (Err(_), Some(error)) => Err(error),
                (Err(error), None) => return Err(error.clone()),
            },
        };
        match ((check.closure)(&presented), verdict) {
            // What is refused anyway has its own reason.
            (Err(_), Err(error)) if !check.may_accept => Err(error),
            (Err(rejection), _) => Err(Refused::by(rejection)),
            (Ok(()), Err(_)) if check.may_accept => Ok(VerifiedBy::Check),
            (Ok(()), verdict) => verdict,
        }
    }

    fn verdict(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<VerifiedBy, rustls::Error> {
        let ask = |verifier: &Arc<dyn ServerCertVerifier>| {
            verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        let verified_by = match &self.voucher {
            Voucher::Authorities { given, platform } => match (given.as_ref().map(ask), platform) {
                // Only who does not know the issuer leaves the word to the next.
                (
                    None | Some(Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))),
                    Some(platform),
                ) => ask(platform).map(|_| platform::VOUCHES)?,
                (Some(said), _) => said.map(|_| VerifiedBy::Authorities)?,
                (None, None) => return Err(CertificateError::UnknownIssuer.into()),
            },
            Voucher::Records(records) if records.are_about(end_entity) => VerifiedBy::DaneEe,
            Voucher::Records(records) => {
                let anchors = Arc::new(records.anchors(intermediates, now)?);
                let verifier = self.revocation.verifier(anchors, &self.provider);
                let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
                ask(&verifier).map(|_| VerifiedBy::DaneTa)?
            }
            Voucher::Nobody if self.pins.is_empty() => VerifiedBy::Nobody,
            Voucher::Nobody => VerifiedBy::Pin,
        };
        // Only the server's own certificate: what a server sends beside it need not be part of the trusted path.
        if self.pins.is_empty() || self.pins.include(end_entity) {
            Ok(verified_by)
        } else {
            Err(Refused::because(TlsFault::PinMismatch))
        }
    }
}

/// How a [`Verifier`] tells its own refusals through rustls' error type.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) fault: TlsFault,
    /// What the caller's code has to say of it.
    pub(super) source: Option<Cause>,
}

impl Refused {
    pub(super) fn because(fault: TlsFault) -> rustls::Error {
        Self { fault, source: None }.into()
    }

    fn by(rejection: Rejection) -> rustls::Error {
        Self { fault: TlsFault::RejectedByCheck(rejection.why), source: rejection.source }.into()
    }
}

impl From<Refused> for rustls::Error {
    fn from(refused: Refused) -> Self {
        CertificateError::Other(rustls::OtherError(Arc::new(refused))).into()
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.fault.fmt(f)
    }
}

impl std::error::Error for Refused {}
