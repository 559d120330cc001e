//! The dialogue's side of a hosted connection, and of a listener.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{ChannelId, Failure, Host, OUTBOUND_HIGH_WATER, Request, State};
use crate::transport::{Listener, Stream};

/// A stream whose I/O a [`Host`] does.
#[derive(Debug)]
pub struct HostedStream {
    pub(super) host: Host,
    pub(super) id: ChannelId,
    pub(super) peer: Option<SocketAddr>,
}

impl HostedStream {
    pub(super) async fn opened(&self) -> io::Result<Option<SocketAddr>> {
        poll_fn(|cx| {
            let mut shared = self.host.lock();
            let channel = shared.channel(self.id);
            match (channel.failure(), &channel.state) {
                (Some(error), _) => Poll::Ready(Err(error)),
                (None, State::Open(peer)) => Poll::Ready(Ok(*peer)),
                (None, State::Connecting) => channel.park(cx),
            }
        })
        .await
    }
}

/// A listener that a [`Host`] has: a channel over which connections come instead of bytes.
pub(super) struct HostedListener {
    pub(super) stream: HostedStream,
    pub(super) address: SocketAddr,
}

impl Listener<HostedStream> for HostedListener {
    fn local_addr(&self) -> SocketAddr {
        self.address
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<HostedStream>> {
        let HostedStream { host, id, .. } = &self.stream;
        let mut shared = host.lock();
        let channel = shared.channel(*id);
        let Some(id) = channel.accepted.pop_front() else {
            return match channel.failure() {
                Some(error) => Poll::Ready(Err(error)),
                None => channel.park(cx),
            };
        };
        let peer = match shared.channel(id).state {
            State::Open(peer) => peer,
            State::Connecting => None,
        };
        Poll::Ready(Ok(HostedStream { host: host.clone(), id, peer }))
    }

    fn set_deadline(&mut self, within: Duration) {
        self.stream.set_deadline(within);
    }
}

impl Drop for HostedListener {
    /// Those who came and were not looked at leave with it.
    fn drop(&mut self) {
        let mut shared = self.stream.host.lock();
        let unseen = std::mem::take(&mut shared.channel(self.stream.id).accepted);
        for channel in unseen {
            shared.channels.remove(&channel);
            shared.requests.push_back(Request::Close { channel });
        }
    }
}

impl Stream for HostedStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut shared = self.host.lock();
        let channel = shared.channel(self.id);
        let waiting = &channel.inbound[channel.consumed..];
        if !waiting.is_empty() {
            let n = waiting.len().min(into.len());
            into[..n].copy_from_slice(&waiting[..n]);
            channel.consumed += n;
            if channel.consumed == channel.inbound.len() {
                channel.inbound.clear();
                channel.consumed = 0;
            }
            return Poll::Ready(Ok(n));
        }
        match channel.failure() {
            Some(error) => Poll::Ready(Err(error)),
            None if channel.eof => Poll::Ready(Ok(0)),
            None => channel.park(cx),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut shared = self.host.lock();
        let channel = shared.channel(self.id);
        if let Some(error) = channel.failure() {
            return Poll::Ready(Err(error));
        }
        let room = OUTBOUND_HIGH_WATER.saturating_sub(channel.outbound);
        if room == 0 {
            return channel.park(cx);
        }
        let n = room.min(bytes.len());
        channel.outbound += n;
        shared.write(self.id, &bytes[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.host.lock().requests.push_back(Request::Shutdown { channel: self.id });
        Poll::Ready(Ok(()))
    }

    fn set_deadline(&mut self, within: Duration) {
        let mut shared = self.host.lock();
        // The last deadline may have passed while nobody waited for this connection: that hurt nobody.
        let channel = shared.channel(self.id);
        if matches!(channel.failure, Some(Failure::Told(io::ErrorKind::TimedOut, _))) {
            channel.failure = None;
        }
        shared.set_deadline(self.id, within);
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.host.lock().channel(self.id).local
    }
}

impl Drop for HostedStream {
    fn drop(&mut self) {
        let mut shared = self.host.lock();
        shared.channels.remove(&self.id);
        shared.requests.push_back(Request::Close { channel: self.id });
    }
}
