//! A header that comes in pieces, and where it ends.

use super::{HEADER_LIMIT, Header, too_long};
use crate::error::Result;

/// Gathers the header of a message that comes in pieces.
///
/// ```
/// use starttls::smtp::HeaderReader;
/// let mut reader = HeaderReader::new();
/// assert_eq!(reader.push(b"From: ada@exam")?, None);
/// assert_eq!(reader.push(b"ple.org\r\n\r")?, None);
/// assert_eq!(reader.push(b"\nHello.\r\n")?, Some(1)); // so many bytes of this piece, and the rest is body
/// assert_eq!(reader.header().sender()?.as_str(), "ada@example.org");
/// # Ok::<(), starttls::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HeaderReader {
    bytes: Vec<u8>,
    end: End,
    whole: bool,
}

impl HeaderReader {
    /// At the start of a message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece. Gives how many of its bytes belong to the header once that is known to be whole; until then
    /// `None`. A message that ends earlier is a header and nothing else.
    ///
    /// # Errors
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded) if the header is longer than [`HEADER_LIMIT`].
    pub fn push(&mut self, piece: &[u8]) -> Result<Option<usize>> {
        if self.whole {
            return Ok(Some(0));
        }
        // One byte beyond the limit may be needed to see that a CR was the end.
        let room = HEADER_LIMIT + 1 - self.bytes.len();
        let start = &piece[..piece.len().min(room)];
        let found = self.end.find(start);
        self.bytes.extend_from_slice(&start[..found.unwrap_or(start.len())]);
        if self.bytes.len() > HEADER_LIMIT {
            return Err(too_long());
        }
        self.whole = found.is_some();
        Ok(found)
    }

    /// Whether the blank line was seen.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// What was gathered.
    pub fn header(&self) -> Header<'_> {
        Header { bytes: &self.bytes }
    }
}

/// Looks for the end of a header, wherever it is cut.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum End {
    #[default]
    LineStart,
    InLine,
    AfterCr,
    /// The blank line may still get its LF.
    AfterBlankCr,
}

impl End {
    /// How many bytes of `piece` belong to the header, if it ends in here.
    pub(super) fn find(&mut self, piece: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let next = piece.get(at);
            *self = match (*self, next) {
                (Self::InLine, _) => {
                    at += memchr::memchr2(b'\r', b'\n', piece.get(at..)?)? + 1;
                    if piece[at - 1] == b'\r' { Self::AfterCr } else { Self::LineStart }
                }
                (_, None) => return None,
                (Self::LineStart, Some(b'\n')) => return Some(at + 1),
                (Self::LineStart, Some(b'\r')) => {
                    at += 1;
                    Self::AfterBlankCr
                }
                (Self::LineStart, Some(_)) => Self::InLine,
                (Self::AfterCr, Some(b'\n')) => {
                    at += 1;
                    Self::LineStart
                }
                (Self::AfterCr, Some(_)) => Self::LineStart,
                (Self::AfterBlankCr, Some(&byte)) => return Some(at + usize::from(byte == b'\n')),
            };
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::smtp::fields::Fields;

    #[test]
    fn the_end_is_found_wherever_it_is_cut() {
        // All messages of up to seven bytes over these four, in every two pieces, and byte by byte.
        let alphabet = [b'\r', b'\n', b':', b' '];
        for length in 0..=7 {
            for number in 0..4usize.pow(length) {
                let message: Vec<u8> = (0..length).map(|i| alphabet[number / 4usize.pow(i) % 4]).collect();
                let whole = Header::of(&message).unwrap().as_bytes().len();
                assert_eq!(Fields::of(&message[..whole]).map(|field| field.raw.len()).sum::<usize>(), whole);
                let cuts = (0..=message.len()).map(|cut| vec![&message[..cut], &message[cut..]]);
                for pieces in cuts.chain([message.chunks(1).collect()]) {
                    let mut reader = HeaderReader::new();
                    for piece in pieces {
                        reader.push(piece).unwrap();
                    }
                    assert_eq!(reader.header().as_bytes(), &message[..whole], "{message:?}");
                }
            }
        }
    }

    #[test]
    fn a_header_has_a_limit_wherever_it_is_cut() {
        let line = b"A: 45678901234\r\n"; // 16 bytes
        let fits = [line.repeat(HEADER_LIMIT / 16 - 1).as_slice(), b"A: 4567890123\r\n\r\n".get(1..).unwrap()].concat();
        let fits = &fits[fits.len() - HEADER_LIMIT..];
        for (message, is_fine) in [
            ([fits, b"body"].concat(), true),
            ([b"x", fits].concat(), false),
            (line.repeat(HEADER_LIMIT / 16), true),
            ([&line.repeat(HEADER_LIMIT / 16), &b"B"[..]].concat(), false),
        ] {
            assert_eq!(Header::of(&message).is_ok(), is_fine);
            for size in [message.len(), HEADER_LIMIT, HEADER_LIMIT + 1, 64 * 1024, 4_000] {
                let mut reader = HeaderReader::new();
                let mut outcomes = message.chunks(size).map(|piece| reader.push(piece));
                assert_eq!(outcomes.all(|outcome| outcome.is_ok()), is_fine, "in pieces of {size}");
            }
        }
    }
}
