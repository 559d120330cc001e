//! A connection under TLS.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::buffer::Buffer;
use super::{Channel, Drained, Fill, Inbox, poll_drain};
use crate::error::{Error, ErrorKind, Result, TlsFault};
use crate::reply::printable;
use crate::tls::{ChannelBinding, Engine, Outgoing, Progress, ServerName, TlsInfo, TlsSession};
use crate::transport::Stream;

/// How much is asked of the stream in one read while little arrives: a record and its neighbour.
const READ: usize = 18 * 1024;

/// How much once whole buffers arrive: bulk data comes in many records a read.
const BULK_READ: usize = 128 * 1024;

/// A connection under TLS. Made by [`Plain::secure`](super::Plain::secure), or directly where TLS comes first.
pub struct Secure<S> {
    stream: S,
    engine: Box<dyn Engine>,
    /// From the stream, not yet decrypted: at most one unfinished record between calls.
    wire_in: Buffer,
    /// Encrypted, not yet taken by the stream.
    wire_out: Buffer,
    inbox: Inbox,
    read_size: usize,
    /// Whether what arrived last begins a record.
    at_boundary: bool,
    end: End,
    /// Why it is broken, if nobody was told yet: what came before that is read first.
    failure: Option<Error>,
    /// Whether our close_notify is queued, or an alert was our last word.
    closing: bool,
    info: Arc<TlsInfo>,
    _proof: Drained,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The peer may send more.
    Open,
    /// The peer said close_notify.
    Orderly,
    /// What came was no TLS, or none that can be gone on with: the engine is not asked again.
    Broken,
}

impl<S: Stream> Secure<S> {
    /// TLS first, on a stream that nobody has talked on: implicit TLS, and FTP data connections.
    ///
    /// # Errors
    /// [`Tls`](crate::ErrorKind::Tls) if the handshake or the certificate is refused.
    pub async fn implicit(stream: S, tls: &TlsSession, name: &ServerName) -> Result<Self> {
        Self::begin(stream, tls, name).await?.complete().await
    }

    /// The first half of [`Secure::implicit`]: our side of the handshake is on its way, and nothing is waited for.
    pub(crate) async fn begin(stream: S, tls: &TlsSession, name: &ServerName) -> Result<Handshake<S>> {
        let proof = Inbox::default().drained().expect("a new inbox is empty");
        let mut this = Self::new(stream, proof, tls, name)?;
        poll_fn(|cx| this.poll_hello(cx)).await?;
        Ok(Handshake(this))
    }

    pub(super) async fn handshake(stream: S, proof: Drained, tls: &TlsSession, name: &ServerName) -> Result<Self> {
        Handshake(Self::new(stream, proof, tls, name)?).complete().await
    }

    fn new(stream: S, proof: Drained, tls: &TlsSession, name: &ServerName) -> Result<Self> {
        Ok(Self {
            stream,
            engine: tls.engine(name)?,
            wire_in: Buffer::default(),
            wire_out: Buffer::default(),
            inbox: Inbox::default(),
            read_size: READ,
            at_boundary: true,
            end: End::Open,
            failure: None,
            closing: false,
            info: Arc::default(),
            _proof: proof,
        })
    }

    /// Writes our hello, and reads nothing.
    fn poll_hello(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.process(cx, &mut |_| ())?;
        poll_drain(&mut self.stream, &mut self.wire_out, cx)
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            // The engine first: it opens the conversation, and what it answers goes out before the next wait.
            let mut arrived = std::mem::take(&mut self.inbox);
            let progress = self.process(cx, &mut |bytes| arrived.extend(bytes));
            self.inbox = arrived;
            let progress = progress?;
            ready!(poll_drain(&mut self.stream, &mut self.wire_out, cx))?;
            if progress != Progress::Handshaking {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_wire(cx))? == 0 {
                return Poll::Ready(Err(Error::new(ErrorKind::ClosedByPeer)));
            }
        }
    }

    /// One read from the stream.
    fn poll_wire(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        self.at_boundary = self.wire_in.is_empty();
        let room = self.wire_in.spare(self.read_size);
        let room = &mut room[..self.read_size];
        let n = ready!(self.stream.poll_read(cx, room))?;
        if n == self.read_size {
            self.read_size = BULK_READ;
        }
        self.wire_in.advance(n);
        Poll::Ready(Ok(n))
    }

    /// What it broke on, to whoever asks first, be it with words of their own.
    fn why_broken(&mut self) -> Error {
        let told = || Error::invalid_state("TLS has failed on this connection").advise("open a new one");
        self.failure.take().unwrap_or_else(told)
    }

    /// Lets the engine work on everything received.
    fn process(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Result<Progress> {
        if self.end == End::Open
            && self.at_boundary
            && let Some(text) = clear_text(self.wire_in.filled())
        {
            self.end = End::Broken;
            return Err(Error::tls(TlsFault::PlaintextInsideTls(text)));
        }
        let (used, outcome) = self.engine.process(self.wire_in.filled_mut(), &mut self.wire_out, sink);
        self.wire_in.consume(used);
        match outcome {
            Ok(progress) => {
                if progress == Progress::PeerClosed {
                    self.end = End::Orderly;
                }
                Ok(progress)
            }
            Err(error) => {
                // The peer should learn why (RFC 8446 §6.2); nobody waits for whether it does. An alert is the last word:
                // no close_notify follows it.
                self.closing = true;
                self.end = End::Broken;
                let _ = poll_drain(&mut self.stream, &mut self.wire_out, cx);
                // Clear text may come in one piece with the records before it, which are used up. What it says behind an
                // alert matters less than the alert.
                let is_vague = matches!(error.kind(), ErrorKind::Tls(TlsFault::PeerMisbehaved(_)));
                let text = clear_text(self.wire_in.filled()).filter(|_| used > 0 && is_vague);
                Err(text.map_or(error, |text| Error::tls(TlsFault::PlaintextInsideTls(text))))
            }
        }
    }
}

/// A handshake that has begun.
pub(crate) struct Handshake<S>(Secure<S>);

impl<S: Stream> Handshake<S> {
    /// Every wait from now on ends with a time-out once `within` has passed.
    pub(crate) fn set_deadline(&mut self, within: Duration) {
        self.0.stream.set_deadline(within);
    }

    /// The rest of it.
    pub(crate) async fn complete(self) -> Result<Secure<S>> {
        let Self(mut secure) = self;
        poll_fn(|cx| secure.poll_handshake(cx)).await?;
        secure.info = Arc::new(secure.engine.info());
        Ok(secure)
    }
}

/// The peer's text, if what stands where a record should begin is no TLS content type (RFC 8446 §5.1).
fn clear_text(wire: &[u8]) -> Option<String> {
    match wire {
        [] | [20..=24, ..] => None,
        text => Some(printable(&text[..text.len().min(200)])),
    }
}

impl<S: Stream> Channel for Secure<S> {
    fn inbox(&mut self) -> &mut Inbox {
        &mut self.inbox
    }

    fn queue(&mut self, bytes: &[u8]) -> Result<()> {
        if self.end == End::Broken {
            return Err(self.why_broken());
        }
        if self.closing {
            return Err(Error::invalid_state("the connection is closed for writing"));
        }
        self.engine.encrypt(self.wire_in.filled_mut(), bytes, &mut self.wire_out)
    }

    fn queued(&self) -> usize {
        self.wire_out.len()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        poll_drain(&mut self.stream, &mut self.wire_out, cx)
    }

    fn poll_pull(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<Result<Fill>> {
        let mut arrived = false;
        while self.end == End::Open {
            if ready!(self.poll_wire(cx))? == 0 {
                return Poll::Ready(Err(Error::new(ErrorKind::Truncated)));
            }
            let processed = self.process(cx, &mut |bytes| {
                arrived |= !bytes.is_empty();
                sink(bytes);
            });
            match processed {
                Ok(_) => {}
                // Whatever came with it, what was protected is given first.
                Err(error) if arrived => self.failure = Some(error),
                Err(error) => return Poll::Ready(Err(error)),
            }
            // An answer to the peer's KeyUpdate; if the stream is full it goes with the next flight.
            let drained = match self.wire_out.is_empty() {
                true => Poll::Pending,
                false => poll_drain(&mut self.stream, &mut self.wire_out, cx),
            };
            if arrived {
                return Poll::Ready(Ok(Fill::More));
            }
            if let Poll::Ready(Err(error)) = drained {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(match self.end {
            End::Broken => Err(self.why_broken()),
            _ => Ok(Fill::Closed),
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.closing && self.end != End::Broken {
            self.closing = true;
            self.engine.close_notify(self.wire_in.filled_mut(), &mut self.wire_out)?;
        }
        ready!(self.poll_flush(cx))?;
        ready!(self.stream.poll_close(cx))?;
        Poll::Ready(Ok(()))
    }

    fn set_deadline(&mut self, within: Duration) {
        self.stream.set_deadline(within);
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.stream.peer_addr()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.stream.local_addr()
    }

    fn tls(&self) -> Option<&Arc<TlsInfo>> {
        Some(&self.info)
    }

    fn channel_binding(&self) -> Option<ChannelBinding> {
        self.engine.channel_binding()
    }
}

impl<S> fmt::Debug for Secure<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure").field("tls", &self.info).field("end", &self.end).finish_non_exhaustive()
    }
}
