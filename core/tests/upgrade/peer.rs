//! A server in memory: it says what its script says, then TLS, then repeats what it hears.

use std::future::Future;
use std::io::{Read, Write};
use std::pin::pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll, Waker};

use rustls::ServerConnection;
use starttls::tls::TlsConfig;
use starttls::transport::{Endpoint, Host, Request};
use starttls::{Connection, Options, Result, Security};

use crate::self_signed::SelfSigned;

/// A server in memory.
pub(crate) struct Peer {
    /// What must come, and what is said then: at first nothing must.
    pub(crate) script: Vec<(Vec<u8>, Vec<u8>)>,
    /// So many bytes at once reach the client.
    pub(crate) step: usize,
    /// Encrypted with the last of the handshake.
    pub(crate) greeting: Vec<u8>,
    /// How it ends once it has heard this: in order or not.
    pub(crate) ends: Option<(Vec<u8>, bool)>,
    /// The application protocols that it takes; it refuses others, unless there are none.
    pub(crate) alpn: Vec<Vec<u8>>,
}

impl Default for Peer {
    fn default() -> Self {
        Self { script: Vec::new(), step: usize::MAX, greeting: Vec::new(), ends: None, alpn: Vec::new() }
    }
}

/// What somebody said to the peer, and which of its requests it was.
pub(crate) struct Heard {
    /// In clear text.
    pub(crate) clear: Vec<u8>,
}

pub(crate) struct Authority {
    identity: SelfSigned,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self { identity: SelfSigned::new(&["host.example"]) }
    }

    pub(crate) fn options(&self, security: Security) -> Options {
        let tls = TlsConfig::new().ca_pem(self.identity.pem.as_bytes()).unwrap();
        Options { security, tls, ..Options::default() }
    }

    fn server(&self, alpn: &[Vec<u8>]) -> ServerConnection {
        let mut config = rustls::ServerConfig::clone(&self.identity.server);
        config.alpn_protocols = alpn.to_vec();
        ServerConnection::new(config.into()).unwrap()
    }
}

pub(crate) type Hosted = Connection<starttls::transport::HostedStream>;

/// Opens a connection as `options` say and does `work` on it.
pub(crate) fn talk<T>(
    authority: &Authority,
    security: Security,
    peer: Peer,
    work: impl AsyncFnOnce(&mut Hosted) -> Result<T>,
) -> (Result<T>, Heard) {
    talk_with(authority, security, |_| (), peer, work)
}

/// The same with options changed.
pub(crate) fn talk_with<T>(
    authority: &Authority,
    security: Security,
    change: impl FnOnce(&mut Options),
    peer: Peer,
    work: impl AsyncFnOnce(&mut Hosted) -> Result<T>,
) -> (Result<T>, Heard) {
    let host = Host::new();
    let mut options = authority.options(security);
    change(&mut options);
    // A server of its own each time, or the memory of servers would take one without TLS for one that lost it.
    static PORT: AtomicU16 = AtomicU16::new(4321);
    let to = Endpoint { host: "host.example".into(), port: PORT.fetch_add(1, Ordering::Relaxed) };
    let transport = host.transport();
    let client = async {
        let mut connection = Connection::open(&transport, &to, &options).await?;
        work(&mut connection).await
    };
    let server = authority.server(&peer.alpn);
    run(&host, client, peer, server)
}

fn run<T>(host: &Host, client: impl Future<Output = T>, peer: Peer, mut tls: ServerConnection) -> (T, Heard) {
    let Peer { script, step, greeting, mut ends, .. } = peer;
    let mut client = pin!(client);
    let mut script = script.into_iter().peekable();
    let (mut unread, mut heard) = (Vec::new(), Heard { clear: Vec::new() });
    let mut decrypted = Vec::new();
    let (mut channel, mut greeted, mut silent) = (None, false, 0);
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = client.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return (output, heard);
        }
        let mut happened = false;
        let mut outgoing = Vec::new();
        while let Some(request) = host.next_request() {
            happened = true;
            match request {
                Request::Connect { channel: opened, .. } => {
                    channel = Some(opened);
                    host.connected(opened, None);
                }
                Request::Write { channel, bytes } => {
                    host.written(channel, bytes.len());
                    unread.extend_from_slice(&bytes);
                }
                Request::Deadline { .. } => happened = false,
                _ => {}
            }
        }
        let Some(channel) = channel else { continue };
        while let Some((due, answer)) = script.peek() {
            if !unread.starts_with(due) {
                break;
            }
            happened = true;
            heard.clear.extend(unread.drain(..due.len()));
            outgoing.extend_from_slice(answer);
            script.next();
        }
        if script.peek().is_none() && !unread.is_empty() {
            happened = true;
            let mut wire = unread.as_slice();
            while !wire.is_empty() {
                tls.read_tls(&mut wire).unwrap();
                // What is no TLS any more (an alert in between) is of no interest here.
                let _ = tls.process_new_packets();
            }
            unread.clear();
            if !tls.is_handshaking() && !std::mem::replace(&mut greeted, true) {
                tls.writer().write_all(&greeting).unwrap();
            }
            let before = decrypted.len();
            let _ = tls.reader().read_to_end(&mut decrypted);
            tls.writer().write_all(&decrypted[before..]).unwrap();
        }
        let ending = ends.take_if(|(word, _)| decrypted.ends_with(word));
        if let Some((_, true)) = ending {
            tls.send_close_notify();
        }
        tls.write_tls(&mut outgoing).unwrap();
        while tls.wants_write() {
            tls.write_tls(&mut outgoing).unwrap();
        }
        for piece in outgoing.chunks(step.min(outgoing.len().max(1))) {
            host.received(channel, piece);
            if let Poll::Ready(output) = client.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return (output, heard);
            }
        }
        if ending.is_some() {
            host.received_eof(channel);
        }
        // Twice without any news: the client waits for what will not come.
        silent = if happened || !outgoing.is_empty() || ending.is_some() { 0 } else { silent + 1 };
        if silent == 2 {
            heard.clear.append(&mut unread);
            host.failed(channel, std::io::ErrorKind::TimedOut, "the test's clock");
        }
    }
    panic!("neither side has anything to say, and the client waits");
}
