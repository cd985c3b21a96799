//! Integration tests of the publisher, a module per topic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod keys;
mod log;
mod publication;
mod sqlite;
mod store;
