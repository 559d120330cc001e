//! `starttls put`: a file to a server.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use starttls::ftp::{Once, TransferReceipt, Upload};
use starttls::tls::TlsInfo;
use starttls::transport::block;
use starttls::url::Protocol;

use crate::common::{Common, Target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;
use crate::whole::{self, Watch, Whole};

/// Upload a file; one that has the name already is replaced
#[derive(Args, Debug)]
pub(crate) struct Put {
    /// The file; - is standard input
    local: PathBuf,
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…; a path that ends in / is a folder to put it into
    url: String,
    #[command(flatten)]
    whole: Whole,
    /// Upload under the name and this, and rename when it is whole
    #[arg(long, value_name = "SUFFIX", num_args = 0..=1, default_missing_value = ".part")]
    part: Option<String>,
    /// Delete a file of the name before renaming, where the server does not rename onto one
    #[arg(long, requires = "part")]
    replace: bool,
}

impl Put {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let path = self.remote(&target.url.path)?;
        if !self.is_stdin() {
            // Looked at before anything is sent: a file that cannot be read leaves the remote one as it was.
            let readable = std::fs::File::open(&self.local).and_then(|file| match file.metadata()?.is_dir() {
                true => Err(io::ErrorKind::IsADirectory.into()),
                false => Ok(()),
            });
            readable.map_err(|error| Failure::file(Exit::NoInput, &self.local, &error))?;
        } else if common.login.reads_stdin().is_some() {
            return Err(Failure::usage("--password-file - and the file both want standard input"));
        } else if self.whole.resume {
            return Err(Failure::usage("--continue needs a file to go on with"));
        }
        let (receipt, tls) = block(self.upload(common, &target, &path))?;
        let mut json = view::receipt(&receipt, tls.as_ref());
        let remote = String::from_utf8_lossy(&path);
        json["remote"] = json!(remote);
        Ok(Report::note(json, view::printable(&format!("{remote}: {}", whole::note(&receipt)))))
    }

    fn is_stdin(&self) -> bool {
        self.local == Path::new("-")
    }

    /// The remote path, with the local name where the URL names a folder.
    fn remote(&self, path: &[u8]) -> Result<Vec<u8>, Failure> {
        if !path.is_empty() && !path.ends_with(b"/") {
            return Ok(path.to_vec());
        }
        let name = self.local.file_name().filter(|_| !self.is_stdin());
        let Some(name) = name else {
            return Err(Failure::usage("the URL's path does not end in a file's name: add one"));
        };
        Ok([path, name.as_encoded_bytes()].concat())
    }

    async fn upload(
        &self,
        common: &Common,
        target: &Target,
        path: &[u8],
    ) -> Result<(TransferReceipt, Option<TlsInfo>), Failure> {
        let how = Upload {
            resume: self.whole.resume,
            changed: self.whole.on_change,
            part: self.part.clone(),
            replace: self.replace,
            verify: self.whole.verify,
            keep_times: self.whole.keep_times,
            rate_limit: self.whole.rate_limit(),
            retries: self.whole.retries,
            ..Upload::default()
        };
        let mut client = target.ftp(common).await?;
        let mut watch = Watch::new(common.shows_progress())?;
        let mut tell = |done, total| watch.tell(done, total);
        let outcome = if self.is_stdin() {
            client.upload_from(&mut Once(io::stdin()), path, &how, Some(&mut tell)).await
        } else {
            client.upload(&self.local, path, &how, Some(&mut tell)).await
        };
        drop(watch);
        let receipt = outcome.map_err(|error| target.failure(error, Exit::CantCreate))?;
        let tls = client.tls().cloned();
        client.quit().await;
        Ok((receipt, tls))
    }
}
