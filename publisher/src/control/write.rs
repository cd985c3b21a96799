//! Changes: from a request to an entry in the log.

use std::sync::Arc;
use std::time::Duration;

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, SegmentKey, ViewId};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::error::{ControlError, nothing};
use super::{ControlPlane, Publication, publication};
use crate::author::{Note, Problem};
use crate::list::ListContent;
use crate::log::{
    Actor, Appended, Draft, Entity, Entry, EntryData, HeaderError, LogError, SdkKeyId, SealError, TokenId,
};
use crate::lower::phase::{Begun, Phases};
use crate::observe::Append;
use crate::publish::PublicationState;
use crate::state::State;
use crate::state::change::{self, Confirmation, Edit, New, Precondition, Refusal, Terms};
use crate::storage::StorageError;

/// How often a writer that lost its place in the log tries again.
const MAX_ATTEMPTS: u32 = 8;
/// Upper end of the first pause between attempts; each later one is twice as long. Full jitter.
const FIRST_PAUSE_MS: u64 = 4;

/// A change that somebody asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Operation {
    /// Says what the project is: the first entry of its log.
    CreateProject(Json<'static>),
    /// Adds an environment, in which every flag is off.
    CreateEnvironment(Json<'static>),
    /// Changes what an environment is called (merge patch).
    PatchEnvironment(EnvironmentId, Json<'static>),
    /// Defines a flag; it is off in every environment.
    CreateFlag(Json<'static>),
    /// Changes a definition (merge patch).
    PatchFlag(FlagKey, Json<'static>),
    /// Takes a flag out of all environments and retires its key.
    ArchiveFlag(FlagKey),
    /// Writes a targeting, whole.
    PutTargeting(EnvironmentId, FlagKey, Json<'static>),
    /// Switches a flag on or off.
    Switch(EnvironmentId, FlagKey, bool),
    /// Serves a variation to a share: `{"variation","percent"}`.
    Rollout(EnvironmentId, FlagKey, Json<'static>),
    /// Writes a targeting again as it stood at `{"seq"}`.
    RestoreTargeting(EnvironmentId, FlagKey, Json<'static>),
    /// Writes a segment, whole.
    PutSegment(EnvironmentId, SegmentKey, Json<'static>),
    /// Deletes a segment and retires its key.
    DeleteSegment(EnvironmentId, SegmentKey),
    /// Stops a ramp where it has got to: `{"rule"?}`.
    PauseRamp(EnvironmentId, FlagKey, Json<'static>),
    /// Makes a token; [`ControlPlane::create_token`] also tells its text.
    CreateToken(New<TokenId>),
    /// Revokes a token.
    RevokeToken(TokenId),
    /// Makes an SDK key; [`ControlPlane::create_sdk_key`] also tells its text.
    CreateSdkKey(EnvironmentId, New<SdkKeyId>),
    /// Revokes an SDK key.
    RevokeSdkKey(EnvironmentId, SdkKeyId),
    /// Shuffles the users of an experiment anew: `{"rule"?}`.
    Reshuffle(EnvironmentId, FlagKey, Json<'static>),
    /// Deletes a list and retires its key; [`ControlPlane::put_list`] and [`ControlPlane::edit_list`] write one.
    DeleteList(EnvironmentId, ListKey),
    /// Declares what clients may know of attributes, whole.
    PutAttributes(Json<'static>),
    /// Writes a view, whole.
    PutView(ViewId, Json<'static>),
    /// Deletes a view and retires its id.
    DeleteView(ViewId),
}

/// Who asks for a change, how, and on what terms.
#[derive(Debug, Clone)]
pub struct Write {
    /// Who.
    pub actor: Actor,
    /// The actor's name: personal, so it is kept where it can be erased.
    pub actor_name: Option<String>,
    /// The id that makes a retry recognisable; a fresh one if there is none.
    pub request_id: Option<String>,
    /// What identifies the request: method, path, precondition, body as received.
    pub request_bytes: Vec<u8>,
    /// Why, in the actor's words.
    pub reason: Option<String>,
    /// What must still be so.
    pub precondition: Precondition,
    /// Whether a far-reaching change was agreed to.
    pub confirm: bool,
    /// Whether to wait until the change is announced, within a budget.
    pub wait: bool,
    /// Nothing is appended from then on, by whatever else is left to do: whoever asked has been told that it was given
    /// up, and may have done something else since.
    pub until: Option<Instant>,
}

/// A change that is in the log.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its entry.
    pub seq: u64,
    /// The entity's revision after it.
    pub revision: u64,
    /// The entity after it, as authored.
    pub entity: Json<'static>,
    /// What of it is published in another way than it was written.
    pub notes: Vec<Note>,
    /// Whether there was no such entity before.
    pub created: bool,
    /// The phases of experiments that it began.
    pub phases: Vec<Begun>,
    /// How far its publication has got.
    pub publication: Publication,
}

/// How far a change has got in one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The stream's version that holds the change, or, while it is pending, the newest there is.
    pub version: u64,
    /// Whether clients can see it.
    pub state: PublicationState,
    /// Why the stream stands still until an operator has looked, if it does: a stable code.
    pub alarm: Option<&'static str>,
}

impl ControlPlane {
    /// Makes a change: appends one entry to the log, then publishes it.
    ///
    /// Once this answers `Ok` the change is in the log for good, whatever becomes of its publication. A request whose
    /// id is in the log already is answered from its entry and written no second time.
    pub async fn write(&self, operation: Operation, write: Write) -> Result<Written, ControlError> {
        // What a restore brings back is read before writers are held up. That it was not erased since is seen in the
        // state that the entry follows: the entry that erases comes before the erasing.
        let older = self.older_targeting(&operation).await?;
        let edits = |state: &State| edits(state, &operation, older.as_ref(), self.terms(&write));
        // Each operation changes its entity, though perhaps to what it was.
        let nothing = || SealError::from(HeaderError::Member { member: "changes" });
        let (entry, state) = self.append(edits, &write).await?.ok_or_else(nothing)?;
        self.answer(&entry, &state, write.wait).await
    }

    /// What an operation brings back, and the entry that wrote it, if it brings something back.
    pub(super) async fn older_targeting(
        &self,
        operation: &Operation,
    ) -> Result<Option<(u64, Json<'static>)>, ControlError> {
        match operation {
            Operation::RestoreTargeting(environment, flag, body) => {
                self.targeting_as_of(environment, flag, body).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Appends the entry of the edits that a state asks for; `None` if there are none.
    pub(super) async fn append(
        &self,
        edits: impl Fn(&State) -> Result<Vec<Edit>, ControlError> + Send + Sync,
        write: &Write,
    ) -> Result<Option<(Entry, Arc<State>)>, ControlError> {
        self.append_in_turn(edits, write).instrument(tracing::info_span!("append")).await
    }

    async fn append_in_turn(
        &self,
        edits: impl Fn(&State) -> Result<Vec<Edit>, ControlError> + Send + Sync,
        write: &Write,
    ) -> Result<Option<(Entry, Arc<State>)>, ControlError> {
        let inner = &*self.inner;
        let request_id = match &write.request_id {
            Some(id) => id.clone(),
            None => random_id()?,
        };
        // Writers of one process queue; only those of other processes can get in between.
        let _writing = inner.writing.lock().await;
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(pause(attempt)?).await;
            }
            let state = inner.folded.state().await?;
            if let Some(recorded) = state.requests().find(&write.actor.id, &request_id) {
                // A request whose salt was erased can not be compared: whoever sends its id again meant it.
                if recorded.is(&write.request_bytes) == Some(false) {
                    return Err(ControlError::KeyReused);
                }
                let entry = inner.folded.log().entry(inner.folded.project(), recorded.seq).await?;
                return entry.map(|entry| Some((entry, state))).ok_or(ControlError::Contended);
            }
            let edits = edits(&state)?;
            if edits.is_empty() {
                return Ok(None);
            }
            let entry = self.seal(&state, edits, write, &request_id)?;
            // What can not be folded must not be written: nobody could read the log past it.
            let mut next = State::clone(&state);
            next.apply(&entry)?;
            let put = match write.until {
                None => self.put(&entry).await,
                Some(until) if until <= Instant::now() => return Err(ControlError::Late),
                Some(until) => {
                    let put = tokio::time::timeout_at(until, self.put(&entry)).await;
                    put.unwrap_or(Err(ControlError::Late))
                }
            };
            inner.watch.appended(match &put {
                Ok(true) => Append::Written,
                Ok(false) => Append::Lost,
                Err(_) => Append::Failed,
            });
            if put? {
                let state = inner.folded.advance(Arc::new(next), &entry);
                return Ok(Some((entry, state)));
            }
            tracing::debug!(seq = entry.seq(), attempt, "another entry got in first");
        }
        Err(ControlError::Contended)
    }

    /// What the writer knows and has agreed to, now.
    pub(super) fn terms(&self, write: &Write) -> Terms {
        let confirmation = if write.confirm { Confirmation::Given } else { Confirmation::Ask };
        Terms { precondition: write.precondition, confirmation, now_ms: self.inner.clock.now_ms() }
    }

    /// The entry of these edits that would follow a state.
    pub(super) fn seal(
        &self,
        state: &State,
        edits: Vec<Edit>,
        write: &Write,
        request_id: &str,
    ) -> Result<Entry, ControlError> {
        let (changes, states) = edits.into_iter().map(|edit| (edit.change, edit.state)).unzip();
        let draft = Draft {
            project: self.project().clone(),
            time_ms: self.inner.clock.now_ms(),
            actor: write.actor.clone(),
            request_id: request_id.to_owned(),
            request: write.request_bytes.clone(),
            changes,
            data: EntryData {
                reason: write.reason.clone(),
                actor_name: write.actor_name.clone(),
                actor_email: None,
                states,
            },
        };
        Ok(Entry::seal(draft, state.head())?)
    }

    /// Appends an entry; `false` if another one has its seq.
    ///
    /// A store that commits and then loses its answer is asked once what stands there (FORMAT T-4.3).
    async fn put(&self, entry: &Entry) -> Result<bool, ControlError> {
        let folded = &self.inner.folded;
        let lost = match folded.log().append(entry).await {
            Ok(appended) => return Ok(appended == Appended::Written),
            Err(error @ LogError::Storage(StorageError::Unavailable { .. } | StorageError::Busy)) => error,
            Err(other) => return Err(other.into()),
        };
        match folded.log().entry(folded.project(), entry.seq()).await {
            Ok(Some(present)) => Ok(present.header_bytes == entry.header_bytes),
            Ok(None) | Err(_) => Err(lost.into()),
        }
    }

    /// The settled targeting of a flag as it stood at the seq that `{"seq"}` names, and the entry that wrote it.
    async fn targeting_as_of(
        &self,
        environment: &EnvironmentId,
        flag: &FlagKey,
        body: &Json<'_>,
    ) -> Result<(u64, Json<'static>), ControlError> {
        let state = self.state().await?;
        let seq = named_seq(&state, body)?;
        let entity = Entity::Targeting(environment.clone(), flag.clone());
        let written = self.chain(&state, entity, seq, 1).await?.into_iter().next();
        let Some(link) = written else {
            return Err(invalid("/seq", "nobody had targeted the flag here by then"));
        };
        let seq = link.seq;
        link.state.map(|state| (seq, state)).ok_or_else(|| erased(seq))
    }

    /// The answer that an entry gives: the same when it was just written and when it is found again.
    pub(super) async fn answer(
        &self,
        entry: &Entry,
        state: &State,
        wait: bool,
    ) -> Result<Written, ControlError> {
        let data = entry.read_data().ok().flatten();
        let first = entry.header.changes.first();
        let written = data.and_then(|data| data.states.into_iter().next());
        let notes =
            first.zip(written.as_ref()).map(|(change, state)| crate::state::notes(&change.entity, state));
        let environments: Vec<EnvironmentId> = match first.map(|change| &change.entity) {
            Some(
                Entity::Targeting(environment, _)
                | Entity::Segment(environment, _)
                | Entity::List(environment, _)
                | Entity::Environment(environment),
            ) => vec![environment.clone()],
            // Nothing that a snapshot holds.
            Some(Entity::Token(_) | Entity::SdkKey(..)) => Vec::new(),
            _ => state.environments().map(|(id, _)| id.clone()).collect(),
        };
        let phases = first.map_or_else(Vec::new, |change| begun(&change.entity, written.as_ref()));
        Ok(Written {
            seq: entry.seq(),
            revision: first.map_or(0, |change| change.revision.1),
            entity: first.map_or_else(nothing, |change| authored(&change.entity, written)),
            notes: notes.unwrap_or_default(),
            created: first.is_some_and(|change| change.revision.0 == 0),
            phases,
            publication: self.publish_to(&environments, entry.seq(), wait).await,
        })
    }
}

/// The entry that a restore names, `{"seq"}`.
pub(super) fn named_seq(state: &State, body: &Json<'_>) -> Result<u64, ControlError> {
    let members =
        body.as_object().ok_or_else(|| invalid("", "an object with the member `seq` is wanted here"))?;
    if let Some((name, _)) = members.iter().find(|(name, _)| name != "seq") {
        let pointer = crate::author::pointer([&**name]);
        return Err(invalid(&pointer, "unknown member; a restore has `seq`"));
    }
    let seq = body.member("seq").and_then(Json::as_integer).and_then(|seq| u64::try_from(seq).ok());
    let seq = seq.filter(|seq| (1..=state.seq()).contains(seq));
    seq.ok_or_else(|| invalid("/seq", "the seq of an entry of this log is wanted here"))
}

/// An entry that is to be restored from is not erased as far as a state knows. The entry that says so is appended before
/// anything is deleted, so whoever appends next has decided it.
fn not_erased(state: &State, seq: u64) -> Result<(), ControlError> {
    if state.place(&Entity::Erasure(seq)).0 == 0 { Ok(()) } else { Err(erased(seq)) }
}

/// What is to be restored is gone for good.
pub(super) fn erased(seq: u64) -> ControlError {
    invalid("/seq", &format!("what entry {seq} wrote here has been erased"))
}

/// The request is not what it should be, at this JSON Pointer.
pub(super) fn invalid(pointer: &str, detail: &str) -> ControlError {
    Refusal::Invalid { problems: vec![Problem::invalid(pointer, detail)] }.into()
}

/// The edits that an operation asks for; `older` is what a restore brings back, and the entry that wrote it.
pub(super) fn edits(
    state: &State,
    operation: &Operation,
    older: Option<&(u64, Json<'static>)>,
    terms: Terms,
) -> Result<Vec<Edit>, ControlError> {
    if let Some((seq, _)) = older {
        not_erased(state, *seq)?;
    }
    let older = older.map(|(_, older)| older);
    Ok(match operation {
        Operation::CreateProject(body) => change::create_project(state, body)?,
        Operation::CreateEnvironment(body) => {
            change::create_environment(state, body, &publication::client_salt()?)?
        }
        Operation::PatchEnvironment(environment, patch) => {
            change::patch_environment(state, environment, patch, terms)?
        }
        Operation::CreateFlag(body) => change::create_flag(state, body)?,
        Operation::PatchFlag(flag, patch) => change::patch_flag(state, flag, patch, terms)?,
        Operation::ArchiveFlag(flag) => change::archive_flag(state, flag, terms)?,
        Operation::PutTargeting(environment, flag, body) => {
            change::put_targeting(state, environment, flag, body, terms)?
        }
        Operation::Switch(environment, flag, on) => change::switch(state, environment, flag, *on, terms)?,
        Operation::Rollout(environment, flag, body) => {
            change::roll_out(state, environment, flag, body, terms)?
        }
        Operation::RestoreTargeting(environment, flag, _) => {
            change::restore_targeting(state, environment, flag, older.unwrap_or(&Json::Null), terms)?
        }
        Operation::PutSegment(environment, segment, body) => {
            change::put_segment(state, environment, segment, body, terms)?
        }
        Operation::DeleteSegment(environment, segment) => {
            change::delete_segment(state, environment, segment, terms)?
        }
        Operation::PauseRamp(environment, flag, body) => {
            change::pause_ramp(state, environment, flag, body, terms)?
        }
        Operation::CreateToken(new) => change::create_token(state, new)?,
        Operation::RevokeToken(id) => change::revoke_token(state, id, terms)?,
        Operation::CreateSdkKey(environment, new) => change::create_sdk_key(state, environment, new)?,
        Operation::RevokeSdkKey(environment, id) => change::revoke_sdk_key(state, environment, id, terms)?,
        Operation::Reshuffle(environment, flag, body) => {
            change::reshuffle(state, environment, flag, body, terms)?
        }
        Operation::DeleteList(environment, list) => change::delete_list(state, environment, list, terms)?,
        Operation::PutAttributes(body) => change::put_attributes(state, body, terms)?,
        Operation::PutView(view, body) => change::put_view(state, view, body, terms)?,
        Operation::DeleteView(view) => change::delete_view(state, view, terms)?,
    })
}

/// The phases of experiments that an entry says it began, out of what it keeps of an entity.
pub(super) fn begun(entity: &Entity, state: Option<&Json<'_>>) -> Vec<Begun> {
    let Entity::Targeting(..) = entity else { return Vec::new() };
    let begun = state.and_then(|state| Phases::begun_from_json(state.member("begun")));
    begun.unwrap_or_default()
}

/// What the author wrote, out of what an entry keeps of an entity.
pub(super) fn authored(entity: &Entity, state: Option<Json<'static>>) -> Json<'static> {
    match (entity, state) {
        (Entity::Segment(..), Some(state @ Json::Object(_))) => crate::state::authored_segment(&state),
        (Entity::List(..), Some(state @ Json::Object(_))) => {
            ListContent::from_json(&state).map_or_else(nothing, |content| content.told())
        }
        (Entity::Environment(_), Some(state @ Json::Object(_))) => crate::state::authored_environment(&state),
        (Entity::Targeting(..) | Entity::Token(_) | Entity::SdkKey(..), Some(state)) => {
            state.member("authored").cloned().unwrap_or_else(nothing)
        }
        (_, Some(state @ Json::Object(_))) => state,
        _ => nothing(),
    }
}

pub(super) fn random_id() -> Result<String, ControlError> {
    getrandom::u64().map(|id| format!("{id:016x}")).map_err(|_| ControlError::Random)
}

/// A random pause, up to twice as long as before the attempt before.
fn pause(attempt: u32) -> Result<Duration, ControlError> {
    let most = FIRST_PAUSE_MS.saturating_mul(1 << attempt.min(MAX_ATTEMPTS));
    let random = getrandom::u64().map_err(|_| ControlError::Random)?;
    Ok(Duration::from_millis(random % most.max(1)))
}
