//! Private objects that are forgotten with the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;

use super::PrivateObjects;
use crate::storage::StorageError;

/// The bytes of an object, and when it was last kept.
type Kept = (Vec<u8>, i64);

/// Private objects in memory: for tests, and for a run that leaves nothing behind.
#[derive(Debug, Default)]
pub struct MemoryObjects {
    objects: Mutex<BTreeMap<(ProjectId, Digest), Kept>>,
}

impl MemoryObjects {
    /// No objects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes stored bytes without any check, or takes them away: what somebody with write access can do.
    pub fn tamper(
        &self,
        project: &ProjectId,
        sha256: &Digest,
        change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>,
    ) {
        let (place, mut objects) = ((project.clone(), *sha256), self.lock());
        if let Some((stored, at_ms)) = objects.remove(&place)
            && let Some(changed) = change(stored)
        {
            objects.insert(place, (changed, at_ms));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(ProjectId, Digest), Kept>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl PrivateObjects for MemoryObjects {
    async fn keep(
        &self,
        project: &ProjectId,
        sha256: &Digest,
        stored: &[u8],
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let (place, mut objects) = ((project.clone(), *sha256), self.lock());
        let at_ms = objects.get(&place).map_or(now_ms, |(_, at_ms)| now_ms.max(*at_ms));
        objects.insert(place, (stored.to_vec(), at_ms));
        Ok(())
    }

    async fn stored(&self, project: &ProjectId, sha256: &Digest) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.lock().get(&(project.clone(), *sha256)).map(|(stored, _)| stored.clone()))
    }

    async fn all(&self, project: &ProjectId) -> Result<Vec<(Digest, i64)>, StorageError> {
        let objects = self.lock();
        let own = objects.iter().filter(|((of, _), _)| of == project);
        Ok(own.map(|((_, sha256), (_, at_ms))| (*sha256, *at_ms)).collect())
    }

    async fn forget(&self, project: &ProjectId, sha256: &Digest, before_ms: i64) -> Result<(), StorageError> {
        let (place, mut objects) = ((project.clone(), *sha256), self.lock());
        if objects.get(&place).is_some_and(|(_, at_ms)| *at_ms < before_ms) {
            objects.remove(&place);
        }
        Ok(())
    }
}
