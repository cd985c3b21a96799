//! Integration tests of the publisher, a module per topic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod access;
mod authoring;
mod backup;
mod changes;
mod checkpoints;
mod checks;
mod conditions;
mod control;
mod credentials;
mod erase;
mod experiments;
mod explain;
mod faulty_log;
mod invariants;
mod keys;
mod list_faults;
mod lists;
mod log;
mod lowering;
mod observe;
mod phases;
mod preview;
mod project;
mod public_streams;
mod publication;
mod publish;
mod redaction;
mod references;
mod restore;
mod restored;
mod roles;
mod room;
mod round_trip;
mod schedules;
mod several;
mod sift;
mod sqlite;
mod store;
mod streams;
mod trial;
mod views;
