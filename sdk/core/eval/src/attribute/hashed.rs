//! Operands that are published as digests (FORMAT M-4.5, `hashed`).
#![deny(clippy::arithmetic_side_effects)]

use sha2::{Digest as _, Sha256};

/// Fewest hexadecimal digits of an operand.
const MIN_HASHED_DIGITS: usize = 12;
/// Most hexadecimal digits of an operand: all of a SHA-256.
const MAX_HASHED_DIGITS: usize = 64;

/// What a digest may begin with, in ascending order; digits that are cut off are zero.
type Beginnings = Box<[[u8; 32]]>;

/// `{"salt":s,"in":[h],"starts":[[n,h]],"ends":[[n,h]]}`, read.
#[derive(Debug)]
pub(crate) struct Hashed {
    salt: Box<[u8]>,
    fold: bool,
    /// How many digits each operand has: 12 to 64.
    digits: usize,
    whole: Beginnings,
    /// By how many bytes are hashed, ascending.
    starts: Box<[(usize, Beginnings)]>,
    ends: Box<[(usize, Beginnings)]>,
}

/// The operands as they are written.
#[derive(Debug, Default)]
pub(crate) struct HashedParts<'t> {
    pub(crate) whole: Vec<&'t str>,
    pub(crate) starts: Vec<(u64, &'t str)>,
    pub(crate) ends: Vec<(u64, &'t str)>,
}

impl Hashed {
    /// `None` if an operand is not 12 to 64 lower-case hexadecimal digits, or not as long as the others.
    pub(crate) fn new(salt: &str, parts: HashedParts<'_>, fold: bool) -> Option<Self> {
        let pairs = parts.starts.iter().chain(&parts.ends).map(|&(_, operand)| operand);
        let mut lengths = parts.whole.iter().copied().chain(pairs).map(str::len);
        let digits = lengths.next().unwrap_or(MAX_HASHED_DIGITS);
        let fits = (MIN_HASHED_DIGITS..=MAX_HASHED_DIGITS).contains(&digits);
        if !fits || lengths.any(|length| length != digits) {
            return None;
        }
        let mut whole: Vec<_> = parts.whole.into_iter().map(beginning).collect::<Option<_>>()?;
        whole.sort_unstable();
        Some(Self {
            salt: salt.as_bytes().into(),
            fold,
            digits,
            whole: whole.into(),
            starts: by_length(parts.starts)?,
            ends: by_length(parts.ends)?,
        })
    }

    /// Whether the digest of the text, or of a part of it that is asked for, begins as one of the operands.
    pub(crate) fn holds(&self, text: &[u8]) -> bool {
        let is_whole = !self.whole.is_empty() && self.is_among(&self.whole, text);
        is_whole
            || self.starts.iter().any(|(length, beginnings)| {
                text.get(..*length).is_some_and(|start| self.is_among(beginnings, start))
            })
            || self.ends.iter().any(|(length, beginnings)| {
                let from = text.len().checked_sub(*length);
                from.and_then(|from| text.get(from..)).is_some_and(|end| self.is_among(beginnings, end))
            })
    }

    fn is_among(&self, beginnings: &[[u8; 32]], bytes: &[u8]) -> bool {
        beginnings.binary_search(&self.digest(bytes)).is_ok()
    }

    /// The digits that count of SHA-256(bytes ‖ salt), the others zero.
    fn digest(&self, bytes: &[u8]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        if self.fold {
            let mut folded = [0; 64];
            for part in bytes.chunks(folded.len()) {
                if let Some(folded) = folded.get_mut(..part.len()) {
                    folded.copy_from_slice(part);
                    folded.make_ascii_lowercase();
                    hasher.update(folded);
                }
            }
        } else {
            hasher.update(bytes);
        }
        hasher.update(&self.salt);
        let mut digest: [u8; 32] = hasher.finalize().into();
        for (index, pair) in digest.iter_mut().enumerate() {
            match self.digits.saturating_sub(index.saturating_mul(2)) {
                0 => *pair = 0,
                1 => *pair &= 0xf0,
                _ => {}
            }
        }
        digest
    }
}

/// The operands of each length; a length that no memory holds can be left out.
fn by_length(mut pairs: Vec<(u64, &str)>) -> Option<Box<[(usize, Beginnings)]>> {
    pairs.sort_unstable();
    let mut groups = Vec::new();
    for group in pairs.chunk_by(|(one, _), (other, _)| one == other) {
        // In the order of their digits they are in that of their bytes.
        let beginnings = group.iter().map(|&(_, operand)| beginning(operand)).collect::<Option<_>>()?;
        if let Some(length) = group.first().and_then(|&(length, _)| usize::try_from(length).ok()) {
            groups.push((length, beginnings));
        }
    }
    Some(groups.into())
}

/// Up to 64 lower-case hexadecimal digits as bytes, those that are missing zero.
fn beginning(operand: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(operand.as_bytes().chunks(2)) {
        let low = pair.get(1).map_or(Some(0), |digit| nibble(*digit))?;
        *byte = nibble(*pair.first()?)? << 4 | low;
    }
    Some(bytes)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}
