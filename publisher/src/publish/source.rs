//! Where the lines of a stream come from.

use async_trait::async_trait;
use flagstone_bundle::container::StoredObject;
use flagstone_bundle::content::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::manifest::Stream;
use flagstone_model::key::ListKey;
use flagstone_model::line::Head as LineHead;

use super::layout::Access;
use super::withheld::Withheld;
use crate::log::Head;

/// The content of a stream, and the head of the log it was folded from.
#[derive(Debug, Clone)]
pub struct Built {
    /// How far the log was folded.
    pub head: Head,
    /// The lines.
    pub content: Content,
    /// What is not among them, or otherwise than it was written, because a proof of it failed.
    pub withheld: Withheld,
}

/// Why there are no lines.
#[derive(Debug, thiserror::Error)]
#[error("the lines of a stream can not be built")]
pub struct SourceError {
    /// The stable code of the fault.
    pub code: &'static str,
    /// What the source met.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl SourceError {
    /// A fault with its code.
    pub fn new(code: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { code, source: source.into() }
    }

    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        self.code
    }
}

/// Folds the log and builds lines. The publisher believes nothing it says: see [`super::Refusal`].
#[async_trait]
pub trait LineSource: Send + Sync {
    /// Who may read the objects of a stream. It never changes.
    fn access(&self, stream: &Stream) -> Access {
        Access::of(stream)
    }

    /// Folds the stream's project up to at least `seq` and builds the stream's content: same log, same lines.
    async fn build(&self, stream: &Stream, seq: u64) -> Result<Built, SourceError>;

    /// The stored bytes of the base object that a line of the stream names for a list, compared with its digest.
    async fn list_object(
        &self,
        stream: &Stream,
        list: &ListKey,
        object: &StoredObject,
    ) -> Result<Vec<u8>, SourceError> {
        let what = format!("list `{list}` of {stream} has no object {}", object.sha256);
        Err(SourceError::new("list-object-missing", what))
    }

    /// The delta that brings the touched entities to their state in `content`.
    fn delta(&self, content: &Content, touched: &[LineHead<'_>]) -> DeltaLines {
        content.delta_of(touched.iter().copied())
    }
}
