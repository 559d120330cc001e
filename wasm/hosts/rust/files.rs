//! `put`, `get`, `ls`: files, in pieces.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;

use clap::Args;
use starttls_tests::embedding::Sandbox;
use starttls_tests::embedding::exports::ftp::{EntryKind, TransferReceipt, TransferStatus};
use wasmtime::component::ResourceAny;

use crate::{Common, Failure, With, local};

/// What goes in or out of the component at a time.
const PIECE: u32 = 256 * 1024;

#[derive(Args)]
pub(crate) struct Put {
    /// The local file
    local: PathBuf,
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args)]
pub(crate) struct Get {
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…
    pub(crate) url: String,
    /// The local file
    local: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args)]
pub(crate) struct Ls {
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Put {
    pub(crate) fn run(&self, sandbox: &mut Sandbox, with: &With) -> Result<(), Failure> {
        let mut file = File::open(&self.local).map_err(|error| local(&self.local, &error))?;
        let session = open(sandbox, with)?;
        let Sandbox { store, client } = sandbox;
        let ftp = client.starttls_client_ftp();
        let upload = ftp.session().call_store(&mut *store, session, &with.url.path, 0)??;
        let mut piece = vec![0; PIECE as usize];
        loop {
            match file.read(&mut piece).map_err(|error| local(&self.local, &error))? {
                0 => break,
                n => ftp.upload().call_write(&mut *store, upload, &piece[..n])??,
            }
        }
        let receipt = ftp.upload().call_finish(&mut *store, upload)??;
        tell(&receipt);
        Ok(ftp.session().call_quit(&mut *store, session)?)
    }
}

impl Get {
    pub(crate) fn run(&self, sandbox: &mut Sandbox, with: &With) -> Result<(), Failure> {
        let session = open(sandbox, with)?;
        let Sandbox { store, client } = sandbox;
        let ftp = client.starttls_client_ftp();
        // Only a whole file gets the final name.
        let part = self.local.with_added_extension("part");
        let mut file = File::create(&part).map_err(|error| local(&part, &error))?;
        let download = ftp.session().call_retrieve(&mut *store, session, &with.url.path, 0)??;
        loop {
            let piece = ftp.download().call_read(&mut *store, download, PIECE)??;
            if piece.is_empty() {
                break;
            }
            file.write_all(&piece).map_err(|error| local(&part, &error))?;
        }
        let receipt = ftp.download().call_finish(&mut *store, download)??;
        fs::rename(&part, &self.local).map_err(|error| local(&self.local, &error))?;
        tell(&receipt);
        Ok(ftp.session().call_quit(&mut *store, session)?)
    }
}

impl Ls {
    pub(crate) fn run(&self, sandbox: &mut Sandbox, with: &With) -> Result<(), Failure> {
        let session = open(sandbox, with)?;
        let Sandbox { store, client } = sandbox;
        let ftp = client.starttls_client_ftp();
        for entry in ftp.session().call_list_dir(&mut *store, session, &with.url.path)?? {
            let size = entry.size.map_or_else(|| "-".into(), |size| size.to_string());
            println!("{:<9} {size:>12} {}", kind(entry.kind), entry.name.escape_debug());
        }
        Ok(ftp.session().call_quit(&mut *store, session)?)
    }
}

/// Opens a session and logs in, as nobody in particular if the URL names no user.
fn open(Sandbox { store, client }: &mut Sandbox, with: &With) -> Result<ResourceAny, Failure> {
    let ftp = client.starttls_client_ftp();
    let session = ftp.session().call_open(&mut *store, &with.endpoint, with.config, with.options)??;
    let (user, password) = match &with.user {
        Some(user) => (user.as_str(), with.password.as_str()),
        None => ("anonymous", "anonymous@"),
    };
    ftp.session().call_login(&mut *store, session, user, password)??;
    Ok(session)
}

fn tell(receipt: &TransferReceipt) {
    println!(
        "{} bytes, {}, TLS session {}resumed, {} {}",
        receipt.size,
        status(receipt.status),
        if receipt.tls_resumed { "" } else { "not " },
        receipt.reply.code,
        receipt.reply.lines.join(" / ")
    );
}

fn status(status: TransferStatus) -> &'static str {
    match status {
        TransferStatus::Verified => "verified",
        TransferStatus::Complete => "complete",
        TransferStatus::Unproven => "unproven",
    }
}

fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Symlink => "symlink",
        EntryKind::Other => "other",
    }
}
