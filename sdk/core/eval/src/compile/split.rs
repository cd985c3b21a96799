//! Splits and bucket conditions (FORMAT M-5.3, M-5.6, M-6.3).

use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::limits;
use flagstone_model::path::Path;

use super::{At, Compiler, unsigned};
use crate::bucket::{BucketTest, Bucketing, Ramp, Split, Within};
use crate::flag::Variation;
use crate::hash::{Hash, Mixed, XXH32};
use crate::report::Why;

/// The members that splits and bucket conditions share, and the others in the order they stand.
struct Parts<'a, 'j> {
    bucketing: Bucketing,
    rest: Vec<(&'a str, &'a Json<'j>)>,
}

impl Compiler<'_, '_> {
    /// `None`: the split cannot be read, so its rule cannot.
    pub(super) fn split(&mut self, at: &At<'_>, json: &Json<'_>, variations: &[Variation]) -> Option<Split> {
        let Some(split) = split(json, variations) else { return self.unreadable(at) };
        if matches!(split.bucketing.hash, Hash::Unsupported) {
            self.report(&at.name("hash"), Why::Hash);
        }
        Some(split)
    }

    /// `None`: the bucket condition is unsupported.
    pub(super) fn bucket(
        &mut self,
        at: &At<'_>,
        json: &Json<'_>,
        absent: Option<bool>,
    ) -> Option<BucketTest> {
        let Some((bucketing, within)) = bucket_condition(json) else { return self.unreadable(at) };
        if matches!(bucketing.hash, Hash::Unsupported) {
            self.report(&at.name("hash"), Why::Hash);
            return None;
        }
        Some(BucketTest { bucketing, within, absent })
    }
}

fn split(json: &Json<'_>, variations: &[Variation]) -> Option<Split> {
    let Parts { bucketing, rest } = parts(json)?;
    let [("ranges", ranges)] = rest.as_slice() else { return None };
    let ranges = ranges.as_array()?.iter().map(|range| {
        let [start, end, name] = range.as_array()? else { return None };
        let name = name.as_str()?;
        let variation = variations.iter().position(|variation| *variation.key == *name)?;
        Some((unsigned(start)?, unsigned(end)?, variation))
    });
    let ranges: Box<[_]> = ranges.collect::<Option<_>>()?;
    disjoint(ranges.iter().map(|&(start, end, _)| (start, end)), bucketing.of)
        .then_some(Split { bucketing, ranges })
}

fn bucket_condition(json: &Json<'_>) -> Option<(Bucketing, Within)> {
    let Parts { bucketing, rest } = parts(json)?;
    let within = match rest.as_slice() {
        [("in", ranges)] => Within::Ranges(ranges_of(ranges, bucketing.of)?),
        [("ramp", points)] => Within::Ramp(Ramp { points: points_of(points, bucketing.of)?, linear: false }),
        [("ramp", points), ("linear", linear)] | [("linear", linear), ("ramp", points)] => {
            Within::Ramp(Ramp { points: points_of(points, bucketing.of)?, linear: linear.as_bool()? })
        }
        _ => return None,
    };
    Some((bucketing, within))
}

fn parts<'a, 'j>(json: &'a Json<'j>) -> Option<Parts<'a, 'j>> {
    let mut by = None;
    let mut salt = None;
    let (mut hash, mut tail, mut seed) = (XXH32, "", 0);
    let mut of = limits::BUCKETS;
    let mut rest = Vec::new();
    for (name, value) in json.as_object()? {
        match name.as_ref() {
            "by" => by = Some(Path::parse(value.as_str()?).ok()?),
            "salt" => salt = Some(value.as_str()?),
            "hash" => hash = value.as_str()?,
            "of" => of = unsigned(value)?,
            // Of foreign hashes; native buckets do not use them, but they must be what they claim to be.
            "tail" => tail = value.as_str()?,
            "seed" => seed = unsigned(value)?,
            other => rest.push((other, value)),
        }
    }
    let hash = Hash::named(hash, Mixed { salt: salt?, tail, seed });
    let by = by.unwrap_or_else(|| Path::of_name(Context::TARGETING_KEY));
    (1..=hash.max_of()).contains(&of).then_some(Parts { bucketing: Bucketing { by, hash, of }, rest })
}

fn ranges_of(json: &Json<'_>, of: u64) -> Option<Box<[(u64, u64)]>> {
    let ranges = json.as_array()?.iter().map(|range| {
        let [start, end] = range.as_array()? else { return None };
        Some((unsigned(start)?, unsigned(end)?))
    });
    let ranges: Box<[_]> = ranges.collect::<Option<_>>()?;
    disjoint(ranges.iter().copied(), of).then_some(ranges)
}

/// Whether `0 ≤ start < end ≤ of` holds of each range, and each starts where the one before has ended, or later.
fn disjoint(ranges: impl Iterator<Item = (u64, u64)>, of: u64) -> bool {
    let mut free = 0;
    for (start, end) in ranges {
        if start < free || start >= end || end > of {
            return false;
        }
        free = end;
    }
    true
}

fn points_of(json: &Json<'_>, of: u64) -> Option<Box<[(i64, u64)]>> {
    let points = json.as_array()?.iter().map(|point| {
        let [at, reached] = point.as_array()? else { return None };
        let at = Instant::parse(at.as_str()?).ok()?;
        let whole = at.millis().rem_euclid(1_000) == 0;
        whole.then_some((at.seconds(), unsigned(reached)?))
    });
    let points: Box<[_]> = points.collect::<Option<_>>()?;
    let rises = points.windows(2).all(|pair| matches!(pair, [(t0, n0), (t1, n1)] if t0 < t1 && n0 <= n1));
    (rises && points.iter().all(|&(_, reached)| reached <= of)).then_some(points)
}
