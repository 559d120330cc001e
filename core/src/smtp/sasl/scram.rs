//! SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, or what is made of it, and say neither.
//!
//! ```text
//!   client-first    gs2-header  n=user,r=nonce               gs2-header: y,, | n,, | p=tls-exporter,a=authzid,
//!   server-first    r=nonce+more,s=salt,i=iterations
//!   client-final    c=gs2-header+binding,r=nonce+more,p=proof
//!   server-final    v=signature | e=error                    answered by an empty line, since SMTP's 235 has no data
//! ```

use std::num::NonZeroU32;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use zeroize::Zeroizing;

use super::prepare::{sasl_name, saslprep};
use super::{Challenge, Exchange, Mechanism, Message, Surroundings};
use crate::error::{Error, Result};
use crate::reply::printable;
use crate::tls::ChannelBinding;

/// RFC 5802 §5.1 and RFC 7677 §4: what is made with fewer is guessed too easily.
const FEWEST_ITERATIONS: u32 = 4096;

/// The password is hashed while nothing else of the session goes on: about a second, natively, for the most that may be
/// asked for. The highest count that is recommended for SHA-256 and SHA-512 is 600,000.
const MOST_ITERATIONS: u32 = 1_000_000;

/// A hash function in its three uses.
#[derive(Clone, Copy)]
pub(super) struct Hash {
    digest: &'static digest::Algorithm,
    hmac: hmac::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

impl Hash {
    pub(super) fn of(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::ScramSha1 | Mechanism::ScramSha1Plus => Self {
                digest: &digest::SHA1_FOR_LEGACY_USE_ONLY,
                hmac: hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                pbkdf2: pbkdf2::PBKDF2_HMAC_SHA1,
            },
            Mechanism::ScramSha512 | Mechanism::ScramSha512Plus => {
                Self { digest: &digest::SHA512, hmac: hmac::HMAC_SHA512, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA512 }
            }
            _ => Self { digest: &digest::SHA256, hmac: hmac::HMAC_SHA256, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256 },
        }
    }
}

/// What we tell the server about channel binding (RFC 5802 §6).
#[derive(Debug)]
pub(super) enum Flag {
    /// We bind.
    Bound(ChannelBinding),
    /// We would, and the server does not offer it. If it does, somebody took it out of the list, and the server notices.
    Wanted,
    /// We do not.
    Unused,
}

impl Flag {
    pub(super) fn new(mechanism: Mechanism, surroundings: Surroundings<'_>) -> Self {
        match surroundings.binding {
            Some(binding) if mechanism.is_bound() => Self::Bound(binding),
            Some(_) if !surroundings.server_binds => Self::Wanted,
            _ => Self::Unused,
        }
    }
}

/// One exchange.
pub(super) struct Scram {
    hash: Hash,
    /// The header as it was sent, and the channel's own bytes.
    header: String,
    channel: Zeroizing<Vec<u8>>,
    /// client-first without the header.
    bare: String,
    nonce: String,
    password: Zeroizing<String>,
    stage: Stage,
}

enum Stage {
    /// The server's salt and nonce are due.
    ServerFirst,
    /// The server's signature is due.
    ServerFinal { key: hmac::Key, signed: String, proof: Message },
    /// The server proved itself.
    Done,
    /// The server said why it refuses.
    Refused(String),
    /// It said what makes no sense.
    Broken,
}

impl Scram {
    pub(super) fn new(hash: Hash, flag: Flag, authzid: Option<&str>, user: &str, password: &str) -> Result<Self> {
        let mut random = [0; 18];
        let source = || Error::local(std::io::Error::other("the system has no random numbers"));
        SystemRandom::new().fill(&mut random).map_err(|_| source())?;
        Self::with_nonce(hash, flag, authzid, user, password, BASE64_STANDARD.encode(random))
    }

    fn with_nonce(
        hash: Hash,
        flag: Flag,
        authzid: Option<&str>,
        user: &str,
        password: &str,
        nonce: String,
    ) -> Result<Self> {
        let (flag, channel) = match flag {
            Flag::Bound(binding) => (format!("p={}", binding.kind()), binding.data().to_vec()),
            Flag::Wanted => ("y".to_owned(), Vec::new()),
            Flag::Unused => ("n".to_owned(), Vec::new()),
        };
        let authzid = authzid.map(|authzid| format!("a={}", sasl_name(authzid))).unwrap_or_default();
        let user = saslprep("user name", user)?;
        Ok(Self {
            hash,
            header: format!("{flag},{authzid},"),
            channel: Zeroizing::new(channel),
            bare: format!("n={},r={nonce}", sasl_name(&user)),
            nonce,
            password: saslprep("password", password)?,
            stage: Stage::ServerFirst,
        })
    }

    /// The answer to server-first.
    fn prove(&mut self, message: &str) -> Result<Message> {
        let server = ServerFirst::parse(message)?;
        if server.nonce.strip_prefix(self.nonce.as_str()).is_none_or(str::is_empty) {
            return Err(Error::violation(
                "the server's nonce is not ours and more: this may be another login's answer",
            ));
        }
        let Hash { digest, hmac, pbkdf2 } = self.hash;
        let mut salted = Zeroizing::new(vec![0; digest.output_len()]);
        pbkdf2::derive(pbkdf2, server.iterations, &server.salt, self.password.as_bytes(), &mut salted);
        let salted = hmac::Key::new(hmac, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = hmac::Key::new(hmac, digest::digest(digest, client_key.as_ref()).as_ref());
        let header = [self.header.as_bytes(), &self.channel].concat();
        let unproven = format!("c={},r={}", BASE64_STANDARD.encode(header), server.nonce);
        let signed = format!("{},{message},{unproven}", self.bare);
        let signature = hmac::sign(&stored_key, signed.as_bytes());
        let proof: Message =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect::<Vec<_>>().into();
        let key = hmac::Key::new(hmac, hmac::sign(&salted, b"Server Key").as_ref());
        let expected = format!("v={}", BASE64_STANDARD.encode(hmac::sign(&key, signed.as_bytes())));
        self.stage = Stage::ServerFinal { key, signed, proof: Message::new(expected.into_bytes()) };
        Ok(Message::new(format!("{unproven},p={}", BASE64_STANDARD.encode(&*proof)).into_bytes()))
    }

    /// The answer to server-final: nothing, to hear what comes of it.
    fn believe(&mut self, message: &str, key: &hmac::Key, signed: &str) -> Result<Message> {
        let signature = message.split(',').next().and_then(|value| value.strip_prefix("v="));
        let signature = signature.ok_or_else(|| Error::violation("the last message of SCRAM is no signature"))?;
        let signature = BASE64_STANDARD.decode(signature).unwrap_or_default();
        // In constant time.
        hmac::verify(key, signed.as_bytes(), &signature).map_err(|_| {
            let why = "the server does not prove that it knows the password: its signature is wrong";
            Error::violation(why).advise("somebody may be answering in its place")
        })?;
        self.stage = Stage::Done;
        Ok(Message::default())
    }
}

impl Exchange for Scram {
    fn initial(&mut self) -> Option<Message> {
        Some(Message::new(format!("{}{}", self.header, self.bare).into_bytes()))
    }

    fn answer(&mut self, challenge: Challenge<'_>) -> Result<Message> {
        let message = challenge.decode()?;
        let message = std::str::from_utf8(&message).map_err(|_| Error::violation("a message of SCRAM is no UTF-8"))?;
        match (std::mem::replace(&mut self.stage, Stage::Broken), message.strip_prefix("e=")) {
            (Stage::ServerFirst | Stage::ServerFinal { .. }, Some(why)) => {
                self.stage = Stage::Refused(printable(why.as_bytes()));
                // The reply comes after an answer that says nothing.
                Ok(Message::default())
            }
            (Stage::ServerFirst, None) => self.prove(message),
            (Stage::ServerFinal { key, signed, .. }, None) => self.believe(message, &key, &signed),
            _ => challenge.is_too_much(),
        }
    }

    fn is_complete(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    fn servers_proof(&self) -> Option<&[u8]> {
        match &self.stage {
            Stage::ServerFinal { proof, .. } => Some(proof),
            _ => None,
        }
    }

    fn detail(&mut self) -> Option<String> {
        match &self.stage {
            Stage::Refused(why) => Some(why.clone()),
            _ => None,
        }
    }
}

/// `r=…,s=…,i=…`, and extensions that may be ignored.
struct ServerFirst<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

impl<'a> ServerFirst<'a> {
    fn parse(message: &'a str) -> Result<Self> {
        let bad = || Error::violation("the first message of SCRAM is not r=…,s=…,i=…");
        if message.starts_with("m=") {
            return Err(Error::violation("the server insists on an extension of SCRAM that is not known here"));
        }
        let mut attributes = message.split(',');
        let mut value = |name: &str| attributes.next().and_then(|it| it.strip_prefix(name)).ok_or_else(bad);
        let (nonce, salt, iterations) = (value("r=")?, value("s=")?, value("i=")?);
        let salt = BASE64_STANDARD.decode(salt).map_err(|_| bad())?;
        let digits = !iterations.starts_with('0') && iterations.bytes().all(|byte| byte.is_ascii_digit());
        if salt.is_empty() || !digits || iterations.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad());
        }
        // More than a number can hold is more than the most.
        let iterations = iterations.parse().unwrap_or(u32::MAX);
        match NonZeroU32::new(iterations) {
            Some(count) if (FEWEST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) => {
                Ok(Self { nonce, salt, iterations: count })
            }
            _ => Err(Error::limit(format!(
                "the server asks for {iterations} iterations; {FEWEST_ITERATIONS} to {MOST_ITERATIONS} are done"
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
