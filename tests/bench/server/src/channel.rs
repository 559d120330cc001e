//! One connection: bytes in and out, in clear text and then under TLS.
//!
//! Reads are as large as the peer makes worthwhile and writes carry everything due at once, so the
//! server costs less than any client it serves.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::delay::Wire;
use crate::tls::{Records, Tls};

/// Octets asked of the network at first; doubled whenever a read fills the whole buffer.
const FIRST_READ: usize = 18 << 10;
const LARGEST_READ: usize = 1 << 20;
const LONGEST_LINE: usize = 12 << 10;
/// How long a closed connection waits for the client to close its side.
const LINGER: Duration = Duration::from_secs(5);

pub(crate) struct Channel {
    wire: Wire,
    tls: Option<Tls>,
    /// From the network; under TLS, between two reads, less than one record.
    received: Vec<u8>,
    filled: usize,
    /// In clear, from `consumed` on not yet used.
    inbox: Vec<u8>,
    consumed: usize,
    /// In clear, to be sent.
    outbox: Vec<u8>,
    /// As it goes on the wire.
    sealed: Records,
    ended: bool,
    /// Whether something was said since the client last spoke.
    spoke: bool,
    flights: u64,
}

impl Channel {
    pub(crate) fn new(wire: Wire) -> Self {
        Self {
            wire,
            tls: None,
            received: Vec::new(),
            filled: 0,
            inbox: Vec::new(),
            consumed: 0,
            outbox: Vec::new(),
            sealed: Records::default(),
            ended: false,
            spoke: true,
            flights: 0,
        }
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::is_resumed)
    }

    /// The cipher suite, or empty in clear text.
    pub(crate) fn suite(&self) -> String {
        self.tls.as_ref().map_or_else(String::new, Tls::suite)
    }

    /// The client's flights: times it spoke after the server had, its handshake's included.
    pub(crate) fn flights(&self) -> u64 {
        self.flights
    }

    /// Received and not yet used.
    pub(crate) fn inbox(&self) -> &[u8] {
        &self.inbox[self.consumed..]
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.consumed += count;
    }

    /// Queues `text`; it is sent when the client has to be waited for.
    pub(crate) fn say(&mut self, text: &str) {
        self.outbox.extend_from_slice(text.as_bytes());
    }

    /// The next line without its end, or `None` at the end of the connection.
    pub(crate) async fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', self.inbox()) {
                let line = self.inbox()[..end].trim_ascii_end();
                let line = String::from_utf8_lossy(line).into_owned();
                self.consume(end + 1);
                return Ok(Some(line));
            }
            if self.inbox().len() > LONGEST_LINE {
                return Err(io::Error::other("line too long"));
            }
            self.flush().await?;
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Adds to the inbox; false at the end of the connection.
    pub(crate) async fn fill(&mut self) -> io::Result<bool> {
        self.inbox.drain(..self.consumed);
        self.consumed = 0;
        let mut inbox = std::mem::take(&mut self.inbox);
        let before = inbox.len();
        let mut open = true;
        while open && inbox.len() == before {
            open = self.receive(|bytes| inbox.extend_from_slice(bytes)).await?;
        }
        let grown = inbox.len() > before;
        self.inbox = inbox;
        Ok(grown)
    }

    /// Reads once from the network and hands over what can be opened; false once the client is done.
    pub(crate) async fn receive(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.filled == self.received.len() {
            let size = (self.received.len() * 2).clamp(FIRST_READ, LARGEST_READ);
            self.received.resize(size, 0);
        }
        let count = self.wire.read(&mut self.received[self.filled..]).await?;
        if count == 0 {
            self.ended = true;
            return Ok(false);
        }
        self.flights += u64::from(std::mem::take(&mut self.spoke));
        self.filled += count;
        if let Some(tls) = &mut self.tls {
            let incoming = &mut self.received[..self.filled];
            let opened = tls.open(incoming, &mut self.sealed, &mut take)?;
            self.received.copy_within(opened.used..self.filled, 0);
            self.filled -= opened.used;
            self.ended = opened.closed;
            let is_handshake = tls.is_handshaking();
            self.write_sealed().await?;
            // Session tickets, which end a handshake of TLS 1.3, are nothing a client waits for.
            self.spoke &= is_handshake;
        } else {
            take(&self.received[..self.filled]);
            self.filled = 0;
        }
        Ok(!self.ended)
    }

    /// Sends `bytes` after whatever is queued.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.flush().await?;
        self.seal(bytes)?;
        self.write_sealed().await
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let mut outbox = std::mem::take(&mut self.outbox);
        self.seal(&outbox)?;
        outbox.clear();
        self.outbox = outbox;
        self.write_sealed().await
    }

    /// Sends what is queued and goes over to TLS, as the server.
    pub(crate) async fn accept_tls(&mut self, config: &Arc<ServerConfig>) -> io::Result<()> {
        self.flush().await?;
        if !self.inbox().is_empty() {
            return Err(io::Error::other("clear text after the command that starts TLS"));
        }
        self.tls = Some(Tls::new(config)?);
        let mut early = Vec::new();
        while self.tls.as_ref().is_some_and(Tls::is_handshaking) {
            let open = self.receive(|bytes| early.extend_from_slice(bytes)).await?;
            if !open && self.tls.as_ref().is_some_and(Tls::is_handshaking) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.inbox = early;
        self.consumed = 0;
        Ok(())
    }

    /// Says close_notify where there is TLS and half-closes.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        if let Some(tls) = &mut self.tls {
            tls.close_notify(&mut self.sealed)?;
            self.write_sealed().await?;
        }
        self.wire.shutdown().await
    }

    /// Reads on until the client has closed its side too, so that nothing of ours is cut off by a
    /// reset. Runs beside the session.
    pub(crate) fn linger(mut self) {
        tokio::task::spawn_local(async move {
            let rest = async { while let Ok(1..) = self.wire.read(&mut self.received).await {} };
            let _ = tokio::time::timeout(LINGER, rest).await;
        });
    }

    async fn write_sealed(&mut self) -> io::Result<()> {
        if !self.sealed.filled().is_empty() {
            self.wire.write_all(self.sealed.filled()).await?;
            self.wire.flush().await?;
            self.spoke = true;
            self.sealed.clear();
        }
        Ok(())
    }

    fn seal(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.seal(bytes, &mut self.sealed),
            None => {
                self.sealed.append_clear(bytes);
                Ok(())
            }
        }
    }
}
