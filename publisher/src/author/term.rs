//! Operands that are written in one way and published in another: expressions, ranges of versions, networks.

use std::sync::Arc;

use flagstone_model::json::Json;
use flagstone_model::limits;
use flagstone_model::network::{self, Network, NetworkError};
use flagstone_model::pattern::Pattern;

use super::read::Reader;
use crate::lower::{PatternProblem, VersionProblem, lower_pattern, lower_version, meant_network};

/// How much of a text that is no network is told.
const MAX_SHOWN_CHARS: usize = 64;

/// An operand as its author wrote it, and what it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    written: Arc<str>,
    published: Arc<str>,
}

impl Term {
    /// As its author wrote it.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// What the wire has for it.
    pub fn published(&self) -> &str {
        &self.published
    }

    /// Whether the wire has something else than what was written.
    pub fn is_rewritten(&self) -> bool {
        self.written != self.published
    }

    /// A regular expression (FORMAT M-4.7).
    pub fn of_pattern(text: &str) -> Result<Self, PatternProblem> {
        let kernel = lower_pattern(text)?;
        Ok(Self { written: text.into(), published: kernel.as_str().into() })
    }

    /// How many instructions it has as an expression (FORMAT M-4.7).
    pub(super) fn instructions(&self) -> usize {
        Pattern::parse(&self.published).map_or(0, |pattern| pattern.instructions())
    }

    /// A range of versions (FORMAT M-4.6).
    pub fn of_versions(text: &str) -> Result<Self, VersionProblem> {
        let range = lower_version(text)?;
        Ok(Self { written: text.into(), published: range.into() })
    }

    /// A network, or an address, which is a network of one (FORMAT M-4.5).
    pub fn of_network(text: &str) -> Result<Self, NetworkError> {
        let network = if text.contains('/') { Network::parse(text) } else { meant_network(text) }?;
        Ok(Self { written: text.into(), published: network.to_string().into() })
    }

    pub(super) fn pattern(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        let Some(text) = json.as_str() else {
            return reader.none("a regular expression is a string; of several, write `(?:…)|(?:…)`");
        };
        match Self::of_pattern(text) {
            Ok(term) => Some(term),
            // It was taken before there was the limit that it is over. Whoever knows that does not read it.
            Err(_) if !reader.is_new() => Some(Self { written: text.into(), published: text.into() }),
            Err(problem) => reader.none(problem.to_string()),
        }
    }

    pub(super) fn versions(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        let Some(text) = json.as_str() else {
            return reader.none(r#"a range of versions is a string such as ">=1.2.0 <2.0.0" or "^1.2""#);
        };
        if text.len() > limits::MAX_OPERAND_BYTES {
            return reader.none(format!("at most {} bytes", limits::MAX_OPERAND_BYTES));
        }
        Self::of_versions(text).map_err(|problem| reader.refuse(problem.to_string())).ok()
    }

    pub(super) fn network(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        let Some(text) = json.as_str() else {
            return reader.none(r#"a network is a string such as "10.0.0.0/8" or "2001:db8::/32""#);
        };
        if let Ok(network) = Self::of_network(text) {
            return Some(network);
        }
        if text.split_once('%').is_some_and(|(address, _)| network::address(address).is_some()) {
            return reader.none("an address has no zone: leave out what begins with `%`");
        }
        let hint = meant_network(text).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
        let shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
        reader.none(format!(
            "`{shown}` is no network: write ADDRESS/BITS, all bits after those zero, such as 10.0.0.0/8 or \
             2001:db8::/32, or one address{hint}"
        ))
    }
}
