//! One file to the server, whole under its name there or not at all.
//!
//! ```text
//!   [SIZE of what is there, and its end: is it the beginning of this file?]
//!   [REST] STOR NAME.part ── bytes
//!        └── cut: pause, a new session if need be, SIZE, REST, and the rest
//!   226 ── [SIZE or HASH agrees] ── [MFMT] ── RNFR NAME.part, RNTO NAME
//! ```

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::client::Client;
use super::commands;
use super::hash::{Algorithm, Hasher};
use super::job::{Attempts, Changed, Pace, Progress, RateLimit, Verify};
use super::overlap::{OVERLAP, changed};
use super::receipt::{Status, TransferReceipt};
use super::source::Source;
use super::transfer::{Direction, PIECE};
use crate::error::{Error, ErrorKind, LocalFailure, Phase, Result};
use crate::transport::Transport;

/// Where in the remote file an upload goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Placement {
    /// In place of what is there.
    #[default]
    Whole,
    /// From this byte of the remote file on, above 0: what the source has from there on, or all that it gives if it is read
    /// only once. Servers differ in what becomes of what stands behind it: most keep it, some end the file there.
    At(u64),
    /// Behind what is there (APPE).
    End,
}

/// How a file is uploaded.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Where in the remote file it goes.
    pub placement: Placement,
    /// Go on where the remote file, or its part, ends, if it is the beginning of this one: if it is not longer, and its end
    /// is the same here.
    pub resume: bool,
    /// What to do if it is not.
    pub changed: Changed,
    /// What comes behind the name until the file is whole, `.part` for instance; then the file is renamed. `None`: it has
    /// its name from the beginning.
    pub part: Option<String>,
    /// Delete a file of that name before renaming, where the server does not rename onto one. For a moment there is none.
    pub replace: bool,
    /// What has to agree.
    pub verify: Verify,
    /// Give the remote file this time, where the server takes times (MFMT).
    pub modified: Option<SystemTime>,
    /// Give the remote file the local one's time, where it is a local one.
    pub keep_times: bool,
    /// How fast it may be.
    pub rate_limit: Option<RateLimit>,
    /// How often to go on after the network failed, where the source can be read again. Refusals and failures on this side
    /// are never tried again.
    pub retries: u32,
    /// How long to wait before that; twice as long each further time, a minute at most.
    pub backoff: Duration,
}

impl Default for Upload {
    /// From the beginning, under its name, in one attempt.
    fn default() -> Self {
        Self {
            placement: Placement::Whole,
            resume: false,
            changed: Changed::Refuse,
            part: None,
            replace: false,
            verify: Verify::None,
            modified: None,
            keep_times: false,
            rate_limit: None,
            retries: 0,
            backoff: Duration::from_secs(1),
        }
    }
}

impl Upload {
    /// Only whole files are gone on with, and have another name meanwhile.
    fn check(&self) -> Result<()> {
        if self.placement != Placement::Whole && (self.resume || self.part.is_some()) {
            let why =
                "what is added to a file, or written over a part of it, is not resumed, and has no part of its own";
            return Err(Error::invalid_argument(why));
        }
        Ok(())
    }
}

/// An upload under way.
struct Push<'s, 'p> {
    path: &'s [u8],
    /// Where the bytes go until they are all there.
    target: Vec<u8>,
    how: &'s Upload,
    source: &'s mut dyn Source,
    /// Where in the remote file the source begins.
    base: u64,
    /// Where in the source this upload began.
    start: u64,
    /// How much of the source has been read, and where it stands.
    at: u64,
    hasher: Option<Hasher>,
    /// How much of the source is in there.
    hashed: u64,
    pace: Pace<'p>,
    attempts: Attempts,
}

impl<T: Transport> Client<T> {
    /// Uploads a local file. One that cannot be read is an error before anything is sent.
    ///
    /// # Errors
    /// As [`Client::upload_from`]; [`Local`](ErrorKind::Local) with a [`LocalFailure`] in it.
    pub async fn upload(
        &mut self,
        local: impl AsRef<Path>,
        path: impl AsRef<[u8]>,
        how: &Upload,
        progress: Option<Progress<'_>>,
    ) -> Result<TransferReceipt> {
        let local = local.as_ref();
        let failure = |error| LocalFailure::of(local, error);
        let mut file = File::open(local).map_err(failure)?;
        let metadata = file.metadata().map_err(failure)?;
        if metadata.is_dir() {
            return Err(failure(io::ErrorKind::IsADirectory.into()));
        }
        let modified = metadata.modified().ok().filter(|_| how.keep_times);
        let how = &Upload { modified: how.modified.or(modified), ..how.clone() };
        self.upload_from(&mut file, path, how, progress)
            .await
            .map_err(|error| error.map_local(|error| LocalFailure::wrap(local, error)))
    }

    /// Uploads what a source gives.
    ///
    /// # Errors
    /// Those of [`Client::start_upload`], [`Client::transmit`] and [`Client::finish`]; [`Local`](ErrorKind::Local) if the
    /// source fails; [`FileChanged`](ErrorKind::FileChanged); [`SizeMismatch`](ErrorKind::SizeMismatch) and
    /// [`DigestMismatch`](ErrorKind::DigestMismatch); [`Rejected`](ErrorKind::Rejected) for a name that cannot be given at
    /// the end. The advice says where the file is then.
    pub async fn upload_from(
        &mut self,
        source: &mut dyn Source,
        path: impl AsRef<[u8]>,
        how: &Upload,
        progress: Option<Progress<'_>>,
    ) -> Result<TransferReceipt> {
        let path = path.as_ref();
        how.check()?;
        let anchor = self.anchor(how.retries).await?;
        let algorithm = self.algorithm(how.verify, how.placement != Placement::Whole)?;
        let mut push = Push::new(path, how, source, progress, algorithm);
        loop {
            let error = match self.push(&mut push).await {
                Ok(receipt) => break self.settle(&mut push, receipt).await,
                Err(error) => error,
            };
            if push.attempts.left() > 0 && !push.can_repeat()? {
                return Err(error);
            }
            self.recover(&mut push.attempts, anchor.as_deref(), error).await?;
        }
    }

    /// From where the remote file ends to the end of the source, once.
    async fn push(&mut self, push: &mut Push<'_, '_>) -> Result<TransferReceipt> {
        let repeated = push.attempts.made > 1;
        match push.how.placement {
            Placement::Whole => {
                let offset = if push.how.resume || repeated { self.remote_end(push).await? } else { 0 };
                push.go_to(offset)?;
                self.start_at(&push.target, offset).await?;
            }
            Placement::At(offset) => {
                push.place_at(offset)?;
                self.start_upload(&push.target, offset).await?;
            }
            Placement::End => {
                let there = self.appended(push, repeated).await?;
                push.go_to(there)?;
                match repeated {
                    false => self.start_append(&push.target).await?,
                    true => self.start_at(&push.target, push.base + there).await?,
                }
            }
        }
        let mut piece = vec![0; push.pace.piece(PIECE)];
        loop {
            let count = match push.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Err(self.give_up(error).await.advise("the remote file is cut short")),
            };
            self.transmit(&piece[..count]).await?;
            if let Err(error) = push.pace.advance(&self.transport, count).await {
                return Err(self.give_up(error).await.advise("the remote file is cut short"));
            }
        }
        self.finish().await
    }

    /// Begins to store at an offset that is the end of what is there: where REST is refused before an upload, appending
    /// comes to the same.
    async fn start_at(&mut self, target: &[u8], offset: u64) -> Result<()> {
        match self.start_upload(target, offset).await {
            Ok(()) => {
                self.ends_the_file();
                Ok(())
            }
            Err(error) if offset > 0 && self.is_only_refused(&error) => self.start_append(target).await,
            Err(error) => Err(error),
        }
    }

    /// How much of the source stands behind what was there.
    async fn appended(&mut self, push: &mut Push<'_, '_>, repeated: bool) -> Result<u64> {
        let told = self.told_size(&push.target).await?;
        if !repeated {
            push.base = told.unwrap_or(0);
            return Ok(0);
        }
        let Some(there) = told.unwrap_or(0).checked_sub(push.base) else {
            return Err(self.explain(changed("what is there became shorter")));
        };
        if there > 0 {
            self.is_beginning(push, there).await?;
        }
        Ok(there)
    }

    /// Where what is there of the file ends, if it is its beginning.
    async fn remote_end(&mut self, push: &mut Push<'_, '_>) -> Result<u64> {
        let Some(size) = self.told_size(&push.target).await?.filter(|&size| size > 0) else { return Ok(0) };
        let outcome = self.is_beginning(push, size).await;
        match outcome {
            Err(error) if matches!(error.kind(), ErrorKind::FileChanged(_)) => match push.how.changed {
                Changed::Restart => Ok(0),
                Changed::Refuse => Err(error),
            },
            outcome => outcome.map(|()| size),
        }
    }

    /// Whether what the remote file has of the source, `size` bytes, are its first.
    async fn is_beginning(&mut self, push: &mut Push<'_, '_>, size: u64) -> Result<()> {
        if push.source.length().is_some_and(|length| length < size) {
            return Err(self.explain(changed("what is there is longer than the file")));
        }
        let begin = size - size.min(OVERLAP);
        let Some(tail) = push.source_part(begin, size)? else {
            return Err(Error::invalid_argument("an upload can be continued only from what can be read again"));
        };
        self.compare_end(&push.target, push.base + begin, tail).await
    }

    /// Everything was sent, and every sign agrees: now what was asked for beyond them, the time and the name.
    async fn settle(&mut self, push: &mut Push<'_, '_>, mut receipt: TransferReceipt) -> Result<TransferReceipt> {
        let Push { how, base, start, at, .. } = *push;
        (receipt.offset, receipt.size) = (base + start, at - start);
        let part = (how.placement != Placement::Whole).then_some(base + start..base + at);
        let is_nothing = part.as_ref().is_some_and(std::ops::Range::is_empty);
        let hasher = push.hasher.take().filter(|_| push.hashed == at);
        receipt.digest = self.compare_digest(&push.target, how.verify, hasher, part).await?;
        if receipt.digest.is_some() {
            receipt.status = Status::Verified;
        } else if how.verify == Verify::Hash && !is_nothing {
            return Err(self.explain(Error::invalid_state("this upload has no digest: it began in the middle")));
        } else if receipt.status == Status::Complete && (how.verify != Verify::None || self.looks_at_sizes(how)) {
            let (told, end) = (self.told_size(&push.target).await?, base + at);
            let told = match how.placement {
                Placement::At(_) => told.map(|told| told.min(end)),
                _ => told,
            };
            receipt.status = self.judge_size(receipt.status, told, end, Direction::Up)?;
        }
        if let Some(modified) = how.modified {
            self.give_time(&push.target, modified).await?;
        }
        if push.target != push.path {
            self.give_name(&push.target, push.path, how.replace).await?;
        }
        (receipt.attempts, receipt.duration) = (push.attempts.made, push.attempts.began.elapsed());
        push.pace.tell()?;
        Ok(receipt)
    }

    /// Whether the size is compared of what was added: of other uploads it was, when they ended.
    fn looks_at_sizes(&self, how: &Upload) -> bool {
        let offered = self.settings.verify_uploads && self.session.features.offers("SIZE");
        how.placement == Placement::End && offered
    }

    /// Sets the time, where the server takes one: a file without its time is whole all the same.
    async fn give_time(&mut self, path: &[u8], modified: SystemTime) -> Result<()> {
        if !self.session.features.offers("MFMT") {
            return Ok(());
        }
        match self.command(&commands::mfmt(modified, path)?).await {
            Err(error) if self.is_only_refused(&error) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Renames the part, onto a file of that name, too.
    async fn give_name(&mut self, part: &[u8], path: &[u8], replace: bool) -> Result<()> {
        let shown = String::from_utf8_lossy(part).into_owned();
        let refused = match self.rename(part, path).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        if !self.is_only_refused(&refused) {
            return Err(refused.advise(format!("everything is on the server, as {shown} or under its name")));
        }
        if !replace || self.told_size(path).await?.is_none() {
            return Err(
                refused.advise(format!("everything is on the server, as {shown}; the old file, if any, is untouched"))
            );
        }
        self.remove(path).await.map_err(|error| error.advise(format!("everything is on the server, as {shown}")))?;
        let outcome = self.rename(part, path).await;
        outcome
            .map(drop)
            .map_err(|error| error.advise(format!("everything is on the server, as {shown}; the old file was deleted")))
    }
}

impl<'s, 'p> Push<'s, 'p> {
    fn new(
        path: &'s [u8],
        how: &'s Upload,
        source: &'s mut dyn Source,
        progress: Option<Progress<'p>>,
        algorithm: Option<Algorithm>,
    ) -> Self {
        let mut target = path.to_vec();
        target.extend_from_slice(how.part.as_deref().unwrap_or_default().as_bytes());
        let pace = Pace::new(progress, how.rate_limit.clone());
        pace.expects(source.length());
        Self {
            path,
            target,
            how,
            source,
            base: 0,
            start: 0,
            at: 0,
            hasher: algorithm.map(Hasher::new),
            hashed: 0,
            pace,
            attempts: Attempts::new(how.retries, how.backoff),
        }
    }

    /// The next bytes, hashed if they were not before.
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let count = loop {
            match self.source.read_some(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome.map_err(|error| Error::local(error).during(Phase::Data))?,
            }
        };
        if let Some(hasher) = &mut self.hasher
            && self.hashed >= self.at
        {
            let known = usize::try_from(self.hashed - self.at).unwrap_or(usize::MAX).min(count);
            hasher.update(&into[known..count]);
            self.hashed += (count - known) as u64;
        }
        self.at += count as u64;
        Ok(count)
    }

    /// The source from `offset` on; what was skipped is hashed.
    fn go_to(&mut self, offset: u64) -> Result<()> {
        if self.attempts.made == 1 {
            self.start = offset;
        }
        let hashing = self.hasher.is_some() && self.hashed < offset;
        if hashing || offset != self.at {
            self.seek(if hashing { self.hashed } else { offset })?;
            let mut piece = vec![0; if hashing { PIECE } else { 0 }];
            while hashing && self.at < offset {
                let most = usize::try_from(offset - self.at).unwrap_or(usize::MAX).min(piece.len());
                if self.read(&mut piece[..most])? == 0 {
                    return Err(changed("what is there is longer than the file"));
                }
            }
        }
        self.pace.is_at(offset);
        Ok(())
    }

    /// The source from the byte on that comes there, in each attempt.
    fn place_at(&mut self, offset: u64) -> Result<()> {
        if self.attempts.made == 1 {
            let seeks = self.source.seek_to(offset).map_err(Error::local)?;
            let at = if seeks { offset } else { 0 };
            (self.base, self.at, self.hashed) = (offset - at, at, at);
        }
        self.go_to(if self.attempts.made == 1 { self.at } else { self.start })
    }

    fn seek(&mut self, offset: u64) -> Result<()> {
        if !self.source.seek_to(offset).map_err(Error::local)? {
            return Err(Error::invalid_argument("this can be read only once, and from its beginning"));
        }
        self.at = offset;
        Ok(())
    }

    /// Bytes of the source; `None` if they cannot be had, or are not there.
    fn source_part(&mut self, begin: u64, end: u64) -> Result<Option<Vec<u8>>> {
        if !self.source.seek_to(begin).map_err(Error::local)? {
            return Ok(None);
        }
        let mut part = vec![0; usize::try_from(end - begin).unwrap_or(usize::MAX)];
        let mut filled = 0;
        while filled < part.len() {
            match self.source.read_some(&mut part[filled..]).map_err(Error::local)? {
                0 => return Err(changed("what is there is longer than the file")),
                count => filled += count,
            }
        }
        self.at = end;
        Ok(Some(part))
    }

    fn can_repeat(&mut self) -> Result<bool> {
        Ok(self.at == 0 || self.source.seek_to(self.at).map_err(Error::local)?)
    }
}
