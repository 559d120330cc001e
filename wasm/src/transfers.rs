//! Listings and transfers under way, as resources: each has its session's client, and gives up what it did not finish.

use std::cell::{Cell, RefCell};

use starttls::ftp;
use starttls::transport::block;

use crate::error;
use crate::exports::ftp::{
    Download, Entry, GuestDownload, GuestFile, GuestListing, GuestUpload, TransferReceipt, Upload,
};
use crate::exports::types::Error;
use crate::ftp::Client;
use crate::slot::Slot;

/// A listing under way. Its slot is `None` once it is over.
pub(crate) struct Reading {
    slot: RefCell<Option<Slot<Client>>>,
    /// Received and not yet asked for.
    pending: RefCell<std::vec::IntoIter<ftp::Entry>>,
    unparsed: Cell<u64>,
}

impl Reading {
    pub(crate) fn new(slot: Slot<Client>) -> Self {
        Self { slot: RefCell::new(Some(slot)), pending: RefCell::default(), unparsed: Cell::new(0) }
    }
}

impl GuestListing for Reading {
    fn next(&self, max: u32) -> Result<Vec<Entry>, Error> {
        if max == 0 {
            return Err(error::invalid_argument("no entries at most would look like the end"));
        }
        let pending = &mut *self.pending.borrow_mut();
        let slot = &mut *self.slot.borrow_mut();
        if let Some(open) = slot
            && pending.len() == 0
        {
            let (entries, unparsed) = match open.with(|client| {
                let entries = block(client.next_entries())?;
                Ok::<_, starttls::Error>((entries, client.listing_report().unparsed))
            }) {
                Ok(next) => next,
                Err(error) => {
                    give_up(slot.take());
                    return Err(error);
                }
            };
            self.unparsed.set(unparsed);
            if entries.is_empty() {
                *slot = None;
            }
            *pending = entries.into_iter();
        }
        Ok(pending.take(usize::try_from(max).unwrap_or(usize::MAX)).map(Entry::from).collect())
    }

    fn unparsed(&self) -> u64 {
        self.unparsed.get()
    }
}

/// A listing that nobody will read any more.
impl Drop for Reading {
    fn drop(&mut self) {
        give_up(self.slot.take());
    }
}

/// A download under way. Its slot is `None` once it is over.
pub(crate) struct Incoming {
    slot: Option<Slot<Client>>,
    /// Received and not yet read.
    pending: RefCell<Pending>,
}

impl Incoming {
    pub(crate) fn new(slot: Slot<Client>) -> Self {
        Self { slot: Some(slot), pending: RefCell::default() }
    }
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    start: usize,
}

impl Pending {
    fn take(&mut self, most: usize) -> Vec<u8> {
        if self.start == 0 && self.bytes.len() <= most {
            return std::mem::take(&mut self.bytes);
        }
        let end = self.bytes.len().min(self.start.saturating_add(most));
        let taken = self.bytes[self.start..end].to_vec();
        self.start = end;
        if self.start == self.bytes.len() {
            *self = Self::default();
        }
        taken
    }
}

impl GuestDownload for Incoming {
    fn read(&self, max: u32) -> Result<Vec<u8>, Error> {
        if max == 0 {
            return Err(error::invalid_argument("a read of 0 bytes would look like the end"));
        }
        let most = usize::try_from(max).unwrap_or(usize::MAX);
        let pending = &mut *self.pending.borrow_mut();
        let slot = self.slot.as_ref().ok_or_else(error::closed)?;
        while pending.bytes.is_empty() {
            let bytes = &mut pending.bytes;
            if !slot.with(|client| block(client.receive(&mut |piece| bytes.extend_from_slice(piece))))? {
                break;
            }
        }
        Ok(pending.take(most))
    }

    fn finish(this: Download) -> Result<TransferReceipt, Error> {
        let mut this = this.into_inner::<Self>();
        if !this.pending.borrow().bytes.is_empty() {
            return Err(error::invalid_state("the download is not at its end yet: read the rest, or drop it"));
        }
        let slot = this.slot.take().ok_or_else(error::closed)?;
        let outcome = slot.with(|client| block(client.finish()).map(TransferReceipt::from));
        if outcome.is_err() {
            give_up(Some(slot));
        }
        outcome
    }
}

/// A download that nobody will read any more.
impl Drop for Incoming {
    fn drop(&mut self) {
        give_up(self.slot.take());
    }
}

/// A file to be read at any place.
pub(crate) struct Remote {
    slot: Slot<Client>,
    file: RefCell<ftp::RemoteFile>,
}

impl Remote {
    pub(crate) fn new(slot: Slot<Client>, file: ftp::RemoteFile) -> Self {
        Self { slot, file: RefCell::new(file) }
    }
}

impl GuestFile for Remote {
    fn read(&self, max: u32) -> Result<Vec<u8>, Error> {
        if max == 0 {
            return Err(error::invalid_argument("a read of 0 bytes would look like the end"));
        }
        // What the caller would take is no reason to make room for it all.
        let mut piece = vec![0; usize::try_from(max).unwrap_or(usize::MAX).min(256 * 1024)];
        let count = self.slot.with(|client| block(self.file.borrow_mut().read(client, &mut piece)))?;
        piece.truncate(count);
        Ok(piece)
    }

    fn seek(&self, position: u64) {
        self.file.borrow_mut().seek_to(position);
    }

    fn position(&self) -> u64 {
        self.file.borrow().position()
    }

    fn size(&self) -> Result<u64, Error> {
        self.slot.with(|client| block(self.file.borrow_mut().size(client)))
    }

    fn receipt(&self) -> Option<TransferReceipt> {
        self.file.borrow().receipt().cloned().map(TransferReceipt::from)
    }
}

/// A file that nobody will read any more.
impl Drop for Remote {
    fn drop(&mut self) {
        // A session that was closed meanwhile has given it up already.
        let _ = self.slot.with(|client| {
            block(self.file.borrow_mut().close(client));
            Ok::<_, Error>(())
        });
    }
}

/// An upload under way; `None` once it is over.
pub(crate) struct Outgoing(Option<Slot<Client>>);

impl Outgoing {
    pub(crate) fn new(slot: Slot<Client>) -> Self {
        Self(Some(slot))
    }
}

impl GuestUpload for Outgoing {
    fn write(&self, bytes: Vec<u8>) -> Result<(), Error> {
        self.0.as_ref().ok_or_else(error::closed)?.with(|client| block(client.transmit(&bytes)))
    }

    fn finish(this: Upload) -> Result<TransferReceipt, Error> {
        let slot = this.into_inner::<Self>().0.take().ok_or_else(error::closed)?;
        slot.with(|client| block(client.finish()).map(TransferReceipt::from))
    }
}

/// An upload that will not be finished.
impl Drop for Outgoing {
    fn drop(&mut self) {
        give_up(self.0.take());
    }
}

fn give_up(slot: Option<Slot<Client>>) {
    if let Some(slot) = slot {
        // A session that was closed meanwhile has given up its transfer already.
        let _ = slot.with(|client| {
            block(client.abort());
            Ok::<_, Error>(())
        });
    }
}
