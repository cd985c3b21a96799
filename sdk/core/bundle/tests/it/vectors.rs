//! The vectors of whole snapshots and deltas: testdata/README.md says what a case is.

use flagstone_bundle::content::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_model::json::Json;

const INDEX: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../testdata/index.json"));

fn text<'j>(case: &'j Json<'_>, member: &str) -> &'j str {
    case.member(member).and_then(Json::as_str).unwrap_or_else(|| panic!("no text `{member}`: {case}"))
}

/// Runs the sets of one kind, and says which files ran. Their cases have these members, the last of them if it is no refusal.
fn run(kind: &str, members: &[&str], holds: fn(&Json<'_>, Option<&str>) -> bool) -> String {
    let index = Json::parse(INDEX).unwrap();
    let sets = index.member("sets").unwrap().as_array().unwrap().iter();
    let (mut ran, mut files) = (0, String::from("vectors ran:"));
    for set in sets.filter(|set| text(set, "kind") == kind) {
        let file = text(set.member("files").unwrap(), "cases");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../testdata/");
        let cases = std::fs::read_to_string(format!("{path}{file}")).unwrap();
        for line in cases.lines() {
            let case = Json::parse(line.as_bytes()).unwrap();
            let known = |name: &str| ["id", "clause"].contains(&name) || members.contains(&name);
            assert!(case.as_object().unwrap().iter().all(|(name, _)| known(name)), "unknown member: {line}");
            let expected = case.member(members.last().unwrap()).and_then(Json::as_str);
            assert!(holds(&case, expected), "{line}");
        }
        let count = usize::try_from(set.member("cases").unwrap().as_integer().unwrap()).unwrap();
        assert_eq!(cases.lines().count(), count);
        ran += count;
        files = format!("{files} {file}");
    }
    assert!(ran > 20, "{ran}");
    files
}

#[test]
fn lines_are_a_snapshot_with_this_hash_or_none() {
    let ran = run("content", &["text", "hash"], |case, expected| {
        let content = Content::parse(text(case, "text").as_bytes());
        content.ok().map(|content| content.content_hash().to_string()).as_deref() == expected
    });
    println!("{ran}");
}

#[test]
fn a_delta_gives_this_snapshot_or_is_refused() {
    let ran = run("delta", &["base", "delta", "result"], |case, expected| {
        let base = Content::parse(text(case, "base").as_bytes()).unwrap();
        let applied = DeltaLines::parse(text(case, "delta").as_bytes()).and_then(|delta| base.apply(&delta));
        applied.ok().map(|(content, _)| content.raw()).as_deref() == expected.map(str::as_bytes)
    });
    println!("{ran}");
}
