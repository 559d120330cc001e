//! Lists of revoked certificates (RFC 5280 §5) that the caller gives.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateRevocationListDer;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::authorities::in_file;
use super::pem;
use crate::error::{Error, Result, TlsFault};

/// What is known of revoked certificates.
#[derive(Clone, Debug, Default)]
pub(super) struct Revocation {
    lists: Vec<CertificateRevocationListDer<'static>>,
    allow_unknown: bool,
}

impl Revocation {
    pub(super) fn is_checked(&self) -> bool {
        !self.lists.is_empty()
    }

    pub(super) fn allow_unknown(&mut self) {
        self.allow_unknown = true;
    }

    /// Adds the lists in PEM text, or one in DER.
    pub(super) fn add_data(&mut self, data: &[u8]) -> Result<()> {
        let lists = if pem::is_pem(data) { pem::crls(data)? } else { vec![data.to_vec().into()] };
        if !lists.iter().all(|list| CertificateRevocationList::from_der(list).is_ok()) {
            let why = "this is no list of revoked certificates (CRL)";
            return Err(Error::tls(TlsFault::Configuration(why.into())).advise("give a CRL, in PEM or in DER"));
        }
        self.lists.extend(lists);
        Ok(())
    }

    pub(super) fn add_file(&mut self, path: &Path) -> Result<()> {
        in_file(path, |data| self.add_data(data))
    }

    /// Who builds a chain to these authorities, and looks for its certificates in the lists.
    pub(super) fn verifier(
        &self,
        roots: Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>> {
        let builder =
            WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).with_crls(self.lists.iter().cloned());
        let builder = if self.allow_unknown {
            builder.allow_unknown_revocation_status()
        } else {
            builder.enforce_revocation_expiration()
        };
        Ok(builder.build().map_err(|error| Error::tls(TlsFault::Configuration(error.to_string())))?)
    }
}
