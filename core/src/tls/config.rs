//! What the caller wants of TLS, and what one session makes of it.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::client::{Resumption, Tls12Resumption};

use super::authorities::Authorities;
use super::check::Check;
use super::fingerprint::Pins;
use super::identity::Identities;
use super::judged::Judge;
use super::ledger::Ledger;
use super::revocation::Revocation;
use super::session::{By, RustlsSession, Shared, Sharing};
use super::settings::Settings;
use super::trust::{Trust, Verifier};
use super::{
    Backend, Identity, MtaSts, MtaStsMode, MtaStsVerdict, Presented, Rejection, ServerName, SessionStore, TlsSession,
    Tlsa,
};
use crate::error::{Error, Result, TlsFault};

/// What the caller wants of TLS: whom to trust, who we are, which versions.
///
/// The default checks the server's certificate against the platform's authorities (in wasm: the bundled web PKI roots),
/// offers TLS 1.3 and 1.2, and shows no client certificate. Nothing is read until the first handshake; the result is
/// kept, so clone a configuration or share it instead of making it again.
///
/// ```no_run
/// use starttls::tls::{TlsConfig, Version};
/// let tls = TlsConfig::new().ca_file("ca.pem")?.minimum_version(Version::Tls13);
/// # Ok::<(), starttls::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct TlsConfig {
    trust: Trust,
    tlsa: Vec<Tlsa>,
    mta_sts: Option<Arc<MtaSts>>,
    pins: Pins,
    identities: Vec<Identity>,
    revocation: Revocation,
    check: Option<Check>,
    pub(super) settings: Settings,
    backend: Option<Arc<dyn Backend>>,
    sessions: Option<SessionStore>,
    /// Whether anything above is set.
    is_changed: bool,
    /// What all this amounts to for rustls; made at the first use.
    built: Arc<OnceLock<Built>>,
}

pub(super) struct Built {
    config: ClientConfig,
    verifier: Arc<Verifier>,
}

impl TlsConfig {
    /// The default: platform trust, TLS 1.2 and 1.3, no client certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// TLS by another implementation, with that one's trust, identity and settings: to set any here too makes
    /// [`TlsConfig::session`] fail, for nobody could tell which should count. The rules about when a connection becomes
    /// TLS, and what is believed before, remain.
    pub fn with_backend(backend: Arc<dyn Backend>) -> Self {
        Self { backend: Some(backend), ..Self::default() }
    }

    /// Trusts the authorities in a file, PEM or DER, and no others. Calls add up.
    ///
    /// # Errors
    /// [`Local`](crate::ErrorKind::Local) if the file cannot be read, else as [`TlsConfig::ca_data`].
    pub fn ca_file(self, path: impl AsRef<Path>) -> Result<Self> {
        self.authorities(|authorities| authorities.add_file(path.as_ref()))
    }

    /// Trusts the authorities in a folder, and no others: in its files, PEM or DER, whose names end in `.pem`, `.crt`,
    /// `.cer` or `.der`, or are hashes of subjects, as OpenSSL has them (`9d66eef0.0`). Calls add up.
    ///
    /// # Errors
    /// As [`TlsConfig::ca_file`] for the first file, by name, that cannot be read or used, which it names;
    /// [`NoAuthorities`](TlsFault::NoAuthorities) if there is no such file.
    pub fn ca_folder(self, path: impl AsRef<Path>) -> Result<Self> {
        self.authorities(|authorities| authorities.add_folder(path.as_ref()))
    }

    /// Trusts the authorities in one of the system's certificate stores, and no others. On Windows `Root`, which is the user's
    /// view, or `LocalMachine\Root`, or any other store; on macOS the trust settings of the `user`, the `admin` or the
    /// `system`. Where stores have no names, see [`TlsConfig::ca_file`]. Calls add up.
    ///
    /// # Errors
    /// [`NoAuthorities`](TlsFault::NoAuthorities) if there is no such store, or nothing in it that may vouch for servers.
    pub fn ca_store(self, name: &str) -> Result<Self> {
        self.authorities(|authorities| authorities.add_store(name))
    }

    /// Trusts the authorities in PEM text (RFC 7468), or the one in DER, and no others. Calls add up.
    ///
    /// # Errors
    /// [`Configuration`](TlsFault::Configuration) if there is no usable certificate in it; of PEM text it names the line
    /// that is broken.
    pub fn ca_data(self, data: &[u8]) -> Result<Self> {
        self.authorities(|authorities| authorities.add_data(data))
    }

    /// [`TlsConfig::ca_data`] of PEM text.
    ///
    /// # Errors
    /// As there.
    pub fn ca_pem(self, text: &[u8]) -> Result<Self> {
        self.ca_data(text)
    }

    /// Trusts the platform's authorities (in wasm: the bundled web PKI roots) beside those that are given.
    #[must_use]
    pub fn and_platform(self) -> Self {
        let Ok(changed) = self.authorities(|authorities| {
            authorities.add_platform();
            Ok::<_, std::convert::Infallible>(())
        });
        changed
    }

    /// Has connections resume sessions of earlier ones to the same server, and leave their own in `store` for later ones.
    /// Without it, no connection resumes another's but FTP's data connections their control connection's. Give the same
    /// configuration, or clones of it, to all of them: see [`SessionStore`]. [`TlsConfig::session`], which knows no server,
    /// does not use it.
    #[must_use]
    pub fn sessions(mut self, store: SessionStore) -> Self {
        self.sessions = Some(store);
        self
    }

    fn authorities<E>(mut self, change: impl FnOnce(&mut Authorities) -> Result<(), E>) -> Result<Self, E> {
        let mut authorities = match self.trust {
            Trust::Authorities(authorities) => authorities,
            Trust::Anybody => Authorities::default(),
        };
        change(&mut authorities)?;
        self.trust = Trust::Authorities(authorities);
        Ok(self.changed())
    }

    /// Shows this certificate, and proves it with its key, if the server asks for one. Of several, the first that one of the
    /// authorities issued which the server names, and whose key can sign as the server wants; of any authority, if it names
    /// none. If none fits, none is shown; a server that insists is the error
    /// [`ClientCertificateRequired`](TlsFault::ClientCertificateRequired), which says whom it names.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identities.push(identity);
        self.changed()
    }

    /// [`TlsConfig::identity`] from PEM text.
    ///
    /// # Errors
    /// As [`Identity::new`].
    pub fn identity_pem(self, chain: &[u8], key: &[u8]) -> Result<Self> {
        Ok(self.identity(Identity::new(chain, Some(key), None)?))
    }

    /// Besides a trusted chain, requires that the server's key has this SHA-256 of its SubjectPublicKeyInfo
    /// (RFC 7469 §2.4). Several pins, of keys and of
    /// certificates: any of them.
    #[must_use]
    pub fn pin_spki_sha256(mut self, pin: [u8; 32]) -> Self {
        self.pins.keys.push(pin);
        self.changed()
    }

    /// The same with the SHA-256 of the server's whole certificate: what programs show as its fingerprint. It changes
    /// with every renewal; a pin of the key lives as long as the key.
    #[must_use]
    pub fn pin_certificate_sha256(mut self, pin: [u8; 32]) -> Self {
        self.pins.certificates.push(pin);
        self.changed()
    }

    /// Lets these TLSA records, looked up for the server and validated by DNSSEC, decide instead of authorities
    /// (RFC 7672): DANE-EE by the server's certificate or key, whatever names it and its validity say; DANE-TA by a chain
    /// to the record's authority, valid and for the server's name. Others do not count (see [`Tlsa::is_usable`]); if
    /// none counts, opening a session is the error [`TlsaUnusable`](TlsFault::TlsaUnusable). An empty list is none at
    /// all. Calls replace each other.
    ///
    /// Records stand before an MTA-STS policy, which is not asked then (RFC 8461 §2), and before
    /// [`TlsConfig::danger_accept_any_certificate`]. Pins are still checked.
    #[must_use]
    pub fn tlsa(mut self, records: impl IntoIterator<Item = Tlsa>) -> Self {
        self.tlsa = records.into_iter().collect();
        self.changed()
    }

    /// Holds sessions to an MTA-STS policy (RFC 8461). In mode `enforce`, a server that is none of its hosts (the one
    /// connected to, or the server name that is set) is the error [`MtaStsViolation`](TlsFault::MtaStsViolation), before
    /// anything is sent; so is a configuration that accepts any certificate. In mode `testing`, such a session goes on
    /// and [`TlsInfo::mta_sts`](super::TlsInfo::mta_sts) tells the violation: but TLS, and a certificate that an
    /// authority vouches for, are required as always.
    #[must_use]
    pub fn mta_sts(mut self, policy: MtaSts) -> Self {
        self.mta_sts = Some(Arc::new(policy));
        self
    }

    /// Refuses certificates that a list in this file, PEM or DER, says are revoked (CRL, RFC 5280 §5): the server's, and
    /// those between it and the authority. The lists are fetched, and kept fresh, by the caller. Calls add up.
    ///
    /// Of a certificate that no list is about, or only one that is out of date, nothing is known, and that is an error, too:
    /// [`RevocationUnknown`](TlsFault::RevocationUnknown). A server that a DANE-EE record or a pin alone vouches for, and
    /// any accepted certificate, is not looked for in the lists.
    ///
    /// # Errors
    /// [`Local`](crate::ErrorKind::Local) if the file cannot be read, else as [`TlsConfig::crl_data`].
    pub fn crl_file(mut self, path: impl AsRef<Path>) -> Result<Self> {
        self.revocation.add_file(path.as_ref())?;
        Ok(self.changed())
    }

    /// The same with the lists in PEM text, or the one in DER.
    ///
    /// # Errors
    /// [`Configuration`](TlsFault::Configuration) if there is no list in it.
    pub fn crl_data(mut self, data: &[u8]) -> Result<Self> {
        self.revocation.add_data(data)?;
        Ok(self.changed())
    }

    /// Lets certificates pass of which no list knows whether they are revoked, and believes lists that are out of date. A list
    /// that its authority did not sign is an error all the same.
    #[must_use]
    pub fn allow_unknown_revocation(mut self) -> Self {
        self.revocation.allow_unknown();
        self.changed()
    }

    /// Asks `check` about each server's certificate, after all else: it sees the chain, the name and the verdict, and may
    /// reject what is accepted, with a reason: [`RejectedByCheck`](TlsFault::RejectedByCheck). It cannot accept what is
    /// refused. Resumed connections are not checked again. It runs in the middle of the handshake: it should not wait for
    /// anything. Checks replace each other.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&Presented<'_>) -> Result<(), Rejection> + Send + Sync + 'static) -> Self {
        self.check = Some(Check { closure: Arc::new(check), may_accept: false });
        self.changed()
    }

    /// The same, but what `check` says stands, **also where the certificate is refused**: whatever it lets pass that it
    /// should not can read and change everything. Only the server's signature is still checked.
    #[must_use]
    pub fn danger_check(
        mut self,
        check: impl Fn(&Presented<'_>) -> Result<(), Rejection> + Send + Sync + 'static,
    ) -> Self {
        self.check = Some(Check { closure: Arc::new(check), may_accept: true });
        self.changed()
    }

    /// Accepts every certificate: **anybody in between can read and change everything, passwords first**. Pins are
    /// still checked, which makes a known self-signed certificate safe.
    #[must_use]
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.trust = Trust::Anybody;
        self.changed()
    }

    /// Whether [`TlsConfig::danger_accept_any_certificate`] was called, and no TLSA record is there to decide; or
    /// [`TlsConfig::danger_check`]; or what the backend says of itself.
    pub fn accepts_any_certificate(&self) -> bool {
        match &self.backend {
            Some(backend) => backend.accepts_any_certificate(),
            None => {
                self.check.as_ref().is_some_and(|check| check.may_accept)
                    || matches!(self.trust, Trust::Anybody) && self.tlsa.is_empty()
            }
        }
    }

    /// To try what versions a server takes: a backend, whose versions are its own, gives way to one that believes
    /// anybody, and is told nothing.
    pub(crate) fn for_versions_alone(self) -> Self {
        if self.backend.is_some() { self.believing_anybody() } else { self }
    }

    /// Without any of what makes a certificate believed: to look at a server that is told nothing.
    pub(crate) fn believing_anybody(mut self) -> Self {
        self.backend = None;
        self.tlsa.clear();
        self.pins = Pins::default();
        self.check = None;
        self.mta_sts = None;
        self.without_sessions().danger_accept_any_certificate()
    }

    /// With no store of sessions.
    pub(crate) fn without_sessions(mut self) -> Self {
        self.sessions = None;
        self
    }

    /// What the MTA-STS policy says to a session in clear text.
    pub(crate) fn allow_plaintext(&self) -> Result<()> {
        match &self.mta_sts {
            Some(policy) if policy.mode() == MtaStsMode::Enforce => {
                Err(Error::tls(TlsFault::MtaStsViolation("it wants TLS".into())))
            }
            _ => Ok(()),
        }
    }

    /// Whether [`TlsConfig::maximum_version`] could leave a version out. A backend's versions are its own affair.
    pub(crate) fn has_versions_to_choose(&self) -> bool {
        self.backend.is_none() && self.settings.lowest_version() < self.settings.highest_version()
    }

    /// Whether TLS as it is set here is what FIPS 140-3 approves of: never without the feature `fips`, nor by a backend. It
    /// is about TLS alone: signatures of mail (DKIM), digests of files and passwords' proofs (SCRAM) are computed by ring.
    ///
    /// # Errors
    /// As [`TlsConfig::session`].
    pub fn is_fips(&self) -> Result<bool> {
        Ok(match self.session()?.0 {
            By::Rustls(session) => session.config.fips(),
            By::Backend { .. } => false,
        })
    }

    /// What one control connection and its data connections share.
    ///
    /// # Errors
    /// [`Tls`](crate::ErrorKind::Tls) if the platform's store cannot be read or the settings contradict each other.
    pub fn session(&self) -> Result<TlsSession> {
        if let Some(backend) = &self.backend {
            if self.is_changed || self.mta_sts.is_some() || self.sessions.is_some() {
                let why = "a TLS backend has its own settings: others cannot be given beside it";
                return Err(Error::tls(TlsFault::Configuration(why.into())));
            }
            return Ok(TlsSession(By::Backend { session: backend.session()?, resumes: true }));
        }
        Ok(TlsSession(By::Rustls(self.rustls_session(None, None)?)))
    }

    fn rustls_session(
        &self,
        mta_sts: Option<MtaStsVerdict>,
        with: Option<(&ServerName, Sharing<'_>)>,
    ) -> Result<RustlsSession> {
        let built = match self.built.get() {
            Some(built) => built,
            None => {
                let made = self.build()?;
                self.built.get_or_init(|| made)
            }
        };
        let make = |ledger: Ledger| Shared {
            judge: Arc::new(Judge::new(built.verifier.clone())),
            identities: Arc::new(Identities::new(self.identities.clone())),
            ledger: Arc::new(ledger),
        };
        let stored = |store: &SessionStore, to, name| store.shared(&self.built, to, name, || make(Ledger::stored()));
        // Whose port is not known could be any of that host's servers.
        let store = self.sessions.as_ref().filter(|_| with.is_some_and(|(_, sharing)| sharing.knows_the_port()));
        let shared = match (store, with) {
            (Some(store), Some((name, Sharing::Store(to)))) => stored(store, to, name),
            (Some(store), Some((name, Sharing::Control(to)))) => {
                let shared = stored(store, to, name);
                Shared { ledger: Arc::new(Ledger::lent(shared.ledger)), ..shared }
            }
            _ => make(Ledger::default()),
        };
        let mut config = built.config.clone();
        config.dangerous().set_certificate_verifier(shared.judge.clone());
        config.client_auth_cert_resolver = shared.identities.clone();
        config.resumption =
            Resumption::store(shared.ledger.clone()).tls12_resumption(Tls12Resumption::SessionIdOrTickets);
        let (key_log, says_alpn) = (self.settings.key_log.clone(), self.settings.alpn.is_some());
        Ok(RustlsSession { config: Arc::new(config), shared, key_log, mta_sts, says_alpn })
    }

    /// [`TlsConfig::session`] with this server, if the MTA-STS policy allows it.
    pub(crate) fn session_with(&self, server: &ServerName, sharing: Sharing<'_>) -> Result<TlsSession> {
        if self.backend.is_some() {
            return self.session();
        }
        let policy = self.mta_sts.as_ref().filter(|_| self.tlsa.is_empty());
        let verdict = policy.map(|policy| policy.judge(server, self)).transpose()?.flatten();
        Ok(TlsSession(By::Rustls(self.rustls_session(verdict, Some((server, sharing)))?)))
    }

    fn build(&self) -> Result<Built> {
        let configuration = |error: rustls::Error| Error::tls(TlsFault::Configuration(error.to_string()));
        let (versions, provider) = (self.settings.versions()?, self.settings.provider()?);
        let check = self.check.as_ref();
        let verifier = Verifier::new(&self.trust, &self.tlsa, &self.pins, &self.revocation, check, provider.clone())
            .map(Arc::new)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(configuration)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Judge::new(verifier.clone())))
            .with_no_client_auth();
        config.alpn_protocols = self.settings.alpn.clone().unwrap_or_default();
        config.enable_sni = !self.settings.without_sni;
        // What is sent before the handshake is over can be sent again by others (RFC 8446 §8).
        config.enable_early_data = false;
        Ok(Built { config, verifier })
    }

    /// After a setting: what was built before no longer holds, and clones made before keep their own.
    pub(super) fn changed(mut self) -> Self {
        self.built = Arc::default();
        self.is_changed = true;
        self
    }
}

/// Says what is set, never the key.
impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field(
                "trust",
                &format_args!(
                    "{}",
                    match &self.trust {
                        Trust::Authorities(authorities) => authorities.describe(),
                        Trust::Anybody => "ANYBODY".to_owned(),
                    }
                ),
            )
            .field("tlsa", &self.tlsa.len())
            .field("mta_sts", &self.mta_sts.as_ref().map(|policy| policy.mode()))
            .field("pins", &self.pins.len())
            .field("revocation", &self.revocation.is_checked())
            .field("check", &self.check)
            .field("identities", &self.identities.len())
            .field("backend", &self.backend)
            .field("sessions", &self.sessions)
            .field("minimum_version", &self.settings.lowest_version())
            .field("maximum_version", &self.settings.highest_version())
            .finish_non_exhaustive()
    }
}
