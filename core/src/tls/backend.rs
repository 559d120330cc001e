//! TLS by another implementation than the built-in one, under the same connections.

use std::fmt;
use std::sync::Arc;

use super::{Engine, ServerName};
use crate::error::Result;

/// Another implementation of TLS, which brings its own trust, identity and settings
/// (see [`TlsConfig::with_backend`](super::TlsConfig::with_backend)).
pub trait Backend: fmt::Debug + Send + Sync {
    /// What one control connection and its data connections will share: a store of resumable sessions which no other
    /// connection uses.
    ///
    /// # Errors
    /// [`Tls`](crate::ErrorKind::Tls) if the implementation cannot be used as it is set.
    fn session(&self) -> Result<Arc<dyn BackendSession>>;

    /// Whether anybody in between could show a certificate of their own: nobody checks it, or nobody checks its name.
    fn accepts_any_certificate(&self) -> bool;
}

/// What one control connection and its data connections share.
pub trait BackendSession: fmt::Debug + Send + Sync {
    /// An engine for one connection, to be verified for `name`. Unless it `resumes`, it uses nothing of the store and
    /// leaves nothing in it.
    ///
    /// # Errors
    /// As [`Backend::session`].
    fn engine(&self, name: &ServerName, resumes: bool) -> Result<Box<dyn Engine>>;

    /// What the next engine could resume.
    fn resumable(&self) -> Resumable;
}

/// What is known about whether the next handshake can resume an earlier one. FTP's data connections depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumable {
    /// The server never gave anything to resume.
    Never,
    /// So many tickets of TLS 1.3 are left, each for once (RFC 8446 appendix C.4): none if all are used up.
    Tickets(usize),
    /// A session of TLS 1.2, as often as one likes (RFC 5246 §7.3).
    Session,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{SessionStore, Sharing, TlsConfig, Version};
    use super::*;
    use crate::error::{Error, ErrorKind, TlsFault};

    #[derive(Debug)]
    struct Unusable;

    impl Backend for Unusable {
        fn session(&self) -> Result<Arc<dyn BackendSession>> {
            Err(Error::tls(TlsFault::NothingInCommon("with this world".into())))
        }

        fn accepts_any_certificate(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_backend_has_its_own_settings() {
        let tls = TlsConfig::with_backend(Arc::new(Unusable));
        assert!(tls.accepts_any_certificate() && !tls.has_versions_to_choose());
        assert!(matches!(tls.session().unwrap_err().kind(), ErrorKind::Tls(TlsFault::NothingInCommon(_))));
        let policy = "version: STSv1\nmode: none\nmax_age: 1\n".parse().unwrap();
        for both in [
            tls.clone().pin_spki_sha256([0; 32]),
            tls.clone().maximum_version(Version::Tls12),
            tls.clone().sessions(SessionStore::new()),
            tls.mta_sts(policy),
        ] {
            let name = ServerName::parse("localhost").unwrap();
            for session in [both.session(), both.session_with(&name, Sharing::Own)] {
                assert!(matches!(session.unwrap_err().kind(), ErrorKind::Tls(TlsFault::Configuration(_))), "{both:?}");
            }
        }
    }
}
