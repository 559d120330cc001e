//! Directories as paths, each of which is looked at before it is used: for systems on which the standard library has nothing
//! better. On WASI the host lets nothing out of the directories that it grants.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{Node, as_bytes, as_path, node};

pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let is_directory = fs::metadata(path)?.is_dir();
        if is_directory { Ok(Self(path.to_owned())) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    /// A directory in this one; a link is none.
    pub(super) fn enter(&self, name: &[u8]) -> io::Result<Self> {
        let path = self.path(name)?;
        let is_directory = fs::symlink_metadata(&path)?.is_dir();
        if is_directory { Ok(Self(path)) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    pub(super) fn list(&self, most: usize) -> io::Result<Vec<Node>> {
        let mut nodes = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if nodes.len() == most {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a directory with too many entries"));
            }
            match fs::symlink_metadata(entry.path()) {
                Ok(metadata) => {
                    // A sandbox does not tell where a link goes that leads out of it.
                    let link = metadata.is_symlink().then(|| fs::read_link(entry.path()).ok()).flatten();
                    let target = link.map(|target| as_bytes(target.as_os_str()).to_vec());
                    nodes.push(node(as_bytes(&entry.file_name()).to_vec(), &metadata, target));
                }
                // Gone since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(nodes)
    }

    pub(super) fn make(&self, name: &[u8]) -> io::Result<()> {
        match fs::create_dir(self.path(name)?) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.enter(name).map(drop),
            done => done,
        }
    }

    pub(super) fn remove(&self, name: &[u8], is_directory: bool) -> io::Result<()> {
        let path = self.path(name)?;
        if is_directory { fs::remove_dir(path) } else { fs::remove_file(path) }
    }

    pub(super) fn link(&self, _: &[u8], _: &[u8]) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "links are not made on this platform"))
    }

    pub(super) fn read(&self, name: &[u8]) -> io::Result<File> {
        File::open(self.no_link(name)?)
    }

    pub(super) fn write(&self, name: &[u8]) -> io::Result<File> {
        let path = self.no_link(name)?;
        File::options().read(true).write(true).create(true).truncate(false).open(path)
    }

    pub(super) fn rename(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        fs::rename(self.path(from)?, self.path(to)?)
    }

    fn path(&self, name: &[u8]) -> io::Result<PathBuf> {
        Ok(self.0.join(as_path(name)?))
    }

    fn no_link(&self, name: &[u8]) -> io::Result<PathBuf> {
        let path = self.path(name)?;
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "a link stands in the way"))
            }
            _ => Ok(path),
        }
    }
}
