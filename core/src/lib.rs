#![doc = include_str!("lib.md")]
#![forbid(unsafe_code)]

mod connection;
mod dialogue;
mod error;
mod line;
mod machine;
mod memory;
mod mismatch;
mod moment;
mod options;

pub mod ftp;
pub mod link;
pub mod reply;
#[cfg(feature = "serde")]
pub mod report;
pub mod smtp;
pub mod tls;
pub mod trace;
pub mod transport;
pub mod upgrade;
pub mod url;

pub use connection::Connection;
pub use error::{Error, ErrorKind, Phase, Result, TlsFault};
pub use machine::{Machine, MachineState};
pub use options::{Options, Security, Timeouts};

/// The examples of the project's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The examples of the page about mail.
#[cfg(doctest)]
#[doc = include_str!("../../docs/smtp.md")]
pub struct MailPage;

/// The examples of the page about connections.
#[cfg(doctest)]
#[doc = include_str!("../../docs/connection.md")]
pub struct ConnectionPage;

/// The examples of the page about files.
#[cfg(doctest)]
#[doc = include_str!("../../docs/ftp.md")]
pub struct FilesPage;
