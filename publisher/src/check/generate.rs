//! Which checks a flag gets without its author.

use flagstone_model::details::Reason;
use flagstone_model::json::Json;

use super::Check;
use super::example::Example;
use super::reached::{Reached, conditions};

/// Most generated checks of a flag that are published (FORMAT M-1.8).
pub const MAX_PUBLISHED: usize = 2;
/// Most delicate tests of a rule that are aimed at one by one.
const MAX_MISSED: usize = 4;

/// A generated check, and what it is about.
struct Aimed {
    check: Check,
    /// Whether a test that languages could disagree on has a part in it.
    is_delicate: bool,
    /// Whether it came out where it was aimed.
    is_hit: bool,
}

/// The checks of a flag: at least one for each rule that can be told by its lines, and one for no context at all.
///
/// Each is what the lines serve now, whether or not it came out where it was aimed.
pub fn generate(reached: &Reached<'_>) -> Vec<Check> {
    aimed(reached).into_iter().map(|aimed| aimed.check).collect()
}

/// Those of them that are published: of flags with tests on which languages could disagree.
pub fn published(reached: &Reached<'_>) -> Vec<Check> {
    let mut delicate: Vec<Aimed> = aimed(reached).into_iter().filter(|aimed| aimed.is_delicate).collect();
    // One that matches and one that just does not say the most; the order of rules decides among equals.
    let hit = delicate.iter().position(|aimed| aimed.is_hit).map(|at| delicate.remove(at));
    let missed = delicate.iter().position(|aimed| !aimed.is_hit).map(|at| delicate.remove(at));
    hit.into_iter().chain(missed).chain(delicate).take(MAX_PUBLISHED).map(|aimed| aimed.check).collect()
}

fn aimed(reached: &Reached<'_>) -> Vec<Aimed> {
    let Some(line) = reached.line() else { return Vec::new() };
    let mut all: Vec<Aimed> = Vec::new();
    let mut keep = |example: &Example<'_, '_>, rule: Option<&str>, is_delicate: bool| {
        let at = example.at();
        let Some(outcome) = reached.evaluate(&example.context, at) else { return };
        let is_same = |aimed: &Aimed| aimed.check.context == example.context && aimed.check.at == at;
        // What can not be decided here, because a list is not at hand, is decided elsewhere.
        if outcome.reason == Reason::Unknown || all.iter().any(is_same) {
            return;
        }
        let is_hit = rule.is_some() && outcome.rule.as_deref() == rule;
        let check = Check { at, context: example.context.clone(), outcome };
        all.push(Aimed { check, is_delicate, is_hit });
    };
    let needs = conditions(line, "needs");
    let rules = conditions(line, "rules");
    if line.member("on").and_then(Json::as_bool) == Some(true) {
        for (index, rule) in rules.iter().enumerate() {
            let id = rule.member("id").and_then(Json::as_str);
            let earlier = rules.get(..index).unwrap_or_default();
            let make = |missed: Option<usize>, past: &[Json<'_>]| {
                let mut example = Example::new(reached, missed);
                example.meet(needs);
                example.meet(conditions(rule, "if"));
                let delicate = example.delicate;
                if let Some(split) = rule.member("split") {
                    example.unit(split);
                }
                // What stands before it may not match.
                for rule in past {
                    example.miss(conditions(rule, "if"));
                }
                example.delicate = delicate;
                example
            };
            let plain = make(None, &[]);
            let decides = |example: &Example<'_, '_>| {
                reached.evaluate(&example.context, example.at()).is_some_and(|it| it.rule.as_deref() == id)
            };
            let best = if earlier.is_empty() || decides(&plain) { plain } else { make(None, earlier) };
            keep(&best, id, best.delicate > 0);
            for missed in 0..best.delicate.min(MAX_MISSED) {
                keep(&make(Some(missed), &[]), id, true);
            }
        }
    }
    keep(&Example::new(reached, None), None, false);
    all
}
