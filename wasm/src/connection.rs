//! A connection on its own, over the host's sockets.

use std::cell::RefCell;

use starttls::transport::{Transport, block};
use starttls::upgrade::Recipe;

use crate::Component;
use crate::exports::connection::{Connection, Guest, GuestConnection, Protocol};
use crate::exports::tls::{ClientConfigBorrow, SessionInfo};
use crate::exports::types::{Endpoint, Error, OptionsBorrow};
use crate::options::{Network, Options};
use crate::tls::ClientConfig;

impl Guest for Component {
    type Connection = Bare;
}

/// A connection.
pub(crate) struct Bare(RefCell<starttls::Connection<<Network as Transport>::Stream>>);

impl GuestConnection for Bare {
    fn open(to: Endpoint, tls: ClientConfigBorrow<'_>, options: OptionsBorrow<'_>) -> Result<Connection, Error> {
        let (tls, options) = (tls.get::<ClientConfig>().now(), options.get::<Options>());
        let network = options.network();
        let opened = block(starttls::Connection::open(&network, &to.into(), &options.with_tls(tls)))?;
        Ok(Connection::new(Self(RefCell::new(opened))))
    }

    fn start_tls(&self) -> Result<(), Error> {
        Ok(block(self.0.borrow_mut().start_tls())?)
    }

    fn upgrade(&self, protocol: Protocol) -> Result<Vec<u8>, Error> {
        Ok(block(self.0.borrow_mut().upgrade(protocol.into()))?)
    }

    fn read_line(&self, limit: u32) -> Result<Option<Vec<u8>>, Error> {
        Ok(block(self.0.borrow_mut().read_line(limit as usize))?)
    }

    fn read(&self, max: u32) -> Result<Vec<u8>, Error> {
        Ok(block(self.0.borrow_mut().read(max as usize))?)
    }

    fn read_exactly(&self, count: u32) -> Result<Vec<u8>, Error> {
        Ok(block(self.0.borrow_mut().read_exact(count as usize))?)
    }

    fn read_until(&self, separator: Vec<u8>, limit: u32) -> Result<Vec<u8>, Error> {
        Ok(block(self.0.borrow_mut().read_until(&separator, limit as usize))?)
    }

    fn write(&self, bytes: Vec<u8>) -> Result<(), Error> {
        Ok(block(self.0.borrow_mut().write(&bytes))?)
    }

    fn shutdown(&self) -> Result<(), Error> {
        Ok(block(self.0.borrow_mut().shutdown())?)
    }

    fn tls(&self) -> Option<SessionInfo> {
        self.0.borrow().tls().map(|tls| SessionInfo::from(tls.as_ref()))
    }

    fn channel_binding(&self) -> Option<(String, Vec<u8>)> {
        self.0.borrow().channel_binding().map(|binding| (binding.kind().to_string(), binding.data().to_vec()))
    }

    fn peer(&self) -> Option<Endpoint> {
        let address = self.0.borrow().peer_addr()?;
        Some(Endpoint { host: address.ip().to_string(), port: address.port() })
    }
}

impl From<Protocol> for Recipe {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Smtp => Self::Smtp,
            Protocol::Lmtp => Self::Lmtp,
            Protocol::Ftp => Self::Ftp,
            Protocol::Imap => Self::Imap,
            Protocol::Pop3 => Self::Pop3,
            Protocol::Sieve => Self::Sieve,
            Protocol::Nntp => Self::Nntp,
            Protocol::Xmpp => Self::Xmpp,
            Protocol::XmppServer => Self::XmppServer,
            Protocol::Ldap => Self::Ldap,
            Protocol::Postgres => Self::Postgres,
            Protocol::Mysql => Self::Mysql,
        }
    }
}
