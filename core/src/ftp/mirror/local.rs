//! The tree on this machine, which nothing leaves: every directory on the way is opened in the one above it, and no link is
//! followed, whoever planted it and when.

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::place::Place;
use super::plan::{Moment, Node};
use crate::ftp::EntryKind;

#[cfg(not(unix))]
use self::portable::Directory;
#[cfg(unix)]
use self::unix::Directory;

/// A tree of files here.
pub(super) struct LocalTree {
    path: PathBuf,
    root: Directory,
}

impl LocalTree {
    /// The tree in the directory `path`, which is made if it is wanted and not there.
    pub(super) fn open(path: &Path, make: bool) -> io::Result<Self> {
        if make {
            fs::create_dir_all(path)?;
        }
        // The way to the root is the caller's own, and may have links in it.
        let path = fs::canonicalize(path)?;
        Ok(Self { root: Directory::open(&path)?, path })
    }

    /// The entries of a directory; at most `most`.
    pub(super) fn list(&self, at: &Place, most: usize) -> io::Result<Vec<Node>> {
        self.directory(at)?.list(most)
    }

    /// Makes a directory, if it is not there.
    pub(super) fn make_directory(&self, parent: &Place, name: &[u8]) -> io::Result<()> {
        self.directory(parent)?.make(name)
    }

    /// Removes a file or link, or an empty directory.
    pub(super) fn remove(&self, parent: &Place, name: &[u8], is_directory: bool) -> io::Result<()> {
        self.directory(parent)?.remove(name, is_directory)
    }

    /// Makes a link, in place of a file or link.
    pub(super) fn link(&self, parent: &Place, name: &[u8], target: &[u8]) -> io::Result<()> {
        self.directory(parent)?.link(name, target)
    }

    /// Opens a file to read.
    pub(super) fn read(&self, parent: &Place, name: &[u8]) -> io::Result<File> {
        regular(self.directory(parent)?.read(name)?)
    }

    /// Opens a file that grows until it is whole; what is in it stays.
    pub(super) fn write(&self, parent: &Place, name: &[u8]) -> io::Result<File> {
        regular(self.directory(parent)?.write(name)?)
    }

    /// The file is whole: it gets its time and its name.
    pub(super) fn commit(
        &self,
        parent: &Place,
        file: &File,
        part: &[u8],
        name: &[u8],
        modified: Option<SystemTime>,
    ) -> io::Result<()> {
        if let Some(modified) = modified {
            // A file system that keeps no times keeps files.
            let _ = file.set_modified(modified);
        }
        self.directory(parent)?.rename(part, name)
    }

    /// Where a link leads to, if that is in this tree.
    pub(super) fn follow(&self, link: &Place) -> io::Result<Option<(Place, Node)>> {
        let mut path = self.path.clone();
        path.extend(link.names().map(as_path).collect::<io::Result<Vec<_>>>()?);
        let target = fs::canonicalize(path)?;
        let Ok(inside) = target.strip_prefix(&self.path) else { return Ok(None) };
        let place = inside.components().fold(Place::default(), |place, name| place.join(as_bytes(name.as_os_str())));
        Ok(Some((place, node(Vec::new(), &fs::symlink_metadata(&target)?, None))))
    }

    fn directory(&self, at: &Place) -> io::Result<Directory> {
        let mut directory = self.root.again()?;
        for name in at.names() {
            directory = directory.enter(name)?;
        }
        Ok(directory)
    }
}

/// A device or a pipe is no file, and nothing is waited for on it.
fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no regular file"))
}

fn node(name: Vec<u8>, metadata: &fs::Metadata, target: Option<Vec<u8>>) -> Node {
    let kind = match metadata.file_type() {
        kind if kind.is_symlink() => EntryKind::Symlink,
        kind if kind.is_dir() => EntryKind::Directory,
        kind if kind.is_file() => EntryKind::File,
        _ => EntryKind::Other,
    };
    let size = (kind == EntryKind::File).then_some(metadata.len());
    Node { name, kind, size, modified: metadata.modified().ok().map(exact), target }
}

/// A time of ours. What is below a second is not told to servers.
fn exact(time: SystemTime) -> Moment {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs());
    Moment { time, within: Duration::from_secs(1), utc: true }
}

#[cfg(unix)]
fn as_path(name: &[u8]) -> io::Result<&Path> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(Path::new(std::ffi::OsStr::from_bytes(name)))
}

#[cfg(not(unix))]
fn as_path(name: &[u8]) -> io::Result<&Path> {
    std::str::from_utf8(name).map(Path::new).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn as_bytes(name: &std::ffi::OsStr) -> &[u8] {
    name.as_encoded_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
