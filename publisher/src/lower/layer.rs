//! Slots of layers: settled when a change is written, so that no two rules of a layer share a bucket (FORMAT M-5.7).

use std::collections::BTreeMap;

use flagstone_model::json::Json;
use flagstone_model::key::FlagKey;
use flagstone_model::limits::{BUCKETS, MAX_RANGES};

use super::split::Splits;
use crate::author::{
    ExperimentName, Layer, Problem, Slot, Targeting, Weight, code, pointer, spans_from_json, spans_json,
};

/// How many holders of a layer are named where it is full.
const MAX_NAMED: usize = 8;

/// Spans of buckets `start ≤ bucket < end`: ascending, disjoint, none empty.
pub type Spans = Vec<(u64, u64)>;

/// The slots of a flag's rules, by rule id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slots(BTreeMap<String, Spans>);

/// A slot of a layer that a rule of another flag has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The layer.
    pub layer: ExperimentName,
    /// Whose rule it is.
    pub flag: FlagKey,
    /// The rule.
    pub rule: String,
    /// Its slot.
    pub spans: Spans,
}

/// The rules of a targeting that are in a layer: index, id, layer.
fn layered(targeting: &Targeting) -> impl Iterator<Item = (usize, &str, &Layer)> {
    let rules = targeting.rules.iter().enumerate();
    rules.filter_map(|(index, rule)| Some((index, rule.id.as_str(), rule.layer.as_ref()?)))
}

/// How many buckets there are in spans.
pub fn width(spans: &[(u64, u64)]) -> u64 {
    spans.iter().map(|(start, end)| end.saturating_sub(*start)).sum()
}

impl Slots {
    /// The slot of a rule.
    pub fn of_rule(&self, rule: &str) -> Option<&Spans> {
        self.0.get(rule)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The slots that [`Self::settle`] gives `targeting` whatever is taken: those its author wrote, and what rules keep.
    fn claimed(targeting: &Targeting, before: Option<(&Targeting, &Splits)>) -> Self {
        let kept = |rule: &str, layer: &Layer| {
            let (before, splits) = before?;
            let (_, _, earlier) = layered(before).find(|(_, id, _)| *id == rule)?;
            let same = earlier.name == layer.name && earlier.by == layer.by;
            same.then(|| splits.slots.of_rule(rule))?
        };
        let claims = layered(targeting).map(|(_, rule, layer)| {
            let spans = match &layer.slot {
                Slot::In(spans) => spans.clone(),
                Slot::Share(share) => {
                    kept(rule, layer).map_or_else(Vec::new, |spans| shrunk(spans, share.parts()))
                }
            };
            (rule.to_owned(), spans)
        });
        Self(claims.collect())
    }

    /// Finds each rule its slot: the one it had, less its top or more of what is free; else the lowest free buckets.
    pub(super) fn settle(
        targeting: &Targeting,
        before: Option<(&Targeting, &Splits)>,
        elsewhere: &[Held],
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut slots = Self::claimed(targeting, before);
        for (index, rule, layer) in layered(targeting) {
            let wanted = layer.slot.width();
            let own = slots.of_rule(rule).cloned().unwrap_or_default();
            if width(&own) >= wanted {
                continue;
            }
            let others = slots.of_layer(targeting, &layer.name).filter(|(id, _)| *id != rule);
            let others = others.map(|(id, spans)| (format!("rule `{id}`"), spans));
            let held = elsewhere.iter().filter(|held| held.layer == layer.name);
            let held =
                held.map(|held| (format!("rule `{}` of flag `{}`", held.rule, held.flag), &held.spans));
            let holders: Vec<_> = others.chain(held).collect();
            let taken: Spans = holders.iter().flat_map(|(_, spans)| spans.iter().copied()).collect();
            match grown(&own, &taken, wanted.saturating_sub(width(&own))) {
                Ok(spans) => {
                    slots.0.insert(rule.to_owned(), spans);
                }
                Err(NoRoom { free }) => {
                    let at = pointer(["rules", &index.to_string(), "layer", "share"]);
                    let free = free.saturating_add(width(&own));
                    problems.push(Problem::new(code::LAYER_FULL, at, full(layer, wanted, free, &holders)));
                }
            }
        }
        slots
    }

    /// The slots of a layer by rule id.
    fn of_layer<'s>(
        &'s self,
        targeting: &'s Targeting,
        layer: &'s ExperimentName,
    ) -> impl Iterator<Item = (&'s str, &'s Spans)> {
        let own = layered(targeting).filter(move |(_, _, own)| own.name == *layer);
        own.filter_map(|(_, rule, _)| Some((rule, self.of_rule(rule)?)))
    }

    /// Whether every rule that is in a layer has its slot, of exactly its width.
    pub(super) fn fit(&self, targeting: &Targeting) -> bool {
        let fits = |(_, rule, layer): (usize, &str, &Layer)| {
            self.of_rule(rule).is_some_and(|spans| match &layer.slot {
                Slot::In(wanted) => wanted == spans,
                Slot::Share(share) => width(spans) == share.parts(),
            })
        };
        layered(targeting).all(fits)
    }

    /// As the log keeps it: `{"RULE":[[start,end],…],…}`.
    pub fn to_json(&self) -> Json<'_> {
        Json::object(self.0.iter().map(|(rule, spans)| (rule.as_str(), spans_json(spans))))
    }

    /// Reads what the log keeps.
    pub fn from_json(json: &Json<'_>) -> Option<Self> {
        let slots = json.as_object()?.iter();
        slots
            .map(|(rule, spans)| Some((rule.to_string(), spans_from_json(spans)?)))
            .collect::<Option<_>>()
            .map(Self)
    }
}

impl Held {
    /// The slots that a flag's targeting has.
    pub fn of<'a>(
        flag: &'a FlagKey,
        targeting: &'a Targeting,
        slots: &'a Slots,
    ) -> impl Iterator<Item = Self> + use<'a> {
        layered(targeting).filter_map(move |(_, rule, layer)| {
            let spans = slots.of_rule(rule).filter(|spans| !spans.is_empty())?.clone();
            Some(Self { layer: layer.name.clone(), flag: flag.clone(), rule: rule.to_owned(), spans })
        })
    }

    /// The slots that a targeting about to be settled has whatever else is taken.
    pub fn claimed(
        flag: &FlagKey,
        targeting: &Targeting,
        before: Option<(&Targeting, &Splits)>,
    ) -> Vec<Self> {
        Self::of(flag, targeting, &Slots::claimed(targeting, before)).collect()
    }
}

fn percent(parts: u64) -> Weight {
    Weight::of_parts(parts).unwrap_or(Weight::ALL)
}

fn full(layer: &Layer, wanted: u64, free: u64, holders: &[(String, &Spans)]) -> String {
    let named = holders.iter().take(MAX_NAMED);
    let mut named: Vec<_> =
        named.map(|(who, spans)| format!("{who} has {}", percent(width(spans)))).collect();
    match holders.len().saturating_sub(named.len()) {
        0 => {}
        more => named.push(format!("{more} more have some")),
    }
    let named = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    format!("layer `{}` has {} left for this, not {}{named}", layer.name, percent(free), percent(wanted))
}

/// What remains of spans that give up the top until they have at most so many buckets.
fn shrunk(spans: &[(u64, u64)], most: u64) -> Spans {
    let mut left = most;
    let cut = spans.iter().map(|(start, end)| {
        let kept = left.min(end.saturating_sub(*start));
        left = left.saturating_sub(kept);
        (*start, start.saturating_add(kept))
    });
    cut.filter(|(start, end)| start < end).collect()
}

/// There is not enough room.
struct NoRoom {
    free: u64,
}

/// `own` and so many more buckets that nobody has: first those that continue a span of its own, then the lowest.
fn grown(own: &[(u64, u64)], taken: &[(u64, u64)], mut missing: u64) -> Result<Spans, NoRoom> {
    let mut used: Spans = own.iter().chain(taken).copied().collect();
    used.sort_unstable();
    let mut gaps = Spans::new();
    let mut free_from = 0;
    for (start, end) in used.into_iter().chain([(BUCKETS, BUCKETS)]) {
        if free_from < start {
            gaps.push((free_from, start));
        }
        free_from = free_from.max(end);
    }
    let free = width(&gaps);
    if free < missing {
        return Err(NoRoom { free });
    }
    // Stable: each half stays in ascending order.
    gaps.sort_by_key(|(start, _)| !own.iter().any(|(_, end)| end == start));
    let mut spans = own.to_vec();
    for (start, end) in gaps {
        let more = missing.min(end.saturating_sub(start));
        missing = missing.saturating_sub(more);
        if more > 0 {
            spans.push((start, start.saturating_add(more)));
        }
    }
    spans.sort_unstable();
    let mut joined = Spans::with_capacity(spans.len());
    for (start, end) in spans {
        match joined.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => joined.push((start, end)),
        }
    }
    // So many pieces can not be told in one condition: as if there were no room.
    if joined.len() > MAX_RANGES { Err(NoRoom { free: 0 }) } else { Ok(joined) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_shrinks_from_its_top() {
        let spans = [(0, 10), (20, 30)];
        for (most, left) in [
            (30, vec![(0, 10), (20, 30)]),
            (20, vec![(0, 10), (20, 30)]),
            (15, vec![(0, 10), (20, 25)]),
            (10, vec![(0, 10)]),
            (1, vec![(0, 1)]),
            (0, vec![]),
        ] {
            assert_eq!(shrunk(&spans, most), left);
        }
    }

    #[test]
    fn a_slot_grows_on_where_it_ends_and_then_into_the_lowest_free_space() {
        let grown = |own: &[(u64, u64)], taken: &[(u64, u64)], more| {
            grown(own, taken, more).map_err(|full| full.free)
        };
        assert_eq!(grown(&[], &[], 40_000), Ok(vec![(0, 40_000)]));
        assert_eq!(grown(&[], &[(0, 20_000)], 40_000), Ok(vec![(20_000, 60_000)]));
        assert_eq!(grown(&[(20, 30)], &[(35, 40)], 10), Ok(vec![(0, 5), (20, 35)]));
        assert_eq!(grown(&[(20, 30)], &[(0, 20)], 10), Ok(vec![(20, 40)]));
        assert_eq!(grown(&[], &[(0, 100_000)], 1), Err(0));
        assert_eq!(grown(&[(0, 50_000)], &[(50_000, 99_999)], 1), Ok(vec![(0, 50_000), (99_999, 100_000)]));
        assert_eq!(grown(&[(0, 50_000)], &[(50_000, 99_999)], 2), Err(1));
        // Slots that overlap, which only a change under way can have, are as one.
        assert_eq!(grown(&[], &[(0, 10), (5, 20), (7, 9)], 1), Ok(vec![(20, 21)]));
    }

    #[test]
    fn a_slot_of_256_pieces_is_allowed_and_one_of_257_is_not() {
        let own: Spans = (0..256).map(|tooth| (tooth * 4, tooth * 4 + 2)).collect();
        // All between the teeth is taken; what is left lies apart from the last one.
        let between = (0..256).map(|tooth| (tooth * 4 + 2, tooth * 4 + 4));
        let taken: Spans = between.chain([(1_024, 2_000)]).collect();
        assert_eq!(grown(&own, &taken, 0).map_err(|full| full.free), Ok(own.clone()));
        assert_eq!(grown(&own, &taken, 1).map_err(|full| full.free), Err(0));
        let fewer: Spans = own.iter().skip(1).copied().collect();
        assert_eq!(grown(&fewer, &taken, 1).map(|spans| spans.len()).map_err(|full| full.free), Ok(256));
    }
}
