//! File transfer sessions and transfers as resources.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use starttls::ftp::{self, Credentials, Examination, fxp};
use starttls::transport::block;

use crate::Component;
use crate::doctor;
use crate::error;
use crate::exports::ftp::{
    CopyReceipt, DataProtection, Diagnosis, Digest, Download, Entry, EntryKind, File, Guest, GuestDownload, GuestFile,
    GuestListing, GuestSession, GuestUpload, Listing, Login, NotRemoved, Removal, Session, SessionBinding,
    SessionBorrow, TimePrecision, TransferReceipt, TransferStatus, Upload,
};
use crate::exports::tls::{ClientConfigBorrow, SessionInfo};
use crate::exports::types::{Endpoint, Error, OptionsBorrow, Reply, Timestamp};
use crate::options::{Network, Options};
use crate::slot::Slot;
use crate::tls::ClientConfig;

pub(crate) type Client = ftp::Client<Network>;

impl Guest for Component {
    type Session = Files;
    type Listing = Reading;
    type File = Remote;
    type Download = Incoming;
    type Upload = Outgoing;

    fn doctor(
        to: Endpoint,
        tls: ClientConfigBorrow<'_>,
        options: OptionsBorrow<'_>,
        login: Option<Login>,
        directory: Vec<u8>,
        write_test: bool,
    ) -> Diagnosis {
        doctor::examine(to, tls, options, login, &Examination { directory, write_test })
    }
}

/// A file transfer session.
pub(crate) struct Files(pub(crate) Slot<Client>);

impl GuestSession for Files {
    fn open(to: Endpoint, tls: ClientConfigBorrow<'_>, options: OptionsBorrow<'_>) -> Result<Session, Error> {
        let options = options.get::<Options>();
        let settings = options.with_tls(tls.get::<ClientConfig>().now());
        let client = block(Client::connect_with(options.network(), &to.into(), settings, &options.files()))?;
        Ok(Session::new(Self(Slot::new(client))))
    }

    fn set_data_protection(&self, protection: DataProtection) -> Result<(), Error> {
        let protection = match protection {
            DataProtection::Private => ftp::DataProtection::Private,
            DataProtection::Clear => ftp::DataProtection::Clear,
        };
        self.set(|client| client.settings().data_protection = protection)
    }

    fn accept_missing_close_notify(&self, accept: bool) -> Result<(), Error> {
        self.set(|client| client.settings().accept_missing_close_notify = accept)
    }

    fn verify_uploads(&self, verify: bool) -> Result<(), Error> {
        self.set(|client| client.settings().verify_uploads = verify)
    }

    fn set_session_binding(&self, binding: SessionBinding) -> Result<(), Error> {
        self.set(|client| {
            client.settings().session_binding = match binding {
                SessionBinding::Require => ftp::SessionBinding::Require,
                SessionBinding::Prefer => ftp::SessionBinding::Prefer,
                SessionBinding::Off => ftp::SessionBinding::Off,
            };
        })
    }

    fn set_compression(&self, compress: bool) -> Result<(), Error> {
        self.set(|client| client.settings().compression = compress)
    }

    fn danger_use_announced_host(&self, announced: bool) -> Result<(), Error> {
        use ftp::PassiveHost::{ControlPeer, DangerAnnounced};
        self.set(|client| client.settings().passive_host = if announced { DangerAnnounced } else { ControlPeer })
    }

    fn set_virtual_host(&self, name: Option<String>) -> Result<(), Error> {
        self.set(|client| client.settings().virtual_host = name)
    }

    fn set_client_name(&self, name: Option<String>) -> Result<(), Error> {
        self.set(|client| client.settings().client_name = name)
    }

    fn set_language(&self, tag: Option<String>) -> Result<(), Error> {
        self.set(|client| client.settings().language = tag)
    }

    fn login(&self, user: String, password: String) -> Result<(), Error> {
        let credentials = Credentials::password(user, password);
        self.0.with(|client| block(client.login(&credentials)))
    }

    fn login_with_account(&self, user: String, password: String, account: String) -> Result<(), Error> {
        let credentials = Credentials::password(user, password).account(account);
        self.0.with(|client| block(client.login(&credentials)))
    }

    fn reinitialize(&self) -> Result<(), Error> {
        self.0.with(|client| block(client.reinitialize()))
    }

    fn account(&self, account: String) -> Result<Reply, Error> {
        self.reply(|client| block(client.account(&account)))
    }

    fn status(&self, path: Vec<u8>) -> Result<Reply, Error> {
        self.reply(|client| block(client.status(&path)))
    }

    fn system(&self) -> Result<Reply, Error> {
        self.reply(|client| block(client.system()))
    }

    fn help(&self, topic: String) -> Result<Reply, Error> {
        self.reply(|client| block(client.help(&topic)))
    }

    fn language(&self, tag: String) -> Result<Reply, Error> {
        self.reply(|client| block(client.language(&tag)))
    }

    fn site(&self, text: Vec<u8>) -> Result<Reply, Error> {
        self.reply(|client| block(client.site(&text)))
    }

    fn quote(&self, command: Vec<u8>) -> Result<Reply, Error> {
        self.reply(|client| block(client.quote(&command)))
    }

    fn chmod(&self, path: Vec<u8>, mode: u32) -> Result<(), Error> {
        self.0.with(|client| block(client.chmod(&path, mode)).map(drop))
    }

    fn set_modified(&self, path: Vec<u8>, time: Timestamp) -> Result<(), Error> {
        let time = moment(time)?;
        self.0.with(|client| block(client.set_modified(&path, time)).map(drop))
    }

    fn set_created(&self, path: Vec<u8>, time: Timestamp) -> Result<(), Error> {
        let time = moment(time)?;
        self.0.with(|client| block(client.set_created(&path, time)).map(drop))
    }

    fn set_facts(&self, path: Vec<u8>, facts: Vec<(String, String)>) -> Result<(), Error> {
        let facts: Vec<_> = facts.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.0.with(|client| block(client.set_facts(&path, &facts)).map(drop))
    }

    fn available(&self, path: Vec<u8>) -> Result<u64, Error> {
        self.0.with(|client| block(client.available(&path)))
    }

    fn allocate(&self, size: u64) -> Result<(), Error> {
        self.0.with(|client| block(client.allocate(size)).map(drop))
    }

    fn makedirs(&self, path: Vec<u8>) -> Result<(), Error> {
        self.0.with(|client| block(client.makedirs(&path)))
    }

    fn remove_tree(&self, path: Vec<u8>) -> Result<Removal, Error> {
        let removal = self.0.with(|client| block(client.remove_tree(&path)))?;
        let left = removal.left.into_iter().map(|left| NotRemoved { path: left.path, why: left.error.into() });
        Ok(Removal { files: removal.files, directories: removal.directories, left: left.collect() })
    }

    fn retrieve_text(&self, path: Vec<u8>) -> Result<Download, Error> {
        self.0.with(|client| block(client.start_download_text(&path)))?;
        Ok(Download::new(Incoming { slot: Some(self.0.clone()), pending: RefCell::default() }))
    }

    fn store_text(&self, path: Vec<u8>) -> Result<Upload, Error> {
        self.0.with(|client| block(client.start_upload_text(&path)))?;
        Ok(Upload::new(Outgoing(Some(self.0.clone()))))
    }

    fn store_unique(&self, wish: Vec<u8>) -> Result<(Upload, Option<Vec<u8>>), Error> {
        let name = self.0.with(|client| block(client.start_upload_unique(&wish)))?;
        Ok((Upload::new(Outgoing(Some(self.0.clone()))), name))
    }

    fn copy_to(
        &self,
        path: Vec<u8>,
        other: SessionBorrow<'_>,
        other_path: Vec<u8>,
        clear: bool,
        compare: bool,
    ) -> Result<CopyReceipt, Error> {
        let other = &other.get::<Self>().0;
        if other.is(&self.0) {
            return Err(error::invalid_state("a session cannot be both ends of a copy"));
        }
        let options = fxp::Options { clear, compare, ..fxp::Options::default() };
        let receipt = self
            .0
            .with(|source| other.with(|target| block(fxp::copy(source, &path, target, &other_path, &options))))?;
        Ok(CopyReceipt {
            status: receipt.status.into(),
            size: receipt.size,
            digest: receipt.digest.map(Digest::from),
            protected: receipt.protected,
            source: (&receipt.source).into(),
            target: (&receipt.target).into(),
        })
    }

    fn hash(&self, path: Vec<u8>, algorithm: Option<String>, range: Option<(u64, u64)>) -> Result<Digest, Error> {
        let algorithm = algorithm.map(|name| name.parse()).transpose()?;
        let range = range.map(|(start, end)| start..end);
        self.0.with(|client| block(client.hash(&path, algorithm, range))).map(Digest::from)
    }

    fn greeting(&self) -> Result<Reply, Error> {
        self.0.look(|client| client.greeting().into()).ok_or_else(error::closed)
    }

    fn features(&self) -> Result<Vec<(String, String)>, Error> {
        let listed = |client: &Client| client.features().iter().map(|(k, p)| (k.to_owned(), p.to_owned())).collect();
        self.0.look(listed).ok_or_else(error::closed)
    }

    fn tls(&self) -> Option<SessionInfo> {
        self.0.look(|client| client.tls().map(SessionInfo::from)).flatten()
    }

    fn open_file(&self, path: Vec<u8>, offset: u64) -> Result<File, Error> {
        let mut file = ftp::RemoteFile::new(&path);
        file.seek_to(offset);
        self.0.with(|client| block(file.begin(client)))?;
        Ok(File::new(Remote { slot: self.0.clone(), file: RefCell::new(file) }))
    }

    fn retrieve(&self, path: Vec<u8>, offset: u64) -> Result<Download, Error> {
        self.0.with(|client| block(client.start_download(&path, offset)))?;
        Ok(Download::new(Incoming { slot: Some(self.0.clone()), pending: RefCell::default() }))
    }

    fn retrieve_part(&self, path: Vec<u8>, offset: u64, end: u64) -> Result<(Vec<u8>, TransferReceipt), Error> {
        let how = ftp::Download { end: Some(end), ..ftp::Download::default() };
        let mut content = Vec::new();
        let receipt = self.0.with(|client| block(client.download_into(&path, &mut content, offset, &how, None)))?;
        Ok((content, receipt.into()))
    }

    fn store(&self, path: Vec<u8>, offset: u64) -> Result<Upload, Error> {
        self.0.with(|client| block(client.start_upload(&path, offset)))?;
        Ok(Upload::new(Outgoing(Some(self.0.clone()))))
    }

    fn append(&self, path: Vec<u8>) -> Result<Upload, Error> {
        self.0.with(|client| block(client.start_append(&path)))?;
        Ok(Upload::new(Outgoing(Some(self.0.clone()))))
    }

    fn set_encoding(&self, label: String, fallback: Option<String>) -> Result<(), Error> {
        let mut encoding = ftp::Encoding::for_label(&label)?;
        if let Some(label) = fallback {
            encoding = encoding.with_fallback(&label)?;
        }
        self.set(|client| client.settings().encoding = encoding)
    }

    fn set_list_options(&self, options: Option<String>) -> Result<(), Error> {
        self.set(|client| client.settings().list_options = options)
    }

    fn set_all_facts(&self, all: bool) -> Result<(), Error> {
        self.set(|client| client.settings().all_facts = all)
    }

    fn open_dir(&self, path: Vec<u8>) -> Result<Listing, Error> {
        self.0.with(|client| block(client.list(&path)))?;
        Ok(Listing::new(Reading {
            slot: RefCell::new(Some(self.0.clone())),
            pending: RefCell::default(),
            unparsed: Cell::new(0),
        }))
    }

    fn names(&self, path: Vec<u8>) -> Result<Vec<Vec<u8>>, Error> {
        self.0.with(|client| block(client.names(&path)))
    }

    fn exists(&self, path: Vec<u8>) -> Result<bool, Error> {
        self.0.with(|client| block(client.exists(&path)))
    }

    fn list_dir(&self, path: Vec<u8>) -> Result<Vec<Entry>, Error> {
        let entries = self.0.with(|client| block(client.entries(&path)))?;
        Ok(entries.into_iter().map(Entry::from).collect())
    }

    fn stat(&self, path: Vec<u8>) -> Result<Entry, Error> {
        self.0.with(|client| block(client.stat(&path))).map(Entry::from)
    }

    fn remove(&self, path: Vec<u8>) -> Result<(), Error> {
        self.0.with(|client| block(client.remove(&path)).map(drop))
    }

    fn rename(&self, source: Vec<u8>, target: Vec<u8>) -> Result<(), Error> {
        self.0.with(|client| block(client.rename(&source, &target)).map(drop))
    }

    fn mkdir(&self, path: Vec<u8>) -> Result<(), Error> {
        self.0.with(|client| block(client.mkdir(&path)).map(drop))
    }

    fn rmdir(&self, path: Vec<u8>) -> Result<(), Error> {
        self.0.with(|client| block(client.rmdir(&path)).map(drop))
    }

    fn cwd(&self, path: Vec<u8>) -> Result<(), Error> {
        self.0.with(|client| block(client.cwd(&path)).map(drop))
    }

    fn pwd(&self) -> Result<Vec<u8>, Error> {
        self.0.with(|client| block(client.pwd()))
    }

    fn noop(&self) -> Result<(), Error> {
        self.0.with(|client| block(client.noop()).map(drop))
    }

    fn is_closed(&self) -> bool {
        self.0.look(Client::is_closed).unwrap_or(true)
    }

    fn quit(this: Session) {
        if let Some(client) = this.into_inner::<Self>().0.take() {
            block(client.quit());
        }
    }
}

impl Files {
    fn reply(&self, ask: impl FnOnce(&mut Client) -> starttls::Result<starttls::reply::Reply>) -> Result<Reply, Error> {
        self.0.with(|client| ask(client).map(|reply| Reply::from(&reply)))
    }

    fn set(&self, set: impl FnOnce(&mut Client)) -> Result<(), Error> {
        self.0.with(|client| {
            set(client);
            Ok::<_, Error>(())
        })
    }
}

/// A listing under way. Its slot is `None` once it is over.
pub(crate) struct Reading {
    slot: RefCell<Option<Slot<Client>>>,
    /// Received and not yet asked for.
    pending: RefCell<std::vec::IntoIter<ftp::Entry>>,
    unparsed: Cell<u64>,
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

impl From<ftp::TransferReceipt> for TransferReceipt {
    fn from(receipt: ftp::TransferReceipt) -> Self {
        Self {
            status: receipt.status.into(),
            size: receipt.size,
            offset: receipt.offset,
            tls_resumed: receipt.tls_resumed,
            close_notify: receipt.close_notify,
            close_notify_sent: receipt.close_notify_sent,
            compressed: receipt.compressed,
            reply: (&receipt.reply).into(),
            digest: receipt.digest.map(Digest::from),
            attempts: receipt.attempts,
            duration: u64::try_from(receipt.duration.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

pub(crate) fn moment(time: Timestamp) -> Result<SystemTime, Error> {
    let nanos = u64::try_from(time).map_err(|_| error::invalid_argument("a server takes times from 1970 on"))?;
    Ok(UNIX_EPOCH + Duration::from_nanos(nanos))
}

impl From<ftp::Status> for TransferStatus {
    fn from(status: ftp::Status) -> Self {
        match status {
            ftp::Status::Verified => Self::Verified,
            ftp::Status::Complete => Self::Complete,
            ftp::Status::Unproven => Self::Unproven,
        }
    }
}

impl From<ftp::hash::Digest> for Digest {
    fn from(digest: ftp::hash::Digest) -> Self {
        Self {
            algorithm: digest.algorithm.name().to_owned(),
            value: digest.value,
            range: digest.range.map(|range| (range.start, range.end)),
        }
    }
}

impl From<ftp::Entry> for Entry {
    fn from(entry: ftp::Entry) -> Self {
        Self {
            name: entry.name().into_owned(),
            raw_name: entry.raw_name().to_vec(),
            kind: match entry.kind {
                ftp::EntryKind::File => EntryKind::File,
                ftp::EntryKind::Directory => EntryKind::Directory,
                ftp::EntryKind::Symlink => EntryKind::Symlink,
                ftp::EntryKind::Other => EntryKind::Other,
            },
            size: entry.size,
            modified: entry.modified.and_then(timestamp),
            precision: entry.time_precision().map(|precision| match precision {
                ftp::TimePrecision::Day => TimePrecision::Day,
                ftp::TimePrecision::Minute => TimePrecision::Minute,
                ftp::TimePrecision::Second => TimePrecision::Second,
            }),
            is_time_utc: entry.is_time_utc(),
            permissions: entry.permissions().map(Cow::into_owned),
            target: entry.target().map(<[u8]>::to_vec),
            owner: entry.owner().map(Cow::into_owned),
            group: entry.group().map(Cow::into_owned),
            mode: entry.mode(),
            created: entry.created().and_then(timestamp),
            unique: entry.unique().map(Cow::into_owned),
            facts: entry.facts().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
            is_safe_name: entry.is_safe_name(),
        }
    }
}

/// `None` for a time beyond the year 2262, or before 1677: no server means that.
fn timestamp(time: SystemTime) -> Option<Timestamp> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::try_from(since.as_nanos()).ok(),
        Err(before) => Timestamp::try_from(before.duration().as_nanos()).ok().map(|nanos| -nanos),
    }
}
