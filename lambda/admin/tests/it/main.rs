//! The API and the CDN, asked like a server asks them, over everything in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod access;
mod canary;
mod cdn;
mod conditions;
mod contract;
mod doctor;
mod erase;
mod experiments;
mod explain;
mod faults;
mod idempotency;
mod keys;
mod lifecycle;
mod listed_keys;
mod lists;
mod logs;
mod metrics;
mod openapi;
mod preview;
mod publication;
mod refusals;
mod rights;
mod routes;
mod several;
mod tokens;
mod world;
