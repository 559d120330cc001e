//! What is spoken: versions, cipher suites, groups, application protocols.

use std::path::Path;
use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};

use super::TlsConfig;
use super::key_log::KeyLog;
use super::provider::{self, group_name, suite_name};
use crate::error::{Error, Result, TlsFault};

/// A TLS protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// TLS 1.2 (RFC 5246), with forward secrecy and AEAD ciphers only.
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl Version {
    /// As reports have it: `TLSv1.2`, `TLSv1.3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

/// What is spoken.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    minimum: Option<Version>,
    maximum: Option<Version>,
    suites: Vec<rustls::SupportedCipherSuite>,
    groups: Vec<&'static dyn SupportedKxGroup>,
    /// `None`: what a protocol has registered.
    pub(super) alpn: Option<Vec<Vec<u8>>>,
    pub(super) without_sni: bool,
    pub(super) key_log: Option<KeyLog>,
}

impl Settings {
    /// The highest version offered.
    pub(super) fn highest_version(&self) -> Version {
        self.maximum.unwrap_or(Version::Tls13)
    }

    /// The lowest version accepted.
    pub(super) fn lowest_version(&self) -> Version {
        self.minimum.unwrap_or(Version::Tls12)
    }

    /// The versions that are allowed.
    pub(super) fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>> {
        let versions: Vec<_> = [(Version::Tls13, &rustls::version::TLS13), (Version::Tls12, &rustls::version::TLS12)]
            .into_iter()
            .filter(|(version, _)| (self.lowest_version()..=self.highest_version()).contains(version))
            .map(|(_, supported)| supported)
            .collect();
        if versions.is_empty() {
            return Err(Error::tls(TlsFault::Configuration("minimum_version is above maximum_version".into())));
        }
        Ok(versions)
    }

    /// The cryptography, cut down to what was chosen of it.
    pub(super) fn provider(&self) -> Result<Arc<CryptoProvider>> {
        let versions: Vec<_> = self.versions()?.iter().map(|version| version.version).collect();
        let all = provider::provider();
        if self.suites.is_empty() && self.groups.is_empty() {
            return Ok(all);
        }
        let stray = |what: &str, name: String, usable: Vec<String>| {
            let why = format!("the {what} {name} is of no TLS version that is allowed");
            Error::tls(TlsFault::Configuration(why)).advise(format!("of those there are {}", usable.join(", ")))
        };
        let suits = |suite: &rustls::SupportedCipherSuite| versions.contains(&suite.version().version);
        if let Some(other) = self.suites.iter().find(|suite| !suits(suite)) {
            let usable = all.cipher_suites.iter().filter(|it| suits(it)).map(|it| suite_name(it.suite())).collect();
            return Err(stray("cipher suite", suite_name(other.suite()), usable));
        }
        let fits = |group: &&dyn SupportedKxGroup| versions.iter().any(|version| group.usable_for_version(*version));
        if let Some(other) = self.groups.iter().find(|group| !fits(group)) {
            let usable = all.kx_groups.iter().filter(|it| fits(it)).map(|it| group_name(it.name())).collect();
            return Err(stray("key exchange group", group_name(other.name()), usable));
        }
        let mut chosen = CryptoProvider::clone(&all);
        if !self.suites.is_empty() {
            chosen.cipher_suites.clone_from(&self.suites);
        }
        if !self.groups.is_empty() {
            chosen.kx_groups.clone_from(&self.groups);
        }
        Ok(Arc::new(chosen))
    }
}

impl TlsConfig {
    /// Refuses versions below this one; TLS 1.2 by default.
    #[must_use]
    pub fn minimum_version(mut self, version: Version) -> Self {
        self.settings.minimum = Some(version);
        self.changed()
    }

    /// Refuses versions above this one; TLS 1.3 by default.
    #[must_use]
    pub fn maximum_version(mut self, version: Version) -> Self {
        self.settings.maximum = Some(version);
        self.changed()
    }

    /// Offers these cipher suites and no others, the preferred one first, by the names that IANA registers
    /// (`TLS_AES_128_GCM_SHA256`). Calls replace each other; an empty list is the default.
    ///
    /// # Errors
    /// [`Configuration`](TlsFault::Configuration) for a suite that there is not, with those that there are as advice; at the
    /// first session also for one that no version allowed can use.
    pub fn cipher_suites<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Result<Self> {
        self.settings.suites = provider::suites(&names.into_iter().map(Into::into).collect::<Vec<_>>())?;
        Ok(self.changed())
    }

    /// Offers these key exchange groups and no others, the preferred one first, by the names that IANA registers: `x25519`,
    /// `secp256r1`, `secp384r1`; with the feature `aws-lc-rs` also the post-quantum hybrid `X25519MLKEM768`, which comes
    /// first there by default. Calls replace each other; an empty list is the default.
    ///
    /// # Errors
    /// As [`TlsConfig::cipher_suites`].
    pub fn groups<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Result<Self> {
        self.settings.groups = provider::groups(&names.into_iter().map(Into::into).collect::<Vec<_>>())?;
        Ok(self.changed())
    }

    /// Offers these application protocols (RFC 7301), the preferred one first. A server that chooses another one breaks the
    /// protocol, and is refused; one that chooses none is not. By itself, [`Connection::upgrade`](crate::Connection::upgrade)
    /// offers what is registered for its protocol ([`Recipe::alpn`](crate::upgrade::Recipe::alpn)), and the clients offer
    /// none; an empty list is none there, too.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.settings.alpn = Some(protocols.into_iter().map(Into::into).collect());
        self.changed()
    }

    /// Whether the server is told the name it is asked for (SNI, RFC 6066 §3); it is by default. Without it, everybody on
    /// the way sees no name, and a server with several certificates has to guess. The certificate is checked all the same.
    #[must_use]
    pub fn sni(mut self, wanted: bool) -> Self {
        self.settings.without_sni = !wanted;
        self.changed()
    }

    /// Hands every connection's secrets to `sink`, each a line in the format of `SSLKEYLOGFILE` (RFC 9850), to look into
    /// one's own connections: **whoever has them can read everything**. No variable of the environment does that.
    #[must_use]
    pub fn key_log(mut self, sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.settings.key_log = Some(KeyLog::to(sink));
        self.changed()
    }

    /// The same into a file, to which is added. It is made so that nobody else can read it.
    ///
    /// # Errors
    /// [`Local`](crate::ErrorKind::Local) if it cannot be opened.
    pub fn key_log_file(mut self, path: impl AsRef<Path>) -> Result<Self> {
        self.settings.key_log = Some(KeyLog::file(path.as_ref())?);
        Ok(self.changed())
    }
}
