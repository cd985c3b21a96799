//! The adapters, against servers that speak as AWS does: real ones, and small ones that show a fault.
//!
//! What needs a server of somebody else's is ignored by `cargo test`, which builds and fetches nothing: `cargo xtask
//! test servers` gets the servers and runs it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod conformance;
mod race;
mod world;
