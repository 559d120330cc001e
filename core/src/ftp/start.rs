//! How a transfer begins.
//!
//! ```text
//!   the first of a session   EPSV ─ 229 │ TCP │ [REST ─ 350] │ RETR ─ 150 │ TLS ═ ═ │   (RANG in place of REST
//!   after it                 [EPSV] [REST] RETR, EPSV for the next ─ TCP, hello ─ 150 ═ ═ │
//! ```
//!
//! Once a data connection came about, a command does not wait for its own: all go out in one flight, with the EPSV of a
//! transfer that may follow, and the data handshake's first message does not wait for 150. So a transfer costs the round
//! trips of its data connection and no others. What could do harm does not share a flight: an upload is not asked for
//! before the server has a port for it, and no transfer before the server agreed to where it begins.

use std::time::Instant;

use super::client::Client;
use super::extent::{Extent, Mark};
use super::transfer::Transfer;
use super::verdict::Beside;
use super::{Direction, PassiveHost, commands, passive};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::line::Line;
use crate::reply::Reply;
use crate::transport::Transport;

/// A connection that ended, for no reason that TLS gave.
fn is_end(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ClosedByPeer | ErrorKind::Truncated)
}

impl<T: Transport> Client<T> {
    /// Begins a transfer of the type that is set; the server's 150.
    pub(super) async fn start_as_set(&mut self, command: &Line, direction: Direction, extent: Extent) -> Result<Reply> {
        self.idle().await?;
        let began = Instant::now();
        self.ensure_resumable().await?;
        if !self.session.prepared {
            let why = "nobody is logged in, or the server refused to protect data connections";
            return Err(self.explain(Error::invalid_state(why).during(Phase::Data).advise("log in first")));
        }
        self.set_mode().await?;
        self.fenceable = true;
        self.unmark(extent).await?;
        // Where the server connects, or says where to, its answer comes first.
        let plain = self.settings.active.is_none() && self.settings.passive_host == PassiveHost::ControlPeer;
        let reply = match self.reachable && plain && self.settings.pipelining && !self.known.no_epsv {
            true => self.start_swiftly(command, direction, extent).await?,
            false => None,
        };
        let reply = match reply {
            Some(reply) => reply,
            None => self.start_step_by_step(command, direction, extent).await?,
        };
        if let Some(transfer) = &mut self.transfer {
            transfer.began = began;
        }
        Ok(reply)
    }

    async fn start_step_by_step(&mut self, command: &Line, direction: Direction, extent: Extent) -> Result<Reply> {
        let opening = self.open_data().await?;
        if let Some(line) = extent.line() {
            self.session.mark = extent.mark();
            let reply = self.session.dialogue.exchange(&line).await?;
            self.begins_at(reply)?;
        }
        let reply = self.session.dialogue.exchange(command).await.map_err(|error| error.during(Phase::Data))?;
        let reply = self.begins(reply)?;
        let stream = self.opened(opening, direction).await?;
        let data = self.secure_data(stream, direction).await?;
        self.transfer = Some(Transfer::new(data, direction, extent, self.session.compressed));
        self.reachable = true;
        Ok(reply)
    }

    /// `None`: it came to nothing, and did no harm. It is to be begun again, one step after another.
    async fn start_swiftly(&mut self, command: &Line, direction: Direction, extent: Extent) -> Result<Option<Reply>> {
        // A first command that is sent ahead does no harm to anybody, and shows what the server does with such.
        let beside = match (self.known.one_at_a_time || self.known.at_once, self.known.in_order) {
            (true, _) => Beside::default(),
            (false, true) => Beside { ahead: true, ..Beside::default() },
            (false, false) => Beside { trial: true, noops: 1, ..Beside::default() },
        };
        let known_port = self.next_port.take();
        let place = extent.line();
        let waits = place.is_some() || (direction == Direction::Up && known_port.is_none());
        let dialogue = &mut self.session.dialogue;
        dialogue.ready()?;
        if known_port.is_none() {
            dialogue.send(&commands::epsv())?;
        }
        if let Some(line) = &place {
            self.session.mark = extent.mark();
            dialogue.send(line)?;
        }
        if !waits {
            dialogue.send(command)?;
            beside.send(dialogue)?;
        }
        dialogue.flush().await?;
        let port = match known_port {
            Some(port) => port,
            None => {
                let reply = dialogue.reply().await.map_err(|error| error.during(Phase::Data))?;
                match passive::epsv_port(&reply) {
                    Ok(port) if reply.code().is_completion() => port,
                    // Whatever became of the rest: nothing was uploaded, and nothing that comes is believed.
                    _ => {
                        self.fence().await;
                        self.reachable = false;
                        return Ok(None);
                    }
                }
            }
        };
        if place.is_some() {
            let reply = self.session.dialogue.reply().await.map_err(|error| error.during(Phase::Data))?;
            self.begins_at(reply)?;
        }
        if waits {
            self.session.dialogue.send(command)?;
            beside.send(&mut self.session.dialogue)?;
            self.session.dialogue.flush().await?;
        }
        self.beside = beside;
        let stream = match self.connect_data_to(self.peer_at(port)).await {
            Ok(stream) => stream,
            Err(error) => {
                self.reachable = false;
                // A server may forget where it promised to wait.
                return match known_port {
                    Some(_) => self.begin_again(error).await,
                    None => {
                        self.beside = Beside::default();
                        // A server that refuses the transfer does not wait for its connection: then that is the news.
                        match self.fence().await.into_iter().next() {
                            Some(refusal) if refusal.code().is_negative() => self.begins(refusal).map(Some),
                            _ => Err(error),
                        }
                    }
                };
            }
        };
        let early = self.begin_data(stream).await;
        let reply = self.session.dialogue.reply().await.map_err(|error| error.during(Phase::Data))?;
        if !reply.code().is_preliminary() {
            let beside = std::mem::take(&mut self.beside);
            for _ in 0..beside.replies() {
                let ahead = self.session.dialogue.reply().await.map_err(|error| error.during(Phase::Data))?;
                // Where both have one port, what we opened for the first may wait at it now, and be taken for the second.
                self.next_port = passive::epsv_port(&ahead).ok().filter(|&next| ahead.code() == 229 && next != port);
            }
        }
        // A refusal closes what was opened for it.
        let reply = self.begins(reply)?;
        let data = match self.complete_data(early).await {
            Ok(data) => data,
            // A server may end a transfer for what was sent ahead of its end. Nothing was transferred yet.
            Err(error) if beside.ahead && is_end(&error) => {
                self.learn(|known| known.one_at_a_time = true);
                return self.begin_again(error).await;
            }
            Err(error) => return Err(self.broken(error, direction).await),
        };
        self.transfer = Some(Transfer::new(data, direction, extent, self.session.compressed));
        Ok(Some(reply))
    }

    /// What was begun is begun again, one step after another, if the session goes on.
    async fn begin_again(&mut self, error: Error) -> Result<Option<Reply>> {
        self.beside = Beside::default();
        self.mark_cut();
        self.fence().await;
        if self.session.dialogue.has_ended() { Err(self.explain(error)) } else { Ok(None) }
    }

    /// Takes back what the server may keep in mind of a transfer that did not come about, unless it is told anew.
    pub(super) async fn unmark(&mut self, extent: Extent) -> Result<()> {
        let line = match self.session.mark {
            None => return Ok(()),
            mark if mark == extent.mark() => return Ok(()),
            Some(Mark::Rest) => commands::rest(0),
            Some(Mark::Range) => commands::rang_none(),
        };
        let reply = self.session.dialogue.exchange(&line).await?;
        // Who does not know the command has nothing in mind.
        if !reply.code().is_intermediate() && !reply.code().is_permanent_negative() {
            return Err(self.session.refused(reply, Phase::Data));
        }
        self.session.mark = None;
        Ok(())
    }

    /// Compression of data connections, or none, as the settings have it and the server offers it.
    async fn set_mode(&mut self) -> Result<()> {
        let offered = self.session.features.compression() && !self.known.no_compression;
        let wanted = self.settings.compression && offered;
        if wanted == self.session.compressed {
            return Ok(());
        }
        let line = if wanted { commands::mode_deflate() } else { commands::mode_stream() };
        let reply = self.session.dialogue.exchange(&line).await.map_err(|error| error.during(Phase::Data))?;
        if reply.code().is_completion() {
            self.session.compressed = wanted;
        } else if wanted && reply.code().is_permanent_negative() {
            self.learn(|known| known.no_compression = true);
        } else {
            return Err(self.session.refused(reply, Phase::Data));
        }
        Ok(())
    }

    /// The answer to REST or RANG.
    fn begins_at(&mut self, reply: Reply) -> Result<()> {
        if reply.code().is_intermediate() {
            return Ok(());
        }
        self.session.mark = None;
        let error = self.session.refused(reply, Phase::Data);
        Err(error.advise("the server cannot begin in the middle of a file: transfer it whole"))
    }

    /// The answer to the command of a transfer.
    fn begins(&mut self, reply: Reply) -> Result<Reply> {
        match reply.code().number() {
            ..200 => {
                self.session.mark = None;
                Ok(reply)
            }
            400.. => Err(self.session.refused(reply, Phase::Data)),
            _ => {
                self.session.dialogue.end("the server ended a transfer before it began");
                let error = Error::violation("a transfer begins with 150 or 125");
                Err(self.explain(error.with_reply(reply).during(Phase::Data)))
            }
        }
    }
}
