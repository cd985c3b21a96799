//! A change in words: one line for people.

use flagstone_model::json::Json;

use super::difference::{Change, Difference};
use crate::author::words::ramp_in_brief;
use crate::log::Entity;
use crate::lower::phase::Begun;

/// Parts of a summary that are told; the rest is counted.
const MAX_PARTS: usize = 5;
/// Elements of a set that are named; more are counted.
const MAX_NAMED: usize = 3;
/// Longest value that is told as it is, in characters.
const MAX_VALUE_CHARS: usize = 40;

/// What a change did, in words: `switched on`, or `rollout of rule eu: neural 10 % → 20 %, vector 30 % → 20 %`.
pub(super) fn summary(
    entity: &Entity,
    from: Option<&Json<'_>>,
    to: Option<&Json<'_>>,
    differences: &[Difference],
) -> String {
    match (from, to) {
        (Some(_), Some(to)) if matches!(entity, Entity::List(..)) => return keys_moved(to),
        (_, None) => return "deleted".to_owned(),
        (None, Some(_)) if matches!(entity, Entity::Targeting(..)) => return "targeted".to_owned(),
        (None, Some(_)) => return "created".to_owned(),
        _ => {}
    }
    let mut parts = Vec::new();
    let mut rest = differences;
    while let Some((first, others)) = rest.split_first() {
        let share = Share::of(first);
        let same = others.iter().take_while(|other| share.is_some() && Share::of(other) == share).count();
        let (group, others) = rest.split_at(same.saturating_add(1).min(rest.len()));
        parts.push(match share {
            Some(share) => format!("rollout of {}: {}", share.place(), joined(group.iter().map(weight))),
            None => one(first).unwrap_or_else(|| general(first)),
        });
        rest = if others.len() < rest.len() { others } else { &[] };
    }
    match parts.len() {
        0 => "written again as it was".to_owned(),
        count if count > MAX_PARTS => {
            parts.truncate(MAX_PARTS);
            format!("{}; and {} more", parts.join("; "), count.saturating_sub(MAX_PARTS))
        }
        _ => parts.join("; "),
    }
}

/// A summary, and what began with the change: `weights changed; phase cta-test.2 begins (its salt changed)`.
pub(super) fn with_phases(summary: String, phases: &[Begun]) -> String {
    let told = phases.iter().map(|Begun { to, because, .. }| {
        format!("phase {to} begins ({})", joined(because.iter().map(ToString::to_string)))
    });
    [summary].into_iter().chain(told).collect::<Vec<_>>().join("; ")
}

/// What came to a list and went from it, as the state after it tells.
fn keys_moved(to: &Json<'_>) -> String {
    let Some(changed) = to.member("changed") else {
        return "restored as it was earlier".to_owned();
    };
    let count = |name, sign| match changed.member(name).and_then(Json::as_integer).unwrap_or_default() {
        0 => None,
        1 => Some(format!("{sign}1 key")),
        count => Some(format!("{sign}{count} keys")),
    };
    match joined(count("added", '+').into_iter().chain(count("dropped", '−'))) {
        words if words.is_empty() => "written again as it was".to_owned(),
        words => words,
    }
}

/// Whose weights a difference is about.
#[derive(PartialEq)]
enum Share<'a> {
    Rule(&'a str),
    Fallthrough,
}

impl<'a> Share<'a> {
    fn of(difference: &'a Difference) -> Option<Self> {
        match names(difference).as_slice() {
            ["rules", rule, "rollout", "weights", _] => {
                let rule = difference.names.get(1).filter(|name| *name == rule)?;
                Some(Self::Rule(rule))
            }
            ["fallthrough", "rollout", "weights", _] => Some(Self::Fallthrough),
            _ => None,
        }
    }

    fn place(&self) -> String {
        match self {
            Self::Rule(rule) => format!("rule {rule}"),
            Self::Fallthrough => "the fallthrough".to_owned(),
        }
    }
}

fn names(difference: &Difference) -> Vec<&str> {
    difference.names.iter().map(String::as_str).collect()
}

fn weight(difference: &Difference) -> String {
    let variation = difference.names.last().map_or("", String::as_str);
    match &difference.change {
        Change::Value { from, to } => {
            format!("{variation} {} → {}", percent(from.as_ref()), percent(to.as_ref()))
        }
        Change::Set { .. } => variation.to_owned(),
    }
}

/// A share of 100,000 in percent, with as many of three decimals as it has.
fn percent(weight: Option<&Json<'_>>) -> String {
    let Some(weight) = weight else { return "0 %".to_owned() };
    match weight.as_integer().and_then(|weight| u64::try_from(weight).ok()) {
        Some(weight) => {
            let decimals = format!("{:03}", weight % 1_000);
            match decimals.trim_end_matches('0') {
                "" => format!("{} %", weight / 1_000),
                decimals => format!("{}.{decimals} %", weight / 1_000),
            }
        }
        None => short(weight),
    }
}

/// The differences that have words of their own.
fn one(difference: &Difference) -> Option<String> {
    let names = names(difference);
    let words = match (&difference.change, names.as_slice()) {
        (Change::Value { to, .. }, ["on"]) => {
            if to.as_ref().and_then(Json::as_bool)? { "switched on" } else { "switched off" }.to_owned()
        }
        (Change::Value { .. }, ["archived"]) => "archived".to_owned(),
        (Change::Set { added, removed }, ["targets", variation]) => {
            moved(added, removed, |keys, done| format!("target {keys} → {variation} {done}"))
        }
        (Change::Set { added, removed }, ["deny", variation]) => {
            moved(added, removed, |keys, done| format!("denial of {keys} → {variation} {done}"))
        }
        (Change::Set { added, removed }, ["include"]) => {
            moved(added, removed, |keys, done| format!("inclusion of {keys} {done}"))
        }
        (Change::Set { added, removed }, ["exclude"]) => {
            moved(added, removed, |keys, done| format!("exclusion of {keys} {done}"))
        }
        (Change::Set { added, removed }, _) => {
            moved(added, removed, |keys, done| format!("{}: {keys} {done}", names.join(".")))
        }
        (Change::Value { from, to }, ["rules"]) if is_names(from.as_ref()) && is_names(to.as_ref()) => {
            format!("order of rules: {} → {}", list(from.as_ref()), list(to.as_ref()))
        }
        (Change::Value { from, to }, ["rules", rule]) => {
            come_or_gone("rule", rule, from.as_ref(), to.as_ref())?
        }
        (Change::Value { from, to }, ["prerequisites", flag]) => {
            come_or_gone("prerequisite", flag, from.as_ref(), to.as_ref())?
        }
        (Change::Value { from, to }, ["variations", variation]) => {
            match come_or_gone("variation", variation, from.as_ref(), to.as_ref()) {
                Some(words) => words,
                None => format!("variation {variation}: {} → {}", told(from.as_ref()), told(to.as_ref())),
            }
        }
        (Change::Value { from, to }, ["rules", rule, "serve"]) if from.is_some() && to.is_some() => {
            format!("rule {rule} serves {} → {}", told(from.as_ref()), told(to.as_ref()))
        }
        (Change::Value { from, to }, ["fallthrough"]) => {
            format!("fallthrough {} → {}", served(from.as_ref()), served(to.as_ref()))
        }
        (Change::Value { from, to }, ["fallthrough", "serve"]) => {
            format!("fallthrough {} → {}", told(from.as_ref()), told(to.as_ref()))
        }
        (Change::Value { from, to }, ["off"]) => {
            format!("off variation {} → {}", told(from.as_ref()), told(to.as_ref()))
        }
        _ => return None,
    };
    Some(words)
}

fn general(difference: &Difference) -> String {
    let place = match names(difference).as_slice() {
        ["rules", rule, rest @ ..] => format!("rule {rule}: {}", rest.join(".")),
        names => names.join("."),
    };
    match &difference.change {
        Change::Value { from, to } if is_short(from.as_ref()) && is_short(to.as_ref()) => {
            format!("{place} {} → {}", told(from.as_ref()), told(to.as_ref()))
        }
        Change::Value { .. } | Change::Set { .. } => format!("{place} changed"),
    }
}

fn come_or_gone(what: &str, name: &str, from: Option<&Json<'_>>, to: Option<&Json<'_>>) -> Option<String> {
    match (from, to) {
        (None, Some(_)) => Some(format!("{what} {name} added")),
        (Some(_), None) => Some(format!("{what} {name} removed")),
        _ => None,
    }
}

fn moved(added: &[Json<'_>], removed: &[Json<'_>], words: impl Fn(&str, &str) -> String) -> String {
    let both = [(added, "added"), (removed, "removed")];
    let told = both.into_iter().filter(|(keys, _)| !keys.is_empty());
    joined(told.map(|(keys, done)| {
        let keys = match keys.len() {
            count if count > MAX_NAMED => format!("{count} keys"),
            _ => joined(keys.iter().map(short)),
        };
        words(&keys, done)
    }))
}

/// What a fallthrough serves.
fn served(fallthrough: Option<&Json<'_>>) -> String {
    let Some(fallthrough) = fallthrough else { return "nothing".to_owned() };
    if let Some(serve) = fallthrough.member("serve").and_then(Json::as_str) {
        return serve.to_owned();
    }
    let weights = fallthrough.member("rollout").and_then(|rollout| rollout.member("weights"));
    match weights.and_then(Json::as_object) {
        Some(weights) => {
            joined(weights.iter().map(|(variation, weight)| format!("{variation} {}", percent(Some(weight)))))
        }
        None => ramp_in_brief(fallthrough).unwrap_or_else(|| "something else".to_owned()),
    }
}

/// Whether this is a list of ids.
fn is_names(value: Option<&Json<'_>>) -> bool {
    let elements = value.and_then(Json::as_array).unwrap_or_default();
    !elements.is_empty() && elements.iter().all(|element| element.as_str().is_some())
}

fn list(names: Option<&Json<'_>>) -> String {
    joined(names.and_then(Json::as_array).unwrap_or_default().iter().map(short))
}

fn joined(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(", ")
}

fn told(value: Option<&Json<'_>>) -> String {
    value.map_or_else(|| "nothing".to_owned(), short)
}

/// Text without quotes, other values as JSON; long ones cut.
fn short(value: &Json<'_>) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    if text.chars().count() <= MAX_VALUE_CHARS {
        return text;
    }
    let cut: String = text.chars().take(MAX_VALUE_CHARS).collect();
    format!("{cut}…")
}

fn is_short(value: Option<&Json<'_>>) -> bool {
    value.is_none_or(|value| value.to_string().chars().count() <= MAX_VALUE_CHARS)
}

#[cfg(test)]
mod tests {
    use super::super::difference::differences;
    use super::*;

    fn told(from: &str, to: &str) -> String {
        let parse = |text: &str| Json::parse(text.as_bytes()).unwrap().into_owned();
        let (from, to) = (parse(from), parse(to));
        let entity = Entity::parse("flag/production/a").unwrap();
        summary(&entity, Some(&from), Some(&to), &differences(&from, &to))
    }

    #[test]
    fn a_change_is_told_in_words() {
        for (from, to, words) in [
            (r#"{"on":false}"#, r#"{"on":true}"#, "switched on"),
            (r#"{"on":true}"#, r#"{"on":false}"#, "switched off"),
            (
                r#"{"rules":[{"id":"eu","rollout":{"weights":{"neural":10000,"vector":30000,"classic":60000}}}]}"#,
                r#"{"rules":[{"id":"eu","rollout":{"weights":{"neural":20000,"vector":20001,"classic":59999}}}]}"#,
                "rollout of rule eu: neural 10 % → 20 %, vector 30 % → 20.001 %, classic 60 % → 59.999 %",
            ),
            (
                r#"{"fallthrough":{"rollout":{"weights":{"on":10000,"off":90000}}}}"#,
                r#"{"fallthrough":{"rollout":{"weights":{"on":100000}}}}"#,
                "rollout of the fallthrough: on 10 % → 100 %, off 90 % → 0 %",
            ),
            (
                r#"{"fallthrough":{"serve":"off"}}"#,
                r#"{"fallthrough":{"rollout":{"weights":{"on":25500,"off":74500}}}}"#,
                "fallthrough off → on 25.5 %, off 74.5 %",
            ),
            (
                r#"{"fallthrough":{"serve":"on"}}"#,
                r#"{"fallthrough":{"ramp":{"serve":"on","steps":[["2026-12-02T10:00","1%"],["2026-12-03T10:00","10%"],["2026-12-04T10:00","50%"]],"time_zone":"Europe/Berlin"}}}"#,
                "fallthrough on → ramp of `on`: 1 % … 50 %",
            ),
            (r#"{"fallthrough":{"serve":"a"}}"#, r#"{"fallthrough":{"serve":"b"}}"#, "fallthrough a → b"),
            ("{}", r#"{"targets":{"neural":["u-7"]}}"#, "target u-7 → neural added"),
            (
                r#"{"targets":{"neural":["u-7"]}}"#,
                r#"{"targets":{"neural":[1,2,3,4]}}"#,
                "target 4 keys → neural added, target u-7 → neural removed",
            ),
            (r#"{"deny":{"off":["u-1"]}}"#, "{}", "denial of u-1 → off removed"),
            (r#"{"rules":[]}"#, r#"{"rules":[{"id":"eu","serve":"a"}]}"#, "rule eu added"),
            (
                r#"{"rules":[{"id":"eu","serve":"a"}]}"#,
                r#"{"rules":[{"id":"eu","serve":"b","if":[{"attr":"country","in":["AT","DE"]}]}]}"#,
                "rule eu serves a → b; rule eu: if nothing → [{\"attr\":\"country\",\"in\":[\"AT\",\"DE\"]}]",
            ),
            (
                r#"{"rules":[{"id":"a"},{"id":"b"}]}"#,
                r#"{"rules":[{"id":"b"},{"id":"a"}]}"#,
                "order of rules: a, b → b, a",
            ),
            (
                r#"{"prerequisites":[]}"#,
                r#"{"prerequisites":[{"flag":"p","is":["on"]}]}"#,
                "prerequisite p added",
            ),
            (
                r#"{"owner":"a","tags":["x"]}"#,
                r#"{"owner":"b","tags":["x","y"]}"#,
                "owner a → b; tags: y added",
            ),
            (r#"{"off":"a"}"#, r#"{"off":null}"#, "off variation a → null"),
            (r#"{"on":true}"#, r#"{"on":true}"#, "written again as it was"),
            (
                "{}",
                r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1}"#,
                "a nothing → 1; b nothing → 1; c nothing → 1; d nothing → 1; e nothing → 1; and 2 more",
            ),
        ] {
            assert_eq!(told(from, to), words);
        }
    }

    #[test]
    fn what_comes_and_goes_whole_is_told_so() {
        let segment = Entity::parse("segment/production/beta").unwrap();
        let nothing = Json::Object(Vec::new());
        assert_eq!(summary(&segment, None, Some(&nothing), &[]), "created");
        assert_eq!(summary(&segment, Some(&nothing), None, &[]), "deleted");
    }
}
