//! What is there already and comes again: before anything is added to it, its end must be the same on both sides.

use std::collections::VecDeque;

use super::client::Client;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::transport::Transport;

/// How much of what is there is transferred again and compared, before anything is added to it.
pub(super) const OVERLAP: u64 = 64 * 1024;

/// What is there and is to come again.
pub(super) struct Overlap(VecDeque<u8>);

impl Overlap {
    /// These bytes are.
    pub(super) fn with(there: Vec<u8>) -> Self {
        Self(there.into())
    }

    /// How many are still to come.
    pub(super) fn left(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether all of them came.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes from `bytes` what must be the same; what is left of them is new.
    pub(super) fn compare<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8]> {
        let (again, fresh) = bytes.split_at(self.0.len().min(bytes.len()));
        if self.0.drain(..again.len()).eq(again.iter().copied()) {
            Ok(fresh)
        } else {
            Err(changed("its content is not what is there"))
        }
    }
}

impl<T: Transport> Client<T> {
    /// Whether a remote file has these bytes from `begin` on.
    ///
    /// # Errors
    /// [`FileChanged`](ErrorKind::FileChanged) if it does not; those of a download.
    pub(super) async fn compare_end(&mut self, path: &[u8], begin: u64, end: Vec<u8>) -> Result<()> {
        let mut overlap = Overlap::with(end);
        self.start_download(path, begin).await?;
        let mut outcome = Ok(());
        while self
            .receive(&mut |bytes| {
                if outcome.is_ok() {
                    // A session that was lost may still be writing: what it adds is written over.
                    outcome = overlap.compare(bytes).map(drop);
                }
            })
            .await?
        {
            if let Err(error) = outcome {
                return Err(self.give_up(error).await);
            }
        }
        self.finish().await?;
        let same = if overlap.is_over() { outcome } else { Err(changed("what is there became shorter")) };
        same.map_err(|error| self.explain(error))
    }
}

pub(super) fn changed(why: &str) -> Error {
    let error = Error::new(ErrorKind::FileChanged(why.to_owned()));
    error.during(Phase::Data).advise("what is there is no beginning of this file: transfer it anew")
}
