//! `starttls mv`: a remote file or directory under another name.

use clap::Args;
use serde_json::json;
use starttls::transport::block;
use starttls::url::Protocol;

use crate::common::Common;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// Rename or move a remote file or directory
#[derive(Args, Debug)]
pub(crate) struct Mv {
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…
    url: String,
    /// The new path on the same server, as it is: relative to where the login puts us, unless it begins with /. One
    /// that ends in / is a folder to move it into
    new_path: String,
}

impl Mv {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let from = &target.url.path;
        let mut to = self.new_path.clone().into_bytes();
        if to.ends_with(b"/") {
            to.extend_from_slice(from.rsplit(|&b| b == b'/').next().unwrap_or_default());
        }
        let reply = block(async {
            let mut client = target.ftp(common).await?;
            let reply = client.rename(from, &to).await.map_err(|error| target.failure(error, Exit::NoInput))?;
            client.quit().await;
            Ok(reply)
        })?;
        let (from, to) = (String::from_utf8_lossy(from), String::from_utf8_lossy(&to));
        let json = json!({"from": from, "to": to, "reply": reply, "error": null});
        Ok(Report::note(json, view::printable(&format!("{from} -> {to}"))))
    }
}
