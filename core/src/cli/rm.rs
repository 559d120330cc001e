//! `starttls rm`: a remote file, an empty directory, or a tree.

use clap::Args;
use serde_json::json;
use starttls::ftp::Removal;
use starttls::transport::block;
use starttls::url::Protocol;

use crate::common::{Common, Target};
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
    #[arg(short, long, conflicts_with = "recursive")]
    dir: bool,
    /// Delete a directory and EVERYTHING in it; links are deleted, not followed
    #[arg(short, long)]
    recursive: bool,
}

impl Rm {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let path = &target.url.path;
        let name = String::from_utf8_lossy(path);
        if self.recursive {
            let removal = block(tree(common, &target))?;
            return Ok(told(&removal, &name));
        }
        let reply = block(async {
            let mut client = target.ftp(common).await?;
            let reply = if self.dir { client.rmdir(path).await } else { client.remove(path).await };
            let reply = reply.map_err(|error| target.failure(error, Exit::NoInput))?;
            client.quit().await;
            Ok::<_, Failure>(reply)
        })?;
        let json = json!({"removed": name, "reply": reply, "error": null});
        Ok(Report::note(json, view::printable(&format!("{name}: deleted"))))
    }
}

async fn tree(common: &Common, target: &Target) -> Result<Removal, Failure> {
    let mut client = target.ftp(common).await?;
    let removal = client.remove_tree(&target.url.path).await;
    let removal = removal.map_err(|error| target.failure(error, Exit::NoInput))?;
    client.quit().await;
    Ok(removal)
}

fn told(removal: &Removal, name: &str) -> Report {
    let mut json = view::json(removal);
    json["removed"] = name.into();
    json["error"] = serde_json::Value::Null;
    let left = removal.left.iter().map(|left| format!("{}: {}", String::from_utf8_lossy(&left.path), left.error));
    let Removal { files, directories, .. } = removal;
    let counts = format!("{name}: {files} files and {directories} directories deleted");
    let notes = left.chain([counts]).map(|note| view::printable(&note)).collect();
    let exit = if removal.is_complete() { Exit::Ok } else { Exit::Partial };
    Report { exit, json, data: String::new(), notes }
}
