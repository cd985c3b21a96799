//! The store that forgets.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Etag, Expect, Object, ObjectHead, ObjectPath, ObjectStore, PutIf, PutNew, StoreError, within_cap,
};

/// Objects in memory: for tests, and for a run that leaves nothing behind.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<ObjectPath, Vec<u8>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The paths of all objects, in order.
    pub fn paths(&self) -> Vec<ObjectPath> {
        self.lock().keys().cloned().collect()
    }

    /// Puts bytes without any condition, or takes the object away: what somebody with write access can do.
    pub fn overwrite(&self, path: &ObjectPath, bytes: Option<Vec<u8>>) {
        let mut objects = self.lock();
        match bytes {
            Some(bytes) => objects.insert(path.clone(), bytes),
            None => objects.remove(path),
        };
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectPath, Vec<u8>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError> {
        let objects = self.lock();
        let Some(bytes) = objects.get(path) else { return Ok(None) };
        within_cap(path, bytes)?;
        Ok(Some(Object { bytes: bytes.clone(), etag: Etag::of(bytes) }))
    }

    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError> {
        Ok(self.lock().get(path).map(|bytes| ObjectHead { size: bytes.len() as u64, etag: Etag::of(bytes) }))
    }

    async fn put_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError> {
        within_cap(path, bytes)?;
        let mut objects = self.lock();
        if let Some(present) = objects.get(path) {
            return Ok(PutNew::Exists { size: present.len() as u64 });
        }
        objects.insert(path.clone(), bytes.to_vec());
        Ok(PutNew::Created)
    }

    async fn put_if(&self, path: &ObjectPath, bytes: &[u8], expect: &Expect) -> Result<PutIf, StoreError> {
        within_cap(path, bytes)?;
        let mut objects = self.lock();
        let met = match (objects.get(path), expect) {
            (None, Expect::Absent) => true,
            (Some(present), Expect::Is(etag)) => Etag::of(present) == *etag,
            _ => false,
        };
        if !met {
            return Ok(PutIf::Lost);
        }
        objects.insert(path.clone(), bytes.to_vec());
        Ok(PutIf::Written { etag: Etag::of(bytes) })
    }
}
