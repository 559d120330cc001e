//! Sending: one message at a time, many in flight, or one in pieces as they come.

use std::time::{Duration, Instant};

use super::body::{Body, MemoryBody};
use super::client::Client;
use super::commands;
use super::envelope::Envelope;
use super::outcome::DeliveryReport;
use super::pipeline::{Encoder, Pipeline};
use crate::error::{Error, Phase, Result};
use crate::transport::Transport;

/// A source that takes longer for a message than this is slow.
const PATIENCE: Duration = Duration::from_millis(1);

/// A body that its caller hands over in pieces.
#[derive(Debug)]
pub(super) struct NoBody;

impl Body for NoBody {
    fn size(&self) -> Option<u64> {
        None
    }

    fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        Ok(None)
    }

    fn rewind(&mut self) -> std::io::Result<bool> {
        Ok(false)
    }
}

/// A message in pieces.
#[derive(Debug)]
pub(super) enum Streaming {
    /// The server waits for more.
    Body(Encoder),
    /// The server will have no more of it: the report says why.
    Refused,
    /// A piece was cancelled, or failed: nobody knows how much of it left.
    Cut,
}

impl<T: Transport> Client<T> {
    /// Sends a message held in memory.
    ///
    /// Line ends are normalised to CRLF unless the envelope says otherwise. The size, and whether it has 8-bit content,
    /// are seen here and need not be set in the envelope. If the server has no room for all recipients in one
    /// transaction, the rest get one of their own.
    ///
    /// A refusal by the server, of one recipient or of the whole message, is no error but told by the report.
    ///
    /// # Errors
    /// The message was not sent: [`LimitExceeded`](crate::ErrorKind::LimitExceeded) if the server said that it takes no
    /// message of this size, [`InvalidState`](crate::ErrorKind::InvalidState) if the envelope asks for something that is
    /// not offered, [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for what cannot be said, all of them before
    /// anything is; and the connection's.
    pub async fn send(&mut self, envelope: &Envelope, message: &[u8]) -> Result<DeliveryReport> {
        self.send_body(envelope, MemoryBody::new(message)).await
    }

    /// Sends a message from wherever its bytes are, in constant memory.
    ///
    /// # Errors
    /// As [`Client::send`]; [`Local`](crate::ErrorKind::Local) if the bytes cannot be had. Then the session goes on
    /// where the server takes chunks, and is closed where it waits for the end of DATA.
    pub async fn send_body<B: Body>(&mut self, envelope: &Envelope, body: B) -> Result<DeliveryReport> {
        let mut pipeline = Pipeline::new();
        pipeline.push(self, envelope.clone(), body).await;
        pipeline.next(self).await.unwrap_or_else(|| Err(Error::invalid_state("the message has no report")))
    }

    /// Sends a message and says good-bye, in one flight where that is possible: where the server takes several commands
    /// at a time, and there is one recipient, so that no second transaction can become necessary.
    ///
    /// # Errors
    /// As [`Client::send_body`].
    pub async fn send_and_quit<B: Body>(mut self, envelope: &Envelope, body: B) -> Result<DeliveryReport> {
        let single = envelope.recipients.len() == 1 && self.abilities().pipelining;
        let mut pipeline = Pipeline::new();
        pipeline.push(&mut self, envelope.clone(), body).await;
        if single && pipeline.is_last_word() && self.dialogue.send(&commands::quit()).is_ok() {
            let report = pipeline.next(&mut self).await;
            if !self.dialogue.has_ended() {
                self.part().await;
            }
            self.dialogue.close().await;
            return report.unwrap_or_else(|| Err(Error::invalid_state("the message has no report")));
        }
        let report = pipeline.next(&mut self).await;
        self.quit().await;
        report.unwrap_or_else(|| Err(Error::invalid_state("the message has no report")))
    }

    /// Sends many messages, several of them in flight at a time, and gives the report of each, in their order.
    ///
    /// A message is taken from `messages` when there is room for it, so there may be any number of them.
    ///
    /// ```no_run
    /// # use starttls::{smtp::{Client, Envelope, MemoryBody}, transport::Blocking};
    /// # async fn f(client: &mut Client<Blocking>, letters: Vec<(Envelope, Vec<u8>)>) {
    /// let letters = letters.into_iter().map(|(envelope, letter)| (envelope, MemoryBody::new(letter)));
    /// let mut reports = client.send_many(letters);
    /// while let Some(report) = reports.next().await {
    ///     match report {
    ///         Ok(report) => println!("{}", report.outcome().as_str()),
    ///         Err(error) => println!("not sent: {error}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn send_many<B: Body, I>(&mut self, messages: I) -> SendMany<'_, T, B, I::IntoIter>
    where
        I: IntoIterator<Item = (Envelope, B)>,
    {
        let messages = Some(messages.into_iter());
        SendMany { client: self, pipeline: Pipeline::new(), messages, slow: false }
    }

    /// Begins a message: the envelope goes out. Then [`Client::write`] the body in pieces of any size, and
    /// [`Client::finish`]. If the server refuses every recipient, writing does nothing and the report says so.
    ///
    /// # Errors
    /// As [`Client::send`]; [`LimitExceeded`](crate::ErrorKind::LimitExceeded) too if the server said that it takes
    /// fewer recipients at a time.
    pub async fn begin(&mut self, envelope: &Envelope) -> Result<()> {
        self.idle()?;
        let mut pipeline = Pipeline::new();
        let begun = pipeline.begin(self, envelope.clone()).await?;
        self.streaming = Some(begun.map_or(Streaming::Refused, Streaming::Body));
        self.pipeline = pipeline;
        Ok(())
    }

    /// Sends the next piece of the body.
    ///
    /// # Errors
    /// The connection's: the message was not accepted. What the server said before it hung up is in the error.
    pub async fn write(&mut self, body: &[u8]) -> Result<()> {
        let Some(streaming) = &mut self.streaming else {
            return Err(self.dialogue.context.explain(Error::invalid_state("no message was begun on this session")));
        };
        let mut encoder = match std::mem::replace(streaming, Streaming::Cut) {
            Streaming::Body(encoder) => encoder,
            Streaming::Refused => {
                *streaming = Streaming::Refused;
                return Ok(());
            }
            Streaming::Cut => return Err(self.cut_short()),
        };
        let mut pipeline = std::mem::take(&mut self.pipeline);
        let outcome = pipeline.write(self, &mut encoder, body).await;
        self.pipeline = pipeline;
        match outcome {
            Ok(true) => self.streaming = Some(Streaming::Body(encoder)),
            Ok(false) => self.streaming = Some(Streaming::Refused),
            Err(error) => {
                self.streaming = None;
                self.dialogue.end("the connection was lost in the middle of a message");
                return Err(self.dialogue.context.explain(error));
            }
        }
        Ok(())
    }

    /// Ends the body and waits for the server's word.
    ///
    /// # Errors
    /// None once the end of the body may have left: then a lost connection is
    /// [`Outcome::Unknown`](super::Outcome::Unknown), told by the report.
    pub async fn finish(&mut self) -> Result<DeliveryReport> {
        let encoder = match self.streaming.take() {
            Some(Streaming::Body(encoder)) => Some(encoder),
            Some(Streaming::Refused) => None,
            Some(Streaming::Cut) => return Err(self.cut_short()),
            None => {
                let why = "no message was begun on this session";
                return Err(self.dialogue.context.explain(Error::invalid_state(why)));
            }
        };
        let mut pipeline = std::mem::take(&mut self.pipeline);
        if let Some(encoder) = encoder {
            pipeline.end(self, encoder).await;
        }
        let report = pipeline.next(self).await;
        report.unwrap_or_else(|| Err(Error::invalid_state("the message has no report")))
    }

    /// The error for a message of which a piece was cancelled.
    fn cut_short(&mut self) -> Error {
        self.dialogue.end("a write of a message was cancelled");
        self.streaming = None;
        let why = "a write of this message was cancelled: its end was not sent, and nothing was accepted";
        let error = Error::invalid_state(why).during(Phase::Data).advise("open a new session");
        self.dialogue.context.explain(error)
    }
}

/// Messages on their way; see [`Client::send_many`]. Dropping it while reports are outstanding closes the session for
/// further use.
#[derive(Debug)]
pub struct SendMany<'c, T: Transport, B, I> {
    client: &'c mut Client<T>,
    pipeline: Pipeline<B>,
    /// `None` once they are all taken.
    messages: Option<I>,
    /// Whether the last message was long in coming.
    slow: bool,
}

impl<T: Transport, B: Body, I: Iterator<Item = (Envelope, B)>> SendMany<'_, T, B, I> {
    /// The report of the next message; `None` when there are no more.
    ///
    /// # Errors
    /// Why the message was not sent.
    pub async fn next(&mut self) -> Option<Result<DeliveryReport>> {
        while let Some(messages) = self.messages.as_mut().filter(|_| self.pipeline.has_room()) {
            if self.slow {
                // Those that are gathered do not wait for who is slow to write the next.
                self.pipeline.flush(self.client).await;
            }
            let asked = Instant::now();
            let message = messages.next();
            self.slow = asked.elapsed() > PATIENCE;
            match message {
                Some((envelope, body)) => self.pipeline.push(self.client, envelope, body).await,
                None => self.messages = None,
            }
        }
        self.pipeline.next(self.client).await
    }
}
