//! A submission session: from the greeting to QUIT.

use super::commands;
use super::extensions::Extensions;
use super::sasl::LoginInfo;
use super::transaction::Transaction;
use crate::dialogue::{Dialogue, dial};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::line::Line;
use crate::link::{Channel, Link};
use crate::options::{Options, Plan};
use crate::reply::{Dialect, Reply};
use crate::tls::TlsInfo;
use crate::transport::{Endpoint, Transport};

/// The name we give in EHLO (RFC 5321 §4.1.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EhloName(String);

impl EhloName {
    /// A domain name or address literal.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for an empty one or one with spaces or control characters.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Error::invalid_argument(format!("{name:?} is no EHLO name")));
        }
        Ok(Self(name))
    }
}

impl Default for EhloName {
    /// `[127.0.0.1]`: an address literal is always allowed where the client has no name of its own, and this one tells
    /// nobody the machine's name.
    fn default() -> Self {
        Self("[127.0.0.1]".into())
    }
}

/// A submission session over any transport.
pub struct Client<T: Transport> {
    pub(super) dialogue: Dialogue<Link<T::Stream>>,
    pub(super) transaction: Option<Transaction>,
    pub(super) extensions: Extensions,
    pub(super) login: Option<LoginInfo>,
    offered_in_clear: Option<Extensions>,
    greeting: Reply,
}

impl<T: Transport> Client<T> {
    /// Opens a session: connects, reads the greeting, upgrades as [`Options::security`] says, and asks for the server's
    /// extensions, after TLS again.
    ///
    /// # Errors
    /// The network's; [`Rejected`](ErrorKind::Rejected) by the greeting; everything that can go wrong with the upgrade,
    /// in which case no credential and no address was sent.
    pub async fn connect(transport: T, endpoint: &Endpoint, options: Options) -> Result<Self> {
        Self::connect_as(transport, endpoint, options, &EhloName::default()).await
    }

    /// [`Client::connect`] with a name of our own for EHLO.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_as(transport: T, endpoint: &Endpoint, options: Options, name: &EhloName) -> Result<Self> {
        let plan = options.plan(endpoint)?;
        let (stream, context) = dial(&transport, endpoint, &options, Dialect::Smtp).await?;
        let (greeting, offered_in_clear, extensions, dialogue);
        match plan {
            Plan::Upgrade(tls, server_name) => {
                let mut clear = Dialogue::plain(stream, context);
                greeting = greet(&mut clear).await?;
                let offered = ehlo(&mut clear, name).await?;
                starttls(&mut clear, &offered).await?;
                let mut secure = clear.secure(&tls, &server_name).await?;
                // RFC 3207 §4.2: what was learnt in clear text is forgotten. `offered` is kept for probes only.
                extensions = ehlo(&mut secure, name).await?;
                offered_in_clear = Some(offered);
                dialogue = secure.into();
            }
            Plan::Implicit(tls, server_name) => {
                let mut secure = Dialogue::implicit(stream, context, &tls, &server_name).await?;
                greeting = greet(&mut secure).await?;
                extensions = ehlo(&mut secure, name).await?;
                offered_in_clear = None;
                dialogue = secure.into();
            }
            Plan::Plain => {
                let mut clear = Dialogue::plain(stream, context);
                greeting = greet(&mut clear).await?;
                extensions = ehlo_or_helo(&mut clear, name).await?;
                offered_in_clear = None;
                dialogue = clear.into();
            }
        }
        Ok(Self { dialogue, transaction: None, extensions, login: None, offered_in_clear, greeting })
    }

    /// What the server offers now.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// What it offered before STARTTLS: to look at, never to act upon.
    pub fn offered_in_clear(&self) -> Option<&Extensions> {
        self.offered_in_clear.as_ref()
    }

    /// The server's greeting.
    pub fn greeting(&self) -> &Reply {
        &self.greeting
    }

    /// What TLS agreed; `None` in clear text.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.dialogue.tls()
    }

    /// Whether the session can send no more: closed, failed, or cancelled in the middle of an exchange.
    pub fn is_closed(&self) -> bool {
        self.dialogue.is_ended()
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected), or the connection's.
    pub async fn noop(&mut self) -> Result<Reply> {
        self.idle()?;
        self.expect_completion(&commands::noop()).await
    }

    /// Forgets a transaction that was begun and not finished.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected), or the connection's.
    pub async fn rset(&mut self) -> Result<Reply> {
        self.idle()?;
        self.expect_completion(&commands::rset()).await
    }

    /// Says good-bye and closes. Whether the server answers or just closes is the same to us, so this cannot fail.
    pub async fn quit(mut self) {
        if self.transaction.is_none() && self.dialogue.ready().is_ok() {
            let _ = self.dialogue.exchange(&commands::quit()).await;
        }
        self.dialogue.close().await;
    }

    pub(super) async fn expect_completion(&mut self, line: &Line) -> Result<Reply> {
        let reply = self.dialogue.exchange(line).await.map_err(|error| error.during(Phase::Command))?;
        if reply.code().is_completion() {
            return Ok(reply);
        }
        Err(self.dialogue.context.explain(Error::rejected(reply).during(Phase::Command)))
    }

    /// No message is under way: an operation can begin.
    pub(super) fn idle(&mut self) -> Result<()> {
        if self.transaction.is_some() {
            let why = "a message is under way on this session: finish it, or close the session";
            return Err(self.dialogue.context.explain(Error::invalid_state(why)));
        }
        self.dialogue.context.begin_operation();
        Ok(())
    }
}

impl<T: Transport> std::fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("smtp::Client")
            .field("server", &self.dialogue.context.endpoint())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

async fn greet<C: Channel>(dialogue: &mut Dialogue<C>) -> Result<Reply> {
    let reply = dialogue.greeting().await?;
    match reply.code().number() {
        220 => Ok(reply),
        _ => Err(dialogue.context.explain(Error::rejected(reply).during(Phase::Greeting))),
    }
}

/// EHLO, and nothing less: where TLS is required, a server without extensions has no TLS to offer.
async fn ehlo<C: Channel>(dialogue: &mut Dialogue<C>, name: &EhloName) -> Result<Extensions> {
    let reply = dialogue.exchange(&commands::ehlo(&name.0)?).await.map_err(|error| error.during(Phase::Command))?;
    if reply.code() == 250 {
        return Ok(Extensions::parse(&reply));
    }
    Err(dialogue.context.unfit(Error::rejected(reply).during(Phase::Command)))
}

/// EHLO, or HELO where it is unknown (RFC 5321 §3.2). In clear text by choice only.
async fn ehlo_or_helo<C: Channel>(dialogue: &mut Dialogue<C>, name: &EhloName) -> Result<Extensions> {
    match ehlo(dialogue, name).await {
        Err(error) if error.reply().is_some_and(|reply| matches!(reply.code().number(), 500 | 502)) => {
            let reply = dialogue.exchange(&commands::helo(&name.0)?).await?;
            match reply.code().number() {
                250 => Ok(Extensions::default()),
                _ => Err(dialogue.context.explain(Error::rejected(reply).during(Phase::Command))),
            }
        }
        outcome => outcome,
    }
}

/// STARTTLS and its 220, after which nothing may follow in clear text.
async fn starttls<C: Channel>(dialogue: &mut Dialogue<C>, offered: &Extensions) -> Result<()> {
    if !offered.offers("STARTTLS") {
        let error = Error::new(ErrorKind::UpgradeNotOffered).during(Phase::Upgrade);
        return Err(dialogue.context.no_upgrade(error));
    }
    let reply = dialogue.exchange(&commands::starttls()).await.map_err(|error| error.during(Phase::Upgrade))?;
    let error = match reply.code().number() {
        220 => return Ok(()),
        400.. => Error::rejected(reply).advise("the server cannot do TLS now, or somebody answers in its place"),
        _ => Error::violation("STARTTLS is answered with 220 or a refusal").with_reply(reply),
    };
    Err(dialogue.context.explain(error.during(Phase::Upgrade)))
}
