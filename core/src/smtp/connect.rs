//! Opening a session: the greeting, the upgrade, and what the server offers after it.

use super::client::Client;
use super::commands;
use super::extensions::Extensions;
use super::pipeline::Pipeline;
use super::settings::Settings;
use crate::dialogue::{Dialogue, dial};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::link::Channel;
use crate::options::{Options, Plan};
use crate::reply::{Dialect, Reply};
use crate::transport::{Endpoint, Transport};

impl<T: Transport> Client<T> {
    /// Opens a session: connects, reads the greeting, upgrades as [`Options::security`] says, and asks for the server's
    /// extensions, after TLS again.
    ///
    /// # Errors
    /// The network's; [`Rejected`](ErrorKind::Rejected) by the greeting; everything that can go wrong with the upgrade,
    /// in which case no credential and no address was sent.
    pub async fn connect(transport: T, endpoint: &Endpoint, options: Options) -> Result<Self> {
        Self::connect_with(transport, endpoint, options, &Settings::default()).await
    }

    /// [`Client::connect`] with settings of our own.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_with(
        transport: T,
        endpoint: &Endpoint,
        options: Options,
        settings: &Settings,
    ) -> Result<Self> {
        let plan = options.plan(endpoint)?;
        let (stream, context) = dial(&transport, endpoint, &options, Dialect::Smtp).await?;
        let (greeting, offered_in_clear, extensions, dialogue);
        match plan {
            Plan::Upgrade(tls, server_name) => {
                let mut clear = Dialogue::plain(stream, context);
                let offered;
                (greeting, offered) = ask_for_tls(&mut clear, settings).await?;
                let mut secure = clear.secure(&tls, &server_name).await?;
                // RFC 3207 §4.2: what was learnt in clear text is forgotten. `offered` is kept for probes only.
                extensions = hello(&mut secure, settings).await?;
                offered_in_clear = Some(offered);
                dialogue = secure.into();
            }
            Plan::Implicit(tls, server_name) => {
                let mut secure = Dialogue::implicit(stream, context, &tls, &server_name).await?;
                greeting = greet(&mut secure).await?;
                extensions = hello(&mut secure, settings).await?;
                offered_in_clear = None;
                dialogue = secure.into();
            }
            Plan::Plain => {
                let mut clear = Dialogue::plain(stream, context);
                greeting = greet(&mut clear).await?;
                extensions = hello_or_helo(&mut clear, settings).await?;
                offered_in_clear = None;
                dialogue = clear.into();
            }
        }
        Ok(Self {
            dialogue,
            settings: settings.clone(),
            known: settings.memory.of(endpoint),
            messages: 0,
            needs_reset: false,
            streaming: None,
            pipeline: Pipeline::new(),
            extensions,
            login: None,
            asked_after_login: false,
            offered_in_clear,
            greeting,
        })
    }
}

/// All that is said in clear text: greeting, EHLO and STARTTLS with its 220.
pub(crate) async fn ask_for_tls<C: Channel>(
    clear: &mut Dialogue<C>,
    settings: &Settings,
) -> Result<(Reply, Extensions)> {
    let greeting = greet(clear).await?;
    let offered = hello(clear, settings).await?;
    starttls(clear, &offered, settings).await?;
    Ok((greeting, offered))
}

async fn greet<C: Channel>(dialogue: &mut Dialogue<C>) -> Result<Reply> {
    let reply = dialogue.greeting().await?;
    match reply.code().number() {
        220 => Ok(reply),
        _ => Err(dialogue.context.explain(Error::rejected(reply).during(Phase::Greeting))),
    }
}

/// EHLO (LHLO for LMTP), and nothing less: where TLS is required, a server without extensions has no TLS to offer.
pub(super) async fn hello<C: Channel>(dialogue: &mut Dialogue<C>, settings: &Settings) -> Result<Extensions> {
    let name = settings.name.as_str();
    let line = if settings.lmtp { commands::lhlo(name)? } else { commands::ehlo(name)? };
    let reply = dialogue.exchange(&line).await.map_err(|error| error.during(Phase::Command))?;
    if reply.code() == 250 {
        return Ok(Extensions::parse(&reply));
    }
    Err(dialogue.context.unfit(Error::rejected(reply).during(Phase::Command)))
}

/// EHLO, or HELO where it is unknown (RFC 5321 §3.2). In clear text by choice only.
async fn hello_or_helo<C: Channel>(dialogue: &mut Dialogue<C>, settings: &Settings) -> Result<Extensions> {
    match hello(dialogue, settings).await {
        Err(error)
            if !settings.lmtp && error.reply().is_some_and(|reply| matches!(reply.code().number(), 500 | 502)) =>
        {
            let reply = dialogue.exchange(&commands::helo(settings.name.as_str())?).await?;
            match reply.code().number() {
                250 => Ok(Extensions::default()),
                _ => Err(dialogue.context.explain(Error::rejected(reply).during(Phase::Command))),
            }
        }
        outcome => outcome,
    }
}

/// STARTTLS and its 220, after which nothing may follow in clear text.
async fn starttls<C: Channel>(dialogue: &mut Dialogue<C>, offered: &Extensions, settings: &Settings) -> Result<()> {
    let server = dialogue.context.endpoint().clone();
    if !offered.offers("STARTTLS") {
        if settings.memory.of(&server).offered_tls {
            let why = "the server offered STARTTLS earlier and does not now".to_owned();
            let error = Error::new(ErrorKind::Downgraded(why)).during(Phase::Upgrade).advise(
                "somebody may be in between; if its administrator changed it, forget what is known of this server",
            );
            return Err(dialogue.context.explain(error));
        }
        return Err(dialogue.context.no_upgrade(Error::new(ErrorKind::UpgradeNotOffered).during(Phase::Upgrade)));
    }
    settings.memory.learn(&server, |facts| facts.offered_tls = true);
    let reply = dialogue.exchange(&commands::starttls()).await.map_err(|error| error.during(Phase::Upgrade))?;
    let error = match reply.code().number() {
        220 => return Ok(()),
        400.. => Error::rejected(reply).advise("the server cannot do TLS now, or somebody answers in its place"),
        _ => Error::violation("STARTTLS is answered with 220 or a refusal").with_reply(reply),
    };
    Err(dialogue.context.explain(error.during(Phase::Upgrade)))
}
