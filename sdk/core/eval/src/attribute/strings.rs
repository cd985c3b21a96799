//! Sets of strings, and comparisons that take A–Z of the attribute for a–z (FORMAT M-4.8).

use std::collections::HashSet;

/// A set of strings: few are compared, many are looked up.
#[derive(Debug)]
pub(crate) enum Strings {
    Few(Box<[Box<str>]>),
    Many(HashSet<Box<str>>),
    /// In ascending order, for texts that are folded.
    Folded(Box<[Box<str>]>),
}

impl Strings {
    const FEW: usize = 8;

    /// A set of operands; `fold` folds the texts that are looked up, and never the operands.
    pub(crate) fn new(mut strings: Vec<Box<str>>, fold: bool) -> Self {
        if fold {
            strings.sort_unstable();
            Self::Folded(strings.into())
        } else if strings.len() <= Self::FEW {
            Self::Few(strings.into())
        } else {
            Self::Many(strings.into_iter().collect())
        }
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        match self {
            Self::Few(strings) => strings.iter().any(|string| **string == *text),
            Self::Many(strings) => strings.contains(text),
            Self::Folded(strings) => strings
                .binary_search_by(|string| {
                    string.bytes().cmp(text.bytes().map(|byte| byte.to_ascii_lowercase()))
                })
                .is_ok(),
        }
    }
}

impl Default for Strings {
    fn default() -> Self {
        Self::Few(Box::default())
    }
}

/// Whether the folded text is the operand.
pub(crate) fn equals_folded(text: &[u8], operand: &[u8]) -> bool {
    text.len() == operand.len()
        && text.iter().zip(operand).all(|(byte, wanted)| byte.to_ascii_lowercase() == *wanted)
}

pub(crate) fn starts_folded(text: &[u8], operand: &[u8]) -> bool {
    text.get(..operand.len()).is_some_and(|start| equals_folded(start, operand))
}

pub(crate) fn ends_folded(text: &[u8], operand: &[u8]) -> bool {
    let from = text.len().checked_sub(operand.len());
    from.and_then(|from| text.get(from..)).is_some_and(|end| equals_folded(end, operand))
}

pub(crate) fn contains_folded(text: &[u8], operand: &[u8]) -> bool {
    operand.is_empty() || text.windows(operand.len()).any(|part| equals_folded(part, operand))
}
