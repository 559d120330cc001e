//! A host's addresses: looked up within a deadline, and raced.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
#[cfg(not(target_family = "wasm"))]
use std::sync::mpsc::RecvTimeoutError;
#[cfg(not(unix))]
use std::time::Duration;
#[cfg(unix)]
use std::time::Instant;

#[cfg(unix)]
use super::super::addresses::ATTEMPT_DELAY;
use super::super::addresses::Unreached;
#[cfg(not(target_family = "wasm"))]
use super::SLICE;
use super::{Clock, Endpoint};

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
pub(super) fn resolve(to: &Endpoint, clock: &Clock) -> io::Result<Vec<SocketAddr>> {
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
pub(super) fn resolve(to: &Endpoint, _: &Clock) -> io::Result<Vec<SocketAddr>> {
    look_up(to)
}

/// Races the addresses: the next joins when the last to join has been alone for a while, or when one has failed.
#[cfg(unix)]
pub(super) fn reach(addresses: &[SocketAddr], local: Option<IpAddr>, clock: &Clock) -> io::Result<TcpStream> {
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
pub(super) fn reach(addresses: &[SocketAddr], local: Option<IpAddr>, clock: &Clock) -> io::Result<TcpStream> {
    if local.is_some() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, super::super::NO_LOCAL_ADDRESS));
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
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::super::places;
    use super::super::Blocking;
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
}
