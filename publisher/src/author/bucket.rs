//! Buckets, ramps, and windows of time, in the shape of the wire.

use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::limits;
use flagstone_model::path::Path;

use super::operand;
use super::problem::code;
use super::read::{Members, Reader};
use super::weight::Weight;

/// Which units: those whose bucket lies inside (FORMAT M-5.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// What is bucketed.
    pub by: By,
    /// What separates these buckets from others.
    pub salt: String,
    /// How many buckets there are.
    pub of: u64,
    /// Which of them are inside.
    pub share: Share,
}

/// The attribute that is bucketed: `targetingKey` unless said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct By(Option<Path>);

impl By {
    /// The path, unless it is `targetingKey`, which is never written.
    pub const fn path(&self) -> Option<&Path> {
        self.0.as_ref()
    }

    /// By the attribute at `path`.
    pub fn of(path: Path) -> Self {
        Self(Some(path).filter(|path| *path != Path::of_name(Context::TARGETING_KEY)))
    }

    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        operand::path(reader, json).map(Self::of)
    }

    /// The member `by`, if it is written.
    pub(crate) fn member<'j>(&self) -> Option<(&'static str, Json<'j>)> {
        self.0.as_ref().map(|path| ("by", Json::from(path.to_string())))
    }
}

/// Which buckets are inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// Fixed spans `start ≤ bucket < end`, ascending and disjoint.
    In(Vec<(u64, u64)>),
    /// All below a number that grows with time.
    Ramp(Ramp),
}

/// A number that grows with time (FORMAT M-6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ramp {
    /// From when on how many; ascending in whole seconds, never falling.
    pub points: Vec<(Instant, u64)>,
    /// Whether it grows evenly between points, instead of in steps.
    pub linear: bool,
}

/// A span of time: `since ≤ now < before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From then on.
    pub since: Option<Instant>,
    /// Until then.
    pub before: Option<Instant>,
}

const BUCKET: Members = Members {
    what: "a bucket",
    known: &["by", "salt", "of", "in", "ramp", "linear"],
    pending: &["tail", "hash", "seed"],
};

const WINDOW: Members =
    Members { what: "a window of time", known: &["since", "before"], pending: &["time_zone", "zone"] };

/// Greatest `of` that the hash can fill.
const MAX_OF: u64 = 1 << 32;

/// Longest time between two points of a ramp, in seconds: ten years (FORMAT M-6.3).
const MAX_RAMP_GAP_SECONDS: i64 = 315_576_000;

impl Bucket {
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        reader.object(json, BUCKET)?;
        let by = reader.optional(json, "by", By::parse);
        let salt = reader.required(json, "salt", Reader::salt);
        let of = match json.member("of") {
            None => Some(limits::BUCKETS),
            Some(_) => reader.optional(json, "of", of),
        };
        let linear = reader.optional(json, "linear", Reader::boolean);
        let share = match (json.member("in").is_some(), json.member("ramp").is_some()) {
            (true, false) if linear.is_some() => reader.none("`linear` belongs to `ramp`"),
            (true, false) => reader.optional(json, "in", |reader, spans| {
                let spans =
                    reader.array(spans, limits::MAX_RANGES, |reader, json| span(reader, json, of?))?;
                let ascending = spans.is_sorted_by(|before, after| before.1 <= after.0);
                if ascending {
                    Some(Share::In(spans))
                } else {
                    reader.none("spans ascend and do not overlap")
                }
            }),
            (false, true) => reader
                .optional(json, "ramp", |reader, points| {
                    Ramp::parse(reader, points, of?, linear.unwrap_or(false))
                })
                .map(Share::Ramp),
            _ => reader.none("a bucket has either `in` or `ramp`"),
        };
        Some(Self { by: by.unwrap_or_default(), salt: salt?, of: of?, share: share? })
    }

    /// The bucket as JSON, its members in the order of the wire.
    pub fn to_json(&self) -> Json<'_> {
        let of = (self.of != limits::BUCKETS).then(|| ("of", Json::from(self.of)));
        let mut members: Vec<_> =
            self.by.member().into_iter().chain([("salt", Json::from(&*self.salt))]).chain(of).collect();
        match &self.share {
            Share::In(spans) => {
                let spans =
                    spans.iter().map(|(start, end)| [*start, *end].into_iter().map(Json::from).collect());
                members.push(("in", spans.collect()));
            }
            Share::Ramp(ramp) => members.extend(ramp.members("ramp")),
        }
        Json::object(members)
    }
}

impl Ramp {
    /// Reads points of time and number, of `of` buckets.
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>, of: u64, linear: bool) -> Option<Self> {
        let points = reader.array(json, limits::MAX_RAMP_POINTS, |reader, json| point(reader, json, of))?;
        if json.as_array().is_some_and(|all| all.len() != points.len()) {
            return None;
        }
        for (index, (before, after)) in points.iter().zip(points.iter().skip(1)).enumerate() {
            let seconds = after.0.seconds().saturating_sub(before.0.seconds());
            let growth = after.1.checked_sub(before.1);
            let detail = if seconds <= 0 {
                "the points of a ramp follow one another in time"
            } else if growth.is_none() {
                "a ramp never falls: whoever is in stays in"
            } else if seconds > MAX_RAMP_GAP_SECONDS {
                "two points of a ramp are at most ten years apart"
            } else if linear && !is_exact(growth.unwrap_or(0), seconds) {
                "a linear ramp of so many buckets has its points closer to one another"
            } else {
                continue;
            };
            reader.within(&index.saturating_add(1).to_string(), |reader| reader.refuse(detail));
            return None;
        }
        Some(Self { points, linear })
    }

    /// The members of a ramp, its points under `name`.
    pub(crate) fn members<'j>(
        &self,
        name: &'static str,
    ) -> impl Iterator<Item = (&'static str, Json<'j>)> + use<'j> {
        let points = self
            .points
            .iter()
            .map(|(at, parts)| [Json::from(at.to_string()), Json::from(*parts)].into_iter().collect())
            .collect();
        [(name, points)].into_iter().chain(self.linear.then(|| ("linear", Json::from(true))))
    }
}

impl Window {
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        reader.object(json, WINDOW)?;
        let [since, before] = ["since", "before"].map(|name| match json.member(name) {
            None => Some(None),
            Some(_) => reader.optional(json, name, instant).map(Some),
        });
        let window = Self { since: since?, before: before? };
        match (window.since, window.before) {
            (None, None) => reader.none("a window of time has `since`, `before`, or both"),
            (Some(since), Some(before)) if since >= before => reader.none("`since` is earlier than `before`"),
            _ => Some(window),
        }
    }

    /// The window as JSON.
    pub fn to_json(&self) -> Json<'static> {
        let members = [("since", self.since), ("before", self.before)];
        Json::object(members.into_iter().filter_map(|(name, at)| Some((name, Json::from(at?.to_string())))))
    }
}

fn of(reader: &mut Reader, json: &Json<'_>) -> Option<u64> {
    json.as_integer()
        .and_then(|of| u64::try_from(of).ok())
        .filter(|of| (1..=MAX_OF).contains(of))
        .or_else(|| reader.none("an integer from 1 to 4294967296 is wanted here"))
}

fn span(reader: &mut Reader, json: &Json<'_>, of: u64) -> Option<(u64, u64)> {
    let bound = |json: &Json<'_>| json.as_integer().and_then(|bound| u64::try_from(bound).ok());
    match json.as_array() {
        Some([start, end]) => bound(start).zip(bound(end)).filter(|(start, end)| start < end && *end <= of),
        _ => None,
    }
    .or_else(|| reader.none(format!("a span is [start, end] with 0 ≤ start < end ≤ {of}")))
}

fn point(reader: &mut Reader, json: &Json<'_>, of: u64) -> Option<(Instant, u64)> {
    let Some([at, share]) = json.as_array() else {
        return reader.none("a point of a ramp is [instant, weight]");
    };
    let at = reader.within("0", |reader| {
        let at = instant(reader, at)?;
        if at.millis().rem_euclid(1_000) == 0 { Some(at) } else { reader.none("a ramp counts whole seconds") }
    });
    let share = reader.within("1", |reader| {
        if of == limits::BUCKETS {
            return Weight::parse(reader, share).map(Weight::parts);
        }
        let parts = share.as_integer().and_then(|parts| u64::try_from(parts).ok());
        parts
            .filter(|parts| *parts <= of)
            .or_else(|| reader.none(format!("an integer from 0 to {of} is wanted here")))
    });
    at.zip(share)
}

/// Whether the product that interpolates stays within 53 bits.
fn is_exact(growth: u64, seconds: i64) -> bool {
    let limit = u64::try_from(limits::MAX_INTEGER).unwrap_or(0);
    u64::try_from(seconds).ok().and_then(|seconds| growth.checked_mul(seconds)).is_some_and(|n| n <= limit)
}

fn instant(reader: &mut Reader, json: &Json<'_>) -> Option<Instant> {
    let Some(text) = json.as_str() else { return reader.none("an instant is a string, in UTC") };
    Instant::parse(text)
        .map_err(|error| {
            if has_offset(text) {
                reader.note(
                    code::UNSUPPORTED_TEST,
                    "time zones are not supported yet: write the instant in UTC",
                );
            } else {
                reader.refuse(error.to_string());
            }
        })
        .ok()
}

/// Whether an instant would be one but for its offset: `…+01:00`, or `…[Europe/Vienna]`.
fn has_offset(text: &str) -> bool {
    text.get(..19).is_some_and(|seconds| Instant::parse(&format!("{seconds}Z")).is_ok())
        && text.get(19..).is_some_and(|rest| rest.contains(['+', '-', '[']))
}
