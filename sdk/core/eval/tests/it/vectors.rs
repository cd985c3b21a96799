//! Every vector of `testdata/`, as its index lists them: testdata/README.md says what each kind is and how it is run.
//!
//! Written to be copied: a runner for another language is this file, with its own evaluator behind `answer`.

mod kinds;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use flagstone_model::json::{Duplicates, Json, ParseOptions};

/// The level of the format that this reader has.
const LEVEL: i64 = 1;

/// Kinds that are run where what they are about is, and where that is.
const ELSEWHERE: [(&str, &str); 5] = [
    ("content", "whole snapshots are the bundle's: sdk/core/bundle/tests/it/vectors.rs"),
    ("delta", "deltas are the bundle's: sdk/core/bundle/tests/it/vectors.rs"),
    ("exposure", "an exposure's id is the SDK's: sdk/rust/tests/it/exposures.rs"),
    ("signature", "signatures are the bundle's: sdk/core/bundle/tests/it/ed25519.rs"),
    ("stream", "signed streams are the bundle's: sdk/core/bundle/tests/it/example.rs"),
];

/// One set of the index.
#[derive(Default)]
struct Set {
    level: i64,
    clauses: Vec<String>,
    /// Its files, by the part they play.
    files: Vec<(String, PathBuf)>,
}

impl Set {
    fn new(json: &Json<'_>) -> Self {
        only(json, &["kind", "level", "clauses", "files", "cases", "from"]);
        let files = json.member("files").and_then(Json::as_object).unwrap().iter();
        Self {
            level: json.member("level").unwrap().as_integer().unwrap(),
            clauses: array(json, "clauses").iter().map(|id| id.as_str().unwrap().to_owned()).collect(),
            files: files.map(|(part, name)| (part.to_string(), name.as_str().unwrap().into())).collect(),
        }
    }

    fn path(&self, part: &str) -> PathBuf {
        let file = self.files.iter().find(|(name, _)| name == part);
        testdata().join(&file.unwrap_or_else(|| panic!("no file for `{part}`")).1)
    }

    fn read(&self, part: &str) -> String {
        let path = self.path(part);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Its files, for who reads what ran.
    fn names(&self) -> String {
        self.files.iter().map(|(_, path)| path.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }
}

fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../testdata")
}

fn parse(text: &str) -> Json<'_> {
    // A line nested 32 deep stands in its case.
    let options = ParseOptions { max_depth: 64, duplicates: Duplicates::Refuse };
    Json::parse_with(text.as_bytes(), options).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn text<'j>(json: &'j Json<'_>, member: &str) -> &'j str {
    json.member(member).and_then(Json::as_str).unwrap_or_else(|| panic!("no text `{member}`: {json}"))
}

fn array<'j>(json: &'j Json<'_>, member: &str) -> &'j [Json<'j>] {
    json.member(member).map_or(&[], |array| array.as_array().unwrap_or_else(|| panic!("{member}: {json}")))
}

/// A member that the runner does not know may change what its case means.
fn only(json: &Json<'_>, known: &[&str]) {
    for (name, _) in json.as_object().unwrap_or_else(|| panic!("no object: {json}")) {
        assert!(known.contains(&&**name), "unknown member `{name}`: {json}");
    }
}

/// What came of a set: how many of its cases ran, and what is wrong with those that do not hold.
type Ran = (usize, Vec<String>);

/// Runs the cases of a file, one a line. Each is about a clause that its set names.
fn each(set: &Set, case: fn(&Json<'_>) -> Result<(), String>) -> Ran {
    let cases = set.read("cases");
    let mut ids = BTreeSet::new();
    let results = cases.lines().map(|line| {
        let json = parse(line);
        assert!(set.clauses.contains(&text(&json, "clause").to_owned()), "{line}");
        assert!(ids.insert(text(&json, "id").to_owned()), "twice: {line}");
        case(&json).map_err(|wrong| format!("{wrong}\n  {line}"))
    });
    let results: Vec<_> = results.collect();
    (results.len(), results.into_iter().filter_map(Result::err).collect())
}

/// Runs a set; an error is why it did not run.
fn run(kind: &str, set: &Set) -> Result<Ran, String> {
    if set.level > LEVEL {
        return Err(format!("level {}, this reader has {LEVEL}", set.level));
    }
    Ok(match kind {
        "answer" => each(set, kinds::answer),
        "bucket" => each(set, kinds::bucket),
        "check" => each(set, kinds::check),
        "canonical" => each(set, kinds::canonical),
        "condition" => each(set, kinds::condition),
        "evaluation" => kinds::evaluation(set),
        "head" => each(set, kinds::head),
        other => {
            let found = ELSEWHERE.iter().find(|(kind, _)| *kind == other);
            return Err(found.unwrap_or_else(|| panic!("unknown kind `{other}`")).1.to_owned());
        }
    })
}

#[test]
fn every_vector_holds_or_is_skipped_for_a_reason() {
    let index = fs::read_to_string(testdata().join("index.json")).unwrap();
    let index = parse(&index);
    only(&index, &["format", "kinds", "sets"]);
    assert_eq!(text(&index, "format"), "flagstone/vectors/1");
    let (mut total, mut ran, mut skipped) = (0, 0, 0);
    let mut faults = Vec::new();
    for json in array(&index, "sets") {
        let (kind, set) = (text(json, "kind"), Set::new(json));
        assert!(index.member("kinds").unwrap().member(kind).is_some(), "kind `{kind}` is not described");
        let cases = usize::try_from(json.member("cases").unwrap().as_integer().unwrap()).unwrap();
        let names = set.names();
        total += cases;
        match run(kind, &set) {
            Ok((count, wrong)) => {
                assert_eq!(count, cases, "cases of {names}");
                ran += count;
                println!("vectors ran: {names}");
                faults.extend(wrong.into_iter().map(|wrong| format!("{names}: {wrong}")));
            }
            Err(reason) => {
                assert!(!reason.is_empty());
                skipped += cases;
                println!("vectors skipped: {names}: {reason}");
            }
        }
    }
    println!("{ran} vectors ran and {skipped} were skipped, of {total}");
    assert_eq!(ran + skipped, total);
    assert!(faults.is_empty(), "{} do not hold:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_file_of_the_vectors_is_in_the_index() {
    let index = fs::read_to_string(testdata().join("index.json")).unwrap();
    let folders = ["answers", "conditions", "example", "exposures", "ed25519", "model", "writing"];
    for folder in folders {
        for entry in fs::read_dir(testdata().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            let tells = [".md", ".py", "/k"].iter().any(|end| name.ends_with(end));
            assert!(tells || index.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}

#[test]
#[should_panic(expected = "unknown kind")]
fn an_unknown_kind_is_refused() {
    let _ = run("rumour", &Set::default());
}

#[test]
fn a_set_of_a_later_level_is_skipped_for_that_reason() {
    let later = Set { level: 2, ..Set::default() };
    assert_eq!(run("condition", &later).unwrap_err(), "level 2, this reader has 1");
}

#[test]
#[should_panic(expected = "unknown member `only`")]
fn a_member_that_the_runner_does_not_know_is_refused() {
    let case = r#"{"id":"a","clause":"M-4.1","condition":{"all":[]},"true":[{}],"only":"go"}"#;
    let _ = kinds::condition(&parse(case));
}

#[test]
fn a_wrong_expectation_is_noticed() {
    let case = r#"{"id":"a","clause":"M-4.1","condition":{"any":[]},"true":[{}]}"#;
    assert_eq!(kinds::condition(&parse(case)).unwrap_err(), "false, expected true of {}");
}
