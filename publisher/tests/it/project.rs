//! A project in memory: changes are sealed into entries and folded, as a log would have them.

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ProjectId, SegmentKey, ViewId};
use flagstone_publisher::author::{Change, Problem};
use flagstone_publisher::build::build;
use flagstone_publisher::log::{Actor, ActorKind, Draft, Entry, EntryData};
use flagstone_publisher::state::State;
use flagstone_publisher::state::change::{self, Edit, Refusal, Terms};
use flagstone_publisher::view::ClientSalt;

pub(crate) fn json(text: &str) -> Json<'static> {
    Json::parse(text.as_bytes()).unwrap().into_owned()
}

pub(crate) fn flag(key: &str) -> FlagKey {
    FlagKey::parse(key).unwrap()
}

pub(crate) fn segment(key: &str) -> SegmentKey {
    SegmentKey::parse(key).unwrap()
}

pub(crate) fn production() -> EnvironmentId {
    EnvironmentId::parse("production").unwrap()
}

/// What the public views of an environment are hashed with.
pub(crate) fn salt() -> ClientSalt {
    ClientSalt::parse("k3f9").unwrap()
}

pub(crate) struct Project {
    pub(crate) state: State,
    pub(crate) entries: Vec<Entry>,
    pub(crate) time_ms: i64,
}

impl Project {
    /// A project with the environment `production`.
    pub(crate) fn new() -> Self {
        let state = State::new(ProjectId::parse("shop").unwrap());
        let mut project = Self { state, entries: Vec::new(), time_ms: 1_795_253_123_200 };
        let mut edits = change::create_project(&project.state, &json(r#"{"id":"shop"}"#)).unwrap();
        edits.extend(
            change::create_environment(&project.state, &json(r#"{"id":"production"}"#), &salt()).unwrap(),
        );
        project.record(edits);
        project
    }

    pub(crate) fn record(&mut self, edits: Vec<Edit>) {
        let request = format!("r-{}", self.state.seq() + 1);
        self.record_as(edits, "u_1", &request);
    }

    pub(crate) fn record_as(&mut self, edits: Vec<Edit>, actor: &str, request: &str) {
        let (changes, states) = edits.into_iter().map(|edit| (edit.change, edit.state)).unzip();
        let draft = Draft {
            project: self.state.id().clone(),
            time_ms: self.time_ms,
            actor: Actor { kind: ActorKind::User, id: actor.into(), via: "test".into() },
            request_id: request.into(),
            request: request.as_bytes().to_vec(),
            changes,
            data: EntryData { states, ..EntryData::default() },
        };
        let entry = Entry::seal_with(draft, self.state.head(), [1; 16], [2; 16]).unwrap();
        self.state.apply(&entry).unwrap();
        self.entries.push(entry);
    }

    pub(crate) fn create(&mut self, definition: &str) {
        let edits = change::create_flag(&self.state, &json(definition)).unwrap();
        self.record(edits);
    }

    pub(crate) fn try_put(&self, key: &str, targeting: &str) -> Result<Vec<Edit>, Refusal> {
        self.try_put_with(key, targeting, Terms::default())
    }

    pub(crate) fn try_put_with(
        &self,
        key: &str,
        targeting: &str,
        terms: Terms,
    ) -> Result<Vec<Edit>, Refusal> {
        change::put_targeting(&self.state, &production(), &flag(key), &json(targeting), terms)
    }

    pub(crate) fn put(&mut self, key: &str, targeting: &str) {
        let edits = self.try_put(key, targeting).unwrap();
        self.record(edits);
    }

    pub(crate) fn try_segment(&self, key: &str, body: &str) -> Result<Vec<Edit>, Refusal> {
        change::put_segment(&self.state, &production(), &segment(key), &json(body), Terms::default())
    }

    pub(crate) fn segment(&mut self, key: &str, body: &str) {
        let edits = self.try_segment(key, body).unwrap();
        self.record(edits);
    }

    pub(crate) fn roll_out(&mut self, key: &str, body: &str) {
        let edits =
            change::roll_out(&self.state, &production(), &flag(key), &json(body), Terms::default()).unwrap();
        self.record(edits);
    }

    /// Several changes, as `{"changes":[…]}` has them.
    pub(crate) fn try_several(&self, changes: &str) -> Result<Vec<Edit>, Refusal> {
        let changes = Change::parse_all(&json(&format!(r#"{{"changes":[{changes}]}}"#)))?;
        change::change_several(&self.state, &changes, Terms::default())
    }

    pub(crate) fn several(&mut self, changes: &str) {
        let edits = self.try_several(changes).unwrap();
        self.record(edits);
    }

    /// The lines of `production`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = build(&self.state, &production(), &ViewId::server()).unwrap();
        lines.iter().map(ToString::to_string).collect()
    }

    /// The line of a flag or a segment.
    pub(crate) fn line(&self, head: &str) -> String {
        self.lines().into_iter().find(|line| line.starts_with(head)).unwrap()
    }

    /// The state folded from the first entry.
    pub(crate) fn refolded(&self) -> State {
        let mut state = State::new(self.state.id().clone());
        self.entries.iter().for_each(|entry| state.apply(entry).unwrap());
        state
    }
}

/// Code and pointer of each problem of a refusal.
pub(crate) fn told<T: std::fmt::Debug>(refused: Result<T, Refusal>) -> Vec<(&'static str, String)> {
    places(refused.unwrap_err().problems())
}

pub(crate) fn places(problems: &[Problem]) -> Vec<(&'static str, String)> {
    problems.iter().map(|problem| (problem.code, problem.pointer.clone())).collect()
}
