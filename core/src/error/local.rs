//! Which local file it was.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Error;

/// A local file's failure: inside the [`io::Error`] of [`ErrorKind::Local`](crate::ErrorKind::Local), where it is known
/// which file it was.
#[derive(Debug)]
pub struct LocalFailure {
    path: PathBuf,
    error: io::Error,
}

impl LocalFailure {
    /// Which file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the system said.
    pub fn error(&self) -> &io::Error {
        &self.error
    }

    pub(crate) fn of(path: &Path, error: io::Error) -> Error {
        Error::local(Self::wrap(path, error))
    }

    pub(crate) fn wrap(path: &Path, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), Self { path: path.to_owned(), error })
    }
}

impl fmt::Display for LocalFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for LocalFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
