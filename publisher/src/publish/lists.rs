//! The objects of lists: stored before the lines that name them are announced (FORMAT T-3.5, T-4.5).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flagstone_bundle::container::StoredObject;
use flagstone_bundle::content::Content;
use flagstone_bundle::manifest::Stream;
use flagstone_model::key::ListKey;
use tracing::Instrument as _;

use super::error::PublishError;
use super::layout::Layout;
use super::{Inner, Publisher};
use crate::list::ListContent;
use crate::store::ObjectPath;

/// How a list line begins, whatever its key.
const HEAD: &[u8] = b"{\"list\":";
/// Most objects that are remembered as stored.
const REMEMBERED: usize = 4_096;
/// How long a run waits for objects of lists (FORMAT T-3.5).
const LISTS_WAIT: Duration = Duration::from_secs(5);
/// How long storing them goes on behind it: shorter than it is from one heartbeat to the next.
const LISTS_LIMIT: Duration = Duration::from_mins(1);
/// The code of an object of a list that is not stored in time.
const TIMED_OUT: &str = "list-upload-timeout";

/// The objects that this process has seen in the store, whole.
#[derive(Debug, Default)]
pub(super) struct Stored(Mutex<HashSet<ObjectPath>>);

impl Publisher {
    /// Stores the object of each list that lines name, unless it is there. Those that lines `before` named are left to
    /// the heartbeats: a change waits for the lists that it brings, and for no other.
    ///
    /// An object that cannot be stored, or not soon, holds nothing up: clients go on with the keys that they have of that
    /// list, and every other line is announced. It is told as a failure, and tried again with each heartbeat.
    pub(super) async fn upload_lists(&self, stream: &Stream, content: &Content, before: Option<&Content>) {
        let named: HashSet<_> =
            before.into_iter().flat_map(lists_of).map(|(_, object)| object.sha256).collect();
        let lists: Vec<_> =
            lists_of(content).into_iter().filter(|(_, object)| !named.contains(&object.sha256)).collect();
        if lists.is_empty() {
            return;
        }
        let (inner, owned) = (Arc::clone(&self.inner), stream.clone());
        let work = async move {
            let all = inner.upload_each(&owned, &lists);
            if tokio::time::timeout(LISTS_LIMIT, all).await.is_err() {
                inner.watch.failed(TIMED_OUT);
                tracing::error!(stream = %owned, code = TIMED_OUT, "the objects of lists are not stored");
            }
        };
        // What is slow goes on behind the announcement.
        let work = tokio::spawn(work.in_current_span());
        if tokio::time::timeout(LISTS_WAIT, work).await.is_err() {
            self.inner.watch.failed(TIMED_OUT);
            tracing::error!(%stream, code = TIMED_OUT, "lists are announced before their objects are stored");
        }
    }
}

impl Inner {
    async fn upload_each(&self, stream: &Stream, lists: &[(ListKey, StoredObject)]) {
        for (list, object) in lists {
            if let Err(error) = self.upload_list(stream, list, object).await {
                self.watch.failed(error.code());
                let detail = error.to_string();
                tracing::error!(%stream, %list, code = error.code(), detail, "a list is announced without its object");
            }
        }
    }

    async fn upload_list(
        &self,
        stream: &Stream,
        list: &ListKey,
        object: &StoredObject,
    ) -> Result<(), PublishError> {
        let path = Layout::of(stream).list(object)?;
        if self.lists.has(&path) {
            // Seen whole before; a look tells whether it is gone.
            let head = self.store.head(&path).await?;
            if head.is_some_and(|head| head.size == object.size) {
                return Ok(());
            }
        }
        let present = self.present(&path).await?;
        if !present.bytes.is_some_and(|bytes| object.is(&bytes)) {
            let stored = self.source.list_object(stream, list, object).await?;
            self.upload(&path, object, &stored).await?;
        }
        self.lists.saw(path);
        Ok(())
    }
}

/// The lists that the lines of a content name, each with its object.
fn lists_of(content: &Content) -> Vec<(ListKey, StoredObject)> {
    // Lines are sorted, so those of lists are neighbours.
    let lines = content.lines().skip_while(|line| *line < HEAD).take_while(|line| line.starts_with(HEAD));
    lines.filter_map(ListContent::from_line).map(|(list, content)| (list, content.base)).collect()
}

impl Stored {
    fn has(&self, path: &ObjectPath) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    fn saw(&self, path: ObjectPath) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= REMEMBERED {
            // What is forgotten is looked at once more.
            seen.clear();
        }
        seen.insert(path);
    }
}
