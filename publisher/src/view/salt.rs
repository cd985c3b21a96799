//! The salt of an environment's public views.

use core::fmt;
use std::sync::{Arc, LazyLock};

/// How many characters a salt has: 64 random bits.
pub const CLIENT_SALT_CHARS: usize = 16;

/// What is hashed along with operands and segment keys in the public views of one environment (FORMAT M-9.2).
///
/// It is made with the environment, stands in the log, and stays. It is no secret, for it is published with what it
/// hashes; it keeps tables that were computed for another environment from being of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSalt(Arc<str>);

impl ClientSalt {
    /// The salt of these random bits.
    pub fn of(random: u64) -> Self {
        Self(format!("{random:016x}").into())
    }

    /// Reads a salt: 1 to 16 lower-case letters and digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        (is_plain && (1..=CLIENT_SALT_CHARS).contains(&text.len())).then(|| Self(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Stands for the salt of an environment that has none yet: what can be shown does not depend on it.
pub(crate) static ANY_SALT: LazyLock<ClientSalt> = LazyLock::new(|| ClientSalt::of(0));

impl fmt::Display for ClientSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salt_is_plain_and_has_its_length() {
        assert_eq!(ClientSalt::of(0xab).as_str(), "00000000000000ab");
        assert_eq!(ClientSalt::of(u64::MAX).as_str().len(), CLIENT_SALT_CHARS);
        for text in ["k3f9", "0", "0123456789abcdef"] {
            assert_eq!(ClientSalt::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "K3", "a b", "ä", "0123456789abcdef0"] {
            assert_eq!(ClientSalt::parse(text), None, "{text}");
        }
    }
}
