//! Deltas: the lines touched since an older version (FORMAT T-3.3).

use flagstone_model::limits::{MAX_LINES, MAX_RAW_BYTES};
use flagstone_model::line::{DropLine, Head};

use crate::content::ContentError;
use crate::lines::{self, Line, Lines, name_of};

/// The lines of a delta: upserts ascending, then `drop` lines ascending.
///
/// Also what [`Content::apply`](crate::content::Content::apply) answers: then it holds only what really changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeltaLines {
    upserts: Lines,
    drops: Lines,
}

impl DeltaLines {
    /// Reads a delta's raw bytes.
    pub fn parse(raw: &[u8]) -> Result<Self, ContentError> {
        let size = raw.len() as u64;
        if size > MAX_RAW_BYTES {
            return Err(ContentError::TooLarge { size, cap: MAX_RAW_BYTES });
        }
        let mut delta = Self::default();
        let mut last: Option<&[u8]> = None;
        for (number, line) in (1..).zip(lines::split(raw).ok_or(ContentError::NoFinalNewline)?) {
            let dropped = line.starts_with(b"{\"drop\":");
            // Drops stand after all upserts, so the order starts anew with the first of them.
            if dropped && delta.drops.is_empty() {
                last = None;
            }
            if last.is_some_and(|last| last >= line) || (!dropped && !delta.drops.is_empty()) {
                return Err(ContentError::Order { line: number });
            }
            if dropped {
                DropLine::parse(line).ok_or(ContentError::Head { line: number })?;
                delta.drops.push_plain(line);
            } else {
                let line = Line::parse(line).ok_or(ContentError::Head { line: number })?;
                if delta.last_upsert().is_some_and(|last| last.name() == line.name()) {
                    return Err(ContentError::Repeated { line: number });
                }
                delta.upserts.push(line);
            }
            if delta.upserts.len().max(delta.drops.len()) > MAX_LINES {
                return Err(ContentError::TooManyLines);
            }
            last = Some(line);
        }
        delta.refuse_conflicts()?;
        Ok(delta)
    }

    fn last_upsert(&self) -> Option<Line<'_>> {
        self.upserts.get(self.upserts.len().checked_sub(1)?)
    }

    /// An entity is written or dropped, not both.
    fn refuse_conflicts(&self) -> Result<(), ContentError> {
        for (number, dropped) in (1_usize..).zip(self.drops()) {
            let name = name_of(dropped.head);
            let place = self.upserts.search(&name);
            if self.upserts.get(place).is_some_and(|line| line.name() == name) {
                return Err(ContentError::Repeated { line: number.saturating_add(self.upserts.len()) });
            }
        }
        Ok(())
    }

    pub(crate) fn push_upsert(&mut self, line: Line<'_>) {
        self.upserts.push(line);
    }

    pub(crate) fn push_drop(&mut self, head: Head<'_>) {
        let line = format!("{{\"drop\":\"{}\",\"key\":\"{}\"}}", head.name, head.key);
        self.drops.push_plain(line.as_bytes());
    }

    pub(crate) fn upsert_lines(&self) -> &Lines {
        &self.upserts
    }

    /// The raw bytes: what [`parse`](Self::parse) reads.
    pub fn encode(&self) -> Vec<u8> {
        [self.upserts.as_bytes(), self.drops.as_bytes()].concat()
    }

    /// Whole lines to put in, ascending.
    pub fn upserts(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.upserts.iter().map(|line| line.bytes)
    }

    /// Entities to take away, ascending.
    pub fn drops(&self) -> impl Iterator<Item = DropLine<'_>> + Clone {
        self.drops.iter().filter_map(|line| DropLine::parse(line.bytes))
    }

    /// What it touches: upserts first, then drops.
    pub fn heads(&self) -> impl Iterator<Item = Head<'_>> + Clone {
        self.upserts.iter().filter_map(|line| line.head()).chain(self.drops().map(|line| line.head))
    }

    /// How many entities it touches.
    pub fn len(&self) -> usize {
        self.upserts.len().saturating_add(self.drops.len())
    }

    /// Whether it touches nothing.
    pub fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.drops.is_empty()
    }
}
