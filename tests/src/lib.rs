//! What the tests of several parts share.

#[path = "../../wasm/hosts/rust/embedding/mod.rs"]
pub mod embedding;
pub use starttls_daemons as daemon;
