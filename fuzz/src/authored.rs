//! What authors write: it round-trips, and what is taken lowers to lines that are understood (FORMAT M-11, P1).

use std::sync::LazyLock;

use flagstone_eval::Snapshot;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ProjectId, SegmentKey, ViewId};
use flagstone_publisher::author::{Segment, Targeting};
use flagstone_publisher::build::build;
use flagstone_publisher::log::{Actor, ActorKind, Draft, Entry, EntryData};
use flagstone_publisher::state::State;
use flagstone_publisher::state::change::{self, Confirmation, Edit, Terms};
use flagstone_publisher::view::ClientSalt;

use crate::shape::{self, Choices, Shaped};
use crate::{Input, input};

/// The moment at which everything is written.
const WRITTEN_MS: i64 = 1_795_253_123_200;

pub(crate) fn body(bytes: &[u8]) -> bool {
    let form = match input(bytes) {
        Input::Raw(raw) => Json::parse(raw).map(Json::into_owned).ok(),
        Input::Choices(mut choices) => shaped(&mut choices).ok(),
    };
    let Some(form) = form else { return false };
    let targeting = Targeting::parse(&form);
    if let Ok(targeting) = &targeting {
        let written = targeting.to_json().into_owned();
        let again = Targeting::parse(&written).expect("what was read is written so that it is read");
        assert_eq!(again.to_json().to_string(), written.to_string(), "the authored form round-trips");
        let terms = Terms { confirmation: Confirmation::Given, now_ms: WRITTEN_MS, ..Terms::default() };
        if let Ok(edits) = change::put_targeting(&PROJECT, &production(), &flag("f"), &written, terms) {
            publishes(edits);
        }
    }
    let segment = Segment::parse(&form);
    if let Ok(segment) = &segment {
        let written = segment.to_json().into_owned();
        let again = Segment::parse(&written).expect("what was read is written so that it is read");
        assert_eq!(again.to_json().to_string(), written.to_string(), "the authored form round-trips");
        let staff = SegmentKey::parse("staff").expect("a key");
        let terms = Terms { confirmation: Confirmation::Given, now_ms: WRITTEN_MS, ..Terms::default() };
        if let Ok(edits) = change::put_segment(&PROJECT, &production(), &staff, &written, terms) {
            publishes(edits);
        }
    }
    targeting.is_ok() || segment.is_ok()
}

/// Asserts that the lines after these edits are canonical and wholly understood.
fn publishes(edits: Vec<Edit>) {
    let mut state = PROJECT.clone();
    record(&mut state, edits);
    let lines = build(&state, &production(), &ViewId::server()).expect("what was written is built");
    let (snapshot, report) = Snapshot::compile(lines.iter().map(|line| line.as_bytes()));
    assert!(report.is_clean(), "lowering never yields unsupported: {report:?}");
    assert_eq!(snapshot.broken_references(), [], "references resolve");
    for line in &lines {
        let json = Json::parse(line.as_bytes()).expect("a line is JSON");
        assert_eq!(json.to_string(), **line, "a line is canonical");
    }
}

fn production() -> EnvironmentId {
    EnvironmentId::parse("production").expect("an id")
}

fn flag(key: &str) -> FlagKey {
    FlagKey::parse(key).expect("a key")
}

/// A project with what shaped forms refer to.
static PROJECT: LazyLock<State> = LazyLock::new(|| {
    let json = |text: &'static str| Json::parse(text.as_bytes()).expect("JSON");
    let mut state = State::new(ProjectId::parse("shop").expect("an id"));
    let mut edits = change::create_project(&state, &json(r#"{"id":"shop"}"#)).expect("a project");
    edits.extend(
        change::create_environment(&state, &json(r#"{"id":"production"}"#), &ClientSalt::of(1))
            .expect("an environment"),
    );
    record(&mut state, edits);
    for definition in [
        r#"{"key":"f","type":"int","variations":{"a":1,"off":0,"on":2}}"#,
        r#"{"key":"payments","type":"bool"}"#,
    ] {
        let edits = change::create_flag(&state, &json(definition)).expect("a flag");
        record(&mut state, edits);
    }
    for key in ["eu", "staff"] {
        let key = SegmentKey::parse(key).expect("a key");
        let edits = change::put_segment(
            &state,
            &production(),
            &key,
            &json(r#"{"include":["u-1"]}"#),
            Terms::default(),
        );
        record(&mut state, edits.expect("a segment"));
    }
    state
});

fn record(state: &mut State, edits: Vec<Edit>) {
    let (changes, states) = edits.into_iter().map(|edit| (edit.change, edit.state)).unzip();
    let draft = Draft {
        project: state.id().clone(),
        time_ms: WRITTEN_MS,
        actor: Actor { kind: ActorKind::User, id: "u_1".into(), via: "fuzz".into() },
        request_id: format!("r-{}", state.seq()),
        request: Vec::new(),
        changes,
        data: EntryData { states, ..EntryData::default() },
    };
    let entry = Entry::seal_with(draft, state.head(), [1; 16], [2; 16]).expect("an entry");
    state.apply(&entry).expect("it follows");
}

fn shaped(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    shape::authored(u)
}
