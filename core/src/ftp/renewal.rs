//! A session that takes another's place: renewed in good time, or because nobody knows any more whose answer would come next.
//!
//! ```text
//!   a call was dropped in the middle ── replies owed ──┬─ of a transfer: ABOR, fence ── in step again
//!   a transfer was abandoned ── ABOR, drain, fence ────┤
//!                                                      └─ else, or if the fence is not reached: a new connection, logged in,
//!                                                         of the same language and account, in the same directory
//! ```

use zeroize::Zeroizing;

use super::client::{Client, quoted};
use super::place::Place;
use super::session::{self, Session};
use super::settings::Settings;
use super::verdict::Beside;
use super::{Direction, commands};
use crate::error::{Error, ErrorKind, Phase, Result, TlsFault};
use crate::options::Options;
use crate::tls::Version;
use crate::transport::Transport;

/// Why a session ends in which something was not waited for that a fence cannot make good.
const CANCELLED: &str = "an exchange on this session was cancelled: its replies may still come";
/// Why one ends that was not taken back from a copy between servers.
const LENT: &str = "a copy between servers was cancelled or failed, and what it had set was not taken back";

/// What a session was told beside its login and the settings, and the one that takes its place is told again. What SITE
/// and the caller's own commands set is nothing that could be known.
#[derive(Clone, Default)]
pub(super) struct Told {
    /// LANG.
    pub(super) language: Option<String>,
    /// ACCT.
    pub(super) account: Option<Zeroizing<String>>,
}

impl Told {
    /// What a further login on the same connection leaves of it.
    pub(super) fn log_in_anew(&mut self, settings: &Settings) {
        self.account = None;
        self.language.take_if(|_| settings.language.is_some());
    }
}

impl<T: Transport> Client<T> {
    /// Gives up what is under way without waiting for anything, for whoever was cancelled and must not wait: the next
    /// operation on the session first stops the transfer as [`Client::abort`] does.
    ///
    /// What is true of an abandoned transfer is true of any call that was dropped in the middle: the next operation makes
    /// sure that no reply is still to come, or else replaces the session by a new one, logged in as this one was, with the same
    /// account and language and in the same directory; what [`Client::site`] and [`Client::quote`] set is not set there. If that cannot be done, the operation fails with the reason: the network's, the server's refusal, or
    /// [`InvalidState`](ErrorKind::InvalidState) where the directory is not known.
    pub fn abandon(&mut self) {
        self.abandoned = self.transfer.is_some();
    }

    /// Ends the session; the next operation replaces it.
    pub(super) fn forsake(&mut self, why: &'static str) {
        self.session.dialogue.end(why);
        self.forsaken = true;
    }

    /// What earlier operations left undone.
    pub(super) async fn put_in_order(&mut self) -> Result<()> {
        if self.transfer.is_some() {
            self.abort().await;
        }
        if self.session.lent {
            self.forsake(LENT);
        }
        let dialogue = &self.session.dialogue;
        if !self.forsaken && dialogue.is_owed() && !dialogue.has_ended() {
            (self.beside, self.next_port) = (Beside::default(), None);
            self.mark_cut();
            if self.fenceable {
                self.stop(None, Direction::Down).await;
            } else {
                self.forsake(CANCELLED);
            }
        }
        if self.forsaken { self.replace().await } else { Ok(()) }
    }

    async fn replace(&mut self) -> Result<()> {
        if matches!(self.place, Place::Unknown) && self.credentials.is_some() {
            self.forsaken = false;
            let why = "a change of directory was not waited for, and where this session was is not known";
            self.session.dialogue.end(why);
            return Err(self.explain(Error::invalid_state(why).advise("open a new session")));
        }
        // Servers count connections.
        let within = self.last_words();
        self.session.dialogue.hang_up(within).await;
        let outcome = self.begin_anew(false).await;
        outcome.map_err(|error| {
            if error.reply().is_some_and(|reply| reply.code().is_permanent_negative()) {
                // It will not be better another time.
                self.forsaken = false;
                self.session.dialogue.end("this session could not be replaced");
            }
            self.explain(error).advise("the session was given up in the middle of something, and could not be replaced")
        })
    }

    /// Replaces the control connection by a new one, logged in as this one was, in the same directory.
    pub(super) async fn renew(&mut self) -> Result<()> {
        let directory = self.pwd().await?;
        self.say_goodbye().await;
        self.start_over(directory).await
    }

    /// A new control connection instead of one that ended, in a directory that is known.
    pub(super) async fn start_over(&mut self, directory: Vec<u8>) -> Result<()> {
        self.place = Place::told(directory);
        self.begin_anew(true).await
    }

    /// A new control connection, logged in, where the last one was. Until that is done, nothing else is.
    async fn begin_anew(&mut self, older: bool) -> Result<()> {
        (self.forsaken, self.fenceable) = (true, false);
        let place = self.place.clone();
        let ends = self.session.dialogue.context.ends;
        self.session = if older { self.reopen().await? } else { self.open().await? };
        self.session.dialogue.context.ends = ends;
        (self.cut, self.next_port, self.beside) = (false, None, Beside::default());
        if let Some(credentials) = self.credentials.clone() {
            self.log_in(&credentials).await?;
            self.session.dialogue.context.ends = ends;
            self.tell_again().await?;
            self.go_to(&place).await?;
        } else {
            self.tell_again().await?;
        }
        self.place = place;
        self.forsaken = false;
        Ok(())
    }

    /// What the settings do not say.
    pub(super) async fn tell_again(&mut self) -> Result<()> {
        let Told { language, account } = &self.told;
        if let Some(account) = account {
            let line = commands::acct(account)?;
            self.session.dialogue.context.keep_secret(account.as_bytes());
            self.session.expect(&line).await?;
        }
        if let Some(tag) = language {
            let line = commands::lang(tag)?;
            let reply = self.session.dialogue.exchange(&line).await.map_err(|error| error.during(Phase::Command))?;
            // It was a wish the first time, too.
            if reply.code().is_closing() {
                return Err(self.session.refused(reply, Phase::Command));
            }
        }
        Ok(())
    }

    /// From where the login led.
    async fn go_to(&mut self, place: &Place) -> Result<()> {
        let Place::Known { from, steps } = place else { return Ok(()) };
        if let Some(from) = from {
            let reply = self.session.expect(&commands::pwd()).await?;
            if reply.raw_lines().next().and_then(quoted).as_ref() != Some(from) {
                self.session.expect(&commands::cwd(from)?).await?;
            }
        }
        for step in steps {
            let line = if step == b".." { commands::cdup() } else { commands::cwd(step)? };
            self.session.expect(&line).await?;
        }
        Ok(())
    }

    pub(super) async fn enter(&mut self, directory: Vec<u8>) -> Result<()> {
        if self.pwd().await? != directory {
            self.cwd(directory).await?;
        }
        Ok(())
    }

    /// A new control connection: on TLS 1.2 if the caller's settings and the server allow it, else as before.
    async fn reopen(&mut self) -> Result<Session<T::Stream>> {
        if self.has_older_version() {
            let tls = &self.options.tls;
            // What is agreed under other settings is of no use to others, and takes no place in their store.
            let older = tls.clone().maximum_version(Version::Tls12).without_sessions();
            let older = Options { tls: older, ..self.options.clone() };
            match session::open(&self.transport, &self.endpoint, &older, self.settings.auth).await {
                Ok(session) => {
                    self.options = older;
                    return Ok(session);
                }
                Err(error) if is_version_refusal(&error) => self.learn(|known| known.newest_tls_only = true),
                Err(error) => return Err(error),
            }
        }
        self.open().await
    }
}

pub(super) fn is_version_refusal(error: &Error) -> bool {
    // Servers that have TLS 1.3 only answer an older hello with protocol_version (70) or handshake_failure (40).
    matches!(error.kind(), ErrorKind::Tls(TlsFault::NothingInCommon(_) | TlsFault::AlertReceived { code: 40 | 70, .. }))
}
