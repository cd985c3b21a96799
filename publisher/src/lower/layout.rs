//! The layout law: from weights to ranges of buckets, moving the fewest units (FORMAT M-5.4).

use std::collections::BTreeMap;

use flagstone_model::key::VariationKey;
use flagstone_model::limits::{BUCKETS, MAX_RANGES};

/// The buckets `start ≤ bucket < end` and the variation they serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// First bucket.
    pub start: u64,
    /// The bucket after the last; greater than `start`.
    pub end: u64,
    /// What is served.
    pub variation: VariationKey,
}

/// The wanted layout needs more ranges than a split may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the split would have {ranges} ranges, at most {MAX_RANGES} are allowed; a new salt starts it afresh"
)]
pub struct TooManyRanges {
    /// How many it would have.
    pub ranges: usize,
}

/// How many buckets each variation holds.
pub fn weights(ranges: &[Range]) -> BTreeMap<VariationKey, u64> {
    let mut weights = BTreeMap::new();
    for range in ranges {
        *weights.entry(range.variation.clone()).or_default() += range.end.saturating_sub(range.start);
    }
    weights
}

/// Changes `ranges` so that each variation holds its weight, moving as few buckets as possible.
///
/// A shrinking variation gives up the top of its highest ranges; growing ones, in key order, take free space that
/// continues their own ranges, else the lowest. So the buckets that change variation are exactly the sum of what
/// the shrinking ones lose, and nobody leaves a variation that did not shrink. From nothing, the ranges follow one
/// another in key order. Weights sum to at most [`BUCKETS`]; what is left over is a gap.
pub fn relayout(ranges: &[Range], wanted: &BTreeMap<VariationKey, u64>) -> Result<Vec<Range>, TooManyRanges> {
    let mut kept = shrink(ranges, wanted);
    for (variation, &weight) in wanted {
        let held: u64 = kept.iter().filter(|range| range.variation == *variation).map(width).sum();
        grow(&mut kept, variation, weight.saturating_sub(held));
    }
    if kept.len() > MAX_RANGES { Err(TooManyRanges { ranges: kept.len() }) } else { Ok(kept) }
}

const fn width(range: &Range) -> u64 {
    range.end.saturating_sub(range.start)
}

/// What remains when every variation above its weight has given up the top of its highest ranges.
fn shrink(ranges: &[Range], wanted: &BTreeMap<VariationKey, u64>) -> Vec<Range> {
    let mut surplus = weights(ranges);
    for (variation, held) in &mut surplus {
        *held = held.saturating_sub(wanted.get(variation).copied().unwrap_or(0));
    }
    let mut kept = Vec::with_capacity(ranges.len());
    for range in ranges.iter().rev() {
        let surplus = surplus.entry(range.variation.clone()).or_default();
        let given = width(range).min(*surplus);
        *surplus = surplus.saturating_sub(given);
        if given < width(range) {
            kept.push(Range { end: range.end.saturating_sub(given), ..range.clone() });
        }
    }
    kept.reverse();
    kept
}

/// Gives `variation` so many more buckets.
fn grow(ranges: &mut Vec<Range>, variation: &VariationKey, mut missing: u64) {
    while missing > 0 {
        let Some((start, end)) = best_gap(ranges, variation) else { return };
        let taken = missing.min(end.saturating_sub(start));
        missing = missing.saturating_sub(taken);
        insert(ranges, Range { start, end: start.saturating_add(taken), variation: variation.clone() });
    }
}

/// The lowest gap that starts where a range of `variation` ends, else the lowest of all.
fn best_gap(ranges: &[Range], variation: &VariationKey) -> Option<(u64, u64)> {
    let mut lowest = None;
    let mut previous_end = 0;
    let mut previous_is_own = false;
    let bounds = ranges.iter().map(|range| (range.start, Some(range))).chain([(BUCKETS, None)]);
    for (start, range) in bounds {
        if previous_end < start {
            if previous_is_own {
                return Some((previous_end, start));
            }
            lowest = lowest.or(Some((previous_end, start)));
        }
        if let Some(range) = range {
            previous_end = range.end;
            previous_is_own = range.variation == *variation;
        }
    }
    lowest
}

/// Puts a range into its place and joins it with neighbours of the same variation.
fn insert(ranges: &mut Vec<Range>, mut new: Range) {
    let mut at = ranges.partition_point(|range| range.start < new.start);
    if let Some(next) = ranges.get(at)
        && next.start == new.end
        && next.variation == new.variation
    {
        new.end = next.end;
        ranges.remove(at);
    }
    if let Some(previous) = at.checked_sub(1).and_then(|before| ranges.get(before))
        && previous.end == new.start
        && previous.variation == new.variation
    {
        new.start = previous.start;
        at = at.saturating_sub(1);
        ranges.remove(at);
    }
    ranges.insert(at, new);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variation(name: &str) -> VariationKey {
        VariationKey::parse(name).unwrap()
    }

    fn wanted(weights: &[(&str, u64)]) -> BTreeMap<VariationKey, u64> {
        weights.iter().map(|(name, weight)| (variation(name), *weight)).collect()
    }

    fn shown(ranges: &[Range]) -> Vec<(u64, u64, &str)> {
        ranges.iter().map(|range| (range.start, range.end, range.variation.as_str())).collect()
    }

    #[test]
    fn from_nothing_the_ranges_follow_one_another_in_key_order() {
        let ranges =
            relayout(&[], &wanted(&[("vector", 20_000), ("neural", 10_000), ("classic", 70_000)])).unwrap();
        assert_eq!(
            shown(&ranges),
            [(0, 70_000, "classic"), (70_000, 80_000, "neural"), (80_000, 100_000, "vector")]
        );
    }

    #[test]
    fn raising_one_weight_leaves_the_untouched_variation_alone() {
        let before = relayout(&[], &wanted(&[("a", 10_000), ("b", 10_000), ("c", 80_000)])).unwrap();
        let after = relayout(&before, &wanted(&[("a", 20_000), ("b", 10_000), ("c", 70_000)])).unwrap();
        assert_eq!(
            shown(&after),
            [(0, 10_000, "a"), (10_000, 20_000, "b"), (20_000, 90_000, "c"), (90_000, 100_000, "a")]
        );
        let back = relayout(&after, &wanted(&[("a", 10_000), ("b", 10_000), ("c", 80_000)])).unwrap();
        assert_eq!(back, before);
    }

    #[test]
    fn space_that_continues_an_own_range_is_taken_before_lower_space() {
        let ranges = [("a", 0, 10), ("c", 20, 30)].map(|(name, start, end)| Range {
            start,
            end,
            variation: variation(name),
        });
        let after = relayout(&ranges, &wanted(&[("a", 10), ("c", 40)])).unwrap();
        assert_eq!(shown(&after), [(0, 10, "a"), (20, 60, "c")]);
    }

    #[test]
    fn a_split_of_256_ranges_is_allowed_and_one_of_257_is_not() {
        let comb: Vec<_> = (0..256u64)
            .map(|tooth| Range {
                start: tooth * 4,
                end: tooth * 4 + 2,
                variation: variation(if tooth % 2 == 0 { "a" } else { "b" }),
            })
            .collect();
        let mut weights = weights(&comb);
        assert_eq!(relayout(&comb, &weights).unwrap(), comb);
        weights.insert(variation("c"), 1);
        assert_eq!(relayout(&comb, &weights), Err(TooManyRanges { ranges: 257 }));
    }

    /// Weights of up to `variations` variations that sum to all buckets.
    fn any_weights(variations: usize) -> impl Strategy<Value = BTreeMap<VariationKey, u64>> {
        proptest::collection::vec(0..=BUCKETS, variations - 1).prop_map(move |mut cuts| {
            cuts.sort_unstable();
            cuts.insert(0, 0);
            cuts.push(BUCKETS);
            cuts.windows(2)
                .enumerate()
                .map(|(index, pair)| (variation(&format!("v{index}")), pair[1] - pair[0]))
                .collect()
        })
    }

    fn serving(ranges: &[Range], bucket: u64) -> Option<&VariationKey> {
        ranges.iter().find(|range| range.start <= bucket && bucket < range.end).map(|range| &range.variation)
    }

    /// Buckets that change variation, from `before` to `after`, by who loses them.
    fn moved(before: &[Range], after: &[Range]) -> BTreeMap<VariationKey, u64> {
        let mut bounds: Vec<u64> = before.iter().chain(after).flat_map(|r| [r.start, r.end]).collect();
        bounds.sort_unstable();
        bounds.dedup();
        let mut lost = BTreeMap::new();
        for pair in bounds.windows(2) {
            if let Some(old) = serving(before, pair[0])
                && serving(after, pair[0]) != Some(old)
            {
                *lost.entry(old.clone()).or_default() += pair[1] - pair[0];
            }
        }
        lost
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn an_edit_moves_exactly_what_shrinking_variations_lose(
            edits in (2usize..=5).prop_flat_map(|n| proptest::collection::vec(any_weights(n), 2..=13)),
        ) {
            let mut ranges: Vec<Range> = Vec::new();
            for wanted in edits {
                let after = relayout(&ranges, &wanted).unwrap();
                let mut end = 0;
                for range in &after {
                    prop_assert!(range.start >= end && range.start < range.end);
                    end = range.end;
                }
                prop_assert!(end <= BUCKETS);
                let held = weights(&after);
                for (variation, weight) in &wanted {
                    prop_assert_eq!(held.get(variation).copied().unwrap_or(0), *weight);
                }
                prop_assert_eq!(held.values().sum::<u64>(), BUCKETS, "a split partitions all units");
                let mut shrinkage = weights(&ranges);
                for (variation, held) in &mut shrinkage {
                    *held = held.saturating_sub(wanted[variation]);
                }
                shrinkage.retain(|_, lost| *lost > 0);
                prop_assert_eq!(moved(&ranges, &after), shrinkage);
                prop_assert!(after.len() <= 40, "{} ranges", after.len());
                ranges = after;
            }
        }
    }
}
