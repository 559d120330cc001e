//! Files from one server to another, without the way through here (RFC 959 §2.3, figure 2).
//!
//! ```text
//!            ┌──── control ──── here ──── control ────┐
//!          source  ◀═══════════ data ═══════════════  target
//!           PASV, RETR                          PORT, STOR
//! ```
//!
//! The target connects to the source: to the address at which *we* reach the source, and to no other, whatever the source
//! says. Under TLS one of the two has to be the client (SSCN or CPSV); whether it checks the other's certificate is its
//! own business, and needs to be set up there. Whether the file arrived is told by the sizes and digests at both ends.

use std::net::SocketAddr;
use std::time::Duration;

use super::client::Client;
use super::hash::{Algorithm, Digest};
use super::receipt::Status;
use super::{Direction, commands, passive};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::line::Line;
use crate::reply::Reply;
use crate::transport::Transport;

/// How a file goes from one server to another.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether it may go in clear text. Both servers must agree on how it goes: without this, a pair of which neither
    /// can be the client of a TLS connection (SSCN, CPSV) is an error.
    pub clear: bool,
    /// Whether digests are compared afterwards, where both servers compute the same.
    pub compare: bool,
    /// How long the copy may take: nothing is seen of it from here.
    pub within: Duration,
}

impl Default for Options {
    /// Under TLS, compared, within a day.
    fn default() -> Self {
        Self { clear: false, compare: true, within: Duration::from_secs(24 * 60 * 60) }
    }
}

/// What is known about a copy that succeeded: both servers said so.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Receipt {
    /// `Verified`: the sizes are the same, and the digests if there are any. `Complete`: a server does not tell.
    pub status: Status,
    /// Bytes of the target, where told.
    pub size: Option<u64>,
    /// The digest, if both servers computed it: it is the same.
    pub digest: Option<Digest>,
    /// Whether it went under TLS from server to server.
    pub protected: bool,
    /// The last word of the source.
    pub source: Reply,
    /// The last word of the target.
    pub target: Reply,
}

/// Who is the TLS client between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handshake {
    /// Nobody: clear text.
    None,
    /// The source, told so by SSCN.
    SourceBySscn,
    /// The target, told so by SSCN.
    TargetBySscn,
    /// The source, told so by CPSV in place of PASV.
    SourceByCpsv,
}

/// Copies a file from one server to another.
///
/// # Errors
/// [`InvalidState`](ErrorKind::InvalidState) where the two cannot speak TLS with each other, or the source's address is
/// unknown (behind a proxy); [`Rejected`](ErrorKind::Rejected) by either; [`SizeMismatch`](ErrorKind::SizeMismatch), and a
/// violation if the digests differ. After a failure the target's file may be there in part.
pub async fn copy<S: Transport, T: Transport>(
    source: &mut Client<S>,
    source_path: impl AsRef<[u8]>,
    target: &mut Client<T>,
    target_path: impl AsRef<[u8]>,
    options: &Options,
) -> Result<Receipt> {
    let (from, to) = (source_path.as_ref(), target_path.as_ref());
    let (retr, stor) = (commands::retr(from)?, commands::stor(to)?);
    let handshake = agree(source, target, options)?;
    if source.session.compressed != target.session.compressed {
        let why =
            "one session is compressed (MODE Z) and the other is not: the servers would not understand each other";
        return Err(source.explain(Error::invalid_state(why)));
    }
    source.prepare_fxp().await?;
    target.prepare_fxp().await?;
    // A file that is not there is noticed before the target makes an empty one.
    let size = source.told_or_none(from).await?;
    if handshake == Handshake::None {
        source.expose_fxp().await?;
        if let Err(error) = target.expose_fxp().await {
            source.restore_fxp().await?;
            return Err(error);
        }
    }
    let outcome = exchange(source, target, handshake, [&retr, &stor], options).await;
    if handshake == Handshake::None {
        // Clear text was for this file alone. Where that fails, the session is replaced before it is used again.
        let restored = [source.restore_fxp().await, target.restore_fxp().await];
        if outcome.is_ok() {
            restored.into_iter().collect::<Result<()>>()?;
        }
    }
    let (source_reply, target_reply) = outcome?;
    let arrived = target.told_or_none(to).await?;
    if let (Some(expected), Some(transferred)) = (size, arrived)
        && expected != transferred
    {
        let error = Error::new(ErrorKind::SizeMismatch { expected, transferred }).with_reply(target_reply);
        return Err(target.explain(error.during(Phase::Data)));
    }
    let digest = if options.compare { same_digest(source, from, target, to).await? } else { None };
    let verified = size.is_some() && arrived.is_some();
    Ok(Receipt {
        status: if verified { Status::Verified } else { Status::Complete },
        size: arrived,
        digest,
        protected: handshake != Handshake::None,
        source: source_reply,
        target: target_reply,
    })
}

fn agree<S: Transport, T: Transport>(source: &Client<S>, target: &Client<T>, options: &Options) -> Result<Handshake> {
    if options.clear {
        return Ok(Handshake::None);
    }
    if !(source.session.private && target.session.private) {
        let why = "both servers must protect data connections; clear text between them is to be asked for by name";
        return Err(source.explain(Error::invalid_state(why)));
    }
    let (source_offers, target_offers) = (source.features(), target.features());
    if target_offers.offers("SSCN") {
        Ok(Handshake::TargetBySscn)
    } else if source_offers.offers("SSCN") {
        Ok(Handshake::SourceBySscn)
    } else if source_offers.offers("CPSV") {
        Ok(Handshake::SourceByCpsv)
    } else {
        let why = "neither server can be the client of the other's TLS (SSCN, CPSV)";
        Err(source
            .explain(Error::invalid_state(why).advise("copy the file through here, or ask for clear text by name")))
    }
}

async fn exchange<S: Transport, T: Transport>(
    source: &mut Client<S>,
    target: &mut Client<T>,
    handshake: Handshake,
    [retr, stor]: [&Line; 2],
    options: &Options,
) -> Result<(Reply, Reply)> {
    match handshake {
        Handshake::SourceBySscn => source.lend(&commands::sscn(true)).await?,
        Handshake::TargetBySscn => target.lend(&commands::sscn(true)).await?,
        _ => {}
    }
    let outcome = connect(source, target, handshake, [retr, stor], options).await;
    // It would hold for ordinary data connections, too.
    let reset = match handshake {
        Handshake::SourceBySscn => source.take_back(&commands::sscn(false)).await,
        Handshake::TargetBySscn => target.take_back(&commands::sscn(false)).await,
        _ => Ok(()),
    };
    let replies = outcome?;
    reset?;
    Ok(replies)
}

async fn connect<S: Transport, T: Transport>(
    source: &mut Client<S>,
    target: &mut Client<T>,
    handshake: Handshake,
    [retr, stor]: [&Line; 2],
    options: &Options,
) -> Result<(Reply, Reply)> {
    let address = source.listen_for_fxp(handshake == Handshake::SourceByCpsv).await?;
    let told = target.session.expect(&tell(address)).await;
    told.map_err(|error| if matches!(error.kind(), ErrorKind::Rejected) { error.advise(ALLOW) } else { error })?;
    source.begin_fxp(retr).await?;
    // Most servers that do not have the file say so at once, and the target keeps what it has.
    let first = source.last_word_within(A_MOMENT, options.within).await?;
    if let Err(error) = target.begin_fxp(stor).await {
        source.stop(None, Direction::Down).await;
        return Err(error);
    }
    hear(source, target, first, options.within).await
}

/// The last words of both. A server that the other one has refused waits for it in vain, so both are heard in turns, and
/// what ends one ends the other.
async fn hear<S: Transport, T: Transport>(
    source: &mut Client<S>,
    target: &mut Client<T>,
    first: Option<Reply>,
    within: Duration,
) -> Result<(Reply, Reply)> {
    let (mut from, mut to) = (first, None);
    let turns = within.as_millis() / (2 * A_TURN).as_millis();
    for _ in 0..=turns {
        if from.is_none() {
            from = match source.last_word_within(A_TURN, within).await {
                Ok(word) => word,
                Err(error) => {
                    if to.is_none() {
                        target.stop(None, Direction::Up).await;
                    }
                    return Err(error);
                }
            };
        }
        if to.is_none() {
            to = match target.last_word_within(A_TURN, within).await {
                Ok(word) => word,
                Err(error) => {
                    if from.is_none() {
                        source.stop(None, Direction::Down).await;
                    }
                    return Err(error);
                }
            };
        }
        match (from, to) {
            (Some(from), Some(to)) => return Ok((from, to)),
            still => (from, to) = still,
        }
    }
    source.stop(None, Direction::Down).await;
    target.stop(None, Direction::Up).await;
    Err(target.explain(Error::new(ErrorKind::TimedOut).during(Phase::Data)))
}

/// For how long one of the two is heard at a time.
const A_TURN: Duration = Duration::from_millis(50);

/// What helps where a server refuses the other one's address. Most do so unless they are told otherwise: whoever can have
/// a server connect anywhere can have it attack others.
const ALLOW: &str = "if the server refuses the other one's address, its administrator must allow copies from server to \
                     server (FXP), for these two alone; else copy the file through here";

/// How long a refusal may take that is no surprise to the server.
const A_MOMENT: Duration = Duration::from_millis(300);

fn tell(address: SocketAddr) -> Line {
    match address {
        SocketAddr::V4(address) => commands::port(address),
        SocketAddr::V6(_) => commands::eprt(address),
    }
}

async fn same_digest<S: Transport, T: Transport>(
    source: &mut Client<S>,
    from: &[u8],
    target: &mut Client<T>,
    to: &[u8],
) -> Result<Option<Digest>> {
    let known = target.features().hashes();
    let Some(algorithm) = source.features().hashes().into_iter().find(|it: &Algorithm| known.contains(it)) else {
        return Ok(None);
    };
    let (ours, theirs) = (source.hash(from, Some(algorithm), None).await, target.hash(to, Some(algorithm), None).await);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if ours == theirs => Ok(Some(theirs)),
        (Ok(ours), Ok(theirs)) => {
            let why = format!("the copy is another file: {algorithm} {ours} became {theirs}");
            Err(target.explain(Error::violation(why).during(Phase::Data)))
        }
        // Some servers compute digests only of certain files; that is no verdict on this one.
        (Err(error), _) | (_, Err(error)) if matches!(error.kind(), ErrorKind::Rejected) => Ok(None),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

impl<T: Transport> Client<T> {
    async fn prepare_fxp(&mut self) -> Result<()> {
        self.idle().await?;
        if !self.session.prepared {
            let why = "nobody is logged in, or the server refused to protect data connections";
            return Err(self.explain(Error::invalid_state(why).during(Phase::Data).advise("log in first")));
        }
        self.next_port = None;
        self.image().await
    }

    async fn told_or_none(&mut self, path: &[u8]) -> Result<Option<u64>> {
        if !self.session.features.offers("SIZE") {
            return Ok(None);
        }
        self.size(path).await.map(Some)
    }

    async fn expose_fxp(&mut self) -> Result<()> {
        if self.session.private {
            self.lend(&commands::prot_clear()).await?;
        }
        Ok(())
    }

    async fn restore_fxp(&mut self) -> Result<()> {
        if self.session.private {
            self.take_back(&commands::prot_private()).await?;
        }
        Ok(())
    }

    /// Says what is to hold for the copy alone. Until it is taken back, nothing else is transferred.
    async fn lend(&mut self, line: &Line) -> Result<()> {
        self.session.lent = true;
        let outcome = self.session.expect(line).await;
        self.session.lent = !matches!(&outcome, Err(error) if matches!(error.kind(), ErrorKind::Rejected));
        outcome.map(drop)
    }

    async fn take_back(&mut self, line: &Line) -> Result<()> {
        self.session.expect(line).await?;
        self.session.lent = false;
        Ok(())
    }

    /// Where the other server is to connect to: the port that this one says, at the address where we reach it.
    async fn listen_for_fxp(&mut self, client_side: bool) -> Result<SocketAddr> {
        let Some(mut address) = self.session.dialogue.peer_addr() else {
            let why =
                "the source's address is unknown behind a proxy: the other server cannot be told where to connect";
            return Err(self.explain(Error::invalid_state(why)));
        };
        address.set_ip(address.ip().to_canonical());
        let port = if address.is_ipv6() {
            passive::epsv_port(&self.session.expect(&commands::epsv()).await?)
        } else {
            let line = if client_side { commands::cpsv() } else { commands::pasv() };
            passive::pasv_port(&self.session.expect(&line).await?)
        };
        address.set_port(port.map_err(|error| self.explain(error.during(Phase::Data)))?);
        Ok(address)
    }

    async fn begin_fxp(&mut self, line: &Line) -> Result<()> {
        self.session.dialogue.ready()?;
        self.session.dialogue.send(line)?;
        self.session.dialogue.flush().await
    }

    fn refused_fxp(&self, reply: Reply) -> Error {
        let error = self.session.refused(reply, Phase::Data);
        error.advise(ALLOW)
    }

    /// The reply about the copy, if it is over and something of that comes within `turn`.
    async fn last_word_within(&mut self, turn: Duration, within: Duration) -> Result<Option<Reply>> {
        if !self.session.dialogue.is_answered_within(turn).await {
            return Ok(None);
        }
        let reply = self.session.dialogue.await_reply(within).await.map_err(|error| error.during(Phase::Data))?;
        if reply.code().is_preliminary() {
            return Ok(None);
        }
        if reply.code().is_completion() {
            return Ok(Some(self.session.dialogue.context.scrub_reply(reply)));
        }
        if reply.code() == 426 {
            // Another one may follow.
            self.fence().await;
        }
        Err(self.refused_fxp(reply))
    }
}
