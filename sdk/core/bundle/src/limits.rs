//! Every limit of this crate, by name. Those of lines and snapshots are `flagstone_model::limits`.

/// Largest manifest or root file, in bytes (FORMAT T-1.1).
pub const MAX_FILE_BYTES: usize = 16_384;
/// Most lines of a manifest or root file (FORMAT T-1.1).
pub const MAX_FILE_LINES: usize = 16;
/// Most signature lines; at least one is needed (FORMAT T-1.1).
pub const MAX_SIGNATURES: usize = 8;
/// Longest manifest payload, in bytes: 4,096 a key service signs, less the prefix (FORMAT T-1.1).
pub const MAX_MANIFEST_PAYLOAD_BYTES: usize = 3_900;
/// Longest root payload, in bytes (FORMAT T-2.1).
pub const MAX_ROOT_PAYLOAD_BYTES: usize = 8_192;
/// Greatest integer in a payload: 2⁵³−1 (FORMAT T-1.5).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;
/// Longest `expires_ms − issued_ms` of a manifest: 30 days (FORMAT T-1.5).
pub const MAX_MANIFEST_LIFETIME_MS: i64 = 30 * 24 * 60 * 60 * 1_000;
/// Longest `expires_ms − issued_ms` of a root: 400 days (FORMAT T-2.1).
pub const MAX_ROOT_LIFETIME_MS: i64 = 400 * 24 * 60 * 60 * 1_000;
/// Most deltas a manifest lists (FORMAT T-1.5).
pub const MAX_DELTAS: usize = 2;
/// Largest window a compressed frame may ask for, in bytes (FORMAT T-3.4).
pub const MAX_WINDOW_BYTES: u64 = 8 * 1024 * 1024;
/// Most steps of one walk along the chain of roots (FORMAT T-2.2).
pub const MAX_ROOT_STEPS: usize = 256;
/// Longest header line of a bundle file, in bytes without its newline (FORMAT T-5.1).
pub const MAX_BUNDLE_HEADER_BYTES: usize = 16_384;
/// Most roots of a bundle file: the pinned one and those of one walk (FORMAT T-2.2).
pub const MAX_BUNDLE_ROOTS: usize = MAX_ROOT_STEPS + 1;
/// Most deltas of a bundle file; their sizes together are bounded like one snapshot's (FORMAT T-5.1).
pub const MAX_BUNDLE_DELTAS: usize = 256;
/// Largest bundle file, in bytes: a header, every root of a walk, a manifest, a snapshot, and its deltas.
pub const MAX_BUNDLE_BYTES: usize =
    MAX_BUNDLE_HEADER_BYTES + 1 + (MAX_BUNDLE_ROOTS + 1) * MAX_FILE_BYTES + 2 * 8 * 1024 * 1024;
