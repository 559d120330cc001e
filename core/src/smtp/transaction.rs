//! The story of one message: which replies are due, what they said, what became of it. No I/O happens here.
//!
//! ```text
//!   Envelope ── 354, or the last chunk begins ──▶ Body ── its end may have left ──▶ Ended ── the verdict ──▶ Over
//!      └──────────────────────── refused ───────────┴───────────────────────────────────────────────────────▶ Over
//! ```

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::envelope::Envelope;
use super::outcome::{DeliveryReport, Outcome, RecipientVerdict};
use super::plan::Plan;
use super::sasl::LoginInfo;
use crate::error::{Error, Phase, Result};
use crate::reply::Reply;
use crate::tls::TlsInfo;

/// A reply that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// To RSET.
    Reset,
    /// To MAIL.
    Sender,
    /// To RCPT, of this recipient.
    Recipient(usize),
    /// To DATA.
    Data,
    /// To a chunk that is not the last.
    Chunk,
    /// To the end of the body.
    End,
    /// About this recipient, behind the first one after the end (LMTP), or all of them (PRDR).
    Verdict(usize),
    /// To the end of a body that was for nobody.
    Nothing,
}

impl Due {
    pub(super) fn phase(self) -> Phase {
        match self {
            Self::Reset | Self::Sender | Self::Recipient(_) | Self::Data => Phase::Command,
            _ => Phase::Data,
        }
    }
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its envelope is under way.
    Envelope,
    /// The server waits for the body, or takes it in chunks: whatever fails now, the message was not sent.
    Body,
    /// The end of the body may have left: until the verdict comes, nobody knows.
    Ended,
    /// Nothing more will come for this transaction.
    Over,
}

/// What a reply means for those that are still due.
pub(super) enum Next {
    /// Nothing.
    Same,
    /// The server waits for the body.
    Invited,
    /// The server waits for a body that is for nobody.
    InvitedForNobody,
    /// These are due before all others.
    Also(Vec<Due>),
}

/// One message, through one transaction or several.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) plan: Plan,
    envelope: Envelope,
    verdicts: Vec<Option<Reply>>,
    /// The recipients of the transaction under way.
    pub(super) group: Vec<usize>,
    /// Those of the transactions to come.
    later: VecDeque<usize>,
    /// Those of the transaction under way for whom RCPT had no room.
    crowded: Vec<usize>,
    /// What was said to those of the transaction under way in an earlier one, that had no room for them.
    put_off: Vec<(usize, Reply)>,
    pub(super) stage: Stage,
    /// Where in all that was said its end stands.
    pub(super) ends_at: u64,
    /// RCPT was answered with yes at least once, so that another transaction gets further.
    had_room: bool,
    /// It was begun again with fewer recipients at a time.
    shrunk: bool,
    /// Each recipient had a verdict after the body: that on the message adds nothing where they were all refused.
    judged_each: bool,
    /// Why the transaction under way cannot succeed.
    pub(super) refusal: Option<Reply>,
    /// The server's last word on the message.
    last: Option<Reply>,
    /// What went wrong, as opposed to what was refused.
    error: Option<Error>,
    /// Some transaction's end left, and its verdict never came.
    unknown: bool,
}

impl Transaction {
    pub(super) fn new(envelope: Envelope, plan: Plan) -> Self {
        let count = envelope.recipients.len();
        let mut this = Self {
            plan,
            envelope,
            verdicts: vec![None; count],
            group: Vec::new(),
            later: (0..count).collect(),
            crowded: Vec::new(),
            put_off: Vec::new(),
            had_room: false,
            shrunk: false,
            judged_each: false,
            stage: Stage::Envelope,
            ends_at: 0,
            refusal: None,
            last: None,
            error: None,
            unknown: false,
        };
        this.regroup();
        this
    }

    /// Takes as many of the recipients to come as the server takes at a time. Whether there were any.
    fn regroup(&mut self) -> bool {
        self.group.clear();
        let mut domains = HashSet::new();
        while let Some(&index) = self.later.front() {
            if self.plan.recipient_limit.is_some_and(|limit| self.group.len() >= limit) {
                break;
            }
            if let Some(limit) = self.plan.domain_limit {
                let domain = self.envelope.recipients[index].mailbox.domain().to_ascii_lowercase();
                if domains.len() >= limit && !domains.contains(&domain) {
                    break;
                }
                domains.insert(domain);
            }
            self.group.push(index);
            self.later.pop_front();
        }
        !self.group.is_empty()
    }

    /// Whether a later transaction needs the body again.
    pub(super) fn continues(&self) -> bool {
        !self.later.is_empty()
    }

    /// Makes the next transaction the one under way.
    pub(super) fn proceed(&mut self) {
        self.stage = Stage::Envelope;
        self.refusal = None;
        self.judged_each = false;
        self.had_room = false;
        self.regroup();
        for &index in &self.group {
            self.put_off.extend(self.verdicts[index].take().map(|reply| (index, reply)));
        }
    }

    /// The recipients to come stay with what was said about them.
    pub(super) fn give_up_rest(&mut self) {
        self.later.clear();
    }

    fn is_accepted(&self, index: usize) -> bool {
        self.verdicts[index].as_ref().is_some_and(|reply| reply.code().is_completion())
    }

    pub(super) fn nobody_accepted(&self) -> bool {
        !self.group.iter().any(|&index| self.is_accepted(index))
    }

    /// The first recipient of this transaction that was refused.
    pub(super) fn first_refused(&self) -> Option<&Reply> {
        self.group.iter().filter(|&&index| !self.is_accepted(index)).find_map(|&index| self.verdicts[index].as_ref())
    }

    /// The reply that was due.
    ///
    /// # Errors
    /// Where the reply makes no sense, so that nothing more on this session does.
    pub(super) fn take(&mut self, due: Due, reply: Reply) -> Result<Next> {
        let code = reply.code();
        let negative = code.is_transient_negative() || code.is_permanent_negative();
        match due {
            Due::Reset | Due::Sender | Due::Recipient(_) if !code.is_completion() && !negative => {
                return Err(Error::violation("this is neither yes nor no").with_reply(reply));
            }
            Due::Reset if negative => return Err(Error::rejected(reply)),
            Due::Reset | Due::Nothing => {}
            Due::Sender => self.refusal = Some(reply).filter(|_| negative),
            Due::Recipient(index) => {
                self.had_room |= code.is_completion();
                // After the body the same codes are a verdict, and no invitation to come again.
                if is_overflow(&reply) {
                    self.crowded.push(index);
                }
                self.verdicts[index] = Some(reply);
            }
            Due::Data if code == 354 => {
                return match (self.nobody_accepted(), &self.refusal) {
                    (true, _) => Ok(Next::InvitedForNobody),
                    (false, None) => Ok(Next::Invited),
                    (false, Some(_)) => {
                        let why = "the server refuses the sender and asks for the body";
                        Err(Error::violation(why).with_reply(reply))
                    }
                };
            }
            Due::Data if negative => {
                // The first no is the reason for those behind it.
                self.refusal.get_or_insert(reply);
            }
            Due::Data => return Err(Error::violation("DATA is answered with 354 or a refusal").with_reply(reply)),
            Due::Chunk if code.is_completion() => {}
            Due::Chunk if negative => {
                self.check_chunking(&reply)?;
                self.refusal.get_or_insert(reply);
            }
            Due::Chunk => return Err(Error::violation("this is no answer to BDAT").with_reply(reply)),
            Due::End => return self.end(reply),
            Due::Verdict(index) => {
                if !code.is_completion() && !negative {
                    return Err(Error::violation("this is no verdict on a recipient").with_reply(reply));
                }
                self.last = Some(reply.clone());
                self.verdicts[index] = Some(reply);
            }
        }
        Ok(Next::Same)
    }

    /// The reply to the end of the body.
    fn end(&mut self, reply: Reply) -> Result<Next> {
        let accepted = || self.group.iter().copied().filter(|&index| self.is_accepted(index));
        let code = reply.code();
        if code == 353 && self.plan.chunk_size.is_none() {
            // A reply for each recipient, then one for the message (draft-hall-prdr §4).
            let also = accepted().map(Due::Verdict).chain([Due::End]).collect();
            self.judged_each = true;
            return Ok(Next::Also(also));
        }
        if self.plan.lmtp
            && self.refusal.is_none()
            && let Some(first) = accepted().next()
        {
            let also = accepted().skip(1).map(Due::Verdict).collect();
            self.take(Due::Verdict(first), reply)?;
            return Ok(Next::Also(also));
        }
        if code.is_completion() {
            if self.refusal.is_some() || (self.nobody_accepted() && !self.judged_each) {
                let why = "the server accepts a message after refusing its sender, its recipients or a part of it";
                return Err(Error::violation(why).with_reply(reply));
            }
            self.last = Some(reply);
        } else if code.is_transient_negative() || code.is_permanent_negative() {
            if !self.nobody_accepted() {
                self.check_chunking(&reply)?;
            }
            self.refusal.get_or_insert(reply);
        } else {
            return Err(Error::violation("this is no answer to a message").with_reply(reply));
        }
        Ok(Next::Same)
    }

    /// A server that offers CHUNKING and does not know BDAT took the body for commands: nothing after it can be
    /// believed.
    fn check_chunking(&mut self, reply: &Reply) -> Result<()> {
        if self.plan.chunk_size.is_some() && self.refusal.is_none() && matches!(reply.code().number(), 500 | 502 | 504)
        {
            let why = "the server offers CHUNKING and does not know BDAT";
            // Its end may have left, and this is a no to it all the same.
            self.stage = Stage::Body;
            let error = Error::violation(why).with_reply(reply.clone());
            return Err(error.advise("send it again in a new session: it will go by DATA"));
        }
        Ok(())
    }

    /// The transaction under way is over: its refusal reaches everyone in it who was accepted so far, and those whom the
    /// server had no room for come next.
    pub(super) fn conclude(&mut self) {
        self.stage = Stage::Over;
        self.put_off.clear();
        let crowded = std::mem::take(&mut self.crowded);
        if self.shrink(&crowded) {
            return;
        }
        if let Some(refusal) = self.refusal.clone() {
            for &index in &self.group {
                if self.verdicts[index].as_ref().is_none_or(|reply| reply.code().is_completion()) {
                    self.verdicts[index] = Some(refusal.clone());
                }
            }
            self.last = Some(refusal);
        } else if !self.plan.all_or_none && self.had_room {
            for index in crowded.into_iter().rev() {
                self.later.push_front(index);
            }
        }
    }

    /// A server that has no room for some of the recipients may refuse the whole message for that. Then those that it had
    /// room for, and those that it had not, come again in smaller transactions, once.
    fn shrink(&mut self, crowded: &[usize]) -> bool {
        let room: Vec<usize> = self.group.iter().copied().filter(|&index| self.is_accepted(index)).collect();
        if self.refusal.is_none() || self.shrunk || self.plan.all_or_none || room.is_empty() || crowded.is_empty() {
            return false;
        }
        self.shrunk = true;
        self.plan.recipient_limit = Some(room.len());
        self.last = self.refusal.clone();
        // Should the body not be had again, this is what was said about them.
        for &index in &room {
            self.verdicts[index] = self.refusal.clone();
        }
        for index in room.iter().chain(crowded).rev().copied() {
            self.later.push_front(index);
        }
        true
    }

    /// The session is lost, or the body is.
    pub(super) fn fail(&mut self, error: Error) {
        if self.stage == Stage::Over && self.later.is_empty() {
            return;
        }
        let refused = |index: &usize| self.verdicts[*index].as_ref().is_some_and(|reply| !reply.code().is_completion());
        if self.stage == Stage::Ended && (self.refusal.is_some() || self.group.iter().all(refused)) {
            // Whatever would have been said about the end: it was for nobody.
            if self.refusal.is_none() {
                self.refusal = self.first_refused().cloned();
            }
            self.shrunk = true;
            self.conclude();
            self.later.clear();
            return;
        }
        self.unknown |= self.stage == Stage::Ended;
        if self.stage != Stage::Ended {
            // Those of an earlier transaction keep their verdicts; these were not even asked for, or not sent to.
            for &index in self.group.iter().filter(|_| self.stage != Stage::Over) {
                if self.verdicts[index].as_ref().is_some_and(|reply| reply.code().is_completion()) {
                    self.verdicts[index] = None;
                }
            }
            for (index, reply) in self.put_off.drain(..) {
                self.verdicts[index].get_or_insert(reply);
            }
        }
        self.stage = Stage::Over;
        self.later.clear();
        self.error = Some(error);
    }

    /// What became of it.
    ///
    /// # Errors
    /// Why it was not sent to anybody.
    pub(super) fn report(self, tls: Option<Arc<TlsInfo>>, login: Option<LoginInfo>) -> Result<DeliveryReport> {
        let accepted = (0..self.verdicts.len()).filter(|&index| self.is_accepted(index)).count();
        let error = match self.error {
            Some(error) if !self.unknown && accepted == 0 => return Err(error),
            error => error,
        };
        let outcome = match accepted {
            _ if self.unknown => Outcome::Unknown,
            0 => Outcome::Refused,
            n if n == self.verdicts.len() => Outcome::Accepted,
            _ => Outcome::Partial,
        };
        let asked = |index: &usize| self.unknown && self.group.contains(index);
        let recipients = (0..).zip(self.envelope.recipients).zip(self.verdicts).map(|((index, recipient), reply)| {
            let accepted = reply.as_ref().map_or_else(|| asked(&index), |reply| reply.code().is_completion());
            RecipientVerdict { recipient: recipient.mailbox, accepted, reply }
        });
        let recipients = recipients.collect();
        let reply = if self.unknown { None } else { self.last };
        let error = error.or_else(|| reply.as_ref().filter(|_| tls.is_none()).and_then(tls_first));
        Ok(DeliveryReport { outcome, recipients, reply, error, tls, login })
    }
}

/// "Must issue a STARTTLS command first" (RFC 3207 §4), to who chose clear text. 530 is also the code for want of a login.
fn tls_first(reply: &Reply) -> Option<Error> {
    let asked_for = reply.code().number() == 530 && reply.text().to_ascii_uppercase().contains("STARTTLS");
    asked_for.then(|| {
        let error = Error::rejected(reply.clone()).during(Phase::Data);
        error.advise("this server takes mail under TLS only: do not ask for clear text")
    })
}

/// "Too many recipients": the rest go in a transaction of their own (RFC 5321 §4.5.3.1.10, which also wants 552 read as
/// 452 there). Other reasons for these codes have their own enhanced code.
fn is_overflow(reply: &Reply) -> bool {
    matches!(reply.code().number(), 452 | 552)
        && reply.enhanced().is_none_or(|code| (code.subject, code.detail) == (5, 3))
}
