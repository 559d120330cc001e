//! Where a message's bytes come from: memory, a file, a reader.

use std::io::{self, Read, Seek, SeekFrom};

/// How much is read at once from what is not in memory.
const PIECE: usize = 64 * 1024;

/// A message's bytes, header and all, in pieces, from the beginning; and again, if need be.
///
/// Reading happens between flights and may block for as long as a local file does. What comes over a network belongs
/// in [`Client::write`](super::Client::write), piece by piece as it arrives.
pub trait Body: Send {
    /// Bytes from the beginning to the end, if known.
    fn size(&self) -> Option<u64>;

    /// The next piece; `None`, or an empty one, is the end.
    ///
    /// # Errors
    /// Whatever reading meets. The message is not sent then, and the session closed where its end would be missing.
    fn next(&mut self) -> io::Result<Option<&[u8]>>;

    /// Goes back to the beginning. `false` where that cannot be: then recipients that the server takes only in another
    /// transaction stay refused.
    ///
    /// # Errors
    /// Whatever seeking meets.
    fn rewind(&mut self) -> io::Result<bool>;

    /// All of it, where it is in memory: it is sent without being copied, if its lines allow.
    fn whole(&self) -> Option<&[u8]> {
        None
    }
}

/// A message in memory.
#[derive(Clone, Debug)]
pub struct MemoryBody<B> {
    bytes: B,
    taken: bool,
}

impl<B: AsRef<[u8]> + Send> MemoryBody<B> {
    /// A body from bytes, owned or borrowed.
    pub fn new(bytes: B) -> Self {
        Self { bytes, taken: false }
    }
}

impl<B: AsRef<[u8]> + Send> Body for MemoryBody<B> {
    fn size(&self) -> Option<u64> {
        Some(self.bytes.as_ref().len() as u64)
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        Ok((!std::mem::replace(&mut self.taken, true)).then_some(self.bytes.as_ref()))
    }

    fn rewind(&mut self) -> io::Result<bool> {
        self.taken = false;
        Ok(true)
    }

    fn whole(&self) -> Option<&[u8]> {
        Some(self.bytes.as_ref())
    }
}

/// A message from a reader, which can be read once.
#[derive(Debug)]
pub struct ReaderBody<R> {
    reader: R,
    size: Option<u64>,
    piece: Vec<u8>,
}

impl<R: Read + Send> ReaderBody<R> {
    /// A body from `reader`, of `size` bytes if that is known.
    pub fn new(reader: R, size: Option<u64>) -> Self {
        Self { reader, size, piece: Vec::new() }
    }
}

impl<R: Read + Send> Body for ReaderBody<R> {
    fn size(&self) -> Option<u64> {
        self.size
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        read_piece(&mut self.reader, &mut self.piece)
    }

    fn rewind(&mut self) -> io::Result<bool> {
        Ok(false)
    }
}

/// A message from a file, or whatever else can be read again from its beginning.
#[derive(Debug)]
pub struct FileBody<R> {
    file: R,
    start: u64,
    size: u64,
    piece: Vec<u8>,
}

impl<R: Read + Seek + Send> FileBody<R> {
    /// A body from where `file` stands now to its end.
    ///
    /// # Errors
    /// If it cannot seek.
    pub fn new(mut file: R) -> io::Result<Self> {
        let start = file.stream_position()?;
        let size = file.seek(SeekFrom::End(0))?.saturating_sub(start);
        file.seek(SeekFrom::Start(start))?;
        Ok(Self { file, start, size, piece: Vec::new() })
    }
}

impl<R: Read + Seek + Send> Body for FileBody<R> {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        read_piece(&mut self.file, &mut self.piece)
    }

    fn rewind(&mut self) -> io::Result<bool> {
        self.file.seek(SeekFrom::Start(self.start))?;
        Ok(true)
    }
}

fn read_piece<'p>(reader: &mut impl Read, piece: &'p mut Vec<u8>) -> io::Result<Option<&'p [u8]>> {
    piece.resize(PIECE, 0);
    loop {
        match reader.read(piece) {
            Ok(0) => return Ok(None),
            Ok(n) => return Ok(Some(&piece[..n])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
