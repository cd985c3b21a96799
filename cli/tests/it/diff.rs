//! `diff`: whom a change would move, in words and as JSON, and that nothing is changed.

use std::fs;

use crate::support::*;

/// A flag `search` that is on for everybody.
fn dev(directory: &std::path::Path) -> Dev {
    let dev = Dev::start(&directory.join("data"));
    dev.done(&["flag", "create", "search"]);
    dev.done(&["on", "search"]);
    dev
}

#[test]
fn a_rollout_is_told_exactly_and_by_example() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let before = dev.done(&["flag", "show", "search"]).to_string();
    // The buckets of the salt `search`: `u-3` lies in 93920, 42 in 40458 (FORMAT M-12.8).
    let file = place.path().join("users.jsonl");
    fs::write(&file, "{\"targetingKey\":\"u-3\"}\n\n{\"targetingKey\":42}\n{\"plan\":\"pro\"}\n").unwrap();
    let file = file.to_str().unwrap();
    let change = ["diff", "search", "--rollout", "50", "--variation", "off", "--contexts", file];
    let ran = dev.run(&[&change[..], &["--at", "2026-12-01T09:00:00Z"]].concat());
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (
            0,
            "flag search in production: updated\n\
             over 3 contexts in production at 2026-12-01T09:00:00Z: 1 moves\n\
             \n\
             search: 1 moves; 2 are served the same for another reason\n  \
             exactly 50 % of all units move from on to off (50000 of 100000 buckets)\n  \
             from         to                      contexts  such as\n  \
             on (STATIC)  off (SPLIT by rollout)  1         42\n"
        ),
        "{}",
        ran.err
    );
    let told = dev.done(&change);
    assert_eq!(number(&told, &["moved"]), 1);
    assert_eq!(dev.done(&["flag", "show", "search"]).to_string(), before);
}

#[test]
fn a_targeting_a_switch_and_an_entry_can_be_asked_about() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let moved = |args: &[&str]| number(&dev.done(&[&["diff"], args].concat()), &["moved"]);
    assert_eq!(moved(&["search", "--off", "--sample", "25"]), 25);
    assert_eq!(moved(&["search", "--on", "--sample", "25"]), 0);
    let targeting = r#"{"on":true,"off":"off","rules":[{"id":"eu","if":[{"attr":"country","in":["AT"]}],"serve":"off"}],"fallthrough":{"serve":"on"}}"#;
    let some = moved(&["search", "--targeting", targeting, "--sample", "300"]);
    assert!((1..300).contains(&some), "{some}");
    let again = moved(&["search", "--targeting", targeting, "--sample", "300", "--seed", "1"]);
    assert_ne!((some, again), (0, 0));
    dev.done(&["off", "search"]);
    let history = dev.done(&["history", "search"]);
    let seq = number(&at(&history, &["items"]).as_array().unwrap()[1], &["seq"]).to_string();
    assert_eq!(moved(&["search", "--to-seq", &seq, "--sample", "25"]), 25);
    assert_eq!(moved(&["--to-seq", &seq, "--sample", "25"]), 25);
}

#[test]
fn files_are_asked_about_as_plan_reads_them() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let files = place.path().join("files");
    let dir = files.to_str().unwrap();
    dev.done(&["export", "--dir", dir]);
    let ran = dev.run(&["diff", "--dir", dir]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "nothing to do\n"), "{}", ran.err);
    let file = files.join("flags/search.json");
    let text = fs::read_to_string(&file).unwrap();
    // A variation is called `on` too.
    let (definition, targeting) = text.split_once("\"targeting\"").unwrap();
    assert!(targeting.contains("\"on\": true"), "{text}");
    let off = targeting.replacen("\"on\": true", "\"on\": false", 1);
    fs::write(&file, format!("{definition}\"targeting\"{off}")).unwrap();
    let ran = dev.run(&["diff", "--dir", dir, "--sample", "40"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("search: 40 move"), "{}", ran.out);
    assert!(ran.out.contains("exactly 100 % of everybody move from on to off"), "{}", ran.out);
    fs::write(&file, text.replace("\"serve\": \"on\"", "\"serve\": \"of\"")).unwrap();
    let ran = dev.run(&["diff", "--dir", dir]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.err.contains("flags/search.json"), "{}", ran.err);
}

#[test]
fn a_new_phase_is_told_before_it_begins() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let targeting = |on: u32| {
        format!(
            r#"{{"on":true,"off":"off","fallthrough":{{"rollout":{{"weights":{{"on":{on},"off":{}}}}},"experiment":{{"name":"speed"}}}}}}"#,
            100_000 - on
        )
    };
    dev.done(&["flag", "edit", "search", "--targeting", &targeting(50_000)]);
    let ran = dev.run(&["diff", "search", "--targeting", &targeting(20_000), "--sample", "50"]);
    assert!(ran.out.contains("flag search in production: updated\n  new phase: "), "{}{}", ran.out, ran.err);
    let ran = dev.run(&["diff", "search", "--reshuffle", "--rule", "rollout", "--sample", "50"]);
    assert!(ran.out.contains("  new phase: ") && ran.out.contains("speed.2"), "{}{}", ran.out, ran.err);
    let same = dev.done(&["diff", "search", "--reshuffle", "--sample", "50"]);
    assert!(number(&same, &["moved"]) > 0);
    let ran = dev.run(&["diff", "search", "--pause", "--sample", "50"]);
    assert_ne!(ran.code, 0, "no ramp grows: {}", ran.out);
    assert_eq!(dev.run(&["diff", "search", "--off", "--rule", "rollout"]).code, 2);
}

#[test]
fn whatever_changes_is_told_by_its_kind() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    dev.done(&["attribute", "set", "country=public"]);
    dev.done(&["view", "set", "mobile", "--audience", "public", "--include", "tag", "--tag", "app"]);
    let files = place.path().join("files");
    let dir = files.to_str().unwrap();
    dev.done(&["export", "--dir", dir]);
    for (file, from, to) in [("attributes.json", "public", "hashed"), ("views/mobile.json", "app", "tablet")]
    {
        let path = files.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(&format!("\"{from}\""), &format!("\"{to}\""))).unwrap();
    }
    let ran = dev.run(&["diff", "--dir", dir]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.contains("attributes: updated\n") && ran.out.contains("view mobile: updated\n"),
        "{}",
        ran.out
    );

    let keys = place.path().join("keys.txt");
    fs::write(&keys, "u-1\n").unwrap();
    let put = dev.done(&["list", "put", "vips", keys.to_str().unwrap()]);
    let seq = number(&put, &["seq"]).to_string();
    dev.done(&["list", "add", "vips", "u-2"]);
    let ran = dev.run(&["diff", "--to-seq", &seq]);
    assert!(ran.out.contains("list vips in production: updated\n"), "{}{}", ran.out, ran.err);
    let ran = dev.run(&["restore", "--seq", &seq, "--yes"]);
    assert!(ran.out.contains("~ list vips in production: updated\n"), "{}{}", ran.out, ran.err);
}

#[test]
fn a_wrong_file_of_contexts_is_told_by_its_line_and_not_by_what_stands_there() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let file = place.path().join("users.jsonl");
    for (text, wanted) in [
        ("{}\n{\"email\":\"canary@example.com\"\n", "line 2"),
        ("{}\n[\"canary@example.com\"]\n", "line 2"),
        ("\n", "no context"),
        (&"{}\n".repeat(10_001), "more than 10000"),
    ] {
        fs::write(&file, text).unwrap();
        let ran = dev.run(&["diff", "search", "--off", "--contexts", file.to_str().unwrap()]);
        assert_eq!(ran.code, 2, "{}", ran.out);
        assert!(ran.err.contains(wanted) && !ran.err.contains("canary"), "{}", ran.err);
    }
    let ran = dev.run(&["diff", "search"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
}
