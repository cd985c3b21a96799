//! What is published, as an audit reads it: objects, and their names.

use async_trait::async_trait;
use flagstone_publisher::audit::{PublishedObjects, ReadError};
use flagstone_publisher::store::{ObjectPath, ObjectStore as _, StoreError};

use super::{Bucket, PublicBucket};

#[async_trait]
impl PublishedObjects for PublicBucket {
    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.get(&ObjectPath::parse(path)?).await?.map(|object| object.bytes))
    }

    async fn names(&self, path: &str) -> Result<Vec<String>, ReadError> {
        let Bucket { client, name } = &self.0;
        let prefix = format!("{path}/");
        let list = client.list_objects_v2().bucket(&**name).prefix(&prefix).delimiter("/");
        let mut pages = list.into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| StoreError::from(self.0.fault("list", &prefix, &error)))?;
            let folders = page.common_prefixes().iter().filter_map(|found| found.prefix());
            let objects = page.contents().iter().filter_map(|found| found.key());
            let below = folders.chain(objects).filter_map(|key| key.strip_prefix(&prefix));
            names.extend(below.map(|name| name.trim_end_matches('/').to_owned()));
        }
        names.sort_unstable();
        Ok(names)
    }
}
