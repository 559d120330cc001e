//! `NAME.parts`: a file of which parts are there.
//!
//! It is not `NAME.part`, since that is the beginning of a file and nothing else. What it has is written down in
//! `NAME.parts-of`, with what the file was; without that it is worth nothing, and begun anew.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::download::Download;
use super::hash::Hasher;
use super::job::{Changed, FileFacts};
use super::local::{commit, memo, read_memo, with_suffix};
use super::overlap::changed;
use super::receipt::TransferReceipt;
use crate::error::{Error, LocalFailure, Result};

/// A smaller segment costs more than it gains.
pub(super) const SMALLEST: u64 = 1024 * 1024;

/// How much comes before it is written down that it is there.
const NOTE_EVERY: u64 = 16 * 1024 * 1024;

/// A file of which parts are there.
pub(super) struct Parts {
    name: PathBuf,
    path: PathBuf,
    memo: PathBuf,
    /// Its lock is held; what there is is read from it.
    file: File,
    pub(super) size: u64,
    facts: FileFacts,
    state: Mutex<State>,
    keep: bool,
    sync: bool,
    settled: bool,
}

#[derive(Default)]
pub(super) struct State {
    /// What is there: in order, with gaps between.
    have: Vec<Range<u64>>,
    /// What is to be had and nobody is at.
    gaps: Vec<Range<u64>>,
    /// What was before a gap, as the gap's session had it.
    heads: Vec<(u64, Vec<u8>)>,
    /// Bytes since it was last written down.
    unnoted: u64,
    /// The last word on the last part.
    pub(super) receipt: Option<TransferReceipt>,
}

impl Parts {
    /// Opens what there is of `name`, or begins it.
    pub(super) fn open(name: &Path, facts: FileFacts, size: u64, how: &Download) -> Result<Self> {
        if name.is_dir() {
            let why = format!("{} is a directory: name the file in it", name.display());
            return Err(Error::invalid_argument(why));
        }
        let (path, memo_path) = (with_suffix(name, ".parts"), with_suffix(name, ".parts-of"));
        let failure = |error| LocalFailure::of(&path, error);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failure)?;
        if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
            let error = io::Error::new(io::ErrorKind::ResourceBusy, "another download writes to it");
            return Err(failure(error));
        }
        let text = fs::read_to_string(&memo_path).unwrap_or_default();
        let there = file.metadata().map_err(failure)?.len();
        let known = read_memo(&text);
        let mut have =
            if how.resume && there == known.size.unwrap_or(u64::MAX) { ranges(&text, there) } else { Vec::new() };
        let is_the_same = known.agrees(&facts) && there == size;
        if !have.is_empty() && !is_the_same {
            match how.changed {
                Changed::Refuse => return Err(changed("its size or time is not what it was")),
                Changed::Restart => have.clear(),
            }
        }
        if have.is_empty() {
            let _ = fs::remove_file(&memo_path);
            // What was there before is gone, and what is not there yet takes no room.
            file.set_len(0).and_then(|()| file.set_len(size)).map_err(failure)?;
        }
        let gaps = gaps(&have, size);
        let state = Mutex::new(State { have, gaps, ..State::default() });
        let keep = how.resume || how.keep_part;
        let (name, sync) = (name.to_owned(), how.sync);
        Ok(Self { name, path, memo: memo_path, file, size, facts, state, keep, sync, settled: false })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failure(&self, error: io::Error) -> Error {
        LocalFailure::of(&self.path, error)
    }

    /// How much is there.
    pub(super) fn there(&self) -> u64 {
        self.state().have.iter().map(|range| range.end - range.start).sum()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.there() == self.size && self.state().receipt.is_some()
    }

    /// Makes as many gaps of those there are, if they are large enough. How many there are.
    pub(super) fn divide(&self, wanted: usize) -> usize {
        let mut state = self.state();
        while state.gaps.len() < wanted
            && let Some(largest) = (0..state.gaps.len()).max_by_key(|&i| state.gaps[i].end - state.gaps[i].start)
        {
            let Range { start, end } = state.gaps[largest];
            if end - start < 2 * SMALLEST {
                break;
            }
            let middle = start + (end - start) / 2;
            state.gaps[largest].end = middle;
            state.gaps.insert(largest + 1, middle..end);
        }
        state.gaps.len().min(wanted)
    }

    /// The last one first: who takes it ends the file in order, and that is the session that goes on.
    pub(super) fn take_gap(&self) -> Option<Range<u64>> {
        self.state().gaps.pop()
    }

    pub(super) fn done_with(&self, gap: Range<u64>, begin: u64, head: Vec<u8>) {
        let mut state = self.state();
        if gap.start > begin {
            state.heads.push((begin, head));
        }
        if !gap.is_empty() {
            state.gaps.push(gap);
        }
    }

    /// A handle of its own for each session.
    pub(super) fn writer(&self, at: u64) -> Result<File> {
        let opened = File::options().write(true).open(&self.path);
        let opened = opened.and_then(|mut file| file.seek(SeekFrom::Start(at)).map(|_| file));
        opened.map_err(|error| self.failure(error))
    }

    /// These bytes are there now.
    pub(super) fn has(&self, range: Range<u64>) {
        let mut state = self.state();
        if range.is_empty() {
            return;
        }
        state.unnoted += range.end - range.start;
        let at = state.have.partition_point(|have| have.start < range.start);
        state.have.insert(at, range);
        let merged = std::mem::take(&mut state.have).into_iter().fold(Vec::<Range<u64>>::new(), |mut merged, range| {
            match merged.last_mut() {
                Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
            merged
        });
        state.have = merged;
        if self.keep && state.unnoted >= NOTE_EVERY {
            self.note(&mut state);
        }
    }

    /// Writes down what is there, once it is on disk.
    fn note(&self, state: &mut State) {
        state.unnoted = 0;
        let have = state.have.iter().map(|range| format!("have {} {}\n", range.start, range.end));
        let text: String = std::iter::once(memo(&self.facts)).chain(have).collect();
        if !self.sync || self.file.sync_data().is_ok() {
            // Without it, it is begun anew.
            let _ = fs::write(&self.memo, text);
        }
    }

    /// What came before each gap is what others brought.
    pub(super) fn check_seams(&self) -> Result<()> {
        let heads = std::mem::take(&mut self.state().heads);
        for (end, head) in heads {
            let mut there = vec![0; head.len()];
            let outcome = (&self.file)
                .seek(SeekFrom::Start(end - head.len() as u64))
                .and_then(|_| (&self.file).read_exact(&mut there));
            outcome.map_err(|error| self.failure(error))?;
            if there != head {
                return Err(changed("its segments do not fit together"));
            }
        }
        Ok(())
    }

    pub(super) fn hash(&self, mut hasher: Hasher) -> Result<Hasher> {
        let mut file = &self.file;
        let mut piece = vec![0; 256 * 1024];
        file.rewind().map_err(|error| self.failure(error))?;
        loop {
            match file.read(&mut piece).map_err(|error| self.failure(error))? {
                0 => return Ok(hasher),
                count => hasher.update(&piece[..count]),
            }
        }
    }

    pub(super) fn commit(mut self, modified: Option<SystemTime>) -> Result<()> {
        self.settled = true;
        commit(&self.file, &self.path, &self.name, modified, self.sync)?;
        let _ = fs::remove_file(&self.memo);
        Ok(())
    }

    pub(super) fn fail(mut self, error: Error) -> Error {
        if self.settle() {
            error.advise(format!("what there is stays in {}, to go on with", self.path.display()))
        } else {
            error
        }
    }

    pub(super) fn discard(mut self) {
        self.keep = false;
        self.settle();
    }

    /// Keeps it or removes it. Whether it was kept.
    fn settle(&mut self) -> bool {
        self.settled = true;
        let keep = self.keep && self.there() > 0;
        if keep {
            self.note(&mut self.state());
        } else {
            let _ = fs::remove_file(&self.memo);
            let _ = fs::remove_file(&self.path);
        }
        keep
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if !self.settled {
            self.settle();
        }
    }
}

/// What a memo says is there; nothing if it makes no sense.
fn ranges(text: &str, size: u64) -> Vec<Range<u64>> {
    let mut have: Vec<Range<u64>> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("have ")) {
        let range = line.split_once(' ').and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
        match range {
            Some(range)
                if range.start < range.end
                    && range.end <= size
                    && have.last().is_none_or(|last| last.end <= range.start) =>
            {
                have.push(range);
            }
            _ => return Vec::new(),
        }
    }
    have
}

/// What is not there.
fn gaps(have: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let ends = have.iter().map(|range| range.end);
    let starts = have.iter().map(|range| range.start).chain([size]);
    std::iter::once(0).chain(ends).zip(starts).map(|(end, start)| end..start).filter(|gap| !gap.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::{gaps, ranges};

    #[test]
    fn memos_that_make_no_sense_are_worth_nothing() {
        let text = "remote file\nsize 100\nhave 0 10\nhave 20 100\n";
        assert_eq!(ranges(text, 100), [0..10, 20..100]);
        assert_eq!(gaps(&ranges(text, 100), 100), vec![10..20]);
        assert_eq!(gaps(&[], 100), vec![0..100]);
        assert!(gaps(&ranges("have 0 100", 100), 100).is_empty());
        for nonsense in ["have 5", "have 5 5", "have 0 101", "have 5 20\nhave 10 30", "have a b", "have -1 5"] {
            assert!(ranges(nonsense, 100).is_empty(), "{nonsense}");
        }
    }
}
