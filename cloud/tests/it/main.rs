//! The cloud on one machine, on this one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod cache;
mod cost;
mod edges;
mod lambda;
mod process;
