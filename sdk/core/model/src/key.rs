//! Keys and ids, each a type of its own.

use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use crate::limits;

/// Why a text is no key of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing was given.
    #[error("a {what} may not be empty")]
    Empty {
        /// What was to be read, such as `flag key`.
        what: &'static str,
    },
    /// Longer than allowed.
    #[error("a {what} has at most {max} {unit}, this has {length}")]
    TooLong {
        /// What was to be read.
        what: &'static str,
        /// Length as given.
        length: usize,
        /// Greatest length.
        max: usize,
        /// What the lengths count.
        unit: &'static str,
    },
    /// A character outside the alphabet.
    #[error("{character:?} at byte {offset} may not stand in a {what} ({alphabet})")]
    Character {
        /// What was to be read.
        what: &'static str,
        /// The offending character.
        character: char,
        /// Its place, in bytes.
        offset: usize,
        /// The alphabet, as a pattern.
        alphabet: &'static str,
    },
}

impl KeyError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        "invalid-key"
    }
}

/// How one kind of key is spelled.
struct Spelling {
    what: &'static str,
    alphabet: &'static str,
    max: usize,
    unit: &'static str,
    length: fn(&str) -> usize,
    first: fn(char) -> bool,
    rest: fn(char) -> bool,
}

impl Spelling {
    fn check(&self, text: &str) -> Result<(), KeyError> {
        let what = self.what;
        if text.is_empty() {
            return Err(KeyError::Empty { what });
        }
        let length = (self.length)(text);
        if length > self.max {
            return Err(KeyError::TooLong { what, length, max: self.max, unit: self.unit });
        }
        let wrong = text.char_indices().find(|&(offset, character)| {
            let allowed = if offset == 0 { self.first } else { self.rest };
            !allowed(character)
        });
        match wrong {
            None => Ok(()),
            Some((offset, character)) => {
                Err(KeyError::Character { what, character, offset, alphabet: self.alphabet })
            }
        }
    }
}

const fn key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '@' | '|' | '+' | '~' | '-')
}

const fn alphanumeric(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

const fn id_start(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

const fn id_char(c: char) -> bool {
    id_start(c) || c == '-'
}

const fn variation_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '@' | '/' | ' ' | '-')
}

fn not_control(c: char) -> bool {
    !c.is_control()
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

const fn key_spelling(what: &'static str) -> Spelling {
    Spelling {
        what,
        alphabet: "[A-Za-z0-9][A-Za-z0-9._:@|+~-]*",
        max: limits::MAX_KEY_BYTES,
        unit: "bytes",
        length: str::len,
        first: alphanumeric,
        rest: key_char,
    }
}

const fn id_spelling(what: &'static str) -> Spelling {
    Spelling {
        what,
        alphabet: "[a-z0-9][a-z0-9-]*",
        max: limits::MAX_ID_BYTES,
        unit: "bytes",
        length: str::len,
        first: id_start,
        rest: id_char,
    }
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident = $spelling:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads one, or says what is wrong with it.
            pub fn parse(text: &str) -> Result<Self, KeyError> {
                const SPELLING: Spelling = $spelling;
                SPELLING.check(text)?;
                Ok(Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, shared.
            pub const fn as_arc(&self) -> &Arc<str> {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                Self::parse(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }
    )*};
}

keys! {
    /// The key of a flag: unique in its project, case-sensitive, immutable, never reused (FORMAT M-1.4).
    FlagKey = key_spelling("flag key");
    /// The key of a segment, unique in its environment.
    SegmentKey = key_spelling("segment key");
    /// The key of a list, unique in its environment.
    ListKey = key_spelling("list key");
    /// The id of a project.
    ProjectId = id_spelling("project id");
    /// The id of an environment.
    EnvironmentId = id_spelling("environment id");
    /// The id of a view.
    ViewId = id_spelling("view id");
    /// The key of a variation: the name of one of a flag's values (FORMAT M-2.1).
    VariationKey = Spelling {
        what: "variation key",
        alphabet: "[A-Za-z0-9][A-Za-z0-9._:@/ -]*",
        max: limits::MAX_VARIATION_KEY_BYTES,
        unit: "bytes",
        length: str::len,
        first: alphanumeric,
        rest: variation_char,
    };
    /// The id of a rule, unique in its flag and stable over edits (FORMAT M-1.5).
    RuleId = Spelling {
        what: "rule id",
        alphabet: "no control characters",
        max: limits::MAX_RULE_ID_CHARS,
        unit: "characters",
        length: chars,
        first: not_control,
        rest: not_control,
    };
}

impl ViewId {
    /// The view `server`: all flags, for SDKs that hold a key.
    pub fn server() -> Self {
        Self("server".into())
    }

    /// The view `client`: the client-visible flags, redacted, for everybody.
    pub fn client() -> Self {
        Self("client".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_take_their_alphabet_and_nothing_else() {
        for good in ["a", "A", "0", "new-cart", "a.b_c:d@e|f+g~h-i"] {
            assert_eq!(FlagKey::parse(good).unwrap().as_str(), good);
        }
        for bad in ["-a", ".a", "a/b", "a b", "ä", "a\n", "a\""] {
            assert!(matches!(FlagKey::parse(bad), Err(KeyError::Character { .. })), "{bad}");
        }
        assert_eq!(FlagKey::parse(""), Err(KeyError::Empty { what: "flag key" }));
    }

    #[test]
    fn a_key_of_128_bytes_is_read_and_one_of_129_is_not() {
        assert!(SegmentKey::parse(&"k".repeat(128)).is_ok());
        assert!(matches!(
            SegmentKey::parse(&"k".repeat(129)),
            Err(KeyError::TooLong { length: 129, max: 128, .. })
        ));
    }

    #[test]
    fn ids_are_lower_case_and_at_most_40_bytes() {
        assert!(EnvironmentId::parse(&"e".repeat(40)).is_ok());
        assert!(EnvironmentId::parse(&"e".repeat(41)).is_err());
        for bad in ["Production", "-a", "a_b", "a.b"] {
            assert!(EnvironmentId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn variation_keys_may_hold_spaces_and_slashes_but_not_first() {
        assert!(VariationKey::parse("A/B test 1").is_ok());
        assert!(VariationKey::parse("/a").is_err());
        assert!(VariationKey::parse(&"v".repeat(65)).is_err());
    }

    #[test]
    fn rule_ids_count_characters() {
        assert!(RuleId::parse(&"é".repeat(80)).is_ok());
        assert!(RuleId::parse(&"é".repeat(81)).is_err());
        assert!(RuleId::parse("a\u{7}").is_err());
    }
}
