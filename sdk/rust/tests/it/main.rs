//! The client against a stream signed here and a CDN in memory: each attack and fault is a scenario of a legitimate
//! update, the attack, the old state surviving under the named code, and the next legitimate update taken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod checks;
mod disk;
mod endless;
mod events;
mod exposures;
mod forged;
mod format;
mod freeze;
mod hooks;
mod list_fetches;
mod lists;
mod logs;
mod manual;
mod network;
mod objects;
mod overrides;
mod rollback;
mod socket;
mod start;
mod test_data;
mod world;
