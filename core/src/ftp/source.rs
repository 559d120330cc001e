//! What an upload is made of.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

/// Where an upload's bytes come from.
pub trait Source: Send {
    /// The next bytes; 0 at the end.
    ///
    /// # Errors
    /// The source's own: the upload is given up.
    fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Goes to a place in it, so that the next bytes are those from there on. `false`: it can be read only once.
    ///
    /// # Errors
    /// The source's own.
    fn seek_to(&mut self, _offset: u64) -> io::Result<bool> {
        Ok(false)
    }

    /// How many bytes there are in all, where it is known.
    fn length(&self) -> Option<u64> {
        None
    }
}

impl Source for File {
    fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Read::read(self, into)
    }

    fn seek_to(&mut self, offset: u64) -> io::Result<bool> {
        if !self.metadata()?.is_file() {
            return Ok(false);
        }
        self.seek(SeekFrom::Start(offset)).map(|_| true)
    }

    fn length(&self) -> Option<u64> {
        self.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
    }
}

impl<B: AsRef<[u8]> + Send> Source for Cursor<B> {
    fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Read::read(self, into)
    }

    fn seek_to(&mut self, offset: u64) -> io::Result<bool> {
        self.set_position(offset);
        Ok(true)
    }

    fn length(&self) -> Option<u64> {
        Some(self.get_ref().as_ref().len() as u64)
    }
}

/// A reader, of which each byte comes once.
#[derive(Debug)]
pub struct Once<R>(pub R);

impl<R: Read + Send> Source for Once<R> {
    fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}
