//! Bundles: what a client starts from, and what one without a network follows.

use core::time::Duration;
use std::path::Path;
use std::sync::Arc;

use flagstone_bundle::manifest::{Outcome, order};

use super::objects::off_thread;
use super::serving::announced;
use super::{Applied, Follower, Refreshed};
use crate::failure::{Failure, Object};
use crate::list_cache::ListCache;
use crate::lists::local;
use crate::persist::{self, LoadError, Restored};
use crate::prepare::{Loaded, Prepared};
use crate::shared::Cost;
use crate::status::Source;

/// What is to be served next, and what of it is another.
type Next = (Loaded, Vec<Arc<str>>);

impl Follower {
    /// Takes a verified bundle before anybody is served, on the thread that asks.
    pub(crate) fn start_from(&mut self, restored: Restored, source: Source) -> Result<(), Failure> {
        if self.accepts(&restored)? {
            let (before, cache) = (self.loaded(), self.lists.cache());
            let next = next(before.as_ref(), &restored, cache);
            self.put(restored, next, source);
            if let Some(applied) = self.applied.as_ref().filter(|applied| applied.are_checks_due) {
                let failed = applied.loaded.all_failed_checks();
                self.note_failed_checks(failed);
                self.shared.review(Cost::default());
            }
        }
        Ok(())
    }

    /// Reads a bundle file again, for a client that has nothing but the file.
    pub(crate) async fn reload(&mut self, path: &Arc<Path>) -> Result<Refreshed, Failure> {
        self.trouble = None;
        let result = self.reloaded(path).await;
        self.run_checks_that_are_due().await;
        self.shared.board().last_error = result.as_ref().err().cloned();
        self.note_end(result.is_err().then_some(Duration::ZERO));
        self.shared.review(Cost::default());
        result
    }

    async fn reloaded(&mut self, path: &Arc<Path>) -> Result<Refreshed, Failure> {
        let (path, pin, stream) = (Arc::clone(path), self.pin, self.stream.clone());
        let read = move || {
            persist::read(&path)
                .and_then(|file| persist::restore(&file, &pin, &stream).map_err(LoadError::Bundle))
                .map_err(|error| Failure::refused(Object::Bundle, error.code(), error))
        };
        let restored = off_thread(Object::Bundle, read).await?;
        // The file is this client's network: that it can be read is an answer, and that it is newer is news.
        let moment = self.shared.moment();
        let announced = announced(&restored.verified.manifest);
        self.shared.board().freshness.answered(moment);
        let is_newer = self.accepts(&restored)?;
        let before = self.loaded();
        if !is_newer && before.as_ref().is_none_or(|before| before.missing_lists().is_empty()) {
            return Ok(Refreshed::Unchanged);
        }
        let cache = self.lists.cache().clone();
        let work = move || {
            let next = next(before.as_ref(), &restored, &cache);
            Ok((restored, next))
        };
        let (restored, next) = off_thread(Object::Bundle, work).await?;
        if is_newer {
            let refreshed = self.put(restored, next, Source::Bundle);
            self.shared.board().freshness.news(announced, None, moment);
            return Ok(refreshed);
        }
        // Whoever puts a newer file there may put its lists there after it.
        if let (Some((loaded, changed)), Some(applied)) = (next, &self.applied) {
            self.serve(Applied { loaded, ..applied.clone() }, Some(changed), Cost::default());
        }
        Ok(Refreshed::Unchanged)
    }

    /// Whether a bundle is newer than what was seen, by the same order as an announcement. Of itself it is no news.
    fn accepts(&self, restored: &Restored) -> Result<bool, Failure> {
        let offered = restored.verified.manifest.position();
        match (order(self.seen.as_ref(), &offered), self.seen) {
            (Outcome::Accept, _) => Ok(true),
            (Outcome::Same, _) => Ok(false),
            (Outcome::Equivocation, Some(seen)) => Err(self.equivocation(&seen, &offered)),
            (Outcome::Older | Outcome::Equivocation, _) => {
                let (version, serial) = (offered.version, offered.serial);
                Err(Failure::Older { version, serial })
            }
        }
    }

    /// The floor from here on, and what is served.
    fn put(&mut self, restored: Restored, next: Option<Next>, source: Source) -> Refreshed {
        let Restored { verified, stored } = restored;
        {
            let moment = self.shared.moment();
            let mut board = self.shared.board();
            board.freshness.trusts_until(verified.root.expires_ms());
            board.freshness.verified(announced(&verified.manifest), moment);
        }
        self.root = Some(Arc::new(verified.root));
        self.seen = Some(verified.manifest.position());
        let are_checks_due = self.applied.as_ref().is_none_or(|applied| applied.are_checks_due);
        let before = self.applied.as_ref().map(|applied| applied.manifest.content());
        let is_same = before == Some(verified.manifest.content());
        let (loaded, changed) = match (next, self.loaded()) {
            (Some((loaded, changed)), _) => (loaded, Some(changed)),
            (None, Some(before)) => (before, None),
            (None, None) => return Refreshed::Unchanged,
        };
        let applied = Applied {
            manifest: Arc::new(verified.manifest),
            loaded,
            stored: self.keeper.is_some().then_some(stored),
            source,
            are_checks_due,
        };
        self.serve(applied, changed, Cost::default());
        if is_same { Refreshed::Announced } else { Refreshed::Swapped }
    }

    fn loaded(&self) -> Option<Loaded> {
        self.applied.as_ref().map(|applied| applied.loaded.clone())
    }
}

/// The content of a bundle with the lists that lie on disk; `None` if all of it is what there was before.
fn next(before: Option<&Loaded>, restored: &Restored, cache: &ListCache) -> Option<Next> {
    let content = &restored.verified.content;
    let is_same = before.is_some_and(|before| before.content.content_hash() == content.content_hash());
    let prepared = match before {
        Some(before) => before.replace(content.clone()),
        None => Prepared::compile(content.clone()),
    };
    let lists = local(&prepared.compiled, cache);
    if is_same && lists.is_empty() {
        return None;
    }
    Some(prepared.with_lists(&lists).check(before))
}
