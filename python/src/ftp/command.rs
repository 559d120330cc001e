//! A command for a session with files, made by a static method each.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use starttls::ftp::fxp;
use starttls::ftp::hash::Algorithm;
use starttls::ftp::{Credentials, Download, Placement, RateLimit, Upload};
use zeroize::Zeroizing;

use super::session::{FtpSession, RemoteFile};
use super::{Command, Origin, Target};
use crate::body::{Pulse, Source, Told, Writer};
use crate::error::{self, Hint};
use crate::mirror::Mirroring;
use crate::session::{Job, Once};

/// Something to do in a session; once.
#[pyclass(frozen, module = "starttls._native")]
pub(crate) struct FtpCommand(Once<Command>);

impl From<Command> for FtpCommand {
    fn from(command: Command) -> Self {
        Self(Once::new(command))
    }
}

impl FtpCommand {
    pub(super) fn take(&self, py: Python<'_>) -> PyResult<Job<Command>> {
        self.0.take(py).map(Job::Perform)
    }
}

/// One of a few words.
fn word<W: FromStr<Err = starttls::Error>>(py: Python<'_>, word: &str) -> PyResult<W> {
    word.parse().map_err(|why| error::core(py, &why, Hint::None))
}

fn moment(py: Python<'_>, time: f64) -> PyResult<SystemTime> {
    let since = Duration::try_from_secs_f64(time).ok().and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    since.ok_or_else(|| error::argument(py, "a server takes times from 1970 to 9999"))
}

/// A path, or a `write` method.
fn target(into: &Bound<'_, PyAny>) -> Target {
    match into.extract::<PathBuf>() {
        Ok(path) => Target::Path(path),
        Err(_) => Target::Writer(Writer(into.clone().unbind())),
    }
}

fn placement(py: Python<'_>, offset: u64, append: bool) -> PyResult<Placement> {
    match (offset, append) {
        (0, false) => Ok(Placement::Whole),
        (0, true) => Ok(Placement::End),
        (offset, false) => Ok(Placement::At(offset)),
        (_, true) => Err(error::argument(py, "an upload goes to an offset or to the end, and not to both")),
    }
}

#[pymethods]
impl FtpCommand {
    /// A whole file into a path, or a `write` method from `offset` on.
    #[staticmethod]
    #[pyo3(signature = (path, into, *, offset=0, end=None, resume=false, on_change="refuse", verify="none",
        keep_times=false, rate_limit=None, retries=0, segments=1, progress=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn download(
        path: PyBackedBytes,
        into: &Bound<'_, PyAny>,
        offset: u64,
        end: Option<u64>,
        resume: bool,
        on_change: &str,
        verify: &str,
        keep_times: bool,
        rate_limit: Option<u64>,
        retries: u32,
        segments: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let py = into.py();
        let how = Download {
            end,
            resume,
            changed: word(py, on_change)?,
            verify: word(py, verify)?,
            keep_times,
            rate_limit: rate_limit.map(RateLimit::new),
            retries,
            segments: segments.try_into().map_err(|_| error::argument(py, "there is at least one segment"))?,
            ..Download::default()
        };
        let into = target(into);
        if matches!(into, Target::Path(_)) && (offset > 0 || end.is_some()) {
            return Err(error::argument(py, "a part of a file is downloaded into a file object, not to a path"));
        }
        Ok(Command::Download { path, offset, into, how: Box::new(how), progress: Told(progress) }.into())
    }

    /// A whole file from bytes, a path or an iterable of bytes.
    #[staticmethod]
    #[pyo3(signature = (content, path, *, offset=0, append=false, resume=false, on_change="refuse", part=None,
        replace=false, verify="none", keep_times=false, rate_limit=None, retries=0, progress=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn upload(
        content: &Bound<'_, PyAny>,
        path: PyBackedBytes,
        offset: u64,
        append: bool,
        resume: bool,
        on_change: &str,
        part: Option<String>,
        replace: bool,
        verify: &str,
        keep_times: bool,
        rate_limit: Option<u64>,
        retries: u32,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let py = content.py();
        let how = Upload {
            placement: placement(py, offset, append)?,
            resume,
            changed: word(py, on_change)?,
            part,
            replace,
            verify: word(py, verify)?,
            keep_times,
            rate_limit: rate_limit.map(RateLimit::new),
            retries,
            ..Upload::default()
        };
        let from = match content.cast::<PyBytes>().is_err().then(|| content.extract::<PathBuf>()) {
            Some(Ok(path)) => Origin::Path(path),
            _ => Origin::Source(Source::new(content, 0)?),
        };
        Ok(Command::Upload { path, from, how: Box::new(how), progress: Told(progress) }.into())
    }

    /// Begins a download that comes in pieces.
    #[staticmethod]
    #[pyo3(signature = (path, *, offset=0))]
    fn start_download(path: PyBackedBytes, offset: u64) -> Self {
        Command::StartDownload(path, offset).into()
    }

    /// Begins to read a remote file.
    #[staticmethod]
    #[pyo3(signature = (file, *, offset=0))]
    fn begin_file(file: &RemoteFile, offset: u64) -> Self {
        Command::BeginFile(file.0.clone(), offset).into()
    }

    /// At most so many bytes of a remote file; none at its end.
    #[staticmethod]
    fn read_file(file: &RemoteFile, offset: u64, size: usize) -> Self {
        Command::ReadFile(file.0.clone(), offset, size).into()
    }

    /// A remote file's size.
    #[staticmethod]
    fn file_size(file: &RemoteFile) -> Self {
        Command::FileSize(file.0.clone()).into()
    }

    /// Gives up what is under way for a remote file.
    #[staticmethod]
    fn close_file(file: &RemoteFile) -> Self {
        Command::CloseFile(file.0.clone()).into()
    }

    /// The next piece of a download; empty at its end.
    #[staticmethod]
    fn receive() -> Self {
        Command::Receive.into()
    }

    /// Begins an upload that comes in pieces.
    #[staticmethod]
    #[pyo3(signature = (path, *, offset=0, append=false))]
    fn start_upload(py: Python<'_>, path: PyBackedBytes, offset: u64, append: bool) -> PyResult<Self> {
        Ok(Command::StartUpload(path, placement(py, offset, append)?).into())
    }

    /// The next piece of an upload.
    #[staticmethod]
    fn transmit(piece: PyBackedBytes) -> Self {
        Command::Transmit(piece).into()
    }

    /// Ends a transfer and judges it.
    #[staticmethod]
    fn finish() -> Self {
        Command::Finish.into()
    }

    /// Gives a transfer up.
    #[staticmethod]
    fn abort() -> Self {
        Command::Abort.into()
    }

    /// A directory's entries.
    #[staticmethod]
    fn entries(path: PyBackedBytes) -> Self {
        Command::Entries(path).into()
    }

    /// Begins a listing that comes in parts.
    #[staticmethod]
    fn start_listing(path: PyBackedBytes) -> Self {
        Command::List(path).into()
    }

    /// The next part of it, none at its end, and how many lines nothing could be made of.
    #[staticmethod]
    fn next_entries() -> Self {
        Command::NextEntries.into()
    }

    /// The names in a directory.
    #[staticmethod]
    fn names(path: PyBackedBytes) -> Self {
        Command::Names(path).into()
    }

    /// Whether there is such a file or directory.
    #[staticmethod]
    fn exists(path: PyBackedBytes) -> Self {
        Command::Exists(path).into()
    }

    /// One file or directory.
    #[staticmethod]
    fn stat(path: PyBackedBytes) -> Self {
        Command::Stat(path).into()
    }

    /// Deletes a file.
    #[staticmethod]
    fn remove(path: PyBackedBytes) -> Self {
        Command::Remove(path).into()
    }

    /// Renames a file or directory.
    #[staticmethod]
    fn rename(old: PyBackedBytes, new: PyBackedBytes) -> Self {
        Command::Rename(old, new).into()
    }

    /// Makes a directory.
    #[staticmethod]
    fn mkdir(path: PyBackedBytes) -> Self {
        Command::Mkdir(path).into()
    }

    /// Removes an empty directory.
    #[staticmethod]
    fn rmdir(path: PyBackedBytes) -> Self {
        Command::Rmdir(path).into()
    }

    /// Changes the current directory.
    #[staticmethod]
    fn cwd(path: PyBackedBytes) -> Self {
        Command::Cwd(path).into()
    }

    /// The current directory.
    #[staticmethod]
    fn pwd() -> Self {
        Command::Pwd.into()
    }

    /// One tree made equal to another.
    #[staticmethod]
    #[pyo3(signature = (remote, local, *, upload, rules, compare, symlinks, delete, max_delete, dry_run, parallel,
        in_place, keep_times, on_file))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn mirror(
        py: Python<'_>,
        remote: PyBackedBytes,
        local: PathBuf,
        upload: bool,
        rules: Vec<(bool, String)>,
        compare: &str,
        symlinks: &str,
        delete: bool,
        max_delete: Option<u64>,
        dry_run: bool,
        parallel: usize,
        in_place: bool,
        keep_times: bool,
        on_file: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let deletions = (delete, max_delete, dry_run);
        let manner = (in_place, keep_times);
        let mirroring =
            Mirroring::new(py, &remote, local, upload, rules, compare, symlinks, deletions, parallel, manner, on_file)?;
        Ok(Command::Mirror(Box::new(mirroring)).into())
    }

    /// NOOP.
    #[staticmethod]
    fn noop() -> Self {
        Command::Noop.into()
    }

    /// Logs in as somebody else.
    #[staticmethod]
    #[pyo3(signature = (user, password, *, account=None))]
    fn login(user: String, password: String, account: Option<String>) -> Self {
        let credentials = Credentials::password(user, password);
        Command::Login(match account {
            Some(account) => credentials.account(account),
            None => credentials,
        })
        .into()
    }

    /// ACCT.
    #[staticmethod]
    fn account(account: String) -> Self {
        Command::Account(Zeroizing::new(account)).into()
    }

    /// STAT.
    #[staticmethod]
    fn status(path: PyBackedBytes) -> Self {
        Command::Status(path).into()
    }

    /// SYST.
    #[staticmethod]
    fn system() -> Self {
        Command::System.into()
    }

    /// HELP.
    #[staticmethod]
    fn help(topic: String) -> Self {
        Command::Help(topic).into()
    }

    /// LANG.
    #[staticmethod]
    fn language(tag: String) -> Self {
        Command::Language(tag).into()
    }

    /// SITE.
    #[staticmethod]
    fn site(text: PyBackedBytes) -> Self {
        Command::Site(text).into()
    }

    /// Any other command with one reply.
    #[staticmethod]
    fn quote(command: PyBackedBytes) -> Self {
        Command::Quote(command).into()
    }

    /// SITE CHMOD.
    #[staticmethod]
    fn chmod(path: PyBackedBytes, mode: u32) -> Self {
        Command::Chmod(path, mode).into()
    }

    /// When a file was last modified, in seconds since 1970.
    #[staticmethod]
    fn set_modified(py: Python<'_>, path: PyBackedBytes, time: f64) -> PyResult<Self> {
        Ok(Command::SetModified(path, moment(py, time)?).into())
    }

    /// When a file was made.
    #[staticmethod]
    fn set_created(py: Python<'_>, path: PyBackedBytes, time: f64) -> PyResult<Self> {
        Ok(Command::SetCreated(path, moment(py, time)?).into())
    }

    /// MFF.
    #[staticmethod]
    fn set_facts(path: PyBackedBytes, facts: Vec<(String, String)>) -> Self {
        Command::SetFacts(path, facts).into()
    }

    /// AVBL.
    #[staticmethod]
    fn available(path: PyBackedBytes) -> Self {
        Command::Available(path).into()
    }

    /// ALLO.
    #[staticmethod]
    fn allocate(size: u64) -> Self {
        Command::Allocate(size).into()
    }

    /// A directory and those above it.
    #[staticmethod]
    fn makedirs(path: PyBackedBytes) -> Self {
        Command::Makedirs(path).into()
    }

    /// A directory and what is in it.
    #[staticmethod]
    fn remove_tree(path: PyBackedBytes) -> Self {
        Command::RemoveTree(path).into()
    }

    /// A whole file of lines into a path or a `write` method.
    #[staticmethod]
    fn download_text(path: PyBackedBytes, into: &Bound<'_, PyAny>) -> Self {
        Command::DownloadText { path, into: target(into) }.into()
    }

    /// A whole file of lines from bytes, a path or an iterable of bytes.
    #[staticmethod]
    fn upload_text(content: &Bound<'_, PyAny>, path: PyBackedBytes) -> PyResult<Self> {
        let from = Source::new(content, 0)?;
        Ok(Command::UploadText { path, from, pulse: Pulse::new(None, 0, None) }.into())
    }

    /// A whole file under a name that the server chooses.
    #[staticmethod]
    fn upload_unique(content: &Bound<'_, PyAny>, wish: PyBackedBytes) -> PyResult<Self> {
        let from = Source::new(content, 0)?;
        Ok(Command::UploadUnique { wish, from, pulse: Pulse::new(None, 0, None) }.into())
    }

    /// A file to another server, for which a session like this one is opened.
    #[staticmethod]
    #[pyo3(signature = (path, other, to, *, clear=false, compare=true))]
    fn copy_to(path: PyBackedBytes, other: &FtpSession, to: PyBackedBytes, clear: bool, compare: bool) -> Self {
        let how = fxp::Options { clear, compare, ..fxp::Options::default() };
        Command::CopyTo { path, other: other.session.protocol(), directory: other.path.to_vec(), to, how }.into()
    }

    /// A file's digest, as the server computes it.
    #[staticmethod]
    #[pyo3(signature = (path, algorithm=None, *, start=None, end=None))]
    fn hash(
        py: Python<'_>,
        path: PyBackedBytes,
        algorithm: Option<&str>,
        start: Option<u64>,
        end: Option<u64>,
    ) -> PyResult<Self> {
        let algorithm = algorithm.map(str::parse::<Algorithm>).transpose();
        let algorithm = algorithm.map_err(|why| error::core(py, &why, Hint::None))?;
        let range = match (start, end) {
            (None, None) => None,
            (start, Some(end)) => Some(start.unwrap_or_default()..end),
            (Some(_), None) => return Err(error::argument(py, "a part of a file has an end, too")),
        };
        Ok(Command::Hash { path, algorithm, range }.into())
    }
}
