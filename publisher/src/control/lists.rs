//! Lists: writing them, and looking at their keys.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use flagstone_bundle::container::{Caps, Encoding, StoredObject};
use flagstone_eval::{List, Snapshot, WantedList};
use flagstone_model::digest::Digest;
use flagstone_model::key::{EnvironmentId, ListKey};

use super::ControlPlane;
use super::error::{ControlError, nothing};
use super::moment::When;
use super::write::{Write, Written};
use crate::list::{self, Base, Expanded, ListContent, ListEdits, ListFault, ListKeys, Planned};
use crate::log::Entity;
use crate::private_object::PrivateObjects;
use crate::state::State;
use crate::state::change::{self, ListWrite, Refusal};

/// How often a write is planned again because somebody else wrote the list meanwhile.
const MAX_PLANS: usize = 8;
/// Most bytes of keys that are held for the next question; the list that was asked last is held whatever it has.
const HELD_BYTES: usize = 128 * 1024 * 1024;

/// What is wanted of a list.
#[derive(Debug, Clone)]
enum Wanted {
    /// Just these keys.
    Whole(Arc<ListKeys>, Base),
    /// Some keys more, and some fewer.
    Edit(Arc<ListEdits>),
}

/// The keys of the base objects that were asked for last, newest at the end.
#[derive(Default)]
pub(super) struct Held(Mutex<VecDeque<(Digest, Arc<List>, usize)>>);

impl ControlPlane {
    /// Writes a list whole: just these keys. With [`Base::Kept`] few other keys are published as such, so that clients
    /// fetch no object anew.
    ///
    /// The object of the keys is kept before the entry that names it is appended: after a crash in between the list is
    /// as it was.
    pub async fn put_list(
        &self,
        environment: &EnvironmentId,
        list: &ListKey,
        keys: ListKeys,
        base: Base,
        write: Write,
    ) -> Result<Written, ControlError> {
        self.write_list(environment, list, Wanted::Whole(Arc::new(keys), base), write).await
    }

    /// Adds some keys to a list, and drops some. What is so already stays so.
    pub async fn edit_list(
        &self,
        environment: &EnvironmentId,
        list: &ListKey,
        edits: ListEdits,
        write: Write,
    ) -> Result<Written, ControlError> {
        self.write_list(environment, list, Wanted::Edit(Arc::new(edits)), write).await
    }

    /// A list with its keys at hand, now or as it was.
    ///
    /// # Errors
    ///
    /// [`ControlError::ListObjectMissing`] and [`ControlError::ListObjectDamaged`] where the private store does not
    /// have them any more.
    pub async fn list_keys(
        &self,
        environment: &EnvironmentId,
        list: &ListKey,
        when: When,
    ) -> Result<(Expanded, u64), ControlError> {
        let moment = self.moment(when).await?;
        let (content, revision) = moment.list_content(environment, list)?;
        let base = self.base_of(list, &content.base).await?;
        Ok((Expanded::new(content.clone(), base), revision))
    }

    async fn write_list(
        &self,
        environment: &EnvironmentId,
        list: &ListKey,
        wanted: Wanted,
        mut write: Write,
    ) -> Result<Written, ControlError> {
        let how = match wanted {
            Wanted::Whole(..) => ListWrite::Whole,
            Wanted::Edit(_) => ListWrite::Edit,
        };
        // One id for all attempts, so that each finds what another one did.
        let request_id = match write.request_id.take() {
            Some(id) => id,
            None => super::write::random_id()?,
        };
        let write = Write { request_id: Some(request_id.clone()), ..write };
        for _ in 0..MAX_PLANS {
            let keeping = self.inner.keeping.read().await;
            let state = self.state().await?;
            let planned = if state.requests().find(&write.actor.id, &request_id).is_some() {
                // It was done before: its entry is the answer.
                None
            } else {
                let terms = self.terms(&write);
                let revision = change::may_write_list(&state, environment, list, how, terms)?;
                let planned = self.plan(&state, environment, list, &wanted).await?;
                if let Some(stored) = &planned.stored {
                    let (objects, now_ms) = (&self.inner.objects, self.inner.clock.now_ms());
                    objects.keep(self.project(), &planned.content.base.sha256, stored, now_ms).await?;
                }
                Some((revision, planned))
            };
            let edits = |state: &State| {
                let (revision, Planned { content, stored }) =
                    planned.as_ref().ok_or(ControlError::Contended)?;
                let terms = self.terms(&write);
                // Whoever was faster is told so, if the caller asked; else it is planned again.
                if change::may_write_list(state, environment, list, how, terms)? != *revision {
                    return Err(ControlError::Contended);
                }
                let present = super::read::environment_of(state, environment)?.live_list(list.as_str());
                if stored.is_none() && present.is_some_and(|present| present.is_said_like(content)) {
                    return Ok(Vec::new());
                }
                Ok(change::put_list(state, environment, list, content, how, terms)?)
            };
            match self.append(edits, &write).await {
                Ok(Some((entry, state))) => {
                    drop(keeping);
                    return self.answer(&entry, &state, write.wait).await;
                }
                Ok(None) => {
                    drop(keeping);
                    return self.as_it_was(&state, environment, list, write.wait).await;
                }
                Err(ControlError::Contended) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ControlError::Contended)
    }

    /// The answer to a write that changes nothing: the list as it stands, and the entry that wrote it.
    async fn as_it_was(
        &self,
        state: &State,
        environment: &EnvironmentId,
        list: &ListKey,
        wait: bool,
    ) -> Result<Written, ControlError> {
        let content = super::read::environment_of(state, environment)?.live_list(list.as_str());
        let told = content.map(|content| ListContent { changed: Some((0, 0)), ..content.clone() }.told());
        let (revision, seq) = state.place(&Entity::List(environment.clone(), list.clone()));
        Ok(Written {
            seq,
            revision,
            entity: told.unwrap_or_else(nothing),
            notes: Vec::new(),
            created: false,
            phases: Vec::new(),
            publication: self.publish_to(core::slice::from_ref(environment), seq, wait).await,
        })
    }

    /// What a write comes to, from what the list is now.
    async fn plan(
        &self,
        state: &State,
        environment: &EnvironmentId,
        list: &ListKey,
        wanted: &Wanted,
    ) -> Result<Planned, ControlError> {
        let found = super::read::environment_of(state, environment)?;
        let before = match found.live_list(list.as_str()) {
            Some(content) => match (self.base_of(list, &content.base).await, wanted) {
                (Ok(base), _) => Some(Expanded::new(content.clone(), base)),
                // Writing it whole is the way out.
                (
                    Err(
                        error @ (ControlError::ListObjectMissing { .. }
                        | ControlError::ListObjectDamaged { .. }),
                    ),
                    Wanted::Whole(..),
                ) => {
                    tracing::warn!(%list, code = error.code(), %error, "a list is written anew");
                    None
                }
                (Err(error), _) => return Err(error),
            },
            None => None,
        };
        let (wanted, missing) = (wanted.clone(), Refusal::no_list(found, list.as_str()));
        let planned = tokio::task::spawn_blocking(move || match (wanted, before) {
            (Wanted::Whole(keys, base), before) => Ok(list::whole(&keys, before.as_ref(), base)?),
            (Wanted::Edit(edits), Some(before)) => Ok(list::edited(&before, &edits)?),
            (Wanted::Edit(_), None) => Err(missing),
        });
        Ok(planned.await.unwrap_or_else(|_| Err(ListFault::Compressor.into()))?)
    }

    /// The keys of a base object: held, else read and compared with its digest.
    pub(super) async fn base_of(
        &self,
        list: &ListKey,
        object: &StoredObject,
    ) -> Result<Arc<List>, ControlError> {
        if let Some(held) = self.inner.lists.find(&object.sha256) {
            return Ok(held);
        }
        let stored = self.inner.objects.stored(self.project(), &object.sha256).await?;
        let stored = stored.ok_or_else(|| missing(list, object))?;
        let owned = *object;
        let read = tokio::task::spawn_blocking(move || {
            List::parse(owned.open(&stored, Caps::LIST).ok()?).ok().map(Arc::new)
        });
        let read = read.await.ok().flatten().ok_or_else(|| damaged(list, object))?;
        self.inner.lists.hold(object.sha256, &read, usize::try_from(object.raw_size).unwrap_or(usize::MAX));
        Ok(read)
    }

    /// A snapshot with the keys of the lists that its lines name. A list whose object is lost is undecidable in it, as it
    /// is for a client that starts now.
    pub(super) async fn with_lists(&self, mut snapshot: Snapshot) -> Result<Snapshot, ControlError> {
        for wanted in snapshot.wanted_lists() {
            let WantedList { sha256, size, raw_size, .. } = wanted;
            let Ok(list) = ListKey::parse(&wanted.key) else { continue };
            let object = StoredObject { encoding: Encoding::Zstd, sha256, size, raw_size };
            match self.base_of(&list, &object).await {
                Ok(keys) => snapshot = snapshot.with_list(sha256, &keys),
                Err(
                    error @ (ControlError::ListObjectMissing { .. } | ControlError::ListObjectDamaged { .. }),
                ) => tracing::warn!(%list, code = error.code(), %error, "evaluated without a list"),
                Err(error) => return Err(error),
            }
        }
        Ok(snapshot)
    }

    /// Holds nothing any more of an object that is forgotten.
    pub(super) fn forget_held(&self, sha256: &Digest) {
        self.inner.lists.forget(sha256);
    }
}

/// The stored bytes of the base object of a list, compared with its digest.
pub(super) async fn stored_object(
    objects: &dyn PrivateObjects,
    project: &flagstone_model::key::ProjectId,
    list: &ListKey,
    object: &StoredObject,
) -> Result<Vec<u8>, ControlError> {
    let stored = objects.stored(project, &object.sha256).await?;
    let stored = stored.ok_or_else(|| missing(list, object))?;
    if object.is(&stored) { Ok(stored) } else { Err(damaged(list, object)) }
}

fn missing(list: &ListKey, object: &StoredObject) -> ControlError {
    ControlError::ListObjectMissing { list: list.clone(), sha256: object.sha256 }
}

fn damaged(list: &ListKey, object: &StoredObject) -> ControlError {
    ControlError::ListObjectDamaged { list: list.clone(), sha256: object.sha256 }
}

impl Held {
    fn find(&self, sha256: &Digest) -> Option<Arc<List>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = held.iter().position(|(digest, ..)| digest == sha256)?;
        let found = held.remove(at)?;
        let list = Arc::clone(&found.1);
        held.push_back(found);
        Some(list)
    }

    fn hold(&self, sha256: Digest, list: &Arc<List>, bytes: usize) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(digest, ..)| *digest != sha256);
        held.push_back((sha256, Arc::clone(list), bytes));
        let mut total: usize = held.iter().map(|(_, _, bytes)| *bytes).fold(0, usize::saturating_add);
        while total > HELD_BYTES && held.len() > 1 {
            total = total.saturating_sub(held.pop_front().map_or(0, |(_, _, bytes)| bytes));
        }
    }

    fn forget(&self, sha256: &Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(digest, ..)| digest != sha256);
    }
}
