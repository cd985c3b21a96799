//! Flagstone's control plane on AWS parts: adapters for the publisher's ports, and the functions that use them.
//!
//! This crate is the only one that knows AWS, and no other crate depends on it: whatever the cloud needs is built here,
//! and nothing of it is built elsewhere. `cargo xtask test dependencies` checks both.
