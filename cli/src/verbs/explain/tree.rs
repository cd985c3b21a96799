//! An explanation as an indented tree.

use flagstone_model::json::Json;

use super::sentence::{self, cause, percent};
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::verbs::told::{number, text};

/// Longest operand that is shown, in characters.
const MAX_OPERAND_CHARS: usize = 60;

/// The flag and what it serves.
pub(super) fn head(screen: &Screen, told: &Json<'_>) -> Result<(), Failure> {
    let none = Json::Null;
    let details = told.member("details").unwrap_or(&none);
    let value = match details.member("value") {
        Some(value) => screen.paint(Paint::Green, value),
        None => screen.paint(Paint::Yellow, "the default in the code"),
    };
    let place = format!(
        "{} at {}, seq {}",
        text(details, "reason"),
        text(told, "at"),
        number(told, "seq").unwrap_or_default()
    );
    let (key, place) =
        (screen.paint(Paint::Bold, text(told, "flag")), screen.paint(Paint::Dim, format!("({place})")));
    screen.line(format!("{key} = {value}  {place}"))
}

/// The whole explanation.
pub(super) fn draw(screen: &Screen, told: &Json<'_>) -> Result<(), Failure> {
    head(screen, told)?;
    let tree = Tree { screen };
    let on = told.member("on").and_then(Json::as_bool).unwrap_or(true);
    tree.line(1, if on { "true" } else { "false" }, if on { "switched on" } else { "switched off" }, "")?;
    tree.flag(1, told)?;
    if told.member("truncated").is_some() {
        screen.note("some steps are left out; they were evaluated all the same");
    }
    screen.line(sentence::of(told))
}

struct Tree<'a> {
    screen: &'a Screen,
}

impl Tree<'_> {
    /// One line: how it came out, what it is, and a remark.
    fn line(&self, depth: usize, outcome: &str, what: &str, remark: &str) -> Result<(), Failure> {
        let marks = self.screen.marks();
        let mark = match outcome {
            "true" => self.screen.paint(Paint::Green, marks.holds),
            "false" => self.screen.paint(Paint::Red, marks.fails),
            "unknown" => self.screen.paint(Paint::Yellow, "?"),
            "unsupported" => self.screen.paint(Paint::Red, "!"),
            _ => self.screen.paint(Paint::Dim, marks.skipped),
        };
        let remark = match remark {
            "" => String::new(),
            remark => format!("  {}", self.screen.paint(Paint::Dim, remark)),
        };
        let what =
            if outcome == "not-reached" { self.screen.paint(Paint::Dim, what) } else { what.to_owned() };
        self.screen.line(format!("{}{mark} {what}{remark}", "  ".repeat(depth)))
    }

    /// The needs and the rules of a flag.
    fn flag(&self, depth: usize, told: &Json<'_>) -> Result<(), Failure> {
        for need in list(told, "needs") {
            self.condition(depth, need)?;
        }
        for rule in list(told, "rules") {
            self.rule(depth, rule)?;
        }
        Ok(())
    }

    fn rule(&self, depth: usize, rule: &Json<'_>) -> Result<(), Failure> {
        let (id, outcome) = (text(rule, "id"), text(rule, "outcome"));
        let arrow = self.screen.marks().arrow;
        let what = match text(rule, "serve") {
            "" => format!("rule {id}"),
            serve => format!("rule {id} {arrow} {serve}"),
        };
        let remark = match (text(rule, "why"), outcome) {
            ("", "not-reached") => "not reached",
            ("", _) if rule.member("decided").is_some() => "decided",
            ("", _) => "",
            (why, _) => cause(why),
        };
        self.line(depth, outcome, &what, remark)?;
        if outcome == "not-reached" {
            return Ok(());
        }
        for condition in list(rule, "conditions") {
            self.condition(depth.saturating_add(1), condition)?;
        }
        if let Some(bucket) = rule.member("bucket") {
            let hit = if bucket.member("range").is_some() { "true" } else { "false" };
            let outcome = if bucket.member("bucket").is_some() { hit } else { "unknown" };
            self.line(depth.saturating_add(1), outcome, &bucket_words(bucket), "")?;
        }
        Ok(())
    }

    fn condition(&self, depth: usize, told: &Json<'_>) -> Result<(), Failure> {
        let outcome = text(told, "outcome");
        let inside = depth.saturating_add(1);
        let mut remarks = Vec::new();
        match text(told, "why") {
            "" => {}
            why => remarks.push(cause(why).to_owned()),
        }
        if told.member("by_absent").is_some() {
            remarks.push("so `absent` decides".to_owned());
        }
        if let Some(value) = told.member("value") {
            remarks.push(format!("it is {}", cut(value)));
        }
        if told.member("after_decision").is_some() {
            remarks.push("not needed any more".to_owned());
        }
        let remark = remarks.join(", ");
        for (name, words) in [("all", "all of"), ("any", "any of")] {
            if told.member(name).is_some() {
                self.line(depth, outcome, words, &remark)?;
                return list(told, name).iter().try_for_each(|part| self.condition(inside, part));
            }
        }
        if let Some(part) = told.member("not") {
            self.line(depth, outcome, "not", &remark)?;
            return self.condition(inside, part);
        }
        let nothing = Json::Null;
        self.line(depth, outcome, &words(told.member("condition").unwrap_or(&nothing), told), &remark)?;
        let tests = list(told, "tests");
        if tests.len() > 1 {
            for test in tests {
                let shown = test.member("test").map(tests_words).unwrap_or_default();
                self.line(inside, text(test, "outcome"), &shown, cause(text(test, "why")))?;
            }
        }
        for segment in list(told, "segments") {
            let remark = cause(text(segment, "why"));
            let name = format!("segment {}", text(segment, "segment"));
            self.line(inside, text(segment, "outcome"), &name, remark)?;
            for part in list(segment, "conditions") {
                self.condition(inside.saturating_add(1), part)?;
            }
        }
        if let Some(flag) = told.member("flag") {
            let details = flag.member("details").unwrap_or(&nothing);
            let served = format!("{} serves {}", text(flag, "flag"), sentence::served(details));
            self.line(inside, "served", &served, text(details, "reason"))?;
            self.flag(inside.saturating_add(1), flag)?;
        }
        Ok(())
    }
}

fn list<'j>(json: &'j Json<'j>, name: &str) -> &'j [Json<'j>] {
    json.member(name).and_then(Json::as_array).unwrap_or_default()
}

fn cut(json: &Json<'_>) -> String {
    let text = json.to_string();
    if text.chars().count() <= MAX_OPERAND_CHARS {
        return text;
    }
    let start: String = text.chars().take(MAX_OPERAND_CHARS).collect();
    format!("{start}...")
}

/// A condition in words.
fn words(condition: &Json<'_>, told: &Json<'_>) -> String {
    if let Some(path) = condition.member("attr").and_then(Json::as_str) {
        return format!("{path} {}", tests_words(condition));
    }
    if let Some(segments) = condition.member("segment").and_then(Json::as_array) {
        let names: Vec<_> = segments.iter().filter_map(Json::as_str).collect();
        return format!("in segment {}", names.join(" or "));
    }
    if let Some(flag) = condition.member("flag").and_then(Json::as_str) {
        let names: Vec<_> = list(condition, "is").iter().filter_map(Json::as_str).collect();
        return format!("flag {flag} serves {}", names.join(" or "));
    }
    if let Some(bucket) = told.member("bucket") {
        return bucket_words(bucket);
    }
    if let Some(time) = condition.member("time") {
        let bounds = time.as_object().unwrap_or_default().iter();
        let bounds: Vec<_> =
            bounds.map(|(name, at)| format!("{name} {}", at.as_str().unwrap_or_default())).collect();
        let now = text(told, "now");
        return format!("time {}: it is {now}", bounds.join(" and "));
    }
    cut(condition)
}

/// The tests of an attribute.
fn tests_words(condition: &Json<'_>) -> String {
    let members = condition.as_object().unwrap_or_default().iter();
    let tests = members.filter(|(name, _)| !matches!(name.as_ref(), "attr" | "absent"));
    let tests: Vec<_> = tests.map(|(name, operand)| format!("{name} {}", cut(operand))).collect();
    tests.join(" and ")
}

fn bucket_words(bucket: &Json<'_>) -> String {
    let (by, of) = (text(bucket, "by"), number(bucket, "of").unwrap_or(1));
    let place = match number(bucket, "bucket") {
        Some(place) => format!("bucket {place} of {of} by {by}"),
        None => format!("a bucket by {by}"),
    };
    if let Some(share) = number(bucket, "share") {
        let next = bucket.member("next").map(|next| {
            format!(
                ", then {} from {}",
                percent(number(next, "share").unwrap_or_default(), of),
                text(next, "at")
            )
        });
        return format!("{place}: {} are in now{}", percent(share, of), next.unwrap_or_default());
    }
    let range = |range: &Json<'_>| {
        let ends = range.as_array().unwrap_or_default();
        let end = |at: usize| ends.get(at).map(ToString::to_string).unwrap_or_default();
        let variation = ends.get(2).and_then(Json::as_str).map(|v| format!(" {v}")).unwrap_or_default();
        format!("{}..{}{variation}", end(0), end(1))
    };
    match bucket.member("range") {
        Some(hit) => format!("{place}: in {}", range(hit)),
        None => {
            let all: Vec<_> = list(bucket, "ranges").iter().map(range).collect();
            format!(
                "{place}: in none of {}",
                if all.is_empty() { "no ranges".to_owned() } else { all.join(", ") }
            )
        }
    }
}
