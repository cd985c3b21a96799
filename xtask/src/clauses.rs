//! Whether `docs/FORMAT.md` keeps its promise: every clause with a MUST names a test, or a vector, that exists.
//!
//! A clause begins with `**M-1.2**` or `**T-1.2**` at the start of a line and ends before the next one or the next
//! heading. `*Test:*` is followed by names in backticks: `area::test_name`, or the path of a vector in `testdata/`.
//! `*Later.*` marks a clause that is not built yet and needs no test; after `*Later:*` stands which part of one is not.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::steps::{Outcome, Tree, output};

const FORMAT: &str = "docs/FORMAT.md";
const VECTORS: &str = "testdata/index.json";

/// The areas that a test is named by, and their folders.
pub(crate) const AREAS: [(&str, &str); 8] = [
    ("admin", "lambda/admin"),
    ("bundle", "sdk/core/bundle"),
    ("cli", "cli"),
    ("eval", "sdk/core/eval"),
    ("model", "sdk/core/model"),
    ("publisher", "publisher"),
    ("sdk", "sdk/rust"),
    ("xtask", "xtask"),
];

/// Fails with every clause without its test, every citation of no clause, and every link to no file.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    let files = tracked(tree)?;
    let format =
        files.iter().find(|file| file.name == FORMAT).with_context(|| format!("{FORMAT} is missing"))?;
    let clauses = read_clauses(&format.text);
    let mut faults = Vec::new();
    let (mut tested, mut later) = (0, 0);
    for clause in &clauses {
        match clause.promise() {
            Promise::None => {}
            Promise::Later => later += 1,
            Promise::Tests(names) => {
                tested += 1;
                let missing = names.into_iter().filter(|name| !exists(name, &files));
                faults.extend(missing.map(|name| format!("{}: no test or vector `{name}`", clause.id)));
            }
            Promise::Broken => faults.push(format!("{}: a MUST without a test", clause.id)),
        }
    }
    let known = known_ids(&format.text, &clauses);
    let unknown = of_vectors(tree)?.into_iter().filter(|id| !known.contains(id.as_str()));
    faults.extend(unknown.map(|id| format!("{VECTORS} names the clause {id}, which does not exist")));
    faults.extend(repeated(&clauses).map(|id| format!("{id}: numbered twice")));
    for file in &files {
        let unknown = citations(&file.text).into_iter().filter(|id| !known.contains(id));
        faults.extend(unknown.map(|id| format!("{} cites FORMAT {id}, which does not exist", file.name)));
        if has_extension(&file.name, "md") {
            faults.extend(
                broken_links(file, &tree.root).map(|link| format!("{} links to no file: {link}", file.name)),
            );
        }
    }
    if !faults.is_empty() {
        for fault in &faults {
            println!("{fault}");
        }
        bail!("{} faults in {FORMAT} or in what cites it", faults.len());
    }
    println!(
        "{} clauses: {tested} with tests, {later} to be built later, the others without a MUST",
        clauses.len()
    );
    Ok(Outcome::Passed)
}

/// The clauses that vectors are about.
fn of_vectors(tree: &Tree) -> Result<Vec<String>> {
    let text = std::fs::read(tree.root.join(VECTORS)).with_context(|| format!("reading {VECTORS}"))?;
    let index: serde_json::Value =
        serde_json::from_slice(&text).with_context(|| format!("reading {VECTORS}"))?;
    let sets = index.get("sets").and_then(serde_json::Value::as_array).context("an index has sets")?;
    let named = sets.iter().filter_map(|set| set.get("clauses")?.as_array()).flatten();
    Ok(named.filter_map(|id| id.as_str().map(str::to_owned)).collect())
}

/// The tests and vectors that the text names, each with its clause.
pub(crate) fn promised(tree: &Tree) -> Result<Vec<(String, String)>> {
    let text =
        std::fs::read_to_string(tree.root.join(FORMAT)).with_context(|| format!("reading {FORMAT}"))?;
    let of_clause = |clause: &Clause<'_>| match clause.promise() {
        Promise::Tests(names) => {
            names.into_iter().map(|name| (clause.id.to_owned(), name.to_owned())).collect()
        }
        _ => Vec::new(),
    };
    Ok(read_clauses(&text).iter().flat_map(of_clause).collect())
}

/// A text file of the tree, named from its root.
struct File {
    name: String,
    text: String,
}

/// Committed and new Rust sources and documents, and the names of all other files.
fn tracked(tree: &Tree) -> Result<Vec<File>> {
    let mut command = Command::new("git");
    command.current_dir(&tree.root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listing = output(command)?;
    let names = listing.split_terminator('\0').filter(|name| tree.root.join(name).is_file());
    Ok(names
        .map(|name| {
            let reads = has_extension(name, "rs") || has_extension(name, "md");
            let text = if reads {
                std::fs::read_to_string(tree.root.join(name)).unwrap_or_default()
            } else {
                String::new()
            };
            File { name: name.to_owned(), text }
        })
        .collect())
}

fn has_extension(name: &str, wanted: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == wanted)
}

/// A numbered clause.
struct Clause<'t> {
    id: &'t str,
    text: String,
}

/// What a clause says of its tests.
#[derive(Debug, PartialEq, Eq)]
enum Promise<'c> {
    /// It demands nothing.
    None,
    /// Not built yet.
    Later,
    /// These show it.
    Tests(Vec<&'c str>),
    /// It demands something and names no test.
    Broken,
}

impl Clause<'_> {
    fn promise(&self) -> Promise<'_> {
        let mut names = Vec::new();
        for part in self.text.split("*Test:*").skip(1) {
            // The names end where a sentence does, outside of backticks.
            for (index, piece) in part.split('`').enumerate() {
                if index % 2 == 1 {
                    names.push(piece);
                } else if piece.contains(['.', '*']) {
                    break;
                }
            }
        }
        let demands = self.text.split(|c: char| !c.is_alphanumeric()).any(|word| word == "MUST");
        match (demands, names.is_empty(), self.text.contains("*Later.*")) {
            (_, false, _) => Promise::Tests(names),
            (_, true, true) => Promise::Later,
            (true, true, false) => Promise::Broken,
            (false, true, false) => Promise::None,
        }
    }
}

/// The id at the start of a line, if a clause begins there.
fn clause_id(line: &str) -> Option<&str> {
    let (id, _) = line.strip_prefix("**")?.split_once("**")?;
    let number = id.strip_prefix("M-").or_else(|| id.strip_prefix("T-"))?;
    number
        .split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some(id)
}

fn read_clauses(format: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = Vec::new();
    let mut inside = false;
    for line in format.lines() {
        if let Some(id) = clause_id(line) {
            clauses.push(Clause { id, text: String::new() });
            inside = true;
        } else if line.starts_with('#') {
            inside = false;
        }
        if inside && let Some(clause) = clauses.last_mut() {
            clause.text.push_str(line);
            clause.text.push('\n');
        }
    }
    clauses
}

/// Clauses, and the sections that hold them: `M-1` of `## M-1 Lines`.
fn known_ids<'t>(format: &'t str, clauses: &[Clause<'t>]) -> BTreeSet<&'t str> {
    let headings = format.lines().filter(|line| line.starts_with('#'));
    let sections = headings.filter_map(|line| line.trim_start_matches('#').split_whitespace().next());
    clauses.iter().map(|clause| clause.id).chain(sections).collect()
}

fn repeated<'c>(clauses: &'c [Clause<'_>]) -> impl Iterator<Item = &'c str> {
    let mut seen = BTreeSet::new();
    clauses.iter().map(|clause| clause.id).filter(move |id| !seen.insert(*id))
}

/// The clauses that a text cites as `FORMAT M-1.2` or `FORMAT M-1.2, T-3.4`.
fn citations(text: &str) -> Vec<&str> {
    let mut cited = Vec::new();
    for part in text.split("FORMAT ").skip(1) {
        let mut rest = part;
        while rest.starts_with("M-") || rest.starts_with("T-") {
            let end = rest.char_indices().skip(2).find(|(_, c)| !c.is_ascii_digit() && *c != '.');
            let (id, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
            let id = id.trim_end_matches('.');
            if id.len() > 2 {
                cited.push(id);
            }
            rest = after.strip_prefix(", ").unwrap_or_default();
        }
    }
    cited
}

/// Whether a name stands for a file of the tree, or for a test function in its area's folder.
fn exists(name: &str, files: &[File]) -> bool {
    let Some((area, path)) = name.split_once("::") else {
        return files.iter().any(|file| file.name == name);
    };
    let function = path.rsplit("::").next().unwrap_or(path);
    let Some((_, folder)) = AREAS.iter().find(|(known, _)| *known == area) else { return false };
    let declaration = format!("fn {function}(");
    files.iter().any(|file| {
        let below = file.name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        below && has_extension(&file.name, "rs") && file.text.contains(&declaration)
    })
}

/// Links of a document to files that are not there.
fn broken_links<'f>(file: &'f File, root: &Path) -> impl Iterator<Item = &'f str> {
    let folder = root.join(Path::new(&file.name).parent().unwrap_or(Path::new("")));
    let targets = file.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(move |target| {
        let path = target.split('#').next().unwrap_or(target);
        let elsewhere =
            path.is_empty() || path.contains("://") || path.starts_with("mailto:") || path.contains(' ');
        !elsewhere && !folder.join(path).exists()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(text: &str) -> String {
        let clauses = read_clauses(text);
        assert_eq!(clauses.len(), 1, "{text}");
        format!("{:?}", clauses.first().map(Clause::promise).unwrap())
    }

    #[test]
    fn a_demand_without_a_test_is_broken() {
        assert_eq!(promise("**M-1.2** A reader MUST refuse it."), "Broken");
        assert_eq!(promise("**M-1.2** A reader may refuse it."), "None");
        assert_eq!(promise("**M-1.2** A reader MUST refuse it. *Later.*"), "Later");
        assert_eq!(promise("**M-1.2** A reader MUST refuse it. *Later:* to say why."), "Broken");
    }

    #[test]
    fn every_name_after_the_mark_is_a_test() {
        let text = "**M-1.2** It MUST `hold`. *Test:* `eval::a`, `testdata/x.jsonl`.\nNot `this`. *Later:* the rest.";
        assert_eq!(promise(text), "Tests([\"eval::a\", \"testdata/x.jsonl\"])");
    }

    #[test]
    fn a_clause_ends_at_the_next_one_and_at_a_heading() {
        let clauses = read_clauses("**M-1** a\nb\n**T-1.1** c\n## Next\nd\n**bold** e");
        let read: Vec<_> = clauses.iter().map(|clause| (clause.id, clause.text.as_str())).collect();
        assert_eq!(read, [("M-1", "**M-1** a\nb\n"), ("T-1.1", "**T-1.1** c\n")]);
    }

    #[test]
    fn citations_are_found_with_their_lists() {
        let text = ["(FORMAT ", "M-1.12). FORMAT ", "T-3.2, M-1 and FORMAT ", "of"].concat();
        assert_eq!(citations(&text), ["M-1.12", "T-3.2", "M-1"]);
    }

    #[test]
    fn a_test_exists_only_in_the_folder_of_its_area() {
        let source = File { name: "sdk/core/eval/src/x.rs".to_owned(), text: "fn holds() {}".to_owned() };
        let files = [source, File { name: "testdata/v.jsonl".to_owned(), text: String::new() }];
        assert!(exists("eval::holds", &files));
        assert!(exists("eval::some::module::holds", &files));
        assert!(exists("testdata/v.jsonl", &files));
        for name in ["eval::hold", "model::holds", "unknown::holds", "testdata/w.jsonl"] {
            assert!(!exists(name, &files), "{name}");
        }
    }
}
