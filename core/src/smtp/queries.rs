//! What can be asked of a server beside sending: addresses, lists, help, queues; and what gateways tell it.

use super::client::Client;
use super::commands;
use super::connect::hello;
use crate::error::{Error, Phase, Result};
use crate::reply::Reply;
use crate::transport::Transport;

impl<T: Transport> Client<T> {
    /// Asks whether an address exists (VRFY, RFC 5321 §3.5). Most servers say 252: neither yes nor no.
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected), or the connection's.
    pub async fn vrfy(&mut self, address: &str) -> Result<Reply> {
        self.idle()?;
        self.expect_completion(&commands::about("VRFY", address)?).await
    }

    /// Asks for the members of a mailing list (EXPN, RFC 5321 §3.5), one a line of the reply.
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected), or the connection's.
    pub async fn expn(&mut self, list: &str) -> Result<Reply> {
        self.idle()?;
        self.expect_completion(&commands::about("EXPN", list)?).await
    }

    /// Asks for help, on a command or at large (RFC 5321 §4.1.1.8).
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected), or the connection's.
    pub async fn help(&mut self, topic: Option<&str>) -> Result<Reply> {
        self.idle()?;
        self.expect_completion(&commands::help(topic)?).await
    }

    /// Asks the server to start sending what it has queued for a domain (ETRN, RFC 1985).
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected), or the connection's.
    pub async fn etrn(&mut self, domain: &str) -> Result<Reply> {
        self.idle()?;
        self.expect_completion(&commands::about("ETRN", domain)?).await
    }

    /// Tells the server on whose behalf this gateway speaks (XCLIENT): attributes such as `ADDR`, `NAME`, `PORT`,
    /// `PROTO`, `HELO`, `LOGIN`, each with its value, or `None` where it is unavailable. The session starts anew then:
    /// another greeting, and other extensions.
    ///
    /// # Errors
    /// [`NotOffered`](crate::ErrorKind::NotOffered) if the server does not offer XCLIENT, or not an attribute;
    /// [`Rejected`](crate::ErrorKind::Rejected), or the connection's.
    pub async fn xclient(&mut self, attributes: &[(&str, Option<&str>)]) -> Result<()> {
        self.idle()?;
        let offered = |name: &str| self.extensions.parameters("XCLIENT").any(|word| word.eq_ignore_ascii_case(name));
        if let Some((name, _)) = attributes.iter().find(|(name, _)| !offered(name)) {
            let why = format!("the server takes no {name} in XCLIENT");
            return Err(self.dialogue.context.explain(Error::not_offered(why)));
        }
        let reply = self.dialogue.exchange(&commands::xclient(attributes)?).await;
        let reply = reply.map_err(|error| error.during(Phase::Command))?;
        if reply.code() != 220 {
            return Err(self.dialogue.context.explain(Error::rejected(reply).during(Phase::Command)));
        }
        self.greeting = reply;
        self.extensions = hello(&mut self.dialogue, &self.settings).await?;
        Ok(())
    }
}
