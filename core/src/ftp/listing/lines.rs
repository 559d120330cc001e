//! Lines out of pieces.

use crate::error::{Error, Result};

/// Lines that come in pieces of any size. What is kept is the unfinished one alone.
#[derive(Debug, Default)]
pub(in crate::ftp) struct Lines {
    unfinished: Vec<u8>,
}

impl Lines {
    /// Bytes of one line, its line end included.
    const LIMIT: usize = 16 * 1024;

    /// Hands each complete line to `sink`, without its line end: CRLF, LF, or CR CR LF as some have it.
    ///
    /// # Errors
    /// If a line is, or can only become, too long.
    pub(in crate::ftp) fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, next) = (&rest[..at], &rest[at + 1..]);
            if self.unfinished.len() + at + 1 > Self::LIMIT {
                return Err(too_long());
            }
            if self.unfinished.is_empty() {
                sink(without_cr(line));
            } else {
                self.unfinished.extend_from_slice(line);
                sink(without_cr(&self.unfinished));
                self.unfinished.clear();
            }
            rest = next;
        }
        if self.unfinished.len() + rest.len() > Self::LIMIT {
            return Err(too_long());
        }
        self.unfinished.extend_from_slice(rest);
        Ok(())
    }

    /// Hands over a last line that has no line end.
    pub(in crate::ftp) fn finish(&mut self, sink: &mut dyn FnMut(&[u8])) {
        if !self.unfinished.is_empty() {
            sink(without_cr(&self.unfinished));
            self.unfinished.clear();
        }
    }
}

fn too_long() -> Error {
    Error::limit(format!("a line of more than {} bytes", Lines::LIMIT))
}

fn without_cr(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r'] = line {
        line = rest;
    }
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_went_in() {
        let text = b"a\r\n\r\nb\nc\r\r\nd";
        for step in 1..=text.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in text.chunks(step) {
                lines.push(piece, &mut |line| found.push(line.to_vec())).unwrap();
            }
            lines.finish(&mut |line| found.push(line.to_vec()));
            assert_eq!(found, [&b"a"[..], b"", b"b", b"c", b"d"], "in steps of {step}");
        }
    }

    #[test]
    fn a_line_has_a_limit() {
        let all = vec![b'x'; Lines::LIMIT + 1];
        for step in [1, 1000, Lines::LIMIT, Lines::LIMIT + 1] {
            let mut lines = Lines::default();
            let outcome: Result<()> = all.chunks(step).try_for_each(|piece| lines.push(piece, &mut |_| ()));
            assert!(outcome.is_err(), "{step}");
        }
        let mut whole = vec![b'x'; Lines::LIMIT - 1];
        whole.push(b'\n');
        Lines::default().push(&whole, &mut |line| assert_eq!(line.len(), Lines::LIMIT - 1)).unwrap();
    }
}
