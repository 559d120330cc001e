//! `starttls get`: a file from a server, whole under its name or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use starttls::ftp::{Download, LocalFailure, TransferReceipt};
use starttls::tls::TlsInfo;
use starttls::transport::block;
use starttls::url::Protocol;
use starttls::{Error, ErrorKind};

use crate::common::{Common, Target};
use crate::exit::Exit;
use crate::failure::{self, Failure};
use crate::output::Report;
use crate::range::{self, Part};
use crate::view;
use crate::whole::{self, Watch, Whole};

const BUFFER: usize = 256 * 1024;

/// Download a file
///
/// It is written to LOCAL.part and renamed when it is whole. After an error, or Ctrl-C, LOCAL.part stays, and --continue
/// goes on where it ends; nothing else ever stands under the name LOCAL.
#[derive(Args, Debug)]
pub(crate) struct Get {
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…
    url: String,
    /// Where to; - is standard output [default: the last part of the URL's path; with --range -]
    local: Option<PathBuf>,
    #[command(flatten)]
    whole: Whole,
    /// Download by so many sessions at once, each a part of the file
    #[arg(long, value_name = "N", default_value = "1")]
    segments: NonZeroUsize,
    /// Only these bytes, to standard output or a device: 0-499, 500- (to the end), or -500 (the last 500)
    #[arg(short, long, value_name = "FIRST-LAST", value_parser = range::part, allow_hyphen_values = true)]
    #[arg(conflicts_with_all = ["resume", "segments", "keep_times"])]
    range: Option<Part>,
}

impl Get {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let local = self.local(&target)?;
        // A device or a pipe is written as it is: to put a file in its place would be a surprise.
        let is_stream = |path: &Path| fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        let (receipt, tls) = match &local {
            Some(path) if !is_stream(path) && self.range.is_some() => {
                let why = "under a file's name there is all of it or nothing: write the part to standard output (-)";
                return Err(Failure::usage(why));
            }
            Some(path) if !is_stream(path) => block(self.to_path(common, &target, path))?,
            path => block(self.to_stream(common, &target, path.as_deref()))?,
        };
        let mut json = view::receipt(&receipt, tls.as_ref());
        json["local"] = json!(local.as_ref().map(|path| path.to_string_lossy()));
        let name = local.map_or(String::new(), |path| format!("{}: ", path.display()));
        Ok(Report::note(json, view::printable(&format!("{name}{}", whole::note(&receipt)))))
    }

    /// The local path; `None` is standard output.
    fn local(&self, target: &Target) -> Result<Option<PathBuf>, Failure> {
        let name = || file_name(&target.url.path);
        match &self.local {
            Some(path) if path.as_os_str() == "-" => Ok(None),
            Some(path) if path.is_dir() => Ok(Some(path.join(name()?))),
            Some(path) => Ok(Some(path.clone())),
            None if self.range.is_some() => Ok(None),
            None => Ok(Some(PathBuf::from(name()?))),
        }
    }

    fn how(&self) -> Download {
        Download {
            resume: self.whole.resume,
            changed: self.whole.on_change,
            keep_part: true,
            verify: self.whole.verify,
            keep_times: self.whole.keep_times,
            rate_limit: self.whole.rate_limit(),
            retries: self.whole.retries,
            segments: self.segments,
            ..Download::default()
        }
    }

    async fn to_path(
        &self,
        common: &Common,
        target: &Target,
        local: &Path,
    ) -> Result<(TransferReceipt, Option<TlsInfo>), Failure> {
        let mut client = target.ftp(common).await?;
        let mut watch = Watch::new(common.shows_progress())?;
        let mut tell = |done, total| watch.tell(done, total);
        let outcome = client.download(&target.url.path, local, &self.how(), Some(&mut tell)).await;
        drop(watch);
        let receipt = outcome.map_err(|error| failed(target, error, self.whole.resume))?;
        let tls = client.tls().cloned();
        client.quit().await;
        Ok((receipt, tls))
    }

    async fn to_stream(
        &self,
        common: &Common,
        target: &Target,
        device: Option<&Path>,
    ) -> Result<(TransferReceipt, Option<TlsInfo>), Failure> {
        if self.whole.resume {
            return Err(Failure::usage("--continue needs a file to go on with"));
        }
        let stream: Box<dyn Write + Send> = match device {
            Some(path) => {
                let device = File::options().write(true).open(path);
                Box::new(device.map_err(|error| Failure::file(Exit::CantCreate, path, &error))?)
            }
            None if common.json => return Err(Failure::usage("--json and the file both want standard output")),
            None => Box::new(io::stdout()),
        };
        let mut client = target.ftp(common).await?;
        let mut watch = Watch::new(common.shows_progress())?;
        let mut tell = |done, total| watch.tell(done, total);
        let mut stream = BufWriter::with_capacity(BUFFER, stream);
        let path = &target.url.path;
        let (offset, end) = match &self.range {
            None => (0, None),
            Some(Part::Between(part)) => (*part.start(), Some(part.end() + 1)),
            Some(Part::From(first)) => (*first, None),
            Some(Part::Last(count)) => {
                let size = client.size(path).await.map_err(|error| failed(target, error, false))?;
                (size.saturating_sub(*count), None)
            }
        };
        let how = Download { end, ..self.how() };
        let outcome = client.download_into(path, &mut stream, offset, &how, Some(&mut tell)).await;
        drop(watch);
        let receipt = outcome.map_err(|error| failed(target, error, false))?;
        let tls = client.tls().cloned();
        client.quit().await;
        Ok((receipt, tls))
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

fn failed(target: &Target, error: Error, resumed: bool) -> Failure {
    match error.kind() {
        // The reader of our output has read enough.
        ErrorKind::Local(local) if local.kind() == io::ErrorKind::BrokenPipe => Failure::output(local),
        ErrorKind::Local(local) => match local.get_ref().and_then(|inner| inner.downcast_ref::<LocalFailure>()) {
            Some(local) => {
                use io::ErrorKind as K;
                let exit = match local.error().kind() {
                    K::NotFound | K::PermissionDenied | K::IsADirectory | K::NotADirectory => Exit::CantCreate,
                    K::ReadOnlyFilesystem | K::ResourceBusy => Exit::CantCreate,
                    _ => Exit::IoError,
                };
                let advice = error.advice().map(failure::in_flags);
                let failure = Failure::file(exit, local.path(), local.error());
                advice.into_iter().fold(failure, Failure::advise)
            }
            None => target.failure(error, Exit::NoInput),
        },
        ErrorKind::FileChanged(_) if resumed => {
            let advice = "give --on-change restart, or remove LOCAL.part";
            target.failure(error, Exit::NoInput).advise(advice)
        }
        _ => target.failure(error, Exit::NoInput),
    }
}
