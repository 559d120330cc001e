//! How each protocol asks for TLS on a connection in clear text: what to say, and which answer means go.
//!
//! | recipe | asks with | go | source |
//! |---|---|---|---|
//! | `smtp`, `lmtp` | EHLO, LHLO; STARTTLS | 220 | RFC 3207 |
//! | `ftp` | AUTH TLS | 234 | RFC 4217 |
//! | `imap` | STARTTLS | tagged OK | RFC 9051 §6.2.1 |
//! | `pop3` | STLS | +OK | RFC 2595 §4 |
//! | `sieve` | STARTTLS | OK | RFC 5804 §2.2 |
//! | `nntp` | STARTTLS | 382 | RFC 4642 §2.2 |
//! | `xmpp`, `xmpp-server` | `<starttls/>` in a stream | `<proceed/>` | RFC 6120 §5.4 |
//! | `ldap` | the StartTLS extended operation | success | RFC 4511 §4.14 |
//! | `postgres` | SSLRequest; or nothing, `postgres-direct://` | `S` | PostgreSQL, Message Flow |
//! | `mysql` | SSLRequest, after a greeting with CLIENT_SSL | nothing: TLS follows | MySQL, Connection Phase |
//!
//! All the rest is the same: what arrives behind the answer that means go is an error, and what was said in clear text is
//! forgotten, but handed to the caller as what it is.

mod clear;
mod ldap;
mod lines;
mod mysql;
mod postgres;
mod xmpp;

use std::fmt;
use std::time::Instant;

use self::clear::Clear;
use crate::dialogue::{Context, Dialogue};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::link::Plain;
use crate::options::{Options, Security};
use crate::reply::{Dialect, Reply};
use crate::transport::{Endpoint, Stream};
use crate::{ftp, smtp};

/// A protocol whose connections become TLS in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recipe {
    /// Message submission and transfer.
    Smtp,
    /// Local mail transfer.
    Lmtp,
    /// File transfer, the control connection.
    Ftp,
    /// Mailboxes.
    Imap,
    /// Mailboxes, older.
    Pop3,
    /// ManageSieve: mail filters.
    Sieve,
    /// News.
    Nntp,
    /// Instant messages, from a client.
    Xmpp,
    /// Instant messages, from another server.
    XmppServer,
    /// Directories.
    Ldap,
    /// PostgreSQL databases.
    Postgres,
    /// MySQL and MariaDB databases.
    Mysql,
}

/// What there is to know of a recipe beside the talk.
struct Facts {
    name: &'static str,
    /// Schemes of URLs with the usual port, for the upgrade, then for TLS from the first byte.
    upgrade: (&'static str, u16),
    implicit: Option<(&'static str, u16)>,
    /// Whether the server speaks first.
    greets: bool,
    /// What IANA has for it ("TLS Application-Layer Protocol Negotiation (ALPN) Protocol IDs").
    alpn: Option<&'static str>,
}

impl Recipe {
    /// All there are.
    pub const ALL: [Self; 12] = [
        Self::Smtp,
        Self::Lmtp,
        Self::Ftp,
        Self::Imap,
        Self::Pop3,
        Self::Sieve,
        Self::Nntp,
        Self::Xmpp,
        Self::XmppServer,
        Self::Ldap,
        Self::Postgres,
        Self::Mysql,
    ];

    /// In one lower-case word.
    pub fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// The recipe of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|recipe| recipe.as_str().eq_ignore_ascii_case(name))
    }

    /// The usual port where connections begin in clear text.
    pub fn port(self) -> u16 {
        self.facts().upgrade.1
    }

    /// The usual port of TLS from the first byte, if the protocol has one.
    pub fn implicit_port(self) -> Option<u16> {
        self.facts().implicit.map(|(_, port)| port)
    }

    /// The application protocol that IANA has registered for it (RFC 7301), if any. An upgrade offers it. So should TLS from
    /// the first byte, where that is the protocol's own rule: `postgresql` (`sslnegotiation=direct`), `xmpp-client` and
    /// `xmpp-server` (XEP-0368).
    pub fn alpn(self) -> Option<&'static str> {
        self.facts().alpn
    }

    fn facts(self) -> Facts {
        let facts = |name, upgrade, implicit, greets, alpn| Facts { name, upgrade, implicit, greets, alpn };
        match self {
            Self::Smtp => facts("smtp", ("smtp", 587), Some(("smtps", 465)), true, None),
            Self::Lmtp => facts("lmtp", ("lmtp", 24), None, true, None),
            Self::Ftp => facts("ftp", ("ftp", 21), Some(("ftps", 990)), true, Some("ftp")),
            Self::Imap => facts("imap", ("imap", 143), Some(("imaps", 993)), true, Some("imap")),
            Self::Pop3 => facts("pop3", ("pop3", 110), Some(("pop3s", 995)), true, Some("pop3")),
            Self::Sieve => facts("sieve", ("sieve", 4190), None, true, Some("managesieve")),
            Self::Nntp => facts("nntp", ("nntp", 119), Some(("nntps", 563)), true, Some("nntp")),
            Self::Xmpp => facts("xmpp", ("xmpp", 5222), Some(("xmpps", 5223)), false, Some("xmpp-client")),
            Self::XmppServer => {
                facts("xmpp-server", ("xmpp-server", 5269), Some(("xmpps-server", 5270)), false, Some("xmpp-server"))
            }
            Self::Ldap => facts("ldap", ("ldap", 389), Some(("ldaps", 636)), false, None),
            Self::Postgres => {
                facts("postgres", ("postgres", 5432), Some(("postgres-direct", 5432)), false, Some("postgresql"))
            }
            Self::Mysql => facts("mysql", ("mysql", 3306), None, true, None),
        }
    }

    /// The scheme of its URLs.
    pub(crate) fn scheme(self, security: Security) -> &'static str {
        let facts = self.facts();
        match (security, facts.implicit) {
            (Security::Implicit, Some((scheme, _))) => scheme,
            _ => facts.upgrade.0,
        }
    }

    /// What a URL's scheme, in lower case, means: with which port.
    pub(crate) fn of_scheme(scheme: &str) -> Option<(Self, Security, u16)> {
        let scheme = if scheme == "postgresql" { "postgres" } else { scheme };
        Self::ALL.into_iter().find_map(|recipe| {
            let facts = recipe.facts();
            match facts.implicit {
                Some((name, port)) if name == scheme => Some((recipe, Security::Implicit, port)),
                _ if facts.upgrade.0 == scheme => Some((recipe, Security::Upgrade, facts.upgrade.1)),
                _ => None,
            }
        })
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Talks in clear text until the server agrees to TLS. Gives the connection back, and what the server said first.
/// Everything is to be done when `ends` says so.
pub(crate) async fn ask<S: Stream>(
    recipe: Recipe,
    mut plain: Plain<S>,
    to: &Endpoint,
    options: &Options,
    ends: Option<Instant>,
) -> Result<(Plain<S>, Vec<u8>)> {
    let dialogue = |dialect, plain| {
        let mut context = Context::new(dialect, to, options);
        context.ends = ends;
        Dialogue::over(plain, context)
    };
    let mut clear = Clear::new(&mut plain, options, ends);
    let host = options.server_name.as_deref().unwrap_or(&to.host);
    let asked = match recipe {
        // There are clients for these: theirs is the way to ask.
        Recipe::Smtp | Recipe::Lmtp => return as_mail_client(recipe, dialogue(Dialect::Smtp, plain)).await,
        Recipe::Ftp => return as_file_client(dialogue(Dialect::Ftp, plain)).await,
        Recipe::Imap => lines::imap(&mut clear).await,
        Recipe::Pop3 => lines::pop3(&mut clear).await,
        Recipe::Sieve => lines::sieve(&mut clear).await,
        Recipe::Nntp => lines::nntp(&mut clear).await,
        Recipe::Xmpp => xmpp::ask(&mut clear, host, "jabber:client").await,
        Recipe::XmppServer => xmpp::ask(&mut clear, host, "jabber:server").await,
        Recipe::Ldap => ldap::ask(&mut clear).await,
        Recipe::Postgres => postgres::ask(&mut clear).await,
        Recipe::Mysql => mysql::ask(&mut clear).await,
    };
    let unheard = clear.has_heard_nothing();
    let alert = clear.looks_like_tls();
    let said = asked.map_err(|error| {
        let silent = unheard && matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::ClosedByPeer);
        let advice =
            recipe.facts().implicit.filter(|_| alert || silent).filter(|(_, port)| *port != recipe.port()).map(
                |(scheme, port)| {
                    let there = Endpoint { host: to.host.clone(), port };
                    let when = if alert { "this port speaks TLS at once" } else { "if this port expects TLS at once" };
                    format!("{when}: use implicit TLS, as {scheme}://{there} does")
                },
            );
        let phase = if unheard && recipe.facts().greets { Phase::Greeting } else { Phase::Upgrade };
        advice.into_iter().fold(error.during(phase), Error::advise)
    })?;
    Ok((plain, said))
}

async fn as_mail_client<S: Stream>(recipe: Recipe, mut dialogue: Dialogue<Plain<S>>) -> Result<(Plain<S>, Vec<u8>)> {
    let settings = smtp::Settings { lmtp: recipe == Recipe::Lmtp, ..smtp::Settings::default() };
    let (greeting, _) = smtp::ask_for_tls(&mut dialogue, &settings).await?;
    Ok((dialogue.into_channel(), words(&greeting)))
}

async fn as_file_client<S: Stream>(mut dialogue: Dialogue<Plain<S>>) -> Result<(Plain<S>, Vec<u8>)> {
    let greeting = ftp::ask_for_tls(&mut dialogue, ftp::Auth::Tls).await?;
    Ok((dialogue.into_channel(), words(&greeting)))
}

/// What a server said first, without the mechanics of its lines.
fn words(greeting: &Reply) -> Vec<u8> {
    format!("{} {}", greeting.code(), greeting.text()).into_bytes()
}
