//! One file from the server, whole under its name here or not at all.
//!
//! ```text
//!   [SIZE, MDTM: is it still the file that the part was begun with?]
//!   RETR from a little before the end of what there is ── the same bytes? ── what is new is written
//!        └── cut: pause, a new session if need be, and the same again
//!   226, and the signs agree ── [SIZE or HASH agrees] ── [the time is kept] ── on disk ── NAME
//! ```

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use super::client::Client;
use super::hash::{Algorithm, Hasher};
use super::job::{Attempts, Changed, FileFacts, Pace, Progress, RateLimit, Verify};
use super::local::Part;
use super::overlap::{Overlap, changed};
use super::receipt::{Status, TransferReceipt};
use super::sink::{Passed, Sink};
use super::transfer::Direction;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::transport::Transport;

/// As much of what a writer was given is kept for that.
const KEPT: usize = 4 * 1024;

/// How a file is downloaded.
#[derive(Clone, Debug)]
pub struct Download {
    /// Go on with `NAME.part`, if there is one and it is the beginning of this very file: if size and time are those it
    /// was begun with, and its end is the same on the server.
    pub resume: bool,
    /// What to do if it is not, or if the file changes between two attempts.
    pub changed: Changed,
    /// Whether a failure leaves `NAME.part` to go on with. It always does with `resume`.
    pub keep_part: bool,
    /// What has to agree.
    pub verify: Verify,
    /// Give the local file the time when the remote one was last modified, where the server tells.
    pub keep_times: bool,
    /// How fast it may be.
    pub rate_limit: Option<RateLimit>,
    /// How often to go on after the network failed. Refusals and failures on this side are never tried again.
    pub retries: u32,
    /// How long to wait before that; twice as long each further time, a minute at most.
    pub backoff: Duration,
    /// What is known of the file, from a listing: the server is not asked then.
    pub known: Option<FileFacts>,
    /// Whether the file is on disk, and not only in the system's memory, before it gets its name.
    pub sync: bool,
    /// Where it ends, in bytes from the file's beginning, into a writer; the file's end if that comes before it. `None`: the
    /// file's end.
    pub end: Option<u64>,
    /// By how many sessions, each a part of the file, into a path. One if the server cannot begin in the middle, fewer if
    /// it does not let so many in.
    pub segments: NonZeroUsize,
}

impl Default for Download {
    /// From the beginning, by one session and in one attempt; on disk before it gets its name.
    fn default() -> Self {
        Self {
            resume: false,
            changed: Changed::Refuse,
            keep_part: false,
            verify: Verify::None,
            keep_times: false,
            rate_limit: None,
            retries: 0,
            backoff: Duration::from_secs(1),
            known: None,
            sync: true,
            end: None,
            segments: NonZeroUsize::MIN,
        }
    }
}

/// A download under way.
struct Fetch<'f, 'p> {
    path: &'f [u8],
    how: &'f Download,
    sink: &'f mut dyn Sink,
    /// Where this download began.
    start: u64,
    /// What is known of it beforehand.
    known: Option<FileFacts>,
    /// What the file is, or was when what is there was begun.
    facts: FileFacts,
    /// Whether more came than was asked for.
    exceeds: bool,
    /// Of everything that is there.
    hasher: Option<Hasher>,
    pace: Pace<'p>,
    attempts: Attempts,
}

impl<T: Transport> Client<T> {
    /// Downloads a file to a path, where it appears when it is whole. Until then it is `NAME.part`, with what it is a part
    /// of in `NAME.part-of`. Both stay after a failure if that was asked for, and can be gone on with.
    ///
    /// # Errors
    /// Those of [`Client::start_download`], [`Client::receive`] and [`Client::finish`]; [`Local`](ErrorKind::Local) with a
    /// [`LocalFailure`](super::LocalFailure) in it, before anything is asked for where that is possible;
    /// [`FileChanged`](ErrorKind::FileChanged); [`SizeMismatch`](ErrorKind::SizeMismatch) and
    /// [`DigestMismatch`](ErrorKind::DigestMismatch).
    pub async fn download(
        &mut self,
        path: impl AsRef<[u8]>,
        local: impl AsRef<Path>,
        how: &Download,
        progress: Option<Progress<'_>>,
    ) -> Result<TransferReceipt>
    where
        T: Clone,
    {
        let (path, local) = (path.as_ref(), local.as_ref());
        let pace = Pace::new(progress, how.rate_limit.clone());
        if let Some(receipt) = self.download_in_segments(path, local, how, &pace).await? {
            return Ok(receipt);
        }
        let how = &Download { end: None, ..how.clone() };
        let mut part = Part::open(local, how.resume, how.resume || how.keep_part)?;
        let mut fetch = Fetch::new(path, how, &mut part, pace);
        let outcome = self.fetch(&mut fetch).await;
        let modified = fetch.facts.modified.filter(|_| how.keep_times);
        match outcome {
            Ok(receipt) => part.commit(modified, how.sync).map(|()| receipt),
            Err(error) => Err(part.fail(error)),
        }
    }

    /// Downloads a file from `offset` on into a writer, to its end or that of [`Download::end`]. What the writer was given
    /// stays given, so a file that changed is always an error; of `how`, what is about local files is of no consequence.
    ///
    /// Where it ends before the file does, the server is told so where it offers that (RANG); elsewhere the transfer is
    /// ended from here (ABOR), its status is `complete` at most, and its reply the one that began it.
    ///
    /// # Errors
    /// As [`Client::download`]; [`InvalidArgument`](ErrorKind::InvalidArgument) for a digest of a part, and for one that ends
    /// before it begins.
    pub async fn download_into(
        &mut self,
        path: impl AsRef<[u8]>,
        writer: &mut (dyn Write + Send),
        offset: u64,
        how: &Download,
        progress: Option<Progress<'_>>,
    ) -> Result<TransferReceipt> {
        if (offset > 0 || how.end.is_some()) && how.verify == Verify::Hash {
            return Err(Error::invalid_argument("a digest is of the whole file, and this download is of a part"));
        }
        if how.end.is_some_and(|end| end < offset) {
            return Err(Error::invalid_argument("this part of a file ends before it begins"));
        }
        let how = &Download { keep_times: false, keep_part: false, changed: Changed::Refuse, ..how.clone() };
        let keep = if how.retries > 0 { KEPT } else { 0 };
        let mut sink = Passed::new(writer, offset, keep);
        let pace = Pace::new(progress, how.rate_limit.clone());
        let mut fetch = Fetch::new(path.as_ref(), how, &mut sink, pace);
        self.fetch(&mut fetch).await
    }

    async fn fetch(&mut self, fetch: &mut Fetch<'_, '_>) -> Result<TransferReceipt> {
        let anchor = self.anchor(fetch.how.retries).await?;
        let algorithm = self.algorithm(fetch.how.verify, false)?;
        fetch.begin(algorithm)?;
        loop {
            match self.attempt(fetch).await {
                Ok(receipt) => return self.verified(fetch, receipt).await,
                Err(error) if matches!(error.kind(), ErrorKind::FileChanged(_)) && fetch.may_restart() => {
                    fetch.restart(algorithm)?;
                }
                Err(error) => self.recover(&mut fetch.attempts, anchor.as_deref(), error).await?,
            }
        }
    }

    /// What the file is now, if somebody will want to know, and whether what there is can be its beginning.
    async fn look_at(&mut self, fetch: &mut Fetch<'_, '_>) -> Result<()> {
        let how = fetch.how;
        let asks = fetch.sink.goes_on() || how.keep_times || how.keep_part || how.resume || how.retries > 0;
        let now = match fetch.known.take() {
            Some(known) => known,
            None if asks => self.facts(fetch.path).await?,
            None => return Ok(()),
        };
        fetch.take_facts(now).map_err(|error| self.explain(error))
    }

    /// From what there is to the end, once.
    async fn attempt(&mut self, fetch: &mut Fetch<'_, '_>) -> Result<TransferReceipt> {
        self.look_at(fetch).await?;
        let mut overlap = Overlap::with(fetch.sink.tail()?);
        let begin = fetch.sink.length() - overlap.left();
        let ends = match fetch.how.end {
            None => self.start_download(fetch.path, begin).await.map(|()| true)?,
            Some(end) => self.start_part(fetch.path, begin..end).await?,
        };
        fetch.announce(self.transfer_size().filter(|_| begin == 0 && fetch.how.end.is_none()));
        loop {
            let (mut fresh, mut outcome) = (0, Ok(()));
            let more = self
                .receive(&mut |bytes| {
                    if outcome.is_ok() {
                        outcome = fetch.take(&mut overlap, bytes).map(|count| fresh += count);
                    }
                })
                .await?;
            if let Err(error) = outcome {
                return Err(self.give_up(error).await);
            }
            if !more {
                break;
            }
            if let Err(error) = fetch.pace.advance(&self.transport, fresh).await {
                return Err(self.give_up(error).await);
            }
            if fetch.exceeds {
                // It was told where the part ends, or was not.
                self.learn(|known| known.no_ranges |= ends);
            }
            if fetch.exceeds || (!ends && fetch.has_all()) {
                return self.cut_off().await;
            }
        }
        let receipt = self.finish().await?;
        if overlap.is_over() { Ok(receipt) } else { Err(self.explain(changed("it is shorter than what is there"))) }
    }

    /// A failure on this side ends the transfer under way.
    pub(super) async fn give_up(&mut self, error: Error) -> Error {
        match error.kind() {
            // There is no time for good manners.
            ErrorKind::Interrupted | ErrorKind::TimedOut => {
                self.transfer = None;
                self.forsake("a transfer was interrupted");
            }
            _ => self.abort().await,
        }
        self.explain(error.during(Phase::Data))
    }

    /// Every sign of the transfer agrees: now what was asked for beyond them.
    async fn verified(&mut self, fetch: &mut Fetch<'_, '_>, mut receipt: TransferReceipt) -> Result<TransferReceipt> {
        let length = fetch.sink.length();
        fetch.pace.is_at(length);
        (receipt.offset, receipt.size) = (fetch.start, length - fetch.start);
        (receipt.attempts, receipt.duration) = (fetch.attempts.made, fetch.attempts.began.elapsed());
        receipt.digest = self.compare_digest(fetch.path, fetch.how.verify, fetch.hasher.take(), None).await?;
        let compared = receipt.digest.is_some() || receipt.status == Status::Verified;
        let expected = match fetch.facts.size {
            Some(size) => Some(size.min(fetch.how.end.unwrap_or(size))),
            None if compared || fetch.how.end.is_some() || fetch.how.verify == Verify::None => None,
            None => self.told_size(fetch.path).await?,
        };
        receipt.status = self.judge_size(receipt.status, expected, length, Direction::Down)?;
        if receipt.digest.is_some() && receipt.status != Status::Unproven {
            receipt.status = Status::Verified;
        }
        fetch.sink.flush()?;
        fetch.pace.tell()?;
        Ok(receipt)
    }

    /// What a size that was told makes of a transfer.
    pub(super) fn judge_size(
        &self,
        status: Status,
        expected: Option<u64>,
        transferred: u64,
        direction: Direction,
    ) -> Result<Status> {
        match expected {
            Some(expected) if expected != transferred => {
                let error = Error::new(ErrorKind::SizeMismatch { expected, transferred }).during(Phase::Data);
                let error = match direction {
                    Direction::Up => error.advise("the remote file is not what was sent"),
                    Direction::Down => error,
                };
                Err(self.explain(error))
            }
            Some(_) if status == Status::Complete => Ok(Status::Verified),
            _ => Ok(status),
        }
    }
}

impl<'f, 'p> Fetch<'f, 'p> {
    fn new(path: &'f [u8], how: &'f Download, sink: &'f mut dyn Sink, pace: Pace<'p>) -> Self {
        Self {
            path,
            how,
            start: sink.length(),
            sink,
            known: how.known,
            facts: FileFacts::default(),
            exceeds: false,
            hasher: None,
            pace,
            attempts: Attempts::new(how.retries, how.backoff),
        }
    }

    /// Looks at what there is already.
    fn begin(&mut self, algorithm: Option<Algorithm>) -> Result<()> {
        self.hasher =
            algorithm.filter(|_| self.how.end.is_none() && (self.start == 0 || self.sink.goes_on())).map(Hasher::new);
        if let Some(facts) = self.sink.recall(self.hasher.as_mut())? {
            self.facts = facts;
        }
        self.pace.is_at(self.sink.length());
        Ok(())
    }

    /// This is what the file is now.
    fn take_facts(&mut self, now: FileFacts) -> Result<()> {
        if self.sink.goes_on() {
            if !self.facts.agrees(&now) {
                return Err(changed("its size or time is not what it was"));
            }
            let there = self.sink.length();
            if let Some(size) = now.size.filter(|&size| size < there) {
                return Err(changed(&format!("it has {size} bytes, and {there} are there already")));
            }
        }
        self.set_facts(now);
        Ok(())
    }

    fn set_facts(&mut self, facts: FileFacts) {
        self.facts = facts;
        self.pace.expects(facts.size.map(|size| size.min(self.how.end.unwrap_or(size))));
        self.sink.is_of(facts);
    }

    /// The size that the server tells at the beginning of a transfer of the whole file is the latest news of it.
    fn announce(&mut self, size: Option<u64>) {
        if size.is_some() && size != self.facts.size {
            let modified = self.facts.modified.filter(|_| self.facts.size.is_none());
            self.set_facts(FileFacts { size, modified });
        }
    }

    /// What came: first what is there already, then what is new. How much of it was new.
    fn take(&mut self, overlap: &mut Overlap, bytes: &[u8]) -> Result<usize> {
        let fresh = overlap.compare(bytes)?;
        let room = self.how.end.map_or(u64::MAX, |end| end - self.sink.length());
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        self.exceeds |= fresh.len() > room;
        let fresh = &fresh[..fresh.len().min(room)];
        if let Some(hasher) = &mut self.hasher {
            hasher.update(fresh);
        }
        self.sink.write(fresh)?;
        Ok(fresh.len())
    }

    /// Whether the part of the file that was asked for is there.
    fn has_all(&self) -> bool {
        self.how.end.is_some_and(|end| self.sink.length() >= end)
    }

    /// Whether a file that changed is transferred anew.
    fn may_restart(&self) -> bool {
        self.how.changed == Changed::Restart && self.sink.goes_on()
    }

    fn restart(&mut self, algorithm: Option<Algorithm>) -> Result<()> {
        self.sink.restart()?;
        self.start = 0;
        self.pace.is_at(0);
        self.facts = FileFacts::default();
        self.hasher = algorithm.map(Hasher::new);
        Ok(())
    }
}
