#![doc = include_str!("lib.md")]
#![forbid(unsafe_code)]

mod dialogue;
mod error;
mod line;

pub mod ftp;
pub mod link;
pub mod reply;
pub mod smtp;
pub mod tls;
pub mod trace;
pub mod transport;
pub mod url;

pub use dialogue::{Options, Security, Timeouts};
pub use error::{Error, ErrorKind, Phase, Result, TlsFault};

/// The examples of the project's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
