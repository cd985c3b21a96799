//! Targetings and segments as authors write them.

use flagstone_model::json::Json;

use super::wire::{condition, leaf, time};
use super::{
    ADDRESSES, Choices, INSTANTS, Members, NUMBERS, PATHS, SEGMENTS, Shaped, VARIATIONS, WORDS, anything,
    context, list, scalar, seldom, word,
};

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
