//! `starttls get`: a file from a server, whole under its name or not at all.

mod part;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use starttls::ftp::{self, TransferReceipt};
use starttls::tls::TlsInfo;
use starttls::transport::block;
use starttls::url::Protocol;
use starttls::{Error, ErrorKind};

use self::part::Part;
use crate::common::{Common, Network, Target};
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
    #[arg(short = 'c', long = "continue")]
    resume: bool,
}

/// Where the bytes go.
enum Sink {
    /// Standard output, a device, a pipe: nothing to rename, nothing to go on with.
    Stream(Box<dyn Write + Send>),
    /// A file.
    Part(Part),
}

/// A download that is over.
struct Downloaded {
    receipt: TransferReceipt,
    tls: Option<TlsInfo>,
    note: String,
}

impl Get {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let local = self.local(&target)?;
        let sink = self.sink(local.clone(), common)?;
        let Downloaded { receipt, tls, note } = block(download(common, &target, sink))?;
        let mut json = view::receipt(&receipt, tls.as_ref());
        json["local"] = json!(local.as_ref().map(|path| path.to_string_lossy()));
        let name = local.map_or(String::new(), |path| format!("{}: ", path.display()));
        Ok(Report::note(json, view::printable(&format!("{name}{note}"))))
    }

    /// The local path; `None` is standard output.
    fn local(&self, target: &Target) -> Result<Option<PathBuf>, Failure> {
        let name = || file_name(&target.url.path);
        match &self.local {
            Some(path) if path.as_os_str() == "-" => Ok(None),
            Some(path) if path.is_dir() => Ok(Some(path.join(name()?))),
            Some(path) => Ok(Some(path.clone())),
            None => Ok(Some(PathBuf::from(name()?))),
        }
    }

    fn sink(&self, local: Option<PathBuf>, common: &Common) -> Result<Sink, Failure> {
        let Some(local) = local else {
            return match (common.json, self.resume) {
                (true, _) => Err(Failure::usage("--json and the file both want standard output")),
                (_, true) => Err(Failure::usage("--continue needs a file to go on with")),
                _ => Ok(Sink::Stream(Box::new(io::stdout()))),
            };
        };
        // A device or a pipe is written as it is: to put a file in its place would be a surprise.
        if fs::metadata(&local).is_ok_and(|metadata| !metadata.is_file()) && !self.resume {
            let device = File::options().write(true).open(&local);
            let device = device.map_err(|error| Failure::file(Exit::CantCreate, &local, &error))?;
            return Ok(Sink::Stream(Box::new(device)));
        }
        Part::open(&local, self.resume).map(Sink::Part)
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

async fn download(common: &Common, target: &Target, sink: Sink) -> Result<Downloaded, Failure> {
    match sink {
        Sink::Stream(stream) => {
            let mut client = target.ftp(common).await?;
            let total = begin(common, target, &mut client, 0).await?;
            let done = receive(common, target, &mut client, stream, 0, total).await?;
            client.quit().await;
            Ok(done)
        }
        Sink::Part(part) => match into_part(common, target, &part).await {
            Ok((done, client)) => {
                part.commit()?;
                client.quit().await;
                Ok(done)
            }
            Err(failure) => Err(part.keep(failure)),
        },
    }
}

async fn into_part(
    common: &Common,
    target: &Target,
    part: &Part,
) -> Result<(Downloaded, ftp::Client<Network>), Failure> {
    let mut client = target.ftp(common).await?;
    if part.offset > 0
        && let Ok(size) = client.size(&target.url.path).await
    {
        part.check(size)?;
    }
    let total = begin(common, target, &mut client, part.offset).await?;
    let done = receive(common, target, &mut client, Box::new(part.writer()?), part.offset, total).await?;
    Ok((done, client))
}

/// Begins the download, and asks for the file's size if somebody looks.
async fn begin(
    common: &Common,
    target: &Target,
    client: &mut ftp::Client<Network>,
    offset: u64,
) -> Result<Option<u64>, Failure> {
    let path = &target.url.path;
    let total = if common.shows_progress() { client.size(path).await.ok() } else { None };
    client.start_download(path, offset).await.map_err(|error| failed(target, error))?;
    Ok(total)
}

async fn receive(
    common: &Common,
    target: &Target,
    client: &mut ftp::Client<Network>,
    writer: Box<dyn Write + Send + '_>,
    offset: u64,
    total: Option<u64>,
) -> Result<Downloaded, Failure> {
    let mut writer = Progress::new(BufWriter::with_capacity(BUFFER, writer), common.shows_progress(), offset, total);
    let outcome = client.receive_all(&mut writer).await;
    // After an error too: what came so far is what --continue goes on with.
    let flushed = writer.flush();
    let receipt = outcome.map_err(|error| failed(target, error))?;
    flushed.map_err(|error| failed(target, Error::local(error)))?;
    let resumed = if offset > 0 { format!(" after the first {}", bytes_for_people(offset)) } else { String::new() };
    let (size, rate) = (bytes_for_people(receipt.size), rate(receipt.size, writer.elapsed()));
    let note = format!("{size}{resumed}, {rate}, {}", receipt.status.as_str());
    Ok(Downloaded { receipt, tls: client.tls().cloned(), note })
}

fn failed(target: &Target, error: Error) -> Failure {
    match error.kind() {
        // The reader of our output has read enough.
        ErrorKind::Local(local) if local.kind() == io::ErrorKind::BrokenPipe => Failure::output(local),
        _ => target.failure(error, Exit::NoInput),
    }
}
