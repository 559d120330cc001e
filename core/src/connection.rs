//! An upgradable connection on its own: talk in clear text, and become TLS at the moment of the caller's choice.
//!
//! ```no_run
//! use starttls::transport::{Blocking, Endpoint, block};
//! use starttls::{Connection, Options};
//! block(async {
//!     let imap = Endpoint { host: "mail.example.org".into(), port: 143 };
//!     let mut connection = Connection::open(&Blocking::new(), &imap, &Options::default()).await?;
//!     connection.read_line(8192).await?; // * OK ready
//!     connection.write(b"a STARTTLS\r\n").await?;
//!     connection.read_line(8192).await?; // a OK begin
//!     connection.start_tls().await?;
//!     connection.write(b"b LOGIN ada secret\r\n").await
//! })?;
//! # Ok::<(), starttls::Error>(())
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::dialogue::connect_error;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::link::{Channel, FLIGHT, Fill, Link, Plain, Secure};
use crate::options::{Options, Plan, Security, within};
use crate::tls::{ChannelBinding, ServerName, TlsInfo, TlsSession};
use crate::trace::{self, Event};
use crate::transport::{Endpoint, Purpose, Stream, Transport};
use crate::upgrade::{self, Recipe};

/// A connection that begins in clear text and becomes TLS when the caller says so, or begins in TLS, or never becomes it,
/// as [`Options::security`] says.
///
/// What is received waits here until it is asked for, and nothing else is remembered of it. Each operation has a time
/// ([`Timeouts`](crate::Timeouts)): `connect`, `handshake`, `reply` for each read, `stall` for each 64 KiB written, and
/// `total` for all of one. After [`TimedOut`](ErrorKind::TimedOut) a read may be asked for again: nothing is lost.
///
/// Dropping the future of a read loses nothing; of an upgrade, the connection: its next use is an error. A write takes 64 KiB
/// at a time: what was taken and not sent yet when it was dropped, or ran out of time, goes out with the next one; where
/// something was not even taken there is no next one, but an error, since a hole in what the peer reads is worse.
#[derive(Debug)]
pub struct Connection<S> {
    /// `None`: an upgrade failed, or was given up in the middle.
    link: Option<Link<S>>,
    to: Endpoint,
    options: Options,
    /// What an upgrade needs; `None` if there is none to come.
    tls: Option<(TlsSession, ServerName)>,
    /// When the operation under way must be done.
    ends: Option<Instant>,
    /// Whether our direction has ended.
    is_shut: bool,
    /// Whether a write was given up of which a part was not even taken yet: nobody could tell what the peer makes of more.
    is_torn: bool,
}

impl<S: Stream> Connection<S> {
    /// Connects. With [`Security::Implicit`] it shakes hands at once; with [`Security::Upgrade`] nothing is said until
    /// [`Connection::start_tls`] or [`Connection::upgrade`]; with [`Security::Plaintext`] there will be no TLS.
    ///
    /// # Errors
    /// The network's, and those of [`Connection::over`].
    pub async fn open<T: Transport<Stream = S>>(transport: &T, to: &Endpoint, options: &Options) -> Result<Self> {
        let plan = options.plan(to)?;
        let ends = options.timeouts.ends();
        let peer = to.to_string();
        let stream = transport.connect(to, Purpose::Control, within(ends, options.timeouts.connect)).await;
        let stream = stream.map_err(|error| connect_error(error, &peer))?;
        options.trace.emit(|| Event::Connected { channel: trace::Channel::Control, peer });
        Self::begin(stream, to, options, plan, ends).await
    }

    /// The same over a stream that is connected already, and of which nothing unread was taken: the caller may have talked
    /// on it before. `to` is whose certificate is expected, unless [`Options::server_name`] says another name, and whom
    /// errors name.
    ///
    /// # Errors
    /// [`Tls`](ErrorKind::Tls) if the configuration cannot be used or, with [`Security::Implicit`], the handshake or the
    /// certificate is refused.
    pub async fn over(stream: S, to: &Endpoint, options: &Options) -> Result<Self> {
        Self::begin(stream, to, options, options.plan(to)?, options.timeouts.ends()).await
    }

    async fn begin(mut stream: S, to: &Endpoint, options: &Options, plan: Plan, ends: Option<Instant>) -> Result<Self> {
        let (link, tls) = match plan {
            Plan::Plain => (Link::Plain(Plain::new(stream)), None),
            Plan::Upgrade(session, name) => (Link::Plain(Plain::new(stream)), Some((session, name))),
            Plan::Implicit(session, name) => {
                stream.set_deadline(within(ends, options.timeouts.handshake));
                let secured = Secure::implicit(stream, &session, &name).await;
                let secure = secured.map_err(|error| error.during(Phase::Handshake).with_peer(&to.to_string()))?;
                (Link::Secure(Box::new(secure)), None)
            }
        };
        let this = Self {
            link: Some(link),
            to: to.clone(),
            options: options.clone(),
            tls,
            ends: None,
            is_shut: false,
            is_torn: false,
        };
        this.tell_secured();
        Ok(this)
    }

    /// Makes this connection TLS, in place: the server has just agreed to it. Sends what is left to be sent, then shakes
    /// hands.
    ///
    /// # Errors
    /// [`BytesBeforeHandshake`](ErrorKind::BytesBeforeHandshake) if anything was received that nobody read: somebody may
    /// have slipped it in. [`Tls`](ErrorKind::Tls) if the handshake or the certificate is refused. The connection is gone
    /// in both cases. [`InvalidState`](ErrorKind::InvalidState) if it is under TLS already, or was not to be.
    pub async fn start_tls(&mut self) -> Result<()> {
        self.begin_operation();
        self.can_say_more()?;
        let plain = self.take_plain()?;
        self.secure(plain).await
    }

    /// Talks as `recipe` wants until the server agrees to TLS, then shakes hands: [`Connection::start_tls`] for who has
    /// nothing to say in clear text. Nothing may have been read or written before. Gives what the server said first, in
    /// clear text: not to be believed, but needed by those who speak MySQL. The handshake offers what is registered for the
    /// protocol ([`Recipe::alpn`]), unless [`TlsConfig::alpn`](crate::tls::TlsConfig::alpn) says otherwise.
    ///
    /// # Errors
    /// [`UpgradeNotOffered`](ErrorKind::UpgradeNotOffered) or [`Rejected`](ErrorKind::Rejected) if the server does not
    /// agree, [`ProtocolViolation`](ErrorKind::ProtocolViolation) if it speaks another protocol; those of
    /// [`Connection::start_tls`]. The connection is gone in each case.
    pub async fn upgrade(&mut self, recipe: Recipe) -> Result<Vec<u8>> {
        self.begin_operation();
        self.can_say_more()?;
        let plain = self.take_plain()?;
        let asked = upgrade::ask(recipe, plain, &self.to, &self.options, self.ends).await;
        let (plain, said) = asked.map_err(|error| self.explain(error))?;
        if let Some((session, _)) = &mut self.tls {
            *session = session.offering(recipe.alpn());
        }
        self.secure(plain).await?;
        Ok(said)
    }

    async fn secure(&mut self, mut plain: Plain<S>) -> Result<()> {
        let Some((session, name)) = &self.tls else { unreachable!("a connection to be upgraded has what it takes") };
        plain.set_deadline(within(self.ends, self.options.timeouts.handshake));
        let secured = plain.secure(session, name).await;
        let secure = secured.map_err(|error| self.explain(error.during(Phase::Handshake)))?;
        self.link = Some(Link::Secure(Box::new(secure)));
        self.tell_secured();
        Ok(())
    }

    fn take_plain(&mut self) -> Result<Plain<S>> {
        match self.link.take() {
            Some(Link::Plain(plain)) if self.tls.is_some() => Ok(plain),
            None => Err(self.gone()),
            Some(link) => {
                let why = match link {
                    Link::Plain(_) => "this connection was opened to stay in clear text",
                    Link::Secure(_) => "this connection is under TLS already",
                };
                self.link = Some(link);
                Err(self.explain(Error::invalid_state(why)))
            }
        }
    }

    /// One line of at most `limit` bytes, without its CRLF or LF; `None` is the orderly end of the stream.
    ///
    /// # Errors
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) for a longer line; [`ClosedByPeer`](ErrorKind::ClosedByPeer) at an end
    /// in the middle of one, [`Truncated`](ErrorKind::Truncated) at one without close_notify; the transport's.
    pub async fn read_line(&mut self, limit: usize) -> Result<Option<Vec<u8>>> {
        let read = self.reading()?.read_line(limit).await;
        read.map_err(|error| self.explain(error))
    }

    /// What comes next, up to `max` bytes and at least one; nothing at the orderly end of the stream.
    ///
    /// # Errors
    /// [`Truncated`](ErrorKind::Truncated) at an end without close_notify; the transport's.
    pub async fn read(&mut self, max: usize) -> Result<Vec<u8>> {
        let link = self.reading()?;
        let outcome = fill_while(link, |waiting| max > 0 && waiting.is_empty()).await;
        let max = outcome.map(|_| max).map_err(|error| self.explain(error))?;
        Ok(self.take(max))
    }

    /// Takes in what has arrived, for an upgrade to find.
    pub(crate) async fn take_in(&mut self) -> Result<()> {
        self.link()?.fill().await.map(drop).map_err(|error| self.explain(error))
    }

    /// `count` bytes.
    ///
    /// # Errors
    /// As [`Connection::read`]; [`ClosedByPeer`](ErrorKind::ClosedByPeer) if the stream ends before. What came stays to be
    /// read.
    pub async fn read_exact(&mut self, count: usize) -> Result<Vec<u8>> {
        let link = self.reading()?;
        match fill_while(link, |waiting| waiting.len() < count).await {
            Ok(true) => Ok(self.take(count)),
            Ok(false) => Err(self.explain(Error::new(ErrorKind::ClosedByPeer))),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// Everything up to and with `separator`, of at most `limit` bytes in all.
    ///
    /// # Errors
    /// As [`Connection::read_exact`]; [`LimitExceeded`](ErrorKind::LimitExceeded) if it does not come in that many bytes;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if it is empty.
    pub async fn read_until(&mut self, separator: &[u8], limit: usize) -> Result<Vec<u8>> {
        if separator.is_empty() {
            return Err(Error::invalid_argument("the separator is empty"));
        }
        let link = self.reading()?;
        let (mut end, mut looked) = (None, 0);
        let filled = fill_while(link, |waiting| {
            // Each byte is looked at once, but for what may be a separator's beginning.
            let from = looked;
            looked = (waiting.len() + 1).saturating_sub(separator.len()).max(from);
            end = memchr::memmem::find(&waiting[from..], separator).map(|at| from + at + separator.len());
            end.is_none() && waiting.len() < limit
        });
        let filled = filled.await.map_err(|error| self.explain(error))?;
        match end.filter(|end| *end <= limit) {
            Some(end) => Ok(self.take(end)),
            None if filled => Err(self.explain(Error::limit(format!("no separator in {limit} bytes")))),
            None => Err(self.explain(Error::new(ErrorKind::ClosedByPeer))),
        }
    }

    /// Sends `bytes`.
    ///
    /// # Errors
    /// The transport's; [`InvalidState`](ErrorKind::InvalidState) after [`Connection::shutdown`], and after a write of more
    /// than 64 KiB that ended in the middle.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.begin_operation();
        self.can_say_more()?;
        let (ends, stall) = (self.ends, self.options.timeouts.stall);
        let mut pieces = bytes.chunks(FLIGHT).peekable();
        while let Some(piece) = pieces.next() {
            let link = self.link()?;
            link.set_deadline(within(ends, stall));
            let queued = link.queue(piece);
            // A piece that is not taken leaves what was taken before as it was.
            queued.map_err(|error| self.explain(error))?;
            self.is_torn = pieces.peek().is_some();
            let flushed = self.link()?.flush().await;
            flushed.map_err(|error| self.explain(error))?;
        }
        Ok(())
    }

    fn can_say_more(&self) -> Result<()> {
        let why = match self {
            Self { is_shut: true, .. } => "our direction of this connection has ended",
            Self { is_torn: true, .. } => "a write was given up in the middle: what follows would not be understood",
            _ => return Ok(()),
        };
        Err(self.explain(Error::invalid_state(why)))
    }

    /// Ends our direction: close_notify under TLS, then a half-close. What the peer still sends can be read.
    ///
    /// # Errors
    /// The transport's; [`InvalidState`](ErrorKind::InvalidState) after a write of more than 64 KiB that ended in the
    /// middle: an end in order would make it look whole.
    pub async fn shutdown(&mut self) -> Result<()> {
        self.begin_operation();
        if self.is_torn {
            return self.can_say_more();
        }
        let stall = within(self.ends, self.options.timeouts.stall);
        let link = self.link()?;
        link.set_deadline(stall);
        let closed = link.close().await;
        if !std::mem::replace(&mut self.is_shut, true) {
            self.options.trace.emit(|| Event::Closed { channel: trace::Channel::Control });
        }
        closed.map_err(|error| self.explain(error))
    }

    /// What TLS agreed; `None` in clear text.
    pub fn tls(&self) -> Option<&Arc<TlsInfo>> {
        self.link.as_ref()?.tls()
    }

    /// What ties a login to this TLS connection (RFC 5929, RFC 9266); `None` in clear text, and where TLS has nothing of
    /// the kind.
    pub fn channel_binding(&self) -> Option<ChannelBinding> {
        self.link.as_ref()?.channel_binding()
    }

    /// The peer's address, where the host tells.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.link.as_ref()?.peer_addr()
    }

    /// Our own address, where the host tells.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.link.as_ref()?.local_addr()
    }

    /// When it becomes TLS.
    pub fn security(&self) -> Security {
        self.options.security
    }

    fn link(&mut self) -> Result<&mut Link<S>> {
        if self.link.is_none() {
            return Err(self.gone());
        }
        Ok(self.link.as_mut().expect("just looked at"))
    }

    /// The connection, with the time that a read has.
    fn reading(&mut self) -> Result<&mut Link<S>> {
        self.begin_operation();
        let time = within(self.ends, self.options.timeouts.reply);
        let link = self.link()?;
        link.set_deadline(time);
        Ok(link)
    }

    /// What waits, up to so much.
    fn take(&mut self, most: usize) -> Vec<u8> {
        let Some(link) = &mut self.link else { return Vec::new() };
        let inbox = link.inbox();
        let mut taken = vec![0; inbox.len().min(most)];
        inbox.take_into(&mut taken);
        taken
    }

    fn begin_operation(&mut self) {
        self.ends = self.options.timeouts.ends();
    }

    fn tell_secured(&self) {
        if let Some(tls) = self.tls() {
            let tls = tls.clone();
            self.options.trace.emit(|| Event::Secured { channel: trace::Channel::Control, tls });
        }
    }

    fn gone(&self) -> Error {
        let why = "the upgrade of this connection failed or was given up in the middle";
        self.explain(Error::invalid_state(why).advise("open a new one"))
    }

    fn explain(&self, error: Error) -> Error {
        error.with_peer(&self.to.to_string())
    }
}

/// Receives as long as `goes_on` with what waits. `false` if the stream ended in order before.
async fn fill_while<S: Stream>(link: &mut Link<S>, mut goes_on: impl FnMut(&[u8]) -> bool) -> Result<bool> {
    while goes_on(link.inbox().as_slice()) {
        if link.fill().await? == Fill::Closed {
            return Ok(false);
        }
    }
    Ok(true)
}
