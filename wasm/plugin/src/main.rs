//! A plugin that asks a mail server (IMAP) what it can do, under TLS: an example of a component that has no socket and no
//! TLS of its own, and imports `starttls:client/connection` instead.
//!
//! ```text
//! wac plug starttls-plugin.wasm --plug starttls_component.wasm -o composed.wasm
//! wasmtime run -S inherit-network,allow-ip-name-lookup composed.wasm mail.example.org 143
//! ```
//!
//! A third argument is PEM text of the authorities to trust in place of the bundled ones.
#![allow(clippy::print_stdout, clippy::print_stderr)]
// The error is a record of the interface, and crosses the boundary by value.
#![allow(clippy::result_large_err)]

use std::process::ExitCode;

use bindings::starttls::client::connection::{Connection, Protocol};
use bindings::starttls::client::tls::ClientConfig;
use bindings::starttls::client::types::{Endpoint, Error, Options};

/// What the plugin imports; its one export, `wasi:cli/run`, is `main`.
#[allow(unsafe_code, missing_docs, unreachable_pub, rust_2018_idioms, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package example:plugin;

            world plugin {
                import starttls:client/types@0.1.0;
                import starttls:client/tls@0.1.0;
                import starttls:client/connection@0.1.0;
            }
        ",
        generate_all,
    });
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some(host), Some(port)) = (words.next(), words.next().and_then(|port| port.parse().ok())) else {
        eprintln!("plugin: HOST PORT [AUTHORITIES], please");
        return ExitCode::FAILURE;
    };
    match capabilities(Endpoint { host, port }, words.next()) {
        Ok(lines) => lines.iter().for_each(|line| println!("{line}")),
        Err(error) => {
            eprintln!("plugin: {}", error.message);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// What the server says that it can do, its last line included.
fn capabilities(server: Endpoint, authorities: Option<String>) -> Result<Vec<String>, Error> {
    let config = ClientConfig::new();
    if let Some(pem) = authorities {
        config.add_trust_anchors(pem.as_bytes())?;
    }
    let connection = Connection::open(&server, &config, &Options::new())?;
    connection.upgrade(Protocol::Imap)?;
    connection.write(b"1 CAPABILITY\r\n")?;
    let mut lines = Vec::new();
    while let Some(line) = connection.read_line(8192)? {
        lines.push(String::from_utf8_lossy(&line).into_owned());
        if line.starts_with(b"1 ") {
            break;
        }
    }
    connection.shutdown()?;
    Ok(lines)
}
