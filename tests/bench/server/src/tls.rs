//! TLS records, opened and sealed from one buffer to another without a stream in between.

use std::io;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, WriteTraffic};
use rustls::{HandshakeKind, ServerConfig};

pub(crate) struct Tls(Box<UnbufferedServerConnection>);

/// What became of the bytes given to [`Tls::open`].
pub(crate) struct Opened {
    /// How many of them, from the front, are done with.
    pub(crate) used: usize,
    /// Whether the client said close_notify.
    pub(crate) closed: bool,
}

impl Tls {
    pub(crate) fn new(config: &Arc<ServerConfig>) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(config.clone());
        Ok(Self(Box::new(connection.map_err(io::Error::other)?)))
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.0.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(crate) fn suite(&self) -> String {
        let suite = self.0.negotiated_cipher_suite();
        suite.map_or_else(String::new, |suite| format!("{:?}", suite.suite()))
    }

    /// Hands the content of all whole records in `incoming` to `take`; what has to be answered is
    /// appended to `sealed`.
    pub(crate) fn open(
        &mut self,
        incoming: &mut [u8],
        sealed: &mut Records,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Opened> {
        let mut opened = Opened { used: 0, closed: false };
        loop {
            let status = self.0.process_tls_records(&mut incoming[opened.used..]);
            opened.used += status.discard;
            match status.state.map_err(io::Error::other)? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(io::Error::other)?;
                        opened.used += record.discard;
                        take(record.payload);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => sealed.append(|out| data.encode(out))?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => opened.closed = true,
                ConnectionState::Closed => {
                    opened.closed = true;
                    return Ok(opened);
                }
                // All there is has been read; early data is not offered.
                _ => return Ok(opened),
            }
        }
    }

    /// Appends `bytes` to `sealed` as records.
    pub(crate) fn seal(&mut self, bytes: &[u8], sealed: &mut Records) -> io::Result<()> {
        self.with_traffic(sealed, |traffic, out| traffic.encrypt(bytes, out))
    }

    pub(crate) fn close_notify(&mut self, sealed: &mut Records) -> io::Result<()> {
        self.with_traffic(sealed, |traffic, out| traffic.queue_close_notify(out))
    }

    fn with_traffic(
        &mut self,
        sealed: &mut Records,
        mut write: impl FnMut(&mut WriteTraffic<'_, ServerConnectionData>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> io::Result<()> {
        loop {
            // No bytes are given, so nothing can be read here.
            let status = self.0.process_tls_records(&mut []);
            match status.state.map_err(io::Error::other)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return sealed.append(|out| write(&mut traffic, out));
                }
                ConnectionState::EncodeTlsData(mut data) => sealed.append(|out| data.encode(out))?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => {}
                state => return Err(io::Error::other(format!("not ready to send: {state:?}"))),
            }
        }
    }
}

/// An encoder's complaint that the space it was given is too small.
trait TooSmall: std::error::Error + Send + Sync + 'static {
    fn required(&self) -> Option<usize>;
}

impl TooSmall for EncodeError {
    fn required(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::AlreadyEncoded => None,
        }
    }
}

impl TooSmall for EncryptError {
    fn required(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::EncryptExhausted => None,
        }
    }
}

/// Bytes as they go on the wire. The space is kept, and so never cleared twice.
#[derive(Default)]
pub(crate) struct Records {
    space: Vec<u8>,
    filled: usize,
}

impl Records {
    pub(crate) fn filled(&self) -> &[u8] {
        &self.space[..self.filled]
    }

    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Clear text goes on the wire as it is.
    pub(crate) fn append_clear(&mut self, bytes: &[u8]) {
        self.space.truncate(self.filled);
        self.space.extend_from_slice(bytes);
        self.filled = self.space.len();
    }

    /// Lets `encode` write at the end, with the space it asks for.
    fn append<E: TooSmall>(&mut self, mut encode: impl FnMut(&mut [u8]) -> Result<usize, E>) -> io::Result<()> {
        let mut written = encode(&mut self.space[self.filled..]);
        if let Some(size) = written.as_ref().err().and_then(TooSmall::required) {
            self.space.resize(self.filled + size, 0);
            written = encode(&mut self.space[self.filled..]);
        }
        self.filled += written.map_err(io::Error::other)?;
        Ok(())
    }
}
