//! One message: MAIL, RCPT, DATA, the body, and the verdicts (RFC 5321 §3.3, RFC 2920).
//!
//! ```text
//!   begin    MAIL RCPT RCPT … DATA      one flight where PIPELINING is offered; a verdict for each recipient
//!   write    body, dot-stuffed          up to here a failure means: not sent
//!   finish   .                          from its first byte until the reply, a failure means: unknown
//! ```

use super::address::{Envelope, Mailbox};
use super::client::Client;
use super::commands::{self, MailParameters};
use super::dot_stuffing::DotStuffing;
use super::outcome::{DeliveryReport, Outcome, RecipientVerdict};
use crate::dialogue::Dialogue;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::link::Channel;
use crate::reply::Reply;
use crate::trace::{Direction, Event};
use crate::transport::Transport;

/// How many RCPT go in one flight: their replies must fit the sockets' buffers, or both sides wait for ever.
const RECIPIENTS_PER_FLIGHT: usize = 100;

/// How much stuffed body is gathered before it is encrypted.
const BODY_FLIGHT: usize = 64 * 1024;

/// A message under way.
#[derive(Debug)]
pub(super) struct Transaction {
    recipients: Vec<RecipientVerdict>,
    stage: Stage,
    wire: Vec<u8>,
    /// Bytes of the body so far, before stuffing.
    size: u64,
}

#[derive(Debug)]
enum Stage {
    /// The server waits for the body.
    Body(DotStuffing),
    /// The server will not have it; its word.
    Refused(Reply),
    /// A write was cancelled: nobody knows how much of it left.
    Cut,
}

impl<T: Transport> Client<T> {
    /// Sends a message held in memory.
    ///
    /// Line ends are normalised to CRLF, dots are doubled. The size, and whether it has 8-bit content, are seen here and
    /// need not be set in the envelope.
    ///
    /// A refusal by the server, of one recipient or of the whole message, is no error but told by the report.
    ///
    /// # Errors
    /// As [`Client::begin`] and [`Client::write`].
    pub async fn send(&mut self, envelope: &Envelope, message: &[u8]) -> Result<DeliveryReport> {
        let mut envelope = envelope.clone();
        envelope.size = envelope.size.or(Some(message.len() as u64));
        envelope.eight_bit |= !message.is_ascii();
        self.begin(&envelope).await?;
        self.write(message).await?;
        self.finish().await
    }

    /// Begins a message: the envelope goes out, the server answers. Then [`Client::write`] the body in pieces of any
    /// size, and [`Client::finish`]. If the server refuses every recipient, writing does nothing and the report says so.
    ///
    /// # Errors
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) if the server said that it takes no message of this size, and
    /// [`InvalidState`](ErrorKind::InvalidState) if the envelope needs SMTPUTF8 and it is not offered, both before
    /// anything is sent. The connection's errors mean that nothing was accepted.
    pub async fn begin(&mut self, envelope: &Envelope) -> Result<()> {
        self.idle()?;
        let parameters = self.mail_parameters(envelope)?;
        let plan = Plan::new(envelope, &parameters)?;
        self.dialogue.ready().map_err(|error| error.during(Phase::Command))?;
        let begun = if self.extensions().offers("PIPELINING") {
            self.begin_pipelined(&plan).await
        } else {
            self.begin_stepwise(&plan).await
        };
        let transaction = begun.map_err(|error| error.during(Phase::Command))?;
        if matches!(transaction.stage, Stage::Refused(_)) && !self.dialogue.is_ended() {
            self.rset().await?;
        }
        if matches!(transaction.stage, Stage::Body(_)) {
            // What was said before the body would be taken for the verdict on it.
            self.dialogue.ready().map_err(|error| error.during(Phase::Data))?;
        }
        self.transaction = Some(transaction);
        Ok(())
    }

    fn mail_parameters(&self, envelope: &Envelope) -> Result<MailParameters> {
        let extensions = self.extensions();
        if let (Some(size), Some(limit)) = (envelope.size, extensions.size_limit())
            && size > limit
        {
            let why = format!("the message has {size} bytes and the server takes at most {limit}");
            return Err(self.dialogue.context.explain(Error::limit(why)));
        }
        let utf8 = envelope.needs_utf8();
        if utf8 && !extensions.offers("SMTPUTF8") {
            let why = "an address or the header needs SMTPUTF8, and the server does not offer it";
            return Err(self.dialogue.context.explain(Error::invalid_state(why)));
        }
        Ok(MailParameters {
            size: envelope.size.filter(|_| extensions.offers("SIZE")),
            eight_bit: envelope.eight_bit && extensions.offers("8BITMIME"),
            utf8,
        })
    }

    async fn begin_pipelined(&mut self, plan: &Plan) -> Result<Transaction> {
        let dialogue = &mut self.dialogue;
        let mut sender: Option<Reply> = None;
        let mut recipients = Vec::with_capacity(plan.recipients.len());
        let mut flights = plan.recipients.chunks(RECIPIENTS_PER_FLIGHT).peekable();
        dialogue.send(&plan.mail)?;
        while let Some(flight) = flights.next() {
            for recipient in flight {
                dialogue.send(&commands::rcpt(recipient)?)?;
            }
            let last = flights.peek().is_none();
            if last {
                dialogue.send(&commands::data())?;
            }
            if sender.is_none() {
                sender = Some(dialogue.reply().await?);
            }
            for recipient in flight {
                recipients.push(RecipientVerdict { recipient: recipient.clone(), reply: dialogue.reply().await? });
            }
        }
        let sender = sender.expect("an envelope has a recipient, so there was a flight");
        let data = dialogue.reply().await?;
        let nobody = !recipients.iter().any(RecipientVerdict::is_accepted);
        if data.code() == 354 && !nobody && !sender.code().is_completion() {
            dialogue.end("the server's answers to an envelope contradict each other");
            let error = Error::violation("the server refuses the sender and asks for the body").with_reply(data);
            return Err(dialogue.context.explain(error));
        }
        let refusal = if data.code() == 354 && nobody {
            // The server waits for a body that is for nobody: it gets an empty one (RFC 2920 §3.1).
            dialogue.write(b".\r\n").await?;
            dialogue.owe();
            dialogue.reply().await?;
            Some(recipients[0].reply.clone())
        } else if data.code() == 354 {
            None
        } else {
            refusal_of_data(dialogue, &data)?;
            // The first no is the reason for those behind it.
            Some(if sender.code().is_completion() { data } else { sender })
        };
        Ok(Transaction::new(recipients, refusal))
    }

    async fn begin_stepwise(&mut self, plan: &Plan) -> Result<Transaction> {
        let dialogue = &mut self.dialogue;
        let sender = dialogue.exchange(&plan.mail).await?;
        if !sender.code().is_completion() {
            let refused = |r: &Mailbox| RecipientVerdict { recipient: r.clone(), reply: sender.clone() };
            return Ok(Transaction::new(plan.recipients.iter().map(refused).collect(), Some(sender)));
        }
        let mut recipients = Vec::with_capacity(plan.recipients.len());
        for recipient in &plan.recipients {
            let reply = dialogue.exchange(&commands::rcpt(recipient)?).await?;
            recipients.push(RecipientVerdict { recipient: recipient.clone(), reply });
        }
        if !recipients.iter().any(RecipientVerdict::is_accepted) {
            let first = recipients[0].reply.clone();
            return Ok(Transaction::new(recipients, Some(first)));
        }
        let data = dialogue.exchange(&commands::data()).await?;
        let refusal = match data.code().number() {
            354 => None,
            _ => {
                refusal_of_data(dialogue, &data)?;
                Some(data)
            }
        };
        Ok(Transaction::new(recipients, refusal))
    }

    /// Sends the next piece of the body.
    ///
    /// # Errors
    /// The connection's: the message was not accepted. What the server said before it hung up is in the error.
    pub async fn write(&mut self, body: &[u8]) -> Result<()> {
        let Some(Transaction { stage, wire, size, .. }) = &mut self.transaction else {
            return Err(self.dialogue.context.explain(Error::invalid_state("no message was begun on this session")));
        };
        let mut stuffing = match std::mem::replace(stage, Stage::Cut) {
            Stage::Body(stuffing) => stuffing,
            refused @ Stage::Refused(_) => {
                *stage = refused;
                return Ok(());
            }
            Stage::Cut => return Err(self.cut_short()),
        };
        *size += body.len() as u64;
        for piece in body.chunks(BODY_FLIGHT) {
            stuffing.push(piece, wire);
            if wire.len() >= BODY_FLIGHT {
                if let Err(error) = self.dialogue.write(wire).await {
                    return Err(self.last_words(error).await);
                }
                wire.clear();
            }
        }
        *stage = Stage::Body(stuffing);
        Ok(())
    }

    /// The error for a message of which a write was cancelled.
    fn cut_short(&mut self) -> Error {
        self.dialogue.end("a write of a message was cancelled");
        let why = "a write of this message was cancelled: its end was not sent, and nothing was accepted";
        self.dialogue.context.explain(Error::invalid_state(why).advise("open a new session"))
    }

    /// A server that refuses a body while it comes says why, then closes: the reason is worth more than the closing.
    async fn last_words(&mut self, error: Error) -> Error {
        self.transaction = None;
        let said = match error.kind() {
            ErrorKind::ClosedByPeer => self.dialogue.await_reply(std::time::Duration::from_secs(1)).await.ok(),
            _ => None,
        };
        self.dialogue.end("the connection was lost in the middle of a message");
        match said {
            Some(reply) => self.dialogue.context.explain(Error::rejected(reply).during(Phase::Data)),
            None => error.during(Phase::Data),
        }
    }

    /// Ends the body and waits for the server's word.
    ///
    /// # Errors
    /// None once the end of the body may have left: then a lost connection is [`Outcome::Unknown`], told by the report.
    pub async fn finish(&mut self) -> Result<DeliveryReport> {
        let Some(Transaction { mut recipients, stage, mut wire, size }) = self.transaction.take() else {
            return Err(self.dialogue.context.explain(Error::invalid_state("no message was begun on this session")));
        };
        let tls = self.dialogue.tls().cloned();
        let stuffing = match stage {
            Stage::Body(stuffing) => stuffing,
            Stage::Cut => return Err(self.cut_short()),
            Stage::Refused(reply) => {
                return Ok(DeliveryReport {
                    outcome: Outcome::Refused,
                    recipients,
                    reply: Some(reply),
                    error: None,
                    tls,
                });
            }
        };
        stuffing.finish(&mut wire);
        self.dialogue.context.trace.emit(|| Event::Data { direction: Direction::Up, bytes: size });
        self.dialogue.owe();
        let (outcome, reply, error) = match self.commit(&wire).await {
            Ok(reply) if reply.code().is_completion() => {
                let partial = recipients.iter().any(|verdict| !verdict.is_accepted());
                (if partial { Outcome::Partial } else { Outcome::Accepted }, Some(reply), None)
            }
            Ok(reply) if reply.code().is_transient_negative() || reply.code().is_permanent_negative() => {
                refuse(&mut recipients, &reply);
                (Outcome::Refused, Some(reply), None)
            }
            // Anything else is no verdict on the message.
            Ok(reply) => {
                self.dialogue.end("the server answered a message with nonsense");
                let error = Error::violation("this is no answer to a message").with_reply(reply);
                (Outcome::Unknown, None, Some(self.dialogue.context.explain(error.during(Phase::Data))))
            }
            Err(error) => {
                self.dialogue.end("the connection was lost at the end of a message");
                (Outcome::Unknown, None, Some(error.during(Phase::Data)))
            }
        };
        Ok(DeliveryReport { outcome, recipients, reply, error, tls })
    }

    async fn commit(&mut self, wire: &[u8]) -> Result<Reply> {
        self.dialogue.write(wire).await?;
        self.dialogue.flush().await?;
        let within = self.dialogue.context.timeouts.finish;
        self.dialogue.await_reply(within).await
    }
}

impl Transaction {
    fn new(mut recipients: Vec<RecipientVerdict>, refusal: Option<Reply>) -> Self {
        let stage = match refusal {
            None => Stage::Body(DotStuffing::new()),
            Some(reply) => {
                refuse(&mut recipients, &reply);
                Stage::Refused(reply)
            }
        };
        Self { recipients, stage, wire: Vec::new(), size: 0 }
    }
}

/// The message was refused as a whole: that is the verdict for those who were accepted so far.
fn refuse(recipients: &mut [RecipientVerdict], reply: &Reply) {
    for verdict in recipients.iter_mut().filter(|verdict| verdict.is_accepted()) {
        verdict.reply = reply.clone();
    }
}

/// DATA has three answers: go on, not now, never. Anything else is no verdict and no invitation.
fn refusal_of_data<C: Channel>(dialogue: &mut Dialogue<C>, reply: &Reply) -> Result<()> {
    if reply.code().is_transient_negative() || reply.code().is_permanent_negative() {
        return Ok(());
    }
    dialogue.end("the server answered DATA with nonsense");
    let error = Error::violation("DATA is answered with 354 or a refusal").with_reply(reply.clone());
    Err(dialogue.context.explain(error))
}

/// What will be said, checked before the first byte is.
struct Plan {
    mail: crate::line::Line,
    recipients: Vec<Mailbox>,
}

impl Plan {
    fn new(envelope: &Envelope, parameters: &MailParameters) -> Result<Self> {
        if envelope.recipients.is_empty() {
            return Err(Error::invalid_argument("a message needs at least one recipient"));
        }
        // Without SMTPUTF8 a domain goes as A-labels; with it, as it is written.
        let ascii = |mailbox: &Mailbox| {
            if parameters.utf8 { Ok(mailbox.clone()) } else { mailbox.with_ascii_domain() }
        };
        let sender = envelope.sender.as_ref().map(ascii).transpose()?;
        let recipients = envelope.recipients.iter().map(ascii).collect::<Result<_>>()?;
        Ok(Self { mail: commands::mail(sender.as_ref(), parameters)?, recipients })
    }
}
