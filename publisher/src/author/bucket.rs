//! Buckets, ramps, and windows of time, in the shape of the wire.

use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::limits;
use flagstone_model::path::Path;

use super::experiment::spans_json;
use super::moment::Moment;
use super::operand;
use super::problem::code;
use super::read::{Members, Reader};
use super::weight::Weight;
use super::zones::Zone;

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
    /// The lowest buckets, this share of them: who is in stays in when it is raised.
    Percent(Weight),
}

/// A number that grows with time (FORMAT M-6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ramp {
    /// From when on how many; ascending in whole seconds, never falling.
    pub points: Vec<(Moment, u64)>,
    /// Whether it grows evenly between points, instead of in steps.
    pub linear: bool,
    /// The time zone of its local times, if it names one.
    pub zone: Option<Zone>,
}

/// A span of time: `since ≤ now < before`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// From then on.
    pub since: Option<Moment>,
    /// Until then.
    pub before: Option<Moment>,
    /// The time zone of its local times, if it names one.
    pub zone: Option<Zone>,
}

const BUCKET: Members = Members {
    what: "a bucket",
    known: &["by", "salt", "of", "in", "ramp", "linear", "percent", "time_zone"],
    pending: &["tail", "hash", "seed"],
};

const WINDOW: Members =
    Members { what: "a window of time", known: &["since", "before", "time_zone"], pending: &[] };
const SCHEDULE: Members =
    Members { what: "a schedule", known: &["start", "end", "time_zone"], pending: &["steps", "recurring"] };

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
        let share = match ["in", "ramp", "percent"].map(|form| json.member(form).is_some()) {
            [true, false, false] => {
                Self::only(reader, json, &["linear", "time_zone"], "ramp").and_then(|()| {
                    reader.optional(json, "in", |reader, json| spans(reader, json, of?)).map(Share::In)
                })
            }
            [false, true, false] => {
                Ramp::parse(reader, json, "ramp", of, linear.unwrap_or(false)).map(Share::Ramp)
            }
            [false, false, true] => Self::only(reader, json, &["linear", "time_zone"], "ramp")
                .and_then(|()| Self::only(reader, json, &["of"], "in` and `ramp"))
                .and_then(|()| reader.optional(json, "percent", percent))
                .map(Share::Percent),
            _ => reader.none("a bucket has exactly one of `in`, `ramp`, `percent`"),
        };
        Some(Self { by: by.unwrap_or_default(), salt: salt?, of: of?, share: share? })
    }

    /// Refuses members that belong to another form.
    fn only(reader: &mut Reader, json: &Json<'_>, strange: &[&str], owner: &str) -> Option<()> {
        let strange = strange.iter().find(|name| json.member(name).is_some());
        strange.map_or(Some(()), |name| reader.none(format!("`{name}` belongs to `{owner}`")))
    }

    /// The authored form, its members in the order of the wire.
    pub fn to_json(&self) -> Json<'_> {
        self.json(|ramp| ramp.members("ramp").collect(), |share| ("percent", Json::from(share.to_string())))
    }

    /// What the wire has for it.
    pub(super) fn lower(&self) -> Json<'_> {
        self.json(Ramp::lower, |share| {
            let all = [(0, share.parts())].into_iter().filter(|(_, end)| *end > 0);
            ("in", all.map(span_json).collect())
        })
    }

    fn json(
        &self,
        of_ramp: impl FnOnce(&Ramp) -> Vec<(&'static str, Json<'static>)>,
        of_percent: impl FnOnce(Weight) -> (&'static str, Json<'static>),
    ) -> Json<'_> {
        let of = (self.of != limits::BUCKETS).then(|| ("of", Json::from(self.of)));
        let mut members: Vec<_> =
            self.by.member().into_iter().chain([("salt", Json::from(&*self.salt))]).chain(of).collect();
        match &self.share {
            Share::In(spans) => members.push(("in", spans_json(spans))),
            Share::Percent(share) => members.push(of_percent(*share)),
            Share::Ramp(ramp) => members.extend(of_ramp(ramp)),
        }
        Json::object(members)
    }
}

impl Ramp {
    /// Reads the member `name` of `around`: points of time and number, of `of` buckets.
    pub(super) fn parse(
        reader: &mut Reader,
        around: &Json<'_>,
        name: &str,
        of: Option<u64>,
        linear: bool,
    ) -> Option<Self> {
        reader.in_zone_of(around, |reader, zone| {
            reader.required(around, name, |reader, json| {
                let points = Self::parse_points(reader, json, of?, linear)?;
                Some(Self { points, linear, zone })
            })
        })
    }

    fn parse_points(
        reader: &mut Reader,
        json: &Json<'_>,
        of: u64,
        linear: bool,
    ) -> Option<Vec<(Moment, u64)>> {
        let points = reader.array(json, limits::MAX_RAMP_POINTS, |reader, json| point(reader, json, of))?;
        if json.as_array().is_some_and(|all| all.len() != points.len()) {
            return None;
        }
        for (index, (before, after)) in points.iter().zip(points.iter().skip(1)).enumerate() {
            let seconds = after.0.at().seconds().saturating_sub(before.0.at().seconds());
            let growth = after.1.checked_sub(before.1);
            let (code, detail) = if seconds <= 0 {
                (code::SCHEDULE_OVERLAP, "the points of a ramp follow one another in time")
            } else if growth.is_none() {
                (code::INVALID_REQUEST, "a ramp never falls: whoever is in stays in")
            } else if seconds > MAX_RAMP_GAP_SECONDS {
                (code::INVALID_REQUEST, "two points of a ramp are at most ten years apart")
            } else if linear && !is_exact(growth.unwrap_or(0), seconds) {
                let detail = "a linear ramp of so many buckets has its points closer to one another";
                (code::INVALID_REQUEST, detail)
            } else {
                continue;
            };
            reader.within(&index.saturating_add(1).to_string(), |reader| reader.note(code, detail));
            return None;
        }
        Some(points)
    }

    /// How many are in at an instant (FORMAT M-6.3).
    pub fn reached(&self, now: Instant) -> u64 {
        let seconds = now.seconds();
        let later = self.points.partition_point(|(at, _)| at.at().seconds() <= seconds);
        let Some((from, n0)) = later.checked_sub(1).and_then(|last| self.points.get(last)) else { return 0 };
        let Some((to, n1)) = self.points.get(later).filter(|_| self.linear) else { return *n0 };
        let t0 = from.at().seconds();
        let passed = u128::try_from(seconds.saturating_sub(t0)).unwrap_or(0);
        let whole = u128::try_from(to.at().seconds().saturating_sub(t0)).unwrap_or(0).max(1);
        let grown = u128::from(n1.saturating_sub(*n0)).saturating_mul(passed) / whole;
        n0.saturating_add(u64::try_from(grown).unwrap_or(0))
    }

    /// Whether it still has points to come.
    pub fn is_growing(&self, now: Instant) -> bool {
        self.points.last().is_some_and(|(at, _)| at.at().seconds() > now.seconds())
    }

    /// The same until now, and from then on as far as it has got: whoever is in stays in, and nobody joins.
    #[must_use]
    pub fn paused(&self, now: Instant) -> Self {
        let seconds = now.seconds();
        let mut points = self.points.clone();
        points.truncate(self.points.partition_point(|(at, _)| at.at().seconds() <= seconds));
        let is_stated = points.last().is_some_and(|(at, _)| !self.linear || at.at().seconds() == seconds);
        if !is_stated {
            let at = Instant::from_millis(seconds.saturating_mul(1_000));
            points.push((Moment::from(at), self.reached(now)));
        }
        Self { points, ..self.clone() }
    }

    /// The members of the authored form, its points under `name`.
    pub(super) fn members<'j>(
        &self,
        name: &'static str,
    ) -> impl Iterator<Item = (&'static str, Json<'j>)> + use<'j> {
        let zone = self.zone.as_ref().map(|zone| ("time_zone", Json::from(zone.as_str().to_owned())));
        let points = self.points_json(name, Moment::to_json);
        points.into_iter().chain(zone).map(|(name, json): (_, Json<'j>)| (name, json))
    }

    /// The members of the wire.
    fn lower(&self) -> Vec<(&'static str, Json<'static>)> {
        self.points_json("ramp", |moment| Json::from(moment.at().to_string()))
    }

    fn points_json(
        &self,
        name: &'static str,
        json: impl Fn(&Moment) -> Json<'static>,
    ) -> Vec<(&'static str, Json<'static>)> {
        let point = |(at, parts): &(Moment, u64)| [json(at), Json::from(*parts)].into_iter().collect();
        let points = (name, self.points.iter().map(point).collect());
        [points].into_iter().chain(self.linear.then(|| ("linear", Json::from(true)))).collect()
    }
}

impl Window {
    /// Reads `{"since","before"}`, of a condition.
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        Self::parse_named(reader, json, WINDOW, ["since", "before"], Moment::parse_or_day)
    }

    /// Reads `{"start","end"}`, of a rule or a whole flag.
    pub(super) fn parse_schedule(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        Self::parse_named(reader, json, SCHEDULE, ["start", "end"], Moment::parse)
    }

    fn parse_named(
        reader: &mut Reader,
        json: &Json<'_>,
        members: Members,
        names @ [start, end]: [&'static str; 2],
        moment: fn(&mut Reader, &Json<'_>) -> Option<Moment>,
    ) -> Option<Self> {
        reader.object(json, members)?;
        reader.in_zone_of(json, |reader, zone| {
            let [since, before] = names.map(|name| match json.member(name) {
                None => Some(None),
                Some(_) => reader.optional(json, name, moment).map(Some),
            });
            let window = Self { since: since?, before: before?, zone };
            match (&window.since, &window.before) {
                (None, None) => {
                    let what = members.what;
                    reader.none(format!("{what} has `{start}`, `{end}`, or both"))
                }
                (Some(since), Some(before)) if since.at() >= before.at() => {
                    let detail = format!("`{start}` is earlier than `{end}`");
                    reader.within(end, |reader| reader.note(code::SCHEDULE_OVERLAP, detail));
                    None
                }
                _ => Some(window),
            }
        })
    }

    /// Whether `now` lies inside.
    pub fn holds(&self, now: Instant) -> bool {
        self.since.as_ref().is_none_or(|since| since.at() <= now)
            && self.before.as_ref().is_none_or(|before| now < before.at())
    }

    /// The authored form of a condition's window.
    pub fn to_json(&self) -> Json<'static> {
        self.json(["since", "before"])
    }

    /// The authored form of a schedule.
    pub(super) fn to_schedule_json(&self) -> Json<'static> {
        self.json(["start", "end"])
    }

    fn json(&self, [since, before]: [&'static str; 2]) -> Json<'static> {
        let zone = self.zone.as_ref().map(|zone| Json::from(zone.as_str().to_owned()));
        let at = |moment: &Option<Moment>| moment.as_ref().map(Moment::to_json);
        let members = [(since, at(&self.since)), (before, at(&self.before)), ("time_zone", zone)];
        Json::object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }

    /// What the wire has for it.
    pub(super) fn lower(&self) -> Json<'static> {
        let members = [("since", &self.since), ("before", &self.before)];
        let lowered = |(name, moment): (_, &Option<Moment>)| {
            Some((name, Json::from(moment.as_ref()?.at().to_string())))
        };
        Json::object(members.into_iter().filter_map(lowered))
    }
}

fn of(reader: &mut Reader, json: &Json<'_>) -> Option<u64> {
    json.as_integer()
        .and_then(|of| u64::try_from(of).ok())
        .filter(|of| (1..=MAX_OF).contains(of))
        .or_else(|| reader.none("an integer from 1 to 4294967296 is wanted here"))
}

fn percent(reader: &mut Reader, json: &Json<'_>) -> Option<Weight> {
    let text = json.as_str().is_none_or(|text| text.ends_with('%'));
    Weight::of_percent_json(json).filter(|_| text).or_else(|| {
        reader.none("a percentage is written \"12.5%\" or 12.5, from 0 to 100 with at most three decimals")
    })
}

/// Reads spans of buckets: ascending, disjoint, none empty.
pub(super) fn spans(reader: &mut Reader, json: &Json<'_>, of: u64) -> Option<Vec<(u64, u64)>> {
    let spans = reader.array(json, limits::MAX_RANGES, |reader, json| span(reader, json, of))?;
    if spans.is_sorted_by(|before, after| before.1 <= after.0) {
        Some(spans)
    } else {
        reader.none("spans ascend and do not overlap")
    }
}

fn span_json((start, end): (u64, u64)) -> Json<'static> {
    [start, end].into_iter().map(Json::from).collect()
}

fn span(reader: &mut Reader, json: &Json<'_>, of: u64) -> Option<(u64, u64)> {
    let bound = |json: &Json<'_>| json.as_integer().and_then(|bound| u64::try_from(bound).ok());
    match json.as_array() {
        Some([start, end]) => bound(start).zip(bound(end)).filter(|(start, end)| start < end && *end <= of),
        _ => None,
    }
    .or_else(|| reader.none(format!("a span is [start, end] with 0 ≤ start < end ≤ {of}")))
}

fn point(reader: &mut Reader, json: &Json<'_>, of: u64) -> Option<(Moment, u64)> {
    let Some([at, share]) = json.as_array() else {
        return reader.none("a point of a ramp is [time, weight]");
    };
    let at = reader.within("0", |reader| {
        let moment = Moment::parse(reader, at)?;
        let is_whole = moment.at().millis().rem_euclid(1_000) == 0;
        if is_whole { Some(moment) } else { reader.none("a ramp counts whole seconds") }
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
