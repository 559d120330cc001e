//! `starttls mkdir`: a remote directory.

use clap::Args;
use serde_json::json;
use starttls::transport::block;
use starttls::url::Protocol;

use crate::common::Common;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// Make a remote directory
#[derive(Args, Debug)]
pub(crate) struct Mkdir {
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…
    url: String,
    /// Make those above it, too; it is no error if it is there already
    #[arg(short, long)]
    parents: bool,
}

impl Mkdir {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let path = &target.url.path;
        let reply = block(async {
            let mut client = target.ftp(common).await?;
            // With the others there is no one reply that says it all.
            let made = if self.parents {
                client.makedirs(path).await.map(|()| None)
            } else {
                client.mkdir(path).await.map(Some)
            };
            let reply = made.map_err(|error| target.failure(error, Exit::CantCreate))?;
            client.quit().await;
            Ok::<_, Failure>(reply)
        })?;
        let path = String::from_utf8_lossy(path);
        let json = json!({"made": path, "reply": reply, "error": null});
        Ok(Report::note(json, view::printable(&format!("{path}: made"))))
    }
}
