//! Directory listings: MLSD for machines (RFC 3659 §7), LIST where that is missing.
//!
//! A name is bytes. It is kept as the server sent it, beside a decoded view, so that every listed file can be opened
//! again; and it is data, never a local path.

mod mlsd;
mod time;
mod unix;

use std::time::SystemTime;

pub(super) use mlsd::fact_line as mlst;
pub(super) use time::time_val;

use crate::error::{Error, Result};
use crate::link::Inbox;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a socket, or something that the server has its own word for.
    Other,
}

impl EntryKind {
    /// The kind in one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Other => "other",
        }
    }
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name as the server sent it.
    pub raw_name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Size in bytes, where told.
    pub size: Option<u64>,
    /// When it was last modified, where told. LIST tells it to the minute or day, in the server's own time zone, taken
    /// as UTC here.
    pub modified: Option<SystemTime>,
    /// The permissions as the server wrote them: MLSD's `perm` fact, or `rwxr-xr-x`.
    pub permissions: Option<String>,
    /// Where a symbolic link points, where told.
    pub target: Option<Vec<u8>>,
}

impl Entry {
    /// The name as text, invalid UTF-8 replaced.
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.raw_name)
    }

    pub(super) fn file(path: &[u8], size: u64, modified: Option<SystemTime>) -> Self {
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        let (raw_name, size) = (name.to_vec(), Some(size));
        Self { raw_name, kind: EntryKind::File, size, modified, permissions: None, target: None }
    }
}

/// A listing as it comes in, in pieces of any size.
pub(super) struct Listing {
    machine: bool,
    now: SystemTime,
    lines: Inbox,
    total: usize,
    entries: Vec<Entry>,
    failure: Option<Error>,
}

impl Listing {
    /// Bytes of one line.
    const LINE: usize = 16 * 1024;
    /// Bytes of all.
    const TOTAL: usize = 64 * 1024 * 1024;
    /// Entries of all: a short line costs more in memory than on the wire.
    const ENTRIES: usize = 1 << 20;

    pub(super) fn new(machine: bool, now: SystemTime) -> Self {
        Self { machine, now, lines: Inbox::default(), total: 0, entries: Vec::new(), failure: None }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len();
        if self.failure.is_some() {
            return;
        }
        if self.total > Self::TOTAL {
            self.failure = Some(Error::limit(format!("a listing of more than {} bytes", Self::TOTAL)));
            return;
        }
        self.lines.extend(bytes);
        loop {
            match self.lines.take_line(Self::LINE) {
                Ok(Some(line)) if self.entries.len() < Self::ENTRIES => self.line(&line),
                Ok(Some(_)) => {
                    self.failure = Some(Error::limit(format!("a listing of more than {} entries", Self::ENTRIES)));
                    return;
                }
                Ok(None) => return,
                Err(error) => {
                    self.failure = Some(error);
                    return;
                }
            }
        }
    }

    /// Whether to go on.
    pub(super) fn check(&mut self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// The entries, once everything came in.
    pub(super) fn finish(mut self) -> Result<Vec<Entry>> {
        self.check()?;
        let rest = self.lines.take_all();
        if !rest.is_empty() {
            self.line(&rest);
        }
        Ok(self.entries)
    }

    fn line(&mut self, line: &[u8]) {
        let entry = if self.machine { mlsd::entry(line) } else { unix::entry(line, self.now) };
        // A line that is no entry (`total 12`) is no error: there is no grammar to hold it against.
        self.entries.extend(entry.filter(|entry| !matches!(entry.raw_name.as_slice(), b"." | b"..")));
    }
}
