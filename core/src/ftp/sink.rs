//! Where a download's bytes go: into a part of a file here, or past us into a writer.
//!
//! A trait, so that whoever downloads into writers alone has nothing of file systems in the program: a component whose world
//! promises that it opens no files.

use std::io::Write;

use super::hash::Hasher;
use super::job::FileFacts;
use super::local::Part;
use super::overlap::OVERLAP;
use crate::error::{Error, Result};

/// Takes a download's bytes, in order.
pub(super) trait Sink: Send {
    /// Up to where in the file they are there.
    fn length(&self) -> u64;

    /// Whether there is something that is to be the beginning of what comes.
    fn goes_on(&self) -> bool;

    /// What is there from an earlier download, and what file it is of, if anything is.
    fn recall(&mut self, _hasher: Option<&mut Hasher>) -> Result<Option<FileFacts>> {
        Ok(None)
    }

    /// What the file is.
    fn is_of(&mut self, _facts: FileFacts) {}

    /// The last bytes that are there, to be compared.
    fn tail(&mut self) -> Result<Vec<u8>>;

    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Forgets what is there. What was given away stays given.
    fn restart(&mut self) -> Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Sink for Part {
    fn length(&self) -> u64 {
        self.length
    }

    fn goes_on(&self) -> bool {
        self.length > 0
    }

    fn recall(&mut self, hasher: Option<&mut Hasher>) -> Result<Option<FileFacts>> {
        if self.length == 0 {
            return Ok(None);
        }
        let facts = self.noted();
        if let Some(hasher) = hasher {
            self.read_through(&mut |bytes| hasher.update(bytes))?;
        }
        Ok(Some(facts))
    }

    fn is_of(&mut self, facts: FileFacts) {
        self.facts = facts;
    }

    fn tail(&mut self) -> Result<Vec<u8>> {
        Self::tail(self, OVERLAP)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Self::write(self, bytes).map_err(|error| self.failure(error))
    }

    fn restart(&mut self) -> Result<()> {
        Self::restart(self)
    }
}

/// A writer, and the last bytes that it was given.
pub(super) struct Passed<'w> {
    writer: &'w mut (dyn Write + Send),
    start: u64,
    length: u64,
    kept: Vec<u8>,
    keep: usize,
}

impl<'w> Passed<'w> {
    /// From `start` on; the last `keep` bytes are remembered.
    pub(super) fn new(writer: &'w mut (dyn Write + Send), start: u64, keep: usize) -> Self {
        Self { writer, start, length: start, kept: Vec::new(), keep }
    }
}

impl Sink for Passed<'_> {
    fn length(&self) -> u64 {
        self.length
    }

    fn goes_on(&self) -> bool {
        self.length > self.start
    }

    fn tail(&mut self) -> Result<Vec<u8>> {
        Ok(self.kept.clone())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(Error::local)?;
        self.length += bytes.len() as u64;
        if self.keep > 0 {
            self.kept.extend_from_slice(&bytes[bytes.len().saturating_sub(self.keep)..]);
            self.kept.drain(..self.kept.len().saturating_sub(self.keep));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(Error::local)
    }
}
