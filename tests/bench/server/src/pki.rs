//! A throwaway certification authority and the server's certificate, made anew at each start.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;

pub(crate) struct Authority {
    /// The CA's certificate, PEM; clients trust it and nothing else.
    pub(crate) ca_file: PathBuf,
    pub(crate) server: Arc<ServerConfig>,
}

/// Writes `ca.pem` into `directory` and returns a configuration for `localhost` and 127.0.0.1
/// signed by it: ECDSA P-256, TLS 1.2 and 1.3, stateless session tickets.
pub(crate) fn create(directory: &Path) -> Result<Authority, Box<dyn Error>> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, "benchmark CA");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_key = KeyPair::generate()?;
    let ca = parameters.self_signed(&ca_key)?;
    let issuer = Issuer::new(parameters, ca_key);

    let mut parameters = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    parameters.distinguished_name.push(DnType::CommonName, "localhost");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let leaf = parameters.signed_by(&key, &issuer)?;

    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der())?)?;
    server.ticketer = ring::Ticketer::new()?;

    std::fs::create_dir_all(directory)?;
    let ca_file = directory.join("ca.pem");
    std::fs::write(&ca_file, ca.pem())?;
    Ok(Authority { ca_file, server: Arc::new(server) })
}
