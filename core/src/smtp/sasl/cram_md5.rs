//! CRAM-MD5 (RFC 2195): the server's challenge under HMAC-MD5 with the password as the key. Name and password go in as
//! they are, since the RFC has no preparation of them.

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::{Challenge, Exchange, Message};
use crate::error::Result;

pub(super) struct CramMd5 {
    user: String,
    password: Zeroizing<String>,
    answered: bool,
}

impl CramMd5 {
    pub(super) fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: Zeroizing::new(password.to_owned()), answered: false }
    }
}

impl Exchange for CramMd5 {
    fn initial(&mut self) -> Option<Message> {
        None
    }

    fn answer(&mut self, challenge: Challenge<'_>) -> Result<Message> {
        if std::mem::replace(&mut self.answered, true) {
            return challenge.is_too_much();
        }
        let tag = hmac_md5(self.password.as_bytes(), &challenge.decode()?);
        let tag: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Message::new(format!("{} {tag}", self.user).into_bytes()))
    }

    fn is_complete(&self) -> bool {
        self.answered
    }
}

/// RFC 2104.
fn hmac_md5(key: &[u8], message: &[u8]) -> [u8; 16] {
    let mut block = Zeroizing::new([0; 64]);
    match block.get_mut(..key.len()) {
        Some(short) => short.copy_from_slice(key),
        None => block[..16].copy_from_slice(&Md5::digest(key)),
    }
    let pad = |byte: u8| Zeroizing::new(block.map(|key| key ^ byte));
    let inner = Md5::new().chain_update(*pad(0x36)).chain_update(message).finalize();
    Md5::new().chain_update(*pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2195() {
        let mut exchange = CramMd5::new("tim", "tanstaaftanstaaf");
        assert!(exchange.initial().is_none() && !exchange.is_complete());
        let challenge = Challenge("PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+");
        assert_eq!(**exchange.answer(challenge).unwrap(), *b"tim b913a602c7eda7a495b4e6e7334d3890");
        assert!(exchange.is_complete());
        assert!(exchange.answer(challenge).is_err());
    }

    #[test]
    fn the_vectors_of_rfc_2202() {
        for (key, message, tag) in [
            (vec![0x0b; 16], b"Hi There".to_vec(), 0x9294_727a_3638_bb1c_13f4_8ef8_158b_fc9d_u128),
            (b"Jefe".to_vec(), b"what do ya want for nothing?".to_vec(), 0x750c_783e_6ab0_b503_eaa8_6e31_0a5d_b738),
            (vec![0xaa; 16], vec![0xdd; 50], 0x56be_3452_1d14_4c88_dbb8_c733_f0e8_b3f6),
            (
                vec![0xaa; 80],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                0x6b1a_b7fe_4bd7_bf8f_0b62_e6ce_61b9_d0cd,
            ),
        ] {
            assert_eq!(u128::from_be_bytes(hmac_md5(&key, &message)), tag);
        }
    }

    #[test]
    fn a_challenge_that_is_no_base64() {
        assert!(CramMd5::new("tim", "secret").answer(Challenge("<not encoded>")).is_err());
    }
}
