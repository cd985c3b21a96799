//! The worked example, whose expected values were made by another implementation.

use std::path::Path;
use std::sync::Arc;

use flagstone_eval::{List, Snapshot, batch};

use super::NOW;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../testdata/example").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The answers to `cases`, and how many of them are what `expected` says.
fn matching(lines: &str, cases: &str, expected: &str) -> (usize, usize, Vec<String>) {
    let (snapshot, _) = Snapshot::compile(lines.lines().map(str::as_bytes));
    let answers: Vec<_> = cases.lines().map(|case| batch::answer(&snapshot, case.as_bytes(), NOW)).collect();
    let expected: Vec<_> = expected.lines().collect();
    assert_eq!(answers.len(), expected.len(), "as many answers as cases");
    let wrong =
        answers.iter().zip(&expected).enumerate().filter(|(_, (answer, expected))| answer != *expected);
    let wrong: Vec<_> =
        wrong.map(|(n, (answer, expected))| format!("case {n}: {answer} for {expected}")).collect();
    (answers.len(), answers.len() - wrong.len(), wrong)
}

#[test]
fn every_case_of_the_stream_has_its_expected_answer() {
    let (cases, right, wrong) =
        matching(&read("snapshot.jsonl"), &read("cases.jsonl"), &read("expected.jsonl"));
    assert_eq!((cases, right), (39, 39), "{wrong:#?}");
}

#[test]
fn every_case_of_the_model_has_its_expected_answer() {
    let (lines, cases, expected) =
        (read("model-lines.jsonl"), read("model-cases.jsonl"), read("model-expected.jsonl"));
    let (snapshot, report) = Snapshot::compile(lines.lines().map(str::as_bytes));
    // `geo_within` is of a later level, on purpose (FORMAT M-12.7).
    assert_eq!(report.problems.len(), 1, "{report:?}");
    // The keys of the object in `k/`, as its README has them.
    let list = Arc::new(List::parse(b"u-1\nu-10\nu-22\nu-3\n".as_slice()).unwrap());
    let wanted = snapshot.wanted_lists();
    assert_eq!(
        wanted.iter().map(|wanted| (&*wanted.key, wanted.size, wanted.raw_size)).collect::<Vec<_>>(),
        [("vip-keys", 27, 18)]
    );
    let snapshot = snapshot.with_list(wanted[0].sha256, &list);
    let mut ran = 0;
    for (case, expected) in cases.lines().zip(expected.lines()) {
        assert_eq!(batch::answer(&snapshot, case.as_bytes(), NOW), expected, "{case}");
        ran += 1;
    }
    assert_eq!((ran, cases.lines().count(), expected.lines().count()), (27, 27, 27));
    assert_eq!((snapshot.all_failed_checks(), snapshot.check_count()), (vec![], 1));
}

#[test]
fn a_changed_expected_value_is_noticed() {
    let (lines, cases, expected) = (read("snapshot.jsonl"), read("cases.jsonl"), read("expected.jsonl"));
    for (at, _) in expected.match_indices("\"variation\":\"on\"") {
        let mut changed = expected.clone();
        changed.replace_range(at..at + 16, "\"variation\":\"of\"");
        let (cases, right, _) = matching(&lines, &cases, &changed);
        assert_eq!(right, cases - 1);
    }
}

#[test]
fn a_changed_line_is_noticed() {
    let (lines, cases, expected) = (read("snapshot.jsonl"), read("cases.jsonl"), read("expected.jsonl"));
    for (from, to) in [
        ("@example.com", "@example.org"),
        ("[0,25000,\"on\"]", "[0,17700,\"on\"]"),
        ("\"salt\":\"new-checkout\"", "\"salt\":\"new-checkous\""),
        ("\"fallthrough\":\"on\"", "\"fallthrough\":\"off\""),
        ("\"on\":true,\"values\":{\"off\":false", "\"on\":false,\"values\":{\"off\":false"),
        ("beta-testers\"]", "beta-tester\"]"),
    ] {
        let changed = lines.replace(from, to);
        assert_ne!(changed, lines, "{from}");
        let (cases, right, _) = matching(&changed, &cases, &expected);
        assert!(right < cases, "{from} -> {to}");
    }
}

#[test]
fn an_unreadable_case_answers_its_code_and_the_run_goes_on() {
    let (snapshot, _) = Snapshot::compile([]);
    for (case, code) in [
        ("", "invalid-json"),
        ("[1]", "invalid-json"),
        (r#"{"flag":1,"context":{}}"#, "invalid-case"),
        (r#"{"flag":"a"}"#, "invalid-case"),
        (r#"{"flag":"a","context":{},"type":"Bool"}"#, "invalid-type"),
        (r#"{"flag":"a","context":{},"at":"yesterday"}"#, "invalid-at"),
        (r#"{"flag":"a","context":{},"at":1.5}"#, "invalid-at"),
    ] {
        assert_eq!(
            batch::answer(&snapshot, case.as_bytes(), NOW),
            format!(r#"{{"error":"{code}"}}"#),
            "{case}"
        );
    }
}

#[test]
fn a_number_beyond_every_double_is_of_the_wrong_type_and_a_lone_surrogate_makes_the_case_unreadable() {
    let small = super::flag_if("small", r#"{"attr":"a","lt":1e300,"absent":true}"#);
    let there = super::flag_if("there", r#"{"attr":"a","exists":true}"#);
    let snapshot = super::compile(&[&small, &there]);
    for number in ["1e999", "-1e999", "9007199254740992"] {
        for flag in ["small", "there"] {
            let case = format!(r#"{{"flag":"{flag}","context":{{"a":{number}}}}}"#);
            let answer = batch::answer(&snapshot, case.as_bytes(), NOW);
            assert_eq!(
                answer, r#"{"value":true,"variation":"on","reason":"TARGETING_MATCH","rule":"r"}"#,
                "{case}"
            );
        }
    }
    for case in [
        r#"{"flag":"small","context":{"a":"\ud800"}}"#,
        r#"{"flag":"small","context":{"a":1e999},"default":1e999}"#,
        r#"{"flag":"small","context":{"a":1e999}"#,
    ] {
        assert_eq!(batch::answer(&snapshot, case.as_bytes(), NOW), r#"{"error":"invalid-json"}"#, "{case}");
    }
}
