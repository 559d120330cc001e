//! The peer on real sockets, on loopback.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::peer::{AGAIN, Action, Connection, Peer};
use crate::pki;
use crate::script::Script;

/// How the peer's writes are cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// Each segment in one write.
    Whole,
    /// One byte a write.
    Bytes,
}

/// Two listening sockets, for one session.
#[derive(Debug)]
pub struct Server {
    control: TcpListener,
    data: TcpListener,
}

enum Event {
    Opened(Connection, TcpStream),
    Received(Connection, Vec<u8>),
    Ended(Connection),
}

impl Server {
    /// Listens on ports of the system's choice.
    ///
    /// # Errors
    /// The system's.
    pub fn bind() -> io::Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        Ok(Self { control: listen()?, data: listen()? })
    }

    /// The ports for control and for data.
    ///
    /// # Errors
    /// The system's.
    pub fn ports(&self) -> io::Result<(u16, u16)> {
        Ok((self.control.local_addr()?.port(), self.data.local_addr()?.port()))
    }

    /// A port whose first connection goes to the first of these servers, the second one to the second: one server that
    /// changes.
    ///
    /// # Errors
    /// The system's.
    pub fn in_turn(servers: &[Self]) -> io::Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let targets = servers.iter().map(|server| server.control.local_addr()).collect::<io::Result<Vec<_>>>()?;
        thread::spawn(move || {
            for target in targets {
                let (Ok((client, _)), Ok(server)) = (listener.accept(), TcpStream::connect(target)) else { return };
                let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else { return };
                thread::spawn(move || pass(from_client, server));
                thread::spawn(move || pass(from_server, client));
            }
        });
        Ok(port)
    }

    /// Serves one session, to the client's end of it, and tells what was not as the script has it.
    ///
    /// # Errors
    /// The system's.
    pub fn serve(self, script: &Script, tls: pki::Server, pieces: Pieces) -> io::Result<Vec<String>> {
        let (control_port, data_port) = self.ports()?;
        let (events, arriving) = channel();
        let done = Arc::new(AtomicBool::new(false));
        let acceptors = [(self.control, 0, AGAIN), (self.data, 1, 1)].map(|(listener, first, step)| {
            let (events, done) = (events.clone(), done.clone());
            thread::spawn(move || accept(&listener, (first, step), &events, &done))
        });
        let mut peer = Peer::new(script, tls, data_port);
        let mut sockets: BTreeMap<Connection, TcpStream> = BTreeMap::new();
        let end = Instant::now() + Duration::from_secs(3 * script.timeout + 20);
        let mut late = false;
        let mut strangers = Vec::new();
        while !peer.is_over() {
            match arriving.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Event::Opened(connection, socket)) => {
                    socket.set_nodelay(true)?;
                    socket.set_write_timeout(Some(Duration::from_secs(10)))?;
                    sockets.insert(connection, socket);
                    peer.opened(connection);
                }
                Ok(Event::Received(connection, bytes)) => peer.received(connection, &bytes),
                Ok(Event::Ended(connection)) => peer.ended(connection),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    late = true;
                    break;
                }
            }
            while let Some(action) = peer.next_action() {
                match action {
                    Action::Connect(connection, port) => {
                        let socket = dial(Ipv4Addr::LOCALHOST, port)?;
                        let reading = socket.try_clone()?;
                        let told = events.clone();
                        // Told like a connection that came, so that the peer is not called from its own step.
                        let _ = events.send(Event::Opened(connection, socket));
                        thread::spawn(move || read(reading, connection, &told));
                    }
                    Action::ConnectFromElsewhere(port) => strangers.push(dial(ELSEWHERE, port)?),
                    action => perform(action, &mut sockets, pieces),
                }
            }
        }
        done.store(true, Ordering::SeqCst);
        for socket in sockets.values() {
            // Gone already, as a rule.
            let _ = socket.shutdown(Shutdown::Both);
        }
        for port in [control_port, data_port] {
            // Wakes the acceptor.
            drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
        }
        for acceptor in acceptors {
            let _ = acceptor.join();
        }
        let mut failures = peer.failures(script.timing);
        if late {
            failures.push("the client did not close in time".into());
        }
        Ok(failures)
    }
}

/// Another address of this machine.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn dial(from: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}

fn accept(listener: &TcpListener, (first, step): (Connection, Connection), events: &Sender<Event>, done: &AtomicBool) {
    let mut connection = first;
    while let Ok((socket, _)) = listener.accept() {
        if done.load(Ordering::SeqCst) {
            return;
        }
        let Ok(reading) = socket.try_clone() else { return };
        if events.send(Event::Opened(connection, socket)).is_err() {
            return;
        }
        let events = events.clone();
        thread::spawn(move || read(reading, connection, &events));
        connection += step;
    }
}

fn read(mut socket: TcpStream, connection: Connection, events: &Sender<Event>) {
    let mut piece = vec![0; 64 * 1024];
    loop {
        match socket.read(&mut piece) {
            Ok(n) if n > 0 => {
                if events.send(Event::Received(connection, piece[..n].to_vec())).is_err() {
                    return;
                }
            }
            _ => {
                // A reset is an end as well.
                drop(socket);
                let _ = events.send(Event::Ended(connection));
                return;
            }
        }
    }
}

/// A failure means that the client is gone, which its reader tells.
fn perform(action: Action, sockets: &mut BTreeMap<Connection, TcpStream>, pieces: Pieces) {
    match action {
        Action::Write(connection, bytes) => {
            let Some(socket) = sockets.get_mut(&connection) else { return };
            let size = if pieces == Pieces::Whole { bytes.len() } else { 1 };
            for piece in bytes.chunks(size) {
                if socket.write_all(piece).is_err() {
                    return;
                }
            }
        }
        Action::Shutdown(connection) => {
            if let Some(socket) = sockets.get(&connection) {
                let _ = socket.shutdown(Shutdown::Write);
            }
        }
        Action::Reset(connection) => {
            if let Some(socket) = sockets.remove(&connection) {
                // The reader lets go of its half; closing the last one with no time to linger is a reset.
                let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
                let _ = socket.shutdown(Shutdown::Read);
            }
        }
        Action::Connect(..) | Action::ConnectFromElsewhere(_) => unreachable!("done by the caller"),
    }
}

/// Hands on what comes, and its end.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    // How a connection breaks is not what anybody looks at here.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
