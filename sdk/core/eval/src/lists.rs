//! Lists as snapshots name them: a base that is held or not, and the edits of the line (FORMAT M-1.7).

use core::fmt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flagstone_model::digest::Digest;

use crate::list::List;
use crate::snapshot::Snapshot;
use crate::table::{Keyed, Table};

/// A `list` line, and what serves under its key.
#[derive(Debug)]
pub(crate) struct ListEntry {
    pub(crate) key: Arc<str>,
    /// `None`: the line cannot be read, so that tests on the list are unsupported.
    line: Option<Arc<ListLine>>,
    members: Option<Members>,
}

/// What a `list` line says.
pub(crate) struct ListLine {
    pub(crate) sha256: Digest,
    pub(crate) size: u64,
    pub(crate) raw_size: u64,
    /// Ascending.
    pub(crate) add: Box<[Box<str>]>,
    /// Ascending.
    pub(crate) drop: Box<[Box<str>]>,
}

/// Says how many edits there are: keys may be personal.
impl fmt::Debug for ListLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edits = (self.add.len(), self.drop.len());
        f.debug_struct("ListLine")
            .field("sha256", &self.sha256)
            .field("edits", &edits)
            .finish_non_exhaustive()
    }
}

/// The keys of a list: a base, with the edits of the line that named it.
#[derive(Debug, Clone)]
pub(crate) struct Members {
    line: Arc<ListLine>,
    base: Arc<List>,
}

/// The stored object of a list that a snapshot names and does not hold: one zstd frame of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedList {
    /// The list's key.
    pub key: Arc<str>,
    /// SHA-256 of the stored bytes.
    pub sha256: Digest,
    /// Stored bytes.
    pub size: u64,
    /// Bytes unpacked, exactly. The line is trusted no further than its signature: see
    /// [`MAX_LIST_BYTES`](crate::MAX_LIST_BYTES).
    pub raw_size: u64,
    /// Whether an older base serves under the key in the meantime.
    pub is_served: bool,
}

impl Members {
    /// Whether the list holds a key: what is added is in, and of the base all that is not dropped.
    pub(crate) fn contains(&self, key: &str) -> bool {
        let is_in = |keys: &[Box<str>]| keys.binary_search_by(|other| (**other).cmp(key)).is_ok();
        is_in(&self.line.add) || self.base.contains(key.as_bytes()) && !is_in(&self.line.drop)
    }
}

impl ListEntry {
    /// A line as it is compiled, without its base.
    pub(crate) const fn new(key: Arc<str>, line: Option<Arc<ListLine>>) -> Self {
        Self { key, line, members: None }
    }

    /// What serves; `None` leaves the list undecidable, the keys of `add` too.
    pub(crate) const fn members(&self) -> Option<&Members> {
        self.members.as_ref()
    }

    /// Whether the line could be read.
    pub(crate) const fn is_readable(&self) -> bool {
        self.line.is_some()
    }

    /// With a base that was held before, if the line still names one; else with what served before under its key, until
    /// the new base is there.
    pub(crate) fn after(self, before: &Table<Self>, held: &HashMap<Digest, Arc<List>>) -> Self {
        let Some(line) = &self.line else { return self };
        let members = match held.get(&line.sha256) {
            Some(base) => Some(Members { line: Arc::clone(line), base: Arc::clone(base) }),
            None => before.find(&self.key).and_then(|entry| entry.members.clone()),
        };
        Self { members, ..self }
    }

    /// The base that the line names, unless it is held.
    fn wanted(&self) -> Option<WantedList> {
        let line = self.line.as_ref()?;
        if self.members.as_ref().is_some_and(|members| Arc::ptr_eq(&members.line, line)) {
            return None;
        }
        let ListLine { sha256, size, raw_size, .. } = **line;
        Some(WantedList { key: self.key.clone(), sha256, size, raw_size, is_served: self.members.is_some() })
    }
}

/// The bases that are held, by their digests.
pub(crate) fn bases(lists: &Table<ListEntry>) -> HashMap<Digest, Arc<List>> {
    let members = lists.iter().filter_map(|entry| entry.members());
    members.map(|members| (members.line.sha256, Arc::clone(&members.base))).collect()
}

impl Keyed for ListEntry {
    fn key(&self) -> &str {
        &self.key
    }
}

impl Snapshot {
    /// The list objects that lines name and that are not held, by the keys of their lists.
    ///
    /// Two lists may have one object. Until it is put in by [`Snapshot::with_list`], a list is what it was in the snapshot
    /// before; one that had no object before is undecidable.
    pub fn wanted_lists(&self) -> Vec<WantedList> {
        self.wanted_lists_within(u64::MAX)
    }

    /// The same, as far as the objects that lines name have no more than so many bytes unpacked: each counts once, in
    /// the order of the lists' keys, also one that is held. Of the same lines it is the same, whatever came before.
    pub fn wanted_lists_within(&self, max_raw_bytes: u64) -> Vec<WantedList> {
        let mut named: Vec<_> =
            self.lists.iter().filter_map(|entry| Some((entry, entry.line.as_ref()?))).collect();
        named.sort_unstable_by(|(one, _), (other, _)| one.key.cmp(&other.key));
        let (mut left, mut fits) = (max_raw_bytes, BTreeMap::new());
        let within = named.into_iter().filter(|(_, line)| {
            *fits.entry(line.sha256).or_insert_with(|| {
                let rest = left.checked_sub(line.raw_size);
                left = rest.unwrap_or(left);
                rest.is_some()
            })
        });
        within.filter_map(|(entry, _)| entry.wanted()).collect()
    }

    /// This snapshot with the object of this digest held, for every list that wants it. Of no list: the same.
    ///
    /// Whether the object's bytes have this digest is the caller's to verify.
    #[must_use]
    pub fn with_list(&self, sha256: Digest, list: &Arc<List>) -> Self {
        self.with_lists(&BTreeMap::from([(sha256, Arc::clone(list))]))
    }

    /// The same of many objects at once.
    #[must_use]
    pub fn with_lists(&self, lists: &BTreeMap<Digest, Arc<List>>) -> Self {
        let mut next = self.clone();
        for entry in self.lists.iter() {
            let Some(wanted) = entry.wanted() else { continue };
            let Some(list) = lists.get(&wanted.sha256) else { continue };
            let members = entry.line.clone().map(|line| Members { line, base: Arc::clone(list) });
            let entry = ListEntry { key: wanted.key, line: entry.line.clone(), members };
            next.lists.insert(Arc::new(entry));
        }
        next
    }

    /// The digests of the list objects that lines name, and of those that are held in place of them.
    pub fn named_lists(&self) -> BTreeSet<Digest> {
        let named = self.lists.iter().filter_map(|entry| entry.line.as_ref()).map(|line| line.sha256);
        let held = self.lists.iter().filter_map(|entry| entry.members()).map(|members| members.line.sha256);
        named.chain(held).collect()
    }
}
