//! Lists: sets of keys as they are written, kept, and published (FORMAT M-1.7, T-3.5).
//!
//! [`ListKeys`] is a set as somebody wrote it, read and sorted. [`ListContent`] is what the log keeps of a list: a base
//! object by digest, and the few keys that were added to it and dropped from it since. An edit that would outgrow the
//! line makes a new base, in the entry that makes the edit, so that the same log always gives the same lines.

mod content;
mod edit;
mod expanded;
mod keys;

pub use content::ListContent;
pub use edit::{Base, ListEdits, MAX_EDITS_AT_ONCE, Planned, edited, whole};
pub use expanded::Expanded;
pub use keys::{KeyFault, ListFault, ListKeys};

/// The zstd level of list objects. Random keys pack alike at every level, sequential ones best at a middle one; and it
/// never changes, so that the same keys are the same object.
pub const LIST_ZSTD_LEVEL: i32 = 9;
