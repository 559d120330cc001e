//! Received bytes that nobody has understood yet.

use crate::error::{Error, ErrorKind, Result};
use crate::reply::printable;

/// Received, not yet understood.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// How much of `bytes` was taken out.
    start: usize,
    /// How much of `bytes` is known to hold no line feed: each byte is looked at once.
    scanned: usize,
}

/// The proof that an inbox was empty when its connection became TLS. Minted by [`Inbox::drained`] alone.
#[must_use]
#[derive(Debug)]
pub struct Drained(());

impl Inbox {
    /// The proof that nothing waits in here; the inbox itself if something does.
    ///
    /// # Errors
    /// The inbox, with what is in it.
    pub fn drained(self) -> Result<Drained, Self> {
        if self.is_empty() { Ok(Drained(())) } else { Err(self) }
    }

    /// Whether everything received was understood.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Bytes waiting.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// What waits.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Adds received bytes.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
            self.scanned = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether a complete line waits.
    pub(crate) fn has_line(&self) -> bool {
        memchr::memchr(b'\n', &self.bytes[self.scanned.max(self.start)..]).is_some()
    }

    /// Takes the next complete line out, without its CRLF or LF.
    ///
    /// # Errors
    /// If the line is, or can only become, longer than `limit` bytes.
    pub(crate) fn take_line(&mut self, limit: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.next_line(limit)?.map(<[u8]>::to_vec))
    }

    /// [`Inbox::take_line`] without a copy.
    pub(crate) fn next_line(&mut self, limit: usize) -> Result<Option<&[u8]>> {
        let too_long = || Err(Error::limit(format!("a line of more than {limit} bytes")));
        let from = self.scanned.max(self.start);
        let Some(at) = memchr::memchr(b'\n', &self.bytes[from..]) else {
            self.scanned = self.bytes.len();
            return if self.len() > limit { too_long() } else { Ok(None) };
        };
        let end = from + at;
        if end + 1 - self.start > limit {
            return too_long();
        }
        let line = &self.bytes[self.start..end];
        self.start = end + 1;
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// Takes out as much as `into` holds.
    pub(crate) fn take_into(&mut self, into: &mut [u8]) -> usize {
        let n = self.len().min(into.len());
        into[..n].copy_from_slice(&self.as_slice()[..n]);
        self.start += n;
        n
    }

    /// Takes everything out.
    pub(crate) fn take_all(&mut self) -> Vec<u8> {
        let rest = std::mem::take(self);
        if rest.start == 0 { rest.bytes } else { rest.as_slice().to_vec() }
    }

    /// The first bytes as a person can read them.
    pub(crate) fn sample(&self) -> String {
        printable(&self.as_slice()[..self.len().min(200)])
    }

    /// The error for bytes that wait here when TLS is to begin.
    pub(super) fn injected(&self) -> Error {
        Error::new(ErrorKind::BytesBeforeHandshake { count: self.len(), sample: self.sample() })
            .advise("do not use this network or server until it is known who sent them")
    }
}

/// The error for an end of the stream inside a line.
pub(super) fn unfinished_line() -> Error {
    Error::new(ErrorKind::ClosedByPeer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_went_in() {
        let text = b"220 a\r\n\r\nb\n";
        for step in 1..text.len() {
            let mut inbox = Inbox::default();
            let mut lines = Vec::new();
            for piece in text.chunks(step) {
                inbox.extend(piece);
                while let Some(line) = inbox.take_line(100).unwrap() {
                    lines.push(line);
                }
            }
            assert_eq!(lines, [b"220 a".to_vec(), b"".to_vec(), b"b".to_vec()], "in steps of {step}");
            assert!(inbox.drained().is_ok());
        }
    }

    #[test]
    fn only_an_empty_inbox_mints_the_proof() {
        let mut inbox = Inbox::default();
        inbox.extend(b"x");
        let inbox = inbox.drained().unwrap_err();
        assert_eq!(inbox.as_slice(), b"x");
    }

    #[test]
    fn a_line_has_a_limit() {
        let mut inbox = Inbox::default();
        inbox.extend(&[b'a'; 11]);
        assert!(inbox.take_line(10).is_err());
        let mut inbox = Inbox::default();
        inbox.extend(b"0123456789\n");
        assert!(inbox.take_line(10).is_err());
        assert_eq!(inbox.take_line(11).unwrap().unwrap(), b"0123456789");
    }
}
