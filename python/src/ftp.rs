//! File transfer: commands as values, performed over any transport.

mod command;
mod session;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use pyo3::pybacked::PyBackedBytes;
use starttls::Options;
use starttls::ftp::hash::Algorithm;
use starttls::ftp::{
    self, Client, Credentials, Download, Examination, Placement, RemoteFile, Settings, TransferReceipt, Upload, fxp,
};
use starttls::tls::TlsInfo;
use starttls::transport::{Endpoint, Transport};
use zeroize::Zeroizing;

use crate::body::{Pulse, Source, Told, Writer};
use crate::error::{Failure, Hint};
use crate::mirror::Mirroring;
use crate::session::Protocol;
use crate::value::Value;

pub(crate) use command::FtpCommand;
pub(crate) use session::{FtpSession, RemoteFile as RemoteFileClass};

/// How to open a session.
pub(crate) struct Ftp {
    endpoint: Endpoint,
    options: Options,
    credentials: Credentials,
    settings: Settings,
}

/// What to do in it.
pub(crate) enum Command {
    Download { path: PyBackedBytes, offset: u64, into: Target, how: Box<Download>, progress: Told },
    Upload { path: PyBackedBytes, from: Origin, how: Box<Upload>, progress: Told },
    StartDownload(PyBackedBytes, u64),
    BeginFile(SharedFile, u64),
    ReadFile(SharedFile, u64, usize),
    FileSize(SharedFile),
    CloseFile(SharedFile),
    Receive,
    StartUpload(PyBackedBytes, Placement),
    Transmit(PyBackedBytes),
    Finish,
    Abort,
    List(PyBackedBytes),
    NextEntries,
    Entries(PyBackedBytes),
    Names(PyBackedBytes),
    Exists(PyBackedBytes),
    Stat(PyBackedBytes),
    Remove(PyBackedBytes),
    Rename(PyBackedBytes, PyBackedBytes),
    Mkdir(PyBackedBytes),
    Rmdir(PyBackedBytes),
    Cwd(PyBackedBytes),
    Pwd,
    Noop,
    Mirror(Box<Mirroring>),
    Login(Credentials),
    Account(Zeroizing<String>),
    Status(PyBackedBytes),
    System,
    Help(String),
    Language(String),
    Site(PyBackedBytes),
    Quote(PyBackedBytes),
    Chmod(PyBackedBytes, u32),
    SetModified(PyBackedBytes, SystemTime),
    SetCreated(PyBackedBytes, SystemTime),
    SetFacts(PyBackedBytes, Vec<(String, String)>),
    Available(PyBackedBytes),
    Allocate(u64),
    Makedirs(PyBackedBytes),
    RemoveTree(PyBackedBytes),
    DownloadText { path: PyBackedBytes, into: Target },
    UploadText { path: PyBackedBytes, from: Source, pulse: Pulse },
    UploadUnique { wish: PyBackedBytes, from: Source, pulse: Pulse },
    CopyTo { path: PyBackedBytes, other: Arc<Ftp>, directory: Vec<u8>, to: PyBackedBytes, how: fxp::Options },
    Hash { path: PyBackedBytes, algorithm: Option<Algorithm>, range: Option<Range<u64>> },
}

/// A remote file that is read in several operations, of which each has it to itself.
#[derive(Clone)]
pub(crate) struct SharedFile(Arc<Mutex<Option<RemoteFile>>>);

impl SharedFile {
    pub(crate) fn new(path: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(Some(RemoteFile::new(path)))))
    }

    fn lock(&self) -> MutexGuard<'_, Option<RemoteFile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Taken<'_>, Failure> {
        let busy = || std::io::Error::new(std::io::ErrorKind::ResourceBusy, "this remote file is being read");
        let file = self.lock().take().ok_or_else(|| Failure::Local(busy()))?;
        Ok(Taken { file: Some(file), from: self })
    }

    /// The receipt of the download that came to the file's end.
    pub(crate) fn receipt(&self) -> Option<TransferReceipt> {
        self.lock().as_ref().and_then(|file| file.receipt().cloned())
    }
}

/// A remote file in use: it is put back whatever becomes of the operation.
struct Taken<'s> {
    file: Option<RemoteFile>,
    from: &'s SharedFile,
}

impl Taken<'_> {
    fn file(&mut self) -> &mut RemoteFile {
        self.file.as_mut().expect("it is there until it is put back")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.from.lock() = self.file.take();
    }
}

/// Where a download goes to.
pub(crate) enum Target {
    Path(PathBuf),
    Writer(Writer),
}

/// Where an upload comes from.
pub(crate) enum Origin {
    Path(PathBuf),
    Source(Source),
}

impl Protocol for Ftp {
    type Client<T: Transport + Clone + 'static> = Client<T>;
    type Command = Command;
    type Aside = Examination;

    async fn aside<T: Transport + Clone + 'static>(&self, transport: T, what: Examination) -> Value {
        let Self { endpoint, options, credentials, settings } = self;
        let diagnosis = ftp::doctor(&transport, endpoint, options, settings, Some(credentials), &what).await;
        Value::Diagnosis(Box::new(diagnosis))
    }

    async fn connect<T: Transport + Clone + 'static>(&self, transport: T) -> starttls::Result<Client<T>> {
        let mut client = Client::connect_with(transport, &self.endpoint, self.options.clone(), &self.settings).await?;
        client.login(&self.credentials).await?;
        Ok(client)
    }

    fn leave<T: Transport + Clone + 'static>(client: &mut Client<T>) -> bool {
        client.abandon();
        !client.is_closed()
    }

    async fn perform<T: Transport + Clone + 'static>(
        client: &mut Client<T>,
        command: Command,
    ) -> Result<Value, Failure> {
        Ok(match command {
            Command::Download { path, offset, into, how, progress } => {
                let mut tell = |done, total| progress.tell(done, total);
                let receipt = match into {
                    Target::Path(local) => client.download(&path, local, &how, Some(&mut tell)).await?,
                    Target::Writer(mut writer) => {
                        client.download_into(&path, &mut writer, offset, &how, Some(&mut tell)).await?
                    }
                };
                Value::Receipt(receipt)
            }
            Command::Upload { path, from, how, progress } => {
                let mut tell = |done, total| progress.tell(done, total);
                let receipt = match from {
                    Origin::Path(local) => client.upload(local, &path, &how, Some(&mut tell)).await?,
                    Origin::Source(mut source) => client.upload_from(&mut source, &path, &how, Some(&mut tell)).await?,
                };
                Value::Receipt(receipt)
            }
            Command::StartDownload(path, offset) => {
                client.start_download(&path, offset).await?;
                Value::None
            }
            Command::BeginFile(file, at) => {
                let mut it = file.take()?;
                it.file().seek_to(at);
                it.file().begin(client).await?;
                Value::None
            }
            Command::ReadFile(file, at, most) => {
                let mut it = file.take()?;
                it.file().seek_to(at);
                let mut piece = vec![0; most];
                let count = it.file().read(client, &mut piece).await?;
                piece.truncate(count);
                Value::Bytes(piece)
            }
            Command::FileSize(file) => {
                let mut it = file.take()?;
                Value::Number(it.file().size(client).await?)
            }
            Command::CloseFile(file) => {
                let mut it = file.take()?;
                it.file().close(client).await;
                Value::None
            }
            Command::Receive => {
                let mut piece = Vec::new();
                client.receive(&mut |bytes| piece.extend_from_slice(bytes)).await?;
                Value::Bytes(piece)
            }
            Command::StartUpload(path, how) => {
                start_upload(client, &path, how).await?;
                Value::None
            }
            Command::Transmit(bytes) => {
                client.transmit(&bytes).await?;
                Value::None
            }
            Command::Finish => Value::Receipt(client.finish().await?),
            Command::Abort => {
                client.abort().await;
                Value::None
            }
            Command::Entries(path) => Value::Entries(client.entries(&path).await?),
            Command::List(path) => {
                client.list(&path).await?;
                Value::None
            }
            Command::NextEntries => {
                let entries = client.next_entries().await?;
                Value::Listed { entries, unparsed: client.listing_report().unparsed }
            }
            Command::Names(path) => Value::Names(client.names(&path).await?),
            Command::Exists(path) => Value::Truth(client.exists(&path).await?),
            Command::Stat(path) => Value::Entry(Box::new(client.stat(&path).await?)),
            Command::Remove(path) => Value::Reply(client.remove(&path).await?),
            Command::Rename(from, to) => Value::Reply(client.rename(&from, &to).await?),
            Command::Mkdir(path) => Value::Reply(client.mkdir(&path).await?),
            Command::Rmdir(path) => Value::Reply(client.rmdir(&path).await?),
            Command::Cwd(path) => Value::Reply(client.cwd(&path).await?),
            Command::Pwd => Value::Bytes(client.pwd().await?),
            Command::Mirror(mirroring) => mirroring.perform(client).await?,
            Command::Noop => Value::Reply(client.noop().await?),
            Command::Login(credentials) => {
                client.reinitialize().await?;
                client.login(&credentials).await?;
                Value::None
            }
            Command::Account(account) => Value::Reply(client.account(&account).await?),
            Command::Status(path) => Value::Reply(client.status(&path).await?),
            Command::System => Value::Reply(client.system().await?),
            Command::Help(topic) => Value::Reply(client.help(&topic).await?),
            Command::Language(tag) => Value::Reply(client.language(&tag).await?),
            Command::Site(text) => Value::Reply(client.site(&text).await?),
            Command::Quote(command) => Value::Reply(client.quote(&command).await?),
            Command::Chmod(path, mode) => Value::Reply(client.chmod(&path, mode).await?),
            Command::SetModified(path, time) => Value::Reply(client.set_modified(&path, time).await?),
            Command::SetCreated(path, time) => Value::Reply(client.set_created(&path, time).await?),
            Command::SetFacts(path, facts) => {
                let facts: Vec<_> = facts.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                Value::Reply(client.set_facts(&path, &facts).await?)
            }
            Command::Available(path) => Value::Number(client.available(&path).await?),
            Command::Allocate(size) => Value::Reply(client.allocate(size).await?),
            Command::Makedirs(path) => {
                client.makedirs(&path).await?;
                Value::None
            }
            Command::RemoveTree(path) => Value::Removal(client.remove_tree(&path).await?),
            Command::DownloadText { path, into } => {
                client.start_download_text(&path).await?;
                let receipt = match into {
                    Target::Path(local) => match std::fs::File::create(local) {
                        Ok(mut file) => client.receive_all(&mut file).await?,
                        Err(error) => {
                            client.abort().await;
                            return Err(starttls::Error::local(error).into());
                        }
                    },
                    Target::Writer(mut writer) => client.receive_all(&mut writer).await?,
                };
                Value::Receipt(receipt)
            }
            Command::UploadText { path, mut from, mut pulse } => {
                client.start_upload_text(&path).await?;
                if let Err(failure) = transmit_all(client, &mut from, &mut pulse).await {
                    return Err(given_up(client, failure).await);
                }
                Value::Receipt(client.finish().await?)
            }
            Command::UploadUnique { wish, mut from, mut pulse } => {
                let name = client.start_upload_unique(&wish).await?;
                if let Err(failure) = transmit_all(client, &mut from, &mut pulse).await {
                    return Err(given_up(client, failure).await);
                }
                Value::Unique(client.finish().await?, name)
            }
            Command::CopyTo { path, other, directory, to, how } => {
                let mut target = other.connect(client.transport().clone()).await?;
                if !directory.is_empty() {
                    target.cwd(&directory).await?;
                }
                let receipt = fxp::copy(client, &path, &mut target, &to, &how).await;
                target.quit().await;
                Value::Copied(receipt?)
            }
            Command::Hash { path, algorithm, range } => Value::Digest(client.hash(&path, algorithm, range).await?),
        })
    }

    async fn quit<T: Transport + Clone + 'static>(client: Client<T>) {
        client.quit().await;
    }

    fn hint(command: &Command) -> Hint {
        match command {
            Command::Download { .. }
            | Command::StartDownload(..)
            | Command::BeginFile(..)
            | Command::ReadFile(..)
            | Command::FileSize(_)
            | Command::List(_)
            | Command::Entries(_)
            | Command::Names(_)
            | Command::Stat(_)
            | Command::Remove(_)
            | Command::Rename(..)
            | Command::Rmdir(_)
            | Command::Cwd(_)
            | Command::Chmod(..)
            | Command::SetModified(..)
            | Command::SetCreated(..)
            | Command::SetFacts(..)
            | Command::RemoveTree(_)
            | Command::DownloadText { .. }
            | Command::CopyTo { .. }
            | Command::Hash { .. } => Hint::Existing,
            Command::Mirror(mirroring) => mirroring.hint(),
            Command::Upload { .. } | Command::StartUpload(..) | Command::Mkdir(_) | Command::UploadText { .. } => {
                Hint::New
            }
            _ => Hint::None,
        }
    }

    fn tls<T: Transport + Clone + 'static>(client: &Client<T>) -> Option<&TlsInfo> {
        client.tls()
    }

    fn offers<T: Transport + Clone + 'static>(client: &Client<T>) -> Vec<(String, String)> {
        client.features().iter().map(|(name, parameters)| (name.into(), parameters.into())).collect()
    }
}

async fn start_upload<T: Transport>(client: &mut Client<T>, path: &[u8], how: Placement) -> starttls::Result<()> {
    match how {
        Placement::Whole => client.start_upload(path, 0).await,
        Placement::At(offset) => client.start_upload(path, offset).await,
        Placement::End => client.start_append(path).await,
    }
}

async fn transmit_all<T: Transport>(
    client: &mut Client<T>,
    from: &mut Source,
    pulse: &mut Pulse,
) -> Result<(), Failure> {
    while let Some(piece) = from.next()? {
        client.transmit(piece).await?;
        pulse.advance(piece.len())?;
    }
    Ok(())
}

/// A failure on our side ends the transfer; one on the server's side has ended it already.
async fn given_up<T: Transport>(client: &mut Client<T>, failure: Failure) -> Failure {
    if matches!(failure, Failure::Python(_) | Failure::Local(_)) {
        client.abort().await;
    }
    failure
}
