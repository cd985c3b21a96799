//! The objects of lists: from a disk or a base URL into the snapshot whose lines name them (FORMAT T-3.5).
//!
//! They are fetched beside the polls, in tasks of their own, a few at once. The swap that first names one waits for it,
//! up to [`LISTS_DEADLINE`]; what comes later is put in by a later poll, and no other swap waits. So a list never holds
//! up a kill switch for longer than that, however long it takes to come.

use core::pin::pin;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use flagstone_bundle::container::{Caps, Encoding, StoredObject};
use flagstone_eval::{List, Snapshot, WantedList};
use flagstone_model::digest::Digest;
use tokio::sync::Semaphore;
use tokio::task::{self, AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};

use crate::backoff::LONGEST_RETRY_AFTER;
use crate::failure::{Failure, Object};
use crate::fetch::{Answer, FetchError, Fetcher, Wanted};
use crate::follow::POISONED_REST;
use crate::list_cache::ListCache;
use crate::paths::Paths;

/// Most bytes of list objects that a client holds for the lines it serves, unpacked. The lists beyond, in the order of
/// their keys, stay missing.
pub const MAX_LISTS_BYTES: u64 = 1024 * 1024 * 1024;
/// How long a swap waits for the lists that the new lines name (FORMAT T-3.5).
pub(crate) const LISTS_DEADLINE: Duration = Duration::from_secs(30);
/// How many lists are fetched at once; each may have 64 MiB stored and 128 MiB unpacked.
const AT_ONCE: usize = 4;
/// How many are fetched beside them that take longer than [`LISTS_DEADLINE`].
const SLOW_AT_ONCE: usize = 4;
/// How long a list rests that could not be had; each time twice as long as before.
const FIRST_REST: Duration = Duration::from_secs(15);
/// The longest rest, unless a server asks for a longer one.
const LONGEST_REST: Duration = Duration::from_mins(10);

/// The lists of one stream that lines name and that are not in the snapshot.
pub(crate) struct Lists {
    cache: ListCache,
    places: Arc<Places>,
    fetching: JoinSet<(Digest, Result<Arc<List>, FetchError>)>,
    missing: BTreeMap<Digest, Missing>,
}

/// Where a list is that is in no snapshot yet.
enum Missing {
    /// A task fetches it; until that moment a swap waits for it. `times` it could not be had before.
    Fetching { task: AbortHandle, until: Instant, times: u32 },
    /// It has come.
    Arrived(Arc<List>),
    /// It could not be had so many times, and nobody asks before that moment.
    Resting { times: u32, until: Duration },
}

impl Missing {
    fn is_of(&self, id: task::Id) -> bool {
        matches!(self, Self::Fetching { task, .. } if task.id() == id)
    }
}

/// The places of lists that are fetched.
struct Places {
    quick: Semaphore,
    slow: Semaphore,
}

impl Places {
    /// Does it in a place. What takes long leaves that to others as soon as there is one among the slow.
    async fn take_for<T>(&self, work: impl Future<Output = T>) -> T {
        // They are never closed; a list that got no place would be fetched all the same.
        let place = self.quick.acquire().await;
        let mut work = pin!(work);
        if let Ok(done) = timeout(LISTS_DEADLINE, &mut work).await {
            return done;
        }
        let _slow = tokio::select! {
            biased;
            done = &mut work => return done,
            slow = self.slow.acquire() => slow,
        };
        drop(place);
        work.await
    }
}

/// Where lists are fetched.
pub(crate) struct Sources {
    pub(crate) fetcher: Arc<Fetcher>,
    /// The base URLs, the one in use first.
    pub(crate) bases: Vec<String>,
    pub(crate) paths: Arc<Paths>,
}

impl Lists {
    pub(crate) fn new(cache: ListCache) -> Self {
        let places = Places { quick: Semaphore::new(AT_ONCE), slow: Semaphore::new(SLOW_AT_ONCE) };
        Self { cache, places: Arc::new(places), fetching: JoinSet::new(), missing: BTreeMap::new() }
    }

    /// Another snapshot is to be served: a list that it does not want is not fetched any more, nor kept.
    pub(crate) fn turn_to(&mut self, snapshot: &Snapshot) {
        let wanted: BTreeSet<Digest> = wanted(snapshot).iter().map(|wanted| wanted.sha256).collect();
        self.missing.retain(|digest, missing| {
            let keeps = wanted.contains(digest);
            if let (false, Missing::Fetching { task, .. }) = (keeps, missing) {
                task.abort();
            }
            keeps
        });
    }

    /// Starts to fetch what a snapshot wants, but for what is on its way or rests. A swap waits so long for those that
    /// nobody has asked for before.
    pub(crate) fn fetch(
        &mut self,
        snapshot: &Snapshot,
        sources: &Arc<Sources>,
        patience: Duration,
        now: Duration,
    ) {
        let moment = Instant::now();
        for wanted in wanted(snapshot) {
            let digest = wanted.sha256;
            let (times, until) = match self.missing.get(&digest) {
                None => (0, moment + patience),
                Some(Missing::Resting { times, until }) if *until <= now => (*times, moment),
                Some(_) => continue,
            };
            let (cache, places, sources) =
                (self.cache.clone(), Arc::clone(&self.places), Arc::clone(sources));
            let task = self.fetching.spawn(async move {
                let fetched = places.take_for(fetched(object(&wanted), cache, &sources)).await;
                (digest, fetched)
            });
            self.missing.insert(digest, Missing::Fetching { task, until, times });
        }
    }

    /// Waits for what is on its way and has not been waited for long enough. Whoever breaks off goes on the next time.
    pub(crate) async fn wait(&mut self, now: impl Fn() -> Duration) {
        let start = Instant::now();
        let mut awaited: BTreeMap<Digest, Instant> = BTreeMap::new();
        for (digest, missing) in &self.missing {
            if let Missing::Fetching { until, .. } = missing
                && *until > start
            {
                awaited.insert(*digest, *until);
            }
        }
        let Some(until) = awaited.values().max().copied() else { return };
        while !awaited.is_empty() {
            let Ok(Some(joined)) = timeout_at(until, self.fetching.join_next()).await else { return };
            if let Some(digest) = self.joined(joined, now()) {
                awaited.remove(&digest);
            }
        }
    }

    /// Takes in what has come, and waits for nothing.
    pub(crate) fn look(&mut self, now: Duration) {
        while let Some(joined) = self.fetching.try_join_next() {
            self.joined(joined, now);
        }
    }

    /// Notes how a task ended, and says which list it was after if that is still wanted.
    fn joined(
        &mut self,
        joined: Result<(Digest, Result<Arc<List>, FetchError>), JoinError>,
        now: Duration,
    ) -> Option<Digest> {
        let (digest, fetched) = match joined {
            Ok(joined) => joined,
            Err(error) => {
                let (digest, _) = self.missing.iter().find(|(_, missing)| missing.is_of(error.id()))?;
                let digest = *digest;
                (digest, Err(Failure::BrokenOff { object: Object::List }.into()))
            }
        };
        let missing = self.missing.get_mut(&digest)?;
        let Missing::Fetching { times, .. } = *missing else { return None };
        *missing = match fetched {
            Ok(list) => Missing::Arrived(list),
            Err(FetchError { failure, retry_after, .. }) => {
                tracing::warn!(code = failure.code(), %failure, "a list is missing");
                let pause = FIRST_REST.saturating_mul(1 << times.min(16)).min(LONGEST_REST);
                let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                let poisoned =
                    if failure.code() == "digest-mismatch" { POISONED_REST } else { Duration::ZERO };
                let until = now.saturating_add(pause.max(asked).max(poisoned));
                Missing::Resting { times: times.saturating_add(1), until }
            }
        };
        Some(digest)
    }

    /// The lists that have come and are in no snapshot yet.
    pub(crate) fn arrived(&self) -> BTreeMap<Digest, Arc<List>> {
        let arrived = self.missing.iter().filter_map(|(digest, missing)| match missing {
            Missing::Arrived(list) => Some((*digest, Arc::clone(list))),
            Missing::Fetching { .. } | Missing::Resting { .. } => None,
        });
        arrived.collect()
    }

    /// Where lists lie on disk.
    pub(crate) const fn cache(&self) -> &ListCache {
        &self.cache
    }
}

/// What a snapshot wants and a client can hold.
fn wanted(snapshot: &Snapshot) -> Vec<WantedList> {
    snapshot.wanted_lists_within(MAX_LISTS_BYTES)
}

/// The lists that a snapshot wants and that lie on disk: it reads them, and asks nobody.
pub(crate) fn local(snapshot: &Snapshot, cache: &ListCache) -> BTreeMap<Digest, Arc<List>> {
    let mut found = BTreeMap::new();
    for wanted in wanted(snapshot) {
        if !found.contains_key(&wanted.sha256)
            && let Some(list) = read(&object(&wanted), cache)
        {
            found.insert(wanted.sha256, list);
        }
    }
    found
}

const fn object(wanted: &WantedList) -> StoredObject {
    let WantedList { sha256, size, raw_size, .. } = wanted;
    StoredObject { encoding: Encoding::Zstd, sha256: *sha256, size: *size, raw_size: *raw_size }
}

fn read(object: &StoredObject, cache: &ListCache) -> Option<Arc<List>> {
    cache.find(object).and_then(|bytes| open(object, &bytes).ok())
}

/// Digest before frame, frame before keys.
fn open(object: &StoredObject, stored: &[u8]) -> Result<Arc<List>, Failure> {
    let raw = object
        .open(stored, Caps::LIST)
        .map_err(|error| Failure::refused(Object::List, error.code(), error))?;
    let list = List::parse(raw).map_err(|error| Failure::refused(Object::List, "malformed", error))?;
    Ok(Arc::new(list))
}

/// A list from the disk, else from the first base URL that has it: one that is slow is asked again after the others.
async fn fetched(object: StoredObject, cache: ListCache, sources: &Sources) -> Result<Arc<List>, FetchError> {
    let broken = |_| Failure::BrokenOff { object: Object::List };
    let local = cache.clone();
    if let Some(list) = tokio::task::spawn_blocking(move || read(&object, &local)).await.map_err(broken)? {
        return Ok(list);
    }
    // The sizes are signed, and more than a list may have all the same: nothing is asked for or allocated.
    object.within(Caps::LIST).map_err(|error| Failure::refused(Object::List, error.code(), error))?;
    let path = sources.paths.list(object.sha256);
    let max_bytes = usize::try_from(object.size).unwrap_or(usize::MAX);
    let mut trouble: Option<FetchError> = None;
    let mut bases: VecDeque<_> = sources.bases.iter().map(|base| (base, false)).collect();
    while let Some((base, is_slow)) = bases.pop_front() {
        let url = format!("{base}{path}");
        let elsewhere = !is_slow && !bases.is_empty();
        let wanted =
            Wanted { object: Object::List, url: &url, keyed: true, etag: None, max_bytes, elsewhere };
        let error = match sources.fetcher.get(wanted).await {
            Ok(Answer::Body { bytes, .. }) => {
                let cache = cache.clone();
                let take = move || {
                    let list = open(&object, &bytes)?;
                    cache.keep(&object, &bytes);
                    Ok::<_, Failure>(list)
                };
                match tokio::task::spawn_blocking(take).await.map_err(broken)? {
                    Ok(list) => return Ok(list),
                    Err(failure) => FetchError::from(failure),
                }
            }
            Ok(Answer::NotModified) => Failure::BrokenOff { object: Object::List }.into(),
            Err(error) => error,
        };
        if error.is_slow {
            bases.push_back((base, true));
        }
        trouble = Some(match trouble {
            Some(before) => before.or(error),
            None => error,
        });
    }
    Err(trouble.unwrap_or_else(|| Failure::BrokenOff { object: Object::List }.into()))
}
