//! Line ends and dots of a message on its way: what DATA and BDAT carry (RFC 5321 §2.3.8 and §4.5.2, RFC 3030).

use crate::error::{Error, Result};

/// What becomes of line ends that are not CRLF. A bare CR or LF is where one server sees the end of a message, or a line
/// that begins with a dot, and the next one does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LineEnds {
    /// Every bare CR and bare LF becomes CRLF, and so does the end of an open last line.
    #[default]
    Normalise,
    /// A bare CR or LF is an error. A message in memory is looked at before anything is sent.
    Strict,
    /// The bytes go as they are. Only BDAT can carry them: without CHUNKING the message is refused beforehand.
    Preserve,
}

/// Turns a message, given in pieces of any size, into what goes on the wire.
///
/// ```
/// use starttls::smtp::{LineEncoder, LineEnds};
/// let (mut lines, mut wire) = (LineEncoder::for_data(LineEnds::Normalise), Vec::new());
/// lines.push(b"one\n.two\r", &mut wire)?;
/// lines.push(b"\nthree", &mut wire)?;
/// lines.finish(&mut wire)?;
/// assert_eq!(wire, b"one\r\n..two\r\nthree\r\n.\r\n");
/// # Ok::<(), starttls::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LineEncoder {
    ends: LineEnds,
    dots: bool,
    at: At,
    /// Bytes of the message so far, for errors.
    position: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    InLine,
    /// Behind a CR that is written only once it is known what follows.
    AfterCr,
}

impl LineEncoder {
    /// For DATA: dots that begin a line are doubled, a lone dot ends it. [`LineEnds::Preserve`] is not to be had here
    /// and counts as [`LineEnds::Strict`].
    pub fn for_data(ends: LineEnds) -> Self {
        let ends = if ends == LineEnds::Preserve { LineEnds::Strict } else { ends };
        Self { ends, dots: true, at: At::LineStart, position: 0 }
    }

    /// For BDAT: no dots.
    pub fn for_chunks(ends: LineEnds) -> Self {
        Self { ends, dots: false, at: At::LineStart, position: 0 }
    }

    /// Adds the next piece to `wire`.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a bare CR or LF where [`LineEnds::Strict`] is asked
    /// for.
    pub fn push(&mut self, mut body: &[u8], wire: &mut Vec<u8>) -> Result<()> {
        let end = self.position + body.len() as u64;
        if self.ends == LineEnds::Preserve {
            wire.extend_from_slice(body);
            self.position = end;
            return Ok(());
        }
        wire.reserve(body.len() + body.len() / 64 + 2);
        while let Some((&first, rest)) = body.split_first() {
            match (self.at, first) {
                (At::AfterCr, b'\n') => {
                    wire.extend_from_slice(b"\r\n");
                    self.at = At::LineStart;
                    body = rest;
                    continue;
                }
                (At::AfterCr, _) => {
                    self.bare("CR", end - body.len() as u64)?;
                    wire.extend_from_slice(b"\r\n");
                    self.at = At::LineStart;
                    continue;
                }
                (At::LineStart, b'.') if self.dots => wire.push(b'.'),
                _ => {}
            }
            // Whole lines that need no change go in one piece.
            let clean = clean_run(body, self.dots);
            if clean > 0 {
                wire.extend_from_slice(&body[..clean]);
                self.at = At::LineStart;
                body = &body[clean..];
                continue;
            }
            let Some(at) = memchr::memchr2(b'\r', b'\n', body) else {
                wire.extend_from_slice(body);
                self.at = At::InLine;
                break;
            };
            wire.extend_from_slice(&body[..at]);
            if body[at] == b'\r' {
                self.at = At::AfterCr;
            } else {
                self.bare("LF", end - (body.len() - at) as u64 + 1)?;
                wire.extend_from_slice(b"\r\n");
                self.at = At::LineStart;
            }
            body = &body[at + 1..];
        }
        self.position = end;
        Ok(())
    }

    /// Ends the message: the last line, if it is open, and for DATA the lone dot.
    ///
    /// # Errors
    /// As [`LineEncoder::push`], for a CR that ends the message.
    pub fn finish(self, wire: &mut Vec<u8>) -> Result<()> {
        if self.ends != LineEnds::Preserve && self.at != At::LineStart {
            if self.at == At::AfterCr {
                self.bare("CR", self.position)?;
            }
            wire.extend_from_slice(b"\r\n");
        }
        if self.dots {
            wire.extend_from_slice(b".\r\n");
        }
        Ok(())
    }

    fn bare(&self, what: &str, position: u64) -> Result<()> {
        if self.ends == LineEnds::Normalise {
            return Ok(());
        }
        let why = format!("the message has a bare {what} (byte {position}), and only CRLF may end a line");
        Err(Error::invalid_argument(why)
            .advise("let line ends be normalised, or send it as binary where that is offered"))
    }
}

/// Whether `message` goes over BDAT as it is: under these line ends nothing in it would change.
pub(super) fn is_canonical(message: &[u8], ends: LineEnds) -> bool {
    ends == LineEnds::Preserve || message.is_empty() || clean_run(message, false) == message.len()
}

/// How much of `body` is lines that end in CRLF, hold no other CR or LF, and, where dots matter, (but for the first)
/// begin with no dot.
fn clean_run(body: &[u8], dots: bool) -> usize {
    let mut end = 0;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', &body[end..]).map(|at| end + at) {
        if body[at] != b'\r' || body.get(at + 1) != Some(&b'\n') {
            break;
        }
        end = at + 2;
        if dots && body.get(end) == Some(&b'.') {
            break;
        }
    }
    end
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The slow reference: one byte at a time, with the whole body at hand. `None` for a bare CR or LF.
    fn reference(body: &[u8], ends: LineEnds, dots: bool) -> Option<Vec<u8>> {
        let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
        let mut bare = false;
        let mut i = 0;
        while i < body.len() {
            match body[i] {
                b'\r' => {
                    lines.push(Vec::new());
                    let pair = body.get(i + 1) == Some(&b'\n');
                    bare |= !pair;
                    i += usize::from(pair);
                }
                b'\n' => {
                    bare = true;
                    lines.push(Vec::new());
                }
                byte => lines.last_mut().expect("never empty").push(byte),
            }
            i += 1;
        }
        if ends == LineEnds::Preserve && !dots {
            return Some(body.to_vec());
        }
        if bare && ends != LineEnds::Normalise {
            return None;
        }
        if lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        let mut out = Vec::new();
        for line in lines {
            if dots && line.first() == Some(&b'.') {
                out.push(b'.');
            }
            out.extend(line);
            out.extend(b"\r\n");
        }
        if dots {
            out.extend(b".\r\n");
        }
        Some(out)
    }

    fn encode(pieces: [&[u8]; 2], mut lines: LineEncoder) -> Option<Vec<u8>> {
        let mut wire = Vec::new();
        for piece in pieces {
            lines.push(piece, &mut wire).ok()?;
        }
        lines.finish(&mut wire).ok()?;
        Some(wire)
    }

    #[test]
    fn every_body_of_a_small_alphabet_in_every_split() {
        // All 5,461 bodies of up to six bytes over these four, cut at every place: smuggling is in here somewhere.
        let alphabet = [b'\r', b'\n', b'.', b'x'];
        for length in 0..=6 {
            for number in 0..4usize.pow(length) {
                let body: Vec<u8> = (0..length).map(|i| alphabet[number / 4usize.pow(i) % 4]).collect();
                for ends in [LineEnds::Normalise, LineEnds::Strict, LineEnds::Preserve] {
                    let data = reference(&body, ends, true);
                    let chunks = reference(&body, ends, false);
                    assert_eq!(is_canonical(&body, ends), chunks.as_ref() == Some(&body), "{body:?} {ends:?}");
                    for cut in 0..=body.len() {
                        let pieces = [&body[..cut], &body[cut..]];
                        assert_eq!(encode(pieces, LineEncoder::for_data(ends)), data, "{body:?} cut at {cut} {ends:?}");
                        assert_eq!(encode(pieces, LineEncoder::for_chunks(ends)), chunks, "{body:?} cut at {cut}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_bare_line_end_is_named_with_its_place() {
        let mut lines = LineEncoder::for_data(LineEnds::Strict);
        let mut wire = Vec::new();
        lines.push(b"ab\r\ncd", &mut wire).unwrap();
        let error = lines.push(b"e\nf", &mut wire).unwrap_err().to_string();
        assert!(error.contains("bare LF (byte 8)"), "{error}");
        let mut lines = LineEncoder::for_chunks(LineEnds::Strict);
        lines.push(b"ab\r", &mut wire).unwrap();
        let error = lines.push(b"x", &mut wire).unwrap_err().to_string();
        assert!(error.contains("bare CR (byte 3)"), "{error}");
    }
}
