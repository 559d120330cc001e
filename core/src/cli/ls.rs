//! `starttls ls`: a directory, or one file.

use std::fmt::Write;

use clap::Args;
use serde_json::Value;
use starttls::ErrorKind;
use starttls::ftp::{Entry, EntryKind};
use starttls::report::timestamp;
use starttls::transport::block;
use starttls::url::Protocol;

use crate::common::{Common, Target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// List a directory: type, size, time (UTC), name; with --json, one array
#[derive(Args, Debug)]
pub(crate) struct Ls {
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…
    url: String,
}

impl Ls {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let mut entries = block(entries(common, &target))?;
        entries.sort_by(|a, b| a.raw_name().cmp(b.raw_name()));
        // One of the two is shown; for ten thousand entries the other would be most of the work.
        let (json, data) = if common.json {
            (Value::Array(entries.iter().map(view::entry).collect()), String::new())
        } else {
            (Value::Null, listing(&entries))
        };
        Ok(Report { exit: Exit::Ok, json, data, notes: Vec::new() })
    }
}

async fn entries(common: &Common, target: &Target) -> Result<Vec<Entry>, Failure> {
    let path = &target.url.path;
    let mut client = target.ftp(common).await?;
    let listed = match client.entries(path).await {
        // Perhaps it is a file: some servers list directories only.
        Err(error) if matches!(error.kind(), ErrorKind::Rejected) && !client.is_closed() => {
            let file = client.stat(path).await.ok().filter(|entry| entry.kind != EntryKind::Directory);
            file.map(|entry| vec![entry]).ok_or(error)
        }
        // Some servers list what does not exist as if it were empty.
        Ok(none) if none.is_empty() && !path.is_empty() => client.cwd(path).await.map(|_| none),
        listed => listed,
    };
    let listed = listed.map_err(|error| target.failure(error, Exit::NoInput))?;
    client.quit().await;
    Ok(listed)
}

fn listing(entries: &[Entry]) -> String {
    let size = |entry: &Entry| entry.size.map_or(String::from("-"), |size| size.to_string());
    let width = entries.iter().map(|entry| size(entry).len()).max().unwrap_or(0);
    let mut out = String::new();
    for entry in entries {
        let kind = match entry.kind {
            EntryKind::File => '-',
            EntryKind::Directory => 'd',
            EntryKind::Symlink => 'l',
            EntryKind::Other => '?',
        };
        // To the minute, without what JSON has between day and clock.
        let modified = entry
            .modified
            .map_or_else(|| " ".repeat(16), |time| timestamp(time).replace('T', " ").chars().take(16).collect());
        let target = entry.target().map_or(String::new(), |to| format!(" -> {}", entry.encoding().decode(to)));
        let name = view::printable(&format!("{}{target}", entry.name()));
        // Writing to a String does not fail.
        let _ = writeln!(out, "{kind} {:>width$} {modified} {name}", size(entry));
    }
    out
}
