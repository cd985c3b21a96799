//! FORMAT T-3.1 to T-3.3: lines, content hashes, deltas.

use flagstone_bundle::content::{Content, ContentError};
use flagstone_bundle::delta::DeltaLines;
use flagstone_model::digest::Digest;
use flagstone_model::limits::{MAX_LINE_BYTES, MAX_LINES, MAX_RAW_BYTES};
use flagstone_model::line::Head;

use crate::world::{OLD_SNAPSHOT, SNAPSHOT};

fn flag(key: &str, rev: u64) -> String {
    format!("{{\"flag\":\"{key}\",\"rev\":{rev}}}")
}

fn content(lines: &[&str]) -> Result<Content, ContentError> {
    Content::parse(lines.iter().map(|line| format!("{line}\n")).collect::<String>().as_bytes())
}

fn delta(lines: &[&str]) -> Result<DeltaLines, ContentError> {
    DeltaLines::parse(lines.iter().map(|line| format!("{line}\n")).collect::<String>().as_bytes())
}

/// 10 000 flags.
fn many() -> Content {
    let lines: Vec<String> = (0..10_000).map(|n| flag(&format!("flag-{n:05}"), 1)).collect();
    Content::from_lines(lines.iter().map(String::as_bytes)).unwrap()
}

/// The content hash by its definition, line by line.
fn hash_by_definition(content: &Content) -> Digest {
    let mut input = b"flagstone/content/1\n".to_vec();
    for line in content.lines() {
        input.extend_from_slice(Digest::of(line).as_bytes());
    }
    Digest::of(&input)
}

fn faults(lines: &[&str]) -> (&'static str, &'static str) {
    let error = content(lines).unwrap_err();
    (error.code(), error.detail())
}

#[test]
fn lines_are_sorted_unique_and_named() {
    let (a, b) = (flag("a", 1), flag("b", 1));
    assert_eq!(content(&[&a, &b]).unwrap().len(), 2);
    assert_eq!(faults(&[&b, &a]), ("malformed", "line-order"));
    assert_eq!(faults(&[&a, &a]), ("malformed", "line-repeated"));
    assert_eq!(faults(&[&a, &flag("a", 2)]), ("malformed", "line-repeated"));
    assert_eq!(faults(&[&flag("a", 2), &a]), ("malformed", "line-repeated"));
    assert_eq!(faults(&[&a, ""]), ("malformed", "line-head"));
    assert_eq!(faults(&[&a, "{\"flag\":\"b c\"}"]), ("malformed", "line-head"));
    assert_eq!(faults(&[&a, "{\"drop\":\"flag\",\"key\":\"a\"}"]), ("malformed", "line-head"));
    assert_eq!(content(&[&b, &a]).unwrap_err(), ContentError::Order { line: 2 });
    let error = Content::parse(a.as_bytes()).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("malformed", "no-final-newline"));
    assert_eq!(Content::parse(b"\n").unwrap_err().detail(), "line-head");
}

#[test]
fn a_key_that_begins_like_another_is_another() {
    let names = ["A", "a", "a-b", "a.b", "a/b", "ab", "a|b"];
    let mut lines: Vec<String> =
        names.iter().filter(|name| !name.contains('/')).map(|name| flag(name, 1)).collect();
    lines.extend(["{\"check\":\"a/1\"}".to_owned(), "{\"flags\":\"a\"}".to_owned()]);
    lines.sort_unstable();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let content = content(&lines).unwrap();
    for line in lines {
        let head = Head::parse(line.as_bytes()).unwrap();
        assert_eq!(content.line(head), Some(line.as_bytes()));
    }
    for (name, key) in
        [("flag", "b"), ("flag", "a-"), ("segment", "a"), ("check", "a/2"), ("aaa", "a"), ("zzz", "a")]
    {
        assert_eq!(content.line(Head { name, key }), None);
    }
}

#[test]
fn a_line_that_is_bad_behind_its_head_costs_no_other() {
    let long = format!("{{\"flag\":\"b\",\"x\":\"{}\"}}", "x".repeat(MAX_LINE_BYTES));
    let deep = format!("{{\"flag\":\"c\",\"x\":{}", "[".repeat(1_000));
    let lines =
        [&flag("a", 1), &long, &deep, "{\"flag\":\"d\",\"flag\":\"d\"}", "{\"kind_of_later\":\"#$\"}"];
    assert_eq!(content(&lines).unwrap().len(), 5);
    assert!(Content::parse(b"{\"flag\":\"a\",\"\xff\"\n").is_ok());
}

#[test]
fn contents_end_at_100_000_lines() {
    let lines: Vec<String> = (0..=MAX_LINES).map(|n| flag(&format!("f{n:06}"), 1)).collect();
    let of = |count: usize| Content::from_lines(lines[..count].iter().map(String::as_bytes));
    let full = of(MAX_LINES).unwrap();
    assert_eq!(full.len(), 100_000);
    assert_eq!(of(MAX_LINES + 1).unwrap_err().code(), "too-large");
    let last = delta(&[&lines[MAX_LINES]]).unwrap();
    assert_eq!(full.apply(&last).unwrap_err(), ContentError::TooManyLines);
    let mut raw = full.raw();
    raw.extend_from_slice(lines[MAX_LINES].as_bytes());
    raw.push(b'\n');
    assert_eq!(Content::parse(&raw).unwrap_err(), ContentError::TooManyLines);
}

#[test]
fn contents_and_deltas_end_at_32_mib() {
    let line = |size: usize| format!("{{\"flag\":\"a\",\"{}\":1}}\n", "x".repeat(size - 18)).into_bytes();
    let max = usize::try_from(MAX_RAW_BYTES).unwrap();
    assert_eq!(line(100).len(), 100);
    let full = Content::parse(&line(max)).unwrap();
    assert_eq!(full.raw_size(), MAX_RAW_BYTES);
    assert_eq!(Content::parse(&line(max + 1)).unwrap_err().code(), "too-large");
    assert!(DeltaLines::parse(&line(max)).is_ok());
    assert_eq!(DeltaLines::parse(&line(max + 1)).unwrap_err().code(), "too-large");
    let more = delta(&[&flag("b", 1)]).unwrap();
    assert_eq!(full.apply(&more).unwrap_err().code(), "too-large");
}

#[test]
fn the_hash_and_the_number_of_lines_are_checked() {
    let content = Content::parse(SNAPSHOT).unwrap();
    assert!(content.check(4, content.content_hash()).is_ok());
    let error = content.check(5, content.content_hash()).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("content-mismatch", "line-count"));
    let error = content.check(4, Digest::of(b"")).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("content-mismatch", "content-hash"));
    assert_eq!(Content::default().content_hash(), Digest::of(b"flagstone/content/1\n"));
}

#[test]
fn a_delta_has_upserts_then_drops_each_ascending_and_nothing_twice() {
    let (a, b) = (flag("a", 1), flag("b", 1));
    let drop = |key: &str| format!("{{\"drop\":\"flag\",\"key\":\"{key}\"}}");
    let fault = |lines: &[&str]| delta(lines).unwrap_err().detail();
    assert_eq!(delta(&[&a, &b, &drop("c"), &drop("d")]).unwrap().len(), 4);
    assert_eq!(delta(&[&b, &drop("a")]).unwrap().len(), 2);
    assert_eq!(delta(&["{\"segment\":\"z\"}", &drop("a")]).unwrap().len(), 2);
    assert!(delta(&[]).unwrap().is_empty());
    assert_eq!(fault(&[&b, &a]), "line-order");
    assert_eq!(fault(&[&drop("b"), &drop("a")]), "line-order");
    assert_eq!(fault(&[&drop("a"), &drop("a")]), "line-order");
    assert_eq!(fault(&[&drop("a"), &b]), "line-order");
    assert_eq!(fault(&[&a, &flag("a", 2)]), "line-repeated");
    assert_eq!(fault(&[&a, &drop("a")]), "line-repeated");
    assert_eq!(fault(&["{\"drop\":\"flag\"}"]), "line-head");
    assert_eq!(fault(&["{\"drop\":\"flag\",\"key\":\"a\",\"x\":1}"]), "line-head");
    assert_eq!(fault(&["x"]), "line-head");
    assert_eq!(DeltaLines::parse(a.as_bytes()).unwrap_err().detail(), "no-final-newline");
}

#[test]
fn dropping_what_is_absent_and_writing_what_is_there_changes_nothing() {
    let content = content(&[&flag("a", 1), &flag("b", 1)]).unwrap();
    let no_op = delta(&[&flag("a", 1), "{\"drop\":\"flag\",\"key\":\"x\"}"]).unwrap();
    let (same, touched) = content.apply(&no_op).unwrap();
    assert_eq!(same, content);
    assert!(touched.is_empty());
    assert_eq!(same.shared_chunks(&content), 1);
}

#[test]
fn what_an_update_changed_is_told() {
    let old = content(&[&flag("b", 1), &flag("c", 1), &flag("d", 1)]).unwrap();
    let update =
        delta(&[&flag("a", 1), &flag("b", 2), &flag("c", 1), "{\"drop\":\"flag\",\"key\":\"d\"}"]).unwrap();
    let (new, touched) = old.apply(&update).unwrap();
    let keys: Vec<_> = touched.heads().map(|head| head.key).collect();
    assert_eq!(keys, ["a", "b", "d"]);
    assert_eq!(touched, new.diff(&old));
    assert_eq!(touched.drops().count(), 1);
}

#[test]
fn an_update_copies_one_chunk_of_many() {
    let old = many();
    assert_eq!(old.chunks(), 79);
    old.content_hash();
    for key in ["flag-00000", "flag-05000", "flag-09999", "flag-05000x", "a", "z"] {
        let (new, touched) = old.apply(&delta(&[&flag(key, 2)]).unwrap()).unwrap();
        assert_eq!(touched.len(), 1);
        assert_eq!(new.shared_chunks(&old), 78, "{key}");
        assert_eq!(new.content_hash(), hash_by_definition(&new), "{key}");
        assert_eq!(Content::parse(&new.raw()).unwrap(), new);
    }
}

#[test]
fn a_to_b_to_a_is_a_again() {
    let (a, b) = (Content::parse(OLD_SNAPSHOT).unwrap(), Content::parse(SNAPSHOT).unwrap());
    let (there, _) = a.apply(&b.diff(&a)).unwrap();
    let (back, _) = there.apply(&a.diff(&there)).unwrap();
    assert_eq!(back, a);
    assert_eq!(back.content_hash(), a.content_hash());
    // A cumulative delta since a names what changed and changed back, and brings either state to a.
    let touched = b.diff(&a);
    let cumulative = a.delta_of(touched.heads());
    assert_eq!(a.apply(&cumulative).unwrap().0, a);
    assert_eq!(b.apply(&cumulative).unwrap().0, a);
}

#[test]
fn chunks_are_cut_anew_when_most_lines_are_gone() {
    let mut content = many();
    content.content_hash();
    let keep = |n: usize| n.is_multiple_of(64);
    let keys: Vec<String> = (0..10_000).filter(|n| !keep(*n)).map(|n| format!("flag-{n:05}")).collect();
    for some in keys.chunks(1_000) {
        let drops: Vec<String> =
            some.iter().map(|key| format!("{{\"drop\":\"flag\",\"key\":\"{key}\"}}")).collect();
        let drops: Vec<&str> = drops.iter().map(String::as_str).collect();
        content = content.apply(&delta(&drops).unwrap()).unwrap().0;
        assert_eq!(content.content_hash(), hash_by_definition(&content));
    }
    assert_eq!(content.len(), 157);
    assert!(content.chunks() <= 12, "{}", content.chunks());
}

#[test]
fn one_chunk_that_grows_is_cut() {
    let mut content = Content::default();
    for start in (0..2_000).step_by(100) {
        let lines: Vec<String> = (start..start + 100).map(|n| flag(&format!("flag-{n:05}"), 1)).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        content = content.apply(&delta(&lines).unwrap()).unwrap().0;
    }
    assert_eq!(content.len(), 2_000);
    assert!(content.chunks() >= 2_000 / 192, "{}", content.chunks());
    assert_eq!(content.content_hash(), hash_by_definition(&content));
}

#[test]
fn lines_from_a_builder_hold_no_newline() {
    let lines = [b"{\"flag\":\"a\"}\n{\"flag\":\"b\"}".as_slice()];
    assert_eq!(Content::from_lines(lines.into_iter()).unwrap_err().detail(), "line-head");
}

#[test]
fn debug_shows_no_line() {
    let line = r#"{"flag":"a","values":{"on":"canary"}}"#;
    let before = content(&[]).unwrap();
    let after = content(&[line, &flag("b", 1)]).unwrap();
    assert_eq!(format!("{after:?}"), "Content(2 lines)");
    assert_eq!(format!("{:?}", after.diff(&before)), "DeltaLines { upserts: 2 lines, drops: 0 lines }");
}
