//! Experiments, layers, and holdouts: from what people write to lines, and what does not go together.

use flagstone_publisher::state::change::{self, Confirmation, Precondition, Terms};

use crate::project::{Project, flag, json, production, told};

const CONFIRMED: Terms =
    Terms { precondition: Precondition::Any, confirmation: Confirmation::Given, now_ms: 0 };

const INVALID: &str = "invalid-request";

fn with_flags(keys: &[&str]) -> Project {
    let mut project = Project::new();
    for key in keys {
        project.create(&format!(
            r#"{{"key":"{key}","type":"string","variations":{{"control":"Buy","urgent":"Buy now"}}}}"#
        ));
    }
    project
}

/// A targeting with one rule `NAME` that has a share of the layer `checkout`.
fn layered(name: &str, share: &str) -> String {
    format!(
        r#"{{"on":true,"off":"control","rules":[{{"id":"{name}","layer":{{"name":"checkout","share":"{share}"}},"rollout":{{"weights":{{"control":50000,"urgent":50000}}}},"experiment":{{"name":"{name}"}}}}]}}"#
    )
}

fn held_out(share: &str) -> String {
    format!(
        r#"{{"on":true,"off":"control","holdouts":[{{"name":"holdout-q4","share":"{share}","serve":"control"}}],"fallthrough":{{"serve":"urgent"}}}}"#
    )
}

/// The slot of a flag's only rule in its layer.
fn slot(project: &Project, key: &str) -> String {
    let line = project.line(&format!(r#"{{"flag":"{key}""#));
    let (_, rest) = line.split_once(r#""bucket":{"salt":"layer-checkout","in":"#).unwrap();
    rest.split_once('}').unwrap().0.to_owned()
}

#[test]
fn the_experiment_of_the_worked_example_becomes_its_line() {
    let mut project = with_flags(&["cta", "banner"]);
    project.put("banner", &layered("banner", "20%"));
    let targeting = r#"{"on":true,"off":"control","holdouts":[{"name":"holdout-q4","id":"holdout","share":"5%","serve":"control"}],
        "rules":[{"id":"cta-test","if":[{"attr":"plan","in":["free"]}],"layer":{"name":"checkout","share":"40%"},"rollout":{"weights":{"control":"50%","urgent":"50%"}},"experiment":{"name":"cta-test"}}],
        "fallthrough":{"serve":"control"}}"#;
    project.put("cta", targeting);
    let reshuffled =
        change::reshuffle(&project.state, &production(), &flag("cta"), &json("{}"), Terms::default())
            .unwrap();
    project.record(reshuffled);
    for on in [false, true, false, true, true] {
        let edits = change::switch(&project.state, &production(), &flag("cta"), on, Terms::default());
        project.record(edits.unwrap());
    }
    // FORMAT M-12.3, to the byte.
    assert_eq!(
        project.line(r#"{"flag":"cta""#),
        r#"{"flag":"cta","type":"string","rev":8,"on":true,"values":{"control":"Buy","urgent":"Buy now"},"off":"control","rules":[{"id":"holdout","if":[{"bucket":{"salt":"holdout-q4","in":[[0,5000]]}}],"serve":"control","exp":"holdout-q4"},{"id":"cta-test","if":[{"attr":"plan","in":["free"]},{"bucket":{"salt":"layer-checkout","in":[[20000,60000]]}}],"split":{"salt":"cta-test.2","ranges":[[0,50000,"control"],[50000,100000,"urgent"]]},"exp":"cta-test.2"}],"fallthrough":"control"}"#
    );
    // What was written is what is read back.
    let authored =
        &project.state.environment("production").unwrap().live_flag("cta").unwrap().targeting.authored;
    assert_eq!(
        authored.to_json().to_string(),
        r#"{"on":true,"off":"control","holdouts":[{"name":"holdout-q4","id":"holdout","share":5000,"serve":"control"}],"rules":[{"id":"cta-test","if":[{"attr":"plan","in":["free"]}],"layer":{"name":"checkout","share":40000},"rollout":{"weights":{"control":50000,"urgent":50000}},"experiment":{"name":"cta-test"}}],"fallthrough":{"serve":"control"}}"#
    );
}

#[test]
fn an_experiment_may_cover_a_part_and_the_others_go_on() {
    let mut project = with_flags(&["x"]);
    let targeting = |weights: &str, experiment: &str| {
        format!(
            r#"{{"on":true,"off":"control","rules":[{{"id":"r","rollout":{{"weights":{weights}}}{experiment}}}],"fallthrough":{{"serve":"control"}}}}"#
        )
    };
    let experiment = r#","experiment":{"name":"e"}"#;
    project.put("x", &targeting(r#"{"control":"10%","urgent":"10%"}"#, experiment));
    assert!(project.line(r#"{"flag":"x""#).contains(
        r#""split":{"salt":"e.1","ranges":[[0,10000,"control"],[10000,20000,"urgent"]]},"exp":"e.1"}"#
    ));
    let refused = |targeting: &str| told(project.try_put("x", targeting));
    assert_eq!(
        refused(&targeting(r#"{"control":"10%","urgent":"10%"}"#, "")),
        [(INVALID, "/rules/0/rollout/weights".to_owned())]
    );
    assert_eq!(
        refused(&targeting(r#"{"control":"90%","urgent":"10.001%"}"#, experiment)),
        [(INVALID, "/rules/0/rollout/weights".to_owned())]
    );
    // Of a fallthrough nothing is left to go on to.
    assert_eq!(
        refused(
            r#"{"on":true,"fallthrough":{"rollout":{"weights":{"control":1}},"experiment":{"name":"e"}}}"#
        ),
        [(INVALID, "/fallthrough/rollout/weights".to_owned())]
    );
}

#[test]
fn a_fallthrough_and_a_ramp_may_be_experiments_and_a_constant_fallthrough_not() {
    let mut project = with_flags(&["x"]);
    project.put("x", r#"{"on":true,"off":"control","rules":[{"id":"r","ramp":{"rollout":{"weights":{"control":5000,"urgent":5000}},"steps":[["2026-12-01T09:00:00Z",1000]]},"experiment":{"name":"a"}}],"fallthrough":{"rollout":{"weights":{"control":50000,"urgent":50000}},"experiment":{"name":"b"}}}"#);
    let line = project.line(r#"{"flag":"x""#);
    assert!(line.contains(r#""if":[{"bucket":{"salt":"a.1.ramp","ramp":[["2026-12-01T09:00:00Z",1000]]}}],"split":{"salt":"a.1","ranges":[[0,5000,"control"],[5000,10000,"urgent"]]},"exp":"a.1"}"#), "{line}");
    assert!(line.contains(r#"{"id":"rollout","split":{"salt":"b.1","ranges":[[0,50000,"control"],[50000,100000,"urgent"]]},"exp":"b.1"}"#), "{line}");
    assert_eq!(
        told(
            project
                .try_put("x", r#"{"on":true,"fallthrough":{"serve":"control","experiment":{"name":"e"}}}"#)
        ),
        [(INVALID, "/fallthrough/experiment".to_owned())]
    );
}

#[test]
fn what_is_wrong_with_a_layer_a_holdout_or_an_experiment_is_told_where_it_stands() {
    let project = with_flags(&["x"]);
    let rule = |members: &str| format!(r#"{{"on":true,"rules":[{{"id":"r","serve":"control",{members}}}]}}"#);
    let long = "x".repeat(81);
    for (targeting, at) in [
        (rule(r#""experiment":1"#), "/rules/0/experiment"),
        (rule(r#""experiment":{}"#), "/rules/0/experiment/name"),
        (rule(r#""experiment":{"name":""}"#), "/rules/0/experiment/name"),
        (rule(&format!(r#""experiment":{{"name":"{long}"}}"#)), "/rules/0/experiment/name"),
        (rule(r#""experiment":{"name":"e","phase":2}"#), "/rules/0/experiment/phase"),
        (rule(r#""exp":"e.1""#), "/rules/0/exp"),
        (rule(r#""layer":{"name":"l"}"#), "/rules/0/layer"),
        (rule(r#""layer":{"name":"l","share":1,"in":[[0,1]]}"#), "/rules/0/layer"),
        (rule(r#""layer":{"name":"l","share":0}"#), "/rules/0/layer/share"),
        (rule(r#""layer":{"name":"l","share":"100.1%"}"#), "/rules/0/layer/share"),
        (rule(r#""layer":{"name":"l","in":[]}"#), "/rules/0/layer/in"),
        (rule(r#""layer":{"name":"l","in":[[5,5]]}"#), "/rules/0/layer/in/0"),
        (rule(r#""layer":{"name":"l","in":[[0,100001]]}"#), "/rules/0/layer/in/0"),
        (rule(r#""layer":{"name":"l","in":[[0,5],[4,6]]}"#), "/rules/0/layer/in"),
        (rule(r#""layer":{"share":1}"#), "/rules/0/layer/name"),
        (r#"{"on":true,"holdouts":{}}"#.to_owned(), "/holdouts"),
        (r#"{"on":true,"holdouts":[{"name":"h","share":1}]}"#.to_owned(), "/holdouts/0/serve"),
        (r#"{"on":true,"holdouts":[{"name":"h","serve":"control"}]}"#.to_owned(), "/holdouts/0/share"),
        (r#"{"on":true,"holdouts":[{"name":"h.2","share":1,"serve":"control"}]}"#.to_owned(), "/holdouts/0/name"),
        (r#"{"on":true,"holdouts":[{"name":"rollout","share":1,"serve":"control"}]}"#.to_owned(), "/holdouts/0/name"),
        (r#"{"on":true,"holdouts":[{"name":"h","id":"deny:x","share":1,"serve":"control"}]}"#.to_owned(), "/holdouts/0/id"),
        (r#"{"on":true,"holdouts":[{"name":"h","share":1,"serve":"controll"}]}"#.to_owned(), "/holdouts/0/serve"),
        (
            r#"{"on":true,"holdouts":[{"name":"r","share":1,"serve":"control"}],"rules":[{"id":"r","serve":"control"}]}"#.to_owned(),
            "/holdouts/0/name",
        ),
        (
            r#"{"on":true,"holdouts":[{"name":"h","share":1,"serve":"control"}],"rules":[{"id":"r","serve":"control","experiment":{"name":"h"}}]}"#.to_owned(),
            "/rules/0/experiment/name",
        ),
    ] {
        assert_eq!(told(project.try_put("x", &targeting)), [(INVALID, at.to_owned())], "{targeting}");
    }
}

#[test]
fn p5_a_slot_is_found_where_a_layer_has_room_and_is_kept() {
    let mut project = with_flags(&["a", "b", "c"]);
    project.put("a", &layered("a", "30%"));
    project.put("b", &layered("b", "30%"));
    project.put("c", &layered("c", "40%"));
    assert_eq!(
        ["a", "b", "c"].map(|key| slot(&project, key)),
        ["[[0,30000]]", "[[30000,60000]]", "[[60000,100000]]"]
    );
    // Whoever gives up does so from the top, and what is free is taken where a slot goes on.
    project.put("a", &layered("a", "10%"));
    project.put("c", &layered("c", "30%"));
    project.put("b", &layered("b", "45%"));
    assert_eq!(
        ["a", "b", "c"].map(|key| slot(&project, key)),
        ["[[0,10000]]", "[[10000,25000],[30000,60000]]", "[[60000,90000]]"]
    );
    let slots = ["a", "b", "c"].map(|key| slot(&project, key));
    let edits = change::switch(&project.state, &production(), &flag("a"), false, Terms::default()).unwrap();
    project.record(edits);
    assert_eq!(["a", "b", "c"].map(|key| slot(&project, key)), slots, "a flag that is off keeps its slot");
    assert_eq!(project.refolded().to_lines(), project.state.to_lines());
}

#[test]
fn p5_a_layer_without_room_is_refused_with_what_is_free_and_who_has_the_rest() {
    let mut project = with_flags(&["a", "b"]);
    project.put("a", &layered("first", "70%"));
    let refused = project.try_put("b", &layered("second", "30.001%")).unwrap_err();
    assert_eq!(refused.problems()[0].code, "layer-full");
    assert_eq!(refused.problems()[0].pointer, "/rules/0/layer/share");
    assert_eq!(
        refused.problems()[0].detail,
        "layer `checkout` has 30% left for this, not 30.001%: rule `first` of flag `a` has 70%"
    );
    project.put("b", &layered("second", "30%"));
    assert_eq!(slot(&project, "b"), "[[70000,100000]]");
    // A slot is free again when its rule is gone, or its flag is archived.
    assert!(project.try_put("b", &layered("second", "100%")).is_err());
    let edits = change::archive_flag(&project.state, &flag("a"), Terms::default()).unwrap();
    project.record(edits);
    project.put("b", &layered("second", "100%"));
    assert_eq!(slot(&project, "b"), "[[0,100000]]");
}

#[test]
fn p5_slots_by_number_may_not_overlap_on_any_way_to_write_them() {
    let mut project = with_flags(&["a", "b"]);
    let by_number = |spans: &str| {
        format!(
            r#"{{"on":true,"off":"control","rules":[{{"id":"r","layer":{{"name":"checkout","in":{spans}}},"serve":"control"}}]}}"#
        )
    };
    project.put("a", &by_number("[[0,50000]]"));
    let overlap = |pointer: &str| vec![("layer-overlap", pointer.to_owned())];
    assert_eq!(told(project.try_put("b", &by_number("[[49999,60000]]"))), overlap("/rules/0/layer/in"));
    let both = format!(
        r#"{{"on":true,"rules":[{},{}]}}"#,
        r#"{"id":"r","layer":{"name":"l","in":[[0,5]]},"serve":"control"}"#,
        r#"{"id":"s","layer":{"name":"l","in":[[3,4]]},"serve":"control"}"#
    );
    assert_eq!(told(project.try_put("b", &both)), overlap("/rules/1/layer/in"));
    project.put("b", &by_number("[[50000,60000]]"));
    let before = project.state.seq();
    let change = |key: &str, spans: &str| {
        format!(r#"{{"flag":"{key}","environment":"production","targeting":{}}}"#, by_number(spans))
    };
    // Both at once may do what neither may alone.
    let (a, b) = (change("a", "[[50000,60000]]"), change("b", "[[0,50000]]"));
    assert_eq!(told(project.try_several(&a)), overlap("/changes/0/targeting/rules/0/layer/in"));
    assert_eq!(told(project.try_several(&b)), overlap("/changes/0/targeting/rules/0/layer/in"));
    project.several(&format!("{a},{b}"));
    assert_eq!([slot(&project, "a"), slot(&project, "b")], ["[[50000,60000]]", "[[0,50000]]"]);
    // What an older targeting had may belong to somebody else by now.
    let older =
        project.entries[usize::try_from(before).unwrap() - 1].read_data().unwrap().unwrap().states.remove(0);
    let restored =
        change::restore_targeting(&project.state, &production(), &flag("b"), &older, Terms::default());
    assert_eq!(told(restored), overlap("/seq"));
}

#[test]
fn p5_slots_found_in_one_entry_are_disjoint_whatever_the_order() {
    let change = |key: &str, share: &str| {
        format!(r#"{{"flag":"{key}","environment":"production","targeting":{}}}"#, layered(key, share))
    };
    for order in [["a", "b", "c"], ["c", "a", "b"]] {
        let mut project = with_flags(&["a", "b", "c"]);
        project.put("a", &layered("a", "60%"));
        // `a` gives up what the others get in the same entry.
        let share = |key: &&str| change(key, if *key == "a" { "20%" } else { "40%" });
        project.several(&order.iter().map(share).collect::<Vec<_>>().join(","));
        assert_eq!(
            ["a", "b", "c"].map(|key| slot(&project, key)),
            ["[[0,20000]]", "[[20000,60000]]", "[[60000,100000]]"]
        );
        assert_eq!(project.refolded().to_lines(), project.state.to_lines());
    }
}

#[test]
fn p5_all_of_a_layer_is_bucketed_by_one_attribute() {
    let mut project = with_flags(&["a", "b"]);
    project.put("a", &layered("a", "10%"));
    let by_org = layered("b", "10%").replace(r#""name":"checkout""#, r#""name":"checkout","by":"org.key""#);
    assert_eq!(told(project.try_put("b", &by_org)), [("layer-differs", "/rules/0/layer/in".to_owned())]);
}

#[test]
fn a_holdout_is_the_same_in_every_flag_that_has_it() {
    let mut project = with_flags(&["a", "b", "c"]);
    project.put("a", &held_out("5%"));
    project.put("b", &held_out("5%"));
    assert!(project.line(r#"{"flag":"b""#).contains(
        r#""rules":[{"id":"holdout-q4","if":[{"bucket":{"salt":"holdout-q4","in":[[0,5000]]}}],"serve":"control","exp":"holdout-q4"}]"#
    ));
    let differs = |member: &str| vec![("holdout-differs", format!("/holdouts/0/{member}"))];
    assert_eq!(told(project.try_put("b", &held_out("6%"))), differs("share"));
    assert_eq!(told(project.try_put("c", &held_out("6%"))), differs("share"));
    let by_org = held_out("5%").replace(r#""name":"#, r#""by":"org","name":"#);
    assert_eq!(told(project.try_put("c", &by_org)), differs("by"));
    let refused = project.try_put("b", &held_out("6%")).unwrap_err();
    assert_eq!(
        refused.problems()[0].detail,
        "flag `a` has holdout `holdout-q4` with 5%; it is the same in all flags: change them in one request"
    );
    let change = |key: &str| {
        format!(r#"{{"flag":"{key}","environment":"production","targeting":{}}}"#, held_out("6%"))
    };
    assert_eq!(
        told(project.try_several(&change("a"))),
        [("holdout-differs", "/changes/0/targeting/holdouts/0/share".to_owned())]
    );
    project.several(&format!("{},{}", change("a"), change("b")));
    for key in ["a", "b"] {
        assert!(project.line(&format!(r#"{{"flag":"{key}""#)).contains(r#""in":[[0,6000]]"#));
    }
}

#[test]
fn a_flag_that_joins_a_holdout_is_recorded_with_those_that_have_the_same_members() {
    let keys = ["a", "b", "c", "d", "e"];
    let mut project = with_flags(&keys);
    let exp = |project: &Project, key: &str| {
        let line = project.line(&format!(r#"{{"flag":"{key}""#));
        let (_, rest) = line.split_once(r#""exp":""#).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let put = |project: &mut Project, key: &str, targeting: &str| {
        let edits = project.try_put_with(key, targeting, CONFIRMED).unwrap();
        project.record(edits);
    };
    let several = |project: &mut Project, keys: &[&str], targeting: &str| {
        let change =
            |key: &&str| format!(r#"{{"flag":"{key}","environment":"production","targeting":{targeting}}}"#);
        project.several(&keys.iter().map(change).collect::<Vec<_>>().join(","));
    };
    put(&mut project, "a", &held_out("5%"));
    put(&mut project, "b", &held_out("5%"));
    // Other rules of one flag are its own business; other members are that of all.
    put(
        &mut project,
        "a",
        &held_out("5%").replace(r#""holdouts""#, r#""deny":{"control":["u-1"]},"holdouts""#),
    );
    assert_eq!([exp(&project, "a"), exp(&project, "b")], ["holdout-q4.2", "holdout-q4"]);
    several(&mut project, &["a", "b"], &held_out("10%"));
    assert_eq!([exp(&project, "a"), exp(&project, "b")], ["holdout-q4.3", "holdout-q4.3"]);
    put(&mut project, "c", &held_out("10%"));
    assert_eq!(exp(&project, "c"), "holdout-q4.3");
    // Nobody has it any more: whoever has it next has others.
    several(&mut project, &["a", "b", "c"], r#"{"on":true,"off":"control"}"#);
    put(&mut project, "d", &held_out("20%"));
    put(&mut project, "e", &held_out("20%"));
    put(&mut project, "a", &held_out("20%"));
    for key in ["d", "e", "a"] {
        assert_eq!(exp(&project, key), "holdout-q4.4", "{key}");
    }
    assert_eq!(project.refolded().to_lines(), project.state.to_lines());
}

#[test]
fn what_is_recorded_under_a_name_is_one_experiment() {
    let mut project = with_flags(&["a", "b"]);
    let named = |name: &str| {
        format!(
            r#"{{"on":true,"off":"control","rules":[{{"id":"r","rollout":{{"weights":{{"control":50000,"urgent":50000}}}},"experiment":{{"name":"{name}"}}}}]}}"#
        )
    };
    project.put("a", &named("e"));
    assert_eq!(
        told(project.try_put("b", &named("e"))),
        [("experiment-in-use", "/rules/0/experiment/name".to_owned())]
    );
    let holdout = r#"{"on":true,"holdouts":[{"name":"e","share":1,"serve":"control"}]}"#;
    assert_eq!(told(project.try_put("b", holdout)), [("experiment-in-use", "/holdouts/0".to_owned())]);
    // One that moves to another flag goes on counting: its phases there were other users.
    project.put("a", r#"{"on":true,"off":"control"}"#);
    project.put("b", &named("e"));
    assert!(project.line(r#"{"flag":"b""#).contains(r#""exp":"e.2""#));
}

#[test]
fn untracked_users_are_served_by_a_rule_of_the_same_salt_over_the_gaps() {
    // FORMAT M-7.5: written by hand, with what the first rule leaves.
    let mut project = with_flags(&["x"]);
    project.put("x", r#"{"on":true,"off":"control","rules":[
        {"id":"tracked","rollout":{"salt":"e","weights":{"control":10000,"urgent":10000}},"experiment":{"name":"e"}},
        {"id":"untracked","if":[{"bucket":{"salt":"e","in":[[20000,60000]]}}],"serve":"urgent"}],"fallthrough":{"serve":"control"}}"#);
    let line = project.line(r#"{"flag":"x""#);
    assert!(line.contains(
        r#"{"id":"untracked","if":[{"bucket":{"salt":"e","in":[[20000,60000]]}}],"serve":"urgent"}"#
    ));
    let (snapshot, report) = flagstone_eval::Snapshot::compile([line.as_bytes()]);
    assert!(report.is_clean());
    let mut seen = std::collections::BTreeMap::new();
    for unit in 0..2_000 {
        let context = json(&format!(r#"{{"targetingKey":"u-{unit}"}}"#));
        let context = flagstone_model::context::Context::from_json(&context).unwrap();
        let details =
            snapshot.evaluate("x", None, &context, flagstone_model::instant::Instant::from_millis(0));
        let key = (details.exp.map(ToString::to_string), details.variation.map(ToString::to_string));
        *seen.entry(key).or_insert(0) += 1;
    }
    let share = |exp: Option<&str>, variation: &str| {
        seen.get(&(exp.map(str::to_owned), Some(variation.to_owned()))).copied().unwrap_or(0)
    };
    // About 10, 10, 40, and 40 %.
    for (exp, variation, wanted) in [
        (Some("e.1"), "control", 200),
        (Some("e.1"), "urgent", 200),
        (None, "urgent", 800),
        (None, "control", 800),
    ] {
        let found: i32 = share(exp, variation);
        assert!((found - wanted).abs() < 100, "{exp:?} {variation}: {found}");
    }
}

#[test]
fn an_environment_that_comes_back_keeps_its_slots_or_is_refused() {
    let mut project = with_flags(&["a", "b"]);
    project.put("a", &layered("a", "40%"));
    let then = project.state.environment("production").unwrap().clone();
    project.put("a", r#"{"on":true,"off":"control"}"#);
    project.put("b", &layered("b", "100%"));
    let confirmed = Terms { confirmation: Confirmation::Given, ..Terms::default() };
    let edits = change::restore_environment(&project.state, &production(), &then, confirmed).unwrap();
    project.record(edits);
    assert_eq!(slot(&project, "a"), "[[0,40000]]");
    assert!(!project.line(r#"{"flag":"b""#).contains("layer"));
}
