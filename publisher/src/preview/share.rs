//! The exact share that moves where nothing but shares changes: read from the ranges, without a sample.
//!
//! It is known where two lines of a flag differ in one rule, in what buckets it serves, or in a constant fallthrough:
//! a rollout, its first percentage, a ramp, the switch of a flag that asks for nothing else.

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::limits::BUCKETS;

/// How many buckets change what they serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Of whom it is the share.
    pub among: Among,
    /// The path of the unit; `None` where no bucket is asked for, and all move or none.
    pub by: Option<String>,
    /// How many buckets there are.
    pub of: u64,
    /// From what to what, and how many; the largest first.
    pub moves: Vec<BucketMove>,
}

/// Of whom a share is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Of all units.
    All,
    /// Of those who reach the rule, and meet its conditions.
    Reaching,
}

/// Buckets that are served one thing and would be served another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketMove {
    /// What they are served.
    pub from: Lands,
    /// What they would be served.
    pub to: Lands,
    /// How many.
    pub buckets: u64,
}

/// Where a bucket leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lands {
    /// At a variation.
    Variation(String),
    /// At the default value in the caller's code.
    Default,
    /// At the rules after this one.
    Later,
}

impl Among {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Reaching => "reaching",
        }
    }
}

impl Share {
    /// How many buckets move.
    pub fn moved(&self) -> u64 {
        self.moves.iter().map(|moved| moved.buckets).fold(0, u64::saturating_add)
    }

    /// So many buckets in percent.
    pub fn percent(&self, buckets: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a share is told to people; both are below 2⁵³")]
        let (buckets, of) = (buckets as f64, self.of.max(1) as f64);
        buckets * 100.0 / of
    }
}

/// The exact share that moves from one line of a flag to another at a time; `None` where more than shares differs.
pub fn of(before: &str, after: &str, at: Instant) -> Option<Share> {
    let (before, after) = (Json::parse(before.as_bytes()).ok()?, Json::parse(after.as_bytes()).ok()?);
    let (before, after) = (Line::of(&before), Line::of(&after));
    if before.values != after.values || before.off != after.off || !(before.on || after.on) {
        return None;
    }
    if before.needs() != after.needs() {
        return None;
    }
    let (b, a) = (before.rules(), after.rules());
    let ahead = b.iter().zip(a).take_while(|(b, a)| decides_alike(b, a)).count();
    let (b, a) = (b.get(ahead..)?, a.get(ahead..)?);
    let behind = b.iter().rev().zip(a.iter().rev()).take_while(|(b, a)| decides_alike(b, a)).count();
    let rest = |rules: &[Json<'_>]| rules.len().saturating_sub(behind);
    let (b, a) = (b.get(..rest(b))?, a.get(..rest(a))?);
    if behind > 0 && before.fallthrough() != after.fallthrough() {
        return None;
    }
    let end = |line: &Line<'_>| if behind > 0 { Lands::Later } else { line.fallthrough() };
    let one = |rules: &'_ [Json<'_>]| rules.len() <= 1;
    if !one(b) || !one(a) {
        return None;
    }
    let (b, a) = (b.first(), a.first());
    let (of_b, of_a) = (conditions_of(b), conditions_of(a));
    let (same, own_b): (Vec<_>, Vec<_>) = of_b.iter().partition(|leaf| of_a.contains(leaf));
    let own_a: Vec<_> = of_a.iter().filter(|leaf| !same.contains(leaf)).collect();
    // A rule that comes or goes takes its conditions along: then only buckets may be asked for.
    if (b.is_none() || a.is_none()) && !same.is_empty() {
        return None;
    }
    let mut axis: Option<Axis<'_>> = None;
    let bucketings = own_b.iter().chain(&own_a).map(|leaf| leaf.member("bucket"));
    let splits = [b, a].into_iter().flatten().filter_map(|rule| rule.member("split")).map(Some);
    for bucketing in bucketings.chain(splits) {
        let found = Axis::of(bucketing?);
        if axis.as_ref().is_some_and(|axis| *axis != found) {
            return None;
        }
        axis = Some(found);
    }
    // What both ask for of the same buckets is a part of the ranges, not of the conditions before them.
    let on_axis = |leaf: &&Json<'_>| leaf.member("bucket").map(Axis::of).is_some_and(|of| Some(of) == axis);
    let (shared, gates): (Vec<_>, Vec<_>) = same.into_iter().partition(on_axis);
    let of = axis.as_ref().map_or(BUCKETS, |axis| axis.of);
    let from = Side::of(b, own_b.iter().chain(&shared).copied(), end(&before), at)?;
    let to = Side::of(a, own_a.iter().chain(&shared).copied(), end(&after), at)?;
    let everybody = ahead == 0 && gates.is_empty() && before.needs().is_empty();
    let among = if everybody { Among::All } else { Among::Reaching };
    let by = axis.map(|axis| axis.by.to_owned());
    Some(Share { among, by, of, moves: moves(&from, &to, of) })
}

/// What of a line is served to whom.
struct Line<'j> {
    values: Option<&'j Json<'j>>,
    on: bool,
    off: Lands,
    needs: &'j [Json<'j>],
    rules: &'j [Json<'j>],
    fallthrough: Lands,
}

impl<'j> Line<'j> {
    fn of(line: &'j Json<'j>) -> Self {
        let array = |name: &str| line.member(name).and_then(Json::as_array).unwrap_or_default();
        let lands = |name: &str| {
            let variation = line.member(name).and_then(Json::as_str);
            variation.map_or(Lands::Default, |name| Lands::Variation(name.to_owned()))
        };
        Self {
            values: line.member("values"),
            on: line.member("on").and_then(Json::as_bool) == Some(true),
            off: lands("off"),
            needs: array("needs"),
            rules: array("rules"),
            fallthrough: lands("fallthrough"),
        }
    }

    /// A flag that is off asks for nothing, has no rule, and falls through to what it serves.
    const fn needs(&self) -> &'j [Json<'j>] {
        if self.on { self.needs } else { &[] }
    }

    const fn rules(&self) -> &'j [Json<'j>] {
        if self.on { self.rules } else { &[] }
    }

    fn fallthrough(&self) -> Lands {
        if self.on { self.fallthrough.clone() } else { self.off.clone() }
    }
}

/// Whether two rules serve the same to the same; what is recorded of it does not matter.
fn decides_alike(a: &Json<'_>, b: &Json<'_>) -> bool {
    let (a, b) = (a.as_object().unwrap_or_default().iter(), b.as_object().unwrap_or_default().iter());
    a.filter(|(name, _)| name != "exp").eq(b.filter(|(name, _)| name != "exp"))
}

fn conditions_of<'j>(rule: Option<&'j Json<'j>>) -> &'j [Json<'j>] {
    rule.and_then(|rule| rule.member("if")).and_then(Json::as_array).unwrap_or_default()
}

/// What makes the buckets of two splits the same buckets.
#[derive(PartialEq)]
struct Axis<'j> {
    by: &'j str,
    salt: Option<&'j Json<'j>>,
    rest: [Option<&'j Json<'j>>; 3],
    of: u64,
}

impl<'j> Axis<'j> {
    fn of(bucketing: &'j Json<'j>) -> Self {
        let of = bucketing.member("of").and_then(natural);
        Self {
            by: bucketing.member("by").and_then(Json::as_str).unwrap_or("targetingKey"),
            salt: bucketing.member("salt"),
            rest: ["tail", "hash", "seed"].map(|name| bucketing.member(name)),
            of: of.unwrap_or(BUCKETS),
        }
    }
}

fn natural(json: &Json<'_>) -> Option<u64> {
    u64::try_from(json.as_integer()?).ok()
}

/// What a bucket is served: a variation where it lies in a range of all of `within` and of `ranges`, else the rest.
struct Side {
    within: Vec<Vec<(u64, u64)>>,
    ranges: Option<Vec<(u64, u64, String)>>,
    serve: Option<String>,
    rest: Lands,
}

impl Side {
    fn of<'j>(
        rule: Option<&Json<'_>>,
        leaves: impl Iterator<Item = &'j Json<'j>>,
        rest: Lands,
        at: Instant,
    ) -> Option<Self> {
        let Some(rule) = rule else {
            return Some(Self { within: Vec::new(), ranges: None, serve: None, rest });
        };
        let within = leaves.map(|leaf| within(leaf.member("bucket")?, at)).collect::<Option<_>>()?;
        let serve = rule.member("serve").and_then(Json::as_str).map(str::to_owned);
        let ranges = match rule.member("split") {
            None => None,
            Some(split) => Some(ranges(split)?),
        };
        Some(Self { within, ranges, serve, rest })
    }

    fn lands(&self, bucket: u64) -> Lands {
        let inside =
            |ranges: &Vec<(u64, u64)>| ranges.iter().any(|(start, end)| (*start..*end).contains(&bucket));
        if !self.within.iter().all(inside) {
            return self.rest.clone();
        }
        let of_split = self.ranges.iter().flatten().find(|(start, end, _)| (*start..*end).contains(&bucket));
        let variation = of_split.map(|(_, _, variation)| variation).or(self.serve.as_ref());
        variation.map_or_else(|| self.rest.clone(), |name| Lands::Variation(name.clone()))
    }

    fn bounds(&self) -> impl Iterator<Item = u64> {
        let of_within = self.within.iter().flatten().flat_map(|(start, end)| [*start, *end]);
        let of_ranges = self.ranges.iter().flatten().flat_map(|(start, end, _)| [*start, *end]);
        of_within.chain(of_ranges)
    }
}

fn ranges(split: &Json<'_>) -> Option<Vec<(u64, u64, String)>> {
    let ranges = split.member("ranges")?.as_array()?.iter().map(|range| {
        let [start, end, variation] = range.as_array()? else { return None };
        Some((natural(start)?, natural(end)?, variation.as_str()?.to_owned()))
    });
    ranges.collect()
}

/// The buckets that a bucket condition holds for at a time.
fn within(bucket: &Json<'_>, at: Instant) -> Option<Vec<(u64, u64)>> {
    if let Some(ranges) = bucket.member("in") {
        let ranges = ranges.as_array()?.iter().map(|range| {
            let [start, end] = range.as_array()? else { return None };
            Some((natural(start)?, natural(end)?))
        });
        return ranges.collect();
    }
    let points = bucket.member("ramp")?.as_array()?.iter().map(|point| {
        let [time, reached] = point.as_array()? else { return None };
        Some((Instant::parse(time.as_str()?).ok()?.seconds(), natural(reached)?))
    });
    let points: Vec<(i64, u64)> = points.collect::<Option<_>>()?;
    let linear = bucket.member("linear").and_then(Json::as_bool) == Some(true);
    Some(vec![(0, reached(&points, linear, at.seconds()))])
}

/// How many buckets a ramp has reached (FORMAT M-6.3).
fn reached(points: &[(i64, u64)], linear: bool, now: i64) -> u64 {
    let passed = points.iter().take_while(|(time, _)| *time <= now).count();
    let Some(&(t0, n0)) = passed.checked_sub(1).and_then(|last| points.get(last)) else { return 0 };
    let next = points.get(passed).filter(|_| linear);
    let grown = next.and_then(|(t1, n1)| {
        let product = u128::from(n1.saturating_sub(n0)).saturating_mul(now.abs_diff(t0).into());
        u64::try_from(product.checked_div(t1.abs_diff(t0).into())?).ok()
    });
    n0.saturating_add(grown.unwrap_or(0))
}

fn moves(from: &Side, to: &Side, of: u64) -> Vec<BucketMove> {
    let mut bounds: Vec<u64> =
        from.bounds().chain(to.bounds()).map(|bound| bound.min(of)).chain([0, of]).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let mut moves: Vec<BucketMove> = Vec::new();
    for (start, end) in bounds.iter().zip(bounds.iter().skip(1)) {
        let (from, to, buckets) = (from.lands(*start), to.lands(*start), end.saturating_sub(*start));
        if from == to {
            continue;
        }
        match moves.iter_mut().find(|known| (&known.from, &known.to) == (&from, &to)) {
            Some(known) => known.buckets = known.buckets.saturating_add(buckets),
            None => moves.push(BucketMove { from, to, buckets }),
        }
    }
    moves.sort_by(|a, b| b.buckets.cmp(&a.buckets).then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to))));
    moves
}
