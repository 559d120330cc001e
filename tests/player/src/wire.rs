//! One connection of the peer: what came, and TLS on it.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

/// One connection.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) open: bool,
    /// The client sends no more.
    pub(crate) ended: bool,
    /// The client said close_notify.
    pub(crate) orderly: bool,
    /// The handshake or a record was refused, by either side.
    pub(crate) broken: Option<String>,
    pub(crate) inbox: Vec<u8>,
    pub(crate) tls: Option<Box<ServerConnection>>,
}

impl Wire {
    /// Takes in what came under TLS, or of its handshake.
    pub(crate) fn decrypt(&mut self, mut bytes: &[u8]) {
        let Some(tls) = &mut self.tls else { return };
        while !bytes.is_empty() && self.broken.is_none() {
            if let Err(error) = tls.read_tls(&mut bytes) {
                self.broken = Some(error.to_string());
                return;
            }
            match tls.process_new_packets() {
                Ok(state) => self.orderly |= state.peer_has_closed(),
                Err(error) => self.broken = Some(error.to_string()),
            }
            // An end without close_notify, or nothing more for now, ends this loop with an error: that is no failure.
            let _ = tls.reader().read_to_end(&mut self.inbox);
        }
    }

    /// Begins the handshake, with what came of it already. `early` goes out as soon as there are keys for it.
    pub(crate) fn begin_handshake(&mut self, config: Arc<ServerConfig>, early: &[u8]) {
        match ServerConnection::new(config) {
            Ok(mut tls) => {
                self.broken = tls.writer().write_all(early).err().map(|error| error.to_string());
                self.tls = Some(Box::new(tls));
            }
            Err(error) => self.broken = Some(error.to_string()),
        }
        let hello = std::mem::take(&mut self.inbox);
        self.decrypt(&hello);
    }

    /// What TLS wants to send.
    pub(crate) fn records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() && tls.write_tls(&mut records).is_ok() {}
        }
        records
    }
}
