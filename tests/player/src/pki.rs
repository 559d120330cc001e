//! The peer's certificate and TLS configuration.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SignatureAlgorithm,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use starttls::tls::{TlsConfig, Tlsa};
use time::{Duration, OffsetDateTime};

use crate::script::Script;

/// What the server shows for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// All is well.
    Good,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// Signed by an authority that the client does not know.
    UnknownIssuer,
    /// Signed in the name of the known authority, with another key.
    ForgedIssuer,
    /// For another name.
    WrongName,
    /// Not for TLS servers.
    WrongUsage,
    /// All is well, but the server knows no TLS 1.3, and its signature is ECDSA's with SHA-384.
    Tls12,
}

impl Certificate {
    /// Ed25519 as a rule: its signatures all have the same length, so that every handshake is as long as every other, to
    /// the byte.
    fn algorithm(self) -> &'static SignatureAlgorithm {
        if self == Self::Tls12 { &rcgen::PKCS_ECDSA_P384_SHA384 } else { &rcgen::PKCS_ED25519 }
    }

    pub(crate) fn parse(word: &str) -> Result<Self, String> {
        Ok(match word {
            "good" => Self::Good,
            "expired" => Self::Expired,
            "not yet valid" => Self::NotYetValid,
            "unknown issuer" => Self::UnknownIssuer,
            "forged issuer" => Self::ForgedIssuer,
            "wrong name" => Self::WrongName,
            "wrong usage" => Self::WrongUsage,
            "for TLS 1.2" => Self::Tls12,
            _ => return Err(format!("certificate {word:?}")),
        })
    }
}

/// The server's end of TLS.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its configuration.
    pub config: Arc<ServerConfig>,
    /// The configuration of whoever answers on data connections, if that is somebody else.
    pub data_config: Option<Arc<ServerConfig>>,
    /// Its own certificate, in DER.
    pub certificate: Vec<u8>,
}

/// What the peer needs for TLS, and what the client must trust.
#[derive(Clone, Debug)]
pub struct Pki {
    /// The peer's configuration: one version, one cipher suite and one group, so that what is agreed is the same for
    /// every client.
    pub server: Server,
    /// The authority, in PEM.
    pub ca_pem: String,
    /// The TLSA records that the client is given.
    pub tlsa: Vec<String>,
}

impl Pki {
    /// A throwaway authority, and a certificate of the kind wanted for 127.0.0.1 and localhost.
    ///
    /// # Errors
    /// What the libraries say.
    pub fn new(kind: Certificate) -> Result<Self, Box<dyn std::error::Error>> {
        Self::with_records(kind, &[], None, &[])
    }

    /// The same for a script, with its TLSA records. If there are any, the server shows its authority, too.
    ///
    /// # Errors
    /// What the libraries say.
    pub fn of(script: &Script) -> Result<Self, Box<dyn std::error::Error>> {
        Self::with_records(script.certificate, &script.tlsa, script.data_certificate, &script.alpn)
    }

    fn with_records(
        kind: Certificate,
        records: &[String],
        data: Option<Certificate>,
        alpn: &[String],
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let ca = authority("Corpus", kind.algorithm())?;
        let issued = Issued::new(kind, &ca)?;
        let read = starttls::tls::Certificate::from_der;
        let authority = issued.issuer.as_ref().unwrap_or(&ca);
        let words = [
            ("server-key", hex(&read(issued.certificate.der())?.public_key_sha256)),
            ("authority-key", hex(&read(authority.der())?.public_key_sha256)),
            ("authority", hex(authority.der())),
        ];
        let whole = |record: &String| match record.rsplit_once(' ') {
            Some((fields, last)) => match words.iter().find(|(word, _)| *word == last) {
                Some((_, data)) => format!("{fields} {data}"),
                None => record.clone(),
            },
            None => record.clone(),
        };
        let tlsa: Vec<_> = records.iter().map(whole).collect();
        let mut chain = vec![issued.certificate.der().clone()];
        if !tlsa.is_empty() {
            chain.push(authority.der().clone());
        }
        let certificate = issued.certificate.der().to_vec();
        let config = issued.config(chain, alpn)?;
        let data_config = match data {
            None => None,
            Some(kind) => {
                let other = Issued::new(kind, &ca)?;
                let chain = vec![other.certificate.der().clone()];
                Some(other.config(chain, &[])?)
            }
        };
        Ok(Self { server: Server { config, data_config, certificate }, ca_pem: ca.pem(), tlsa })
    }

    /// What the client is to trust.
    ///
    /// # Errors
    /// What the client says of the authority or the records.
    pub fn trust(&self) -> Result<TlsConfig, Box<dyn std::error::Error>> {
        let records = self.tlsa.iter().map(|record| record.parse()).collect::<Result<Vec<Tlsa>, _>>()?;
        Ok(TlsConfig::new().ca_pem(self.ca_pem.as_bytes())?.tlsa(records))
    }

    /// The same certificate with sessions of its own to resume, as a server for one session has it.
    #[must_use]
    pub fn fresh(&self) -> Server {
        let fresh = |config: &Arc<ServerConfig>| {
            let mut config = ServerConfig::clone(config);
            config.session_storage = rustls::server::ServerSessionMemoryCache::new(64);
            Arc::new(config)
        };
        let Server { config, data_config, certificate } = &self.server;
        Server { config: fresh(config), data_config: data_config.as_ref().map(fresh), certificate: certificate.clone() }
    }
}

/// A certificate with its key.
struct Issued {
    kind: Certificate,
    certificate: rcgen::Certificate,
    key: KeyPair,
    /// Who signed it, if that is not the authority that the client knows.
    issuer: Option<CertifiedIssuer<'static, KeyPair>>,
}

impl Issued {
    fn new(kind: Certificate, ca: &CertifiedIssuer<'static, KeyPair>) -> Result<Self, rcgen::Error> {
        let issuer = match kind {
            Certificate::UnknownIssuer => Some(authority("Somebody else", kind.algorithm())?),
            // The known name with another key.
            Certificate::ForgedIssuer => Some(authority("Corpus", kind.algorithm())?),
            _ => None,
        };
        let names: &[&str] =
            if kind == Certificate::WrongName { &["other.example"] } else { &["127.0.0.1", "localhost"] };
        let mut parameters = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        parameters.extended_key_usages = vec![match kind {
            Certificate::WrongUsage => ExtendedKeyUsagePurpose::EmailProtection,
            _ => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        let now = OffsetDateTime::now_utc();
        (parameters.not_before, parameters.not_after) = match kind {
            Certificate::Expired => (now - Duration::days(20), now - Duration::days(10)),
            Certificate::NotYetValid => (now + Duration::days(10), now + Duration::days(20)),
            _ => (now - Duration::days(1), now + Duration::days(10)),
        };
        let key = KeyPair::generate_for(kind.algorithm())?;
        let certificate = parameters.signed_by(&key, issuer.as_ref().unwrap_or(ca))?;
        Ok(Self { kind, certificate, key, issuer })
    }

    /// A server with it: one version, one cipher suite and one group. What it has to say before the client has finished
    /// goes out with its own last words of the handshake (RFC 8446 §4.4.4).
    fn config(&self, chain: Vec<CertificateDer<'static>>, alpn: &[String]) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut provider = ring::default_provider();
        let (suite, version) = match self.kind {
            Certificate::Tls12 => {
                (ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, &rustls::version::TLS12)
            }
            _ => (ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256, &rustls::version::TLS13),
        };
        provider.cipher_suites = vec![suite];
        provider.kx_groups = vec![ring::kx_group::X25519];
        let mut server = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])?
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::Pkcs8(self.key.serialize_der().into()))?;
        server.send_half_rtt_data = true;
        server.alpn_protocols = alpn.iter().map(|name| name.clone().into_bytes()).collect();
        Ok(Arc::new(server))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn authority(
    name: &str,
    algorithm: &'static SignatureAlgorithm,
) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate_for(algorithm)?)
}
