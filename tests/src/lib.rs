//! What the tests of several parts share.

pub mod daemon;
#[path = "../../wasm/hosts/rust/embedding/mod.rs"]
pub mod embedding;
