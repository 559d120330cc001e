//! Digests of files: how they are called, compared and computed here; what servers say of theirs is read in `hash::remote`.
//!
//! ```
//! use starttls::ftp::hash::{Algorithm, Hasher};
//!
//! let mut hasher = Hasher::new(Algorithm::Sha256);
//! hasher.update(b"ab");
//! hasher.update(b"c");
//! assert!(hasher.finish().to_string().starts_with("ba7816bf8f01cfea"));
//! ```

mod remote;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use md5::Digest as _;
use ring::digest;

use crate::error::Error;

/// A hash function that servers offer. In their order here, the ones that say more come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-384.
    Sha384,
    /// SHA-1: no defence against somebody who chooses the content.
    Sha1,
    /// MD5: the same.
    Md5,
    /// CRC-32 of ISO 3309, as zip has it: against accidents alone.
    Crc32,
}

impl Algorithm {
    /// All, the preferred ones first.
    pub const ALL: [Self; 6] = [Self::Sha256, Self::Sha512, Self::Sha384, Self::Sha1, Self::Md5, Self::Crc32];

    /// The name of the IANA registry of hash function textual names, which HASH uses: `SHA-256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
            Self::Sha384 => "SHA-384",
            Self::Sha1 => "SHA-1",
            Self::Md5 => "MD5",
            Self::Crc32 => "CRC32",
        }
    }

    /// Bytes of a digest.
    pub fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
            Self::Sha384 => 48,
            Self::Sha1 => 20,
            Self::Md5 => 16,
            Self::Crc32 => 4,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    /// The name in any case, with or without its hyphen: `SHA-256`, `sha256`, `CRC32`.
    fn from_str(name: &str) -> Result<Self, Error> {
        let bare = |name: &str| name.replace(['-', '_'], "").to_ascii_uppercase();
        let wanted = match bare(name) {
            short if short == "SHA" => "SHA1".to_owned(),
            wanted => wanted,
        };
        let found = Self::ALL.into_iter().find(|algorithm| bare(algorithm.name()) == wanted);
        found.ok_or_else(|| Error::invalid_argument(format!("{name:?} is no hash function that is known here")))
    }
}

/// A digest of a file, or of a part of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Digest {
    /// What computed it.
    pub algorithm: Algorithm,
    /// Its bytes, as many as [`Algorithm::size`] says.
    pub value: Vec<u8>,
    /// The bytes of the file it is of, the end not included; `None`: all of them.
    pub range: Option<Range<u64>>,
}

impl Digest {
    /// A digest written in hexadecimal digits, of a whole file.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for another number of digits than the algorithm has.
    pub fn from_hex(algorithm: Algorithm, digits: &str) -> Result<Self, Error> {
        let value = unhex(digits).filter(|value| value.len() == algorithm.size());
        let value = value.ok_or_else(|| {
            Error::invalid_argument(format!("a digest by {algorithm} has {} hexadecimal digits", 2 * algorithm.size()))
        })?;
        Ok(Self { algorithm, value, range: None })
    }
}

/// The value in lower-case hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

/// Computes a digest from pieces of any size.
#[derive(Clone)]
pub struct Hasher {
    algorithm: Algorithm,
    state: State,
}

#[derive(Clone)]
enum State {
    Ring(digest::Context),
    Md5(md5::Md5),
    Crc32(crc32fast::Hasher),
}

impl Hasher {
    /// Nothing hashed yet.
    pub fn new(algorithm: Algorithm) -> Self {
        let ring = |which| State::Ring(digest::Context::new(which));
        let state = match algorithm {
            Algorithm::Sha256 => ring(&digest::SHA256),
            Algorithm::Sha512 => ring(&digest::SHA512),
            Algorithm::Sha384 => ring(&digest::SHA384),
            Algorithm::Sha1 => ring(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            Algorithm::Md5 => State::Md5(md5::Md5::new()),
            Algorithm::Crc32 => State::Crc32(crc32fast::Hasher::new()),
        };
        Self { algorithm, state }
    }

    /// What it computes.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Ring(state) => state.update(bytes),
            State::Md5(state) => state.update(bytes),
            State::Crc32(state) => state.update(bytes),
        }
    }

    /// The digest of all of them.
    pub fn finish(self) -> Digest {
        let value = match self.state {
            State::Ring(state) => state.finish().as_ref().to_vec(),
            State::Md5(state) => state.finalize().to_vec(),
            State::Crc32(state) => state.finalize().to_be_bytes().to_vec(),
        };
        Digest { algorithm: self.algorithm, value, range: None }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hasher({})", self.algorithm)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The digests of "abc" (FIPS 180-4, RFC 1321; CRC-32 by its definition).
    const ABC: [(Algorithm, &str); 6] = [
        (Algorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            Algorithm::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        (
            Algorithm::Sha384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
             8086072ba1e7cc2358baeca134c825a7",
        ),
        (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
        (Algorithm::Crc32, "352441c2"),
    ];

    #[test]
    fn known_digests_in_pieces_of_any_size() {
        for (algorithm, hex) in ABC {
            for pieces in [&[&b"abc"[..]][..], &[b"a", b"bc"], &[b"", b"ab", b"", b"c"]] {
                let mut hasher = Hasher::new(algorithm);
                pieces.iter().for_each(|piece| hasher.update(piece));
                let digest = hasher.finish();
                assert_eq!(digest.to_string(), hex);
                assert_eq!(digest, Digest::from_hex(algorithm, &hex.to_ascii_uppercase()).unwrap());
            }
        }
    }

    #[test]
    fn names_and_lengths() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Hasher::new(algorithm).finish().value.len(), algorithm.size());
            assert_eq!(algorithm.name().parse::<Algorithm>().unwrap(), algorithm);
            assert_eq!(algorithm.name().to_lowercase().replace('-', "").parse::<Algorithm>().unwrap(), algorithm);
            for wrong in ["", "0", "zz", &"0".repeat(2 * algorithm.size() + 2), &"g".repeat(2 * algorithm.size())] {
                assert!(Digest::from_hex(algorithm, wrong).is_err(), "{algorithm} {wrong}");
            }
        }
        assert_eq!("sha".parse::<Algorithm>().unwrap(), Algorithm::Sha1);
        assert!("sha-3".parse::<Algorithm>().is_err());
        // Two bytes that are one character.
        assert!(Digest::from_hex(Algorithm::Crc32, "é234567").is_err());
    }
}
