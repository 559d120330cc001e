//! What the server says of a transfer, told from what it says to other commands.
//!
//! ```text
//!   RETR … EPSV NOOP        sent ahead, or during the transfer
//!   150 … 226  229  200     replies in order: the rule
//!   150 … 450  226          one that takes no command during a transfer refuses EPSV before it is done
//!   150 … 500  226          or throws it away
//!   150 … 426  226          one that gives up says so, and then perhaps once more
//! ```
//!
//! A 229 is EPSV's, whenever it comes. Where a refusal leaves open whose it is, or whether more will follow, a fence tells:
//! PWD's 257 is no other command's answer, so whatever comes before it belongs to those before it. (If it is thrown away,
//! too, SYST's 215 and FEAT's 211 do as well.)

use std::time::Duration;

use super::client::{Client, quoted};
use super::data_link::DataLink;
use super::place::Place;
use super::{Direction, commands, passive};
use crate::dialogue::Dialogue;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::link::{Channel, Fill};
use crate::reply::Reply;
use crate::transport::{Stream, Transport};

/// How long the control connection may take to say why a data connection broke, or to answer at the fence.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How much is taken, and how long is waited for more, after a transfer was given up.
const DRAINED: usize = 4 << 20;
const A_MOMENT: Duration = Duration::from_millis(200);

/// Why a session ends whose server does not come to the fence.
const SILENT: &str = "a transfer was given up, and the server did not say so";

/// Replies that may come before the fence: more are no accident.
const BEFORE_THE_FENCE: usize = 64;

/// Replies owed during a transfer beside the one about the transfer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside {
    /// EPSV, for the next transfer.
    pub(super) ahead: bool,
    /// NOOP, to see what the server does with what is sent ahead.
    pub(super) trial: bool,
    /// Signs of life.
    pub(super) noops: usize,
}

impl Beside {
    pub(super) fn replies(self) -> usize {
        usize::from(self.ahead) + self.noops
    }

    /// What goes out with the transfer's command.
    pub(super) fn send<C: Channel>(self, dialogue: &mut Dialogue<C>) -> Result<()> {
        match self {
            Self { ahead: true, .. } => dialogue.send(&commands::epsv()),
            Self { trial: true, .. } => dialogue.send(&commands::noop()),
            _ => Ok(()),
        }
    }
}

impl<T: Transport> Client<T> {
    /// The server's word on a transfer whose data connection is closed, or was cut, and the answers to what was said
    /// meanwhile.
    pub(super) async fn verdict(&mut self, within: Duration, cut: bool) -> Result<Reply> {
        let beside = std::mem::take(&mut self.beside);
        let mut heard: Vec<Reply> = Vec::new();
        let mut preliminary = 0;
        while heard.len() <= beside.replies() {
            // Who refuses a command during a transfer has its last word still to say. But where that was heard, or more than
            // that, what is still missing may have been thrown away.
            let enough = heard.len() > 1 || heard.iter().any(is_last_word);
            if enough && !self.session.dialogue.is_answered_within(self.last_words()).await {
                break;
            }
            let reply = self.session.dialogue.await_reply(within).await.map_err(|error| error.during(Phase::Data));
            match reply {
                Ok(reply) if reply.code().is_preliminary() && cut => {
                    // A second 150 is all that some servers have to say of a transfer that was cut.
                    heard.push(reply);
                    break;
                }
                Ok(reply) if reply.code().is_preliminary() && preliminary == 0 => {
                    // A second 150 is nonsense, but not yet an answer.
                    preliminary += 1;
                }
                Ok(reply) => heard.push(reply),
                // What was said of the transfer itself is not lost with the rest.
                Err(_) if heard.iter().any(is_refusal) => break,
                Err(error) => return Err(error),
            }
        }
        let all = heard.len() > beside.replies();
        let refused = heard.iter().any(|reply| is_refusal(reply) && (reply.code() == 426 || beside.replies() > 0));
        let spent = cut && heard.iter().any(|reply| reply.code().is_preliminary());
        if refused || spent || !all {
            heard.extend(self.fence().await);
            if self.session.dialogue.has_ended() && refused {
                // Nobody can tell whose refusal it is: the transfer's, then.
                heard.retain(is_refusal);
            }
        }
        let verdict = self.sort(heard, beside);
        verdict.ok_or_else(|| {
            self.forsake("the server did not say what became of a transfer");
            self.explain(Error::new(ErrorKind::ClosedByPeer).during(Phase::Data))
        })
    }

    /// Whether a verdict is there already. Answers to what was said during the transfer are none.
    pub(super) fn speaks_of_the_end(&mut self) -> bool {
        let beside = self.beside.replies() > 0;
        let said = self.session.dialogue.unread();
        let is_answer = |line: &[u8]| {
            line.starts_with(b"200") || line.starts_with(b"229") || matches!(line.first(), Some(b'4' | b'5'))
        };
        let answers = beside && said.split(|&b| b == b'\n').all(|line| line.is_empty() || is_answer(line));
        !said.is_empty() && !answers
    }

    /// Which of the replies is about the transfer.
    fn sort(&mut self, mut heard: Vec<Reply>, beside: Beside) -> Option<Reply> {
        let mut unanswered = 0;
        if beside.ahead {
            match heard.iter().position(|reply| reply.code() == 229) {
                Some(at) => {
                    if at == 0 && heard.iter().any(is_refusal) {
                        // It may have given up the transfer for it.
                        self.learn(|known| known.one_at_a_time = true);
                    }
                    self.next_port = passive::epsv_port(&heard.remove(at)).ok();
                }
                None => unanswered += 1,
            }
        }
        if beside.trial {
            // In order, or out of it: a server to which EPSV means the next transfer at once would end this one for it.
            let (done, noop) =
                (heard.iter().position(is_last_word), heard.iter().position(|reply| reply.code() == 200));
            match (done, noop) {
                (Some(done), Some(noop)) if done < noop => self.learn(|known| known.in_order = true),
                (_, Some(_)) => self.learn(|known| known.at_once = true),
                (_, None) => {}
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

    /// Asks the server to give the transfer up (ABOR), closes the data connection, and hears the server out. One that reads
    /// commands during a transfer throws away what stands behind ABOR: so the fence waits for an answer.
    pub(super) async fn stop(&mut self, data: Option<DataLink<T::Stream>>, direction: Direction) -> Vec<Reply> {
        let within = self.last_words();
        let dialogue = &mut self.session.dialogue;
        let asked = match dialogue.send(&commands::abor()) {
            Ok(()) => dialogue.flush().await,
            Err(error) => Err(error),
        };
        if let Some(mut data) = data {
            // Some servers hang up altogether where a connection breaks that they write to: they are given a moment to stop.
            if asked.is_ok() && direction == Direction::Down {
                drain(&mut data).await;
            }
            drop(data);
        }
        let first = match asked {
            Ok(()) => dialogue.await_reply(within).await,
            Err(error) => Err(error),
        };
        let Ok(first) = first else {
            self.forsake(SILENT);
            return Vec::new();
        };
        let mut heard = vec![first];
        heard.extend(self.fence().await);
        heard
    }

    /// Makes sure that all replies still to come are here. They are handed over. If the server does not come to the fence, the
    /// session is at its end.
    pub(super) async fn fence(&mut self) -> Vec<Reply> {
        let mut heard = Vec::new();
        if self.reach_fence(&mut heard).await.is_err() {
            self.forsake(SILENT);
        }
        heard
    }

    async fn reach_fence(&mut self, heard: &mut Vec<Reply>) -> Result<()> {
        let within = self.last_words();
        // A second fence could be taken for the first.
        self.fenceable = false;
        let dialogue = &mut self.session.dialogue;
        // A server that is not done yet may throw a command away. Each next one has another answer.
        for (command, answer) in [(commands::pwd(), 257), (commands::syst(), 215), (commands::feat(), 211)] {
            dialogue.send(&command)?;
            dialogue.flush().await?;
            while dialogue.is_answered_within(within).await {
                let reply = dialogue.reply().await?;
                if reply.code() == answer {
                    dialogue.settle();
                    if let Some(path) = reply.raw_lines().next().and_then(quoted).filter(|_| answer == 257) {
                        self.place = Place::told(path);
                    }
                    return Ok(());
                }
                heard.push(reply);
                if heard.len() == BEFORE_THE_FENCE {
                    return Err(Error::limit("too many replies"));
                }
            }
        }
        Err(Error::new(ErrorKind::TimedOut))
    }

    /// How long the server may take for words that should be there already.
    pub(super) fn last_words(&self) -> Duration {
        LAST_WORDS.min(self.session.dialogue.context.timeouts.reply)
    }
}

/// Takes what is still under way, up to the connection's end or as much as a server sends that does not stop.
async fn drain<S: Stream>(data: &mut DataLink<S>) {
    let mut taken = 0;
    while taken < DRAINED {
        data.set_deadline(A_MOMENT);
        match data.pull(&mut |bytes| taken += bytes.len()).await {
            Ok(Fill::More) => {}
            Ok(Fill::Closed) | Err(_) => return,
        }
    }
}

/// That a transfer is complete, as opposed to the other commands' good answers.
fn is_last_word(reply: &Reply) -> bool {
    reply.code().is_completion() && reply.code() != 229 && reply.code() != 200
}

fn is_refusal(reply: &Reply) -> bool {
    reply.code().is_negative()
}
