//! Listening with blocking sockets: not on WASI, where nobody may.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::task::{Context, Poll};
use std::time::Duration;

use super::super::listen::{ListenAt, Listener};
use super::{BlockingStream, Clock, deadline};

/// A listening socket with a deadline.
pub(super) struct BlockingListener {
    socket: TcpListener,
    address: SocketAddr,
    clock: Clock,
}

impl BlockingListener {
    pub(super) fn open(at: &ListenAt, clock: Clock) -> io::Result<Self> {
        let socket = at.first(TcpListener::bind)?;
        // The wait is ours, with the deadline and the interrupt: taking a connection itself must not wait.
        socket.set_nonblocking(true)?;
        Ok(Self { address: socket.local_addr()?, socket, clock })
    }

    /// Waits for a connection, for one slice at most.
    #[cfg(unix)]
    fn wait(&self) -> io::Result<()> {
        let slice = self.clock.remaining()?.min(super::SLICE);
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: slice.as_nanos() as _ };
        let mut polled = [rustix::event::PollFd::new(&self.socket, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Without `poll` it is asked again and again.
    #[cfg(not(unix))]
    fn wait(&self) -> io::Result<()> {
        std::thread::sleep(self.clock.remaining()?.min(Duration::from_millis(10)));
        Ok(())
    }

    fn accept(&self) -> io::Result<BlockingStream> {
        loop {
            match self.socket.accept() {
                Ok((socket, _)) => {
                    socket.set_nonblocking(false)?;
                    return BlockingStream::new(socket, self.clock.clone());
                }
                Err(error) if super::is_slice(&error) => {
                    self.wait()?;
                    self.clock.tick()?;
                }
                // It was gone before it was taken.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Listener<BlockingStream> for BlockingListener {
    fn local_addr(&self) -> SocketAddr {
        self.address
    }

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<BlockingStream>> {
        Poll::Ready(self.accept())
    }

    fn set_deadline(&mut self, within: Duration) {
        self.clock.end = deadline(within);
    }
}
