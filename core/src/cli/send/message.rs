//! A message on its way from a file or a pipe: looked at beforehand where that is possible, never held whole.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek};
use std::path::Path;

use starttls::smtp::{Body, BodyKind, Envelope, HEADER_LIMIT, Header, LineEnds, SendOptions};
use zeroize::Zeroizing;

use crate::exit::Exit;
use crate::failure::Failure;

/// How much of a message is held in memory: its header, and short messages from a pipe. The byte more tells whether a
/// header is longer than it may be.
const HELD: usize = HEADER_LIMIT + 1;

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// A message as it goes out, and what the server is told of it beforehand.
pub(crate) struct Message {
    /// Its size in bytes on the wire, before dots are doubled, if it is not long and from a pipe; such a one is assumed
    /// to have bytes above 127.
    pub(crate) envelope: Envelope,
    /// Its size with line ends as they are.
    raw_size: Option<u64>,
    start: Vec<u8>,
    /// How much of `start` was taken.
    taken: usize,
    rest: Rest,
    piece: Zeroizing<Vec<u8>>,
}

/// What comes behind a message's start.
enum Rest {
    /// A file, from here on.
    File(File, u64),
    /// What can be read once, and whether it was.
    Pipe(Box<dyn Read + Send>, bool),
    Nothing,
}

impl Read for Message {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let held = &self.start[self.taken..];
        if !held.is_empty() {
            let n = held.len().min(into.len());
            into[..n].copy_from_slice(&held[..n]);
            self.taken += n;
            return Ok(n);
        }
        loop {
            let read = match &mut self.rest {
                Rest::File(file, _) => file.read(into),
                Rest::Pipe(pipe, begun) => {
                    *begun = true;
                    pipe.read(into)
                }
                Rest::Nothing => Ok(0),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

impl Body for Message {
    fn size(&self) -> Option<u64> {
        self.envelope.size
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.taken < self.start.len() {
            let from = std::mem::replace(&mut self.taken, self.start.len());
            return Ok(Some(&self.start[from..]));
        }
        let mut piece = std::mem::take(&mut self.piece);
        piece.resize(PIECE, 0);
        let read = self.read(&mut piece);
        self.piece = piece;
        Ok(Some(&self.piece[..read?]).filter(|piece| !piece.is_empty()))
    }

    fn rewind(&mut self) -> io::Result<bool> {
        match &mut self.rest {
            Rest::File(file, start) => drop(file.seek(io::SeekFrom::Start(*start))?),
            Rest::Pipe(_, true) => return Ok(false),
            Rest::Pipe(_, false) | Rest::Nothing => {}
        }
        self.taken = 0;
        Ok(true)
    }
}

/// Who sends it to whom: as given, else as the header says.
pub(crate) struct Addressing<'a> {
    pub(crate) sender: Option<&'a str>,
    pub(crate) recipients: Option<&'a [String]>,
}

impl Message {
    /// Opens a message and looks at it: a regular file is read twice.
    pub(crate) fn open(path: &Path, addressing: &Addressing<'_>) -> Result<Self, Failure> {
        let unreadable = |error: io::Error| Failure::file(Exit::NoInput, path, &error);
        let start = |held| Start::of(held, path, addressing);
        if path == Path::new("-") {
            return Self::from_pipe(io::stdin(), start, unreadable);
        }
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Self::from_pipe(file, start, unreadable);
        }
        Self::from_file(file, start, unreadable)
    }

    /// The same with what is asked for.
    pub(crate) fn asking(mut self, options: &SendOptions) -> Self {
        options.ask(&mut self.envelope);
        if self.envelope.line_ends == LineEnds::Preserve {
            self.envelope.size = self.raw_size;
        }
        self
    }

    /// The same behind `field`, which its header begins with then.
    pub(crate) fn behind(mut self, field: Vec<u8>) -> Self {
        let longer = |size| size + field.len() as u64;
        self.envelope.size = self.envelope.size.map(longer);
        self.raw_size = self.raw_size.map(longer);
        self.start.splice(..0, field);
        self
    }

    /// The same from its beginning: `bytes` are what was read of it.
    pub(crate) fn again(self, bytes: Vec<u8>) -> Self {
        Self { start: bytes, taken: 0, rest: Rest::Nothing, ..self }
    }

    fn from_file(
        mut file: File,
        start: impl FnOnce(Vec<u8>) -> Result<Start, Failure>,
        unreadable: impl Fn(io::Error) -> Failure,
    ) -> Result<Self, Failure> {
        let mut held = Vec::new();
        (&mut file).take(HELD as u64).read_to_end(&mut held).map_err(&unreadable)?;
        let start = start(held)?;
        let mut count = || {
            let mut scan = Scan::default();
            scan.push(&start.bytes);
            let rest = file.stream_position()?;
            let mut reader = io::BufReader::with_capacity(64 * 1024, &mut file);
            loop {
                let piece = reader.fill_buf()?;
                if piece.is_empty() {
                    break;
                }
                scan.push(piece);
                let n = piece.len();
                reader.consume(n);
            }
            file.seek(io::SeekFrom::Start(rest))?;
            Ok((scan, rest))
        };
        let (scan, rest) = count().map_err(unreadable)?;
        Ok(start.followed_by(Rest::File(file, rest), Some(scan)))
    }

    fn from_pipe(
        mut pipe: impl Read + Send + 'static,
        start: impl FnOnce(Vec<u8>) -> Result<Start, Failure>,
        unreadable: impl Fn(io::Error) -> Failure,
    ) -> Result<Self, Failure> {
        let mut held = Vec::new();
        (&mut pipe).take(HELD as u64).read_to_end(&mut held).map_err(unreadable)?;
        let whole = held.len() < HELD;
        let start = start(held)?;
        let scan = whole.then(|| {
            let mut scan = Scan::default();
            scan.push(&start.bytes);
            scan
        });
        let rest = if whole { Rest::Nothing } else { Rest::Pipe(Box::new(pipe), false) };
        Ok(start.followed_by(rest, scan))
    }
}

/// The start of a message as it goes out.
struct Start {
    bytes: Vec<u8>,
    envelope: Envelope,
}

impl Start {
    fn of(mut bytes: Vec<u8>, path: &Path, addressing: &Addressing<'_>) -> Result<Self, Failure> {
        let unusable = |error| Failure::new(Exit::Data, format!("{}: {error}", path.display()));
        let header = Header::of(&bytes).map_err(unusable)?;
        let envelope = header.envelope_unless(addressing.sender, addressing.recipients).map_err(unusable)?;
        let (taken, shown) = (header.as_bytes().len(), header.shown());
        if shown.len() < taken {
            let shown = shown.into_owned();
            bytes.splice(..taken, shown);
        }
        Ok(Self { bytes, envelope })
    }

    fn followed_by(mut self, rest: Rest, scan: Option<Scan>) -> Message {
        self.envelope.size = scan.as_ref().map(|scan| scan.size);
        self.envelope.body = BodyKind::of_text(scan.as_ref().is_none_or(|scan| scan.eight_bit));
        let raw_size = scan.map(|scan| scan.raw);
        let (envelope, start) = (self.envelope, self.bytes);
        Message { envelope, raw_size, start, taken: 0, rest, piece: Zeroizing::default() }
    }
}

/// What can be counted in one pass.
#[derive(Default)]
struct Scan {
    size: u64,
    /// Bytes, as they are.
    raw: u64,
    eight_bit: bool,
    after_cr: bool,
}

impl Scan {
    /// Every line end, CRLF or bare CR or LF, counts two bytes.
    fn push(&mut self, bytes: &[u8]) {
        self.eight_bit |= !bytes.is_ascii();
        self.size += bytes.len() as u64;
        self.raw += bytes.len() as u64;
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

    fn message(bytes: &'static [u8]) -> (Envelope, Vec<u8>) {
        let to = ["b@x".to_owned()];
        let addressing = Addressing { sender: Some("a@x"), recipients: Some(&to) };
        let start = |held| Start::of(held, Path::new("-"), &addressing);
        let mut message = Message::from_pipe(bytes, start, |error| panic!("{error}")).unwrap();
        let mut out = Vec::new();
        message.read_to_end(&mut out).unwrap();
        (message.envelope, out)
    }

    #[test]
    fn bcc_is_left_out_of_the_header_alone() {
        let (_, out) = message(b"To: a\r\nBCC : x@y,\r\n z@y\r\nBccx: 1\r\n\r\nBcc: body\r\n");
        assert_eq!(out, b"To: a\r\nBccx: 1\r\n\r\nBcc: body\r\n");
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
        assert!(ascii.body == BodyKind::SevenBit && !ascii.utf8);
        let (body, _) = message("To: a\n\nü".as_bytes());
        assert!(body.body == BodyKind::EightBit && !body.utf8);
        let (header, _) = message("To: ü\n\nb".as_bytes());
        assert!(header.body == BodyKind::EightBit && header.utf8);
        let (latin, _) = message(b"To: \xfc\n\nb");
        assert!(latin.body == BodyKind::EightBit && !latin.utf8);
        let (long, out) = message(Box::leak([b"\n".to_vec(), vec![b'x'; HELD + 6]].concat().into_boxed_slice()));
        assert!(long.body == BodyKind::EightBit && long.size.is_none() && out.len() == HELD + 7);
    }
}
