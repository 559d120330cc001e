//! PLAIN (RFC 4616): `authzid NUL authcid NUL password`, at once.

use zeroize::Zeroizing;

use super::{Credentials, Exchange};

pub(super) fn exchange(credentials: &Credentials) -> Exchange {
    let Credentials { user, password } = credentials;
    let message = Zeroizing::new([b"\0", user.as_bytes(), b"\0", password.as_bytes()].concat());
    Exchange { initial: Some(message), answers: Vec::new().into_iter() }
}
