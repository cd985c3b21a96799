//! Ranges of versions as people write them → comparators (FORMAT M-4.6).

use std::fmt;

use flagstone_model::version::{MAX_COMPARATORS, MAX_VERSION_DIGITS, VersionRange};

/// Why a text is no range of versions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionProblem {
    /// A part of it is none of the forms.
    #[error(
        "`{part}` is none of `1.2.3`, `1.2`, `1.x`, `^1.2`, `~1.2`, `=1.2.3`, `<1.2.3`, `<=1.2.3`, `>1.2.3`, `>=1.2.3`"
    )]
    Part {
        /// Which part.
        part: String,
    },
    /// Tools differ on what it means.
    #[error("`{part}` means different things to different tools: write all three numbers")]
    Partial {
        /// Which part.
        part: String,
    },
    /// More comparators than a range has.
    #[error("a range has at most {MAX_COMPARATORS} comparators, this becomes {count}")]
    TooMany {
        /// How many it would have.
        count: usize,
    },
}

/// Lowers a range: parts with spaces between them, or a comma before a sign, all of which a version has to meet.
/// Spaces may stand after a sign.
///
/// | Written | Lowered |
/// |---|---|
/// | `1.2.3` | `=1.2.3` |
/// | `1.2`, `1.2.x` | `>=1.2.0-0 <1.3.0-0` |
/// | `^1.2.3` | `>=1.2.3 <2.0.0-0`: up to the next change of the first number that is not 0 |
/// | `^2` | `>=2.0.0-0 <3.0.0-0` |
/// | `~1.2.3` | `>=1.2.3 <1.3.0-0`; `~1` is `1.x` |
/// | `>=1.2`, `<2` | `>=1.2.0`, `<2.0.0` |
///
/// `-0` is the least pre-release: a range that ends below `3.0.0-0` has no pre-release of 3.0.0.
///
/// # Errors
///
/// [`VersionProblem::Partial`] for `>1.2`, `<=1.2`, and `=1.2`.
pub fn lower_version(text: &str) -> Result<String, VersionProblem> {
    let mut comparators = Vec::new();
    for part in parts(text) {
        comparators.extend(lower_part(&part)?);
    }
    if comparators.len() > MAX_COMPARATORS {
        return Err(VersionProblem::TooMany { count: comparators.len() });
    }
    let lowered = comparators.join(" ");
    match VersionRange::parse(&lowered) {
        Ok(_) => Ok(lowered),
        Err(_) => Err(VersionProblem::Part { part: text.to_owned() }),
    }
}

const SIGNS: [&str; 7] = ["<=", ">=", "=", "<", ">", "^", "~"];

/// The parts of a range. What stands wrongly around a comma is a part that is refused.
fn parts(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for (index, piece) in text.split(',').enumerate() {
        // Elsewhere a comma might mean "or", as it does to some tools.
        if index > 0 && !begins_with_sign(piece.trim_start()) || piece.trim().is_empty() {
            parts.push(format!(",{piece}"));
            continue;
        }
        for word in piece.split_whitespace() {
            match parts.last_mut() {
                Some(last) if SIGNS.contains(&last.as_str()) && !begins_with_sign(word) => {
                    last.push_str(word);
                }
                _ => parts.push(word.to_owned()),
            }
        }
    }
    parts
}

fn begins_with_sign(text: &str) -> bool {
    SIGNS.iter().any(|sign| text.starts_with(sign))
}

fn lower_part(part: &str) -> Result<Vec<String>, VersionProblem> {
    let bad = || VersionProblem::Part { part: part.to_owned() };
    let (sign, version) =
        SIGNS.into_iter().find_map(|sign| Some((sign, part.strip_prefix(sign)?))).unwrap_or(("", part));
    let written = Written::parse(version).ok_or_else(bad)?;
    let first = written.first();
    let range = |after: Option<Core>| {
        let after = after.ok_or_else(bad)?;
        Ok(vec![format!(">={first}"), format!("<{after}-0")])
    };
    match (sign, written.is_full()) {
        ("", true) => Ok(vec![format!("={first}")]),
        ("" | "~", _) => range(written.after_minor()),
        ("^", _) => range(written.after_compatible()),
        (_, true) => Ok(vec![format!("{sign}{first}")]),
        (">=" | "<", false) => Ok(vec![format!("{sign}{}", written.core)]),
        _ => Err(VersionProblem::Partial { part: part.to_owned() }),
    }
}

/// The three numbers.
#[derive(Debug, Clone, Copy)]
struct Core(u64, u64, u64);

impl fmt::Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A version that may end early.
struct Written<'t> {
    core: Core,
    /// How many of the three numbers are written: 1 to 3.
    count: usize,
    pre: Option<&'t str>,
}

impl<'t> Written<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let (numbers, pre) = match text.split_once('-') {
            Some((numbers, pre)) => (numbers, Some(pre)),
            None => (text, None),
        };
        let mut parts = numbers.split('.').collect::<Vec<_>>();
        if parts.len() > 3 {
            return None;
        }
        while parts.len() > 1 && parts.last().is_some_and(|part| matches!(*part, "x" | "X" | "*")) {
            parts.pop();
        }
        let numbers: Vec<u64> = parts.iter().map(|part| number(part)).collect::<Option<_>>()?;
        let at = |index: usize| numbers.get(index).copied().unwrap_or(0);
        let count = numbers.len();
        (count == 3 || pre.is_none()).then(|| Self { core: Core(at(0), at(1), at(2)), count, pre })
    }

    const fn is_full(&self) -> bool {
        self.count == 3
    }

    /// The least version that is meant.
    fn first(&self) -> String {
        match self.pre {
            Some(pre) => format!("{}-{pre}", self.core),
            None if self.is_full() => self.core.to_string(),
            None => format!("{}-0", self.core),
        }
    }

    /// The first version of the next minor number, or of the next major one if only that is written.
    fn after_minor(&self) -> Option<Core> {
        let Core(major, minor, _) = self.core;
        if self.count == 1 {
            Some(Core(major.checked_add(1)?, 0, 0))
        } else {
            Some(Core(major, minor.checked_add(1)?, 0))
        }
    }

    /// The first version that may break: the next one of the first number that is not 0, or of the last one written.
    fn after_compatible(&self) -> Option<Core> {
        match (self.core, self.count) {
            (Core(0, 0, patch), 3) => Some(Core(0, 0, patch.checked_add(1)?)),
            (Core(0, minor, _), 2..) => Some(Core(0, minor.checked_add(1)?, 0)),
            (Core(major, ..), _) => Some(Core(major.checked_add(1)?, 0, 0)),
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty()
        && text.len() <= MAX_VERSION_DIGITS
        && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_becomes_comparators() {
        for (written, lowered) in [
            ("1.2.3", "=1.2.3"),
            ("=1.2.3-rc.1", "=1.2.3-rc.1"),
            ("1.2", ">=1.2.0-0 <1.3.0-0"),
            ("1.x", ">=1.0.0-0 <2.0.0-0"),
            ("1.2.*", ">=1.2.0-0 <1.3.0-0"),
            ("1", ">=1.0.0-0 <2.0.0-0"),
            ("^2", ">=2.0.0-0 <3.0.0-0"),
            ("^2.4", ">=2.4.0-0 <3.0.0-0"),
            ("^2.4.1", ">=2.4.1 <3.0.0-0"),
            ("^2.4.1-rc.1", ">=2.4.1-rc.1 <3.0.0-0"),
            ("^0.2.3", ">=0.2.3 <0.3.0-0"),
            ("^0.0.3", ">=0.0.3 <0.0.4-0"),
            ("^0.0", ">=0.0.0-0 <0.1.0-0"),
            ("^0", ">=0.0.0-0 <1.0.0-0"),
            ("~1.2.3", ">=1.2.3 <1.3.0-0"),
            ("~1.2", ">=1.2.0-0 <1.3.0-0"),
            ("~1", ">=1.0.0-0 <2.0.0-0"),
            (">=1.2 <2", ">=1.2.0 <2.0.0"),
            ("  >=2.4.0   <3.0.0 ", ">=2.4.0 <3.0.0"),
            (">1.2.3 <=2.0.0", ">1.2.3 <=2.0.0"),
            (">= 1.2,< 2", ">=1.2.0 <2.0.0"),
            (">=2.4.0, <3.0.0", ">=2.4.0 <3.0.0"),
            ("^ 1.2.3  , <1.5", ">=1.2.3 <2.0.0-0 <1.5.0"),
        ] {
            assert_eq!(lower_version(written).as_deref(), Ok(lowered), "{written}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "x",
            "v1",
            "1.2.3.4",
            "01",
            "^",
            ">=",
            "1.2-rc",
            "a.b.c",
            "1.2.3-01",
            "1.x.3",
            "1,2",
            "!=1.2.3",
            "1.2.3+b",
            "||",
            "1.2.3, 1.3.0",
            ",",
            ">=1,",
            ",>=1.2.3",
            "1 || 2",
            "> = 1",
        ] {
            assert!(matches!(lower_version(text), Err(VersionProblem::Part { .. })), "{text}");
        }
        for text in [">1.2", "<=1", "=1.2"] {
            assert!(matches!(lower_version(text), Err(VersionProblem::Partial { .. })), "{text}");
        }
        assert_eq!(lower_version("^1 ^2 >3.0.0"), Err(VersionProblem::TooMany { count: 5 }));
        assert!(lower_version("^1 ^2").is_ok());
    }
}
