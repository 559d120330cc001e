//! Channel binding: what both ends of one TLS connection know and nobody in between can bring about (RFC 5056).
//!
//! rustls exports keying material from buffered connections only. Its key log is told the exporter secret, so each
//! connection has a key log of its own that makes the one value needed of it, at once, and keeps nothing else.

use std::fmt;
use std::sync::OnceLock;

use ring::{digest, hkdf};
use x509_parser::oid_registry as oid;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;
use zeroize::Zeroizing;

use super::key_log::KeyLog;

/// How a value is tied to the TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChannelBindingType {
    /// Made of the handshake's own secrets (RFC 9266). With TLS 1.3.
    TlsExporter,
    /// The hash of the server's certificate (RFC 5929 §4). With TLS 1.2, where exporters are bound to the connection
    /// only if both ends agreed on an extension.
    TlsServerEndPoint,
}

impl ChannelBindingType {
    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TlsExporter => "tls-exporter",
            Self::TlsServerEndPoint => "tls-server-end-point",
        }
    }
}

impl fmt::Display for ChannelBindingType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value that only the two ends of one TLS connection have in common.
#[derive(Clone)]
pub struct ChannelBinding {
    kind: ChannelBindingType,
    data: Zeroizing<Vec<u8>>,
}

impl ChannelBinding {
    /// The hash of the server's certificate, in DER, with the hash function of its signature, and SHA-256 instead of MD5
    /// and SHA-1. `None` where the signature names no single hash function (Ed25519): then there is no such binding.
    pub(super) fn of_certificate(der: &[u8]) -> Option<Self> {
        let data = digest::digest(certificate_hash(der)?, der).as_ref().to_vec().into();
        Some(Self { kind: ChannelBindingType::TlsServerEndPoint, data })
    }

    /// How it is tied to the connection.
    pub fn kind(&self) -> ChannelBindingType {
        self.kind
    }

    /// The value.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// Shows no value.
impl fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelBinding({}, ***)", self.kind)
    }
}

fn certificate_hash(der: &[u8]) -> Option<&'static digest::Algorithm> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let signature = &certificate.signature_algorithm;
    if let Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) = SignatureAlgorithm::try_from(signature) {
        let hash = parameters.hash_algorithm_oid();
        return [
            (&oid::OID_HASH_SHA1, &digest::SHA256),
            (&oid::OID_NIST_HASH_SHA256, &digest::SHA256),
            (&oid::OID_NIST_HASH_SHA384, &digest::SHA384),
            (&oid::OID_NIST_HASH_SHA512, &digest::SHA512),
        ]
        .into_iter()
        .find_map(|(known, algorithm)| (known == hash).then_some(algorithm));
    }
    [
        (&oid::OID_PKCS1_MD5WITHRSAENC, &digest::SHA256),
        (&oid::OID_PKCS1_SHA1WITHRSA, &digest::SHA256),
        (&oid::OID_PKCS1_SHA256WITHRSA, &digest::SHA256),
        (&oid::OID_PKCS1_SHA384WITHRSA, &digest::SHA384),
        (&oid::OID_PKCS1_SHA512WITHRSA, &digest::SHA512),
        (&oid::OID_SIG_ECDSA_WITH_SHA256, &digest::SHA256),
        (&oid::OID_SIG_ECDSA_WITH_SHA384, &digest::SHA384),
        (&oid::OID_SIG_ECDSA_WITH_SHA512, &digest::SHA512),
    ]
    .into_iter()
    .find_map(|(known, algorithm)| (*known == signature.algorithm).then_some(algorithm))
}

/// The key log of one connection: of all secrets it lets only the exporter's come, and keeps what is derived from it; all
/// others are for the caller's own log, if there is one.
#[derive(Default)]
pub(super) struct Exporter {
    derived: OnceLock<Zeroizing<[u8; 32]>>,
    log: Option<KeyLog>,
}

impl Exporter {
    pub(super) fn with_log(log: Option<KeyLog>) -> Self {
        Self { derived: OnceLock::new(), log }
    }

    /// The binding of a TLS 1.3 connection, once its handshake is over.
    pub(super) fn binding(&self) -> Option<ChannelBinding> {
        let data = self.derived.get()?.to_vec().into();
        Some(ChannelBinding { kind: ChannelBindingType::TlsExporter, data })
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exporter(***)")
    }
}

const EXPORTER_SECRET: &str = "EXPORTER_SECRET";

impl rustls::KeyLog for Exporter {
    fn will_log(&self, label: &str) -> bool {
        label == EXPORTER_SECRET || self.log.is_some()
    }

    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if let Some(log) = &self.log {
            log.log(label, client_random, secret);
        }
        if label == EXPORTER_SECRET
            && let Some(data) = export(secret, b"EXPORTER-Channel-Binding")
        {
            let _ = self.derived.set(data);
        }
    }
}

/// `TLS-Exporter(label, "", 32)` (RFC 8446 §7.5). The secret is as long as the hash of the cipher suite.
fn export(secret: &[u8], label: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let (algorithm, hash) = match secret.len() {
        32 => (hkdf::HKDF_SHA256, &digest::SHA256),
        48 => (hkdf::HKDF_SHA384, &digest::SHA384),
        _ => return None,
    };
    let empty = digest::digest(hash, b"");
    let mut derived = Zeroizing::new(vec![0; hash.output_len()]);
    expand_label(&hkdf::Prk::new_less_safe(algorithm, secret), label, empty.as_ref(), &mut derived)?;
    let mut exported = Zeroizing::new([0; 32]);
    expand_label(&hkdf::Prk::new_less_safe(algorithm, &derived), b"exporter", empty.as_ref(), exported.as_mut())?;
    Some(exported)
}

/// `HKDF-Expand-Label` (RFC 8446 §7.1).
fn expand_label(secret: &hkdf::Prk, label: &[u8], context: &[u8], out: &mut [u8]) -> Option<()> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_length = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let context_length = [u8::try_from(context.len()).ok()?];
    let info = [&length[..], &label_length, PREFIX, label, &context_length, context];
    secret.expand(&info, Length(out.len())).ok()?.fill(out).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rustls::KeyLog as _;

    use super::*;

    fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        rcgen::CertificateParams::new(["mail.test".to_owned()]).unwrap().self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_signature_names_the_hash() {
        for (algorithm, hash) in
            [(&rcgen::PKCS_ECDSA_P256_SHA256, &digest::SHA256), (&rcgen::PKCS_ECDSA_P384_SHA384, &digest::SHA384)]
        {
            let der = certificate(algorithm);
            let binding = ChannelBinding::of_certificate(&der).unwrap();
            assert_eq!(binding.kind(), ChannelBindingType::TlsServerEndPoint);
            assert_eq!(binding.data(), digest::digest(hash, &der).as_ref());
        }
        assert!(ChannelBinding::of_certificate(&certificate(&rcgen::PKCS_ED25519)).is_none());
        assert!(ChannelBinding::of_certificate(b"nonsense").is_none());
    }

    #[test]
    fn only_the_exporter_is_heard_and_nothing_is_shown() {
        let exporter = Exporter::default();
        assert!(!exporter.will_log("CLIENT_TRAFFIC_SECRET_0") && !exporter.will_log("CLIENT_RANDOM"));
        exporter.log("CLIENT_RANDOM", b"", &[1; 48]);
        assert!(exporter.binding().is_none());
        exporter.log(EXPORTER_SECRET, b"", &[1; 48]);
        let binding = exporter.binding().unwrap();
        assert_eq!((binding.kind(), binding.data().len()), (ChannelBindingType::TlsExporter, 32));
        assert_eq!(format!("{exporter:?} {binding:?}"), "Exporter(***) ChannelBinding(tls-exporter, ***)");
    }
}
