//! Chunks: neighbouring lines that versions share, and what an update does to them.

use core::iter::Peekable;
use std::sync::{Arc, OnceLock};

use flagstone_model::digest::Digest;
use flagstone_model::limits::{MAX_LINES, MAX_RAW_BYTES};
use flagstone_model::line::Head;

use crate::content::{ContentError, Touched};
use crate::delta::DeltaLines;
use crate::lines::{Line, Lines, name_of};

/// Lines a full chunk has when it is cut.
const CHUNK_LINES: usize = 128;
/// Lines at which a chunk that grew is cut.
const MAX_CHUNK_LINES: usize = CHUNK_LINES * 3 / 2;

/// The chunks of one content, in order, none of them empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunks {
    pub(crate) list: Vec<Arc<Chunk>>,
    /// Lines in all of them.
    pub(crate) lines: usize,
    /// Raw bytes in all of them.
    pub(crate) bytes: u64,
}

/// Up to a few hundred neighbouring lines, shared by every version in which they stand.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) lines: Lines,
    digests: OnceLock<Box<[[u8; 32]]>>,
}

impl Chunk {
    pub(crate) fn digests(&self) -> &[[u8; 32]] {
        self.digests.get_or_init(|| self.lines.iter().map(|line| digest(line.bytes)).collect())
    }

    pub(crate) fn first_name(&self) -> &[u8] {
        self.lines.get(0).map_or(&[], |line| line.name())
    }

    /// The lines with the digests known so far.
    fn digested(&self) -> impl Iterator<Item = Digested<'_>> {
        let known = self.digests.get();
        let digest = move |index: usize| known.and_then(|digests| digests.get(index).copied());
        self.lines.iter().enumerate().map(move |(index, line)| (line, digest(index)))
    }
}

fn digest(line: &[u8]) -> [u8; 32] {
    *Digest::of(line).as_bytes()
}

/// One line of a delta.
#[derive(Clone)]
enum Operation<'a> {
    Upsert(Line<'a>),
    Drop(Vec<u8>),
}

impl Operation<'_> {
    fn name(&self) -> &[u8] {
        match self {
            Self::Upsert(line) => line.name(),
            Self::Drop(name) => name,
        }
    }
}

/// A delta's lines, upserts and drops in one order.
pub(crate) struct Operations<'a>(Peekable<std::vec::IntoIter<Operation<'a>>>);

impl<'a> Operations<'a> {
    pub(crate) fn of(delta: &'a DeltaLines) -> Self {
        let upserts = delta.upsert_lines().iter().map(Operation::Upsert);
        let drops = delta.drops().map(|line| Operation::Drop(name_of(line.head)));
        let mut all: Vec<_> = upserts.chain(drops).collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        Self(all.into_iter().peekable())
    }

    fn next_before(&mut self, end: Option<&[u8]>) -> Option<Operation<'a>> {
        self.0.next_if(|operation| end.is_none_or(|end| operation.name() < end))
    }

    fn any_before(&mut self, end: Option<&[u8]>) -> bool {
        self.0.peek().is_some_and(|operation| end.is_none_or(|end| operation.name() < end))
    }
}

/// One chunk, and the part of a delta that falls on it: everything before the next chunk's first name.
pub(crate) struct Merge<'m, 'a> {
    pub(crate) chunk: Option<&'a Arc<Chunk>>,
    pub(crate) end: Option<&'a [u8]>,
    pub(crate) touched: &'m mut Touched,
    pub(crate) dropped: &'m mut Vec<Head<'a>>,
}

impl<'a> Merge<'_, 'a> {
    /// The lines that follow from it, or `None` if nothing changes.
    pub(crate) fn run(self, operations: &mut Operations<'a>) -> Option<Vec<Digested<'a>>> {
        if !operations.any_before(self.end) {
            return None;
        }
        let before = (self.touched.len(), self.dropped.len());
        // Where the old digests are known, those of new lines are worth computing at once.
        let eager = self.chunk.is_none_or(|chunk| chunk.digests.get().is_some());
        let mut merged: Vec<Digested<'a>> = Vec::new();
        let mut old = self.chunk.into_iter().flat_map(|chunk| chunk.digested()).peekable();
        while let Some(operation) = operations.next_before(self.end) {
            let name = operation.name();
            while let Some(kept) = old.next_if(|(line, _)| line.name() < name) {
                merged.push(kept);
            }
            let replaced = old.next_if(|(line, _)| line.name() == name);
            match operation {
                Operation::Upsert(line) => match replaced {
                    Some(same) if same.0.bytes == line.bytes => merged.push(same),
                    _ => {
                        self.touched.push_upsert(line);
                        merged.push((line, eager.then(|| digest(line.bytes))));
                    }
                },
                Operation::Drop(_) => self.dropped.extend(replaced.and_then(|(line, _)| line.head())),
            }
        }
        merged.extend(old);
        (before != (self.touched.len(), self.dropped.len())).then_some(merged)
    }
}

/// A line and its digest, where that is known already.
pub(crate) type Digested<'a> = (Line<'a>, Option<[u8; 32]>);

/// Collects lines into chunks.
#[derive(Default)]
pub(crate) struct Builder {
    done: Chunks,
    open: Lines,
}

impl Builder {
    /// Adds the next line, its digest left for later.
    pub(crate) fn push(&mut self, line: Line<'_>) {
        if self.open.is_empty() {
            let like_the_last = self.done.list.last().map_or(0, |chunk| chunk.lines.as_bytes().len());
            self.open = Lines::with_capacity(CHUNK_LINES, like_the_last);
        }
        self.open.push(line);
        if self.open.len() == CHUNK_LINES {
            self.close();
        }
    }

    /// Makes a chunk of the lines pushed since the last.
    fn close(&mut self) {
        if !self.open.is_empty() {
            let lines = core::mem::take(&mut self.open);
            self.keep(Arc::new(Chunk { lines, digests: OnceLock::new() }));
        }
    }

    pub(crate) fn keep(&mut self, chunk: Arc<Chunk>) {
        let done = &mut self.done;
        done.lines = done.lines.saturating_add(chunk.lines.len());
        done.bytes = done.bytes.saturating_add(chunk.lines.as_bytes().len() as u64);
        done.list.push(chunk);
    }

    /// Adds lines as chunks of nearly equal size.
    pub(crate) fn cut(&mut self, lines: &[Digested<'_>]) {
        let pieces = if lines.len() <= MAX_CHUNK_LINES { 1 } else { lines.len().div_ceil(CHUNK_LINES) };
        for piece in lines.chunks(lines.len().div_ceil(pieces).max(1)) {
            let bytes = piece.iter().map(|(line, _)| line.bytes.len().saturating_add(1)).sum();
            let mut copy = Lines::with_capacity(piece.len(), bytes);
            for (line, _) in piece {
                copy.push(*line);
            }
            let known: Option<Box<[[u8; 32]]>> = piece.iter().map(|(_, digest)| *digest).collect();
            let digests = known.map_or_else(OnceLock::new, OnceLock::from);
            self.keep(Arc::new(Chunk { lines: copy, digests }));
        }
    }

    pub(crate) fn finish(mut self) -> Result<Chunks, ContentError> {
        self.close();
        let done = self.done;
        if done.lines > MAX_LINES {
            return Err(ContentError::TooManyLines);
        }
        if done.bytes > MAX_RAW_BYTES {
            return Err(ContentError::TooLarge { size: done.bytes, cap: MAX_RAW_BYTES });
        }
        // Many small deletions leave small chunks behind; then all are cut anew, which is rare.
        let few = done.lines.div_ceil(CHUNK_LINES).saturating_mul(2).saturating_add(8);
        if done.list.len() > few {
            let mut again = Self::default();
            again.cut(&done.list.iter().flat_map(|chunk| chunk.digested()).collect::<Vec<_>>());
            return again.finish();
        }
        Ok(done)
    }
}

/// Where a comparison stands in a content.
pub(crate) struct Cursor<'a> {
    chunks: &'a [Arc<Chunk>],
    index: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(chunks: &'a Chunks) -> Self {
        Self { chunks: &chunks.list, index: 0 }
    }

    pub(crate) fn line(&self) -> Option<Line<'a>> {
        self.chunks.first().and_then(|chunk| chunk.lines.get(self.index))
    }

    pub(crate) fn advance(&mut self) {
        self.index = self.index.saturating_add(1);
        if self.chunks.first().is_some_and(|chunk| self.index >= chunk.lines.len()) {
            self.next_chunk();
        }
    }

    fn next_chunk(&mut self) {
        self.chunks = self.chunks.get(1..).unwrap_or_default();
        self.index = 0;
    }

    /// Leaves out a chunk at whose start both stand, if it is the same one.
    pub(crate) fn skip_shared(&mut self, other: &mut Self) -> bool {
        let (Some(own), Some(others)) = (self.chunks.first(), other.chunks.first()) else { return false };
        let same = self.index == 0 && other.index == 0 && Arc::ptr_eq(own, others);
        if same {
            self.next_chunk();
            other.next_chunk();
        }
        same
    }
}
