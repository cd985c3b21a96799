//! Lists: what lines name is there, is what they say, and is what the log keeps (FORMAT T-3.5).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use flagstone_bundle::container::{Caps, StoredObject};
use flagstone_eval::List;
use flagstone_model::digest::Digest;

use super::{Fault, Records};
use crate::list::{Expanded, ListContent};
use crate::log::{Entity, Entry};
use crate::state::State;

/// The keys of the object that was looked at last: neighbouring versions mostly name the same.
#[derive(Debug, Default)]
pub(super) struct Last(Mutex<Option<(Digest, Arc<List>)>>);

impl Last {
    /// The keys of this object, if it is the one.
    pub(super) fn keys(&self, object: &StoredObject) -> Option<Arc<List>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(digest, _)| *digest == object.sha256).map(|(_, list)| Arc::clone(list))
    }

    /// Keeps the keys of this object.
    pub(super) fn keep(&self, object: &StoredObject, list: Arc<List>) -> Arc<List> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((object.sha256, Arc::clone(&list)));
        list
    }
}

/// The keys in a stored object; what is wrong with it, otherwise.
pub(super) fn open(
    object: &StoredObject,
    stored: Option<Vec<u8>>,
    fault: impl Fn(&str, String) -> Fault,
) -> Result<Arc<List>, Fault> {
    let stored = stored.ok_or_else(|| fault("object-missing", "a list needs it".to_owned()))?;
    let text = object.open(&stored, Caps::LIST).map_err(|error| fault(error.code(), error.to_string()))?;
    let list = List::parse(text).map_err(|error| fault("list-damaged", error.to_string()))?;
    Ok(Arc::new(list))
}

/// Whether a list adds, drops, and counts what its base lets it.
pub(super) fn check(content: ListContent, base: Arc<List>) -> Result<(), String> {
    let count = content.count;
    let expanded = Expanded::new(content, base);
    if expanded.is_sound() {
        return Ok(());
    }
    let found = expanded.keys().count();
    Err(format!("it says {count} keys, and with what it adds and drops there are {found}"))
}

/// The lists that the log keeps, while it is folded.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Each object, and the last entry that names it and was not erased.
    named: BTreeMap<Digest, (u64, StoredObject)>,
    checked: u64,
}

impl Lists {
    /// Notes what an entry names.
    pub(super) fn see(&mut self, entry: &Entry) {
        let changes = &entry.header.changes;
        if !changes.iter().any(|change| matches!(change.entity, Entity::List(..))) {
            return;
        }
        let states = entry.read_data().ok().flatten().map(|data| data.states).unwrap_or_default();
        for (change, state) in changes.iter().zip(&states) {
            if let (Entity::List(..), Some(content)) = (&change.entity, ListContent::from_json(state)) {
                self.named.insert(content.base.sha256, (entry.seq(), content.base));
            }
        }
    }

    /// Checks every object that the log names, and every list that it led to.
    ///
    /// An object that has gone since the log was read went with an erasure, if the entry that named it has.
    pub(super) async fn finish(mut self, records: &Records, state: &State) -> Result<Self, Fault> {
        let live: Vec<&ListContent> = state
            .environments()
            .flat_map(|(_, environment)| environment.live_lists())
            .filter_map(|(_, list)| list.content.as_ref())
            .collect();
        let mut bases: BTreeSet<Digest> = BTreeSet::new();
        for (sha256, (seq, object)) in &self.named {
            let fault = |code: &str, what: String| {
                Fault::of_entry(code, *seq, format!("the object {sha256}: {what}"))
            };
            let stored = records.objects.stored(state.id(), sha256).await;
            let stored = stored.map_err(|error| Fault::new(error.code(), error))?;
            if stored.is_none() {
                let entry = records.log.entry(state.id(), *seq).await;
                let entry = entry.map_err(|error| Fault::new(error.code(), error))?;
                if entry.is_some_and(|entry| entry.data.is_none()) {
                    continue;
                }
            }
            let base = open(object, stored, fault)?;
            bases.insert(*sha256);
            for content in live.iter().filter(|content| content.base.sha256 == *sha256) {
                check((*content).clone(), Arc::clone(&base)).map_err(|what| fault("list-mismatch", what))?;
            }
        }
        self.checked = bases.len() as u64;
        Ok(self)
    }

    /// How many objects are what the log says.
    pub(super) const fn checked(&self) -> u64 {
        self.checked
    }
}
