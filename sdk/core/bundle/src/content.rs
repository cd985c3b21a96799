//! Contents: the sorted lines of one version, and their hash (FORMAT T-3.1, T-3.2).

use core::iter::Peekable;
use std::sync::{Arc, OnceLock};

use flagstone_model::digest::Digest;
use flagstone_model::limits::{MAX_LINES, MAX_RAW_BYTES};
use flagstone_model::line::Head;

use crate::delta::DeltaLines;
use crate::lines::{self, Line, Lines, name_of};

/// Lines a full chunk has when it is cut.
const CHUNK_LINES: usize = 128;
/// Lines at which a chunk that grew is cut.
const MAX_CHUNK_LINES: usize = CHUNK_LINES * 3 / 2;

/// What an update really changed: the delta without its no-ops.
pub type Touched = DeltaLines;

/// Why bytes are no content, or not the one they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// More bytes than allowed.
    #[error("{size} raw bytes, at most {cap} are allowed")]
    TooLarge {
        /// Bytes.
        size: u64,
        /// Most allowed.
        cap: u64,
    },
    /// More lines than allowed.
    #[error("more than {MAX_LINES} lines")]
    TooManyLines,
    /// Cut off.
    #[error("the final newline is missing")]
    NoFinalNewline,
    /// A line whose entity cannot be named.
    #[error("line {line} has no valid head")]
    Head {
        /// Line, from 1.
        line: usize,
    },
    /// A line out of bytewise order.
    #[error("line {line} is not above the one before")]
    Order {
        /// Line, from 1.
        line: usize,
    },
    /// An entity twice.
    #[error("line {line} names an entity that has a line already")]
    Repeated {
        /// Line, from 1.
        line: usize,
    },
    /// Not as many lines as the manifest names.
    #[error("{lines} lines, the manifest names {signed}")]
    Lines {
        /// Lines there are.
        lines: u64,
        /// Lines signed.
        signed: u64,
    },
    /// Another content than the manifest names.
    #[error("the content hash is {actual}, the manifest names {signed}")]
    Mismatch {
        /// Hash of this content.
        actual: Digest,
        /// Hash signed.
        signed: Digest,
    },
}

impl ContentError {
    /// The stable code of this error (FORMAT T-5.6).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::TooManyLines => "too-large",
            Self::Lines { .. } | Self::Mismatch { .. } => "content-mismatch",
            Self::NoFinalNewline | Self::Head { .. } | Self::Order { .. } | Self::Repeated { .. } => {
                "malformed"
            }
        }
    }

    /// What exactly is wrong, stable too.
    pub const fn detail(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "content-too-large",
            Self::TooManyLines => "too-many-lines",
            Self::NoFinalNewline => "no-final-newline",
            Self::Head { .. } => "line-head",
            Self::Order { .. } => "line-order",
            Self::Repeated { .. } => "line-repeated",
            Self::Lines { .. } => "line-count",
            Self::Mismatch { .. } => "content-hash",
        }
    }
}

/// Up to a few hundred neighbouring lines, shared by every version in which they stand.
#[derive(Debug)]
struct Chunk {
    lines: Lines,
    digests: OnceLock<Box<[[u8; 32]]>>,
}

impl Chunk {
    fn digests(&self) -> &[[u8; 32]] {
        self.digests.get_or_init(|| self.lines.iter().map(|line| digest(line.bytes)).collect())
    }

    fn first_name(&self) -> &[u8] {
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

/// The immutable lines of one version of a stream.
///
/// Cloning and [`apply`](Self::apply) share chunks, so an update costs what it touches. Line digests are computed when
/// the content hash is first asked for, and carried over to the next version.
#[derive(Debug, Clone, Default)]
pub struct Content {
    chunks: Vec<Arc<Chunk>>,
    lines: usize,
    bytes: u64,
    hash: OnceLock<Digest>,
}

impl Content {
    /// Reads raw lines. A line's own faults behind its head are not looked for: they cost only its entity.
    pub fn parse(raw: &[u8]) -> Result<Self, ContentError> {
        let size = raw.len() as u64;
        if size > MAX_RAW_BYTES {
            return Err(ContentError::TooLarge { size, cap: MAX_RAW_BYTES });
        }
        Self::from_lines(lines::split(raw).ok_or(ContentError::NoFinalNewline)?)
    }

    /// Takes lines without their newlines, which must be sorted and unique.
    pub fn from_lines<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Self, ContentError> {
        let mut builder = Builder::default();
        let mut last: Option<Line<'a>> = None;
        for (number, bytes) in (1..).zip(lines) {
            if number > MAX_LINES {
                return Err(ContentError::TooManyLines);
            }
            let line = Line::parse(bytes)
                .filter(|line| !line.bytes.contains(&b'\n'))
                .ok_or(ContentError::Head { line: number })?;
            if let Some(last) = last {
                // Equal names are neighbours, because of the order.
                if last.name() == line.name() {
                    return Err(ContentError::Repeated { line: number });
                }
                if last.bytes >= line.bytes {
                    return Err(ContentError::Order { line: number });
                }
            }
            builder.push(line);
            last = Some(line);
        }
        builder.finish()
    }

    /// How many lines there are.
    pub const fn len(&self) -> usize {
        self.lines
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Size of the raw bytes.
    pub const fn raw_size(&self) -> u64 {
        self.bytes
    }

    /// The lines in order, without newlines.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.chunks.iter().flat_map(|chunk| chunk.lines.iter()).map(|line| line.bytes)
    }

    /// The raw bytes.
    pub fn raw(&self) -> Vec<u8> {
        let mut raw = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or_default());
        for chunk in &self.chunks {
            raw.extend_from_slice(chunk.lines.as_bytes());
        }
        raw
    }

    /// The line of an entity.
    pub fn line(&self, entity: Head<'_>) -> Option<&[u8]> {
        self.find(&name_of(entity)).map(|line| line.bytes)
    }

    fn find(&self, name: &[u8]) -> Option<Line<'_>> {
        let after = self.chunks.partition_point(|chunk| chunk.first_name() <= name);
        let chunk = self.chunks.get(after.checked_sub(1)?)?;
        chunk.lines.get(chunk.lines.search(name)).filter(|line| line.name() == name)
    }

    /// SHA-256(`"flagstone/content/1\n"` ‖ the SHA-256 of each line): what identifies a content.
    pub fn content_hash(&self) -> Digest {
        *self.hash.get_or_init(|| {
            let digests = self.chunks.iter().map(|chunk| chunk.digests().as_flattened());
            Digest::of_parts(core::iter::once(b"flagstone/content/1\n".as_slice()).chain(digests))
        })
    }

    /// Whether this is the content a manifest names: its number of lines and its hash.
    pub fn check(&self, lines: u64, hash: Digest) -> Result<(), ContentError> {
        self.check_len(lines)?;
        let actual = self.content_hash();
        if actual == hash { Ok(()) } else { Err(ContentError::Mismatch { actual, signed: hash }) }
    }

    /// Whether it has the number of lines a manifest names: all a full download must check at once (FORMAT T-3.1).
    pub fn check_len(&self, lines: u64) -> Result<(), ContentError> {
        let actual = self.lines as u64;
        if actual == lines { Ok(()) } else { Err(ContentError::Lines { lines: actual, signed: lines }) }
    }

    /// The next version, and what really changed. Dropping what is absent changes nothing.
    ///
    /// Whether it is the right next version only its content hash tells.
    pub fn apply(&self, delta: &DeltaLines) -> Result<(Self, Touched), ContentError> {
        let mut operations = Operations::of(delta);
        let mut touched = Touched::default();
        let mut dropped = Vec::new();
        let mut builder = Builder::default();
        let mut chunks = self.chunks.iter().peekable();
        loop {
            let chunk = chunks.next();
            let end = chunks.peek().map(|next| next.first_name());
            let merged =
                Merge { chunk, end, touched: &mut touched, dropped: &mut dropped }.run(&mut operations);
            match (merged, chunk) {
                (Some(lines), _) => builder.cut(&lines),
                (None, Some(chunk)) => builder.keep(Arc::clone(chunk)),
                (None, None) => {}
            }
            if end.is_none() {
                break;
            }
        }
        for head in dropped {
            touched.push_drop(head);
        }
        Ok((builder.finish()?, touched))
    }

    /// The delta that leads from `old` to this content, and nothing more.
    pub fn diff(&self, old: &Self) -> DeltaLines {
        let mut delta = DeltaLines::default();
        let mut dropped = Vec::new();
        let (mut new, mut old) = (Cursor::new(self), Cursor::new(old));
        loop {
            while new.skip_shared(&mut old) {}
            match (new.line(), old.line()) {
                (None, None) => break,
                (Some(line), before) if before.is_none_or(|before| line.name() < before.name()) => {
                    delta.push_upsert(line);
                    new.advance();
                }
                (Some(line), Some(before)) if line.name() == before.name() => {
                    if line.bytes != before.bytes {
                        delta.push_upsert(line);
                    }
                    new.advance();
                    old.advance();
                }
                (_, before) => {
                    dropped.extend(before.and_then(|before| before.head()));
                    old.advance();
                }
            }
        }
        for head in dropped {
            delta.push_drop(head);
        }
        delta
    }

    /// The delta that brings these entities to their state here, whatever it was before: dropped if absent.
    ///
    /// With every entity touched since version f, it is the cumulative delta since f (FORMAT T-3.3).
    pub fn delta_of<'h>(&self, entities: impl IntoIterator<Item = Head<'h>>) -> DeltaLines {
        let mut names: Vec<(Vec<u8>, Head<'h>)> =
            entities.into_iter().map(|head| (name_of(head), head)).collect();
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        names.dedup_by(|(a, _), (b, _)| a == b);
        let mut delta = DeltaLines::default();
        for (name, head) in names {
            match self.find(&name) {
                Some(line) => delta.push_upsert(line),
                None => delta.push_drop(head),
            }
        }
        delta
    }

    /// How many chunks two contents share: what an update did not copy.
    #[doc(hidden)]
    pub fn shared_chunks(&self, other: &Self) -> usize {
        let shared = |chunk: &&Arc<Chunk>| other.chunks.iter().any(|o| Arc::ptr_eq(o, chunk));
        self.chunks.iter().filter(shared).count()
    }

    /// How many chunks there are.
    #[doc(hidden)]
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.lines == other.lines && self.bytes == other.bytes && self.lines().eq(other.lines())
    }
}

impl Eq for Content {}

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
struct Operations<'a>(Peekable<std::vec::IntoIter<Operation<'a>>>);

impl<'a> Operations<'a> {
    fn of(delta: &'a DeltaLines) -> Self {
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
struct Merge<'m, 'a> {
    chunk: Option<&'a Arc<Chunk>>,
    end: Option<&'a [u8]>,
    touched: &'m mut Touched,
    dropped: &'m mut Vec<Head<'a>>,
}

impl<'a> Merge<'_, 'a> {
    /// The lines that follow from it, or `None` if nothing changes.
    fn run(self, operations: &mut Operations<'a>) -> Option<Vec<Digested<'a>>> {
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
type Digested<'a> = (Line<'a>, Option<[u8; 32]>);

/// Collects lines into chunks.
#[derive(Default)]
struct Builder {
    chunks: Vec<Arc<Chunk>>,
    open: Lines,
    lines: usize,
    bytes: u64,
}

impl Builder {
    /// Adds the next line, its digest left for later.
    fn push(&mut self, line: Line<'_>) {
        if self.open.is_empty() {
            let like_the_last = self.chunks.last().map_or(0, |chunk| chunk.lines.as_bytes().len());
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

    fn keep(&mut self, chunk: Arc<Chunk>) {
        self.lines = self.lines.saturating_add(chunk.lines.len());
        self.bytes = self.bytes.saturating_add(chunk.lines.as_bytes().len() as u64);
        self.chunks.push(chunk);
    }

    /// Adds lines as chunks of nearly equal size.
    fn cut(&mut self, lines: &[Digested<'_>]) {
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

    fn finish(mut self) -> Result<Content, ContentError> {
        self.close();
        if self.lines > MAX_LINES {
            return Err(ContentError::TooManyLines);
        }
        if self.bytes > MAX_RAW_BYTES {
            return Err(ContentError::TooLarge { size: self.bytes, cap: MAX_RAW_BYTES });
        }
        // Many small deletions leave small chunks behind; then all are cut anew, which is rare.
        let few = self.lines.div_ceil(CHUNK_LINES).saturating_mul(2).saturating_add(8);
        if self.chunks.len() > few {
            let mut again = Self::default();
            again.cut(&self.chunks.iter().flat_map(|chunk| chunk.digested()).collect::<Vec<_>>());
            return again.finish();
        }
        Ok(Content { chunks: self.chunks, lines: self.lines, bytes: self.bytes, hash: OnceLock::new() })
    }
}

/// Where a comparison stands in a content.
struct Cursor<'a> {
    chunks: &'a [Arc<Chunk>],
    index: usize,
}

impl<'a> Cursor<'a> {
    fn new(content: &'a Content) -> Self {
        Self { chunks: &content.chunks, index: 0 }
    }

    fn line(&self) -> Option<Line<'a>> {
        self.chunks.first().and_then(|chunk| chunk.lines.get(self.index))
    }

    fn advance(&mut self) {
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
    fn skip_shared(&mut self, other: &mut Self) -> bool {
        let (Some(own), Some(others)) = (self.chunks.first(), other.chunks.first()) else { return false };
        let same = self.index == 0 && other.index == 0 && Arc::ptr_eq(own, others);
        if same {
            self.next_chunk();
            other.next_chunk();
        }
        same
    }
}
