//! A submission session: from the greeting to QUIT.

use std::time::Duration;

use super::commands;
use super::connect::hello;
use super::extensions::Extensions;
use super::memory::Facts;
use super::pipeline::Pipeline;
use super::plan::Abilities;
use super::sasl::LoginInfo;
use super::send::{NoBody, Streaming};
use super::settings::Settings;
use crate::dialogue::Dialogue;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::line::Line;
use crate::link::Link;
use crate::reply::Reply;
use crate::tls::TlsInfo;
use crate::transport::Transport;

/// How long good-bye waits for its answer.
const GOOD_BYE: Duration = Duration::from_secs(10);

/// A submission session over any transport.
pub struct Client<T: Transport> {
    pub(super) dialogue: Dialogue<Link<T::Stream>>,
    pub(super) settings: Settings,
    /// What was known of the server when the session began, and is learnt in it.
    pub(super) known: Facts,
    /// Transactions so far.
    pub(super) messages: usize,
    /// A refused message may have left its envelope open: RSET goes ahead of the next one, in the same flight.
    pub(super) needs_reset: bool,
    /// A message whose body comes in pieces; its transaction is in the pipeline.
    pub(super) streaming: Option<Streaming>,
    pub(super) pipeline: Pipeline<NoBody>,
    pub(super) extensions: Extensions,
    pub(super) login: Option<LoginInfo>,
    pub(super) asked_after_login: bool,
    pub(super) offered_in_clear: Option<Extensions>,
    pub(super) greeting: Reply,
}

impl<T: Transport> Client<T> {
    /// What the server offers now.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// What it offered before STARTTLS: to look at, never to act upon.
    pub fn offered_in_clear(&self) -> Option<&Extensions> {
        self.offered_in_clear.as_ref()
    }

    /// The server's greeting.
    pub fn greeting(&self) -> &Reply {
        &self.greeting
    }

    /// What TLS agreed; `None` in clear text.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.dialogue.tls().map(AsRef::as_ref)
    }

    /// Whether the session can send no more: closed, failed, or cancelled in the middle of an exchange.
    pub fn is_closed(&self) -> bool {
        self.dialogue.is_ended()
    }

    /// Whether the connection is over. Unlike [`is_closed`](Client::is_closed) this is no while messages are in flight.
    pub fn is_lost(&self) -> bool {
        self.dialogue.has_ended()
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected), or the connection's.
    pub async fn noop(&mut self) -> Result<Reply> {
        self.idle()?;
        self.expect_completion(&commands::noop()).await
    }

    /// Forgets a transaction that was begun and not finished.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected), or the connection's.
    pub async fn rset(&mut self) -> Result<Reply> {
        self.idle()?;
        self.needs_reset = false;
        self.expect_completion(&commands::rset()).await
    }

    /// Says good-bye and closes. Whether the server answers or just closes is the same to us, so this cannot fail.
    pub async fn quit(mut self) {
        if self.streaming.is_none() && self.dialogue.ready().is_ok() && self.dialogue.send(&commands::quit()).is_ok() {
            self.part().await;
        }
        self.dialogue.close().await;
    }

    /// Waits for the answer to a good-bye that was said, not for long.
    pub(super) async fn part(&mut self) {
        let within = self.dialogue.context.timeouts.reply.min(GOOD_BYE);
        let _ = self.dialogue.reply_within(Some(within)).await;
    }

    /// What of the server's extensions is made use of.
    pub(super) fn abilities(&self) -> Abilities<'_> {
        let offers = |keyword| self.extensions.offers(keyword);
        Abilities {
            extensions: &self.extensions,
            pipelining: self.settings.pipelining && offers("PIPELINING") && !self.known.pipelining_broke,
            chunking: self.settings.chunking && offers("CHUNKING") && !self.known.chunking_broke,
            chunk_size: self.settings.chunk_size.max(1),
            lmtp: self.settings.lmtp,
            secure: self.dialogue.is_secure(),
        }
    }

    /// Some servers offer more to those who logged in, in an EHLO that comes after. It is asked once, by who needs more;
    /// whether there was an answer.
    pub(super) async fn ask_again(&mut self) -> bool {
        if self.login.is_none() || self.asked_after_login || self.idle().is_err() || self.dialogue.ready().is_err() {
            return false;
        }
        self.asked_after_login = true;
        let answer = hello(&mut self.dialogue, &self.settings).await;
        answer.map(|extensions| self.extensions = extensions).is_ok()
    }

    /// Whether the server takes another message on this connection, as far as it says (RFC 9422 §4, MAILMAX). If not, a
    /// new session does; a [`Pool`](super::Pool) opens it by itself.
    pub fn takes_more(&self) -> bool {
        self.extensions.limits().messages.is_none_or(|limit| self.messages < limit)
    }

    /// Another transaction on this connection, if the server takes one more.
    pub(super) fn count_message(&mut self) -> Result<()> {
        if !self.takes_more() {
            let why = format!("the server takes {} messages on one connection", self.messages);
            return Err(Error::invalid_state(why).advise("open a new session"));
        }
        self.messages += 1;
        Ok(())
    }

    /// What broke is not used again, on this session or any other of this process.
    pub(super) fn learn_from(&mut self, error: &Error, unanswered: usize) {
        // The caller's own limit, if that was it, says nothing about the server.
        let silent = matches!(error.kind(), ErrorKind::TimedOut) && !self.dialogue.context.is_out_of_time();
        let pipelining =
            self.abilities().pipelining && silent && unanswered > 1 && error.phase() == Some(Phase::Command);
        let chunking = matches!(error.kind(), ErrorKind::ProtocolViolation(_))
            && error.reply().is_some_and(|reply| matches!(reply.code().number(), 500 | 502 | 504));
        self.known.pipelining_broke |= pipelining;
        self.known.chunking_broke |= chunking;
        if pipelining || chunking {
            self.settings.memory.learn(self.dialogue.context.endpoint(), |facts| {
                facts.pipelining_broke |= pipelining;
                facts.chunking_broke |= chunking;
            });
        }
    }

    pub(super) async fn expect_completion(&mut self, line: &Line) -> Result<Reply> {
        let reply = self.dialogue.exchange(line).await.map_err(|error| error.during(Phase::Command))?;
        if reply.code().is_completion() {
            return Ok(reply);
        }
        Err(self.dialogue.context.explain(Error::rejected(reply).during(Phase::Command)))
    }

    /// No message is under way: an operation can begin.
    pub(super) fn idle(&mut self) -> Result<()> {
        if self.streaming.is_some() {
            let why = "a message is under way on this session: finish it, or close the session";
            return Err(self.dialogue.context.explain(Error::invalid_state(why)));
        }
        self.dialogue.context.begin_operation();
        Ok(())
    }
}

impl<T: Transport> std::fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("smtp::Client")
            .field("server", &self.dialogue.context.endpoint())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
