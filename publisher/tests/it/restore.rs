//! Environments as they stood earlier.

use std::collections::BTreeMap;

use flagstone_publisher::log::Entity;
use flagstone_publisher::state::change::{self, Refusal, Terms};
use flagstone_publisher::state::{EnvironmentState, State};
use proptest::prelude::*;

use crate::project::{Project, flag, json, production, segment, told};

fn then(state: &State) -> &EnvironmentState {
    state.environment("production").unwrap()
}

fn restored(project: &Project, to: &State) -> Result<Vec<change::Edit>, Refusal> {
    change::restore_environment(&project.state, &production(), then(to), Terms::default())
}

/// What each flag and each segment serves: its line without its revision.
fn served(state: &State) -> BTreeMap<String, String> {
    let environment = then(state);
    let flags = environment.live_flags().map(|(key, flag)| {
        let line = flag.line().to_string();
        (format!("flag {key}"), line.replace(&format!(r#","rev":{}"#, flag.revision()), ""))
    });
    let segments = environment.segments.iter();
    let segments =
        segments.filter_map(|(key, found)| Some((format!("segment {key}"), found.line(key)?.to_string())));
    flags.chain(segments).collect()
}

fn archive(project: &mut Project, key: &str) {
    let edits = change::archive_flag(&project.state, &flag(key), Terms::default()).unwrap();
    project.record(edits);
}

fn delete(project: &mut Project, key: &str) {
    let edits =
        change::delete_segment(&project.state, &production(), &segment(key), Terms::default()).unwrap();
    project.record(edits);
}

#[test]
fn deleted_segments_come_back_new_ones_go_and_new_flags_are_off_again() {
    let mut project = Project::new();
    project.create(r#"{"key":"a","type":"bool"}"#);
    project.segment("staff", r#"{"include":["u-1"]}"#);
    project.put("a", r#"{"on":true,"rules":[{"id":"r","if":[{"segment":["staff"]}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#);
    let good = project.state.clone();
    project.put("a", r#"{"on":false}"#);
    delete(&mut project, "staff");
    project.create(r#"{"key":"b","type":"bool"}"#);
    project.segment("later", "{}");
    project.put("b", r#"{"on":true,"rules":[{"id":"r","if":[{"segment":["later"]}],"serve":"on"}]}"#);
    let edits = restored(&project, &good).unwrap();
    project.record(edits);
    let mut expected = served(&good);
    expected.insert("flag b".into(), served(&project.state)["flag b"].clone());
    assert_eq!(served(&project.state), expected);
    assert!(expected["flag b"].contains(r#""on":false"#));
    assert_eq!(project.state.place(&Entity::parse("segment/production/staff").unwrap()).0, 3);
    assert_eq!(restored(&project, &good).unwrap(), [], "it is so already");
    assert_eq!(project.refolded().head(), project.state.head());
}

#[test]
fn archived_flags_stay_archived_and_may_stand_in_the_way() {
    let mut project = Project::new();
    for key in ["a", "b"] {
        project.create(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
    }
    project.put("a", r#"{"on":true}"#);
    let before = project.state.clone();
    project.put("b", r#"{"on":true,"prerequisites":[{"flag":"a","is":["on"]}]}"#);
    let needing = project.state.clone();
    project.put("b", r#"{"on":true}"#);
    archive(&mut project, "a");
    let edits = restored(&project, &before).unwrap();
    assert_eq!(edits.len(), 1, "only `b` differs");
    assert_eq!(told(restored(&project, &needing)), [("dangling-reference", "/seq".to_owned())]);
}

#[test]
fn a_variation_that_the_flag_has_lost_stands_in_the_way() {
    let mut project = Project::new();
    project.create(r#"{"key":"s","type":"string","variations":{"x":"1","y":"2"}}"#);
    project.put("s", r#"{"on":true,"off":"x","fallthrough":{"serve":"y"}}"#);
    let good = project.state.clone();
    project.put("s", r#"{"on":true,"off":"x"}"#);
    let patch = json(r#"{"variations":{"y":null}}"#);
    let edits = change::patch_flag(&project.state, &flag("s"), &patch, Terms::default()).unwrap();
    project.record(edits);
    assert_eq!(told(restored(&project, &good)), [("dangling-reference", "/seq".to_owned())]);
}

#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Archive(u8),
    Target { flag: u8, on: bool, segment: Option<u8>, needs: Option<u8>, share: u32 },
    RollOut(u8, u8),
    Segment(u8, u32),
    Delete(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let some = proptest::option::of(0u8..3);
    prop_oneof![
        3 => (0u8..5).prop_map(Step::Create),
        1 => (0u8..5).prop_map(Step::Archive),
        6 => (0u8..5, any::<bool>(), some.clone(), some, 0u32..=100_000)
            .prop_map(|(flag, on, segment, needs, share)| Step::Target { flag, on, segment, needs, share }),
        3 => (0u8..5, 0u8..=100).prop_map(|(flag, percent)| Step::RollOut(flag, percent)),
        3 => (0u8..3, any::<u32>()).prop_map(|(segment, unit)| Step::Segment(segment, unit)),
        1 => (0u8..3).prop_map(Step::Delete),
    ]
}

/// What a step asks for; many are refused, and change nothing.
fn edits(project: &Project, step: &Step) -> Result<Vec<change::Edit>, Refusal> {
    let name = |number: &u8| flag(&format!("f-{number}"));
    let (state, id, terms) = (&project.state, production(), Terms::default());
    match step {
        Step::Create(number) => {
            change::create_flag(state, &json(&format!(r#"{{"key":"f-{number}","type":"bool"}}"#)))
        }
        Step::Archive(number) => change::archive_flag(state, &name(number), terms),
        Step::Target { flag, on, segment, needs, share } => {
            let when =
                segment.map_or("[]".to_owned(), |segment| format!(r#"[{{"segment":["s-{segment}"]}}]"#));
            let needs = needs.map_or(String::new(), |needs| format!(r#"{{"flag":"f-{needs}","is":["on"]}}"#));
            let rest = 100_000 - share;
            let body = format!(
                r#"{{"on":{on},"prerequisites":[{needs}],"rules":[{{"id":"r","if":{when},"rollout":{{"weights":{{"on":{share},"off":{rest}}}}}}}]}}"#
            );
            change::put_targeting(state, &id, &name(flag), &json(&body), terms)
        }
        Step::RollOut(number, percent) => {
            let body = json(&format!(r#"{{"variation":"on","percent":{percent}}}"#));
            change::roll_out(state, &id, &name(number), &body, terms)
        }
        Step::Segment(number, unit) => {
            let body = json(&format!(r#"{{"include":["u-{unit}"]}}"#));
            change::put_segment(state, &id, &segment(&format!("s-{number}")), &body, terms)
        }
        Step::Delete(number) => change::delete_segment(state, &id, &segment(&format!("s-{number}")), terms),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn after_a_restore_everything_is_served_as_it_was_then(
        steps in proptest::collection::vec(step(), 1..60),
        back in any::<prop::sample::Index>(),
    ) {
        let mut project = Project::new();
        let mut states = vec![project.state.clone()];
        for step in &steps {
            if let Ok(edits) = edits(&project, step) {
                project.record(edits);
                states.push(project.state.clone());
            }
        }
        let then = back.get(&states);
        let archived = project.state.flags().iter().any(|(key, flag)| {
            flag.definition.archived && then.flag(key.as_str()).is_some_and(|flag| !flag.definition.archived)
        });
        match restored(&project, then) {
            Ok(edits) => {
                if !edits.is_empty() {
                    project.record(edits);
                }
            }
            Err(refused) => {
                prop_assert!(archived, "{refused:?}");
                prop_assert_eq!(refused.code(), "dangling-reference");
                return Ok(());
            }
        }
        let (now, then_served) = (served(&project.state), served(then));
        for (entity, line) in &now {
            match then_served.get(entity) {
                Some(then) => prop_assert_eq!(line, then),
                None => prop_assert!(line.contains(r#""on":false"#), "{}", line),
            }
        }
        for entity in then_served.keys().filter(|entity| !now.contains_key(*entity)) {
            let key = entity.strip_prefix("flag ").unwrap();
            prop_assert!(project.state.flag(key).unwrap().definition.archived, "{entity}");
        }
        prop_assert!(restored(&project, then).unwrap().is_empty());
    }
}
