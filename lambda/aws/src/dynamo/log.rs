//! The change log in DynamoDB (FORMAT T-4.2).

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;
use flagstone_publisher::log::{
    Appended, ChangeLog, Entry, Head, LogError, ReadBudget, StoredEntry, follows, met,
};
use flagstone_publisher::storage::StorageError;

use super::{DynamoStore, Item, Key, bytes, bytes_of, number, number_of, text, text_of};
use crate::fault::At;

/// Most data of an entry that stands in its item, in bytes; more lies in the private bucket (FORMAT T-4.1). An item
/// holds 400 KiB, and the header beside it has up to 128 KiB.
const MAX_ITEM_DATA_BYTES: usize = 256 * 1_000;

fn partition(project: &ProjectId) -> AttributeValue {
    text(format!("L#{project}"))
}

fn key(project: &ProjectId, seq: u64) -> Key {
    [partition(project), number(seq)]
}

impl DynamoStore {
    /// The entry of an item: what lies in the bucket is fetched.
    async fn entry_of(&self, project: &ProjectId, item: &Item) -> Result<Entry, LogError> {
        let seq = number_of(item, "sk").unwrap_or_default();
        let Some(name) = text_of(item, "far") else {
            return read_entry(project, seq, item, bytes_of(item, "data").map(<[u8]>::to_vec));
        };
        if let Some(data) = self.large.get(name).await? {
            return read_entry(project, seq, item, Some(data));
        }
        // It was erased since the item was read; or it is lost, which is half an erasure, and said to be damage.
        let now = self.item(key(project, seq)).await?;
        let now = now.filter(|now| !now.contains_key("far"));
        read_entry(project, seq, now.as_ref().unwrap_or(item), None)
    }
}

fn read_entry(project: &ProjectId, seq: u64, item: &Item, data: Option<Vec<u8>>) -> Result<Entry, LogError> {
    let owned = |name| bytes_of(item, name).map(<[u8]>::to_vec);
    let stored = StoredEntry {
        hash: owned("hash").unwrap_or_default(),
        header: owned("header").unwrap_or_default(),
        salt: owned("salt"),
        data,
    };
    let corrupt = |what| LogError::Corrupt { project: project.clone(), seq, what };
    Entry::read(project, seq, stored).map_err(corrupt)
}

impl DynamoStore {
    /// Whether the entry before `entry` is there, and `entry` follows it. A table that was restored from a backup may
    /// end before what the caller has folded.
    async fn is_next(&self, entry: &Entry) -> Result<bool, LogError> {
        let (project, seq) = (&entry.header.project, entry.seq());
        let Some(before) = seq.checked_sub(1).filter(|before| *before > 0) else {
            return Ok(follows(entry, None));
        };
        let [pk, sk] = key(project, before);
        let found = self
            .client
            .get_item()
            .table_name(&*self.table)
            .key("pk", pk)
            .key("sk", sk)
            .projection_expression("#hash")
            .expression_attribute_names("#hash", "hash")
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StorageError::from(At::of("read", self.place(), &error)))?;
        let hash = found.item.as_ref().and_then(|item| bytes_of(item, "hash")?.try_into().ok());
        let head = hash.map(|hash| Head { seq: before, hash: Digest::from_bytes(hash), time_ms: 0 });
        Ok(head.is_some_and(|head| follows(entry, Some(&head))))
    }

    /// The write that makes an entry, if nothing has its seq.
    fn put(&self, entry: &Entry, far: Option<&str>) -> PutItemFluentBuilder {
        let StoredEntry { hash, header, salt, data } = entry.into();
        let [pk, sk] = key(&entry.header.project, entry.seq());
        let data = match far {
            Some(name) => Some(("far", text(name))),
            None => data.map(|data| ("data", bytes(data))),
        };
        let members = [("pk", pk), ("sk", sk), ("hash", bytes(hash)), ("header", bytes(header))];
        let members = members.into_iter().chain(salt.map(|salt| ("salt", bytes(salt)))).chain(data);
        self.client
            .put_item()
            .table_name(&*self.table)
            .set_item(Some(members.map(|(name, value)| (name.to_owned(), value)).collect()))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

#[async_trait]
impl ChangeLog for DynamoStore {
    async fn append(&self, entry: &Entry) -> Result<Appended, LogError> {
        let (project, seq) = (&entry.header.project, entry.seq());
        if !self.is_next(entry).await? {
            if let Some(existing) = ChangeLog::entry(self, project, seq).await? {
                return Ok(met(entry, existing));
            }
            let head = ChangeLog::head(self, project).await?.map_or(0, |head| head.seq);
            return Err(LogError::NotNext { project: project.clone(), offered: seq, head });
        }
        let data = entry.data.as_ref().map(|data| data.bytes.as_slice());
        let far = match data.filter(|data| data.len() > MAX_ITEM_DATA_BYTES) {
            Some(data) => Some(self.large.keep_data(project, seq, data).await?),
            None => None,
        };
        let Err(error) = self.put(entry, far.as_deref()).send().await else { return Ok(Appended::Written) };
        let existing = match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => failed.item.clone(),
            // It may be there for all that is known, and then it needs what lies in the bucket.
            _ => return Err(StorageError::from(At::of("append to", self.place(), &error)).into()),
        };
        let existing = match existing {
            Some(item) => Some(item),
            None => self.item(key(project, seq)).await?,
        };
        // Nothing takes an entry away but somebody with write access.
        let Some(item) = existing else { return Err(StorageError::Busy.into()) };
        // Of two tries of one append each has kept its data under a name of its own.
        if let Some(name) = far.filter(|name| text_of(&item, "far") != Some(name)) {
            self.large.forget(&name).await?;
        }
        Ok(met(entry, self.entry_of(project, &item).await?))
    }

    async fn read(&self, project: &ProjectId, after_seq: u64, limit: usize) -> Result<Vec<Entry>, LogError> {
        let mut entries: Vec<Entry> = Vec::new();
        let (mut budget, mut after) = (ReadBudget::new(), after_seq);
        while entries.len() < limit {
            let page = self.page(partition(project), after, limit.saturating_sub(entries.len())).await?;
            for item in &page.items {
                let entry = self.entry_of(project, item).await?;
                if !budget.takes(&StoredEntry::from(&entry)) {
                    return Ok(entries);
                }
                after = entry.seq();
                entries.push(entry);
            }
            if page.is_last {
                break;
            }
        }
        Ok(entries)
    }

    async fn head(&self, project: &ProjectId) -> Result<Option<Head>, LogError> {
        let found = self
            .client
            .query()
            .table_name(&*self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", partition(project))
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(1)
            .send()
            .await
            .map_err(|error| StorageError::from(At::of("read", self.place(), &error)))?;
        match found.items().first() {
            Some(item) => Ok(Some(self.entry_of(project, item).await?.head())),
            None => Ok(None),
        }
    }

    async fn entry(&self, project: &ProjectId, seq: u64) -> Result<Option<Entry>, LogError> {
        match self.item(key(project, seq)).await? {
            Some(item) => Ok(Some(self.entry_of(project, &item).await?)),
            None => Ok(None),
        }
    }

    async fn erase(&self, project: &ProjectId, seq: u64) -> Result<(), LogError> {
        let erasure = self
            .update(key(project, seq))
            .update_expression("REMOVE salt, #data, far")
            .expression_attribute_names("#data", "data")
            .condition_expression("attribute_exists(pk)");
        if !self.changed(erasure).await? {
            return Ok(());
        }
        // Behind the item: whoever misses the data looks at the item again. An erasure that was cut off here is done
        // once more by the sweep of a process that starts.
        Ok(self.large.forget_data(project, seq).await?)
    }
}
