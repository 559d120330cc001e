//! What a message says: its envelope, its body, its end.

use super::{FLIGHT, MOST_CHUNKS, MOST_LARGE_CHUNKS, Pipeline};
use crate::dialogue::Dialogue;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::link::Channel;
use crate::smtp::body::Body;
use crate::smtp::commands;
use crate::smtp::lines::{LineEncoder, is_canonical};
use crate::smtp::transaction::{Due, Stage};
use crate::trace::{Direction, Event};

impl<B: Body> Pipeline<B> {
    /// The whole of a message, up to the end of its body.
    pub(super) async fn send<C: Channel>(&mut self, dialogue: &mut Dialogue<C>, number: u64) -> Result<()> {
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
            Err(error) => Err(self.last_words(dialogue, number, error).await),
            Ok(()) => Ok(()),
        }
    }

    /// The envelope, as far as the body's beginning.
    pub(super) async fn open<C: Channel>(&mut self, dialogue: &mut Dialogue<C>, number: u64) -> Result<()> {
        let plan = &self.under_way(number).plan;
        let (pipelining, chunks, all_or_none) = (plan.pipelining, plan.chunk_size.is_some(), plan.all_or_none);
        if !pipelining {
            // Not even the end of the message before may share its flight (RFC 2920 §3.1).
            self.settle(dialogue, 0).await?;
        }
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
    pub(super) async fn say<C: Channel>(
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

    pub(super) async fn send_data<C: Channel>(
        &mut self,
        dialogue: &mut Dialogue<C>,
        number: u64,
        body: &mut B,
    ) -> Result<()> {
        let mut encoder = Encoder::new(LineEncoder::for_data(self.under_way(number).plan.line_ends), &mut self.wire);
        while let Some(piece) = body.next().map_err(Error::local)?.filter(|piece| !piece.is_empty()) {
            self.feed(dialogue, number, &mut encoder, piece).await?;
        }
        self.finish(dialogue, number, encoder).await
    }

    pub(super) async fn send_chunks<C: Channel>(
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
            self.say(dialogue, number, Due::End, Some(rest)).await?;
            dialogue.context.trace.emit(|| Event::Data { direction: Direction::Up, bytes });
            return Ok(());
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
                // What is more than a chunk is known not to be the end.
                Some(size) => {
                    let mut sent = 0;
                    while encoder.wire.len() - sent > size {
                        if !self.chunk(dialogue, number, &encoder.wire[sent..sent + size]).await? {
                            return Ok(());
                        }
                        sent += size;
                    }
                    encoder.wire.drain(..sent);
                }
                None if encoder.wire.len() >= FLIGHT => {
                    dialogue.write(&encoder.wire).await?;
                    encoder.wire.clear();
                }
                None => {}
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
        let told = Event::Data { direction: Direction::Up, bytes: size };
        if self.under_way(number).plan.chunk_size.is_some() {
            self.say(dialogue, number, Due::End, Some(&wire)).await?;
            dialogue.context.trace.emit(|| told);
        } else {
            dialogue.context.trace.emit(|| told);
            self.end_at(number, dialogue.position() + wire.len() as u64);
            dialogue.write(&wire).await?;
        }
        self.wire = wire;
        Ok(())
    }

    /// The end of this message stands before `position`.
    pub(super) fn end_at(&mut self, number: u64, position: u64) {
        let transaction = self.under_way(number);
        transaction.stage = Stage::Ended;
        transaction.ends_at = position;
    }

    /// A chunk that is not the last. `false` if the server will have no more of this message.
    pub(super) async fn chunk<C: Channel>(
        &mut self,
        dialogue: &mut Dialogue<C>,
        number: u64,
        chunk: &[u8],
    ) -> Result<bool> {
        self.say(dialogue, number, Due::Chunk, Some(chunk)).await?;
        // The envelope's verdicts come before the first chunk's: they are due, too.
        let ahead = match self.under_way(number).plan.pipelining {
            true if chunk.len() < FLIGHT => MOST_CHUNKS,
            true => MOST_LARGE_CHUNKS,
            false => 0,
        };
        self.settle(dialogue, ahead).await?;
        if self.under_way(number).refusal.is_none() {
            return Ok(true);
        }
        self.settle(dialogue, 0).await?;
        self.conclude(number);
        Ok(false)
    }

    /// The body cannot be had to its end: without its end a message is none.
    pub(super) async fn abandon<C: Channel>(
        &mut self,
        dialogue: &mut Dialogue<C>,
        number: u64,
        error: Error,
    ) -> Result<()> {
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
}

/// A body on its way, between its pieces.
#[derive(Debug)]
pub(in crate::smtp) struct Encoder {
    lines: LineEncoder,
    wire: Vec<u8>,
    size: u64,
}

impl Encoder {
    pub(in crate::smtp) fn new(lines: LineEncoder, wire: &mut Vec<u8>) -> Self {
        let mut wire = std::mem::take(wire);
        wire.clear();
        Self { lines, wire, size: 0 }
    }
}
