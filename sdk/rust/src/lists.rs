//! The objects of lists: from a disk or a base URL into the snapshot whose lines name them (FORMAT T-3.5).
//!
//! They are fetched beside the polls, in tasks of their own. The swap that first names one waits for it, up to
//! [`LISTS_DEADLINE`]; what comes later is put in by a later poll, and no other swap waits. So a list never holds up a kill
//! switch for longer than that.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flagstone_bundle::container::{Caps, Encoding, StoredObject};
use flagstone_eval::{List, Snapshot, WantedList};
use flagstone_model::digest::Digest;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::failure::{Failure, Object};
use crate::fetch::{Answer, FetchError, Fetcher, Wanted};
use crate::list_cache::ListCache;
use crate::paths::Paths;

/// How long a swap waits for the lists that the new lines name (FORMAT T-3.5).
pub(crate) const LISTS_DEADLINE: Duration = Duration::from_secs(30);
/// How long a list rests that could not be had; each time twice as long as before.
const FIRST_REST: Duration = Duration::from_secs(15);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_mins(10);

/// The lists of one stream that are on their way.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    cache: ListCache,
    fetching: JoinSet<(Digest, Result<Arc<List>, Failure>)>,
    in_flight: BTreeSet<Digest>,
    /// Fetched, and in no snapshot yet.
    arrived: BTreeMap<Digest, Arc<List>>,
    resting: BTreeMap<Digest, Rest>,
}

/// How often a list could not be had, and until when nobody asks again.
#[derive(Debug, Clone, Copy)]
struct Rest {
    times: u32,
    until: Duration,
}

/// Where lists are fetched.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) fetcher: Arc<Fetcher>,
    /// The base URLs, the one in use first.
    pub(crate) bases: Vec<String>,
    pub(crate) paths: Arc<Paths>,
}

impl Lists {
    pub(crate) fn new(cache: ListCache) -> Self {
        Self { cache, ..Self::default() }
    }

    /// Starts to fetch what a snapshot wants, but for what is on its way or rests; the digests of what nobody has asked
    /// for before.
    pub(crate) fn fetch(
        &mut self,
        snapshot: &Snapshot,
        sources: &Sources,
        now: Duration,
    ) -> BTreeSet<Digest> {
        let mut new = BTreeSet::new();
        let wanted = snapshot.wanted_lists();
        let named: BTreeSet<Digest> =
            wanted.iter().map(|wanted| wanted.sha256).chain(snapshot.held_lists()).collect();
        self.arrived.retain(|digest, _| named.contains(digest));
        self.resting.retain(|digest, _| named.contains(digest));
        for wanted in wanted {
            let rest = self.resting.get(&wanted.sha256);
            let (is_new, rests) = (rest.is_none(), rest.is_some_and(|rest| now < rest.until));
            if rests || self.arrived.contains_key(&wanted.sha256) || !self.in_flight.insert(wanted.sha256) {
                continue;
            }
            if is_new {
                new.insert(wanted.sha256);
            }
            let (cache, sources, named) = (self.cache.clone(), sources.clone(), named.clone());
            self.fetching.spawn(async move {
                let fetched = fetched(object(&wanted), cache, sources, named).await;
                (wanted.sha256, fetched)
            });
        }
        new
    }

    /// Waits until none of `these` is on its way any more, or until a moment.
    pub(crate) async fn wait(
        &mut self,
        these: &BTreeSet<Digest>,
        until: Instant,
        now: impl Fn() -> Duration,
    ) {
        while !self.in_flight.is_disjoint(these) {
            let Ok(Some(joined)) = timeout_at(until, self.fetching.join_next()).await else { return };
            self.joined(joined.ok(), now());
        }
    }

    /// Takes in what has come, and waits for nothing.
    pub(crate) fn look(&mut self, now: Duration) {
        while let Some(joined) = self.fetching.try_join_next() {
            self.joined(joined.ok(), now);
        }
    }

    fn joined(&mut self, joined: Option<(Digest, Result<Arc<List>, Failure>)>, now: Duration) {
        let Some((digest, fetched)) = joined else {
            // A task that did not end as it should names none: nothing else is known to be on its way.
            if self.fetching.is_empty() {
                self.in_flight.clear();
            }
            return;
        };
        self.in_flight.remove(&digest);
        match fetched {
            Ok(list) => {
                self.resting.remove(&digest);
                self.arrived.insert(digest, list);
            }
            Err(failure) => {
                let times = self.resting.get(&digest).map_or(0, |rest| rest.times);
                let pause = FIRST_REST.saturating_mul(1 << times.min(16)).min(LONGEST_REST);
                let until = now.saturating_add(pause);
                self.resting.insert(digest, Rest { times: times.saturating_add(1), until });
                tracing::warn!(code = failure.code(), %failure, "a list is missing");
            }
        }
    }

    /// A snapshot with the lists that have come for it, and the keys of these lists.
    pub(crate) fn put_into(&mut self, mut snapshot: Snapshot) -> (Snapshot, Vec<Arc<str>>) {
        let mut put = Vec::new();
        for wanted in snapshot.wanted_lists() {
            if let Some(list) = self.arrived.get(&wanted.sha256) {
                snapshot = snapshot.with_list(wanted.sha256, list);
                put.push(wanted.key);
            }
        }
        self.arrived.clear();
        (snapshot, put)
    }

    /// A snapshot with the lists that lie on disk: it reads them, and asks nobody.
    pub(crate) fn put_local(&self, mut snapshot: Snapshot) -> Snapshot {
        for wanted in snapshot.wanted_lists() {
            let object = object(&wanted);
            let found = self.cache.find(&object).and_then(|bytes| open(&object, &bytes).ok());
            if let Some(list) = found {
                snapshot = snapshot.with_list(wanted.sha256, &list);
            }
        }
        snapshot
    }
}

const fn object(wanted: &WantedList) -> StoredObject {
    let WantedList { sha256, size, raw_size, .. } = wanted;
    StoredObject { encoding: Encoding::Zstd, sha256: *sha256, size: *size, raw_size: *raw_size }
}

/// Digest before frame, frame before keys.
fn open(object: &StoredObject, stored: &[u8]) -> Result<Arc<List>, Failure> {
    let raw = object
        .open(stored, Caps::LIST)
        .map_err(|error| Failure::refused(Object::List, error.code(), error))?;
    let list = List::parse(raw).map_err(|error| Failure::refused(Object::List, "malformed", error))?;
    Ok(Arc::new(list))
}

/// A list from the disk, else from the first base URL that has it.
async fn fetched(
    object: StoredObject,
    cache: ListCache,
    sources: Sources,
    named: BTreeSet<Digest>,
) -> Result<Arc<List>, Failure> {
    let broken = |_| Failure::BrokenOff { object: Object::List };
    let local = cache.clone();
    let find = move || local.find(&object).and_then(|bytes| open(&object, &bytes).ok());
    if let Some(list) = tokio::task::spawn_blocking(find).await.map_err(broken)? {
        return Ok(list);
    }
    // The sizes are signed, and more than a list may have all the same: nothing is asked for or allocated.
    object.within(Caps::LIST).map_err(|error| Failure::refused(Object::List, error.code(), error))?;
    let path = sources.paths.list(object.sha256);
    let max_bytes = usize::try_from(object.size).unwrap_or(usize::MAX);
    let mut trouble: Option<Failure> = None;
    for base in &sources.bases {
        let url = format!("{base}{path}");
        let wanted = Wanted { object: Object::List, url: &url, keyed: true, etag: None, max_bytes };
        let failure = match sources.fetcher.get(wanted).await {
            Ok(Answer::Body { bytes, .. }) => {
                let (cache, named) = (cache.clone(), named.clone());
                let take = move || {
                    let list = open(&object, &bytes)?;
                    cache.keep(&object, &bytes, &named);
                    Ok(list)
                };
                match tokio::task::spawn_blocking(take).await.map_err(broken)? {
                    Ok(list) => return Ok(list),
                    Err(failure) => failure,
                }
            }
            Ok(Answer::NotModified) => Failure::BrokenOff { object: Object::List },
            Err(FetchError { failure, .. }) => failure,
        };
        trouble = Some(match trouble {
            Some(before) if failure.is_silence() => before,
            _ => failure,
        });
    }
    Err(trouble.unwrap_or(Failure::BrokenOff { object: Object::List }))
}
