//! The compiled form of flags, segments, and conditions: references resolved by name, impossible states gone.

use std::sync::Arc;

use flagstone_model::value::{FlagType, Value};

use crate::attribute::AttributeTest;
use crate::bucket::{BucketTest, Split, Within};
use crate::table::{Keyed, Reference};

/// A flag line.
#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) key: Arc<str>,
    /// `None`: type, values, or `on` could not be read.
    pub(crate) body: Option<FlagBody>,
    /// Flags, segments, and lists that its conditions name, once for each mention.
    pub(crate) references: Box<[Entity]>,
    /// Whether the time may matter: a schedule or a ramp in its own conditions, or anything that they name.
    pub(crate) reads_clock: bool,
}

#[derive(Debug)]
pub(crate) struct FlagBody {
    pub(crate) flag_type: FlagType,
    pub(crate) on: bool,
    /// Whether every member was understood.
    pub(crate) understood: bool,
    pub(crate) rev: Option<u64>,
    pub(crate) variations: Box<[Variation]>,
    pub(crate) off: Option<usize>,
    pub(crate) fallthrough: Option<usize>,
    pub(crate) needs: Box<[Condition]>,
    pub(crate) rules: Box<[Rule]>,
}

#[derive(Debug)]
pub(crate) struct Variation {
    pub(crate) key: Arc<str>,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: Option<Arc<str>>,
    pub(crate) exp: Option<Arc<str>>,
    pub(crate) conditions: Box<[Condition]>,
    pub(crate) action: Action,
}

#[derive(Debug)]
pub(crate) enum Action {
    /// The rule cannot be read: it is unsupported where it is reached.
    Unreadable,
    /// `bucketed`: its conditions hold a bucket condition at some depth.
    Serve {
        variation: usize,
        bucketed: bool,
    },
    Split(Split),
}

/// A segment line.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) key: Arc<str>,
    /// `None`: not readable, so that references to it are unsupported.
    pub(crate) conditions: Option<Box<[Condition]>>,
    pub(crate) references: Box<[Entity]>,
}

#[derive(Debug)]
pub(crate) enum Condition {
    Unsupported,
    All(Box<[Condition]>),
    Any(Box<[Condition]>),
    Not(Box<Condition>),
    Attribute(Box<AttributeTest>),
    Segment(Box<[Reference]>),
    Flag(Box<FlagTest>),
    Bucket(Box<BucketTest>),
    /// `since ≤ now < before`, in epoch milliseconds.
    Time {
        since: i64,
        before: i64,
    },
}

impl FlagBody {
    /// Whether a condition here, at any depth, depends on the time. What others say through references is not seen.
    pub(crate) fn reads_clock(&self) -> bool {
        let rules = self.rules.iter().flat_map(|rule| &rule.conditions);
        self.needs.iter().chain(rules).any(Condition::reads_clock)
    }
}

impl Condition {
    fn reads_clock(&self) -> bool {
        match self {
            Self::Time { .. } => true,
            Self::Bucket(test) => matches!(test.within, Within::Ramp(_)),
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::reads_clock),
            Self::Not(part) => part.reads_clock(),
            Self::Unsupported | Self::Attribute(_) | Self::Segment(_) | Self::Flag(_) => false,
        }
    }
}

/// `{"flag":key,"is":[variation…]}`
#[derive(Debug)]
pub(crate) struct FlagTest {
    pub(crate) flag: Reference,
    pub(crate) is: Box<[Box<str>]>,
}

/// What a reference may lead to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// The flag with this key.
    Flag(Arc<str>),
    /// The segment with this key.
    Segment(Arc<str>),
    /// The list with this key, which refers to nothing.
    List(Arc<str>),
}

impl Keyed for Flag {
    fn key(&self) -> &str {
        &self.key
    }
}

impl Keyed for Segment {
    fn key(&self) -> &str {
        &self.key
    }
}
