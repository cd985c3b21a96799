//! Hashes: from a unit to a bucket, by the names of FORMAT M-5.10.
//!
//! `xxh32` is every reader's. The others are reserved for imported flags. One that is built is a module below this one
//! with its [`Foreign`], and one arm of [`Hash::named`]; nothing else knows of it.
#![deny(clippy::arithmetic_side_effects)]

use core::fmt;

use flagstone_model::limits;
use xxhash_rust::xxh32::xxh32;

/// `XXH32(salt, 0)`: what separates the hashes of one salt from those of another (FORMAT M-5.5).
///
/// Two salts of one environment with equal seeds would bucket alike; a publisher refuses them.
pub fn seed(salt: &str) -> u32 {
    xxh32(salt.as_bytes(), 0)
}

/// The bucket of a unit among `of` buckets: `(XXH32(unit, seed) × of) >> 32` (FORMAT M-5.5).
///
/// `of` is at most 2³², so that the product fits 64 bits.
pub fn bucket(unit: &[u8], seed: u32, of: u64) -> u64 {
    u64::from(xxh32(unit, seed)).wrapping_mul(of) >> 32
}

/// The name of the native hash, which is the default.
pub(crate) const XXH32: &str = "xxh32";
/// Buckets that 32 bits of hash can be spread over.
const MAX_OF_XXH32: u64 = 1 << 32;

/// What a split says of its hash, beside the name.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), expect(dead_code, reason = "the native hash has no tail and no seed of its own"))]
pub(crate) struct Mixed<'t> {
    pub(crate) salt: &'t str,
    pub(crate) tail: &'t str,
    pub(crate) seed: u64,
}

/// A hash, ready for units.
#[derive(Debug)]
pub(crate) enum Hash {
    Xxh32 {
        seed: u32,
    },
    #[cfg_attr(not(test), expect(dead_code, reason = "no importer is built yet, and none of their hashes"))]
    Foreign(Box<dyn Foreign>),
    /// A reserved name, or a later one.
    Unsupported,
}

/// A hash of an imported flag.
pub(crate) trait Foreign: fmt::Debug + Send + Sync {
    /// The bucket of a unit among `of`, which is 1 to 2⁵³−1.
    fn bucket(&self, unit: &[u8], of: u64) -> u64;
}

impl Hash {
    /// The hash of a name.
    pub(crate) fn named(name: &str, mixed: Mixed<'_>) -> Self {
        match name {
            XXH32 => Self::Xxh32 { seed: seed(mixed.salt) },
            #[cfg(test)]
            tests::NAME => Self::Foreign(tests::foreign(mixed)),
            _ => Self::Unsupported,
        }
    }

    /// Whether this reader has the hash of a name.
    pub(crate) fn is_known(name: &str) -> bool {
        !matches!(Self::named(name, Mixed { salt: "", tail: "", seed: 0 }), Self::Unsupported)
    }

    /// Most buckets that units are spread over.
    pub(crate) const fn max_of(&self) -> u64 {
        match self {
            Self::Xxh32 { .. } => MAX_OF_XXH32,
            Self::Foreign(_) | Self::Unsupported => limits::MAX_INTEGER.unsigned_abs(),
        }
    }

    /// The bucket of a unit; `None` if this reader does not have the hash.
    #[inline]
    pub(crate) fn bucket(&self, unit: &[u8], of: u64) -> Option<u64> {
        match self {
            Self::Xxh32 { seed } => Some(bucket(unit, *seed, of)),
            Self::Foreign(hash) => Some(hash.bucket(unit, of)),
            Self::Unsupported => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

    use super::*;

    /// A name that the format does not have, for a hash that counts.
    pub(super) const NAME: &str = "test-lengths-mod";

    #[derive(Debug)]
    struct Lengths(u64);

    pub(super) fn foreign(Mixed { salt, tail, seed }: Mixed<'_>) -> Box<dyn Foreign> {
        Box::new(Lengths((salt.len() as u64) * 100 + (tail.len() as u64) * 10 + seed))
    }

    impl Foreign for Lengths {
        fn bucket(&self, unit: &[u8], of: u64) -> u64 {
            (self.0 + unit.len() as u64) % of
        }
    }

    #[test]
    fn published_vectors_hold() {
        // FORMAT M-12.8
        assert_eq!(seed("search"), 0x76bd_ca26);
        assert_eq!(xxh32(b"u-3", seed("search")), 0xf06f_6f7f);
        for (salt, unit, expected) in [
            ("search", "u-3", 93_920),
            ("search", "42", 40_458),
            ("new-cart", "u-1", 91_879),
            ("søk", "ñandú", 20_585),
        ] {
            assert_eq!(bucket(unit.as_bytes(), seed(salt), 100_000), expected);
        }
    }

    #[test]
    fn a_bucket_is_below_of_at_both_ends() {
        for of in [1, 2, 100_000, 1 << 32] {
            assert!((0..2_000u32).all(|n| bucket(&n.to_le_bytes(), 7, of) < of));
        }
    }

    #[test]
    fn a_foreign_hash_is_one_arm_and_is_given_all_that_a_split_says() {
        let hash = Hash::named(NAME, Mixed { salt: "abc", tail: "de", seed: 7 });
        assert!(Hash::is_known(NAME));
        assert_eq!(hash.bucket(b"unit", 1_000), Some(331));
        assert_eq!(hash.max_of(), 9_007_199_254_740_991);
        assert_eq!(Hash::named(XXH32, Mixed { salt: "", tail: "", seed: 0 }).max_of(), 4_294_967_296);
    }

    #[test]
    fn the_names_that_are_reserved_are_unsupported() {
        // FORMAT M-5.10
        for name in [
            "murmur3-mod",
            "murmur3-mul",
            "murmur3-abs",
            "murmur3-cbor",
            "fnv1a-mod",
            "fnv1a16-mod",
            "fnv1a16x2-mod",
            "sha1-52",
            "sha1-28-mod",
            "md5-32-mod",
            "md5-flagsmith",
            "sha256-64-mod",
            "crc32-mod",
            "java31-abs",
            "xxh64",
            "",
        ] {
            assert!(!Hash::is_known(name), "{name}");
            let hash = Hash::named(name, Mixed { salt: "s", tail: "", seed: 0 });
            assert_eq!(hash.bucket(b"u", 100), None);
            assert_eq!(hash.max_of(), 9_007_199_254_740_991);
        }
        assert!(Hash::is_known(XXH32));
    }
}
