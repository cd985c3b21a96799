//! The lists that lines name, and the checks that stand beside flags (FORMAT T-3.5, M-1.8).

use std::sync::Arc;

use flagstone_eval::Snapshot;
use tokio::time::Instant;

use super::{Applied, Follower, mark};
use crate::lists::{LISTS_DEADLINE, Sources};
use crate::shared::Cost;
use crate::status::FailedCheck;

impl Follower {
    /// A snapshot with the lists that its lines name, as far as they can be had within the deadline. What cannot stays
    /// what it was, or is undecidable, and later polls look for it.
    pub(super) async fn with_lists(&mut self, snapshot: Snapshot) -> Snapshot {
        if snapshot.wanted_lists().is_empty() {
            return snapshot;
        }
        let until = Instant::now() + LISTS_DEADLINE;
        let sources = self.sources();
        let clock = Arc::clone(&self.shared.clock);
        let new = self.lists.fetch(&snapshot, &sources, clock.monotonic());
        self.lists.wait(&new, until, || clock.monotonic()).await;
        self.lists.put_into(snapshot).0
    }

    /// Puts in what has come since, and asks again for what has not. It waits for nothing.
    pub(super) fn more_lists(&mut self) {
        let Some(applied) = &self.applied else { return };
        if applied.loaded.compiled().wanted_lists().is_empty() {
            return;
        }
        let now = self.shared.clock.monotonic();
        self.lists.look(now);
        let (compiled, put) = self.lists.put_into(applied.loaded.compiled().clone());
        if !put.is_empty() {
            let (loaded, changed) = applied.loaded.with_lists(&compiled, &put).check(Some(&applied.loaded));
            let (manifest, stored) = (Arc::clone(&applied.manifest), applied.stored.clone());
            let applied = Applied { manifest, loaded, stored, source: applied.source };
            self.serve(applied, Some(changed), Cost::default());
        }
        let sources = self.sources();
        if let Some(applied) = &self.applied {
            self.lists.fetch(applied.loaded.compiled(), &sources, now);
        }
    }

    /// Tells the checks that fail of what is served for the first time: there is nothing to hold back.
    pub(super) fn report_checks(&mut self, failed: Arc<[FailedCheck]>) {
        let Some(applied) = &mut self.applied else { return };
        applied.loaded.note_failed(failed);
        mark(&mut self.shared.board(), &applied.loaded);
        self.shared.review(Cost::default());
    }

    fn sources(&self) -> Sources {
        let (before, from) = self.bases.split_at(self.base.min(self.bases.len()));
        let bases = from.iter().chain(before).cloned().collect();
        Sources { fetcher: Arc::clone(&self.fetcher), bases, paths: Arc::clone(&self.paths) }
    }
}
