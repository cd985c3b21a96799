//! What the control plane tells about its work while it does it: spans for traces and logs, numbers for an
//! [`Observer`].
//!
//! A write is the span `append`, and each publication the span `publish` with a span for each [`Stage`]; they stand in
//! the span that is current where the control plane was called. Neither holds anything of what people wrote.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::{Instrument as _, Span};

use crate::publish::PublishError;

/// A stage of a publication (FORMAT T-4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The log becomes lines.
    Build,
    /// The lines are tried with the client's own code, packed, and compared with earlier versions.
    Prove,
    /// Snapshot and delta are stored.
    Upload,
    /// The next serial is taken.
    Claim,
    /// The manifest is signed, and verified like a client does.
    Sign,
    /// The manifest is kept under its version.
    Archive,
    /// The manifest is put where clients look.
    Announce,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 7] =
        [Self::Build, Self::Prove, Self::Upload, Self::Claim, Self::Sign, Self::Archive, Self::Announce];

    /// The name, of the span and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Prove => "prove",
            Self::Upload => "upload",
            Self::Claim => "claim",
            Self::Sign => "sign",
            Self::Archive => "archive",
            Self::Announce => "announce",
        }
    }

    fn span(self) -> Span {
        match self {
            Self::Build => tracing::info_span!("build"),
            Self::Prove => tracing::info_span!("prove"),
            Self::Upload => tracing::info_span!("upload"),
            Self::Claim => tracing::info_span!("claim"),
            Self::Sign => tracing::info_span!("sign"),
            Self::Archive => tracing::info_span!("archive"),
            Self::Announce => tracing::info_span!("announce"),
        }
    }
}

/// What became of an entry that was to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Append {
    /// It is in the log.
    Written,
    /// Another one was faster; the writer tries again.
    Lost,
    /// The log did not do its part.
    Failed,
}

impl Append {
    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Lost => "lost",
            Self::Failed => "failed",
        }
    }
}

/// Counts and measures. It is called in the middle of the work, so it returns at once.
pub trait Observer: Send + Sync {
    /// An entry was to be appended.
    fn appended(&self, append: Append);

    /// A stage of a publication ended after this time, well or with a code.
    fn staged(&self, stage: Stage, took: Duration, outcome: Result<(), &'static str>);

    /// A stream was to be published or swept, and that failed with this code, in whichever stage or in none.
    fn failed(&self, code: &'static str);
}

/// The observer, once there is one. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<OnceLock<Arc<dyn Observer>>>);

impl Watch {
    /// Tells this observer from now on; the first one stays. Returns whether it is the first.
    pub(crate) fn tell(&self, observer: Arc<dyn Observer>) -> bool {
        self.0.set(observer).is_ok()
    }

    pub(crate) fn appended(&self, append: Append) {
        if let Some(observer) = self.0.get() {
            observer.appended(append);
        }
    }

    pub(crate) fn failed(&self, code: &'static str) {
        if let Some(observer) = self.0.get() {
            observer.failed(code);
        }
    }

    /// Does the work of a stage inside of its span, and tells how long it took and how it ended.
    pub(crate) async fn stage<T, E: Into<PublishError>>(
        &self,
        stage: Stage,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, PublishError> {
        let begun = tokio::time::Instant::now();
        let done = work.instrument(stage.span()).await.map_err(Into::into);
        if let Some(observer) = self.0.get() {
            observer.staged(stage, begun.elapsed(), done.as_ref().map(|_| ()).map_err(PublishError::code));
        }
        done
    }
}
