//! tokio's sockets and clock (feature `tokio`).

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use ::tokio::time::{Instant, Sleep, sleep, sleep_until, timeout_at};

use super::addresses::{ATTEMPT_DELAY, Unreached, in_order};
use super::{Endpoint, ListenAt, Listener, Purpose, Stream, Transport};

/// The transport over tokio; must be used within its runtime. A host's addresses are raced (RFC 8305).
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio {
    local: Option<IpAddr>,
}

impl Tokio {
    /// A transport that connects from whichever address the system chooses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects from this address of ours, data connections too.
    #[must_use]
    pub fn local_address(mut self, address: Option<IpAddr>) -> Self {
        self.local = address;
        self
    }
}

impl Transport for Tokio {
    type Stream = TokioStream;

    async fn connect(&self, to: &Endpoint, _: Purpose, within: Duration) -> io::Result<TokioStream> {
        let end = after(within);
        let found = match to.ip() {
            Some(address) => vec![address],
            None => match timeout_at(end, lookup_host((to.host.as_str(), to.port))).await {
                Ok(Ok(found)) => found.collect(),
                Ok(Err(_)) => return Err(io::ErrorKind::NotFound.into()),
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            },
        };
        let mut race = Race::new(in_order(found, self.local)?, self.local);
        match timeout_at(end, poll_fn(|cx| race.poll(cx))).await {
            Ok(socket) => TokioStream::from_socket(socket?, end.saturating_duration_since(Instant::now())),
            Err(_) => Err(race.timed_out()),
        }
    }

    async fn pause(&self, time: Duration) -> io::Result<()> {
        sleep_until(after(time)).await;
        Ok(())
    }

    async fn listen(&self, at: &ListenAt, within: Duration) -> io::Result<Box<dyn Listener<TokioStream>>> {
        let socket = at.first(|candidate| {
            let socket = if candidate.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.bind(candidate)?;
            socket.listen(BACKLOG)
        })?;
        Ok(Box::new(TokioListener { address: socket.local_addr()?, socket, deadline: Box::pin(sleep(within)) }))
    }
}

/// How many may knock while nobody looks: one is expected.
const BACKLOG: u32 = 16;

/// A listening socket with a deadline.
struct TokioListener {
    socket: TcpListener,
    address: SocketAddr,
    deadline: Pin<Box<Sleep>>,
}

impl Listener<TokioStream> for TokioListener {
    fn local_addr(&self) -> SocketAddr {
        self.address
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TokioStream>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let (socket, _) = ready!(self.socket.poll_accept(cx))?;
        Poll::Ready(TokioStream::from_socket(
            socket,
            self.deadline.deadline().saturating_duration_since(Instant::now()),
        ))
    }

    fn set_deadline(&mut self, within: Duration) {
        self.deadline.as_mut().reset(after(within));
    }
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Addresses under way: the next joins when the last to join has been alone for a while, or when one has failed.
struct Race {
    waiting: std::vec::IntoIter<SocketAddr>,
    running: Vec<(SocketAddr, Attempt)>,
    failed: Unreached,
    next: Pin<Box<Sleep>>,
    local: Option<IpAddr>,
}

impl Race {
    fn new(addresses: Vec<SocketAddr>, local: Option<IpAddr>) -> Self {
        let next = Box::pin(sleep(Duration::ZERO));
        Self { waiting: addresses.into_iter(), running: Vec::new(), failed: Unreached::new(), next, local }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        loop {
            for (address, mut attempt) in std::mem::take(&mut self.running) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(socket)) => return Poll::Ready(Ok(socket)),
                    Poll::Ready(Err(error)) => {
                        self.failed.push(address, error.kind());
                        self.next.as_mut().reset(Instant::now());
                    }
                    Poll::Pending => self.running.push((address, attempt)),
                }
            }
            if self.waiting.len() == 0 {
                break;
            }
            if !self.running.is_empty() {
                ready!(self.next.as_mut().poll(cx));
            }
            if let Some(address) = self.waiting.next() {
                self.running.push((address, Box::pin(open(address, self.local))));
                self.next.as_mut().reset(Instant::now() + ATTEMPT_DELAY);
            }
        }
        if self.running.is_empty() {
            return Poll::Ready(Err(std::mem::take(&mut self.failed).into()));
        }
        Poll::Pending
    }

    fn timed_out(mut self) -> io::Error {
        for (address, _) in self.running {
            self.failed.push(address, io::ErrorKind::TimedOut);
        }
        self.failed.into()
    }
}

async fn open(address: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.connect(address).await
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
        #[cfg(unix)]
        super::keep_alive(&socket)?;
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
        self.deadline.as_mut().reset(after(within));
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }
}

/// Also right for a duration beyond what the clock can add.
fn after(within: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(within).unwrap_or(now + Duration::from_secs(30 * 365 * 24 * 3600))
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::places;
    use super::*;

    async fn race(addresses: Vec<SocketAddr>, within: Duration) -> (io::Result<TcpStream>, Duration) {
        let began = Instant::now();
        let mut race = Race::new(addresses, None);
        let reached = match timeout_at(after(within), poll_fn(|cx| race.poll(cx))).await {
            Ok(reached) => reached,
            Err(_) => Err(race.timed_out()),
        };
        (reached, began.elapsed())
    }

    const LONG: Duration = Duration::from_secs(30);

    #[::tokio::test]
    async fn addresses_are_raced() {
        let (_hole, lost) = places::black_hole();
        let (_listener, open) = places::open();
        let (reached, took) = race(vec![lost, open], LONG).await;
        assert_eq!(reached.unwrap().peer_addr().unwrap(), open);
        assert!(took >= ATTEMPT_DELAY && took < LONG / 10, "{took:?}");
        let (reached, took) = race(vec![places::refusing(), places::refusing(), open], LONG).await;
        assert_eq!(reached.unwrap().peer_addr().unwrap(), open);
        assert!(took < ATTEMPT_DELAY, "{took:?}");
        let refusing = places::refusing();
        let (reached, _) = race(vec![lost, refusing], Duration::from_millis(600)).await;
        let told = reached.unwrap_err().to_string();
        assert_eq!(told, format!("tried {refusing} (connection refused), {lost} (timed out)"));
        let (reached, _) = race(vec![places::refusing(), places::refusing()], LONG).await;
        assert_eq!(reached.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[::tokio::test]
    async fn connections_are_taken() {
        let at = ListenAt { address: SocketAddr::from(([127, 0, 0, 1], 0)), ports: None };
        let mut listener = Tokio::new().listen(&at, LONG).await.unwrap();
        let ours = TcpStream::connect(listener.local_addr()).await.unwrap();
        let taken = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        assert_eq!(taken.peer_addr(), ours.local_addr().ok());
        assert_eq!(taken.local_addr(), ours.peer_addr().ok());
        listener.set_deadline(Duration::from_millis(50));
        let nobody = poll_fn(|cx| listener.poll_accept(cx)).await;
        assert_eq!(nobody.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[::tokio::test]
    async fn connections_come_from_the_local_address() {
        let (listener, open) = places::open();
        let local = IpAddr::from([127, 0, 0, 9]);
        let to = Endpoint { host: open.ip().to_string(), port: open.port() };
        let _stream = Tokio::new().local_address(Some(local)).connect(&to, Purpose::Control, LONG).await.unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), local);
    }
}
