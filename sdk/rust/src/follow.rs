//! One poll of a stream, in the order of FORMAT T-5: fetch, verify, order, content, swap, keep.

mod bundle;
mod listed;
mod objects;
mod serving;

pub(crate) use objects::POISONED_REST;

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use flagstone_bundle::limits::MAX_FILE_BYTES;
use flagstone_bundle::manifest::{Manifest, Outcome, Position, Stream, UnverifiedManifest, order};
use flagstone_bundle::root::{Pin, Root, UnverifiedRoot};
use flagstone_model::digest::Digest;

use crate::backoff::Pace;
use crate::clock::Randomness;
use crate::connection::Connection;
use crate::failure::{Failure, Object};
use crate::fetch::{Answer, FetchError, Fetcher, Wanted};
use crate::freshness::StatusBits;
use crate::list_cache::ListCache;
use crate::lists::Lists;
use crate::paths::Paths;
use crate::persist::{Keeper, Stored};
use crate::prepare::Loaded;
use crate::shared::{Cost, Shared};
use crate::status::{Equivocation, Source};

use self::serving::{announced, keep};

/// What a poll found of the content that is announced. Lists that were missing may have come with any of these: that is
/// told as a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refreshed {
    /// No newer announcement.
    Unchanged,
    /// A newer announcement of the same content.
    Announced,
    /// New content, which is served now.
    Swapped,
}

/// What a poll came to, and when the next one is due.
#[derive(Debug)]
pub(crate) struct Polled {
    pub(crate) result: Result<Refreshed, Failure>,
    pub(crate) pause: Duration,
}

/// What is applied: what deltas build on, what an ETag speaks of.
#[derive(Clone)]
struct Applied {
    manifest: Arc<Manifest>,
    loaded: Loaded,
    stored: Option<Stored>,
    source: Source,
    /// Whether it is of the first load, and its checks have not been run (FORMAT M-1.8).
    are_checks_due: bool,
}

/// The one follower of a stream; only the poll loop has it.
pub(crate) struct Follower {
    bases: Vec<String>,
    /// The base URL in use: sticky until it fails.
    base: usize,
    paths: Arc<Paths>,
    stream: Stream,
    pin: Pin,
    fetcher: Arc<Fetcher>,
    lists: Lists,
    pace: Pace,
    keeper: Option<Keeper>,
    random: Arc<dyn Randomness>,
    shared: Arc<Shared>,

    root: Option<Arc<Root>>,
    /// The newest verified manifest, applied or not: nothing below it is taken.
    seen: Option<Position>,
    applied: Option<Applied>,
    /// Of the applied content, and the base URL it came from (FORMAT T-5.5).
    etag: Option<(usize, String)>,
    resting: BTreeMap<Digest, (Duration, Failure)>,
    /// What went wrong so far in this poll.
    trouble: Option<Failure>,
}

impl Follower {
    pub(crate) fn new(
        connection: &Connection,
        fetcher: Fetcher,
        lists: ListCache,
        pace: Pace,
        keeper: Option<Keeper>,
        random: Arc<dyn Randomness>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            bases: connection.base_urls().collect(),
            base: 0,
            paths: Arc::new(Paths::new(connection)),
            stream: connection.stream().clone(),
            pin: *connection.pin(),
            fetcher: Arc::new(fetcher),
            lists: Lists::new(lists),
            pace,
            keeper,
            random,
            shared,
            root: None,
            seen: None,
            applied: None,
            etag: None,
            resting: BTreeMap::new(),
            trouble: None,
        }
    }

    /// Two announcements contradict each other: the first is kept, and both are remembered.
    fn equivocation(&self, seen: &Position, offered: &Position) -> Failure {
        let (kept, offered) = (seen.payload, offered.payload);
        self.shared.board().equivocation.get_or_insert(Equivocation { kept, offered });
        Failure::Equivocation { kept, offered }
    }

    /// The trouble the start ran into: it is told until the first poll in which nothing goes wrong.
    pub(crate) fn note(&self, failure: Failure) {
        tracing::warn!(code = failure.code(), %failure, "a bundle is not taken");
        self.shared.board().last_error = Some(failure);
    }

    /// Asks for the manifest at the base URL in use, then at the next ones, and takes what is new.
    pub(crate) async fn poll(&mut self) -> Polled {
        let traffic = Arc::clone(&self.shared.traffic);
        let (bytes, requests) = (traffic.bytes(), traffic.requests());
        let cost = |apply| Cost {
            fetched: traffic.bytes().saturating_sub(bytes),
            requests: traffic.requests().saturating_sub(requests),
            apply,
        };
        self.trouble = None;
        let mut retry_after = None;
        let mut found = None;
        for attempt in 0..self.bases.len() {
            if attempt > 0 && !self.pace.spend() {
                break;
            }
            match self.poll_base(&cost).await {
                Ok(refreshed) => {
                    found = Some(refreshed);
                    break;
                }
                Err(error) => {
                    tracing::warn!(code = error.failure.code(), failure = %error.failure, "a poll failed");
                    retry_after = retry_after.max(error.retry_after);
                    let everywhere = error.failure.is_everywhere();
                    self.trouble_with(error.failure);
                    self.next_base();
                    if everywhere {
                        break;
                    }
                }
            }
        }
        let pause = match found {
            Some(_) => self.pace.after_success(&*self.random),
            None => self.pace.after_failure(retry_after, &*self.random),
        };
        self.finish(cost(Duration::ZERO)).await;
        let result = match (found, &self.trouble) {
            (None, Some(failure)) | (Some(_), Some(failure @ Failure::Older { .. })) => Err(failure.clone()),
            (found, _) => Ok(found.unwrap_or(Refreshed::Unchanged)),
        };
        self.note_end(result.is_err().then_some(pause));
        Polled { result, pause }
    }

    /// For those who ask whether a poll is due.
    fn note_end(&self, failed: Option<Duration>) {
        let moment = self.shared.moment();
        let mut board = self.shared.board();
        board.last_poll = Some((moment, failed.unwrap_or_default()));
        if failed.is_none() {
            board.last_answer = Some(moment);
        }
    }

    async fn poll_base(&mut self, cost: &impl Fn(Duration) -> Cost) -> Result<Refreshed, FetchError> {
        let root = self.root().await?;
        let url = self.url(&self.paths.manifest());
        let etag = self.etag.as_ref().filter(|(base, _)| *base == self.base).map(|(_, etag)| etag.as_str());
        let asked_by_etag = etag.is_some();
        let wanted = Wanted {
            object: Object::Manifest,
            url: &url,
            keyed: self.paths.are_closed(),
            etag,
            max_bytes: MAX_FILE_BYTES,
            elsewhere: false,
        };
        let answer = match self.fetcher.get(wanted).await {
            Ok(answer) => answer,
            Err(error) => {
                // It may be the ETag that somebody in between takes offence at, and they need not say so: the next
                // question goes without.
                if asked_by_etag {
                    self.etag = None;
                }
                return Err(self.like_any_other(error));
            }
        };
        let moment = self.shared.moment();
        let Answer::Body { bytes, etag, date_ms } = answer else {
            // The ETag is that of what is applied, so there is nothing to do, and nothing new.
            self.shared.board().freshness.answered(moment);
            return Ok(Refreshed::Unchanged);
        };
        let unverified = UnverifiedManifest::parse(&bytes)
            .map_err(|error| Failure::refused(Object::Manifest, error.code(), error))?;
        self.shared.board().freshness.answered(moment);
        let manifest = unverified
            .verify(&root, &self.stream)
            // Here a newer root is asked for, once a minute at most (FORMAT T-2.5): walking comes with its own issue.
            .map_err(|error| Failure::refused(Object::Manifest, error.code(), error))?;

        let offered = manifest.position();
        let outcome = order(self.seen.as_ref(), &offered);
        match (outcome, self.seen) {
            (Outcome::Older, _) => {
                // No failure of this base URL, and no news: the clock that notices a freeze runs on.
                let (version, serial) = (offered.version, offered.serial);
                self.trouble_with(Failure::Older { version, serial });
                return Ok(Refreshed::Unchanged);
            }
            (Outcome::Equivocation, Some(seen)) => {
                return Err(self.equivocation(&seen, &offered).into());
            }
            (Outcome::Accept, _) => {
                let announced = announced(&manifest);
                let mut board = self.shared.board();
                board.freshness.verified(announced, moment);
                board.freshness.news(announced, date_ms, moment);
                drop(board);
                self.seen = Some(offered);
            }
            (Outcome::Same | Outcome::Equivocation, _) => {}
        }
        let refreshed = self.take(manifest, cost).await?;
        self.etag = etag.map(|etag| (self.base, etag));
        Ok(refreshed)
    }

    /// Brings what is served to where the manifest is.
    async fn take(
        &mut self,
        manifest: Manifest,
        cost: &impl Fn(Duration) -> Cost,
    ) -> Result<Refreshed, FetchError> {
        let manifest = Arc::new(manifest);
        let offered = manifest.position();
        if let Some(applied) = &self.applied {
            let position = applied.manifest.position();
            if position.payload == offered.payload {
                return Ok(Refreshed::Unchanged);
            }
            if position.content == offered.content {
                // A heartbeat, another signature, or the same content under a new number.
                let applied = Applied { manifest, source: Source::Network, ..applied.clone() };
                self.serve(applied, None, Cost::default());
                return Ok(Refreshed::Announced);
            }
        }
        let (mut prepared, stored, start) = match self.by_delta(&manifest).await {
            Some(prepared) => prepared,
            None => self.by_snapshot(&manifest).await?,
        };
        let clock = Arc::clone(&self.shared.clock);
        let since = |start| clock.monotonic().saturating_sub(start);
        let unpacking = since(start);
        prepared.compiled = self.with_lists(prepared.compiled).await;
        let start = clock.monotonic();
        let before = self.applied.as_ref().map(|applied| applied.loaded.clone());
        let are_checks_due = self.applied.as_ref().is_none_or(|applied| applied.are_checks_due);
        let (loaded, changed) =
            objects::off_thread(Object::Snapshot, move || Ok(prepared.check(before.as_ref()))).await?;
        let apply = unpacking.saturating_add(since(start));
        let mut applied = Applied { manifest, loaded, stored, source: Source::Network, are_checks_due };
        // Kept before it is served, so that no restart is behind what was seen; but a disk never stops an update.
        keep(&mut self.keeper, self.root.as_ref(), &self.shared, &mut applied).await;
        self.serve(applied, Some(changed), cost(apply));
        Ok(Refreshed::Swapped)
    }

    /// The trusted root: the pinned one. Walking to newer ones starts here (FORMAT T-2.5).
    async fn root(&mut self) -> Result<Arc<Root>, FetchError> {
        if let Some(root) = &self.root {
            return Ok(Arc::clone(root));
        }
        let url = self.url(&self.paths.root(self.pin.root));
        let wanted = Wanted {
            object: Object::Root,
            url: &url,
            keyed: false,
            etag: None,
            max_bytes: MAX_FILE_BYTES,
            elsewhere: false,
        };
        let Answer::Body { bytes, .. } = self.fetcher.get(wanted).await? else {
            return Err(Failure::BrokenOff { object: Object::Root }.into());
        };
        let root = UnverifiedRoot::parse(&bytes)
            .map_err(|error| Failure::refused(Object::Root, error.code(), error))?
            .verify_pinned(&self.pin)
            .map_err(|error| Failure::refused(Object::Root, error.code(), error))?;
        self.shared.board().freshness.trusts_until(root.expires_ms());
        Ok(Arc::clone(self.root.insert(Arc::new(root))))
    }

    /// Ends a poll: the file, the bits, and whether another base URL might know more.
    async fn finish(&mut self, cost: Cost) {
        // Nothing is taken out on the way: whoever drives the polls may stop waiting for one.
        if let Some(applied) = &mut self.applied {
            keep(&mut self.keeper, self.root.as_ref(), &self.shared, applied).await;
        }
        self.more_lists().await;
        self.run_checks_that_are_due().await;
        let moment = self.shared.moment();
        let frozen = {
            let mut board = self.shared.board();
            board.counters.polls = board.counters.polls.saturating_add(1);
            board.last_error.clone_from(&self.trouble);
            board.freshness.bits(moment).contains(StatusBits::FROZEN)
        };
        if frozen && self.trouble.as_ref().is_none_or(|failure| matches!(failure, Failure::Older { .. })) {
            self.next_base();
        }
        self.resting.retain(|_, (until, _)| *until > moment.monotonic);
        self.shared.review(cost);
    }

    /// A manifest that is hidden is `not-found` as long as nothing was ever loaded; later it is like any failure.
    fn like_any_other(&self, error: FetchError) -> FetchError {
        match error.failure {
            Failure::NotFound { object, status } if self.applied.is_some() => {
                FetchError { failure: Failure::Status { object, status }, ..error }
            }
            _ => error,
        }
    }

    /// Remembers the failure that says most.
    fn trouble_with(&mut self, failure: Failure) {
        if self.trouble.as_ref().is_none_or(Failure::is_silence) {
            self.trouble = Some(failure);
        }
    }

    fn next_base(&mut self) {
        self.base = (self.base + 1) % self.bases.len().max(1);
    }

    fn url(&self, path: &str) -> String {
        self.bases.get(self.base).map(|base| format!("{base}{path}")).unwrap_or_default()
    }
}
