//! What the server answers: each reply to the message it is about.

use super::{LAST_WORDS, MOST_DUE, Pipeline};
use crate::dialogue::Dialogue;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::link::Channel;
use crate::reply::Reply;
use crate::smtp::body::Body;
use crate::smtp::transaction::{Due, Next, Stage};

impl<B: Body> Pipeline<B> {
    /// Takes replies until at most `most` are due.
    pub(super) async fn settle<C: Channel>(&mut self, dialogue: &mut Dialogue<C>, most: usize) -> Result<()> {
        while self.due.len() > most {
            self.settle_one(dialogue).await?;
        }
        Ok(())
    }

    /// Room for another command's reply. Half of what is outstanding is awaited, so that flights stay large.
    pub(super) async fn make_room<C: Channel>(&mut self, dialogue: &mut Dialogue<C>) -> Result<()> {
        if self.due.len() < MOST_DUE { Ok(()) } else { self.settle(dialogue, MOST_DUE / 2).await }
    }

    pub(super) async fn settle_one<C: Channel>(&mut self, dialogue: &mut Dialogue<C>) -> Result<()> {
        let Some(&(_, due)) = self.due.front() else { return Ok(()) };
        let phase = due.phase();
        let within = match phase {
            Phase::Data => Some(dialogue.context.timeouts.finish),
            _ => None,
        };
        let reply = dialogue.reply_within(within).await.map_err(|error| error.during(phase))?;
        self.understand(dialogue, reply).await
    }

    /// The reply that was due next.
    async fn understand<C: Channel>(&mut self, dialogue: &mut Dialogue<C>, reply: Reply) -> Result<()> {
        let Some((number, due)) = self.due.pop_front() else { return Ok(()) };
        let phase = due.phase();
        let transaction = self.under_way(number);
        match transaction.take(due, reply).map_err(|error| dialogue.context.explain(error.during(phase)))? {
            Next::Same => {}
            Next::Invited => {
                transaction.stage = Stage::Body;
                return Ok(());
            }
            Next::InvitedForNobody => {
                // It gets an empty one (RFC 2920 §3.1).
                transaction.refusal = transaction.first_refused().cloned();
                dialogue.write(b".\r\n").await?;
                dialogue.owe();
                self.due.push_back((number, Due::Nothing));
            }
            Next::Also(also) => {
                for due in also.into_iter().rev() {
                    dialogue.owe();
                    self.due.push_front((number, due));
                }
            }
        }
        let transaction = self.under_way(number);
        let refused_early = due == Due::Data || due == Due::Nothing;
        let ended = transaction.stage == Stage::Ended && transaction.stage != Stage::Over;
        if (refused_early || ended) && self.due.front().is_none_or(|&(next, _)| next != number) {
            self.conclude(number);
        }
        Ok(())
    }

    /// The transaction of this message is over.
    pub(super) fn conclude(&mut self, number: u64) {
        let reset_follows = matches!(self.due.front(), Some((_, Due::Reset)));
        let transaction = self.under_way(number);
        // The end of DATA ends a transaction whatever the verdict; everything else may leave it open.
        let open = transaction.stage != Stage::Ended || transaction.plan.chunk_size.is_some();
        let unfinished = open && transaction.refusal.is_some();
        transaction.conclude();
        if transaction.continues() {
            self.again.push_back(number);
        }
        self.needs_reset |= unfinished && !reset_follows;
    }

    /// A server that refuses a body while it comes says why, then closes: the reason is worth more than the closing, and
    /// the verdicts on the messages before are on the way, too.
    pub(super) async fn last_words<C: Channel>(
        &mut self,
        dialogue: &mut Dialogue<C>,
        number: u64,
        error: Error,
    ) -> Error {
        if !matches!(error.kind(), ErrorKind::ClosedByPeer) {
            return error;
        }
        while let Some(&(about, due)) = self.due.front() {
            let Ok(reply) = dialogue.hear(LAST_WORDS).await else { break };
            let no = reply.code().is_transient_negative() || reply.code().is_permanent_negative();
            let reason = (no && about == number && !matches!(due, Due::Recipient(_))).then(|| reply.clone());
            if self.understand(dialogue, reply).await.is_err() {
                break;
            }
            if let Some(reason) = reason {
                return dialogue.context.explain(Error::rejected(reason).during(Phase::Data));
            }
        }
        error.during(Phase::Data)
    }
}
