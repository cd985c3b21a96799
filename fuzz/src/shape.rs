//! Words of the format, put together as bytes say: mostly well-formed, now and then not.
//!
//! Operands and attributes are drawn from the same few words, so that tests are true, false, and unknown often.

use arbitrary::Unstructured;
use flagstone_model::json::Json;

/// Where choices are drawn from; when it runs dry, each choice is the first.
pub type Choices<'b> = Unstructured<'b>;

/// What a choice gives.
pub type Shaped<T> = arbitrary::Result<T>;

type Members = Vec<(&'static str, Json<'static>)>;

const FLAGS: [&str; 5] = ["f", "g", "h", "payments", "missing"];
const SEGMENTS: [&str; 4] = ["staff", "eu", "loop", "nowhere"];
const VARIATIONS: [&str; 4] = ["on", "off", "a", "nothing"];
const PATHS: [&str; 10] =
    ["targetingKey", "country", "age", "app.version", "ip", "at", "tags", "email", "org.key", "~1x"];
const INSTANTS: [&str; 5] = [
    "2026-12-01T09:00:00Z",
    "2026-12-02T12:00:00Z",
    "2026-12-02T12:00:00.001Z",
    "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
];
const WORDS: [&str; 14] = [
    "DE",
    "de",
    "AT",
    "u-1",
    "u-13",
    "pro",
    "x@acme.com",
    "@acme.com",
    "x",
    "",
    "42",
    "true",
    "ñandú",
    "4e0",
];
const VERSIONS: [&str; 7] = ["2.4.0", "v2.5", "2.4.0-rc.1", "3.0.0+b", "2", "02.1", "1.2.3.4"];
const ADDRESSES: [&str; 6] = ["10.0.0.1", "10.1.2.3", "::ffff:10.0.0.1", "2001:db8::1", "::1", "010.0.0.1"];
const NUMBERS: [f64; 12] = [
    0.0,
    -0.0,
    1.0,
    42.0,
    17.5,
    18.0,
    1_795_953_600_000.0,
    9_007_199_254_740_991.0,
    9_007_199_254_740_992.0,
    -9_007_199_254_740_992.0,
    1e300,
    5e-324,
];

fn word(u: &mut Choices<'_>, from: &[&'static str]) -> Shaped<Json<'static>> {
    Ok(Json::from(*u.choose(from)?))
}

fn list(
    u: &mut Choices<'_>,
    most: usize,
    mut one: impl FnMut(&mut Choices<'_>) -> Shaped<Json<'static>>,
) -> Shaped<Json<'static>> {
    let count = u.int_in_range(0..=most)?;
    Ok(Json::Array((0..count).map(|_| one(u)).collect::<Shaped<_>>()?))
}

/// One in `n`; never when the choices have run dry.
fn seldom(u: &mut Choices<'_>, n: u8) -> Shaped<bool> {
    Ok(u.int_in_range(0..=n.saturating_sub(1))? == 1)
}

/// A string, a number, or a bool of the shared words.
fn scalar(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    Ok(match u.int_in_range(0..=9)? {
        0..=4 => word(u, &WORDS)?,
        5 => word(u, &VERSIONS)?,
        6 => word(u, &ADDRESSES)?,
        7 | 8 => Json::from(*u.choose(&NUMBERS)?),
        _ => Json::from(u.arbitrary::<bool>()?),
    })
}

/// Any small JSON value.
pub fn anything(u: &mut Choices<'_>, depth: u8) -> Shaped<Json<'static>> {
    Ok(match u.int_in_range(0..=7)? {
        0 => Json::Null,
        1 if depth > 0 => list(u, 3, |u| anything(u, depth - 1))?,
        2 if depth > 0 => {
            let count = u.int_in_range(0..=3)?;
            let members: Shaped<Vec<_>> =
                (0..count).map(|_| Ok((*u.choose(&WORDS)?, anything(u, depth - 1)?))).collect();
            // The last of two members of one name is kept: a line with both is another test's.
            let members: std::collections::BTreeMap<_, _> = members?.into_iter().collect();
            Json::object(members)
        }
        _ => scalar(u)?,
    })
}

/// The value of an attribute.
fn attribute(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    Ok(match u.int_in_range(0..=9)? {
        0 => anything(u, 2)?,
        1 | 2 => list(u, 3, scalar)?,
        3 => word(u, &INSTANTS)?,
        4 => Json::from("2026-12-02T13:00:00.0009+01:00"),
        _ => scalar(u)?,
    })
}

/// A context: the paths of the conditions, with values near their operands.
pub fn context(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    if seldom(u, 32)? {
        return anything(u, 2);
    }
    let mut members = vec![];
    for name in ["targetingKey", "country", "age", "ip", "at", "tags", "email", ".x"] {
        if u.int_in_range(0..=3)? > 0 {
            members.push((name, attribute(u)?));
        }
    }
    for (name, inner) in [("app", "version"), ("org", "key")] {
        if u.arbitrary()? {
            let inner_value = if name == "app" { word(u, &VERSIONS)? } else { attribute(u)? };
            members.push((name, Json::object([(inner, inner_value)])));
        }
    }
    Ok(Json::object(members))
}

fn hashed(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    const DIGESTS: [&str; 3] = ["b0243bd6035574cb", "000000000000", "B0243BD60355"];
    let pair = |u: &mut Choices<'_>| {
        let bytes = u.int_in_range(0..=12u64)?;
        Ok(Json::Array(vec![Json::from(bytes), word(u, &DIGESTS)?]))
    };
    let mut members: Members = vec![("salt", word(u, &["k3f9", ""])?)];
    if u.arbitrary()? {
        members.push(("in", list(u, 2, |u| word(u, &DIGESTS))?));
    }
    if u.arbitrary()? {
        members.push(("starts", list(u, 2, pair)?));
    }
    if u.arbitrary()? {
        members.push(("ends", list(u, 2, pair)?));
    }
    Ok(Json::object(members))
}

/// A test of the wire and its operand.
fn test(u: &mut Choices<'_>) -> Shaped<(&'static str, Json<'static>)> {
    const NAMES: [&str; 19] = [
        "in",
        "starts",
        "ends",
        "contains",
        "has_all",
        "exists",
        "matches",
        "lt",
        "lte",
        "gt",
        "gte",
        "semver",
        "since",
        "before",
        "cidr",
        "listed",
        "hashed",
        "geo_within",
        "in",
    ];
    let name = *u.choose(&NAMES)?;
    if seldom(u, 24)? {
        return Ok((name, anything(u, 1)?));
    }
    let operand = match name {
        "in" | "has_all" => list(u, 3, scalar)?,
        "starts" | "ends" | "contains" => list(u, 3, |u| word(u, &WORDS))?,
        "exists" => Json::from(u.arbitrary::<bool>()?),
        "matches" => word(u, &["^x", "a|b", "[0-9]+$", "(?:u-)?1", "(", r"\d", ""])?,
        "lt" | "lte" | "gt" | "gte" => Json::from(*u.choose(&NUMBERS)?),
        "semver" => word(u, &[">=2.4.0 <3.0.0", "=2.4.0-rc.1", "<2.5.0", "^2", ">=2.0.0  <3.0.0"])?,
        "since" | "before" => word(u, &INSTANTS)?,
        "cidr" => {
            list(u, 2, |u| word(u, &["10.0.0.0/8", "2001:db8::/32", "::/0", "10.0.0.1/8", "10.0.0.1"]))?
        }
        "listed" => word(u, &["vip", "nowhere"])?,
        "hashed" => hashed(u)?,
        _ => anything(u, 1)?,
    };
    Ok((name, operand))
}

fn leaf(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    let mut members: Members = vec![("attr", word(u, &PATHS)?)];
    if seldom(u, 5)? {
        members.push(("as", word(u, &["number", "string", "date"])?));
    }
    if seldom(u, 5)? {
        members.push(("fold", word(u, &["ascii", "ascii", "unicode-15"])?));
    }
    for _ in 0..*u.choose(&[1, 1, 1, 2, 2, 3, 0])? {
        let (name, operand) = test(u)?;
        if members.iter().all(|(taken, _)| *taken != name) {
            members.push((name, operand));
        }
    }
    if seldom(u, 5)? {
        members.push(("absent", Json::from(u.arbitrary::<bool>()?)));
    }
    Ok(Json::object(members))
}

fn time(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    let mut members: Members = vec![];
    for name in ["since", "before"] {
        if u.arbitrary()? {
            members.push((name, word(u, &INSTANTS)?));
        }
    }
    Ok(Json::object(members))
}

/// What buckets: `by`, `salt`, and the seldom ones.
fn bucketing(u: &mut Choices<'_>) -> Shaped<(Members, u64)> {
    let mut members: Members = vec![];
    if seldom(u, 4)? {
        members.push(("by", word(u, &PATHS)?));
    }
    members.push(("salt", word(u, &["s", "layer", "ñ", ""])?));
    if seldom(u, 10)? {
        members.push(("hash", word(u, &["xxh32", "sha1-52", "murmur3-mod", "md9"])?));
    }
    let mut of = 100_000;
    if seldom(u, 6)? {
        of = *u.choose(&[1, 2, 100, 4_294_967_296, 4_294_967_297, 0])?;
        members.push(("of", Json::from(of)));
    }
    Ok((members, of))
}

/// Ranges that rise, but for a few.
fn ranges(u: &mut Choices<'_>, of: u64, served: bool) -> Shaped<Json<'static>> {
    let mut at = 0;
    let mut all = vec![];
    for _ in 0..u.int_in_range(0..=4)? {
        let start = at + if u.arbitrary()? { 0 } else { u.int_in_range(0..=of / 4)? };
        let end = start + u.int_in_range(0..=of / 2)?;
        let mut range = vec![Json::from(start), Json::from(end)];
        if served {
            range.push(word(u, &VARIATIONS)?);
        }
        all.push(Json::Array(range));
        at = end;
    }
    Ok(Json::Array(all))
}

fn split(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    let (mut members, of) = bucketing(u)?;
    members.push(("ranges", ranges(u, of, true)?));
    Ok(Json::object(members))
}

fn bucket(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    let (mut members, of) = bucketing(u)?;
    if u.arbitrary()? {
        members.push(("in", ranges(u, of, false)?));
    } else {
        let mut share = 0;
        let mut points = vec![];
        for point in &INSTANTS[..u.int_in_range(0..=2)?] {
            share += u.int_in_range(0..=of / 2)?;
            points.push(Json::Array(vec![Json::from(*point), Json::from(share)]));
        }
        members.push(("ramp", Json::Array(points)));
        if u.arbitrary()? {
            members.push(("linear", Json::from(true)));
        }
    }
    Ok(Json::object(members))
}

/// A condition of the wire, connectives at most `depth` deep.
pub fn condition(u: &mut Choices<'_>, depth: u8) -> Shaped<Json<'static>> {
    Ok(match u.int_in_range(0..=14)? {
        7 => Json::object([("segment", list(u, 2, |u| word(u, &SEGMENTS))?)]),
        8 => Json::object([("flag", word(u, &FLAGS)?), ("is", list(u, 3, |u| word(u, &VARIATIONS))?)]),
        9 => {
            let mut members: Members = vec![("bucket", bucket(u)?)];
            if seldom(u, 4)? {
                members.push(("absent", Json::from(u.arbitrary::<bool>()?)));
            }
            Json::object(members)
        }
        10 => Json::object([("time", time(u)?)]),
        11 if depth > 0 => Json::object([("all", list(u, 3, |u| condition(u, depth - 1))?)]),
        12 if depth > 0 => Json::object([("any", list(u, 3, |u| condition(u, depth - 1))?)]),
        13 if depth > 0 => Json::object([("not", condition(u, depth - 1)?)]),
        14 if seldom(u, 4)? => anything(u, 2)?,
        _ => leaf(u)?,
    })
}

fn conditions(u: &mut Choices<'_>, most: usize) -> Shaped<Json<'static>> {
    list(u, most, |u| condition(u, 3))
}

fn rule(u: &mut Choices<'_>, id: &'static str) -> Shaped<Json<'static>> {
    let mut members: Members = vec![("id", Json::from(id))];
    if u.int_in_range(0..=3)? > 0 {
        members.push(("if", conditions(u, 3)?));
    }
    match u.int_in_range(0..=19)? {
        0..=11 => members.push(("serve", word(u, &VARIATIONS[..3])?)),
        12..=18 => members.push(("split", split(u)?)),
        _ => members.push(("negate", Json::from(true))),
    }
    if seldom(u, 3)? {
        members.push(("exp", word(u, &["cta.1", "cta.2"])?));
    }
    Ok(Json::object(members))
}

fn flag(u: &mut Choices<'_>, key: &'static str) -> Shaped<Json<'static>> {
    let of_type = *u.choose(&["bool", "string", "int", "float", "json", "date"])?;
    let value = |u: &mut Choices<'_>| {
        Ok(match of_type {
            "bool" => Json::from(u.arbitrary::<bool>()?),
            "string" => word(u, &WORDS)?,
            "int" | "float" => Json::from(*u.choose(&NUMBERS)?),
            _ => anything(u, 2)?,
        })
    };
    let values = Json::object([("a", value(u)?), ("off", value(u)?), ("on", value(u)?)]);
    let mut members: Members = vec![
        ("flag", Json::from(key)),
        ("type", Json::from(of_type)),
        ("rev", Json::from(1u64)),
        ("on", Json::from(u.int_in_range(0..=7)? != 1)),
        ("values", values),
    ];
    if u.int_in_range(0..=3)? > 0 {
        members.push(("off", word(u, &VARIATIONS)?));
    }
    if seldom(u, 3)? {
        members.push(("needs", conditions(u, 2)?));
    }
    let ids = ["one", "two", "three"];
    let rules: Shaped<Vec<_>> = ids[..u.int_in_range(0..=3)?].iter().map(|id| rule(u, id)).collect();
    members.push(("rules", Json::Array(rules?)));
    if u.arbitrary()? {
        members.push(("fallthrough", word(u, &VARIATIONS)?));
    }
    if seldom(u, 12)? {
        members.push((*u.choose(&["meta", "percent"])?, anything(u, 1)?));
    }
    Ok(Json::object(members))
}

fn check(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    let expect = Json::object([("variation", word(u, &VARIATIONS)?), ("reason", Json::from("SPLIT"))]);
    Ok(Json::object([
        ("check", Json::from("f/1")),
        ("flag", word(u, &FLAGS)?),
        ("at", word(u, &INSTANTS)?),
        ("context", context(u)?),
        ("expect", expect),
    ]))
}

fn key_list(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    let digest = "1cc5b1ce2b16f0774d4a80c83d330e909fa8da20f2600c123177834b3ec671c6";
    Ok(Json::object([
        ("list", Json::from("vip")),
        ("encoding", Json::from("zstd")),
        ("sha256", Json::from(digest)),
        ("size", Json::from(33u64)),
        ("raw_size", Json::from(20u64)),
        ("count", Json::from(4u64)),
        ("add", list(u, 2, |u| word(u, &WORDS[3..5]))?),
    ]))
}

/// Lines of a snapshot, one of each name, unsorted.
pub fn lines(u: &mut Choices<'_>) -> Shaped<Vec<String>> {
    let mut lines = vec![flag(u, "f")?];
    for key in FLAGS.iter().skip(1).take(3) {
        if u.arbitrary()? {
            lines.push(flag(u, key)?);
        }
    }
    for key in SEGMENTS.iter().take(3) {
        if u.arbitrary()? {
            lines.push(Json::object([("segment", Json::from(*key)), ("if", conditions(u, 3)?)]));
        }
    }
    if seldom(u, 3)? {
        lines.push(check(u)?);
    }
    if seldom(u, 3)? {
        lines.push(key_list(u)?);
    }
    if seldom(u, 6)? {
        lines.push(Json::object([("environment", Json::from("production")), ("level", anything(u, 0)?)]));
    }
    Ok(lines.iter().map(Json::to_string).collect())
}

/// A share as authors write it: mostly part of a whole that `weights` completes.
fn weights(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    let first = u.int_in_range(0..=100_000u64)?;
    let second = u.int_in_range(0..=100_000 - first)?;
    let rest = 100_000 - first - second;
    Ok(match u.int_in_range(0..=7)? {
        0 => Json::object([("on", Json::from("12.5%")), ("off", Json::from("87.5%"))]),
        1 => anything(u, 1)?,
        2 => Json::object([("a", Json::from(first)), ("on", Json::from(second))]),
        _ => Json::object([("a", Json::from(first)), ("off", Json::from(second)), ("on", Json::from(rest))]),
    })
}

fn rollout(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    let mut members: Members = vec![];
    if seldom(u, 4)? {
        members.push(("by", word(u, &PATHS)?));
    }
    members.push(("weights", weights(u)?));
    if seldom(u, 6)? {
        members.push(("salt", word(u, &["s", "t"])?));
    }
    Ok(Json::object(members))
}

fn ramp(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    let mut share = 0;
    let mut steps = vec![];
    for point in ["2026-12-01T09:00:00Z", "2026-12-02T10:00+01:00", "2027-01-01T00:00:00Z"] {
        share += u.int_in_range(0..=40_000u64)?;
        if u.arbitrary()? {
            steps.push(Json::Array(vec![Json::from(point), Json::from(share)]));
        }
    }
    let mut members: Members = vec![("serve", word(u, &VARIATIONS[..3])?), ("steps", Json::Array(steps))];
    if seldom(u, 4)? {
        members.push(("linear", Json::from(true)));
    }
    Ok(Json::object(members))
}

fn authored_leaf(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    const SUGAR: [&str; 14] = [
        "not_in",
        "not_starts",
        "not_contains",
        "not_matches",
        "not_cidr",
        "not_listed",
        "between",
        "semver",
        "matches",
        "since",
        "before",
        "on",
        "cidr",
        "has_all",
    ];
    const TIMES: [&str; 6] = [
        "2026-12-01",
        "2026-12-01T09:00",
        "2026-12-01T09:00:00+01:00",
        "2026-10-25T02:30[Europe/Berlin]",
        "2026-03-29T02:30[Europe/Berlin]",
        "tomorrow",
    ];
    if u.arbitrary()? {
        return leaf(u);
    }
    let name = *u.choose(&SUGAR)?;
    let operand = match name {
        "not_in" | "has_all" => list(u, 3, scalar)?,
        "not_starts" | "not_contains" => list(u, 3, |u| word(u, &WORDS))?,
        "between" if u.arbitrary()? => Json::Array(vec![word(u, &TIMES)?, word(u, &TIMES)?]),
        "between" => Json::Array(vec![Json::from(*u.choose(&NUMBERS)?), Json::from(*u.choose(&NUMBERS)?)]),
        "semver" => word(u, &["^2.4", "~1.2.3", "2.x", ">=1 <3", ">= 2.4, < 3", "1.2.3 - 2"])?,
        "matches" | "not_matches" => word(u, &[r"^\d+$", "(?i)abc", r"(a|b)\w*?", r"\s", r"\bx", "(?s)a.b"])?,
        "cidr" | "not_cidr" => list(u, 2, |u| word(u, &ADDRESSES))?,
        "not_listed" => word(u, &["vip"])?,
        _ => word(u, &TIMES)?,
    };
    let mut members: Members = vec![("attr", word(u, &PATHS)?), (name, operand)];
    if seldom(u, 5)? {
        members.push(("fold", Json::from("ascii")));
    }
    if seldom(u, 3)? {
        members.push(("time_zone", word(u, &["Europe/Berlin", "UTC", "Nowhere/Land"])?));
    }
    if seldom(u, 4)? {
        members.push(("absent", Json::from(u.arbitrary::<bool>()?)));
    }
    Ok(Json::object(members))
}

fn authored_condition(u: &mut Choices<'_>, depth: u8) -> Shaped<Json<'static>> {
    Ok(match u.int_in_range(0..=12)? {
        0..=5 => authored_leaf(u)?,
        6 => Json::object([("segment", list(u, 2, |u| word(u, &SEGMENTS[..2]))?)]),
        7 => Json::object([
            ("flag", Json::from("payments")),
            ("is", list(u, 2, |u| word(u, &VARIATIONS[..2]))?),
        ]),
        8 if depth > 0 => {
            let name = *u.choose(&["all", "any", "none"])?;
            Json::object([(name, list(u, 3, |u| authored_condition(u, depth - 1))?)])
        }
        9 if depth > 0 => Json::object([("not", authored_condition(u, depth - 1)?)]),
        10 => Json::object([("time", time(u)?)]),
        11 if u.arbitrary()? => Json::object([("not_segment", list(u, 2, |u| word(u, &SEGMENTS[..2]))?)]),
        11 => {
            let percent = word(u, &["12.5%", "0%", "100%", "33.3333%"])?;
            Json::object([("bucket", Json::object([("salt", Json::from("pilot")), ("percent", percent)]))])
        }
        _ => condition(u, 1)?,
    })
}

fn authored_rule(u: &mut Choices<'_>, id: &'static str) -> Shaped<Json<'static>> {
    let mut members: Members = vec![("id", Json::from(id))];
    if u.int_in_range(0..=3)? > 0 {
        members.push(("if", list(u, 2, |u| authored_condition(u, 2))?));
    }
    match u.int_in_range(0..=4)? {
        0 | 1 => members.push(("serve", word(u, &VARIATIONS[..3])?)),
        2 | 3 => members.push(("rollout", rollout(u)?)),
        _ => members.push(("ramp", ramp(u)?)),
    }
    if seldom(u, 3)? {
        members.push(("experiment", Json::object([("name", word(u, &["cta", "sale", ""])?)])));
    }
    if seldom(u, 4)? {
        let share = word(u, &["40%", "100%", "0.001%", "101%"])?;
        members
            .push(("layer", Json::object([("name", word(u, &["checkout", "search"])?), ("share", share)])));
    }
    Ok(Json::object(members))
}

/// A targeting or a segment, as authors write them.
pub fn authored(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    let keys = |u: &mut Choices<'_>| list(u, 3, |u| word(u, &["u-1", "u-7", "u-13", ""]));
    if seldom(u, 4)? {
        let rules = list(u, 2, |u| Ok(Json::object([("if", list(u, 2, |u| authored_condition(u, 2))?)])))?;
        return Ok(Json::object([("include", keys(u)?), ("exclude", keys(u)?), ("rules", rules)]));
    }
    let mut members: Members = vec![("on", Json::from(u.arbitrary::<bool>()?))];
    if u.arbitrary()? {
        members.push(("off", word(u, &VARIATIONS[..3])?));
    }
    if seldom(u, 3)? {
        let need =
            Json::object([("flag", Json::from("payments")), ("is", Json::Array(vec![Json::from("on")]))]);
        members.push(("prerequisites", Json::Array(vec![need])));
    }
    if seldom(u, 5)? {
        let holdout = [
            ("name", Json::from("holdout-q4")),
            ("share", word(u, &["5%", "100%", "0%"])?),
            ("serve", word(u, &VARIATIONS[..3])?),
        ];
        members.push(("holdouts", Json::Array(vec![Json::object(holdout)])));
    }
    if seldom(u, 8)? {
        let expect = Json::object([("variation", word(u, &VARIATIONS[..3])?)]);
        let check = [("at", word(u, &INSTANTS)?), ("context", context(u)?), ("expect", expect)];
        members.push(("checks", Json::Array(vec![Json::object(check)])));
    }
    for name in ["deny", "targets"] {
        if seldom(u, 3)? {
            let variation = *u.choose(&VARIATIONS[..3])?;
            members.push((name, Json::object([(variation, keys(u)?)])));
        }
    }
    let ids = ["one", "two", "three"];
    let rules: Shaped<Vec<_>> = ids[..u.int_in_range(0..=3)?].iter().map(|id| authored_rule(u, id)).collect();
    members.push(("rules", Json::Array(rules?)));
    match u.int_in_range(0..=3)? {
        0 => members.push(("fallthrough", Json::object([("serve", word(u, &VARIATIONS[..3])?)]))),
        1 => members.push(("fallthrough", Json::object([("rollout", rollout(u)?)]))),
        2 => members.push(("fallthrough", Json::object([("ramp", ramp(u)?)]))),
        _ => {}
    }
    if seldom(u, 16)? {
        members.push((*u.choose(&["schedule", "experiment", "typo"])?, anything(u, 2)?));
    }
    Ok(Json::object(members))
}
