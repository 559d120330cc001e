//! File transfer: FTP (RFC 959) under TLS (RFC 4217), control and data.
//!
//! ```text
//!   connect ─ 220 ─ AUTH TLS ─ 234 ═ handshake ═┐           (═ from here on under TLS)
//!   connect ═ handshake ═ 220 ══════════════════┤
//!   ┌───────────────────────────────────────────┘
//!   ├─ login: [HOST] ─ USER ─ PASS ─ [ACCT] ─ FEAT, OPTS UTF8 ON, PBSZ 0, PROT P, TYPE I ─ [CLNT, LANG]
//!   │
//!   ├─ transfer: EPSV or PASV ─▶ TCP to the control connection's peer
//!   │            RETR, STOR, MLSD … ─ 150 ═ data handshake, resuming the control session ═ data ═ close_notify
//!   │            226 ─▶ TransferReceipt
//!   └─ quit
//! ```
//!
//! The command goes out before the data handshake begins: servers start theirs only then. A transfer succeeds when
//! everything agrees: the data connection's end in order, the final reply, and the size where it is known.
//!
//! ```no_run
//! use starttls::{Options, ftp, transport::{Blocking, Endpoint, block}};
//!
//! let server = Endpoint { host: "files.example.org".into(), port: 21 };
//! let mut local = Vec::new();
//! let receipt = block(async {
//!     let mut client = ftp::Client::connect(Blocking::new(), &server, Options::default()).await?;
//!     client.login(&ftp::Credentials::password("ada", "s3cret")).await?;
//!     let receipt = client.get("report.pdf", &mut local).await?;
//!     client.quit().await;
//!     Ok::<_, starttls::Error>(receipt)
//! })?;
//! assert_eq!(receipt.size, local.len() as u64);
//! # Ok::<(), starttls::Error>(())
//! ```

mod active;
mod binding;
mod client;
mod commands;
mod credentials;
mod crew;
mod data_connection;
mod data_link;
mod deflate;
mod doctor;
mod download;
mod encoding;
mod ending;
mod entries;
mod extent;
mod features;
mod files;
pub mod fxp;
pub mod hash;
mod job;
mod lines;
mod listing;
mod local;
mod memory;
pub mod mirror;
mod overlap;
mod parts;
mod passive;
mod place;
mod queries;
mod receipt;
mod refusal;
mod remote_file;
mod renewal;
mod seat;
mod segments;
mod session;
mod settings;
mod sink;
mod source;
mod start;
mod transfer;
mod upload;
mod verdict;

pub use crate::error::LocalFailure;
pub use active::Active;
pub use binding::SessionBinding;
pub use client::Client;
pub use credentials::Credentials;
pub use doctor::{Diagnosis, Examination, Finding, PATIENCE, State, Topic, doctor};
pub use download::Download;
pub use encoding::Encoding;
pub use features::Features;
pub use files::{NotRemoved, Removal};
pub use job::{Changed, FileFacts, Progress, RateLimit, Verify};
pub use listing::{Dialect, Entry, EntryKind, Listing, ListingReport, TimePrecision, Told};
pub use memory::ServerMemory;
pub use receipt::{Status, TransferReceipt};
pub use refusal::Refusal;
pub use remote_file::RemoteFile;
pub(crate) use session::ask_for_tls;
pub use session::{Auth, DataProtection};
pub use settings::{PassiveHost, Settings};
pub use source::{Once, Source};
pub use transfer::Direction;
pub use upload::{Placement, Upload};

/// A future that is not `Send` over every transport is noticed here, and not by who embeds it.
#[cfg(test)]
#[allow(dead_code)]
fn futures_are_send<T: crate::transport::Transport + Clone>(client: &mut Client<T>) {
    fn send(_: impl Send) {}
    send(client.download("", "", &Download::default(), None));
    send(client.upload("", "", &Upload::default(), None));
    send(client.entries(""));
    send(client.another());
}
