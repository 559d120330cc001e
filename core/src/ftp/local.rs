//! `NAME.part`: what a download is on this side until it is whole.
//!
//! ```text
//!   NAME.part ── bytes, as they come ── proven ── on disk ── renamed ──▶ NAME
//!   NAME.part-of    what the remote file was when the part was begun
//!        └── after a failure both stay, where they are wanted, or neither; NAME is untouched
//! ```
//!
//! What the file was is kept beside the part and not in it, since a part is to be the beginning of the file and nothing
//! else, and not as the part's own time, since a process that is killed has no time to set it.

use std::ffi::OsString;
use std::fs::{self, File, FileTimes};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::job::FileFacts;
use crate::error::{Error, LocalFailure, Result};

/// A file that is not whole yet.
pub(super) struct Part {
    name: PathBuf,
    path: PathBuf,
    memo: PathBuf,
    file: File,
    /// How much of the file is there.
    pub(super) length: u64,
    /// What the remote file is.
    pub(super) facts: FileFacts,
    /// Whether that is written down beside it, for who goes on.
    noted: bool,
    /// Whether a failure leaves what there is.
    keep: bool,
    /// Whether it is settled what became of it.
    settled: bool,
}

/// From how many bytes on a part has its memo while it is written, and not only if that fails.
const WORTH_A_NOTE: u64 = 1024 * 1024;

pub(super) fn with_suffix(name: &Path, suffix: &str) -> PathBuf {
    let mut path: OsString = name.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

impl Part {
    /// Opens the part of `name`; with `resume` what is in it counts. `keep`: a failure leaves it.
    pub(super) fn open(name: &Path, resume: bool, keep: bool) -> Result<Self> {
        let (path, memo) = (with_suffix(name, ".part"), with_suffix(name, ".part-of"));
        if name.is_dir() {
            let why = format!("{} is a directory: name the file in it", name.display());
            return Err(Error::invalid_argument(why));
        }
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|error| LocalFailure::of(&path, error))?;
        if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
            let error = io::Error::new(io::ErrorKind::ResourceBusy, "another download writes to it");
            return Err(LocalFailure::of(&path, error));
        }
        let length = file.metadata().map_err(|error| LocalFailure::of(&path, error))?.len();
        let facts = FileFacts::default();
        let mut part =
            Self { name: name.to_owned(), path, memo, file, length, facts, noted: false, keep, settled: false };
        if !resume && length > 0 {
            part.restart()?;
        }
        Ok(part)
    }

    pub(super) fn failure(&self, error: io::Error) -> Error {
        LocalFailure::of(&self.path, error)
    }

    /// Drops what is there.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.forget();
        self.length = 0;
        let outcome = self.file.set_len(0).and_then(|()| self.file.rewind());
        outcome.map_err(|error| self.failure(error))
    }

    /// The last bytes, `most` of them; the next bytes are written behind them.
    pub(super) fn tail(&mut self, most: u64) -> Result<Vec<u8>> {
        let count = most.min(self.length);
        let mut tail = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
        let mut file = &self.file;
        let outcome = file.seek(SeekFrom::Start(self.length - count)).and_then(|_| file.read_exact(&mut tail));
        outcome.map(|()| tail).map_err(|error| self.failure(error))
    }

    /// Hands all that is there to `to`; the next bytes are written behind it.
    pub(super) fn read_through(&mut self, to: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut file = &self.file;
        let outcome = file.rewind().and_then(|()| {
            let (mut left, mut piece) = (self.length, vec![0; 256 * 1024]);
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                file.read_exact(&mut piece[..most])?;
                to(&piece[..most]);
                left -= most as u64;
            }
            Ok(())
        });
        outcome.map_err(|error| self.failure(error))
    }

    /// The next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)?;
        self.length += bytes.len() as u64;
        // Whoever loses less has lost little; a process that is killed later has this.
        if self.length >= WORTH_A_NOTE {
            self.note();
        }
        Ok(())
    }

    /// Writes down what the remote file is, unless that was done.
    fn note(&mut self) {
        if !self.noted && self.keep && self.facts != FileFacts::default() {
            // Without it a part is still compared by its tail.
            self.noted = fs::write(&self.memo, memo(&self.facts)).is_ok();
        }
    }

    /// What the remote file was when the part was begun; nothing, if nobody wrote it down.
    pub(super) fn noted(&mut self) -> FileFacts {
        let text = fs::read_to_string(&self.memo).unwrap_or_default();
        self.noted = !text.is_empty();
        read_memo(&text)
    }

    fn forget(&mut self) {
        self.noted = false;
        let _ = fs::remove_file(&self.memo);
    }

    /// The file is whole: it gets its time and its name, once the disk has all of it.
    pub(super) fn commit(mut self, modified: Option<SystemTime>, sync: bool) -> Result<()> {
        self.settled = true;
        commit(&self.file, &self.path, &self.name, modified, sync)?;
        self.forget();
        Ok(())
    }

    /// The download failed: what there is is kept or removed, and the error says where it is.
    pub(super) fn fail(mut self, error: Error) -> Error {
        if self.settle() {
            error.advise(format!("what there is stays in {}, to go on with", self.path.display()))
        } else {
            error
        }
    }

    /// Keeps it or removes it. Whether it was kept.
    fn settle(&mut self) -> bool {
        self.settled = true;
        if self.keep && self.length > 0 {
            self.note();
            return true;
        }
        self.forget();
        let _ = fs::remove_file(&self.path);
        false
    }
}

impl Drop for Part {
    /// A download that nobody waits for any more has failed, too.
    fn drop(&mut self) {
        if !self.settled {
            self.settle();
        }
    }
}

/// Gives a whole file its time and its name, once the disk has all of it.
pub(super) fn commit(file: &File, path: &Path, name: &Path, modified: Option<SystemTime>, sync: bool) -> Result<()> {
    if let Some(modified) = modified {
        // A file system without such times has the file all the same.
        let _ = file.set_times(FileTimes::new().set_modified(modified));
    }
    if sync {
        file.sync_all().map_err(|error| LocalFailure::of(path, error))?;
    }
    fs::rename(path, name)
        .map_err(|error| LocalFailure::of(name, error).advise(format!("the file is whole: {}", path.display())))?;
    if sync {
        sync_directory(name);
    }
    Ok(())
}

/// The new name survives a loss of power, too. Not every system has this, and the file itself is on disk.
fn sync_directory(name: &Path) {
    let directory = name.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(directory) = File::open(directory) {
        let _ = directory.sync_all();
    }
}

const HEADING: &str = "remote file";

pub(super) fn memo(facts: &FileFacts) -> String {
    let mut text = format!("{HEADING}\n");
    if let Some(size) = facts.size {
        text.push_str(&format!("size {size}\n"));
    }
    if let Some(since) = facts.modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()) {
        text.push_str(&format!("modified {}.{:09}\n", since.as_secs(), since.subsec_nanos()));
    }
    text
}

pub(super) fn read_memo(text: &str) -> FileFacts {
    let mut facts = FileFacts::default();
    let mut lines = text.lines();
    if lines.next() != Some(HEADING) {
        return facts;
    }
    for (key, value) in lines.filter_map(|line| line.split_once(' ')) {
        match key {
            "size" => facts.size = value.parse().ok(),
            "modified" => facts.modified = moment(value),
            _ => {}
        }
    }
    facts
}

fn moment(text: &str) -> Option<SystemTime> {
    let (seconds, nanos) = text.split_once('.')?;
    let nanos = nanos.parse().ok().filter(|&nanos| nanos < 1_000_000_000)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds.parse().ok()?, nanos))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("starttls-part-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn memos_say_what_they_were_told() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5);
        for facts in [
            FileFacts { size: Some(u64::MAX), modified: Some(time) },
            FileFacts { size: Some(0), modified: None },
            FileFacts::default(),
        ] {
            assert_eq!(read_memo(&memo(&facts)), facts);
        }
        for nonsense in
            ["", "size 5", "remote file\nsize -1\nmodified 5", "remote file\nmodified 99999999999999999999.0"]
        {
            assert_eq!(read_memo(nonsense), FileFacts::default(), "{nonsense}");
        }
    }

    #[test]
    fn a_part_is_the_file_or_nothing() {
        let folder = folder("life");
        let name = folder.join("a");
        let facts = FileFacts { size: Some(6), modified: None };
        let mut part = Part::open(&name, true, true).unwrap();
        part.facts = facts;
        part.write(b"abc").unwrap();
        let error = part.fail(Error::invalid_state("cut"));
        assert!(error.advice().unwrap().contains("a.part"), "{error}");
        assert_eq!(names(&folder), ["a.part", "a.part-of"]);

        let mut part = Part::open(&name, true, true).unwrap();
        assert_eq!((part.length, part.noted()), (3, facts));
        assert_eq!(part.tail(2).unwrap(), b"bc");
        let mut read = Vec::new();
        part.read_through(&mut |bytes| read.extend_from_slice(bytes)).unwrap();
        assert_eq!(read, b"abc");
        assert!(Part::open(&name, true, true).is_err(), "it is locked");
        part.write(b"def").unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        part.commit(Some(time), true).unwrap();
        assert_eq!(names(&folder), ["a"]);
        assert_eq!(fs::read(&name).unwrap(), b"abcdef");
        assert_eq!(fs::metadata(&name).unwrap().modified().unwrap(), time);

        for keep in [false, true] {
            let mut part = Part::open(&name, false, keep).unwrap();
            if !keep {
                part.write(b"x").unwrap();
            }
            drop(part);
            assert_eq!(names(&folder), ["a"], "nothing of use stays");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
