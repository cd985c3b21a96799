//! New secrets: an id that everybody may know, and a text that only its holder does.

use flagstone_model::digest::Digest;

use super::error::ControlError;

/// Random bytes of a secret: 256 bits.
const SECRET_BYTES: usize = 32;
/// Random bytes of an id: 80 bits, 16 characters.
const ID_BYTES: usize = 10;
/// Lower-case letters and digits that are not taken for each other (RFC 4648, base 32).
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A secret that was just made. Not `Debug`: it is told once, to whom it was made for.
pub struct Minted<Id> {
    /// Its id.
    pub id: Id,
    /// The whole text that its holder presents.
    pub text: String,
}

impl<Id> Minted<Id> {
    /// A new secret, its text being `{kind}_{id}_{secret}`.
    pub(super) fn new(
        kind: &str,
        prefix: &str,
        parse: impl FnOnce(&str) -> Option<Id>,
    ) -> Result<Self, ControlError> {
        let (mut secret, mut id) = ([0; SECRET_BYTES], [0; ID_BYTES]);
        getrandom::fill(&mut secret).map_err(|_| ControlError::Random)?;
        getrandom::fill(&mut id).map_err(|_| ControlError::Random)?;
        let characters = base32(&id);
        let id = parse(&format!("{prefix}{characters}")).ok_or(ControlError::Random)?;
        Ok(Self { id, text: format!("{kind}_{prefix}{characters}_{}", base32(&secret)) })
    }

    /// What is kept of the text.
    pub(super) fn sha256(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }
}

fn base32(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut held) = (String::new(), 0_u32, 0_u32);
    let mut push = |index: u32| {
        let index = usize::try_from(index & 31).unwrap_or_default();
        text.extend(ALPHABET.get(index).map(|byte| char::from(*byte)));
    };
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            push(held >> bits);
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        push(held << (5 - bits));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::TokenId;

    #[test]
    fn base_32_is_that_of_its_rfc() {
        // RFC 4648, section 10, in lower case and without padding.
        for (text, coded) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            assert_eq!(base32(text.as_bytes()), coded);
        }
    }

    #[test]
    fn two_secrets_differ_in_id_and_text() {
        let mint =
            || Minted::new("fat", TokenId::PREFIX, |id| TokenId::parse(id).ok()).unwrap_or_else(|_| panic!());
        let (one, other) = (mint(), mint());
        assert_ne!(one.id, other.id);
        assert_eq!(one.text.split('_').count(), 4);
        assert!(one.text.starts_with(&format!("fat_{}_", one.id)));
        let secret = |text: &str| text.rsplit('_').next().map(str::to_owned);
        assert_ne!(secret(&one.text), secret(&other.text));
        assert_eq!(secret(&one.text).map(|secret| secret.len()), Some(52));
    }
}
