//! What is kept of a stream between two processes: one bundle file, rewritten when it pays (FORMAT T-5.1).

use core::time::Duration;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use flagstone_bundle::bundle::{Parts, compress_snapshot};
use flagstone_bundle::content::Content;
use flagstone_bundle::limits::{MAX_BUNDLE_BYTES, MAX_BUNDLE_DELTAS};
use flagstone_bundle::manifest::{Manifest, Outcome, Position, Stream, UnverifiedManifest, order};
use flagstone_bundle::root::{Pin, Root, UnverifiedRoot};
use flagstone_bundle::{BundleError, UnverifiedBundle, Verified};
use flagstone_model::digest::Digest;
use tokio::task::JoinHandle;

use crate::cache::{self, DiskCache, Saved};
use crate::status::Disk;

/// Age of the saved announcement at which it is saved again though the content is the same.
const REWRITE_AFTER_MS: i64 = 3_600_000;
/// How long a poll waits for the disk before it goes on without.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause after a save that went wrong.
const PAUSE: Duration = Duration::from_mins(1);

/// Stored bytes that lead to a content: a snapshot, and deltas on top of it.
#[derive(Clone)]
pub(crate) struct Stored {
    snapshot: Arc<[u8]>,
    deltas: Vec<Arc<[u8]>>,
}

impl Stored {
    pub(crate) fn snapshot(bytes: &[u8]) -> Self {
        Self { snapshot: bytes.into(), deltas: Vec::new() }
    }

    pub(crate) fn push(&mut self, delta: &[u8]) {
        self.deltas.push(delta.into());
    }

    fn of(parts: &Parts<'_>) -> Self {
        Self {
            snapshot: parts.snapshot.into(),
            deltas: parts.deltas.iter().map(|&delta| delta.into()).collect(),
        }
    }

    /// Deltas that outgrew half the snapshot become a snapshot.
    fn compact(&mut self, manifest: &Manifest, content: &Content) {
        let deltas: usize = self.deltas.iter().map(|delta| delta.len()).sum();
        if (deltas > self.snapshot.len() / 2 || self.deltas.len() >= MAX_BUNDLE_DELTAS)
            && let Ok(snapshot) = compress_snapshot(manifest, content)
        {
            *self = Self { snapshot: snapshot.into(), deltas: Vec::new() };
        }
    }
}

/// All of one state that a bundle file holds.
pub(crate) struct Keep {
    pub(crate) root: Arc<Root>,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) content: Content,
    pub(crate) stored: Stored,
    /// The lists that lie beside it: others go when it is written.
    pub(crate) lists: BTreeSet<Digest>,
}

/// A bundle that verified, and the stored bytes to write the next one from.
pub(crate) struct Restored {
    pub(crate) verified: Verified,
    pub(crate) stored: Stored,
}

/// Verifies a bundle like a download.
pub(crate) fn restore(file: &[u8], pin: &Pin, stream: &Stream) -> Result<Restored, BundleError> {
    let bundle = UnverifiedBundle::parse(file)?;
    Ok(Restored { verified: bundle.load(pin, stream)?, stored: Stored::of(bundle.parts()) })
}

/// A bundle file that somebody else keeps: it may be a link.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    match File::open(path).and_then(|file| cache::read(file, MAX_BUNDLE_BYTES)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(LoadError::Missing),
        read => read.map_err(|error| LoadError::Unreadable(error.kind())),
    }
}

/// Writes the cache file when it is due, one save at a time, and never waits long for a disk.
pub(crate) struct Keeper {
    cache: DiskCache,
    pin: Pin,
    stream: Stream,
    /// Content and issue time of the file.
    saved: Option<(Digest, i64)>,
    saving: Option<JoinHandle<(Keep, io::Result<Saved>)>>,
    not_before: Option<Duration>,
}

/// What a save that ended leaves behind.
pub(crate) struct Ended {
    pub(crate) disk: Disk,
    /// The bytes it wrote, perhaps compacted, and of which content they are.
    pub(crate) stored: Option<(Digest, Stored)>,
}

impl Keeper {
    pub(crate) const fn new(cache: DiskCache, pin: Pin, stream: Stream) -> Self {
        Self { cache, pin, stream, saved: None, saving: None, not_before: None }
    }

    /// The file, if it is there and verifies.
    pub(crate) fn load(&mut self) -> Option<Result<Restored, LoadError>> {
        let file = match self.cache.read() {
            Ok(file) => file?,
            Err(error) => return Some(Err(LoadError::Unreadable(error.kind()))),
        };
        Some(restore(&file, &self.pin, &self.stream).map_err(LoadError::Bundle).inspect(|restored| {
            let manifest = &restored.verified.manifest;
            self.saved = Some((manifest.content(), manifest.issued_ms()));
        }))
    }

    /// Saves what `keep` makes, if the file is behind it in content or by an hour.
    pub(crate) async fn save(
        &mut self,
        now_ms: i64,
        monotonic: Duration,
        manifest: &Manifest,
        keep: impl FnOnce() -> Keep,
    ) -> Option<Ended> {
        let hanging = self.saving.is_some();
        if !hanging {
            let due = self.saved.is_none_or(|(content, issued_ms)| {
                content != manifest.content()
                    || (now_ms.saturating_sub(issued_ms) > REWRITE_AFTER_MS
                        && issued_ms < manifest.issued_ms())
            });
            if !due || self.not_before.is_some_and(|moment| monotonic < moment) {
                return None;
            }
            let (cache, pin, stream, mut keep) = (self.cache.clone(), self.pin, self.stream.clone(), keep());
            self.saving = Some(tokio::task::spawn_blocking(move || {
                keep.stored.compact(&keep.manifest, &keep.content);
                let saved = write(&cache, &pin, &stream, &keep);
                (keep, saved)
            }));
        }
        let saving = self.saving.as_mut()?;
        // A disk that hangs must not hold up flags: the save goes on, and later polls only look whether it ended.
        let patience = if hanging { Duration::ZERO } else { PATIENCE };
        let ended = tokio::time::timeout(patience, saving).await.ok()?;
        self.saving = None;
        let Ok((keep, saved)) = ended else {
            self.not_before = Some(monotonic.saturating_add(PAUSE));
            return Some(Ended { disk: Disk::MemoryOnly(io::ErrorKind::Other), stored: None });
        };
        let disk = match saved {
            // Busy: somebody else is writing; the next poll looks again.
            Ok(Saved::Busy) => Disk::Fine,
            Ok(Saved::Written | Saved::NotOlder) => {
                self.saved = Some((keep.manifest.content(), keep.manifest.issued_ms()));
                self.not_before = None;
                Disk::Fine
            }
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "the flag cache cannot be written; memory only");
                self.not_before = Some(monotonic.saturating_add(PAUSE));
                Disk::MemoryOnly(error.kind())
            }
        };
        Some(Ended { disk, stored: Some((keep.manifest.content(), keep.stored)) })
    }
}

/// Why the file on disk is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("there is no such file")]
    Missing,
    #[error("the file cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    #[error(transparent)]
    Bundle(BundleError),
}

impl LoadError {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "not-found",
            Self::Unreadable(_) => "malformed",
            Self::Bundle(error) => error.code(),
        }
    }
}

fn write(cache: &DiskCache, pin: &Pin, stream: &Stream, keep: &Keep) -> io::Result<Saved> {
    let parts = Parts {
        roots: vec![(keep.root.number(), keep.root.file())],
        manifest: keep.manifest.file(),
        snapshot: &keep.stored.snapshot,
        deltas: keep.stored.deltas.iter().map(|delta| &**delta).collect(),
    };
    let file = parts.write().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    cache.save(&file, &keep.lists, |there| is_older(there, &keep.manifest.position(), pin, stream))
}

/// Whether the file on disk is behind `mine`. One that does not verify is.
fn is_older(there: &[u8], mine: &Position, pin: &Pin, stream: &Stream) -> bool {
    let Ok(bundle) = UnverifiedBundle::parse(there) else { return true };
    match position(bundle.parts(), pin, stream) {
        None => true,
        Some(theirs) if order(Some(&theirs), mine) == Outcome::Accept => true,
        // It says it is not: then all of it has to be true.
        Some(_) => bundle.load(pin, stream).is_err(),
    }
}

/// Where a file's manifest stands. The content is not unpacked for this.
fn position(parts: &Parts<'_>, pin: &Pin, stream: &Stream) -> Option<Position> {
    let (_, root) = parts.roots.first()?;
    let root = UnverifiedRoot::parse(root).ok()?.verify_pinned(pin).ok()?;
    let manifest = UnverifiedManifest::parse(parts.manifest).ok()?.verify(&root, stream).ok()?;
    Some(manifest.position())
}
