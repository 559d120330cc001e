//! Files and directories, beside their content: modes and times, room, names that the server chooses, whole trees made and
//! removed.

use std::time::SystemTime;

use super::client::Client;
use super::extent::Extent;
use super::listing::EntryKind;
use super::{Direction, Refusal, commands};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::line::Line;
use crate::reply::Reply;
use crate::transport::Transport;

/// How deep a tree may be that is removed.
const DEPTH: usize = 200;

/// Something of a tree that could not be removed.
#[derive(Debug)]
pub struct NotRemoved {
    /// Its path.
    pub path: Vec<u8>,
    /// Why.
    pub error: Error,
}

/// What became of a tree that was to be removed.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Removal {
    /// Files, links and other things that are no directories.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// What is still there, and why; directories that are not empty because of that are named, too.
    pub left: Vec<NotRemoved>,
}

impl Removal {
    /// Whether nothing is left.
    pub fn is_complete(&self) -> bool {
        self.left.is_empty()
    }
}

impl<T: Transport> Client<T> {
    /// Changes a file's permissions: `0o644` (SITE CHMOD).
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not; [`InvalidArgument`](ErrorKind::InvalidArgument) above
    /// `0o7777`.
    pub async fn chmod(&mut self, path: impl AsRef<[u8]>, mode: u32) -> Result<Reply> {
        if mode > 0o7777 {
            return Err(Error::invalid_argument(format!("{mode:o} is no mode: 7777 is the highest, octal")));
        }
        self.command(&commands::site_chmod(mode, path.as_ref())?).await
    }

    /// Sets when a file was last modified, to the second: by MFMT where it is offered, else by MFF, by SITE UTIME, or by
    /// what some servers make of MDTM.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not; [`InvalidArgument`](ErrorKind::InvalidArgument) for a time
    /// before 1970 or after 9999.
    pub async fn set_modified(&mut self, path: impl AsRef<[u8]>, time: SystemTime) -> Result<Reply> {
        let path = path.as_ref();
        let time = representable(time)?;
        let features = &self.session.features;
        if features.offers("MFMT") {
            return self.command(&commands::mfmt(time, path)?).await;
        }
        if self.offers_fact("modify") {
            return self.command(&commands::mff(&format!("modify={};", time_val(time)), path)?).await;
        }
        let (utime, mdtm) = (commands::site_utime(time, path)?, commands::mdtm_set(time, path)?);
        match self.command(&utime).await {
            Err(error) if self.is_only_refused(&error) => {}
            outcome => return outcome,
        }
        let reply = self.command(&mdtm).await?;
        // Who takes the time for a part of the name would not have found the file. But 213 may tell the file's own time.
        match self.modified(path).await {
            Ok(now) if seconds(now) == seconds(time) => Ok(reply),
            Ok(_) => Err(self.session.refused(reply, Phase::Command).advise("this server does not set times")),
            Err(error) => Err(error),
        }
    }

    /// Sets when a file was made (MFCT, or MFF).
    ///
    /// # Errors
    /// As [`Client::set_modified`]; [`InvalidState`](ErrorKind::InvalidState) if the server offers neither.
    pub async fn set_created(&mut self, path: impl AsRef<[u8]>, time: SystemTime) -> Result<Reply> {
        let (path, time) = (path.as_ref(), representable(time)?);
        if self.session.features.offers("MFCT") {
            return self.command(&commands::mfct(time, path)?).await;
        }
        if self.offers_fact("create") {
            return self.command(&commands::mff(&format!("create={};", time_val(time)), path)?).await;
        }
        Err(self.explain(Error::invalid_state("the server does not offer to set when a file was made")))
    }

    /// Sets facts of a file (MFF): `[("UNIX.mode", "0644"), ("UNIX.group", "www")]`.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not; [`InvalidArgument`](ErrorKind::InvalidArgument) for what is
    /// no fact: a name is letters, digits, `.` and `-`, a value has no `;` and no space.
    pub async fn set_facts(&mut self, path: impl AsRef<[u8]>, facts: &[(&str, &str)]) -> Result<Reply> {
        let named =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
        let said = |value: &str| !value.is_empty() && !value.contains([';', ' ']);
        if facts.is_empty() || !facts.iter().all(|(name, value)| named(name) && said(value)) {
            return Err(Error::invalid_argument("facts are names and values, without semicolon and space"));
        }
        let facts: String = facts.iter().map(|(name, value)| format!("{name}={value};")).collect();
        self.command(&commands::mff(&facts, path.as_ref())?).await
    }

    fn offers_fact(&self, fact: &str) -> bool {
        let facts =
            self.session.features.iter().filter(|(name, _)| *name == "MFF").flat_map(|(_, facts)| facts.split(';'));
        facts.map(|name| name.trim().trim_end_matches('*')).any(|name| name.eq_ignore_ascii_case(fact))
    }

    /// Bytes of room in a directory, or in the current one if `path` is empty (AVBL).
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not tell.
    pub async fn available(&mut self, path: impl AsRef<[u8]>) -> Result<u64> {
        let reply = self.command(&commands::avbl(path.as_ref())?).await?;
        let text = reply.text();
        let number = text.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty());
        let room = number.and_then(|digits| digits.parse().ok());
        let nonsense =
            || Error::violation("the answer to AVBL is no number").with_reply(reply.clone()).during(Phase::Command);
        room.ok_or_else(|| self.explain(nonsense()))
    }

    /// Asks for room for the upload that comes next (ALLO), for servers that need to know. Those that do not say so.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if there is no room; then nothing was changed.
    pub async fn allocate(&mut self, size: u64) -> Result<Reply> {
        self.command(&commands::allo(size)).await
    }

    /// Begins an upload under a name that the server chooses (STOU), which is given back where the server tells it. Some
    /// servers take a wish for it; others take no argument, so it is left out if it is empty. Then as after
    /// [`Client::start_upload`].
    ///
    /// # Errors
    /// As [`Client::start_upload`].
    pub async fn start_upload_unique(&mut self, wish: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let line = commands::stou(wish.as_ref())?;
        let reply = self.start(&line, Direction::Up, Extent::WHOLE).await?;
        Ok(unique_name(&reply))
    }

    /// Makes a directory and those above it. It is no error if it is there already.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not make one of them.
    pub async fn makedirs(&mut self, path: impl AsRef<[u8]>) -> Result<()> {
        let path = path.as_ref();
        let whole = commands::mkd(path)?;
        self.idle().await?;
        // Often all above it is there, or the server makes it.
        match self.session.expect(&whole).await {
            Ok(_) => return Ok(()),
            Err(error) if self.is_only_refused(&error) => {}
            Err(error) => return Err(error),
        }
        let ends =
            path.iter().enumerate().filter(|&(at, &b)| b == b'/' && at > 0 && path[at - 1] != b'/').map(|(at, _)| at);
        let mut last = None;
        for end in ends.chain([path.len()]) {
            let directory = &path[..end];
            if directory.ends_with(b"/") {
                continue;
            }
            last = match self.session.expect(&commands::mkd(directory)?).await {
                Ok(_) => None,
                Err(error) if self.is_only_refused(&error) => Some(error),
                Err(error) => return Err(error),
            };
        }
        // The last one was not made: it is there, or it is what went wrong.
        match last {
            Some(error) if !self.is_directory(path).await? => Err(error),
            _ => Ok(()),
        }
    }

    async fn is_directory(&mut self, path: &[u8]) -> Result<bool> {
        let here = self.pwd().await?;
        match self.cwd(path).await {
            Ok(_) => {
                self.cwd(here).await?;
                Ok(true)
            }
            Err(error) if self.is_only_refused(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a directory and everything in it. Symbolic links are removed, not followed; names that would lead
    /// elsewhere are left, and so is what is more than 200 directories deep. It goes on after what cannot be removed.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if there is no such directory; [`InvalidArgument`](ErrorKind::InvalidArgument) for
    /// the empty path, `/` and paths that end in `.` or `..`; the connection's.
    pub async fn remove_tree(&mut self, path: impl AsRef<[u8]>) -> Result<Removal> {
        let root = path.as_ref();
        let end = root.iter().rposition(|&b| b != b'/').map_or(0, |last| last + 1);
        let root = &root[..end];
        if matches!(root.rsplit(|&b| b == b'/').next(), None | Some(b"" | b"." | b"..")) {
            return Err(Error::invalid_argument("a tree is removed by its name: neither the root, nor . or .."));
        }
        commands::rmd(root)?;
        let mut removal = Removal::default();
        // Directories to look into, and those to remove once that is done.
        let mut todo = vec![(root.to_vec(), 1, false)];
        while let Some((directory, depth, emptied)) = todo.pop() {
            if emptied {
                if self.removed(&mut removal, &directory, commands::rmd(&directory)).await? {
                    removal.directories += 1;
                }
                continue;
            }
            // Some servers show a link to a directory as a directory. DELE removes that, and no directory.
            if depth > 1 && self.is_deleted(&directory).await? {
                removal.files += 1;
                continue;
            }
            let entries = match self.entries(&directory).await {
                Ok(entries) => entries,
                Err(error) if depth == 1 => return Err(error),
                Err(error)
                    if !self.is_only_refused(&error) && !matches!(error.kind(), ErrorKind::InvalidArgument(_)) =>
                {
                    return Err(error);
                }
                Err(error) => {
                    removal.left.push(NotRemoved { path: directory, error });
                    continue;
                }
            };
            todo.push((directory.clone(), depth, true));
            for entry in entries {
                let name = entry.raw_name();
                let path = [&directory, &b"/"[..], name].concat();
                let unsafe_name = name.is_empty() || name.contains(&b'/') || matches!(name, b"." | b"..");
                if unsafe_name {
                    let error = Error::violation("a name in a listing would lead elsewhere");
                    removal.left.push(NotRemoved { path, error });
                } else if entry.kind == EntryKind::Directory && depth < DEPTH {
                    todo.push((path, depth + 1, false));
                } else if entry.kind == EntryKind::Directory {
                    let error = Error::limit(format!("a tree of more than {DEPTH} directories, one in another"));
                    removal.left.push(NotRemoved { path, error });
                } else if self.removed(&mut removal, &path, commands::dele(&path)).await? {
                    removal.files += 1;
                }
            }
        }
        // Some servers show a directory that is not there as an empty one: it was never there, or nothing could be done.
        let nothing = removal.files == 0 && removal.directories == 0;
        match removal.left.pop() {
            Some(left) if nothing && removal.left.is_empty() && left.path == root => Err(left.error),
            last => {
                removal.left.extend(last);
                Ok(removal)
            }
        }
    }

    async fn is_deleted(&mut self, path: &[u8]) -> Result<bool> {
        match commands::dele(path) {
            Ok(line) => match self.command(&line).await {
                Ok(_) => Ok(true),
                Err(error) if self.is_only_refused(&error) => Ok(false),
                Err(error) => Err(error),
            },
            // Its listing says the same.
            Err(_) => Ok(false),
        }
    }

    /// Whether it is gone; what is not is noted.
    async fn removed(&mut self, removal: &mut Removal, path: &[u8], line: Result<Line>) -> Result<bool> {
        let outcome = match line {
            Ok(line) => self.command(&line).await,
            Err(error) => Err(error),
        };
        let error = match outcome {
            Ok(_) => return Ok(true),
            // Somebody else was faster.
            Err(error) if Refusal::of(&error) == Some(Refusal::NotFound) && !self.is_lost() => return Ok(false),
            Err(error) => error,
        };
        if !self.is_only_refused(&error) && !matches!(error.kind(), ErrorKind::InvalidArgument(_)) {
            return Err(error);
        }
        removal.left.push(NotRemoved { path: path.to_vec(), error });
        Ok(false)
    }
}

/// The name behind `FILE:` (RFC 1123 §4.1.2.9), in quotes, or between the words of servers that have their own.
fn unique_name(reply: &Reply) -> Option<Vec<u8>> {
    let line = reply.last_line();
    let after = |words: &[u8]| {
        let at = line.windows(words.len()).position(|window| window.eq_ignore_ascii_case(words))?;
        Some(line[at + words.len()..].trim_ascii())
    };
    let quoted = || {
        let rest = &line[line.iter().position(|&b| b == b'"')? + 1..];
        Some(&rest[..rest.iter().position(|&b| b == b'"')?])
    };
    let bare = |name: &[u8]| {
        let name = name.strip_suffix(b".").unwrap_or(name);
        name[..name.iter().position(|&b| b == b' ').unwrap_or(name.len())].to_vec()
    };
    let found = after(b"FILE:").map(<[u8]>::to_vec);
    let found = found.or_else(|| quoted().map(<[u8]>::to_vec));
    let found =
        found.or_else(|| after(b"connection for ").map(bare)).or_else(|| after(b"unique file name: ").map(bare));
    found.filter(|name| !name.is_empty())
}

fn representable(time: SystemTime) -> Result<SystemTime> {
    let whole = time.duration_since(SystemTime::UNIX_EPOCH).ok();
    // The last second of the year 9999.
    whole
        .filter(|since| since.as_secs() <= 253_402_300_799)
        .map(|_| time)
        .ok_or_else(|| Error::invalid_argument("a server takes times from 1970 to 9999"))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn time_val(time: SystemTime) -> String {
    crate::moment::timestamp(time).chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::reply::{Assembler, Budget, Dialect};

    #[test]
    fn names_that_servers_choose() {
        for (line, name) in [
            ("150 FILE: up.0001", Some("up.0001")),
            ("150 File: a b", Some("a b")),
            ("125 Using \"x y\" for it", Some("x y")),
            ("150 Opening BINARY mode data connection for ftpa1B2c3 (10 bytes).", Some("ftpa1B2c3")),
            ("150 Ok to send data.", None),
            ("150 FILE:", None),
        ] {
            let reply = Assembler::new(Dialect::Ftp, Budget::DEFAULT).push(line.as_bytes()).unwrap().unwrap();
            assert_eq!(unique_name(&reply).as_deref(), name.map(str::as_bytes), "{line}");
        }
    }
}
