//! Updates: only what changed is compiled, and the result is that of compiling everything.

use flagstone_eval::Snapshot;
use flagstone_model::line::DropLine;

use super::{answer, compile, flag_if};

fn changed(before: &Snapshot, upserts: &[&str], drops: &[&str]) -> (Snapshot, Vec<String>) {
    let drops = drops.iter().map(|line| DropLine::parse(line.as_bytes()).unwrap());
    let update = before.update(upserts.iter().map(|line| line.as_bytes()), drops);
    (update.snapshot, update.changed.iter().map(ToString::to_string).collect())
}

#[test]
fn flags_that_reach_what_changed_are_named() {
    let flag = flag_if("f", r#"{"segment":["s"]}"#);
    let asks = flag_if("g", r#"{"flag":"f","is":["on"]}"#);
    let other = flag_if("h", r#"{"time":{}}"#);
    let before = compile(&[&flag, &asks, &other, r#"{"segment":"s","if":[{"attr":"a","in":[1]}]}"#]);
    let (after, keys) = changed(&before, &[r#"{"segment":"s"}"#], &[]);
    assert_eq!(keys, ["f", "g"]);
    assert!(answer(&after, "g", "{}").contains("TARGETING_MATCH"));
    assert!(answer(&before, "g", "{}").contains("DEFAULT"), "the older snapshot is what it was");
}

#[test]
fn what_changed_since_another_snapshot_is_what_they_do_not_share_and_what_reaches_it() {
    let flag = flag_if("f", r#"{"segment":["s"]}"#);
    let asks = flag_if("g", r#"{"flag":"f","is":["on"]}"#);
    let other = flag_if("h", r#"{"time":{}}"#);
    let segment = r#"{"segment":"s","if":[{"attr":"a","in":[1]}]}"#;
    let one = compile(&[&flag, &asks, &other, segment]);
    let (two, _) = changed(&one, &[r#"{"segment":"s"}"#], &[]);
    let (three, _) = changed(&two, &[], &[r#"{"drop":"flag","key":"h"}"#]);
    let since = |after: &Snapshot, before: &Snapshot| {
        after.changed_since(before).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(since(&one, &one), [""; 0]);
    assert_eq!(since(&two, &one), ["f", "g"]);
    assert_eq!(since(&three, &two), ["h"]);
    assert_eq!(since(&three, &one), ["f", "g", "h"]);
    assert_eq!(since(&one, &three), ["f", "g", "h"]);
    assert_eq!(since(&compile(&[&other]), &compile(&[&other])), ["h"], "nothing is shared");
}

#[test]
fn a_snapshot_names_its_flags_and_knows_whether_it_has_any() {
    let (a, b) = (flag_if("a", r#"{"time":{}}"#), flag_if("b", r#"{"time":{}}"#));
    let snapshot = compile(&[&b, &a, r#"{"segment":"s"}"#, r#"{"flag":"unreadable"}"#]);
    let mut keys: Vec<_> = snapshot.flag_keys().map(|key| &**key).collect();
    keys.sort_unstable();
    assert_eq!((keys.as_slice(), snapshot.is_empty()), (["a", "b", "unreadable"].as_slice(), false));
    assert!(compile(&[r#"{"segment":"s"}"#]).is_empty());
}

#[test]
fn debug_shows_no_operand_value_or_salt() {
    let flag = r#"{"flag":"f","type":"string","rev":1,"on":true,"values":{"on":"canary"},"rules":[{"id":"r","if":[{"attr":"a","in":["canary"]},{"attr":"a","hashed":{"salt":"canary","in":["0123456789ab"]}}],"split":{"salt":"canary","ranges":[[0,100000,"on"]]}}]}"#;
    let segment = r#"{"segment":"s","if":[{"attr":"a","ends":["canary"]}]}"#;
    let snapshot = compile(&[flag, segment]);
    assert_eq!(format!("{snapshot:?}"), "Snapshot(1 flags, 1 segments, 0 lists)");
}

#[test]
fn what_is_dropped_is_gone_and_references_to_it_dangle() {
    let (flag, parent) = (flag_if("f", r#"{"flag":"p","is":["on"]}"#), flag_if("p", r#"{"time":{}}"#));
    let before = compile(&[&flag, &parent]);
    let (after, keys) = changed(&before, &[], &[r#"{"drop":"flag","key":"p"}"#]);
    assert_eq!(keys, ["f", "p"]);
    assert!(answer(&after, "p", "{}").contains("FLAG_NOT_FOUND"));
    assert!(answer(&after, "f", "{}").contains("UNKNOWN"));
    assert_eq!(after.broken_references()[0].code, "dangling");
    let (same, keys) = changed(&after, &[], &[r#"{"drop":"flag","key":"p"}"#]);
    assert!(keys.is_empty(), "dropping what is absent changes nothing");
    assert_eq!(same.len(), 1);
}

#[test]
fn a_segment_that_is_dropped_is_not_understood_where_it_is_named() {
    let (flag, segment) = (flag_if("f", r#"{"segment":["s"]}"#), r#"{"segment":"s"}"#);
    let before = compile(&[&flag, segment, r#"{"segment":"t","if":[{"segment":["s"]}]}"#]);
    assert!(answer(&before, "f", "{}").contains("TARGETING_MATCH"));
    let (after, keys) = changed(&before, &[], &[r#"{"drop":"segment","key":"s"}"#]);
    assert_eq!(keys, ["f"]);
    assert!(answer(&after, "f", "{}").contains("UNKNOWN"));
    // What the dropped one named is named no more, by it.
    let (after, _) = changed(&after, &[], &[r#"{"drop":"segment","key":"t"}"#]);
    assert_eq!(after.broken_references().len(), 1);
    let (back, keys) = changed(&after, &[segment], &[]);
    assert_eq!(keys, ["f"]);
    assert!(answer(&back, "f", "{}").contains("TARGETING_MATCH"));
}

#[test]
fn a_cycle_comes_and_goes_with_the_line_that_closes_it() {
    let a = flag_if("a", r#"{"flag":"b","is":["on"]}"#);
    let (open, closed) = (flag_if("b", r#"{"time":{}}"#), flag_if("b", r#"{"flag":"a","is":["on"]}"#));
    let snapshot = compile(&[&a, &open]);
    let (cyclic, _) = changed(&snapshot, &[&closed], &[]);
    assert!(answer(&cyclic, "a", "{}").contains("UNKNOWN"));
    let (mended, _) = changed(&cyclic, &[&open], &[]);
    assert!(answer(&mended, "a", "{}").contains("TARGETING_MATCH"));
}

#[test]
fn a_line_that_becomes_unreadable_costs_its_flag_until_it_is_mended() {
    let before = compile(&[&flag_if("f", r#"{"time":{}}"#)]);
    let (bad, keys) = changed(&before, &[r#"{"flag":"f","#], &[]);
    assert_eq!(keys, ["f"]);
    assert!(answer(&bad, "f", "{}").contains("PARSE_ERROR"));
    let (mended, _) = changed(&bad, &[&flag_if("f", r#"{"time":{}}"#)], &[]);
    assert!(answer(&mended, "f", "{}").contains("TARGETING_MATCH"));
}

#[test]
fn many_updates_give_what_compiling_the_last_state_gives() {
    let line = |n: usize, round: usize| {
        let condition =
            if (n + round).is_multiple_of(3) { r#"{"time":{}}"# } else { r#"{"attr":"x","in":[1]}"# };
        flag_if(&format!("f{n}"), condition)
    };
    let first: Vec<String> = (0..300).map(|n| line(n, 0)).collect();
    let mut snapshot = compile(&first.iter().map(String::as_str).collect::<Vec<_>>());
    let mut last = first;
    for round in 1..50 {
        let n = round * 37 % 300;
        last[n] = line(n, round);
        snapshot = changed(&snapshot, &[&last[n].clone()], &[]).0;
    }
    let compiled = compile(&last.iter().map(String::as_str).collect::<Vec<_>>());
    for n in 0..300 {
        let flag = format!("f{n}");
        assert_eq!(answer(&snapshot, &flag, "{}"), answer(&compiled, &flag, "{}"));
    }
}
