//! Directories as descriptors: nothing that happens to the path after they were opened leads elsewhere.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::Node;
use crate::ftp::EntryKind;
use crate::ftp::mirror::plan::Moment;

pub(super) struct Directory(OwnedFd);

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(fs::open(path, OPEN, Mode::empty())?))
    }

    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self(rustix::io::fcntl_dupfd_cloexec(&self.0, 0)?))
    }

    /// A directory in this one; a link is none.
    pub(super) fn enter(&self, name: &[u8]) -> io::Result<Self> {
        Ok(Self(fs::openat(&self.0, name, OPEN | OFlags::NOFOLLOW, Mode::empty())?))
    }

    pub(super) fn list(&self, most: usize) -> io::Result<Vec<Node>> {
        let mut nodes = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if nodes.len() == most {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a directory with too many entries"));
            }
            match fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => nodes.push(self.node(name, &stat)?),
                // Gone since.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(nodes)
    }

    fn node(&self, name: &[u8], stat: &Stat) -> io::Result<Node> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            _ => EntryKind::Other,
        };
        let target = match kind {
            EntryKind::Symlink => Some(fs::readlinkat(&self.0, name, Vec::new())?.into_bytes()),
            _ => None,
        };
        let since = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or_default());
        let modified = Moment { time: UNIX_EPOCH + since, within: Duration::from_secs(1), utc: true };
        let size = (kind == EntryKind::File).then(|| u64::try_from(stat.st_size).unwrap_or_default());
        Ok(Node { name: name.to_vec(), kind, size, modified: Some(modified), target })
    }

    pub(super) fn make(&self, name: &[u8]) -> io::Result<()> {
        match fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o777)) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => self.enter(name).map(drop),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn remove(&self, name: &[u8], is_directory: bool) -> io::Result<()> {
        let flags = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        Ok(fs::unlinkat(&self.0, name, flags)?)
    }

    pub(super) fn link(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        match fs::symlinkat(target, &self.0, name) {
            Err(Errno::EXIST) => {
                fs::unlinkat(&self.0, name, AtFlags::empty())?;
                Ok(fs::symlinkat(target, &self.0, name)?)
            }
            done => Ok(done?),
        }
    }

    /// Without waiting for the other end of a pipe.
    pub(super) fn read(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(fs::openat(&self.0, name, flags, Mode::empty())?.into())
    }

    pub(super) fn write(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(fs::openat(&self.0, name, flags, Mode::from_raw_mode(0o666))?.into())
    }

    pub(super) fn rename(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        Ok(fs::renameat(&self.0, from, &self.0, to)?)
    }
}
