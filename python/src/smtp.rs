//! Message submission: commands as values, performed over any transport.

mod classes;
mod setup;

use std::convert::Infallible;

use pyo3::pybacked::PyBackedBytes;
use starttls::Options;
use starttls::smtp::dkim::Signer;
use starttls::smtp::{Client, Credentials, Envelope, LoginInfo, Routes, Settings};
use starttls::tls::TlsInfo;
use starttls::transport::Transport;

use crate::body::{Pulse, Source};
use crate::error::{Failure, Hint};
use crate::many::{Letter, Mailer};
use crate::message::{Addressing, Message};
use crate::session::Protocol;
use crate::value::Value;

pub(crate) use classes::{SmtpCommand, SmtpSession, forget_server};
pub(crate) use setup::SmtpSetup;

/// How to open a session.
#[derive(Clone)]
pub(crate) struct Smtp {
    routes: Routes,
    options: Options,
    settings: Settings,
    credentials: Option<Credentials>,
}

/// What to do in it.
pub(crate) enum Command {
    Send { message: Source, addressing: Addressing, signer: Option<Signer>, pulse: Pulse },
    Begin { envelope: Envelope, header: Vec<u8> },
    Write(PyBackedBytes),
    Finish,
    Submit { batch: Vec<Letter>, signer: Option<Signer> },
    Drain,
    Noop,
    Rset,
    Ask(Question, String),
    Help(Option<String>),
    Xclient(Vec<(String, Option<String>)>),
}

/// What a server can be asked about an address, a list or a domain.
#[derive(Clone, Copy)]
pub(crate) enum Question {
    Vrfy,
    Expn,
    Etrn,
}

impl Protocol for Smtp {
    type Client<T: Transport + Clone + 'static> = Mailer<T>;
    type Command = Command;
    type Aside = Infallible;

    async fn aside<T: Transport + Clone + 'static>(&self, _: T, nothing: Infallible) -> Value {
        match nothing {}
    }

    async fn connect<T: Transport + Clone + 'static>(&self, transport: T) -> starttls::Result<Mailer<T>> {
        let options = self.options.clone();
        let mut client = Client::connect_any(transport, &self.routes, options, &self.settings).await?;
        if let Some(credentials) = &self.credentials {
            client.login(credentials).await?;
        }
        Ok(Mailer::new(client))
    }

    async fn perform<T: Transport + Clone + 'static>(
        mailer: &mut Mailer<T>,
        command: Command,
    ) -> Result<Value, Failure> {
        let command = match command {
            Command::Submit { batch, signer } => {
                return mailer.submit(batch, signer.as_ref()).await.map(Value::Reports);
            }
            Command::Drain => return mailer.drain().await.map(Value::Reports),
            other => other,
        };
        mailer.settle().await?;
        let client = &mut mailer.client;
        Ok(match command {
            Command::Send { message, addressing, signer, pulse } => {
                let message = Message::open(message, &addressing, signer.as_ref())?.watched_by(pulse);
                let envelope = message.envelope.clone();
                Value::Report(Box::new(client.send_body(&envelope, message).await?))
            }
            Command::Begin { envelope, header } => {
                client.begin(&envelope).await?;
                client.write(&header).await?;
                Value::None
            }
            Command::Write(bytes) => {
                client.write(&bytes).await?;
                Value::None
            }
            Command::Finish => Value::Report(Box::new(client.finish().await?)),
            Command::Noop => Value::Reply(client.noop().await?),
            Command::Rset => Value::Reply(client.rset().await?),
            Command::Ask(Question::Vrfy, address) => Value::Reply(client.vrfy(&address).await?),
            Command::Ask(Question::Expn, list) => Value::Reply(client.expn(&list).await?),
            Command::Ask(Question::Etrn, domain) => Value::Reply(client.etrn(&domain).await?),
            Command::Help(topic) => Value::Reply(client.help(topic.as_deref()).await?),
            Command::Xclient(attributes) => {
                let attributes: Vec<_> = attributes.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
                client.xclient(&attributes).await?;
                Value::None
            }
            Command::Submit { .. } | Command::Drain => unreachable!("these are done above"),
        })
    }

    async fn perform_last<T: Transport + Clone + 'static>(
        mut mailer: Mailer<T>,
        command: Command,
    ) -> Result<Value, Failure> {
        let Command::Send { message, addressing, signer, pulse } = command else {
            let done = Self::perform(&mut mailer, command).await;
            Self::quit(mailer).await;
            return done;
        };
        mailer.settle().await?;
        match Message::open(message, &addressing, signer.as_ref()) {
            Ok(message) => {
                let envelope = message.envelope.clone();
                let report = mailer.client.send_and_quit(&envelope, message.watched_by(pulse)).await?;
                Ok(Value::Report(Box::new(report)))
            }
            Err(failure) => {
                mailer.client.quit().await;
                Err(failure)
            }
        }
    }

    async fn quit<T: Transport + Clone + 'static>(mut mailer: Mailer<T>) {
        // What is under way is awaited, whatever becomes of it; who closes now does not ask.
        let _ = mailer.settle().await;
        mailer.client.quit().await;
    }

    fn hint(_: &Command) -> Hint {
        Hint::None
    }

    fn tls<T: Transport + Clone + 'static>(mailer: &Mailer<T>) -> Option<&TlsInfo> {
        mailer.client.tls()
    }

    fn login<T: Transport + Clone + 'static>(mailer: &Mailer<T>) -> Option<LoginInfo> {
        mailer.client.login_info()
    }

    fn offers<T: Transport + Clone + 'static>(mailer: &Mailer<T>) -> Vec<(String, String)> {
        mailer.client.extensions().iter().map(|(name, parameters)| (name.into(), parameters.into())).collect()
    }
}
