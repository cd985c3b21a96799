//! The tests of flagstone-bundle: one binary, one module for each part of the format.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod bundle;
mod container;
mod content;
mod ed25519;
mod example;
mod flips;
mod framing;
mod manifest;
mod order;
mod property;
mod root;
mod threshold;
mod vectors;
mod world;
