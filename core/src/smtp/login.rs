//! Logging in: AUTH (RFC 4954).

use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

use super::client::Client;
use super::sasl::{self, Challenge, Credentials, Exchange, LoginInfo, Mechanism, Message, Surroundings};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::line::Line;
use crate::reply::Reply;
use crate::tls::{ChannelBinding, VerifiedBy};
use crate::transport::Transport;

/// The longest line of a command with its CRLF (RFC 5321 §4.5.3.1.4): what is longer goes in an answer of its own.
const COMMAND: usize = 512;

/// The longest line of an answer with its CRLF (RFC 4954 §4).
const ANSWER: usize = 12_288;

/// The most mechanisms of a server that are remembered.
const MECHANISMS: usize = 32;

/// Why a session is over whose login went wrong otherwise than by a refusal.
const BROKEN: &str = "the server broke the protocol of the login";

impl<T: Transport> Client<T> {
    /// Logs in with the best mechanism that the server offers for these credentials.
    ///
    /// No other mechanism is tried after a refusal. A server that breaks the protocol of the login, or cannot prove what
    /// a mechanism asks it to prove, ends the session.
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected) if the server does not accept them; [`Error::detail`] is what the
    /// mechanism has to say about it. [`ProtocolViolation`](crate::ErrorKind::ProtocolViolation) if the server does not
    /// prove itself. [`NotOffered`](crate::ErrorKind::NotOffered) if nothing fitting is offered, and
    /// [`Downgraded`](crate::ErrorKind::Downgraded) if something stronger was, earlier.
    /// [`InvalidState`](crate::ErrorKind::InvalidState) in clear text, unless the credentials hold no secret, and after a
    /// login. [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for what cannot be said.
    /// [`Local`](crate::ErrorKind::Local) if no token could be had.
    pub async fn login(&mut self, credentials: &Credentials) -> Result<()> {
        self.dialogue.context.begin_operation();
        self.authenticate(credentials).await.map_err(|error| {
            let error = error.during(Phase::Authenticate);
            let advice = advice(&error);
            let error = self.dialogue.context.explain(error);
            if let Some(advice) = advice { error.advise(advice) } else { error }
        })
    }

    /// How the session was logged in; `None` before.
    pub fn login_info(&self) -> Option<LoginInfo> {
        self.login
    }

    async fn authenticate(&mut self, credentials: &Credentials) -> Result<()> {
        self.idle()?;
        if self.login.is_some() {
            return Err(Error::invalid_state("this session is logged in already: SMTP knows one login a session"));
        }
        // ANONYMOUS has nothing to hide, and EXTERNAL names whom the connection proves by itself.
        if credentials.is_secret() && !self.dialogue.is_secure() {
            let what = "a password or token is not sent in clear text";
            return Err(Error::invalid_state(what).advise("use smtp:// or smtps://"));
        }
        let offered: Vec<_> = self.extensions.parameters("AUTH").collect();
        let server_binds = offered.iter().any(|name| name.to_ascii_uppercase().ends_with("-PLUS"));
        let binding = self.dialogue.channel_binding();
        let server = self.dialogue.context.endpoint().clone();
        let seen = self.settings.memory.of(&server).mechanisms;
        let seen: Vec<_> = seen.iter().map(String::as_str).collect();
        let before = Mechanism::choose(credentials, &seen, binding.is_some()).ok();
        let mechanism = match (Mechanism::choose(credentials, &offered, binding.is_some()), before) {
            (Ok(now), Some(before)) if now.strength() < before.strength() => {
                return Err(weakened(before, &format!("{} at best", now.name())));
            }
            (Err(_), Some(before)) => return Err(weakened(before, "nothing that fits")),
            (now, _) => now?,
        };
        let news: Vec<_> = offered.iter().map(|name| name.to_ascii_uppercase()).collect();
        let bound = binding.as_ref().map(ChannelBinding::kind).filter(|_| mechanism.is_bound());
        // In clear text, and where any certificate is accepted, anybody on the way could put into the memory what later
        // sessions would miss.
        let verified = self.dialogue.tls().is_some_and(|tls| tls.verified_by != VerifiedBy::Nobody);
        self.settings.memory.learn(&server, |facts| {
            for name in news.into_iter().filter(|_| verified) {
                if facts.mechanisms.len() < MECHANISMS && !facts.mechanisms.contains(&name) {
                    facts.mechanisms.push(name);
                }
            }
        });
        let secret = credentials.secret()?;
        self.dialogue.context.keep_secret(secret.as_bytes());
        let surroundings = Surroundings { server: &server, binding, server_binds };
        let mut exchange = sasl::start(mechanism, credentials, &secret, surroundings)?;
        // The error's text is scrubbed when it is explained.
        self.dialogue.context.verbatim = true;
        let outcome = self.talk(mechanism, credentials, &mut *exchange).await;
        self.dialogue.context.verbatim = false;
        match outcome {
            Ok(()) => {
                self.login = Some(LoginInfo { mechanism, binding: bound });
                Ok(())
            }
            Err(error) => Err(error.with_detail(exchange.detail())),
        }
    }

    async fn talk(
        &mut self,
        mechanism: Mechanism,
        credentials: &Credentials,
        exchange: &mut dyn Exchange,
    ) -> Result<()> {
        let mut line = Line::new("AUTH ").literal(mechanism.name());
        let mut waiting = None;
        if let Some(initial) = exchange.initial() {
            let response = self.response(credentials, &initial)?;
            // `=` is how a response of no bytes is told from none (RFC 4954 §4).
            let text = if response.is_empty() { "=" } else { response.as_str() };
            if "AUTH  \r\n".len() + mechanism.name().len() + text.len() <= COMMAND {
                line = line.literal(" ").secret("the initial response", text)?;
            } else {
                waiting = Some(response);
            }
        }
        let mut reply = self.dialogue.exchange(&line).await?;
        while reply.code() == 334 {
            let response = match waiting.take() {
                Some(initial) => Ok(initial),
                None => challenge(&reply)
                    .and_then(|text| exchange.answer(Challenge(&text)))
                    .and_then(|message| self.response(credentials, &message)),
            };
            let response = match response {
                Ok(response) => response,
                Err(error) => {
                    // `*` cancels (RFC 4954 §4), and must be refused; what went wrong before is what is told.
                    let _ = self.dialogue.exchange(&Line::new("*")).await;
                    self.dialogue.end(BROKEN);
                    return Err(error.with_reply(reply));
                }
            };
            if let Some(proof) = exchange.servers_proof() {
                self.dialogue.context.keep_secret(proof);
            }
            reply = self.dialogue.exchange(&Line::new("").secret("the response", &*response)?).await?;
        }
        let why = match reply.code().number() {
            235 if waiting.is_none() && exchange.is_complete() => return Ok(()),
            400.. => return Err(Error::rejected(reply)),
            // It would skip a mechanism's proof of the server.
            235 => "the server calls the login done before it is",
            _ => "this is no answer to AUTH",
        };
        self.dialogue.end(BROKEN);
        Err(Error::violation(why).with_reply(reply))
    }

    /// A message as it is sent, not to be shown from now on.
    fn response(&mut self, credentials: &Credentials, message: &Message) -> Result<Zeroizing<String>> {
        // What has no secret in it may be said again by anybody: the user's name is in most addresses.
        if credentials.is_secret() && message.as_slice() != credentials.user().as_bytes() {
            self.dialogue.context.keep_secret(message);
        }
        let text = Zeroizing::new(BASE64_STANDARD.encode(message));
        if text.len() + "\r\n".len() > ANSWER {
            return Err(Error::limit(format!(
                "a response is longer than the {ANSWER} bytes that a login's lines have"
            )));
        }
        Ok(text)
    }
}

/// The text of a 334.
fn challenge(reply: &Reply) -> Result<String> {
    let mut lines = reply.lines();
    match (lines.next(), lines.next()) {
        (Some(line), None) => Ok(line.trim().to_owned()),
        _ => Err(Error::violation("a challenge is one line")),
    }
}

fn advice(error: &Error) -> Option<&'static str> {
    let code = error.reply()?.code();
    Some(match error.detail() {
        Some("server-does-support-channel-binding") => {
            "the server offers channel binding, and its offer did not arrive: somebody may be changing it on the way"
        }
        Some("channel-bindings-dont-match") => "somebody may be between the server and us with a TLS of their own",
        Some("unsupported-channel-binding-type" | "channel-binding-not-supported") => {
            "insist on the mechanism without -PLUS, if the server cannot bind to this version of TLS"
        }
        Some(detail) if detail.starts_with('{') => {
            "the token may have expired, be for another scope, or belong to another user"
        }
        _ if code == 535 => "check user and password; some providers want a password made for this program",
        _ => return None,
    })
}

/// A mechanism that was there earlier and is gone: a fall-back to a weaker one is what somebody in between would want.
fn weakened(before: Mechanism, now: &str) -> Error {
    let why = format!("the server offered {} earlier and offers {now} now", before.name());
    Error::new(ErrorKind::Downgraded(why))
        .advise("somebody may be in between; if its administrator changed it, forget what is known of this server")
}
