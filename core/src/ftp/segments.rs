//! One file by several sessions at once, each a part of it.
//!
//! ```text
//!   NAME.parts   ┌── have ──┬── gap ──┬── gap ──┬── have ──┐   as long as the file from the beginning
//!                           └ a session each: from a little before the gap, to its end
//!   at the end: what came twice is the same, size and time are what they were, [the hash agrees] ── NAME
//! ```
//!
//! It is not `NAME.part`, since that is the beginning of a file and nothing else. What it has is written down in
//! `NAME.parts-of`, with what the file was; without that it is worth nothing, and begun anew.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::client::Client;
use super::download::{Download, OVERLAP, changed};
use super::hash::Hasher;
use super::job::{Attempts, Changed, FileFacts, Pace, is_network};
use super::local::{LocalFailure, commit, memo, read_memo, with_suffix};
use super::receipt::{Status, TransferReceipt};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::Transport;

/// A smaller segment costs more than it gains.
const SMALLEST: u64 = 1024 * 1024;

/// How much comes before it is written down that it is there.
const NOTE_EVERY: u64 = 16 * 1024 * 1024;

/// A file of which parts are there.
struct Parts {
    name: PathBuf,
    path: PathBuf,
    memo: PathBuf,
    /// Its lock is held; what there is is read from it.
    file: File,
    size: u64,
    facts: FileFacts,
    state: Mutex<State>,
    keep: bool,
    sync: bool,
    settled: bool,
}

#[derive(Default)]
struct State {
    /// What is there: in order, with gaps between.
    have: Vec<Range<u64>>,
    /// What is to be had and nobody is at.
    gaps: Vec<Range<u64>>,
    /// What was before a gap, as the gap's session had it.
    heads: Vec<(u64, Vec<u8>)>,
    /// Bytes since it was last written down.
    unnoted: u64,
    /// The last word on the last part.
    receipt: Option<TransferReceipt>,
}

impl<T: Transport + Clone> Client<T> {
    /// Downloads in segments, if that was asked for and is possible; `None`: it is not.
    pub(super) async fn download_in_segments(
        &mut self,
        path: &[u8],
        local: &Path,
        how: &Download,
        pace: &Pace<'_>,
    ) -> Result<Option<TransferReceipt>> {
        let begun = how.resume && with_suffix(local, ".parts-of").exists();
        if (how.segments.get() == 1 && !begun) || !self.session.features.offers("REST") {
            return Ok(None);
        }
        let mut attempts = Attempts::new(how.retries, how.backoff);
        let anchor = self.anchor(how.retries).await?;
        let algorithm = self.algorithm(how.verify)?;
        let facts = match how.known {
            Some(known) => known,
            None => self.facts(path).await?,
        };
        let Some(size) = facts.size.filter(|&size| size >= 2 * SMALLEST) else {
            if begun {
                // They are of another file.
                let _ = fs::remove_file(with_suffix(local, ".parts-of"));
                let _ = fs::remove_file(with_suffix(local, ".parts"));
            }
            return Ok(None);
        };
        let parts = Parts::open(local, facts, size, how).map_err(|error| self.explain(error))?;
        pace.expects(Some(size));
        pace.is_at(parts.there());
        let start = parts.there();
        let mut others = Vec::new();
        for _ in 1..parts.divide(how.segments.get()) {
            // A server that lets no more in is fetched from by fewer.
            match self.another().await {
                Ok(other) => others.push(other),
                Err(_) => break,
            }
        }
        loop {
            let outcome = self.fetch_gaps(&mut others, path, &parts, pace).await;
            let error = match outcome {
                Ok(()) => break,
                Err(error) => error,
            };
            // Nothing begins in the middle here after all; or else the refusal will come again.
            if matches!(error.kind(), ErrorKind::Rejected) && !is_network(&error) && !self.is_closed() {
                parts.discard();
                pace.is_at(0);
                return Ok(None);
            }
            if let Err(error) = self.recover(&mut attempts, anchor.as_deref(), error).await {
                return Err(parts.fail(error));
            }
            others.retain(|other| !other.is_closed());
        }
        let last = parts.state().receipt.take();
        let outcome = async {
            for other in others {
                other.quit().await;
            }
            parts.check_seams().map_err(|error| self.explain(error))?;
            if !self.facts(path).await?.agrees(&facts) {
                return Err(self.explain(changed("its size or time is not what it was")));
            }
            let hasher = algorithm.map(Hasher::new).map(|hasher| parts.hash(hasher)).transpose()?;
            let digest = self.compare_digest(path, how.verify, hasher).await?;
            pace.is_at(size);
            pace.tell()?;
            Ok(digest)
        };
        let digest = match outcome.await {
            Ok(digest) => digest,
            Err(error) => return Err(parts.fail(error)),
        };
        let Some(mut receipt) = last else {
            return Err(parts.fail(Error::invalid_state("the server said nothing of the file's end")));
        };
        if receipt.status == Status::Complete {
            receipt.status = Status::Verified;
        }
        (receipt.offset, receipt.size, receipt.digest) = (start, size - start, digest);
        (receipt.attempts, receipt.duration) = (attempts.made, attempts.began.elapsed());
        parts.commit(facts.modified.filter(|_| how.keep_times))?;
        Ok(Some(receipt))
    }

    /// All sessions at once, until no gap is left that anybody can fill. The first failure, if there is one then.
    async fn fetch_gaps(&mut self, others: &mut [Self], path: &[u8], parts: &Parts, pace: &Pace<'_>) -> Result<()> {
        let transport = self.transport.clone();
        let sessions = std::iter::once(self).chain(others.iter_mut());
        let work = sessions.map(|session| session.fill_gaps(path, parts, pace)).collect();
        let outcomes = transport.side_by_side(work).await;
        // Whoever stopped all the others says why; they only say that they were.
        let mut failed = outcomes.into_iter().filter_map(Result::err).collect::<Vec<_>>();
        if failed.is_empty() || parts.is_whole() {
            return Ok(());
        }
        let first = failed.iter().position(|error| !matches!(error.kind(), ErrorKind::Interrupted)).unwrap_or(0);
        Err(failed.swap_remove(first))
    }

    async fn fill_gaps(&mut self, path: &[u8], parts: &Parts, pace: &Pace<'_>) -> Result<()> {
        while !self.is_closed()
            && let Some(mut gap) = parts.take_gap()
        {
            let (begin, mut head) = (gap.start, Vec::new());
            let outcome = self.fill_gap(path, parts, pace, &mut gap, &mut head).await;
            if outcome.is_err() && gap.is_empty() && gap.end == parts.size {
                // Everything came, and no good word on it: it is to be heard.
                gap.start = gap.end - 1;
            }
            parts.done_with(gap, begin, head);
            outcome?;
        }
        Ok(())
    }

    /// From a little before a gap to its end; the gap becomes what is left of it, the head what came before it.
    async fn fill_gap(
        &mut self,
        path: &[u8],
        parts: &Parts,
        pace: &Pace<'_>,
        gap: &mut Range<u64>,
        head: &mut Vec<u8>,
    ) -> Result<()> {
        let mut file = parts.writer(gap.start)?;
        let begin = gap.start.saturating_sub(OVERLAP);
        let before = usize::try_from(gap.start - begin).unwrap_or(usize::MAX);
        let last = gap.end == parts.size;
        self.start_download(path, begin).await?;
        loop {
            let (from, mut outcome) = (gap.start, Ok(()));
            let more = self
                .receive(&mut |bytes| {
                    let (again, bytes) = bytes.split_at((before - head.len()).min(bytes.len()));
                    head.extend_from_slice(again);
                    let left = usize::try_from(gap.end - gap.start).unwrap_or(usize::MAX);
                    if last && bytes.len() > left {
                        outcome = Err(changed("it is longer than it was"));
                    }
                    let bytes = &bytes[..bytes.len().min(left)];
                    if outcome.is_ok() {
                        outcome = file.write_all(bytes).map_err(|error| parts.failure(error));
                        gap.start += bytes.len() as u64;
                    }
                })
                .await?;
            if let Err(error) = outcome {
                return Err(self.give_up(error).await);
            }
            parts.has(from..gap.start);
            let fresh = usize::try_from(gap.start - from).unwrap_or(usize::MAX);
            if let Err(error) = pace.advance(&self.transport, fresh).await {
                return Err(self.give_up(error).await);
            }
            if more && gap.is_empty() && !last {
                self.abort().await;
                return Ok(());
            }
            if !more {
                let receipt = self.finish().await?;
                if !gap.is_empty() {
                    return Err(self.explain(changed("it is shorter than it was")));
                }
                parts.state().receipt = Some(receipt);
                return Ok(());
            }
        }
    }
}

impl Parts {
    /// Opens what there is of `name`, or begins it.
    fn open(name: &Path, facts: FileFacts, size: u64, how: &Download) -> Result<Self> {
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self, error: io::Error) -> Error {
        LocalFailure::of(&self.path, error)
    }

    /// How much is there.
    fn there(&self) -> u64 {
        self.state().have.iter().map(|range| range.end - range.start).sum()
    }

    fn is_whole(&self) -> bool {
        self.there() == self.size && self.state().receipt.is_some()
    }

    /// Makes as many gaps of those there are, if they are large enough. How many there are.
    fn divide(&self, wanted: usize) -> usize {
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
    fn take_gap(&self) -> Option<Range<u64>> {
        self.state().gaps.pop()
    }

    fn done_with(&self, gap: Range<u64>, begin: u64, head: Vec<u8>) {
        let mut state = self.state();
        if gap.start > begin {
            state.heads.push((begin, head));
        }
        if !gap.is_empty() {
            state.gaps.push(gap);
        }
    }

    /// A handle of its own for each session.
    fn writer(&self, at: u64) -> Result<File> {
        let opened = File::options().write(true).open(&self.path);
        let opened = opened.and_then(|mut file| file.seek(SeekFrom::Start(at)).map(|_| file));
        opened.map_err(|error| self.failure(error))
    }

    /// These bytes are there now.
    fn has(&self, range: Range<u64>) {
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
    fn check_seams(&self) -> Result<()> {
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

    fn hash(&self, mut hasher: Hasher) -> Result<Hasher> {
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

    fn commit(mut self, modified: Option<SystemTime>) -> Result<()> {
        self.settled = true;
        commit(&self.file, &self.path, &self.name, modified, self.sync)?;
        let _ = fs::remove_file(&self.memo);
        Ok(())
    }

    fn fail(mut self, error: Error) -> Error {
        if self.settle() {
            error.advise(format!("what there is stays in {}, to go on with", self.path.display()))
        } else {
            error
        }
    }

    fn discard(mut self) {
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
