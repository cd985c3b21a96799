//! `eval --batch`: the protocol by which implementations are compared.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::support::*;

fn read(name: &str) -> String {
    std::fs::read_to_string(example(name)).unwrap()
}

fn batch(file: &str, cases: &str) -> Ran {
    run_with_input(&["eval", "--snapshot", example(file).to_str().unwrap(), "--batch"], cases.as_bytes())
}

#[test]
fn the_batch_answers_the_example_byte_for_byte_from_plain_and_packed_lines() {
    for file in ["snapshot.jsonl", "snapshot.jsonl.zst"] {
        let ran = batch(file, &read("cases.jsonl"));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{file}");
        assert_eq!(ran.out, read("expected.jsonl"), "{file}");
    }
}

#[test]
fn the_batch_answers_the_models_examples_with_the_list_that_lies_beside_them() {
    let ran = batch("model-lines.jsonl", &read("model-cases.jsonl"));
    assert_eq!((ran.code, ran.out.as_str()), (0, read("model-expected.jsonl").as_str()));
    // What a later level has is remarked, and nothing else is.
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert!(ran.err.contains("flag `geo`: /rules/0/if/1: unsupported condition"), "{}", ran.err);
}

#[test]
fn a_list_that_is_missing_or_damaged_is_undecidable_and_remarked() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lines.jsonl");
    std::fs::copy(example("model-lines.jsonl"), &file).unwrap();
    let object =
        example("k").join("1cc5b1ce2b16f0774d4a80c83d330e909fa8da20f2600c123177834b3ec671c6.txt.zst");
    let stored = std::fs::read(&object).unwrap();
    let copy = directory.path().join("k").join(object.file_name().unwrap());
    std::fs::create_dir(directory.path().join("k")).unwrap();
    let answer = || {
        let case = r#"{"flag":"lounge","context":{"targetingKey":"u-900001"}}"#;
        let ran = run_with_input(&["eval", "--snapshot", file.to_str().unwrap(), "--batch"], case.as_bytes());
        assert_eq!(ran.code, 0);
        (ran.out, ran.err.lines().filter(|line| line.contains("list `vip-keys` is undecidable")).count())
    };
    let undecidable = "{\"value\":false,\"variation\":\"off\",\"reason\":\"UNKNOWN\",\"rule\":\"vip\"}\n";
    assert_eq!(answer(), (undecidable.to_owned(), 1), "missing");
    let mut flipped = stored.clone();
    flipped[20] ^= 1;
    for damaged in [&flipped[..], &stored[..26], b""] {
        std::fs::write(&copy, damaged).unwrap();
        assert_eq!(answer(), (undecidable.to_owned(), 1));
    }
    std::fs::write(&copy, &stored).unwrap();
    let served = "{\"value\":true,\"variation\":\"on\",\"reason\":\"TARGETING_MATCH\",\"rule\":\"vip\"}\n";
    assert_eq!(answer(), (served.to_owned(), 0));
}

#[test]
fn a_case_that_cannot_be_read_answers_its_code_and_the_run_goes_on() {
    let ran = batch("snapshot.jsonl", "nonsense\n\n{\"flag\":\"dark-mode\",\"context\":{}}");
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(lines[..2], [r#"{"error":"invalid-json"}"#; 2]);
    assert_eq!(lines[2], r#"{"value":true,"variation":"on","reason":"STATIC"}"#);
    assert_eq!((ran.code, lines.len()), (0, 3));
}

#[test]
fn lines_written_by_hand_stand_in_any_order_and_the_last_of_a_name_counts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lines.jsonl");
    let flag = |key: &str, on: bool| {
        format!(
            r#"{{"flag":"{key}","type":"bool","rev":1,"on":{on},"values":{{"a":true}},"off":"a","fallthrough":"a"}}"#
        )
    };
    // Out of order, an empty line, one without a head, a name twice, and no end of the last line.
    let lines = [flag("b", true), String::new(), flag("a", true), "{}".to_owned(), flag("b", false)];
    std::fs::write(&file, lines.join("\n")).unwrap();
    let cases = "{\"flag\":\"a\",\"context\":{}}\n{\"flag\":\"b\",\"context\":{}}\n";
    let ran = run_with_input(&["eval", "--snapshot", file.to_str().unwrap(), "--batch"], cases.as_bytes());
    let expected = ["STATIC", "DISABLED"]
        .map(|reason| format!("{{\"value\":true,\"variation\":\"a\",\"reason\":\"{reason}\"}}\n"));
    assert_eq!((ran.code, ran.out), (0, expected.concat()));
}

#[test]
fn members_of_a_case_that_are_not_known_are_ignored_and_the_last_of_duplicates_counts() {
    let case = |context: &str| format!("{{\"flag\":\"lounge\",\"zz\":1,\"context\":{context}}}\n");
    let twice = case(r#"{"targetingKey":"u-2","targetingKey":"u-900001"}"#);
    let other = case(r#"{"targetingKey":"u-900001","targetingKey":"u-2"}"#);
    let ran = batch("model-lines.jsonl", &(twice + &other));
    let served: Vec<_> = ran.out.lines().map(|line| line.contains("TARGETING_MATCH")).collect();
    assert_eq!((ran.code, served), (0, vec![true, false]));
}

#[test]
fn who_waits_for_an_answer_before_the_next_case_gets_it() {
    let mut command = flagstone();
    let command = command.args(["eval", "--batch", "--snapshot"]).arg(example("snapshot.jsonl"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut cases = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..3 {
        cases.write_all(b"{\"flag\":\"dark-mode\",\"context\":{}}\n").unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "{\"value\":true,\"variation\":\"on\",\"reason\":\"STATIC\"}\n");
    }
    drop(cases);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_damaged_or_missing_file_is_told_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("snapshot.jsonl.zst");
    let mut bytes = std::fs::read(example("snapshot.jsonl.zst")).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    bytes.truncate(last + 1);
    std::fs::write(&file, bytes).unwrap();
    for (file, code) in [(file, "malformed"), (directory.path().join("none"), "unreadable")] {
        let ran = run(&["--json", "eval", "--batch", "--snapshot", file.to_str().unwrap()]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert_eq!(text(&ran.error(), &["code"]), code);
        assert_eq!(ran.err.lines().count(), 1);
    }
}

#[test]
fn one_flag_is_evaluated_from_a_file_and_a_typing_error_is_recognised() {
    let file = example("snapshot.jsonl.zst");
    let file = file.to_str().unwrap();
    let ran = run(&["eval", "new-checkout", "--snapshot", file, "--context", r#"{"email":"a@example.com"}"#]);
    assert_eq!(ran.out, "new-checkout = true  (TARGETING_MATCH, variation on, rule beta)\n");
    let ran = run(&["eval", "new-chekout", "--snapshot", file]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("no flag `new-chekout`; did you mean `new-checkout`?"), "{}", ran.err);
}
