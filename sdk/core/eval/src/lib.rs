//! The evaluator: a compiled snapshot and one pure function over it.
//!
//! ```
//! use flagstone_eval::Snapshot;
//! use flagstone_model::{context::Context, details::Reason, instant::Instant};
//!
//! let line = br#"{"flag":"new-cart","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","rules":[{"id":"eu","if":[{"attr":"country","in":["AT","DE"]}],"serve":"on"}],"fallthrough":"off"}"#;
//! let (snapshot, report) = Snapshot::compile([line.as_slice()]);
//! assert!(report.is_clean());
//!
//! let context = Context::with_targeting_key("u-1").set("country", "DE");
//! let details = snapshot.evaluate("new-cart", None, &context, Instant::from_millis(0));
//! assert_eq!(details.reason, Reason::TargetingMatch);
//! assert_eq!(details.variation.map(|key| &**key), Some("on"));
//! ```
//!
//! # Reading order
//!
//! 1. [`Snapshot`]: lines compiled once; [`Snapshot::update`] compiles only what changed and shares the rest.
//! 2. [`Snapshot::evaluate`] and [`Details`]: the function, in the order of FORMAT M-8.
//! 3. [`Report`]: every place in the lines that is not understood, by JSON Pointer.
//! 4. [`Snapshot::wanted_lists`] and [`Snapshot::with_list`]: large sets of keys, fetched beside the lines.
//! 5. [`Snapshot::failed_checks`]: expected evaluations, run before a snapshot serves.
//! 6. [`Override`] and [`Snapshot::with_overrides`]: what a client puts in place of a flag.
//! 7. [`explain`]: the same evaluation, told step by step; it costs nothing where it is not asked for.
//! 8. [`batch`]: the protocol by which implementations are compared.
//!
//! # Invariants
//!
//! * Evaluation is total. It does no I/O, reads no clock, never blocks or panics, and allocates nothing.
//! * What is not understood is *unsupported*, and never served as if it were true (FORMAT M-4.1, M-10.2).
//! * One unreadable line costs its own flag; cycles and dangling references cost the references on them.
//! * The order of lines, members, and values never influences a result.
//!
//! # What it does not do
//!
//! It verifies no signature and no digest: it is given lines that `flagstone-bundle` has verified. It compares
//! floats and never calculates with them.

mod attribute;
pub mod batch;
mod bucket;
mod check;
mod compile;
mod environment;
mod evaluate;
pub mod explain;
mod flag;
mod hash;
mod links;
mod list;
mod lists;
mod overflow;
mod overrides;
mod private;
mod report;
mod snapshot;
mod table;
mod tracked;
mod truth;

pub use check::{FailedCheck, Outcome};
pub use compile::attribute::is_found;
pub use environment::LEVEL;
pub use evaluate::Details;
pub use flag::Entity;
pub use hash::{bucket, seed};
pub use links::{BrokenReference, MAX_REFERENCE_DEPTH, MAX_REFERENCE_WORK};
pub use list::{List, ListError, MAX_LIST_BYTES, MAX_LIST_KEYS};
pub use lists::WantedList;
pub use overrides::{OVERRIDE_VARIATION, Override};
pub use report::{Problem, Report, Why};
pub use snapshot::{Snapshot, Update};
pub use truth::Truth;
