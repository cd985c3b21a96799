//! Large data of the log: objects that its entries name by digest, and that nobody is served (FORMAT T-3.7, T-4.1).
//!
//! What would make an entry large, such as the keys of a list, lies beside the log under the SHA-256 of its stored
//! bytes. An object is kept before the entry that names it is appended: a crash in between leaves an orphan, which is
//! forgotten later. Who reads one compares it with the digest, so that an altered object is never taken for the data.
//!
//! [`PrivateObjects`] is the port. Its adapters, [`MemoryObjects`] and [`crate::sqlite::SqliteStore`], run
//! [`conformance::run`].

use async_trait::async_trait;
use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;

pub mod conformance;
mod memory;

pub use memory::MemoryObjects;

use crate::storage::StorageError;

/// How long an object that no entry names is left alone, in milliseconds: one hour. Its writer may be about to append.
pub const ORPHAN_MS: i64 = 60 * 60 * 1_000;

/// Keeps the private objects of projects.
///
/// What is reported as kept survives a crash of the machine.
#[async_trait]
pub trait PrivateObjects: Send + Sync {
    /// Keeps these bytes under their digest, and notes the time, in Unix milliseconds. What is there under it is
    /// replaced, for it can only be the same or damaged; the later time stays.
    async fn keep(
        &self,
        project: &ProjectId,
        sha256: &Digest,
        stored: &[u8],
        now_ms: i64,
    ) -> Result<(), StorageError>;

    /// The bytes under a digest, as they were found: the caller compares.
    async fn stored(&self, project: &ProjectId, sha256: &Digest) -> Result<Option<Vec<u8>>, StorageError>;

    /// The digests of all objects, ascending, each with the time when it was last kept.
    async fn all(&self, project: &ProjectId) -> Result<Vec<(Digest, i64)>, StorageError>;

    /// Deletes an object for good, from the store's own files too, unless it was kept again at `before_ms` or later.
    /// Of one that is not there, nothing.
    async fn forget(&self, project: &ProjectId, sha256: &Digest, before_ms: i64) -> Result<(), StorageError>;
}
