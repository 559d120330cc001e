//! How names and paths are written: bytes on the wire, text for people.

use std::borrow::Cow;
use std::fmt;

use crate::error::{Error, Result};

/// The encoding of names and paths.
///
/// UTF-8, as RFC 2640 has it, unless another one is chosen. Names are bytes all the same: what cannot be decoded loses
/// nothing, since [`Entry::raw_name`](super::Entry::raw_name) opens the file again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Encoding {
    first: &'static encoding_rs::Encoding,
    fallback: Option<&'static encoding_rs::Encoding>,
}

impl Default for Encoding {
    fn default() -> Self {
        Self::UTF_8
    }
}

impl Encoding {
    /// UTF-8 and nothing else.
    pub const UTF_8: Self = Self { first: encoding_rs::UTF_8, fallback: None };

    /// The encoding that a label names, in any case: `utf-8`, `latin1`, `windows-1251`, `koi8-r`, `shift_jis`, `gbk`,
    /// `big5`, `euc-kr` and the other labels of the WHATWG Encoding Standard.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for any other label, and for UTF-16, which no command line
    /// can carry.
    pub fn for_label(label: &str) -> Result<Self> {
        Ok(Self { first: labelled(label)?, fallback: None })
    }

    /// The same, and names that are invalid in it are shown as if they were in this one. Such a name, given as text, is
    /// another path: use its bytes.
    ///
    /// # Errors
    /// As [`Encoding::for_label`].
    pub fn with_fallback(mut self, label: &str) -> Result<Self> {
        self.fallback = Some(labelled(label)?);
        Ok(self)
    }

    /// The standard's name of the encoding, without the fall-back.
    pub fn name(self) -> &'static str {
        self.first.name()
    }

    /// The standard's name of the fall-back, if one was chosen.
    pub fn fallback_name(self) -> Option<&'static str> {
        self.fallback.map(encoding_rs::Encoding::name)
    }

    /// Bytes as text; what is invalid in the encoding and in the fall-back is replaced by U+FFFD.
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self.decode_exactly(bytes) {
            Some(text) => text,
            None => self.first.decode_without_bom_handling(bytes).0,
        }
    }

    /// Bytes as text; `None` if they are invalid in the encoding and in the fall-back.
    pub fn decode_exactly(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        let all = [Some(self.first), self.fallback];
        all.into_iter().flatten().find_map(|one| one.decode_without_bom_handling_and_without_replacement(bytes))
    }

    /// Text as the bytes of a path.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the encoding has no bytes for one of the characters.
    pub fn encode(self, text: &str) -> Result<Cow<'_, [u8]>> {
        if self.first == encoding_rs::UTF_8 {
            return Ok(Cow::Owned(text.as_bytes().to_vec()));
        }
        let (bytes, _, has_unmappable) = self.first.encode(text);
        if has_unmappable {
            let why = format!("the path has characters that {} does not have", self.name());
            return Err(Error::invalid_argument(why));
        }
        Ok(Cow::Owned(bytes.into_owned()))
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.fallback_name().map_or(Ok(()), |name| write!(f, ", else {name}"))
    }
}

fn labelled(label: &str) -> Result<&'static encoding_rs::Encoding> {
    let found = encoding_rs::Encoding::for_label(label.as_bytes());
    // UTF-16 is never written, says the standard: its output encoding is UTF-8.
    found
        .filter(|found| found.output_encoding() == *found)
        .ok_or_else(|| Error::invalid_argument(format!("{label:?} is no encoding that names can have")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_in_and_out() {
        let utf8 = Encoding::default();
        assert_eq!(utf8.decode("ü\u{feff}".as_bytes()), "ü\u{feff}");
        assert_eq!((utf8.decode(b"a\xff"), utf8.decode_exactly(b"a\xff")), ("a\u{fffd}".into(), None));
        assert_eq!(&*utf8.encode("ü").unwrap(), "ü".as_bytes());
        let both = utf8.with_fallback("latin1").unwrap();
        assert_eq!((both.decode(b"\xe9\x81"), both.decode("é".as_bytes())), ("é\u{81}".into(), "é".into()));
        assert_eq!(format!("{both:?}"), "UTF-8, else windows-1252");
        for (label, bytes, text) in [
            ("windows-1251", &b"\xcf\xf0"[..], "Пр"),
            ("KOI8-R", b"\xf0\xd2", "Пр"),
            ("shift_jis", b"\x83\x5c", "ソ"),
            ("gbk", b"\xc4\xe3", "你"),
            ("big5", b"\xa7\x41", "你"),
            ("euc-kr", b"\xb0\xa1", "가"),
            ("iso-8859-2", b"\xb1", "ą"),
        ] {
            let one = Encoding::for_label(label).unwrap();
            assert_eq!((one.decode(bytes).as_ref(), one.encode(text).unwrap().as_ref()), (text, bytes), "{label}");
        }
        assert!(Encoding::for_label("latin1").unwrap().encode("日").is_err());
        for bad in ["", "utf-16", "utf-16le", "replacement", "x", "utf 8"] {
            assert!(Encoding::for_label(bad).is_err(), "{bad}");
        }
    }
}
