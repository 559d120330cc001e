//! A message on its way from a file or a pipe: looked at beforehand where that is possible, never held whole.

use std::fs::File;
use std::io::{self, BufRead, Cursor, Read, Seek};
use std::path::Path;

use crate::exit::Exit;
use crate::failure::Failure;

/// How much of a message is held in memory: its header, and short messages from a pipe.
const HELD: usize = 1024 * 1024;

/// A message, its Bcc header left out, and what the server is told of it beforehand.
pub(crate) struct Message {
    /// Bytes on the wire, before dots are doubled; `None` for what comes from a pipe and is long.
    pub(crate) size: Option<u64>,
    /// Whether there are bytes above 127; assumed for what comes from a pipe and is long.
    pub(crate) eight_bit: bool,
    /// Whether the header has UTF-8.
    pub(crate) utf8_header: bool,
    source: Box<dyn Read>,
}

impl Read for Message {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.source.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

impl Message {
    /// Opens a message and looks at it: a regular file is read twice.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let unreadable = |error: io::Error| Failure::file(Exit::NoInput, path, &error);
        if path == Path::new("-") {
            return Self::from_pipe(io::stdin()).map_err(unreadable);
        }
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_file() { Self::from_file(file) } else { Self::from_pipe(file) }.map_err(unreadable)
    }

    fn from_file(mut file: File) -> io::Result<Self> {
        let mut held = Vec::new();
        (&mut file).take(HELD as u64).read_to_end(&mut held)?;
        let start = Start::of(held);
        let mut scan = Scan::default();
        scan.push(&start.bytes);
        let rest = file.stream_position()?;
        let mut reader = io::BufReader::with_capacity(64 * 1024, file);
        loop {
            let piece = reader.fill_buf()?;
            if piece.is_empty() {
                break;
            }
            scan.push(piece);
            let n = piece.len();
            reader.consume(n);
        }
        let mut file = reader.into_inner();
        file.seek(io::SeekFrom::Start(rest))?;
        Ok(start.followed_by(file, Some(scan)))
    }

    fn from_pipe(mut pipe: impl Read + 'static) -> io::Result<Self> {
        let mut held = Vec::new();
        (&mut pipe).take(HELD as u64).read_to_end(&mut held)?;
        let whole = held.len() < HELD;
        let start = Start::of(held);
        let scan = whole.then(|| {
            let mut scan = Scan::default();
            scan.push(&start.bytes);
            scan
        });
        Ok(start.followed_by(pipe, scan))
    }
}

/// The start of a message, without its Bcc header.
struct Start {
    bytes: Vec<u8>,
    utf8_header: bool,
}

impl Start {
    fn of(bytes: Vec<u8>) -> Self {
        let (mut kept, mut at, mut in_bcc) = (Vec::new(), 0, false);
        while at < bytes.len() {
            let line_end = bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| at + n + 1);
            let line = &bytes[at..line_end];
            if matches!(line, b"\n" | b"\r\n") {
                break;
            }
            // A folded line belongs to the field before it (RFC 5322 §2.2.3).
            let folded = line.starts_with(b" ") || line.starts_with(b"\t");
            in_bcc = if folded { in_bcc } else { is_bcc(line) };
            if !in_bcc {
                kept.extend_from_slice(line);
            }
            at = line_end;
        }
        let utf8_header = !kept.is_ascii() && std::str::from_utf8(&kept).is_ok();
        kept.extend_from_slice(&bytes[at..]);
        Self { bytes: kept, utf8_header }
    }

    fn followed_by(self, rest: impl Read + 'static, scan: Option<Scan>) -> Message {
        Message {
            size: scan.as_ref().map(|scan| scan.size),
            eight_bit: scan.is_none_or(|scan| scan.eight_bit),
            utf8_header: self.utf8_header,
            source: Box::new(Cursor::new(self.bytes).chain(rest)),
        }
    }
}

/// `Bcc:`, in any case, perhaps with spaces before the colon (RFC 5322 §4.5.3).
fn is_bcc(line: &[u8]) -> bool {
    let name = line.split(|&b| b == b':').next().unwrap_or_default();
    name.len() < line.len() && name.trim_ascii_end().eq_ignore_ascii_case(b"bcc")
}

/// What can be counted in one pass.
#[derive(Default)]
struct Scan {
    size: u64,
    eight_bit: bool,
    after_cr: bool,
}

impl Scan {
    /// Every line end, CRLF or bare CR or LF, counts two bytes.
    fn push(&mut self, bytes: &[u8]) {
        self.eight_bit |= !bytes.is_ascii();
        self.size += bytes.len() as u64;
        for &byte in bytes {
            match byte {
                b'\n' if self.after_cr => self.size -= 1,
                b'\r' | b'\n' => self.size += 1,
                _ => {}
            }
            self.after_cr = byte == b'\r';
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn message(bytes: &'static [u8]) -> (Message, Vec<u8>) {
        let mut message = Message::from_pipe(bytes).unwrap();
        let mut out = Vec::new();
        message.read_to_end(&mut out).unwrap();
        (message, out)
    }

    #[test]
    fn bcc_is_left_out_of_the_header_alone() {
        let (_, out) = message(b"To: a\r\nBCC : x@y,\r\n z@y\r\nBccx: 1\r\n\r\nBcc: body\r\n");
        assert_eq!(out, b"To: a\r\nBccx: 1\r\n\r\nBcc: body\r\n");
        let (_, out) = message(b"bcc: x");
        assert_eq!(out, b"");
        let (_, out) = message(b"\nbcc: x");
        assert_eq!(out, b"\nbcc: x");
    }

    #[test]
    fn size_is_that_of_the_wire() {
        for (text, size) in [(&b"a\r\nb\nc\rd\r\r\n"[..], 14), (b"", 0), (b"a", 1), (b"\r", 2)] {
            assert_eq!(message(text).0.size, Some(size), "{text:?}");
            // However it is cut up.
            let mut scan = Scan::default();
            text.chunks(1).for_each(|piece| scan.push(piece));
            assert_eq!(scan.size, size);
        }
    }

    #[test]
    fn eight_bit_is_seen() {
        let (ascii, _) = message(b"To: a\n\nb");
        assert!(!ascii.eight_bit && !ascii.utf8_header);
        let (body, _) = message("To: a\n\nü".as_bytes());
        assert!(body.eight_bit && !body.utf8_header);
        let (header, _) = message("To: ü\n\nb".as_bytes());
        assert!(header.eight_bit && header.utf8_header);
        let (latin, _) = message(b"To: \xfc\n\nb");
        assert!(latin.eight_bit && !latin.utf8_header);
        let (long, out) = message(Box::leak(vec![b'x'; HELD + 7].into_boxed_slice()));
        assert!(long.eight_bit && long.size.is_none() && out.len() == HELD + 7);
    }
}
