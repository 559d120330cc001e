//! The copy itself: what holds for it alone, who connects to whom, and the last words of both.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::Direction;
use super::super::client::Client;
use super::super::commands;
use super::side::Heard;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::line::Line;
use crate::reply::Reply;
use crate::transport::Transport;

/// Who is the TLS client between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    /// Nobody: clear text.
    None,
    /// The source, told so by SSCN.
    SourceBySscn,
    /// The target, told so by SSCN.
    TargetBySscn,
    /// The source, told so by CPSV in place of PASV.
    SourceByCpsv,
    /// The target, told so by CPSV: the source connects to it.
    TargetByCpsv,
}

impl Handshake {
    /// What may help where the end of the file did not arrive. A server that closes before it has read what came unasked
    /// resets the connection, and the other one loses what it has not read yet.
    pub(super) fn where_the_end_is_lost(self) -> &'static str {
        match self {
            Self::SourceBySscn | Self::SourceByCpsv => {
                "a server that sends as the client of TLS 1.3 may close before it has read the other one's tickets, which \
                 loses the end of the file: let one of the two speak TLS 1.2 at most, or copy the file through here"
            }
            _ => "the connection between the servers broke: try again, or copy the file through here",
        }
    }
}

/// For how long one of the two is heard at a time.
const A_TURN: Duration = Duration::from_millis(50);

/// How long a refusal may take that is no surprise to the server.
const A_MOMENT: Duration = Duration::from_millis(300);

/// The copy, and the last words of both. What was set for it alone is taken back, however it went. Where that fails, the
/// session is replaced before it is used again; a file that arrived has arrived all the same.
pub(super) async fn exchange<S: Transport, T: Transport>(
    source: &mut Client<S>,
    target: &mut Client<T>,
    handshake: Handshake,
    commands: [&Line; 2],
    within: Duration,
) -> Result<(Reply, Reply)> {
    // Looked at before anything is set.
    let at = match handshake {
        Handshake::TargetByCpsv => target.address_for_fxp(source.peer_ip())?,
        _ => source.address_for_fxp(target.peer_ip())?,
    };
    match handshake {
        Handshake::None => {
            source.expose_fxp().await?;
            if let Err(error) = target.expose_fxp().await {
                let _ = source.restore_fxp().await;
                return Err(error);
            }
        }
        Handshake::SourceBySscn => drop(source.lend(&commands::sscn(true)).await?),
        Handshake::TargetBySscn => drop(target.lend(&commands::sscn(true)).await?),
        Handshake::SourceByCpsv | Handshake::TargetByCpsv => {}
    }
    let outcome = connect(source, target, handshake, at, commands, within).await;
    let over = outcome.is_ok();
    match handshake {
        Handshake::None => {
            let _ = source.restore_fxp().await;
            let _ = target.restore_fxp().await;
        }
        Handshake::SourceBySscn => drop(source.take_back(&commands::sscn(false)).await),
        Handshake::TargetBySscn => drop(target.take_back(&commands::sscn(false)).await),
        Handshake::SourceByCpsv => source.held_until(over),
        Handshake::TargetByCpsv => target.held_until(over),
    }
    outcome.map_err(|error| match error.reply().map(|reply| reply.code().number()) {
        Some(426) => error.advise(handshake.where_the_end_is_lost()),
        _ => error,
    })
}

async fn connect<S: Transport, T: Transport>(
    source: &mut Client<S>,
    target: &mut Client<T>,
    handshake: Handshake,
    at: SocketAddr,
    [retr, stor]: [&Line; 2],
    within: Duration,
) -> Result<(Reply, Reply)> {
    match handshake {
        Handshake::TargetByCpsv => {
            let at = target.listen_for_fxp(at, true).await?;
            source.tell_for_fxp(at).await?;
        }
        _ => {
            let at = source.listen_for_fxp(at, handshake == Handshake::SourceByCpsv).await?;
            target.tell_for_fxp(at).await?;
        }
    }
    source.begin_fxp(retr).await?;
    // Most servers that do not have the file say so at once, and the target keeps what it has.
    let mut from = Heard::default();
    source.hear_fxp(&mut from, A_MOMENT).await?;
    if let Err(error) = target.begin_fxp(stor).await {
        if from.last.is_none() {
            source.stop(None, Direction::Down).await;
        }
        return Err(error);
    }
    hear(source, target, from, within).await
}

/// The last words of both. A server that the other one has refused waits for it in vain, so both are heard in turns, and
/// what ends one ends the other.
async fn hear<S: Transport, T: Transport>(
    source: &mut Client<S>,
    target: &mut Client<T>,
    mut from: Heard,
    within: Duration,
) -> Result<(Reply, Reply)> {
    let mut to = Heard::default();
    // Turns are counted, and not the clock, so that a host can run this in a time of its own.
    let mut left = within;
    loop {
        if let Err(error) = turn(source, &mut from, &mut left).await {
            if to.last.is_none() {
                target.stop(None, Direction::Up).await;
            }
            return Err(error);
        }
        if let Err(error) = turn(target, &mut to, &mut left).await {
            if from.last.is_none() {
                source.stop(None, Direction::Down).await;
            }
            return Err(error);
        }
        if from.last.is_some() && to.last.is_some() {
            break;
        }
        if left.is_zero() || source.is_out_of_time() || target.is_out_of_time() {
            break;
        }
    }
    match (from.last, to.last) {
        (Some(from), Some(to)) => Ok((from, to)),
        (from, to) => {
            let late = Error::new(ErrorKind::TimedOut).during(Phase::Data);
            let late = if from.is_none() { source.explain(late) } else { target.explain(late) };
            if from.is_none() {
                source.stop(None, Direction::Down).await;
            }
            if to.is_none() {
                target.stop(None, Direction::Up).await;
            }
            Err(late)
        }
    }
}

/// Hears one of the two for a while, unless it has said its last word. Silence takes from the time that is left.
async fn turn<T: Transport>(side: &mut Client<T>, heard: &mut Heard, left: &mut Duration) -> Result<()> {
    if heard.last.is_none() && !side.hear_fxp(heard, A_TURN.min(*left)).await? {
        *left = left.saturating_sub(A_TURN);
    }
    Ok(())
}
