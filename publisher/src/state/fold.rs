//! Folding entries into a state.

use std::collections::BTreeMap;
use std::sync::Arc;

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, ProjectId, SegmentKey};
use flagstone_model::value::{FlagType, Value};

use super::change::Edit;
use super::entity::{
    EnvironmentState, FlagInEnvironment, FlagState, ListState, ProjectState, SegmentState, SettledTargeting,
    environment_from_json, segment_from_json,
};
use super::view::{AttributesState, ViewState};
use super::{CredentialState, SortedMap, State};
use crate::author::{Attributes, Environment, FlagDefinition, FlagKind, Project, Segment, ViewDefinition};
use crate::list::{ListContent, ListKeys};
use crate::log::{DataError, Entity, EntityChange, Entry, follows};

/// Why an entry can not be folded: the log is damaged, or from a later release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// The entry is not the next of this log.
    #[error("entry {found} does not follow entry {head} of project {project}")]
    NotNext {
        /// The project folded so far.
        project: ProjectId,
        /// The last entry folded.
        head: u64,
        /// The entry that was offered.
        found: u64,
    },
    /// The data can not be read.
    #[error("the data of entry {seq}: {source}")]
    Data {
        /// Which entry.
        seq: u64,
        /// Why.
        source: DataError,
    },
    /// A change does not fit what was there before it.
    #[error("entry {seq} changes {entity} from revision {found}, which is at {present}")]
    Revision {
        /// Which entry.
        seq: u64,
        /// What it changes.
        entity: Entity,
        /// The revision it starts from.
        found: u64,
        /// The revision there is.
        present: u64,
    },
    /// A change names another earlier entry than the one that was last.
    #[error("entry {seq} says that entry {found} changed {entity} before, but that was entry {present}")]
    PriorSeq {
        /// Which entry.
        seq: u64,
        /// What it changes.
        entity: Entity,
        /// The earlier entry it names.
        found: u64,
        /// The earlier entry there is.
        present: u64,
    },
    /// The state of an entity can not be read.
    #[error("entry {seq} leaves {entity} in a state that can not be read")]
    State {
        /// Which entry.
        seq: u64,
        /// What it changes.
        entity: Entity,
    },
}

impl FoldError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotNext { .. } => "log-not-next",
            _ => "log-unreadable",
        }
    }
}

impl State {
    /// Folds the next entry. On an error the state is as before.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), FoldError> {
        let seq = entry.header.seq;
        if entry.header.project != self.id || !follows(entry, self.head.as_ref()) {
            return Err(FoldError::NotNext { project: self.id.clone(), head: self.seq(), found: seq });
        }
        let data = entry.read_data().map_err(|source| FoldError::Data { seq, source })?;
        let changes = &entry.header.changes;
        let states = data.as_ref().map(|data| &data.states);
        if states.is_some_and(|states| states.len() != changes.len()) {
            return Err(FoldError::Data { seq, source: DataError::Member { member: "states" } });
        }
        let mut next = self.clone();
        for (index, change) in changes.iter().enumerate() {
            next.fold(seq, change, states.and_then(|states| states.get(index)))?;
        }
        next.head = Some(entry.head());
        next.requests.record(entry);
        for change in changes {
            if let Entity::Erasure(erased) = change.entity {
                next.requests.erase(erased);
            }
        }
        *self = next;
        Ok(())
    }

    /// The state that these edits would lead to, were they the next entry.
    pub fn with<'e>(&self, edits: impl IntoIterator<Item = &'e Edit>) -> Result<Self, FoldError> {
        let mut next = self.clone();
        let seq = self.seq().saturating_add(1);
        for edit in edits {
            next.fold(seq, &edit.change, Some(&edit.state))?;
        }
        Ok(next)
    }

    /// Folds one change; without a state, it was erased and only its place is known.
    fn fold(&mut self, seq: u64, change: &EntityChange, state: Option<&Json<'_>>) -> Result<(), FoldError> {
        let entity = &change.entity;
        let (present, last) = self.place(entity);
        let (before, revision) = change.revision;
        if before != present {
            let entity = entity.clone();
            return Err(FoldError::Revision { seq, entity, found: before, present });
        }
        if change.prior_seq != last {
            let (entity, found) = (entity.clone(), change.prior_seq);
            return Err(FoldError::PriorSeq { seq, entity, found, present: last });
        }
        if let Entity::Targeting(id, key) = entity {
            let present = self.environment(id.as_str()).and_then(|environment| environment.flags.get(key));
            if present.is_some_and(|present| revision != present.revision().saturating_add(1)) {
                return Err(FoldError::State { seq, entity: entity.clone() });
            }
        }
        let folded = self.set(entity, Place { revision, seq }, state);
        folded.ok_or_else(|| FoldError::State { seq, entity: entity.clone() })
    }

    /// Whether nothing but the place of an entity is kept.
    pub(super) const fn only_carries(entity: &Entity) -> bool {
        matches!(entity, Entity::Erasure(_) | Entity::Restoration(..) | Entity::Unknown(_))
    }

    /// Puts an entity in its place; without a state, what it was stays. `None` if the state can not be read.
    pub(super) fn set(&mut self, entity: &Entity, place: Place, state: Option<&Json<'_>>) -> Option<()> {
        match entity {
            Entity::Project => self.fold_project(place, state),
            Entity::Environment(id) => self.fold_environment(id, place, state),
            Entity::Flag(key) => self.fold_flag(key, place, state),
            Entity::Targeting(id, key) => self.fold_targeting(id, key, place, state),
            Entity::Segment(id, key) => self.fold_segment(id, key, place, state),
            Entity::List(id, key) => self.fold_list(id, key, place, state),
            Entity::Token(id) => {
                let token = CredentialState::folded(state, (place.revision, place.seq))?;
                self.tokens.insert(id.clone(), Arc::new(token));
                Some(())
            }
            Entity::SdkKey(id, key) => {
                let folded = CredentialState::folded(state, (place.revision, place.seq))?;
                self.sdk_keys.insert((id.clone(), key.clone()), Arc::new(folded));
                Some(())
            }
            Entity::Attributes => self.fold_attributes(place, state),
            Entity::View(id) => {
                let definition = match (state, self.views.get(id)) {
                    (Some(Json::Null), _) => None,
                    (Some(state), _) => Some(ViewDefinition::parse(state).ok()?),
                    (None, present) => present.and_then(|present| present.definition.clone()),
                };
                let Place { revision, seq } = place;
                self.views.insert(id.clone(), Arc::new(ViewState { definition, revision, seq }));
                Some(())
            }
            Entity::Erasure(_) | Entity::Restoration(..) | Entity::Unknown(_) => {
                self.others.insert(entity.to_string().into(), (place.revision, place.seq));
                Some(())
            }
        }
    }

    fn fold_project(&mut self, at: Place, state: Option<&Json<'_>>) -> Option<()> {
        let project = match (state, &self.project) {
            (Some(state), _) => Project::parse(state).ok().filter(|project| project.id == self.id)?,
            (None, Some(present)) => present.project.clone(),
            (None, None) => Project { id: self.id.clone(), name: None, description: None },
        };
        self.project = Some(Arc::new(ProjectState { project, revision: at.revision, seq: at.seq }));
        Some(())
    }

    fn fold_attributes(&mut self, at: Place, state: Option<&Json<'_>>) -> Option<()> {
        let attributes = match state {
            Some(state) => Arc::new(Attributes::parse(state).ok()?),
            None => Arc::clone(&self.attributes.attributes),
        };
        for environment in self.environments.values_mut() {
            Arc::make_mut(environment).declared(&attributes);
        }
        self.attributes = AttributesState { attributes, revision: at.revision, seq: at.seq };
        Some(())
    }

    fn fold_environment(&mut self, id: &EnvironmentId, at: Place, state: Option<&Json<'_>>) -> Option<()> {
        let present = self.environments.get(id);
        let (environment, client_salt) = match (state, present) {
            (Some(state), _) => environment_from_json(state).filter(|(found, _)| found.id == *id)?,
            (None, Some(present)) => (present.environment.clone(), present.client_salt.clone()),
            (None, None) => (Environment::unnamed(id.clone()), None),
        };
        // What is hashed with one salt is never hashed with another.
        let kept = present.and_then(|present| present.client_salt.clone());
        let client_salt = kept.or(client_salt);
        let (flags, segments, lists) = present.map_or_else(
            || {
                let untouched = |(key, flag): (&FlagKey, &Arc<FlagState>)| {
                    (key.clone(), Arc::new(FlagInEnvironment::untouched(Arc::clone(flag))))
                };
                (self.flags.iter().map(untouched).collect(), SortedMap::default(), SortedMap::default())
            },
            |present| (present.flags.clone(), present.segments.clone(), present.lists.clone()),
        );
        let is_first_salt = present.is_some_and(|present| present.client_salt.is_none());
        let mut state = EnvironmentState {
            environment,
            client_salt,
            attributes: Arc::clone(&self.attributes.attributes),
            revision: at.revision,
            seq: at.seq,
            flags,
            segments,
            lists,
        };
        if is_first_salt {
            state.declared(&self.attributes.attributes);
        }
        self.environments.insert(id.clone(), Arc::new(state));
        Some(())
    }

    fn fold_flag(&mut self, key: &FlagKey, at: Place, state: Option<&Json<'_>>) -> Option<()> {
        let definition = match (state, self.flags.get(key)) {
            (Some(state), _) => FlagDefinition::parse(state).ok().filter(|flag| flag.key == *key)?,
            (None, Some(present)) => present.definition.clone(),
            // Erased, so a later entry says what it is.
            (None, None) => placeholder(key)?,
        };
        let flag = Arc::new(FlagState { definition, revision: at.revision, seq: at.seq });
        self.flags.insert(key.clone(), Arc::clone(&flag));
        for environment in self.environments.values_mut() {
            let environment = Arc::make_mut(environment);
            let flag = Arc::clone(&flag);
            let next = match environment.flags.get(key) {
                Some(present) => present.redefined(flag),
                None => FlagInEnvironment::untouched(flag),
            };
            environment.flags.insert(key.clone(), Arc::new(next));
        }
        Some(())
    }

    fn fold_targeting(
        &mut self,
        id: &EnvironmentId,
        key: &FlagKey,
        at: Place,
        state: Option<&Json<'_>>,
    ) -> Option<()> {
        let environment = Arc::make_mut(self.environments.get_mut(id)?);
        let present = environment.flags.get(key)?;
        let edits = at.revision.checked_sub(present.flag.revision)?;
        let targeting = match state {
            Some(state) => SettledTargeting::from_json(state)?,
            None => (*present.targeting).clone(),
        };
        let next = Arc::new(present.targeted(targeting, edits, at.seq));
        environment.flags.insert(key.clone(), next);
        Some(())
    }

    fn fold_segment(
        &mut self,
        id: &EnvironmentId,
        key: &SegmentKey,
        at: Place,
        state: Option<&Json<'_>>,
    ) -> Option<()> {
        let environment = Arc::make_mut(self.environments.get_mut(id)?);
        let segment = match (state, environment.segments.get(key)) {
            (Some(Json::Null), _) => None,
            (Some(state), _) => Some(segment_from_json(state)?),
            (None, Some(present)) => present.segment.clone(),
            (None, None) => Some(Segment::default()),
        };
        let next = SegmentState::new(segment, at.revision, at.seq);
        environment.segments.insert(key.clone(), Arc::new(next));
        Some(())
    }

    fn fold_list(
        &mut self,
        id: &EnvironmentId,
        key: &ListKey,
        at: Place,
        state: Option<&Json<'_>>,
    ) -> Option<()> {
        let environment = Arc::make_mut(self.environments.get_mut(id)?);
        let content = match (state, environment.lists.get(key)) {
            (Some(Json::Null), _) => None,
            (Some(state), _) => Some(ListContent::from_json(state)?),
            (None, Some(present)) => present.content.clone(),
            // Erased, so a later entry says what it is.
            (None, None) => Some(no_keys()?),
        };
        environment.lists.insert(key.clone(), Arc::new(ListState::new(content, at.revision, at.seq)));
        Some(())
    }
}

/// Where a change leaves an entity.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) revision: u64,
    pub(super) seq: u64,
}

/// A list without keys.
fn no_keys() -> Option<ListContent> {
    let (_, base) = ListKeys::default().pack().ok()?;
    Some(ListContent { base, add: Vec::new(), drop: Vec::new(), count: 0, changed: None })
}

fn placeholder(key: &FlagKey) -> Option<FlagDefinition> {
    let off = flagstone_model::key::VariationKey::parse("off").ok()?;
    Some(FlagDefinition {
        key: key.clone(),
        flag_type: FlagType::Bool,
        variations: BTreeMap::from([(off, Value::Bool(false))]),
        kind: FlagKind::default(),
        description: None,
        tags: Vec::new(),
        owner: None,
        client_visible: false,
        meta: BTreeMap::new(),
        archived: false,
    })
}
