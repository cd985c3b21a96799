//! The access log that forgets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use flagstone_model::key::ProjectId;

use super::{Access, AccessLog, AccessRow, Bounds};
use crate::storage::StorageError;

/// Access logs in memory: for tests, and for a run that leaves nothing behind.
#[derive(Debug, Default)]
pub struct MemoryAccessLog {
    projects: Mutex<BTreeMap<ProjectId, Rows>>,
}

#[derive(Debug, Default)]
struct Rows {
    newest: u64,
    rows: VecDeque<AccessRow>,
}

impl MemoryAccessLog {
    /// Logs without rows.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProjectId, Rows>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn record(&mut self, access: &Access, bounds: Bounds) {
        if let Some(row) = self.rows.iter_mut().rev().find(|row| row.is_repeated_by(access)) {
            let count = row.access.count.saturating_add(access.count);
            row.access = Access { count, ..access.clone() };
            return;
        }
        self.newest = self.newest.saturating_add(1);
        let row = AccessRow { number: self.newest, first_ms: access.time_ms, access: access.clone() };
        self.rows.push_back(row);
        let is_anonymous = |row: &AccessRow| row.access.principal.is_none();
        let number_of = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        while number_of(self.rows.iter().filter(|row| is_anonymous(row)).count()) > bounds.anonymous {
            let Some(oldest) = self.rows.iter().position(is_anonymous) else { break };
            self.rows.remove(oldest);
        }
        while number_of(self.rows.len()) > bounds.rows {
            self.rows.pop_front();
        }
    }
}

#[async_trait]
impl AccessLog for MemoryAccessLog {
    async fn record(&self, project: &ProjectId, access: &Access, bounds: Bounds) -> Result<(), StorageError> {
        self.lock().entry(project.clone()).or_default().record(access, bounds);
        Ok(())
    }

    async fn read(
        &self,
        project: &ProjectId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AccessRow>, StorageError> {
        let projects = self.lock();
        let rows = projects.get(project).into_iter().flat_map(|of| &of.rows);
        Ok(rows.filter(|row| row.number > after).take(limit).cloned().collect())
    }

    async fn newest(&self, project: &ProjectId) -> Result<u64, StorageError> {
        Ok(self.lock().get(project).map_or(0, |of| of.newest))
    }
}
