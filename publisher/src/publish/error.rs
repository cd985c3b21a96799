//! Why nothing was announced.

use flagstone_bundle::manifest::ManifestError;

use super::proof::Refusal;
use super::source::SourceError;
use crate::keys::SignError;
use crate::log::LogError;
use crate::publication::PublicationError;
use crate::storage::{Misconfiguration, StorageError};
use crate::store::StoreError;

/// Why a stream was not published. Whatever it is, the manifest that was announced last stays announced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// What was built is not fit to be announced.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There are no lines.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The log did not do its part.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The publication items did not do their part.
    #[error(transparent)]
    Publication(#[from] PublicationError),
    /// The object store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signer did not do its part.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What was signed does not verify against the newest root.
    #[error("the signed manifest does not verify")]
    Unverifiable {
        /// What a client would say.
        source: ManifestError,
    },
    /// The bucket holds a verified manifest that nobody claimed: a stolen key, a restored table, or a second
    /// publication store. Nothing is published until an operator has looked (FORMAT T-4.5, T-4.7).
    #[error(
        "the announced manifest has version {version} and serial {serial}, claimed are {claimed_version} and \
         {claimed_serial}"
    )]
    Unclaimed {
        /// Version in the bucket.
        version: u64,
        /// Serial in the bucket.
        serial: u64,
        /// Newest claimed version.
        claimed_version: u64,
        /// Newest claimed serial.
        claimed_serial: u64,
    },
    /// The archive holds other content under a claimed version: as serious as [`Self::Unclaimed`].
    #[error("the archive holds other content as version {version}")]
    ArchiveDiffers {
        /// Which version.
        version: u64,
    },
    /// What is announced or claimed is of a later root, trust generation, or format: this publisher is out of date and
    /// must not write.
    #[error("what is announced or claimed is of a later root or release")]
    Outdated {
        /// What a client would say.
        source: ManifestError,
    },
    /// The log ends before what was published from it, or differs there: it was restored or replaced.
    #[error("the log ends at {head}, or differs there, while {covered} is published")]
    LogBehind {
        /// Where it ends.
        head: u64,
        /// What is published.
        covered: u64,
    },
    /// An object's place is taken by other bytes, which come back each time they are replaced.
    #[error("an object could not be stored under its digest")]
    ObjectTaken,
    /// Other publishers were faster, each time; the sweep goes on.
    #[error("other publishers were faster")]
    Contended,
    /// A store or the signer did not answer for so long that the run was given up; the sweep goes on.
    #[error("a run took longer than {} seconds and was given up", super::RUN_LIMIT.as_secs())]
    TimedOut,
    /// A rebuild was asked of a publisher that is older than the one that built last.
    #[error("builder {claimed} built this last, and this one is {own}: an older builder rebuilds nothing")]
    OlderBuilder {
        /// Of this publisher.
        own: u64,
        /// Of the newest claim.
        claimed: u64,
    },
    /// Somebody asked to adopt what is announced, and it is what was claimed.
    #[error("what is announced is what was claimed: there is nothing to adopt")]
    NothingToAdopt,
    /// The publisher that was asked is elsewhere, and could not be asked or did not answer; the sweep goes on.
    #[error("the publisher did not answer: {source}")]
    Unavailable {
        /// What the adapter met.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The publisher that was asked is elsewhere, and could not do it.
    #[error("the publisher failed: {detail} ({code})")]
    Failed {
        /// The stable code that it gave.
        code: String,
        /// What it said.
        detail: String,
    },
    /// The work was stopped with the program.
    #[error("the publisher was stopped")]
    Stopped,
}

impl PublishError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Source(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::Publication(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Sign(error) => error.code(),
            Self::Unverifiable { .. } => "own-manifest-unverifiable",
            Self::Unclaimed { .. } => "unclaimed-manifest",
            Self::ArchiveDiffers { .. } => "archive-differs",
            Self::Outdated { .. } => "publisher-outdated",
            Self::LogBehind { .. } => "log-behind",
            Self::ObjectTaken => "object-taken",
            Self::Contended => "contended",
            Self::TimedOut => "publication-timeout",
            Self::OlderBuilder { .. } => "builder-older",
            Self::NothingToAdopt => "nothing-to-adopt",
            Self::Unavailable { .. } => "publisher-unavailable",
            Self::Failed { .. } => self.misconfiguration().map_or("publisher-failed", Misconfiguration::code),
            Self::Stopped => "stopped",
        }
    }

    /// What the store of records met, if that is it.
    pub(crate) const fn storage(&self) -> Option<&StorageError> {
        match self {
            Self::Log(LogError::Storage(error)) | Self::Publication(PublicationError::Storage(error)) => {
                Some(error)
            }
            _ => None,
        }
    }

    /// What is wrong with how a service is set up, if that is it.
    pub fn misconfiguration(&self) -> Option<Misconfiguration> {
        match self {
            Self::Failed { code, .. } => Misconfiguration::of_code(code),
            Self::Store(StoreError::Misconfigured { what, .. })
            | Self::Sign(SignError::Misconfigured { what, .. }) => Some(*what),
            other => other.storage()?.misconfiguration(),
        }
    }

    /// Whether it is the stream's state, and not a fault: an operator can do something about it.
    pub const fn is_for_operators(&self) -> bool {
        self.is_alarm() || matches!(self, Self::OlderBuilder { .. } | Self::NothingToAdopt)
    }

    /// Whether the stream stays stopped until an operator has looked.
    pub const fn is_alarm(&self) -> bool {
        matches!(self, Self::Unclaimed { .. } | Self::ArchiveDiffers { .. } | Self::LogBehind { .. })
    }
}
