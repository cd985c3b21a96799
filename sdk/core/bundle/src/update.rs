//! From stored bytes to the content a manifest names: the steps a client must not leave out (FORMAT T-3.1, T-3.3).

use crate::container::{Caps, ContainerError};
use crate::content::{Content, ContentError, Touched};
use crate::delta::DeltaLines;
use crate::manifest::{Delta, Manifest};

/// Why fetched bytes do not give the content a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// Not the bytes that were signed, or not a frame the format allows.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The right bytes, and not the right lines: a fault of the builder.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl ObjectError {
    /// The stable code of this error (FORMAT T-5.6).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Container(error) => error.code(),
            Self::Content(error) => error.code(),
        }
    }

    /// What exactly is wrong, stable too.
    pub const fn detail(&self) -> &'static str {
        match self {
            Self::Container(error) => error.detail(),
            Self::Content(error) => error.detail(),
        }
    }
}

impl Manifest {
    /// Opens the snapshot it names: digest, frame, lines, their number.
    ///
    /// The digest of the stored bytes is signed, so line digests may wait for the first delta; who wants the content
    /// hash compared at once, as a publisher does, also calls [`check`](Self::check).
    pub fn open_snapshot(&self, stored: &[u8]) -> Result<Content, ObjectError> {
        let content = Content::parse(&self.snapshot().open(stored, Caps::SNAPSHOT)?)?;
        content.check_len(self.lines())?;
        Ok(content)
    }

    /// Opens one of its deltas and applies it to `base`, comparing the content hash: a wrong delta cannot survive.
    ///
    /// On any error the answer is the snapshot, at once.
    pub fn apply_delta(
        &self,
        delta: &Delta,
        stored: &[u8],
        base: &Content,
    ) -> Result<(Content, Touched), ObjectError> {
        let lines = DeltaLines::parse(&delta.object.open(stored, Caps::SNAPSHOT)?)?;
        let (content, touched) = base.apply(&lines)?;
        self.check(&content)?;
        Ok((content, touched))
    }

    /// Whether `content` is the one it names.
    pub fn check(&self, content: &Content) -> Result<(), ContentError> {
        content.check(self.lines(), self.content())
    }
}
