//! Lists: membership, edits, and objects that are not there yet (FORMAT M-1.7, M-10.2, M-12.6).

use std::sync::Arc;

use flagstone_eval::{Entity, List, Snapshot};
use flagstone_model::digest::Digest;
use flagstone_model::line::DropLine;

use super::{answer, compile, flag_if, truth_beside};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn digest(text: &str) -> Digest {
    Digest::parse(text).unwrap()
}

fn keys(text: &str) -> Arc<List> {
    Arc::new(List::parse(text.as_bytes()).unwrap())
}

fn line(key: &str, sha256: &str, edits: &str) -> String {
    format!(
        r#"{{"list":"{key}","encoding":"zstd","sha256":"{sha256}","size":9,"raw_size":8,"count":2{edits}}}"#
    )
}

/// What `{"attr":"a","listed":"l"}` says of a value of `a`, with these lists.
fn listed(snapshot: &Snapshot, value: &str) -> &'static str {
    let context = if value == "-" { "{}".to_owned() } else { format!(r#"{{"a":{value}}}"#) };
    truth_beside(snapshot, r#"{"attr":"a","listed":"l"}"#, &context)
}

fn update(snapshot: &Snapshot, lines: &[&str]) -> Snapshot {
    snapshot.update(lines.iter().map(|line| line.as_bytes()), []).snapshot
}

#[test]
fn listed_asks_whether_the_list_holds_the_unit() {
    let snapshot = compile(&[&line("l", A, "")]).with_list(digest(A), &keys("42\nu-1\nu-2\n"));
    for (value, expected) in [
        (r#""u-1""#, "true"),
        (r#""u-2""#, "true"),
        (r#""u-""#, "false"),
        (r#""u-3""#, "false"),
        (r#""U-1""#, "false"),
        ("42", "true"),
        ("42.0", "true"),
        (r#""42""#, "true"),
        ("43", "false"),
        ("4.2", "unknown"),
        ("9007199254740992", "unknown"),
        ("true", "unknown"),
        (r#""""#, "unknown"),
        ("{}", "unknown"),
        ("null", "unknown"),
        ("-", "unknown"),
        (r#"["x","u-1"]"#, "true"),
        (r#"["x",true]"#, "unknown"),
        ("[]", "false"),
    ] {
        assert_eq!(listed(&snapshot, value), expected, "{value}");
    }
}

#[test]
fn edits_are_of_the_base() {
    let edits = r#","add":["u-9","u-1","ä"],"drop":["u-2","u-9","u-7"]"#;
    let snapshot = compile(&[&line("l", A, edits)]).with_list(digest(A), &keys("u-1\nu-2\nu-3\n"));
    for (value, expected) in [
        ("u-1", "true"),
        ("u-2", "false"),
        ("u-3", "true"),
        ("u-7", "false"),
        ("u-9", "true"),
        ("ä", "true"),
        ("u-8", "false"),
    ] {
        assert_eq!(listed(&snapshot, &format!("\"{value}\"")), expected, "{value}");
    }
}

#[test]
fn without_its_list_or_object_the_whole_leaf_is_unsupported() {
    let nothing = compile(&[]);
    let unfetched = compile(&[&line("l", A, r#","add":["u-1"]"#)]);
    let unreadable = compile(&[r#"{"list":"l"}"#]);
    let elsewhere = compile(&[&line("other", A, "")]).with_list(digest(A), &keys("u-1\n"));
    for snapshot in [&nothing, &unfetched, &unreadable, &elsewhere] {
        for value in [r#""u-1""#, r#""u-2""#, "true", "-", "[]"] {
            assert_eq!(listed(snapshot, value), "unsupported", "{value}");
        }
        // Whatever else the leaf says, and `absent` stands in for unknown alone.
        for beside in [r#""exists":false"#, r#""in":["x"]"#, r#""absent":true"#] {
            let snapshot =
                update(snapshot, &[&flag_if("f", &format!(r#"{{"attr":"a","listed":"l",{beside}}}"#))]);
            assert!(answer(&snapshot, "f", r#"{"a":"y"}"#).contains("UNKNOWN"), "{beside}");
        }
    }
    assert_eq!(
        listed(&unfetched.with_list(digest(B), &keys("u-2\n")), r#""u-2""#),
        "unsupported",
        "another object"
    );
    assert_eq!(
        listed(&unfetched.with_list(digest(A), &keys("u-2\n")), r#""u-1""#),
        "true",
        "held, its edits count"
    );
}

#[test]
fn objects_that_are_named_and_not_held_are_wanted() {
    let lines = [line("l", A, ""), line("k", B, ""), line("m", A, "")];
    let snapshot = compile(&[&lines[0], &lines[1], &lines[2], r#"{"list":"bad"}"#]);
    let wanted = |snapshot: &Snapshot| {
        snapshot
            .wanted_lists()
            .iter()
            .map(|wanted| (wanted.key.to_string(), wanted.sha256, wanted.is_served))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        wanted(&snapshot),
        [("k".into(), digest(B), false), ("l".into(), digest(A), false), ("m".into(), digest(A), false)]
    );
    let first = &snapshot.wanted_lists()[0];
    assert_eq!((first.size, first.raw_size), (9, 8));
    // One object serves every list that names it.
    let held = snapshot.with_list(digest(A), &keys("u-1\n"));
    assert_eq!(wanted(&held), [("k".into(), digest(B), false)]);
    assert_eq!(wanted(&snapshot).len(), 3, "the older snapshot is what it was");
    assert!(wanted(&held.with_list(digest(B), &keys(""))).is_empty());
}

#[test]
fn lists_are_wanted_within_a_limit_in_the_order_of_their_keys() {
    const C: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
    // Two objects of 8 bytes, one of 9 between them, and one of 8 that counts once.
    let larger = line("k", C, "").replace("\"raw_size\":8", "\"raw_size\":9");
    let snapshot = compile(&[&line("j", A, ""), &larger, &line("l", B, ""), &line("m", A, "")]);
    let wanted = |snapshot: &Snapshot, bytes| {
        let wanted = snapshot.wanted_lists_within(bytes);
        wanted.iter().map(|wanted| wanted.key.to_string()).collect::<Vec<_>>()
    };
    for (bytes, keys) in [
        (7, &[][..]),
        (8, &["j", "m"]),
        (15, &["j", "m"]),
        (16, &["j", "l", "m"]),
        (17, &["j", "k", "m"]),
        (24, &["j", "k", "m"]),
        (25, &["j", "k", "l", "m"]),
    ] {
        assert_eq!(wanted(&snapshot, bytes), keys, "{bytes}");
    }
    // What is held counts, so that whoever comes later holds the same.
    let held = snapshot.with_list(digest(A), &keys("u-1\n"));
    assert_eq!(wanted(&held, 16), ["l"]);
    assert_eq!(wanted(&held, 15), [""; 0]);
}

#[test]
fn what_is_named_is_what_lines_name_and_what_serves_in_its_place() {
    let before = compile(&[&line("l", A, "")]).with_list(digest(A), &keys("u-1\n"));
    let after = update(&before, &[&line("l", B, "")]);
    assert_eq!(after.named_lists(), [digest(A), digest(B)].into());
    assert_eq!(after.with_list(digest(B), &keys("")).named_lists(), [digest(B)].into());
}

#[test]
fn a_list_whose_new_object_is_not_there_is_what_it_was_with_its_edits() {
    let before = compile(&[&line("l", A, r#","add":["u-9"],"drop":["u-1"]"#)])
        .with_list(digest(A), &keys("u-1\nu-2\n"));
    let says =
        |snapshot: &Snapshot| ["u-1", "u-2", "u-3", "u-9"].map(|key| listed(snapshot, &format!("\"{key}\"")));
    assert_eq!(says(&before), ["false", "true", "false", "true"]);
    let based = update(&before, &[&line("l", B, r#","drop":["u-2"]"#)]);
    assert_eq!(says(&based), says(&before), "the previous keys serve");
    assert_eq!(based.wanted_lists()[0].sha256, digest(B));
    assert!(based.wanted_lists()[0].is_served);
    // Again, while it is still on its way.
    let again = update(&based, &[&line("l", B, r#","add":["u-1"]"#)]);
    assert_eq!(says(&again), says(&before));
    let fetched = again.with_list(digest(B), &keys("u-3\n"));
    assert_eq!(says(&fetched), ["true", "false", "true", "false"]);
    assert!(fetched.wanted_lists().is_empty());
    // Edits of a held object hold at once, and so does the way back to one that still serves.
    let edited = update(&fetched, &[&line("l", B, r#","drop":["u-3"]"#)]);
    assert_eq!(says(&edited), ["false"; 4]);
    let back = update(&based, &[&line("l", A, "")]);
    assert_eq!(says(&back), ["true", "true", "false", "false"]);
    assert!(back.wanted_lists().is_empty());
}

#[test]
fn an_object_that_another_list_holds_is_taken_from_there() {
    let before = compile(&[&line("l", A, ""), &line("m", B, "")]);
    let before = before.with_list(digest(A), &keys("u-1\n")).with_list(digest(B), &keys("u-2\n"));
    // Both change at once, and in either order each finds the other's.
    for lines in [[line("l", B, ""), line("m", A, "")], [line("m", A, ""), line("l", B, "")]] {
        let after = update(&before, &[&lines[0], &lines[1]]);
        assert!(after.wanted_lists().is_empty());
        assert_eq!([listed(&after, r#""u-1""#), listed(&after, r#""u-2""#)], ["false", "true"]);
    }
    let new = update(&before, &[&line("new", A, "")]);
    assert!(new.wanted_lists().is_empty());
}

#[test]
fn a_list_that_is_dropped_or_cannot_be_read_any_more_is_gone() {
    let before = compile(&[&line("l", A, "")]).with_list(digest(A), &keys("u-1\n"));
    assert_eq!(listed(&before, r#""u-1""#), "true");
    let drop = DropLine::parse(br#"{"drop":"list","key":"l"}"#).unwrap();
    let dropped = before.update([], [drop]).snapshot;
    assert_eq!(listed(&dropped, r#""u-1""#), "unsupported");
    assert_eq!(listed(&update(&before, &[r#"{"list":"l","count":"many"}"#]), r#""u-1""#), "unsupported");
    let again = update(&dropped, &[&line("l", A, "")]);
    assert_eq!(again.wanted_lists().len(), 1);
}

#[test]
fn flags_that_reach_a_changed_list_are_named() {
    let segment = r#"{"segment":"s","if":[{"attr":"a","listed":"l"}]}"#;
    let flags = [
        flag_if("f", r#"{"segment":["s"]}"#),
        flag_if("g", r#"{"attr":"a","listed":"l"}"#),
        flag_if("h", r#"{"attr":"a","listed":"m"}"#),
    ];
    let before = compile(&[segment, &flags[0], &flags[1], &flags[2], &line("l", A, "")]);
    let changed =
        |update: flagstone_eval::Update| update.changed.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(changed(before.update([line("l", A, r#","add":["x"]"#).as_bytes()], [])), ["f", "g"]);
    let drop = DropLine::parse(br#"{"drop":"list","key":"l"}"#).unwrap();
    assert_eq!(changed(before.update([], [drop])), ["f", "g"]);
    let broken: Vec<_> =
        before.broken_references().into_iter().map(|broken| (broken.to, broken.code)).collect();
    assert_eq!(broken, [(Entity::List("m".into()), "dangling")]);
}

#[test]
fn a_line_of_a_list_says_all_of_its_object() {
    let read = |line: &str| Snapshot::compile([line.as_bytes()]).1.is_clean();
    let good = line("l", A, r#","add":["b","a"],"drop":[]"#);
    assert!(read(&good));
    for (from, to) in [
        ("zstd", "gzip"),
        (r#""encoding":"zstd","#, ""),
        (A, "aa"),
        (r#""size":9,"#, ""),
        (r#""size":9"#, r#""size":-1"#),
        (r#""size":9"#, r#""size":"9""#),
        (r#""raw_size":8,"#, ""),
        (r#""raw_size":8"#, r#""raw_size":0.5"#),
        (r#","count":2"#, ""),
        (r#""count":2"#, r#""count":null"#),
        (r#""add":["b","a"]"#, r#""add":["b",1]"#),
        (r#""add":["b","a"]"#, r#""add":{}"#),
        (r#""drop":[]"#, r#""drop":"a""#),
        (r#""drop":[]"#, r#""drop":[],"regex":"a""#),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good);
        assert!(!read(&bad), "{bad}");
    }
    let (_, report) = Snapshot::compile([good.replace("zstd", "gzip").as_bytes()]);
    assert_eq!((&*report.problems[0].kind, &*report.problems[0].pointer), ("list", "/encoding"));
}

#[test]
fn a_flag_that_asks_only_a_list_is_evaluated_without_a_clock() {
    let snapshot = compile(&[&flag_if("f", r#"{"attr":"a","listed":"l"}"#)]);
    let context = flagstone_model::context::Context::new();
    snapshot.evaluate_when("f", None, &context, || panic!("the time does not matter"));
}

#[test]
fn debug_shows_no_key_of_a_list() {
    let snapshot = compile(&[&line("l", A, r#","add":["mina@example.com"],"drop":["lea@example.com"]"#)]);
    let shown = format!("{:?}", snapshot.with_list(digest(A), &keys("lea@example.com\nmax@example.com\n")));
    assert_eq!(shown, "Snapshot(0 flags, 0 segments, 1 lists)");
}

#[test]
fn a_list_costs_no_evaluation_at_the_end_of_the_longest_chain() {
    let chain = |length: usize| {
        let mut lines = vec![flag_if("f0", r#"{"attr":"a","listed":"l"}"#), line("l", A, "")];
        lines.extend(
            (1..length)
                .map(|n| flag_if(&format!("f{n}"), &format!(r#"{{"flag":"f{}","is":["on"]}}"#, n - 1))),
        );
        let snapshot = compile(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let snapshot = snapshot.with_list(digest(A), &keys("u-1\n"));
        answer(&snapshot, &format!("f{}", length - 1), r#"{"a":"u-1"}"#)
    };
    assert!(chain(256).contains("TARGETING_MATCH"));
    assert!(chain(257).contains("UNKNOWN"));
}
