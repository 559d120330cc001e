//! Blocking sockets of the standard library, natively and on WASI 0.2.
//!
//! Waits are cut into slices of at most 100 ms. After each the deadline is looked at and the caller's [`Interrupt`] is
//! asked, so that a signal is seen at once, and a peer that drips a byte a second cannot stretch a deadline.

#[cfg(not(target_family = "wasm"))]
mod listener;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::RecvTimeoutError;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

#[cfg(unix)]
use super::addresses::ATTEMPT_DELAY;
use super::addresses::{Unreached, in_order};
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
    use std::sync::mpsc::sync_channel;
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

/// Races the addresses: the next joins when the last to join has been alone for a while, or when one has failed.
#[cfg(unix)]
fn reach(addresses: &[SocketAddr], local: Option<IpAddr>, clock: &Clock) -> io::Result<TcpStream> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut waiting = addresses.iter();
    let mut running: Vec<(SocketAddr, socket2::Socket)> = Vec::new();
    let mut failed = Unreached::new();
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next
            && let Some(address) = waiting.next()
        {
            match begin(*address, local) {
                Ok(Attempt::Open(socket)) => return finish(socket),
                Ok(Attempt::Running(socket)) => {
                    running.push((*address, socket));
                    next = Instant::now() + ATTEMPT_DELAY;
                }
                Err(error) => failed.push(*address, error.kind()),
            }
            continue;
        }
        if running.is_empty() {
            return Err(failed.into());
        }
        let Ok(left) = clock.remaining() else {
            running.iter().for_each(|(address, _)| failed.push(*address, io::ErrorKind::TimedOut));
            return Err(failed.into());
        };
        let pause = if waiting.len() == 0 { SLICE } else { next.saturating_duration_since(Instant::now()) };
        let slice = pause.min(left).min(SLICE);
        let slice = Timespec { tv_sec: 0, tv_nsec: slice.as_nanos() as _ };
        let mut polled: Vec<_> = running.iter().map(|(_, socket)| PollFd::new(socket, PollFlags::OUT)).collect();
        let ready: Vec<bool> = match poll(&mut polled, Some(&slice)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {
                clock.interrupted()?;
                continue;
            }
            Ok(_) => polled.iter().map(|polled| !polled.revents().is_empty()).collect(),
            Err(error) => return Err(error.into()),
        };
        let mut ready = ready.into_iter();
        for (address, socket) in std::mem::take(&mut running) {
            match ready.next() {
                Some(true) => match socket.take_error().and_then(|error| error.map_or(Ok(()), Err)) {
                    Ok(()) => return finish(socket),
                    Err(error) => {
                        failed.push(address, error.kind());
                        next = Instant::now();
                    }
                },
                _ => running.push((address, socket)),
            }
        }
    }
}

#[cfg(unix)]
enum Attempt {
    Open(socket2::Socket),
    Running(socket2::Socket),
}

/// Begins to connect, without waiting.
#[cfg(unix)]
fn begin(address: SocketAddr, local: Option<IpAddr>) -> io::Result<Attempt> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    if let Some(local) = local {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => Ok(Attempt::Open(socket)),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
            Ok(Attempt::Running(socket))
        }
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn finish(socket: socket2::Socket) -> io::Result<TcpStream> {
    socket.set_nonblocking(false)?;
    Ok(socket.into())
}

/// One address after the other: every one still to be tried has its share of the time that is left.
#[cfg(not(unix))]
fn reach(addresses: &[SocketAddr], local: Option<IpAddr>, clock: &Clock) -> io::Result<TcpStream> {
    if local.is_some() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, super::NO_LOCAL_ADDRESS));
    }
    let mut failed = Unreached::new();
    for (i, address) in addresses.iter().enumerate() {
        let Ok(left) = clock.remaining() else { break };
        clock.interrupted()?;
        let share = (left / (addresses.len() - i) as u32).max(Duration::from_millis(1));
        match open(*address, share) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed.push(*address, error.kind()),
        }
    }
    Err(if failed.attempts().is_empty() { io::ErrorKind::TimedOut.into() } else { failed.into() })
}

#[cfg(not(unix))]
fn open(address: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, within)?;
    // On WASI an attempt that failed after it was started is told only here.
    socket.take_error()?.map_or(Ok(socket), Err)
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::places;
    use super::*;

    fn race(addresses: &[SocketAddr], within: Duration) -> (io::Result<TcpStream>, Duration) {
        let began = Instant::now();
        let reached = reach(addresses, None, &Blocking::new().clock(within));
        (reached, began.elapsed())
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn an_address_that_swallows_packets_costs_the_delay() {
        let (_hole, lost) = places::black_hole();
        let (_listener, open) = places::open();
        let (reached, took) = race(&[lost, open], LONG);
        assert_eq!(reached.unwrap().peer_addr().unwrap(), open);
        assert!(took >= ATTEMPT_DELAY && took < LONG / 10, "{took:?}");
    }

    #[test]
    fn an_address_that_refuses_costs_nothing() {
        let (_listener, open) = places::open();
        let (reached, took) = race(&[places::refusing(), places::refusing(), open], LONG);
        assert_eq!(reached.unwrap().peer_addr().unwrap(), open);
        assert!(took < ATTEMPT_DELAY, "{took:?}");
    }

    #[test]
    fn every_address_is_told() {
        let (_hole, lost) = places::black_hole();
        let refusing = places::refusing();
        let (reached, _) = race(&[lost, refusing], Duration::from_millis(600));
        let error = reached.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), format!("tried {refusing} (connection refused), {lost} (timed out)"));
    }

    #[test]
    fn an_interrupt_ends_the_race() {
        let (_hole, lost) = places::black_hole();
        let transport = Blocking::with_interrupt(Arc::new(|| Err(io::ErrorKind::Interrupted.into())));
        let error = reach(&[lost, lost], None, &transport.clock(LONG)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }

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
