//! What flows in MODE Z: a stream compressed with zlib (draft-preston-ftpext-deflate, RFC 1950).
//!
//! Pieces go in and pieces come out, in bounded memory: what a server compressed a thousandfold comes out piece by piece,
//! each of which somebody must want.

use miniz_oxide::deflate::core::CompressorOxide;
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use crate::error::{Error, ErrorKind, Result};

/// How much is made of the stream at once.
const PIECE: usize = 64 * 1024;

/// A compressed stream that comes in.
pub(super) struct Inflater {
    state: Box<InflateState>,
    /// Received and not yet understood: what one read brought.
    waiting: Vec<u8>,
    understood: usize,
    output: Vec<u8>,
    begun: bool,
    ended: bool,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self {
            state: InflateState::new_boxed(DataFormat::Zlib),
            waiting: Vec::new(),
            understood: 0,
            output: vec![0; PIECE],
            begun: false,
            ended: false,
        }
    }

    /// Takes what was received.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.waiting.drain(..self.understood);
        self.understood = 0;
        self.waiting.extend_from_slice(bytes);
        self.begun |= !bytes.is_empty();
    }

    /// Hands the next piece to `sink`; `false` if more must be received first.
    ///
    /// # Errors
    /// A violation: not the format, a wrong checksum, more behind the end.
    pub(super) fn piece(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<bool> {
        loop {
            let input = &self.waiting[self.understood..];
            if self.ended {
                return if input.is_empty() { Ok(false) } else { Err(violation("goes on behind its end")) };
            }
            let made = inflate(&mut self.state, input, &mut self.output, MZFlush::None);
            self.understood += made.bytes_consumed;
            match made.status {
                Ok(MZStatus::StreamEnd) => self.ended = true,
                Ok(_) | Err(MZError::Buf) => {}
                Err(_) => return Err(violation("is damaged")),
            }
            if made.bytes_written > 0 {
                sink(&self.output[..made.bytes_written]);
                return Ok(true);
            }
            if made.bytes_consumed == 0 && !self.ended {
                return Ok(false);
            }
        }
    }

    /// The connection has ended: so must the stream. Some servers send nothing at all for an empty file.
    ///
    /// # Errors
    /// [`Truncated`](ErrorKind::Truncated).
    pub(super) fn finish(&self) -> Result<()> {
        if self.ended || !self.begun {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Truncated).tell("the compressed stream breaks off".into()))
    }
}

fn violation(what: &str) -> Error {
    Error::violation(format!("the compressed stream {what}"))
}

/// A compressed stream that goes out.
pub(super) struct Deflater {
    state: Box<CompressorOxide>,
    output: Vec<u8>,
}

impl Deflater {
    pub(super) fn new() -> Self {
        Self { state: Box::default(), output: vec![0; PIECE] }
    }

    /// Compresses some of `bytes`, at least one or as much as gives a piece: how many, and the piece.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(usize, &[u8])> {
        let made = deflate(&mut self.state, bytes, &mut self.output, MZFlush::None);
        match made.status {
            Ok(_) | Err(MZError::Buf) => Ok((made.bytes_consumed, &self.output[..made.bytes_written])),
            Err(_) => Err(Error::invalid_state("the compressed stream is at its end")),
        }
    }

    /// The next piece of the stream's end; `None` when all of it was given.
    pub(super) fn finish(&mut self) -> Option<&[u8]> {
        let made = deflate(&mut self.state, &[], &mut self.output, MZFlush::Finish);
        (made.bytes_written > 0).then(|| &self.output[..made.bytes_written])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// By another implementation: `zlib.compress(b"hello")`.
    const HELLO: [u8; 13] = [0x78, 0x9c, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x06, 0x2c, 0x02, 0x15];

    /// By another implementation: `zlib.compress(b"")`.
    const NOTHING: [u8; 8] = [0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01];

    fn inflated(pieces: &[&[u8]]) -> Result<Vec<u8>> {
        let mut inflater = Inflater::new();
        let mut content = Vec::new();
        for piece in pieces {
            inflater.feed(piece);
            while inflater.piece(&mut |bytes| content.extend_from_slice(bytes))? {}
        }
        inflater.finish().map(|()| content)
    }

    fn deflated(content: &[u8], piece: usize) -> Vec<u8> {
        let mut deflater = Deflater::new();
        let mut stream = Vec::new();
        for mut piece in content.chunks(piece) {
            while !piece.is_empty() {
                let (taken, made) = deflater.push(piece).unwrap();
                stream.extend_from_slice(made);
                piece = &piece[taken..];
            }
        }
        while let Some(made) = deflater.finish() {
            stream.extend_from_slice(made);
        }
        stream
    }

    #[test]
    fn what_others_compressed() {
        assert_eq!(inflated(&[&HELLO]).unwrap(), b"hello");
        assert_eq!(inflated(&[&NOTHING]).unwrap(), b"");
        for at in 0..HELLO.len() {
            assert_eq!(inflated(&[&HELLO[..at], &HELLO[at..]]).unwrap(), b"hello", "{at}");
        }
        assert_eq!(inflated(&[]).unwrap(), b"", "no byte at all");
    }

    #[test]
    fn a_stream_that_breaks_off_is_cut() {
        for at in 1..HELLO.len() {
            let error = inflated(&[&HELLO[..at]]).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Truncated), "{at}: {error}");
        }
    }

    #[test]
    fn what_is_damaged_or_too_long_is_refused() {
        // The bit changed in byte 8 is padding, behind the last block.
        for at in (0..HELLO.len()).filter(|&at| at != 8) {
            let mut damaged = HELLO;
            damaged[at] ^= 0x10;
            assert!(inflated(&[&damaged]).is_err(), "{at}");
        }
        for tail in [&b"\0"[..], &HELLO[..]] {
            let error = inflated(&[&HELLO, tail]).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ProtocolViolation(_)), "{error}");
        }
        assert!(inflated(&[b"type=file;size=5; a.bin\r\n"]).is_err());
    }

    #[test]
    fn there_and_back() {
        let content: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7 * 13).to_le_bytes()).collect();
        for piece in [1_000, 65_536, content.len()] {
            let stream = deflated(&content, piece);
            assert!(stream.len() < content.len());
            let halves = stream.split_at(stream.len() / 2);
            assert_eq!(inflated(&[halves.0, halves.1]).unwrap(), content);
        }
        assert_eq!(inflated(&[&deflated(b"", 1)]).unwrap(), b"");
    }

    #[test]
    fn a_bomb_comes_in_pieces() {
        let zeros = vec![0; 64 * 1024 * 1024];
        let bomb = deflated(&zeros, 1 << 20);
        assert!(bomb.len() < zeros.len() / 500);
        let mut inflater = Inflater::new();
        inflater.feed(&bomb);
        let (mut total, mut pieces) = (0, 0);
        while inflater
            .piece(&mut |bytes| {
                assert!(bytes.len() <= PIECE);
                total += bytes.len();
            })
            .unwrap()
        {
            pieces += 1;
        }
        assert_eq!(total, zeros.len());
        assert!(pieces >= total / PIECE);
        assert!(inflater.waiting.capacity() < 2 * bomb.len() + PIECE);
    }
}
