//! Facts of the evaluator, by topic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod allocation;
mod attribute;
mod checks;
mod conditions;
mod example;
mod exits;
mod explain;
mod explain_laws;
mod expressions;
mod forward;
mod generate;
mod hashed;
mod laws;
mod lists;
mod local;
mod modifiers;
mod references;
mod update;
mod vectors;

use flagstone_eval::{Snapshot, batch};
use flagstone_model::instant::Instant;

/// 2026-12-02T12:00:00Z
const NOW: Instant = Instant::from_millis(1_796_212_800_000);

fn compile(lines: &[&str]) -> Snapshot {
    Snapshot::compile(lines.iter().map(|line| line.as_bytes())).0
}

/// The answer of the batch protocol for a flag and a context, both as JSON text.
fn answer(snapshot: &Snapshot, flag: &str, context: &str) -> String {
    let case = format!(r#"{{"flag":"{flag}","context":{context},"default":"code default"}}"#);
    batch::answer(snapshot, case.as_bytes(), NOW)
}

/// A bool flag, on, that serves `on` where `condition` is true, and `off` by falling through.
fn flag_if(key: &str, condition: &str) -> String {
    format!(
        r#"{{"flag":"{key}","type":"bool","rev":1,"on":true,"values":{{"off":false,"on":true}},"off":"off","rules":[{{"id":"r","if":[{condition}],"serve":"on"}}],"fallthrough":"off"}}"#
    )
}

/// What a condition says of a context, read off the exits: served, passed over, or undecidable. *Unknown* and *false*
/// differ under `not`.
fn truth(condition: &str, context: &str) -> &'static str {
    truth_beside(&Snapshot::empty(), condition, context)
}

/// The same, beside what a snapshot holds.
fn truth_beside(snapshot: &Snapshot, condition: &str, context: &str) -> &'static str {
    let straight = flag_if("f", condition);
    let negated = flag_if("g", &format!(r#"{{"not":{condition}}}"#));
    let snapshot = snapshot.update([straight.as_bytes(), negated.as_bytes()], []).snapshot;
    let served = |flag: &str| {
        let answer = answer(&snapshot, flag, context);
        if answer.contains("UNKNOWN") {
            "unsupported"
        } else if answer.contains("\"variation\":\"on\"") {
            "true"
        } else {
            "not true"
        }
    };
    match (served("f"), served("g")) {
        ("true", "not true") => "true",
        ("not true", "true") => "false",
        ("not true", "not true") => "unknown",
        ("unsupported", "unsupported") => "unsupported",
        other => panic!("{other:?}"),
    }
}
