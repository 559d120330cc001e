//! A connection whose bytes the host moves.

use std::cell::RefCell;

use starttls::MachineState;

use crate::Component;
use crate::exports::machine::{Guest, GuestMachine, Machine as Resource, State};
use crate::exports::tls::{ClientConfigBorrow, SessionInfo};
use crate::exports::types::Error;
use crate::tls::ClientConfig;

impl Guest for Component {
    type Machine = Machine;
}

/// A connection whose bytes the host moves.
pub(crate) struct Machine(RefCell<starttls::Machine>);

impl GuestMachine for Machine {
    fn create(tls: ClientConfigBorrow<'_>, server_name: String) -> Result<Resource, Error> {
        let machine = starttls::Machine::new(&server_name, tls.get::<ClientConfig>().now())?;
        Ok(Resource::new(Self(RefCell::new(machine))))
    }

    fn receive(&self, wire: Vec<u8>) -> Result<(), Error> {
        Ok(self.0.borrow_mut().receive(&wire)?)
    }

    fn receive_eof(&self) -> Result<(), Error> {
        Ok(self.0.borrow_mut().receive_eof()?)
    }

    fn transmit(&self) -> Vec<u8> {
        self.0.borrow_mut().transmit()
    }

    fn state(&self) -> Result<State, Error> {
        Ok(match self.0.borrow().state()? {
            MachineState::Clear => State::Clear,
            MachineState::Handshaking => State::Handshaking,
            MachineState::Secure => State::Secure,
        })
    }

    fn start_tls(&self) -> Result<(), Error> {
        Ok(self.0.borrow_mut().start_tls()?)
    }

    fn read(&self, max: u32) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.borrow_mut().read(max as usize)?)
    }

    fn write(&self, bytes: Vec<u8>) -> Result<(), Error> {
        Ok(self.0.borrow_mut().write(&bytes)?)
    }

    fn shutdown(&self) -> Result<(), Error> {
        Ok(self.0.borrow_mut().shutdown()?)
    }

    fn tls(&self) -> Option<SessionInfo> {
        self.0.borrow().tls().map(|tls| SessionInfo::from(tls.as_ref()))
    }
}
