//! The corpus of dialogues: one file is one session, with both sides and what must come out. See
//! `tests/transcripts/README.md` for the format.
//!
//! | module | what it is |
//! |---|---|
//! | [`script`] | a file, parsed |
//! | [`peer`] | the server's side of it, without I/O |
//! | [`scram`] | the server's side of a login whose nonce is another one each time |
//! | [`tcp`] | that peer on real sockets |
//! | [`memory`] | that peer joined to a hosted client in memory, in virtual time, with faults |
//! | [`client`] | the client's side, over any transport |
//! | [`pki`] | the peer's certificate and TLS configuration |
//! | [`verdict`] | what came out, held against what must come out |
//! | [`wishes`] | what a task asks for beside sender and recipients |

#![forbid(unsafe_code)]

pub mod client;
pub mod memory;
pub mod peer;
pub mod pki;
pub mod scram;
pub mod script;
pub mod tcp;
mod text;
pub mod verdict;
mod wire;
pub mod wishes;
