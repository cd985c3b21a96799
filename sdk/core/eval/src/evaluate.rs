//! The evaluation of a flag, step by step as FORMAT M-8 numbers them.

use std::sync::Arc;

use flagstone_model::context::Context;
use flagstone_model::details::{ErrorCode, Reason};
use flagstone_model::instant::Instant;
use flagstone_model::value::{FlagType, Value};

use crate::bucket::Bucketed;
use crate::explain::observer::Observer;
use crate::flag::{Action, Condition, Entity, Flag, FlagBody, FlagTest, Rule};
use crate::snapshot::Snapshot;
use crate::table::Reference;
use crate::truth::Truth;

/// What an evaluation answers, borrowed from the snapshot: making it allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Details<'s> {
    /// The value to serve; `None` where the caller's default value stands.
    pub value: Option<&'s Value>,
    /// The variation served, if any.
    pub variation: Option<&'s Arc<str>>,
    /// Why.
    pub reason: Reason,
    /// With [`Reason::Error`]: what was wrong.
    pub error_code: Option<ErrorCode>,
    /// The rule that decided, or that could not be decided.
    pub rule: Option<&'s Arc<str>>,
    /// The experiment and phase to record an exposure for.
    pub exp: Option<&'s Arc<str>>,
    /// The unit's bucket, when a split served.
    pub bucket: Option<u64>,
    /// The flag's own edit number.
    pub rev: Option<u64>,
    /// With [`Reason::Disabled`]: the first need that is not true, by its index.
    pub need: Option<usize>,
}

impl Details<'_> {
    /// The default value, for this error.
    pub const fn error(code: ErrorCode) -> Self {
        Self {
            value: None,
            variation: None,
            reason: Reason::Error,
            error_code: Some(code),
            rule: None,
            exp: None,
            bucket: None,
            rev: None,
            need: None,
        }
    }
}

impl Snapshot {
    /// Evaluates a flag. Total: no I/O, no clock, no panic, no error type; the reason says what happened.
    ///
    /// `wanted` is the type of the getter; `None` reads a flag of any type as its own. `now` decides schedules and
    /// ramps.
    pub fn evaluate(
        &self,
        flag: &str,
        wanted: Option<FlagType>,
        context: &Context,
        now: Instant,
    ) -> Details<'_> {
        self.evaluate_when(flag, wanted, context, || now)
    }

    /// The same, asking what time it is only for a flag whose answer may depend on it.
    pub fn evaluate_when(
        &self,
        flag: &str,
        wanted: Option<FlagType>,
        context: &Context,
        now: impl FnOnce() -> Instant,
    ) -> Details<'_> {
        match self.readable(flag, wanted) {
            Ok((flag, body)) => {
                let now = if flag.reads_clock { now() } else { Instant::from_millis(0) };
                Evaluation { snapshot: self, context, now, observer: () }.decide(flag, body)
            }
            Err(code) => Details::error(code),
        }
    }

    /// The answer for a context that is no JSON object, which a [`Context`] cannot be.
    pub fn evaluate_without_context(&self, flag: &str, wanted: Option<FlagType>) -> Details<'_> {
        Details::error(self.readable(flag, wanted).err().unwrap_or(ErrorCode::InvalidContext))
    }

    /// Steps 2 to 4.
    pub(crate) fn readable(
        &self,
        key: &str,
        wanted: Option<FlagType>,
    ) -> Result<(&Flag, &FlagBody), ErrorCode> {
        let flag = self.flags.find(key).ok_or(ErrorCode::FlagNotFound)?;
        let body = flag.body.as_ref().ok_or(ErrorCode::ParseError)?;
        match wanted {
            Some(wanted) if !body.flag_type.is_readable_as(wanted) => Err(ErrorCode::TypeMismatch),
            _ => Ok((flag, body)),
        }
    }

    /// Why a reference whose end exists may not be followed, if it may not.
    pub(crate) fn severed(&self, from: Owner<'_>, to: Owner<'_>) -> Option<&'static str> {
        let links = &self.links;
        if links.are_sound() { None } else { links.severs(&from.entity(), &to.entity()) }
    }
}

/// One evaluation, and what watches it: `()` where nobody asks why.
#[derive(Clone, Copy)]
pub(crate) struct Evaluation<'s, 'c, O> {
    pub(crate) snapshot: &'s Snapshot,
    pub(crate) context: &'c Context,
    pub(crate) now: Instant,
    pub(crate) observer: O,
}

/// Whose conditions are evaluated: a reference from it may lie on a cycle.
#[derive(Clone, Copy)]
pub(crate) enum Owner<'s> {
    Flag(&'s Arc<str>),
    Segment(&'s Arc<str>),
}

impl<'s, O: Observer<'s>> Evaluation<'s, '_, O> {
    /// Steps 6 to 12.
    pub(crate) fn decide(self, flag: &'s Flag, body: &'s FlagBody) -> Details<'s> {
        let owner = Owner::Flag(&flag.key);
        let served = Served { body };
        if !body.understood {
            return served.off(Reason::Unknown);
        }
        if !body.on {
            return served.off(Reason::Disabled);
        }
        match self.first_unmet(&body.needs, owner) {
            (Truth::True, _) => {}
            (Truth::Unsupported, _) => return served.off(Reason::Unknown),
            (_, need) => return Details { need, ..served.off(Reason::Disabled) },
        }
        let mut no_unit = false;
        for rule in &body.rules {
            self.observer.enter();
            let decided = self.rule(rule, owner, served, &mut no_unit);
            self.observer.rule(rule, decided.is_some());
            if let Some(details) = decided {
                return details;
            }
        }
        match body.fallthrough {
            Some(_) if body.rules.is_empty() && body.needs.is_empty() => {
                served.variation(body.fallthrough, Reason::Static)
            }
            Some(_) => served.variation(body.fallthrough, Reason::Default),
            None if no_unit => Details { rev: body.rev, ..Details::error(ErrorCode::TargetingKeyMissing) },
            None => served.variation(None, Reason::Default),
        }
    }

    /// Step 9 for one rule; `None` goes on to the next.
    fn rule(
        self,
        rule: &'s Rule,
        owner: Owner<'s>,
        served: Served<'s>,
        no_unit: &mut bool,
    ) -> Option<Details<'s>> {
        let undecidable = || Some(Details { rule: rule.id.as_ref(), ..served.off(Reason::Unknown) });
        if matches!(rule.action, Action::Unreadable) {
            return undecidable();
        }
        let matched = self.all(&rule.conditions, owner);
        self.observer.matched(matched);
        match matched {
            Truth::True => {}
            Truth::Unsupported => return undecidable(),
            _ => return None,
        }
        let (variation, reason, bucket) = match &rule.action {
            Action::Unreadable => return undecidable(),
            Action::Serve { variation, bucketed: false } => (*variation, Reason::TargetingMatch, None),
            Action::Serve { variation, bucketed: true } => (*variation, Reason::Split, None),
            Action::Split(split) => match split.bucketing.bucket(self.context) {
                Bucketed::NoUnit => {
                    *no_unit = true;
                    return None;
                }
                Bucketed::Unsupported => return undecidable(),
                Bucketed::In(bucket) => (split.variation(bucket)?, Reason::Split, Some(bucket)),
            },
        };
        let details = served.variation(Some(variation), reason);
        Some(Details { rule: rule.id.as_ref(), exp: rule.exp.as_ref(), bucket, ..details })
    }

    /// What `all` says of the needs, and the first that is not true. Each is evaluated once: behind a need may stand a
    /// whole chain of flags, and twice at each of them would be exponential.
    fn first_unmet(self, needs: &'s [Condition], owner: Owner<'s>) -> (Truth, Option<usize>) {
        let (mut least, mut first) = (Truth::True, None);
        let mut rest = needs.iter().enumerate();
        while let Some((index, need)) = rest.next() {
            let truth = self.truth(need, owner);
            if truth != Truth::True {
                first = first.or(Some(index));
            }
            least = least.min(truth);
            if least == Truth::False && rest.len() > 0 && self.observer.hurries() {
                break;
            }
        }
        (least, first)
    }

    fn all(self, conditions: &'s [Condition], owner: Owner<'s>) -> Truth {
        self.observer.all(conditions.iter().map(|condition| self.truth(condition, owner)))
    }

    fn truth(self, condition: &'s Condition, owner: Owner<'s>) -> Truth {
        self.observer.enter();
        let truth = match condition {
            Condition::Unsupported => Truth::Unsupported,
            Condition::All(parts) => self.all(parts, owner),
            Condition::Any(parts) => self.observer.any(parts.iter().map(|part| self.truth(part, owner))),
            Condition::Not(part) => self.truth(part, owner).not(),
            Condition::Attribute(test) => test.truth(self.context, &self.snapshot.lists),
            Condition::Segment(keys) => self.observer.any(keys.iter().map(|key| self.in_segment(key, owner))),
            Condition::Flag(test) => self.serves(test, owner),
            Condition::Bucket(test) => test.truth(self.context, self.now),
            Condition::Time { since, before } => Truth::from((*since..*before).contains(&self.now.millis())),
        };
        self.observer.condition(condition, truth);
        truth
    }

    fn in_segment(self, reference: &'s Reference, owner: Owner<'s>) -> Truth {
        self.observer.follow();
        let truth = self.segment(reference, owner);
        self.observer.segment(reference, truth);
        truth
    }

    /// One is in a segment or not: unknown inside it is false (FORMAT M-4.2).
    #[inline]
    fn segment(self, reference: &Reference, owner: Owner<'s>) -> Truth {
        let Some(segment) = self.snapshot.segments.follow(reference) else { return Truth::Unsupported };
        let Some(conditions) = &segment.conditions else { return Truth::Unsupported };
        if self.is_severed(owner, Owner::Segment(&segment.key)) {
            return Truth::Unsupported;
        }
        self.all(conditions, Owner::Segment(&segment.key)).or_absent(Some(false))
    }

    /// Steps 2 to 12 for another flag, without its type being asked for.
    fn serves(self, test: &FlagTest, owner: Owner<'s>) -> Truth {
        let Some(flag) = self.snapshot.flags.follow(&test.flag) else { return Truth::Unsupported };
        let Some(body) = &flag.body else { return Truth::Unsupported };
        if self.is_severed(owner, Owner::Flag(&flag.key)) {
            return Truth::Unsupported;
        }
        self.observer.follow();
        let details = self.decide(flag, body);
        self.observer.flag(flag, body, details);
        match (details.reason, details.variation) {
            (Reason::Unknown | Reason::Error, _) => Truth::Unsupported,
            (_, Some(variation)) => test.is.iter().any(|name| **name == **variation).into(),
            (_, None) => Truth::False,
        }
    }

    fn is_severed(self, from: Owner<'s>, to: Owner<'s>) -> bool {
        self.snapshot.severed(from, to).is_some()
    }
}

impl Owner<'_> {
    fn entity(self) -> Entity {
        match self {
            Self::Flag(key) => Entity::Flag(key.clone()),
            Self::Segment(key) => Entity::Segment(key.clone()),
        }
    }
}

/// Serves variations of one flag.
#[derive(Clone, Copy)]
struct Served<'s> {
    body: &'s FlagBody,
}

impl<'s> Served<'s> {
    /// The off variation, or the caller's default with the same reason (FORMAT M-8.1).
    fn off(self, reason: Reason) -> Details<'s> {
        self.variation(self.body.off, reason)
    }

    fn variation(self, index: Option<usize>, reason: Reason) -> Details<'s> {
        let variation = index.and_then(|index| self.body.variations.get(index));
        Details {
            value: variation.map(|variation| &variation.value),
            variation: variation.map(|variation| &variation.key),
            reason,
            error_code: None,
            rule: None,
            exp: None,
            bucket: None,
            rev: self.body.rev,
            need: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::links::MAX_REFERENCE_WORK;

    /// Counts the flags and segments that are evaluated behind the one that is asked for.
    #[derive(Clone, Copy)]
    struct Count<'n>(&'n Cell<u64>);

    impl Observer<'_> for Count<'_> {
        fn follow(self) {
            self.0.set(self.0.get() + 1);
        }
    }

    /// Entities by number, each of which may name those before it, some of them again and again: even ones are flags,
    /// odd ones segments. All conditions are true, so that nothing is left out.
    fn snapshot(references: &[Vec<usize>]) -> Snapshot {
        let lines: Vec<_> = references
            .iter()
            .enumerate()
            .map(|(number, references)| {
                let conditions: Vec<_> = references
                    .iter()
                    .map(|to| match to % 2 {
                        0 => format!(r#"{{"flag":"e{to}","is":["on"]}}"#),
                        _ => format!(r#"{{"segment":["e{to}"]}}"#),
                    })
                    .collect();
                let conditions = conditions.join(",");
                match number % 2 {
                    0 => format!(
                        r#"{{"flag":"e{number}","type":"bool","rev":1,"on":true,"values":{{"on":true}},"needs":[{conditions}],"fallthrough":"on"}}"#
                    ),
                    _ => format!(r#"{{"segment":"e{number}","if":[{conditions}]}}"#),
                }
            })
            .collect();
        Snapshot::compile(lines.iter().map(String::as_bytes)).0
    }

    /// How many are evaluated behind a flag, and whether it was decided.
    fn followed(snapshot: &Snapshot, flag: usize) -> (u64, bool) {
        let count = Cell::new(0);
        let (flag, body) = snapshot.readable(&format!("e{flag}"), None).unwrap();
        let (context, now) = (&Context::new(), Instant::from_millis(0));
        let details = Evaluation { snapshot, context, now, observer: Count(&count) }.decide(flag, body);
        (count.get(), details.variation.is_some())
    }

    /// FORMAT M-1.15: cost(x) = 1 + Σ cost(y), for each mention.
    fn costs(references: &[Vec<usize>]) -> Vec<u64> {
        let mut costs: Vec<u64> = Vec::new();
        for references in references {
            let behind = references.iter().map(|to| costs[*to]).fold(0, u64::saturating_add);
            costs.push(behind.saturating_add(1));
        }
        costs
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(42),
            ..ProptestConfig::default()
        })]

        /// The reference cost says what an evaluation leads to, and where it is large, the reader's own bound holds.
        #[test]
        fn what_is_evaluated_is_what_the_reference_cost_says(
            drawn in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..30),
        ) {
            let references: Vec<Vec<usize>> = drawn
                .iter()
                .enumerate()
                .map(|(number, to)| to.iter().take(number).map(|to| to.index(number.max(1))).collect())
                .collect();
            let snapshot = snapshot(&references);
            for (number, cost) in costs(&references).into_iter().enumerate().step_by(2) {
                let (followed, decided) = followed(&snapshot, number);
                if cost <= u64::from(MAX_REFERENCE_WORK) {
                    prop_assert_eq!((followed, decided), (cost - 1, true));
                } else {
                    prop_assert!(!decided || followed < u64::from(MAX_REFERENCE_WORK));
                    prop_assert!(followed < u64::from(MAX_REFERENCE_WORK));
                }
            }
        }
    }

    #[test]
    fn diamonds_that_double_are_evaluated_up_to_the_bound_and_not_beyond() {
        let diamonds: Vec<Vec<usize>> = (0..60_usize)
            .map(|number| number.checked_sub(1).map_or_else(Vec::new, |to| vec![to, to]))
            .collect();
        let snapshot = snapshot(&diamonds);
        // 2¹⁵ − 1 evaluations behind e14 and itself: cost 2¹⁵ − 1; e16 costs 2¹⁷ − 1, above 65 536.
        assert_eq!(followed(&snapshot, 14), ((1 << 15) - 2, true));
        for number in (16..60).step_by(2) {
            assert!(followed(&snapshot, number).0 < u64::from(MAX_REFERENCE_WORK), "{number}");
        }
        assert!(!followed(&snapshot, 16).1);
    }
}
