//! A connection in clear text.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::buffer::Buffer;
use super::{Channel, Fill, Inbox, Secure, poll_drain};
use crate::error::Result;
use crate::tls::{ChannelBinding, ServerName, TlsInfo, TlsSession};
use crate::transport::Stream;

/// A connection in clear text, which may become TLS.
pub struct Plain<S> {
    stream: S,
    inbox: Inbox,
    flight: Buffer,
}

impl<S: Stream> Plain<S> {
    /// A connection over a stream that nobody has read from.
    pub fn new(stream: S) -> Self {
        Self { stream, inbox: Inbox::default(), flight: Buffer::default() }
    }

    /// Makes this connection TLS, in place: sends what is queued, then shakes hands on the same stream.
    ///
    /// `name` is what the server's certificate must be for.
    ///
    /// # Errors
    /// [`BytesBeforeHandshake`](crate::ErrorKind::BytesBeforeHandshake) if received bytes were not understood yet:
    /// whatever they are, they came before TLS could protect them. [`Tls`](crate::ErrorKind::Tls) if the handshake or
    /// the certificate is refused. The connection is gone in each case.
    pub async fn secure(mut self, tls: &TlsSession, name: &ServerName) -> Result<Secure<S>> {
        self.flush().await?;
        let proof = self.inbox.drained().map_err(|inbox| inbox.injected())?;
        Secure::handshake(self.stream, proof, tls, name).await
    }
}

impl<S: Stream> Channel for Plain<S> {
    fn inbox(&mut self) -> &mut Inbox {
        &mut self.inbox
    }

    fn queue(&mut self, bytes: &[u8]) -> Result<()> {
        self.flight.extend(bytes);
        Ok(())
    }

    fn queued(&self) -> usize {
        self.flight.len()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        poll_drain(&mut self.stream, &mut self.flight, cx)
    }

    fn poll_pull(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<Result<Fill>> {
        // Small: in clear text only greetings and capabilities are read, unless the caller chose otherwise.
        let mut piece = [0; 16 * 1024];
        Poll::Ready(Ok(match ready!(self.stream.poll_read(cx, &mut piece))? {
            0 => Fill::Closed,
            n => {
                sink(&piece[..n]);
                Fill::More
            }
        }))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
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
        None
    }

    fn channel_binding(&self) -> Option<ChannelBinding> {
        None
    }
}

impl<S> fmt::Debug for Plain<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain").field("inbox", &self.inbox.len()).finish_non_exhaustive()
    }
}
