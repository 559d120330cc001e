//! Which part of a file a transfer is about.
//!
//! ```text
//!   RANG first last ─ 350 │ RETR … 226     where it is offered (draft-bryan-ftp-range): the server ends it
//!   REST first      ─ 350 │ RETR … ABOR    elsewhere (RFC 3659 §5): it goes on to the file's end
//! ```

use std::ops::Range;

use super::client::Client;
use super::commands;
use super::receipt::TransferReceipt;
use super::transfer::Direction;
use crate::error::{Error, Result};
use crate::line::Line;
use crate::transport::Transport;

/// Which part of a file a transfer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where it begins, in bytes.
    pub(super) offset: u64,
    /// Where the server is to end it; `None`: at the file's end.
    pub(super) end: Option<u64>,
}

/// What a server was told of the next transfer's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Where it begins.
    Rest,
    /// Where it begins and ends.
    Range,
}

impl Extent {
    /// All of it.
    pub(super) const WHOLE: Self = Self::from(0);

    /// From there to the end.
    pub(super) const fn from(offset: u64) -> Self {
        Self { offset, end: None }
    }

    /// What the server keeps in mind once it was told.
    pub(super) fn mark(self) -> Option<Mark> {
        match self {
            Self { end: Some(_), .. } => Some(Mark::Range),
            Self { offset: 0, end: None } => None,
            Self { end: None, .. } => Some(Mark::Rest),
        }
    }

    /// What is said before the transfer's command, if there is anything to say.
    pub(super) fn line(self) -> Option<Line> {
        match self {
            Self { offset, end: Some(end) } => Some(commands::rang(&(offset..end))),
            Self { offset: 0, end: None } => None,
            Self { offset, end: None } => Some(commands::rest(offset)),
        }
    }
}

impl<T: Transport> Client<T> {
    /// Begins to download a part of a file. Whether the server ends it where the part ends; where it does not, whoever has
    /// enough of it says so ([`Client::cut_off`]).
    pub(super) async fn start_part(&mut self, path: &[u8], part: Range<u64>) -> Result<bool> {
        let offers = self.session.features.offers("RANG") && !self.known.no_ranges;
        if !offers || part.is_empty() {
            return self.start_download(path, part.start).await.map(|()| false);
        }
        let line = commands::retr(path)?;
        let error = match self.start_retr(&line, Extent { offset: part.start, end: Some(part.end) }).await {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        if !self.is_only_refused(&error) {
            return Err(error);
        }
        let code = error.reply().map_or(0, |reply| reply.code().number());
        if matches!(code, 500 | 502..505) {
            self.learn(|known| known.no_ranges = true);
            return self.start_download(path, part.start).await.map(|()| false);
        }
        // A range that was not used up would be the next transfer's.
        if self.session.dialogue.ready().is_ok() {
            self.session.dialogue.exchange(&commands::rang_none()).await?;
            self.session.mark = None;
        }
        // Some servers have no part that ends behind the file's end.
        if matches!(code, 501 | 551 | 554) {
            return self.start_download(path, part.start).await.map(|()| false);
        }
        Err(error)
    }

    /// Ends a download that has brought all that was wanted of it, and of whose end the server was not told. The receipt
    /// has the reply that began it: of the end the server says nothing that would count.
    pub(super) async fn cut_off(&mut self) -> Result<TransferReceipt> {
        let receipt = self.under_way(Direction::Down)?.receipt_so_far();
        self.abort().await;
        receipt.ok_or_else(|| self.explain(Error::invalid_state("no file is being downloaded")))
    }
}

#[cfg(test)]
mod tests {
    use super::Extent;

    #[test]
    fn what_is_said_before_a_transfer() {
        let line = |extent: Extent| extent.line().map(|line| line.to_string());
        assert_eq!(line(Extent::WHOLE), None);
        assert_eq!(line(Extent::from(1 << 40)).as_deref(), Some("REST 1099511627776"));
        assert_eq!(line(Extent { offset: 0, end: Some(1) }).as_deref(), Some("RANG 0 0"));
        assert_eq!(line(Extent { offset: 5, end: Some(1 << 33) }).as_deref(), Some("RANG 5 8589934591"));
    }
}
