//! What a conversation knows besides its channel: with whom, how long, what is owed, and what is never shown.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::mismatch;
use crate::options::{Options, Timeouts, within};
use crate::reply::{Dialect, Reply};
use crate::trace::Trace;
use crate::transport::Endpoint;

/// What a conversation knows besides its channel.
pub(crate) struct Context {
    pub(super) dialect: Dialect,
    pub(super) endpoint: Endpoint,
    pub(crate) timeouts: Timeouts,
    pub(crate) trace: Trace,
    /// Never shown, whoever says them.
    pub(super) secrets: Vec<Zeroizing<Vec<u8>>>,
    /// Whether a login is under way, whose challenges must be read as they are.
    pub(crate) verbatim: bool,
    /// Replies to what was sent, not yet received.
    pub(super) owed: usize,
    /// Why nothing more can be said.
    pub(super) ended: Option<&'static str>,
    /// What to try if this goes wrong, for a greeting that is another protocol's.
    pub(super) stranger: Option<String>,
    /// When the operation under way must be done.
    pub(crate) ends: Option<Instant>,
    /// The server's good-bye (421): the reason for everything that fails behind it.
    pub(super) farewell: Option<Reply>,
}

impl Context {
    /// With this server, as these options say, before anything was said.
    pub(crate) fn new(dialect: Dialect, endpoint: &Endpoint, options: &Options) -> Self {
        Self {
            dialect,
            endpoint: endpoint.clone(),
            timeouts: options.timeouts,
            trace: options.trace.clone(),
            secrets: Vec::new(),
            verbatim: false,
            owed: 0,
            ended: None,
            stranger: None,
            ends: None,
            farewell: None,
        }
    }

    /// The error of a server that cannot do what every server of the protocol can: it may be none.
    pub(crate) fn unfit(&self, error: Error) -> Error {
        self.explain(self.stranger.clone().into_iter().fold(error, Error::advise))
    }

    /// The error of a server that offers no upgrade.
    pub(crate) fn no_upgrade(&self, error: Error) -> Error {
        self.unfit(error).advise(mismatch::no_upgrade(self.dialect, &self.endpoint))
    }

    /// Nothing more can be said; but what was interrupted on this side leaves only replies behind that are owed.
    pub(super) fn fail(&mut self, error: &Error) {
        if !matches!(error.kind(), ErrorKind::Interrupted) {
            self.ended.get_or_insert("this session failed");
        }
    }

    /// From now on [`Timeouts::total`] counts.
    pub(crate) fn begin_operation(&mut self) {
        self.ends = self.timeouts.ends();
    }

    /// Whether that time is up.
    pub(crate) fn is_out_of_time(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= Instant::now())
    }

    /// A stage's time, or what is left of the operation's if that is less.
    pub(crate) fn within(&self, stage: Duration) -> Duration {
        within(self.ends, stage)
    }

    /// Never show this again, in the trace or in an error, whoever says it.
    pub(crate) fn keep_secret(&mut self, secret: &[u8]) {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        // Shorter ones would blot out ordinary words.
        if secret.len() >= 4 {
            self.secrets.push(Zeroizing::new(secret.to_vec()));
            self.secrets.push(Zeroizing::new(BASE64_STANDARD.encode(secret).into_bytes()));
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn explain(&self, error: Error) -> Error {
        error.redact(|bytes| self.scrub(bytes)).with_peer(&self.endpoint.to_string())
    }

    /// What may be shown of a line. Most have nothing to hide, and are not copied.
    pub(super) fn without_secrets<'l>(&self, line: &'l [u8]) -> Cow<'l, [u8]> {
        let mut line = Cow::Borrowed(line);
        for secret in &self.secrets {
            // Most lines are shorter than a secret in Base64, too.
            while secret.len() <= line.len()
                && let Some(at) = memchr::memmem::find(&line, secret)
            {
                line.to_mut().splice(at..at + secret.len(), *b"***");
            }
        }
        line
    }

    fn scrub(&self, line: Vec<u8>) -> Vec<u8> {
        match self.without_secrets(&line) {
            Cow::Owned(shown) => shown,
            Cow::Borrowed(_) => line,
        }
    }

    /// A reply for a report, which people will see.
    pub(crate) fn scrub_reply(&self, reply: Reply) -> Reply {
        reply.map(|line| self.scrub(line))
    }
}
