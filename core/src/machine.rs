//! An upgradable connection without input and output: whoever embeds it moves the bytes.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Options, Security};
use crate::tls::TlsInfo;
use crate::transport::{ChannelId, Endpoint, Host, HostedStream, Purpose, Request, Transport};

type Talk = Connection<HostedStream>;
type Handshake = dyn Future<Output = (Box<Talk>, Result<()>)> + Send;

/// A [`Connection`] in clear text, or becoming TLS, or under it, whose bytes the caller moves: in with
/// [`Machine::receive`], out with [`Machine::transmit`]. It knows no time.
///
/// ```
/// # use starttls::{Machine, tls::TlsConfig};
/// let mut machine = Machine::new("mail.example.org", TlsConfig::new())?;
/// machine.receive(b"* OK ready\r\n")?;
/// assert_eq!(machine.read(100)?.as_deref(), Some(&b"* OK ready\r\n"[..]));
/// machine.write(b"a STARTTLS\r\n")?;
/// assert_eq!(machine.transmit(), b"a STARTTLS\r\n");
/// # Ok::<(), starttls::Error>(())
/// ```
pub struct Machine {
    host: Host,
    channel: ChannelId,
    stage: Stage,
    /// For the peer, in order.
    outgoing: Vec<u8>,
}

enum Stage {
    Talking(Box<Talk>),
    Handshaking(Pin<Box<Handshake>>),
    /// The handshake failed.
    Over,
}

/// What a [`Machine`] is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MachineState {
    /// Talking in clear text.
    Clear,
    /// Shaking hands.
    Handshaking,
    /// Under TLS.
    Secure,
}

impl Machine {
    /// In clear text. `server_name` is whose certificate is expected.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a name that is none, [`Tls`](ErrorKind::Tls) for a
    /// configuration that cannot be used.
    pub fn new(server_name: &str, tls: crate::tls::TlsConfig) -> Result<Self> {
        let host = Host::new();
        let to = Endpoint { host: server_name.to_owned(), port: 0 };
        let options = Options { security: Security::Upgrade, tls, ..Options::default() };
        let transport = host.transport();
        let mut opening = pin!(async {
            let stream = transport.connect(&to, Purpose::Control, options.timeouts.connect).await?;
            Connection::over(stream, &to, &options).await
        });
        // The first poll asks for a connection, the second one has it.
        let asked = once(opening.as_mut());
        debug_assert!(asked.is_none(), "nobody has connected it yet");
        let Some(Request::Connect { channel, .. }) = host.next_request() else {
            unreachable!("the first thing asked for is a connection")
        };
        host.connected(channel, None);
        let talk = once(opening).unwrap_or_else(|| unreachable!("a connection in clear text waits for nothing"))?;
        Ok(Self { host, channel, stage: Stage::Talking(Box::new(talk)), outgoing: Vec::new() })
    }

    /// Bytes came from the peer.
    ///
    /// # Errors
    /// [`Tls`](ErrorKind::Tls) if they end the handshake: the machine is of no use then, but [`Machine::transmit`] may
    /// have an alert that the peer should see.
    pub fn receive(&mut self, wire: &[u8]) -> Result<()> {
        self.host.received(self.channel, wire);
        self.go_on()
    }

    /// The peer ended its direction.
    ///
    /// # Errors
    /// As [`Machine::receive`].
    pub fn receive_eof(&mut self) -> Result<()> {
        self.host.received_eof(self.channel);
        self.go_on()
    }

    /// What is to be sent to the peer, all of it.
    pub fn transmit(&mut self) -> Vec<u8> {
        collect(&self.host, &mut self.outgoing);
        std::mem::take(&mut self.outgoing)
    }

    /// What it is doing.
    ///
    /// # Errors
    /// [`InvalidState`](ErrorKind::InvalidState) if the handshake failed.
    pub fn state(&self) -> Result<MachineState> {
        match &self.stage {
            Stage::Talking(talk) if talk.tls().is_some() => Ok(MachineState::Secure),
            Stage::Talking(_) => Ok(MachineState::Clear),
            Stage::Handshaking(_) => Ok(MachineState::Handshaking),
            Stage::Over => Err(over()),
        }
    }

    /// Begins TLS, now: what was received before must have been read. Goes on with [`Machine::receive`] and
    /// [`Machine::transmit`], until the state is [`MachineState::Secure`].
    ///
    /// # Errors
    /// [`BytesBeforeHandshake`](ErrorKind::BytesBeforeHandshake), after which the machine is of no use;
    /// [`InvalidState`](ErrorKind::InvalidState) if it is under TLS already, or about to be.
    pub fn start_tls(&mut self) -> Result<()> {
        match self.state()? {
            MachineState::Clear => {}
            state => return Err(Error::invalid_state(format!("TLS was begun before ({state:?})"))),
        }
        // What was handed in and never read is as much before TLS as what was read into the inbox.
        self.with(async |talk| talk.take_in().await).transpose()?;
        let Stage::Talking(mut talk) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Err(over());
        };
        self.stage = Stage::Handshaking(Box::pin(async move {
            let outcome = talk.start_tls().await;
            (talk, outcome)
        }));
        self.go_on()
    }

    /// What there is to be read, up to `max` bytes; `None` if nothing is there yet, nothing at the orderly end.
    ///
    /// # Errors
    /// [`Tls`](ErrorKind::Tls); [`Truncated`](ErrorKind::Truncated) at an end without close_notify;
    /// [`InvalidState`](ErrorKind::InvalidState) during a handshake.
    pub fn read(&mut self, max: usize) -> Result<Option<Vec<u8>>> {
        self.talking()?;
        // A read that is given up loses nothing.
        self.with(async |talk| talk.read(max).await).transpose()
    }

    /// Puts `bytes` to what is to be sent.
    ///
    /// # Errors
    /// [`InvalidState`](ErrorKind::InvalidState) during a handshake, and after [`Machine::shutdown`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.talking()?;
        self.complete(async |talk| talk.write(bytes).await)
    }

    /// Ends our direction: puts close_notify to what is to be sent. Then the caller may half-close.
    ///
    /// # Errors
    /// [`InvalidState`](ErrorKind::InvalidState) during a handshake.
    pub fn shutdown(&mut self) -> Result<()> {
        self.talking()?;
        self.complete(async |talk| talk.shutdown().await)
    }

    /// What TLS agreed; `None` in clear text.
    pub fn tls(&self) -> Option<&Arc<TlsInfo>> {
        match &self.stage {
            Stage::Talking(talk) => talk.tls(),
            _ => None,
        }
    }

    fn talking(&self) -> Result<()> {
        match self.state()? {
            MachineState::Handshaking => Err(Error::invalid_state("the handshake is under way")),
            _ => Ok(()),
        }
    }

    /// One step of `work`, if there is a connection to do it on.
    fn with<T>(&mut self, work: impl AsyncFnOnce(&mut Talk) -> T) -> Option<T> {
        let Stage::Talking(talk) = &mut self.stage else { return None };
        once(pin!(work(talk)))
    }

    /// All of `work`, which waits for nothing but what is collected here.
    fn complete(&mut self, work: impl AsyncFnOnce(&mut Talk) -> Result<()>) -> Result<()> {
        let Stage::Talking(talk) = &mut self.stage else { return Err(over()) };
        let mut work = pin!(work(talk));
        loop {
            if let Some(outcome) = once(work.as_mut()) {
                return outcome;
            }
            collect(&self.host, &mut self.outgoing);
        }
    }

    /// The handshake, as far as it can go.
    fn go_on(&mut self) -> Result<()> {
        let Stage::Handshaking(handshake) = &mut self.stage else { return Ok(()) };
        let done = loop {
            let done = once(handshake.as_mut());
            // What was written is out of the way: that may be all it waited for.
            if !collect(&self.host, &mut self.outgoing) || done.is_some() {
                break done;
            }
        };
        let Some((talk, outcome)) = done else { return Ok(()) };
        self.stage = if outcome.is_ok() { Stage::Talking(talk) } else { Stage::Over };
        outcome
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("state", &self.state().ok()).finish_non_exhaustive()
    }
}

/// Takes what is to be written. Whether there was anything.
fn collect(host: &Host, outgoing: &mut Vec<u8>) -> bool {
    let mut any = false;
    while let Some(request) = host.next_request() {
        if let Request::Write { channel, bytes } = request {
            host.written(channel, bytes.len());
            outgoing.extend_from_slice(&bytes);
            any = true;
        }
    }
    any
}

fn once<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn over() -> Error {
    Error::new(ErrorKind::InvalidState("the handshake failed: this machine is of no use any more".into()))
}
