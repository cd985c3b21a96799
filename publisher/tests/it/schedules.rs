//! Schedules and ramps: from what people write to lines, through the log, and over time.

use flagstone_eval::{Snapshot, bucket, seed};
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_publisher::log::{Actor, ActorKind, Draft, Entry, EntryData};
use flagstone_publisher::state::change::{self, Confirmation, Terms};
use proptest::prelude::*;

use crate::project::{Project, flag, json, production, told};

const PAST: &str = "schedule-in-past";

fn project() -> Project {
    let mut project = Project::new();
    project.create(r#"{"key":"x","type":"string","variations":{"a":"1","b":"2","off":"0"}}"#);
    project
}

fn instant(text: &str) -> Instant {
    Instant::parse(text).unwrap()
}

fn at(now: &str) -> Terms {
    Terms { now_ms: instant(now).millis(), ..Terms::default() }
}

fn compiled(project: &Project) -> Snapshot {
    let lines = project.lines();
    let (snapshot, report) = Snapshot::compile(lines.iter().map(String::as_bytes));
    assert!(report.is_clean(), "{report:?}");
    snapshot
}

fn served(snapshot: &Snapshot, unit: &str, now: Instant) -> String {
    let details = snapshot.evaluate("x", None, &Context::with_targeting_key(unit), now);
    assert!(details.error_code.is_none(), "{details:?}");
    details.variation.unwrap().to_string()
}

/// What stands in the log of the last entry.
fn logged(project: &Project) -> Json<'static> {
    project.entries.last().unwrap().read_data().unwrap().unwrap().states[0].clone()
}

// Lowering

#[test]
fn every_schedule_becomes_conditions_in_utc() {
    let mut project = project();
    project.put(
        "x",
        r#"{"on":true,"off":"off","time_zone":"Europe/Berlin",
            "schedule":{"start":"2026-11-01T00:00","end":"2027-01-01T00:00[UTC]"},
            "deny":{"off":[{"key":"u-3","until":"2026-12-24T00:00"}]},
            "targets":{"a":["u-1",{"key":"u-7","until":"2026-12-24T00:00"},{"key":"u-8","until":"2026-12-24T00:00+01:00"},{"key":"u-9","until":"2026-12-25T00:00"}]},
            "rules":[{"id":"night","schedule":{"start":"2026-12-02T22:00","time_zone":"America/New_York"},"if":[{"attr":"country","in":["US"]}],"serve":"b"},
                     {"id":"both","ramp":{"rollout":{"weights":{"a":"50%","b":"50%"}},"steps":[["2026-12-02T10:00","10%"],["2026-12-03T10:00","100%"]]}}],
            "fallthrough":{"ramp":{"serve":"a","steps":[["2026-12-02T10:00:00Z","1%"],["2026-12-03T10:00","50%"]],"linear":true,"time_zone":"Asia/Kolkata"},"serve":"b"}}"#,
    );
    assert_eq!(
        project.line(r#"{"flag":"x""#),
        concat!(
            r#"{"flag":"x","type":"string","rev":2,"on":true,"values":{"a":"1","b":"2","off":"0"},"off":"off","#,
            r#""needs":[{"time":{"since":"2026-10-31T23:00:00Z","before":"2027-01-01T00:00:00Z"}}],"rules":["#,
            r#"{"id":"deny:off","if":[{"time":{"before":"2026-12-23T23:00:00Z"}},{"attr":"targetingKey","in":["u-3"]}],"serve":"off"},"#,
            r#"{"id":"target:a","if":[{"any":[{"attr":"targetingKey","in":["u-1"]},"#,
            r#"{"all":[{"time":{"before":"2026-12-23T23:00:00Z"}},{"attr":"targetingKey","in":["u-7","u-8"]}]},"#,
            r#"{"all":[{"time":{"before":"2026-12-24T23:00:00Z"}},{"attr":"targetingKey","in":["u-9"]}]}]}],"serve":"a"},"#,
            r#"{"id":"night","if":[{"time":{"since":"2026-12-03T03:00:00Z"}},{"attr":"country","in":["US"]}],"serve":"b"},"#,
            r#"{"id":"both","if":[{"bucket":{"salt":"x.both.ramp","ramp":[["2026-12-02T09:00:00Z",10000],["2026-12-03T09:00:00Z",100000]]}}],"#,
            r#""split":{"salt":"x.both","ranges":[[0,50000,"a"],[50000,100000,"b"]]}},"#,
            r#"{"id":"rollout","if":[{"bucket":{"salt":"x","ramp":[["2026-12-02T10:00:00Z",1000],["2026-12-03T04:30:00Z",50000]],"linear":true}}],"serve":"a"}],"#,
            r#""fallthrough":"b"}"#
        )
    );
    compiled(&project);
}

#[test]
fn a_fallthrough_ramp_leaves_the_others_the_off_variation_unless_said() {
    let mut project = project();
    project.put(
        "x",
        r#"{"on":true,"off":"off","fallthrough":{"ramp":{"serve":"a","steps":[["2026-12-02T10:00:00Z",1000]]}}}"#,
    );
    assert!(project.line(r#"{"flag":"x""#).ends_with(r#","fallthrough":"off"}"#));
    let details = compiled(&project);
    let nobody = details.evaluate("x", None, &Context::default(), instant("2027-01-01T00:00:00Z"));
    assert_eq!(nobody.variation.map(ToString::to_string).as_deref(), Some("off"));
}

#[test]
fn local_times_in_conditions_of_flags_and_segments_are_settled() {
    let mut project = project();
    let when = r#"{"time":{"since":"2026-12-02T10:00[Europe/Berlin]"}},{"bucket":{"salt":"s","ramp":[["2026-12-02T10:00",1]],"time_zone":"Europe/Berlin"}}"#;
    let lowered = r#"{"time":{"since":"2026-12-02T09:00:00Z"}},{"bucket":{"salt":"s","ramp":[["2026-12-02T09:00:00Z",1]]}}"#;
    project.segment("s", &format!(r#"{{"rules":[{{"if":[{when}]}}]}}"#));
    assert_eq!(project.line(r#"{"segment":"s""#), format!(r#"{{"segment":"s","if":[{lowered}]}}"#));
    let settled = r#"{"2026-12-02T10:00[Europe/Berlin]":"2026-12-02T09:00:00Z"}"#;
    assert_eq!(logged(&project).member("instants").unwrap().to_string(), settled);
    project.put("x", &format!(r#"{{"on":true,"rules":[{{"id":"r","if":[{when}],"serve":"a"}}]}}"#));
    assert!(project.line(r#"{"flag":"x""#).contains(lowered));
    assert_eq!(logged(&project).member("instants").unwrap().to_string(), settled);
    let authored = logged(&project).member("authored").unwrap().to_string();
    for written in [r#""since":"2026-12-02T10:00[Europe/Berlin]""#, r#"[["2026-12-02T10:00",1]]"#] {
        assert!(authored.contains(written), "{written} in {authored}");
    }
}

// The log

/// The same log, as if the time zone database had answered otherwise when its last entry was written.
fn with_instant(project: &Project, local: &str, instant: &str) -> Project {
    let mut other = Project {
        state: flagstone_publisher::state::State::new(project.state.id().clone()),
        entries: Vec::new(),
        time_ms: project.time_ms,
    };
    for entry in &project.entries {
        let data = entry.read_data().unwrap().unwrap();
        let states = data.states.iter().map(|state| {
            let text = state.to_string();
            let settled = format!(r#""{local}":"{instant}""#);
            let from = text.find(&format!(r#""{local}":""#));
            from.map_or_else(
                || json(&text),
                |from| json(&format!("{}{settled}{}", &text[..from], &text[from + settled.len()..])),
            )
        });
        let draft = Draft {
            project: other.state.id().clone(),
            time_ms: 0,
            actor: Actor { kind: ActorKind::User, id: "u_1".into(), via: "test".into() },
            request_id: entry.seq().to_string(),
            request: Vec::new(),
            changes: entry.header.changes.clone(),
            data: EntryData { states: states.collect(), ..EntryData::default() },
        };
        let entry = Entry::seal_with(draft, other.state.head(), [1; 16], [2; 16]).unwrap();
        other.state.apply(&entry).unwrap();
        other.entries.push(entry);
    }
    other
}

#[test]
fn a_replay_takes_the_settled_instants_and_no_time_zone_database() {
    let mut written = project();
    let targeting = r#"{"on":true,"rules":[{"id":"r","schedule":{"start":"2026-12-02T10:00","time_zone":"Europe/Berlin"},"serve":"a"}]}"#;
    written.put("x", targeting);
    written.segment("s", r#"{"rules":[{"if":[{"time":{"since":"2026-12-02T10:00[Europe/Berlin]"}}]}]}"#);
    // As if Berlin had given up summer time for good and moved its clocks.
    let mut replayed = with_instant(&written, "2026-12-02T10:00[Europe/Berlin]", "2026-12-02T08:00:00Z");
    let since = r#"{"time":{"since":"2026-12-02T08:00:00Z"}}"#;
    assert!(replayed.line(r#"{"flag":"x""#).contains(since));
    assert!(replayed.line(r#"{"segment":"s""#).contains(since));
    // An edit of something else settles nothing anew; another time in the same zone is read from the database.
    replayed.put("x", &targeting.replace(r#""on":true"#, r#""on":false"#));
    assert!(replayed.line(r#"{"flag":"x""#).contains(since));
    replayed.put("x", &targeting.replace("10:00", "11:00"));
    assert!(replayed.line(r#"{"flag":"x""#).contains(r#"{"time":{"since":"2026-12-02T10:00:00Z"}}"#));
}

#[test]
fn what_the_log_holds_without_its_instants_is_not_folded() {
    let mut project = project();
    project.put("x", r#"{"on":true,"schedule":{"start":"2026-12-02T10:00[Europe/Berlin]"}}"#);
    let text = logged(&project).to_string();
    let stripped = json(&format!("{}}}", &text[..text.find(r#","instants""#).unwrap()]));
    assert!(flagstone_publisher::state::SettledTargeting::from_json(&json(&text)).is_some());
    assert!(flagstone_publisher::state::SettledTargeting::from_json(&stripped).is_none());
}

#[test]
fn a_ramp_and_a_split_keep_their_salts_when_one_becomes_both() {
    let mut project = project();
    let line = |project: &Project| project.line(r#"{"flag":"x""#);
    let put = |project: &mut Project, then: &str| {
        let confirmed = Terms { confirmation: Confirmation::Given, ..Terms::default() };
        let text = format!(r#"{{"on":true,"rules":[{{"id":"r",{then}}}]}}"#);
        let edits = project.try_put_with("x", &text, confirmed).unwrap();
        project.record(edits);
    };
    let (steps, rollout) =
        (r#""steps":[["2026-12-02T10:00:00Z",1000]]"#, r#""rollout":{"weights":{"a":100000}}"#);
    put(&mut project, &format!(r#""ramp":{{"serve":"a",{steps}}}"#));
    put(&mut project, &format!(r#""ramp":{{{rollout},{steps}}}"#));
    let both = line(&project);
    assert!(both.contains(r#""bucket":{"salt":"x.r","#), "the ramp's: {both}");
    assert!(both.contains(r#""split":{"salt":"x.r.2","#), "another: {both}");
    put(&mut project, rollout);
    assert!(line(&project).contains(r#""split":{"salt":"x.r.2","#));
    put(&mut project, &format!(r#""ramp":{{{rollout},{steps}}}"#));
    let both = line(&project);
    assert!(both.contains(r#""bucket":{"salt":"x.r.ramp","#), "a fresh one: {both}");
    assert!(both.contains(r#""split":{"salt":"x.r.2","#), "the split's: {both}");
    let refolded = project.refolded();
    let again =
        flagstone_publisher::build::build(&refolded, &production(), &flagstone_model::key::ViewId::server());
    assert!(again.unwrap().iter().any(|line| **line == *both));
}

#[test]
fn a_ramp_and_its_rollout_never_share_a_salt() {
    let refused = project().try_put(
        "x",
        r#"{"on":true,"rules":[{"id":"r","ramp":{"salt":"s","rollout":{"salt":"s","weights":{"a":100000}},"steps":[["2026-12-02T10:00:00Z",1000]]}}]}"#,
    );
    assert_eq!(told(refused), [("invalid-request", "/rules/0/ramp".to_owned())]);
}

// The past

#[test]
fn a_schedule_that_is_over_is_refused_unless_it_stood_there_before() {
    let mut project = project();
    let over = r#""schedule":{"start":"2026-11-01T00:00:00Z","end":"2026-12-01T00:00:00Z"},
        "targets":{"a":["u-1",{"key":"u-2","until":"2026-12-01T00:00:00Z"}]},
        "rules":[{"id":"r","schedule":{"start":"2026-12-01T00:00:00Z"},"serve":"a"},
                 {"id":"s","ramp":{"serve":"a","steps":[["2026-11-30T00:00:00Z",1],["2026-12-01T00:00:00Z",2]]}}],
        "fallthrough":{"ramp":{"serve":"a","steps":[["2026-12-01T00:00:00Z",2]]}}"#;
    let text = format!(r#"{{"on":true,{over}}}"#);
    let places =
        ["/schedule", "/targets/a/1/until", "/rules/0/schedule", "/rules/1/ramp", "/fallthrough/ramp"];
    let expected: Vec<_> = places.iter().map(|place| (PAST, (*place).to_owned())).collect();
    assert_eq!(told(project.try_put_with("x", &text, at("2026-12-01T00:00:01Z"))), expected);
    let edits = project.try_put_with("x", &text, at("2026-12-01T00:00:00Z")).unwrap();
    project.record(edits);
    // The same schedules, spelled otherwise, and something else edited.
    let edited = text
        .replace(r#"{"on":true"#, r#"{"on":false"#)
        .replace("2026-12-01T00:00:00Z", "2026-12-01T01:00+01:00");
    assert!(project.try_put_with("x", &edited, at("2027-06-01T00:00:00Z")).is_ok());
    // One that was changed.
    let edited = text.replace(r#""2026-11-30T00:00:00Z",1]"#, r#""2026-11-29T00:00:00Z",1]"#);
    assert_eq!(
        told(project.try_put_with("x", &edited, at("2027-06-01T00:00:00Z"))),
        [(PAST, "/rules/1/ramp".to_owned())]
    );
    // An import, which is confirmed.
    let confirmed = Terms { confirmation: Confirmation::Given, ..at("2027-06-01T00:00:00Z") };
    assert!(project.try_put_with("x", &edited, confirmed).is_ok());
}

// Ramps that run

const RUNNING: &str = r#"{"on":true,"off":"off","rules":[{"id":"r","ramp":{"serve":"a","steps":[["2026-12-01T00:00:00Z","10%"],["2026-12-02T00:00:00Z","50%"],["2026-12-03T00:00:00Z","100%"]]}}]}"#;

#[test]
fn an_edit_that_takes_a_running_ramp_from_some_it_has_reached_asks_first() {
    let mut project = project();
    project.put("x", RUNNING);
    let now = at("2026-12-02T12:00:00Z");
    let confirmed = Terms { confirmation: Confirmation::Given, ..now };
    let ramp = |with: &str| format!(r#"{{"on":true,"off":"off","rules":[{{"id":"r",{with}}}]}}"#);
    let steps = |last: &str| {
        format!(
            r#""steps":[["2026-12-01T00:00:00Z","10%"],["2026-12-02T00:00:00Z","{last}"],["2026-12-03T00:00:00Z","60%"]]"#
        )
    };
    for less in [
        ramp(&format!(r#""ramp":{{"serve":"a",{}}}"#, steps("49.999%"))),
        ramp(&format!(r#""ramp":{{"serve":"b",{}}}"#, steps("50%"))),
        ramp(&format!(r#""ramp":{{"serve":"a","salt":"new",{}}}"#, steps("50%"))),
        ramp(&format!(r#""ramp":{{"serve":"a","by":"org.key",{}}}"#, steps("50%"))),
        ramp(r#""rollout":{"weights":{"a":"49.999%","b":"50.001%"}}"#),
        ramp(r#""rollout":{"salt":"new","weights":{"a":"60%","b":"40%"}}"#),
        ramp(r#""rollout":{"by":"org.key","weights":{"a":"60%","b":"40%"}}"#),
        ramp(r#""serve":"b""#),
        r#"{"on":true,"off":"off"}"#.to_owned(),
    ] {
        let refused = project.try_put_with("x", &less, now).unwrap_err();
        assert_eq!(refused.code(), "needs-confirmation", "{less}");
        assert!(
            refused.to_string().starts_with("the ramp of `r` has reached 50%, of whom only "),
            "{refused}"
        );
        assert!(project.try_put_with("x", &less, confirmed).is_ok(), "{less}");
    }
    for kept in [
        ramp(&format!(r#""ramp":{{"serve":"a",{}}}"#, steps("50%"))),
        ramp(r#""rollout":{"weights":{"a":"50%","b":"50%"}}"#),
        ramp(r#""rollout":{"salt":"new","weights":{"a":"100%"}}"#),
        ramp(r#""serve":"a""#),
    ] {
        assert!(project.try_put_with("x", &kept, now).is_ok(), "{kept}");
    }
    // Before it began nobody is in; a kill switch never asks.
    assert!(project.try_put_with("x", &ramp(r#""serve":"b""#), at("2026-11-30T23:59:59Z")).is_ok());
    assert!(change::switch(&project.state, &production(), &flag("x"), false, now).is_ok());
}

#[test]
fn who_a_ramp_has_reached_stays_in_when_a_rollout_takes_its_place() {
    let now = instant("2026-12-02T12:00:00Z");
    let units: Vec<String> = (0..400).map(|n| format!("u-{n}")).collect();
    let who = |project: &Project, variation: &str| -> Vec<String> {
        let snapshot = compiled(project);
        units.iter().filter(|unit| served(&snapshot, unit, now) == variation).cloned().collect()
    };
    // Whatever the order of their keys.
    for (variation, other) in [("a", "b"), ("b", "a")] {
        for percent in [30, 60, 100] {
            let mut project = project();
            project.put(
                "x",
                &format!(
                    r#"{{"on":true,"off":"{other}","fallthrough":{{"ramp":{{"serve":"{variation}","steps":[["2026-12-01T00:00:00Z","30%"],["2026-12-09T00:00:00Z","90%"]]}},"serve":"{other}"}}}}"#
                ),
            );
            let before = who(&project, variation);
            assert!((80..160).contains(&before.len()), "{}", before.len());
            let body = json(&format!(r#"{{"variation":"{variation}","percent":{percent}}}"#));
            let edits = change::roll_out(
                &project.state,
                &production(),
                &flag("x"),
                &body,
                at("2026-12-02T12:00:00Z"),
            );
            project.record(edits.unwrap());
            let after = who(&project, variation);
            let lost: Vec<_> = before.iter().filter(|unit| !after.contains(unit)).collect();
            assert!(lost.is_empty(), "{percent} % of {variation}: {} lost", lost.len());
            assert_eq!(percent == 30, after.len() == before.len());
        }
    }
}

#[test]
fn a_ramp_that_takes_a_rollouts_place_asks_before_somebody_loses_what_that_serves() {
    let now = at("2026-12-02T12:00:00Z");
    let confirmed = Terms { confirmation: Confirmation::Given, ..now };
    let put = |then: &str| format!(r#"{{"on":true,"off":"off","fallthrough":{{{then}}}}}"#);
    let ramp = |serve: &str, share: &str| {
        put(&format!(
            r#""ramp":{{"serve":"{serve}","steps":[["2026-12-01T00:00:00Z","{share}"],["2026-12-09T00:00:00Z","100%"]]}}"#
        ))
    };
    let mut project = project();
    // Of `a` and `b`, `b` lies on top: a ramp reaches it last.
    project.put("x", &put(r#""rollout":{"weights":{"a":"60%","b":"40%"}}"#));
    let refused = project.try_put_with("x", &ramp("b", "70%"), now).unwrap_err();
    assert_eq!(refused.code(), "needs-confirmation");
    let told = "`b` is served to 40% by the rollout of `rollout`, of whom only 10% would be in the ramp now";
    assert!(refused.to_string().starts_with(told), "{refused}");
    assert_eq!(
        project.try_put_with("x", &ramp("a", "59.999%"), now).unwrap_err().code(),
        "needs-confirmation"
    );
    assert!(project.try_put_with("x", &ramp("b", "70%"), confirmed).is_ok());
    project.record(change::switch(&project.state, &production(), &flag("x"), false, now).unwrap());
    assert!(project.try_put_with("x", &ramp("b", "70%"), now).is_ok(), "nobody is served anything");
    project.record(change::switch(&project.state, &production(), &flag("x"), true, now).unwrap());
    for kept in [ramp("a", "60%"), ramp("b", "100%"), ramp("off", "1%")] {
        assert!(project.try_put_with("x", &kept, now).is_ok(), "{kept}");
    }
}

fn pause(project: &Project, body: &str, now: &str) -> Result<Vec<change::Edit>, change::Refusal> {
    change::pause_ramp(&project.state, &production(), &flag("x"), &json(body), at(now))
}

fn steps(project: &Project) -> String {
    logged(project).member("authored").unwrap().member("rules").unwrap().as_array().unwrap()[0]
        .member("ramp")
        .unwrap()
        .member("steps")
        .unwrap()
        .to_string()
}

#[test]
fn a_pause_keeps_what_a_ramp_has_reached() {
    let paused = |targeting: &str, now: &str| {
        let mut project = project();
        project.put("x", targeting);
        let edits = pause(&project, "{}", now).unwrap();
        project.record(edits);
        steps(&project)
    };
    assert_eq!(
        paused(RUNNING, "2026-12-02T12:00:00Z"),
        r#"[["2026-12-01T00:00:00Z",10000],["2026-12-02T00:00:00Z",50000]]"#
    );
    assert_eq!(paused(RUNNING, "2026-12-01T00:00:00Z"), r#"[["2026-12-01T00:00:00Z",10000]]"#);
    assert_eq!(paused(RUNNING, "2026-11-30T23:59:59.999Z"), r#"[["2026-11-30T23:59:59Z",0]]"#);
    let linear = RUNNING.replace(r#""steps""#, r#""linear":true,"steps""#);
    assert_eq!(
        paused(&linear, "2026-12-01T06:00:00.999Z"),
        r#"[["2026-12-01T00:00:00Z",10000],["2026-12-01T06:00:00Z",20000]]"#
    );
    assert_eq!(
        paused(&linear, "2026-12-02T00:00:00Z"),
        r#"[["2026-12-01T00:00:00Z",10000],["2026-12-02T00:00:00Z",50000]]"#
    );
}

#[test]
fn only_a_ramp_that_grows_is_paused() {
    let not_running = |refused| assert_eq!(told(refused), [("ramp-not-running", "/rule".to_owned())]);
    let mut project = project();
    not_running(pause(&project, "{}", "2026-12-02T12:00:00Z"));
    project.put("x", RUNNING);
    not_running(pause(&project, "{}", "2026-12-03T00:00:00Z"));
    not_running(pause(&project, r#"{"rule":"r"}"#, "2026-12-03T00:00:00Z"));
    not_running(pause(&project, r#"{"rule":"rollout"}"#, "2026-12-02T00:00:00Z"));
    assert!(pause(&project, r#"{"rule":"r"}"#, "2026-12-02T00:00:00Z").is_ok());
    for (body, place) in [("[]", ""), (r#"{"rule":1}"#, "/rule"), (r#"{"rules":"r"}"#, "/rules")] {
        assert_eq!(
            told(pause(&project, body, "2026-12-02T00:00:00Z")),
            [("invalid-request", place.to_owned())]
        );
    }
    let two = RUNNING.replace(
        r#""off":"off","#,
        r#""off":"off","fallthrough":{"ramp":{"serve":"b","steps":[["2026-12-01T00:00:00Z",1],["2026-12-09T00:00:00Z",2]]}},"#,
    );
    project.put("x", &two);
    let refused = pause(&project, "{}", "2026-12-02T00:00:00Z").unwrap_err();
    assert_eq!(refused.to_string(), "several ramps are running: say which `rule`; running: `r`, `rollout`");
    assert!(pause(&project, r#"{"rule":"rollout"}"#, "2026-12-02T00:00:00Z").is_ok());
    // Paused once, it is not paused again.
    let edits = pause(&project, r#"{"rule":"r"}"#, "2026-12-02T00:00:00Z").unwrap();
    project.record(edits);
    not_running(pause(&project, r#"{"rule":"r"}"#, "2026-12-02T00:00:00Z"));
}

// Over time

/// A ramp as numbers: seconds since the epoch and parts of 100 000.
#[derive(Debug, Clone)]
struct Points {
    points: Vec<(i64, u64)>,
    linear: bool,
}

const START: i64 = 1_796_000_000;

fn points() -> impl Strategy<Value = Points> {
    (0i64..5_000, proptest::collection::vec((1i64..5_000, 0u64..25_000), 1..5), any::<bool>()).prop_map(
        |(from, steps, linear)| {
            let mut point = (START + from, 0);
            let points = steps
                .into_iter()
                .map(|(seconds, growth)| {
                    point = (point.0 + seconds, point.1 + growth);
                    point
                })
                .collect();
            Points { points, linear }
        },
    )
}

impl Points {
    fn steps(&self) -> String {
        let step = |(at, n): &(i64, u64)| format!(r#"["{}",{n}]"#, Instant::from_millis(at * 1_000));
        let steps: Vec<_> = self.points.iter().map(step).collect();
        format!(r#""steps":[{}],"linear":{}"#, steps.join(","), self.linear)
    }

    /// By the words of FORMAT M-6.3.
    fn reached(&self, second: i64) -> u64 {
        let mut reached = 0;
        for (index, (t0, n0)) in self.points.iter().enumerate() {
            if *t0 > second {
                break;
            }
            reached = *n0;
            if let (true, Some((t1, n1))) = (self.linear, self.points.get(index + 1))
                && second < *t1
            {
                reached += (n1 - n0) * u64::try_from(second - t0).unwrap() / u64::try_from(t1 - t0).unwrap();
            }
        }
        reached
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn what_is_served_at_any_time_is_what_the_schedule_says(
        start in START..START + 9_000,
        length in 1i64..9_000,
        until in START..START + 9_000,
        rule_start in START..START + 9_000,
        rule_length in 1i64..9_000,
        first in points(),
        last in points(),
        others in proptest::collection::vec(START - 100..START + 30_000, 8),
    ) {
        let text = |second: i64| Instant::from_millis(second * 1_000).to_string();
        let (end, rule_end) = (start + length, rule_start + rule_length);
        let mut project = project();
        project.put("x", &format!(
            r#"{{"on":true,"off":"off","schedule":{{"start":"{}","end":"{}"}},
                "targets":{{"b":["u-1",{{"key":"u-2","until":"{}"}}]}},
                "rules":[{{"id":"r","schedule":{{"start":"{}","end":"{}"}},"ramp":{{"serve":"a",{}}}}}],
                "fallthrough":{{"ramp":{{"rollout":{{"weights":{{"a":"50%","b":"50%"}}}},{}}},"serve":"off"}}}}"#,
            text(start), text(end), text(until), text(rule_start), text(rule_end), first.steps(), last.steps(),
        ));
        let snapshot = compiled(&project);
        let edges = [start, end, until, rule_start, rule_end].into_iter();
        let edges = edges.chain(first.points.iter().chain(&last.points).map(|(at, _)| *at));
        let seconds = edges.flat_map(|edge| [edge - 1, edge, edge + 1]).chain(others);
        let bucket_of = |salt: &str, unit: &str| bucket(unit.as_bytes(), seed(salt), 100_000);
        for second in seconds {
            for unit in ["u-1", "u-2", "u-3", "u-4", "u-5", "u-6"] {
                let expected = if second < start || second >= end {
                    "off"
                } else if unit == "u-1" || (unit == "u-2" && second < until) {
                    "b"
                } else if (rule_start..rule_end).contains(&second)
                    && bucket_of("x.r", unit) < first.reached(second)
                {
                    "a"
                } else if bucket_of("x.ramp", unit) < last.reached(second) {
                    if bucket_of("x", unit) < 50_000 { "a" } else { "b" }
                } else {
                    "off"
                };
                for millis in [0, 999] {
                    let now = Instant::from_millis(second * 1_000 + millis);
                    prop_assert_eq!(served(&snapshot, unit, now), expected, "{} at {}", unit, now);
                }
            }
        }
    }

    #[test]
    fn whoever_is_in_when_a_ramp_is_paused_stays_in_for_ever_and_nobody_joins(
        ramp in points(),
        share in 0.0f64..1.0,
        later in proptest::collection::vec(0i64..1_000_000_000, 6),
    ) {
        let mut project = project();
        project.put("x", &format!(r#"{{"on":true,"off":"off","rules":[{{"id":"r","ramp":{{"serve":"a",{}}}}}],"fallthrough":{{"serve":"b"}}}}"#, ramp.steps()));
        let before = compiled(&project);
        let end = ramp.points.last().unwrap().0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "some second before the end")]
        let second = START - 10 + ((end - START + 9) as f64 * share) as i64;
        let now = Instant::from_millis(second * 1_000 + 500);
        let edits = pause(&project, r#"{"rule":"r"}"#, &now.to_string()).unwrap();
        project.record(edits);
        let after = compiled(&project);
        let units: Vec<String> = (0..200).map(|unit| format!("u-{unit}")).collect();
        for seconds in later.into_iter().chain([0, 1]) {
            let then = Instant::from_millis(now.millis() + seconds * 1_000);
            for unit in &units {
                prop_assert_eq!(served(&after, unit, then), served(&before, unit, now), "{} at {}", unit, then);
            }
        }
    }
}

// Together with others

#[test]
fn a_checkpoint_keeps_the_settled_instants() {
    let mut project = project();
    project.put("x", r#"{"on":true,"schedule":{"start":"2026-12-02T10:00[Europe/Berlin]"}}"#);
    project.segment("s", r#"{"rules":[{"if":[{"time":{"since":"2026-12-02T10:00[Europe/Berlin]"}}]}]}"#);
    let local = "2026-12-02T10:00[Europe/Berlin]";
    let moved = with_instant(&project, local, "2026-12-02T08:00:00Z");
    let lines = moved.state.to_lines().unwrap();
    let read = flagstone_publisher::state::State::from_lines(moved.state.id(), &lines).unwrap();
    assert_eq!(read.to_lines().unwrap(), lines);
    let built = |state: &flagstone_publisher::state::State| {
        flagstone_publisher::build::build(state, &production(), &flagstone_model::key::ViewId::server())
            .unwrap()
    };
    assert_eq!(built(&read), built(&moved.state));
    assert!(built(&read).iter().filter(|line| line.contains("2026-12-02T08:00:00Z")).count() == 2);
}

#[test]
fn of_several_changes_each_is_held_to_its_schedule() {
    let mut project = project();
    let zoned = RUNNING.replace(r#""2026-12-01T00:00:00Z""#, r#""2026-12-01T01:00[Europe/Berlin]""#);
    project.put("x", &zoned);
    let several = |project: &Project, targeting: &str, terms: Terms| {
        let change =
            format!(r#"{{"changes":[{{"environment":"production","flag":"x","targeting":{targeting}}}]}}"#);
        let changes = flagstone_publisher::author::Change::parse_all(&json(&change)).unwrap();
        change::change_several(&project.state, &changes, terms)
    };
    let now = at("2026-12-02T12:00:00Z");
    let less = zoned.replace(r#""50%""#, r#""49%""#);
    assert_eq!(several(&project, &less, now).unwrap_err().code(), "needs-confirmation");
    assert!(several(&project, &less, Terms { confirmation: Confirmation::Given, ..now }).is_ok());
    let over = zoned.replace(r#""off":"off","#, r#""off":"off","schedule":{"end":"2026-12-01T00:00:00Z"},"#);
    assert_eq!(told(several(&project, &over, now)), [(PAST, "/changes/0/targeting/schedule".to_owned())]);
    assert_eq!(several(&project, &zoned.replace(r#""on":true"#, r#""on":false"#), now).unwrap().len(), 1);
    // What was settled otherwise once is the same now: there is nothing to do.
    let moved = with_instant(&project, "2026-12-01T01:00[Europe/Berlin]", "2026-12-01T03:00:00Z");
    assert_eq!(several(&moved, &zoned, now).unwrap(), []);
}
