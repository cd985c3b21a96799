//! The bucket behind the CDN.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::types::BucketVersioningStatus;
use flagstone_publisher::storage::Misconfiguration;
use flagstone_publisher::store::{
    Etag, Expect, MAX_OBJECT_BYTES, Object, ObjectHead, ObjectPath, ObjectStore, PutIf, PutNew, StoreError,
    served, within_cap,
};

use super::{Bucket, body, checksum, is_missing, status};
use crate::pause;

/// How often a write is tried that met another one of the same object (409).
const TRIES: u32 = 8;

/// Published objects in S3.
///
/// A write whose answer was lost is sent again, and meets itself: it is told as [`PutNew::Exists`] or [`PutIf::Lost`],
/// and who asked for it looks at what is there.
#[derive(Debug, Clone)]
pub struct PublicBucket(pub(super) Bucket);

impl PublicBucket {
    /// The bucket of this name.
    pub fn new(client: Client, name: &str) -> Self {
        Self(Bucket { client, name: name.into() })
    }

    fn put(&self, path: &ObjectPath, bytes: &[u8]) -> PutObjectFluentBuilder {
        self.0
            .client
            .put_object()
            .bucket(&*self.0.name)
            .key(path.as_str())
            .cache_control(served::cache_control(path))
            .content_type(served::CONTENT_TYPE)
            .checksum_sha256(checksum(bytes))
            .body(body(bytes))
    }

    /// Sends a conditional write; the new ETag, or nothing if the condition did not hold.
    async fn put_when(
        &self,
        path: &ObjectPath,
        bytes: &[u8],
        expect: &Expect,
    ) -> Result<Option<Etag>, StoreError> {
        within_cap(path, bytes)?;
        for tries in 0..TRIES {
            let put = match expect {
                Expect::Absent => self.put(path, bytes).if_none_match("*"),
                Expect::Is(etag) => self.put(path, bytes).if_match(etag.as_str()),
            };
            let error = match put.send().await {
                Ok(put) => return Ok(Some(Etag::new(put.e_tag().unwrap_or_default()))),
                Err(error) => error,
            };
            match status(&error) {
                Some(412) => return Ok(None),
                // If-Match of what is not there.
                Some(404) if is_missing(&error) => return Ok(None),
                // Another write of this object was under way: who was first is seen at the next try.
                Some(409) => pause::before_another_try(tries).await,
                _ => return Err(self.0.fault("write", path.as_str(), &error).into()),
            }
        }
        Err(StoreError::Busy { action: "write", location: path.to_string() })
    }

    /// Whether the bucket itself is missing, which a `HEAD` of an object does not tell.
    async fn is_there(&self, path: &ObjectPath) -> Result<(), StoreError> {
        let Bucket { client, name } = &self.0;
        match client.get_object().bucket(&**name).key(path.as_str()).range("bytes=0-0").send().await {
            Ok(_) => Ok(()),
            // What was made since and has no bytes has no first one.
            Err(error) if is_missing(&error) || status(&error) == Some(416) => Ok(()),
            Err(error) => Err(self.0.fault("read", path.as_str(), &error).into()),
        }
    }
}

fn size(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or_default()
}

#[async_trait]
impl ObjectStore for PublicBucket {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError> {
        let Bucket { client, name } = &self.0;
        let found = match client.get_object().bucket(&**name).key(path.as_str()).send().await {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(self.0.fault("read", path.as_str(), &error).into()),
        };
        let size = size(found.content_length());
        if size > MAX_OBJECT_BYTES {
            return Err(StoreError::TooLarge { path: path.clone(), size });
        }
        let etag = Etag::new(found.e_tag().unwrap_or_default());
        let bytes = found.body.collect().await.map_err(|error| StoreError::Unavailable {
            action: "read",
            location: path.to_string(),
            source: Box::new(error),
        })?;
        Ok(Some(Object { bytes: bytes.to_vec(), etag }))
    }

    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError> {
        let Bucket { client, name } = &self.0;
        match client.head_object().bucket(&**name).key(path.as_str()).send().await {
            Ok(found) => Ok(Some(ObjectHead {
                size: size(found.content_length()),
                etag: Etag::new(found.e_tag().unwrap_or_default()),
            })),
            Err(error) if is_missing(&error) => self.is_there(path).await.map(|()| None),
            Err(error) => Err(self.0.fault("look at", path.as_str(), &error).into()),
        }
    }

    async fn put_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError> {
        for tries in 0..TRIES {
            if self.put_when(path, bytes, &Expect::Absent).await?.is_some() {
                return Ok(PutNew::Created);
            }
            if let Some(head) = self.head(path).await? {
                return Ok(PutNew::Exists { size: head.size });
            }
            // It was there, and somebody has taken it away since.
            pause::before_another_try(tries).await;
        }
        Err(StoreError::Busy { action: "write", location: path.to_string() })
    }

    async fn put_if(&self, path: &ObjectPath, bytes: &[u8], expect: &Expect) -> Result<PutIf, StoreError> {
        let written = self.put_when(path, bytes, expect).await?;
        Ok(written.map_or(PutIf::Lost, |etag| PutIf::Written { etag }))
    }

    /// Whether the bucket is there and keeps versions, so that what is overwritten or deleted can be had back.
    async fn inspect(&self) -> Result<(), StoreError> {
        let Bucket { client, name } = &self.0;
        let found = client.get_bucket_versioning().bucket(&**name).send().await;
        let found = found.map_err(|error| self.0.fault("look at", "the versioning", &error))?;
        if found.status() == Some(&BucketVersioningStatus::Enabled) {
            return Ok(());
        }
        let detail = format!("the bucket `{name}`");
        Err(StoreError::Misconfigured { what: Misconfiguration::Unversioned, detail })
    }
}
