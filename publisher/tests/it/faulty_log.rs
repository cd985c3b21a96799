//! A log in memory that can be told to go wrong, and that counts what is read of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use flagstone_model::key::ProjectId;
use flagstone_publisher::log::{Appended, ChangeLog, Entry, Head, LogError, MemoryLog};
use flagstone_publisher::storage::StorageError;

/// What goes wrong with an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Until it is told otherwise nothing is written.
    Down,
    /// The next one loses against the entry that is there.
    Lost,
    /// The next one is written, and its answer is lost.
    Deaf,
    /// The next one never ends.
    Stuck,
}

#[derive(Default)]
pub(super) struct FaultyLog {
    log: MemoryLog,
    fault: Mutex<Option<Fault>>,
    read: AtomicU64,
}

impl FaultyLog {
    pub(super) fn tell(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// How many entries were given out by reads.
    pub(super) fn reads(&self) -> u64 {
        self.read.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ChangeLog for FaultyLog {
    async fn append(&self, entry: &Entry) -> Result<Appended, LogError> {
        let fault = {
            let mut fault = self.fault.lock().unwrap();
            if *fault == Some(Fault::Down) { *fault } else { fault.take() }
        };
        let gone = || StorageError::Unavailable { source: "gone".into() };
        match fault {
            Some(Fault::Down) => Err(gone().into()),
            Some(Fault::Lost) => Ok(Appended::Lost { existing: Box::new(entry.clone()) }),
            Some(Fault::Deaf) => {
                self.log.append(entry).await?;
                Err(gone().into())
            }
            Some(Fault::Stuck) => std::future::pending().await,
            None => self.log.append(entry).await,
        }
    }

    async fn read(&self, project: &ProjectId, after_seq: u64, limit: usize) -> Result<Vec<Entry>, LogError> {
        let entries = self.log.read(project, after_seq, limit).await?;
        self.read.fetch_add(entries.len() as u64, Ordering::SeqCst);
        Ok(entries)
    }

    async fn head(&self, project: &ProjectId) -> Result<Option<Head>, LogError> {
        self.log.head(project).await
    }

    async fn entry(&self, project: &ProjectId, seq: u64) -> Result<Option<Entry>, LogError> {
        self.log.entry(project, seq).await
    }

    async fn erase(&self, project: &ProjectId, seq: u64) -> Result<(), LogError> {
        self.log.erase(project, seq).await
    }
}
