//! Lines with valid names in one buffer: what contents and deltas are made of (FORMAT T-3.2).

use core::fmt;

use flagstone_model::line::Head;

/// Where one line lies in its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// End of the line, which is where its newline stands.
    end: u32,
    /// Length of the part that names it, `{"flag":"new-cart"`.
    name: u16,
}

/// Lines one after the other, each with its newline and the place of its name.
///
/// Buffers stay below 4 GiB because their input is capped long before.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    marks: Vec<Mark>,
}

/// Says how many there are: what stands in them may be personal.
impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines", self.len())
    }
}

/// One line and the part of it that names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) bytes: &'a [u8],
    name: u16,
}

impl<'a> Line<'a> {
    /// The line, if it has a valid name.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let head = Head::parse(bytes)?;
        Some(Self { bytes, name: name_len(head)? })
    }

    /// The bytes that name it: their order is the order of lines, because keys never hold a byte ≤ 0x22.
    pub(crate) fn name(&self) -> &'a [u8] {
        self.bytes.get(..usize::from(self.name)).unwrap_or(self.bytes)
    }

    pub(crate) fn head(&self) -> Option<Head<'a>> {
        Head::parse(self.bytes)
    }
}

fn name_len(head: Head<'_>) -> Option<u16> {
    let quoted = head.name.len().checked_add(head.key.len())?;
    u16::try_from(quoted.checked_add("{\"\":\"\"".len())?).ok()
}

/// The bytes that name an entity, as its line would begin with them.
pub(crate) fn name_of(head: Head<'_>) -> Vec<u8> {
    format!("{{\"{}\":\"{}\"", head.name, head.key).into_bytes()
}

impl Lines {
    pub(crate) fn with_capacity(lines: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), marks: Vec::with_capacity(lines) }
    }

    pub(crate) fn push(&mut self, line: Line<'_>) {
        self.push_marked(line.bytes, line.name);
    }

    /// A line without a name of its own, as a `drop` line is.
    pub(crate) fn push_plain(&mut self, bytes: &[u8]) {
        self.push_marked(bytes, 0);
    }

    fn push_marked(&mut self, bytes: &[u8], name: u16) {
        self.bytes.extend_from_slice(bytes);
        self.marks.push(Mark { end: u32::try_from(self.bytes.len()).unwrap_or(u32::MAX), name });
        self.bytes.push(b'\n');
    }

    pub(crate) fn len(&self) -> usize {
        self.marks.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// All lines with their newlines.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn get(&self, index: usize) -> Option<Line<'_>> {
        let mark = self.marks.get(index)?;
        let before = index.checked_sub(1).and_then(|before| self.marks.get(before));
        let start = before.map_or(0, |before| (before.end as usize).saturating_add(1));
        Some(Line { bytes: self.bytes.get(start..mark.end as usize)?, name: mark.name })
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Line<'_>> + Clone {
        (0..self.len()).map(|index| self.get(index).unwrap_or(Line { bytes: &[], name: 0 }))
    }

    /// The first line that does not come before `name`.
    pub(crate) fn search(&self, name: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle).is_some_and(|line| line.name() < name) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Cuts raw bytes at their newlines; the last must end in one.
pub(crate) fn split(raw: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    if raw.last().is_some_and(|last| *last != b'\n') {
        return None;
    }
    let mut start = 0;
    Some(memchr::memchr_iter(b'\n', raw).filter_map(move |end| {
        let line = raw.get(start..end);
        start = end.saturating_add(1);
        line
    }))
}
