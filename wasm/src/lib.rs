//! The clients as a WebAssembly component: the world `client` of `wit/`, over the sockets that the host provides; with the
//! feature `over-transport` the world `client-over-transport`, over a network that the host provides by itself; without the
//! feature `clients` the world `core`, over none.
//!
//! | module | what it is |
//! |---|---|
//! | `error` | the one place where core's errors become the interface's |
//! | `options` | options and traces |
//! | `tls` | trust, identity, versions |
//! | `smtp`, `ftp` | sessions as resources |
//! | `connection`, `machine` | a connection on its own: over a network; its bytes moved by the host |
//! | `transfers` | listings and transfers under way |
//! | `facts` | receipts, entries and digests as records |
//! | `route`, `pool` | several mail servers; sessions that are kept |
//! | `message` | a message whose body comes in pieces |
//! | `send_options` | what is asked for a message |
//! | `doctor` | examinations of file servers |
//! | `dkim` | signatures of messages |
//! | `imported` | the host's own network |
//! | `streams` | transfers to and from the caller's streams |
//! | `slot` | a client that its session shares with a message or transfer under way |
//!
//! No protocol is here: every export runs one operation of core over blocking sockets, whose futures never pend.
//!
//! Unsafe code is what the bindings generate for the canonical ABI, and nothing else.
#![deny(unsafe_code)]
// The error is a record of the interface, and crosses the boundary by value.
#![allow(clippy::result_large_err)]

#[cfg(feature = "clients")]
#[forbid(unsafe_code)]
mod connection;
#[cfg(feature = "clients")]
#[forbid(unsafe_code)]
mod dkim;
#[cfg(feature = "clients")]
#[forbid(unsafe_code)]
mod doctor;
#[forbid(unsafe_code)]
mod error;
#[cfg(feature = "clients")]
#[forbid(unsafe_code)]
mod facts;
#[cfg(feature = "clients")]
#[forbid(unsafe_code)]
mod ftp;
#[cfg(feature = "over-transport")]
#[forbid(unsafe_code)]
mod imported;
#[forbid(unsafe_code)]
mod machine;
#[cfg(feature = "clients")]
#[forbid(unsafe_code)]
mod message;
// The world `core` takes options, since they are among its types, and opens nothing with them.
#[cfg_attr(not(feature = "clients"), allow(dead_code))]
#[forbid(unsafe_code)]
mod options;
#[cfg(feature = "clients")]
#[forbid(unsafe_code)]
mod pool;
#[cfg(feature = "clients")]
#[forbid(unsafe_code)]
mod route;
#[cfg(feature = "clients")]
#[forbid(unsafe_code)]
mod send_options;
#[cfg(feature = "clients")]
#[forbid(unsafe_code)]
mod slot;
#[cfg(feature = "clients")]
#[forbid(unsafe_code)]
mod smtp;
#[cfg(all(feature = "clients", not(feature = "over-transport")))]
#[forbid(unsafe_code)]
mod streams;
#[forbid(unsafe_code)]
mod tls;
#[cfg(feature = "clients")]
#[forbid(unsafe_code)]
mod transfers;

/// What wit-bindgen makes of `wit/`.
#[allow(unsafe_code, missing_docs, unreachable_pub, rust_2018_idioms, clippy::all)]
mod bindings {
    #[cfg(not(feature = "clients"))]
    wit_bindgen::generate!({ path: "wit", world: "core", generate_all });
    #[cfg(all(feature = "clients", not(feature = "over-transport")))]
    wit_bindgen::generate!({ path: "wit", world: "client", generate_all });
    #[cfg(feature = "over-transport")]
    wit_bindgen::generate!({ path: "wit", world: "client-over-transport", generate_all });
    export!(Component with_types_in self);

    /// What the world's exports are implemented on.
    pub(crate) struct Component;
}

use bindings::Component;
use bindings::exports::starttls::client as exports;
