//! Conditions: the shape of the wire, plus sugar.

use std::collections::BTreeMap;

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::{FlagKey, SegmentKey, VariationKey};
use flagstone_model::limits;

use super::bucket::{Bucket, Window};
use super::leaf::AttributeTest;
use super::moment::Moment;
use super::operand::{self, Operand};
use super::read::{Members, Reader};
use super::targeting::Target;

/// One truth about a context (FORMAT M-4).
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Every one is true.
    All(Vec<Condition>),
    /// At least one is true.
    Any(Vec<Condition>),
    /// None is true. Sugar for `not` of `any`.
    None(Vec<Condition>),
    /// It is false.
    Not(Box<Condition>),
    /// Tests on one attribute.
    Attribute(AttributeTest),
    /// In any of these segments.
    Segment(Vec<SegmentKey>),
    /// In none of these segments. Sugar for `not` of `segment`.
    NoSegment(Vec<SegmentKey>),
    /// Another flag serves one of these variations.
    Flag(FlagTest),
    /// The unit's bucket lies inside.
    Bucket {
        /// Which buckets.
        bucket: Bucket,
        /// The result for a context without a unit, in place of unknown.
        absent: Option<bool>,
    },
    /// It is that time.
    Time(Window),
}

/// Another flag, evaluated for the same context, serves one of some variations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagTest {
    /// The other flag.
    pub flag: FlagKey,
    /// The variations.
    pub is: Vec<VariationKey>,
}

/// Whether sugar is kept as written or replaced by what the wire has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sugar {
    Kept,
    Lowered,
}

const FORMS: [&str; 10] =
    ["all", "any", "none", "not", "attr", "segment", "not_segment", "flag", "bucket", "time"];
const PENDING_FORMS: &[&str] = &["list", "experiment", "holdout"];

impl Condition {
    /// Reads a condition that stands inside of `outer` others that nest, on the wire.
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>, outer: usize) -> Option<Self> {
        if json.as_object().is_none() {
            return reader.none("a condition is an object");
        }
        let present: Vec<&str> = FORMS.into_iter().filter(|form| json.member(form).is_some()).collect();
        let form = match present[..] {
            [form] => form,
            [] => {
                reader
                    .object(json, Members { what: "a condition", known: &FORMS, pending: PENDING_FORMS })?;
                return reader.none(format!("a condition has exactly one of `{}`", FORMS.join("`, `")));
            }
            [first, second, ..] => {
                return reader.none(format!("a condition has `{first}` or `{second}`, not both"));
            }
        };
        match form {
            "attr" => {
                let test = AttributeTest::parse(reader, json)?;
                Self::check_depth(reader, outer.saturating_add(test.nesting()))?;
                Some(Self::Attribute(test))
            }
            "flag" => FlagTest::parse(reader, json).map(Self::Flag),
            "segment" => {
                reader.object(json, only("a segment condition", &["segment"]))?;
                reader.optional(json, "segment", segments).map(Self::Segment)
            }
            "not_segment" => {
                reader.object(json, only("a segment condition", &["not_segment"]))?;
                let keys = reader.optional(json, "not_segment", segments)?;
                Self::check_depth(reader, outer.saturating_add(1))?;
                Some(Self::NoSegment(keys))
            }
            "bucket" => {
                reader.object(json, only("a bucket condition", &["bucket", "absent"]))?;
                let bucket = reader.optional(json, "bucket", Bucket::parse);
                let absent = reader.optional(json, "absent", Reader::boolean);
                Some(Self::Bucket { bucket: bucket?, absent })
            }
            "time" => {
                reader.object(json, only("a time condition", &["time"]))?;
                reader.optional(json, "time", Window::parse).map(Self::Time)
            }
            _ => Self::parse_nest(reader, json, form, outer),
        }
    }

    fn parse_nest(reader: &mut Reader, json: &Json<'_>, form: &str, outer: usize) -> Option<Self> {
        // `none` is `not` of `any` on the wire.
        let depth = outer.saturating_add(if form == "none" { 2 } else { 1 });
        reader.within(form, |reader| Self::check_depth(reader, depth))?;
        if form == "not" {
            reader.object(json, only("a `not`", &["not"]))?;
            return reader
                .optional(json, form, |reader, inner| Self::parse(reader, inner, depth))
                .map(|inner| Self::Not(Box::new(inner)));
        }
        reader.object(json, only("a group of conditions", &["all", "any", "none"]))?;
        let inner = reader.optional(json, form, |reader, inner| Self::parse_all(reader, inner, depth))?;
        Some(match form {
            "all" => Self::All(inner),
            "any" => Self::Any(inner),
            _ => Self::None(inner),
        })
    }

    /// Refuses what nests too deep on the wire.
    fn check_depth(reader: &mut Reader, depth: usize) -> Option<()> {
        if depth > limits::MAX_CONDITION_NESTING {
            return reader.none(format!(
                "conditions nest at most {} deep, `not_…` included",
                limits::MAX_CONDITION_NESTING
            ));
        }
        Some(())
    }

    /// Reads an array of conditions.
    pub(super) fn parse_all(reader: &mut Reader, json: &Json<'_>, outer: usize) -> Option<Vec<Self>> {
        reader.array(json, limits::MAX_LEAVES, |reader, condition| Self::parse(reader, condition, outer))
    }

    /// The authored form, normal: members in the order of the wire, sets sorted.
    pub fn to_json(&self) -> Json<'_> {
        self.json(Sugar::Kept)
    }

    /// What the wire has for it.
    pub fn lower(&self) -> Json<'_> {
        self.json(Sugar::Lowered)
    }

    fn json(&self, sugar: Sugar) -> Json<'_> {
        match self {
            Self::All(conditions) => Json::object([("all", Self::array(conditions, sugar))]),
            Self::Any(conditions) => Json::object([("any", Self::array(conditions, sugar))]),
            Self::None(conditions) if sugar == Sugar::Kept => {
                Json::object([("none", Self::array(conditions, sugar))])
            }
            Self::None(conditions) => {
                Json::object([("not", Json::object([("any", Self::array(conditions, sugar))]))])
            }
            Self::Not(condition) => Json::object([("not", condition.json(sugar))]),
            Self::Attribute(test) if sugar == Sugar::Kept => test.to_json(),
            Self::Attribute(test) => test.lower(),
            Self::Segment(keys) => Json::object([("segment", keys_json(keys))]),
            Self::NoSegment(keys) if sugar == Sugar::Kept => Json::object([("not_segment", keys_json(keys))]),
            Self::NoSegment(keys) => Json::object([("not", Json::object([("segment", keys_json(keys))]))]),
            Self::Flag(test) => test.to_json(),
            Self::Bucket { bucket, absent } => {
                let absent = absent.map(|absent| ("absent", Json::from(absent)));
                let bucket = if sugar == Sugar::Kept { bucket.to_json() } else { bucket.lower() };
                Json::object([("bucket", bucket)].into_iter().chain(absent))
            }
            Self::Time(window) if sugar == Sugar::Kept => Json::object([("time", window.to_json())]),
            Self::Time(window) => Json::object([("time", window.lower())]),
        }
    }

    fn array(conditions: &[Self], sugar: Sugar) -> Json<'_> {
        conditions.iter().map(|condition| condition.json(sugar)).collect()
    }

    /// A test that the targeting key is one of some keys, sorted.
    pub fn keys(keys: &[Operand], absent: Option<bool>) -> Self {
        Self::Attribute(AttributeTest::keys(keys, absent))
    }

    /// Tests that the targeting key is one of some targets that have not expired, of which all must hold.
    pub fn targets(targets: &[Target]) -> Vec<Self> {
        let mut groups: BTreeMap<Option<Instant>, (Option<&Moment>, Vec<Operand>)> = BTreeMap::new();
        for target in targets {
            let until = target.until.as_ref();
            let (_, keys) = groups.entry(until.map(Moment::at)).or_insert_with(|| (until, Vec::new()));
            keys.push(target.key.clone());
        }
        let group = |(until, keys): (Option<&Moment>, Vec<Operand>)| {
            let keys = Self::keys(&keys, None);
            match until {
                None => vec![keys],
                Some(until) => {
                    let before = Some(Moment::from(until.at()));
                    vec![Self::Time(Window { since: None, before, zone: None }), keys]
                }
            }
        };
        let mut groups: Vec<Vec<Self>> = groups.into_values().map(group).collect();
        match (groups.pop(), groups.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                groups.extend(last);
                let all = |mut group: Vec<Self>| match (group.pop(), group.is_empty()) {
                    (Some(only), true) => only,
                    (last, _) => {
                        group.extend(last);
                        Self::All(group)
                    }
                };
                vec![Self::Any(groups.into_iter().map(all).collect())]
            }
        }
    }

    /// How many `all`, `any`, and `not` stand on its longest path, on the wire.
    pub fn nesting(&self) -> usize {
        let longest = |inner: &[Self]| inner.iter().map(Self::nesting).max().unwrap_or(0);
        match self {
            Self::All(inner) | Self::Any(inner) => longest(inner).saturating_add(1),
            Self::None(inner) => longest(inner).saturating_add(2),
            Self::Not(inner) => inner.nesting().saturating_add(1),
            Self::Attribute(test) => test.nesting(),
            Self::NoSegment(_) => 1,
            _ => 0,
        }
    }

    /// How many conditions it holds that are no `all`, `any`, `none`, or `not`.
    pub fn leaves(&self) -> usize {
        match self {
            Self::All(inner) | Self::Any(inner) | Self::None(inner) => inner.iter().map(Self::leaves).sum(),
            Self::Not(inner) => inner.leaves(),
            Self::Attribute(test) => test.parts(),
            _ => 1,
        }
    }

    /// How many instructions its expressions have together (FORMAT M-4.7).
    pub fn instructions(&self) -> usize {
        match self {
            Self::All(inner) | Self::Any(inner) | Self::None(inner) => {
                inner.iter().map(Self::instructions).sum()
            }
            Self::Not(inner) => inner.instructions(),
            Self::Attribute(test) => test.instructions(),
            _ => 0,
        }
    }
}

impl FlagTest {
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        reader.object(json, only("a flag condition", &["flag", "is"]))?;
        let flag = reader.required(json, "flag", |reader, key| reader.key(key, FlagKey::parse));
        let is = reader.required(json, "is", |reader, variations| {
            operand::set(reader, variations, |reader, key| reader.key(key, VariationKey::parse))
        });
        Some(Self { flag: flag?, is: is? })
    }

    /// The condition as JSON.
    pub fn to_json(&self) -> Json<'_> {
        let is = self.is.iter().map(|variation| Json::from(variation.as_str())).collect();
        Json::object([("flag", Json::from(self.flag.as_str())), ("is", is)])
    }
}

/// Refuses what has more expressions than its line may have, if it is new: an older log may have it (FORMAT M-1.15).
pub(super) fn check_instructions(reader: &mut Reader, what: &str, instructions: usize) {
    if reader.is_new() && instructions > limits::MAX_LINE_INSTRUCTIONS {
        reader.refuse(format!(
            "the regular expressions of a {what} have at most {} instructions together, repeats written out, these \
             {instructions}; count less, or test with `in`, `starts`, `ends`, or a list",
            limits::MAX_LINE_INSTRUCTIONS
        ));
    }
}

fn segments(reader: &mut Reader, json: &Json<'_>) -> Option<Vec<SegmentKey>> {
    operand::set(reader, json, |reader, key| reader.key(key, SegmentKey::parse))
}

fn keys_json(keys: &[SegmentKey]) -> Json<'_> {
    keys.iter().map(|key| Json::from(key.as_str())).collect()
}

const fn only(what: &'static str, known: &'static [&'static str]) -> Members {
    Members { what, known, pending: &[] }
}
