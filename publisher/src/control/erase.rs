//! Taking data away from entries for good, and saying so (FORMAT T-4.1).

use std::collections::{BTreeMap, BTreeSet};

use flagstone_model::digest::Digest;
use flagstone_model::json::Json;

use super::ControlPlane;
use super::error::ControlError;
use super::write::Write;
use crate::list::ListContent;
use crate::log::{Entity, Entry};
use crate::private_object::ORPHAN_MS;
use crate::state::State;
use crate::state::change::Edit;

/// Most entries that one entry erases, so that its header stays within its limit.
pub const MAX_ERASED_AT_ONCE: usize = 100;
/// The members below which a number is a targeting key, and not a share or a time.
const KEY_LISTS: [&str; 5] = ["targets", "deny", "include", "exclude", "context"];
/// The same of a condition on an attribute: what it compares with, and no amount.
const OPERANDS: [&str; 3] = ["in", "not_in", "has_all"];
/// Entries read from the log at a time.
const PAGE: usize = 1_000;

/// What is to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Erasure {
    /// These entries.
    Entries(BTreeSet<u64>),
    /// What an actor wrote, by the actor's id: names, addresses, reasons, and states.
    Actor(String),
    /// What mentions a targeting key: entries of which a state holds it as a text of its own.
    UserId(String),
}

/// An entry that stays, because it is the last one of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub seq: u64,
    /// What has no later entry.
    pub entities: Vec<String>,
}

/// What has been erased.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erased {
    /// The entries that say so; none if there was nothing to erase.
    pub entries: Vec<u64>,
    /// The entries that were erased.
    pub erased: Vec<u64>,
    /// The entries of an actor that stay until what they wrote is written anew.
    pub kept: Vec<Kept>,
}

impl ControlPlane {
    /// Erases data and salt of entries. The entry that says so comes first: after a crash the sweep does the rest.
    ///
    /// An entry can be erased once every entity it changed has a later entry; of one person's targeting key, once no
    /// entity holds it any more. What is erased already is passed over. Objects that were published keep what they
    /// have (FORMAT T-4.9).
    ///
    /// # Errors
    ///
    /// [`ControlError::NotYetSuperseded`], [`ControlError::StillInUse`], and [`ControlError::EntryNotFound`]; then
    /// nothing was erased.
    pub async fn erase(&self, what: &Erasure, write: Write) -> Result<Erased, ControlError> {
        let state = self.state().await?;
        let (mut write, mut done) = (write, Erased::default());
        if let Some(id) = &write.request_id
            && let Some(recorded) = state.requests().find(&write.actor.id, id)
        {
            let entry = self.inner.folded.log().entry(self.project(), recorded.seq).await?;
            let entry = entry.filter(|_| recorded.is(&write.request_bytes) != Some(false));
            let entry = entry.ok_or(ControlError::KeyReused)?;
            done = self.finish(&entry).await?;
            if entry.header.changes.len() < MAX_ERASED_AT_ONCE {
                return Ok(done);
            }
            // The first of several, perhaps: what the try before did not get to follows now.
            write.request_id = None;
        }
        let chosen = match what {
            Erasure::Entries(seqs) => self.named(&state, seqs).await?,
            Erasure::Actor(id) => {
                let of_actor = self.matching(|entry| entry.header.actor.id == *id).await?;
                let (free, kept): (Vec<_>, Vec<_>) =
                    of_actor.into_iter().partition(|entry| standing(&state, entry).is_empty());
                let stays = |entry: &Entry| Kept { seq: entry.seq(), entities: standing(&state, entry) };
                done.kept = kept.iter().map(stays).collect();
                free
            }
            Erasure::UserId(key) => self.of_user(&state, key).await?,
        };
        let seqs: Vec<u64> = chosen.iter().map(Entry::seq).collect();
        for part in seqs.chunks(MAX_ERASED_AT_ONCE) {
            let edits = |state: &State| {
                let edit = |seq: &u64| Edit::of(state, Entity::Erasure(*seq), &Json::Null);
                Ok(part.iter().map(edit).collect())
            };
            if let Some((entry, _)) = self.append(edits, &write).await? {
                let finished = self.finish(&entry).await?;
                done.entries.extend(finished.entries);
                done.erased.extend(finished.erased);
            }
            // Only the first entry is found again by the request's id; a retry goes on from there.
            write.request_id = None;
        }
        Ok(done)
    }

    /// Does what entries say that is not done: a crash came between, or the store was busy.
    ///
    /// That an entry has no data does not show that the store has no copy of it, in an older page of a file or beside
    /// a table. To erase is to do both, so each process does it once more of every entry, until it succeeds: one that
    /// fails keeps the others from nothing, and what is done is not begun again.
    pub(super) async fn finish_erasures(&self) -> Result<(), ControlError> {
        let state = self.state().await?;
        let checked = self.inner.erased_through();
        let mut by_entry = BTreeMap::<u64, Vec<u64>>::new();
        for (erased, by) in state.erasures().filter(|(_, by)| *by > checked) {
            by_entry.entry(by).or_default().push(erased);
        }
        let mut result = Ok(());
        for (by, erased) in by_entry {
            let done = self.finish_erasure(by, &erased).await;
            if result.is_ok() && done.is_ok() {
                self.inner.erased_through_now(by);
            }
            result = result.and(done);
        }
        result
    }

    /// Erases once more what one entry says.
    async fn finish_erasure(&self, by: u64, erased: &[u64]) -> Result<(), ControlError> {
        let (log, project) = (self.inner.folded.log(), self.project());
        let mut is_done = true;
        for seq in erased {
            is_done &= log.entry(project, *seq).await?.is_none_or(|entry| entry.data.is_none());
        }
        match log.entry(project, by).await? {
            Some(entry) if !is_done => {
                tracing::warn!(by, "an erasure that was cut off is finished");
                self.finish(&entry).await?;
            }
            _ => {
                for seq in erased {
                    log.erase(project, *seq).await?;
                }
            }
        }
        Ok(())
    }

    /// Deletes what an entry says is erased: first the checkpoints that may hold it, then the private objects that
    /// nothing else names, last the data itself, so that what is not done can be seen.
    async fn finish(&self, entry: &Entry) -> Result<Erased, ControlError> {
        let seqs: Vec<u64> = erased_by(entry).collect();
        let (folded, project) = (&self.inner.folded, self.project());
        if let Some(first) = seqs.iter().min() {
            folded.checkpoints().forget(project, *first..=entry.seq()).await?;
        }
        self.forget_objects(&seqs).await?;
        for seq in &seqs {
            folded.log().erase(project, *seq).await?;
        }
        Ok(Erased { entries: vec![entry.seq()], erased: seqs, kept: Vec::new() })
    }

    /// Deletes the private objects that no entry but these names; and what a crash left behind, after a while.
    async fn forget_objects(&self, erased: &[u64]) -> Result<(), ControlError> {
        let (objects, project) = (&self.inner.objects, self.project());
        if objects.all(project).await?.is_empty() {
            return Ok(());
        }
        let (mut named, mut doomed) = (BTreeSet::new(), BTreeSet::new());
        let mut look = |entry: &Entry| {
            let of = if erased.contains(&entry.seq()) { &mut doomed } else { &mut named };
            of.extend(lists_in(entry).into_iter().map(|(_, content)| content.base.sha256));
        };
        let read = self.each_entry_after(0, &mut look).await?;
        // Whoever writes a list between its keys and its entry is waited for, or waits: for the last entries only.
        let _forgetting = self.inner.keeping.write().await;
        let now_ms = self.inner.clock.now_ms();
        let all = objects.all(project).await?;
        self.each_entry_after(read, &mut look).await?;
        for (sha256, _) in all.iter().filter(|(sha256, _)| !named.contains(sha256)) {
            let is_erased = doomed.contains(sha256);
            // Another process may keep the same keys again meanwhile, for an entry that was not read here.
            let before_ms =
                if is_erased { now_ms.saturating_add(1) } else { now_ms.saturating_sub(ORPHAN_MS) };
            objects.forget(project, sha256, before_ms).await?;
            self.forget_held(sha256);
        }
        Ok(())
    }

    /// The entries of these seqs that still have data.
    async fn named(&self, state: &State, seqs: &BTreeSet<u64>) -> Result<Vec<Entry>, ControlError> {
        let mut entries = Vec::new();
        for &seq in seqs {
            let entry = self.inner.folded.log().entry(self.project(), seq).await?;
            let entry = entry.ok_or(ControlError::EntryNotFound { seq })?;
            if entry.data.is_some() {
                may_go(state, &entry)?;
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// The entries that mention a targeting key, if it is in use nowhere.
    async fn of_user(&self, state: &State, key: &str) -> Result<Vec<Entry>, ControlError> {
        let holding = self.objects_with(key).await?;
        let mentioning = |entry: &Entry| {
            let mut entities = mentioning(entry, key);
            let lists = lists_in(entry).into_iter();
            let lists = lists.filter(|(_, content)| holding.contains(&content.base.sha256));
            entities.extend(lists.map(|(entity, _)| entity.to_string()));
            entities
        };
        let entries = self.matching(|entry| !mentioning(entry).is_empty()).await?;
        let mut in_use = BTreeSet::new();
        for entry in &entries {
            let standing = standing(state, entry);
            in_use.extend(mentioning(entry).into_iter().filter(|entity| standing.contains(entity)));
        }
        if !in_use.is_empty() {
            return Err(ControlError::StillInUse { entities: in_use.into_iter().collect() });
        }
        entries.iter().try_for_each(|entry| may_go(state, entry))?;
        Ok(entries)
    }

    /// The objects of lists that hold this key. One that is gone holds nothing; one that is damaged may hold it.
    async fn objects_with(&self, key: &str) -> Result<BTreeSet<Digest>, ControlError> {
        let mut named = BTreeMap::new();
        self.each_entry(|entry| {
            for (entity, content) in lists_in(entry) {
                if let Entity::List(_, list) = entity {
                    named.insert(content.base.sha256, (list.clone(), content.base));
                }
            }
        })
        .await?;
        let mut holding = BTreeSet::new();
        for (sha256, (list, object)) in named {
            match self.base_of(&list, &object).await {
                Ok(keys) if keys.contains(key.as_bytes()) => drop(holding.insert(sha256)),
                Ok(_) | Err(ControlError::ListObjectMissing { .. }) => {}
                Err(error @ ControlError::ListObjectDamaged { .. }) => {
                    tracing::warn!(%list, code = error.code(), "it may hold the key, and is erased with what does");
                    holding.insert(sha256);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(holding)
    }

    /// The entries with data for which `is_meant` holds, without the states of others in memory.
    async fn matching(
        &self,
        is_meant: impl Fn(&Entry) -> bool + Send + Sync,
    ) -> Result<Vec<Entry>, ControlError> {
        let mut found = Vec::new();
        self.each_entry(|entry| {
            if entry.data.is_some() && is_meant(entry) {
                found.push(entry.clone());
            }
        })
        .await?;
        Ok(found)
    }

    /// Shows every entry, in order, with a page of them in memory.
    async fn each_entry(&self, show: impl FnMut(&Entry) + Send) -> Result<(), ControlError> {
        self.each_entry_after(0, show).await.map(|_| ())
    }

    /// Shows the entries after one; returns which is the last.
    async fn each_entry_after(
        &self,
        mut after: u64,
        mut show: impl FnMut(&Entry) + Send,
    ) -> Result<u64, ControlError> {
        let folded = &self.inner.folded;
        loop {
            let page = folded.log().read(folded.project(), after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(after) };
            after = last.seq();
            page.iter().for_each(&mut show);
        }
    }
}

/// The entries that an entry says it erased.
fn erased_by(entry: &Entry) -> impl Iterator<Item = u64> + '_ {
    entry.header.changes.iter().filter_map(|change| match change.entity {
        Entity::Erasure(seq) => Some(seq),
        _ => None,
    })
}

/// The lists that an entry writes, with what they become.
fn lists_in(entry: &Entry) -> Vec<(&Entity, ListContent)> {
    let changes = &entry.header.changes;
    if !changes.iter().any(|change| matches!(change.entity, Entity::List(..))) {
        return Vec::new();
    }
    let states = entry.read_data().ok().flatten().map(|data| data.states).unwrap_or_default();
    let both = changes.iter().zip(&states);
    let lists = both.filter(|(change, _)| matches!(change.entity, Entity::List(..)));
    lists.filter_map(|(change, state)| Some((&change.entity, ListContent::from_json(state)?))).collect()
}

/// The entities whose last entry this is. What was adopted of a stream stands for good: an audit asks for it.
fn standing(state: &State, entry: &Entry) -> Vec<String> {
    let stands =
        |entity: &Entity| matches!(entity, Entity::Restoration(..)) || state.place(entity).1 <= entry.seq();
    let entities = entry.header.changes.iter().map(|change| &change.entity);
    entities.filter(|entity| stands(entity)).map(ToString::to_string).collect()
}

fn may_go(state: &State, entry: &Entry) -> Result<(), ControlError> {
    match standing(state, entry) {
        entities if entities.is_empty() => Ok(()),
        entities => Err(ControlError::NotYetSuperseded { seq: entry.seq(), entities }),
    }
}

/// The entities of an entry whose states hold this very text.
fn mentioning(entry: &Entry, text: &str) -> Vec<String> {
    // A quick look first: what is not in the bytes is in no text of them, but for escapes.
    let bytes = entry.data.as_ref().map_or(&[][..], |data| &data.bytes);
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
    if text.is_empty() || (is_plain && !contains(bytes, text.as_bytes())) {
        return Vec::new();
    }
    let Some(data) = entry.read_data().ok().flatten() else { return Vec::new() };
    let changes = entry.header.changes.iter().zip(&data.states);
    let found = changes.filter(|(_, state)| holds(state, text, false));
    found.map(|(change, _)| change.entity.to_string()).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Whether a text anywhere in it is this one, or a number where keys are `listed`; names of members are no texts of
/// people.
fn holds(json: &Json<'_>, text: &str, listed: bool) -> bool {
    match json {
        Json::String(found) => found == text,
        Json::Number(_) => listed && json.to_string() == text,
        Json::Array(elements) => elements.iter().any(|element| holds(element, text, listed)),
        Json::Object(members) => {
            let is_condition = json.member("attr").is_some();
            members.iter().any(|(name, value)| {
                let name = name.as_ref();
                let listed =
                    listed || KEY_LISTS.contains(&name) || (is_condition && OPERANDS.contains(&name));
                holds(value, text, listed)
            })
        }
        _ => false,
    }
}
