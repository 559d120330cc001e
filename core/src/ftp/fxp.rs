//! Files from one server to another, without the way through here (RFC 959 §2.3, figure 2).
//!
//! ```text
//!            ┌──── control ──── here ──── control ────┐
//!          source  ◀═══════════ data ═══════════════  target
//!           PASV, RETR                          PORT, STOR
//! ```
//!
//! The target connects to the source: to the address at which *we* reach the source, and to no other, whatever the source
//! says. Under TLS one of the two has to be the client: told so by SSCN, or by CPSV, which stands in place of PASV, so that
//! a target which knows CPSV is the one that is connected to. Whether the client checks the other's certificate is its own
//! business, and needs to be set up there. Whether the file arrived is told by the sizes and digests at both ends.

mod exchange;
mod side;

use std::time::Duration;

use self::exchange::{Handshake, exchange};
use super::client::Client;
use super::commands;
use super::hash::{Algorithm, Digest};
use super::receipt::Status;
use crate::error::{Error, ErrorKind, Phase, Result};
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

/// Copies a file from one server to another.
///
/// # Errors
/// [`InvalidState`](ErrorKind::InvalidState) where the two cannot speak TLS with each other, or one's address is unknown
/// (behind a proxy) or means nothing to the other (loopback); [`Rejected`](ErrorKind::Rejected) by either;
/// [`TimedOut`](ErrorKind::TimedOut) after [`Options::within`]; [`SizeMismatch`](ErrorKind::SizeMismatch), and a violation
/// if the digests differ. After a failure the target's file may be there in part. What was set for the copy is taken back,
/// or else the session is replaced when it is used next.
pub async fn copy<S: Transport, T: Transport>(
    source: &mut Client<S>,
    source_path: impl AsRef<[u8]>,
    target: &mut Client<T>,
    target_path: impl AsRef<[u8]>,
    options: &Options,
) -> Result<Receipt> {
    let (from, to) = (source_path.as_ref(), target_path.as_ref());
    let (retr, stor) = (commands::retr(from)?, commands::stor(to)?);
    source.prepare_fxp().await?;
    target.prepare_fxp().await?;
    let handshake = agree(source, target, options)?;
    if source.session.compressed != target.session.compressed {
        let why =
            "one session is compressed (MODE Z) and the other is not: the servers would not understand each other";
        return Err(source.explain(Error::invalid_state(why)));
    }
    // A file that is not there is noticed before the target makes an empty one.
    let size = source.size_for_fxp(from).await?;
    let (source_reply, target_reply) = exchange(source, target, handshake, [&retr, &stor], options.within).await?;
    // Some targets tell no size of what they take.
    let arrived = if target.features().offers("SIZE") { target.told_size(to).await? } else { None };
    if let (Some(expected), Some(transferred)) = (size, arrived)
        && expected != transferred
    {
        let error = Error::new(ErrorKind::SizeMismatch { expected, transferred }).with_reply(target_reply);
        return Err(target.explain(error.during(Phase::Data)).advise(handshake.where_the_end_is_lost()));
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
    // As PASV, CPSV has no room for an IPv6 address.
    let (source_knows, target_knows) = (source.features().offers("CPSV"), target.features().offers("CPSV"));
    // The target, where it can: it reads to the end, and leaves nothing unread that a server of TLS 1.3 sends unasked.
    if target.features().offers("SSCN") {
        return Ok(Handshake::TargetBySscn);
    }
    if target_knows && !target.is_on_ipv6() {
        return Ok(Handshake::TargetByCpsv);
    }
    if source.features().offers("SSCN") {
        return Ok(Handshake::SourceBySscn);
    }
    if source_knows && !source.is_on_ipv6() {
        return Ok(Handshake::SourceByCpsv);
    }
    let advice = match source_knows || target_knows {
        true => "CPSV has no room for IPv6: connect over IPv4, or copy the file through here",
        false => "copy the file through here, or ask for clear text by name",
    };
    let why = "neither server can be the client of the other's TLS (SSCN, CPSV)";
    Err(source.explain(Error::invalid_state(why).advise(advice)))
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
