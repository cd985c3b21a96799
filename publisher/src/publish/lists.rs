//! The objects of lists: stored before the lines that name them are announced (FORMAT T-3.5, T-4.5).

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use flagstone_bundle::container::StoredObject;
use flagstone_bundle::content::Content;
use flagstone_bundle::manifest::Stream;
use flagstone_model::key::ListKey;

use super::Inner;
use super::error::PublishError;
use super::layout::Layout;
use crate::list::ListContent;
use crate::store::ObjectPath;

/// How a list line begins, whatever its key.
const HEAD: &[u8] = b"{\"list\":";
/// Most objects that are remembered as stored.
const REMEMBERED: usize = 4_096;

/// The objects that this process has seen in the store, whole.
#[derive(Debug, Default)]
pub(super) struct Stored(Mutex<HashSet<ObjectPath>>);

impl Inner {
    /// Stores the object of each list that lines name, unless it is there. Those that lines `before` named are left to
    /// the heartbeats: a change waits for the lists that it brings, and for no other.
    ///
    /// An object that cannot be stored holds nothing up: clients go on with the keys that they have of that list, and
    /// every other line is announced. It is told as a failure, and tried again with each heartbeat.
    pub(super) async fn upload_lists(&self, stream: &Stream, content: &Content, before: Option<&Content>) {
        let named: HashSet<_> =
            before.into_iter().flat_map(lists_of).map(|(_, object)| object.sha256).collect();
        for (list, object) in lists_of(content) {
            if named.contains(&object.sha256) {
                continue;
            }
            if let Err(error) = self.upload_list(stream, &list, &object).await {
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
