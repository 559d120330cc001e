//! A data connection: where it goes, and how it comes under TLS.

use super::client::Client;
use super::{Direction, commands, passive};
use crate::dialogue::connect_error;
use crate::error::{Phase, Result};
use crate::link::{Channel, Handshake, Link, Plain, Secure};
use crate::tls::Resumable;
use crate::trace::{self, Event};
use crate::transport::{Endpoint, Purpose, Stream, Transport};

/// A data connection, before the server agreed to the transfer.
pub(super) enum Opened<S> {
    /// Nothing was said on it.
    Silent(S),
    /// Our side of the handshake is on its way.
    Hello(Result<Handshake<S>>),
}

impl<T: Transport> Client<T> {
    /// EPSV, or PASV where it is unknown, and the TCP connection: to the control connection's peer and nobody else.
    pub(super) async fn connect_data(&mut self) -> Result<T::Stream> {
        let port = match self.next_port.take() {
            Some(port) => port,
            None => self.passive_port().await.map_err(|error| self.explain(error.during(Phase::Data)))?,
        };
        self.connect_data_to(port).await
    }

    pub(super) async fn connect_data_to(&mut self, port: u16) -> Result<T::Stream> {
        let host = match self.session.dialogue.peer_addr() {
            Some(address) => address.ip().to_string(),
            None => self.endpoint.host.clone(),
        };
        let context = &self.session.dialogue.context;
        let to = Endpoint { host, port };
        let peer = to.to_string();
        let stream = self.transport.connect(&to, Purpose::Data, context.within(context.timeouts.connect)).await;
        let stream = stream
            .map_err(|error| connect_error(error, &peer).advise("a firewall may block the server's passive ports"))?;
        context.trace.emit(|| Event::Connected { channel: trace::Channel::Data, peer });
        Ok(stream)
    }

    async fn passive_port(&mut self) -> Result<u16> {
        if !self.known.no_epsv {
            let reply = self.session.dialogue.exchange(&commands::epsv()).await?;
            if reply.code().is_completion() {
                return passive::epsv_port(&reply);
            }
            if !reply.code().is_permanent_negative() {
                return Err(self.session.refused(reply, Phase::Data));
            }
            self.learn(|known| known.no_epsv = true);
        }
        let reply = self.session.expect(&commands::pasv()).await?;
        passive::pasv_port(&reply)
    }

    /// Our first message of the handshake, which need not wait for the server's consent: it is read after it. But a last
    /// ticket is not risked on a transfer that may be refused.
    pub(super) async fn begin_data(&mut self, mut stream: T::Stream) -> Opened<T::Stream> {
        let private = self.session.tls.as_ref().filter(|_| self.session.private);
        let Some((tls, name)) = private.filter(|(tls, _)| tls.resumable() != Resumable::Once) else {
            return Opened::Silent(stream);
        };
        let context = &self.session.dialogue.context;
        stream.set_deadline(context.within(context.timeouts.handshake));
        Opened::Hello(Secure::begin(stream, tls, name).await)
    }

    /// The data connection's handshake, now that the server has begun its own.
    pub(super) async fn secure_data(&mut self, stream: T::Stream, direction: Direction) -> Result<Link<T::Stream>> {
        match self.complete_data(Opened::Silent(stream)).await {
            Ok(link) => Ok(link),
            Err(error) => Err(self.broken(error, direction).await),
        }
    }

    pub(super) async fn complete_data(&self, opened: Opened<T::Stream>) -> Result<Link<T::Stream>> {
        let context = &self.session.dialogue.context;
        let within = context.within(context.timeouts.handshake);
        let begun = match opened {
            Opened::Hello(begun) => begun,
            Opened::Silent(mut stream) => match self.session.tls.as_ref().filter(|_| self.session.private) {
                None => return Ok(Link::Plain(Plain::new(stream))),
                Some((tls, name)) => {
                    stream.set_deadline(within);
                    Secure::begin(stream, tls, name).await
                }
            },
        };
        let secured = match begun {
            Ok(mut handshake) => {
                handshake.set_deadline(within);
                handshake.complete().await
            }
            Err(error) => Err(error),
        };
        let link = Link::Secure(Box::new(secured.map_err(|error| error.during(Phase::Handshake))?));
        if let Some(tls) = link.tls() {
            let tls = tls.clone();
            context.trace.emit(|| Event::Secured { channel: trace::Channel::Data, tls });
        }
        Ok(link)
    }
}
