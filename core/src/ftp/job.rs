//! What one file's transfer as a whole has in either direction: how it is proven, how fast it may be, what is told of it,
//! and when it is tried again.

use std::fmt;
use std::io;
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::client::Client;
use super::hash::{Algorithm, Digest, Hasher};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::transport::Transport;

/// How often progress is told, and interrupts are looked for, while bytes flow.
const BEAT: Duration = Duration::from_millis(100);

/// The longest time before another attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What has to agree, beyond the signs that every transfer has, before it is called a success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verify {
    /// Nothing more. What the server tells by itself must agree all the same, and so must an upload's size if the session
    /// asks for it ([`Settings::verify_uploads`](super::Settings::verify_uploads)).
    #[default]
    None,
    /// The size, where the server tells it.
    Size,
    /// The digest. A server that computes none is an error, before anything is transferred.
    Hash,
    /// The digest where the server computes one, else the size.
    Best,
}

impl FromStr for Verify {
    type Err = Error;

    /// `none`, `size`, `hash` or `best`.
    fn from_str(word: &str) -> Result<Self> {
        match word {
            "none" => Ok(Self::None),
            "size" => Ok(Self::Size),
            "hash" => Ok(Self::Hash),
            "best" => Ok(Self::Best),
            _ => Err(Error::invalid_argument("a transfer is verified by none, size, hash or best")),
        }
    }
}

/// What to do with a part that is not the beginning of the file that is to be transferred now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Changed {
    /// It is an error, and the part stays as it is.
    #[default]
    Refuse,
    /// The transfer begins anew.
    Restart,
}

impl FromStr for Changed {
    type Err = Error;

    /// `refuse` or `restart`.
    fn from_str(word: &str) -> Result<Self> {
        match word {
            "refuse" => Ok(Self::Refuse),
            "restart" => Ok(Self::Restart),
            _ => Err(Error::invalid_argument("a file that changed is refused or its transfer restarted")),
        }
    }
}

/// How far a transfer is: bytes of the file that are there, and how many there will be, if that is known. An error ends the
/// transfer with it; [`io::ErrorKind::Interrupted`] is an interrupt.
pub type Progress<'p> = &'p mut (dyn FnMut(u64, Option<u64>) -> io::Result<()> + Send);

/// A limit on bytes a second. Transfers with clones of one share it.
#[derive(Clone)]
pub struct RateLimit(Arc<Mutex<Bucket>>);

/// A token bucket that may be overdrawn: whoever does waits until it is not.
struct Bucket {
    rate: f64,
    level: f64,
    filled: Option<Instant>,
}

impl RateLimit {
    /// At most so many bytes a second, on average of about a second; at least one.
    pub fn new(bytes_per_second: u64) -> Self {
        let rate = bytes_per_second.max(1) as f64;
        Self(Arc::new(Mutex::new(Bucket { rate, level: 0.0, filled: None })))
    }

    /// `bytes` went by: how long to wait before the next ones.
    fn take(&self, bytes: usize, now: Instant) -> Duration {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(bucket.filled.unwrap_or(now));
        bucket.filled = Some(now);
        // What was not used for long does not add up: a fifth of a second's worth at most.
        bucket.level = (bucket.level + since.as_secs_f64() * bucket.rate).min(bucket.rate / 5.0) - bytes as f64;
        Duration::from_secs_f64((-bucket.level / bucket.rate).max(0.0))
    }

    /// What is sent at once, so that pauses are short ones.
    fn piece(&self) -> usize {
        (self.0.lock().unwrap_or_else(PoisonError::into_inner).rate / 10.0) as usize
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RateLimit({} B/s)", self.0.lock().unwrap_or_else(PoisonError::into_inner).rate)
    }
}

/// What goes on beside the bytes. Several sessions may share one.
pub(super) struct Pace<'p> {
    limit: Option<RateLimit>,
    state: Mutex<PaceState<'p>>,
}

struct PaceState<'p> {
    progress: Option<Progress<'p>>,
    done: u64,
    total: Option<u64>,
    last: Option<Instant>,
    /// Somebody wanted it to end.
    stopped: bool,
}

impl<'p> Pace<'p> {
    pub(super) fn new(progress: Option<Progress<'p>>, limit: Option<RateLimit>) -> Self {
        let state = PaceState { progress, done: 0, total: None, last: None, stopped: false };
        Self { limit, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, PaceState<'p>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes of the file are there.
    pub(super) fn is_at(&self, done: u64) {
        self.state().done = done;
    }

    /// So many there will be.
    pub(super) fn expects(&self, total: Option<u64>) {
        self.state().total = total;
    }

    /// How much to send at once.
    pub(super) fn piece(&self, most: usize) -> usize {
        self.limit.as_ref().map_or(most, |limit| limit.piece().clamp(1, most))
    }

    /// So many more bytes went by.
    pub(super) async fn advance<T: Transport>(&self, transport: &T, bytes: usize) -> Result<()> {
        let now = Instant::now();
        let wait = self.limit.as_ref().map_or(Duration::ZERO, |limit| limit.take(bytes, now));
        let beat = {
            let mut state = self.state();
            state.done += bytes as u64;
            if state.stopped {
                return Err(Error::new(ErrorKind::Interrupted));
            }
            let beat = state.last.is_none_or(|last| now.duration_since(last) >= BEAT);
            if beat {
                state.last = Some(now);
                state.tell()?;
            }
            beat
        };
        // While bytes flow nobody waits, and so nobody would hear of an interrupt.
        if beat || !wait.is_zero() {
            transport.pause(wait).await?;
        }
        Ok(())
    }

    /// Tells how far it is.
    pub(super) fn tell(&self) -> Result<()> {
        self.state().tell()
    }
}

impl PaceState<'_> {
    fn tell(&mut self) -> Result<()> {
        let Some(progress) = &mut self.progress else { return Ok(()) };
        progress(self.done, self.total).map_err(|error| {
            self.stopped = true;
            match error.kind() {
                io::ErrorKind::Interrupted => Error::new(ErrorKind::Interrupted),
                _ => Error::local(error).during(Phase::Data),
            }
        })
    }
}

/// The attempts of one transfer.
pub(super) struct Attempts {
    left: u32,
    pause: Duration,
    pub(super) made: u32,
    pub(super) began: Instant,
}

impl Attempts {
    pub(super) fn new(retries: u32, backoff: Duration) -> Self {
        Self { left: retries, pause: backoff, made: 1, began: Instant::now() }
    }

    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// After a failure: waits for the next attempt, if the network failed and there is one left; else the failure.
    async fn again<T: Transport>(&mut self, transport: &T, error: Error) -> Result<()> {
        if self.left == 0 || !is_network(&error) {
            return Err(error);
        }
        if transport.pause(self.pause).await.is_err() {
            return Err(error);
        }
        self.left -= 1;
        self.made += 1;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// Whether the network failed, and neither the server nor anybody here said no.
pub(super) fn is_network(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::TimedOut
        | ErrorKind::ClosedByPeer
        | ErrorKind::Truncated
        | ErrorKind::Unreachable
        | ErrorKind::ConnectionRefused
        | ErrorKind::Io(_) => true,
        // x2z is about connections (RFC 959 §4.2): 421, 425, 426.
        ErrorKind::Rejected => error.reply().is_some_and(|reply| (420..430).contains(&reply.code().number())),
        _ => false,
    }
}

/// `None` where the server does not tell: that is its right.
fn unless_refused<V>(told: Result<V>) -> Result<Option<V>> {
    match told {
        Err(error) if matches!(error.kind(), ErrorKind::Rejected) => Ok(None),
        told => told.map(Some),
    }
}

/// What a file on the server is known by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// Its size in bytes, where the server tells.
    pub size: Option<u64>,
    /// When it was last modified, where the server tells.
    pub modified: Option<SystemTime>,
}

impl FileFacts {
    /// Whether it may be the same file: nothing that is known of both differs. What a server tells to the second, and
    /// elsewhere to a fraction of it, is the same time.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        let second = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs()).ok();
        let size = self.size.zip(other.size).is_none_or(|(one, other)| one == other);
        let modified = self.modified.zip(other.modified);
        size && modified.is_none_or(|(one, other)| one == other || second(one) == second(other))
    }
}

impl<T: Transport> Client<T> {
    /// What can be known of a file before its transfer: from MLST, or from SIZE and MDTM. What the server does not tell is
    /// not known; that there is no such file is told by the transfer.
    pub(super) async fn facts(&mut self, path: &[u8]) -> Result<FileFacts> {
        if self.session.features.machine_listings() {
            let entry = unless_refused(self.stat(path).await)?;
            if let Some(facts) = entry.map(|entry| FileFacts { size: entry.size, modified: entry.modified })
                && facts.size.is_some()
            {
                return Ok(facts);
            }
        }
        let size = self.told_size(path).await?;
        let modified = unless_refused(self.modified(path).await)?;
        Ok(FileFacts { size, modified })
    }

    /// The size, where the server tells; some tell it of certain files only.
    pub(super) async fn told_size(&mut self, path: &[u8]) -> Result<Option<u64>> {
        unless_refused(self.size(path).await)
    }

    /// The algorithm to verify a file by, or a part of one; `None`: by size at most.
    pub(super) fn algorithm(&self, verify: Verify, of_part: bool) -> Result<Option<Algorithm>> {
        let features = &self.session.features;
        let offered = || features.hashes().into_iter().find(|&algorithm| !of_part || features.hashes_parts(algorithm));
        match verify {
            Verify::None | Verify::Size => Ok(None),
            Verify::Best => Ok(offered()),
            Verify::Hash => offered().map(Some).ok_or_else(|| {
                let error = Error::not_offered(match of_part {
                    true => "the server does not offer to compute digests of parts of files",
                    false => "the server does not offer to compute digests",
                });
                self.explain(error.advise("verify by size, or by the best there is"))
            }),
        }
    }

    /// Holds what was computed here against what the server computes of the file, or of a part of it; `None` if it does not,
    /// which is no matter when verifying by the best there is.
    pub(super) async fn compare_digest(
        &mut self,
        path: &[u8],
        verify: Verify,
        hasher: Option<Hasher>,
        part: Option<Range<u64>>,
    ) -> Result<Option<Digest>> {
        let Some(ours) = hasher.filter(|_| part.as_ref().is_none_or(|part| !part.is_empty())).map(Hasher::finish)
        else {
            return Ok(None);
        };
        match self.hash(path, Some(ours.algorithm), part.clone()).await {
            Ok(theirs) if theirs.value == ours.value => Ok(Some(Digest { range: part, ..ours })),
            Ok(theirs) => {
                let (expected, computed) = (theirs.to_string(), ours.to_string());
                let kind = ErrorKind::DigestMismatch { algorithm: ours.algorithm.name(), expected, computed };
                Err(self.explain(Error::new(kind).during(Phase::Data)))
            }
            Err(error) if verify == Verify::Best && matches!(error.kind(), ErrorKind::Rejected) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where the session is, if it may have to be replaced.
    pub(super) async fn anchor(&mut self, retries: u32) -> Result<Option<Vec<u8>>> {
        if retries > 0 { self.pwd().await.map(Some) } else { Ok(None) }
    }

    /// After a failed attempt: waits, and makes sure that there is a session, if another attempt is in order; else the
    /// failure.
    pub(super) async fn recover(&mut self, attempts: &mut Attempts, anchor: Option<&[u8]>, error: Error) -> Result<()> {
        let mut error = error;
        loop {
            attempts.again(&self.transport, error).await?;
            if !self.is_lost() {
                return Ok(());
            }
            let Some(directory) = anchor else { return Ok(()) };
            match self.start_over(directory.to_vec()).await {
                Ok(()) => return Ok(()),
                Err(why) => error = why,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_kept_on_average() {
        let (limit, mut now) = (RateLimit::new(1_000_000), Instant::now());
        let began = now;
        for bytes in [1, 65_536, 16_384, 500_000, 3].into_iter().cycle().take(500) {
            now += limit.clone().take(bytes, now);
        }
        let took = now.duration_since(began).as_secs_f64();
        assert!((58.0..58.4).contains(&took), "58.19 MB at 1 MB/s took {took} s");
        // An idle minute is no licence for sixty seconds' worth.
        let after = now + Duration::from_secs(60);
        assert!(limit.take(1_200_000, after) >= Duration::from_millis(999));
    }

    #[test]
    fn facts_agree_as_far_as_they_are_known() {
        let at = |nanos| Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos));
        let facts = |size, modified| FileFacts { size, modified };
        let whole = facts(Some(5), at(7_000_000_001));
        for (other, agree) in [
            (FileFacts::default(), true),
            (facts(Some(5), None), true),
            (facts(None, at(7_000_000_000)), true),
            (facts(Some(6), at(7_000_000_001)), false),
            (facts(Some(5), at(8_000_000_000)), false),
        ] {
            assert_eq!((whole.agrees(&other), other.agrees(&whole)), (agree, agree), "{other:?}");
        }
    }
}
