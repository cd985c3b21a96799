//! The log that forgets.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use flagstone_model::key::ProjectId;

use super::{Appended, ChangeLog, Entry, Head, LogError, ReadBudget, StoredEntry, follows, met};

type Rows = BTreeMap<(ProjectId, u64), StoredEntry>;

/// Logs in memory: for tests, and for a run that leaves nothing behind.
#[derive(Debug, Default)]
pub struct MemoryLog {
    rows: Mutex<Rows>,
}

impl MemoryLog {
    /// Logs without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes a stored row without any check, or takes it away: what somebody with write access can do.
    pub fn tamper(
        &self,
        project: &ProjectId,
        seq: u64,
        change: impl FnOnce(Option<StoredEntry>) -> Option<StoredEntry>,
    ) {
        let mut rows = self.lock();
        let key = (project.clone(), seq);
        if let Some(row) = change(rows.remove(&key)) {
            rows.insert(key, row);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn checked(project: &ProjectId, seq: u64, row: &StoredEntry) -> Result<Entry, LogError> {
    Entry::read(project, seq, row.clone()).map_err(|what| LogError::Corrupt {
        project: project.clone(),
        seq,
        what,
    })
}

fn after<'r>(
    rows: &'r Rows,
    project: &ProjectId,
    seq: u64,
) -> impl DoubleEndedIterator<Item = (u64, &'r StoredEntry)> + use<'r> {
    let from = (project.clone(), seq.saturating_add(1));
    let to = (project.clone(), u64::MAX);
    rows.range(from..=to).map(|((_, seq), row)| (*seq, row))
}

fn head(rows: &Rows, project: &ProjectId) -> Result<Option<Head>, LogError> {
    let last = after(rows, project, 0).next_back();
    last.map(|(seq, row)| checked(project, seq, row).map(|entry| entry.head())).transpose()
}

#[async_trait]
impl ChangeLog for MemoryLog {
    async fn append(&self, entry: &Entry) -> Result<Appended, LogError> {
        let mut rows = self.lock();
        let (project, seq) = (&entry.header.project, entry.seq());
        let key = (project.clone(), seq);
        if let Some(row) = rows.get(&key) {
            return Ok(met(entry, checked(project, seq, row)?));
        }
        let head = head(&rows, project)?;
        if !follows(entry, head.as_ref()) {
            let head = head.map_or(0, |head| head.seq);
            return Err(LogError::NotNext { project: project.clone(), offered: seq, head });
        }
        rows.insert(key, entry.into());
        Ok(Appended::Written)
    }

    async fn read(&self, project: &ProjectId, after_seq: u64, limit: usize) -> Result<Vec<Entry>, LogError> {
        let mut budget = ReadBudget::new();
        after(&self.lock(), project, after_seq)
            .take(limit)
            .take_while(|(_, row)| budget.takes(row))
            .map(|(seq, row)| checked(project, seq, row))
            .collect()
    }

    async fn head(&self, project: &ProjectId) -> Result<Option<Head>, LogError> {
        head(&self.lock(), project)
    }

    async fn entry(&self, project: &ProjectId, seq: u64) -> Result<Option<Entry>, LogError> {
        self.lock().get(&(project.clone(), seq)).map(|row| checked(project, seq, row)).transpose()
    }

    async fn erase(&self, project: &ProjectId, seq: u64) -> Result<(), LogError> {
        if let Some(row) = self.lock().get_mut(&(project.clone(), seq)) {
            (row.salt, row.data) = (None, None);
        }
        Ok(())
    }
}
