//! Checkpoints: their marks in one item of the table, their bytes in the private bucket.
//!
//! Marks and pointer change together, so that a process that was left behind cannot bring back what was forgotten:
//! bytes without a mark are nobody's, and go.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use flagstone_bundle::container::{Encoding, StoredObject};
use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;
use flagstone_publisher::checkpoint::{CheckpointError, Checkpoints, Mark};
use flagstone_publisher::log::Head;
use flagstone_publisher::storage::StorageError;

use super::{DynamoStore, Item, Key, bytes, bytes_of, number, number_of, text, text_of};
use crate::pause;

/// How often a change of the item is tried while others change it.
const TRIES: u32 = 8;

/// The item: the pointer, the marks, and a number that each change raises.
#[derive(Debug, Default)]
struct Marks {
    edits: u64,
    pointer: u64,
    /// By seq, each with the name of its bytes.
    by_seq: BTreeMap<u64, (Mark, String)>,
}

fn key(project: &ProjectId) -> Key {
    [text(format!("C#{project}")), number(0)]
}

fn write_mark((mark, name): &(Mark, String)) -> AttributeValue {
    AttributeValue::M(Item::from([
        ("name".to_owned(), text(name)),
        ("seq".to_owned(), number(mark.seq())),
        ("hash".to_owned(), bytes(mark.head.hash.as_bytes())),
        ("time_ms".to_owned(), number(mark.head.time_ms)),
        ("sha256".to_owned(), bytes(mark.object.sha256.as_bytes())),
        ("size".to_owned(), number(mark.object.size)),
        ("raw_size".to_owned(), number(mark.object.raw_size)),
    ]))
}

fn read_mark(mark: &AttributeValue) -> Option<(Mark, String)> {
    let mark = mark.as_m().ok()?;
    let digest = |name| Some(Digest::from_bytes(bytes_of(mark, name)?.try_into().ok()?));
    let head =
        Head { seq: number_of(mark, "seq")?, hash: digest("hash")?, time_ms: number_of(mark, "time_ms")? };
    let object = StoredObject {
        encoding: Encoding::Zstd,
        sha256: digest("sha256")?,
        size: number_of(mark, "size")?,
        raw_size: number_of(mark, "raw_size")?,
    };
    Some((Mark { head, object }, text_of(mark, "name")?.to_owned()))
}

fn read_marks(project: &ProjectId, item: &Item) -> Result<Marks, CheckpointError> {
    let pointer = number_of(item, "pointer").unwrap_or_default();
    let corrupt = || CheckpointError::Corrupt { project: project.clone(), seq: pointer };
    let marks = item.get("marks").and_then(|marks| marks.as_l().ok()).ok_or_else(corrupt)?;
    let marks = marks.iter().map(|mark| read_mark(mark).map(|kept| (kept.0.seq(), kept)));
    Ok(Marks {
        edits: number_of(item, "edits").ok_or_else(corrupt)?,
        pointer,
        by_seq: marks.collect::<Option<_>>().ok_or_else(corrupt)?,
    })
}

impl DynamoStore {
    async fn read_marks(&self, project: &ProjectId) -> Result<Marks, CheckpointError> {
        let item = self.item(key(project)).await?;
        item.map_or_else(|| Ok(Marks::default()), |item| read_marks(project, &item))
    }

    /// Changes the item, if nobody has changed it since.
    async fn write_marks(&self, project: &ProjectId, marks: &Marks) -> Result<bool, CheckpointError> {
        let update = self
            .update(key(project))
            .update_expression("SET edits = :next, pointer = :pointer, marks = :marks")
            .condition_expression("attribute_not_exists(edits) OR edits = :edits")
            .expression_attribute_values(":edits", number(marks.edits))
            .expression_attribute_values(":next", number(marks.edits.saturating_add(1)))
            .expression_attribute_values(":pointer", number(marks.pointer))
            .expression_attribute_values(
                ":marks",
                AttributeValue::L(marks.by_seq.values().map(write_mark).collect()),
            );
        Ok(self.changed(update).await?)
    }

    /// Changes the marks as `change` says, as often as others are faster; `false` if it changes nothing.
    async fn change_marks(
        &self,
        project: &ProjectId,
        change: impl Fn(&mut Marks) -> bool + Send + Sync,
    ) -> Result<bool, CheckpointError> {
        for tries in 0..TRIES {
            let mut marks = self.read_marks(project).await?;
            if !change(&mut marks) {
                return Ok(false);
            }
            if self.write_marks(project, &marks).await? {
                return Ok(true);
            }
            pause::before_another_try(tries).await;
        }
        Err(StorageError::Busy.into())
    }
}

#[async_trait]
impl Checkpoints for DynamoStore {
    async fn keep(&self, project: &ProjectId, mark: &Mark, stored: &[u8]) -> Result<bool, CheckpointError> {
        // The bytes have a name of their own, so that whoever wins the pointer has kept its own.
        let name = self.large.keep_checkpoint(project, mark.seq(), stored).await?;
        let kept = self.change_marks(project, |marks| {
            if marks.pointer >= mark.seq() {
                return false;
            }
            marks.pointer = mark.seq();
            marks.by_seq.insert(mark.seq(), (*mark, name.clone()));
            true
        });
        if kept.await? {
            return Ok(true);
        }
        // An earlier try of this very change may have been made, and its answer lost.
        let marks = self.read_marks(project).await?;
        if marks.by_seq.get(&mark.seq()).is_some_and(|(_, kept)| *kept == name) {
            return Ok(true);
        }
        self.large.forget(&name).await?;
        Ok(false)
    }

    async fn marks(&self, project: &ProjectId) -> Result<Vec<Mark>, CheckpointError> {
        Ok(self.read_marks(project).await?.by_seq.into_values().map(|(mark, _)| mark).collect())
    }

    async fn stored(&self, project: &ProjectId, seq: u64) -> Result<Option<Vec<u8>>, CheckpointError> {
        let marks = self.read_marks(project).await?;
        let Some((_, name)) = marks.by_seq.get(&seq) else { return Ok(None) };
        Ok(self.large.get(name).await?)
    }

    async fn forget(&self, project: &ProjectId, seqs: RangeInclusive<u64>) -> Result<(), CheckpointError> {
        self.change_marks(project, |marks| {
            marks.by_seq.retain(|seq, _| !seqs.contains(seq));
            marks.pointer = marks.pointer.max(*seqs.end());
            true
        })
        .await?;
        Ok(self.large.forget_checkpoints(project, &seqs).await?)
    }
}
