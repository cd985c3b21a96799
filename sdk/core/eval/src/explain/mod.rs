//! Why an evaluation comes to what it comes to.
//!
//! [`Snapshot::explain`] runs the evaluation itself, watched at every step, so that what it tells is what happened.
//! Where nobody asks, nothing is watched: the same code is compiled a second time with an observer of no size.
//!
//! ```
//! use flagstone_eval::{Snapshot, Truth};
//! use flagstone_model::{context::Context, instant::Instant};
//!
//! let line = r#"{"flag":"f","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","rules":[{"id":"eu","if":[{"attr":"country","in":["AT","DE"]}],"serve":"on"}],"fallthrough":"off"}"#;
//! let (snapshot, _) = Snapshot::compile([line.as_bytes()]);
//!
//! let nobody = Context::new();
//! let told = snapshot.explain("f", None, &nobody, Instant::from_millis(0), &|_| Some(line.as_bytes()));
//! let condition = &told.rules[0].conditions[0];
//! assert_eq!(condition.outcome, Truth::Unknown);
//! assert_eq!(condition.why.map(|why| why.code()), Some("attribute-missing"));
//! assert_eq!(told.exit.code(), "fallthrough");
//! ```

mod json;
pub(crate) mod observer;
mod tell;

use flagstone_model::context::Context;
use flagstone_model::details::{ErrorCode, Reason};
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::value::FlagType;

pub use observer::{MAX_EXPLAINED_DEPTH, MAX_EXPLAINED_STEPS};

use crate::evaluate::{Details, Evaluation};
use crate::flag::Entity;
use crate::snapshot::Snapshot;
use crate::truth::Truth;
use observer::Trace;
use tell::{Inside, Teller};

/// Elements of an operand or of ranges that are told; the rest is cut off.
pub const MAX_EXPLAINED_ELEMENTS: usize = 32;

/// Gives the line of a flag or a segment, which says in words what was compiled.
pub type Lines<'l> = &'l dyn Fn(&Entity) -> Option<&'l [u8]>;

/// An evaluation with every step that led to its details.
#[derive(Debug, Clone)]
pub struct Explanation<'s> {
    /// The flag.
    pub flag: String,
    /// What [`Snapshot::evaluate`] answers.
    pub details: Details<'s>,
    /// Where the evaluation ended.
    pub exit: Exit,
    /// Each need, in order.
    pub needs: Vec<Explained<'s>>,
    /// Each rule, in order, those that were not reached too.
    pub rules: Vec<ExplainedRule<'s>>,
    /// Whether some steps are left out; see [`MAX_EXPLAINED_STEPS`] and [`MAX_EXPLAINED_DEPTH`].
    pub truncated: bool,
}

/// The step of FORMAT M-8 at which an evaluation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// There is no such flag.
    FlagNotFound,
    /// Type, values, or `on` of the flag cannot be read.
    FlagUnreadable,
    /// The flag has another type than was asked for.
    TypeMismatch,
    /// The context is no object.
    InvalidContext,
    /// A member of the flag is not understood.
    NotUnderstood,
    /// The flag is off.
    Off,
    /// It cannot be told whether the needs are met.
    NeedUndecidable,
    /// A need is not met.
    NeedNotMet,
    /// It cannot be told whether a rule matches, or what it serves.
    RuleUndecidable,
    /// A rule matched and serves one variation.
    RuleServed,
    /// A rule matched and the unit's bucket lies in a range of its split.
    SplitServed,
    /// No rule decided.
    Fallthrough,
    /// No rule decided, there is no fallthrough, and a split had no unit to work on.
    UnitMissing,
    /// No rule decided and there is no fallthrough.
    NoVariation,
}

impl Exit {
    /// Its stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::FlagNotFound => "flag-not-found",
            Self::FlagUnreadable => "flag-unreadable",
            Self::TypeMismatch => "type-mismatch",
            Self::InvalidContext => "invalid-context",
            Self::NotUnderstood => "not-understood",
            Self::Off => "off",
            Self::NeedUndecidable => "need-undecidable",
            Self::NeedNotMet => "need-not-met",
            Self::RuleUndecidable => "rule-undecidable",
            Self::RuleServed => "rule-served",
            Self::SplitServed => "split-served",
            Self::Fallthrough => "fallthrough",
            Self::UnitMissing => "unit-missing",
            Self::NoVariation => "no-variation",
        }
    }

    /// The number of the step in FORMAT M-8.
    pub const fn step(self) -> u64 {
        match self {
            Self::FlagNotFound => 2,
            Self::FlagUnreadable => 3,
            Self::TypeMismatch => 4,
            Self::InvalidContext => 5,
            Self::NotUnderstood => 6,
            Self::Off => 7,
            Self::NeedUndecidable | Self::NeedNotMet => 8,
            Self::RuleUndecidable | Self::RuleServed | Self::SplitServed => 9,
            Self::Fallthrough => 10,
            Self::UnitMissing => 11,
            Self::NoVariation => 12,
        }
    }
}

/// A rule and what became of it.
#[derive(Debug, Clone)]
pub struct ExplainedRule<'s> {
    /// Its id, unless that cannot be read.
    pub id: Option<&'s str>,
    /// What its conditions came to, and for a split whether its hash is known; `None` if it was not reached.
    pub outcome: Option<Truth>,
    /// Whether the evaluation ended here.
    pub decided: bool,
    /// Why it is unsupported, or decided nothing though it matched.
    pub why: Option<Cause>,
    /// The variation it serves to all it matches.
    pub serve: Option<&'s str>,
    /// Where the unit lies in its split.
    pub bucket: Option<Bucket<'s>>,
    /// Its conditions, in order; all have to be true.
    pub conditions: Vec<Explained<'s>>,
    /// Whether some of them are left out.
    pub truncated: bool,
}

/// A condition and what became of it.
#[derive(Debug, Clone)]
pub struct Explained<'s> {
    /// The condition as it is published; of `all`, `any`, and `not` only their parts are told.
    pub condition: Json<'static>,
    /// What it came to.
    pub outcome: Truth,
    /// Why, where that is *unknown* or *unsupported*, or was before `absent` took its place.
    pub why: Option<Cause>,
    /// Whether the outcome is that of `absent`, in place of *unknown*.
    pub by_absent: bool,
    /// Whether a condition before this one had decided already: an evaluation stops there.
    pub after_decision: bool,
    /// What it consists of.
    pub parts: Parts<'s>,
    /// Whether some of its parts are left out.
    pub truncated: bool,
}

/// What a condition consists of, by its form.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Parts<'s> {
    /// Nothing more is known.
    None,
    /// All have to be true.
    All(Vec<Explained<'s>>),
    /// One has to be true.
    Any(Vec<Explained<'s>>),
    /// The one that must not be true.
    Not(Vec<Explained<'s>>),
    /// An attribute.
    Attribute {
        /// What the context has there.
        value: Option<Json<'static>>,
        /// Each test on its own.
        tests: Vec<ExplainedTest>,
    },
    /// Segments, one of which is enough.
    Segments(Vec<ExplainedSegment<'s>>),
    /// Another flag, unless it cannot be followed.
    Flag(Option<Box<Explanation<'s>>>),
    /// A bucket.
    Bucket(Bucket<'s>),
    /// The time it was compared with.
    Time(Instant),
}

/// One test of an attribute.
#[derive(Debug, Clone)]
pub struct ExplainedTest {
    /// The test and its operand, as an object of one member.
    pub test: Json<'static>,
    /// What it came to, on its own.
    pub outcome: Truth,
    /// Why, where that is *unknown* or *unsupported*.
    pub why: Option<Cause>,
}

/// A segment and whether the context is in it.
#[derive(Debug, Clone)]
pub struct ExplainedSegment<'s> {
    /// Its key.
    pub key: &'s str,
    /// Whether one is in it: *unknown* inside counts as false.
    pub outcome: Truth,
    /// Why it is unsupported.
    pub why: Option<Cause>,
    /// Whether a segment before this one had decided already.
    pub after_decision: bool,
    /// Its conditions; all have to be true.
    pub conditions: Vec<Explained<'s>>,
    /// Whether some of them are left out.
    pub truncated: bool,
}

/// Where a unit lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket<'s> {
    /// The attribute that is the unit.
    pub by: String,
    /// The unit's bucket; `None` without a unit, or if the hash is unknown.
    pub bucket: Option<u64>,
    /// Whether there is a unit.
    pub unit_present: bool,
    /// How many buckets there are.
    pub of: u64,
    /// What is in.
    pub within: Within<'s>,
}

/// Which buckets are in.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Within<'s> {
    /// Those of ranges: start and end, which is out, and the variation that a split serves there.
    Ranges {
        /// The ranges, up to [`MAX_EXPLAINED_ELEMENTS`].
        ranges: Vec<(u64, u64, Option<&'s str>)>,
        /// The one that holds the bucket.
        hit: Option<(u64, u64, Option<&'s str>)>,
    },
    /// Those below a share that grows with time.
    Ramp {
        /// The first bucket that is out, now.
        reached: u64,
        /// The next point: when, and which share.
        next: Option<(Instant, u64)>,
        /// Whether the share grows evenly between points.
        linear: bool,
    },
}

/// Why a result is *unknown* or *unsupported*, or why a rule that matches decides nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The context does not have the attribute.
    AttributeMissing,
    /// The attribute has a type for which the test is not defined.
    WrongType,
    /// The context has no unit to bucket.
    NoUnit,
    /// The unit's bucket lies in no range.
    Gap,
    /// No form of a condition, or two at once.
    UnknownForm,
    /// A test, or another member of a test on an attribute, that this release does not know.
    UnknownTest,
    /// A value of `fold` or `as` that this release does not know.
    UnknownModifier,
    /// `fold` beside a test that does not fold.
    UnfitModifier,
    /// A member of a condition that this release does not know.
    UnknownMember,
    /// An operand that cannot be read.
    UnreadableOperand,
    /// `all`, `any`, and `not` are nested too deep.
    TooDeep,
    /// A hash that this release does not know.
    Hash,
    /// The flag that is named does not exist.
    MissingFlag,
    /// The flag that is named cannot be read.
    UnreadableFlag,
    /// The flag that is named cannot be decided.
    UndecidableFlag,
    /// The segment that is named does not exist.
    MissingSegment,
    /// The segment that is named cannot be read.
    UnreadableSegment,
    /// The list that is named does not exist.
    MissingList,
    /// The list that is named cannot be read.
    UnreadableList,
    /// The object of the list that is named is not here yet.
    ListNotHeld,
    /// The reference lies on a cycle.
    Cycle,
    /// The reference leads too far.
    TooFar,
    /// The rule cannot be read.
    UnreadableRule,
}

impl Cause {
    /// Its stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AttributeMissing => "attribute-missing",
            Self::WrongType => "wrong-type",
            Self::NoUnit => "no-unit",
            Self::Gap => "gap",
            Self::UnknownForm => "unknown-form",
            Self::UnknownTest => "unknown-test",
            Self::UnknownModifier => "unknown-modifier",
            Self::UnfitModifier => "unfit-modifier",
            Self::UnknownMember => "unknown-member",
            Self::UnreadableOperand => "unreadable-operand",
            Self::TooDeep => "too-deep",
            Self::Hash => "unknown-hash",
            Self::MissingFlag => "missing-flag",
            Self::UnreadableFlag => "unreadable-flag",
            Self::UndecidableFlag => "undecidable-flag",
            Self::MissingSegment => "missing-segment",
            Self::UnreadableSegment => "unreadable-segment",
            Self::MissingList => "missing-list",
            Self::UnreadableList => "unreadable-list",
            Self::ListNotHeld => "list-not-held",
            Self::Cycle => "cycle",
            Self::TooFar => "too-far",
            Self::UnreadableRule => "unreadable-rule",
        }
    }
}

impl Snapshot {
    /// Evaluates a flag as [`Snapshot::evaluate`] does, and tells every step.
    ///
    /// `lines` gives the lines this snapshot was compiled from: conditions are told as they stand there. What the
    /// context holds at the attributes that are tested is repeated; keep it from logs.
    pub fn explain<'l>(
        &self,
        flag: &str,
        wanted: Option<FlagType>,
        context: &'l Context,
        now: Instant,
        lines: Lines<'l>,
    ) -> Explanation<'_> {
        let (flag, body) = match self.readable(flag, wanted) {
            Ok(readable) => readable,
            Err(code) => return Explanation::error(flag, code),
        };
        let (details, steps, cut) = Trace::of(|trace| {
            Evaluation { snapshot: self, context, now, observer: trace }.decide(flag, body)
        });
        Teller::new(self, context, now, lines).flag(flag, body, details, Inside { steps, cut })
    }
}

impl Explanation<'_> {
    /// The explanation of an evaluation that ended before it began.
    pub fn error(flag: &str, code: ErrorCode) -> Self {
        let exit = match code {
            ErrorCode::FlagNotFound => Exit::FlagNotFound,
            ErrorCode::ParseError => Exit::FlagUnreadable,
            ErrorCode::TypeMismatch => Exit::TypeMismatch,
            _ => Exit::InvalidContext,
        };
        Self {
            flag: flag.to_owned(),
            details: Details::error(code),
            exit,
            needs: Vec::new(),
            rules: Vec::new(),
            truncated: false,
        }
    }

    /// Whether the reason says that the flag could not be decided.
    fn is_undecided(&self) -> bool {
        matches!(self.details.reason, Reason::Unknown | Reason::Error)
    }
}
