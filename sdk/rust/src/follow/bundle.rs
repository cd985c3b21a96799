//! Bundles: what a client starts from, and what one without a network follows.

use core::time::Duration;
use std::path::Path;
use std::sync::Arc;

use flagstone_bundle::manifest::{Outcome, order};

use super::{Applied, Follower, Refreshed, announced};
use crate::failure::{Failure, Object};
use crate::persist::{self, LoadError, Restored};
use crate::prepare::Prepared;
use crate::shared::Cost;
use crate::status::Source;

impl Follower {
    /// Takes a verified bundle, by the same order as an announcement: the floor from here on. Of itself it is no news.
    pub(crate) fn take_bundle(&mut self, restored: Restored, source: Source) -> Result<Refreshed, Failure> {
        let Restored { verified, stored } = restored;
        let offered = verified.manifest.position();
        match (order(self.seen.as_ref(), &offered), self.seen) {
            (Outcome::Accept, _) => {}
            (Outcome::Same, _) => return Ok(Refreshed::Unchanged),
            (Outcome::Equivocation, Some(seen)) => return Err(self.equivocation(&seen, &offered)),
            (Outcome::Older | Outcome::Equivocation, _) => {
                let (version, serial) = (offered.version, offered.serial);
                return Err(Failure::Older { version, serial });
            }
        }
        let announced = announced(&verified.manifest);
        {
            let moment = self.shared.moment();
            let mut board = self.shared.board();
            board.freshness.trusts_until(verified.root.expires_ms());
            board.freshness.verified(announced, moment);
        }
        self.root = Some(Arc::new(verified.root));
        self.seen = Some(offered);
        let before = self.applied.as_ref();
        let is_first = before.is_none();
        let (refreshed, loaded, changed) = match before {
            Some(before) if before.manifest.content() == offered.content => {
                (Refreshed::Announced, before.loaded.clone(), None)
            }
            before => {
                let before = before.map(|before| &before.loaded);
                let mut prepared = match before {
                    Some(before) => before.replace(verified.content),
                    None => Prepared::compile(verified.content),
                };
                prepared.compiled = self.lists.put_local(prepared.compiled);
                let (loaded, changed) = prepared.check(before);
                (Refreshed::Swapped, loaded, Some(changed))
            }
        };
        let applied = Applied {
            manifest: Arc::new(verified.manifest),
            loaded,
            stored: self.keeper.is_some().then_some(stored),
            source,
        };
        self.serve(applied, changed, Cost::default());
        if is_first && let Some(applied) = &self.applied {
            let failed = applied.loaded.all_failed_checks();
            self.report_checks(failed);
        }
        Ok(refreshed)
    }

    /// Reads a bundle file again, for a client that has nothing but the file.
    pub(crate) fn reload(&mut self, path: &Path) -> Result<Refreshed, Failure> {
        self.trouble = None;
        let result = persist::read(path)
            .and_then(|file| persist::restore(&file, &self.pin, &self.stream).map_err(LoadError::Bundle))
            .map_err(|error| Failure::refused(Object::Bundle, error.code(), error))
            .and_then(|restored| {
                // The file is this client's network: that it can be read is an answer, and that it is newer is news.
                let moment = self.shared.moment();
                let announced = announced(&restored.verified.manifest);
                self.shared.board().freshness.answered(moment);
                let refreshed = self.take_bundle(restored, Source::Bundle)?;
                if refreshed != Refreshed::Unchanged {
                    self.shared.board().freshness.news(announced, None, moment);
                }
                Ok(refreshed)
            });
        self.shared.board().last_error = result.as_ref().err().cloned();
        self.note_end(result.is_err().then_some(Duration::ZERO));
        self.shared.review(Cost::default());
        result
    }
}
