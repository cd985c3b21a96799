//! Why the control plane did not do what it was asked.

use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::ListKey;

use crate::author::Problem;
use crate::build::BuildError;
use crate::checkpoint::CheckpointError;
use crate::keys::SignError;
use crate::log::{HeaderError, LogError, MAX_DATA_BYTES, MAX_HEADER_BYTES, SealError};
use crate::publication::PublicationError;
use crate::publish::PublishError;
use crate::state::FoldError;
use crate::state::change::Refusal;
use crate::storage::{Misconfiguration, StorageError};
use crate::store::StoreError;

/// Why the control plane did not do what it was asked.
///
/// Nothing was written, unless it is [`Kind::Internal`] or [`Kind::Busy`]: then a store may have committed and lost its
/// answer, and a retry under the same request id finds out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The change is not acceptable.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request was done before, and its secret told then: nobody has it now.
    #[error("this request was done before; its secret was told once, so revoke `{}` and make another", id.as_deref().unwrap_or("it"))]
    AlreadyCreated {
        /// What it made, unless that is not known any more.
        id: Option<String>,
    },
    /// The idempotency key belongs to another request of this actor.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// There is no such entry.
    #[error("there is no entry {seq}")]
    EntryNotFound {
        /// Which.
        seq: u64,
    },
    /// The entry is the last one of something, and nothing else says what that is.
    #[error("entry {seq} cannot be erased before these are written anew: {}", entities.join(", "))]
    NotYetSuperseded {
        /// Which.
        seq: u64,
        /// What it is the last entry of.
        entities: Vec<String>,
    },
    /// What is to be erased is in use.
    #[error("it is in use: take it out of {} first", entities.join(", "))]
    StillInUse {
        /// Where.
        entities: Vec<String>,
    },
    /// Checkpoints could not be kept or forgotten.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The entry would be too large.
    #[error(
        "the change is too large for one entry of the log: its header has at most {MAX_HEADER_BYTES} bytes, its data \
         {MAX_DATA_BYTES}"
    )]
    TooLarge,
    /// Others wrote all the time.
    #[error("too many changes at once; try again")]
    Contended,
    /// It took too long: nobody waits for it any more. It may have been done.
    #[error("it took too long and was given up; it may have been done")]
    Late,
    /// No randomness for ids.
    #[error("the system gave no randomness")]
    Random,
    /// The state at a time to come is asked for.
    #[error("this time is still to come: nobody knows what will be there")]
    AtInFuture,
    /// The state at an entry that is not in the log is asked for.
    #[error("the log has the entries 1 to {newest}")]
    SeqBeyondHead {
        /// The newest entry.
        newest: u64,
    },
    /// What is asked for was left by an entry whose data has been erased.
    #[error("entry {seq} left this as it was then, and its data has been erased")]
    DataErased {
        /// Which entry.
        seq: u64,
    },
    /// The object that holds the keys of a list is gone from the private store.
    #[error("the object {sha256} of list `{list}` is missing; write the list whole (`flagstone list put`)")]
    ListObjectMissing {
        /// Whose.
        list: ListKey,
        /// Its digest.
        sha256: Digest,
    },
    /// The object that holds the keys of a list is not what the log says.
    #[error("the object {sha256} of list `{list}` is damaged; write the list whole (`flagstone list put`)")]
    ListObjectDamaged {
        /// Whose.
        list: ListKey,
        /// Its digest.
        sha256: Digest,
    },
    /// The private objects did not do their part.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The entry could not be made.
    #[error(transparent)]
    Seal(SealError),
    /// The log did not do its part.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log can not be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The lines can not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The publication items did not do their part.
    #[error(transparent)]
    Publication(#[from] PublicationError),
    /// Publishing failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What a caller can do about an error; each is one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Mend the request: 400.
    Invalid,
    /// Ask for something else: 404.
    NotFound,
    /// Settle the conflict: 409.
    Conflict,
    /// Read again: 412.
    Precondition {
        /// The revision there is.
        current: u64,
    },
    /// Send less: 413.
    TooLarge,
    /// Use another key: 422.
    Unprocessable,
    /// Try again later: 503.
    Busy {
        /// In how many seconds.
        retry_after_s: u32,
    },
    /// Tell an operator, and try again when a service is set up as it must be: 503.
    Misconfigured(Misconfiguration),
    /// Nothing: 500.
    Internal,
}

/// Another try may succeed soon.
const BUSY: Kind = Kind::Busy { retry_after_s: 1 };

impl ControlError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::AlreadyCreated { .. } => "already-created",
            Self::KeyReused => "idempotency-key-reused",
            Self::EntryNotFound { .. } => "entry-not-found",
            Self::NotYetSuperseded { .. } => "not-yet-superseded",
            Self::StillInUse { .. } => "still-in-use",
            Self::Checkpoint(error) => error.code(),
            Self::TooLarge => "too-large",
            Self::Contended => "busy",
            Self::Late => "late",
            Self::Random => "no-randomness",
            Self::AtInFuture => "at-in-future",
            Self::SeqBeyondHead { .. } => "seq-beyond-head",
            Self::DataErased { .. } => "data-erased",
            Self::ListObjectMissing { .. } => "list-object-missing",
            Self::ListObjectDamaged { .. } => "list-object-damaged",
            Self::Storage(error) => error.code(),
            Self::Seal(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::Fold(error) => error.code(),
            Self::Build(error) => error.code(),
            Self::Publication(error) => error.code(),
            Self::Publish(error) => error.code(),
        }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        if let Some(what) = self.misconfiguration() {
            return Kind::Misconfigured(what);
        }
        // Any other fault of a store stays until somebody mends it.
        if self.storage().is_some_and(StorageError::is_passing) {
            return BUSY;
        }
        match self {
            Self::Refused(refusal) => match refusal.place().1 {
                Refusal::Invalid { .. } => Kind::Invalid,
                Refusal::FlagNotFound { .. }
                | Refusal::EnvironmentNotFound { .. }
                | Refusal::SegmentNotFound { .. }
                | Refusal::ListNotFound { .. }
                | Refusal::ViewNotFound { .. }
                | Refusal::TokenNotFound { .. }
                | Refusal::KeyNotFound { .. } => Kind::NotFound,
                Refusal::ListTooLarge { .. } => Kind::TooLarge,
                Refusal::StaleRevision { current } => Kind::Precondition { current: *current },
                Refusal::AlreadyExists
                | Refusal::KeyRetired
                | Refusal::BuiltInView { .. }
                | Refusal::NeedsConfirmation { .. }
                | Refusal::RampShrinks { .. }
                | Refusal::RolloutShrinks { .. }
                | Refusal::ChecksBreak { .. }
                | Refusal::TooManyTokens
                | Refusal::TooManyKeys => Kind::Conflict,
                Refusal::At { .. } | Refusal::Fold(_) => Kind::Internal,
            },
            Self::AtInFuture | Self::SeqBeyondHead { .. } => Kind::Invalid,
            Self::Build(_) | Self::EntryNotFound { .. } | Self::DataErased { .. } => Kind::NotFound,
            Self::AlreadyCreated { .. }
            | Self::NotYetSuperseded { .. }
            | Self::StillInUse { .. }
            | Self::ListObjectMissing { .. }
            | Self::ListObjectDamaged { .. } => Kind::Conflict,
            Self::KeyReused => Kind::Unprocessable,
            Self::TooLarge => Kind::TooLarge,
            Self::Contended
            | Self::Late
            | Self::Publish(
                PublishError::Contended
                | PublishError::TimedOut
                | PublishError::Unavailable { .. }
                | PublishError::Sign(SignError::Unavailable { .. })
                | PublishError::Store(StoreError::Busy { .. } | StoreError::Unavailable { .. }),
            ) => BUSY,
            Self::Publish(error) if error.is_for_operators() => Kind::Conflict,
            _ => Kind::Internal,
        }
    }

    /// What the store of records met, if that is it.
    const fn storage(&self) -> Option<&StorageError> {
        match self {
            Self::Storage(error)
            | Self::Log(LogError::Storage(error))
            | Self::Checkpoint(CheckpointError::Storage(error))
            | Self::Publication(PublicationError::Storage(error)) => Some(error),
            Self::Publish(error) => error.storage(),
            _ => None,
        }
    }

    /// What is wrong with how a service is set up, if that is it.
    fn misconfiguration(&self) -> Option<Misconfiguration> {
        match self {
            Self::Publish(error) => error.misconfiguration(),
            other => other.storage()?.misconfiguration(),
        }
    }

    /// What is wrong with the request's document, if that is it.
    pub fn problems(&self) -> &[Problem] {
        if let Self::Refused(refusal) = self { refusal.problems() } else { &[] }
    }
}

impl From<SealError> for ControlError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::TooLarge { .. } | SealError::Header(HeaderError::TooLarge { .. }) => Self::TooLarge,
            other => Self::Seal(other),
        }
    }
}

/// An entity without its bookkeeping: an object without members.
pub(super) fn nothing() -> Json<'static> {
    Json::Object(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_busy_is_told_as_such_wherever_it_is_met() {
        let wherever = |storage: fn() -> StorageError| {
            [
                ControlError::from(storage()),
                LogError::from(storage()).into(),
                CheckpointError::from(storage()).into(),
                PublicationError::from(storage()).into(),
                PublishError::from(LogError::from(storage())).into(),
                PublishError::from(PublicationError::from(storage())).into(),
            ]
        };
        let kinds = |storage| wherever(storage).map(|error| error.kind());
        let what = Misconfiguration::Denied;
        assert_eq!(kinds(|| StorageError::Busy), [BUSY; 6]);
        assert_eq!(kinds(|| StorageError::Unavailable { source: "gone".into() }), [BUSY; 6]);
        assert_eq!(kinds(|| StorageError::Full { path: "full".into() }), [Kind::Internal; 6]);
        let denied = || StorageError::Misconfigured { what: Misconfiguration::Denied, detail: String::new() };
        assert_eq!(kinds(denied), [Kind::Misconfigured(what); 6]);
    }
}
