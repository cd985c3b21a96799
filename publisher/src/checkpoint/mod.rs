//! Checkpoints: folded states, kept so that a start does not fold a long log from its first entry (FORMAT T-4.4).
//!
//! A checkpoint is the state at one entry, as JSON lines in one zstd frame. Its [`Mark`] says which entry, with the
//! hash of the log there, and the digest of the stored bytes. Losing one costs time and nothing else: whoever finds it
//! missing or damaged goes back to an earlier one, or to the first entry. An audit does not trust them.
//!
//! [`Checkpoints`] is the port. Its adapters, [`MemoryCheckpoints`] and [`crate::sqlite::SqliteStore`], run
//! [`conformance::run`].

use std::ops::RangeInclusive;

use async_trait::async_trait;
use flagstone_bundle::container::{Caps, ContainerError, StoredObject, encode_zstd_level};
use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;

pub mod conformance;
mod memory;
mod spacing;

pub use memory::MemoryCheckpoints;
pub use spacing::{MAX_KEPT, surplus};

use crate::log::Head;
use crate::state::{State, StateFault};
use crate::storage::StorageError;

/// A checkpoint is written when so many entries follow the last one.
pub const MAX_TAIL_ENTRIES: u64 = 1_000;
/// A checkpoint is written when the entries that follow the last one have so many bytes: 1 MB.
pub const MAX_TAIL_BYTES: u64 = 1_000_000;
/// The most a checkpoint may have: 256 MiB stored, 1 GiB unpacked. A larger state is folded from older ones.
pub const CAPS: Caps = Caps { stored: 256 * 1024 * 1024, raw: 1024 * 1024 * 1024 };
/// Checkpoints are written often and read seldom.
const ZSTD_LEVEL: i32 = 3;

/// Which checkpoint, and what its stored bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The entry whose state it is.
    pub head: Head,
    /// Digest and sizes of the stored bytes.
    pub object: StoredObject,
}

/// Why checkpoints were not kept or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// What is known of a checkpoint can not be read. It is left as it is.
    #[error("the mark of the checkpoint at entry {seq} of project {project} is damaged")]
    Corrupt {
        /// Whose.
        project: ProjectId,
        /// Of which entry.
        seq: u64,
    },
    /// The store below did not do its part.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl CheckpointError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } => "checkpoint-corrupt",
            Self::Storage(error) => error.code(),
        }
    }
}

/// Why a checkpoint is no state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointFault {
    /// The stored bytes are gone.
    #[error("its bytes are gone")]
    Missing,
    /// The stored bytes are not those of its mark, or too many.
    #[error("its bytes are damaged")]
    Damaged(#[from] ContainerError),
    /// The bytes are those of its mark, and no state that this release reads.
    #[error(transparent)]
    State(#[from] StateFault),
    /// The log has another hash at this entry, or ends before it.
    #[error("the log has another hash there")]
    Foreign,
    /// It is of that entry of the log, and not what the log folds to.
    #[error("its line {line} is not what the log gives")]
    Differs {
        /// The first line that differs, from 1.
        line: usize,
    },
}

impl CheckpointFault {
    /// The stable code of this fault.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "checkpoint-missing",
            Self::Damaged(_) => "checkpoint-damaged",
            Self::State(fault) => fault.code(),
            Self::Foreign => "checkpoint-foreign",
            Self::Differs { .. } => "checkpoint-differs",
        }
    }
}

/// The stored bytes of a state, and their mark; `None` before the first entry.
pub fn write(state: &State) -> Result<Option<(Mark, Vec<u8>)>, ContainerError> {
    let (Some(head), Some(lines)) = (state.head(), state.to_lines()) else { return Ok(None) };
    let (stored, object) = encode_zstd_level(&lines, ZSTD_LEVEL)?;
    object.within(CAPS)?;
    Ok(Some((Mark { head: *head, object }, stored)))
}

/// Reads the stored bytes of a checkpoint: digest first.
pub fn read(project: &ProjectId, mark: &Mark, stored: Option<&[u8]>) -> Result<State, CheckpointFault> {
    let stored = stored.ok_or(CheckpointFault::Missing)?;
    let lines = mark.object.open(stored, CAPS)?;
    let state = State::from_lines(project, &lines)?;
    if state.head() == Some(&mark.head) { Ok(state) } else { Err(CheckpointFault::Foreign) }
}

/// Compares a checkpoint with the state that the log folds to from its first entry: what an audit asks. Bytes that
/// are those of their mark prove nothing to it, for whoever wrote them wrote the mark too.
///
/// # Errors
///
/// What [`read`] finds; [`CheckpointFault::Foreign`] if the state stands at another entry; and
/// [`CheckpointFault::Differs`].
pub fn compare(folded: &State, mark: &Mark, stored: &[u8]) -> Result<(), CheckpointFault> {
    if folded.head() != Some(&mark.head) {
        return Err(CheckpointFault::Foreign);
    }
    let found = read(folded.id(), mark, Some(stored))?;
    let lines = |state: &State| state.to_lines().unwrap_or_default();
    let (found, folded) = (lines(&found), lines(folded));
    if found == folded {
        return Ok(());
    }
    let of = |lines: &[u8]| lines.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let same = of(&found).iter().zip(&of(&folded)).take_while(|(one, other)| one == other).count();
    Err(CheckpointFault::Differs { line: same.saturating_add(1) })
}

/// Keeps the checkpoints of projects.
///
/// For each project there is a pointer: the highest entry of which a checkpoint was ever kept or forgotten. It moves
/// forward only, so that a process that was left behind can not bring back what was forgotten.
#[async_trait]
pub trait Checkpoints: Send + Sync {
    /// Keeps a checkpoint and moves the pointer to it; `false`, and nothing is kept, if the pointer is there already
    /// or beyond.
    async fn keep(&self, project: &ProjectId, mark: &Mark, stored: &[u8]) -> Result<bool, CheckpointError>;

    /// The marks that are there, by entry.
    async fn marks(&self, project: &ProjectId) -> Result<Vec<Mark>, CheckpointError>;

    /// The stored bytes of the checkpoint at an entry.
    async fn stored(&self, project: &ProjectId, seq: u64) -> Result<Option<Vec<u8>>, CheckpointError>;

    /// Deletes the checkpoints at these entries for good, and moves the pointer to the last of the entries if it is
    /// not there yet.
    async fn forget(&self, project: &ProjectId, seqs: RangeInclusive<u64>) -> Result<(), CheckpointError>;
}

impl Mark {
    /// The entry whose state it is.
    pub const fn seq(&self) -> u64 {
        self.head.seq
    }

    /// The hash of the log there.
    pub const fn hash(&self) -> Digest {
        self.head.hash
    }
}
