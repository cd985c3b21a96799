//! Salted digests in place of strings.

use flagstone_model::digest::Digest;

use super::salt::ClientSalt;

/// Hexadecimal digits of an operand's hash: 128 bits.
pub const HASH_DIGITS: usize = 32;
/// Hexadecimal digits of a segment's key.
const KEY_DIGITS: usize = 16;

/// What stands for an operand in a `hashed` test: the first 32 digits of SHA-256(operand ‖ salt) (FORMAT M-9.3).
pub fn operand_hash(operand: &str, salt: &ClientSalt) -> String {
    digits(operand, salt, HASH_DIGITS)
}

/// What stands for a segment's key: `s:` and 16 digits of SHA-256(key ‖ salt) (FORMAT M-9.2).
pub fn segment_key(key: &str, salt: &ClientSalt) -> String {
    format!("s:{}", digits(key, salt, KEY_DIGITS))
}

fn digits(text: &str, salt: &ClientSalt, count: usize) -> String {
    let mut digits = Digest::of_parts([text.as_bytes(), salt.as_str().as_bytes()]).to_string();
    digits.truncate(count);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_an_operand_is_the_published_sample() {
        let salt = ClientSalt::parse("k3f9").unwrap();
        assert_eq!(operand_hash("@acme.com", &salt), "b0243bd6035574cb7e1f7cccf6e9065d");
    }

    #[test]
    fn a_segment_key_is_opaque_and_stable() {
        // printf %s beta-testersk3f9 | sha256sum | cut -c1-16
        let salt = ClientSalt::parse("k3f9").unwrap();
        assert_eq!(segment_key("beta-testers", &salt), "s:edca83fbb33c2fb2");
    }
}
