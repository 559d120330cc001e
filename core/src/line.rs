//! A command line that cannot carry CR, LF or NUL.
//!
//! Every byte that reaches the wire as part of a command goes through [`Line`], which looks at it *after* encoding:
//! what is checked is what is sent. Arguments that are secret are marked as they are added, so that the trace shows
//! `***` where they stand.

use std::fmt;

use zeroize::Zeroize;

use crate::error::{Error, Result};

/// One command line without its CRLF.
///
/// The bytes are wiped when it is dropped, since it may carry a password.
pub(crate) struct Line {
    /// The verb and its arguments, without CRLF.
    bytes: Vec<u8>,
    /// Ranges of `bytes` that may not be shown.
    secrets: Vec<(usize, usize)>,
}

impl Line {
    /// A line that begins with a verb known at compile time.
    pub(crate) fn new(verb: &'static str) -> Self {
        debug_assert!(is_clean(verb.as_bytes()));
        // Room for what most commands say: it grows once, if at all.
        let mut bytes = Vec::with_capacity(96);
        bytes.extend_from_slice(verb.as_bytes());
        Self { bytes, secrets: Vec::new() }
    }

    /// Adds bytes known at compile time, as they are.
    pub(crate) fn literal(mut self, text: &'static str) -> Self {
        debug_assert!(is_clean(text.as_bytes()));
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// Adds what is made of numbers and punctuation: an address.
    pub(crate) fn shown(mut self, value: impl fmt::Display) -> Self {
        let text = value.to_string();
        debug_assert!(is_clean(text.as_bytes()));
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// Adds a number.
    pub(crate) fn number(mut self, n: u64) -> Self {
        self.bytes.extend_from_slice(n.to_string().as_bytes());
        self
    }

    /// Adds a caller's bytes, as they are, if a line can carry them. `what` names the argument in the error.
    pub(crate) fn argument(mut self, what: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        let value = value.as_ref();
        if !is_clean(value) {
            return Err(Error::invalid_argument(format!("{what} contains CR, LF or NUL")));
        }
        self.bytes.extend_from_slice(value);
        Ok(self)
    }

    /// Adds a caller's secret bytes: sent like any argument, shown as `***`.
    pub(crate) fn secret(mut self, what: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        let start = self.bytes.len();
        self = self.argument(what, value)?;
        self.secrets.push((start, self.bytes.len()));
        Ok(self)
    }

    /// Bytes, without CRLF.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether a part of it may not be shown.
    pub(crate) fn is_secret(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// The line as it goes on the wire, with CRLF.
    pub(crate) fn append_to(&self, flight: &mut Vec<u8>) {
        flight.extend_from_slice(&self.bytes);
        flight.extend_from_slice(b"\r\n");
    }
}

/// The line as people may see it.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = 0;
        for &(start, end) in &self.secrets {
            write!(f, "{}***", String::from_utf8_lossy(&self.bytes[at..start]))?;
            at = end;
        }
        write!(f, "{}", String::from_utf8_lossy(&self.bytes[at..]))
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({self})")
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.secrets.is_empty() {
            self.bytes.zeroize();
        }
    }
}

fn is_clean(bytes: &[u8]) -> bool {
    !bytes.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_never_enter_a_line() {
        for bad in ["a\rb", "a\nb", "a\0b", "\r\nDATA"] {
            assert!(Line::new("MAIL FROM:").argument("address", bad).is_err());
            let error = Line::new("PASS ").secret("password", bad).unwrap_err().to_string();
            assert!(error.contains("password"), "{error}");
            assert!(!error.contains(bad), "{error}");
        }
    }

    #[test]
    fn secrets_are_sent_and_not_shown() {
        let line = Line::new("AUTH PLAIN ").secret("initial response", "aHVudGVyMg==").unwrap().literal(" x");
        assert_eq!(line.to_string(), "AUTH PLAIN *** x");
        assert_eq!(format!("{line:?}"), "Line(AUTH PLAIN *** x)");
        let mut wire = Vec::new();
        line.append_to(&mut wire);
        assert_eq!(wire, b"AUTH PLAIN aHVudGVyMg== x\r\n");
    }
}
