//! Checkpoints that are forgotten with the process.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use flagstone_model::key::ProjectId;

use super::{CheckpointError, Checkpoints, Mark};

#[derive(Debug, Default)]
struct Kept {
    pointer: u64,
    checkpoints: BTreeMap<u64, (Mark, Vec<u8>)>,
}

/// Checkpoints in memory: for tests, and for a run that leaves nothing behind.
#[derive(Debug, Default)]
pub struct MemoryCheckpoints {
    projects: Mutex<BTreeMap<ProjectId, Kept>>,
}

impl MemoryCheckpoints {
    /// No checkpoints.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes stored bytes without any check: what somebody with write access can do.
    pub fn tamper(&self, project: &ProjectId, seq: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let mut projects = self.lock();
        let kept = projects.get_mut(project).and_then(|kept| kept.checkpoints.get_mut(&seq));
        if let Some((_, stored)) = kept {
            change(stored);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProjectId, Kept>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Checkpoints for MemoryCheckpoints {
    async fn keep(&self, project: &ProjectId, mark: &Mark, stored: &[u8]) -> Result<bool, CheckpointError> {
        let mut projects = self.lock();
        let kept = projects.entry(project.clone()).or_default();
        if mark.seq() <= kept.pointer {
            return Ok(false);
        }
        kept.pointer = mark.seq();
        kept.checkpoints.insert(mark.seq(), (*mark, stored.to_vec()));
        Ok(true)
    }

    async fn marks(&self, project: &ProjectId) -> Result<Vec<Mark>, CheckpointError> {
        let projects = self.lock();
        let kept = projects.get(project).into_iter().flat_map(|kept| kept.checkpoints.values());
        Ok(kept.map(|(mark, _)| *mark).collect())
    }

    async fn stored(&self, project: &ProjectId, seq: u64) -> Result<Option<Vec<u8>>, CheckpointError> {
        let projects = self.lock();
        let kept = projects.get(project).and_then(|kept| kept.checkpoints.get(&seq));
        Ok(kept.map(|(_, stored)| stored.clone()))
    }

    async fn forget(&self, project: &ProjectId, seqs: RangeInclusive<u64>) -> Result<(), CheckpointError> {
        let mut projects = self.lock();
        let kept = projects.entry(project.clone()).or_default();
        kept.pointer = kept.pointer.max(*seqs.end());
        kept.checkpoints.retain(|seq, _| !seqs.contains(seq));
        Ok(())
    }
}
