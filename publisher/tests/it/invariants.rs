//! What a publisher holds of everything it publishes (FORMAT M-11), each invariant by name.

use std::collections::{BTreeMap, HashMap};

use flagstone_eval::Snapshot;
use flagstone_model::json::Json;
use flagstone_model::key::{FlagKey, SegmentKey, VariationKey};
use flagstone_model::limits;
use flagstone_publisher::author::{AttributeTest, Condition, FlagTest, Targeting, Test, Then};
use flagstone_publisher::lower::salt::seed;
use flagstone_publisher::state::change::{self, Confirmation, Terms};
use proptest::prelude::*;

use crate::project::{Project, flag, json, told};
use crate::round_trip::any_targeting;

const DANGLING: &str = "dangling-reference";
const INVALID: &str = "invalid-request";
const COLLISION: &str = "salt-collision";

/// A flag `x` of variations `a` to `e`, and what generated targetings refer to.
pub(crate) fn project() -> Project {
    let mut project = Project::new();
    project.create(r#"{"key":"x","type":"int","variations":{"a":1,"b":2,"c":3,"d":4,"e":5}}"#);
    project.create(r#"{"key":"other","type":"bool"}"#);
    project.segment("seg", r#"{"include":["u-1"],"rules":[{"if":[{"flag":"other","is":["on"]}]}]}"#);
    project
}

fn ground_test(test: &mut FlagTest) {
    test.flag = FlagKey::parse("other").unwrap();
    test.is = vec![VariationKey::parse("on").unwrap()];
}

/// Lets a generated condition refer only to what exists.
fn ground(condition: &mut Condition) {
    match condition {
        Condition::All(inner) | Condition::Any(inner) | Condition::None(inner) => {
            inner.iter_mut().for_each(ground);
        }
        Condition::Not(inner) => ground(inner),
        Condition::Flag(test) => ground_test(test),
        Condition::Segment(keys) | Condition::NoSegment(keys) => {
            *keys = vec![SegmentKey::parse("seg").unwrap()];
        }
        Condition::Attribute(test) => without_lists(test),
        Condition::Bucket { .. } | Condition::Time(_) => {}
    }
}

/// Leaves out the tests that need a list.
fn without_lists(attribute: &mut AttributeTest) {
    attribute.tests.retain(|test| !matches!(test, Test::Listed(_)));
    attribute.not.retain(|test| !matches!(test, Test::Listed(_)));
    if attribute.tests.is_empty() && attribute.not.is_empty() {
        attribute.tests.push(Test::In(Vec::new()));
    }
}

pub(crate) fn grounded() -> impl Strategy<Value = Targeting> {
    any_targeting().prop_map(|mut targeting| {
        targeting.prerequisites.iter_mut().for_each(ground_test);
        targeting.checks.clear();
        targeting.rules.iter_mut().flat_map(|rule| &mut rule.when).for_each(ground);
        targeting
    })
}

/// Puts a targeting; `None` if generated salts happen to collide.
pub(crate) fn put(project: &mut Project, targeting: &Targeting) -> Option<()> {
    let confirmed = Terms { confirmation: Confirmation::Given, ..Terms::default() };
    match project.try_put_with("x", &targeting.to_json().to_string(), confirmed) {
        Ok(edits) => project.record(edits),
        Err(refusal) if refusal.code() == COLLISION => return None,
        Err(refusal) => panic!("{refusal:?}"),
    }
    Some(())
}

pub(crate) fn compiled(project: &Project) -> Snapshot {
    let lines = project.lines();
    let (snapshot, report) = Snapshot::compile(lines.iter().map(String::as_bytes));
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(snapshot.broken_references(), []);
    snapshot
}

/// Every object below `json`.
fn objects<'j, 'a>(json: &'j Json<'a>, found: &mut Vec<&'j Json<'a>>) {
    match json {
        Json::Array(elements) => elements.iter().for_each(|element| objects(element, found)),
        Json::Object(members) => {
            found.push(json);
            for (_, value) in members {
                objects(value, found);
            }
        }
        _ => {}
    }
}

fn integers(pair: &Json<'_>) -> (i64, i64) {
    let pair = pair.as_array().unwrap();
    (pair[0].as_integer().unwrap(), pair[1].as_integer().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn p1_every_line_is_canonical_and_compiles_without_unsupported(
        first in grounded(),
        second in grounded(),
    ) {
        let mut project = project();
        for targeting in [first, second] {
            if put(&mut project, &targeting).is_none() {
                return Ok(());
            }
            let lines = project.lines();
            prop_assert!(lines.is_sorted());
            for line in &lines {
                prop_assert!(line.len() <= limits::MAX_LINE_BYTES);
                prop_assert_eq!(&Json::parse(line.as_bytes()).unwrap().to_string(), line);
            }
            compiled(&project);
        }
    }

    #[test]
    fn p3_ranges_and_ramps_are_well_formed(first in grounded(), second in grounded()) {
        let mut project = project();
        for targeting in [first, second] {
            if put(&mut project, &targeting).is_none() {
                return Ok(());
            }
            let line = project.line(r#"{"flag":"x""#);
            let line = Json::parse(line.as_bytes()).unwrap();
            let mut found = Vec::new();
            objects(&line, &mut found);
            for object in found {
                let of = object.member("of").map_or(100_000, |of| of.as_integer().unwrap());
                if let Some(ranges) = object.member("split").and_then(|split| split.member("ranges")) {
                    let ranges = ranges.as_array().unwrap();
                    prop_assert!(ranges.len() <= limits::MAX_RANGES);
                    let is_recorded = object.member("exp").is_some();
                    let mut end = 0;
                    for range in ranges {
                        let (from, to) = integers(range);
                        prop_assert!(from >= end && from < to && to <= of);
                        prop_assert!(from == end || is_recorded, "only an experiment leaves gaps");
                        end = to;
                    }
                    prop_assert!(end == of || is_recorded);
                }
                if object.member("salt").is_some() && let Some(spans) = object.member("in") {
                    let mut end = 0;
                    for (from, to) in spans.as_array().unwrap().iter().map(integers) {
                        prop_assert!(end <= from && from < to && to <= of);
                        end = to;
                    }
                }
                if let Some(points) = object.member("ramp") {
                    let points: Vec<_> = points.as_array().unwrap().iter().map(|point| {
                        let point = point.as_array().unwrap();
                        (point[0].as_str().unwrap().to_owned(), point[1].as_integer().unwrap())
                    }).collect();
                    prop_assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
                    prop_assert!(points.iter().all(|point| (0..=of).contains(&point.1)));
                }
            }
        }
    }

    #[test]
    fn p6_a_weight_edit_moves_what_shrinks_and_nothing_else(
        edits in prop::collection::vec((0u64..=100_000, 0u64..=100_000), 2..8),
    ) {
        let mut project = project();
        let mut before: Option<Vec<(u64, u64, String)>> = None;
        for (low, high) in edits {
            let (low, high) = (low.min(high), low.max(high));
            let parts = [("a", low), ("b", high - low), ("c", 100_000 - high)];
            let weights: Vec<_> = parts.iter().map(|(name, part)| format!("\"{name}\":{part}")).collect();
            project.put("x", &format!(
                r#"{{"on":true,"rules":[{{"id":"r","rollout":{{"weights":{{{}}}}}}}]}}"#, weights.join(",")
            ));
            let ranges = ranges(&project);
            if let Some(before) = &before {
                let held: HashMap<&str, u64> = parts.into_iter().collect();
                let (mut moved, mut shrunk) = (BTreeMap::new(), BTreeMap::new());
                let mut bounds: Vec<u64> = before.iter().chain(&ranges).flat_map(|range| [range.0, range.1]).collect();
                bounds.sort_unstable();
                bounds.dedup();
                for span in bounds.windows(2) {
                    let (old, new) = (serves(before, span[0]), serves(&ranges, span[0]));
                    *shrunk.entry(old).or_insert(0) += span[1] - span[0];
                    if old != new {
                        *moved.entry(old).or_insert(0) += span[1] - span[0];
                    }
                }
                for (variation, had) in &mut shrunk {
                    *had -= held[variation].min(*had);
                }
                shrunk.retain(|_, lost| *lost > 0);
                prop_assert_eq!(moved, shrunk);
            }
            before = Some(ranges);
        }
    }
}

fn ranges(project: &Project) -> Vec<(u64, u64, String)> {
    let line = project.line(r#"{"flag":"x""#);
    let line = Json::parse(line.as_bytes()).unwrap();
    let split = line.member("rules").unwrap().as_array().unwrap()[0].member("split").unwrap();
    let ranges = split.member("ranges").unwrap().as_array().unwrap();
    ranges
        .iter()
        .map(|range| {
            let (start, end) = integers(range);
            let variation = range.as_array().unwrap()[2].as_str().unwrap().to_owned();
            (start.cast_unsigned(), end.cast_unsigned(), variation)
        })
        .collect()
}

fn serves(ranges: &[(u64, u64, String)], bucket: u64) -> &str {
    &ranges.iter().find(|range| range.0 <= bucket && bucket < range.1).unwrap().2
}

#[test]
fn p6_another_salt_is_the_explicit_reshuffle() {
    let mut project = project();
    let rollout = |weights: &str, more: &str| {
        format!(r#"{{"on":true,"rules":[{{"id":"r","rollout":{{"weights":{weights}{more}}}}}]}}"#)
    };
    project.put("x", &rollout(r#"{"a":50000,"b":50000}"#, ""));
    project.put("x", &rollout(r#"{"a":20000,"b":80000}"#, ""));
    project.put("x", &rollout(r#"{"a":50000,"b":50000}"#, ""));
    let line = project.line(r#"{"flag":"x""#);
    assert!(
        line.contains(r#"{"salt":"x.r","ranges":[[0,20000,"a"],[20000,70000,"b"],[70000,100000,"a"]]}"#),
        "{line}"
    );
    project.put("x", &rollout(r#"{"a":50000,"b":50000}"#, r#","salt":"x.r.again""#));
    let line = project.line(r#"{"flag":"x""#);
    assert!(line.contains(r#"{"salt":"x.r.again","ranges":[[0,50000,"a"],[50000,100000,"b"]]}"#), "{line}");
}

#[test]
fn p1_a_line_over_its_limit_is_refused() {
    let value = "v".repeat(limits::MAX_LINE_BYTES);
    let project = Project::new();
    let body = format!(r#"{{"key":"x","type":"string","variations":{{"a":"{value}"}}}}"#);
    assert_eq!(told(change::create_flag(&project.state, &json(&body))), [(INVALID, String::new())]);
    // Exactly at the limit: what is around the value is as long as it is for an empty one, and so much is kept free for
    // the edit number, which has one digit of sixteen.
    let spare = 15;
    let mut project = Project::new();
    project.create(r#"{"key":"x","type":"string","variations":{"a":""}}"#);
    let around = project.line(r#"{"flag""#).len();
    let sized = |size: usize| {
        let value = "v".repeat(size - around);
        change::create_flag(
            &Project::new().state,
            &json(&format!(r#"{{"key":"x","type":"string","variations":{{"a":"{value}"}}}}"#)),
        )
    };
    assert!(sized(limits::MAX_LINE_BYTES - spare).is_ok());
    assert!(sized(limits::MAX_LINE_BYTES - spare + 1).is_err());
    // A flag without targeting fits, and with it does not.
    project.create(&format!(
        r#"{{"key":"y","type":"string","variations":{{"a":"{}"}}}}"#,
        "v".repeat(limits::MAX_LINE_BYTES - 200)
    ));
    let keys = (0..100).map(|key| format!(r#""u-{key}""#)).collect::<Vec<_>>().join(",");
    assert_eq!(
        told(project.try_put("y", &format!(r#"{{"on":true,"targets":{{"a":[{keys}]}}}}"#))),
        [(INVALID, String::new())]
    );
}

#[test]
fn p1_a_segment_over_its_limit_is_refused() {
    let mut project = Project::new();
    let keys = |prefix: &str, count: usize| {
        let name = |number| format!("\"{prefix}-{number:0>1020}\"");
        (0..count).map(name).collect::<Vec<_>>().join(",")
    };
    let body = |excluded: usize| {
        let (include, exclude) = (keys("a", 1_000), keys("b", excluded));
        format!(r#"{{"include":[{include}],"exclude":[{exclude}],"rules":[{{"if":[]}}]}}"#)
    };
    let long = (1..100).find(|&count| project.try_segment("s", &body(count)).is_err()).unwrap();
    assert_eq!(told(project.try_segment("s", &body(long))), [(INVALID, String::new())]);
    project.segment("s", &body(long - 1));
    let line = project.line(r#"{"segment""#).len();
    assert!(
        line <= limits::MAX_SEGMENT_LINE_BYTES && line + 1_100 > limits::MAX_SEGMENT_LINE_BYTES,
        "{line}"
    );
}

// Salts

/// Two flag keys whose seeds are equal, found by hashing names until two agree.
fn colliding_keys() -> (String, String) {
    let mut seen = HashMap::new();
    for number in 0u32.. {
        let key = format!("flag-{number}");
        if let Some(earlier) = seen.insert(seed(&key), key.clone()) {
            return (earlier, key);
        }
    }
    unreachable!("there are more names than seeds")
}

#[test]
fn p4_no_two_salts_of_an_environment_share_a_seed() {
    let (first, second) = colliding_keys();
    assert_eq!(seed(&first), seed(&second));
    let mut project = Project::new();
    let rollout = r#"{"on":true,"fallthrough":{"rollout":{"weights":{"on":100000}}}}"#;
    for key in [&first, &second] {
        project.create(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
        project.put(key, rollout);
    }
    assert!(project.line(&format!(r#"{{"flag":"{first}""#)).contains(&format!(r#""salt":"{first}","#)));
    assert!(project.line(&format!(r#"{{"flag":"{second}""#)).contains(&format!(r#""salt":"{second}.2","#)));
    // It is kept when the flag is edited, also once the other is gone.
    let edits = change::archive_flag(&project.state, &flag(&first), Terms::default()).unwrap();
    project.record(edits);
    project.put(&second, rollout);
    assert!(project.line(&format!(r#"{{"flag":"{second}""#)).contains(&format!(r#""salt":"{second}.2","#)));
}

#[test]
fn p4_an_authors_salt_that_collides_is_refused_at_its_place() {
    let (first, second) = colliding_keys();
    let mut project = project();
    project.put(
        "x",
        &format!(
            r#"{{"on":true,"rules":[{{"id":"r","rollout":{{"salt":"{first}","weights":{{"a":100000}}}}}}]}}"#
        ),
    );
    project.create(r#"{"key":"y","type":"bool"}"#);
    for (targeting, at) in [
        (
            format!(
                r#"{{"on":true,"fallthrough":{{"rollout":{{"salt":"{second}","weights":{{"on":100000}}}}}}}}"#
            ),
            "/fallthrough/rollout/salt",
        ),
        (
            format!(
                r#"{{"on":true,"rules":[{{"id":"r","if":[{{"bucket":{{"salt":"{second}","in":[]}}}}],"serve":"on"}}]}}"#
            ),
            "/rules/0/if/0/bucket/salt",
        ),
        (
            format!(
                r#"{{"on":true,"rules":[{{"id":"r","ramp":{{"serve":"on","salt":"{second}","steps":[["2026-12-01T09:00:00Z",1]]}}}}]}}"#
            ),
            "/rules/0/ramp/salt",
        ),
    ] {
        assert_eq!(told(project.try_put("y", &targeting)), [(COLLISION, at.to_owned())]);
        assert!(
            project.try_put("y", &targeting.replace(&second, &first)).is_ok(),
            "an equal salt is on purpose"
        );
    }
    let of_segment = format!(r#"{{"rules":[{{"if":[{{"bucket":{{"salt":"{second}","in":[]}}}}]}}]}}"#);
    assert_eq!(
        told(project.try_segment("t", &of_segment)),
        [(COLLISION, "/rules/0/if/0/bucket/salt".into())]
    );
    // Within one targeting, too.
    let both = format!(
        r#"{{"on":true,"rules":[{{"id":"r","if":[{{"bucket":{{"salt":"q-{first}","in":[]}}}},{{"bucket":{{"salt":"{first}","in":[]}}}},{{"bucket":{{"salt":"{second}","in":[]}}}}],"serve":"on"}}]}}"#
    );
    assert!(told(project.try_put("y", &both)).contains(&(COLLISION, "/rules/0/if/2/bucket/salt".into())));
}

#[test]
fn p4_default_salts_of_two_flags_are_never_equal() {
    let mut project = Project::new();
    project.create(r#"{"key":"a","type":"bool"}"#);
    project.create(r#"{"key":"a.b","type":"bool"}"#);
    let rule = r#"{"on":true,"rules":[{"id":"b","rollout":{"weights":{"on":100000}}}]}"#;
    project.put("a", rule);
    project.put("a.b", r#"{"on":true,"fallthrough":{"rollout":{"weights":{"on":100000}}}}"#);
    assert!(project.line(r#"{"flag":"a""#).contains(r#""salt":"a.b","#));
    assert!(project.line(r#"{"flag":"a.b""#).contains(r#""salt":"a.b.2","#));
}

// Variations

#[test]
fn p10_every_variation_named_exists() {
    let project = project();
    for (targeting, at) in [
        (r#"{"on":true,"off":"z"}"#, "/off"),
        (r#"{"on":true,"deny":{"z":[1]}}"#, "/deny/z"),
        (r#"{"on":true,"targets":{"a":[1],"z":[2]}}"#, "/targets/z"),
        (r#"{"on":true,"rules":[{"id":"r","serve":"z"}]}"#, "/rules/0/serve"),
        (
            r#"{"on":true,"rules":[{"id":"r","rollout":{"weights":{"a":100000,"z":0}}}]}"#,
            "/rules/0/rollout/weights/z",
        ),
        (
            r#"{"on":true,"rules":[{"id":"r","ramp":{"serve":"z","steps":[["2026-12-01T09:00:00Z",1]]}}]}"#,
            "/rules/0/ramp/serve",
        ),
        (r#"{"on":true,"fallthrough":{"serve":"z"}}"#, "/fallthrough/serve"),
        (
            r#"{"on":true,"fallthrough":{"rollout":{"weights":{"z":100000}}}}"#,
            "/fallthrough/rollout/weights/z",
        ),
        (
            r#"{"on":true,"fallthrough":{"rollout":{"weights":{"a":100000}},"without_key":"z"}}"#,
            "/fallthrough/without_key",
        ),
    ] {
        assert_eq!(told(project.try_put("x", targeting)), [(INVALID, at.to_owned())], "{targeting}");
    }
}

#[test]
fn p10_a_variation_that_is_served_stays() {
    let mut project = project();
    project.put("x", r#"{"on":true,"off":"a","rules":[{"id":"r","serve":"b"}]}"#);
    let drop_b = json(r#"{"variations":{"b":null}}"#);
    let refusal = change::patch_flag(&project.state, &flag("x"), &drop_b, Terms::default()).unwrap_err();
    assert_eq!(refusal.code(), DANGLING);
    assert_eq!(refusal.problems()[0].pointer, "/variations");
    assert!(refusal.problems()[0].detail.contains("at `/rules/0/serve`"), "{refusal}");
    let drop_c = json(r#"{"variations":{"c":null}}"#);
    assert!(change::patch_flag(&project.state, &flag("x"), &drop_c, Terms::default()).is_ok());
}

#[test]
fn p10_off_is_present_unless_the_author_chose_the_callers_default() {
    let mut project = Project::new();
    project.create(r#"{"key":"x","type":"bool"}"#);
    let off = r#""off":"off""#;
    project.put("x", r#"{"on":true}"#);
    assert!(project.line(r#"{"flag":"x""#).contains(off));
    project.put("x", r#"{"on":true,"off":null}"#);
    assert!(!project.line(r#"{"flag":"x""#).contains(off));
}

#[test]
fn a_rule_that_buckets_always_has_its_split() {
    let mut project = project();
    project.put("x", r#"{"on":true,"rules":[{"id":"r","rollout":{"weights":{"a":100000}}},{"id":"s","ramp":{"serve":"b","steps":[["2026-12-01T09:00:00Z",1]]}}],"fallthrough":{"rollout":{"weights":{"a":100000}}}}"#);
    let targeting = &project.state.environment("production").unwrap().flags.get("x").unwrap().targeting;
    assert!(targeting.splits.fit(&targeting.authored));
    let buckets = targeting.authored.rules.iter().filter(|rule| !matches!(rule.then, Then::Serve(_)));
    for rule in buckets {
        assert!(targeting.splits.of_rule(rule.id.as_str()).is_some());
    }
}
