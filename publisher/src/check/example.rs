//! Contexts made of the operands of conditions, for which the conditions hold, or just do not.
//!
//! What is made is a guess: conditions may contradict one another, and whatever comes of a context is what a check
//! expects. So nothing here need be right for checks to be; the better the guesses, the more the checks look at.

use flagstone_eval::{bucket, seed};
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::network;
use flagstone_model::path::Path;
use flagstone_model::version::{Version, VersionRange};

use super::reached::{Reached, conditions};

/// The time of an evaluation for which no condition asks for another.
const DEFAULT_AT_MS: i64 = 1_767_225_600_000;
/// How many units are tried until one falls into the buckets that are asked for.
const MAX_UNITS: u32 = 2_000;
/// Deepest nesting of conditions and segments that is followed.
const MAX_DEPTH: usize = 16;

/// A context while it is made.
#[derive(Debug, Clone)]
pub(super) struct Example<'r, 'l> {
    reached: &'r Reached<'l>,
    pub(super) context: Json<'static>,
    at: Option<Instant>,
    /// How many tests have been met on which languages could disagree.
    pub(super) delicate: usize,
    /// Which of these is to be missed.
    missed: Option<usize>,
}

impl<'r, 'l> Example<'r, 'l> {
    /// The empty context; the `missed`th delicate test that is to hold is made not to.
    pub(super) fn new(reached: &'r Reached<'l>, missed: Option<usize>) -> Self {
        Self { reached, context: Json::Object(Vec::new()), at: None, delicate: 0, missed }
    }

    /// The time of the evaluation.
    pub(super) fn at(&self) -> Instant {
        self.at.unwrap_or(Instant::from_millis(DEFAULT_AT_MS))
    }

    /// Makes all of these hold.
    pub(super) fn meet(&mut self, all: &[Json<'_>]) {
        self.aim_all(all, true, 0);
    }

    /// Makes one of these not hold.
    pub(super) fn miss(&mut self, all: &[Json<'_>]) {
        self.aim_all(all, false, 0);
    }

    /// Gives the context a unit for this bucket or split, inside of its first buckets.
    pub(super) fn unit(&mut self, of: &Json<'_>) {
        self.aim_bucket(of, true);
    }

    fn aim_all(&mut self, all: &[Json<'_>], hold: bool, depth: usize) {
        // All hold if each does; they do not if the last does not: the first may be what the others build on.
        let aimed = if hold { all } else { all.last().map(core::slice::from_ref).unwrap_or_default() };
        for condition in aimed {
            self.aim(condition, hold, depth);
        }
    }

    fn aim_any(&mut self, any: &[Json<'_>], hold: bool, depth: usize) {
        let aimed = if hold { any.get(..1).unwrap_or_default() } else { any };
        for condition in aimed {
            self.aim(condition, hold, depth);
        }
    }

    fn aim(&mut self, condition: &Json<'_>, hold: bool, depth: usize) {
        let depth = depth.saturating_add(1);
        if depth > MAX_DEPTH {
            return;
        }
        if condition.member("all").is_some() {
            self.aim_all(conditions(condition, "all"), hold, depth);
        } else if condition.member("any").is_some() {
            self.aim_any(conditions(condition, "any"), hold, depth);
        } else if let Some(inner) = condition.member("not") {
            self.aim(inner, !hold, depth);
        } else if condition.member("segment").is_some() {
            let reached = self.reached;
            let keys = conditions(condition, "segment").iter().filter_map(Json::as_str);
            for key in keys.take(if hold { 1 } else { usize::MAX }) {
                self.aim_all(reached.segment(key).unwrap_or_default(), hold, depth);
            }
        } else if let Some(window) = condition.member("time") {
            self.aim_time(window, hold);
        } else if let Some(of) = condition.member("bucket") {
            self.aim_bucket(of, hold);
        } else if let Some(path) = condition.member("attr").and_then(Json::as_str) {
            self.aim_attribute(path, condition, hold);
        }
    }

    fn aim_attribute(&mut self, path: &str, leaf: &Json<'_>, mut hold: bool) {
        if is_delicate(leaf) {
            if hold && self.missed == Some(self.delicate) {
                hold = false;
            }
            self.delicate = self.delicate.saturating_add(1);
        }
        let value = if hold { holds(leaf) } else { misses(leaf) };
        if let Some(value) = value {
            let as_text = leaf.member("as").and_then(Json::as_str) == Some("number");
            let value = match value {
                Json::Number(_) if as_text => Json::from(value.to_string()),
                Json::String(text) if leaf.member("fold").is_some() => Json::from(text.to_ascii_uppercase()),
                other => other,
            };
            self.set(path, value);
        }
    }

    fn aim_time(&mut self, window: &Json<'_>, hold: bool) {
        let bound = |name| window.member(name).and_then(Json::as_str).and_then(|at| Instant::parse(at).ok());
        let at = match (bound("since"), bound("before")) {
            (Some(since), _) if hold => Some(since),
            (None, Some(before)) if hold => Some(earlier(before)),
            (Some(since), _) => Some(earlier(since)),
            (None, before) => before,
        };
        self.at = self.at.or(at);
    }

    fn aim_bucket(&mut self, of: &Json<'_>, hold: bool) {
        let path = of.member("by").and_then(Json::as_str).unwrap_or("targetingKey");
        let (Some(salt), None) = (of.member("salt").and_then(Json::as_str), of.member("hash")) else {
            return;
        };
        if let Some(last) = conditions(of, "ramp").last().and_then(Json::as_array).and_then(<[_]>::first) {
            self.at = self.at.or(last.as_str().and_then(|at| Instant::parse(at).ok()));
        }
        let count = of.member("of").and_then(Json::as_integer).and_then(|of| u64::try_from(of).ok());
        let (seed, count) = (seed(salt), count.unwrap_or(flagstone_model::limits::BUCKETS));
        let units = (0..MAX_UNITS).map(|number| format!("u-{number}"));
        let mut units = units.filter(|unit| is_inside(of, bucket(unit.as_bytes(), seed, count)) == hold);
        if let Some(unit) = units.next() {
            self.set(path, Json::from(unit));
        }
    }

    /// Puts a value at a path, unless one stands there or in its way.
    fn set(&mut self, path: &str, value: Json<'static>) {
        let Ok(path) = Path::parse(path) else { return };
        put(&mut self.context, &path.segments().collect::<Vec<_>>(), value);
    }
}

/// Puts a value at a path into a context, unless one stands there, or something that is no object in its way.
pub(crate) fn put(into: &mut Json<'static>, path: &[&str], value: Json<'static>) {
    let (Json::Object(members), Some((first, rest))) = (into, path.split_first()) else { return };
    let at = match members.binary_search_by(|(name, _)| (**name).cmp(first)) {
        Ok(at) => return members.get_mut(at).map_or((), |(_, inner)| put(inner, rest, value)),
        Err(at) => at,
    };
    let value = if rest.is_empty() {
        value
    } else {
        let mut inner = Json::Object(Vec::new());
        put(&mut inner, rest, value);
        inner
    };
    members.insert(at, ((*first).to_owned().into(), value));
}

/// Whether languages could disagree on a test of an attribute (FORMAT M-1.8).
pub(super) fn is_delicate(leaf: &Json<'_>) -> bool {
    const TESTS: [&str; 7] = ["semver", "matches", "cidr", "since", "before", "fold", "hashed"];
    TESTS.into_iter().any(|test| leaf.member(test).is_some())
}

fn earlier(at: Instant) -> Instant {
    Instant::from_millis(at.millis().saturating_sub(1))
}

/// Whether a bucket is among those of a bucket condition, at the end of its ramp, or of a split.
fn is_inside(of: &Json<'_>, bucket: u64) -> bool {
    let natural =
        |json: Option<&Json<'_>>| json.and_then(Json::as_integer).and_then(|n| u64::try_from(n).ok());
    let spans = conditions(of, "in").iter().chain(conditions(of, "ranges")).filter_map(Json::as_array);
    let mut spans = spans.map(|span| (natural(span.first()), natural(span.get(1))));
    let reached =
        conditions(of, "ramp").last().and_then(Json::as_array).and_then(|point| natural(point.get(1)));
    spans.any(|(start, end)| start.is_some_and(|n| n <= bucket) && end.is_some_and(|n| bucket < n))
        || reached.is_some_and(|end| bucket < end)
}

/// A value for which the tests of a leaf hold, if one is found; none may be what holds.
fn holds(leaf: &Json<'_>) -> Option<Json<'static>> {
    if leaf.member("exists").and_then(Json::as_bool) == Some(false) {
        return None;
    }
    let first = |name| conditions(leaf, name).first();
    let text = |name| first(name).and_then(Json::as_str);
    if let Some(operand) = first("in") {
        return Some(operand.clone().into_owned());
    }
    if leaf.member("has_all").is_some() {
        return Some(
            conditions(leaf, "has_all").iter().map(|operand| operand.clone().into_owned()).collect(),
        );
    }
    if let Some(range) = leaf.member("semver").and_then(Json::as_str) {
        return version(range, true).map(Json::from);
    }
    if let Some(pattern) = leaf.member("matches").and_then(Json::as_str) {
        return sample(pattern).map(Json::from);
    }
    if let Some(network) = text("cidr") {
        return network.split('/').next().map(|address| Json::from(address.to_owned()));
    }
    let instant = |name| leaf.member(name).and_then(Json::as_str).and_then(|at| Instant::parse(at).ok());
    match (instant("since"), instant("before")) {
        (Some(since), _) => return Some(Json::from(since.to_string())),
        (None, Some(before)) => return Some(Json::from(earlier(before).to_string())),
        (None, None) => {}
    }
    let parts = [text("starts"), text("contains"), text("ends")];
    if parts.iter().any(Option::is_some) {
        return Some(Json::from(parts.into_iter().flatten().collect::<String>()));
    }
    number(leaf, true).map(Json::from).or_else(|| leaf.member("exists").map(|_| Json::from("x")))
}

/// A value for which they just do not hold, if one is found; none at all does not either.
fn misses(leaf: &Json<'_>) -> Option<Json<'static>> {
    if leaf.member("exists").and_then(Json::as_bool) == Some(false) {
        return Some(Json::from("x"));
    }
    if let Some(range) = leaf.member("semver").and_then(Json::as_str) {
        return version(range, false).map(Json::from);
    }
    if let Some(pattern) = leaf.member("matches").and_then(Json::as_str) {
        // One character less than what matches.
        let mut text = sample(pattern)?;
        text.pop();
        return Some(Json::from(text));
    }
    if let Some(operand) = conditions(leaf, "cidr").first().and_then(Json::as_str) {
        return beside(operand).map(Json::from);
    }
    let instant = |name| leaf.member(name).and_then(Json::as_str).and_then(|at| Instant::parse(at).ok());
    match (instant("since"), instant("before")) {
        (Some(since), _) => return Some(Json::from(earlier(since).to_string())),
        (None, Some(before)) => return Some(Json::from(before.to_string())),
        (None, None) => {}
    }
    if let Some(operand) = conditions(leaf, "in").last() {
        return Some(match operand {
            Json::Bool(truth) => Json::from(!truth),
            Json::String(text) => Json::from(format!("{text}-")),
            other => Json::from(other.as_f64().filter(|number| number.abs() < 9e15)? + 1.0),
        });
    }
    let text = ["has_all", "starts", "ends", "contains"].into_iter();
    if let Some(operand) = text.flat_map(|name| conditions(leaf, name)).find_map(Json::as_str) {
        let mut text = operand.to_owned();
        text.pop();
        return Some(Json::from(text));
    }
    number(leaf, false).map(Json::from)
}

/// A version at an end of a range, inside of it or just outside.
fn version(range: &str, inside: bool) -> Option<String> {
    let parsed = VersionRange::parse(range).ok()?;
    let ends = range.split(' ').map(|comparator| comparator.trim_start_matches(['<', '>', '=']));
    let around = |end: &str| {
        let (core, pre) = end.split_once('-').unwrap_or((end, ""));
        let numbers: Vec<u64> = core.split('.').filter_map(|number| number.parse().ok()).collect();
        let [major, minor, patch] = numbers[..] else { return Vec::new() };
        let mut near = vec![end.to_owned()];
        near.extend(patch.checked_add(1).map(|patch| format!("{major}.{minor}.{patch}")));
        near.extend(patch.checked_sub(1).map(|patch| format!("{major}.{minor}.{patch}")));
        near.extend(minor.checked_sub(1).map(|minor| format!("{major}.{minor}.0")));
        near.extend(major.checked_sub(1).map(|major| format!("{major}.0.0")));
        near.extend(pre.is_empty().then(|| format!("{core}-0")));
        near.extend(minor.checked_add(1).map(|minor| format!("{major}.{minor}.0")));
        near.extend(major.checked_add(1).map(|major| format!("{major}.0.0")));
        near
    };
    let is_wanted =
        |text: &String| Version::parse(text).is_some_and(|version| parsed.contains(&version) == inside);
    ends.flat_map(around).find(is_wanted)
}

/// A short text that an expression of the kernel finds something in.
fn sample(pattern: &str) -> Option<String> {
    use regex_syntax::hir::{Class, Hir, HirKind};
    fn write(hir: &Hir, out: &mut String) -> Option<()> {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Some(()),
            HirKind::Literal(literal) => {
                out.push_str(core::str::from_utf8(&literal.0).ok()?);
                Some(())
            }
            HirKind::Class(Class::Unicode(class)) => {
                // A letter or digit if there is one, else the first that is no control character.
                let mut starts = class.iter().map(|range| (range.start(), range.end()));
                let plain = ['a', 'A', '0', 'x'].into_iter();
                let plain = plain
                    .clone()
                    .find(|c| class.iter().any(|range| range.start() <= *c && *c <= range.end()));
                let first = plain.or_else(|| {
                    starts.find_map(|(start, end)| {
                        let from = start.max(' ');
                        (from <= end).then_some(from)
                    })
                });
                out.push(first?);
                Some(())
            }
            HirKind::Class(Class::Bytes(_)) => None,
            HirKind::Repetition(repetition) => {
                for _ in 0..repetition.min {
                    write(&repetition.sub, out)?;
                }
                Some(())
            }
            HirKind::Capture(capture) => write(&capture.sub, out),
            HirKind::Concat(all) => all.iter().try_for_each(|hir| write(hir, out)),
            HirKind::Alternation(any) => write(any.first()?, out),
        }
    }
    let mut out = String::new();
    write(&regex_syntax::parse(pattern).ok()?, &mut out)?;
    Some(out)
}

/// The address before a network, or after it.
fn beside(operand: &str) -> Option<String> {
    let (first, bits) = operand.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    Some(match network::address(first)? {
        core::net::IpAddr::V4(first) => {
            let size = 1u32.checked_shl(32u32.checked_sub(bits)?)?;
            let first = first.to_bits();
            let near = first.checked_sub(1).or_else(|| first.checked_add(size))?;
            core::net::Ipv4Addr::from_bits(near).to_string()
        }
        core::net::IpAddr::V6(first) => {
            let size = 1u128.checked_shl(128u32.checked_sub(bits)?)?;
            let first = first.to_bits();
            let near = first.checked_sub(1).or_else(|| first.checked_add(size))?;
            core::net::Ipv6Addr::from_bits(near).to_string()
        }
    })
}

/// A number at an end of what the tests allow, inside or just outside.
fn number(leaf: &Json<'_>, inside: bool) -> Option<f64> {
    let operand = |name| leaf.member(name).and_then(Json::as_f64);
    let [lt, lte, gt, gte] = ["lt", "lte", "gt", "gte"].map(operand);
    let meets = |number: f64| {
        lt.is_none_or(|end| number < end)
            && lte.is_none_or(|end| number <= end)
            && gt.is_none_or(|end| number > end)
            && gte.is_none_or(|end| number >= end)
    };
    let ends = [gte, gt, lte, lt].into_iter().flatten();
    let near = ends.flat_map(|end| [end, end + 1.0, end - 1.0, end + 0.5, end - 0.5]);
    near.into_iter().find(|number| number.abs() < 9e15 && meets(*number) == inside)
}
