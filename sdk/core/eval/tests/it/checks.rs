//! Checks: expected evaluations that are run beside the flags (FORMAT M-1.8, M-10.2).

use std::sync::Arc;

use flagstone_eval::{FailedCheck, Outcome, Snapshot};
use flagstone_model::details::Reason;
use flagstone_model::line::DropLine;

use super::{answer, compile, flag_if};

fn check(key: &str, flag: &str, rest: &str) -> String {
    format!(r#"{{"check":"{key}","flag":"{flag}","at":"2026-12-02T12:00:00Z",{rest}}}"#)
}

fn failed(snapshot: &Snapshot, flags: &[&str]) -> Vec<String> {
    let flags: Vec<Arc<str>> = flags.iter().map(|flag| (*flag).into()).collect();
    snapshot.failed_checks(&flags).iter().map(|failed| failed.check.to_string()).collect()
}

const SERVED: &str =
    r#""context":{"a":"x"},"expect":{"variation":"on","reason":"TARGETING_MATCH","rule":"r"}"#;
const PASSED: &str = r#""expect":{"variation":"off","reason":"DEFAULT"}"#;

#[test]
fn a_check_fails_where_variation_reason_or_rule_is_another() {
    let flag = flag_if("f", r#"{"attr":"a","in":["x"]}"#);
    for (expect, fails) in [
        (SERVED, false),
        (PASSED, false),
        (r#""context":{},"expect":{"variation":"off","reason":"DEFAULT"}"#, false),
        (r#""context":{"a":"x"},"expect":{"variation":"off","reason":"TARGETING_MATCH","rule":"r"}"#, true),
        (r#""context":{"a":"x"},"expect":{"variation":"on","reason":"SPLIT","rule":"r"}"#, true),
        (r#""context":{"a":"x"},"expect":{"variation":"on","reason":"TARGETING_MATCH","rule":"q"}"#, true),
        // Members that are absent are absent in the result.
        (r#""context":{"a":"x"},"expect":{"variation":"on","reason":"TARGETING_MATCH"}"#, true),
        (r#""context":{"a":"x"},"expect":{"reason":"TARGETING_MATCH","rule":"r"}"#, true),
        (r#""expect":{"variation":"off","reason":"DEFAULT","rule":"r"}"#, true),
    ] {
        let snapshot = compile(&[&flag, &check("f/1", "f", expect)]);
        assert_eq!(snapshot.check_count(), 1, "{expect}");
        assert_eq!(failed(&snapshot, &["f"]), if fails { vec!["f/1"] } else { vec![] }, "{expect}");
    }
}

#[test]
fn a_failure_says_what_was_expected_and_what_came() {
    let flag = flag_if("f", r#"{"attr":"a","in":["x"]}"#);
    let snapshot = compile(&[
        &flag,
        &check("f/7", "f", r#""context":{"a":"x"},"expect":{"variation":"off","reason":"DEFAULT"}"#),
    ]);
    let expected = Outcome { variation: Some("off".into()), reason: Reason::Default, rule: None };
    let actual =
        Outcome { variation: Some("on".into()), reason: Reason::TargetingMatch, rule: Some("r".into()) };
    assert_eq!(
        snapshot.all_failed_checks(),
        [FailedCheck { check: "f/7".into(), flag: "f".into(), expected, actual }]
    );
    assert_eq!(FailedCheck::CODE, "check-failed");
}

#[test]
fn a_check_runs_at_its_own_time_and_of_a_flag_that_is_not_there() {
    let flag = flag_if("f", r#"{"time":{"since":"2026-12-02T12:00:00Z"}}"#);
    let on = r#""expect":{"variation":"on","reason":"TARGETING_MATCH","rule":"r"}"#;
    let early = format!(r#"{{"check":"f/2","flag":"f","at":"2026-12-02T11:59:59.999Z",{on}}}"#);
    let snapshot = compile(&[&flag, &check("f/1", "f", on), &early]);
    assert_eq!(failed(&snapshot, &["f"]), ["f/2"]);
    let snapshot = compile(&[
        &check("gone/1", "gone", r#""expect":{"reason":"ERROR"}"#),
        &check("gone/2", "gone", PASSED),
    ]);
    assert_eq!(failed(&snapshot, &["gone"]), ["gone/2"]);
}

#[test]
fn a_check_with_a_member_or_value_that_is_not_known_is_skipped_and_told() {
    let flag = flag_if("f", r#"{"attr":"a","in":["x"]}"#);
    let wrong = r#""expect":{"variation":"on","reason":"SPLIT"}"#;
    for bad in [
        check("f/1", "f", &format!(r#"{wrong},"unless":1"#)),
        check("f/1", "f", r#""expect":{"variation":"on","reason":"SPLIT","exp":"e"}"#),
        check("f/1", "f", r#""expect":{"variation":"on","reason":"CACHED"}"#),
        check("f/1", "f", r#""expect":{"variation":"on"}"#),
        check("f/1", "f", r#""expect":{"variation":1,"reason":"SPLIT"}"#),
        check("f/1", "f", r#""expect":[]"#),
        check("f/1", "f", r#""context":{}"#),
        check("f/1", "f", &format!(r#""context":[],{wrong}"#)),
        check("f/1", "g", wrong),
        check("f/1", "f", wrong).replace("2026-12-02T12:00:00Z", "today"),
        check("f/1", "f", wrong).replace(r#""at":"2026-12-02T12:00:00Z","#, ""),
        check("f/1", "f", wrong).replace(r#""flag":"f","#, ""),
        r#"{"check":"f/1","flag":"f","#.to_owned(),
    ] {
        let (snapshot, report) = Snapshot::compile([flag.as_bytes(), bad.as_bytes()]);
        assert_eq!((snapshot.check_count(), failed(&snapshot, &["f"]).len()), (0, 0), "{bad}");
        assert_eq!(
            report.problems.iter().map(|problem| &*problem.kind).collect::<Vec<_>>(),
            ["check"],
            "{bad}"
        );
        // It takes the place of one that could be read.
        let before = compile(&[&flag, &check("f/1", "f", wrong)]);
        let after = before.update([bad.as_bytes()], []).snapshot;
        assert_eq!((before.check_count(), after.check_count()), (1, 0), "{bad}");
    }
}

#[test]
fn checks_are_run_of_the_flags_that_are_named_in_the_order_of_their_keys() {
    let flags = [flag_if("f", r#"{"time":{}}"#), flag_if("g", r#"{"time":{}}"#)];
    let lines: Vec<_> = [("f/2", "f"), ("g/1", "g"), ("f/10", "f"), ("f/1", "f")]
        .iter()
        .map(|(key, flag)| check(key, flag, PASSED))
        .collect();
    let all: Vec<&str> = flags.iter().chain(&lines).map(String::as_str).collect();
    let snapshot = compile(&all);
    assert_eq!(failed(&snapshot, &["g", "f", "h"]), ["g/1", "f/1", "f/10", "f/2"]);
    assert_eq!(failed(&snapshot, &["g"]), ["g/1"]);
    assert!(failed(&snapshot, &[]).is_empty());
    let all: Vec<_> = snapshot.all_failed_checks().iter().map(|failed| failed.check.to_string()).collect();
    assert_eq!(all, ["f/1", "f/10", "f/2", "g/1"]);
    assert_eq!(snapshot.check_count(), 4);
    // Put anew, taken out, and taken out once more.
    let drops = || {
        [
            DropLine::parse(br#"{"drop":"check","key":"f/2"}"#).unwrap(),
            DropLine::parse(br#"{"drop":"check","key":"g/1"}"#).unwrap(),
        ]
    };
    let served = check("f/1", "f", r#""expect":{"variation":"on","reason":"TARGETING_MATCH","rule":"r"}"#);
    let update = snapshot.update([served.as_bytes()], drops());
    assert_eq!(failed(&update.snapshot, &["f", "g"]), ["f/10"]);
    assert_eq!(update.snapshot.check_count(), 2);
    assert!(update.changed.is_empty(), "no answer changed");
    let again = update.snapshot.update([], drops()).snapshot;
    assert_eq!(again.check_count(), 2);
    assert_eq!(snapshot.check_count(), 4, "the older snapshot is what it was");
}

#[test]
fn flags_whose_checks_fail_are_held_back_alone() {
    let old = [flag_if("f", r#"{"segment":["s"]}"#), flag_if("g", r#"{"attr":"a","in":["old"]}"#)];
    let new = [
        flag_if("f", r#"{"flag":"g","is":["on"]}"#),
        flag_if("g", r#"{"attr":"a","in":["new"]}"#),
        flag_if("h", r#"{"time":{}}"#),
    ];
    let before = compile(&[&old[0], &old[1], r#"{"segment":"s","if":[{"attr":"a","in":["old"]}]}"#]);
    let segment = r#"{"segment":"s","if":[{"attr":"a","in":["newer"]}]}"#;
    let after = before
        .update([new[0].as_bytes(), new[1].as_bytes(), new[2].as_bytes(), segment.as_bytes()], [])
        .snapshot;
    let on = |snapshot: &Snapshot, flag: &str, value: &str| {
        answer(snapshot, flag, &format!(r#"{{"a":"{value}"}}"#)).contains("MATCH")
    };
    assert!(on(&after, "f", "new"));
    let key = |key: &str| Arc::<str>::from(key);
    let held = after.holding_back(&before, &[key("f"), key("h"), key("nobody")]);
    // It refers to the segment as it is now.
    assert!(on(&held, "f", "newer") && !on(&held, "f", "new") && !on(&held, "f", "old"));
    assert!(
        on(&held, "g", "new") && on(&held, "h", ""),
        "the others, and what there was not before, are new"
    );
    // Its references are the old ones again, so a change of the segment reaches it and one of `g` does not.
    let changed = |line: &str| {
        held.update([line.as_bytes()], []).changed.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(changed(segment), ["f"]);
    assert_eq!(changed(&new[1]), ["g"]);
    let held = after.holding_back(&before, &[key("g")]);
    assert!(on(&held, "f", "old") && on(&held, "g", "old"));
    assert_eq!(held.update([new[1].as_bytes()], []).changed.len(), 2);
}

#[test]
fn a_flag_without_references_that_is_held_back_closes_no_cycle() {
    let before = compile(&[&flag_if("a", r#"{"time":{}}"#), &flag_if("b", r#"{"flag":"a","is":["on"]}"#)]);
    let after = before.update([flag_if("a", r#"{"flag":"b","is":["on"]}"#).as_bytes()], []).snapshot;
    assert!(answer(&after, "b", "{}").contains("UNKNOWN"));
    let held = after.holding_back(&before, &[Arc::from("a")]);
    assert!(answer(&held, "b", "{}").contains("TARGETING_MATCH"));
}

#[test]
fn a_flag_that_was_taken_out_is_not_held_back() {
    let before = compile(&[&flag_if("a", r#"{"time":{}}"#)]);
    let drop = DropLine::parse(br#"{"drop":"flag","key":"a"}"#).unwrap();
    let held = before.update([], [drop]).snapshot.holding_back(&before, &[Arc::from("a")]);
    assert!(answer(&held, "a", "{}").contains("FLAG_NOT_FOUND"));
}

/// To put each in its place among those before would take minutes.
#[test]
fn a_hundred_thousand_checks_of_one_flag_are_put_together_once() {
    let flag = flag_if("f", r#"{"time":{}}"#);
    let checks: Vec<_> =
        (0..100_000).map(|n| check(&format!("f/{n}"), "f", r#""expect":{"reason":"STATIC"}"#)).collect();
    let lines = || checks.iter().map(String::as_bytes);
    let (snapshot, report) = Snapshot::compile(lines().chain([flag.as_bytes()]));
    assert!(report.is_clean());
    assert_eq!(snapshot.check_count(), 100_000);
    assert_eq!(snapshot.update(lines(), []).snapshot.check_count(), 100_000);
}

#[test]
fn the_level_of_an_environment_is_what_its_line_says() {
    let level = |line: &str| compile(&[line]).level();
    assert_eq!(level(r#"{"environment":"e","project":"p","view":"v"}"#), 1);
    assert_eq!(level(r#"{"environment":"e","project":"p","view":"v","level":1}"#), 1);
    assert_eq!(level(r#"{"environment":"e","project":"p","view":"v","level":2,"later":1}"#), 2);
    assert_eq!(Snapshot::empty().level(), flagstone_eval::LEVEL);
    for unreadable in ["0", "-1", "1.5", "\"2\"", "null"] {
        let line = format!(r#"{{"environment":"e","level":{unreadable}}}"#);
        let (snapshot, report) = Snapshot::compile([line.as_bytes()]);
        assert_eq!((snapshot.level(), &*report.problems[0].pointer), (1, "/level"), "{unreadable}");
    }
    let two = compile(&[r#"{"environment":"e","level":2}"#]);
    let drop = DropLine::parse(br#"{"drop":"environment","key":"e"}"#).unwrap();
    assert_eq!(two.update([], [drop]).snapshot.level(), 1);
    assert_eq!(two.update([br#"{"environment":"e","level":3}"#.as_slice()], []).snapshot.level(), 3);
}
