//! How a session comes about: greeting, upgrade, login, protection. Done again when the session must be renewed.

use std::time::Duration;

use super::commands;
use super::credentials::Credentials;
use super::extent::Mark;
use super::features::Features;
use super::hash::Algorithm;
use super::settings::Settings;
use crate::dialogue::{Dialogue, dial};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::line::Line;
use crate::link::{Channel, Link};
use crate::options::{Options, Plan};
use crate::reply::{Dialect, Reply};
use crate::tls::{ServerName, TlsSession};
use crate::transport::{Endpoint, Transport};

/// Whether data connections are under TLS (RFC 4217 §9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DataProtection {
    /// PROT P: like the control connection. A server that refuses it is an error.
    #[default]
    Private,
    /// PROT C: files and listings in clear text under a secure control connection. Only ever by this name.
    Clear,
}

/// What TLS is asked for by (RFC 4217 §4). What follows is the same: a handshake, PBSZ and PROT, nothing implied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Auth {
    /// AUTH TLS.
    #[default]
    Tls,
    /// AUTH SSL, for servers from before RFC 4217 that know no other.
    Ssl,
}

/// How long the second and later replies of a flight may take once the first is there: a server that takes one command
/// at a time has thrown the others away by then.
const PATIENCE: Duration = Duration::from_secs(15);

/// A control connection and what was learnt on it.
pub(super) struct Session<S> {
    pub(super) dialogue: Dialogue<Link<S>>,
    pub(super) greeting: Reply,
    pub(super) features: Features,
    /// For data connections: the same trust, identity, name and resumable sessions as the control connection.
    pub(super) tls: Option<(TlsSession, ServerName)>,
    /// Whether data connections go under TLS: PROT P was accepted.
    pub(super) private: bool,
    /// Whether data connections are compressed: MODE Z is set.
    pub(super) compressed: bool,
    /// Whether transfers may begin: data connections are protected as chosen, bytes go as they are.
    pub(super) prepared: bool,
    /// Lines were transferred last (TYPE A): files' bytes are not as they are.
    pub(super) ascii: bool,
    /// Which part the next transfer is about was said, and no transfer has begun since: servers keep it in mind.
    pub(super) mark: Option<Mark>,
    /// What HASH computes, if that was selected (OPTS HASH).
    pub(super) hash: Option<Algorithm>,
    /// Whether a user is logged in.
    logged_in: bool,
    /// What holds for data connections now, holds for a copy between servers alone.
    pub(super) lent: bool,
    /// Of a flight of commands the first was answered, and then nothing came.
    pub(super) choked: bool,
}

/// Opens a session up to the point where one logs in.
pub(super) async fn open<T: Transport>(
    transport: &T,
    endpoint: &Endpoint,
    options: &Options,
    auth: Auth,
) -> Result<Session<T::Stream>> {
    let plan = options.plan_with_data(endpoint)?;
    let (stream, context) = dial(transport, endpoint, options, Dialect::Ftp).await?;
    let (greeting, dialogue, tls);
    match plan {
        Plan::Upgrade(session, name) => {
            let mut clear = Dialogue::plain(stream, context);
            greeting = ask_for_tls(&mut clear, auth).await?;
            dialogue = clear.secure(&session, &name).await?.into();
            tls = Some((session, name));
        }
        Plan::Implicit(session, name) => {
            let mut secure = Dialogue::implicit(stream, context, &session, &name).await?;
            greeting = greet(&mut secure).await?;
            dialogue = secure.into();
            tls = Some((session, name));
        }
        Plan::Plain => {
            let mut clear = Dialogue::plain(stream, context);
            greeting = greet(&mut clear).await?;
            dialogue = clear.into();
            tls = None;
        }
    }
    Ok(Session {
        dialogue,
        greeting,
        features: Features::default(),
        tls,
        private: false,
        compressed: false,
        prepared: false,
        ascii: false,
        mark: None,
        hash: None,
        logged_in: false,
        lent: false,
        choked: false,
    })
}

/// 220; 120 announces a wait for it. 230 (nobody need log in) changes nothing: TLS comes first all the same.
async fn greet<C: Channel>(dialogue: &mut Dialogue<C>) -> Result<Reply> {
    let mut reply = dialogue.greeting().await?;
    if reply.code() == 120 {
        // One announcement has one wait: a server could go on announcing for ever.
        reply = dialogue.greeting().await?;
    }
    match reply.code().number() {
        220 | 230 => Ok(reply),
        _ => Err(dialogue.context.explain(Error::rejected(reply).during(Phase::Greeting))),
    }
}

/// All that is said in clear text: greeting, AUTH TLS and its 234, after which nothing may follow (RFC 4217 §4).
pub(crate) async fn ask_for_tls<C: Channel>(dialogue: &mut Dialogue<C>, auth: Auth) -> Result<Reply> {
    let greeting = greet(dialogue).await?;
    let line = match auth {
        Auth::Tls => commands::auth_tls(),
        Auth::Ssl => commands::auth_ssl(),
    };
    let reply = dialogue.exchange(&line).await.map_err(|error| error.during(Phase::Upgrade))?;
    let error = match reply.code().number() {
        234 => return Ok(greeting),
        500 | 502 | 504 | 530 | 534 => {
            let error = Error::new(ErrorKind::UpgradeNotOffered).with_reply(reply).during(Phase::Upgrade);
            return Err(dialogue.context.no_upgrade(error));
        }
        400.. => return Err(dialogue.context.unfit(Error::rejected(reply).during(Phase::Upgrade))),
        _ => Error::violation("AUTH is answered with 234 or a refusal").with_reply(reply),
    };
    Err(dialogue.context.explain(error.during(Phase::Upgrade)))
}

impl<S: crate::transport::Stream> Session<S> {
    /// HOST if one is named; USER, PASS, ACCT as the server asks; then what holds for the whole session. Its commands
    /// go out together, or one by one for servers that cannot take that.
    pub(super) async fn login(&mut self, credentials: &Credentials, settings: &Settings, together: bool) -> Result<()> {
        let outcome = self.authenticate(credentials, settings).await;
        outcome.map_err(|error| {
            let error = self.dialogue.context.explain(error.during(Phase::Authenticate));
            match error.reply().map(|reply| reply.code().number()) {
                Some(530) => error.advise("check user and password"),
                _ => error,
            }
        })?;
        self.logged_in = true;
        self.prepare(settings, together).await?;
        self.prepared = true;
        Ok(())
    }

    /// What holds for the whole session: half of it is no session to transfer on.
    async fn prepare(&mut self, settings: &Settings, together: bool) -> Result<()> {
        // RFC 2640 makes UTF-8 the rule; some servers need to be told. Those that do not know OPTS say so, and that is all.
        let mut lines = vec![commands::feat(), commands::opts_utf8()];
        let secure = self.tls.is_some();
        if secure {
            lines.push(commands::pbsz());
            lines.push(match settings.data_protection {
                DataProtection::Private => commands::prot_private(),
                DataProtection::Clear => commands::prot_clear(),
            });
        }
        lines.push(commands::type_image());
        let mut replies = self.flight(&lines, together).await?.into_iter();
        let mut next = || replies.next().expect("every command of a flight has its reply");
        self.learn_features(&next());
        next();
        if secure {
            // Both are required: what was not refused is not thereby granted.
            for reply in [next(), next()] {
                if !reply.code().is_completion() {
                    let why =
                        "the server refuses this protection of data connections; clear data must be chosen by name";
                    return Err(self.refused(reply, Phase::Command).advise(why));
                }
            }
            self.private = settings.data_protection == DataProtection::Private;
        }
        let reply = next();
        if !reply.code().is_completion() {
            return Err(self.refused(reply, Phase::Command));
        }
        self.tune(settings, together).await
    }

    /// What only some servers have, and what only some callers want. A refusal changes nothing.
    async fn tune(&mut self, settings: &Settings, together: bool) -> Result<()> {
        let mut lines = Vec::new();
        if let Some(name) = settings.client_name.as_deref().filter(|_| self.features.offers("CLNT")) {
            lines.push(commands::clnt(name)?);
        }
        if let Some(tag) = settings.language.as_deref().filter(|_| self.features.offers("LANG")) {
            lines.push(commands::lang(tag)?);
        }
        self.flight(&lines, together).await.map(drop)
    }

    /// Commands that need not wait for each other, and their replies.
    async fn flight(&mut self, lines: &[Line], together: bool) -> Result<Vec<Reply>> {
        let mut replies = Vec::with_capacity(lines.len());
        let within = self.dialogue.context.timeouts.reply.min(PATIENCE);
        if together && !lines.is_empty() {
            self.dialogue.ready().map_err(|error| error.during(Phase::Command))?;
            lines.iter().try_for_each(|line| self.dialogue.send(line))?;
        }
        for line in lines {
            let reply = match (together, replies.is_empty()) {
                (false, _) => self.dialogue.exchange(line).await,
                (true, true) => self.dialogue.reply().await,
                (true, false) => {
                    let reply = self.dialogue.reply_within(Some(within)).await;
                    let silent = |error: &Error| {
                        use ErrorKind::{ClosedByPeer, TimedOut, Truncated};
                        matches!(error.kind(), TimedOut | ClosedByPeer | Truncated)
                    };
                    self.choked = reply.as_ref().is_err_and(silent);
                    reply
                }
            };
            let reply = reply.map_err(|error| error.during(Phase::Command))?;
            if reply.code().is_closing() {
                return Err(self.refused(reply, Phase::Command));
            }
            replies.push(reply);
        }
        Ok(replies)
    }

    async fn authenticate(&mut self, credentials: &Credentials, settings: &Settings) -> Result<()> {
        let Credentials { user, password, account } = credentials;
        if self.tls.is_none() && !credentials.is_public() {
            return Err(Error::invalid_state("a password is not sent in clear text").advise("use ftp:// or ftps://"));
        }
        // All are looked at before the first is sent.
        let user = commands::user(user)?;
        let pass = commands::pass(password)?;
        let acct = account.as_ref().map(|account| commands::acct(account)).transpose()?;
        settings.check()?;
        let host = settings.virtual_host.as_deref().map(commands::host).transpose()?;
        for secret in [Some(password), account.as_ref()].into_iter().flatten().filter(|_| !credentials.is_public()) {
            self.dialogue.context.keep_secret(secret.as_bytes());
        }
        if let Some(host) = host {
            // Another host's server must not see the password: nothing goes on before it answered (RFC 7151 §3).
            let reply = self.dialogue.exchange(&host).await?;
            match reply.code().number() {
                200..300 => {}
                400.. => return Err(Error::rejected(reply).advise("the server does not know this virtual host (HOST)")),
                _ => return Err(Error::violation("this is no answer to HOST").with_reply(reply)),
            }
        }
        let mut reply = self.dialogue.exchange(&user).await?;
        if reply.code() == 331 {
            reply = self.dialogue.exchange(&pass).await?;
        }
        if reply.code() == 332 {
            let Some(acct) = acct else {
                return Err(Error::rejected(reply).advise("the server asks for an account: give one"));
            };
            reply = self.dialogue.exchange(&acct).await?;
        }
        match reply.code().number() {
            // 232 (RFC 2228): logged in by the certificate that TLS showed. 202: nobody need log in.
            202 | 230 | 232 => Ok(()),
            400.. => Err(Error::rejected(reply)),
            _ => Err(Error::violation("this is no answer to a login").with_reply(reply)),
        }
    }

    pub(super) async fn ask_features(&mut self) -> Result<()> {
        let reply = self.dialogue.exchange(&commands::feat()).await.map_err(|error| error.during(Phase::Command))?;
        self.learn_features(&reply);
        Ok(())
    }

    /// Old servers do not know FEAT, strict ones not before the login. What was told before counts no more.
    fn learn_features(&mut self, reply: &Reply) {
        self.features = if reply.code() == 211 { Features::parse(reply) } else { Features::default() };
    }

    /// REIN, in clear text: whether the session is as new (RFC 959 §4.1.1).
    pub(super) async fn restart(&mut self) -> Result<bool> {
        let mut reply =
            self.dialogue.exchange(&commands::rein()).await.map_err(|error| error.during(Phase::Command))?;
        if reply.code() == 120 {
            reply = self.dialogue.reply().await.map_err(|error| error.during(Phase::Command))?;
        }
        let restarted = reply.code().is_completion();
        if restarted {
            self.features = Features::default();
            (self.prepared, self.logged_in, self.private, self.hash) = (false, false, false, None);
            (self.ascii, self.mark) = (false, None);
        }
        Ok(restarted)
    }

    /// A command whose only good answer is 2yz.
    pub(super) async fn expect(&mut self, line: &Line) -> Result<Reply> {
        let reply = self.dialogue.exchange(line).await.map_err(|error| error.during(Phase::Command))?;
        if reply.code().is_completion() { Ok(reply) } else { Err(self.refused(reply, Phase::Command)) }
    }

    /// A command whose only good answer is 2yz, and may be long in coming.
    pub(super) async fn expect_late(&mut self, line: &Line) -> Result<Reply> {
        self.dialogue.ready()?;
        self.dialogue.send(line)?;
        let within = self.dialogue.context.timeouts.finish;
        let reply = self.dialogue.reply_within(Some(within)).await.map_err(|error| error.during(Phase::Command))?;
        if reply.code().is_completion() { Ok(reply) } else { Err(self.refused(reply, Phase::Command)) }
    }

    pub(super) fn refused(&self, reply: Reply, phase: Phase) -> Error {
        let login_first = reply.code() == 530 && !self.logged_in;
        let error = self.dialogue.context.explain(Error::rejected(reply).during(phase));
        if login_first { error.advise("log in first") } else { error }
    }
}
