//! Contents: the sorted lines of one version, and their hash (FORMAT T-3.1, T-3.2).

use core::fmt;
use std::sync::{Arc, OnceLock};

use flagstone_model::digest::Digest;
use flagstone_model::limits::{MAX_LINES, MAX_RAW_BYTES};
use flagstone_model::line::Head;

use crate::chunk::{Builder, Chunk, Chunks, Cursor, Merge, Operations};
use crate::delta::DeltaLines;
use crate::lines::{self, Line, name_of};

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

/// The immutable lines of one version of a stream.
///
/// Cloning and [`apply`](Self::apply) share chunks, so an update costs what it touches. Line digests are computed when
/// the content hash is first asked for, and carried over to the next version.
#[derive(Clone, Default)]
pub struct Content {
    chunks: Chunks,
    hash: OnceLock<Digest>,
}

/// Says how many lines there are: what stands in them may be personal.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} lines)", self.len())
    }
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
        builder.finish().map(Self::of)
    }

    const fn of(chunks: Chunks) -> Self {
        Self { chunks, hash: OnceLock::new() }
    }

    /// How many lines there are.
    pub const fn len(&self) -> usize {
        self.chunks.lines
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.chunks.lines == 0
    }

    /// Size of the raw bytes.
    pub const fn raw_size(&self) -> u64 {
        self.chunks.bytes
    }

    /// The lines in order, without newlines.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.chunks.list.iter().flat_map(|chunk| chunk.lines.iter()).map(|line| line.bytes)
    }

    /// The raw bytes.
    pub fn raw(&self) -> Vec<u8> {
        let mut raw = Vec::with_capacity(usize::try_from(self.chunks.bytes).unwrap_or_default());
        for chunk in &self.chunks.list {
            raw.extend_from_slice(chunk.lines.as_bytes());
        }
        raw
    }

    /// The line of an entity.
    pub fn line(&self, entity: Head<'_>) -> Option<&[u8]> {
        self.find(&name_of(entity)).map(|line| line.bytes)
    }

    fn find(&self, name: &[u8]) -> Option<Line<'_>> {
        let after = self.chunks.list.partition_point(|chunk| chunk.first_name() <= name);
        let chunk = self.chunks.list.get(after.checked_sub(1)?)?;
        chunk.lines.get(chunk.lines.search(name)).filter(|line| line.name() == name)
    }

    /// SHA-256(`"flagstone/content/1\n"` ‖ the SHA-256 of each line): what identifies a content.
    pub fn content_hash(&self) -> Digest {
        *self.hash.get_or_init(|| {
            let digests = self.chunks.list.iter().map(|chunk| chunk.digests().as_flattened());
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
        let actual = self.chunks.lines as u64;
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
        let mut chunks = self.chunks.list.iter().peekable();
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
        Ok((Self::of(builder.finish()?), touched))
    }

    /// The delta that leads from `old` to this content, and nothing more.
    pub fn diff(&self, old: &Self) -> DeltaLines {
        let mut delta = DeltaLines::default();
        let mut dropped = Vec::new();
        let (mut new, mut old) = (Cursor::new(&self.chunks), Cursor::new(&old.chunks));
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
        let shared = |chunk: &&Arc<Chunk>| other.chunks.list.iter().any(|o| Arc::ptr_eq(o, chunk));
        self.chunks.list.iter().filter(shared).count()
    }

    /// How many chunks there are.
    #[doc(hidden)]
    pub fn chunks(&self) -> usize {
        self.chunks.list.len()
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.raw_size() == other.raw_size() && self.lines().eq(other.lines())
    }
}

impl Eq for Content {}
