//! Trust, identity and versions.

use std::cell::RefCell;

use starttls::tls::{TlsConfig, TlsInfo};
use zeroize::Zeroizing;

use crate::Component;
use crate::error;
use crate::exports::tls::{Guest, GuestClientConfig, SessionInfo, Version};
use crate::exports::types::Error;

impl Guest for Component {
    type ClientConfig = ClientConfig;
}

/// Whom to trust, who we are, which versions.
#[derive(Default)]
pub(crate) struct ClientConfig(RefCell<TlsConfig>);

impl ClientConfig {
    /// The configuration as it is now. Clones share what core builds at the first handshake.
    pub(crate) fn now(&self) -> TlsConfig {
        self.0.borrow().clone()
    }

    fn change(&self, change: impl FnOnce(TlsConfig) -> TlsConfig) {
        let changed = change(self.now());
        self.0.replace(changed);
    }

    fn try_change(&self, change: impl FnOnce(TlsConfig) -> starttls::Result<TlsConfig>) -> Result<(), Error> {
        let changed = change(self.now())?;
        self.0.replace(changed);
        Ok(())
    }
}

impl GuestClientConfig for ClientConfig {
    fn new() -> Self {
        Self::default()
    }

    fn add_trust_anchors(&self, pem: Vec<u8>) -> Result<(), Error> {
        self.try_change(|config| config.ca_pem(&pem))
    }

    fn set_identity(&self, chain: Vec<u8>, key: Vec<u8>) -> Result<(), Error> {
        let key = Zeroizing::new(key);
        self.try_change(|config| config.identity_pem(&chain, &key))
    }

    fn add_pin(&self, spki_sha256: Vec<u8>) -> Result<(), Error> {
        let pin = spki_sha256.try_into().map_err(|_| error::invalid_argument("a pin has 32 bytes"))?;
        self.change(|config| config.pin_spki_sha256(pin));
        Ok(())
    }

    fn set_minimum_version(&self, version: Version) {
        self.change(|config| config.minimum_version(version.into()));
    }

    fn set_maximum_version(&self, version: Version) {
        self.change(|config| config.maximum_version(version.into()));
    }

    fn set_alpn(&self, protocols: Vec<String>) {
        self.change(|config| config.alpn(protocols));
    }

    fn danger_accept_any_certificate(&self) {
        self.change(TlsConfig::danger_accept_any_certificate);
    }
}

impl From<Version> for starttls::tls::Version {
    fn from(version: Version) -> Self {
        match version {
            Version::Tls12 => Self::Tls12,
            Version::Tls13 => Self::Tls13,
        }
    }
}

impl From<&TlsInfo> for SessionInfo {
    fn from(info: &TlsInfo) -> Self {
        let info = info.clone();
        Self {
            version: info.version,
            cipher_suite: info.cipher_suite,
            group: info.group,
            alpn: info.alpn,
            resumed: info.resumed,
            server_name: info.server_name,
            peer_chain: info.chain,
        }
    }
}
