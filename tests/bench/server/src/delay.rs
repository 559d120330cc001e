//! A connection's bytes, with the round-trip time of a longer path when asked for.
//!
//! The delay is made of relays inside the server: each direction holds every segment for half the
//! round trip, and nothing moves before one round trip has passed since the connection was accepted,
//! which stands for the TCP handshake. Bandwidth is not limited and no congestion window is modelled.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};

/// Bytes that may wait inside a delayed connection, each way.
const IN_FLIGHT: usize = 4 << 20;
/// The timer's resolution: waits are rounded up to the next millisecond, so aim half of one early.
const TIMER_BIAS: Duration = Duration::from_micros(500);

pub(crate) enum Wire {
    Direct(TcpStream),
    Delayed(DuplexStream),
}

impl Wire {
    /// Takes an accepted connection. With a delay, returns when the far side's first bytes could
    /// have arrived: one and a half round trips after its SYN was sent.
    pub(crate) async fn new(stream: TcpStream, round_trip: Duration) -> Self {
        if round_trip.is_zero() {
            return Self::Direct(stream);
        }
        let (near, far) = tokio::io::duplex(IN_FLIGHT);
        let (tcp_read, tcp_write) = stream.into_split();
        let (far_read, far_write) = tokio::io::split(far);
        let connected = Instant::now() + round_trip;
        let half = round_trip / 2;
        spawn_local(relay(tcp_read, far_write, half, connected));
        spawn_local(relay(far_read, tcp_write, half, connected));
        sleep_until(connected + half).await;
        Self::Delayed(near)
    }
}

/// Copies `from` to `to`, each segment `half` later than it came and none from before `connected`.
async fn relay(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin + 'static,
    half: Duration,
    connected: Instant,
) {
    let (queue, mut segments) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let writer = spawn_local(async move {
        while let Some((due, segment)) = segments.recv().await {
            sleep_until(due - TIMER_BIAS).await;
            if to.write_all(&segment).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let due = Instant::now().max(connected) + half;
        if queue.send((due, buffer[..count].to_vec())).is_err() {
            break;
        }
    }
    drop(queue);
    let _ = writer.await;
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Direct(stream) => Pin::new(stream).poll_read(context, into),
            Self::Delayed(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Direct(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Delayed(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Direct(stream) => Pin::new(stream).poll_flush(context),
            Self::Delayed(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Direct(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Delayed(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
