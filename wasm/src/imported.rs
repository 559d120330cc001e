//! The network that the host provides through the interface `transport`.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use starttls::transport::{Endpoint, Purpose, Stream, Transport};

use crate::bindings::starttls::client::transport as host;

/// The host's network.
#[derive(Clone, Debug)]
pub(crate) struct Imported;

impl Imported {
    pub(crate) fn new() -> Self {
        Self
    }
}

impl Transport for Imported {
    type Stream = Channel;

    async fn connect(&self, to: &Endpoint, purpose: Purpose, within: Duration) -> io::Result<Channel> {
        let purpose = match purpose {
            Purpose::Control => host::Purpose::Control,
            Purpose::Data => host::Purpose::Data,
        };
        let to = host::Address { host: to.host.clone(), port: to.port };
        let channel = host::connect(&to, purpose, nanoseconds(within)).map_err(failed)?;
        let peer = channel.peer().and_then(|peer| Some(SocketAddr::new(peer.host.parse::<IpAddr>().ok()?, peer.port)));
        Ok(Channel { channel, peer, until: None })
    }

    async fn pause(&self, time: Duration) -> io::Result<()> {
        std::thread::sleep(time);
        Ok(())
    }
}

/// A connection of the host's.
pub(crate) struct Channel {
    channel: host::Channel,
    peer: Option<SocketAddr>,
    until: Option<Instant>,
}

impl Channel {
    /// What is left of the deadline.
    fn left(&self) -> io::Result<u64> {
        let Some(until) = self.until else { return Ok(u64::MAX) };
        match until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(nanoseconds(left)),
        }
    }
}

impl Stream for Channel {
    fn poll_read(&mut self, _: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.left().and_then(|left| {
            let most = u32::try_from(into.len()).unwrap_or(u32::MAX);
            let bytes = self.channel.read(most, left).map_err(failed)?;
            let room =
                into.get_mut(..bytes.len()).ok_or_else(|| io::Error::other("the host gives more than asked for"))?;
            room.copy_from_slice(&bytes);
            Ok(bytes.len())
        }))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.left().and_then(|left| {
            let taken = self.channel.write(bytes, left).map_err(failed)? as usize;
            if taken > bytes.len() { Err(io::Error::other("the host sent more than it was given")) } else { Ok(taken) }
        }))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.channel.shutdown().map_err(failed))
    }

    fn set_deadline(&mut self, within: Duration) {
        self.until = Instant::now().checked_add(within);
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn failed(failure: host::Failure) -> io::Error {
    match failure {
        host::Failure::AccessDenied => ErrorKind::PermissionDenied.into(),
        host::Failure::NameUnresolvable => ErrorKind::NotFound.into(),
        host::Failure::ConnectionRefused => ErrorKind::ConnectionRefused.into(),
        host::Failure::Unreachable => ErrorKind::HostUnreachable.into(),
        host::Failure::TimedOut => ErrorKind::TimedOut.into(),
        host::Failure::ClosedByPeer => ErrorKind::ConnectionReset.into(),
        host::Failure::Other(why) => io::Error::other(why),
    }
}
