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

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::{Zeroize as _, Zeroizing};

use crate::error::{Error, ErrorKind, Phase, Result, TlsFault};
use crate::line::Line;
use crate::link::{Channel, FLIGHT, Link, Plain, Secure};
use crate::mismatch;
use crate::options::{Options, Timeouts};
use crate::reply::{Assembler, Budget, Dialect, Reply, printable};
use crate::tls::{ChannelBinding, ServerName, TlsInfo, TlsSession};
use crate::trace::{self, Event, Trace};
use crate::transport::{Endpoint, Purpose, Stream, Transport, Unreached};

/// The most content of a TLS record.
const RECORD: usize = 16 * 1024;

/// What a conversation knows besides its channel.
pub(crate) struct Context {
    dialect: Dialect,
    endpoint: Endpoint,
    pub(crate) timeouts: Timeouts,
    pub(crate) trace: Trace,
    /// Never shown, whoever says them.
    secrets: Vec<Zeroizing<Vec<u8>>>,
    /// Whether a login is under way, whose challenges must be read as they are.
    pub(crate) verbatim: bool,
    /// Replies to what was sent, not yet received.
    owed: usize,
    /// Why nothing more can be said.
    ended: Option<&'static str>,
    /// What to try if this goes wrong, for a greeting that is another protocol's.
    stranger: Option<String>,
    /// When the operation under way must be done.
    pub(crate) ends: Option<Instant>,
    /// The server's good-bye (421): the reason for everything that fails behind it.
    farewell: Option<Reply>,
}

/// A conversation over a channel.
pub(crate) struct Dialogue<C> {
    channel: C,
    /// Commands, and small pieces of content, that leave together: in one write, and in as few records as they need.
    flight: Vec<u8>,
    /// Whether a secret is among them.
    flight_is_secret: bool,
    /// Bytes that were in flights before this one.
    launched: u64,
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
    let mut context = Context {
        dialect,
        endpoint: endpoint.clone(),
        timeouts: options.timeouts,
        trace: options.trace.clone(),
        secrets: Vec::new(),
        verbatim: false,
        owed: 0,
        ended: None,
        stranger: None,
        ends: None,
        farewell: None,
    };
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
    fn over(channel: C, context: Context) -> Self {
        Self { channel, flight: Vec::new(), flight_is_secret: false, launched: 0, context }
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

    /// Adds a command to the flight.
    pub(crate) fn send(&mut self, line: &Line) -> Result<()> {
        if line.is_secret() {
            // Room at once: a buffer that moves leaves a copy behind.
            self.flight.reserve(line.len() + 2);
            self.flight_is_secret = true;
        }
        line.append_to(&mut self.flight);
        self.context.trace.emit(|| Event::Sent(line.to_string()));
        self.context.owed += 1;
        if self.flight.len() >= FLIGHT { self.launch() } else { Ok(()) }
    }

    /// Where in all that was said the next word stands.
    pub(crate) fn position(&self) -> u64 {
        self.launched + self.flight.len() as u64
    }

    /// Whether what stands before `position` may have left: it is not waiting here any more.
    pub(crate) fn has_launched(&self, position: u64) -> bool {
        self.launched >= position
    }

    /// How much of all that was said may have left.
    pub(crate) fn launched(&self) -> u64 {
        self.launched
    }

    /// Whether what was said after the first `launched` bytes is most of a flight, or more.
    pub(crate) fn is_flight_ready(&self, launched: u64) -> bool {
        self.position() - launched >= FLIGHT as u64 / 4 * 3
    }

    /// Hands the flight to the channel.
    fn launch(&mut self) -> Result<()> {
        if self.flight.is_empty() {
            return Ok(());
        }
        let outcome = self.channel.queue(&self.flight);
        if std::mem::take(&mut self.flight_is_secret) {
            self.flight.as_mut_slice().zeroize();
        }
        self.launched += self.flight.len() as u64;
        self.flight.clear();
        outcome
    }

    /// Sends the flight; its replies have the usual time from now on.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.launch()?;
        if self.channel.queued() == 0 {
            return Ok(());
        }
        self.channel.set_deadline(self.context.within(self.context.timeouts.reply));
        let outcome = self.channel.flush().await;
        outcome.map_err(|error| self.context.explain(error))
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
                self.context.ended.get_or_insert("this session failed");
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
        let mut assembler = Assembler::new(self.context.dialect, budget);
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
            if let Some(reply) = assembler.push(&line)? {
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

    /// Content that is part of the conversation (a message body): sent in flights, each with the time of a stall.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.flight.len() + bytes.len() < FLIGHT {
            self.flight.extend_from_slice(bytes);
            return Ok(());
        }
        // The first record is filled up, so that what follows it is cut as if it had come alone.
        let (first, bytes) = bytes.split_at(bytes.len().min(RECORD - self.flight.len() % RECORD));
        self.flight.extend_from_slice(first);
        self.launch()?;
        self.launched += bytes.len() as u64;
        for flight in bytes.chunks(FLIGHT) {
            self.channel.set_deadline(self.context.within(self.context.timeouts.stall));
            self.channel.write(flight).await.map_err(|error| self.context.explain(error))?;
        }
        Ok(())
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

impl Context {
    /// The error of a server that cannot do what every server of the protocol can: it may be none.
    pub(crate) fn unfit(&self, error: Error) -> Error {
        self.explain(self.stranger.clone().into_iter().fold(error, Error::advise))
    }

    /// The error of a server that offers no upgrade.
    pub(crate) fn no_upgrade(&self, error: Error) -> Error {
        self.unfit(error).advise(mismatch::no_upgrade(self.dialect, &self.endpoint))
    }

    /// From now on [`Timeouts::total`] counts.
    pub(crate) fn begin_operation(&mut self) {
        self.ends = self.timeouts.total.and_then(|total| Instant::now().checked_add(total));
    }

    /// Whether that time is up.
    pub(crate) fn is_out_of_time(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= Instant::now())
    }

    /// A stage's time, or what is left of the operation's if that is less.
    pub(crate) fn within(&self, stage: Duration) -> Duration {
        self.ends.map_or(stage, |ends| stage.min(ends.saturating_duration_since(Instant::now())))
    }

    /// Never show this again, in the trace or in an error, whoever says it.
    pub(crate) fn keep_secret(&mut self, secret: &[u8]) {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        // Shorter ones would blot out ordinary words.
        if secret.len() >= 4 {
            self.secrets.push(Zeroizing::new(secret.to_vec()));
            self.secrets.push(Zeroizing::new(BASE64_STANDARD.encode(secret).into_bytes()));
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn explain(&self, error: Error) -> Error {
        error.redact(|bytes| self.scrub(bytes)).with_peer(&self.endpoint.to_string())
    }

    /// What may be shown of a line. Most have nothing to hide, and are not copied.
    fn without_secrets<'l>(&self, line: &'l [u8]) -> Cow<'l, [u8]> {
        let mut line = Cow::Borrowed(line);
        for secret in &self.secrets {
            // Most lines are shorter than a secret in Base64, too.
            while secret.len() <= line.len()
                && let Some(at) = memchr::memmem::find(&line, secret)
            {
                line.to_mut().splice(at..at + secret.len(), *b"***");
            }
        }
        line
    }

    fn scrub(&self, line: Vec<u8>) -> Vec<u8> {
        match self.without_secrets(&line) {
            Cow::Owned(shown) => shown,
            Cow::Borrowed(_) => line,
        }
    }

    /// A reply for a report, which people will see.
    pub(crate) fn scrub_reply(&self, reply: Reply) -> Reply {
        reply.map(|line| self.scrub(line))
    }
}
