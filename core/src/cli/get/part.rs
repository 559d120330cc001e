//! `LOCAL.part`: what a download is until it is whole.
//!
//! ```text
//!   LOCAL.part ── written, flushed, on disk ── receipt ── renamed ──▶ LOCAL
//!        └────── any error leaves it there, for --continue; LOCAL is untouched
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::failure::Failure;

/// A file that is not whole yet.
pub(super) struct Part {
    path: PathBuf,
    local: PathBuf,
    file: File,
    /// How much of it is there already, in bytes.
    pub(super) offset: u64,
}

impl Part {
    /// Opens the part of `local`. What is in it stays until a transfer begins.
    pub(super) fn open(local: &Path, resume: bool) -> Result<Self, Failure> {
        let mut path = local.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let mut options = File::options();
        let options = if resume { options.append(true) } else { options.write(true) };
        let opened = options.create(true).truncate(false).open(&path).and_then(|file| {
            let length = file.metadata()?.len();
            Ok((file, if resume { length } else { 0 }))
        });
        let (file, offset) = opened.map_err(|error| Failure::file(Exit::CantCreate, &path, &error))?;
        Ok(Self { path, local: local.to_owned(), file, offset })
    }

    /// A writer behind what is kept: everything after the offset is dropped.
    pub(super) fn writer(&self) -> Result<&File, Failure> {
        self.file.set_len(self.offset).map(|()| &self.file).map_err(|error| self.failure(&error))
    }

    /// The remote file has `size` bytes: can this be its beginning?
    pub(super) fn check(&self, size: u64) -> Result<(), Failure> {
        if self.offset <= size {
            return Ok(());
        }
        let why = format!("{}: {} bytes, and the remote file has {size}", self.path.display(), self.offset);
        Err(Failure::new(Exit::Data, why).advise("this is no beginning of that file: remove it"))
    }

    /// The file is whole: it gets its name, once the disk has all of it.
    pub(super) fn commit(self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| self.failure(&error))?;
        fs::rename(&self.path, &self.local).map_err(|error| {
            let whole = format!("the file is whole: {}", self.path.display());
            Failure::file(Exit::CantCreate, &self.local, &error).advise(whole)
        })
    }

    /// The download failed. What is there is kept, if it is anything.
    pub(super) fn keep(self, failure: Failure) -> Failure {
        match self.file.metadata().map(|metadata| metadata.len()) {
            Ok(0) => {
                // An empty file in the way is the worst that can come of it.
                let _ = fs::remove_file(&self.path);
                failure
            }
            _ if failure.has_advice() => failure,
            _ => failure.advise(format!("what there is stays in {}: see --continue", self.path.display())),
        }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        Failure::file(Exit::IoError, &self.path, error)
    }
}
