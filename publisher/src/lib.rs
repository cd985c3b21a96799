//! The Flagstone control plane without a cloud: change log, lowering, build, publish.

pub mod author;
pub mod build;
pub mod clock;
pub mod control;
pub mod keys;
pub mod log;
pub mod lower;
pub mod publication;
pub mod publish;
pub mod sqlite;
pub mod state;
pub mod storage;
pub mod store;
