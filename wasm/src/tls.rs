//! Trust, identity and versions.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use starttls::tls::{ChannelBindingType, Identity, MtaSts, TlsConfig, TlsInfo, TlsWarning, Tlsa};
use zeroize::Zeroizing;

use crate::Component;
use crate::error;
use crate::exports::tls::{
    ChannelBinding, Guest, GuestClientConfig, GuestSessionStore, MtaStsVerdict, SessionInfo, SessionStoreBorrow,
    StoredServer, StoredSession, VerifiedBy, Version, Warning,
};
use crate::exports::types::Error;

impl Guest for Component {
    type ClientConfig = ClientConfig;
    type SessionStore = SessionStore;
}

/// Sessions for the next connections.
pub(crate) struct SessionStore(starttls::tls::SessionStore);

impl GuestSessionStore for SessionStore {
    fn new() -> Self {
        Self(starttls::tls::SessionStore::new())
    }

    fn servers(&self) -> Vec<StoredServer> {
        self.0.servers().into_iter().map(StoredServer::from).collect()
    }

    fn remove(&self, server_name: String) -> u32 {
        self.0.remove(&server_name).try_into().unwrap_or(u32::MAX)
    }

    fn clear(&self) {
        self.0.clear();
    }
}

/// Whom to trust, who we are, which versions.
#[derive(Default)]
pub(crate) struct ClientConfig {
    config: RefCell<TlsConfig>,
    key_log: Arc<Mutex<VecDeque<String>>>,
}

/// How many lines of a key log are kept.
const MOST_LINES: usize = 10_000;

impl ClientConfig {
    /// The configuration as it is now. Clones share what core builds at the first handshake.
    pub(crate) fn now(&self) -> TlsConfig {
        self.config.borrow().clone()
    }

    fn change(&self, change: impl FnOnce(TlsConfig) -> TlsConfig) {
        let changed = change(self.now());
        self.config.replace(changed);
    }

    fn try_change(&self, change: impl FnOnce(TlsConfig) -> starttls::Result<TlsConfig>) -> Result<(), Error> {
        let changed = change(self.now())?;
        self.config.replace(changed);
        Ok(())
    }
}

impl GuestClientConfig for ClientConfig {
    fn new() -> Self {
        Self::default()
    }

    fn add_trust_anchors(&self, data: Vec<u8>) -> Result<(), Error> {
        self.try_change(|config| config.ca_data(&data))
    }

    fn add_bundled_roots(&self) {
        self.change(TlsConfig::and_platform);
    }

    fn add_identity(
        &self,
        certificate: Vec<u8>,
        key: Option<Vec<u8>>,
        passphrase: Option<String>,
    ) -> Result<(), Error> {
        let (certificate, key) = (Zeroizing::new(certificate), key.map(Zeroizing::new));
        let passphrase = passphrase.map(Zeroizing::new);
        let key = key.as_ref().map(|key| key.as_slice());
        let identity = Identity::new(&certificate, key, passphrase.as_ref().map(|it| it.as_str()))?;
        self.change(|config| config.identity(identity));
        Ok(())
    }

    fn add_pin(&self, spki_sha256: Vec<u8>) -> Result<(), Error> {
        let pin = spki_sha256.try_into().map_err(|_| error::invalid_argument("a pin has 32 bytes"))?;
        self.change(|config| config.pin_spki_sha256(pin));
        Ok(())
    }

    fn add_certificate_pin(&self, sha256: Vec<u8>) -> Result<(), Error> {
        let pin = sha256.try_into().map_err(|_| error::invalid_argument("a pin has 32 bytes"))?;
        self.change(|config| config.pin_certificate_sha256(pin));
        Ok(())
    }

    fn set_tlsa(&self, records: Vec<String>) -> Result<(), Error> {
        let records = records.iter().map(|text| text.parse::<Tlsa>()).collect::<Result<Vec<_>, _>>();
        let records = records.map_err(starttls::Error::from)?;
        self.change(|config| config.tlsa(records));
        Ok(())
    }

    fn set_mta_sts(&self, policy: String) -> Result<(), Error> {
        let policy = policy.parse::<MtaSts>().map_err(starttls::Error::from)?;
        self.change(|config| config.mta_sts(policy));
        Ok(())
    }

    fn set_minimum_version(&self, version: Version) {
        self.change(|config| config.minimum_version(version.into()));
    }

    fn set_maximum_version(&self, version: Version) {
        self.change(|config| config.maximum_version(version.into()));
    }

    fn add_crl(&self, data: Vec<u8>) -> Result<(), Error> {
        self.try_change(|config| config.crl_data(&data))
    }

    fn allow_unknown_revocation(&self) {
        self.change(TlsConfig::allow_unknown_revocation);
    }

    fn set_cipher_suites(&self, names: Vec<String>) -> Result<(), Error> {
        self.try_change(|config| config.cipher_suites(names))
    }

    fn set_groups(&self, names: Vec<String>) -> Result<(), Error> {
        self.try_change(|config| config.groups(names))
    }

    fn set_sni(&self, wanted: bool) {
        self.change(|config| config.sni(wanted));
    }

    fn set_sessions(&self, store: SessionStoreBorrow<'_>) {
        let store = store.get::<SessionStore>().0.clone();
        self.change(|config| config.sessions(store));
    }

    fn keep_key_log(&self) {
        let kept = self.key_log.clone();
        let keep = move |line: &str| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == MOST_LINES {
                kept.pop_front();
            }
            kept.push_back(line.to_owned());
        };
        self.change(|config| config.key_log(keep));
    }

    fn take_key_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.key_log.lock().unwrap_or_else(PoisonError::into_inner)).into()
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

impl From<starttls::tls::StoredServer> for StoredServer {
    fn from(it: starttls::tls::StoredServer) -> Self {
        let sessions = it.sessions.into_iter().map(StoredSession::from).collect();
        Self { host: it.host, port: it.port, server_name: it.server_name, sessions, resumed: it.resumed }
    }
}

impl From<starttls::tls::StoredSession> for StoredSession {
    fn from(it: starttls::tls::StoredSession) -> Self {
        let version = match it.version {
            starttls::tls::Version::Tls12 => Version::Tls12,
            starttls::tls::Version::Tls13 => Version::Tls13,
        };
        let received = it.received.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Self { version, cipher_suite: it.cipher_suite, received }
    }
}

impl From<&TlsInfo> for SessionInfo {
    fn from(info: &TlsInfo) -> Self {
        let warnings = info.warnings(SystemTime::now()).iter().filter_map(warning).collect();
        let info = info.clone();
        Self {
            version: info.version,
            cipher_suite: info.cipher_suite,
            group: info.group,
            alpn: info.alpn,
            resumed: info.resumed,
            server_name: info.server_name,
            verified_by: info.verified_by.into(),
            mta_sts: info.mta_sts.and_then(verdict),
            ocsp_response: info.ocsp_response,
            pinned: info.pinned,
            binding: info.binding.map(|binding| match binding {
                ChannelBindingType::TlsExporter => ChannelBinding::TlsExporter,
                _ => ChannelBinding::TlsServerEndPoint,
            }),
            warnings,
            peer_chain: info.chain,
        }
    }
}

impl From<starttls::tls::VerifiedBy> for VerifiedBy {
    fn from(whose: starttls::tls::VerifiedBy) -> Self {
        use starttls::tls::VerifiedBy as V;
        match whose {
            V::Platform => Self::Platform,
            V::WebPkiRoots => Self::WebPkiRoots,
            V::Authorities => Self::Authorities,
            V::DaneTa => Self::DaneTa,
            V::DaneEe => Self::DaneEe,
            V::Pin => Self::Pin,
            _ => Self::Nobody,
        }
    }
}

fn verdict(verdict: starttls::tls::MtaStsVerdict) -> Option<MtaStsVerdict> {
    match verdict {
        starttls::tls::MtaStsVerdict::Satisfied => Some(MtaStsVerdict::Satisfied),
        starttls::tls::MtaStsVerdict::Violated => Some(MtaStsVerdict::Violated),
        _ => None,
    }
}

fn warning(warning: &TlsWarning) -> Option<Warning> {
    match warning {
        TlsWarning::ExpiresSoon(_) => Some(Warning::ExpiresSoon),
        TlsWarning::Expired(_) => Some(Warning::Expired),
        TlsWarning::NotVerified => Some(Warning::NotVerified),
        TlsWarning::MtaStsViolated => Some(Warning::MtaStsViolated),
        _ => None,
    }
}
