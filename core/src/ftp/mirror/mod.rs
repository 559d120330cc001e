//! A tree made equal to another one: from a server to this machine, or from here to a server.
//!
//! ```text
//!   directory ─ list both sides ─ plan ─┬─▶ directories  ┐
//!                                       ├─▶ files        ├─ one heap of work, a crew of sessions
//!                                       └─▶ deletions    ┘  (deletions last, once every listing succeeded)
//! ```
//!
//! Nothing here is touched but what is below the local root, whatever names the server sends and whoever plants links
//! meanwhile. A file has its name only when it is whole; until then it is `NAME.part`. So a mirror that was killed is
//! simply started again: what is whole is found to be so by comparison, and what was begun is continued.

mod deletion;
mod file;
mod job;
mod local;
mod pattern;
mod place;
mod plan;
mod remote;
mod report;
mod run;
mod schedule;
mod told;
mod transfer;
mod zone;

use std::path::PathBuf;

pub use pattern::Filter;
pub use report::{FileAction, FileReport, MirrorReport};

use super::transfer::Direction;

/// How it is told whether a file is as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compare {
    /// The same size and the same time of modification, as exactly as both sides tell it. A time that a listing for people
    /// tells vaguely, or in the server's own zone, is asked for (MDTM) where it does not agree. A server that does not keep
    /// the times it is given (no MFMT) has those of the uploads: there a file is as it should be if it is not older.
    #[default]
    SizeAndTime,
    /// The same size.
    Size,
    /// The source's is not newer.
    Newer,
    /// The same size and the same digest, computed by the server (HASH, XSHA256, …) and here.
    Hash,
    /// Never: every file is transferred.
    Always,
}

impl Compare {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::SizeAndTime, Self::Size, Self::Newer, Self::Hash, Self::Always];

    /// The name that users give: `size+time`, `size`, `newer`, `hash`, `always`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SizeAndTime => "size+time",
            Self::Size => "size",
            Self::Newer => "newer",
            Self::Hash => "hash",
            Self::Always => "always",
        }
    }
}

/// What becomes of symbolic links in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Symlinks {
    /// They are left out, and reported as skipped.
    #[default]
    Skip,
    /// What they lead to is taken, if that is in the tree and not a directory above.
    Follow,
    /// They become links here, if what they lead to is in the tree. FTP cannot make links on a server.
    Copy,
}

impl Symlinks {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Skip, Self::Follow, Self::Copy];

    /// The name that users give: `skip`, `follow`, `copy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Follow => "follow",
            Self::Copy => "copy",
        }
    }
}

/// Two trees, and how one is to be made equal to the other. See [`Client::mirror`](super::Client::mirror).
#[derive(Clone, Debug)]
pub struct Mirror {
    /// From the server or to it.
    pub direction: Direction,
    /// The directory here. As a destination it is made if it is not there.
    pub local: PathBuf,
    /// The directory on the server; empty for the current one. As a destination it is made if it is not there.
    pub remote: Vec<u8>,
    /// Which files are meant.
    pub filter: Filter,
    /// How it is told whether a file is as it should be.
    pub compare: Compare,
    /// What becomes of symbolic links.
    pub symlinks: Symlinks,
    /// Whether what the source does not have is deleted at the destination, and gives way to what it has. Nothing is deleted
    /// if a directory could not be listed, or if the source is empty.
    pub delete: bool,
    /// If there is more to delete, nothing is.
    pub max_delete: Option<u64>,
    /// Whether it is only told what would be done.
    pub dry_run: bool,
    /// The most sessions at a time, at least 1; a server that refuses further ones gets fewer.
    pub parallel: usize,
    /// Whether uploads are written under their own names at once, instead of `NAME.part` and renamed when whole.
    pub in_place: bool,
    /// Whether times of modification are kept: here, and on a server that can (MFMT, or MDTM with a time).
    pub keep_times: bool,
    /// Names that differ in case only are one at the destination: the second one is reported as failed.
    pub case_insensitive: bool,
    /// How many directories deep the tree may be.
    pub max_depth: usize,
    /// How many entries the source may have.
    pub max_entries: u64,
}

impl Mirror {
    /// From a server's directory to one here.
    pub fn download(remote: impl AsRef<[u8]>, local: impl Into<PathBuf>) -> Self {
        Self::new(Direction::Down, remote.as_ref(), local.into())
    }

    /// From a directory here to one of a server's.
    pub fn upload(local: impl Into<PathBuf>, remote: impl AsRef<[u8]>) -> Self {
        Self::new(Direction::Up, remote.as_ref(), local.into())
    }

    /// All files, compared by size and time, without links and deletions, in four sessions.
    fn new(direction: Direction, remote: &[u8], local: PathBuf) -> Self {
        Self {
            direction,
            local,
            remote: remote.to_vec(),
            filter: Filter::default(),
            compare: Compare::default(),
            symlinks: Symlinks::default(),
            delete: false,
            max_delete: None,
            dry_run: false,
            parallel: 4,
            in_place: false,
            keep_times: true,
            case_insensitive: direction == Direction::Down && cfg!(any(windows, target_os = "macos")),
            max_depth: 100,
            max_entries: 10_000_000,
        }
    }
}
