//! Messages in flight on one connection: the envelope of the next one leaves while the last one's verdict is awaited.
//!
//! ```text
//!   BDAT     MAIL RCPT BDAT body  RSET MAIL RCPT BDAT body  …     nothing is waited for but room
//!   DATA     MAIL RCPT DATA │ body .  MAIL RCPT DATA │ body . …   one round trip a message (RFC 2920 §3.1)
//! ```
//!
//! Replies come in the order of their commands, so each verdict finds its message whatever failed before. RSET stands
//! between two messages where the first may still be refused: without it the envelope of a refused message could stay
//! open and receive the next one's body. How many replies are outstanding is bounded, so that the server never has to
//! stop reading because we do not read.

mod listen;
mod pieces;
mod speak;

use std::collections::VecDeque;

pub(super) use self::speak::Encoder;
use super::body::Body;
use super::client::Client;
use super::envelope::Envelope;
use super::lines::{LineEncoder, LineEnds};
use super::outcome::DeliveryReport;
use super::plan::Plan;
use super::transaction::{Due, Stage, Transaction};
use crate::dialogue::Dialogue;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::link::{Channel, FLIGHT};
use crate::transport::Transport;

/// The most replies that may be outstanding: what a server says to so many fits every socket's buffers.
const MOST_DUE: usize = 256;

/// The most messages under way.
const MOST_MESSAGES: usize = 64;

/// The most chunks of one message that may be unanswered: so late, at most, is a refusal seen.
const MOST_CHUNKS: usize = 16;

/// The same for chunks that are flights of their own. In WASI each wait may cost a delayed acknowledgement, for the reason
/// below, so there are fewer of them.
const MOST_LARGE_CHUNKS: usize = if ONE_FLIGHT { MOST_DUE } else { MOST_CHUNKS };

/// Whether what is under way is one flight, and the next one waits for its replies. WASI 0.2 has no TCP_NODELAY: a write
/// behind another one waits there for its acknowledgement, which a server that has nothing to say yet delays.
const ONE_FLIGHT: bool = cfg!(target_os = "wasi");

/// How long the words of a server that hangs up are waited for.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(1);

/// Messages in flight on one connection. Those that were pushed are reported in the same order.
///
/// It belongs to one [`Client`], which does nothing else until every message is reported. Dropping it before that, or
/// the future of one of its methods, closes the session for further use: what was under way may have been delivered.
///
/// ```no_run
/// # use starttls::{smtp::{Client, Envelope, MemoryBody, Pipeline}, transport::Blocking};
/// # async fn f(client: &mut Client<Blocking>, messages: Vec<(Envelope, Vec<u8>)>) -> starttls::Result<()> {
/// let mut pipeline = Pipeline::new();
/// for (envelope, message) in messages {
///     while !pipeline.has_room() {
///         println!("{:?}", pipeline.next(client).await);
///     }
///     pipeline.push(client, envelope, MemoryBody::new(message)).await;
/// }
/// while let Some(report) = pipeline.next(client).await {
///     println!("{report:?}");
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Pipeline<B> {
    messages: VecDeque<Message<B>>,
    /// The number of the first of them.
    first: u64,
    due: VecDeque<(u64, Due)>,
    /// Messages with recipients for another transaction.
    again: VecDeque<u64>,
    /// There was no room for another message, and half of them are not reported yet.
    full: bool,
    /// The server may still have an envelope open.
    needs_reset: bool,
    /// The message before went over BDAT: if it is refused, so does its envelope.
    chunks_before: bool,
    /// Encoded and not yet sent.
    wire: Vec<u8>,
    /// A command, a body or a reply is under way. If it still is when the next call comes, it was cancelled.
    midway: bool,
}

#[derive(Debug)]
enum Message<B> {
    /// The body is elsewhere while it is being sent.
    UnderWay(Box<Transaction>, Option<B>),
    /// It never got as far as a transaction.
    Failed(Error),
}

impl<B> Default for Pipeline<B> {
    fn default() -> Self {
        Self {
            messages: VecDeque::new(),
            first: 0,
            due: VecDeque::new(),
            again: VecDeque::new(),
            full: false,
            needs_reset: false,
            chunks_before: false,
            wire: Vec::new(),
            midway: false,
        }
    }
}

impl<B: Body> Pipeline<B> {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages are not reported yet.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether every message is reported.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether another message can be pushed without waiting for many others. Once there was no room, there is none
    /// until half of them are reported: so messages leave in large flights, and not each when another was answered.
    pub fn has_room(&self) -> bool {
        !self.full
    }

    /// Sends a message, and waits only as far as that needs. What goes wrong is told by its report.
    pub async fn push<T: Transport>(&mut self, client: &mut Client<T>, envelope: Envelope, mut body: B) {
        self.notice_cancellation(client);
        let message = match self.transaction(client, envelope, &mut body).await {
            Ok(transaction) => Message::UnderWay(Box::new(transaction), Some(body)),
            Err(error) => Message::Failed(client.dialogue.context.explain(error)),
        };
        let number = self.first + self.messages.len() as u64;
        let before = client.dialogue.launched();
        let failed = matches!(message, Message::Failed(_));
        self.messages.push_back(message);
        self.full |= self.messages.len() >= MOST_MESSAGES;
        if !failed {
            self.run(client, number).await;
        }
        self.full |= ONE_FLIGHT && client.dialogue.is_flight_ready(before);
    }

    /// Whether everything that was pushed is said, so that good-bye may follow in the same flight.
    pub(super) fn is_last_word(&self) -> bool {
        let said = |message: &Message<B>| matches!(message, Message::UnderWay(transaction, _) if transaction.stage == Stage::Ended);
        self.messages.iter().all(said)
    }

    /// The report of the oldest message; `None` if there is none.
    ///
    /// # Errors
    /// Why the message was not sent. An error is about this message alone; whether the session can go on says
    /// [`Client::is_closed`].
    pub async fn next<T: Transport>(&mut self, client: &mut Client<T>) -> Option<Result<DeliveryReport>> {
        self.notice_cancellation(client);
        loop {
            let over = match self.messages.front()? {
                Message::Failed(_) => true,
                Message::UnderWay(transaction, _) => transaction.stage == Stage::Over && !transaction.continues(),
            };
            if over {
                if self.messages.len() == 1 {
                    client.needs_reset = std::mem::take(&mut self.needs_reset);
                }
                self.first += 1;
                self.full &= self.messages.len() > MOST_MESSAGES / 2;
                return match self.messages.pop_front()? {
                    Message::Failed(error) => Some(Err(error)),
                    Message::UnderWay(transaction, _) => {
                        Some(transaction.report(client.dialogue.tls().cloned(), client.login))
                    }
                };
            }
            if let Some(number) = self.again.pop_front() {
                // MAILMAX counts transactions (RFC 9422 §4).
                if let Err(error) = client.count_message() {
                    self.under_way(number).fail(client.dialogue.context.explain(error));
                } else if self.proceed(number) {
                    self.run(client, number).await;
                }
            } else {
                self.advance(client).await;
            }
        }
    }

    /// Sends what was pushed and is still gathered here.
    ///
    /// # Errors
    /// None: a lost connection is told by the reports.
    pub async fn flush<T: Transport>(&mut self, client: &mut Client<T>) {
        self.notice_cancellation(client);
        if let Err(error) = client.dialogue.flush().await {
            self.fail(&mut client.dialogue, error);
        }
    }

    /// A message that is ready to be sent. What it lacks, the server may offer to those who logged in.
    async fn transaction<T: Transport>(
        &mut self,
        client: &mut Client<T>,
        mut envelope: Envelope,
        body: &mut B,
    ) -> Result<Transaction> {
        let mut plan = self.plan(client, &mut envelope, body);
        let lacks_something = plan.as_ref().is_err_and(|error| matches!(error.kind(), ErrorKind::NotOffered(_)));
        if lacks_something && self.messages.is_empty() && client.ask_again().await {
            plan = self.plan(client, &mut envelope, body);
        }
        let transaction = Transaction::new(envelope, plan?);
        if transaction.continues() && !body.rewind().map_err(Error::local)? {
            let why = "the server takes fewer recipients at a time, and this message can be read only once";
            return Err(Error::limit(why).advise("send it to fewer recipients at a time"));
        }
        client.count_message()?;
        Ok(transaction)
    }

    /// Everything about the message that can be wrong before the first byte is sent.
    fn plan<T: Transport>(&mut self, client: &mut Client<T>, envelope: &mut Envelope, body: &mut B) -> Result<Plan> {
        // A window is no single operation: each message has the total for itself.
        client.dialogue.context.begin_operation();
        if self.messages.is_empty() {
            self.needs_reset |= std::mem::take(&mut client.needs_reset);
            client.idle()?;
            client.dialogue.ready().map_err(|error| error.during(Phase::Command))?;
        } else if client.dialogue.has_ended() {
            let why = "the session was lost before this message was sent";
            return Err(Error::invalid_state(why).advise("send it in a new session"));
        }
        envelope.size = envelope.size.or(body.size());
        if let Some(message) = body.whole() {
            if envelope.body == super::parameters::BodyKind::SevenBit && !message.is_ascii() {
                envelope.body = super::parameters::BodyKind::EightBit;
            }
            if envelope.line_ends == LineEnds::Strict {
                // In memory it can be looked at beforehand, so that nothing is begun in vain.
                let mut lines = LineEncoder::for_chunks(LineEnds::Strict);
                let mut nowhere = Vec::new();
                lines.push(message, &mut nowhere)?;
                lines.finish(&mut nowhere)?;
            }
        }
        Plan::new(envelope, &client.abilities())
    }

    /// After half a command, half a body or half a reply nothing more can be said or understood.
    fn notice_cancellation<T: Transport>(&mut self, client: &mut Client<T>) {
        if std::mem::take(&mut self.midway) {
            let why = "an earlier call about these messages was cancelled";
            let error = Error::invalid_state(why).advise("send what was not sent in a new session");
            let error = client.dialogue.context.explain(error);
            self.fail(&mut client.dialogue, error);
        }
    }

    async fn run<T: Transport>(&mut self, client: &mut Client<T>, number: u64) {
        if client.dialogue.has_ended() {
            // Another message's body could not be had to its end: what is said now would become part of it.
            let error = Error::invalid_state("the session was lost before the next transaction of this message");
            self.under_way(number).fail(client.dialogue.context.explain(error));
            return;
        }
        self.midway = true;
        let outcome = self.send(&mut client.dialogue, number).await;
        self.midway = false;
        if let Err(error) = outcome {
            client.learn_from(&error, self.due.len());
            self.fail(&mut client.dialogue, error);
        }
    }

    async fn advance<T: Transport>(&mut self, client: &mut Client<T>) {
        self.midway = true;
        let unanswered = self.due.len();
        let outcome = match self.due.front() {
            // Cannot be: a message that is not over has a reply due.
            None => Err(Error::invalid_state("a message waits for nothing")),
            Some(&(number, _)) => match self.settle_one(&mut client.dialogue).await {
                // What was said before the line was cut still counts.
                Err(error) => Err(self.last_words(&mut client.dialogue, number, error).await),
                settled => settled,
            },
        };
        self.midway = false;
        if let Err(error) = outcome {
            client.learn_from(&error, unanswered);
            self.fail(&mut client.dialogue, error);
        }
    }

    /// Readies a message for its next transaction; without its body, those recipients stay as they are.
    fn proceed(&mut self, number: u64) -> bool {
        let Message::UnderWay(transaction, body) = &mut self.messages[(number - self.first) as usize] else {
            return false;
        };
        match body.as_mut().map(Body::rewind) {
            Some(Ok(true)) => transaction.proceed(),
            Some(Err(error)) => transaction.fail(Error::local(error)),
            _ => transaction.give_up_rest(),
        }
        transaction.stage == Stage::Envelope
    }

    fn under_way(&mut self, number: u64) -> &mut Transaction {
        match &mut self.messages[(number - self.first) as usize] {
            Message::UnderWay(transaction, _) => transaction,
            Message::Failed(_) => unreachable!("a message that failed early has nothing due"),
        }
    }

    fn body(&mut self, number: u64) -> &mut Option<B> {
        match &mut self.messages[(number - self.first) as usize] {
            Message::UnderWay(_, body) => body,
            Message::Failed(_) => unreachable!("a message that failed early has no body to send"),
        }
    }

    /// The session is lost: what had left is unknown, the rest was not sent.
    fn fail<C: Channel>(&mut self, dialogue: &mut Dialogue<C>, error: Error) {
        dialogue.end("the connection was lost in the middle of a message");
        self.due.clear();
        self.again.clear();
        let mut error = Some(error);
        let mut echo = None;
        for message in &mut self.messages {
            let Message::UnderWay(transaction, _) = message else { continue };
            if transaction.stage == Stage::Over && !transaction.continues() {
                continue;
            }
            let why = error.take().or_else(|| echo.as_ref().map(Error::echo));
            if let Some(why) = why {
                echo.get_or_insert_with(|| why.echo());
                if transaction.stage == Stage::Ended && !dialogue.has_launched(transaction.ends_at) {
                    // Its end was said, and never left.
                    transaction.stage = Stage::Body;
                }
                transaction.fail(why);
            }
        }
    }
}
