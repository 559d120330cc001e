//! Active mode: we listen, say where, and the server connects (EPRT, RFC 2428; PORT, RFC 959 §4.1.2).
//!
//! ```text
//!   listen on the control connection's own address ─ EPRT or PORT ─ RETR … ─ 150 ─ accept ═ data handshake
//! ```
//!
//! Under TLS we are its client here, too, whoever opened the connection (RFC 4217 §7). Anybody who reaches the port could
//! be first to connect: only the control connection's peer is let in, and what TLS shows must be the server's.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::client::Client;
use super::{Direction, commands};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::trace::{self, Event};
use crate::transport::{ListenAt, Listener, Stream, Transport};

/// How to listen, in active mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Active {
    /// The ports to listen on, such as a firewall lets through; `None`: whichever the system gives.
    pub ports: Option<RangeInclusive<u16>>,
    /// The address to tell the server, where it is not our own: behind a NAT that passes connections on to us. One that is
    /// no machine's (unspecified, multicast, broadcast) is [`InvalidArgument`](ErrorKind::InvalidArgument).
    pub address: Option<IpAddr>,
}

/// What to do where nobody can listen, or nobody gets through.
const USE_PASSIVE: &str = "use passive mode, which is the default";

impl<T: Transport> Client<T> {
    /// Listens and tells the server where.
    pub(super) async fn listen_for_data(&mut self, active: &Active) -> Result<Box<dyn Listener<T::Stream>>> {
        if active.address.is_some_and(is_nobodys) {
            return Err(self.explain(Error::invalid_argument("the address to tell the server is one of a machine")));
        }
        let dialogue = &self.session.dialogue;
        let within = dialogue.context.within(dialogue.context.timeouts.connect);
        let listener = match (dialogue.peer_addr(), dialogue.local_addr()) {
            (Some(_), Some(address)) => {
                self.transport.listen(&ListenAt { address, ports: active.ports.clone() }, within).await
            }
            // Who is behind a proxy, nobody can tell.
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "this transport cannot wait for connections")),
        };
        let listener = listener.map_err(|error| self.explain(cannot_listen(error)))?;
        let ours = listener.local_addr();
        let told = SocketAddr::new(active.address.unwrap_or(ours.ip()).to_canonical(), ours.port());
        self.tell_port(told).await?;
        Ok(listener)
    }

    /// EPRT, or PORT where it is unknown.
    async fn tell_port(&mut self, address: SocketAddr) -> Result<()> {
        let port = match address {
            SocketAddr::V4(v4) => Some(commands::port(v4)),
            SocketAddr::V6(_) => None,
        };
        let line = match port {
            Some(line) if self.known.no_eprt => return self.expect_port(&line).await,
            _ => commands::eprt(address),
        };
        let reply = self.session.dialogue.exchange(&line).await.map_err(|error| error.during(Phase::Data))?;
        match port {
            _ if reply.code().is_completion() => Ok(()),
            Some(line) if reply.code().is_permanent_negative() => {
                // If PORT is refused, too, it is the address that is not liked.
                self.expect_port(&line).await?;
                self.learn(|known| known.no_eprt = true);
                Ok(())
            }
            _ => Err(self.session.refused(reply, Phase::Data).advise(USE_PASSIVE)),
        }
    }

    async fn expect_port(&mut self, line: &crate::line::Line) -> Result<()> {
        let reply = self.session.dialogue.exchange(line).await.map_err(|error| error.during(Phase::Data))?;
        if reply.code().is_completion() {
            return Ok(());
        }
        Err(self.session.refused(reply, Phase::Data).advise(USE_PASSIVE))
    }

    /// The server's connection; others that come before it are turned away.
    pub(super) async fn accept_data(
        &mut self,
        mut listener: Box<dyn Listener<T::Stream>>,
        direction: Direction,
    ) -> Result<T::Stream> {
        let context = &self.session.dialogue.context;
        let expected = self.session.dialogue.peer_addr();
        listener.set_deadline(context.within(context.timeouts.connect));
        loop {
            let stream = match poll_fn(|cx| listener.poll_accept(cx)).await {
                Ok(stream) => stream,
                Err(error) => {
                    drop(listener);
                    let advice = "a firewall may keep the server's connections out: use passive mode";
                    let error = Error::from(error).during(Phase::Connect).advise(advice);
                    return Err(self.broken(error, direction).await);
                }
            };
            let peer = stream.peer_addr();
            let channel = trace::Channel::Data;
            let shown = peer.map_or_else(|| "somebody".to_owned(), |peer| peer.to_string());
            if peer.is_some() && peer.map(host) == expected.map(host) {
                context.trace.emit(|| Event::Connected { channel, peer: shown });
                return Ok(stream);
            }
            context.trace.emit(|| Event::TurnedAway { channel, peer: shown });
        }
    }
}

/// Whether nobody can connect to an address, or nobody knows who that would be.
fn is_nobodys(address: IpAddr) -> bool {
    let broadcast = matches!(address.to_canonical(), IpAddr::V4(v4) if v4.is_broadcast());
    address.is_unspecified() || address.is_multicast() || broadcast
}

fn host(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

fn cannot_listen(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::Unsupported {
        return Error::new(ErrorKind::Unsupported(format!("active mode: {error}"))).advise(USE_PASSIVE);
    }
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "every port of the range is taken: give a wider one",
        _ => USE_PASSIVE,
    };
    let why = io::Error::new(error.kind(), format!("cannot listen for data connections: {error}"));
    Error::local(why).during(Phase::Data).advise(advice)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::is_nobodys;

    #[test]
    fn addresses_of_machines() {
        for (address, nobodys) in [
            ("192.0.2.1", false),
            ("127.0.0.1", false),
            ("2001:db8::1", false),
            ("::ffff:192.0.2.1", false),
            ("0.0.0.0", true),
            ("::", true),
            ("255.255.255.255", true),
            ("::ffff:255.255.255.255", true),
            ("224.0.0.1", true),
            ("ff02::1", true),
        ] {
            assert_eq!(is_nobodys(address.parse().unwrap()), nobodys, "{address}");
        }
    }
}
