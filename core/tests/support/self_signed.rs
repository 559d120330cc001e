//! A server's certificate that vouches for itself.

use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;

/// A certificate, its own authority.
pub struct SelfSigned {
    /// A server that shows it.
    pub server: Arc<rustls::ServerConfig>,
    /// The authority to trust.
    pub pem: String,
}

impl SelfSigned {
    /// For these names.
    pub fn new(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let server = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Self { server: Arc::new(server), pem: made.cert.pem() }
    }
}
