//! What can go wrong below a port that keeps records: the log and the publication items.

use std::fmt;
use std::path::PathBuf;

/// What is wrong with how a service is set up that an adapter uses. Trying again does not help: an operator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Misconfiguration {
    /// This program may not do that.
    Denied,
    /// The table, bucket, secret, or function is not there.
    Missing,
    /// It is in another region.
    Region,
    /// This machine's clock differs too much from the service's.
    Clock,
    /// The credentials are not valid, or not any more.
    Credentials,
    /// A secret holds no key that signs.
    Secret,
    /// The bucket keeps no versions of what is overwritten.
    Unversioned,
    /// Something that other tools made stands where this program keeps its own.
    Foreign,
}

impl Misconfiguration {
    /// All of them, for documents and tests.
    pub const ALL: [Self; 8] = [
        Self::Denied,
        Self::Missing,
        Self::Region,
        Self::Clock,
        Self::Credentials,
        Self::Secret,
        Self::Unversioned,
        Self::Foreign,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Denied => "service-denied",
            Self::Missing => "service-missing",
            Self::Region => "service-region",
            Self::Clock => "service-clock",
            Self::Credentials => "service-credentials",
            Self::Secret => "signing-secret-malformed",
            Self::Unversioned => "bucket-unversioned",
            Self::Foreign => "service-foreign",
        }
    }

    /// The one that has this stable code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.code() == code)
    }

    /// What it is and what to do, without the name of anything.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Denied => "the role may not do that: look at its policy",
            Self::Missing => {
                "a table, bucket, secret, or function is not there: look at its name and its region"
            }
            Self::Region => "it is in another region than the one that is set",
            Self::Clock => "this machine's clock differs too much from the service's",
            Self::Credentials => "the credentials are not valid, or not any more",
            Self::Secret => "the secret holds no Ed25519 private key in PEM",
            Self::Unversioned => "the bucket keeps no versions: turn versioning on",
            Self::Foreign => "the table has another key schema than this program's",
        }
    }
}

impl fmt::Display for Misconfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.advice())
    }
}

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
    /// A service is not set up as it must be.
    #[error("{what} ({detail})")]
    Misconfigured {
        /// What is wrong.
        what: Misconfiguration,
        /// Where, and what the service said: for the log, not for answers.
        detail: String,
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
    /// What is wrong with how the service is set up, if that is it.
    pub const fn misconfiguration(&self) -> Option<Misconfiguration> {
        if let Self::Misconfigured { what, .. } = self { Some(*what) } else { None }
    }

    /// Whether trying again later may help.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable { .. })
    }

    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "foreign-file",
            Self::Newer { .. } => "newer-file",
            Self::ReadOnly { .. } => "storage-read-only",
            Self::Full { .. } => "storage-full",
            Self::Damaged { .. } => "storage-damaged",
            Self::Misconfigured { what, .. } => what.code(),
            Self::Busy => "storage-busy",
            Self::Unavailable { .. } => "storage-unavailable",
        }
    }
}
