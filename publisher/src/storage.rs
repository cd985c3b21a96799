//! What can go wrong below a port that keeps records: the log and the publication items.

use std::path::PathBuf;

/// Why the store of records did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The file was made by another program.
    #[error("{} is not a Flagstone data file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was made by a later release.
    #[error("{} was written by a later release (layout {found}, this one knows {known})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// The newest layout this release knows.
        known: i64,
    },
    /// The file can not be opened or written.
    #[error("{} cannot be opened for writing", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What the adapter met.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No room is left.
    #[error("no space is left for {}", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged where records are found by.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the adapter met.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Others kept the store busy for too long; trying again may help.
    #[error("the store is busy")]
    Busy,
    /// The store did not answer, or answered with an error.
    #[error("the store is unavailable")]
    Unavailable {
        /// What the adapter met.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StorageError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "foreign-file",
            Self::Newer { .. } => "newer-file",
            Self::ReadOnly { .. } => "storage-read-only",
            Self::Full { .. } => "storage-full",
            Self::Damaged { .. } => "storage-damaged",
            Self::Busy => "storage-busy",
            Self::Unavailable { .. } => "storage-unavailable",
        }
    }
}
