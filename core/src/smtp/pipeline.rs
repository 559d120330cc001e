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

use std::collections::VecDeque;

use super::body::Body;
use super::client::Client;
use super::commands;
use super::envelope::Envelope;
use super::lines::{LineEncoder, LineEnds, is_canonical};
use super::outcome::DeliveryReport;
use super::send::NoBody;
use super::transaction::{Due, Next, Stage, Transaction};
use crate::dialogue::Dialogue;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::link::Channel;
use crate::trace::{Direction, Event};
use crate::transport::Transport;

/// The most replies that may be outstanding: what a server says to so many fits every socket's buffers.
const MOST_DUE: usize = 128;

/// The most messages under way.
const MOST_MESSAGES: usize = 64;

/// The most chunks of one message that may be unanswered: so late, at most, is a refusal seen.
const MOST_CHUNKS: usize = 16;

/// How much of an encoded body is gathered before it is sent.
const FLIGHT: usize = 64 * 1024;

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
    /// The server may still have an envelope open.
    needs_reset: bool,
    /// The message before went over BDAT: if it is refused, so does its envelope.
    chunks_before: bool,
    /// Encoded and not yet sent.
    wire: Vec<u8>,
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
            needs_reset: false,
            chunks_before: false,
            wire: Vec::new(),
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

    /// Whether another message can be pushed without waiting for many others.
    pub fn has_room(&self) -> bool {
        self.messages.len() < MOST_MESSAGES
    }

    /// Sends a message, and waits only as far as that needs. What goes wrong is told by its report.
    pub async fn push<T: Transport>(&mut self, client: &mut Client<T>, envelope: Envelope, mut body: B) {
        if self.messages.is_empty() {
            client.ask_again_for(&envelope).await;
        }
        let message = match self.plan(client, envelope, &mut body) {
            Ok(transaction) => Message::UnderWay(Box::new(transaction), Some(body)),
            Err(error) => Message::Failed(client.dialogue.context.explain(error)),
        };
        let number = self.first + self.messages.len() as u64;
        let failed = matches!(message, Message::Failed(_));
        self.messages.push_back(message);
        if !failed {
            self.run(client, number).await;
        }
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
                return match self.messages.pop_front()? {
                    Message::Failed(error) => Some(Err(error)),
                    Message::UnderWay(transaction, _) => {
                        Some(transaction.report(client.dialogue.tls().cloned(), client.login))
                    }
                };
            }
            if let Some(number) = self.again.pop_front() {
                if self.proceed(number) {
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
        if let Err(error) = client.dialogue.flush().await {
            self.fail(&mut client.dialogue, error);
        }
    }

    /// Everything about the message that can be wrong before the first byte is sent.
    fn plan<T: Transport>(
        &mut self,
        client: &mut Client<T>,
        mut envelope: Envelope,
        body: &mut B,
    ) -> Result<Transaction> {
        // A window is no single operation: each message has the total for itself.
        client.dialogue.context.begin_operation();
        if self.messages.is_empty() {
            self.needs_reset = std::mem::take(&mut client.needs_reset);
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
        let plan = super::plan::Plan::new(&envelope, &client.abilities())?;
        let transaction = Transaction::new(envelope, plan);
        if transaction.continues() && !body.rewind().map_err(Error::local)? {
            let why = "the server takes fewer recipients at a time, and this message can be read only once";
            return Err(Error::limit(why).advise("send it to fewer recipients at a time"));
        }
        client.count_message()?;
        Ok(transaction)
    }

    async fn run<T: Transport>(&mut self, client: &mut Client<T>, number: u64) {
        if let Err(error) = self.send(&mut client.dialogue, number).await {
            client.learn_from(&error, self.due.len());
            self.fail(&mut client.dialogue, error);
        }
    }

    async fn advance<T: Transport>(&mut self, client: &mut Client<T>) {
        let outcome = if self.due.is_empty() {
            // Cannot be: a message that is not over has a reply due.
            Err(Error::invalid_state("a message waits for nothing"))
        } else {
            self.settle_one(&mut client.dialogue).await
        };
        if let Err(error) = outcome {
            client.learn_from(&error, self.due.len());
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

    /// The whole of a message, up to the end of its body.
    async fn send<C: Channel>(&mut self, dialogue: &mut Dialogue<C>, number: u64) -> Result<()> {
        self.open(dialogue, number).await?;
        if self.under_way(number).stage != Stage::Body {
            return Ok(());
        }
        let Some(mut body) = self.body(number).take() else {
            return Err(Error::invalid_state("this message is being sent already"));
        };
        let sent = match self.under_way(number).plan.chunk_size {
            Some(size) => self.send_chunks(dialogue, number, &mut body, size).await,
            None => self.send_data(dialogue, number, &mut body).await,
        };
        *self.body(number) = Some(body);
        match sent {
            Err(error) if matches!(error.kind(), ErrorKind::Local(_) | ErrorKind::InvalidArgument(_)) => {
                self.abandon(dialogue, number, error).await
            }
            Err(error) => Err(self.last_words(dialogue, error).await),
            Ok(()) => Ok(()),
        }
    }

    /// The envelope, as far as the body's beginning.
    pub(super) async fn open<C: Channel>(&mut self, dialogue: &mut Dialogue<C>, number: u64) -> Result<()> {
        let plan = &self.under_way(number).plan;
        let (pipelining, chunks, all_or_none) = (plan.pipelining, plan.chunk_size.is_some(), plan.all_or_none);
        if self.needs_reset || (self.chunks_before && !self.due.is_empty()) {
            self.needs_reset = false;
            self.chunks_before = false;
            self.say(dialogue, number, Due::Reset, None).await?;
        }
        self.say(dialogue, number, Due::Sender, None).await?;
        if !pipelining && self.under_way(number).refusal.is_some() {
            self.conclude(number);
            return Ok(());
        }
        for at in 0..self.under_way(number).group.len() {
            self.make_room(dialogue).await?;
            let index = self.under_way(number).group[at];
            self.say(dialogue, number, Due::Recipient(index), None).await?;
        }
        if !pipelining || all_or_none {
            self.settle(dialogue, 0).await?;
            let transaction = self.under_way(number);
            let refused = transaction.first_refused().cloned();
            if let Some(reply) = refused.filter(|_| all_or_none || transaction.nobody_accepted()) {
                transaction.refusal.get_or_insert(reply);
            }
            if transaction.refusal.is_some() {
                self.conclude(number);
                return Ok(());
            }
        }
        self.chunks_before = chunks;
        if chunks {
            self.under_way(number).stage = Stage::Body;
            return Ok(());
        }
        self.say(dialogue, number, Due::Data, None).await?;
        self.settle(dialogue, 0).await?;
        if self.under_way(number).stage == Stage::Body {
            // What was said before the body would be taken for the verdict on it.
            dialogue.ready().map_err(|error| error.during(Phase::Data))?;
            dialogue.owe();
            self.due.push_back((number, Due::End));
        }
        Ok(())
    }

    /// A command of this message; alone in its flight where the server wants that. `chunk` is what follows BDAT.
    async fn say<C: Channel>(
        &mut self,
        dialogue: &mut Dialogue<C>,
        number: u64,
        due: Due,
        chunk: Option<&[u8]>,
    ) -> Result<()> {
        let plan = &self.under_way(number).plan;
        let size = chunk.map_or(0, <[u8]>::len) as u64;
        match due {
            Due::Sender => dialogue.send(&plan.mail)?,
            Due::Recipient(index) => dialogue.send(&plan.recipients[index])?,
            Due::Data => dialogue.send(&commands::data())?,
            Due::Chunk => dialogue.send(&commands::bdat(size, false))?,
            Due::End => dialogue.send(&commands::bdat(size, true))?,
            Due::Reset | Due::Verdict(_) | Due::Nothing => dialogue.send(&commands::rset())?,
        }
        let pipelining = plan.pipelining;
        self.due.push_back((number, due));
        if let Some(chunk) = chunk {
            // As long as its last bytes did not leave, a message is none.
            let (most, last) = chunk.split_at(chunk.len().saturating_sub(FLIGHT));
            if !most.is_empty() {
                dialogue.write(most).await?;
            }
            if due == Due::End {
                self.end_at(number, dialogue.position() + last.len() as u64);
            }
            dialogue.write(last).await?;
        }
        if pipelining || due == Due::End { Ok(()) } else { self.settle(dialogue, 0).await }
    }

    async fn send_data<C: Channel>(&mut self, dialogue: &mut Dialogue<C>, number: u64, body: &mut B) -> Result<()> {
        let mut encoder = Encoder::new(LineEncoder::for_data(self.under_way(number).plan.line_ends), &mut self.wire);
        while let Some(piece) = body.next().map_err(Error::local)?.filter(|piece| !piece.is_empty()) {
            self.feed(dialogue, number, &mut encoder, piece).await?;
        }
        self.finish(dialogue, number, encoder).await
    }

    async fn send_chunks<C: Channel>(
        &mut self,
        dialogue: &mut Dialogue<C>,
        number: u64,
        body: &mut B,
        size: usize,
    ) -> Result<()> {
        let ends = self.under_way(number).plan.line_ends;
        if let Some(message) = body.whole().filter(|message| is_canonical(message, ends)) {
            // In memory, and as the wire wants it: nothing is copied.
            let mut rest = message;
            while rest.len() > size {
                let (chunk, behind) = rest.split_at(size);
                if !self.chunk(dialogue, number, chunk).await? {
                    return Ok(());
                }
                rest = behind;
            }
            let bytes = message.len() as u64;
            dialogue.context.trace.emit(|| Event::Data { direction: Direction::Up, bytes });
            return self.say(dialogue, number, Due::End, Some(rest)).await;
        }
        let mut encoder = Encoder::new(LineEncoder::for_chunks(ends), &mut self.wire);
        while let Some(piece) = body.next().map_err(Error::local)?.filter(|piece| !piece.is_empty()) {
            self.feed(dialogue, number, &mut encoder, piece).await?;
            if self.under_way(number).stage == Stage::Over {
                return Ok(());
            }
        }
        self.finish(dialogue, number, encoder).await
    }

    /// A piece of a body on its way. Where the server refuses it meanwhile, the transaction is over.
    pub(super) async fn feed<C: Channel>(
        &mut self,
        dialogue: &mut Dialogue<C>,
        number: u64,
        encoder: &mut Encoder,
        piece: &[u8],
    ) -> Result<()> {
        encoder.size += piece.len() as u64;
        let chunk_size = self.under_way(number).plan.chunk_size;
        for part in piece.chunks(FLIGHT) {
            encoder.lines.push(part, &mut encoder.wire)?;
            match chunk_size {
                // One byte more than a chunk is known not to be the end.
                Some(size) if encoder.wire.len() > size => {
                    if !self.chunk(dialogue, number, &encoder.wire).await? {
                        return Ok(());
                    }
                    encoder.wire.clear();
                }
                None if encoder.wire.len() >= FLIGHT => {
                    dialogue.write(&encoder.wire).await?;
                    encoder.wire.clear();
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The end of a body.
    pub(super) async fn finish<C: Channel>(
        &mut self,
        dialogue: &mut Dialogue<C>,
        number: u64,
        encoder: Encoder,
    ) -> Result<()> {
        let Encoder { lines, mut wire, size } = encoder;
        lines.finish(&mut wire)?;
        dialogue.context.trace.emit(|| Event::Data { direction: Direction::Up, bytes: size });
        if self.under_way(number).plan.chunk_size.is_some() {
            self.say(dialogue, number, Due::End, Some(&wire)).await?;
        } else {
            self.end_at(number, dialogue.position() + wire.len() as u64);
            dialogue.write(&wire).await?;
        }
        self.wire = wire;
        Ok(())
    }

    /// The end of this message stands before `position`.
    fn end_at(&mut self, number: u64, position: u64) {
        let transaction = self.under_way(number);
        transaction.stage = Stage::Ended;
        transaction.ends_at = position;
    }

    /// A chunk that is not the last. `false` if the server will have no more of this message.
    async fn chunk<C: Channel>(&mut self, dialogue: &mut Dialogue<C>, number: u64, chunk: &[u8]) -> Result<bool> {
        self.say(dialogue, number, Due::Chunk, Some(chunk)).await?;
        // The envelope's verdicts come before the first chunk's: they are due, too.
        let ahead = if self.under_way(number).plan.pipelining { MOST_CHUNKS } else { 0 };
        self.settle(dialogue, ahead).await?;
        if self.under_way(number).refusal.is_none() {
            return Ok(true);
        }
        self.settle(dialogue, 0).await?;
        self.conclude(number);
        Ok(false)
    }

    /// Takes replies until at most `most` are due.
    async fn settle<C: Channel>(&mut self, dialogue: &mut Dialogue<C>, most: usize) -> Result<()> {
        while self.due.len() > most {
            self.settle_one(dialogue).await?;
        }
        Ok(())
    }

    /// Room for another command's reply. Half of what is outstanding is awaited, so that flights stay large.
    async fn make_room<C: Channel>(&mut self, dialogue: &mut Dialogue<C>) -> Result<()> {
        if self.due.len() < MOST_DUE { Ok(()) } else { self.settle(dialogue, MOST_DUE / 2).await }
    }

    async fn settle_one<C: Channel>(&mut self, dialogue: &mut Dialogue<C>) -> Result<()> {
        let Some(&(number, due)) = self.due.front() else { return Ok(()) };
        let phase = due.phase();
        let within = match phase {
            Phase::Data => Some(dialogue.context.timeouts.finish),
            _ => None,
        };
        let reply = dialogue.reply_within(within).await.map_err(|error| error.during(phase))?;
        self.due.pop_front();
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
    fn conclude(&mut self, number: u64) {
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

    /// The body cannot be had to its end: without its end a message is none.
    async fn abandon<C: Channel>(&mut self, dialogue: &mut Dialogue<C>, number: u64, error: Error) -> Result<()> {
        if self.under_way(number).plan.chunk_size.is_some() {
            self.settle(dialogue, 0).await?;
            self.needs_reset = true;
        } else {
            self.due.clear();
            dialogue.end("a message was begun and its body could not be had");
        }
        self.under_way(number).fail(error.during(Phase::Data));
        Ok(())
    }

    /// A server that refuses a body while it comes says why, then closes: the reason is worth more than the closing.
    async fn last_words<C: Channel>(&mut self, dialogue: &mut Dialogue<C>, error: Error) -> Error {
        if !matches!(error.kind(), ErrorKind::ClosedByPeer) {
            return error;
        }
        for _ in 0..self.due.len() {
            let Ok(reply) = dialogue.await_reply(LAST_WORDS).await else { break };
            if reply.code().is_transient_negative() || reply.code().is_permanent_negative() {
                return dialogue.context.explain(Error::rejected(reply).during(Phase::Data));
            }
            let Some((number, due)) = self.due.pop_front() else { break };
            if self.under_way(number).take(due, reply).is_err() {
                break;
            }
        }
        error.during(Phase::Data)
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

/// One message whose body comes in pieces from outside.
impl Pipeline<NoBody> {
    /// The envelope; `None` if the server will not have the body.
    pub(super) async fn begin<T: Transport>(
        &mut self,
        client: &mut Client<T>,
        envelope: Envelope,
    ) -> Result<Option<Encoder>> {
        client.ask_again_for(&envelope).await;
        let planned = self.plan(client, envelope, &mut NoBody);
        let transaction = planned.map_err(|error| client.dialogue.context.explain(error))?;
        let ends = transaction.plan.line_ends;
        let chunks = transaction.plan.chunk_size.is_some();
        self.messages.push_back(Message::UnderWay(Box::new(transaction), None));
        if let Err(error) = self.open(&mut client.dialogue, self.first).await {
            client.learn_from(&error, self.due.len());
            client.dialogue.end("the connection was lost in the middle of a message");
            return Err(error);
        }
        let lines = if chunks { LineEncoder::for_chunks(ends) } else { LineEncoder::for_data(ends) };
        let invited = self.under_way(self.first).stage == Stage::Body;
        Ok(invited.then(|| Encoder::new(lines, &mut self.wire)))
    }

    /// A piece of the body. `false` if the server will have no more of it.
    pub(super) async fn write<T: Transport>(
        &mut self,
        client: &mut Client<T>,
        encoder: &mut Encoder,
        piece: &[u8],
    ) -> Result<bool> {
        match self.feed(&mut client.dialogue, self.first, encoder, piece).await {
            Ok(()) => Ok(self.under_way(self.first).stage == Stage::Body),
            Err(error) => {
                client.learn_from(&error, self.due.len());
                Err(self.last_words(&mut client.dialogue, error).await)
            }
        }
    }

    /// The end of the body; what goes wrong is told by the report.
    pub(super) async fn end<T: Transport>(&mut self, client: &mut Client<T>, encoder: Encoder) {
        if let Err(error) = self.finish(&mut client.dialogue, self.first, encoder).await {
            let error = self.last_words(&mut client.dialogue, error).await;
            self.fail(&mut client.dialogue, error);
        }
    }
}

/// A body on its way, between its pieces.
#[derive(Debug)]
pub(super) struct Encoder {
    lines: LineEncoder,
    wire: Vec<u8>,
    size: u64,
}

impl Encoder {
    pub(super) fn new(lines: LineEncoder, wire: &mut Vec<u8>) -> Self {
        let mut wire = std::mem::take(wire);
        wire.clear();
        Self { lines, wire, size: 0 }
    }
}
