//! The Flagstone control plane without a cloud: change log, lowering, build, publish.

pub mod clock;
pub mod store;
