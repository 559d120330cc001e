//! After the login: what the server says of itself, and how long it takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Doctor, State, Topic, reach, words};
use crate::error::{Error, ErrorKind, Result};
use crate::ftp::client::Client;
use crate::ftp::credentials::Credentials;
use crate::ftp::passive;
use crate::ftp::settings::Settings;
use crate::ftp::{DataProtection, commands};
use crate::line::Line;
use crate::options::Options;
use crate::reply::Reply;
use crate::trace::{Event, Trace};
use crate::transport::Transport;

/// Signs of life to measure a round trip by.
const NOOPS: usize = 3;

/// A server that hangs up after less silence than this interrupts people.
const IMPATIENT: Duration = Duration::from_secs(120);

impl<T: Transport + Clone> Doctor<'_, T> {
    /// Everything that takes a login.
    pub(super) async fn in_session(&mut self, credentials: &Credentials) {
        // Each part in the session of the one before, unless that was the end of it.
        let Some(mut client) = self.log_in(credentials).await else { return };
        self.speak_of_offers(&mut client).await;
        let Some(mut client) = self.go_on(client, credentials).await else { return };
        self.idle_time(&mut client).await;
        let Some(mut client) = self.go_on(client, credentials).await else { return };
        self.passive_mode(&mut client).await;
        let Some(mut client) = self.go_on(client, credentials).await else { return };
        let transferable = self.data(&mut client, credentials).await;
        let Some(mut client) = self.go_on(client, credentials).await else { return };
        if transferable && self.examination.write_test {
            self.write(&mut client, credentials).await;
        }
        client.quit().await;
    }

    /// A session, logged in and in the directory.
    pub(super) async fn begin(&self, credentials: &Credentials) -> Result<Client<T>> {
        let mut client = self.open(&self.options).await?;
        client.login(credentials).await?;
        self.enter(&mut client).await?;
        Ok(client)
    }

    async fn enter(&self, client: &mut Client<T>) -> Result<()> {
        if self.examination.directory.is_empty() {
            return Ok(());
        }
        client.cwd(&self.examination.directory).await.map(drop)
    }

    /// The same session, or another one if that was its end.
    async fn go_on(&mut self, client: Client<T>, credentials: &Credentials) -> Option<Client<T>> {
        if !client.is_lost() {
            return Some(client);
        }
        match self.begin(credentials).await {
            Ok(client) => Some(client),
            Err(error) => {
                self.diagnosis.error = Some(error);
                None
            }
        }
    }

    async fn log_in(&mut self, credentials: &Credentials) -> Option<Client<T>> {
        let steps = Steps::default();
        let options = Options { trace: steps.beside(self.options.trace.clone()), ..self.options.clone() };
        let begun = Instant::now();
        let client = async {
            // As sessions are opened that are for work; later, each command is looked at alone.
            let settings = Settings { pipelining: self.pipelining, ..self.settings.clone() };
            let transport = self.transport.clone();
            let mut client = Client::connect_with(transport, self.endpoint, options, &settings).await?;
            client.login(credentials).await?;
            client.settings().pipelining = false;
            Ok::<_, Error>(client)
        };
        let mut client = match client.await {
            Ok(client) => client,
            Err(error) => {
                self.failed(Topic::Login, &error);
                self.diagnosis.error = Some(error);
                return None;
            }
        };
        let ready = begun.elapsed();
        let protection = match (client.tls().is_some(), self.settings.data_protection) {
            (true, DataProtection::Private) => "data connections are protected (PROT P)",
            (true, DataProtection::Clear) => "data connections are in clear text, by choice (PROT C)",
            (false, _) => "everything is in clear text, by choice",
        };
        let seen = format!("logged in as {}; {protection}", credentials.user());
        let state = if protection.contains("clear") { State::Notice } else { State::Good };
        self.find(Topic::Login, state, seen);
        self.speed(&mut client, ready, steps.round_trips()).await;
        if let Err(error) = self.enter(&mut client).await {
            self.diagnosis.error = Some(error);
            return None;
        }
        Some(client)
    }

    async fn speed(&mut self, client: &mut Client<T>, ready: Duration, round_trips: usize) {
        let mut fastest: Option<Duration> = None;
        for _ in 0..NOOPS {
            let begun = Instant::now();
            if client.noop().await.is_err() {
                break;
            }
            let taken = begun.elapsed();
            fastest = Some(fastest.map_or(taken, |least| least.min(taken)));
        }
        let one =
            fastest.map_or_else(String::new, |one| format!("; a round trip takes {:.1} ms", one.as_secs_f64() * 1e3));
        let seen = format!("ready for transfers after {} and {round_trips} round trips{one}", words::time(ready));
        if ready > reach::SLOW {
            self.find(Topic::Speed, State::Notice, seen)
                .because("such waits are most often a look-up of the client's name, or of its user (ident), that is not answered")
                .advise("the server's administrator should turn these look-ups off");
        } else {
            self.find(Topic::Speed, State::Good, seen);
        }
    }

    /// After which silence it hangs up, as far as it says so: in its greeting, or in its status.
    async fn idle_time(&mut self, client: &mut Client<T>) {
        let mut replies = vec![client.greeting().clone()];
        for question in [Line::new("STAT"), Line::new("SITE IDLE")] {
            if replies.iter().any(|reply| told(reply).is_some()) {
                break;
            }
            replies.extend(ask(client, &question).await.ok().filter(|reply| reply.code().is_completion()));
        }
        let Some((line, idle)) = replies.iter().find_map(told) else {
            self.find(Topic::IdleTime, State::Good, "the server does not tell after which silence it hangs up");
            return;
        };
        let seen = format!("the server says \"{}\": it hangs up after {} of silence", line.trim(), words::time(idle));
        if idle < IMPATIENT {
            self.find(Topic::IdleTime, State::Notice, seen)
                .advise("the server's administrator may allow more; a program that pauses should say NOOP meanwhile");
        } else {
            self.find(Topic::IdleTime, State::Good, seen);
        }
    }

    /// What it says of where data connections go, without one being opened.
    async fn passive_mode(&mut self, client: &mut Client<T>) {
        let peer = client.session.dialogue.peer_addr().map(|peer| peer.ip().to_canonical());
        let epsv = ask(client, &commands::epsv()).await;
        let extended = match &epsv {
            Ok(reply) if reply.code().is_completion() => passive::epsv_port(reply).map(Some),
            Ok(_) => Ok(None),
            Err(_) if client.is_lost() => {
                let error = epsv.err().unwrap_or_else(|| Error::violation("no answer to EPSV"));
                self.failed(Topic::PassiveMode, &error);
                return;
            }
            Err(_) => Ok(None),
        };
        let ipv6 = peer.is_some_and(|peer| peer.is_ipv6());
        let pasv = if ipv6 { None } else { ask(client, &commands::pasv()).await.ok() };
        let address = pasv.as_ref().filter(|reply| reply.code().is_completion()).map(passive::pasv_address);
        let refusal = || epsv.as_ref().map_or_else(words::of, words::said);
        let mut notes = Vec::new();
        let mut state = State::Good;
        let mut cause = None;
        let mut remedy = None;
        match extended {
            Ok(Some(port)) => notes.push(format!("EPSV works (port {port})")),
            Ok(None) => {
                state = State::Notice;
                notes.push(format!("EPSV is refused: {}", refusal()));
                cause = Some(
                    "it is switched off, or the server, or a firewall that reads along, is from before 1998".into(),
                );
            }
            Err(error) => {
                state = State::Problem;
                notes.push(format!("EPSV is answered with nonsense: {}", words::of(&error)));
            }
        }
        match (address, peer) {
            (Some(Some((host, port))), Some(peer)) if peer == host => {
                notes.push(format!("PASV tells {host}, port {port}"))
            }
            (Some(Some((host, port))), peer) => {
                let there = peer.map_or_else(|| "behind a proxy".to_owned(), |peer| format!("at {peer}"));
                notes.push(format!("PASV tells {host}, port {port}, and the server is {there}"));
                if let Some(peer) = peer {
                    state = state.max(State::Notice);
                    cause = Some(if host.is_private() || host.is_unspecified() || host.is_loopback() {
                        format!(
                            "the server is behind a translation of addresses (NAT), and tells its inner address {host}"
                        )
                    } else {
                        format!("the server tells an address that is not its own: {host} instead of {peer}")
                    });
                    remedy = Some(format!(
                        "none is needed here: only the port counts, and connections go to {peer}; for other clients, the \
                         server's administrator should announce the outer address"
                    ));
                }
            }
            (Some(None), _) => {
                state = state.max(State::Notice);
                notes.push("PASV is answered with nonsense".into());
            }
            // PASV has no way to tell an IPv6 address.
            (None, _) if ipv6 => {}
            (None, _) => {
                let said = pasv.as_ref().map_or_else(String::new, |reply| format!(": {}", words::said(reply)));
                notes.push(format!("PASV is refused{said}"));
                if !matches!(extended_works(&epsv), Some(true)) {
                    state = State::Problem;
                    cause = Some("the server opens no ports for data".into());
                    remedy = Some("the server's administrator must allow passive mode".into());
                }
            }
        }
        let finding = self.find(Topic::PassiveMode, state, notes.join("; "));
        finding.cause = cause.as_deref().map(words::shown);
        finding.remedy = remedy.as_deref().map(words::shown);
    }
}

fn extended_works(epsv: &Result<Reply>) -> Option<bool> {
    epsv.as_ref().ok().map(|reply| reply.code().is_completion())
}

/// The line of a reply that tells the idle time.
fn told(reply: &Reply) -> Option<(String, Duration)> {
    reply.lines().find_map(|line| words::idle_time(&line).map(|idle| (line.into_owned(), idle)))
}

/// A command, and its answer whatever it is, as it may be shown.
pub(super) async fn ask<T: Transport>(client: &mut Client<T>, line: &Line) -> Result<Reply> {
    client.idle().await?;
    let reply = client.session.dialogue.exchange(line).await?;
    if reply.code().is_preliminary() {
        client.session.dialogue.end("the server began a transfer where none was asked for");
        return Err(Error::new(ErrorKind::ProtocolViolation("this command has no preliminary reply".into())));
    }
    Ok(client.session.dialogue.context.scrub_reply(reply))
}

/// Counts round trips by the events of a session.
#[derive(Clone, Default)]
struct Steps(Arc<(AtomicUsize, Mutex<bool>)>);

impl Steps {
    /// Counts beside what listens already.
    fn beside(&self, trace: Trace) -> Trace {
        let it = self.clone();
        Trace::new(move |event| {
            it.count(event);
            trace.emit(|| event.clone());
        })
    }

    fn count(&self, event: &Event) {
        let (trips, speaking) = &*self.0;
        let mut speaking = speaking.lock().unwrap_or_else(PoisonError::into_inner);
        let more = match event {
            Event::Connected { .. } => 1,
            Event::Secured { tls, .. } => {
                if tls.version == "TLSv1.2" {
                    2
                } else {
                    1
                }
            }
            Event::Received(_) => usize::from(std::mem::take(&mut *speaking)),
            Event::Sent(_) => {
                *speaking = true;
                0
            }
            _ => 0,
        };
        trips.fetch_add(more, Ordering::Relaxed);
    }

    fn round_trips(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }
}
