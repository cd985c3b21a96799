//! Segments, prerequisites, cycles, and how far references are followed.

use super::{answer, compile, flag_if, truth};

fn of(lines: &[&str], flag: &str, context: &str) -> &'static str {
    let answer = answer(&compile(lines), flag, context);
    if answer.contains("UNKNOWN") {
        "unsupported"
    } else if answer.contains("\"variation\":\"on\"") {
        "true"
    } else {
        "not true"
    }
}

#[test]
fn one_is_in_a_segment_or_not() {
    let segment = r#"{"segment":"staff","if":[{"attr":"email","ends":["@acme.com"]}]}"#;
    let (straight, negated) =
        (flag_if("f", r#"{"segment":["staff"]}"#), flag_if("g", r#"{"not":{"segment":["staff"]}}"#));
    let lines = [segment, straight.as_str(), negated.as_str()];
    assert_eq!(of(&lines, "f", r#"{"email":"x@acme.com"}"#), "true");
    assert_eq!(of(&lines, "f", "{}"), "not true");
    // Unknown inside is false, so its negation is true.
    assert_eq!(of(&lines, "g", "{}"), "true");
}

#[test]
fn a_segment_without_conditions_is_everybody_and_a_missing_one_is_unsupported() {
    let both = flag_if("f", r#"{"segment":["nobody-wrote-this","all"]}"#);
    assert_eq!(of(&[&both, r#"{"segment":"all"}"#], "f", "{}"), "true");
    assert_eq!(of(&[&both], "f", "{}"), "unsupported");
    assert_eq!(truth(r#"{"segment":["missing"]}"#, "{}"), "unsupported");
}

#[test]
fn a_segment_that_cannot_be_read_is_unsupported_where_it_is_asked() {
    let flag = flag_if("f", r#"{"segment":["s"]}"#);
    for segment in [
        r#"{"segment":"s","if":{}}"#,
        r#"{"segment":"s","include":["u"]}"#,
        r#"{"segment":"s","if":[],"if":[]}"#,
        r#"{"segment":"s","if":["#,
        r#"{"segment":"s","if":[{"attr":"a","geo":1}]}"#,
    ] {
        assert_eq!(of(&[&flag, segment], "f", "{}"), "unsupported", "{segment}");
    }
}

const PARENT: &str = r#"{"flag":"p","type":"string","rev":1,"on":true,"values":{"x":"X","y":"Y"},"off":"y","rules":[{"id":"r","if":[{"attr":"a","in":[1]}],"serve":"x"}]}"#;

#[test]
fn a_prerequisite_counts_whatever_it_serves() {
    let lines =
        [PARENT, &flag_if("f", r#"{"flag":"p","is":["x"]}"#), &flag_if("g", r#"{"flag":"p","is":["y"]}"#)];
    assert_eq!(of(&lines, "f", r#"{"a":1}"#), "true");
    // No variation is never in `is`.
    assert_eq!(of(&lines, "f", "{}"), "not true");
    assert_eq!(of(&lines, "g", "{}"), "not true");
    // Off, its off variation counts as served.
    let off = PARENT.replace("\"on\":true", "\"on\":false");
    assert_eq!(of(&[&off, lines[2]], "g", "{}"), "true");
}

#[test]
fn an_undecidable_or_failing_prerequisite_is_unsupported() {
    let child = flag_if("f", r#"{"flag":"p","is":["x"]}"#);
    assert_eq!(of(&[&child], "f", "{}"), "unsupported");
    for parent in [
        PARENT.replace("\"type\":\"string\"", "\"type\":\"int\""),
        PARENT.replace("\"rev\":1", "\"rev\":1,\"new\":1"),
        PARENT.replace("\"in\":[1]", "\"geo\":[1]"),
        PARENT
            .replace("\"serve\":\"x\"", "\"split\":{\"salt\":\"s\",\"ranges\":[]}")
            .replace("\"if\":[{\"attr\":\"a\",\"in\":[1]}],", ""),
    ] {
        assert_eq!(of(&[&parent, &child], "f", "{}"), "unsupported", "{parent}");
    }
    for condition in [
        r#"{"flag":"p"}"#,
        r#"{"flag":"p","is":"x"}"#,
        r#"{"flag":"p","is":["x"],"n":1}"#,
        r#"{"flag":7,"is":[]}"#,
    ] {
        assert_eq!(of(&[PARENT, &flag_if("f", condition)], "f", "{}"), "unsupported", "{condition}");
    }
}

#[test]
fn every_reference_on_a_cycle_is_unsupported_and_one_into_it_is_followed() {
    let a = flag_if("a", r#"{"any":[{"attr":"x","in":[1]},{"flag":"b","is":["on"]}]}"#);
    let b = flag_if("b", r#"{"segment":["s"]}"#);
    let s = r#"{"segment":"s","if":[{"flag":"a","is":["on"]}]}"#;
    let outside = flag_if("o", r#"{"flag":"a","is":["on"]}"#);
    let lines = [a.as_str(), &b, s, &outside];
    for flag in ["a", "b", "o"] {
        assert_eq!(of(&lines, flag, "{}"), "unsupported", "{flag}");
    }
    // `a` is decided without its reference, and so is whoever asks it from outside.
    assert_eq!(of(&lines, "a", r#"{"x":1}"#), "true");
    assert_eq!(of(&lines, "o", r#"{"x":1}"#), "true");
    assert_eq!(of(&lines, "b", r#"{"x":1}"#), "unsupported");
    let broken = compile(&lines).broken_references();
    assert_eq!(broken.len(), 3);
    assert!(broken.iter().all(|reference| reference.code == "cycle"));
}

#[test]
fn what_cannot_be_read_closes_no_cycle_in_whatever_order_its_members_stand() {
    let a = flag_if("a", r#"{"flag":"b","is":["on"]}"#);
    let (back, first) =
        (r#"{"flag":"a","is":["on"]}"#, r#"{"id":"r","if":[{"attr":"x","in":[1]}],"serve":"on"}"#);
    let unreadable_rules = [
        format!(r#"{{"id":"u","if":[{back}],"serve":"on","new":1}}"#),
        format!(r#"{{"new":1,"id":"u","if":[{back}],"serve":"on"}}"#),
        format!(r#"{{"if":[{back}],"serve":"on"}}"#),
    ];
    for rule in unreadable_rules {
        let b = format!(
            r#"{{"flag":"b","type":"bool","rev":1,"on":true,"values":{{"off":false,"on":true}},"off":"off","rules":[{first},{rule}]}}"#
        );
        assert_eq!(of(&[&a, &b], "a", r#"{"x":1}"#), "true", "{rule}");
        assert_eq!(of(&[&a, &b], "a", "{}"), "unsupported", "{rule}");
    }
    let b = flag_if("b", r#"{"any":[{"attr":"x","in":[1]},{"segment":["s"]}]}"#);
    for segment in [
        format!(r#"{{"segment":"s","if":[{back}],"new":1}}"#),
        format!(r#"{{"segment":"s","new":1,"if":[{back}]}}"#),
    ] {
        assert_eq!(of(&[&a, &b, &segment], "a", r#"{"x":1}"#), "true", "{segment}");
        assert_eq!(of(&[&a, &b, &segment], "a", "{}"), "unsupported", "{segment}");
    }
}

#[test]
fn a_diamond_is_evaluated() {
    let lines = [
        flag_if("d", r#"{"time":{}}"#),
        flag_if("b", r#"{"flag":"d","is":["on"]}"#),
        flag_if("c", r#"{"flag":"d","is":["on"]}"#),
        flag_if("a", r#"{"all":[{"flag":"b","is":["on"]},{"flag":"c","is":["on"]}]}"#),
    ];
    assert_eq!(of(&lines.each_ref().map(String::as_str), "a", "{}"), "true");
}

/// The longest chain that is followed, each link under as many connectives as a condition may have.
#[test]
fn the_longest_chain_fits_a_thread_of_two_megabytes() {
    let nest = |inner: &str| format!("{}{inner}{}", r#"{"all":["#.repeat(8), "]}".repeat(8));
    let mut lines = vec![flag_if("f0", r#"{"time":{}}"#)];
    for n in 1..300 {
        lines.push(flag_if(&format!("f{n}"), &nest(&format!(r#"{{"flag":"f{}","is":["on"]}}"#, n - 1))));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let snapshot = compile(&lines);
    let answers = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || (answer(&snapshot, "f255", "{}"), answer(&snapshot, "f256", "{}")))
        .unwrap()
        .join()
        .unwrap();
    assert!(answers.0.contains("TARGETING_MATCH"));
    assert!(answers.1.contains("UNKNOWN"));
}

/// A kill switch at the root of a chain: each need is evaluated once, or this would not end.
#[test]
fn a_root_that_is_off_costs_the_length_of_the_chain_behind_it() {
    let off =
        r#"{"flag":"n0","type":"bool","rev":1,"on":false,"values":{"off":false,"on":true},"off":"off"}"#;
    let mut lines = vec![off.to_owned()];
    for n in 1..256 {
        lines.push(format!(
            r#"{{"flag":"n{n}","type":"bool","rev":1,"on":true,"values":{{"off":false,"on":true}},"off":"off","needs":[{{"flag":"n{}","is":["on"]}},{{"time":{{}}}}],"fallthrough":"on"}}"#,
            n - 1
        ));
    }
    let snapshot = compile(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(snapshot.broken_references().is_empty());
    assert!(answer(&snapshot, "n255", "{}").contains("DISABLED"));
}

#[test]
fn each_mention_counts_towards_how_far_references_are_followed() {
    let thousand = |flag: &str| {
        let mentions = vec![format!(r#"{{"flag":"{flag}","is":["off"]}}"#); 1_000];
        format!(r#"{{"all":[{}]}}"#, mentions.join(","))
    };
    let lines = [
        flag_if("f0", r#"{"attr":"x","in":[1]}"#),
        flag_if("f1", &thousand("f0")),
        flag_if("f2", &thousand("f1")),
    ];
    let snapshot = compile(&lines.each_ref().map(String::as_str));
    assert!(answer(&snapshot, "f1", "{}").contains("TARGETING_MATCH"));
    assert!(answer(&snapshot, "f2", "{}").contains("UNKNOWN"));
    let broken = snapshot.broken_references();
    assert_eq!((broken.len(), broken[0].code), (1, "too-far"), "told once");
}
