//! `starttls ls`: a directory as it comes in, or one file.

use std::fmt::Write;

use clap::Args;
use serde_json::Value;
use starttls::ErrorKind;
use starttls::ftp::{Client, Encoding, Entry, EntryKind};
use starttls::report::timestamp;
use starttls::transport::{Transport, block};
use starttls::url::Protocol;

use crate::common::{Common, Target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Report};
use crate::view;

/// List a directory as it comes in: type, size, time (UTC), name; with --json, one array in the order of names
#[derive(Args, Debug)]
pub(crate) struct Ls {
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…
    url: String,
    /// How names are written on the server: utf-8, windows-1252, koi8-r, shift_jis, …
    #[arg(long, value_name = "LABEL", default_value = "utf-8")]
    encoding: String,
    /// How those are shown that are not written so
    #[arg(long, value_name = "LABEL")]
    fallback_encoding: Option<String>,
    /// Use LIST, with these options for the server's `ls`: -a
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    list_options: Option<String>,
    /// Ask for every fact that the server can tell
    #[arg(long)]
    all_facts: bool,
}

impl Ls {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let mut encoding = Encoding::for_label(&self.encoding).map_err(|error| target.failure(error, Exit::Usage))?;
        if let Some(label) = &self.fallback_encoding {
            encoding = encoding.with_fallback(label).map_err(|error| target.failure(error, Exit::Usage))?;
        }
        block(self.list(common, &target, encoding))
    }

    async fn list(&self, common: &Common, target: &Target, encoding: Encoding) -> Result<Report, Failure> {
        let mut client = target.ftp(common).await?;
        let settings = client.settings();
        settings.encoding = encoding;
        settings.list_options.clone_from(&self.list_options);
        settings.all_facts = self.all_facts;
        let failure = |error| target.failure(error, Exit::NoInput);
        let mut entries = first(&mut client, &target.url.path).await.map_err(failure)?;
        let mut all = Vec::new();
        let mut width = 0;
        while !entries.is_empty() {
            if common.json {
                all.append(&mut entries);
                if all.len() > MOST {
                    let why = format!("more than {MOST} entries are too many for one array: leave out --json");
                    return Err(Failure::new(Exit::Unavailable, why));
                }
            } else {
                output::data(lines(&entries, &mut width).as_bytes())?;
            }
            entries = client.next_entries().await.map_err(failure)?;
        }
        let report = client.listing_report();
        let notes = report.first_unparsed.as_ref().map(|line| {
            let line = view::printable(&encoding.decode(line));
            format!("{} lines of the listing are in no form that is known, such as: {line}", report.unparsed)
        });
        let notes = notes.into_iter().collect();
        client.quit().await;
        all.sort_by(|a, b| a.raw_name().cmp(b.raw_name()));
        let json = if common.json { Value::Array(all.iter().map(view::entry).collect()) } else { Value::Null };
        Ok(Report { exit: Exit::Ok, json, data: String::new(), notes })
    }
}

/// Entries in one array.
const MOST: usize = 1 << 20;

/// The first entries of a directory, or the one of a file.
async fn first<T: Transport>(client: &mut Client<T>, path: &[u8]) -> starttls::Result<Vec<Entry>> {
    let listed = match client.list(path).await {
        Ok(()) => client.next_entries().await,
        Err(error) => Err(error),
    };
    match listed {
        // Perhaps it is a file: some servers list directories only.
        Err(error) if matches!(error.kind(), ErrorKind::Rejected) && !client.is_closed() => {
            let file = client.stat(path).await.ok().filter(|entry| entry.kind != EntryKind::Directory);
            file.map(|entry| vec![entry]).ok_or(error)
        }
        // Some servers list what does not exist as if it were empty.
        Ok(none) if none.is_empty() && !path.is_empty() => client.cwd(path).await.map(|_| none),
        listed => listed,
    }
}

/// `width` is that of the widest size so far: what was printed is not to be aligned again.
fn lines(entries: &[Entry], width: &mut usize) -> String {
    let size = |entry: &Entry| entry.size.map_or(String::from("-"), |size| size.to_string());
    *width = entries.iter().map(|entry| size(entry).len()).max().unwrap_or(0).max(*width);
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
        let _ = writeln!(out, "{kind} {:>width$} {modified} {name}", size(entry), width = *width);
    }
    out
}
