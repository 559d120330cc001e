//! `starttls get`: a file from a server, whole under its name or not at all.
//!
//! ```text
//!   LOCAL.part ── written, flushed, on disk ── receipt ── renamed ──▶ LOCAL
//!        └────── any error leaves it there, for --continue; LOCAL is untouched
//! ```

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use starttls::ftp::{self, TransferReceipt};
use starttls::transport::{Blocking, block};
use starttls::url::Protocol;
use starttls::{Error, ErrorKind};

use crate::common::{Common, Target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::progress::{Progress, bytes_for_people, rate};
use crate::view;

const BUFFER: usize = 256 * 1024;

/// Download a file
///
/// It is written to LOCAL.part and renamed when it is whole. After an error LOCAL.part stays, and --continue goes on
/// where it ends; nothing else ever stands under the name LOCAL.
#[derive(Args, Debug)]
pub(crate) struct Get {
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…
    url: String,
    /// Where to; - is standard output [default: the last part of the URL's path]
    local: Option<PathBuf>,
    /// Go on where an earlier download into LOCAL.part ended
    #[arg(short, long = "continue")]
    resume: bool,
}

/// Where the bytes go.
enum Sink {
    /// Standard output, or something that is no regular file: nothing to rename, nothing to go on with.
    Stream(Box<dyn Write + Send>),
    /// `LOCAL.part`, and how much of it is there already.
    File { part: PathBuf, local: PathBuf, file: File, offset: u64 },
}

impl Get {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let sink = self.sink(&target, common)?;
        let into = match &sink {
            Sink::Stream(_) => None,
            Sink::File { local, .. } => Some(local.clone()),
        };
        let (receipt, tls, note) = block(download(common, &target, sink))?;
        let mut json = view::receipt(&receipt, tls.as_ref());
        json["local"] = json!(into.as_ref().map(|path| path.to_string_lossy()));
        let name = into.map_or(String::new(), |path| format!("{}: ", path.display()));
        Ok(Report::note(json, view::printable(&format!("{name}{note}"))))
    }

    fn sink(&self, target: &Target, common: &Common) -> Result<Sink, Failure> {
        let name = file_name(&target.url.path);
        let local = match &self.local {
            Some(path) if path.as_os_str() == "-" => {
                return match (common.json, self.resume) {
                    (true, _) => Err(Failure::usage("--json and the file both want standard output")),
                    (_, true) => Err(Failure::usage("--continue needs a file to go on with")),
                    _ => Ok(Sink::Stream(Box::new(io::stdout()))),
                };
            }
            Some(path) if path.is_dir() => path.join(name?),
            Some(path) => path.clone(),
            None => PathBuf::from(name?),
        };
        let cannot = |path: &Path, error: &io::Error| Failure::file(Exit::CantCreate, path, error);
        // A device or a pipe is written as it is: to put a file in its place would be a surprise.
        if fs::metadata(&local).is_ok_and(|metadata| !metadata.is_file()) && !self.resume {
            let file = File::options().write(true).open(&local).map_err(|error| cannot(&local, &error))?;
            return Ok(Sink::Stream(Box::new(file)));
        }
        let mut part = local.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut options = File::options();
        let options = if self.resume { options.append(true) } else { options.write(true).truncate(true) };
        let file = options.create(true).open(&part).map_err(|error| cannot(&part, &error))?;
        let offset = if self.resume { file.metadata().map_err(|error| cannot(&part, &error))?.len() } else { 0 };
        Ok(Sink::File { part, local, file, offset })
    }
}

/// The name a remote file has without its folders, if it can be a local one.
fn file_name(path: &[u8]) -> Result<String, Failure> {
    let name = String::from_utf8_lossy(path.rsplit(|&b| b == b'/').next().unwrap_or_default()).into_owned();
    if matches!(name.as_str(), "" | "." | "..") || name.contains(['\0', '\\']) {
        return Err(Failure::usage("the URL's path does not end in a file's name: say where to download to"));
    }
    Ok(name)
}

type Downloaded = (TransferReceipt, Option<starttls::tls::TlsInfo>, String);

async fn download(common: &Common, target: &Target, sink: Sink) -> Result<Downloaded, Failure> {
    let mut client = target.ftp(common).await?;
    let (receipt, note) = match sink {
        Sink::Stream(stream) => transfer(common, target, &mut client, stream, 0).await?,
        Sink::File { part, local, file, offset } => {
            let done = into_file(common, target, &mut client, &part, &file, offset).await;
            let done = done.map_err(|failure| keep(failure, &part, &file))?;
            // Only a disk that has it all may lose what stood under the name before.
            file.sync_all().map_err(|error| Failure::file(Exit::IoError, &part, &error))?;
            fs::rename(&part, &local).map_err(|error| {
                Failure::file(Exit::CantCreate, &local, &error).advise(format!("the file is whole: {}", part.display()))
            })?;
            done
        }
    };
    let tls = client.tls().cloned();
    client.quit().await;
    Ok((receipt, tls, note))
}

async fn into_file(
    common: &Common,
    target: &Target,
    client: &mut ftp::Client<Blocking>,
    part: &Path,
    file: &File,
    offset: u64,
) -> Result<(TransferReceipt, String), Failure> {
    if offset > 0
        && let Ok(size) = client.size(&target.url.path).await
        && size < offset
    {
        let why = format!("{}: {offset} bytes, and the remote file has {size}", part.display());
        return Err(Failure::new(Exit::Data, why).advise("this is no beginning of that file: remove it"));
    }
    let writer = Box::new(file.try_clone().map_err(|error| Failure::file(Exit::IoError, part, &error))?);
    transfer(common, target, client, writer, offset).await
}

async fn transfer(
    common: &Common,
    target: &Target,
    client: &mut ftp::Client<Blocking>,
    writer: Box<dyn Write + Send>,
    offset: u64,
) -> Result<(TransferReceipt, String), Failure> {
    let fail = |error| failed(target, error);
    let path = &target.url.path;
    let shown = common.shows_progress();
    let total = if shown { client.size(path).await.ok() } else { None };
    client.start_download(path, offset).await.map_err(fail)?;
    let mut writer = Progress::new(BufWriter::with_capacity(BUFFER, writer), shown, offset, total);
    let outcome = client.receive_all(&mut writer).await;
    // After an error too: what came so far is what --continue goes on with.
    let flushed = writer.flush();
    let receipt = outcome.map_err(fail)?;
    flushed.map_err(|error| fail(Error::local(error)))?;
    let (size, elapsed) = (receipt.size, writer.elapsed());
    let resumed = if offset > 0 { format!(" after the first {}", bytes_for_people(offset)) } else { String::new() };
    let status = receipt.status.as_str();
    Ok((receipt, format!("{}{resumed}, {}, {status}", bytes_for_people(size), rate(size, elapsed))))
}

fn failed(target: &Target, error: Error) -> Failure {
    match error.kind() {
        // The reader of our output has read enough.
        ErrorKind::Local(local) if local.kind() == io::ErrorKind::BrokenPipe => Failure::output(local),
        _ => target.failure(error, Exit::NoInput),
    }
}

/// After an error: what is there is kept, if it is anything.
fn keep(failure: Failure, part: &Path, file: &File) -> Failure {
    match file.metadata().map(|metadata| metadata.len()) {
        Ok(0) => {
            // Nothing to go on with; that it is in the way is the worst that can happen.
            let _ = fs::remove_file(part);
            failure
        }
        _ if failure.has_advice() => failure,
        _ => failure.advise(format!("what came so far is in {}: --continue goes on with it", part.display())),
    }
}
