//! What one session's servers were found to be: the verifier of a session, which remembers.

use std::sync::{Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use super::VerifiedBy;
use super::certificate::sha256;
use super::trust::Verifier;

/// What was found about a server that was let pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Judgement {
    pub(super) verified_by: VerifiedBy,
    /// The OCSP response that came with the certificate.
    pub(super) ocsp_response: Option<Vec<u8>>,
}

/// More certificates than a server has behind one name; the oldest go first.
const MOST: usize = 16;

/// The judge of one session's connections. It remembers, since a resumed connection is not judged again. Signatures are
/// checked whoever vouches, so that the peer has the key of what it shows.
#[derive(Debug)]
pub(super) struct Judge {
    verifier: std::sync::Arc<Verifier>,
    judged: Mutex<Vec<([u8; 32], Judgement)>>,
}

impl Judge {
    pub(super) fn new(verifier: std::sync::Arc<Verifier>) -> Self {
        Self { verifier, judged: Mutex::default() }
    }

    /// What was found about the server of this certificate.
    pub(super) fn judgement(&self, end_entity: &[u8]) -> Judgement {
        let digest = sha256(end_entity);
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.iter().find(|(of, _)| *of == digest).map(|(_, found)| found.clone()).unwrap_or_default()
    }

    /// Whether servers that are let pass have a pin.
    pub(super) fn is_pinning(&self) -> bool {
        self.verifier.is_pinning()
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified_by = self.verifier.verify(end_entity, intermediates, name, ocsp_response, now)?;
        let ocsp_response = Some(ocsp_response.to_vec()).filter(|response| !response.is_empty());
        let digest = sha256(end_entity);
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.retain(|(of, _)| *of != digest);
        if judged.len() == MOST {
            judged.remove(0);
        }
        judged.push((digest, Judgement { verified_by, ocsp_response }));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, self.verifier.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, self.verifier.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.algorithms().supported_schemes()
    }
}
