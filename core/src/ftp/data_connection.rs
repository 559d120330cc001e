//! A data connection: where it goes, and how it comes under TLS.

use std::borrow::Cow;

use super::binding::not_resumed;
use super::client::Client;
use super::{Direction, PassiveHost, SessionBinding, commands, passive};
use crate::dialogue::connect_error;
use crate::error::{Phase, Result};
use crate::link::{Channel, Handshake, Link, Plain, Secure};
use crate::tls::{Resumable, ServerName, TlsSession};
use crate::trace::{self, Event};
use crate::transport::{Endpoint, Listener, Purpose, Stream, Transport};

/// A data connection, before the server agreed to the transfer.
pub(super) enum Opened<S> {
    /// Nothing was said on it.
    Silent(S),
    /// Our side of the handshake is on its way.
    Hello(Result<Handshake<S>>),
}

/// A data connection on its way.
pub(super) enum Opening<S> {
    /// We connected.
    Open(S),
    /// The server will connect, once it knows what for.
    Expected(Box<dyn Listener<S>>),
}

impl<T: Transport> Client<T> {
    /// Opens a data connection, or listens for it.
    pub(super) async fn open_data(&mut self) -> Result<Opening<T::Stream>> {
        match self.settings.active.clone() {
            Some(active) => self.listen_for_data(&active).await.map(Opening::Expected),
            None => self.connect_data().await.map(Opening::Open),
        }
    }

    /// The open connection, now that the server had its command.
    pub(super) async fn opened(&mut self, opening: Opening<T::Stream>, direction: Direction) -> Result<T::Stream> {
        match opening {
            Opening::Open(stream) => Ok(stream),
            Opening::Expected(listener) => self.accept_data(listener, direction).await,
        }
    }

    /// EPSV, or PASV where it is unknown, and the TCP connection: to the control connection's peer and nobody else.
    pub(super) async fn connect_data(&mut self) -> Result<T::Stream> {
        let announced = self.settings.passive_host == PassiveHost::DangerAnnounced;
        let to = match self.next_port.take().filter(|_| !announced) {
            Some(port) => self.peer_at(port),
            None => self.passive_endpoint().await.map_err(|error| self.explain(error.during(Phase::Data)))?,
        };
        self.connect_data_to(to).await
    }

    pub(super) async fn connect_data_to(&mut self, to: Endpoint) -> Result<T::Stream> {
        let context = &self.session.dialogue.context;
        let peer = to.to_string();
        let stream = self.transport.connect(&to, Purpose::Data, context.within(context.timeouts.connect)).await;
        let stream = stream
            .map_err(|error| connect_error(error, &peer).advise("a firewall may block the server's passive ports"))?;
        context.trace.emit(|| Event::Connected { channel: trace::Channel::Data, peer });
        Ok(stream)
    }

    async fn passive_endpoint(&mut self) -> Result<Endpoint> {
        let peer = self.session.dialogue.peer_addr();
        let ipv6 = peer.is_some_and(|peer| peer.ip().to_canonical().is_ipv6());
        let announced = self.settings.passive_host == PassiveHost::DangerAnnounced && !ipv6;
        if ipv6 || !(announced || self.known.no_epsv) {
            let reply = self.session.dialogue.exchange(&commands::epsv()).await?;
            if reply.code().is_completion() {
                return passive::epsv_port(&reply).map(|port| self.peer_at(port));
            }
            if ipv6 {
                let advice = "PASV, which the server may know instead, has no room for IPv6: connect over IPv4";
                return Err(self.session.refused(reply, Phase::Data).advise(advice));
            }
            if !reply.code().is_permanent_negative() {
                return Err(self.session.refused(reply, Phase::Data));
            }
            self.learn(|known| known.no_epsv = true);
        }
        let reply = self.session.expect(&commands::pasv()).await?;
        if announced {
            return Ok(match passive::announced(&reply, peer.map(|peer| peer.ip().to_canonical()))? {
                (Some(host), port) => Endpoint::at((host, port).into()),
                (None, port) => self.peer_at(port),
            });
        }
        passive::pasv_port(&reply).map(|port| self.peer_at(port))
    }

    /// The control connection's peer. Behind a proxy its address is unknown, and its name is asked for again.
    pub(super) fn peer_at(&self, port: u16) -> Endpoint {
        match self.session.dialogue.peer_addr() {
            Some(mut address) => {
                address.set_port(port);
                Endpoint::at(address)
            }
            None => Endpoint { host: self.endpoint.host.clone(), port },
        }
    }

    /// Our first message of the handshake, which need not wait for the server's consent: it is read after it. But a last
    /// ticket is not risked on a transfer that may be refused.
    pub(super) async fn begin_data(&mut self, mut stream: T::Stream) -> Opened<T::Stream> {
        let private = self.data_tls();
        let Some((tls, name)) = private.filter(|(tls, _)| tls.resumable() != Resumable::Tickets(1)) else {
            return Opened::Silent(stream);
        };
        let context = &self.session.dialogue.context;
        stream.set_deadline(context.within(context.timeouts.handshake));
        Opened::Hello(Secure::begin(stream, &tls, name).await)
    }

    /// What data connections share with the control connection; `None` if they are in clear text.
    fn data_tls(&self) -> Option<(Cow<'_, TlsSession>, &ServerName)> {
        let (tls, name) = self.session.tls.as_ref().filter(|_| self.session.private)?;
        let tls = match self.settings.session_binding {
            SessionBinding::Off => Cow::Owned(tls.without_resumption()),
            _ => Cow::Borrowed(tls),
        };
        Some((tls, name))
    }

    /// The data connection's handshake, now that the server has begun its own.
    pub(super) async fn secure_data(&mut self, stream: T::Stream, direction: Direction) -> Result<Link<T::Stream>> {
        match self.complete_data(Opened::Silent(stream)).await {
            Ok(link) => Ok(link),
            Err(error) => Err(self.broken(error, direction).await),
        }
    }

    pub(super) async fn complete_data(&mut self, opened: Opened<T::Stream>) -> Result<Link<T::Stream>> {
        let context = &self.session.dialogue.context;
        let within = context.within(context.timeouts.handshake);
        let begun = match opened {
            Opened::Hello(begun) => begun,
            Opened::Silent(mut stream) => {
                let private = self.data_tls();
                let Some((tls, name)) = private else { return Ok(Link::Plain(Plain::new(stream))) };
                stream.set_deadline(within);
                Secure::begin(stream, &tls, name).await
            }
        };
        let secured = match begun {
            Ok(mut handshake) => {
                handshake.set_deadline(within);
                handshake.complete().await
            }
            Err(error) => Err(error),
        };
        let secure = secured.map_err(|error| error.during(Phase::Handshake))?;
        let required = self.settings.session_binding == SessionBinding::Require;
        if required && !secure.tls().is_some_and(|tls| tls.resumed) {
            return Err(not_resumed());
        }
        let link = Link::Secure(Box::new(secure));
        if let Some(tls) = link.tls() {
            let tls = tls.clone();
            context.trace.emit(|| Event::Secured { channel: trace::Channel::Data, tls });
        }
        Ok(link)
    }
}
