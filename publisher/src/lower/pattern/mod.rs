//! Regular expressions as people write them → the kernel that every engine reads alike (FORMAT M-4.7).
//!
//! What has one meaning everywhere is rewritten: `\d`, `\w`, `\s` to their ASCII classes, captures to plain groups,
//! lazy repeats to greedy ones (whether something is found does not depend on it), `(?i)` to both cases of ASCII
//! letters, `(?s)` to a dot that also takes a line break. The rest is refused, with its place and what to write instead.

mod class;

use flagstone_model::pattern::{MAX_PATTERN_BYTES, MAX_PATTERN_COPIES, Pattern, SPECIAL};
use regex_syntax::ast::{
    self, AssertionKind, Ast, Flag, Flags, FlagsItemKind, GroupKind, RepetitionKind, RepetitionRange, Span,
};

use class::Class;

/// Deepest nesting of an expression that is read.
const MAX_NESTING: u32 = 64;

/// Why an expression can not be lowered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {what}")]
pub struct PatternProblem {
    /// The byte of the author's text where the offending part begins.
    pub at: usize,
    /// What is wrong there, and what works instead.
    pub what: String,
}

/// Lowers an expression; one of the kernel stays as it is written.
///
/// # Errors
///
/// If it is no regular expression, if a part of it means different things to different engines, or if the outcome is
/// over a limit of the kernel.
pub fn lower_pattern(text: &str) -> Result<Pattern, PatternProblem> {
    if text.len() > MAX_PATTERN_BYTES {
        return refuse(
            text.floor_char_boundary(MAX_PATTERN_BYTES),
            format!("an expression has at most {MAX_PATTERN_BYTES} bytes"),
        );
    }
    if let Ok(kernel) = Pattern::parse(text) {
        return Ok(kernel);
    }
    let mut parser = ast::parse::ParserBuilder::new().nest_limit(MAX_NESTING).build();
    let ast = parser
        .parse(text)
        .map_err(|error| PatternProblem { at: error.span().start.offset, what: explain(error.kind()) })?;
    let mut kernel = String::new();
    Writer { out: &mut kernel }.write(&ast, &mut Mode::default())?;
    Pattern::parse(&kernel)
        .map_err(|error| PatternProblem { at: 0, what: format!("lowered to `{kernel}`, {}", error.what) })
}

fn refuse<T>(at: usize, what: impl Into<String>) -> Result<T, PatternProblem> {
    Err(PatternProblem { at, what: what.into() })
}

/// What the parser says, and for what some engines have and others do not, a way out.
fn explain(kind: &ast::ErrorKind) -> String {
    match kind {
        ast::ErrorKind::UnsupportedBackreference => {
            "back-references are not supported: no engine finds them in linear time".to_owned()
        }
        ast::ErrorKind::UnsupportedLookAround => {
            "look-around is not supported: write two conditions, one of them under `not`".to_owned()
        }
        other => other.to_string(),
    }
}

/// The flags in force.
#[derive(Debug, Clone, Copy, Default)]
struct Mode {
    /// `(?i)`
    any_case: bool,
    /// `(?s)`
    dot_takes_line_breaks: bool,
}

impl Mode {
    fn set(&mut self, flags: &Flags) -> Result<(), PatternProblem> {
        let mut on = true;
        for item in &flags.items {
            let at = item.span.start.offset;
            match item.kind {
                FlagsItemKind::Negation => on = false,
                FlagsItemKind::Flag(Flag::CaseInsensitive) => self.any_case = on,
                FlagsItemKind::Flag(Flag::DotMatchesNewLine) => self.dot_takes_line_breaks = on,
                FlagsItemKind::Flag(Flag::MultiLine) => {
                    return refuse(
                        at,
                        "the flag `m` is not supported: `^` and `$` are the ends of the whole text",
                    );
                }
                FlagsItemKind::Flag(_) => return refuse(at, "only the flags `i` and `s` are supported"),
            }
        }
        Ok(())
    }
}

struct Writer<'o> {
    out: &'o mut String,
}

impl Writer<'_> {
    /// Writes an expression, and tells how many copies of something counts within counts make in it. Flags that it sets
    /// hold for what follows in the same group.
    fn write(&mut self, ast: &Ast, mode: &mut Mode) -> Result<usize, PatternProblem> {
        match ast {
            Ast::Group(group) => return self.group(group, *mode),
            Ast::Repetition(repetition) => return self.repetition(repetition, *mode),
            Ast::Alternation(alternation) => {
                let mut copies = 1;
                for (index, ast) in alternation.asts.iter().enumerate() {
                    if index > 0 {
                        self.out.push('|');
                    }
                    copies = self.write(ast, mode)?.max(copies);
                }
                return Ok(copies);
            }
            Ast::Concat(concat) => {
                return concat.asts.iter().try_fold(1, |copies, ast| Ok(self.write(ast, mode)?.max(copies)));
            }
            Ast::Flags(set) => mode.set(&set.flags)?,
            single => self.write_single(single, *mode)?,
        }
        Ok(1)
    }

    /// Writes what has no parts.
    fn write_single(&mut self, ast: &Ast, mode: Mode) -> Result<(), PatternProblem> {
        match ast {
            Ast::Literal(literal) => self.character(literal.c, literal.span, mode),
            Ast::Dot(_) if mode.dot_takes_line_breaks => {
                self.out.push_str("(?:.|\n)");
                Ok(())
            }
            Ast::Dot(_) => {
                self.out.push('.');
                Ok(())
            }
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine | AssertionKind::StartText => {
                    self.out.push('^');
                    Ok(())
                }
                AssertionKind::EndLine | AssertionKind::EndText => {
                    self.out.push('$');
                    Ok(())
                }
                _ => refuse(
                    assertion.span.start.offset,
                    "word boundaries are not supported: engines differ on what a word is; write `(?:^|[^0-9A-Za-z_])`",
                ),
            },
            Ast::ClassUnicode(class) => refuse(class.span.start.offset, UNICODE_CLASS),
            Ast::ClassPerl(class) => {
                Class::perl(class).write(self.out);
                Ok(())
            }
            Ast::ClassBracketed(class) => {
                Class::bracketed(class, mode)?.write(self.out);
                Ok(())
            }
            // What has parts is written above.
            _ => Ok(()),
        }
    }

    fn character(&mut self, c: char, span: Span, mode: Mode) -> Result<(), PatternProblem> {
        if !mode.any_case || !c.is_alphabetic() {
            if SPECIAL.contains(c) {
                self.out.push('\\');
            }
            self.out.push(c);
            return Ok(());
        }
        if !c.is_ascii() {
            return refuse(span.start.offset, NOT_ASCII);
        }
        self.out.extend(['[', c.to_ascii_uppercase(), c.to_ascii_lowercase(), ']']);
        Ok(())
    }

    fn group(&mut self, group: &ast::Group, mode: Mode) -> Result<usize, PatternProblem> {
        let mut inside = mode;
        if let GroupKind::NonCapturing(flags) = &group.kind {
            inside.set(flags)?;
        }
        self.out.push_str("(?:");
        let copies = self.write(&group.ast, &mut inside)?;
        self.out.push(')');
        Ok(copies)
    }

    fn repetition(&mut self, repetition: &ast::Repetition, mode: Mode) -> Result<usize, PatternProblem> {
        let at = repetition.op.span.start.offset;
        let copies = match &*repetition.ast {
            Ast::Assertion(_) | Ast::Empty(_) | Ast::Flags(_) => {
                return refuse(at, "there is nothing to repeat before this");
            }
            Ast::Repetition(inner) => {
                self.out.push_str("(?:");
                let copies = self.repetition(inner, mode)?;
                self.out.push(')');
                copies
            }
            other => self.write(other, &mut { mode })?,
        };
        let count = match repetition.op.kind {
            RepetitionKind::Range(
                RepetitionRange::Exactly(count)
                | RepetitionRange::AtLeast(count)
                | RepetitionRange::Bounded(_, count),
            ) => count as usize,
            _ => 1,
        };
        let copies = copies.saturating_mul(count.max(1));
        if copies > MAX_PATTERN_COPIES {
            return refuse(
                at,
                format!(
                    "a count within a count makes at most {MAX_PATTERN_COPIES} copies, more are refused by some engines: \
                     write them beside each other, such as `(?:x{{100}}){{10}}x{{100}}`"
                ),
            );
        }
        let sign = match repetition.op.kind {
            RepetitionKind::ZeroOrOne => "?".to_owned(),
            RepetitionKind::ZeroOrMore => "*".to_owned(),
            RepetitionKind::OneOrMore => "+".to_owned(),
            RepetitionKind::Range(RepetitionRange::Exactly(times)) => format!("{{{times}}}"),
            RepetitionKind::Range(RepetitionRange::AtLeast(least)) => format!("{{{least},}}"),
            RepetitionKind::Range(RepetitionRange::Bounded(least, most)) => format!("{{{least},{most}}}"),
        };
        self.out.push_str(&sign);
        Ok(copies)
    }
}

const UNICODE_CLASS: &str =
    "Unicode classes are not supported: their tables differ between engines; write the characters or ranges";
const NOT_ASCII: &str =
    "`(?i)` takes ASCII letters only: engines differ on the cases of others; write both, such as `[Ää]`";

#[cfg(test)]
mod tests;
