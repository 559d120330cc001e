//! How a session comes about: greeting, upgrade, login, protection. Done again when the session must be renewed.

use std::fmt;

use zeroize::Zeroizing;

use super::commands;
use super::features::Features;
use super::hash::Algorithm;
use crate::dialogue::{Dialogue, dial};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::line::Line;
use crate::link::{Channel, Link};
use crate::options::{Options, Plan};
use crate::reply::{Dialect, Reply};
use crate::tls::{ServerName, TlsSession};
use crate::transport::{Endpoint, Transport};

/// Who logs in. Its `Debug` shows no secret; memory is wiped on drop.
#[derive(Clone)]
pub struct Credentials {
    user: String,
    password: Zeroizing<String>,
    account: Option<Zeroizing<String>>,
}

impl Credentials {
    /// A user name and a password, as they are.
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: Zeroizing::new(password.into()), account: None }
    }

    /// The account for servers that ask for one (ACCT, RFC 959 §4.1.1).
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(Zeroizing::new(account.into()));
        self
    }

    /// `anonymous`, with an address that is none as the password (RFC 1635).
    pub fn anonymous() -> Self {
        Self::password("anonymous", "anonymous@")
    }

    /// The user name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether there is nothing to keep from those who listen.
    fn is_public(&self) -> bool {
        matches!(self.user.as_str(), "anonymous" | "ftp")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, ***)", self.user)
    }
}

/// Whether data connections are under TLS (RFC 4217 §9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DataProtection {
    /// PROT P: like the control connection. A server that refuses it is an error.
    #[default]
    Private,
    /// PROT C: files and listings in clear text under a secure control connection. Only ever by this name.
    Clear,
}

/// A control connection and what was learnt on it.
pub(super) struct Session<S> {
    pub(super) dialogue: Dialogue<Link<S>>,
    pub(super) greeting: Reply,
    pub(super) features: Features,
    /// For data connections: the same trust, identity, name and resumable sessions as the control connection.
    pub(super) tls: Option<(TlsSession, ServerName)>,
    /// Whether data connections go under TLS: PROT P was accepted.
    pub(super) private: bool,
    /// Whether transfers may begin: data connections are protected as chosen, bytes go as they are.
    pub(super) prepared: bool,
    /// What HASH computes, if that was selected (OPTS HASH).
    pub(super) hash: Option<Algorithm>,
    /// Whether a user is logged in.
    logged_in: bool,
}

/// Opens a session up to the point where one logs in.
pub(super) async fn open<T: Transport>(
    transport: &T,
    endpoint: &Endpoint,
    options: &Options,
) -> Result<Session<T::Stream>> {
    let plan = options.plan(endpoint)?;
    let (stream, context) = dial(transport, endpoint, options, Dialect::Ftp).await?;
    let (greeting, dialogue, tls);
    match plan {
        Plan::Upgrade(session, name) => {
            let mut clear = Dialogue::plain(stream, context);
            greeting = greet(&mut clear).await?;
            auth_tls(&mut clear).await?;
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
        prepared: false,
        hash: None,
        logged_in: false,
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

/// AUTH TLS and its 234, after which nothing may follow in clear text (RFC 4217 §4).
async fn auth_tls<C: Channel>(dialogue: &mut Dialogue<C>) -> Result<()> {
    let reply = dialogue.exchange(&commands::auth_tls()).await.map_err(|error| error.during(Phase::Upgrade))?;
    let error = match reply.code().number() {
        234 => return Ok(()),
        500 | 502 | 504 | 530 | 534 => {
            let error = Error::new(ErrorKind::UpgradeNotOffered).with_reply(reply).during(Phase::Upgrade);
            return Err(dialogue.context.no_upgrade(error));
        }
        400.. => return Err(dialogue.context.unfit(Error::rejected(reply).during(Phase::Upgrade))),
        _ => Error::violation("AUTH TLS is answered with 234 or a refusal").with_reply(reply),
    };
    Err(dialogue.context.explain(error.during(Phase::Upgrade)))
}

impl<S: crate::transport::Stream> Session<S> {
    /// USER, PASS, ACCT as the server asks; then what holds for the whole session.
    pub(super) async fn login(&mut self, credentials: &Credentials, protection: DataProtection) -> Result<()> {
        let outcome = self.authenticate(credentials).await;
        outcome.map_err(|error| {
            let error = self.dialogue.context.explain(error.during(Phase::Authenticate));
            match error.reply().map(|reply| reply.code().number()) {
                Some(530) => error.advise("check user and password"),
                _ => error,
            }
        })?;
        self.logged_in = true;
        self.prepare(protection).await?;
        self.prepared = true;
        Ok(())
    }

    /// What holds for the whole session: half of it is no session to transfer on.
    async fn prepare(&mut self, protection: DataProtection) -> Result<()> {
        self.ask_features().await?;
        if self.features.offers("UTF8") {
            // RFC 2640 makes UTF-8 the rule; servers that need to be told have this. Their answer changes nothing.
            self.dialogue.exchange(&commands::opts_utf8()).await?;
        }
        if self.tls.is_some() {
            self.protect(protection).await?;
        }
        self.expect(&commands::type_image()).await.map(drop)
    }

    async fn authenticate(&mut self, credentials: &Credentials) -> Result<()> {
        let Credentials { user, password, account } = credentials;
        if self.tls.is_none() && !credentials.is_public() {
            return Err(Error::invalid_state("a password is not sent in clear text").advise("use ftp:// or ftps://"));
        }
        // All are looked at before the first is sent.
        let user = commands::user(user)?;
        let pass = commands::pass(password)?;
        let acct = account.as_ref().map(|account| commands::acct(account)).transpose()?;
        for secret in [Some(password), account.as_ref()].into_iter().flatten().filter(|_| !credentials.is_public()) {
            self.dialogue.context.keep_secret(secret.as_bytes());
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

    async fn protect(&mut self, protection: DataProtection) -> Result<()> {
        let line = match protection {
            DataProtection::Private => commands::prot_private(),
            DataProtection::Clear => commands::prot_clear(),
        };
        for line in [commands::pbsz(), line] {
            self.expect(&line).await.map_err(|error| {
                error
                    .advise("the server refuses this protection of data connections; clear data must be chosen by name")
            })?;
        }
        self.private = protection == DataProtection::Private;
        Ok(())
    }

    pub(super) async fn ask_features(&mut self) -> Result<()> {
        let reply = self.dialogue.exchange(&commands::feat()).await.map_err(|error| error.during(Phase::Command))?;
        // Old servers do not know FEAT, strict ones not before the login.
        self.features = if reply.code() == 211 { Features::parse(&reply) } else { Features::default() };
        Ok(())
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
