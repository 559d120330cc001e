//! The component in its host, against real servers: what it does, and what it cannot do.
//!
//! Needs what `make component` builds; the servers start as each test asks for them.
// The error is a record of the interface.
#![allow(clippy::result_large_err)]

mod command;
mod connection;
mod core_world;
mod corpus_connection;
mod corpus_files;
mod corpus_mail;
mod dkim;
mod doctor;
mod files;
mod hostile;
mod imports;
mod mail;
mod memory;
mod mirror;
mod over_transport;
mod plugin;
mod policy;
mod pool;
mod proxy;
mod remote_file;
mod routes;
mod streams;
mod tls_settings;
mod transcripts;
mod trust;

use std::path::Path;
use std::sync::OnceLock;

use starttls_tests::daemon::{Daemon, built};
use starttls_tests::embedding::exports::smtp::{Account, Credentials};
use starttls_tests::embedding::exports::types::{Endpoint, Error, Security};
use starttls_tests::embedding::{Host, Opening, Policy, Sandbox};
use wasmtime::component::ResourceAny;

/// The component, compiled once for all tests.
fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::new(&component()).expect("a component"))
}

fn component() -> std::path::PathBuf {
    built("STARTTLS_COMPONENT", "wasm32-wasip2/release/starttls_component.wasm")
}

/// One Postfix for all tests: each has recipients of its own.
fn postfix() -> &'static Daemon {
    static POSTFIX: OnceLock<Daemon> = OnceLock::new();
    POSTFIX.get_or_init(|| Daemon::start("postfix", None))
}

/// A policy of these grants.
fn policy(grants: &[String]) -> Policy {
    Policy::new(grants.iter().map(|grant| grant.parse().expect("a grant")))
}

/// A sandbox that may connect to one address at any port.
fn sandbox() -> Sandbox {
    host().sandbox(policy(&["127.0.0.1:*".into()])).expect("an instance")
}

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint { host: host.into(), port }
}

/// Trust in the server's authority, and TLS from this moment on.
fn trusting(server: &Daemon, security: Security) -> Opening {
    Opening { trust: Some(server.authority()), security: Some(security), ..Opening::default() }
}

/// Opens a submission session.
fn open_mail(sandbox: &mut Sandbox, to: &Endpoint, opening: &Opening) -> Result<ResourceAny, Box<Error>> {
    let (config, options) = sandbox.prepare(opening).expect("no trap")?;
    let Sandbox { store, client } = sandbox;
    Ok(client.starttls_client_smtp().session().call_open(store, to, config, options).expect("no trap")?)
}

/// A user and a password, to log in with for mail.
fn password(user: &str, secret: &str) -> Credentials {
    Credentials::Password(Account { user: user.into(), secret: secret.into(), authzid: None })
}

/// Opens a file transfer session.
fn open_files(sandbox: &mut Sandbox, to: &Endpoint, opening: &Opening) -> Result<ResourceAny, Box<Error>> {
    let (config, options) = sandbox.prepare(opening).expect("no trap")?;
    let Sandbox { store, client } = sandbox;
    Ok(client.starttls_client_ftp().session().call_open(store, to, config, options).expect("no trap")?)
}

/// Bytes that do not repeat, the same for the same length.
fn noise(length: usize) -> Vec<u8> {
    let mut state = length as u64 | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Compares without printing megabytes.
fn assert_same(what: &str, sent: &[u8], arrived: &[u8]) {
    let first = sent.iter().zip(arrived).position(|(a, b)| a != b);
    assert!(
        sent == arrived,
        "{what}: {} bytes sent, {} arrived, first difference {first:?}",
        sent.len(),
        arrived.len()
    );
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
