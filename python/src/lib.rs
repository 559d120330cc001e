//! `starttls._native`: the core for Python.
//!
//! | file | what it is |
//! |---|---|
//! | `session` | one session and its one operation at a time, over blocking sockets or driven by asyncio |
//! | `hosted` | what asyncio drives: requests out, events in |
//! | `smtp`, `ftp` | commands as values, and how each is performed over any transport |
//! | `connection` | a connection on its own |
//! | `message` | a message's header is looked through, and tells its envelope |
//! | `wishes` | what is asked for beside sender and recipients |
//! | `many` | messages in batches, and what becomes of each |
//! | `route`, `pool` | several servers, and sessions kept for the next message |
//! | `body` | where content comes from and goes to |
//! | `dkim` | signatures |
//! | `config` | TLS, timeouts, trace |
//! | `sessions` | TLS sessions for the next connections |
//! | `openssl` | TLS by an `ssl.SSLContext` |
//! | `check` | callables that TLS calls |
//! | `value`, `error` | results and errors become Python's; the only place for each |
#![forbid(unsafe_code)]

mod body;
mod check;
mod config;
mod connection;
mod dkim;
mod entry;
mod error;
mod ftp;
mod hosted;
mod login;
mod many;
mod message;
mod mirror;
mod openssl;
mod pool;
mod route;
mod session;
mod sessions;
mod smtp;
mod value;
mod wishes;

/// The core of the package `starttls`. Use the package.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::config::{Identity, TLSConfig};
    #[pymodule_export]
    use crate::connection::{ConnectionCommand, ConnectionSession};
    #[pymodule_export]
    use crate::dkim::Dkim;
    #[pymodule_export]
    use crate::entry::Entry;
    #[pymodule_export]
    use crate::ftp::{FtpCommand, FtpSession, RemoteFileClass};
    #[pymodule_export]
    use crate::hosted::{Host, Operation};
    #[pymodule_export]
    use crate::message::{HeaderReader, envelope_of, with_ascii_domain};
    #[pymodule_export]
    use crate::pool::SmtpPool;
    #[pymodule_export]
    use crate::route::Routes;
    #[pymodule_export]
    use crate::sessions::SessionStore;
    #[pymodule_export]
    use crate::smtp::{SmtpCommand, SmtpSession, SmtpSetup, forget_server};
    #[pymodule_export]
    use crate::value::{read_certificate, tls_warnings};
    #[pymodule_export]
    use crate::wishes::Wishes;
}
