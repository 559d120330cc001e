//! Blocking sockets of the standard library, natively and on WASI 0.2.
//!
//! Waits are cut into slices of at most 100 ms. After each the deadline is looked at and the caller's [`Interrupt`] is
//! asked, so that a signal is seen at once, and a peer that drips a byte a second cannot stretch a deadline.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Endpoint, Purpose, Stream, Transport};

/// The longest single wait.
const SLICE: Duration = Duration::from_millis(100);

/// Asked between waits whether to go on; an error ends the operation with it.
pub type Interrupt = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// The transport over `std::net`.
#[derive(Clone, Default)]
pub struct Blocking {
    interrupt: Option<Interrupt>,
}

impl Blocking {
    /// A transport that waits until the deadline.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `interrupt` at least every 100 ms of waiting.
    pub fn with_interrupt(interrupt: Interrupt) -> Self {
        Self { interrupt: Some(interrupt) }
    }

    fn clock(&self, within: Duration) -> Clock {
        Clock { end: deadline(within), interrupt: self.interrupt.clone() }
    }
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").field("interrupt", &self.interrupt.is_some()).finish()
    }
}

impl Transport for Blocking {
    type Stream = BlockingStream;

    async fn connect(&self, to: &Endpoint, _: Purpose, within: Duration) -> io::Result<BlockingStream> {
        let clock = self.clock(within);
        let addresses = match to.ip() {
            Some(address) => vec![address],
            None => resolve(to, &clock)?,
        };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for (i, address) in addresses.iter().enumerate() {
            // Every address still to be tried has its share of the time that is left.
            let share = clock.remaining()? / (addresses.len() - i) as u32;
            match open(*address, &self.clock(share.max(Duration::from_millis(1)))) {
                Ok(socket) => return BlockingStream::new(socket, clock),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A connected socket with a deadline.
pub struct BlockingStream {
    socket: TcpStream,
    clock: Clock,
    /// The socket's receive and send timeouts, as last set: a system call is made only when they change.
    slices: [Option<Duration>; 2],
}

impl BlockingStream {
    /// Takes over a connected socket; waits are not bounded until [`Stream::set_deadline`].
    ///
    /// # Errors
    /// When the socket's options cannot be set.
    pub fn from_socket(socket: TcpStream) -> io::Result<Self> {
        Self::new(socket, Clock { end: deadline(NEVER), interrupt: None })
    }

    fn new(socket: TcpStream, clock: Clock) -> io::Result<Self> {
        // A flight is one write: without this, it waits for the last one's acknowledgement.
        socket.set_nodelay(true)?;
        Ok(Self { socket, clock, slices: [None, None] })
    }

    /// Sets the timeout of one direction to the next slice.
    fn arm(&mut self, direction: Direction) -> io::Result<()> {
        let slice = self.clock.remaining()?.min(SLICE).max(Duration::from_millis(1));
        let set = &mut self.slices[direction as usize];
        if *set != Some(slice) {
            match direction {
                Direction::Read => self.socket.set_read_timeout(Some(slice))?,
                Direction::Write => self.socket.set_write_timeout(Some(slice))?,
            }
            *set = Some(slice);
        }
        Ok(())
    }

    fn wait<T>(&mut self, direction: Direction, mut io: impl FnMut(&mut TcpStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            self.arm(direction)?;
            match io(&mut self.socket) {
                Err(error) if is_slice(&error) => self.clock.tick()?,
                outcome => return outcome.map_err(told),
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Read = 0,
    Write = 1,
}

impl Stream for BlockingStream {
    fn poll_read(&mut self, _: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.wait(Direction::Read, |socket| socket.read(into)))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.wait(Direction::Write, |socket| socket.write(bytes)))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.socket.shutdown(Shutdown::Write) {
            // The peer was quicker: our direction is closed all the same.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            outcome => outcome,
        })
    }

    fn set_deadline(&mut self, within: Duration) {
        self.clock.end = deadline(within);
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }
}

impl fmt::Debug for BlockingStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

/// Longer than any process lives, short enough to be added to any clock.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

fn deadline(within: Duration) -> Instant {
    Instant::now() + within.min(NEVER)
}

/// A deadline and the interrupt.
struct Clock {
    end: Instant,
    interrupt: Option<Interrupt>,
}

impl Clock {
    fn remaining(&self) -> io::Result<Duration> {
        match self.end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }

    /// After a slice: may we go on?
    fn tick(&self) -> io::Result<()> {
        if let Some(interrupt) = &self.interrupt {
            interrupt()?;
        }
        self.remaining().map(drop)
    }
}

fn is_slice(error: &io::Error) -> bool {
    // A signal handler ran (EINTR), or the slice is over: EAGAIN on Unix, ETIMEDOUT on Windows.
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// WASI 0.2.0 tells of a stream only that it failed, which its C library calls EIO: a socket fails when it is reset.
fn told(error: io::Error) -> io::Error {
    const EIO: i32 = 29;
    if cfg!(target_os = "wasi") && error.raw_os_error() == Some(EIO) {
        return io::ErrorKind::ConnectionReset.into();
    }
    error
}

fn look_up(to: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    use std::net::ToSocketAddrs;
    let found: Vec<_> = match (to.host.as_str(), to.port).to_socket_addrs() {
        Ok(found) => found.collect(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
        Err(_) => Vec::new(),
    };
    if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
}

/// The system's resolver knows no deadline, so it runs on a thread of its own that is left behind at the deadline.
#[cfg(not(target_family = "wasm"))]
fn resolve(to: &Endpoint, clock: &Clock) -> io::Result<Vec<SocketAddr>> {
    use std::sync::mpsc::{RecvTimeoutError, sync_channel};
    let (answer, answers) = sync_channel(1);
    let question = to.clone();
    std::thread::Builder::new().name("starttls-resolve".into()).spawn(move || {
        // Nobody listens any more after the deadline; the answer is dropped then.
        let _ = answer.send(look_up(&question));
    })?;
    loop {
        match answers.recv_timeout(clock.remaining()?.min(SLICE)) {
            Ok(found) => return found,
            Err(RecvTimeoutError::Timeout) => clock.tick()?,
            Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::NotFound.into()),
        }
    }
}

#[cfg(target_family = "wasm")]
fn resolve(to: &Endpoint, _: &Clock) -> io::Result<Vec<SocketAddr>> {
    look_up(to)
}

/// A connection attempt that can be interrupted: started without blocking, then waited for in slices.
#[cfg(unix)]
fn open(address: SocketAddr, clock: &Clock) -> io::Result<TcpStream> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => loop {
            let slice = clock.remaining()?.min(SLICE);
            let slice = Timespec { tv_sec: 0, tv_nsec: slice.as_nanos() as _ };
            let mut fds = [PollFd::new(&socket, PollFlags::OUT)];
            match poll(&mut fds, Some(&slice)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => clock.tick()?,
                Ok(_) => break socket.take_error()?.map_or(Ok(()), Err)?,
                Err(error) => return Err(error.into()),
            }
        },
        Err(error) => return Err(error),
    }
    socket.set_nonblocking(false)?;
    Ok(socket.into())
}

#[cfg(not(unix))]
fn open(address: SocketAddr, clock: &Clock) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, clock.remaining()?)?;
    // On WASI an attempt that failed after it was started is told only here.
    socket.take_error()?.map_or(Ok(socket), Err)
}
