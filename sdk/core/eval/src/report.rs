//! What compiling found.

use flagstone_model::json::JsonError;
use flagstone_model::limits::MAX_LINE_INSTRUCTIONS;
use flagstone_model::line::Head;

/// Everything in compiled lines that this SDK does not understand or cannot read.
///
/// A client counts it; a publisher announces no new line of which it tells, unless that is off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Each place, in the order it was met.
    pub problems: Vec<Problem>,
    /// Lines without a valid head. A verified snapshot has none.
    pub headless_lines: usize,
}

impl Report {
    /// Whether everything was understood.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.headless_lines == 0
    }
}

/// One place in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line's kind, as it stands.
    pub kind: Box<str>,
    /// The line's key.
    pub key: Box<str>,
    /// Where in the line, as a JSON Pointer; empty for the whole line.
    pub pointer: String,
    /// What is wrong there.
    pub why: Why,
}

impl Problem {
    pub(crate) fn new(head: Head<'_>, pointer: String, why: Why) -> Self {
        Self { kind: head.name.into(), key: head.key.into(), pointer, why }
    }
}

/// What is wrong with a place in a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The line is of a kind this SDK does not know; it is ignored.
    #[error("unknown kind of line")]
    UnknownKind,
    /// The line is longer than its kind may be.
    #[error("line over its limit")]
    TooLong,
    /// The expressions of the line have more instructions together than a line may have.
    #[error("the expressions of the line have more than {MAX_LINE_INSTRUCTIONS} instructions together")]
    TooManyInstructions,
    /// The line is no strict JSON.
    #[error(transparent)]
    Json(JsonError),
    /// A member is unknown, missing, or of the wrong type or form.
    #[error("unknown or unreadable member")]
    Unreadable,
    /// A condition's form, test, or operand is not understood.
    #[error("unsupported condition")]
    Unsupported,
    /// A hash this SDK does not have.
    #[error("unsupported hash")]
    Hash,
}

impl Why {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownKind => "unknown-kind",
            Self::TooLong => "line-too-long",
            Self::TooManyInstructions => "too-many-instructions",
            Self::Json(error) => error.code(),
            Self::Unreadable => "unreadable",
            Self::Unsupported => "unsupported",
            Self::Hash => "unsupported-hash",
        }
    }
}
