//! Why a line can not stand in a public view, and what to do about it.

use core::fmt;

/// Longest value of a client-visible flag, in bytes of its canonical JSON.
pub const MAX_CLIENT_VALUE_BYTES: usize = 16_000;
/// Shortest operand of `starts` and `ends` on a hashed attribute, in bytes: what is shorter is guessed at once.
pub const MIN_HASHED_BYTES: usize = 4;

/// One thing that a public view can not show (FORMAT M-9.4).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Unfit {
    /// A test on an attribute that is private.
    PrivateAttribute {
        /// The attribute.
        path: String,
        /// The first test.
        test: String,
    },
    /// An exposure would carry the value of an attribute that was declared private.
    PrivateUnit {
        /// The attribute.
        path: String,
        /// The rule that records exposures.
        rule: String,
    },
    /// A list: lists are not published to clients.
    Listed {
        /// The attribute.
        path: String,
    },
    /// A test that has no hashed form, on a hashed attribute.
    NotHashable {
        /// The attribute.
        path: String,
        /// The test.
        test: String,
    },
    /// Two tests on one hashed attribute, which have no hashed form together.
    Together {
        /// The attribute.
        path: String,
        /// One of them.
        test: String,
        /// The other.
        other: String,
    },
    /// Numbers for people, which hashing does not hide.
    NumberedKey {
        /// The attribute.
        path: String,
    },
    /// An operand so short that its hash tells it.
    ShortOperand {
        /// The attribute.
        path: String,
        /// The test.
        test: String,
        /// Bytes of the operand.
        bytes: usize,
    },
    /// A condition on a flag that is not client-visible.
    HiddenFlag {
        /// The other flag.
        flag: String,
    },
    /// A value that is too large.
    LargeValue {
        /// Its variation.
        variation: String,
        /// Bytes of it.
        bytes: usize,
    },
    /// What hashing adds would nest conditions too deep.
    Nesting {
        /// How deep.
        depth: usize,
    },
    /// What hashing adds would make too many conditions.
    Leaves {
        /// How many.
        leaves: usize,
    },
    /// What hashing adds would make the line too long.
    LongLine {
        /// Bytes of it.
        bytes: usize,
        /// Most bytes.
        max: usize,
    },
    /// A part that this release does not know how to redact.
    NotUnderstood {
        /// Its member.
        member: String,
    },
}

impl Unfit {
    /// The attribute that it is about, and the test on it.
    pub fn test(&self) -> Option<(&str, Option<&str>)> {
        match self {
            Self::PrivateAttribute { path, test }
            | Self::NotHashable { path, test }
            | Self::Together { path, test, .. }
            | Self::ShortOperand { path, test, .. } => Some((path, Some(test))),
            Self::Listed { path } => Some((path, Some("listed"))),
            Self::NumberedKey { path } => Some((path, Some("in"))),
            Self::PrivateUnit { path, .. } => Some((path, None)),
            _ => None,
        }
    }
}

/// The reason, and the remedy behind a semicolon.
impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrivateAttribute { path, test } => write!(
                f,
                "`{test}` tests `{path}`, which is private to clients; declare `{path}` public or hashed, or test \
                 another attribute"
            ),
            Self::PrivateUnit { path, rule } => write!(
                f,
                "rule `{rule}` is tracked by `{path}`, which is declared private, so that exposures of clients would \
                 hold it; declare `{path}` public or hashed, or count by another attribute"
            ),
            Self::Listed { path } => write!(
                f,
                "`listed` asks a list for `{path}`, and lists are not published to clients; use `in` with at most \
                 1,000 keys, or a bucket"
            ),
            Self::NotHashable { path, test } => write!(
                f,
                "`{test}` has no hashed form, and `{path}` is hashed; declare `{path}` public, or use `in`, \
                 `starts`, or `ends`"
            ),
            Self::Together { path, test, other } => write!(
                f,
                "`{test}` and `{other}` on the hashed attribute `{path}` have no hashed form in one condition; \
                 write two conditions, or declare `{path}` public"
            ),
            Self::NumberedKey { path } => write!(
                f,
                "`in` names somebody by a number, and hashing `{path}` hides texts only; pass and write such ids as \
                 texts, or declare `{path}` public"
            ),
            Self::ShortOperand { path, test, bytes } => write!(
                f,
                "an operand of `{test}` on the hashed attribute `{path}` has {bytes} bytes, of which everybody can \
                 try all; use at least {MIN_HASHED_BYTES}, or declare `{path}` public"
            ),
            Self::HiddenFlag { flag } => write!(
                f,
                "flag `{flag}` is asked for, which is not client-visible; make `{flag}` client-visible too, or take \
                 the condition out"
            ),
            Self::LargeValue { variation, bytes } => write!(
                f,
                "the value of `{variation}` has {bytes} bytes, and clients get at most {MAX_CLIENT_VALUE_BYTES}; \
                 serve a key or an address of it instead"
            ),
            Self::Nesting { depth } => write!(
                f,
                "hashed, its conditions would nest {depth} deep, at most {} are allowed; nest less, or declare the \
                 attributes public",
                flagstone_model::limits::MAX_CONDITION_NESTING
            ),
            Self::Leaves { leaves } => write!(
                f,
                "hashed, it would have {leaves} conditions, at most {} are allowed; use fewer, or declare the \
                 attributes public",
                flagstone_model::limits::MAX_LEAVES
            ),
            Self::LongLine { bytes, max } => write!(
                f,
                "redacted, its line would have {bytes} bytes, at most {max} are allowed; use fewer operands, or \
                 declare the attributes public"
            ),
            Self::NotUnderstood { member } => {
                write!(f, "`{member}` can not be shown to clients by this release; take it out")
            }
        }
    }
}
