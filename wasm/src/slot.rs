//! A client that its session shares with a message or transfer under way.

use std::cell::RefCell;
use std::rc::Rc;

use crate::error;
use crate::exports::types::Error;

/// The place of a client; empty once the connection is closed. A message or transfer under way has the same place as
/// its session, so it goes on if the session is dropped before it.
pub(crate) struct Slot<C>(Rc<RefCell<Option<C>>>);

impl<C> Slot<C> {
    pub(crate) fn new(client: C) -> Self {
        Self(Rc::new(RefCell::new(Some(client))))
    }

    /// Whether both are one place.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Runs one operation.
    pub(crate) fn with<T, E: Into<Error>>(&self, operation: impl FnOnce(&mut C) -> Result<T, E>) -> Result<T, Error> {
        match &mut *self.0.borrow_mut() {
            Some(client) => operation(client).map_err(Into::into),
            None => Err(error::closed()),
        }
    }

    /// Looks at the client, if it is there.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&C) -> T) -> Option<T> {
        self.0.borrow().as_ref().map(look)
    }

    /// Takes the client out: whoever comes later finds the session closed.
    pub(crate) fn take(&self) -> Option<C> {
        self.0.borrow_mut().take()
    }
}

impl<C> Clone for Slot<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
