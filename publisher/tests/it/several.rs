//! Several changes in one entry.

use flagstone_model::key::{EnvironmentId, ViewId};
use flagstone_publisher::author::{Change, MAX_CHANGES};
use flagstone_publisher::build::build;
use flagstone_publisher::log::{Entity, EntityChange, MAX_HEADER_BYTES};
use flagstone_publisher::state::State;
use flagstone_publisher::state::change::{self, Confirmation, MANY_FLAGS, Refusal, Terms};
use proptest::prelude::*;

use crate::project::{Project, flag, json, production, salt, told};

fn entities(project: &Project) -> Vec<String> {
    project.entries.last().unwrap().header.changes.iter().map(|change| change.entity.to_string()).collect()
}

fn parsed(changes: &str) -> Vec<(&'static str, String)> {
    told(Change::parse_all(&json(changes)).map_err(Refusal::from))
}

fn lines(state: &State, environment: &str) -> Vec<String> {
    let id = EnvironmentId::parse(environment).unwrap();
    build(state, &id, &ViewId::server()).unwrap().iter().map(ToString::to_string).collect()
}

/// A line without its revision.
fn without_rev(line: &str) -> String {
    let Some((before, rest)) = line.split_once(r#""rev":"#) else { return line.to_owned() };
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}{after}")
}

#[test]
fn a_flag_is_made_and_targeted_with_what_it_needs_in_one_entry() {
    let mut project = Project::new();
    project.several(
        r#"{"flag":"b","environment":"production","targeting":{"on":true,"prerequisites":[{"flag":"a","is":["on"]}],"rules":[{"id":"r","if":[{"segment":["staff"]}],"serve":"on"}]}},
           {"flag":"b","definition":{"type":"bool"},"revision":0},
           {"segment":"staff","environment":"production","definition":{"include":["u-1"]},"revision":0},
           {"flag":"a","definition":{"key":"a","type":"bool"}}"#,
    );
    assert_eq!(entities(&project), ["flag/a", "flag/b", "segment/production/staff", "flag/production/b"]);
    assert_eq!(project.state.seq(), 2);
    assert!(project.line(r#"{"flag":"b""#).contains(r#""rev":2,"on":true"#));
    assert_eq!(project.refolded().head(), project.state.head());
}

#[test]
fn every_change_has_one_shape_and_what_is_wrong_with_it_is_told_where_it_stands() {
    for (changes, at) in [
        ("{}", "/changes"),
        (r#"{"changes":[]}"#, "/changes"),
        (r#"{"changes":{}}"#, "/changes"),
        (r#"{"changes":[1]}"#, "/changes/0"),
        (r#"{"changes":[{}]}"#, "/changes/0"),
        (r#"{"changes":[],"x":1}"#, "/x"),
        (r#"{"changes":[{"flag":"a","segment":"b"}]}"#, "/changes/0"),
        (r#"{"changes":[{"flag":"a"}]}"#, "/changes/0"),
        (r#"{"changes":[{"flag":"a","archive":false}]}"#, "/changes/0/archive"),
        (r#"{"changes":[{"flag":"a","archive":true,"definition":{"type":"bool"}}]}"#, "/changes/0"),
        (r#"{"changes":[{"flag":"a","environment":"production","archive":true}]}"#, "/changes/0"),
        (r#"{"changes":[{"flag":"a","delete":true}]}"#, "/changes/0/delete"),
        (r#"{"changes":[{"flag":"a","targeting":{"on":true}}]}"#, "/changes/0"),
        (r#"{"changes":[{"flag":" a","archive":true}]}"#, "/changes/0/flag"),
        (r#"{"changes":[{"flag":"a","archive":true,"revision":-1}]}"#, "/changes/0/revision"),
        (r#"{"changes":[{"flag":"a","definition":{"key":"b","type":"bool"}}]}"#, "/changes/0/definition/key"),
        (
            r#"{"changes":[{"flag":"a","definition":{"type":"bool","archived":true}}]}"#,
            "/changes/0/definition/archived",
        ),
        (r#"{"changes":[{"flag":"a","definition":{"type":"bol"}}]}"#, "/changes/0/definition/type"),
        (
            r#"{"changes":[{"flag":"a","archive":true},{"flag":"b","environment":"production","targeting":{"on":true,"rules":[{"id":"r","serve":1}]}}]}"#,
            "/changes/1/targeting/rules/0/serve",
        ),
        (
            r#"{"changes":[{"segment":"s","environment":"production","definition":{"inclde":[]}}]}"#,
            "/changes/0/definition/inclde",
        ),
        (r#"{"changes":[{"segment":"s","definition":{}}]}"#, "/changes/0"),
        (
            r#"{"changes":[{"flag":"a","archive":true},{"flag":"a","definition":{"type":"bool"}}]}"#,
            "/changes/1",
        ),
    ] {
        assert_eq!(parsed(changes).first(), Some(&("invalid-request", at.to_owned())), "{changes}");
    }
}

#[test]
fn what_the_changes_together_lead_to_is_what_is_checked() {
    let mut project = Project::new();
    for key in ["a", "b"] {
        project.create(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
    }
    project.put("b", r#"{"on":true,"prerequisites":[{"flag":"a","is":["on"]}]}"#);
    let target = |key: &str, body: &str| {
        format!(r#"{{"flag":"{key}","environment":"production","targeting":{body}}}"#)
    };
    let archive = r#"{"flag":"a","archive":true}"#;
    assert_eq!(told(project.try_several(archive)), [("dangling-reference", "/changes/0/archive".to_owned())]);
    // Turned round at once: neither half of it could be made alone.
    let needs = |key: &str| format!(r#"{{"on":true,"prerequisites":[{{"flag":"{key}","is":["on"]}}]}}"#);
    assert_eq!(
        told(project.try_several(&target("a", &needs("b")))),
        [("prerequisite-cycle", "/changes/0/targeting/prerequisites/0/flag".to_owned())]
    );
    project.several(&format!("{},{}", target("a", &needs("b")), target("b", r#"{"on":true}"#)));
    let unknown = target("a", r#"{"on":true,"rules":[{"id":"r","serve":"onn"}]}"#);
    assert_eq!(
        told(project.try_several(&unknown)),
        [("invalid-request", "/changes/0/targeting/rules/0/serve".to_owned())]
    );
    let fewer = r#"{"flag":"b","definition":{"type":"bool","variations":{"off":false,"on2":true}}}"#;
    let refused = told(project.try_several(fewer));
    assert!(refused.contains(&("dangling-reference", "/changes/0/definition".to_owned())), "{refused:?}");
    let missing = target("a", r#"{"on":true,"rules":[{"id":"r","if":[{"segment":["s"]}],"serve":"on"}]}"#);
    assert_eq!(
        told(project.try_several(&missing)),
        [("dangling-reference", "/changes/0/targeting/rules/0/if/0/segment".to_owned())]
    );
    let typed = r#"{"flag":"b","definition":{"type":"string","variations":{"off":"x","on":"y"}}}"#;
    assert_eq!(
        told(project.try_several(typed)),
        [("invalid-request", "/changes/0/definition/type".to_owned())]
    );
}

#[test]
fn a_refusal_names_the_change_and_nothing_of_the_others_is_made() {
    let mut project = Project::new();
    project.create(r#"{"key":"a","type":"bool"}"#);
    project.put("a", r#"{"on":true}"#);
    project.create(r#"{"key":"old","type":"bool"}"#);
    let edits = change::archive_flag(&project.state, &flag("old"), Terms::default()).unwrap();
    project.record(edits);
    project.segment("gone", "{}");
    let gone = crate::project::segment("gone");
    let edits = change::delete_segment(&project.state, &production(), &gone, Terms::default()).unwrap();
    project.record(edits);
    let first = r#"{"flag":"new","definition":{"type":"bool"}}"#;
    for (second, code, at) in [
        (
            r#"{"flag":"a","environment":"production","targeting":{"on":false},"revision":1}"#,
            "stale-revision",
            "/changes/1/revision",
        ),
        (
            r#"{"flag":"a","definition":{"type":"bool","owner":"x"},"revision":0}"#,
            "stale-revision",
            "/changes/1/revision",
        ),
        (r#"{"flag":"a","archive":true,"revision":9}"#, "stale-revision", "/changes/1/revision"),
        (r#"{"flag":"b","archive":true}"#, "flag-not-found", "/changes/1/flag"),
        (
            r#"{"flag":"b","environment":"production","targeting":{"on":true}}"#,
            "flag-not-found",
            "/changes/1/flag",
        ),
        (
            r#"{"flag":"a","environment":"prodution","targeting":{"on":true}}"#,
            "environment-not-found",
            "/changes/1/environment",
        ),
        (r#"{"flag":"old","definition":{"type":"bool"}}"#, "key-retired", "/changes/1/flag"),
        (
            r#"{"segment":"gone","environment":"production","definition":{}}"#,
            "key-retired",
            "/changes/1/segment",
        ),
        (
            r#"{"segment":"s","environment":"production","delete":true}"#,
            "segment-not-found",
            "/changes/1/segment",
        ),
    ] {
        let refused = project.try_several(&format!("{first},{second}")).unwrap_err();
        assert_eq!((refused.code(), refused.place().0), (code, Some(at)), "{second}");
    }
    let stale = r#"{"flag":"a","environment":"production","targeting":{"on":false},"revision":1}"#;
    let refused = project.try_several(stale).unwrap_err();
    assert!(matches!(refused.place().1, Refusal::StaleRevision { current: 2 }), "{refused:?}");
}

#[test]
fn what_is_so_already_is_left_out_whatever_revision_was_seen() {
    let mut project = Project::new();
    let all = r#"{"flag":"a","definition":{"type":"bool"},"revision":0},
        {"flag":"a","environment":"production","targeting":{"on":true,"fallthrough":{"rollout":{"weights":{"on":"10%","off":"90%"}}}},"revision":0},
        {"segment":"s","environment":"production","definition":{"include":["u-1"]},"revision":0}"#;
    project.several(all);
    assert_eq!(project.try_several(all).unwrap(), []);
    let with_more = format!(r#"{all},{{"flag":"b","definition":{{"type":"bool"}}}}"#);
    assert_eq!(project.try_several(&with_more).unwrap().len(), 1);
    let untouched = r#"{"flag":"b","definition":{"type":"bool"}},{"flag":"b","environment":"production","targeting":{"on":false,"fallthrough":{"serve":"on"}}}"#;
    assert_eq!(project.try_several(untouched).unwrap().len(), 1, "untouched, and so targeted");
}

#[test]
fn a_change_that_reaches_many_flags_is_asked_about_over_all_changes() {
    let mut project = Project::new();
    for number in 0..MANY_FLAGS {
        project.create(&format!(r#"{{"key":"f-{number}","type":"bool"}}"#));
    }
    let on = |count: usize, on: bool| {
        let one = |number| {
            format!(
                r#"{{"flag":"f-{number}","environment":"production","targeting":{{"on":{on},"fallthrough":{{"serve":"on"}}}}}}"#
            )
        };
        (0..count).map(one).collect::<Vec<_>>().join(",")
    };
    let half = MANY_FLAGS / 2;
    assert_eq!(project.try_several(&on(half, true)).unwrap().len(), half);
    let asked = project.try_several(&on(half + 1, true)).unwrap_err();
    assert!(
        matches!(asked, Refusal::NeedsConfirmation { touched, of } if (touched, of) == (half + 1, MANY_FLAGS))
    );
    let changes = Change::parse_all(&json(&format!(r#"{{"changes":[{}]}}"#, on(MANY_FLAGS, true)))).unwrap();
    let confirmed = Terms { confirmation: Confirmation::Given, ..Terms::default() };
    let edits = change::change_several(&project.state, &changes, confirmed).unwrap();
    project.record(edits);
    let off = project.try_several(&on(MANY_FLAGS, false)).unwrap();
    assert_eq!(off.len(), MANY_FLAGS, "to switch off never asks");
    let new =
        (0..MANY_FLAGS).map(|number| format!(r#"{{"flag":"g-{number}","definition":{{"type":"bool"}}}}"#));
    let new = new.collect::<Vec<_>>().join(",");
    assert_eq!(project.try_several(&new).unwrap().len(), MANY_FLAGS, "nobody is served by a new flag");
}

#[test]
fn as_many_changes_as_are_allowed_fit_into_one_entry_and_one_more_is_refused() {
    let change = |number: usize| {
        format!(r#"{{"segment":"{number:k<128}","environment":"{:e<40}","delete":true}}"#, "e")
    };
    let changes = |count: usize| {
        let all: Vec<_> = (0..count).map(change).collect();
        format!(r#"{{"changes":[{}]}}"#, all.join(","))
    };
    let most = Change::parse_all(&json(&changes(MAX_CHANGES))).unwrap();
    assert_eq!(parsed(&changes(MAX_CHANGES + 1)), [("invalid-request", "/changes".to_owned())]);
    let mut header = Project::new().entries[0].header.clone();
    // A million entries, and as many edits of each entity.
    let place = |entity: Entity| EntityChange { entity, revision: (999_998, 999_999), prior_seq: 999_999 };
    header.changes = most.iter().map(|change| place(change.wish.entity())).collect();
    assert!(header.to_bytes().len() <= MAX_HEADER_BYTES, "{}", header.to_bytes().len());
}

/// Some changes of a small project that can all be made at once, each alone in its place.
fn wanted() -> impl Strategy<Value = Vec<String>> {
    let share = 0u32..=100_000;
    let one = (0usize..8, any::<bool>(), share, any::<bool>(), any::<bool>());
    proptest::collection::vec(one, 1..10).prop_map(|all| {
        let mut seen = std::collections::BTreeSet::new();
        let mut changes = Vec::new();
        for (number, on, share, needs, staff) in all {
            if !seen.insert(number) {
                continue;
            }
            if number >= 6 {
                changes.push(format!(
                    r#"{{"segment":"s-{number}","environment":"production","definition":{{"include":["u-{share}"]}}}}"#
                ));
                continue;
            }
            // A flag needs the one before it, so that there is no circle.
            let needs = match number.checked_sub(1).filter(|_| needs) {
                Some(before) => format!(r#""prerequisites":[{{"flag":"f-{before}","is":["on"]}}],"#),
                None => String::new(),
            };
            let rules = if staff {
                r#""rules":[{"id":"r","if":[{"segment":["staff"]}],"rollout":{"weights":{"on":40000,"off":60000}}}],"#
            } else {
                ""
            };
            let rest = 100_000 - share;
            changes.push(format!(
                r#"{{"flag":"f-{number}","environment":"production","targeting":{{"on":{on},{needs}{rules}"fallthrough":{{"rollout":{{"weights":{{"on":{share},"off":{rest}}}}}}}}}}}"#
            ));
            if number >= 3 {
                changes.push(format!(r#"{{"flag":"f-{number}","definition":{{"type":"bool","owner":"o-{share}"}}}}"#));
            }
        }
        changes
    })
}

/// Flags `f-0` to `f-5`, of which the last three may be defined anew, and a segment `staff`.
fn small() -> Project {
    let mut project = Project::new();
    for number in 0..6 {
        project.create(&format!(r#"{{"key":"f-{number}","type":"bool"}}"#));
    }
    project.segment("staff", r#"{"include":["u-1"]}"#);
    project
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn the_order_of_changes_does_not_matter(
        (changes, shuffled) in wanted().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        let project = small();
        let edits = project.try_several(&changes.join(",")).unwrap();
        prop_assert_eq!(project.try_several(&shuffled.join(",")).unwrap(), edits);
    }

    #[test]
    fn changes_at_once_lead_to_what_they_lead_to_one_by_one(changes in wanted()) {
        let (mut together, mut apart) = (small(), small());
        together.several(&changes.join(","));
        for change in &changes {
            let edits = apart.try_several(change).unwrap();
            if !edits.is_empty() {
                apart.record(edits);
            }
        }
        prop_assert_eq!(together.lines(), apart.lines());
        prop_assert!(together.entries.len() <= apart.entries.len());
    }
}

#[test]
fn a_copy_of_an_environment_serves_the_same_users_the_same() {
    let mut project = small();
    project.put("f-0", r#"{"on":true,"rules":[{"id":"r","if":[{"segment":["staff"]}],"serve":"off"}],"fallthrough":{"serve":"off"}}"#);
    for percent in [60, 20, 45] {
        project.roll_out("f-0", &format!(r#"{{"variation":"on","percent":{percent}}}"#));
    }
    project.put("f-1", r#"{"on":true,"prerequisites":[{"flag":"f-0","is":["on"]}]}"#);
    let edits = change::archive_flag(&project.state, &flag("f-5"), Terms::default()).unwrap();
    project.record(edits);
    let body = json(r#"{"id":"preview","name":"Preview","copy_from":"production"}"#);
    let edits = change::create_environment(&project.state, &body, &salt()).unwrap();
    project.record(edits);
    assert_eq!(
        entities(&project),
        ["environment/preview", "segment/preview/staff", "flag/preview/f-0", "flag/preview/f-1"]
    );
    let same = |environment: &str| -> Vec<_> {
        lines(&project.state, environment).iter().skip(1).map(|line| without_rev(line)).collect()
    };
    assert_eq!(same("preview"), same("production"));
    let name = &project.state.environment("preview").unwrap().environment.name;
    assert_eq!(name.as_deref(), Some("Preview"));
}

#[test]
fn a_copy_has_the_instants_that_local_times_were_settled_to() {
    let mut project = small();
    let when = r#"{"time":{"since":"2026-12-02T10:00[Europe/Berlin]"}}"#;
    project.segment("late", &format!(r#"{{"rules":[{{"if":[{when}]}}]}}"#));
    let edits = change::create_environment(
        &project.state,
        &json(r#"{"id":"preview","copy_from":"production"}"#),
        &salt(),
    );
    project.record(edits.unwrap());
    let states = project.entries.last().unwrap().read_data().unwrap().unwrap().states;
    let settled = states.iter().filter(|state| state.member("instants").is_some()).count();
    assert_eq!(settled, 1);
    assert_eq!(lines(&project.state, "preview")[1..].len(), lines(&project.state, "production")[1..].len());
}

#[test]
fn what_is_authored_alike_in_an_empty_project_gives_the_same_lines() {
    let mut project = small();
    project.put("f-1", r#"{"on":true,"prerequisites":[{"flag":"f-0","is":["on"]}],"rules":[{"id":"r","if":[{"segment":["staff"]}],"rollout":{"weights":{"on":"33.3%","off":"66.7%"}}}]}"#);
    project.roll_out("f-0", r#"{"variation":"on","percent":30}"#);
    let environment = project.state.environment("production").unwrap();
    let mut changes = Vec::new();
    for (key, flag) in environment.live_flags() {
        let (definition, targeting) = (flag.flag.definition.to_json(), flag.targeting.authored.to_json());
        changes.push(format!(r#"{{"flag":"{key}","environment":"production","targeting":{targeting}}}"#));
        changes.push(format!(r#"{{"flag":"{key}","definition":{definition}}}"#));
    }
    for (key, segment) in environment.live_segments() {
        let segment = segment.segment.as_ref().unwrap().to_json();
        changes.push(format!(r#"{{"segment":"{key}","environment":"production","definition":{segment}}}"#));
    }
    let mut other = Project::new();
    other.several(&changes.join(","));
    let served = |project: &Project| project.lines().iter().map(|line| without_rev(line)).collect::<Vec<_>>();
    assert_eq!(served(&other), served(&project));
}

#[test]
fn what_is_to_be_copied_must_be_there() {
    let project = small();
    let create = |body: &str| change::create_environment(&project.state, &json(body), &salt());
    let refused = create(r#"{"id":"preview","copy_from":"prodution"}"#).unwrap_err();
    assert_eq!((refused.code(), refused.place().0), ("environment-not-found", Some("/copy_from")));
    assert!(refused.to_string().ends_with("did you mean `production`?"));
    for wrong in [r#"{"id":"preview","copy_from":1}"#, r#"{"id":"preview","copy_from":"No"}"#] {
        assert_eq!(told(create(wrong)), [("invalid-request", "/copy_from".to_owned())]);
    }
    let patch = json(r#"{"copy_from":"production"}"#);
    let refused = change::patch_environment(&project.state, &production(), &patch, Terms::default());
    assert_eq!(told(refused), [("invalid-request", "/copy_from".to_owned())]);
}
