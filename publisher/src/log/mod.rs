//! The change log: the one source of truth (FORMAT T-4.1 to T-4.3).
//!
//! A log belongs to a project and only grows. One [`Entry`] records one request: a [`Header`] that is chained for
//! ever, and data that can be erased because the header holds only a salted commitment to it. Appending *is* the
//! commit: one conditional write, "entry N+1 does not exist".
//!
//! [`ChangeLog`] is the port. Its adapters, [`MemoryLog`] and [`crate::sqlite::SqliteStore`], run
//! [`conformance::run`]; [`verify::verify_log`] proves a log from its first entry.

use async_trait::async_trait;
use flagstone_model::key::ProjectId;

pub mod conformance;
mod entity;
mod entry;
mod header;
mod id;
mod memory;
pub mod verify;

pub use entity::{Entity, EntityError};
pub use entry::{
    Damage, DataError, Draft, Entry, EntryData, Head, MAX_DATA_BYTES, SaltedData, SealError, StoredEntry,
    chain_hash,
};
pub use header::{
    Actor, ActorKind, EntityChange, Header, HeaderError, MAX_HEADER_BYTES, MAX_ID_CHARS, Request,
};
pub use id::{IdError, SdkKeyId, TokenId};
pub use memory::MemoryLog;

use crate::storage::StorageError;

/// Most that one [`ChangeLog::read`] takes into memory, in bytes; a single entry is read whatever its size.
pub const MAX_READ_BYTES: usize = 8 * 1024 * 1024;

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// The entry is in the log, durably. Also when an earlier try of the same append had put it there unnoticed.
    Written,
    /// Another entry has that seq; nothing was written. Fold it and try again.
    Lost {
        /// What is there.
        existing: Box<Entry>,
    },
}

/// Why a log did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A stored entry is damaged. It is left as it is.
    #[error("entry {seq} of project {project} is damaged: {what}")]
    Corrupt {
        /// Whose log.
        project: ProjectId,
        /// Which entry.
        seq: u64,
        /// What is wrong with it.
        what: Damage,
    },
    /// The entry does not follow the last one: the caller has folded another log.
    #[error("entry {offered} was offered to a log of project {project} that ends at {head} or differently")]
    NotNext {
        /// Whose log.
        project: ProjectId,
        /// Seq of the entry offered.
        offered: u64,
        /// Seq of the last entry.
        head: u64,
    },
    /// The store below did not do its part.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl LogError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } => "log-corrupt",
            Self::NotNext { .. } => "log-not-next",
            Self::Storage(error) => error.code(),
        }
    }
}

/// Keeps the logs of projects.
///
/// What is reported as written survives a crash of the machine. Entries are checked as they are read, each by itself;
/// [`verify`] also checks how they hang together.
#[async_trait]
pub trait ChangeLog: Send + Sync {
    /// Appends an entry to the log of its project, if none has its seq yet.
    ///
    /// Of concurrent appends of one seq exactly one is written. An append whose header bytes are already there is
    /// this very append, retried: it counts as written.
    async fn append(&self, entry: &Entry) -> Result<Appended, LogError>;

    /// The entries after `after_seq`, in order: up to `limit` of them, and fewer where they would have more than
    /// [`MAX_READ_BYTES`]. None at all says that the log ends there.
    async fn read(&self, project: &ProjectId, after_seq: u64, limit: usize) -> Result<Vec<Entry>, LogError>;

    /// The last entry's place, as of a moment after the call; `None` for a log without entries.
    async fn head(&self, project: &ProjectId) -> Result<Option<Head>, LogError>;

    /// One entry.
    async fn entry(&self, project: &ProjectId, seq: u64) -> Result<Option<Entry>, LogError>;

    /// Deletes data and salt of an entry for good, from the store's own files too; its header and its hash stay. Of an
    /// entry that is erased, or not there, nothing. The caller has appended an entry that says so.
    async fn erase(&self, project: &ProjectId, seq: u64) -> Result<(), LogError>;
}

/// Decides an append that met an entry of its seq: the same bytes are its own earlier try (FORMAT T-4.3).
pub fn met(offered: &Entry, existing: Entry) -> Appended {
    if existing.header_bytes == offered.header_bytes && existing.hash == offered.hash {
        Appended::Written
    } else {
        Appended::Lost { existing: Box::new(existing) }
    }
}

/// Decides what one read takes into memory: at most [`MAX_READ_BYTES`].
#[derive(Debug)]
pub struct ReadBudget {
    left: usize,
    began: bool,
}

impl Default for ReadBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadBudget {
    /// The budget of a read that has just begun.
    pub const fn new() -> Self {
        Self { left: MAX_READ_BYTES, began: false }
    }

    /// Whether the next entry still fits. The first one always does, so that every reader gets on.
    pub fn takes(&mut self, entry: &StoredEntry) -> bool {
        let size = entry.header.len().saturating_add(entry.data.as_ref().map_or(0, Vec::len));
        let first = !std::mem::replace(&mut self.began, true);
        let fits = size <= self.left;
        self.left = self.left.saturating_sub(size);
        fits || first
    }
}

/// Whether `entry` follows a log that ends at `head`.
pub fn follows(entry: &Entry, head: Option<&Head>) -> bool {
    entry.seq() == head.map_or(1, |head| head.seq.saturating_add(1))
        && entry.hash == chain_hash(head.map(|head| &head.hash), &entry.header_bytes)
}
