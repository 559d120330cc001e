//! `starttls put`: a file to a server.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use starttls::ftp::TransferReceipt;
use starttls::tls::TlsInfo;
use starttls::transport::block;
use starttls::url::Protocol;

use crate::common::{Common, Target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::progress::{Progress, bytes_for_people, rate};
use crate::view;

/// Upload a file; one that has the name already is replaced
#[derive(Args, Debug)]
pub(crate) struct Put {
    /// The file; - is standard input
    local: PathBuf,
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…; a path that ends in / is a folder to put it into
    url: String,
}

impl Put {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let path = self.remote(&target.url.path)?;
        // Opened before anything is sent: a file that cannot be read leaves the remote one as it was.
        let (source, total) = self.open(common)?;
        let (receipt, tls, note) = block(upload(common, &target, &path, source, total))?;
        let mut json = view::receipt(&receipt, tls.as_ref());
        let remote = String::from_utf8_lossy(&path);
        json["remote"] = json!(remote);
        Ok(Report::note(json, view::printable(&format!("{remote}: {note}"))))
    }

    /// The remote path, with the local name where the URL names a folder.
    fn remote(&self, path: &[u8]) -> Result<Vec<u8>, Failure> {
        if !path.is_empty() && !path.ends_with(b"/") {
            return Ok(path.to_vec());
        }
        let name = self.local.file_name().filter(|_| self.local.as_os_str() != "-");
        let Some(name) = name else {
            return Err(Failure::usage("the URL's path does not end in a file's name: add one"));
        };
        Ok([path, name.as_encoded_bytes()].concat())
    }

    fn open(&self, common: &Common) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
        if self.local == Path::new("-") {
            if common.login.reads_stdin().is_some() {
                return Err(Failure::usage("--password-file - and the file both want standard input"));
            }
            return Ok((Box::new(io::stdin()), None));
        }
        let unreadable = |error: io::Error| Failure::file(Exit::NoInput, &self.local, &error);
        let file = File::open(&self.local).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
    }
}

async fn upload(
    common: &Common,
    target: &Target,
    path: &[u8],
    source: Box<dyn Read + Send>,
    total: Option<u64>,
) -> Result<(TransferReceipt, Option<TlsInfo>, String), Failure> {
    let fail = |error| target.failure(error, Exit::CantCreate);
    let mut client = target.ftp(common).await?;
    client.start_upload(path, 0).await.map_err(fail)?;
    let mut reader = Progress::new(source, common.shows_progress(), 0, total);
    let receipt = client.transmit_all(&mut reader).await.map_err(fail)?;
    let (size, elapsed) = (receipt.size, reader.elapsed());
    drop(reader);
    let tls = client.tls().cloned();
    client.quit().await;
    let note = format!("{}, {}, {}", bytes_for_people(size), rate(size, elapsed), receipt.status.as_str());
    Ok((receipt, tls, note))
}
