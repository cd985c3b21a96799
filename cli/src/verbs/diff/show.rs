//! What a change would do, for people: who moves, from what to what, and exactly how many where that is known.

use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;

use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::verbs::told;

/// How many of those that move alike are named.
const NAMED: usize = 3;

pub(super) fn answer(
    screen: &Screen,
    answer: &Json<'static>,
    environment: &EnvironmentId,
) -> Result<(), Failure> {
    let changes = array(answer, "changes");
    if changes.is_empty() {
        return screen.line("nothing to do");
    }
    for change in changes {
        screen.line(format!("{}: {}", told::changed(change).1, told::text(change, "action")))?;
        for words in told::notes(change).into_iter().chain(told::phases(change)) {
            screen.line(format!("  {words}"))?;
        }
    }
    if let Some(asked) = answer.member("needs_confirmation") {
        screen.note(format_args!("{}: it takes --confirm", told::text(asked, "detail")));
    }
    let elsewhere = changes.iter().filter_map(|change| change.member("environment")?.as_str());
    let mut elsewhere: Vec<&str> = elsewhere.filter(|id| *id != environment.as_str()).collect();
    elsewhere.dedup();
    for id in elsewhere {
        screen.note(format_args!("{id} changes too: `--env {id}` shows whom that moves"));
    }
    let contexts = number(answer, "contexts");
    let made = match answer.member("sample") {
        Some(sample) => format!("{contexts} sampled contexts (seed {})", number(sample, "seed")),
        None => format!("{contexts} contexts"),
    };
    let (moved, at) = (number(answer, "moved"), told::text(answer, "at"));
    screen.line(format!("over {made} in {environment} at {at}: {}", moving(moved)))?;
    let flags = array(answer, "flags");
    if flags.is_empty() {
        screen.line("no flag there is reached")?;
    }
    flags.iter().try_for_each(|of| flag(screen, of))
}

fn moving(contexts: i64) -> String {
    match contexts {
        0 => "none of them moves".to_owned(),
        1 => "1 moves".to_owned(),
        _ => format!("{contexts} move"),
    }
}

fn flag(screen: &Screen, of: &Json<'static>) -> Result<(), Failure> {
    let (key, moved, otherwise) = (told::text(of, "flag"), number(of, "moved"), number(of, "otherwise"));
    let served = match otherwise {
        0 => String::new(),
        1 => "; 1 is served the same for another reason".to_owned(),
        count => format!("; {count} are served the same for another reason"),
    };
    screen.line("")?;
    screen.line(format!("{}: {}{served}", screen.paint(Paint::Bold, key), moving(moved)))?;
    if let Some(share) = of.member("share") {
        for line in words(share) {
            screen.line(format!("  {}", screen.paint(Paint::Green, line)))?;
        }
    }
    let groups = array(of, "groups");
    if groups.is_empty() {
        return Ok(());
    }
    let mut rows = vec![["  from", "to", "contexts", "such as"].map(str::to_owned).to_vec()];
    for (group, index) in groups.iter().zip(0_i64..) {
        let side = |name| group.member(name).map(decision).unwrap_or_default();
        let units = array(of, "units").iter().filter(|unit| number(unit, "group") == index);
        let units: Vec<String> = units.take(NAMED).map(unit).collect();
        let contexts = number(group, "contexts").to_string();
        rows.push(vec![format!("  {}", side("from")), side("to"), contexts, units.join(", ")]);
    }
    screen.table(&rows)
}

/// The exact share, a sentence for each pair.
fn words(share: &Json<'_>) -> Vec<String> {
    let whom = match (told::text(share, "among"), share.member("by").and_then(Json::as_str)) {
        ("all", None) => "everybody".to_owned(),
        ("all", Some("targetingKey")) => "all units".to_owned(),
        ("all", Some(by)) => format!("all units (`{by}`)"),
        (_, None) => "those who reach it".to_owned(),
        (_, Some("targetingKey")) => "the units that reach the rule".to_owned(),
        (_, Some(by)) => format!("the units (`{by}`) that reach the rule"),
    };
    let moves = array(share, "moves");
    if moves.is_empty() {
        return vec![format!("exactly 0 % of {whom} move")];
    }
    let lands = |moved: &Json<'_>, name| match moved.member(name) {
        None => "what later rules say".to_owned(),
        Some(Json::Null) => "the caller's default".to_owned(),
        Some(variation) => told::plain(variation),
    };
    let of = number(share, "of");
    let line = |moved: &Json<'_>| {
        let percent = moved.member("percent").and_then(Json::as_f64).unwrap_or_default();
        let (from, to, buckets) = (lands(moved, "from"), lands(moved, "to"), number(moved, "buckets"));
        format!("exactly {percent} % of {whom} move from {from} to {to} ({buckets} of {of} buckets)")
    };
    moves.iter().map(line).collect()
}

/// `on (SPLIT by rollout)`
fn decision(details: &Json<'_>) -> String {
    let served = match (told::text(details, "variation"), told::text(details, "error_code")) {
        ("", "FLAG_NOT_FOUND") => return "no such flag".to_owned(),
        ("", _) => "the caller's default",
        (variation, _) => variation,
    };
    match (told::text(details, "reason"), told::text(details, "rule")) {
        (reason, "") => format!("{served} ({reason})"),
        (reason, rule) => format!("{served} ({reason} by {rule})"),
    }
}

/// A context that moves, by its targeting key, else by its number, from 1.
fn unit(unit: &Json<'_>) -> String {
    match unit.member("unit") {
        Some(key) => told::plain(key),
        None => format!("no. {}", number(unit, "index").saturating_add(1)),
    }
}

fn array<'c, 'j>(json: &'c Json<'j>, name: &str) -> &'c [Json<'j>] {
    json.member(name).and_then(Json::as_array).unwrap_or_default()
}

fn number(json: &Json<'_>, name: &str) -> i64 {
    told::number(json, name).unwrap_or_default()
}
