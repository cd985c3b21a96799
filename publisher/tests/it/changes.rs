//! The fold of the log, and what a request would add to it.

use std::sync::Arc;

use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
use flagstone_publisher::build::{BuildError, build};
use flagstone_publisher::log::{Draft, Entity, Entry};
use flagstone_publisher::state::change::{self, Confirmation, MANY_FLAGS, Precondition, Refusal, Terms};
use flagstone_publisher::state::{FoldError, REMEMBERED, REMEMBERED_MS, State};

use crate::project::{Project, flag, json, places, production, salt, segment};

fn checkout() -> Project {
    let mut project = Project::new();
    project.create(r#"{"key":"checkout","type":"bool"}"#);
    project
}

fn at(revision: u64) -> Terms {
    Terms { precondition: Precondition::Revision(revision), ..Terms::default() }
}

fn absent() -> Terms {
    Terms { precondition: Precondition::Absent, ..Terms::default() }
}

fn place(project: &Project, entity: &str) -> (u64, u64) {
    project.state.place(&Entity::parse(entity).unwrap())
}

fn code<T: std::fmt::Debug>(refused: Result<T, Refusal>) -> &'static str {
    refused.unwrap_err().code()
}

#[test]
fn a_revision_counts_edits_and_a_targetings_rises_with_its_definition() {
    let mut project = checkout();
    assert_eq!(place(&project, "flag/checkout"), (1, 2));
    assert_eq!(place(&project, "flag/production/checkout"), (1, 0));
    project.put("checkout", r#"{"on":true}"#);
    assert_eq!(place(&project, "flag/production/checkout"), (2, 3));
    let edits =
        change::patch_flag(&project.state, &flag("checkout"), &json(r#"{"owner":"ann"}"#), Terms::default());
    project.record(edits.unwrap());
    assert_eq!(place(&project, "flag/checkout"), (2, 4));
    assert_eq!(place(&project, "flag/production/checkout"), (3, 3));
    project.put("checkout", r#"{"on":false}"#);
    let change = &project.entries.last().unwrap().header.changes[0];
    assert_eq!((change.revision, change.prior_seq), ((3, 4), 3));
    assert!(project.line(r#"{"flag""#).contains(r#""rev":4,"#));
}

#[test]
fn folding_the_log_again_gives_the_same_lines() {
    let mut project = checkout();
    project.segment("staff", r#"{"include":["u-1"]}"#);
    project.put("checkout", r#"{"on":true,"rules":[{"id":"r","if":[{"segment":["staff"]}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#);
    for percent in [10, 30, 20] {
        project.roll_out("checkout", &format!(r#"{{"variation":"on","percent":{percent}}}"#));
    }
    let folded = project.refolded();
    let lines = build(&folded, &production(), &ViewId::server()).unwrap();
    assert_eq!(lines.iter().map(ToString::to_string).collect::<Vec<_>>(), project.lines());
    assert_eq!(folded.head(), project.state.head());
}

#[test]
fn one_change_lowers_one_flag() {
    let mut project = Project::new();
    for number in 0..300 {
        project.create(&format!(r#"{{"key":"flag-{number}","type":"bool"}}"#));
    }
    let before = build(&project.state, &production(), &ViewId::server()).unwrap();
    project.put("flag-7", r#"{"on":true}"#);
    let after = build(&project.state, &production(), &ViewId::server()).unwrap();
    let lowered: Vec<_> = before
        .iter()
        .zip(&after)
        .skip(1)
        .filter(|(before, after)| !Arc::ptr_eq(before, after))
        .map(|(_, after)| after.to_string())
        .collect();
    assert_eq!(lowered.len(), 1);
    assert!(lowered[0].starts_with(r#"{"flag":"flag-7","#));
}

#[test]
fn a_state_that_was_cloned_does_not_change() {
    let mut project = checkout();
    let kept = project.state.clone();
    project.put("checkout", r#"{"on":true}"#);
    let line = |state: &State| build(state, &production(), &ViewId::server()).unwrap()[1].to_string();
    assert!(line(&kept).contains(r#""on":false"#));
    assert!(line(&project.state).contains(r#""on":true"#));
}

#[test]
fn a_stale_writer_is_told_the_current_revision() {
    let mut project = checkout();
    project.put("checkout", r#"{"on":true}"#);
    let (id, key) = (production(), flag("checkout"));
    let body = json(r#"{"on":false}"#);
    for stale in [
        change::put_targeting(&project.state, &id, &key, &body, at(1)),
        change::switch(&project.state, &id, &key, false, at(3)),
        change::roll_out(&project.state, &id, &key, &json(r#"{"variation":"on","percent":1}"#), at(1)),
    ] {
        assert!(matches!(stale, Err(Refusal::StaleRevision { current: 2 })), "{stale:?}");
    }
    assert!(change::put_targeting(&project.state, &id, &key, &body, at(2)).is_ok());
    let patch = json(r#"{"owner":"ann"}"#);
    assert_eq!(code(change::patch_flag(&project.state, &key, &patch, at(9))), "stale-revision");
    assert_eq!(code(change::archive_flag(&project.state, &key, at(9))), "stale-revision");
    let new = segment("new");
    let refused = change::put_segment(&project.state, &id, &new, &json("{}"), at(1));
    assert!(matches!(refused, Err(Refusal::StaleRevision { current: 0 })), "{refused:?}");
}

#[test]
fn what_must_not_exist_yet_is_written_once() {
    let mut project = checkout();
    let (id, key) = (production(), flag("checkout"));
    let put = |project: &Project| {
        change::put_targeting(&project.state, &id, &key, &json(r#"{"on":true}"#), absent())
    };
    let edits = put(&project).unwrap();
    project.record(edits);
    assert_eq!(code(put(&project)), "already-exists");
    let put =
        |project: &Project| change::put_segment(&project.state, &id, &segment("s"), &json("{}"), absent());
    let edits = put(&project).unwrap();
    project.record(edits);
    assert_eq!(code(put(&project)), "already-exists");
}

#[test]
fn keys_are_taken_once_and_for_ever() {
    let mut project = checkout();
    let body = json(r#"{"key":"checkout","type":"bool"}"#);
    assert_eq!(code(change::create_flag(&project.state, &body)), "already-exists");
    let edits = change::archive_flag(&project.state, &flag("checkout"), Terms::default()).unwrap();
    project.record(edits);
    assert_eq!(project.lines().len(), 1);
    assert_eq!(code(change::create_flag(&project.state, &body)), "key-retired");
    assert_eq!(code(project.try_put("checkout", r#"{"on":true}"#)), "flag-not-found");
    assert_eq!(
        code(change::archive_flag(&project.state, &flag("checkout"), Terms::default())),
        "flag-not-found"
    );
    project.segment("s", "{}");
    let delete = |project: &Project| {
        change::delete_segment(&project.state, &production(), &segment("s"), Terms::default())
    };
    let edits = delete(&project).unwrap();
    project.record(edits);
    assert_eq!(code(delete(&project)), "segment-not-found");
    assert_eq!(code(project.try_segment("s", "{}")), "key-retired");
    assert_eq!(project.refolded().place(&Entity::parse("segment/production/s").unwrap()), (2, 5));
}

#[test]
fn what_does_not_exist_is_named_with_the_likely_one() {
    let project = checkout();
    let refusal = project.try_put("chekout", r#"{"on":true}"#).unwrap_err();
    assert_eq!(refusal.code(), "flag-not-found");
    assert_eq!(refusal.to_string(), "there is no flag `chekout`; did you mean `checkout`?");
    let prod = EnvironmentId::parse("prodution").unwrap();
    let refusal =
        change::switch(&project.state, &prod, &flag("checkout"), true, Terms::default()).unwrap_err();
    assert_eq!(refusal.code(), "environment-not-found");
    assert_eq!(refusal.to_string(), "there is no environment `prodution`; did you mean `production`?");
}

#[test]
fn the_switch_keeps_everything_else() {
    let mut project = checkout();
    project.put(
        "checkout",
        r#"{"on":false,"rules":[{"id":"r","rollout":{"weights":{"off":50000,"on":50000}}}]}"#,
    );
    let before = project.line(r#"{"flag""#);
    let edits =
        change::switch(&project.state, &production(), &flag("checkout"), true, Terms::default()).unwrap();
    project.record(edits);
    let after = project.line(r#"{"flag""#);
    assert_eq!(after, before.replace(r#""rev":2,"on":false"#, r#""rev":3,"on":true"#));
}

#[test]
fn an_older_targeting_holds_again_with_its_salts_and_ranges() {
    let mut project = checkout();
    project.put("checkout", r#"{"on":true,"fallthrough":{"serve":"off"}}"#);
    project.roll_out("checkout", r#"{"variation":"on","percent":30}"#);
    project.roll_out("checkout", r#"{"variation":"on","percent":10}"#);
    let seq = project.state.seq();
    let rules = |line: String| line.split(r#""on":true"#).nth(1).unwrap().to_owned();
    let then = rules(project.line(r#"{"flag""#));
    project
        .put("checkout", r#"{"on":true,"fallthrough":{"rollout":{"salt":"other","weights":{"on":100000}}}}"#);
    let data = project.entries[usize::try_from(seq - 1).unwrap()].read_data().unwrap().unwrap();
    let edits = change::restore_targeting(
        &project.state,
        &production(),
        &flag("checkout"),
        &data.states[0],
        Terms::default(),
    );
    project.record(edits.unwrap());
    assert_eq!(rules(project.line(r#"{"flag""#)), then);
}

#[test]
fn a_definition_is_patched_and_keeps_key_and_type() {
    let mut project = checkout();
    let patch = |project: &Project, patch: &str| {
        change::patch_flag(&project.state, &flag("checkout"), &json(patch), Terms::default())
    };
    let edits = patch(&project, r#"{"tags":["b","a"],"variations":{"maybe":true}}"#).unwrap();
    project.record(edits);
    let edits = patch(&project, r#"{"description":"x","variations":{"maybe":null}}"#).unwrap();
    project.record(edits);
    let flag = project.state.flag("checkout").unwrap();
    assert_eq!(
        flag.definition.to_json().to_string(),
        r#"{"key":"checkout","type":"bool","variations":{"off":false,"on":true},"kind":"release","description":"x","tags":["a","b"],"client_visible":false}"#
    );
    for (text, at) in [
        (r#"{"key":"other"}"#, "/key"),
        (r#"{"archived":true}"#, "/archived"),
        (r#"{"kind":"x"}"#, "/kind"),
        (r#"{"colour":1}"#, "/colour"),
    ] {
        let refusal = patch(&project, text).unwrap_err();
        assert_eq!(places(refusal.problems()), [("invalid-request", at.to_owned())], "{text}");
    }
    let types = patch(&project, r#"{"type":"json"}"#).unwrap_err();
    assert_eq!(places(types.problems()), [("invalid-request", "/type".into())]);
}

#[test]
fn a_rollout_names_what_is_wrong_with_it() {
    let project = checkout();
    let told = |body: &str| {
        let terms = Terms::default();
        let refusal = change::roll_out(&project.state, &production(), &flag("checkout"), &json(body), terms);
        places(refusal.unwrap_err().problems()).into_iter().map(|(_, at)| at).collect::<Vec<_>>()
    };
    assert_eq!(told("[]"), [""]);
    assert_eq!(told("{}"), ["/variation", "/percent"]);
    assert_eq!(told(r#"{"variation":"oon","percent":5}"#), ["/variation"]);
    assert_eq!(told(r#"{"variation":"on","percent":100.5}"#), ["/percent"]);
    assert_eq!(told(r#"{"variation":"on","percent":0.0001}"#), ["/percent"]);
    assert_eq!(told(r#"{"variation":"on","percent":5,"by":"org"}"#), ["/by"]);
}

#[test]
fn a_change_that_reaches_more_than_half_of_many_flags_is_asked_about() {
    let mut project = Project::new();
    project.segment("staff", "{}");
    project.create(r#"{"key":"base","type":"bool"}"#);
    let through = r#"{"on":true,"rules":[{"id":"r","if":[{"segment":["staff"]}],"serve":"on"}]}"#;
    for number in 1..MANY_FLAGS {
        let key = format!("flag-{number}");
        project.create(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
        if number <= MANY_FLAGS / 2 {
            project.put(&key, through);
        }
    }
    assert!(project.try_segment("staff", r#"{"include":["u"]}"#).is_ok(), "half is not more than half");
    project.put("flag-11", r#"{"on":true,"prerequisites":[{"flag":"flag-1","is":["on"]}]}"#);
    let asked = project.try_segment("staff", r#"{"include":["u"]}"#);
    assert!(matches!(asked, Err(Refusal::NeedsConfirmation { touched: 11, of: 20 })), "{asked:?}");
    let given = Terms { confirmation: Confirmation::Given, ..Terms::default() };
    let body = json(r#"{"include":["u"]}"#);
    assert!(change::put_segment(&project.state, &production(), &segment("staff"), &body, given).is_ok());
    // Off never asks; on does.
    for number in 12..MANY_FLAGS {
        project
            .put(&format!("flag-{number}"), r#"{"on":true,"prerequisites":[{"flag":"base","is":["on"]}]}"#);
    }
    let edits = change::put_targeting(
        &project.state,
        &production(),
        &flag("flag-1"),
        &json(r#"{"on":true,"prerequisites":[{"flag":"base","is":["on"]}]}"#),
        given,
    );
    project.record(edits.unwrap());
    for key in ["flag-2", "flag-3"] {
        project.put(key, r#"{"on":true,"prerequisites":[{"flag":"base","is":["on"]}]}"#);
    }
    let switch = |on| change::switch(&project.state, &production(), &flag("base"), on, Terms::default());
    assert!(switch(false).is_ok());
    assert_eq!(code(switch(true)), "needs-confirmation");
}

#[test]
fn an_environment_starts_with_every_flag_off() {
    let mut project = checkout();
    project.put("checkout", r#"{"on":true}"#);
    let body = json(r#"{"id":"staging","name":"Staging"}"#);
    let edits = change::create_environment(&project.state, &body, &salt()).unwrap();
    project.record(edits);
    assert_eq!(code(change::create_environment(&project.state, &body, &salt())), "already-exists");
    let staging = EnvironmentId::parse("staging").unwrap();
    let lines = build(&project.state, &staging, &ViewId::server()).unwrap();
    assert_eq!(&*lines[0], r#"{"environment":"staging","project":"shop","view":"server"}"#);
    assert!(lines[1].contains(r#""rev":1,"on":false"#));
    let edits = change::patch_environment(
        &project.state,
        &staging,
        &json(r#"{"name":null,"description":"for trying out"}"#),
        at(1),
    );
    project.record(edits.unwrap());
    let written = project.state.environment("staging").unwrap().environment.to_json().to_string();
    assert_eq!(written, r#"{"id":"staging","description":"for trying out"}"#);
}

#[test]
fn what_is_not_there_is_not_built() {
    let project = Project::new();
    let (staging, other) = (EnvironmentId::parse("staging").unwrap(), ViewId::parse("other").unwrap());
    let missing = build(&project.state, &staging, &ViewId::server()).unwrap_err();
    assert!(matches!(missing, BuildError::EnvironmentNotFound { .. }));
    assert_eq!(build(&project.state, &production(), &other).unwrap_err().code(), "view-not-found");
}

#[test]
fn edits_can_be_tried_before_they_are_recorded() {
    let project = checkout();
    let create = change::create_flag(&project.state, &json(r#"{"key":"two","type":"bool"}"#)).unwrap();
    let next = project.state.with(&create).unwrap();
    let needs = json(r#"{"on":true,"prerequisites":[{"flag":"checkout","is":["on"]}]}"#);
    let put = change::put_targeting(&next, &production(), &flag("two"), &needs, Terms::default()).unwrap();
    let mut both = Project { time_ms: 0, ..project };
    both.record(create.into_iter().chain(put).collect());
    assert_eq!(place(&both, "flag/production/two"), (2, 3));
}

// Requests

#[test]
fn a_request_is_remembered_for_a_day() {
    let mut project = Project::new();
    let create = |project: &mut Project, key: &str, request: &str| {
        let body = json(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
        let edits = change::create_flag(&project.state, &body).unwrap();
        project.record_as(edits, "u_1", request);
    };
    create(&mut project, "a", "retry-me");
    let recorded = project.state.requests().find("u_1", "retry-me").unwrap();
    assert_eq!(
        (recorded.seq, recorded.is(b"retry-me"), recorded.is(b"other bytes")),
        (2, Some(true), Some(false))
    );
    assert!(project.state.requests().find("u_2", "retry-me").is_none());
    project.time_ms += REMEMBERED_MS;
    create(&mut project, "b", "r-2");
    assert!(project.state.requests().find("u_1", "retry-me").is_some());
    project.time_ms += 1;
    create(&mut project, "c", "r-3");
    assert!(project.state.requests().find("u_1", "retry-me").is_none());
    assert_eq!(project.state.requests().len(), 2);
}

#[test]
fn at_most_10_000_requests_are_remembered() {
    let mut project = checkout();
    let edits =
        change::switch(&project.state, &production(), &flag("checkout"), true, Terms::default()).unwrap();
    let entry = edits.into_iter().next().unwrap();
    for _ in 0..REMEMBERED {
        let mut edit = entry.clone();
        let (revision, prior_seq) = project.state.place(&edit.change.entity);
        edit.change.revision = (revision, revision + 1);
        edit.change.prior_seq = prior_seq;
        project.record(vec![edit]);
    }
    assert_eq!(project.state.requests().len(), REMEMBERED);
    assert!(project.state.requests().find("u_1", "r-2").is_none());
    assert!(project.state.requests().find("u_1", "r-3").is_some());
}

// Logs that are not as they should be

type Change = Box<dyn FnOnce(&mut Draft)>;
type Expected = fn(&FoldError) -> bool;

fn sealed(project: &Project, change: impl FnOnce(&mut Draft)) -> Entry {
    let last = project.entries.last().unwrap();
    let mut draft = Draft {
        project: project.state.id().clone(),
        time_ms: project.time_ms,
        actor: last.header.actor.clone(),
        request_id: "x".into(),
        request: Vec::new(),
        changes: last.header.changes.clone(),
        data: last.read_data().unwrap().unwrap(),
    };
    let (revision, prior_seq) = project.state.place(&draft.changes[0].entity);
    draft.changes[0].revision = (revision, revision + 1);
    draft.changes[0].prior_seq = prior_seq;
    change(&mut draft);
    Entry::seal_with(draft, project.state.head(), [1; 16], [2; 16]).unwrap()
}

#[test]
fn an_entry_that_does_not_fit_is_refused_and_the_state_stays() {
    let mut project = checkout();
    project.put("checkout", r#"{"on":true}"#);
    assert!(project.state.clone().apply(&sealed(&project, |_| {})).is_ok());
    let other = ProjectId::parse("other").unwrap();
    let cases: Vec<(Change, Expected)> = vec![
        (Box::new(|draft| draft.project = other), |e| matches!(e, FoldError::NotNext { head: 3, .. })),
        (Box::new(|draft| draft.changes[0].revision = (1, 2)), |e| {
            matches!(e, FoldError::Revision { present: 2, .. })
        }),
        (Box::new(|draft| draft.changes[0].revision = (2, 4)), |e| matches!(e, FoldError::State { .. })),
        (Box::new(|draft| draft.changes[0].prior_seq = 1), |e| {
            matches!(e, FoldError::PriorSeq { present: 3, .. })
        }),
        (Box::new(|draft| draft.data.states[0] = json("{}")), |e| {
            matches!(e, FoldError::State { seq: 4, .. })
        }),
        (
            Box::new(|draft| {
                draft.data.states[0] = json(
                    r#"{"authored":{"on":true,"fallthrough":{"rollout":{"weights":{"on":100000}}}},"splits":{}}"#,
                );
            }),
            |e| matches!(e, FoldError::State { .. }),
        ),
        (Box::new(|draft| draft.changes[0].entity = Entity::parse("flag/staging/checkout").unwrap()), |e| {
            matches!(e, FoldError::Revision { .. })
        }),
    ];
    for (change, expected) in cases {
        let entry = sealed(&project, change);
        let lines = project.lines();
        let error = project.state.apply(&entry).unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert_eq!((project.state.seq(), project.lines()), (3, lines));
    }
    let skipped = project.refolded().apply(&project.entries[0]).unwrap_err();
    assert_eq!(skipped.code(), "log-not-next");
}

#[test]
fn an_entity_of_a_later_release_is_carried_along() {
    let mut project = checkout();
    let entry = sealed(&project, |draft| {
        draft.changes[0].entity = Entity::parse("holdout/q4").unwrap();
        draft.changes[0].revision = (0, 1);
        draft.changes[0].prior_seq = 0;
        draft.data.states[0] = json(r#"{"share":5000}"#);
    });
    project.state.apply(&entry).unwrap();
    assert_eq!(place(&project, "holdout/q4"), (1, 3));
}

#[test]
fn erased_entries_leave_what_later_ones_say() {
    let mut project = checkout();
    project.segment("s", r#"{"include":["u-1"]}"#);
    project.put("checkout", r#"{"on":true,"rules":[{"id":"r","if":[{"segment":["s"]}],"serve":"on"}]}"#);
    let edits =
        change::patch_flag(&project.state, &flag("checkout"), &json(r#"{"owner":"a"}"#), Terms::default());
    project.record(edits.unwrap());
    project.segment("s", r#"{"include":["u-2"]}"#);
    project.put("checkout", r#"{"on":true}"#);
    let lines = project.lines();
    // Entries 2 to 4: every entity they changed has a later entry.
    for entry in &mut project.entries[1..4] {
        entry.data = None;
    }
    let folded = project.refolded();
    let built = build(&folded, &production(), &ViewId::server()).unwrap();
    assert_eq!(built.iter().map(ToString::to_string).collect::<Vec<_>>(), lines);
    assert_eq!(folded.requests().find("u_1", "r-2").unwrap().is(b"r-2"), None);
}
