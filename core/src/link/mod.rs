//! Connections in clear text and under TLS, and the one way from the first to the second.
//!
//! ```text
//!   Plain<S> ──────────── secure(self, …) ───────────▶ Secure<S>
//!   stream + inbox        inbox.drained()? ── Drained ──▶ stream + TLS + a fresh inbox
//! ```
//!
//! This is the only place where TLS meets bytes, and the only place that buffers them. [`Plain::secure`] consumes the
//! clear connection and needs a [`Drained`] witness, which only an empty [`Inbox`] can mint. So bytes that a man in the
//! middle injected before the handshake cannot be carried over, dropped silently or forgotten: they are the error
//! [`ErrorKind::BytesBeforeHandshake`](crate::ErrorKind::BytesBeforeHandshake). Nor can anything go on in clear text.
//! This compiles:
//!
//! ```no_run
//! # use starttls::{link::Plain, tls::{ServerName, TlsConfig}, transport::Stream};
//! # async fn f<S: Stream>(plain: Plain<S>) -> starttls::Result<()> {
//! let session = TlsConfig::new().session()?;
//! let secure = plain.secure(&session, &ServerName::parse("mail.example.org")?).await?;
//! # Ok(()) }
//! ```
//!
//! and this does not:
//!
//! ```compile_fail,E0382
//! # use starttls::{link::{Channel, Plain}, tls::{ServerName, TlsConfig}, transport::Stream};
//! # async fn f<S: Stream>(mut plain: Plain<S>) -> starttls::Result<()> {
//! let session = TlsConfig::new().session()?;
//! let secure = plain.secure(&session, &ServerName::parse("mail.example.org")?).await?;
//! let _ = plain.queue(b"AUTH PLAIN AGEAYg==\r\n"); // the clear connection is gone
//! # Ok(()) }
//! ```
//!
//! Nobody else mints the witness, and no secure connection is made without it:
//!
//! ```compile_fail,E0423
//! let proof = starttls::link::Drained(());
//! ```
//!
//! ```compile_fail,E0382
//! # fn f(inbox: starttls::link::Inbox) -> Result<(), starttls::link::Inbox> {
//! let proof = inbox.drained()?;
//! inbox.is_empty(); // the inbox is gone with its proof
//! # Ok(()) }
//! ```

mod buffer;
mod inbox;
mod plain;
mod secure;

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

pub use inbox::{Drained, Inbox};
pub use plain::Plain;
pub(crate) use secure::Handshake;
pub use secure::Secure;

use crate::error::Result;
use crate::tls::{ChannelBinding, TlsInfo};
use crate::transport::Stream;

/// Whether more can come from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// At least one byte arrived.
    More,
    /// The peer ended the stream in order: end of file in clear text, close_notify under TLS.
    Closed,
}

/// A connection as dialogues see it: an inbox of received bytes, an outgoing flight, an orderly end.
///
/// The `poll_` methods are the two implementations' own; everything else is written once, over them.
pub trait Channel: Send {
    /// Received and not yet understood.
    fn inbox(&mut self) -> &mut Inbox;

    /// Adds bytes to the outgoing flight without sending.
    ///
    /// # Errors
    /// When the TLS engine cannot encrypt any more.
    fn queue(&mut self, bytes: &[u8]) -> Result<()>;

    /// Bytes in the outgoing flight, as they will be on the wire.
    fn queued(&self) -> usize;

    /// Sends the outgoing flight.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Receives at least one byte and hands it to `sink` in pieces, past the inbox.
    fn poll_pull(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<Result<Fill>>;

    /// Sends what is queued, then ends our direction: close_notify under TLS, then half-close.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Every wait from now on ends with a time-out once `within` has passed, whatever progress was made.
    fn set_deadline(&mut self, within: Duration);

    /// The peer's address, where the host tells.
    fn peer_addr(&self) -> Option<SocketAddr>;

    /// Our own address, where the host tells.
    fn local_addr(&self) -> Option<SocketAddr>;

    /// What TLS agreed; `None` in clear text.
    fn tls(&self) -> Option<&Arc<TlsInfo>>;

    /// What ties a login to this TLS connection; `None` in clear text, and where TLS has nothing of the kind.
    fn channel_binding(&self) -> Option<ChannelBinding>;

    /// Receives at least one byte into the inbox.
    ///
    /// # Errors
    /// The transport's; under TLS also [`Truncated`](crate::ErrorKind::Truncated) at an end without close_notify.
    fn fill(&mut self) -> impl Future<Output = Result<Fill>> + Send
    where
        Self: Sized,
    {
        poll_fn(|cx| {
            let mut arrived = std::mem::take(self.inbox());
            let outcome = self.poll_pull(cx, &mut |bytes| arrived.extend(bytes));
            *self.inbox() = arrived;
            outcome
        })
    }

    /// Receives the next piece and hands it to `sink`: what is in the inbox first.
    ///
    /// # Errors
    /// As [`Channel::fill`].
    fn pull(&mut self, sink: &mut (dyn FnMut(&[u8]) + Send)) -> impl Future<Output = Result<Fill>> + Send
    where
        Self: Sized,
    {
        poll_fn(move |cx| {
            let waiting = self.inbox().take_all();
            if !waiting.is_empty() {
                sink(&waiting);
                return Poll::Ready(Ok(Fill::More));
            }
            self.poll_pull(cx, &mut |bytes| sink(bytes))
        })
    }

    /// Reads up to `into.len()` bytes; 0 is the orderly end of the stream.
    ///
    /// # Errors
    /// As [`Channel::fill`].
    fn read(&mut self, into: &mut [u8]) -> impl Future<Output = Result<usize>> + Send
    where
        Self: Sized,
    {
        async move {
            while self.inbox().is_empty() {
                if self.fill().await? == Fill::Closed {
                    return Ok(0);
                }
            }
            Ok(self.inbox().take_into(into))
        }
    }

    /// Reads one line of at most `limit` bytes, without its CRLF or LF; `None` is the orderly end of the stream.
    ///
    /// # Errors
    /// As [`Channel::fill`]; [`LimitExceeded`](crate::ErrorKind::LimitExceeded) for a longer line, and
    /// [`ClosedByPeer`](crate::ErrorKind::ClosedByPeer) at an end in the middle of a line.
    fn read_line(&mut self, limit: usize) -> impl Future<Output = Result<Option<Vec<u8>>>> + Send
    where
        Self: Sized,
    {
        async move {
            loop {
                if let Some(line) = self.inbox().take_line(limit)? {
                    return Ok(Some(line));
                }
                if !self.fill_for_line().await? {
                    return Ok(None);
                }
            }
        }
    }

    /// Receives more, where a line is still to be completed. `false` at the orderly end of the stream.
    ///
    /// # Errors
    /// As [`Channel::fill`]; [`ClosedByPeer`](crate::ErrorKind::ClosedByPeer) at an end in the middle of a line.
    fn fill_for_line(&mut self) -> impl Future<Output = Result<bool>> + Send
    where
        Self: Sized,
    {
        async move {
            match self.fill().await? {
                Fill::More => Ok(true),
                Fill::Closed if self.inbox().is_empty() => Ok(false),
                Fill::Closed => Err(inbox::unfinished_line()),
            }
        }
    }

    /// Sends everything queued.
    ///
    /// # Errors
    /// The transport's.
    fn flush(&mut self) -> impl Future<Output = Result<()>> + Send
    where
        Self: Sized,
    {
        poll_fn(|cx| self.poll_flush(cx))
    }

    /// Sends `bytes`, after what was queued before, in flights of bounded size.
    ///
    /// # Errors
    /// The transport's.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<()>> + Send
    where
        Self: Sized,
    {
        async move {
            for piece in bytes.chunks(FLIGHT) {
                if self.queued() >= FLIGHT {
                    self.flush().await?;
                }
                self.queue(piece)?;
            }
            if self.queued() >= FLIGHT { self.flush().await } else { Ok(()) }
        }
    }

    /// Ends our direction.
    ///
    /// # Errors
    /// The transport's.
    fn close(&mut self) -> impl Future<Output = Result<()>> + Send
    where
        Self: Sized,
    {
        poll_fn(|cx| self.poll_close(cx))
    }
}

/// How much is gathered before it is written in one call: four full TLS records; three in WASI, whose hosts take 64 KiB in
/// a call, what makes them records included.
pub(crate) const FLIGHT: usize = if cfg!(target_os = "wasi") { 48 * 1024 } else { 64 * 1024 };

/// A connection that is in clear text or under TLS, for dialogues that are done with the difference.
#[derive(Debug)]
pub enum Link<S> {
    /// In clear text, because the caller chose so by name.
    Plain(Plain<S>),
    /// Under TLS.
    Secure(Box<Secure<S>>),
}

macro_rules! either {
    ($link:expr, $channel:ident => $body:expr) => {
        match $link {
            Link::Plain($channel) => $body,
            Link::Secure($channel) => $body,
        }
    };
}

impl<S: Stream> Channel for Link<S> {
    fn inbox(&mut self) -> &mut Inbox {
        either!(self, channel => channel.inbox())
    }

    fn queue(&mut self, bytes: &[u8]) -> Result<()> {
        either!(self, channel => channel.queue(bytes))
    }

    fn queued(&self) -> usize {
        either!(self, channel => channel.queued())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        either!(self, channel => channel.poll_flush(cx))
    }

    fn poll_pull(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<Result<Fill>> {
        either!(self, channel => channel.poll_pull(cx, sink))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        either!(self, channel => channel.poll_close(cx))
    }

    fn set_deadline(&mut self, within: Duration) {
        either!(self, channel => channel.set_deadline(within));
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        either!(self, channel => channel.peer_addr())
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        either!(self, channel => channel.local_addr())
    }

    fn tls(&self) -> Option<&Arc<TlsInfo>> {
        either!(self, channel => channel.tls())
    }

    fn channel_binding(&self) -> Option<ChannelBinding> {
        either!(self, channel => channel.channel_binding())
    }
}

/// Writes `buffer` to `stream` until it is empty.
fn poll_drain<S: Stream>(stream: &mut S, buffer: &mut buffer::Buffer, cx: &mut Context<'_>) -> Poll<Result<()>> {
    while !buffer.is_empty() {
        match ready!(stream.poll_write(cx, buffer.filled()))? {
            0 => return Poll::Ready(Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into())),
            n => buffer.consume(n),
        }
    }
    Poll::Ready(Ok(()))
}
