//! The lists that lines name, and the checks that stand beside flags (FORMAT T-3.5, M-1.8).

use std::sync::Arc;

use flagstone_eval::Snapshot;

use super::objects::off_thread;
use super::serving::mark;
use super::{Applied, Follower};
use crate::failure::Object;
use crate::lists::{LISTS_DEADLINE, Sources};
use crate::shared::{Cost, Shared};
use crate::status::FailedCheck;

impl Follower {
    /// A snapshot with the lists that its lines name, as far as they can be had within the deadline. What cannot stays
    /// what it was, or is undecidable, and later polls look for it.
    pub(super) async fn with_lists(&mut self, snapshot: Snapshot) -> Snapshot {
        self.lists.turn_to(&snapshot);
        let clock = Arc::clone(&self.shared.clock);
        self.lists.fetch(&snapshot, &self.sources(), LISTS_DEADLINE, clock.monotonic());
        let waiting = Waiting::of(&self.shared);
        self.lists.wait(|| clock.monotonic()).await;
        drop(waiting);
        snapshot.with_lists(&self.lists.arrived())
    }

    /// Puts in what has come since, and asks again for what has not. It waits for no list.
    pub(super) async fn more_lists(&mut self) {
        self.lists.look(self.shared.clock.monotonic());
        let Some(applied) = &self.applied else { return };
        let wanted = applied.loaded.compiled().wanted_lists();
        let arrived = self.lists.arrived();
        if wanted.iter().any(|wanted| arrived.contains_key(&wanted.sha256)) {
            let before = applied.loaded.clone();
            let work = move || Ok(before.with_lists(&arrived).check(Some(&before)));
            // It breaks off if it panics, and then what is served is served on.
            if let Ok((loaded, changed)) = off_thread(Object::List, work).await
                && let Some(applied) = &self.applied
            {
                self.serve(Applied { loaded, ..applied.clone() }, Some(changed), Cost::default());
            }
        }
        if let Some(applied) = &self.applied
            && !wanted.is_empty()
        {
            let now = self.shared.clock.monotonic();
            let sources = self.sources();
            self.lists.fetch(applied.loaded.compiled(), &sources, core::time::Duration::ZERO, now);
        }
    }

    /// Runs all checks once something is served for the first time: there is nothing to hold back. Whoever stops waiting
    /// for a poll leaves them to the next one, and so do checks that break off.
    pub(super) async fn run_checks_that_are_due(&mut self) {
        let Some(applied) = self.applied.as_ref().filter(|applied| applied.are_checks_due) else { return };
        let loaded = applied.loaded.clone();
        if let Ok(failed) = off_thread(Object::Snapshot, move || Ok(loaded.all_failed_checks())).await {
            self.note_failed_checks(failed);
        }
    }

    pub(super) fn note_failed_checks(&mut self, failed: Arc<[FailedCheck]>) {
        let Some(applied) = &mut self.applied else { return };
        applied.are_checks_due = false;
        applied.loaded.note_failed(failed);
        mark(&mut self.shared.board(), &applied.loaded);
    }

    fn sources(&self) -> Arc<Sources> {
        let (before, from) = self.bases.split_at(self.base.min(self.bases.len()));
        let bases = from.iter().chain(before).cloned().collect();
        Arc::new(Sources { fetcher: Arc::clone(&self.fetcher), bases, paths: Arc::clone(&self.paths) })
    }
}

/// A wait for lists. What was asked was answered, and nobody is asked meanwhile: that is no silence, however it ends.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn of(shared: &'a Shared) -> Self {
        let until = shared.clock.monotonic().saturating_add(LISTS_DEADLINE);
        shared.board().freshness.answered_at(until);
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.board().freshness.answered_at(self.0.clock.monotonic());
    }
}
