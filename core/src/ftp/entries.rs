//! What is in a directory: entries as they come in, or all of them; names alone; one by its path.

use std::time::SystemTime;

use super::client::Client;
use super::listing::{self, Entry, Lines, Listing, ListingReport};
use super::{Refusal, commands};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::transport::Transport;

/// Entries of a listing that is collected: a short line costs more in memory than on the wire.
const ENTRIES: usize = 1 << 20;

/// A listing under way, or what is known of the last one.
#[derive(Debug, Default)]
pub(super) struct Reading {
    state: State,
    report: ListingReport,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Over,
    Open(Listing),
    /// Entries were asked for, and whoever asked did not wait for them: what came meanwhile is lost.
    Interrupted,
}

impl Reading {
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, State::Over)
    }

    /// Another operation begins.
    pub(super) fn close(&mut self) {
        self.state = State::Over;
    }
}

impl<T: Transport> Client<T> {
    /// Begins to list a directory; the current one if `path` is empty. Then [`Client::next_entries`] until there are none,
    /// or [`Client::abort`]. Meanwhile the session can do nothing else.
    ///
    /// From MLSD where it is offered, else, or where it is refused as unknown, from LIST. An empty directory has no
    /// entries; `.` and `..` are left out.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if there is no such directory, and what can go wrong with the data connection.
    pub async fn list(&mut self, path: impl AsRef<[u8]>) -> Result<()> {
        let path = path.as_ref();
        let machine = commands::mlsd(path)?;
        let line = match &self.settings.list_options {
            Some(options) => commands::list_with(options, path)?,
            None => commands::list(path)?,
        };
        self.idle().await?;
        self.reading.report = ListingReport::default();
        let encoding = self.settings.encoding;
        if self.lists_for_machines() {
            self.choose_facts().await?;
            match self.start_listing(&machine).await {
                Ok(()) => {
                    self.reading.state = State::Open(Listing::machine(encoding));
                    return Ok(());
                }
                Err(error) if is_empty_directory(&error) => return Ok(()),
                Err(error) if self.is_unknown(&error) => {}
                Err(error) => return Err(error),
            }
        }
        match self.start_listing(&line).await {
            Ok(()) => self.reading.state = State::Open(Listing::new(SystemTime::now(), encoding)),
            Err(error) if is_empty_directory(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The next entries of the listing that was begun, as many as arrived together; none at its end, which is a good one
    /// only if this succeeds.
    ///
    /// # Errors
    /// Those of [`Client::receive`] and [`Client::finish`]; [`LimitExceeded`](ErrorKind::LimitExceeded) for a line above
    /// 16 KiB; [`InvalidState`](ErrorKind::InvalidState) if an earlier call was cancelled.
    pub async fn next_entries(&mut self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        while entries.is_empty() && self.more_entries(&mut entries).await? {}
        Ok(entries)
    }

    /// Puts what arrives next behind the entries that are there. `false`: that was the end.
    async fn more_entries(&mut self, entries: &mut Vec<Entry>) -> Result<bool> {
        let mut listing = match std::mem::replace(&mut self.reading.state, State::Interrupted) {
            State::Open(listing) => listing,
            State::Over => {
                self.reading.state = State::Over;
                return Ok(false);
            }
            State::Interrupted => {
                let why = "this listing was interrupted, and is not whole any more: abort it";
                return Err(self.explain(Error::invalid_state(why)));
            }
        };
        listing.begin_with(std::mem::take(entries));
        let mut outcome = Ok(());
        let mut take = |bytes: &[u8]| {
            if outcome.is_ok() {
                outcome = listing.push(bytes);
            }
        };
        let more = match self.receive(&mut take).await {
            Ok(more) => more,
            Err(error) => {
                self.reading.state = State::Over;
                return Err(error);
            }
        };
        if let Err(error) = outcome {
            self.abort().await;
            self.reading.state = State::Over;
            return Err(self.explain(error.during(Phase::Data)));
        }
        *entries = if more { listing.take() } else { listing.finish() };
        self.reading.report = listing.report().clone();
        if more {
            self.reading.state = State::Open(listing);
            return Ok(true);
        }
        self.reading.state = State::Over;
        let receipt = self.finish().await?;
        // A server that could not open the directory may call that a success all the same.
        if receipt.size == 0 && receipt.reply.text().contains("failed to open directory") {
            return Err(self.explain(Error::rejected(receipt.reply).during(Phase::Data)));
        }
        Ok(false)
    }

    /// What is known of the listing under way, or of the last one, besides its entries.
    pub fn listing_report(&self) -> &ListingReport {
        &self.reading.report
    }

    /// All entries of a directory; of the current one if `path` is empty. See [`Client::list`].
    ///
    /// # Errors
    /// Those of [`Client::list`] and [`Client::next_entries`];
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) for more than a million entries.
    pub async fn entries(&mut self, path: impl AsRef<[u8]>) -> Result<Vec<Entry>> {
        self.list(path).await?;
        let mut all = Vec::new();
        loop {
            let more = self.more_entries(&mut all).await?;
            if all.len() > ENTRIES {
                self.abort().await;
                return Err(self.explain(too_many("entries").during(Phase::Data)));
            }
            if !more {
                return Ok(all);
            }
        }
    }

    /// The names in a directory, as the server sends them (NLST, RFC 959 §4.1.3); in the current one if `path` is empty.
    /// Servers that put the directory in front of each name have it taken off. Which of them are directories is not told.
    ///
    /// # Errors
    /// Those of [`Client::entries`].
    pub async fn names(&mut self, path: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>> {
        let path = path.as_ref();
        match self.start_listing(&commands::nlst(path)?).await {
            Ok(()) => {}
            Err(error) if is_empty_directory(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let (mut lines, mut names, mut outcome) = (Lines::default(), Vec::new(), Ok(()));
        let mut take = |line: &[u8]| {
            let name = below(path, line);
            if !matches!(name, b"" | b"." | b"..") {
                names.push(name.to_vec());
            }
            names.len()
        };
        let mut count = 0;
        while self
            .receive(&mut |bytes| {
                if outcome.is_ok() {
                    outcome = lines.push(bytes, &mut |line| count = take(line));
                }
            })
            .await?
        {
            let error = match std::mem::replace(&mut outcome, Ok(())) {
                Err(error) => error,
                Ok(()) if count > ENTRIES => too_many("names"),
                Ok(()) => continue,
            };
            self.abort().await;
            return Err(self.explain(error.during(Phase::Data)));
        }
        lines.finish(&mut |line| count = take(line));
        self.finish().await?;
        Ok(names)
    }

    /// What is known about one file or directory: from MLST, else from SIZE and MDTM, else from the listing of the
    /// directory that it is in.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if there is none.
    pub async fn stat(&mut self, path: impl AsRef<[u8]>) -> Result<Entry> {
        let path = path.as_ref();
        let line = commands::mlst(path)?;
        let encoding = self.settings.encoding;
        if self.lists_for_machines() {
            self.choose_facts().await?;
            match self.command(&line).await {
                Ok(reply) => {
                    let entry = reply.raw_lines().nth(1).and_then(|line| listing::mlst(line, encoding));
                    let none = || Error::violation("the answer to MLST has no facts");
                    return entry.ok_or_else(|| self.explain(none().with_reply(reply)));
                }
                Err(error) if self.is_unknown(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let refused = match self.size(path).await {
            Ok(size) => {
                let modified = match self.modified(path).await {
                    Ok(time) => Some(time),
                    Err(error) if error.reply().is_some() => None,
                    Err(error) => return Err(error),
                };
                return Ok(Entry::file(path, size, modified, encoding));
            }
            Err(error) if self.is_only_refused(&error) => error,
            Err(error) => return Err(error),
        };
        // No file, or one whose size is not told.
        match split(path) {
            Some((directory, name)) => match self.find(directory, name).await {
                Ok(found) => found.ok_or(refused),
                // There is no directory that it could be in.
                Err(error) if matches!(error.kind(), ErrorKind::Rejected) => Err(refused),
                Err(error) => Err(error),
            },
            None => self.directory(path).await,
        }
    }

    /// Whether there is such a file or directory.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not tell: it is forbidden to look, for example.
    pub async fn exists(&mut self, path: impl AsRef<[u8]>) -> Result<bool> {
        match self.stat(path).await {
            Ok(_) => Ok(true),
            Err(error) => match Refusal::of(&error) {
                Some(Refusal::NotFound | Refusal::Unavailable) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// A file's size in bytes (SIZE, RFC 3659 §4).
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if there is no such file or the server does not tell.
    pub async fn size(&mut self, path: impl AsRef<[u8]>) -> Result<u64> {
        let line = commands::size(path.as_ref())?;
        self.idle().await?;
        self.image().await?;
        let reply = self.session.expect(&line).await?;
        let size = reply.text().trim().parse();
        size.map_err(|_| self.explain(Error::violation("the answer to SIZE is no number").with_reply(reply)))
    }

    /// When a file was last modified (MDTM, RFC 3659 §3).
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if there is no such file or the server does not tell.
    pub async fn modified(&mut self, path: impl AsRef<[u8]>) -> Result<SystemTime> {
        let reply = self.command(&commands::mdtm(path.as_ref())?).await?;
        let time = listing::time_val(reply.text().trim().as_bytes());
        time.ok_or_else(|| self.explain(Error::violation("the answer to MDTM is no time").with_reply(reply)))
    }

    /// The entry of a name in a directory, from its listing.
    async fn find(&mut self, directory: &[u8], name: &[u8]) -> Result<Option<Entry>> {
        self.list(directory).await?;
        let (mut found, mut seen) = (None, 0);
        loop {
            let next = self.next_entries().await?;
            if next.is_empty() {
                return Ok(found);
            }
            seen += next.len();
            found = found.or_else(|| next.into_iter().find(|entry| entry.raw_name() == name));
            if seen > ENTRIES {
                self.abort().await;
                return found.map(Some).ok_or_else(|| self.explain(too_many("entries").during(Phase::Data)));
            }
        }
    }

    /// The entry of a directory that is in none, as far as its path tells: `/`, `..`.
    async fn directory(&mut self, path: &[u8]) -> Result<Entry> {
        let here = self.pwd().await?;
        self.cwd(path).await?;
        self.cwd(here).await?;
        Ok(Entry::directory(path, self.settings.encoding))
    }

    fn lists_for_machines(&self) -> bool {
        self.settings.list_options.is_none() && !self.known.mlst_is_refused && self.session.features.machine_listings()
    }

    /// Whether a command was refused because the server does not have it, against its word; then that is remembered.
    fn is_unknown(&mut self, error: &Error) -> bool {
        let Some(reply) = error.reply().filter(|_| matches!(error.kind(), ErrorKind::Rejected)) else { return false };
        match reply.code().number() {
            500 | 502 | 504 => {
                self.learn(|known| known.mlst_is_refused = true);
                true
            }
            // 501 is also the answer for what is no directory (RFC 3659 §7.2.1).
            501 => !reply.text().to_ascii_lowercase().contains("director"),
            _ => false,
        }
    }

    /// Asks for facts that the server has and does not tell by itself (OPTS MLST, RFC 3659 §7.9), once in a session: all of
    /// them if the settings say so, else only if type, size or time is missing.
    async fn choose_facts(&mut self) -> Result<()> {
        let Some(facts) = self.session.features.facts_to_choose(self.settings.all_facts) else { return Ok(()) };
        self.session.features.facts_are_chosen = true;
        let line = commands::opts_mlst(&facts)?;
        // A refusal changes nothing.
        self.session.dialogue.exchange(&line).await.map(drop).map_err(|error| error.during(Phase::Command))
    }
}

fn too_many(what: &str) -> Error {
    Error::limit(format!("a listing of more than {ENTRIES} {what}: read it as a stream"))
}

/// RFC 959 has 450 for a directory without files, and some servers use that or 550.
fn is_empty_directory(error: &Error) -> bool {
    error.reply().is_some_and(|reply| {
        let text = reply.text().to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
        matches!(reply.code().number(), 450 | 550)
            && says(&["no files", "directory is empty", "directory empty", "no data sets found", "no members found"])
    })
}

/// A name without the directory that was asked for in front of it.
fn below<'a>(path: &[u8], line: &'a [u8]) -> &'a [u8] {
    let directory = path.strip_suffix(b"/").unwrap_or(path);
    let inner = line.strip_prefix(directory).and_then(|rest| rest.strip_prefix(b"/"));
    inner.filter(|_| !path.is_empty()).or_else(|| line.strip_prefix(b"./")).unwrap_or(line)
}

/// Where something is, and its name; `None` if its path does not tell.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let (directory, name) = match memchr::memrchr(b'/', path) {
        Some(0) => (&path[..1], &path[1..]),
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b""[..], path),
    };
    (!matches!(name, b"" | b"." | b"..")).then_some((directory, name))
}

#[cfg(test)]
mod tests {
    use super::{below, split};

    #[test]
    fn parts_of_paths() {
        assert_eq!(split(b"a"), Some((&b""[..], &b"a"[..])));
        assert_eq!(split(b"/a"), Some((&b"/"[..], &b"a"[..])));
        assert_eq!(split(b"/a/b/"), Some((&b"/a"[..], &b"b"[..])));
        for none in [&b""[..], b"/", b".", b"..", b"a/..", b"//"] {
            assert_eq!(split(none), None, "{}", none.escape_ascii());
        }
    }

    #[test]
    fn names_with_their_directory() {
        for (path, line, name) in [
            ("", "x", "x"),
            ("", "./x", "x"),
            ("", "/x", "/x"),
            ("a", "a/x", "x"),
            ("a/", "a/x", "x"),
            ("a", "ab/x", "ab/x"),
            ("/", "/x", "x"),
            ("/a", "/a/x y", "x y"),
            ("a", "x", "x"),
            ("a", "", ""),
        ] {
            assert_eq!(below(path.as_bytes(), line.as_bytes()), name.as_bytes(), "{path} {line}");
        }
    }
}
