//! Buckets: the ranges and ramps that a unit's bucket may lie in.
#![deny(clippy::arithmetic_side_effects)]

use flagstone_model::context::{Attribute, Context};
use flagstone_model::instant::Instant;
use flagstone_model::path::Path;

use crate::hash::Hash;
use crate::truth::Truth;

/// How a unit becomes a bucket.
#[derive(Debug)]
pub(crate) struct Bucketing {
    pub(crate) by: Path,
    pub(crate) hash: Hash,
    pub(crate) of: u64,
}

/// What became of a unit.
pub(crate) enum Bucketed {
    NoUnit,
    Unsupported,
    In(u64),
}

impl Bucketing {
    pub(crate) fn bucket(&self, context: &Context) -> Bucketed {
        let Some(unit) = context.resolve(&self.by).and_then(Attribute::as_unit) else {
            return Bucketed::NoUnit;
        };
        self.hash.bucket(unit.as_bytes(), self.of).map_or(Bucketed::Unsupported, Bucketed::In)
    }
}

/// A split: ranges of buckets, each served a variation by its index. A gap decides nothing.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) bucketing: Bucketing,
    /// `start ≤ bucket < end`, ascending and disjoint.
    pub(crate) ranges: Box<[(u64, u64, usize)]>,
}

impl Split {
    /// The variation whose range holds `bucket`.
    pub(crate) fn variation(&self, bucket: u64) -> Option<usize> {
        let after = self.ranges.partition_point(|&(start, _, _)| start <= bucket);
        let &(_, end, variation) = self.ranges.get(after.checked_sub(1)?)?;
        (bucket < end).then_some(variation)
    }
}

/// A bucket condition.
#[derive(Debug)]
pub(crate) struct BucketTest {
    pub(crate) bucketing: Bucketing,
    pub(crate) within: Within,
    pub(crate) absent: Option<bool>,
}

#[derive(Debug)]
pub(crate) enum Within {
    /// `start ≤ bucket < end`, ascending and disjoint.
    Ranges(Box<[(u64, u64)]>),
    Ramp(Ramp),
}

impl BucketTest {
    pub(crate) fn truth(&self, context: &Context, now: Instant) -> Truth {
        let truth = match self.bucketing.bucket(context) {
            Bucketed::NoUnit => Truth::Unknown,
            Bucketed::Unsupported => Truth::Unsupported,
            Bucketed::In(bucket) => Truth::from(match &self.within {
                Within::Ranges(ranges) => {
                    let after = ranges.partition_point(|&(start, _)| start <= bucket);
                    let last = after.checked_sub(1).and_then(|index| ranges.get(index));
                    last.is_some_and(|&(_, end)| bucket < end)
                }
                Within::Ramp(ramp) => bucket < ramp.reached(now),
            }),
        };
        truth.or_absent(self.absent)
    }
}

/// A share that grows with time (FORMAT M-6.3).
#[derive(Debug)]
pub(crate) struct Ramp {
    /// Whole seconds since the epoch, strictly rising, and buckets, not falling.
    pub(crate) points: Box<[(i64, u64)]>,
    pub(crate) linear: bool,
}

impl Ramp {
    /// The first bucket that is out.
    pub(crate) fn reached(&self, now: Instant) -> u64 {
        let seconds = now.seconds();
        let after = self.points.partition_point(|&(time, _)| time <= seconds);
        let Some(&(t0, n0)) = after.checked_sub(1).and_then(|index| self.points.get(index)) else {
            return 0;
        };
        match self.points.get(after) {
            Some(&(t1, n1)) if self.linear => {
                let elapsed = u128::from(seconds.abs_diff(t0));
                let span = u128::from(t1.abs_diff(t0));
                let grown = u128::from(n1.saturating_sub(n0)).saturating_mul(elapsed).checked_div(span);
                n0.saturating_add(grown.and_then(|grown| u64::try_from(grown).ok()).unwrap_or(0))
            }
            _ => n0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_steps_or_grows_and_never_falls() {
        let points = [(100, 10), (200, 20), (300, 25)];
        let at = |linear, second: i64| {
            Ramp { points: points.into(), linear }.reached(Instant::from_millis(second * 1_000 + 999))
        };
        assert_eq!([99, 100, 199, 200, 299, 300, 10_000].map(|s| at(false, s)), [0, 10, 10, 20, 20, 25, 25]);
        assert_eq!([99, 100, 109, 110, 250, 299, 300].map(|s| at(true, s)), [0, 10, 10, 11, 22, 24, 25]);
        assert_eq!(Ramp { points: [].into(), linear: true }.reached(Instant::from_millis(i64::MAX)), 0);
    }

    #[test]
    fn a_gap_between_ranges_decides_nothing() {
        let bucketing = Bucketing { by: Path::of_name("u"), hash: Hash::Unsupported, of: 100 };
        let split = Split { bucketing, ranges: [(10, 20, 0), (20, 30, 1), (40, 41, 2)].into() };
        let served = [0, 9, 10, 19, 20, 29, 30, 39, 40, 41, 99].map(|bucket| split.variation(bucket));
        assert_eq!(served, [None, None, Some(0), Some(0), Some(1), Some(1), None, None, Some(2), None, None]);
    }
}
