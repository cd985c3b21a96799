//! What is served, and kept on disk, of what a poll or a bundle brought.

use core::time::Duration;
use std::sync::Arc;

use flagstone_bundle::manifest::Manifest;
use flagstone_bundle::root::Root;

use super::{Applied, Follower};
use crate::freshness::{Anchor, Announced};
use crate::persist::{Keep, Keeper};
use crate::prepare::Loaded;
use crate::served;
use crate::shared::{Board, Cost, Shared};
use crate::status::Source;

impl Follower {
    /// Swaps something in. Readers go on with what they hold; nobody waits.
    pub(super) fn serve(&mut self, applied: Applied, changed: Option<Vec<Arc<str>>>, cost: Cost) {
        let manifest = &applied.manifest;
        self.pace.suggest(manifest.poll_ms().map(Duration::from_millis));
        let anchor = {
            let mut board = self.shared.board();
            board.freshness.serves(announced(manifest));
            board.freshness.poll_every(self.pace.interval());
            mark(&mut board, &applied.loaded);
            board.last_error = self.trouble.clone().or_else(|| match applied.source {
                Source::Network => None,
                _ => board.last_error.clone(),
            });
            board.freshness.anchor()
        };
        let loaded = served::Loaded {
            snapshot: applied.loaded.snapshot.clone(),
            position: manifest.position(),
            issued_ms: manifest.issued_ms(),
            source: applied.source,
            anchor,
        };
        self.applied = Some(applied);
        self.shared.swap(loaded, changed, cost);
    }
}

/// Writes the file if it is due.
pub(super) async fn keep(
    keeper: &mut Option<Keeper>,
    root: Option<&Arc<Root>>,
    shared: &Shared,
    applied: &mut Applied,
) {
    let (Some(keeper), Some(root), Some(stored)) = (keeper, root, &applied.stored) else { return };
    let moment = shared.moment();
    let now_ms = Anchor::now_ms(shared.board().freshness.anchor(), moment);
    let keep = || Keep {
        root: Arc::clone(root),
        manifest: Arc::clone(&applied.manifest),
        content: applied.loaded.content.clone(),
        lists: applied.loaded.compiled().named_lists(),
        stored: stored.clone(),
    };
    let Some(ended) = keeper.save(now_ms, moment.monotonic, &applied.manifest, keep).await else { return };
    shared.board().disk = ended.disk;
    if let Some((content, stored)) = ended.stored
        && applied.manifest.content() == content
    {
        applied.stored = Some(stored);
    }
}

/// Tells what is missing from what is served, and what of it fails.
pub(super) fn mark(board: &mut Board, loaded: &Loaded) {
    board.missing_lists = loaded.missing_lists();
    board.failed_checks = Arc::clone(loaded.failed_checks());
    let marks = (!board.missing_lists.is_empty(), !board.failed_checks.is_empty());
    board.freshness.marks(marks.0, marks.1);
}

pub(super) fn announced(manifest: &Manifest) -> Announced {
    Announced {
        issued_ms: manifest.issued_ms(),
        expires_ms: manifest.expires_ms(),
        heartbeat: Duration::from_millis(manifest.heartbeat_ms()),
    }
}
