//! What changes, for people: each entity, each member from what to what, and the effect in words.

use flagstone_model::json::Json;

use super::effect;
use crate::api::Api;
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::verbs::told;

/// Longest value that is shown whole, in characters.
const MAX_SHOWN: usize = 160;
/// Most entries of the log that are named.
const MAX_ENTRIES: usize = 20;

/// Shows changes as a dry run tells them, and counts them.
pub(crate) fn changes(screen: &Screen, changed: &[Json<'static>]) -> Result<(), Failure> {
    for change in changed {
        entity(screen, change)?;
    }
    if changed.is_empty() {
        return Ok(());
    }
    let count = |action: &str| changed.iter().filter(|change| told::text(change, "action") == action).count();
    let counts = ["created", "updated", "archived", "deleted"].map(|action| (count(action), action));
    let counts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, action)| format!("{count} {action}"))
        .collect();
    screen.line(screen.paint(Paint::Bold, format!("{}, in one entry", counts.join(", "))))
}

fn entity(screen: &Screen, change: &Json<'static>) -> Result<(), Failure> {
    let (kind, name) = told::changed(change);
    let action = told::text(change, "action");
    let (mark, paint) = match action {
        "created" => ("+", Paint::Green),
        "archived" | "deleted" => ("-", Paint::Red),
        _ => ("~", Paint::Yellow),
    };
    screen.line(format!("{}: {action}", screen.paint(paint, format!("{mark} {name}"))))?;
    let none = Json::Null;
    let (from, to) = (change.member("from").unwrap_or(&none), change.member("to").unwrap_or(&none));
    match action {
        "archived" => screen.line("    it leaves every environment, and its key is never used again")?,
        "deleted" if kind == "view" => {
            screen.line("    it is published no more, and its id is never used again")?;
        }
        "deleted" => screen.line("    its key is never used again")?,
        _ => {
            let mut lines = Vec::new();
            differences("", from, to, &mut lines);
            for difference in lines {
                screen.line(member(screen, &difference))?;
            }
        }
    }
    for words in told::notes(change) {
        screen.line(format!("    {}", screen.paint(Paint::Dim, words)))?;
    }
    if kind == "flag" && change.member("environment").is_some() {
        for phase in told::phases(change) {
            screen.line(format!("    {}", screen.paint(Paint::Yellow, phase)))?;
        }
        for words in effect::of(from, to) {
            screen.line(format!("    {}", screen.paint(Paint::Dim, words)))?;
        }
    }
    Ok(())
}

/// A member that differs.
#[derive(Debug, PartialEq)]
struct Difference {
    path: String,
    from: Option<String>,
    to: Option<String>,
}

fn member(screen: &Screen, difference: &Difference) -> String {
    let Difference { path, from, to } = difference;
    match (from, to) {
        (Some(from), Some(to)) => format!("  {} {path}: {from} → {to}", screen.paint(Paint::Yellow, "~")),
        (None, Some(to)) => format!("  {} {path}: {to}", screen.paint(Paint::Green, "+")),
        (Some(from), None) => format!("  {} {path}: {from}", screen.paint(Paint::Red, "-")),
        (None, None) => format!("    {path}"),
    }
}

/// Gathers what differs, member by member. Objects with an `id` are compared with those of the same id.
fn differences(path: &str, from: &Json<'_>, to: &Json<'_>, out: &mut Vec<Difference>) {
    if from == to {
        return;
    }
    let join = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match (from, to) {
        (Json::Object(_) | Json::Null, Json::Object(_)) | (Json::Object(_), Json::Null) => {
            let (before, after) = (from.as_object().unwrap_or_default(), to.as_object().unwrap_or_default());
            for (name, value) in before {
                match to.member(name) {
                    Some(new) => differences(&join(name), value, new, out),
                    None => {
                        out.push(Difference { path: join(name), from: Some(shown(path, value)), to: None });
                    }
                }
            }
            for (name, value) in after.iter().filter(|(name, _)| from.member(name).is_none()) {
                out.push(Difference { path: join(name), from: None, to: Some(shown(path, value)) });
            }
        }
        (Json::Array(before), Json::Array(after)) if identified(before) && identified(after) => {
            let find = |all: &[Json<'_>], id: &str| all.iter().position(|one| told::text(one, "id") == id);
            for old in before {
                let id = told::text(old, "id");
                let step = format!("{path}[{id}]");
                match find(after, id).and_then(|at| after.get(at)) {
                    Some(new) => differences(&step, old, new, out),
                    None => {
                        out.push(Difference { path: step, from: Some(short(&old.to_string())), to: None });
                    }
                }
            }
            for new in after.iter().filter(|new| find(before, told::text(new, "id")).is_none()) {
                let step = format!("{path}[{}]", told::text(new, "id"));
                out.push(Difference { path: step, from: None, to: Some(short(&new.to_string())) });
            }
            let order = |all: &[Json<'_>], others: &[Json<'_>]| -> Vec<String> {
                let ids = all.iter().map(|one| told::text(one, "id").to_owned());
                ids.filter(|id| find(others, id).is_some()).collect()
            };
            let (then, now) = (order(before, after), order(after, before));
            if then != now {
                let path = format!("order of {path}");
                out.push(Difference { path, from: Some(then.join(", ")), to: Some(now.join(", ")) });
            }
        }
        (Json::Array(before), Json::Array(after)) => {
            for old in before.iter().filter(|old| !after.contains(old)) {
                out.push(Difference { path: path.to_owned(), from: Some(short(&old.to_string())), to: None });
            }
            for new in after.iter().filter(|new| !before.contains(new)) {
                out.push(Difference { path: path.to_owned(), from: None, to: Some(short(&new.to_string())) });
            }
            let same = |all: &[Json<'_>], others: &[Json<'_>]| all.iter().all(|one| others.contains(one));
            if same(before, after) && same(after, before) {
                out.push(Difference { path: format!("order of {path}"), from: None, to: None });
            }
        }
        _ => {
            let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
            out.push(Difference {
                path: path.to_owned(),
                from: Some(shown(parent, from)),
                to: Some(shown(parent, to)),
            });
        }
    }
}

fn identified(elements: &[Json<'_>]) -> bool {
    elements.iter().all(|element| element.member("id").and_then(Json::as_str).is_some())
}

/// A value; weights as people say them.
fn shown(parent: &str, value: &Json<'_>) -> String {
    match value.as_integer() {
        Some(parts) if parent.ends_with("weights") => effect::percent(parts),
        _ => short(&value.to_string()),
    }
}

fn short(text: &str) -> String {
    if text.chars().count() <= MAX_SHOWN {
        return text.to_owned();
    }
    text.chars().take(MAX_SHOWN).chain(['…']).collect()
}

/// What has changed on the server since the last plan was made, by entry.
pub(super) async fn drift(screen: &Screen, api: &Api, since: Option<u64>) -> Result<(), Failure> {
    let Some(since) = since else { return Ok(()) };
    let path = api.in_project(&format!("log?after={since}&limit={MAX_ENTRIES}"));
    let answer = match api.get(&path).await {
        Ok(answer) => answer,
        // Who is limited to environments may not read the log, and may plan all the same.
        Err(failure) if failure.code == "forbidden" => return Ok(()),
        Err(failure) => return Err(failure),
    };
    if answer.items().is_empty() {
        return Ok(());
    }
    screen
        .note(format_args!("the server has changed since the last plan, which looked up to entry {since}:"));
    for entry in answer.items() {
        let Some(header) = entry.member("header") else { continue };
        let who = header.member("actor").map_or("", |actor| told::text(actor, "id"));
        let entities: Vec<&str> = match header.member("changes").and_then(Json::as_array) {
            Some(changes) => changes.iter().map(|change| told::text(change, "entity")).collect(),
            None => vec![told::text(header, "entity")],
        };
        let seq = told::number(header, "seq").unwrap_or_default();
        screen.note(format_args!("  entry {seq} by {who}: {}", short(&entities.join(", "))));
    }
    if answer.text("next").is_some() {
        screen.note("  and more");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(from: &str, to: &str) -> Vec<String> {
        let json = |text: &str| Json::parse(text.as_bytes()).unwrap().into_owned();
        let mut out = Vec::new();
        differences("", &json(from), &json(to), &mut out);
        out.iter()
            .map(|Difference { path, from, to }| {
                format!("{path}|{}|{}", from.as_deref().unwrap_or("-"), to.as_deref().unwrap_or("-"))
            })
            .collect()
    }

    #[test]
    fn each_member_is_told_from_what_to_what_and_rules_by_their_id() {
        for (from, to, wanted) in [
            (r#"{"on":false,"off":"x"}"#, r#"{"on":true,"off":"x"}"#, vec!["on|false|true"]),
            (r#"{"a":1}"#, r#"{"b":{"c":2}}"#, vec!["a|1|-", r#"b|-|{"c":2}"#]),
            ("null", r#"{"a":1}"#, vec!["a|-|1"]),
            (
                r#"{"fallthrough":{"rollout":{"weights":{"on":10000,"off":90000}}}}"#,
                r#"{"fallthrough":{"rollout":{"weights":{"on":12500,"off":87500}}}}"#,
                vec![
                    "fallthrough.rollout.weights.on|10 %|12.5 %",
                    "fallthrough.rollout.weights.off|90 %|87.5 %",
                ],
            ),
            (
                r#"{"rules":[{"id":"a","serve":"x"},{"id":"b","serve":"x"}]}"#,
                r#"{"rules":[{"id":"b","serve":"y"},{"id":"a","serve":"x"},{"id":"c","serve":"z"}]}"#,
                vec![
                    "rules[b].serve|\"x\"|\"y\"",
                    r#"rules[c]|-|{"id":"c","serve":"z"}"#,
                    "order of rules|a, b|b, a",
                ],
            ),
            (
                r#"{"include":["a","b"]}"#,
                r#"{"include":["b","c"]}"#,
                vec![r#"include|"a"|-"#, r#"include|-|"c""#],
            ),
            (r#"{"tags":["a","b"]}"#, r#"{"tags":["b","a"]}"#, vec!["order of tags|-|-"]),
        ] {
            assert_eq!(told(from, to), wanted);
        }
    }

    #[test]
    fn a_long_value_is_cut() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_SHOWN));
        assert_eq!(told("null", &long)[0].chars().count(), "a|-|".len() + MAX_SHOWN + 1);
    }
}
