//! The server's side of SCRAM (RFC 5802), which a script cannot spell out: the client's nonce is another one each time.

use std::num::NonZeroU32;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::{digest, hmac, pbkdf2};

use crate::text::shown;

const SALT: &[u8] = b"salt of the tests";

/// What a script says about one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scram {
    mechanism: String,
    user: String,
    password: String,
    /// What the client must say of channel binding where the mechanism does not bind: `y` or `n`.
    flag: String,
    authzid: String,
    fault: Option<Fault>,
}

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The client's nonce comes back as it was.
    SameNonce,
    /// Another one comes back.
    OtherNonce,
    /// A number of iterations.
    Iterations(u32),
    /// An extension that the client must know.
    Extension,
    /// No Base64.
    Garbage,
    /// A signature that is wrong.
    Signature,
    /// An error instead of the signature.
    Error(&'static str),
    /// No signature: the step ends with the client's proof.
    NoSignature,
}

impl Scram {
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let [mechanism, user, password, options @ ..] = words else {
            return Err("SCRAM MECHANISM USER PASSWORD".into());
        };
        let mut scram = Self {
            mechanism: mechanism.clone(),
            user: user.clone(),
            password: password.clone(),
            flag: "y".into(),
            authzid: String::new(),
            fault: None,
        };
        for option in options {
            match option.split_once('=') {
                Some(("flag", flag)) => scram.flag = flag.into(),
                Some(("authzid", authzid)) => scram.authzid = authzid.into(),
                Some(("fault", fault)) => scram.fault = Some(Fault::parse(fault)?),
                _ => return Err(format!("SCRAM option {option:?}")),
            }
        }
        Ok(scram)
    }
}

impl Fault {
    fn parse(word: &str) -> Result<Self, String> {
        Ok(match word {
            "same-nonce" => Self::SameNonce,
            "other-nonce" => Self::OtherNonce,
            "extension" => Self::Extension,
            "garbage" => Self::Garbage,
            "signature" => Self::Signature,
            "no-signature" => Self::NoSignature,
            "invalid-proof" => Self::Error("invalid-proof"),
            "does-support-channel-binding" => Self::Error("server-does-support-channel-binding"),
            _ => match word.strip_prefix("iterations=").map(str::parse) {
                Some(Ok(count)) => Self::Iterations(count),
                _ => return Err(format!("SCRAM fault {word:?}")),
            },
        })
    }
}

/// One exchange under way.
pub(crate) struct Exchange {
    scram: Scram,
    stage: Stage,
}

enum Stage {
    First,
    Final { bare: String, nonce: String, first: String, header: String },
    Empty,
}

/// What the server says, and whether the step is done.
pub(crate) type Answer = (Vec<u8>, bool);

impl Exchange {
    pub(crate) fn new(scram: Scram) -> Self {
        Self { scram, stage: Stage::First }
    }

    /// The answer to a line of the client's. `binding` is the kind and the value that the client must bind to.
    pub(crate) fn answer(&mut self, line: &[u8], binding: &(&str, Vec<u8>)) -> Result<Answer, String> {
        let line = std::str::from_utf8(line).map_err(|_| format!("SCRAM got {}", shown(line)))?;
        match std::mem::replace(&mut self.stage, Stage::Empty) {
            Stage::First => self.first(line, binding.0),
            Stage::Final { bare, nonce, first, header } => self.last(line, &binding.1, &bare, &nonce, &first, &header),
            Stage::Empty if line.is_empty() => Ok((Vec::new(), true)),
            Stage::Empty => Err(format!("SCRAM got {line:?} after the server's signature")),
        }
    }

    fn first(&mut self, line: &str, kind: &str) -> Result<Answer, String> {
        let scram = &self.scram;
        let encoded = line.strip_prefix(&format!("AUTH {} ", scram.mechanism));
        let message = decoded(encoded.ok_or_else(|| format!("{line:?} does not begin {}", scram.mechanism))?)?;
        let flag = if scram.mechanism.ends_with("-PLUS") { format!("p={kind}") } else { scram.flag.clone() };
        let authzid = if scram.authzid.is_empty() { String::new() } else { format!("a={}", scram.authzid) };
        let header = format!("{flag},{authzid},");
        let bare = message.strip_prefix(&header).ok_or_else(|| format!("{message:?} does not begin {header}"))?;
        let nonce = bare.strip_prefix(&format!("n={},r=", scram.user));
        let own = nonce.ok_or_else(|| format!("{bare:?} is not about {}", scram.user))?;
        if own.len() < 20 {
            return Err(format!("{own:?} is a short nonce"));
        }
        let nonce = match scram.fault {
            Some(Fault::SameNonce) => own.to_owned(),
            Some(Fault::OtherNonce) => format!("-{}more", &own[1..]),
            _ => format!("{own}more"),
        };
        let iterations = if let Some(Fault::Iterations(count)) = scram.fault { count } else { 4096 };
        let extension = if scram.fault == Some(Fault::Extension) { "m=new," } else { "" };
        let first = format!("{extension}r={nonce},s={},i={iterations}", BASE64_STANDARD.encode(SALT));
        let says = match scram.fault {
            Some(Fault::Garbage) => b"334 (garbage)\r\n".to_vec(),
            _ => challenge(&first),
        };
        let ends = matches!(
            scram.fault,
            Some(Fault::SameNonce | Fault::OtherNonce | Fault::Iterations(_) | Fault::Extension | Fault::Garbage)
        );
        self.stage = Stage::Final { bare: bare.to_owned(), nonce, first, header };
        Ok((says, ends))
    }

    fn last(
        &self,
        line: &str,
        binding: &[u8],
        bare: &str,
        nonce: &str,
        first: &str,
        header: &str,
    ) -> Result<Answer, String> {
        let (hash, hmac, pbkdf2) = algorithms(&self.scram.mechanism)?;
        let message = decoded(line)?;
        let bound = self.scram.mechanism.ends_with("-PLUS");
        let channel = [header.as_bytes(), if bound { binding } else { b"" }].concat();
        let unproven = format!("c={},r={nonce}", BASE64_STANDARD.encode(channel));
        let proof = message.strip_prefix(&format!("{unproven},p="));
        let proof = proof.ok_or_else(|| format!("{message:?} does not begin {unproven}"))?;
        let mut salted = vec![0; hash.output_len()];
        let iterations = NonZeroU32::new(4096).ok_or("no iterations")?;
        pbkdf2::derive(pbkdf2, iterations, SALT, self.scram.password.as_bytes(), &mut salted);
        let sign = |key: &[u8], message: &str| hmac::sign(&hmac::Key::new(hmac, key), message.as_bytes());
        let signed = format!("{bare},{first},{unproven}");
        let client_key = sign(&salted, "Client Key");
        let stored_key = digest::digest(hash, client_key.as_ref());
        let signature = sign(stored_key.as_ref(), &signed);
        let right: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        if proof != BASE64_STANDARD.encode(right) {
            return Err("the client's proof is wrong".into());
        }
        let signature = sign(sign(&salted, "Server Key").as_ref(), &signed);
        Ok(match self.scram.fault {
            Some(Fault::NoSignature) => (Vec::new(), true),
            Some(Fault::Signature) => {
                (challenge(&format!("v={}", BASE64_STANDARD.encode(vec![0; hash.output_len()]))), true)
            }
            Some(Fault::Error(word)) => (challenge(&format!("e={word}")), false),
            _ => (challenge(&format!("v={}", BASE64_STANDARD.encode(signature))), false),
        })
    }
}

fn challenge(text: &str) -> Vec<u8> {
    format!("334 {}\r\n", BASE64_STANDARD.encode(text)).into_bytes()
}

fn decoded(text: &str) -> Result<String, String> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| format!("{text:?} is no Base64"))?;
    String::from_utf8(bytes).map_err(|_| format!("{text:?} holds no UTF-8"))
}

fn algorithms(mechanism: &str) -> Result<(&'static digest::Algorithm, hmac::Algorithm, pbkdf2::Algorithm), String> {
    Ok(match mechanism.trim_end_matches("-PLUS") {
        "SCRAM-SHA-1" => {
            (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, pbkdf2::PBKDF2_HMAC_SHA1)
        }
        "SCRAM-SHA-256" => (&digest::SHA256, hmac::HMAC_SHA256, pbkdf2::PBKDF2_HMAC_SHA256),
        "SCRAM-SHA-512" => (&digest::SHA512, hmac::HMAC_SHA512, pbkdf2::PBKDF2_HMAC_SHA512),
        other => return Err(format!("{other} is no SCRAM")),
    })
}

/// The server's first message as the trace shows it, which holds the client's nonce, by its role.
pub(crate) fn normalise(line: &str) -> Option<String> {
    let message = BASE64_STANDARD.decode(line.strip_prefix("S: 334 ")?).ok()?;
    crate::text::contains(&message, b",s=").then(|| "S: 334 {server-first}".to_owned())
}
