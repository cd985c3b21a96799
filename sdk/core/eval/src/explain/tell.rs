//! From the steps of an evaluation, and the lines it ran on, to an explanation.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use flagstone_model::context::{Attribute, Context};
use flagstone_model::details::Reason;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

use super::observer::{Part, Step};
use super::{
    Bucket, Cause, Exit, Explained, ExplainedRule, ExplainedSegment, ExplainedTest, Explanation, Lines,
    MAX_EXPLAINED_ELEMENTS, Parts, Within,
};
use crate::attribute::AttributeTest;
use crate::bucket::{self, Bucketed, Bucketing, Split};
use crate::compile::attribute::{single_tests, why_no_test};
use crate::compile::condition::why_unsupported;
use crate::evaluate::{Details, Owner};
use crate::flag::{Action, Condition, Entity, Flag, FlagBody, Rule};
use crate::snapshot::Snapshot;
use crate::table::Reference;
use crate::truth::Truth;

/// The steps inside of what is told, and whether some are left out.
pub(super) struct Inside<'s> {
    pub(super) steps: Vec<Step<'s>>,
    pub(super) cut: bool,
}

pub(super) struct Teller<'s, 'l> {
    snapshot: &'s Snapshot,
    context: &'l Context,
    now: Instant,
    lines: Lines<'l>,
    /// Each line that was needed, parsed once.
    parsed: RefCell<BTreeMap<Entity, Rc<Json<'l>>>>,
}

impl<'s, 'l> Teller<'s, 'l> {
    pub(super) fn new(snapshot: &'s Snapshot, context: &'l Context, now: Instant, lines: Lines<'l>) -> Self {
        Self { snapshot, context, now, lines, parsed: RefCell::default() }
    }

    /// The line of an entity; null if there is none.
    fn line(&self, entity: &Entity) -> Rc<Json<'l>> {
        if let Some(json) = self.parsed.borrow().get(entity) {
            return Rc::clone(json);
        }
        let json = (self.lines)(entity).and_then(|line| Json::parse(line).ok());
        let json = Rc::new(json.unwrap_or(Json::Null));
        self.parsed.borrow_mut().insert(entity.clone(), Rc::clone(&json));
        json
    }

    /// A flag, from the steps inside it: its needs, then the rules that were reached.
    pub(super) fn flag(
        &self,
        flag: &'s Flag,
        body: &'s FlagBody,
        details: Details<'s>,
        Inside { steps, cut }: Inside<'s>,
    ) -> Explanation<'s> {
        let owner = Owner::Flag(&flag.key);
        let line = self.line(&Entity::Flag(flag.key.clone()));
        let (rules, needs): (Vec<_>, Vec<_>) =
            steps.into_iter().partition(|step| matches!(step.part, Part::Rule { .. }));
        let needs = self.all(needs, line.member("needs"), owner);
        let written = |index: usize| line.member("rules")?.as_array()?.get(index);
        let mut told: Vec<_> = rules
            .into_iter()
            .enumerate()
            .filter_map(|(index, step)| self.rule(step, body, written(index), owner))
            .collect();
        let exit = exit(body, &details, told.last());
        let reached = told.len();
        let rest = if cut { &[][..] } else { body.rules.get(reached..).unwrap_or_default() };
        told.extend(rest.iter().map(|rule| ExplainedRule { outcome: None, ..Self::untold(rule, body) }));
        let truncated = cut || needs.iter().any(is_cut) || told.iter().any(|rule| rule.truncated);
        Explanation { flag: flag.key.to_string(), details, exit, needs, rules: told, truncated }
    }

    fn untold(rule: &'s Rule, body: &'s FlagBody) -> ExplainedRule<'s> {
        let serve = match &rule.action {
            Action::Serve { variation, .. } => body.variations.get(*variation).map(|found| &*found.key),
            _ => None,
        };
        let id = rule.id.as_deref();
        let (outcome, conditions) = (Some(Truth::Unsupported), Vec::new());
        ExplainedRule {
            id,
            outcome,
            decided: false,
            why: None,
            serve,
            bucket: None,
            conditions,
            truncated: false,
        }
    }

    fn rule(
        &self,
        step: Step<'s>,
        body: &'s FlagBody,
        written: Option<&Json<'l>>,
        owner: Owner<'s>,
    ) -> Option<ExplainedRule<'s>> {
        let Part::Rule { rule, decided } = step.part else { return None };
        let told = Self::untold(rule, body);
        if matches!(rule.action, Action::Unreadable) {
            return Some(ExplainedRule { why: Some(Cause::UnreadableRule), decided, ..told });
        }
        let conditions = self.all(step.steps, written.and_then(|rule| rule.member("if")), owner);
        let truncated = step.cut || conditions.iter().any(is_cut);
        let told = ExplainedRule { outcome: Some(step.truth), decided, conditions, truncated, ..told };
        let (Action::Split(split), Truth::True) = (&rule.action, step.truth) else { return Some(told) };
        let written = written.and_then(|rule| rule.member("split"));
        let (bucket, bucketed) = self.bucket(&split.bucketing, written, |bucket| ranges(split, body, bucket));
        let (outcome, why) = match bucketed {
            Bucketed::NoUnit => (Truth::True, Some(Cause::NoUnit)),
            Bucketed::Unsupported => (Truth::Unsupported, Some(Cause::Hash)),
            Bucketed::In(_) => (Truth::True, (!decided).then_some(Cause::Gap)),
        };
        Some(ExplainedRule { outcome: Some(outcome), why, bucket: Some(bucket), ..told })
    }

    /// Conditions that all have to be true, as they are written in a list.
    fn all(&self, steps: Vec<Step<'s>>, written: Option<&Json<'l>>, owner: Owner<'s>) -> Vec<Explained<'s>> {
        self.conditions(steps, written, owner, Truth::False)
    }

    /// The conditions of a list, of which one that is `deciding` decides.
    fn conditions(
        &self,
        steps: Vec<Step<'s>>,
        written: Option<&Json<'l>>,
        owner: Owner<'s>,
        deciding: Truth,
    ) -> Vec<Explained<'s>> {
        let written = written.and_then(Json::as_array).unwrap_or_default();
        let mut decided = false;
        let mut told = Vec::with_capacity(steps.len());
        for (index, step) in steps.into_iter().enumerate() {
            let Part::Condition(condition) = step.part else { continue };
            let truth = step.truth;
            let condition = self.condition(condition, step, written.get(index), owner);
            told.push(Explained { after_decision: decided, ..condition });
            decided |= truth == deciding;
        }
        told
    }

    fn condition(
        &self,
        condition: &'s Condition,
        step: Step<'s>,
        written: Option<&Json<'l>>,
        owner: Owner<'s>,
    ) -> Explained<'s> {
        let Step { truth: outcome, steps, cut, .. } = step;
        let operand = |form: &str| written.and_then(|written| written.member(form));
        let null = Json::Null;
        let shown = written.unwrap_or(&null);
        let told = |parts| Explained {
            condition: shortened(shown),
            outcome,
            why: None,
            by_absent: false,
            after_decision: false,
            truncated: cut || is_cut_inside(&parts),
            parts,
        };
        let connective = |parts| Explained { condition: Json::Null, ..told(parts) };
        match condition {
            Condition::Unsupported => {
                let parts = match operand("attr") {
                    Some(_) => Parts::Attribute { value: None, tests: self.tests(shown) },
                    None => Parts::None,
                };
                Explained { why: Some(why_unsupported(shown)), ..told(parts) }
            }
            Condition::All(_) => {
                connective(Parts::All(self.conditions(steps, operand("all"), owner, Truth::False)))
            }
            Condition::Any(_) => {
                connective(Parts::Any(self.conditions(steps, operand("any"), owner, Truth::True)))
            }
            Condition::Not(_) => {
                let part = operand("not").map(|part| Json::Array(vec![part.clone()]));
                connective(Parts::Not(self.conditions(steps, part.as_ref(), owner, Truth::True)))
            }
            Condition::Attribute(test) => {
                let value = self.context.resolve(&test.path).map(attribute_json);
                let unreplaced = test.unreplaced(self.context, &self.snapshot.lists);
                let why = self.why_undecided(test, unreplaced);
                let tests = self.tests(shown);
                let by_absent = unreplaced != outcome;
                Explained { why, by_absent, ..told(Parts::Attribute { value, tests }) }
            }
            Condition::Segment(_) => told(Parts::Segments(self.segments(steps, owner))),
            Condition::Flag(test) => {
                let (part, why) = self.other_flag(&test.flag, steps, owner, cut);
                Explained { why, ..told(Parts::Flag(part.map(Box::new))) }
            }
            Condition::Bucket(test) => {
                let (bucket, bucketed) = self.bucket(&test.bucketing, operand("bucket"), |bucket| {
                    within(&test.within, bucket, self.now)
                });
                let why = match bucketed {
                    Bucketed::NoUnit => Some(Cause::NoUnit),
                    Bucketed::Unsupported => Some(Cause::Hash),
                    Bucketed::In(_) => None,
                };
                let by_absent = matches!(bucketed, Bucketed::NoUnit) && test.absent.is_some();
                Explained { why, by_absent, ..told(Parts::Bucket(bucket)) }
            }
            Condition::Time { .. } => told(Parts::Time(self.now)),
        }
    }

    /// Why a test that was compiled came to no decision, if it did not.
    fn why_undecided(&self, test: &AttributeTest, outcome: Truth) -> Option<Cause> {
        match outcome {
            Truth::True | Truth::False => None,
            Truth::Unknown if self.context.resolve(&test.path).is_none() => Some(Cause::AttributeMissing),
            Truth::Unknown => Some(Cause::WrongType),
            // Nothing else is found out this late.
            Truth::Unsupported => {
                let list = test.list.as_ref().and_then(|list| self.snapshot.lists.follow(list));
                Some(match list {
                    None => Cause::MissingList,
                    Some(list) if !list.is_readable() => Cause::UnreadableList,
                    Some(_) => Cause::ListNotHeld,
                })
            }
        }
    }

    /// Each test of a leaf, on its own.
    fn tests(&self, leaf: &Json<'_>) -> Vec<ExplainedTest> {
        let told = |(name, operand, test): (&str, &Json<'_>, Option<AttributeTest>)| {
            let (outcome, why) = match test {
                None => (Truth::Unsupported, Some(why_no_test(leaf, name))),
                Some(test) => {
                    let outcome = test.unreplaced(self.context, &self.snapshot.lists);
                    (outcome, self.why_undecided(&test, outcome))
                }
            };
            ExplainedTest { test: Json::object([(name.to_owned(), shortened(operand))]), outcome, why }
        };
        single_tests(leaf).map(told).collect()
    }

    fn segments(&self, steps: Vec<Step<'s>>, owner: Owner<'s>) -> Vec<ExplainedSegment<'s>> {
        let mut decided = false;
        let mut told = Vec::with_capacity(steps.len());
        for Step { part, truth: outcome, steps, cut } in steps {
            let Part::Segment(Reference { key, .. }) = part else { continue };
            let found = self.snapshot.segments.find(key);
            let why = match found {
                None => Some(Cause::MissingSegment),
                Some(segment) if segment.conditions.is_none() => Some(Cause::UnreadableSegment),
                Some(segment) => self.severed(owner, Owner::Segment(&segment.key)),
            };
            let line = self.line(&Entity::Segment(key.clone()));
            let owner = found.map_or(owner, |segment| Owner::Segment(&segment.key));
            let conditions = self.all(steps, line.member("if"), owner);
            let truncated = cut || conditions.iter().any(is_cut);
            told.push(ExplainedSegment { key, outcome, why, after_decision: decided, conditions, truncated });
            decided |= outcome == Truth::True;
        }
        told
    }

    /// The flag that a condition names, and why the condition is unsupported, if it is.
    fn other_flag(
        &self,
        reference: &'s Reference,
        steps: Vec<Step<'s>>,
        owner: Owner<'s>,
        cut: bool,
    ) -> (Option<Explanation<'s>>, Option<Cause>) {
        let why = match self.snapshot.flags.find(&reference.key) {
            None => Some(Cause::MissingFlag),
            Some(flag) if flag.body.is_none() => Some(Cause::UnreadableFlag),
            Some(flag) => self.severed(owner, Owner::Flag(&flag.key)),
        };
        let step = steps.into_iter().next();
        let Some(Step { part: Part::Flag { flag, body, details }, steps, cut: inner, .. }) = step else {
            return (None, why);
        };
        let told = self.flag(flag, body, details, Inside { steps, cut: cut || inner });
        let why = why.or_else(|| told.is_undecided().then_some(Cause::UndecidableFlag));
        (Some(told), why)
    }

    fn severed(&self, from: Owner<'_>, to: Owner<'_>) -> Option<Cause> {
        self.snapshot.severed(from, to).map(|code| match code {
            "cycle" => Cause::Cycle,
            _ => Cause::TooFar,
        })
    }

    fn bucket(
        &self,
        bucketing: &Bucketing,
        written: Option<&Json<'_>>,
        within: impl FnOnce(Option<u64>) -> Within<'s>,
    ) -> (Bucket<'s>, Bucketed) {
        let bucketed = bucketing.bucket(self.context);
        let bucket = match bucketed {
            Bucketed::In(bucket) => Some(bucket),
            _ => None,
        };
        let by = written.and_then(|written| written.member("by")).and_then(Json::as_str);
        let told = Bucket {
            by: by.unwrap_or(Context::TARGETING_KEY).to_owned(),
            bucket,
            unit_present: !matches!(bucketed, Bucketed::NoUnit),
            of: bucketing.of,
            within: within(bucket),
        };
        (told, bucketed)
    }
}

fn ranges<'s>(split: &'s Split, body: &'s FlagBody, bucket: Option<u64>) -> Within<'s> {
    let all = split.ranges.iter().map(|&(start, end, variation)| {
        (start, end, body.variations.get(variation).map(|variation| &*variation.key))
    });
    told_ranges(all, bucket)
}

fn within<'s>(within: &bucket::Within, bucket: Option<u64>, now: Instant) -> Within<'s> {
    match within {
        bucket::Within::Ranges(ranges) => {
            told_ranges(ranges.iter().map(|&(start, end)| (start, end, None)), bucket)
        }
        bucket::Within::Ramp(ramp) => {
            let next = ramp.points.iter().find(|&&(time, _)| time > now.seconds());
            let next = next.map(|&(time, share)| (Instant::from_millis(time.saturating_mul(1_000)), share));
            Within::Ramp { reached: ramp.reached(now), next, linear: ramp.linear }
        }
    }
}

fn told_ranges<'s>(
    all: impl Iterator<Item = (u64, u64, Option<&'s str>)> + Clone,
    bucket: Option<u64>,
) -> Within<'s> {
    let hit = bucket.and_then(|bucket| all.clone().find(|&(start, end, _)| start <= bucket && bucket < end));
    Within::Ranges { ranges: all.take(MAX_EXPLAINED_ELEMENTS).collect(), hit }
}

/// Where an evaluation ended, from what it left behind.
fn exit(body: &FlagBody, details: &Details<'_>, last: Option<&ExplainedRule<'_>>) -> Exit {
    if !body.understood {
        return Exit::NotUnderstood;
    }
    if !body.on {
        return Exit::Off;
    }
    match (details.reason, last) {
        (Reason::Disabled, _) => Exit::NeedNotMet,
        // Nothing but a need is undecidable before a rule was looked at.
        (Reason::Unknown, None) => Exit::NeedUndecidable,
        (Reason::Unknown, _) => Exit::RuleUndecidable,
        (Reason::Error, _) => Exit::UnitMissing,
        (Reason::Split, _) if details.bucket.is_some() => Exit::SplitServed,
        (Reason::Split | Reason::TargetingMatch, _) => Exit::RuleServed,
        _ if body.fallthrough.is_some() => Exit::Fallthrough,
        _ => Exit::NoVariation,
    }
}

/// Whether something inside a condition is left out.
fn is_cut(told: &Explained<'_>) -> bool {
    told.truncated
}

fn is_cut_inside(parts: &Parts<'_>) -> bool {
    match parts {
        Parts::All(parts) | Parts::Any(parts) | Parts::Not(parts) => parts.iter().any(is_cut),
        Parts::Segments(segments) => segments.iter().any(|segment| segment.truncated),
        Parts::Flag(Some(flag)) => flag.truncated,
        _ => false,
    }
}

fn attribute_json(attribute: &Attribute) -> Json<'static> {
    match attribute {
        Attribute::Null => Json::Null,
        Attribute::Bool(truth) => Json::from(*truth),
        // JSON has no other numbers, and they are of the wrong type everywhere.
        Attribute::Number(number) if !number.is_finite() => Json::Null,
        Attribute::Number(number) => Json::from(*number),
        Attribute::String(text) => Json::from(text.to_string()),
        Attribute::Array(elements) => {
            elements.iter().take(MAX_EXPLAINED_ELEMENTS).map(attribute_json).collect()
        }
        Attribute::Object(context) => Json::object(
            context
                .names()
                .take(MAX_EXPLAINED_ELEMENTS)
                .map(|name| (name.to_owned(), context.attribute(name).map_or(Json::Null, attribute_json))),
        ),
    }
}

/// The same with only the first elements of long arrays.
fn shortened(json: &Json<'_>) -> Json<'static> {
    match json {
        Json::Array(elements) => {
            let mut shown: Vec<_> = elements.iter().take(MAX_EXPLAINED_ELEMENTS).map(shortened).collect();
            let left = elements.len().saturating_sub(MAX_EXPLAINED_ELEMENTS);
            if left > 0 {
                shown.push(Json::from(format!("… {left} more")));
            }
            Json::Array(shown)
        }
        Json::Object(members) => {
            Json::object(members.iter().map(|(name, value)| (name.to_string(), shortened(value))))
        }
        scalar => scalar.clone().into_owned(),
    }
}
