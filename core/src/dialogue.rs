//! What SMTP and FTP conversations have in common: flights of commands out, replies in, in order, or not at all.
//!
//! ```text
//!   send ── send ── … ── reply ── reply ── …        owed: replies to commands sent and not yet answered
//!
//!   ready():  owed = 0, inbox empty     else the session is poisoned: whose answer would the next reply be?
//! ```
//!
//! A cancelled or failed exchange leaves `owed` above zero, so that the next use is a clear error and never another
//! reply's answer. No verb is known here, and of the codes only 421, which is about the connection itself.

mod context;
mod flight;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::context::Context;
use crate::error::{Error, ErrorKind, Phase, Result, TlsFault};
use crate::line::Line;
use crate::link::{Channel, Link, Plain, Secure};
use crate::mismatch;
use crate::options::Options;
use crate::reply::{Assembler, Budget, Dialect, Reply, printable};
use crate::tls::{ChannelBinding, ServerName, TlsInfo, TlsSession};
use crate::trace::{self, Event};
use crate::transport::{Endpoint, Purpose, Stream, Transport, Unreached};

/// A conversation over a channel.
pub(crate) struct Dialogue<C> {
    channel: C,
    /// Commands, and small pieces of content, that leave together: in one write, and in as few records as they need.
    flight: Vec<u8>,
    /// Whether a secret is among them.
    flight_is_secret: bool,
    /// Bytes that were in flights before this one.
    launched: u64,
    /// A reply that has begun: whoever does not wait for its end leaves it to whoever listens next.
    begun: Option<Assembler>,
    pub(crate) context: Context,
}

/// Opens the control connection, in clear text, with nothing said.
pub(crate) async fn dial<T: Transport>(
    transport: &T,
    endpoint: &Endpoint,
    options: &Options,
    dialect: Dialect,
) -> Result<(T::Stream, Context)> {
    let peer = endpoint.to_string();
    let mut context = Context::new(dialect, endpoint, options);
    context.begin_operation();
    let stream = transport.connect(endpoint, Purpose::Control, context.within(options.timeouts.connect)).await;
    let stream = stream.map_err(|error| connect_error(error, &peer))?;
    context.trace.emit(|| Event::Connected { channel: trace::Channel::Control, peer });
    Ok((stream, context))
}

/// The transport's error on connecting, with its phase and remedy.
pub(crate) fn connect_error(error: std::io::Error, peer: &str) -> Error {
    let unreached = error.get_ref().and_then(|inner| inner.downcast_ref::<Unreached>());
    let told = unreached.filter(|unreached| !matches!(unreached.attempts(), [(one, _)] if one.to_string() == peer));
    let told = told.map(ToString::to_string);
    let error = Error::from(error).with_peer(peer);
    let error = told.into_iter().fold(error, Error::tell);
    let (phase, advice) = match error.kind() {
        ErrorKind::NameUnresolvable => (Phase::Resolve, "check the spelling of the host and the name service"),
        ErrorKind::ConnectionRefused => (Phase::Connect, "check the port, and whether the server runs"),
        ErrorKind::AccessDenied => (Phase::Connect, "the host that runs this program must allow this address"),
        ErrorKind::TimedOut => (Phase::Connect, "a firewall may drop the packets, or the host is down"),
        ErrorKind::Unreachable => (Phase::Connect, "check the network and the address"),
        _ => return error.during(Phase::Connect),
    };
    error.during(phase).advise(advice)
}

impl<S: Stream> Dialogue<Plain<S>> {
    pub(crate) fn plain(stream: S, context: Context) -> Self {
        Self::over(Plain::new(stream), context)
    }

    /// Makes the connection TLS, in place, after the server agreed to it.
    pub(crate) async fn secure(mut self, tls: &TlsSession, name: &ServerName) -> Result<Dialogue<Secure<S>>> {
        self.channel.set_deadline(self.context.within(self.context.timeouts.handshake));
        let Self { channel, context, .. } = self;
        match channel.secure(tls, name).await {
            Ok(channel) => Ok(Dialogue::over(channel, context).secured()),
            Err(error) => Err(context.explain(error.during(Phase::Handshake))),
        }
    }
}

impl<S: Stream> Dialogue<Secure<S>> {
    /// TLS from the first byte.
    pub(crate) async fn implicit(mut stream: S, context: Context, tls: &TlsSession, name: &ServerName) -> Result<Self> {
        stream.set_deadline(context.within(context.timeouts.handshake));
        match Secure::implicit(stream, tls, name).await {
            Ok(channel) => Ok(Self::over(channel, context).secured()),
            Err(error) => {
                let advice = match error.kind() {
                    ErrorKind::Tls(TlsFault::PlaintextInsideTls(words)) => {
                        Some(mismatch::clear_text_came(context.dialect, &context.endpoint, words))
                    }
                    _ => None,
                };
                let error = context.explain(error.during(Phase::Handshake));
                Err(advice.into_iter().fold(error, Error::advise))
            }
        }
    }

    fn secured(self) -> Self {
        if let Some(tls) = self.channel.tls() {
            let tls = tls.clone();
            self.context.trace.emit(|| Event::Secured { channel: trace::Channel::Control, tls });
        }
        self
    }
}

impl<S> From<Dialogue<Plain<S>>> for Dialogue<Link<S>> {
    fn from(Dialogue { channel, context, .. }: Dialogue<Plain<S>>) -> Self {
        Self::over(Link::Plain(channel), context)
    }
}

impl<S> From<Dialogue<Secure<S>>> for Dialogue<Link<S>> {
    fn from(Dialogue { channel, context, .. }: Dialogue<Secure<S>>) -> Self {
        Self::over(Link::Secure(Box::new(channel)), context)
    }
}

impl<C> Dialogue<C> {
    pub(crate) fn over(channel: C, context: Context) -> Self {
        Self { channel, flight: Vec::new(), flight_is_secret: false, launched: 0, begun: None, context }
    }

    /// The conversation is over, and somebody else has something to say.
    pub(crate) fn into_channel(self) -> C {
        self.channel
    }
}

impl<C: Channel> Dialogue<C> {
    /// Whether a command can be sent: nothing is owed, nothing waits, the connection is alive.
    ///
    /// # Errors
    /// `InvalidState` where not; the server's own words if it said good-bye (421) meanwhile; `Unsolicited` if it said
    /// anything else, since that could be taken for the next command's answer.
    pub(crate) fn ready(&mut self) -> Result<()> {
        if let Some(why) = self.context.ended {
            return Err(self.context.explain(Error::invalid_state(why).advise("open a new session")));
        }
        if self.context.owed > 0 {
            let why = "an earlier exchange on this session was cancelled or failed: its replies may still come";
            return Err(self.context.explain(Error::invalid_state(why).advise("open a new session")));
        }
        if self.channel.inbox().is_empty() {
            return Ok(());
        }
        self.context.ended = Some("the server spoke while no reply was due");
        let mut assembler = Assembler::new(self.context.dialect, Budget::DEFAULT);
        let lone = self.channel.inbox().take_line(Budget::DEFAULT.line).ok().flatten();
        let said = lone.as_deref().and_then(|line| assembler.push(line).ok().flatten());
        let error = match said {
            Some(reply) if reply.code().is_closing() && self.channel.inbox().is_empty() => Error::rejected(reply),
            _ => {
                let text = lone.map_or_else(|| self.channel.inbox().sample(), |line| printable(&line));
                Error::new(ErrorKind::Unsolicited(text))
            }
        };
        Err(self.context.explain(error))
    }

    /// The next reply owed. If it is not there yet, it may take so long from now, or as long as its flight has left.
    pub(crate) async fn reply_within(&mut self, within: Option<Duration>) -> Result<Reply> {
        if let Some(within) = within
            && !self.channel.inbox().has_line()
        {
            self.flush().await?;
            self.channel.set_deadline(self.context.within(within));
        }
        self.reply().await
    }

    /// The next reply owed, after sending what is queued. A preliminary reply (1yz) leaves its command owed.
    pub(crate) async fn reply(&mut self) -> Result<Reply> {
        self.flush().await?;
        self.listen().await
    }

    /// The next reply owed, where nothing more can be sent.
    pub(crate) async fn hear(&mut self, within: Duration) -> Result<Reply> {
        self.channel.set_deadline(self.context.within(within));
        self.listen().await
    }

    async fn listen(&mut self) -> Result<Reply> {
        match self.receive().await {
            Ok(reply) => {
                if !reply.code().is_preliminary() {
                    self.context.owed = self.context.owed.saturating_sub(1);
                }
                if reply.code().is_closing() {
                    self.context.ended = Some("the server closed this session (421)");
                    self.context.farewell = Some(reply.clone());
                }
                Ok(reply)
            }
            Err(error) => {
                self.context.fail(&error);
                let error = match (self.context.farewell.take(), error.kind()) {
                    (Some(farewell), ErrorKind::ClosedByPeer | ErrorKind::Truncated) => Error::rejected(farewell),
                    _ => error,
                };
                Err(self.context.explain(error))
            }
        }
    }

    async fn receive(&mut self) -> Result<Reply> {
        let budget = Budget::DEFAULT;
        loop {
            let Some(line) = self.channel.inbox().next_line(budget.line)? else {
                if self.channel.fill_for_line().await? {
                    continue;
                }
                return Err(Error::new(ErrorKind::ClosedByPeer));
            };
            // FTP's replies hold ports, sizes and paths, of which a password like 1234 may be a part: what is read there
            // is not scrubbed, only what is shown.
            let scrubbed = self.context.dialect == Dialect::Smtp && !self.context.verbatim;
            let line = if scrubbed { self.context.without_secrets(line) } else { Cow::Borrowed(line) };
            self.context.trace.emit(|| Event::Received(printable(&self.context.without_secrets(&line))));
            let begun = self.begun.get_or_insert_with(|| Assembler::new(self.context.dialect, budget));
            if let Some(reply) = begun.push(&line)? {
                self.begun = None;
                return Ok(reply);
            }
        }
    }

    /// A command alone in its flight, and its reply, whatever it says.
    pub(crate) async fn exchange(&mut self, line: &Line) -> Result<Reply> {
        self.ready()?;
        self.send(line)?;
        self.reply().await
    }

    /// The server's first reply.
    pub(crate) async fn greeting(&mut self) -> Result<Reply> {
        let within = self.context.timeouts.reply;
        let outcome = self.await_reply(within).await;
        let Context { dialect, ref endpoint, .. } = self.context;
        match outcome {
            Ok(reply) => {
                self.context.stranger = mismatch::strange_greeting(dialect, endpoint, &reply);
                Ok(reply)
            }
            Err(error) => {
                let clear = self.channel.tls().is_none();
                // A TLS server waits for the client to speak first, or answers clear text with an alert record.
                let alert = self.channel.inbox().as_slice().starts_with(&[21, 3]);
                let advice = match error.kind() {
                    ErrorKind::ProtocolViolation(words) => words
                        .split_once('"')
                        .and_then(|(_, words)| mismatch::stranger(dialect, endpoint, words))
                        .or_else(|| (clear && alert).then(|| mismatch::no_greeting_came(dialect, endpoint, true))),
                    ErrorKind::TimedOut | ErrorKind::ClosedByPeer if clear => {
                        Some(mismatch::no_greeting_came(dialect, endpoint, alert))
                    }
                    _ if clear && alert => Some(mismatch::no_greeting_came(dialect, endpoint, true)),
                    _ => None,
                };
                Err(advice.into_iter().fold(error.during(Phase::Greeting), Error::advise))
            }
        }
    }

    /// Whether something comes within that time. If not, nothing is lost: it may come later.
    pub(crate) async fn is_answered_within(&mut self, within: Duration) -> bool {
        if !self.channel.inbox().has_line() {
            self.channel.set_deadline(self.context.within(within));
            if let Err(error) = self.channel.fill_for_line().await {
                return !matches!(error.kind(), ErrorKind::TimedOut);
            }
        }
        true
    }

    /// A reply that no command asked for, or that has a time of its own.
    pub(crate) async fn await_reply(&mut self, within: Duration) -> Result<Reply> {
        self.flush().await?;
        self.channel.set_deadline(self.context.within(within));
        self.context.owed = self.context.owed.max(1);
        self.reply().await
    }

    /// Whether replies are owed, to commands nobody waited for.
    pub(crate) fn is_owed(&self) -> bool {
        self.context.owed > 0
    }

    /// Nothing is owed any more: a reply came that only the last command can have.
    pub(crate) fn settle(&mut self) {
        self.context.owed = 0;
    }

    /// A reply is owed for content that was written.
    pub(crate) fn owe(&mut self) {
        self.context.owed += 1;
    }

    /// Ends our direction after good-bye. Whether the server still listens is of no interest.
    pub(crate) async fn close(&mut self) {
        self.context.ended = Some("this session is closed");
        let _ = self.channel.close().await;
        self.context.trace.emit(|| Event::Closed { channel: trace::Channel::Control });
    }

    /// [`Dialogue::close`] without good-bye, and with little patience.
    pub(crate) async fn hang_up(&mut self, within: Duration) {
        self.end("this session is closed");
        self.channel.set_deadline(self.context.within(within));
        let _ = self.channel.close().await;
        self.context.trace.emit(|| Event::Closed { channel: trace::Channel::Control });
    }

    pub(crate) fn end(&mut self, why: &'static str) {
        self.context.ended.get_or_insert(why);
    }

    /// Whether nothing more can be said, as opposed to: not now.
    pub(crate) fn has_ended(&self) -> bool {
        self.context.ended.is_some()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.context.ended.is_some() || self.context.owed > 0
    }

    pub(crate) fn tls(&self) -> Option<&Arc<TlsInfo>> {
        self.channel.tls()
    }

    pub(crate) fn channel_binding(&self) -> Option<ChannelBinding> {
        self.channel.channel_binding()
    }

    pub(crate) fn peer_addr(&self) -> Option<std::net::SocketAddr> {
        self.channel.peer_addr()
    }

    pub(crate) fn local_addr(&self) -> Option<std::net::SocketAddr> {
        self.channel.local_addr()
    }

    /// Received bytes that wait to be understood.
    pub(crate) fn unread(&mut self) -> &[u8] {
        self.channel.inbox().as_slice()
    }

    /// What the connection is after the handshake, for those who must refuse to go on in clear text.
    pub(crate) fn is_secure(&self) -> bool {
        self.channel.tls().is_some()
    }
}
