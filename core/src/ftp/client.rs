//! A file transfer session: everything but the transfers themselves, which are in `transfer`.

use std::num::NonZeroUsize;

use super::commands;
use super::credentials::Credentials;
use super::entries::Reading;
use super::features::Features;
use super::memory::Facts;
use super::place::Place;
use super::renewal::Told;
use super::seat::Seat;
use super::session::{self, Session};
use super::settings::Settings;
use super::transfer::Transfer;
use super::verdict::Beside;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::line::Line;
use crate::options::Options;
use crate::reply::Reply;
use crate::tls::TlsInfo;
use crate::transport::{Endpoint, Transport};

/// A file transfer session over any transport.
///
/// Paths are bytes, so that every name a listing shows can be used again; a `&str` is its UTF-8.
pub struct Client<T: Transport> {
    pub(super) transport: T,
    pub(super) endpoint: Endpoint,
    pub(super) session: Session<T::Stream>,
    pub(super) transfer: Option<Transfer<T::Stream>>,
    pub(super) settings: Settings,
    /// What is known of the server.
    pub(super) known: Facts,
    /// A data connection was cut without close_notify: TLS stacks make its session unusable then, and it is the one that
    /// later data connections would resume.
    pub(super) cut: bool,
    /// A data connection came about: the next one's command may go out before it does.
    pub(super) reachable: bool,
    /// What is owed during a transfer beside the reply about it.
    pub(super) beside: Beside,
    /// Where the server waits for the next data connection: EPSV was sent ahead.
    pub(super) next_port: Option<u16>,
    /// The listing under way, if there is one, and what is known of it.
    pub(super) reading: Reading,
    pub(super) options: Options,
    pub(super) credentials: Option<Credentials>,
    seat: Seat,
    /// Where the session is.
    pub(super) place: Place,
    /// What it was told beside its login.
    pub(super) told: Told,
    /// The session cannot be used, because of what was given up or not waited for: it is to be replaced.
    pub(super) forsaken: bool,
    /// The transfer under way is to be given up before anything else is done.
    pub(super) abandoned: bool,
    /// Of what was said since the operation began, nothing has an answer that the fence could be taken for, and nothing
    /// changes how the session speaks.
    pub(super) fenceable: bool,
}

/// What a further session like one that is open is made from.
pub(super) struct Blueprint<T> {
    transport: T,
    endpoint: Endpoint,
    options: Options,
    settings: Settings,
    credentials: Option<Credentials>,
    told: Told,
    directory: Vec<u8>,
}

impl<T: Transport + Clone> Blueprint<T> {
    /// A further session, logged in, in its directory, if there is room for it.
    pub(super) async fn open(&self) -> Result<Client<T>> {
        let Self { transport, endpoint, options, settings, credentials, told, directory } = self;
        let most = settings.max_connections.map_or(usize::MAX, NonZeroUsize::get);
        let seat = Seat::take_if_free(&settings.memory, endpoint, most)?;
        let mut client = Client::open_on(seat, transport.clone(), endpoint, options.clone(), settings).await?;
        if let Some(credentials) = credentials {
            client.login(credentials).await?;
            client.told = told.clone();
            client.tell_again().await?;
            client.enter(directory.clone()).await?;
        }
        Ok(client)
    }
}

impl<T: Transport> Client<T> {
    /// Opens a session: connects, reads the greeting, upgrades as [`Options::security`] says.
    ///
    /// # Errors
    /// The network's; [`Rejected`](ErrorKind::Rejected) by the greeting; everything that can go wrong with the upgrade,
    /// in which case no credential was sent.
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
        let seat = Seat::take(&settings.memory, endpoint);
        Self::open_on(seat, transport, endpoint, options, settings).await
    }

    async fn open_on(
        seat: Seat,
        transport: T,
        endpoint: &Endpoint,
        options: Options,
        settings: &Settings,
    ) -> Result<Self> {
        let session = session::open(&transport, endpoint, &options, settings.auth).await;
        let session = session.inspect_err(|error| seat.refused(error))?;
        Ok(Self {
            transport,
            endpoint: endpoint.clone(),
            session,
            transfer: None,
            settings: settings.clone(),
            known: settings.memory.of(endpoint),
            cut: false,
            reachable: false,
            beside: Beside::default(),
            next_port: None,
            reading: Reading::default(),
            options,
            credentials: None,
            seat,
            place: Place::login(),
            told: Told::default(),
            forsaken: false,
            abandoned: false,
            fenceable: false,
        })
    }

    /// A further session like this one: with the same server, settings, credentials, account and language, in the same
    /// directory.
    ///
    /// # Errors
    /// As [`Client::connect`] and [`Client::login`]; [`LimitExceeded`](ErrorKind::LimitExceeded) if there is no room for it
    /// ([`Settings::max_connections`]).
    pub async fn another(&mut self) -> Result<Self>
    where
        T: Clone,
    {
        let directory = if self.credentials.is_some() { self.pwd().await? } else { Vec::new() };
        self.blueprint(directory).open().await
    }

    /// What further sessions are made from, in a directory that is known.
    pub(super) fn blueprint(&self, directory: Vec<u8>) -> Blueprint<T>
    where
        T: Clone,
    {
        Blueprint {
            transport: self.transport.clone(),
            endpoint: self.endpoint.clone(),
            options: self.options.clone(),
            settings: self.settings.clone(),
            credentials: self.credentials.clone(),
            told: self.told.clone(),
            directory,
        }
    }

    /// How it was opened.
    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Who is logged in.
    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// What it goes over.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// How this session speaks. What login was told by them, changes with the next one.
    pub fn settings(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Logs in, asks for features, sets UTF-8 names, protected data connections and image type: three round trips with a
    /// password. What the settings name beside that is said, too.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not accept the credentials or refuses to protect data;
    /// [`InvalidState`](ErrorKind::InvalidState) in clear text, unless the user is `anonymous`.
    pub async fn login(&mut self, credentials: &Credentials) -> Result<()> {
        self.idle().await?;
        // Whoever does not wait for the answer is nobody.
        self.credentials = None;
        self.place = Place::login();
        self.told.log_in_anew(&self.settings);
        self.log_in(credentials).await.inspect_err(|error| self.seat.refused(error))?;
        self.credentials = Some(credentials.clone());
        Ok(())
    }

    /// If the server throws commands away that come together, once more, one by one.
    pub(super) async fn log_in(&mut self, credentials: &Credentials) -> Result<()> {
        let together = self.settings.pipelining && !self.known.pipelining_broke;
        let outcome = self.session.login(credentials, &self.settings, together).await;
        if outcome.is_ok() || !self.session.choked {
            return outcome;
        }
        let ends = self.session.dialogue.context.ends;
        // A server that is gone was not choked: then what happened first is what there is to tell.
        let Ok(session) = self.open().await else { return outcome };
        self.session = session;
        self.session.dialogue.context.ends = ends;
        self.session.login(credentials, &self.settings, false).await?;
        self.tell_again().await?;
        self.learn(|known| known.pipelining_broke = true);
        Ok(())
    }

    /// What the server offers: known after [`Client::login`] or [`Client::ask_features`].
    pub fn features(&self) -> &Features {
        &self.session.features
    }

    /// Asks for the features (FEAT), as a probe does before a login.
    ///
    /// # Errors
    /// The connection's.
    pub async fn ask_features(&mut self) -> Result<&Features> {
        self.idle().await?;
        self.session.ask_features().await?;
        Ok(&self.session.features)
    }

    /// The server's greeting.
    pub fn greeting(&self) -> &Reply {
        &self.session.greeting
    }

    /// What TLS agreed on the control connection; `None` in clear text.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.session.dialogue.tls().map(AsRef::as_ref)
    }

    /// Whether the session can be used no more: it was closed, or it failed. One that was cancelled in the middle of
    /// something can be: see [`Client::abandon`].
    pub fn is_closed(&self) -> bool {
        self.session.dialogue.has_ended() && !self.forsaken && self.transfer.is_none()
    }

    /// Whether nothing can be said on the control connection as it is.
    pub(super) fn is_lost(&self) -> bool {
        (self.session.dialogue.is_ended() || self.forsaken) && self.transfer.is_none()
    }

    /// Whether the server said no, and that is all: the session goes on.
    pub(super) fn is_only_refused(&self, error: &Error) -> bool {
        matches!(error.kind(), ErrorKind::Rejected) && !self.is_lost()
    }

    /// Deletes a file (DELE).
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not.
    pub async fn remove(&mut self, path: impl AsRef<[u8]>) -> Result<Reply> {
        self.command(&commands::dele(path.as_ref())?).await
    }

    /// Renames or moves a file or directory (RNFR, RNTO).
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not.
    pub async fn rename(&mut self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<Reply> {
        // Both are looked at before the first is sent.
        let (from, to) = (commands::rnfr(from.as_ref())?, commands::rnto(to.as_ref())?);
        self.idle().await?;
        let reply = self.session.dialogue.exchange(&from).await.map_err(|error| error.during(Phase::Command))?;
        if !reply.code().is_intermediate() {
            return Err(self.session.refused(reply, Phase::Command));
        }
        self.session.expect(&to).await
    }

    /// Makes a directory (MKD).
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not.
    pub async fn mkdir(&mut self, path: impl AsRef<[u8]>) -> Result<Reply> {
        self.command(&commands::mkd(path.as_ref())?).await
    }

    /// Removes an empty directory (RMD).
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not.
    pub async fn rmdir(&mut self, path: impl AsRef<[u8]>) -> Result<Reply> {
        self.command(&commands::rmd(path.as_ref())?).await
    }

    /// Makes `path` the current directory (CWD).
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not.
    pub async fn cwd(&mut self, path: impl AsRef<[u8]>) -> Result<Reply> {
        let path = path.as_ref();
        let line = if path == b".." { commands::cdup() } else { commands::cwd(path)? };
        self.idle().await?;
        // Until it is answered, nobody knows where we are; but the fence will tell.
        let before = std::mem::replace(&mut self.place, Place::Unknown);
        self.fenceable = true;
        let outcome = self.session.expect(&line).await;
        match &outcome {
            Ok(_) => self.place = before.then(path),
            Err(error) if matches!(error.kind(), ErrorKind::Rejected) => self.place = before,
            Err(_) => {}
        }
        if outcome.is_ok() && self.place.is_roundabout() {
            // Some servers do not tell.
            match self.pwd().await {
                Err(error) if !matches!(error.kind(), ErrorKind::Rejected) => return Err(error),
                _ => {}
            }
        }
        outcome
    }

    /// The current directory (PWD).
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected), or a violation if the reply quotes no path.
    pub async fn pwd(&mut self) -> Result<Vec<u8>> {
        let reply = self.command(&commands::pwd()).await?;
        let Some(path) = reply.raw_lines().next().and_then(quoted) else {
            return Err(self.explain(Error::violation("the answer to PWD quotes no path").with_reply(reply)));
        };
        self.place = Place::told(path.clone());
        Ok(path)
    }

    /// Asks for a sign of life (NOOP).
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected), or the connection's.
    pub async fn noop(&mut self) -> Result<Reply> {
        self.command(&commands::noop()).await
    }

    /// Says good-bye and closes. Whether the server answers or just closes is the same to us, so this cannot fail.
    pub async fn quit(mut self) {
        self.transfer = None;
        self.say_goodbye().await;
    }

    pub(super) async fn say_goodbye(&mut self) {
        let dialogue = &mut self.session.dialogue;
        if dialogue.ready().is_ok() {
            let _ = dialogue.exchange(&commands::quit()).await;
        }
        dialogue.close().await;
    }

    pub(super) async fn command(&mut self, line: &Line) -> Result<Reply> {
        self.idle().await?;
        self.session.expect(line).await
    }

    /// Remembers something of the server, for this session and the next.
    pub(super) fn learn(&mut self, fact: impl Fn(&mut Facts)) {
        fact(&mut self.known);
        self.settings.memory.learn(&self.endpoint, fact);
    }

    pub(super) async fn open(&mut self) -> Result<Session<T::Stream>> {
        session::open(&self.transport, &self.endpoint, &self.options, self.settings.auth).await
    }

    /// Back to where [`Client::connect`] left it: nobody is logged in, and nothing is set.
    ///
    /// Under TLS it is a new connection: REIN would make the old one clear text (RFC 4217 §11). In clear text it is REIN,
    /// where the server knows it.
    ///
    /// # Errors
    /// Those of [`Client::connect`].
    pub async fn reinitialize(&mut self) -> Result<()> {
        self.idle().await?;
        self.credentials = None;
        self.place = Place::login();
        self.told = Told::default();
        (self.cut, self.reachable, self.next_port) = (false, false, None);
        if self.session.tls.is_none() && self.session.restart().await? {
            return Ok(());
        }
        self.say_goodbye().await;
        self.session = self.open().await?;
        Ok(())
    }

    /// No transfer is under way: an operation can begin. What earlier ones left undone is put in order first.
    pub(super) async fn idle(&mut self) -> Result<()> {
        if self.transfer.is_some() && !self.abandoned {
            let why = if self.reading.is_open() {
                "a listing is under way on this session: read it to its end, or abort it first"
            } else {
                "a transfer is under way on this session: finish or abort it first"
            };
            return Err(self.explain(Error::invalid_state(why)));
        }
        self.reading.close();
        self.session.dialogue.context.begin_operation();
        self.put_in_order().await?;
        self.fenceable = false;
        Ok(())
    }

    pub(super) fn explain(&self, error: Error) -> Error {
        self.session.dialogue.context.explain(error)
    }
}

impl<T: Transport> std::fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ftp::Client")
            .field("server", &self.endpoint)
            .field("closed", &self.is_closed())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The path of `"/a ""quoted"" name" is …` (RFC 959 appendix II).
pub(super) fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text.splitn(2, |&b| b == b'"').nth(1)?.iter().peekable();
    let mut path = Vec::new();
    while let Some(&byte) = rest.next() {
        match byte {
            b'"' if rest.peek() == Some(&&b'"') => {
                rest.next();
                path.push(b'"');
            }
            b'"' => return Some(path),
            byte => path.push(byte),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quoted_paths() {
        assert_eq!(quoted(b"\"/a\" is cwd").as_deref(), Some(&b"/a"[..]));
        assert_eq!(quoted(b"\"/a \"\"b\"\"\"").as_deref(), Some(&b"/a \"b\""[..]));
        assert_eq!(quoted(b"/a"), None);
        assert_eq!(quoted(b"\"/a"), None);
    }
}
