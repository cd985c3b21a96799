//! Ed25519 keys, their ids, and signatures (FORMAT T-1.3, T-1.4).

use core::fmt;

use ed25519_dalek::{Signer as _, VerifyingKey};
use flagstone_model::digest::Digest;

use crate::base64;
use crate::framing::{PayloadType, pae};

/// Bytes of a public key, and of a seed.
pub const KEY_BYTES: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// The id of a public key: the first 8 bytes of SHA-256(`"ed25519:"` ‖ key), written as 16 hex digits.
///
/// A hint that saves trying every key. It proves nothing: what counts is the key it was computed from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The id of the public key with these bytes.
    pub fn of(public: &[u8; KEY_BYTES]) -> Self {
        let digest = Digest::of_parts([b"ed25519:".as_slice(), public]);
        let mut id = [0; 8];
        for (to, from) in id.iter_mut().zip(digest.as_bytes()) {
            *to = *from;
        }
        Self(id)
    }

    /// Reads exactly 16 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let lower_hex = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let id = u64::from_str_radix(text, 16).ok().filter(|_| lower_hex)?;
        Some(Self(id.to_be_bytes()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Why 32 bytes are no public key to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No point of the curve.
    #[error("these bytes are no point of the curve")]
    NotAPoint,
    /// Another encoding of a point than the one RFC 8032 writes.
    #[error("the encoding of this public key is not canonical")]
    NonCanonical,
    /// One of the eight points whose signatures fit almost any message.
    #[error("this public key has a small order")]
    SmallOrder,
}

impl KeyError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        "malformed"
    }

    /// What exactly is wrong, stable too.
    pub const fn detail(&self) -> &'static str {
        match self {
            Self::NotAPoint => "key-not-a-point",
            Self::NonCanonical => "key-not-canonical",
            Self::SmallOrder => "key-of-small-order",
        }
    }
}

/// A public key that may be trusted: canonical and not of small order.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    point: VerifyingKey,
}

impl PublicKey {
    /// Reads a key, refusing the 14 encodings of small order and everything non-canonical.
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        let point = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if point.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        if point.to_edwards().compress().to_bytes() != *bytes {
            return Err(KeyError::NonCanonical);
        }
        Ok(Self { id: KeyId::of(bytes), point })
    }

    /// The key's id, computed from it.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        self.point.as_bytes()
    }

    /// Whether `signature` is this key's over `message`; S < L, and R neither small nor non-canonical.
    pub fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        self.point.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

/// A private key. Its bytes are wiped when it is dropped and never printed.
pub struct SigningKey {
    id: KeyId,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// The key of a 32-byte seed. The caller wipes its own copy.
    pub fn from_seed(seed: &[u8; KEY_BYTES]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        Self { id: KeyId::of(key.verifying_key().as_bytes()), key }
    }

    /// The public key's id.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The public key's bytes.
    pub fn public(&self) -> [u8; KEY_BYTES] {
        self.key.verifying_key().to_bytes()
    }

    /// Signs a payload, bound to its type by the DSSE encoding.
    pub fn sign(&self, payload_type: PayloadType, payload: &[u8]) -> Signature {
        let message = pae(payload_type, payload);
        Signature { keyid: self.id, bytes: self.key.sign(&message).to_bytes() }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// One signature and the hint of whose it is: a line of a manifest or root file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Whose it claims to be.
    pub keyid: KeyId,
    /// The 64 bytes of R and S.
    pub bytes: [u8; SIGNATURE_BYTES],
}

impl Signature {
    /// Reads exactly `{"keyid":"<16 hex>","sig":"<88 base64>"}`.
    pub(crate) fn parse_line(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("{\"keyid\":\"")?;
        let (keyid, rest) = rest.split_at_checked(16)?;
        let sig = rest.strip_prefix("\",\"sig\":\"")?.strip_suffix("\"}")?;
        Some(Self { keyid: KeyId::parse(keyid)?, bytes: base64::decode(sig)?.try_into().ok()? })
    }

    /// The line, without a newline.
    pub(crate) fn to_line(self) -> String {
        format!("{{\"keyid\":\"{}\",\"sig\":\"{}\"}}", self.keyid, base64::encode(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn private_keys_are_wiped_when_they_are_dropped() {
        fn wiped<T: zeroize::ZeroizeOnDrop>() {}
        wiped::<ed25519_dalek::SigningKey>();
    }
}
