//! Base64 as the format has it: RFC 4648 standard alphabet, padded, no spare bits set.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;

pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes, if `text` is the one way to write them.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
