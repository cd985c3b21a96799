//! What people write: flags, targeting, segments, environments, in one authored form for API bodies, plan files,
//! and the log.
//!
//! Each type is read from JSON by `parse`, which answers with **all** problems, each with a stable code and a JSON
//! Pointer to the member at fault, and is written by `to_json` in its normal form: members in a fixed order, sets
//! sorted, what is empty left out. `parse` of `to_json` is the identity.
//!
//! Parts of the authored form that cannot be lowered yet are refused as `unsupported-test`, by name; they are never
//! dropped, for a condition left out would change who is served.

mod advice;
mod attributes;
mod between;
mod bucket;
mod changes;
mod check;
mod condition;
mod environment;
mod experiment;
mod flag;
mod leaf;
mod mention;
mod moment;
mod note;
mod operand;
mod problem;
mod read;
mod rule;
mod schedule;
mod segment;
mod suggest;
mod targeting;
mod term;
mod test;
mod token;
mod view;
mod weight;
pub mod words;
mod zones;

pub use attributes::{Attributes, MAX_ATTRIBUTES, Visibility};
pub use between::{Between, Edge};
pub use bucket::{Bucket, By, Ramp, Share, Window};
pub use changes::{Change, MAX_CHANGES, Wish};
pub use check::{Check, Expect, MAX_CHECK_CONTEXT_BYTES, MAX_CHECK_CONTEXT_DEPTH, MAX_CHECKS};
pub use condition::{Condition, FlagTest};
pub use environment::{Environment, Project};
pub use experiment::{ExperimentName, Holdout, Layer, MAX_EXPERIMENT_NAME_BYTES, Slot};
pub(crate) use experiment::{spans_from_json, spans_json};
pub(crate) use flag::value_json;
pub use flag::{
    FlagDefinition, FlagKind, MAX_DESCRIPTION_BYTES, MAX_LABEL_BYTES, MAX_META, MAX_META_BYTES, MAX_TAGS,
};
pub use leaf::{AttributeTest, Turned};
pub use mention::{Mention, Mentioned};
pub use moment::{Day, Instants, Moment};
pub use note::Note;
pub use operand::Operand;
pub use problem::{Problem, code, pointer, push_pointer};
pub use rule::{DENY_PREFIX, Fallthrough, ROLLOUT_RULE, RampTo, Rollout, Rule, Served, TARGET_PREFIX, Then};
pub use schedule::{Place, Plan, Scheduled};
pub use segment::{Segment, SegmentRule};
pub use suggest::closest;
pub(crate) use suggest::did_you_mean;
pub use targeting::{Keys, Off, Target, Targeting};
pub use term::Term;
pub use test::Test;
pub use token::{MAX_TOKEN_NAME_CHARS, Role, SdkKey, Token};
pub use view::{Audience, Include, ViewDefinition};
pub use weight::Weight;
pub use zones::{Zone, ZoneError};
