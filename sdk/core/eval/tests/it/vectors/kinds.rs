//! One function for each kind of vector. Each takes one case; an error is what came instead.

use std::fs;
use std::sync::Arc;

use flagstone_eval::{List, Snapshot, batch};
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::line::Head;
use flagstone_model::value::FlagType;

use super::{Ran, Set, array, only, text};
use crate::NOW;

/// A flag whose variation says what a condition is: `not` of *unknown* is *unknown*, and nothing decides; what is not
/// supported serves the off variation.
fn truth_of(condition: &Json<'_>) -> String {
    format!(
        r#"{{"flag":"truth","type":"bool","rev":1,"on":true,"values":{{"false":false,"true":true,"unknown":false,"unsupported":false}},"off":"unsupported","rules":[{{"id":"1","if":[{condition}],"serve":"true"}},{{"id":"2","if":[{{"not":{condition}}}],"serve":"false"}}],"fallthrough":"unknown"}}"#
    )
}

/// Lines, and the objects that they want as far as `keys` has them, by their digests.
fn snapshot(lines: &[Vec<u8>], keys: impl Fn(&str, u64) -> Option<String>) -> Snapshot {
    let (mut snapshot, _) = Snapshot::compile(lines.iter().map(Vec::as_slice));
    for wanted in snapshot.wanted_lists() {
        if let Some(keys) = keys(&wanted.sha256.to_string(), wanted.raw_size) {
            snapshot = snapshot.with_list(wanted.sha256, &Arc::new(List::parse(keys.into_bytes()).unwrap()));
        }
    }
    snapshot
}

/// The keys that stand in a case.
fn keys_of(case: &Json<'_>) -> impl Fn(&str, u64) -> Option<String> {
    |sha256, _| Some(case.member("lists")?.member(sha256)?.as_str()?.to_owned())
}

fn at(case: &Json<'_>) -> Instant {
    match case.member("at") {
        None => NOW,
        Some(Json::String(at)) => Instant::parse(at).unwrap(),
        Some(at) => Instant::from_millis(at.as_integer().unwrap()),
    }
}

/// What came must be what was expected.
fn equal<T: PartialEq + core::fmt::Debug>(got: &T, expected: &T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{got:?}, expected {expected:?}")) }
}

fn named(case: &Json<'_>, known: &[&str]) {
    only(case, known);
    assert!(!text(case, "id").is_empty() && text(case, "clause").starts_with(['M', 'T']), "{case}");
}

/// What a condition is, of one context after the other.
pub(super) fn condition(case: &Json<'_>) -> Result<(), String> {
    const RESULTS: [&str; 4] = ["true", "false", "unknown", "unsupported"];
    named(
        case,
        &["id", "clause", "condition", "beside", "lists", "at", "true", "false", "unknown", "unsupported"],
    );
    let mut lines: Vec<_> = array(case, "beside").iter().map(|line| line.to_string().into_bytes()).collect();
    lines.push(truth_of(case.member("condition").unwrap()).into_bytes());
    let snapshot = snapshot(&lines, keys_of(case));
    let mut asked = 0;
    for result in RESULTS {
        for context in array(case, result) {
            let read = Context::from_json(context).unwrap();
            let details = snapshot.evaluate("truth", None, &read, at(case));
            let got = details.variation.map_or("none", |variation| variation);
            if got != result {
                return Err(format!("{got}, expected {result} of {context}"));
            }
            asked += 1;
        }
    }
    assert!(asked > 0, "nothing asked: {case}");
    Ok(())
}

/// The bytes of a case's lines: as JSON, as text, as hexadecimal digits, or with a filling too long to write down.
fn lines(case: &Json<'_>) -> Vec<Vec<u8>> {
    let hex = |text: &Json<'_>| {
        let text = text.as_str().unwrap();
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let long = |line: &Json<'_>| {
        only(line, &["before", "fill", "times", "after"]);
        let times = usize::try_from(line.member("times").unwrap().as_integer().unwrap()).unwrap();
        [text(line, "before"), &text(line, "fill").repeat(times), text(line, "after")].concat().into_bytes()
    };
    let plain = array(case, "lines").iter().map(|line| line.to_string().into_bytes());
    let raw = array(case, "raw").iter().map(|line| line.as_str().unwrap().as_bytes().to_vec());
    plain
        .chain(raw)
        .chain(array(case, "hex").iter().map(hex))
        .chain(array(case, "long").iter().map(long))
        .collect()
}

/// The details that a flag of these lines has for a context.
pub(super) fn answer(case: &Json<'_>) -> Result<(), String> {
    named(case, &["id", "clause", "lines", "raw", "hex", "long", "lists", "case", "expected"]);
    let snapshot = snapshot(&lines(case), keys_of(case));
    let asked = case.member("case").unwrap();
    only(asked, &["flag", "context", "at", "type", "default"]);
    let wanted = asked.member("type").map(|name| FlagType::parse(name.as_str().unwrap()).unwrap());
    let flag = text(asked, "flag");
    let details = match Context::from_json(asked.member("context").unwrap()) {
        Some(context) => snapshot.evaluate(flag, wanted, &context, at(asked)),
        None => snapshot.evaluate_without_context(flag, wanted),
    };
    let mut got = String::from("{");
    batch::write_details(&details, asked.member("default"), &mut got);
    got.push('}');
    equal(&got, &case.member("expected").unwrap().to_string())
}

/// Which of the check lines fail, of those that can be run.
pub(super) fn check(case: &Json<'_>) -> Result<(), String> {
    named(case, &["id", "clause", "lines", "raw", "ran", "failed"]);
    let snapshot = snapshot(&lines(case), |_, _| None);
    let failed: Vec<_> = snapshot.all_failed_checks().into_iter().map(|failed| failed.check).collect();
    let expected = array(case, "failed").iter().map(|key| key.as_str().unwrap().into());
    let ran = usize::try_from(case.member("ran").unwrap().as_integer().unwrap()).unwrap();
    equal(&(snapshot.check_count(), failed), &(ran, expected.collect()))
}

/// The bucket of a unit, or that it is none.
pub(super) fn bucket(case: &Json<'_>) -> Result<(), String> {
    named(case, &["id", "clause", "salt", "unit", "of", "bucket"]);
    let of = case.member("of").unwrap();
    let salt = case.member("salt").unwrap();
    let line = format!(
        r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{"on":true}},"rules":[{{"id":"r","split":{{"salt":{salt},"of":{of},"ranges":[[0,{of},"on"]]}}}}]}}"#
    );
    let snapshot = snapshot(&[line.into_bytes()], |_, _| None);
    let context = Json::object([("targetingKey", case.member("unit").unwrap().clone())]);
    let details = snapshot.evaluate("f", None, &Context::from_json(&context).unwrap(), NOW);
    let expected = case.member("bucket").map(|bucket| u64::try_from(bucket.as_integer().unwrap()).unwrap());
    let missing = details.error_code.is_some_and(|code| code.as_str() == "TARGETING_KEY_MISSING");
    equal(&(details.bucket, missing), &(expected, expected.is_none()))
}

/// Cases and answers of the batch protocol, byte for byte.
pub(super) fn evaluation(set: &Set) -> Ran {
    let (lines, cases, expected) = (set.read("lines"), set.read("cases"), set.read("expected"));
    let lines: Vec<_> = lines.lines().map(|line| line.as_bytes().to_vec()).collect();
    let snapshot = snapshot(&lines, |sha256, size| {
        let frame = fs::read(set.path("lists").join(format!("{sha256}.txt.zst"))).unwrap();
        // One stored block ends it. A reader with a zstd library unpacks the frame, and compares its digest.
        let text = frame.len().checked_sub(usize::try_from(size).unwrap()).unwrap();
        Some(String::from_utf8(frame[text..].to_vec()).unwrap())
    });
    assert_eq!(cases.lines().count(), expected.lines().count());
    let results = cases.lines().zip(expected.lines()).map(|(case, expected)| {
        let got = batch::answer(&snapshot, case.as_bytes(), NOW);
        if got == expected { Ok(()) } else { Err(format!("{got}, expected {expected}\n  {case}")) }
    });
    let results: Vec<_> = results.collect();
    (results.len(), results.into_iter().filter_map(Result::err).collect())
}

/// The one text of a JSON value, for who writes.
pub(super) fn canonical(case: &Json<'_>) -> Result<(), String> {
    named(case, &["id", "clause", "json", "canonical"]);
    let json = Json::parse(text(case, "json").as_bytes()).unwrap_or_else(|error| panic!("{error}: {case}"));
    equal(&json.to_canonical().as_str(), &text(case, "canonical"))
}

/// The kind and the key that a line begins with, if it has a head.
pub(super) fn head(case: &Json<'_>) -> Result<(), String> {
    named(case, &["id", "clause", "line", "kind", "key"]);
    let read = Head::parse(text(case, "line").as_bytes());
    let expected = case.member("kind").map(|_| Head { name: text(case, "kind"), key: text(case, "key") });
    equal(&read, &expected)
}
