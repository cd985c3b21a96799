//! Lowering: from what people write to what SDKs read (FORMAT M-5.1, M-5.4).
//!
//! What must not be recomputed later, salts, ranges, slots, and phases, is [settled](Splits::settle) when a change is written and
//! kept in its log entry; the rest is a pure function of that, so that the same log gives the same lines.

pub mod layer;
pub mod layout;
pub mod phase;
pub mod rollout;
pub mod salt;

mod flag;
mod network;
mod pattern;
mod segment;
mod split;
mod version;

pub use flag::{lower_flag, reserve};
pub use network::meant_network;
pub use pattern::{PatternProblem, lower_pattern};
pub use segment::{lower_environment, lower_segment};
pub(crate) use split::take;
pub use split::{Elsewhere, Split, Splits};
pub use version::{VersionProblem, lower_version};
