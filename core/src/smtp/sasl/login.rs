//! LOGIN (draft-murchison-sasl-login): the user, then the password, each asked for. The prompts' words vary, and some
//! servers do not encode them.

use super::{Challenge, Exchange, Message};
use crate::error::Result;

pub(super) struct Login(std::vec::IntoIter<Message>);

impl Login {
    pub(super) fn new(user: &str, password: &str) -> Self {
        Self(Vec::from([user, password].map(|word| Message::new(word.as_bytes().to_vec()))).into_iter())
    }
}

impl Exchange for Login {
    fn initial(&mut self) -> Option<Message> {
        None
    }

    fn answer(&mut self, challenge: Challenge<'_>) -> Result<Message> {
        self.0.next().map_or_else(|| challenge.is_too_much(), Ok)
    }

    fn is_complete(&self) -> bool {
        self.0.len() == 0
    }
}
