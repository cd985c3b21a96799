//! The adapters, against servers that speak as AWS does: real ones, and small ones that show a fault.
//!
//! What needs a server of somebody else's is ignored by `cargo test`, which builds and fetches nothing: `cargo xtask
//! test servers` gets the servers and runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod conformance;
mod events;
mod faults;
mod functions;
mod places;
mod race;
mod records;
mod secret;
mod world;
