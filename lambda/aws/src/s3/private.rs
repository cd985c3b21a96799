//! The bucket that nobody is served: large data of the log, and the bytes of checkpoints.
//!
//! | Key | Object |
//! |---|---|
//! | `data/PROJECT/SEQ/RANDOM` | data of an entry that is too large for its item |
//! | `objects/PROJECT/SHA256/KEPT_MS` | an object that entries name, once for each time it was kept |
//! | `checkpoints/PROJECT/SEQ/RANDOM` | a checkpoint |
//!
//! A name is written once. So whoever deletes what was kept before a moment cannot meet what is kept again meanwhile.
//! Deleting takes every version that the bucket has.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;
use flagstone_publisher::checkpoint::CAPS;
use flagstone_publisher::private_object::PrivateObjects;
use flagstone_publisher::storage::StorageError;

use super::{Bucket, body, checksum, is_missing};

/// Digits of a number in a key, so that keys sort like numbers.
const DIGITS: usize = 16;

/// A bucket without readers but the control plane.
#[derive(Debug, Clone)]
pub struct PrivateBucket(Bucket);

fn sortable(number: u64) -> String {
    format!("{number:0DIGITS$}")
}

impl PrivateBucket {
    /// The bucket of this name.
    pub fn new(client: Client, name: &str) -> Self {
        Self(Bucket { client, name: name.into() })
    }

    async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let Bucket { client, name } = &self.0;
        let put =
            client.put_object().bucket(&**name).key(key).checksum_sha256(checksum(bytes)).body(body(bytes));
        put.send().await.map_err(|error| self.0.fault("write", key, &error))?;
        Ok(())
    }

    /// The bytes under a name.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let Bucket { client, name } = &self.0;
        let found = match client.get_object().bucket(&**name).key(key).send().await {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(self.0.fault("read", key, &error).into()),
        };
        // Somebody with write access may have put it there: nothing that is kept is larger.
        if found
            .content_length()
            .and_then(|size| u64::try_from(size).ok())
            .is_none_or(|size| size > CAPS.stored)
        {
            let what = format!("{key} of the bucket `{name}` is larger than anything that is kept");
            return Err(StorageError::Unavailable { source: what.into() });
        }
        let bytes =
            found.body.collect().await.map_err(|error| StorageError::Unavailable { source: error.into() })?;
        Ok(Some(bytes.to_vec()))
    }

    /// The names below a prefix, ascending.
    async fn names(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        let Bucket { client, name } = &self.0;
        let mut names = Vec::new();
        let mut pages = client.list_objects_v2().bucket(&**name).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.0.fault("list", prefix, &error))?;
            names.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        }
        Ok(names)
    }

    /// Deletes all versions of what lies below a prefix and is `meant`.
    async fn forget_below(
        &self,
        prefix: &str,
        meant: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<(), StorageError> {
        let Bucket { client, name } = &self.0;
        let (mut key_marker, mut version_marker) = (None, None);
        loop {
            let page = client
                .list_object_versions()
                .bucket(&**name)
                .prefix(prefix)
                .set_key_marker(key_marker.take())
                .set_version_id_marker(version_marker.take())
                .send()
                .await
                .map_err(|error| self.0.fault("list", prefix, &error))?;
            let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
            let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
            for (key, version) in versions.chain(markers) {
                let Some(key) = key.filter(|key| meant(key)) else { continue };
                let delete = client.delete_object().bucket(&**name).key(key);
                let delete = delete.set_version_id(version.map(str::to_owned));
                delete.send().await.map_err(|error| self.0.fault("delete", key, &error))?;
            }
            if page.is_truncated() != Some(true) {
                return Ok(());
            }
            key_marker = page.next_key_marker().map(str::to_owned);
            version_marker = page.next_version_id_marker().map(str::to_owned);
        }
    }

    /// Deletes one name.
    pub(crate) async fn forget(&self, key: &str) -> Result<(), StorageError> {
        self.forget_below(key, |found| found == key).await
    }

    /// Keeps the data of an entry under a name that nobody else has.
    pub(crate) async fn keep_data(
        &self,
        project: &ProjectId,
        seq: u64,
        data: &[u8],
    ) -> Result<String, StorageError> {
        self.keep_below(&format!("data/{project}/{}/", sortable(seq)), data).await
    }

    /// Deletes all data that was kept for an entry.
    pub(crate) async fn forget_data(&self, project: &ProjectId, seq: u64) -> Result<(), StorageError> {
        self.forget_below(&format!("data/{project}/{}/", sortable(seq)), |_| true).await
    }

    /// Keeps the bytes of a checkpoint under a name that nobody else has.
    pub(crate) async fn keep_checkpoint(
        &self,
        project: &ProjectId,
        seq: u64,
        stored: &[u8],
    ) -> Result<String, StorageError> {
        self.keep_below(&format!("checkpoints/{project}/{}/", sortable(seq)), stored).await
    }

    async fn keep_below(&self, prefix: &str, bytes: &[u8]) -> Result<String, StorageError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|_| StorageError::Unavailable { source: "the system gave no randomness".into() })?;
        let name = format!("{prefix}{:032x}", u128::from_be_bytes(random));
        self.put(&name, bytes).await?;
        Ok(name)
    }

    /// Deletes what was ever kept as checkpoints at these entries.
    pub(crate) async fn forget_checkpoints(
        &self,
        project: &ProjectId,
        seqs: &RangeInclusive<u64>,
    ) -> Result<(), StorageError> {
        let prefix = format!("checkpoints/{project}/");
        let seq_of = |key: &str| key.strip_prefix(&*prefix)?.split('/').next()?.parse().ok();
        self.forget_below(&prefix, |key| seq_of(key).is_some_and(|seq: u64| seqs.contains(&seq))).await
    }

    fn objects(project: &ProjectId) -> String {
        format!("objects/{project}/")
    }
}

/// The digest and the time of an object's name, below the prefix of its project.
fn kept(name: &str) -> Option<(Digest, i64)> {
    let (sha256, at_ms) = name.split_once('/')?;
    Some((Digest::parse(sha256)?, at_ms.parse().ok()?))
}

#[async_trait]
impl PrivateObjects for PrivateBucket {
    async fn keep(
        &self,
        project: &ProjectId,
        sha256: &Digest,
        stored: &[u8],
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let at = sortable(now_ms.max(0).cast_unsigned());
        self.put(&format!("{}{sha256}/{at}", Self::objects(project)), stored).await
    }

    async fn stored(&self, project: &ProjectId, sha256: &Digest) -> Result<Option<Vec<u8>>, StorageError> {
        let mut found = None;
        for name in self.names(&format!("{}{sha256}/", Self::objects(project))).await?.iter().rev() {
            match self.get(name).await? {
                Some(bytes) if Digest::of(&bytes) == *sha256 => return Ok(Some(bytes)),
                bytes => found = found.or(bytes),
            }
        }
        Ok(found)
    }

    async fn all(&self, project: &ProjectId) -> Result<Vec<(Digest, i64)>, StorageError> {
        let prefix = Self::objects(project);
        let names = self.names(&prefix).await?;
        let kept = names.iter().filter_map(|name| kept(name.strip_prefix(&*prefix)?));
        // Ascending, so the latest time of each stays.
        Ok(kept.collect::<BTreeMap<_, _>>().into_iter().collect())
    }

    async fn forget(&self, project: &ProjectId, sha256: &Digest, before_ms: i64) -> Result<(), StorageError> {
        let prefix = Self::objects(project);
        let newest = self.all(project).await?.into_iter().find(|(of, _)| of == sha256);
        // Kept again since, all of it stays.
        if newest.is_none_or(|(_, at_ms)| at_ms >= before_ms) {
            return Ok(());
        }
        let of = format!("{prefix}{sha256}/");
        let is_meant =
            |key: &str| key.strip_prefix(&*prefix).and_then(kept).is_some_and(|(_, at_ms)| at_ms < before_ms);
        self.forget_below(&of, is_meant).await
    }
}
