//! What the server says of a transfer, told from what it says to other commands.
//!
//! ```text
//!   RETR … EPSV NOOP        sent ahead, or during the transfer
//!   150 … 226  229  200     replies in order: the rule
//!   150 … 450  226          one that takes no command during a transfer refuses EPSV before it is done
//!   150 … 426  226          one that gives up says so, and then perhaps once more
//! ```
//!
//! A 229 is EPSV's, whenever it comes. Where a refusal leaves open whose it is, or whether more will follow, a fence tells:
//! PWD's 257 is no other command's answer, so whatever comes before it belongs to those before it.

use std::time::Duration;

use super::client::Client;
use super::{commands, passive};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::reply::Reply;
use crate::transport::Transport;

/// How long the control connection may take to say why a data connection broke, or to answer at the fence.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(5);

/// Replies that may come before the fence: more are no accident.
const BEFORE_THE_FENCE: usize = 64;

/// Replies owed during a transfer beside the one about the transfer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside {
    /// EPSV, for the next transfer.
    pub(super) ahead: bool,
    /// Signs of life.
    pub(super) noops: usize,
}

impl Beside {
    fn replies(self) -> usize {
        usize::from(self.ahead) + self.noops
    }
}

impl<T: Transport> Client<T> {
    /// The server's word on a transfer whose data connection is closed, and the answers to what was said meanwhile.
    pub(super) async fn verdict(&mut self, within: Duration) -> Result<Reply> {
        let beside = std::mem::take(&mut self.beside);
        let mut heard = Vec::new();
        let mut preliminary = 0;
        while heard.len() <= beside.replies() {
            let reply = self.session.dialogue.await_reply(within).await.map_err(|error| error.during(Phase::Data));
            let reply = match reply {
                Ok(reply) => reply,
                // What was said of the transfer itself is not lost with the rest.
                Err(_) if heard.iter().any(is_refusal) => break,
                Err(error) => return Err(error),
            };
            if reply.code().is_preliminary() && preliminary == 0 {
                // A second 150 is nonsense, but not yet an answer.
                preliminary += 1;
                continue;
            }
            let doubtful = is_refusal(&reply) && (reply.code() == 426 || beside.replies() > 0);
            heard.push(reply);
            if doubtful {
                heard.extend(self.fence(false).await);
                if self.session.dialogue.has_ended() {
                    // Nobody can tell whose refusal it is: the transfer's, then.
                    heard.retain(is_refusal);
                    return Ok(heard.swap_remove(0));
                }
                break;
            }
        }
        let verdict = self.sort(heard, beside);
        verdict.ok_or_else(|| {
            self.session.dialogue.end("the server did not say what became of a transfer");
            self.explain(Error::new(ErrorKind::ClosedByPeer).during(Phase::Data))
        })
    }

    /// Which of the replies is about the transfer.
    fn sort(&mut self, mut heard: Vec<Reply>, beside: Beside) -> Option<Reply> {
        let mut unanswered = 0;
        if beside.ahead {
            match heard.iter().position(|reply| reply.code() == 229) {
                Some(at) => self.next_port = passive::epsv_port(&heard.remove(at)).ok(),
                None => unanswered += 1,
            }
        }
        for _ in 0..beside.noops {
            match heard.iter().position(|reply| reply.code() == 200) {
                Some(at) => drop(heard.remove(at)),
                None => unanswered += 1,
            }
        }
        if unanswered > 0 {
            self.learn(|known| known.one_at_a_time = true);
        }
        for _ in 0..unanswered {
            // Its refusal is among the others. If the transfer was complete, there are no others.
            if heard.len() > 1
                && let Some(at) = heard.iter().position(is_refusal)
            {
                heard.remove(at);
            }
        }
        // 426 and then 226 is a transfer that was given up.
        let at = heard.iter().position(is_refusal).unwrap_or(0);
        (at < heard.len()).then(|| heard.swap_remove(at))
    }

    /// Makes sure that all replies still to come are here, if need be after asking to give up the transfer (ABOR). They are
    /// handed over. If the server does not come to the fence, the session is at its end.
    pub(super) async fn fence(&mut self, abort: bool) -> Vec<Reply> {
        let mut heard = Vec::new();
        if self.reach_fence(abort, &mut heard).await.is_err() {
            self.session.dialogue.end("a transfer was given up, and the server did not say so");
        }
        heard
    }

    async fn reach_fence(&mut self, abort: bool, heard: &mut Vec<Reply>) -> Result<()> {
        let dialogue = &mut self.session.dialogue;
        if abort {
            dialogue.send(&commands::abor())?;
        }
        dialogue.send(&commands::pwd())?;
        dialogue.flush().await?;
        let within = LAST_WORDS.min(dialogue.context.timeouts.reply);
        let mut reply = dialogue.hear(within).await?;
        while reply.code() != 257 {
            heard.push(reply);
            if heard.len() == BEFORE_THE_FENCE {
                return Err(Error::limit("too many replies"));
            }
            reply = dialogue.reply().await?;
        }
        dialogue.settle();
        Ok(())
    }
}

fn is_refusal(reply: &Reply) -> bool {
    reply.code().is_negative()
}
