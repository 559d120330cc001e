//! How a session speaks and what it insists on.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::active::Active;
use super::binding::SessionBinding;
use super::encoding::Encoding;
use super::memory::ServerMemory;
use super::session::{Auth, DataProtection};
use crate::error::{Error, Result};

/// How a session speaks and what it insists on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What TLS is asked for by, where a connection begins in clear text.
    pub auth: Auth,
    /// Which of the server's virtual hosts is meant (HOST, RFC 7151): a name in ASCII or an address, in brackets if it is
    /// one of IPv6. It is said under TLS and before the login; a server that refuses it gets no credentials.
    pub virtual_host: Option<String>,
    /// Who we say we are, to servers that want to know (CLNT).
    pub client_name: Option<String>,
    /// The language of replies (RFC 2640 §4), as a tag of BCP 47: `en`, `pt-BR`. A wish: servers without it go on in
    /// theirs.
    pub language: Option<String>,
    /// Whether data connections go under TLS.
    pub data_protection: DataProtection,
    /// Whether an upload is followed by SIZE, where the server offers it, and compared.
    pub verify_uploads: bool,
    /// Whether a download may end without close_notify: its receipt is `unproven` then. An error by default, since
    /// anybody in between can cut a connection short.
    pub accept_missing_close_notify: bool,
    /// Whether commands share flights: those behind a login, and a transfer's with those that prepare it and the next.
    /// Where nothing comes of the first, the session begins again, and the server is asked one thing at a time.
    pub pipelining: bool,
    /// How often a sign of life (NOOP) is given on the control connection during a transfer, for what is in between and
    /// forgets silent connections; `None`: TCP's own (keepalive) must do.
    pub keep_alive: Option<Duration>,
    /// How names are shown, and paths given as text are written. UTF-8 if nothing else is chosen.
    pub encoding: Encoding,
    /// Options in front of the path of LIST, such as `-a`, which many servers hand on to their `ls`; directories are then
    /// listed with LIST, even where MLSD is offered. A server that does not know them lists something else, or nothing.
    pub list_options: Option<String>,
    /// Whether all facts are asked for that the server has (OPTS MLST), not only those that it tells by itself.
    pub all_facts: bool,
    /// How to listen, for active mode: the server opens the data connections then. `None` is passive mode, which passes
    /// firewalls and NAT, and needs a transport that connects and nothing more.
    pub active: Option<Active>,
    /// Which host passive data connections go to.
    pub passive_host: PassiveHost,
    /// Whether data connections resume the control connection's TLS session.
    pub session_binding: SessionBinding,
    /// Whether data connections are compressed (MODE Z) where the server offers it. Off by default: fast networks gain
    /// nothing, and how well a file compresses shows in the length of what is sent, also through TLS.
    pub compression: bool,
    /// The most sessions with the server at a time, all those counted that share the memory: a mirror, or a download in
    /// segments, opens no further ones then and does with those it has. A session that is opened by [`Client::connect`] is
    /// opened in any case. `None`: as many as are asked for, until the server says that these are too many; then it is
    /// believed for five minutes.
    ///
    /// [`Client::connect`]: super::Client::connect
    pub max_connections: Option<NonZeroUsize>,
    /// What is known of servers, and what is learnt of this one.
    pub memory: ServerMemory,
}

impl Default for Settings {
    /// Everything protected and compared, in flights, and the memory of the process.
    fn default() -> Self {
        Self {
            auth: Auth::default(),
            virtual_host: None,
            client_name: None,
            language: None,
            data_protection: DataProtection::default(),
            verify_uploads: true,
            accept_missing_close_notify: false,
            pipelining: true,
            keep_alive: None,
            encoding: Encoding::default(),
            list_options: None,
            all_facts: false,
            active: None,
            passive_host: PassiveHost::default(),
            session_binding: SessionBinding::default(),
            compression: false,
            max_connections: None,
            memory: ServerMemory::default(),
        }
    }
}

/// Which host passive data connections go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PassiveHost {
    /// The control connection's peer, and nobody else: only the port of the server's answer is used.
    #[default]
    ControlPeer,
    /// The host that the server announces (PASV): **a server can make this client connect to any machine that the client
    /// can reach**. For the rare server whose data connections are at another address than its control connections. Under
    /// TLS that host, too, must show the server's certificate. Ports below 1024, which are other services', are an error, and
    /// an address that means the server itself (0.0.0.0, or loopback from elsewhere) is the control connection's peer. Over
    /// IPv6 nothing is announced: the control connection's peer is meant there.
    DangerAnnounced,
}

impl Settings {
    /// Whether all of this can be said.
    pub(super) fn check(&self) -> Result<()> {
        let fits = |text: &Option<String>, allowed: fn(u8) -> bool| {
            text.as_ref().is_none_or(|text| !text.is_empty() && text.bytes().all(allowed))
        };
        let name: fn(u8) -> bool = |b| b.is_ascii_alphanumeric() || b"-._:[]%".contains(&b);
        let shown: fn(u8) -> bool = |b| (0x20..0x7F).contains(&b);
        for (fits, what) in [
            (fits(&self.virtual_host, name), "the virtual host is a name in ASCII or an address"),
            (fits(&self.client_name, shown), "the client's name is a word or more in ASCII"),
            (fits(&self.language, |b| b.is_ascii_alphanumeric() || b == b'-'), "a language is a tag such as pt-BR"),
        ] {
            if !fits {
                return Err(Error::invalid_argument(what));
            }
        }
        Ok(())
    }
}
