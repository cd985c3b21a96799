//! A state as JSON lines, so that a start need not fold the log from its first entry (FORMAT T-4.4).
//!
//! One line names the entry it stands at; then one line for each entity, in the form in which an entry of the log
//! keeps it, and one for each remembered request. The same state gives the same bytes.

use std::sync::Arc;

use flagstone_model::digest::Digest;
use flagstone_model::json::{Duplicates, Json, ParseOptions};
use flagstone_model::key::{EnvironmentId, ProjectId};

use super::State;
use super::entity::{
    EnvironmentState, FlagInEnvironment, FlagState, ListState, ProjectState, SegmentState,
    environment_to_json, segment_to_json,
};
use super::fold::Place;
use super::requests::Recorded;
use super::view::{AttributesState, ViewState};
use crate::author::ViewDefinition;
use crate::list::ListContent;
use crate::log::{Entity, Head};

/// What the first line calls this form. To be raised when old lines would be read as another state.
const FORMAT: &str = "flagstone/state/1";
/// Deepest nesting of a line: that of an entry's data.
const MAX_DEPTH: usize = 64;

/// Why lines are no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateFault {
    /// The lines are of another form, or know less than this release does.
    #[error("they were written by another release")]
    Release,
    /// The lines are of another project.
    #[error("they are of another project")]
    Project,
    /// A line can not be read.
    #[error("line {line} can not be read")]
    Line {
        /// Which, from 1.
        line: usize,
    },
}

impl StateFault {
    /// The stable code of this fault.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Release => "checkpoint-of-another-release",
            Self::Project => "checkpoint-of-another-project",
            Self::Line { .. } => "checkpoint-unreadable",
        }
    }
}

impl State {
    /// The state as lines; `None` before the first entry.
    pub fn to_lines(&self) -> Option<Vec<u8>> {
        // Everything a state holds is named here, so that what is added to it is added to its lines.
        let Self {
            id,
            head,
            project,
            flags,
            environments,
            tokens,
            sdk_keys,
            attributes,
            views,
            requests,
            others,
        } = self;
        let Head { seq, hash, time_ms } = head.as_ref()?;
        let mut lines = Lines::default();
        lines.push(&Json::object([
            ("format", Json::from(FORMAT)),
            ("project", Json::from(id.as_str())),
            ("seq", Json::from(*seq)),
            ("hash", Json::from(hash.to_string())),
            ("time_ms", Json::from(*time_ms)),
        ]));
        if let Some(found) = project {
            let ProjectState { project, revision, seq } = &**found;
            lines.entity(&Entity::Project, (*revision, *seq), Some(project.to_json()));
        }
        for (key, flag) in flags.iter() {
            let FlagState { definition, revision, seq } = &**flag;
            lines.entity(&Entity::Flag(key.clone()), (*revision, *seq), Some(definition.to_json()));
        }
        if attributes.revision > 0 {
            let AttributesState { attributes, revision, seq } = attributes;
            lines.entity(&Entity::Attributes, (*revision, *seq), Some(attributes.to_json()));
        }
        for (id, found) in views.iter() {
            let ViewState { definition, revision, seq } = &**found;
            let state = definition.as_ref().map_or(Json::Null, ViewDefinition::to_json);
            lines.entity(&Entity::View(id.clone()), (*revision, *seq), Some(state));
        }
        for (id, found) in environments {
            lines.environment(id, found);
        }
        for (id, token) in tokens.iter() {
            let place = (token.revision, token.seq);
            lines.entity(&Entity::Token(id.clone()), place, Some(token.to_json()));
        }
        for ((id, key), found) in sdk_keys.iter() {
            let place = (found.revision, found.seq);
            lines.entity(&Entity::SdkKey(id.clone(), key.clone()), place, Some(found.to_json()));
        }
        for (text, place) in others.iter() {
            // What was kept was an entity when it was folded.
            if let Ok(entity) = Entity::parse(text) {
                lines.entity(&entity, *place, None);
            }
        }
        for (actor, request, recorded) in requests.iter() {
            let Recorded { seq, time_ms, sha256, salt } = recorded;
            let salt = salt.map(|salt| format!("{:032x}", u128::from_be_bytes(salt)));
            lines.push(&Json::object([
                ("request", Json::from(request)),
                ("actor", Json::from(actor)),
                ("seq", Json::from(*seq)),
                ("time_ms", Json::from(*time_ms)),
                ("sha256", Json::from(sha256.to_string())),
                ("salt", salt.map_or(Json::Null, Json::from)),
            ]));
        }
        Some(lines.0.into_bytes())
    }

    /// Reads what [`Self::to_lines`] wrote.
    pub fn from_lines(project: &ProjectId, lines: &[u8]) -> Result<Self, StateFault> {
        let mut state = Self::new(project.clone());
        let options = ParseOptions { max_depth: MAX_DEPTH, duplicates: Duplicates::Refuse };
        let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
        for (line, number) in lines.split(|byte| *byte == b'\n').zip(1..) {
            let fault = StateFault::Line { line: number };
            let json = Json::parse_with(line, options).map_err(|_| fault.clone())?;
            if number == 1 {
                state.read_head(&json)?;
            } else if json.member("entity").is_some() {
                state.read_entity(&json, fault)?;
            } else {
                state.read_request(&json).ok_or(fault)?;
            }
        }
        if state.head.is_some() { Ok(state) } else { Err(StateFault::Line { line: 1 }) }
    }

    fn read_head(&mut self, json: &Json<'_>) -> Result<(), StateFault> {
        if json.member("format").and_then(Json::as_str) != Some(FORMAT) {
            return Err(StateFault::Release);
        }
        if json.member("project").and_then(Json::as_str) != Some(self.id.as_str()) {
            return Err(StateFault::Project);
        }
        let read = || {
            let hash = Digest::parse(json.member("hash")?.as_str()?)?;
            Some(Head { seq: natural(json, "seq")?, hash, time_ms: json.member("time_ms")?.as_integer()? })
        };
        self.head = Some(read().ok_or(StateFault::Line { line: 1 })?);
        Ok(())
    }

    fn read_entity(&mut self, json: &Json<'_>, fault: StateFault) -> Result<(), StateFault> {
        let read = || {
            let entity = Entity::parse(json.member("entity")?.as_str()?).ok()?;
            Some((entity, Place { revision: natural(json, "revision")?, seq: natural(json, "seq")? }))
        };
        let (entity, place) = read().ok_or(fault.clone())?;
        let state = json.member("state");
        // The release that wrote the line only carried the entity along, and this one would know its state; or the
        // other way round.
        if Self::only_carries(&entity) != state.is_none() {
            return Err(StateFault::Release);
        }
        self.set(&entity, place, state).ok_or(fault)
    }

    fn read_request(&mut self, json: &Json<'_>) -> Option<()> {
        let text = |member| Some(json.member(member)?.as_str()?.to_owned());
        let salt = match json.member("salt")? {
            Json::Null => None,
            salt => Some(u128::from_str_radix(salt.as_str()?, 16).ok()?.to_be_bytes()),
        };
        let recorded = Recorded {
            seq: natural(json, "seq")?,
            time_ms: json.member("time_ms")?.as_integer()?,
            sha256: Digest::parse(json.member("sha256")?.as_str()?)?,
            salt,
        };
        self.requests.remember(Arc::new((text("actor")?, text("request")?)), recorded);
        Some(())
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn push(&mut self, json: &Json<'_>) {
        json.write(&mut self.0);
        self.0.push('\n');
    }

    /// An environment and everything in it.
    fn environment(&mut self, id: &EnvironmentId, environment: &EnvironmentState) {
        let EnvironmentState {
            environment,
            client_salt,
            attributes: _,
            revision,
            seq,
            flags,
            segments,
            lists,
        } = environment;
        let entity = Entity::Environment(id.clone());
        let state = environment_to_json(environment, client_salt.as_ref());
        self.entity(&entity, (*revision, *seq), Some(state));
        for (key, found) in flags.iter() {
            let FlagInEnvironment { flag: _, targeting, edits, seq, line: _, checks: _, redacted: _ } =
                &**found;
            if *edits > 0 {
                let entity = Entity::Targeting(id.clone(), key.clone());
                self.entity(&entity, (found.revision(), *seq), Some(targeting.to_json()));
            }
        }
        for (key, found) in segments.iter() {
            let SegmentState {
                segment,
                revision,
                seq,
                references: _,
                salts: _,
                line: _,
                is_delicate: _,
                redacted: _,
            } = &**found;
            let state = segment.as_ref().map_or(Json::Null, segment_to_json);
            self.entity(&Entity::Segment(id.clone(), key.clone()), (*revision, *seq), Some(state));
        }
        for (key, found) in lists.iter() {
            let ListState { content, revision, seq, line: _ } = &**found;
            let state = content.as_ref().map_or(Json::Null, ListContent::to_json);
            self.entity(&Entity::List(id.clone(), key.clone()), (*revision, *seq), Some(state));
        }
    }

    /// An entity at its place; without a state it is one that is only carried along.
    fn entity(&mut self, entity: &Entity, (revision, seq): (u64, u64), state: Option<Json<'_>>) {
        let members = [
            ("entity", Some(Json::from(entity.to_string()))),
            ("revision", Some(Json::from(revision))),
            ("seq", Some(Json::from(seq))),
            ("state", state),
        ];
        self.push(&Json::object(members.into_iter().filter_map(|(name, value)| Some((name, value?)))));
    }
}

fn natural(json: &Json<'_>, member: &str) -> Option<u64> {
    json.member(member)?.as_integer()?.try_into().ok()
}
