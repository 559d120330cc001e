//! The talk before TLS, within a budget of bytes and time.

use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::link::{Channel, Fill, Plain};
use crate::options::{Options, within};
use crate::reply::printable;
use crate::trace::Event;
use crate::transport::Stream;

/// The most that a server may say before TLS, in all.
const MOST: usize = 64 * 1024;

/// A connection in clear text, on which a recipe is spoken.
pub(super) struct Clear<'c, S> {
    plain: &'c mut Plain<S>,
    options: &'c Options,
    ends: Option<Instant>,
    /// What was taken so far.
    heard: usize,
    /// How the first of it began.
    first: Option<u8>,
}

impl<'c, S: Stream> Clear<'c, S> {
    pub(super) fn new(plain: &'c mut Plain<S>, options: &'c Options, ends: Option<Instant>) -> Self {
        let mut this = Self { plain, options, ends, heard: 0, first: None };
        this.wait_for_answer();
        this
    }

    /// From now on the server has the time of an answer.
    fn wait_for_answer(&mut self) {
        self.plain.set_deadline(within(self.ends, self.options.timeouts.reply));
    }

    /// Says something that is answered. Nothing may have come before it that was not looked at.
    pub(super) async fn say(&mut self, shown: &str, bytes: &[u8]) -> Result<()> {
        if !self.plain.inbox().is_empty() {
            return Err(Error::new(ErrorKind::Unsolicited(self.plain.inbox().sample())));
        }
        self.options.trace.emit(|| Event::Sent(shown.to_owned()));
        self.wait_for_answer();
        self.plain.queue(bytes)?;
        self.plain.flush().await
    }

    /// A line of text that is one command.
    pub(super) async fn say_line(&mut self, line: &str) -> Result<()> {
        self.say(line, format!("{line}\r\n").as_bytes()).await
    }

    /// The next line, without its end.
    pub(super) async fn line(&mut self) -> Result<Vec<u8>> {
        let left = MOST - self.heard;
        loop {
            if let Some(line) = self.plain.inbox().take_line(left)? {
                self.take_note(&line, line.len() + 2);
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    /// The next so many bytes.
    pub(super) async fn exact(&mut self, count: usize) -> Result<Vec<u8>> {
        if self.heard + count > MOST {
            return Err(too_much());
        }
        while self.plain.inbox().len() < count {
            self.fill().await?;
        }
        let mut bytes = vec![0; count];
        self.plain.inbox().take_into(&mut bytes);
        self.take_note(&bytes, count);
        Ok(bytes)
    }

    /// Everything up to and with `end`.
    pub(super) async fn until(&mut self, end: u8) -> Result<Vec<u8>> {
        loop {
            if let Some(at) = memchr::memchr(end, self.plain.inbox().as_slice()) {
                return self.exact(at + 1).await;
            }
            if self.heard + self.plain.inbox().len() > MOST {
                return Err(too_much());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        match self.plain.fill().await? {
            Fill::More => Ok(()),
            Fill::Closed => Err(Error::new(ErrorKind::ClosedByPeer)),
        }
    }

    fn take_note(&mut self, what: &[u8], bytes: usize) {
        self.first = self.first.or(what.first().copied()).or(Some(b'\n'));
        self.heard = (self.heard + bytes).min(MOST);
        self.options.trace.emit(|| Event::Received(printable(what)));
    }

    /// Whether nothing was understood so far.
    pub(super) fn has_heard_nothing(&self) -> bool {
        self.first.is_none()
    }

    /// Whether the first that came is the beginning of a TLS record (RFC 8446 §5.1), an alert as a rule.
    pub(super) fn looks_like_tls(&mut self) -> bool {
        let waiting = self.plain.inbox().as_slice().first().copied();
        matches!(self.first.or(waiting), Some(20..=23))
    }
}

fn too_much() -> Error {
    Error::limit(format!("more than {MOST} bytes before TLS"))
}

/// The server says no, in its own words.
pub(super) fn refused(words: &[u8]) -> Error {
    Error::new(ErrorKind::UpgradeNotOffered)
        .with_detail(Some(printable(words)))
        .advise("if the server used to offer it, somebody may be stripping it")
}

/// The server says good-bye or out of order, in its own words.
pub(super) fn turned_away(words: &[u8]) -> Error {
    Error::new(ErrorKind::Rejected).with_detail(Some(printable(words)))
}

/// The server says something else than `due`.
pub(super) fn strange(due: &str, words: &[u8]) -> Error {
    let words = printable(&words[..words.len().min(200)]);
    Error::violation(format!("{due} was due and \"{words}\" came"))
}

/// Whether `line` is this word, or begins with it and a space, in any case.
pub(super) fn begins(line: &[u8], word: &[u8]) -> bool {
    line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        && line.get(word.len()).is_none_or(|&next| next == b' ')
}
