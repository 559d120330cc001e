//! Message submission: SMTP (RFC 5321) with STARTTLS (RFC 3207) or implicit TLS (RFC 8314).
//!
//! ```text
//!   connect ─ 220 ─ EHLO ─ STARTTLS ─ 220 ═ handshake ═ EHLO ─┐      (═ from here on under TLS; what was learnt in
//!   connect ═ handshake ═ 220 ═ EHLO ═════════════════════════┤         clear text is forgotten and asked again)
//!                                                             │
//!   ┌─────────────────────────────────────────────────────────┘
//!   ├─ login: AUTH
//!   ├─ begin: MAIL RCPT… DATA (one flight) ─ write… ─ finish: "." ─▶ DeliveryReport ─┐
//!   ├────────────────────────────────────────────────────────────────────────────────┘
//!   └─ quit
//! ```
//!
//! ```no_run
//! use starttls::{Options, smtp, tls::TlsConfig, transport::{Blocking, Endpoint, block}};
//!
//! let server = Endpoint { host: "mail.example.org".into(), port: 587 };
//! let envelope = smtp::Envelope::new("ada@example.org", ["bob@example.net"])?;
//! let report = block(async {
//!     let mut client = smtp::Client::connect(Blocking::new(), &server, Options::default()).await?;
//!     client.login(&smtp::Credentials::password("ada@example.org", "s3cret")).await?;
//!     let report = client.send(&envelope, b"Subject: hello\r\n\r\nHello Bob.\r\n").await?;
//!     client.quit().await;
//!     Ok::<_, starttls::Error>(report)
//! })?;
//! assert_eq!(report.outcome(), smtp::Outcome::Accepted);
//! # Ok::<(), starttls::Error>(())
//! ```

mod address;
mod address_list;
mod body;
mod client;
mod commands;
mod connect;
pub mod dkim;
mod envelope;
mod extensions;
mod fields;
mod header;
mod lines;
mod login;
mod memory;
mod outcome;
mod parameters;
mod pipeline;
mod plan;
mod pool;
mod queries;
mod route;
mod sasl;
mod send;
mod send_options;
mod settings;
mod transaction;

pub use address::Mailbox;
pub use body::{Body, FileBody, MemoryBody, ReaderBody};
pub use client::Client;
pub(crate) use connect::ask_for_tls;
pub use envelope::{Envelope, NotOffered, Recipient, RecipientPolicy};
pub use extensions::{Extensions, Limits};
pub use header::{HEADER_LIMIT, Header, HeaderReader};
pub use lines::{LineEncoder, LineEnds};
pub use memory::ServerMemory;
pub use outcome::{DeliveryReport, Outcome, RecipientVerdict};
pub use parameters::{BodyKind, DeliverBy, Hold, LateAction, Notify, Parameter, Return, Submitter};
pub use pipeline::Pipeline;
pub use pool::{Pool, PoolSettings, PooledMessage};
pub use route::{Route, Routes, SrvOrigin, SrvRecord};
pub use sasl::{Credentials, LoginInfo, Mechanism, Strength, Token};
pub use send::SendMany;
pub use send_options::{ForRecipients, SendOptions};
pub use settings::{EhloName, Settings};
