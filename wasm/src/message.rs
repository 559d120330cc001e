//! A message whose body comes in pieces, on a session or in a pool.

use std::cell::RefCell;

use starttls::smtp::PooledMessage;
use starttls::transport::block;

use crate::error;
use crate::exports::smtp::{DeliveryReport, GuestMessageWriter, MessageWriter};
use crate::exports::types::Error;
use crate::options::Network;
use crate::slot::Slot;
use crate::smtp::Client;

/// A message under way; `None` once it is finished.
pub(crate) struct Message(Option<Carrier>);

/// What carries it.
enum Carrier {
    Session(Slot<Client>),
    /// Dropped, it closes its connection.
    Pool(Box<RefCell<PooledMessage<Network>>>),
}

impl Message {
    pub(crate) fn of_session(slot: Slot<Client>) -> Self {
        Self(Some(Carrier::Session(slot)))
    }

    pub(crate) fn of_pool(message: PooledMessage<Network>) -> Self {
        Self(Some(Carrier::Pool(Box::new(RefCell::new(message)))))
    }
}

impl GuestMessageWriter for Message {
    fn write(&self, bytes: Vec<u8>) -> Result<(), Error> {
        match self.0.as_ref().ok_or_else(error::closed)? {
            Carrier::Session(slot) => slot.with(|client| block(client.write(&bytes))),
            Carrier::Pool(message) => Ok(block(message.borrow_mut().session().write(&bytes))?),
        }
    }

    fn finish(this: MessageWriter) -> Result<DeliveryReport, Error> {
        match this.into_inner::<Self>().0.take().ok_or_else(error::closed)? {
            Carrier::Session(slot) => slot.with(|client| block(client.finish()).map(DeliveryReport::from)),
            Carrier::Pool(message) => Ok(block((*message).into_inner().finish())?.into()),
        }
    }
}

/// Half a message must never be delivered: the connection is closed in the middle of it.
impl Drop for Message {
    fn drop(&mut self) {
        if let Some(Carrier::Session(slot)) = self.0.take() {
            drop(slot.take());
        }
    }
}
