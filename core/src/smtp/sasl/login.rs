//! LOGIN (draft-murchison-sasl-login): the user, then the password, each asked for. The prompts' words vary.

use zeroize::Zeroizing;

use super::{Credentials, Exchange};

pub(super) fn exchange(credentials: &Credentials) -> Exchange {
    let Credentials { user, password } = credentials;
    let answers = [user.as_bytes(), password.as_bytes()].map(|word| Zeroizing::new(word.to_vec()));
    Exchange { initial: None, answers: Vec::from(answers).into_iter() }
}
