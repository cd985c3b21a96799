//! The objects of a verified manifest: inline delta, listed delta, snapshot, in this order (FORMAT T-3.3, T-5.4).

use core::time::Duration;
use std::sync::Arc;

use flagstone_bundle::container::{Caps, StoredObject};
use flagstone_bundle::manifest::Manifest;
use flagstone_model::digest::Digest;
use tokio::runtime::Handle;

use crate::failure::{Failure, Object};
use crate::fetch::{Answer, FetchError, Wanted};
use crate::persist::Stored;
use crate::prepare::{Prepared, by_snapshot};

use super::Follower;

/// How long a digest rests that came with other bytes from everywhere, or with bytes that are no content.
pub(crate) const POISONED_REST: Duration = Duration::from_mins(5);

impl Follower {
    /// The inline delta or a listed one; `None` if there is none for us or it cannot be used.
    pub(super) async fn by_delta(
        &mut self,
        manifest: &Arc<Manifest>,
    ) -> Option<(Prepared, Option<Stored>, Duration)> {
        let applied = self.applied.as_ref()?;
        let own = applied.manifest.position();
        if own.epoch != manifest.epoch() {
            return None;
        }
        let delta = manifest.usable_deltas(own.version).next().cloned()?;
        if self.rests(delta.object.sha256).is_some() {
            return None;
        }
        let inline = manifest.inline_delta().filter(|(first, _)| **first == delta).map(|(_, bytes)| bytes);
        let bytes = match inline {
            Some(bytes) => bytes.to_vec(),
            None if manifest.inline_is_foreign() && manifest.deltas().first() == Some(&delta) => {
                self.delta_failed(&Failure::refused(Object::Delta, "digest-mismatch", ForeignInline));
                return None;
            }
            None => {
                if delta.object.size >= manifest.snapshot().size
                    || delta.object.within(Caps::SNAPSHOT).is_err()
                {
                    return None;
                }
                let path = self.paths.delta(delta.object.sha256, delta.object.encoding);
                match self.object(Object::Delta, &path, &delta.object, self.base).await {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        self.delta_failed(&error.failure);
                        self.rest(delta.object.sha256, error.failure);
                        return None;
                    }
                }
            }
        };
        let applied = self.applied.as_ref()?;
        let (loaded, mut stored) = (applied.loaded.clone(), applied.stored.clone());
        let start = self.shared.clock.monotonic();
        let (manifest, digest) = (Arc::clone(manifest), delta.object.sha256);
        let work = move || {
            let prepared = loaded.by_delta(&manifest, &delta, &bytes)?;
            if let Some(stored) = &mut stored {
                stored.push(&bytes);
            }
            Ok((prepared, stored))
        };
        match off_thread(Object::Delta, work).await {
            Ok((prepared, stored)) => Some((prepared, stored, start)),
            Err(failure) => {
                self.delta_failed(&failure);
                self.rest(digest, failure);
                None
            }
        }
    }

    /// The whole snapshot, from the base URL in use or any other.
    pub(super) async fn by_snapshot(
        &mut self,
        manifest: &Arc<Manifest>,
    ) -> Result<(Prepared, Option<Stored>, Duration), FetchError> {
        let object = *manifest.snapshot();
        let digest = object.sha256;
        if let Some(failure) = self.rests(digest) {
            return Err(failure.into());
        }
        object
            .within(Caps::SNAPSHOT)
            .map_err(|error| Failure::refused(Object::Snapshot, error.code(), error))?;
        let path = self.paths.snapshot(digest, object.encoding);
        let mut trouble: Option<FetchError> = None;
        let mut poisoned = false;
        for step in 0..self.bases.len() {
            let base = (self.base + step) % self.bases.len();
            let error = match self.object(Object::Snapshot, &path, &object, base).await {
                Ok(bytes) => {
                    let start = self.shared.clock.monotonic();
                    match self.unpack(manifest, bytes).await {
                        Ok((prepared, stored)) => return Ok((prepared, stored, start)),
                        Err(failure) if failure.code() == "digest-mismatch" => {
                            poisoned = true;
                            failure.into()
                        }
                        Err(failure) => {
                            // These are the signed bytes, and they are wrong: no source has better ones.
                            self.rest(digest, failure.clone());
                            return Err(failure.into());
                        }
                    }
                }
                Err(error) => {
                    poisoned |= matches!(error.failure, Failure::TooLarge { .. });
                    error
                }
            };
            trouble = Some(match trouble {
                Some(before) => before.or(error),
                None => error,
            });
        }
        let trouble = trouble.unwrap_or_else(|| Failure::BrokenOff { object: Object::Snapshot }.into());
        if poisoned {
            self.rest(digest, trouble.failure.clone());
        }
        Err(trouble)
    }

    async fn unpack(
        &self,
        manifest: &Arc<Manifest>,
        bytes: Vec<u8>,
    ) -> Result<(Prepared, Option<Stored>), Failure> {
        let before = self.applied.as_ref().map(|applied| applied.loaded.clone());
        let (manifest, keeps) = (Arc::clone(manifest), self.keeper.is_some());
        off_thread(Object::Snapshot, move || {
            let prepared = by_snapshot(before.as_ref(), &manifest, &bytes)?;
            Ok((prepared, keeps.then(|| Stored::snapshot(&bytes))))
        })
        .await
    }

    async fn object(
        &self,
        object: Object,
        path: &str,
        stored: &StoredObject,
        base: usize,
    ) -> Result<Vec<u8>, FetchError> {
        let url = self.bases.get(base).map(|base| format!("{base}{path}")).unwrap_or_default();
        let max_bytes = usize::try_from(stored.size).unwrap_or(usize::MAX);
        let keyed = self.paths.are_closed();
        let wanted = Wanted { object, url: &url, keyed, etag: None, max_bytes, elsewhere: false };
        match self.fetcher.get(wanted).await? {
            Answer::Body { bytes, .. } => Ok(bytes),
            Answer::NotModified => Err(Failure::BrokenOff { object }.into()),
        }
    }

    fn delta_failed(&self, failure: &Failure) {
        tracing::warn!(code = failure.code(), %failure, "a delta is not used; the whole snapshot is fetched");
        let mut board = self.shared.board();
        board.counters.failed_deltas = board.counters.failed_deltas.saturating_add(1);
    }

    fn rest(&mut self, digest: Digest, failure: Failure) {
        let until = self.shared.clock.monotonic().saturating_add(POISONED_REST);
        self.resting.insert(digest, (until, failure));
    }

    fn rests(&self, digest: Digest) -> Option<Failure> {
        let now = self.shared.clock.monotonic();
        let (until, failure) = self.resting.get(&digest)?;
        (now < *until).then(|| failure.clone())
    }
}

/// The manifest carries an inline line that is not the first delta's.
#[derive(Debug, thiserror::Error)]
#[error("the inline delta is not the one that was signed")]
struct ForeignInline;

/// Unpacking and compiling take milliseconds and more: not on a thread that serves requests, if there is another.
pub(super) async fn off_thread<T: Send + 'static>(
    object: Object,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.unwrap_or(Err(Failure::BrokenOff { object })),
        // A bundle file is followed without one, too.
        Err(_) => work(),
    }
}
