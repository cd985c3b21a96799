//! A project of many flags, made without publishing each of them.

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ProjectId};
use flagstone_publisher::control::{Operation, Precondition, Write};
use flagstone_publisher::log::{Actor, ActorKind, Draft, Entry, EntryData};
use flagstone_publisher::state::State;
use flagstone_publisher::state::change::{self, Edit, Terms};
use flagstone_publisher::view::ClientSalt;

pub const FLAGS: usize = 10_000;
pub const NOW_MS: i64 = 1_796_212_800_000;
const FLAGS_PER_ENTRY: usize = 100;

fn json(text: &str) -> Json<'static> {
    Json::parse(text.as_bytes()).unwrap().into_owned()
}

pub fn project() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

pub fn production() -> EnvironmentId {
    EnvironmentId::parse("production").unwrap()
}

pub fn flag(n: usize) -> FlagKey {
    FlagKey::parse(&format!("flag-{n:05}")).unwrap()
}

fn actor() -> Actor {
    Actor { kind: ActorKind::System, id: "bench".into(), via: "bench".into() }
}

/// The entries of a project with many flags, each on with a 30 % rollout.
pub fn entries() -> Vec<Entry> {
    project_of(FLAGS).1
}

/// A project with so many of these flags, and its entries.
pub fn project_of(flags: usize) -> (State, Vec<Entry>) {
    let mut state = State::new(project());
    let mut entries = Vec::new();
    let edits = change::create_project(&state, &json(r#"{"id":"shop"}"#)).unwrap();
    record(&mut state, &mut entries, edits);
    let edits =
        change::create_environment(&state, &json(r#"{"id":"production"}"#), &ClientSalt::of(7)).unwrap();
    record(&mut state, &mut entries, edits);
    for first in (0..flags).step_by(FLAGS_PER_ENTRY) {
        let flags = first..first + FLAGS_PER_ENTRY;
        let edits = flags.clone().flat_map(|n| {
            change::create_flag(&state, &json(&format!(r#"{{"key":"{}","type":"bool"}}"#, flag(n)))).unwrap()
        });
        let edits = edits.collect();
        record(&mut state, &mut entries, edits);
        let body =
            json(r#"{"on":true,"off":"off","fallthrough":{"rollout":{"weights":{"on":30000,"off":70000}}}}"#);
        let edits = flags.flat_map(|n| {
            change::put_targeting(&state, &production(), &flag(n), &body, Terms::default()).unwrap()
        });
        let edits = edits.collect();
        record(&mut state, &mut entries, edits);
    }
    (state, entries)
}

/// Seals edits into the next entry.
pub fn record(state: &mut State, entries: &mut Vec<Entry>, edits: Vec<Edit>) {
    let (changes, states) = edits.into_iter().map(|edit| (edit.change, edit.state)).unzip();
    let draft = Draft {
        project: project(),
        time_ms: NOW_MS + i64::try_from(state.seq()).unwrap() * 1_000,
        actor: actor(),
        request_id: format!("r-{}", state.seq()),
        request: Vec::new(),
        changes,
        data: EntryData { states, ..EntryData::default() },
    };
    let entry = Entry::seal(draft, state.head()).unwrap();
    state.apply(&entry).unwrap();
    entries.push(entry);
}

/// A change that is waited for, and which flag it switches.
pub fn switch(n: usize, on: bool) -> (Operation, Write) {
    let write = Write {
        actor: actor(),
        actor_name: None,
        request_id: None,
        request_bytes: Vec::new(),
        reason: None,
        precondition: Precondition::Any,
        confirm: false,
        wait: true,
        until: None,
    };
    (Operation::Switch(production(), flag(n), on), write)
}
