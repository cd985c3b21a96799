//! Changes of several entities in one entry, and what they would do.

use std::collections::BTreeSet;

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey};

use super::ControlPlane;
use super::error::ControlError;
use super::write::{Write, authored, begun, erased, invalid, named_seq};
use crate::author::{Change, Note};
use crate::log::{Entity, EntityChange, Entry};
use crate::lower::phase::Begun;
use crate::state::change::{self, Edit, Refusal, Terms};
use crate::state::{EnvironmentState, State, notes};

/// A change of several entities that somebody asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Several {
    /// These, all or none, in whatever order.
    Changes(Vec<Change>),
    /// Every targeting, segment, and list of an environment again as it stood after the entry `{"seq"}`.
    RestoreEnvironment(EnvironmentId, Json<'static>),
}

/// What several changes have done, or would do.
#[derive(Debug, Clone)]
pub struct Changed {
    /// Their entry; `None` if there is none, because all of it was so already or it was only tried.
    pub seq: Option<u64>,
    /// The entry up to which it was looked: of a trial, the state that it is a trial against.
    pub head: u64,
    /// Each entity that changed, in the order of the entry.
    pub changes: Vec<ChangedEntity>,
    /// Flags that a restore left as they are, because they have been archived since.
    pub skipped: Vec<FlagKey>,
    /// How far its publication has got; empty if nothing changed.
    pub publication: super::Publication,
}

/// One entity among several that changed.
#[derive(Debug, Clone)]
pub struct ChangedEntity {
    /// Which.
    pub entity: Entity,
    /// What happened to it.
    pub action: Action,
    /// Its revision before, 0 if there was none, and after.
    pub revision: (u64, u64),
    /// The phases of experiments that it began.
    pub phases: Vec<Begun>,
    /// As authored before and after, where that was asked for; `None` if it was not there.
    pub states: Option<(Option<Json<'static>>, Option<Json<'static>>)>,
    /// What of it is published in another way than it was written.
    pub notes: Vec<Note>,
}

/// What happens to an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was not there before.
    Created,
    /// It is another now.
    Updated,
    /// It is a flag that is archived now.
    Archived,
    /// It is gone.
    Deleted,
}

impl Action {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Archived => "archived",
            Self::Deleted => "deleted",
        }
    }

    fn of(change: &EntityChange, state: Option<&Json<'_>>) -> Self {
        let is_archived = || state.and_then(|state| state.member("archived")?.as_bool()) == Some(true);
        match (&change.entity, state) {
            (_, Some(Json::Null)) => Self::Deleted,
            (Entity::Flag(_), _) if is_archived() => Self::Archived,
            _ if change.revision.0 == 0 => Self::Created,
            _ => Self::Updated,
        }
    }
}

impl ControlPlane {
    /// Makes several changes: appends one entry to the log, then publishes it. If all of it is so already nothing is
    /// written.
    ///
    /// It is as lasting and as repeatable as [`Self::write`]. `Write::precondition` is that of the environment that is
    /// restored; changes carry their own.
    pub async fn change(&self, several: &Several, write: &Write) -> Result<Changed, ControlError> {
        let older = self.older(several).await?;
        let edits = |state: &State| edits(state, several, older.as_deref(), self.terms(write));
        let Some((entry, state)) = self.append(edits, write).await? else {
            let state = self.state().await?;
            return Ok(Changed { seq: None, ..untold(several, older.as_deref(), &state, None) });
        };
        let environments: Vec<EnvironmentId> = touched(&entry, &state).into_iter().collect();
        let publication = self.publish_to(&environments, entry.seq(), write.wait).await;
        let states = entry.read_data().ok().flatten().map(|data| data.states).unwrap_or_default();
        let changes = entry.header.changes.iter().enumerate().map(|(index, change)| ChangedEntity {
            entity: change.entity.clone(),
            action: Action::of(change, states.get(index)),
            revision: change.revision,
            phases: begun(&change.entity, states.get(index)),
            states: None,
            notes: states.get(index).map(|state| notes(&change.entity, state)).unwrap_or_default(),
        });
        let changes = changes.collect();
        let told = untold(several, older.as_deref(), &state, Some(entry.seq()));
        Ok(Changed { seq: Some(entry.seq()), changes, publication, ..told })
    }

    /// Everything that [`Self::change`] does but the append: what would change, or why it would be refused.
    pub async fn try_change(&self, several: &Several, write: &Write) -> Result<Changed, ControlError> {
        let older = self.older(several).await?;
        let state = self.state().await?;
        let edits = edits(&state, several, older.as_deref(), self.terms(write))?;
        let mut changed = untold(several, older.as_deref(), &state, None);
        if edits.is_empty() {
            return Ok(changed);
        }
        changed.changes = edits.iter().map(|edit| of_trial(&state, edit)).collect();
        // What is too large for an entry is refused here too.
        self.seal(&state, edits, write, "trial")?;
        Ok(changed)
    }

    /// The environment that a restore brings back, read before writers are held up. What of it was erased meanwhile,
    /// [`edits`] finds in the state that it is restored to.
    pub(super) async fn older(
        &self,
        several: &Several,
    ) -> Result<Option<std::sync::Arc<EnvironmentState>>, ControlError> {
        let Several::RestoreEnvironment(id, body) = several else { return Ok(None) };
        let folded = &self.inner.folded;
        let state = self.state().await?;
        let now =
            state.environment(id.as_str()).ok_or_else(|| Refusal::no_environment(&state, id.as_str()))?;
        let seq = named_seq(&state, body)?;
        let then = folded.state_at_seq(seq).await?;
        let then = then.environment(id.as_str()).cloned();
        let then = then.ok_or_else(|| invalid("/seq", "the environment was not there by then"))?;
        let wanted: BTreeSet<u64> =
            change::differences(now, &then).iter().map(|difference| difference.seq).collect();
        for seq in wanted.into_iter().filter(|seq| *seq > 0) {
            let entry = folded.log().entry(folded.project(), seq).await?;
            if entry.is_none_or(|entry| entry.data.is_none()) {
                return Err(erased(seq));
            }
        }
        Ok(Some(then))
    }
}

/// What an edit would do to what is there.
pub(super) fn of_trial(state: &State, edit: &Edit) -> ChangedEntity {
    let entity = &edit.change.entity;
    let to = authored_or_none(entity, edit.state.clone());
    let states = Some((present(state, entity), to));
    let action = Action::of(&edit.change, Some(&edit.state));
    // Of a flag that is defined and targeted at once, the targeting starts from what the definition leads to.
    let revision = (state.place(entity).0, edit.change.revision.1);
    let phases = begun(entity, Some(&edit.state));
    let notes = notes(entity, &edit.state);
    ChangedEntity { entity: entity.clone(), action, revision, phases, states, notes }
}

/// What there is to tell beside changes.
fn untold(several: &Several, older: Option<&EnvironmentState>, state: &State, seq: Option<u64>) -> Changed {
    let skipped = match (several, older) {
        (Several::RestoreEnvironment(..), Some(older)) => {
            let archived = |key: &FlagKey| {
                let flag = state.flag(key.as_str()).filter(|flag| flag.definition.archived);
                flag.is_some_and(|flag| seq.is_none_or(|seq| flag.seq < seq))
            };
            older.live_flags().map(|(key, _)| key).filter(|key| archived(key)).cloned().collect()
        }
        _ => Vec::new(),
    };
    let publication = super::Publication::new();
    Changed { seq: None, head: state.seq(), changes: Vec::new(), skipped, publication }
}

pub(super) fn edits(
    state: &State,
    several: &Several,
    older: Option<&EnvironmentState>,
    terms: Terms,
) -> Result<Vec<Edit>, ControlError> {
    Ok(match (several, older) {
        (Several::Changes(changes), _) => change::change_several(state, changes, terms)?,
        (Several::RestoreEnvironment(id, _), Some(older)) => {
            if let Some(seq) = state.environment(id.as_str()).and_then(|now| unknown(state, now, older)) {
                return Err(erased(seq));
            }
            change::restore_environment(state, id, older, terms)?
        }
        (Several::RestoreEnvironment(..), None) => Vec::new(),
    })
}

/// The first entry that wrote what an environment was then and that is erased by now: a fold over it keeps what was
/// before. The entry that says so is appended before anything is deleted, so whoever appends next has decided it.
fn unknown(state: &State, now: &EnvironmentState, then: &EnvironmentState) -> Option<u64> {
    let erased: BTreeSet<u64> = state.erasures().map(|(erased, _)| erased).collect();
    let flags = now.live_flags().filter_map(|(key, _)| then.flags.get(key));
    let flags = flags.filter(|flag| flag.edits > 0).map(|flag| flag.seq);
    let segments = now.segments.iter().filter_map(|(key, _)| then.segments.get(key)).map(|found| found.seq);
    let lists = now.lists.iter().filter_map(|(key, _)| then.lists.get(key)).map(|found| found.seq);
    flags.chain(segments).chain(lists).filter(|seq| erased.contains(seq)).min()
}

/// The environments that an entry changes.
fn touched(entry: &Entry, state: &State) -> BTreeSet<EnvironmentId> {
    let mut touched = BTreeSet::new();
    for change in &entry.header.changes {
        match &change.entity {
            Entity::Targeting(id, _)
            | Entity::Segment(id, _)
            | Entity::List(id, _)
            | Entity::Environment(id) => {
                touched.insert(id.clone());
            }
            _ => touched.extend(state.environments().map(|(id, _)| id.clone())),
        }
    }
    touched
}

fn authored_or_none(entity: &Entity, state: Json<'static>) -> Option<Json<'static>> {
    if state == Json::Null { None } else { Some(authored(entity, Some(state))) }
}

/// An entity as authored, as a state has it.
fn present(state: &State, entity: &Entity) -> Option<Json<'static>> {
    Some(match entity {
        Entity::Flag(key) => state.flag(key.as_str())?.definition.to_json().into_owned(),
        Entity::Targeting(id, key) => {
            let flag = state.environment(id.as_str())?.flags.get(key)?;
            flag.targeting.authored.to_json().into_owned()
        }
        Entity::Segment(id, key) => {
            state.environment(id.as_str())?.live_segment(key.as_str())?.to_json().into_owned()
        }
        Entity::List(id, key) => state.environment(id.as_str())?.live_list(key.as_str())?.told(),
        Entity::Attributes => {
            let declared = state.attributes();
            (declared.revision > 0).then(|| declared.attributes.to_json().into_owned())?
        }
        Entity::View(id) => state.own_view(id)?.definition.as_ref()?.to_json().into_owned(),
        _ => return None,
    })
}
