//! A data connection: where it goes, and how it comes under TLS.

use super::client::Client;
use super::{Direction, commands, passive};
use crate::dialogue::connect_error;
use crate::error::{Phase, Result};
use crate::link::{Channel, Link, Plain, Secure};
use crate::trace::{self, Event};
use crate::transport::{Endpoint, Purpose, Stream, Transport};

impl<T: Transport> Client<T> {
    /// EPSV, or PASV where it is unknown, and the TCP connection: to the control connection's peer and nobody else.
    pub(super) async fn connect_data(&mut self) -> Result<T::Stream> {
        let port = self.passive_port().await.map_err(|error| self.explain(error.during(Phase::Data)))?;
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

    /// The data connection's handshake, now that the server has begun its own.
    pub(super) async fn secure_data(&mut self, mut stream: T::Stream, direction: Direction) -> Result<Link<T::Stream>> {
        let context = &self.session.dialogue.context;
        let Some((tls, name)) = self.session.tls.as_ref().filter(|_| self.session.private) else {
            return Ok(Link::Plain(Plain::new(stream)));
        };
        stream.set_deadline(context.within(context.timeouts.handshake));
        match Secure::implicit(stream, tls, name).await {
            Ok(secure) => {
                let link = Link::Secure(Box::new(secure));
                if let Some(tls) = link.tls() {
                    let tls = tls.clone();
                    context.trace.emit(|| Event::Secured { channel: trace::Channel::Data, tls });
                }
                Ok(link)
            }
            Err(error) => Err(self.broken(error.during(Phase::Handshake), direction).await),
        }
    }
}
