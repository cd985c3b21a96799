//! Classes: sets of characters, written in the kernel's way.

use flagstone_model::pattern::{NEVER_IN_CLASS, SPECIAL, SPECIAL_IN_CLASS};
use regex_syntax::ast::{
    ClassAscii, ClassAsciiKind, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem, Span,
};

use super::{Mode, NOT_ASCII, PatternProblem, UNICODE_CLASS, refuse};

type Range = (char, char);

const DIGIT: &[Range] = &[('0', '9')];
const WORD: &[Range] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
const SPACE: &[Range] = &[('\t', '\r'), (' ', ' ')];

/// A set of characters: ranges that ascend, with a gap between each two.
pub(super) struct Class {
    ranges: Vec<Range>,
    negated: bool,
}

impl Class {
    pub(super) fn perl(class: &ClassPerl) -> Self {
        Self { ranges: perl(&class.kind).to_vec(), negated: class.negated }
    }

    pub(super) fn bracketed(class: &ClassBracketed, mode: Mode) -> Result<Self, PatternProblem> {
        let mut ranges = Vec::new();
        match &class.kind {
            ClassSet::Item(item) => item_ranges(item, &mut ranges)?,
            ClassSet::BinaryOp(op) => {
                return refuse(op.span.start.offset, "classes have no `&&`, `--`, `~~`");
            }
        }
        if mode.any_case {
            add_other_case(&mut ranges, class.span)?;
        }
        Ok(Self { ranges: merged(ranges), negated: class.negated })
    }

    /// Writes the class, as alternatives where the kernel's classes can not hold one of its characters.
    pub(super) fn write(&self, out: &mut String) {
        let is_bad = |c: char| NEVER_IN_CLASS.contains(c);
        let as_they_are = self.ranges.iter().all(|&(first, last)| !is_bad(first) && !is_bad(last));
        if as_they_are {
            return write_class(out, self.negated, &self.ranges);
        }
        // Characters that no class holds may still lie within a range; at its ends they stand beside the class.
        let ranges = if self.negated { complement(&self.ranges) } else { self.ranges.clone() };
        let (mut inside, mut beside) = (Vec::new(), Vec::new());
        for (mut first, mut last) in ranges {
            while is_bad(first) && first < last {
                beside.push(first);
                first = next(first);
            }
            while is_bad(last) && first < last {
                beside.push(last);
                last = before(last);
            }
            if is_bad(first) { beside.push(first) } else { inside.push((first, last)) }
        }
        if inside.is_empty() && beside.len() == 1 {
            return beside.iter().for_each(|c| push_escaped(out, *c, SPECIAL));
        }
        if beside.is_empty() {
            return write_class(out, false, &inside);
        }
        out.push_str("(?:");
        if !inside.is_empty() {
            write_class(out, false, &inside);
        }
        for (index, c) in beside.iter().enumerate() {
            if index > 0 || !inside.is_empty() {
                out.push('|');
            }
            push_escaped(out, *c, SPECIAL);
        }
        out.push(')');
    }
}

fn write_class(out: &mut String, negated: bool, ranges: &[Range]) {
    out.push_str(if negated { "[^" } else { "[" });
    for &(first, last) in ranges {
        push_escaped(out, first, SPECIAL_IN_CLASS);
        if first < last {
            if next(first) < last {
                out.push('-');
            }
            push_escaped(out, last, SPECIAL_IN_CLASS);
        }
    }
    out.push(']');
}

fn push_escaped(out: &mut String, c: char, special: &str) {
    if special.contains(c) {
        out.push('\\');
    }
    out.push(c);
}

fn item_ranges(item: &ClassSetItem, ranges: &mut Vec<Range>) -> Result<(), PatternProblem> {
    match item {
        ClassSetItem::Empty(_) => {}
        ClassSetItem::Literal(literal) => ranges.push((literal.c, literal.c)),
        ClassSetItem::Range(range) => ranges.push((range.start.c, range.end.c)),
        ClassSetItem::Ascii(ClassAscii { span, negated: true, .. })
        | ClassSetItem::Perl(ClassPerl { span, negated: true, .. }) => {
            return refuse(span.start.offset, NEGATED_ITEM);
        }
        ClassSetItem::Ascii(class) => ranges.extend(ascii(&class.kind)),
        ClassSetItem::Perl(class) => ranges.extend(perl(&class.kind)),
        ClassSetItem::Unicode(class) => return refuse(class.span.start.offset, UNICODE_CLASS),
        ClassSetItem::Bracketed(class) => {
            return refuse(
                class.span.start.offset,
                "classes do not stand in classes: write `\\[` for the character",
            );
        }
        ClassSetItem::Union(union) => {
            return union.items.iter().try_for_each(|item| item_ranges(item, ranges));
        }
    }
    Ok(())
}

const NEGATED_ITEM: &str = "a class within a class is not negated: write an alternative, `(?:[…]|\\D)`";

fn perl(kind: &ClassPerlKind) -> &'static [Range] {
    match kind {
        ClassPerlKind::Digit => DIGIT,
        ClassPerlKind::Space => SPACE,
        ClassPerlKind::Word => WORD,
    }
}

fn ascii(kind: &ClassAsciiKind) -> &'static [Range] {
    match kind {
        ClassAsciiKind::Alnum => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        ClassAsciiKind::Alpha => &[('A', 'Z'), ('a', 'z')],
        ClassAsciiKind::Ascii => &[('\0', '\x7F')],
        ClassAsciiKind::Blank => &[('\t', '\t'), (' ', ' ')],
        ClassAsciiKind::Cntrl => &[('\0', '\x1F'), ('\x7F', '\x7F')],
        ClassAsciiKind::Digit => DIGIT,
        ClassAsciiKind::Graph => &[('!', '~')],
        ClassAsciiKind::Lower => &[('a', 'z')],
        ClassAsciiKind::Print => &[(' ', '~')],
        ClassAsciiKind::Punct => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        ClassAsciiKind::Space => SPACE,
        ClassAsciiKind::Upper => &[('A', 'Z')],
        ClassAsciiKind::Word => WORD,
        ClassAsciiKind::Xdigit => &[('0', '9'), ('A', 'F'), ('a', 'f')],
    }
}

/// Both cases of every ASCII letter; other characters with cases are refused.
fn add_other_case(ranges: &mut Vec<Range>, span: Span) -> Result<(), PatternProblem> {
    let mut others = Vec::new();
    for &(first, last) in ranges.iter() {
        if !last.is_ascii() {
            return refuse(span.start.offset, NOT_ASCII);
        }
        for (from, to, shift) in [('A', 'Z', 32_i16), ('a', 'z', -32)] {
            let (low, high) = (first.max(from), last.min(to));
            let moved = |c: char| u8::try_from(i16::try_from(u32::from(c)).ok()?.saturating_add(shift)).ok();
            if low <= high
                && let (Some(low), Some(high)) = (moved(low), moved(high))
            {
                others.push((char::from(low), char::from(high)));
            }
        }
    }
    ranges.extend(others);
    Ok(())
}

/// The same set, ascending, with gaps between the ranges.
fn merged(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut all: Vec<Range> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match all.last_mut() {
            Some((_, end)) if *end == char::MAX || first <= next(*end) => *end = (*end).max(last),
            _ => all.push((first, last)),
        }
    }
    all
}

/// Every other character.
fn complement(ranges: &[Range]) -> Vec<Range> {
    let mut rest = Vec::new();
    let mut from = Some('\0');
    for &(first, last) in ranges {
        if let Some(from) = from.filter(|from| *from < first) {
            rest.push((from, before(first)));
        }
        from = (last < char::MAX).then(|| next(last));
    }
    rest.extend(from.map(|from| (from, char::MAX)));
    rest
}

/// The next character; the last one stays.
fn next(c: char) -> char {
    (c..=char::MAX).nth(1).unwrap_or(c)
}

/// The character before; the first one stays.
fn before(c: char) -> char {
    ('\0'..=c).rev().nth(1).unwrap_or(c)
}
