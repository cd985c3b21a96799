//! Ids of tokens and SDK keys: made by the server, and no secret.

use core::fmt;
use std::sync::Arc;

/// Most characters after the prefix of an id.
const MAX_ID_CHARS: usize = 32;

/// A text that is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is `{prefix}` and 1 to {MAX_ID_CHARS} lower-case letters and digits")]
pub struct IdError {
    prefix: &'static str,
}

impl IdError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        "invalid-id"
    }
}

fn parse(text: &str, prefix: &'static str) -> Result<Arc<str>, IdError> {
    let rest = text.strip_prefix(prefix).ok_or(IdError { prefix })?;
    let is_plain = rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if is_plain && (1..=MAX_ID_CHARS).contains(&rest.len()) {
        Ok(text.into())
    } else {
        Err(IdError { prefix })
    }
}

/// The id of a token: `t_` and random characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(Arc<str>);

/// The id of an SDK key: `k_` and random characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SdkKeyId(Arc<str>);

impl TokenId {
    /// What it begins with.
    pub const PREFIX: &str = "t_";

    /// Reads an id.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        parse(text, Self::PREFIX).map(Self)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SdkKeyId {
    /// What it begins with.
    pub const PREFIX: &str = "k_";

    /// Reads an id.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        parse(text, Self::PREFIX).map(Self)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SdkKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_prefix_and_plain_characters() {
        let longest = format!("t_{}", "a".repeat(MAX_ID_CHARS));
        for text in ["t_a", "t_81", longest.as_str()] {
            assert_eq!(TokenId::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "t", "t_", "k_a", "t_A", "t_a/b", "t_ä", "self", &format!("{longest}a")] {
            assert!(TokenId::parse(text).is_err(), "{text}");
        }
        assert!(SdkKeyId::parse("k_7").is_ok() && SdkKeyId::parse("t_7").is_err());
    }
}
