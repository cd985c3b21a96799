//! Which tests and vectors ran: the step `tests` writes it down, the step `ran` holds `docs/FORMAT.md` to it, and runs the
//! vectors on the second reader, too.
//!
//! `ran.txt`, in cargo's target folder, has one line for each test, `OUTCOME AREA::PATH`, and one for each file of vectors that a runner
//! printed as `vectors ran: FILE…`, `vectors testdata/FILE`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::clauses::{AREAS, promised};
use crate::reference::{script, without_python};
use crate::steps::{Outcome, Tree, succeed};

fn record(tree: &Tree) -> Result<PathBuf> {
    Ok(tree.target_folder()?.join("ran.txt"))
}

/// Runs every test and documentation example, shows what `cargo test` shows, and writes down what ran.
///
/// All test binaries run even if one fails, so that one run shows everything.
pub(crate) fn run_tests(tree: &Tree) -> Result<Outcome> {
    let file = record(tree)?;
    let _ = std::fs::remove_file(&file);
    let areas = areas_of_binaries(tree)?;
    let (reader, writer) = std::io::pipe().context("making a pipe")?;
    // What tests print says which vectors ran; cargo tells on its standard error which binary runs.
    let mut command = tree.cargo(&["test", "--workspace", "--no-fail-fast"]);
    command.args(["--", "--show-output"]);
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("starting cargo test")?;
    // The command holds ends of the pipe that would keep it open.
    drop(command);
    let mut log = Log::new(areas);
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.context("reading what cargo test writes")?;
        let line = String::from_utf8_lossy(&line);
        if log.take(&line) {
            println!("{line}");
        }
    }
    let status = child.wait().context("waiting for cargo test")?;
    let text: String = log.ran.iter().map(|entry| format!("{entry}\n")).collect();
    std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    if !status.success() {
        bail!("it ended with {status}");
    }
    Ok(Outcome::Passed)
}

/// The area that each test binary belongs to, by the name of its file.
fn areas_of_binaries(tree: &Tree) -> Result<BTreeMap<String, &'static str>> {
    let mut areas = BTreeMap::new();
    for built in tree.built_tests()? {
        let folder = built.manifest.parent().and_then(|folder| folder.strip_prefix(&tree.root).ok());
        let area = AREAS.iter().find(|(_, known)| folder == Some(Path::new(known)));
        if let (Some((area, _)), Some(name)) = (area, file_name(&built.program)) {
            areas.insert(name, *area);
        }
    }
    Ok(areas)
}

fn file_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

/// Reads what `cargo test -- --show-output` writes, line by line.
struct Log {
    areas: BTreeMap<String, &'static str>,
    /// The area whose binary runs now, if it is one that tests are named by.
    area: Option<&'static str>,
    /// Whether the lines now are what tests that passed have printed.
    is_printed: bool,
    ran: BTreeSet<String>,
}

impl Log {
    fn new(areas: BTreeMap<String, &'static str>) -> Self {
        Self { areas, area: None, is_printed: false, ran: BTreeSet::new() }
    }

    /// Takes one line; says whether it is worth showing.
    fn take(&mut self, line: &str) -> bool {
        let trimmed = line.trim_start();
        if trimmed.starts_with("Running ") || trimmed.starts_with("Doc-tests ") {
            let binary = trimmed.rsplit_once('(').and_then(|(_, path)| path.strip_suffix(')'));
            let name = binary.and_then(|path| file_name(Path::new(path)));
            self.area = name.and_then(|name| self.areas.get(&name).copied());
            self.is_printed = false;
        } else if line == "successes:" {
            self.is_printed = true;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.is_printed = false;
        } else if self.is_printed {
            // Only a test that passed shows what it printed there, and what it printed is no result.
            let files = line.strip_prefix("vectors ran: ").unwrap_or_default().split_whitespace();
            self.ran.extend(files.map(|file| format!("vectors testdata/{file}")));
        } else if let (Some(area), Some((name, outcome))) = (self.area, result_of(line)) {
            self.ran.insert(format!("{outcome} {area}::{name}"));
        }
        !self.is_printed
    }
}

/// `test a::b ... ok`, also with what libtest adds to the name and to the outcome.
fn result_of(line: &str) -> Option<(&str, &str)> {
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let name = name.split(" - ").next()?;
    let outcome = ["ok", "ignored", "FAILED"].into_iter().find(|known| outcome.starts_with(known))?;
    Some((name, outcome))
}

/// Fails with every test and vector that the text names and that did not run in the last run of the tests.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    let file = record(tree)?;
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("{} is missing: run the step `tests`", file.display()))?;
    let ran: BTreeSet<&str> = text.lines().collect();
    let promised = promised(tree)?;
    let mut faults = 0;
    for (clause, name) in &promised {
        if let Some(fault) = fault(name, &ran) {
            println!("{clause}: `{name}` {fault}");
            faults += 1;
        }
    }
    if faults > 0 {
        bail!("{faults} tests or vectors are named and did not run");
    }
    println!("{} tests and vectors are named, and ran", promised.len());
    second_reader(tree)
}

/// The second reader runs the same vectors: an expected value that only one reader has is no fact.
fn second_reader(tree: &Tree) -> Result<Outcome> {
    match without_python(tree)? {
        Some(outcome) => Ok(outcome),
        None => succeed(script(tree, "vectors.py", &[])),
    }
}

/// Why a name does not stand for something that ran and passed.
fn fault(name: &str, ran: &BTreeSet<&str>) -> Option<&'static str> {
    let Some((area, path)) = name.split_once("::") else {
        return (!ran.contains(format!("vectors {name}").as_str())).then_some("did not run");
    };
    let function = path.rsplit("::").next().unwrap_or(path);
    let mut outcomes = ran.iter().filter_map(|entry| {
        let (outcome, ran) = entry.split_once(' ')?;
        let (of, module) = ran.split_once("::")?;
        (of == area && module.rsplit("::").next() == Some(function)).then_some(outcome)
    });
    // Of several tests of one name every one is meant.
    let Some(first) = outcomes.next() else { return Some("did not run") };
    match outcomes.chain([first]).find(|outcome| *outcome != "ok") {
        None => None,
        Some("ignored") => Some("was ignored"),
        Some(_) => Some("failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running tests/it/main.rs (target/debug/deps/it-1)
test exits::a ... ok
test exits::b - should panic ... ok
test exits::c ... ignored, too slow
test exits::d ... FAILED
test first::twice ... ok
test second::twice ... FAILED
test third::twice ... ok
vectors ran: x/uncaptured.jsonl
successes:
---- vectors::e stdout ----
vectors ran: x/lines.jsonl x/cases.jsonl
test exits::printed ... ok
failures:
---- vectors::f stdout ----
vectors ran: x/failed.jsonl
test result: ok. 4 passed
     Running unittests src/main.rs (target/debug/deps/other-2)
test a ... ok
   Doc-tests flagstone_eval
test src/lib.rs - (line 3) ... ok";

    fn log() -> (Log, Vec<&'static str>) {
        let mut log = Log::new(BTreeMap::from([("it-1".to_owned(), "eval")]));
        let shown = OUTPUT.lines().filter(|line| log.take(line)).collect();
        (log, shown)
    }

    #[test]
    fn tests_and_vectors_are_read_off_the_output() {
        let (log, shown) = log();
        let ran: Vec<_> = log.ran.iter().map(String::as_str).collect();
        assert_eq!(
            ran,
            [
                "FAILED eval::exits::d",
                "FAILED eval::second::twice",
                "ignored eval::exits::c",
                "ok eval::exits::a",
                "ok eval::exits::b",
                "ok eval::first::twice",
                "ok eval::third::twice",
                "vectors testdata/x/cases.jsonl",
                "vectors testdata/x/lines.jsonl",
            ]
        );
        assert!(!shown.iter().any(|line| line.contains("vectors::e") || line.contains("x/lines.jsonl")));
        assert!(shown.contains(&"test exits::a ... ok") && shown.contains(&"test result: ok. 4 passed"));
    }

    #[test]
    fn what_is_named_has_to_have_run_and_passed() {
        let (log, _) = log();
        let ran: BTreeSet<_> = log.ran.iter().map(String::as_str).collect();
        for (name, expected) in [
            ("eval::a", None),
            ("eval::exits::b", None),
            ("eval::c", Some("was ignored")),
            ("eval::d", Some("failed")),
            ("eval::e", Some("did not run")),
            ("eval::printed", Some("did not run")),
            ("eval::twice", Some("failed")),
            ("model::a", Some("did not run")),
            ("testdata/x/cases.jsonl", None),
            ("testdata/x/other.jsonl", Some("did not run")),
            ("testdata/x/failed.jsonl", Some("did not run")),
        ] {
            assert_eq!(fault(name, &ran), expected, "{name}");
        }
    }
}
