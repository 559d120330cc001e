//! One file by several sessions at once, each a part of it.
//!
//! ```text
//!   NAME.parts   ┌── have ──┬── gap ──┬── gap ──┬── have ──┐   as long as the file from the beginning
//!                           └ a session each: from a little before the gap, to its end (RANG, or REST and ABOR)
//!   at the end: what came twice is the same, size and time are what they were, [the hash agrees] ── NAME
//! ```

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use super::client::Client;
use super::download::Download;
use super::hash::Hasher;
use super::job::{Attempts, Pace, is_network};
use super::local::with_suffix;
use super::overlap::{OVERLAP, changed};
use super::parts::{Parts, SMALLEST};
use super::receipt::{Status, TransferReceipt};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::Transport;

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
        let algorithm = self.algorithm(how.verify, false)?;
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
            if self.is_only_refused(&error) && !is_network(&error) {
                parts.discard();
                pace.is_at(0);
                return Ok(None);
            }
            if let Err(error) = self.recover(&mut attempts, anchor.as_deref(), error).await {
                return Err(parts.fail(error));
            }
            others.retain(|other| !other.is_lost());
        }
        let last = parts.state().receipt.take();
        let outcome = async {
            // Others may have filled the gap of a session that was lost: one of them goes on in its place.
            if self.is_lost() {
                match (others.iter_mut().find(|other| !other.is_lost()), anchor.clone()) {
                    (Some(other), _) => std::mem::swap(self, other),
                    (None, Some(directory)) => self.start_over(directory).await?,
                    (None, None) => {}
                }
            }
            for other in others {
                other.quit().await;
            }
            parts.check_seams().map_err(|error| self.explain(error))?;
            if !self.facts(path).await?.agrees(&facts) {
                return Err(self.explain(changed("its size or time is not what it was")));
            }
            let hasher = algorithm.map(Hasher::new).map(|hasher| parts.hash(hasher)).transpose()?;
            let digest = self.compare_digest(path, how.verify, hasher, None).await?;
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
        while !self.is_lost()
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
        // The last one goes to the file's end, wherever that is now.
        let ends = match last {
            true => self.start_download(path, begin).await.map(|()| false)?,
            false => self.start_part(path, begin..gap.end).await?,
        };
        loop {
            let (from, mut outcome, mut exceeds) = (gap.start, Ok(()), false);
            let more = self
                .receive(&mut |bytes| {
                    let (again, bytes) = bytes.split_at((before - head.len()).min(bytes.len()));
                    head.extend_from_slice(again);
                    let left = usize::try_from(gap.end - gap.start).unwrap_or(usize::MAX);
                    if last && bytes.len() > left {
                        outcome = Err(changed("it is longer than it was"));
                    }
                    exceeds |= bytes.len() > left;
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
            if more && gap.is_empty() && !last && (exceeds || !ends) {
                // Some servers say that they end it there, and go on.
                self.learn(|known| known.no_ranges |= ends);
                self.abort().await;
                return Ok(());
            }
            if !more {
                let receipt = self.finish().await?;
                if !gap.is_empty() {
                    return Err(self.explain(changed("it is shorter than it was")));
                }
                if last {
                    parts.state().receipt = Some(receipt);
                }
                return Ok(());
            }
        }
    }
}
