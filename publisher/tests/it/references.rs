//! That every reference leads somewhere, in no circle, and not too far (FORMAT M-11.2, P2).

use flagstone_publisher::state::change::{self, Refusal, Terms};

use super::invariants::{compiled, project};
use super::project::{Project, flag, json, production, segment, told};

const DANGLING: &str = "dangling-reference";
const CYCLE: &str = "prerequisite-cycle";
const COST: &str = "reference-cost";

#[test]
fn p2_a_reference_to_nothing_is_refused_at_its_place() {
    let mut project = project();
    project.create(r#"{"key":"y","type":"bool"}"#);
    for (targeting, at) in [
        (
            r#"{"on":true,"prerequisites":[{"flag":"other","is":["on"]},{"flag":"othr","is":["on"]}]}"#,
            "/prerequisites/1/flag",
        ),
        (r#"{"on":true,"prerequisites":[{"flag":"other","is":["maybe"]}]}"#, "/prerequisites/0/is"),
        (
            r#"{"on":true,"rules":[{"id":"r","if":[{"any":[{"not":{"segment":["seg","sag"]}}]}],"serve":"on"}]}"#,
            "/rules/0/if/0/any/0/not/segment",
        ),
        (
            r#"{"on":true,"rules":[{"id":"r","if":[{"flag":"gone","is":[]}],"serve":"on"}]}"#,
            "/rules/0/if/0/flag",
        ),
    ] {
        assert_eq!(told(project.try_put("y", targeting)), [(DANGLING, at.to_owned())], "{targeting}");
    }
    let refusal =
        project.try_put("y", r#"{"on":true,"prerequisites":[{"flag":"othr","is":["on"]}]}"#).unwrap_err();
    assert_eq!(refusal.code(), DANGLING);
    assert_eq!(refusal.problems()[0].detail, "there is no flag `othr`; did you mean `other`?");
    assert_eq!(
        told(project.try_segment("t", r#"{"rules":[{"if":[{"segment":["t2"]}]}]}"#)),
        [(DANGLING, "/rules/0/if/0/segment".into())]
    );
}

#[test]
fn p2_a_circle_is_refused_at_the_member_that_closes_it() {
    let mut project = Project::new();
    for key in ["a", "b", "c"] {
        project.create(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
    }
    let needs = |key: &str| format!(r#"{{"on":true,"prerequisites":[{{"flag":"{key}","is":["on"]}}]}}"#);
    assert_eq!(told(project.try_put("a", &needs("a"))), [(CYCLE, "/prerequisites/0/flag".into())]);
    project.put("a", &needs("b"));
    project.put("b", r#"{"on":true,"rules":[{"id":"r","if":[{"flag":"c","is":["on"]}],"serve":"on"}]}"#);
    assert_eq!(told(project.try_put("c", &needs("a"))), [(CYCLE, "/prerequisites/0/flag".into())]);
    // Through a segment, too.
    project.segment("s", r#"{"rules":[{"if":[{"flag":"a","is":["on"]}]}]}"#);
    let through = r#"{"on":true,"rules":[{"id":"r","if":[{"segment":["s"]}],"serve":"on"}]}"#;
    assert_eq!(told(project.try_put("c", through)), [(CYCLE, "/rules/0/if/0/segment".into())]);
    assert_eq!(
        told(project.try_segment("s", r#"{"rules":[{"if":[{"segment":["s"]}]}]}"#)),
        [(CYCLE, "/rules/0/if/0/segment".into())]
    );
    assert_eq!(project.refolded().seq(), project.state.seq());
    compiled(&project);
}

#[test]
fn p2_a_diamond_is_no_circle() {
    let mut project = Project::new();
    for key in ["top", "left", "right", "bottom"] {
        project.create(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
    }
    let needs = |keys: &[&str]| {
        let tests: Vec<_> = keys.iter().map(|key| format!(r#"{{"flag":"{key}","is":["on"]}}"#)).collect();
        format!(r#"{{"on":true,"prerequisites":[{}]}}"#, tests.join(","))
    };
    project.put("left", &needs(&["bottom"]));
    project.put("right", &needs(&["bottom"]));
    project.put("top", &needs(&["left", "right"]));
    compiled(&project);
}

#[test]
fn p2_a_reference_cost_of_256_is_allowed_and_257_is_not() {
    let mut project = Project::new();
    project.create(r#"{"key":"leaf","type":"bool"}"#);
    let needs = |flags: usize| {
        let test = r#"{"flag":"leaf","is":["on"]}"#;
        format!(r#"{{"on":true,"prerequisites":[{}]}}"#, vec![test; flags].join(","))
    };
    project.create(r#"{"key":"wide","type":"bool"}"#);
    assert!(project.try_put("wide", &needs(255)).is_ok());
    assert_eq!(told(project.try_put("wide", &needs(256))), [(COST, "/prerequisites/0/flag".into())]);
    // Doubling diamonds: 1, 3, 7, … 255, and the next is too much.
    let mut below = "leaf".to_owned();
    for level in 1..=8 {
        let key = format!("level-{level}");
        project.create(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
        let twice = format!(r#"{{"flag":"{below}","is":["on"]}}"#);
        let body = format!(r#"{{"on":true,"prerequisites":[{twice},{twice}]}}"#);
        if level < 8 {
            project.put(&key, &body);
        } else {
            assert_eq!(told(project.try_put(&key, &body)), [(COST, "/prerequisites/0/flag".into())]);
        }
        below = key;
    }
    // What is below may not grow either: somebody above would cost too much.
    project.create(r#"{"key":"more","type":"bool"}"#);
    let grown = r#"{"on":true,"prerequisites":[{"flag":"more","is":["on"]},{"flag":"more","is":["on"]}]}"#;
    let told = told(project.try_put("leaf", grown));
    assert!(told.iter().all(|(code, at)| *code == COST && at.is_empty()), "{told:?}");
    compiled(&project);
}

#[test]
fn p2_what_others_refer_to_stays() {
    let mut project = project();
    project.put("x", r#"{"on":true,"off":"a","prerequisites":[{"flag":"other","is":["on"]}],"rules":[{"id":"r","if":[{"segment":["seg"]}],"serve":"b"}]}"#);
    let refused = |result: Result<_, Refusal>| {
        let refusal = result.map(|_: Vec<change::Edit>| ()).unwrap_err();
        assert_eq!(refusal.code(), DANGLING);
        refusal.problems().iter().map(|problem| problem.detail.clone()).collect::<Vec<_>>()
    };
    let state = &project.state;
    let archived = refused(change::archive_flag(state, &flag("other"), Terms::default()));
    assert_eq!(archived.len(), 2);
    assert!(archived[0].contains("flag `x` in environment `production`"), "{archived:?}");
    assert!(archived[1].contains("segment `seg` in environment `production`"), "{archived:?}");
    let deleted = refused(change::delete_segment(state, &production(), &segment("seg"), Terms::default()));
    assert!(deleted[0].contains("flag `x`"), "{deleted:?}");
    let patched =
        change::patch_flag(state, &flag("other"), &json(r#"{"variations":{"on":null}}"#), Terms::default());
    assert!(refused(patched).iter().all(|detail| detail.contains("has no variation `on`")));
    // Once nobody refers to it, it may go.
    project.put("x", r#"{"on":false}"#);
    project.segment("seg", "{}");
    let edits = change::archive_flag(&project.state, &flag("other"), Terms::default()).unwrap();
    project.record(edits);
    let edits =
        change::delete_segment(&project.state, &production(), &segment("seg"), Terms::default()).unwrap();
    project.record(edits);
    assert_eq!(project.lines().len(), 2);
    compiled(&project);
}
