//! What one of the two servers is asked for, and says.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::client::Client;
use super::super::extent::Extent;
use super::super::{commands, passive};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::line::Line;
use crate::reply::Reply;
use crate::transport::Transport;

/// What helps where a server refuses the other one's address. Most do so unless they are told otherwise: whoever can have
/// a server connect anywhere can have it attack others.
const ALLOW: &str = "if the server refuses the other one's address, its administrator must allow copies from server to \
                     server (FXP), for these two alone; else copy the file through here";

/// What helps where a server wants data connections to resume its session.
const NOTHING_TO_RESUME: &str = "between servers there is no session to resume: where the server requires that, its \
                                 administrator must allow copies without, or copy the file through here";

/// A second 150 is nonsense, and what comes then no transfer.
const PRELIMINARY: u8 = 2;

/// What was said of a transfer so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// How many replies said that it begins.
    preliminary: u8,
    /// That it is complete.
    pub(super) last: Option<Reply>,
}

impl<T: Transport> Client<T> {
    pub(super) async fn prepare_fxp(&mut self) -> Result<()> {
        self.idle().await?;
        if !self.session.prepared {
            let why = "nobody is logged in, or the server refused to protect data connections";
            return Err(self.explain(Error::invalid_state(why).during(Phase::Data).advise("log in first")));
        }
        self.next_port = None;
        self.image().await?;
        self.unmark(Extent::WHOLE).await
    }

    pub(super) async fn size_for_fxp(&mut self, path: &[u8]) -> Result<Option<u64>> {
        if !self.session.features.offers("SIZE") {
            return Ok(None);
        }
        self.size(path).await.map(Some)
    }

    pub(super) async fn expose_fxp(&mut self) -> Result<()> {
        if self.session.private {
            self.lend(&commands::prot_clear()).await?;
        }
        Ok(())
    }

    pub(super) async fn restore_fxp(&mut self) -> Result<()> {
        if self.session.private {
            self.take_back(&commands::prot_private()).await?;
        }
        Ok(())
    }

    /// Says what is to hold for the copy alone. Until it is taken back, nothing else is transferred.
    pub(super) async fn lend(&mut self, line: &Line) -> Result<Reply> {
        self.session.lent = true;
        let outcome = self.session.expect(line).await;
        self.session.lent = !matches!(&outcome, Err(error) if matches!(error.kind(), ErrorKind::Rejected));
        outcome
    }

    pub(super) async fn take_back(&mut self, line: &Line) -> Result<()> {
        self.session.expect(line).await?;
        self.session.lent = false;
        Ok(())
    }

    /// CPSV holds for one transfer: for this one, if that came to its end.
    pub(super) fn held_until(&mut self, over: bool) {
        self.session.lent &= !over;
    }

    /// Where we reach this server; `None` behind a proxy.
    pub(super) fn peer_ip(&self) -> Option<IpAddr> {
        self.session.dialogue.peer_addr().map(|address| address.ip().to_canonical())
    }

    pub(super) fn is_on_ipv6(&self) -> bool {
        self.peer_ip().is_some_and(|ip| ip.is_ipv6())
    }

    pub(super) fn is_out_of_time(&self) -> bool {
        self.session.dialogue.context.is_out_of_time()
    }

    /// The address that the other server, which we reach at `other`, is to connect to: the one at which we reach this one.
    pub(super) fn address_for_fxp(&self, other: Option<IpAddr>) -> Result<SocketAddr> {
        let Some(ip) = self.peer_ip() else {
            let why =
                "the server's address is unknown behind a proxy: the other server cannot be told where to connect";
            return Err(self.explain(Error::invalid_state(why)));
        };
        if passive::is_another_place(ip, other) {
            let why = "the server's address is this machine's own (loopback): to the other server it would be itself";
            let advice = "connect to the server at an address that the other one reaches";
            return Err(self.explain(Error::invalid_state(why).advise(advice)));
        }
        Ok(SocketAddr::new(ip, 0))
    }

    /// Has the server wait for the other one, at `address` and the port that it says.
    pub(super) async fn listen_for_fxp(&mut self, mut address: SocketAddr, client_side: bool) -> Result<SocketAddr> {
        let extended = address.is_ipv6() && !client_side;
        let reply = match client_side {
            true => self.lend(&commands::cpsv()).await?,
            false if extended => self.session.expect(&commands::epsv()).await?,
            false => self.session.expect(&commands::pasv()).await?,
        };
        let port = if extended { passive::epsv_port(&reply) } else { passive::pasv_port(&reply) };
        let port = port.and_then(|port| match port {
            passive::FIRST_PORT.. => Ok(port),
            // RFC 2577 §3: no server has another one connect there.
            _ => Err(Error::violation("the other server is sent to a port of another service").with_reply(reply)),
        });
        address.set_port(port.map_err(|error| self.explain(error.during(Phase::Data)))?);
        Ok(address)
    }

    /// Tells the server to connect to the other one.
    pub(super) async fn tell_for_fxp(&mut self, address: SocketAddr) -> Result<()> {
        let line = match address {
            SocketAddr::V4(address) => commands::port(address),
            SocketAddr::V6(_) => commands::eprt(address),
        };
        match self.session.expect(&line).await {
            Err(error) if matches!(error.kind(), ErrorKind::Rejected) => Err(error.advise(ALLOW)),
            outcome => outcome.map(drop),
        }
    }

    pub(super) async fn begin_fxp(&mut self, line: &Line) -> Result<()> {
        self.session.dialogue.ready()?;
        self.session.dialogue.send(line)?;
        self.session.dialogue.flush().await
    }

    /// The next reply about the copy, if something of one comes within `turn`; whether it did.
    pub(super) async fn hear_fxp(&mut self, heard: &mut Heard, turn: Duration) -> Result<bool> {
        if !self.session.dialogue.is_answered_within(turn).await {
            return Ok(false);
        }
        // What has begun is no longer a matter of how long the copy takes.
        let within = self.session.dialogue.context.timeouts.reply;
        let reply = self.session.dialogue.await_reply(within).await.map_err(|error| error.during(Phase::Data))?;
        if reply.code().is_preliminary() && heard.preliminary < PRELIMINARY {
            heard.preliminary += 1;
            return Ok(true);
        }
        if reply.code().is_completion() && heard.preliminary > 0 {
            heard.last = Some(self.session.dialogue.context.scrub_reply(reply));
            return Ok(true);
        }
        if reply.code().is_preliminary() || reply.code().is_completion() {
            self.session.dialogue.end("the server said of a transfer what cannot be");
            let error = Error::violation("a transfer begins with 150 or 125, once, before it is complete");
            return Err(self.explain(error.with_reply(reply).during(Phase::Data)));
        }
        let code = reply.code().number();
        if code == 426 {
            // Another one may follow.
            self.fence().await;
        }
        let error = self.session.refused(reply, Phase::Data);
        Err(match code {
            426 => error,
            522 => error.advise(NOTHING_TO_RESUME),
            _ => error.advise(ALLOW),
        })
    }
}
