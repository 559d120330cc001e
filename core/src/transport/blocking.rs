//! Blocking sockets of the standard library, natively and on WASI 0.2.
//!
//! Waits are cut into slices of at most 100 ms. After each the deadline is looked at and the caller's [`Interrupt`] is
//! asked, so that a signal is seen at once, and a peer that drips a byte a second cannot stretch a deadline.

#[cfg(not(target_family = "wasm"))]
mod listener;
mod race;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::RecvTimeoutError;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use self::race::{reach, resolve};
use super::addresses::in_order;
use super::{Endpoint, Purpose, Stream, Transport};

/// The most that is taken in while a write waits.
const MOST_EARLY: usize = 4 * 1024 * 1024;

/// The longest single wait.
const SLICE: Duration = Duration::from_millis(100);

/// Asked between waits whether to go on; an error ends the operation with it.
pub type Interrupt = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// The transport over `std::net`.
///
/// On Unix a host's addresses are raced, without threads (RFC 8305); elsewhere they are tried in order, each with its
/// share of the time that is left.
#[derive(Clone, Default)]
pub struct Blocking {
    interrupt: Option<Interrupt>,
    /// The interrupt was heard on another thread.
    stopped: Arc<AtomicBool>,
    local: Option<IpAddr>,
    until: Option<Instant>,
}

impl Blocking {
    /// A transport that waits until the deadline.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `interrupt` at least every 100 ms of waiting.
    pub fn with_interrupt(interrupt: Interrupt) -> Self {
        Self { interrupt: Some(interrupt), ..Self::default() }
    }

    /// Connects from this address of ours, data connections too. Where the system lets nobody choose (WASI), connecting
    /// fails with [`io::ErrorKind::Unsupported`].
    #[must_use]
    pub fn local_address(mut self, address: Option<IpAddr>) -> Self {
        self.local = address;
        self
    }

    /// Everything on this transport ends then, whatever the deadlines of single stages say.
    #[must_use]
    pub fn until(mut self, end: Option<Instant>) -> Self {
        self.until = end;
        self
    }

    fn clock(&self, within: Duration) -> Clock {
        let (interrupt, stopped) = (self.interrupt.clone(), self.stopped.clone());
        Clock { end: deadline(within), until: self.until, interrupt, stopped }
    }
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking")
            .field("interrupt", &self.interrupt.is_some())
            .field("local", &self.local)
            .field("until", &self.until)
            .finish()
    }
}

impl Transport for Blocking {
    type Stream = BlockingStream;

    async fn connect(&self, to: &Endpoint, _: Purpose, within: Duration) -> io::Result<BlockingStream> {
        let clock = self.clock(within);
        let found = match to.ip() {
            Some(address) => vec![address],
            None => resolve(to, &clock)?,
        };
        let socket = reach(&in_order(found, self.local)?, self.local, &clock)?;
        BlockingStream::new(socket, clock)
    }

    async fn pause(&self, time: Duration) -> io::Result<()> {
        let end = deadline(time);
        let clock = self.clock(NEVER);
        loop {
            clock.tick()?;
            match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Ok(()),
                left => std::thread::sleep(left.min(SLICE)),
            }
        }
    }

    /// On a thread each. Here, meanwhile, the interrupt is asked: a signal is the main thread's to hear.
    async fn side_by_side<F>(&self, work: Vec<F>) -> Vec<F::Output>
    where
        F: Future + Send,
        F::Output: Send,
    {
        if cfg!(target_family = "wasm") || work.len() < 2 {
            return super::together::together(work).await;
        }
        let mut outputs: Vec<Option<F::Output>> = work.iter().map(|_| None).collect();
        std::thread::scope(|scope| {
            let (done, all) = std::sync::mpsc::channel();
            for (i, one) in work.into_iter().enumerate() {
                let done = done.clone();
                // Nobody listens any more if another thread panicked.
                scope.spawn(move || drop(done.send((i, super::block(one)))));
            }
            drop(done);
            loop {
                match all.recv_timeout(SLICE) {
                    Ok((i, output)) => outputs[i] = Some(output),
                    Err(RecvTimeoutError::Timeout) => {
                        if self.interrupt.as_ref().is_some_and(|interrupt| interrupt().is_err()) {
                            self.stopped.store(true, Relaxed);
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        self.stopped.store(false, Relaxed);
        outputs.into_iter().map(|output| output.expect("a thread that panicked has ended this one, too")).collect()
    }

    #[cfg(not(target_family = "wasm"))]
    async fn listen(
        &self,
        at: &super::ListenAt,
        within: Duration,
    ) -> io::Result<Box<dyn super::Listener<BlockingStream>>> {
        Ok(Box::new(listener::BlockingListener::open(at, self.clock(within))?))
    }
}

/// A connected socket with a deadline.
pub struct BlockingStream {
    socket: TcpStream,
    clock: Clock,
    /// The socket's receive and send timeouts, as last set: a system call is made only when they change.
    slices: [Option<Duration>; 2],
    /// What was read while a write had to wait.
    early: VecDeque<u8>,
}

impl BlockingStream {
    /// Takes over a connected socket; waits are not bounded until [`Stream::set_deadline`].
    ///
    /// # Errors
    /// When the socket's options cannot be set.
    pub fn from_socket(socket: TcpStream) -> io::Result<Self> {
        Self::new(socket, Clock { end: deadline(NEVER), until: None, interrupt: None, stopped: Arc::default() })
    }

    fn new(socket: TcpStream, clock: Clock) -> io::Result<Self> {
        // A flight is one write: without this, it waits for the last one's acknowledgement.
        socket.set_nodelay(true)?;
        #[cfg(unix)]
        super::keep_alive(&socket)?;
        Ok(Self { socket, clock, slices: [None, None], early: VecDeque::new() })
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
            if matches!(direction, Direction::Write) {
                self.read_early()?;
            }
        }
    }

    /// A peer that does not read may be waiting for us to read: what it has to say is taken in, up to a bound, so that
    /// neither waits for the other for ever.
    fn read_early(&mut self) -> io::Result<()> {
        self.socket.set_nonblocking(true)?;
        let mut piece = [0; 16 * 1024];
        while self.early.len() < MOST_EARLY {
            // The end of the stream and errors are there for the next read, or write, too.
            match self.socket.read(&mut piece) {
                Ok(n) if n > 0 => self.early.extend(&piece[..n]),
                _ => break,
            }
        }
        self.socket.set_nonblocking(false)
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Read = 0,
    Write = 1,
}

impl Stream for BlockingStream {
    fn poll_read(&mut self, _: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.early.is_empty() {
            return Poll::Ready(self.early.read(into));
        }
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

    fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
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
#[derive(Clone)]
struct Clock {
    end: Instant,
    until: Option<Instant>,
    interrupt: Option<Interrupt>,
    stopped: Arc<AtomicBool>,
}

impl Clock {
    fn remaining(&self) -> io::Result<Duration> {
        let end = self.until.map_or(self.end, |until| until.min(self.end));
        match end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }

    /// After a slice: may we go on?
    fn tick(&self) -> io::Result<()> {
        self.interrupted()?;
        self.remaining().map(drop)
    }

    fn interrupted(&self) -> io::Result<()> {
        if self.stopped.load(Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.interrupt.as_ref().map_or(Ok(()), |interrupt| interrupt())
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

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::places;
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn connections_come_from_the_local_address() {
        let (listener, open) = places::open();
        let local = IpAddr::from([127, 0, 0, 9]);
        let to = Endpoint { host: open.ip().to_string(), port: open.port() };
        let transport = Blocking::new().local_address(Some(local));
        let stream = super::super::block(transport.connect(&to, Purpose::Control, LONG)).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), local);
        let socket = socket2::SockRef::from(&stream.socket);
        assert!(socket.keepalive().unwrap() && stream.socket.nodelay().unwrap());
        let elsewhere = Blocking::new().local_address(Some("192.0.2.1".parse().unwrap()));
        let error = super::super::block(elsewhere.connect(&to, Purpose::Control, LONG)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }

    fn listening(transport: &Blocking, within: Duration) -> Box<dyn super::super::Listener<BlockingStream>> {
        let at = super::super::ListenAt { address: SocketAddr::from(([127, 0, 0, 1], 0)), ports: None };
        super::super::block(transport.listen(&at, within)).unwrap()
    }

    #[test]
    fn connections_are_taken() {
        let mut listener = listening(&Blocking::new(), LONG);
        let ours = TcpStream::connect(listener.local_addr()).unwrap();
        let mut taken = super::super::block(std::future::poll_fn(|cx| listener.poll_accept(cx))).unwrap();
        assert_eq!(taken.peer_addr(), ours.local_addr().ok());
        assert_eq!(taken.local_addr(), ours.peer_addr().ok());
        (&ours).write_all(b"x").unwrap();
        let mut byte = [0];
        let read = super::super::block(std::future::poll_fn(|cx| taken.poll_read(cx, &mut byte)));
        assert_eq!((read.unwrap(), byte), (1, *b"x"));
    }

    #[test]
    fn nobody_is_waited_for_beyond_the_deadline() {
        let mut listener = listening(&Blocking::new(), LONG);
        listener.set_deadline(Duration::from_millis(250));
        let began = Instant::now();
        let taken = super::super::block(std::future::poll_fn(|cx| listener.poll_accept(cx)));
        assert_eq!(taken.err().unwrap().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= Duration::from_millis(250) && began.elapsed() < LONG / 10);
        let interrupted = Blocking::with_interrupt(Arc::new(|| Err(io::ErrorKind::Interrupted.into())));
        let mut listener = listening(&interrupted, LONG);
        let taken = super::super::block(std::future::poll_fn(|cx| listener.poll_accept(cx)));
        assert_eq!(taken.err().unwrap().kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn nothing_goes_on_beyond_the_end_of_all() {
        let (listener, open) = places::open();
        let to = Endpoint { host: open.ip().to_string(), port: open.port() };
        let transport = Blocking::new().until(Some(Instant::now() + Duration::from_millis(300)));
        let mut stream = super::super::block(transport.connect(&to, Purpose::Control, LONG)).unwrap();
        let _peer = listener.accept().unwrap();
        stream.set_deadline(LONG);
        let read = super::super::block(std::future::poll_fn(|cx| stream.poll_read(cx, &mut [0])));
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let later = super::super::block(transport.connect(&to, Purpose::Control, LONG));
        assert_eq!(later.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
