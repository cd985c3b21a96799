//! The kernel of regular expressions (FORMAT M-4.7): what every engine reads alike.
#![deny(clippy::arithmetic_side_effects)]

use core::iter::Peekable;
use core::str::CharIndices;

/// Longest expression, in bytes.
pub const MAX_PATTERN_BYTES: usize = 512;
/// Most instructions of an expression, counted as [`Pattern::instructions`] says.
pub const MAX_PATTERN_INSTRUCTIONS: usize = 4_000;
/// Deepest nesting of groups.
pub const MAX_PATTERN_GROUPS: usize = 8;
/// Greatest number in `{n}`, `{n,}`, and `{n,m}`.
pub const MAX_PATTERN_REPEATS: usize = 255;
/// Most copies of anything that counts within counts make. Go, RE2, and RE2/J read no more.
pub const MAX_PATTERN_COPIES: usize = 1_000;
/// Longest subject, in bytes; a longer one is *unknown*.
pub const MAX_SUBJECT_BYTES: usize = 4_096;

/// Characters that stand for themselves only after a backslash.
pub const SPECIAL: &str = r"\.+*?()|[]{}^$";
/// The same within a class.
pub const SPECIAL_IN_CLASS: &str = r"\][^-";
/// Characters that no class holds: some engines read them, doubled, as operators of sets.
pub const NEVER_IN_CLASS: &str = "&~|";

/// An expression of the kernel.
///
/// ```
/// use flagstone_model::pattern::Pattern;
///
/// assert!(Pattern::parse("^(?:beta|rc)-[0-9]+$").is_ok());
/// assert_eq!(Pattern::parse(r"^\d+$").unwrap_err().at, 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    instructions: usize,
}

/// What makes a text no expression of the kernel, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {what}")]
pub struct PatternError {
    /// The byte at which the offending part begins.
    pub at: usize,
    /// What is wrong there.
    pub what: PatternFault,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternFault {
    /// Longer than an expression may be.
    #[error("an expression has at most {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    /// More instructions than an expression may have.
    #[error("an expression has at most {MAX_PATTERN_INSTRUCTIONS} instructions, repeats written out")]
    TooLarge,
    /// Groups within groups, too deep.
    #[error("groups nest at most {MAX_PATTERN_GROUPS} deep")]
    TooDeep,
    /// A backslash before a character that needs none, or stands for a class.
    #[error("after `\\` stands one of the characters that mean something here")]
    Escape,
    /// A special character without a backslash.
    #[error("this character needs a `\\` before it")]
    Unescaped,
    /// A group that is not `(?:…)`.
    #[error("a group is written `(?:…)`")]
    Group,
    /// A group or class without its end.
    #[error("this has no end")]
    Unclosed,
    /// An end of a group that did not begin.
    #[error("no group is open here")]
    Unopened,
    /// Nothing that could be repeated stands before a repeat.
    #[error("a repeat stands after a character, a class, or a group, and once")]
    Repeat,
    /// `{…}` of another shape.
    #[error(
        "a repeat is `{{n}}`, `{{n,}}`, or `{{n,m}}`, without leading zeros, n ≤ m ≤ {MAX_PATTERN_REPEATS}"
    )]
    Count,
    /// Counts within counts that multiply to too much.
    #[error("`{{…}}` within `{{…}}` makes at most {MAX_PATTERN_COPIES} copies")]
    TooManyCopies,
    /// A class that holds nothing.
    #[error("a class is not empty")]
    EmptyClass,
    /// A range of a class that runs backwards.
    #[error("a range of a class does not run backwards")]
    Backwards,
    /// One of `&`, `~`, `|` in a class.
    #[error("a class holds no `&`, `~`, `|`: engines differ on them")]
    NeverInClass,
}

impl Pattern {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// Where the text leaves the kernel, or one of the limits of this module.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN_BYTES {
            let at = text.floor_char_boundary(MAX_PATTERN_BYTES);
            return Err(PatternError { at, what: PatternFault::TooLong });
        }
        let mut parser = Parser { rest: text.char_indices().peekable() };
        let Size { instructions, .. } = parser.alternatives(0)?;
        if let Some(&(at, _)) = parser.rest.peek() {
            return Err(PatternError { at, what: PatternFault::Unopened });
        }
        // The last instruction says that it matched.
        let instructions = instructions.saturating_add(1);
        if instructions > MAX_PATTERN_INSTRUCTIONS {
            return Err(PatternError { at: 0, what: PatternFault::TooLarge });
        }
        Ok(Self { text: text.into(), instructions })
    }

    /// The expression as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many instructions a Thompson machine of it has.
    ///
    /// A character, `.`, `^`, and `$` are one each, a class as many as the characters and ranges it is written with;
    /// `|` adds two, `?` and `+` one, `*` two. `x{n,m}` is n times `x` and m−n times `x?`, `x{n,}` n times `x` and one
    /// `x*`. The end is one.
    pub const fn instructions(&self) -> usize {
        self.instructions
    }
}

struct Parser<'t> {
    rest: Peekable<CharIndices<'t>>,
}

type Parsed<T> = Result<T, PatternError>;

fn fault<T>(at: usize, what: PatternFault) -> Parsed<T> {
    Err(PatternError { at, what })
}

/// How much an expression is.
#[derive(Debug, Clone, Copy)]
struct Size {
    instructions: usize,
    /// The greatest product of counts on a way from its outside to a character.
    copies: usize,
}

impl Size {
    const fn of(instructions: usize) -> Self {
        Self { instructions, copies: 1 }
    }

    fn beside(self, other: Self) -> Self {
        Self {
            instructions: self.instructions.saturating_add(other.instructions),
            copies: self.copies.max(other.copies),
        }
    }
}

/// What stands before a place: whether it can be repeated, and its size.
#[derive(Clone, Copy)]
enum Atom {
    Repeatable(Size),
    Anchor,
}

impl Parser<'_> {
    /// Up to the end of the group, or of the text.
    fn alternatives(&mut self, depth: usize) -> Parsed<Size> {
        let mut sum = self.sequence(depth)?;
        while self.rest.next_if(|(_, c)| *c == '|').is_some() {
            sum = sum.beside(Size::of(2)).beside(self.sequence(depth)?);
        }
        Ok(sum)
    }

    fn sequence(&mut self, depth: usize) -> Parsed<Size> {
        let mut sum = Size::of(0);
        while let Some((at, c)) = self.rest.next_if(|(_, c)| !matches!(c, '|' | ')')) {
            let atom = self.atom(at, c, depth)?;
            sum = sum.beside(self.repeated(atom)?);
        }
        Ok(sum)
    }

    fn atom(&mut self, at: usize, c: char, depth: usize) -> Parsed<Atom> {
        match c {
            '^' | '$' => Ok(Atom::Anchor),
            '(' => self.group(at, depth).map(Atom::Repeatable),
            '[' => self.class(at).map(Atom::Repeatable),
            '\\' => match self.rest.next() {
                Some((_, escaped)) if SPECIAL.contains(escaped) => Ok(Atom::Repeatable(Size::of(1))),
                _ => fault(at, PatternFault::Escape),
            },
            '*' | '+' | '?' | '{' => fault(at, PatternFault::Repeat),
            ']' | '}' => fault(at, PatternFault::Unescaped),
            _ => Ok(Atom::Repeatable(Size::of(1))),
        }
    }

    fn group(&mut self, at: usize, depth: usize) -> Parsed<Size> {
        let depth = depth.saturating_add(1);
        if depth > MAX_PATTERN_GROUPS {
            return fault(at, PatternFault::TooDeep);
        }
        for wanted in ['?', ':'] {
            if self.rest.next_if(|(_, c)| *c == wanted).is_none() {
                return fault(at, PatternFault::Group);
            }
        }
        let size = self.alternatives(depth)?;
        match self.rest.next() {
            Some((_, ')')) => Ok(size),
            _ => fault(at, PatternFault::Unclosed),
        }
    }

    /// After `[`, up to and with `]`.
    fn class(&mut self, start: usize) -> Parsed<Size> {
        // `[^` negates; elsewhere in a class `^` stands after a backslash.
        self.rest.next_if(|(_, c)| *c == '^');
        let mut members = 0_usize;
        loop {
            let Some(first) = self.class_character(start)? else {
                return match members {
                    0 => fault(start, PatternFault::EmptyClass),
                    _ => Ok(Size::of(members)),
                };
            };
            members = members.saturating_add(1);
            let Some((dash, _)) = self.rest.next_if(|(_, c)| *c == '-') else { continue };
            match self.class_character(start)? {
                Some(last) if first <= last => {}
                Some(_) => return fault(dash, PatternFault::Backwards),
                None => return fault(dash, PatternFault::Unescaped),
            }
        }
    }

    /// A character of a class; `None` at its end.
    fn class_character(&mut self, start: usize) -> Parsed<Option<char>> {
        match self.rest.next() {
            None => fault(start, PatternFault::Unclosed),
            Some((_, ']')) => Ok(None),
            Some((at, '\\')) => match self.rest.next() {
                Some((_, escaped)) if SPECIAL_IN_CLASS.contains(escaped) => Ok(Some(escaped)),
                _ => fault(at, PatternFault::Escape),
            },
            Some((at, c)) if SPECIAL_IN_CLASS.contains(c) => fault(at, PatternFault::Unescaped),
            Some((at, c)) if NEVER_IN_CLASS.contains(c) => fault(at, PatternFault::NeverInClass),
            Some((_, c)) => Ok(Some(c)),
        }
    }

    /// The size of an atom with the repeat after it, if there is one.
    fn repeated(&mut self, atom: Atom) -> Parsed<Size> {
        let Some((at, sign)) = self.rest.next_if(|(_, c)| matches!(c, '*' | '+' | '?' | '{')) else {
            return Ok(match atom {
                Atom::Repeatable(size) => size,
                Atom::Anchor => Size::of(1),
            });
        };
        let Atom::Repeatable(Size { instructions: one, copies }) = atom else {
            return fault(at, PatternFault::Repeat);
        };
        let (instructions, count) = match sign {
            '*' => (one.saturating_add(2), 1),
            '+' | '?' => (one.saturating_add(1), 1),
            _ => match self.counts(at)? {
                (least, None) => (one.saturating_mul(least).saturating_add(one.saturating_add(2)), least),
                (least, Some(most)) => {
                    let optional = one.saturating_add(1).saturating_mul(most.saturating_sub(least));
                    (one.saturating_mul(least).saturating_add(optional), most)
                }
            },
        };
        // RE2 looks into what is repeated zero times, as if it stood there once.
        let copies = copies.saturating_mul(count.max(1));
        if copies > MAX_PATTERN_COPIES {
            return fault(at, PatternFault::TooManyCopies);
        }
        match self.rest.peek() {
            Some(&(at, '*' | '+' | '?' | '{')) => fault(at, PatternFault::Repeat),
            _ => Ok(Size { instructions, copies }),
        }
    }

    /// After `{`: the least, and the most if there is one.
    fn counts(&mut self, at: usize) -> Parsed<(usize, Option<usize>)> {
        let least = self.count(at)?;
        let most = match self.rest.next() {
            Some((_, '}')) => return Ok((least, Some(least))),
            Some((_, ',')) if self.rest.next_if(|(_, c)| *c == '}').is_some() => return Ok((least, None)),
            Some((_, ',')) => self.count(at)?,
            _ => return fault(at, PatternFault::Count),
        };
        match self.rest.next() {
            Some((_, '}')) if least <= most => Ok((least, Some(most))),
            _ => fault(at, PatternFault::Count),
        }
    }

    fn count(&mut self, at: usize) -> Parsed<usize> {
        let mut count: Option<usize> = None;
        while let Some((_, digit)) = self.rest.next_if(|(_, c)| c.is_ascii_digit()) {
            if count == Some(0) {
                return fault(at, PatternFault::Count);
            }
            let digit = digit.to_digit(10).map_or(0, |digit| digit as usize);
            count = Some(count.unwrap_or(0).saturating_mul(10).saturating_add(digit));
        }
        match count {
            Some(count) if count <= MAX_PATTERN_REPEATS => Ok(count),
            _ => fault(at, PatternFault::Count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_read() {
        for text in [
            "",
            "a",
            "ä|ö",
            "a|",
            "|",
            "(?:)",
            "^a.b$",
            "[a-z0-9_]+@[^@]{1,64}",
            r"\.\+\*\?\(\)\|\[\]\{\}\^\$\\",
            r"[\]\[\^\-\\.+*?(){}$]",
            "(?:a|(?:b|c){2}){0,3}",
            "a{0}b{255}c{1,}d{0,255}",
            "x-y",
            "a&~b",
            "[ -/:-@]",
            "\u{2028}",
            "[\n\t]",
            "(?:^a|b$)*",
        ] {
            assert!(Pattern::parse(text).is_ok(), "{text} {:?}", Pattern::parse(text));
        }
    }

    #[test]
    fn what_leaves_the_kernel_is_refused_where_it_does() {
        use PatternFault as F;
        for (text, at, what) in [
            (r"a\d", 1, F::Escape),
            (r"\", 0, F::Escape),
            (r"\-", 0, F::Escape),
            (r"\n", 0, F::Escape),
            ("a]", 1, F::Unescaped),
            ("a}", 1, F::Unescaped),
            ("(a)", 0, F::Group),
            ("(?i)a", 0, F::Group),
            ("(?=a)", 0, F::Group),
            ("(?P<n>a)", 0, F::Group),
            ("(?:a", 0, F::Unclosed),
            ("x[a", 1, F::Unclosed),
            ("a)", 1, F::Unopened),
            ("*a", 0, F::Repeat),
            ("a**", 2, F::Repeat),
            ("a+?", 2, F::Repeat),
            ("a{2}{3}", 4, F::Repeat),
            ("a|*", 2, F::Repeat),
            ("^*", 1, F::Repeat),
            ("$?", 1, F::Repeat),
            ("(?:+a)", 3, F::Repeat),
            ("a{", 1, F::Count),
            ("a{,3}", 1, F::Count),
            ("a{01}", 1, F::Count),
            ("a{00}", 1, F::Count),
            ("a{256}", 1, F::Count),
            ("a{1,256}", 1, F::Count),
            ("a{3,2}", 1, F::Count),
            ("a{ 1}", 1, F::Count),
            ("[]", 0, F::EmptyClass),
            ("[^]", 0, F::EmptyClass),
            ("[z-a]", 2, F::Backwards),
            ("[a-]", 2, F::Unescaped),
            ("[-a]", 1, F::Unescaped),
            ("[a^]", 2, F::Unescaped),
            ("[[:alpha:]]", 1, F::Unescaped),
            ("[a&b]", 2, F::NeverInClass),
            ("[~]", 1, F::NeverInClass),
            ("[a|b]", 2, F::NeverInClass),
            (r"[\d]", 1, F::Escape),
            (r"[\.]", 1, F::Escape),
        ] {
            assert_eq!(Pattern::parse(text), Err(PatternError { at, what }), "{text}");
        }
    }

    #[test]
    fn every_limit_holds_at_its_edge() {
        assert!(Pattern::parse(&"a".repeat(MAX_PATTERN_BYTES)).is_ok());
        let long = Pattern::parse(&"a".repeat(MAX_PATTERN_BYTES + 1)).unwrap_err();
        assert_eq!((long.at, long.what), (MAX_PATTERN_BYTES, PatternFault::TooLong));

        let nested = |depth| format!("{}a{}", "(?:".repeat(depth), ")".repeat(depth));
        assert!(Pattern::parse(&nested(MAX_PATTERN_GROUPS)).is_ok());
        let deep = Pattern::parse(&nested(MAX_PATTERN_GROUPS + 1)).unwrap_err();
        assert_eq!((deep.at, deep.what), (24, PatternFault::TooDeep));

        // 3 999 characters and the end; one more is too many.
        let at_limit = format!("{}{}", "(?:a{250}){4}".repeat(3), "a{250}".repeat(3) + "a{249}");
        assert_eq!(Pattern::parse(&at_limit).unwrap().instructions(), MAX_PATTERN_INSTRUCTIONS);
        let over = Pattern::parse(&format!("{at_limit}a")).unwrap_err();
        assert_eq!(over.what, PatternFault::TooLarge);
        // A class is as large as it is written.
        assert!(Pattern::parse("[a-cxyz0-9]{255}[a-cxyz0-9]{255}[a-cxyz0-9]{255}[ab]{87}").is_ok());
        let wide = Pattern::parse("[a-cxyz0-9]{255}[a-cxyz0-9]{255}[a-cxyz0-9]{255}[ab]{88}").unwrap_err();
        assert_eq!((wide.at, wide.what), (0, PatternFault::TooLarge));
    }

    #[test]
    fn counts_within_counts_multiply_to_at_most_a_thousand() {
        for text in [
            "(?:a{250}){4}",
            "(?:a{4}){250}",
            "(?:(?:a{10}){10}){10}",
            "(?:a{250,}){4,}",
            "(?:a{0,250}){0,4}",
            "(?:(?:a{255,}b){3})*",
            "(?:a{255}|b{200}){3}a{255}b{255}c{255}",
            "(?:(?:a*){255}b+)+",
            "(?:(?:a{0}){250}){4}",
            "(?:(?:a{1}){250}){4}",
            "(?:(?:a{0,}){250}){4}",
        ] {
            assert!(Pattern::parse(text).is_ok(), "{text} {:?}", Pattern::parse(text));
        }
        for (text, at) in [
            ("(?:a{91}){11}", 9),
            ("(?:a{11}){91}", 9),
            ("b(?:(?:a{7}){11}){13}", 17),
            ("(?:a{91,}){11,}", 10),
            ("(?:a{0,91}){0,11}", 11),
            ("(?:(?:a{91,}b|c)*d){11}", 19),
            ("(?:a|b(?:c{91})?){11}", 17),
            ("(?:(?:){91}){11}", 12),
            // In what stands there zero times, too.
            ("(?:(?:a{91}){0}){11}", 16),
            ("(?:(?:a{91}){11}){0}", 12),
            ("(?:(?:(?:(?:(?:(?:(?:(?:a){255}){255}){255}){255}){255}){255}){255}){255}", 32),
        ] {
            let what = PatternFault::TooManyCopies;
            assert_eq!(Pattern::parse(text), Err(PatternError { at, what }), "{text}");
        }
    }

    #[test]
    fn instructions_are_counted_as_a_machine_has_them() {
        for (text, instructions) in [
            ("", 1),
            ("a", 2),
            ("ab", 3),
            ("a|b", 5),
            ("a*", 4),
            ("a+", 3),
            ("a?", 3),
            ("a{2,4}", 7),
            ("a{2,}", 6),
            ("^[a-z]$", 4),
            (r"[a-z0-9_\-]", 5),
            ("[^a-z0]{2}", 5),
            ("(?:[ab]|.)*", 8),
        ] {
            assert_eq!(Pattern::parse(text).unwrap().instructions(), instructions, "{text}");
        }
    }
}
