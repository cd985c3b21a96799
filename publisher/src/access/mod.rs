//! Who used the admin API to change something, who signed in, and who was refused.
//!
//! This is a record of its own beside the change log: that one is for ever, and whoever is refused must not be able to
//! fill it. It is bounded, the oldest rows give way, and repeats within a minute are one row with a count. It holds
//! templates of paths and ids, and nothing that anybody sent.
//!
//! [`AccessLog`] is the port. Its adapters, [`MemoryAccessLog`] and [`crate::sqlite::SqliteStore`], run
//! [`conformance::run`].

use async_trait::async_trait;
use flagstone_model::key::{EnvironmentId, ProjectId};

pub mod conformance;
mod memory;

pub use memory::MemoryAccessLog;

use crate::storage::StorageError;

/// How long repeats go into one row, in milliseconds: a minute from the first.
pub const REPEATS_MS: i64 = 60_000;

/// How much is kept of one project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most rows.
    pub rows: u64,
    /// Most of them that are about nobody who is known: who has no token pushes nobody else's rows out.
    pub anonymous: u64,
}

impl Bounds {
    /// 100,000 rows, 10,000 of them about nobody who is known.
    pub const DEFAULT: Self = Self { rows: 100_000, anonymous: 10_000 };
}

impl Default for Bounds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One use, or one refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// When, in Unix milliseconds.
    pub time_ms: i64,
    /// The id of whose token it was; `None`: nobody who is known.
    pub principal: Option<String>,
    /// What was used: `cli`, `console`, or `api`.
    pub via: String,
    /// The method.
    pub method: String,
    /// The template of the path, and never the path.
    pub route: String,
    /// The environment it was about, if it was about one.
    pub environment: Option<EnvironmentId>,
    /// The status of the answer.
    pub status: u16,
    /// The code of its problem.
    pub code: Option<String>,
    /// The id that finds it in the log of the program.
    pub request_id: String,
    /// The entry it made in the change log.
    pub seq: Option<u64>,
    /// How often; at least 1.
    pub count: u64,
}

/// A row: a use, or the repeats of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRow {
    /// Its place; rises by one for each row, and is never used again.
    pub number: u64,
    /// When the first of them was, in Unix milliseconds.
    pub first_ms: i64,
    /// The last of them, and how many there were.
    pub access: Access,
}

impl AccessRow {
    /// Whether one more is a repeat of what this row is about. What made an entry stands by itself.
    fn is_repeated_by(&self, access: &Access) -> bool {
        let own = &self.access;
        let since = access.time_ms.saturating_sub(self.first_ms);
        own.seq.is_none()
            && access.seq.is_none()
            && (0..REPEATS_MS).contains(&since)
            && own.principal == access.principal
            && own.method == access.method
            && own.route == access.route
            && own.status == access.status
            && own.code == access.code
    }
}

/// Keeps uses and refusals, one list for each project.
#[async_trait]
pub trait AccessLog: core::fmt::Debug + Send + Sync {
    /// Adds one, to a row that it repeats or as a new one; the oldest rows beyond the bounds give way.
    async fn record(&self, project: &ProjectId, access: &Access, bounds: Bounds) -> Result<(), StorageError>;

    /// Rows with a higher number than `after`, the lowest first, at most `limit`.
    async fn read(
        &self,
        project: &ProjectId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AccessRow>, StorageError>;

    /// The number of the newest row; 0 if there was none.
    async fn newest(&self, project: &ProjectId) -> Result<u64, StorageError>;
}
