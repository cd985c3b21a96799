//! Lines and conditions of the wire.

use flagstone_model::json::Json;

use super::{
    Choices, FLAGS, INSTANTS, Members, NUMBERS, PATHS, SEGMENTS, Shaped, VARIATIONS, WORDS, anything,
    context, list, scalar, seldom, word,
};

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

pub(super) fn leaf(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
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

pub(super) fn time(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
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
