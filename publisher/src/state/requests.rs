//! Which requests have been recorded, so that a retry is recognised (FORMAT T-4.3).

use std::sync::Arc;

use flagstone_model::digest::Digest;

use super::sorted_map::SortedMap;
use crate::log::{Entry, SaltedData};

/// How long a request is remembered, in milliseconds of the log: 24 hours.
pub const REMEMBERED_MS: i64 = 24 * 60 * 60 * 1_000;
/// How many requests are remembered.
pub const REMEMBERED: usize = 10_000;

/// The place of a recorded request in the log.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The entry that records it.
    pub seq: u64,
    /// When that was, in Unix milliseconds.
    pub time_ms: i64,
    pub(super) sha256: Digest,
    pub(super) salt: Option<[u8; 16]>,
}

impl Recorded {
    /// Whether `request` is the request recorded; `None` if its salt was erased, so that nobody can tell.
    pub fn is(&self, request: &[u8]) -> Option<bool> {
        let salted = SaltedData { salt: self.salt?, bytes: Vec::new() };
        Some(salted.request_commitment(request) == self.sha256)
    }
}

/// The requests of the last 24 hours, at most 10 000, by actor and id.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    by_id: SortedMap<RequestId, Recorded>,
    by_seq: SortedMap<u64, RequestId>,
}

/// Whose request, and its id.
type RequestId = Arc<(String, String)>;

impl Requests {
    /// The entry that records an actor's request of this id, if it is remembered.
    pub fn find(&self, actor: &str, request: &str) -> Option<&Recorded> {
        self.by_id.get(&(actor.to_owned(), request.to_owned()))
    }

    /// How many are remembered.
    pub const fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether none is remembered.
    pub const fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Remembers the request of an entry, and forgets what is too old by the log's own time.
    pub(super) fn record(&mut self, entry: &Entry) {
        let header = &entry.header;
        let id: RequestId = Arc::new((header.actor.id.clone(), header.request.id.clone()));
        let recorded = Recorded {
            seq: header.seq,
            time_ms: header.time_ms,
            sha256: header.request.sha256,
            salt: entry.data.as_ref().map(|data| data.salt),
        };
        self.remember(id, recorded);
        let oldest = header.time_ms.saturating_sub(REMEMBERED_MS);
        while let Some((&seq, id)) = self.by_seq.first() {
            let is_old = self.by_id.get(id).is_none_or(|recorded| recorded.time_ms < oldest);
            if !is_old && self.by_seq.len() <= REMEMBERED {
                break;
            }
            let id = Arc::clone(id);
            self.by_seq.remove(&seq);
            self.by_id.remove(&id);
        }
    }

    /// Remembers a request.
    pub(super) fn remember(&mut self, id: RequestId, recorded: Recorded) {
        let seq = recorded.seq;
        if let Some(earlier) = self.by_id.insert(Arc::clone(&id), recorded) {
            self.by_seq.remove(&earlier.seq);
        }
        self.by_seq.insert(seq, id);
    }

    /// Forgets the salt of an entry that was erased.
    pub(super) fn erase(&mut self, seq: u64) {
        let Some(id) = self.by_seq.get(&seq).cloned() else { return };
        if let Some(recorded) = self.by_id.get(&id).cloned() {
            self.by_id.insert(id, Recorded { salt: None, ..recorded });
        }
    }

    /// Actor, id, and place of each request, by entry.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str, &Recorded)> {
        let recorded = self.by_seq.values().filter_map(|id| Some((id, self.by_id.get(id)?)));
        recorded.map(|(id, recorded)| (id.0.as_str(), id.1.as_str(), recorded))
    }
}
