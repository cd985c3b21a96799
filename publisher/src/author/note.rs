//! What is told of a document that was taken: operands that are published in another way than they were written.

use super::mention::{Mention, Mentioned};
use super::segment::Segment;
use super::targeting::Targeting;

/// An operand that is published in another way than it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where, as a JSON Pointer into the normal form of the document.
    pub pointer: String,
    /// What its author wrote: `^\d+$`.
    pub written: String,
    /// What is published for it: `^[0-9]+$`.
    pub published: String,
}

impl Note {
    fn of(mention: Mention<'_>) -> Option<Self> {
        let Mentioned::Term(term) = mention.of else { return None };
        let (written, published) = (term.written().to_owned(), term.published().to_owned());
        term.is_rewritten().then_some(Self { pointer: mention.pointer, written, published })
    }
}

impl Targeting {
    /// The operands that are published in another way than they were written.
    pub fn notes(&self) -> Vec<Note> {
        self.mentions().into_iter().filter_map(Note::of).collect()
    }
}

impl Segment {
    /// The operands that are published in another way than they were written.
    pub fn notes(&self) -> Vec<Note> {
        self.mentions().into_iter().filter_map(Note::of).collect()
    }
}
