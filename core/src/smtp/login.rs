//! Logging in: AUTH (RFC 4954).

use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

use super::client::Client;
use super::sasl::{Credentials, Mechanism};
use crate::error::{Error, Phase, Result};
use crate::line::Line;
use crate::transport::Transport;

impl<T: Transport> Client<T> {
    /// Logs in with the best mechanism that the server offers under TLS.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server does not accept them; no other mechanism is tried then.
    /// [`InvalidState`](ErrorKind::InvalidState) in clear text, or if no known mechanism is offered.
    pub async fn login(&mut self, credentials: &Credentials) -> Result<()> {
        self.authenticate(credentials).await.map_err(|error| {
            let error = self.dialogue.context.explain(error.during(Phase::Authenticate));
            match error.reply().map(|reply| reply.code().number()) {
                Some(535) => {
                    error.advise("check user and password; some providers want a password made for this program")
                }
                _ => error,
            }
        })
    }

    async fn authenticate(&mut self, credentials: &Credentials) -> Result<()> {
        if !self.dialogue.is_secure() {
            return Err(Error::invalid_state("a password is not sent in clear text").advise("use smtp:// or smtps://"));
        }
        for (what, word) in [("user name", credentials.user()), ("password", &credentials.password)] {
            // Base64 would carry them, to a server that may cut the word there.
            if word.contains(['\r', '\n', '\0']) {
                return Err(Error::invalid_argument(format!("the {what} contains CR, LF or NUL")));
            }
        }
        let mechanism = Mechanism::choose(&self.extensions)?;
        let mut exchange = mechanism.start(credentials);
        let context = &mut self.dialogue.context;
        context.keep_secret(credentials.password.as_bytes());
        if let Some(initial) = &exchange.initial {
            context.keep_secret(initial);
        }
        let mut line = Line::new("AUTH ").literal(mechanism.name());
        if let Some(initial) = exchange.initial.take() {
            line = line.literal(" ").secret("the initial response", &*encode(&initial))?;
        }
        let mut reply = self.dialogue.exchange(&line).await?;
        while reply.code() == 334 {
            let Some(answer) = exchange.answers.next() else {
                // `*` cancels (RFC 4954 §4); the server must answer it with a refusal.
                self.dialogue.exchange(&Line::new("*")).await?;
                return Err(
                    Error::violation("the server asks for more than the mechanism has to say").with_reply(reply)
                );
            };
            reply = self.dialogue.exchange(&Line::new("").secret("the response", &*encode(&answer))?).await?;
        }
        match reply.code().number() {
            // An early success would skip a mechanism's proof of the server.
            235 if exchange.answers.len() == 0 => Ok(()),
            _ if reply.code().is_transient_negative() || reply.code().is_permanent_negative() => {
                Err(Error::rejected(reply))
            }
            _ => Err(Error::violation("this is no answer to AUTH").with_reply(reply)),
        }
    }
}

fn encode(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(BASE64_STANDARD.encode(bytes))
}
