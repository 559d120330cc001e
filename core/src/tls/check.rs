//! The caller's own word about a server's certificate.

use std::fmt;
use std::sync::Arc;

use super::VerifiedBy;
use crate::error::{Cause, Error};

/// What a server showed, and what was thought of it, for a caller's own check.
#[derive(Debug)]
#[non_exhaustive]
pub struct Presented<'a> {
    /// The server's certificate chain in DER, its own certificate first.
    pub chain: Vec<&'a [u8]>,
    /// The name that the certificate must be for.
    pub server_name: &'a str,
    /// The OCSP response that came with the certificate (RFC 6066 §8), in DER, as it came: nobody has checked it.
    pub ocsp_response: Option<&'a [u8]>,
    /// Who vouches for it; or why it is refused.
    pub verdict: Result<VerifiedBy, &'a Error>,
}

/// Why a check rejects a certificate: in words, which a `String` or `&str` turns into.
#[derive(Clone, Debug)]
pub struct Rejection {
    pub(super) why: String,
    pub(super) source: Option<Cause>,
}

impl Rejection {
    /// A rejection because of an error, which becomes the `source` of the handshake's error.
    pub fn caused_by(why: impl Into<String>, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { why: why.into(), source: Some(Arc::new(error)) }
    }
}

impl From<String> for Rejection {
    fn from(why: String) -> Self {
        Self { why, source: None }
    }
}

impl From<&str> for Rejection {
    fn from(why: &str) -> Self {
        why.to_owned().into()
    }
}

type Closure = dyn Fn(&Presented<'_>) -> Result<(), Rejection> + Send + Sync;

/// A caller's check, and how far its word goes.
#[derive(Clone)]
pub(super) struct Check {
    pub(super) closure: Arc<Closure>,
    /// Whether it can accept what is refused.
    pub(super) may_accept: bool,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.may_accept { "may accept" } else { "may reject" })
    }
}
