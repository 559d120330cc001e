//! Sessions that are kept for the next message.

use std::time::Duration;

use starttls::smtp::{self, MemoryBody};
use starttls::transport::block;

use crate::error;
use crate::exports::smtp::{
    DeliveryReport, Envelope, GuestPool, MessageWriter, Pool, PoolSettings, Route, SendOptionsBorrow,
};
use crate::exports::tls::ClientConfigBorrow;
use crate::exports::types::{Error, OptionsBorrow};
use crate::message::Message;
use crate::options::{Network, Options};
use crate::route;
use crate::smtp::{read, with_mechanism};
use crate::tls::ClientConfig;

/// A pool of submission sessions.
pub(crate) struct Sessions(smtp::Pool<Network>);

impl Sessions {
    /// Nobody else is here to end a message while this one waits.
    fn has_room(&self) -> Result<(), Error> {
        if self.0.has_room() {
            return Ok(());
        }
        Err(error::invalid_state("every session of this pool carries a message: finish one of them first"))
    }
}

impl GuestPool for Sessions {
    fn create(
        routes: Vec<Route>,
        tls: ClientConfigBorrow<'_>,
        options: OptionsBorrow<'_>,
        settings: PoolSettings,
    ) -> Result<Pool, Error> {
        let PoolSettings { credentials, mechanism, connections, idle, messages } = settings;
        let (tls, options) = (tls.get::<ClientConfig>().now(), options.get::<Options>());
        let settings = smtp::PoolSettings {
            options: options.with_tls(tls),
            settings: options.mail(),
            credentials: credentials.map(|credentials| with_mechanism(credentials, mechanism)).transpose()?,
            connections: connections as usize,
            idle: Duration::from_nanos(idle),
            messages: messages as usize,
            ..smtp::PoolSettings::new(route::read(routes)?)
        };
        Ok(Pool::new(Self(smtp::Pool::new(options.network(), settings))))
    }

    fn send(
        &self,
        envelope: Envelope,
        options: Option<SendOptionsBorrow<'_>>,
        message: Vec<u8>,
    ) -> Result<DeliveryReport, Error> {
        let envelope = read(envelope, options)?;
        self.has_room()?;
        Ok(block(self.0.send_body(&envelope, MemoryBody::new(message)))?.into())
    }

    fn begin(&self, envelope: Envelope, options: Option<SendOptionsBorrow<'_>>) -> Result<MessageWriter, Error> {
        let envelope = read(envelope, options)?;
        self.has_room()?;
        Ok(MessageWriter::new(Message::of_pool(block(self.0.begin(&envelope))?)))
    }

    fn sessions(&self) -> (u32, u32) {
        let (taken, idle) = self.0.sessions();
        let count = |sessions| u32::try_from(sessions).unwrap_or(u32::MAX);
        (count(taken), count(idle))
    }

    fn close(&self) {
        block(self.0.close());
    }
}
