//! tokio's sockets and clock (feature `tokio`).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::TcpStream;
use ::tokio::time::{Instant, Sleep, sleep, timeout};

use super::{Endpoint, Purpose, Stream, Transport};

/// The transport over tokio; must be used within its runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

impl Transport for Tokio {
    type Stream = TokioStream;

    async fn connect(&self, to: &Endpoint, _: Purpose, within: Duration) -> io::Result<TokioStream> {
        let open = async {
            match to.ip() {
                Some(address) => TcpStream::connect(address).await,
                None => {
                    let found: Vec<_> = ::tokio::net::lookup_host((to.host.as_str(), to.port))
                        .await
                        .map_err(|_| io::Error::from(io::ErrorKind::NotFound))?
                        .collect();
                    if found.is_empty() {
                        return Err(io::ErrorKind::NotFound.into());
                    }
                    TcpStream::connect(found.as_slice()).await
                }
            }
        };
        let socket = timeout(within, open).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        TokioStream::from_socket(socket, within)
    }
}

/// A tokio socket with a deadline.
#[derive(Debug)]
pub struct TokioStream {
    socket: TcpStream,
    deadline: Pin<Box<Sleep>>,
}

impl TokioStream {
    /// Takes over a connected socket, with a first deadline.
    ///
    /// # Errors
    /// When the socket's options cannot be set.
    pub fn from_socket(socket: TcpStream, within: Duration) -> io::Result<Self> {
        // A flight is one write: without this, it waits for the last one's acknowledgement.
        socket.set_nodelay(true)?;
        Ok(Self { socket, deadline: Box::pin(sleep(within)) })
    }

    /// Ready with an error once the deadline has passed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl Stream for TokioStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(error) = self.poll_deadline(cx) {
            return Poll::Ready(Err(error));
        }
        let mut buffer = ReadBuf::new(into);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(error) = self.poll_deadline(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn set_deadline(&mut self, within: Duration) {
        // Also right for a duration beyond what the clock can add.
        let now = Instant::now();
        let at = now.checked_add(within).unwrap_or(now + Duration::from_secs(30 * 365 * 24 * 3600));
        self.deadline.as_mut().reset(at);
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }
}
