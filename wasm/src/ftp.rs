//! File transfer sessions as resources.

use starttls::ftp::{self, Credentials, Examination, fxp};
use starttls::transport::block;

use crate::Component;
use crate::doctor;
use crate::error;
use crate::exports::ftp::{
    CopyReceipt, DataProtection, Diagnosis, Digest, Download, Entry, File, Guest, GuestSession, Listing, Login,
    NotRemoved, Removal, Session, SessionBinding, SessionBorrow, TransferReceipt, Upload,
};
use crate::exports::tls::{ClientConfigBorrow, SessionInfo};
use crate::exports::types::{Endpoint, Error, OptionsBorrow, Reply, Timestamp};
use crate::facts::moment;
use crate::options::{Network, Options};
use crate::slot::Slot;
use crate::tls::ClientConfig;
use crate::transfers::{Incoming, Outgoing, Reading, Remote};

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
        Ok(Download::new(Incoming::new(self.0.clone())))
    }

    fn store_text(&self, path: Vec<u8>) -> Result<Upload, Error> {
        self.0.with(|client| block(client.start_upload_text(&path)))?;
        Ok(Upload::new(Outgoing::new(self.0.clone())))
    }

    fn store_unique(&self, wish: Vec<u8>) -> Result<(Upload, Option<Vec<u8>>), Error> {
        let name = self.0.with(|client| block(client.start_upload_unique(&wish)))?;
        Ok((Upload::new(Outgoing::new(self.0.clone())), name))
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
        Ok(File::new(Remote::new(self.0.clone(), file)))
    }

    fn retrieve(&self, path: Vec<u8>, offset: u64) -> Result<Download, Error> {
        self.0.with(|client| block(client.start_download(&path, offset)))?;
        Ok(Download::new(Incoming::new(self.0.clone())))
    }

    fn retrieve_part(&self, path: Vec<u8>, offset: u64, end: u64) -> Result<(Vec<u8>, TransferReceipt), Error> {
        let how = ftp::Download { end: Some(end), ..ftp::Download::default() };
        let mut content = Vec::new();
        let receipt = self.0.with(|client| block(client.download_into(&path, &mut content, offset, &how, None)))?;
        Ok((content, receipt.into()))
    }

    fn store(&self, path: Vec<u8>, offset: u64) -> Result<Upload, Error> {
        self.0.with(|client| block(client.start_upload(&path, offset)))?;
        Ok(Upload::new(Outgoing::new(self.0.clone())))
    }

    fn append(&self, path: Vec<u8>) -> Result<Upload, Error> {
        self.0.with(|client| block(client.start_append(&path)))?;
        Ok(Upload::new(Outgoing::new(self.0.clone())))
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
        Ok(Listing::new(Reading::new(self.0.clone())))
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
