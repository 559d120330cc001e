//! The tree on the server: what is asked of it besides transfers.

use std::time::{Duration, SystemTime};

use super::place::Place;
use super::plan::{Moment, Node};
use crate::error::{Error, Phase, Result};
use crate::ftp::client::Client;
use crate::ftp::{Entry, EntryKind, TimePrecision, commands};
use crate::line::Line;
use crate::reply::Reply;
use crate::transport::Transport;

/// The tree below a directory of the server.
#[derive(Clone, Debug)]
pub(super) struct RemoteTree {
    /// As the caller named it.
    pub(super) root: Vec<u8>,
    /// The current directory of all sessions.
    pub(super) base: Vec<u8>,
}

impl RemoteTree {
    pub(super) fn path(&self, place: &Place) -> Vec<u8> {
        place.below(&self.root)
    }

    /// The entries of a directory.
    pub(super) async fn list<T: Transport>(&self, client: &mut Client<T>, at: &Place) -> Result<Vec<Node>> {
        let path = self.path(at);
        // Servers read what LIST names as a pattern.
        let is_pattern = path.iter().any(|b| b"*?[]{}~\\".contains(b));
        if client.features().machine_listings() || !is_pattern {
            let entries = client.entries(&path).await?;
            // What cannot be opened as a directory is listed as if it were a file.
            let itself = |entry: &Entry| {
                at.names()
                    .last()
                    .is_some_and(|name| path.ends_with(entry.raw_name()) && entry.raw_name().ends_with(name))
            };
            if client.features().machine_listings() || entries.len() != 1 || !entries.iter().all(itself) {
                return Ok(entries.iter().map(node).collect());
            }
        }
        client.cwd(&path).await?;
        let entries = client.entries("").await;
        client.cwd(&self.base).await?;
        Ok(entries?.iter().map(node).collect())
    }

    /// Makes sure that the root is there, to be read from or written to. Whether it was made.
    pub(super) async fn make_root<T: Transport>(&self, client: &mut Client<T>) -> Result<bool> {
        if self.root.is_empty() || self.is_there(client).await? {
            return Ok(false);
        }
        let ends = (1..self.root.len()).filter(|&i| self.root[i] == b'/' && self.root[i - 1] != b'/');
        let mut last = Ok(false);
        for end in ends.chain([self.root.len()]) {
            // Those above may be there already, or not be ours to look at.
            match client.mkdir(&self.root[..end]).await {
                Ok(_) => last = Ok(true),
                Err(error) if error.reply().is_some() && !client.is_lost() => last = Err(error),
                Err(error) => return Err(error),
            }
        }
        last
    }

    /// Some servers list what is not there as if it were empty: that one can go there is proof.
    pub(super) async fn is_there<T: Transport>(&self, client: &mut Client<T>) -> Result<bool> {
        match client.cwd(&self.root).await {
            Ok(_) => client.cwd(&self.base).await.map(|_| true),
            Err(error) if client.is_only_refused(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives a whole upload its time and its name. What cannot be told of the time is no failure; whether it was kept.
    pub(super) async fn commit<T: Transport>(
        &self,
        client: &mut Client<T>,
        (from, to): (&[u8], &[u8]),
        (modified, replaces): (Option<SystemTime>, bool),
    ) -> Result<bool> {
        let time = match modified {
            Some(time) if client.features().offers("MFMT") => Some(commands::mfmt(time, from)?),
            Some(time) if client.features().offers("MDTM") => Some(commands::mdtm_set(time, from)?),
            _ => None,
        };
        let (rnfr, rnto) = (commands::rnfr(from)?, commands::rnto(to)?);
        let named = from == to;
        let mut lines: Vec<&Line> = time.iter().collect();
        if !named {
            lines.extend([&rnfr, &rnto]);
        }
        let mut replies = flight(client, &lines).await?.into_iter();
        let kept = time.is_some() && replies.next().is_some_and(|reply| reply.code().is_completion());
        let (Some(rnfr_reply), Some(rnto_reply)) = (replies.next(), replies.next()) else { return Ok(kept) };
        if rnto_reply.code().is_completion() {
            return Ok(kept);
        }
        if !rnfr_reply.code().is_intermediate() {
            return Err(refused(client, rnfr_reply));
        }
        if !replaces {
            return Err(refused(client, rnto_reply));
        }
        // Some servers rename onto nothing only.
        let lines = [&commands::dele(to)?, &rnfr, &rnto];
        match flight(client, &lines).await?.pop() {
            Some(reply) if reply.code().is_completion() => Ok(kept),
            Some(reply) => Err(refused(client, reply)),
            None => Ok(kept),
        }
    }
}

/// Commands that go out together, and their replies.
async fn flight<T: Transport>(client: &mut Client<T>, lines: &[&Line]) -> Result<Vec<Reply>> {
    client.idle().await?;
    let mut replies = Vec::with_capacity(lines.len());
    if !client.settings.pipelining || client.known.one_at_a_time {
        for line in lines {
            replies.push(client.session.dialogue.exchange(line).await.map_err(during)?);
        }
        return Ok(replies);
    }
    let dialogue = &mut client.session.dialogue;
    dialogue.ready()?;
    for line in lines {
        dialogue.send(line)?;
    }
    for _ in lines {
        match client.session.dialogue.reply().await {
            Ok(reply) => replies.push(reply),
            Err(error) => {
                // Some servers do not survive commands that come together.
                if error.is_end_of_session() {
                    client.learn(|known| known.one_at_a_time = true);
                }
                return Err(during(error));
            }
        }
    }
    Ok(replies)
}

fn during(error: Error) -> Error {
    error.during(Phase::Command)
}

fn refused<T: Transport>(client: &Client<T>, reply: Reply) -> Error {
    client.explain(Error::rejected(reply).during(Phase::Command))
}

pub(super) fn node(entry: &Entry) -> Node {
    Node {
        name: entry.raw_name().to_vec(),
        kind: entry.kind,
        size: entry.size.filter(|_| entry.kind == EntryKind::File),
        modified: entry.modified.map(|time| moment(entry, time)),
        target: entry.target().map(<[u8]>::to_vec),
    }
}

fn moment(entry: &Entry, time: SystemTime) -> Moment {
    let within = match entry.time_precision() {
        Some(TimePrecision::Day) => 24 * 3600,
        Some(TimePrecision::Minute) => 60,
        _ => 1,
    };
    Moment { time, within: Duration::from_secs(within), utc: entry.is_time_utc() }
}
