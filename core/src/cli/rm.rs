//! `starttls rm`: a remote file, or an empty directory.

use clap::Args;
use serde_json::json;
use starttls::transport::block;
use starttls::url::Protocol;

use crate::common::Common;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// Delete a remote file
#[derive(Args, Debug)]
pub(crate) struct Rm {
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…
    url: String,
    /// Delete an empty directory instead
    #[arg(short, long)]
    dir: bool,
}

impl Rm {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let path = &target.url.path;
        let reply = block(async {
            let mut client = target.ftp(common).await?;
            let reply = if self.dir { client.rmdir(path).await } else { client.remove(path).await };
            let reply = reply.map_err(|error| target.failure(error, Exit::NoInput))?;
            client.quit().await;
            Ok(reply)
        })?;
        let path = String::from_utf8_lossy(path);
        let json = json!({"removed": path, "reply": reply, "error": null});
        Ok(Report::note(json, view::printable(&format!("{path}: deleted"))))
    }
}
