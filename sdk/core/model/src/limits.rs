//! Every limit of the format, by name.
//!
//! A *reader* enforces those marked so; the others bound what a publisher may write (FORMAT M-1 "Limits", T-3.2).

/// Greatest integer a value, operand, or structural number may have: 2⁵³−1.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;
/// Longest line of any kind but a segment, in bytes without its newline. Reader.
pub const MAX_LINE_BYTES: usize = 64 * 1024;
/// Longest segment line, in bytes without its newline. Reader.
pub const MAX_SEGMENT_LINE_BYTES: usize = 1024 * 1024;
/// Deepest nesting of a line; its own object is 1. Reader.
pub const MAX_JSON_DEPTH: usize = 32;
/// Most `all`, `any`, `not` on one path of conditions. Reader.
pub const MAX_CONDITION_NESTING: usize = 8;
/// Most lines of a snapshot. Reader.
pub const MAX_LINES: usize = 100_000;
/// Largest unpacked snapshot or delta, in bytes. Reader.
pub const MAX_RAW_BYTES: u64 = 32 * 1024 * 1024;
/// Largest stored snapshot or delta, in bytes. Reader.
pub const MAX_STORED_BYTES: u64 = 8 * 1024 * 1024;
/// Largest unpacked list object, in bytes. Reader.
pub const MAX_LIST_RAW_BYTES: u64 = 128 * 1024 * 1024;
/// Largest stored list object, in bytes. Reader.
pub const MAX_LIST_STORED_BYTES: u64 = 64 * 1024 * 1024;
/// Most keys that the line of a list adds to its object, and most that it drops.
pub const MAX_LIST_EDITS: usize = 1_000;
/// Most bytes that the members `add` and `drop` of a list line have together.
pub const MAX_LIST_EDIT_BYTES: usize = 48 * 1024;
/// Most rules of a flag.
pub const MAX_RULES: usize = 1_000;
/// Most variations of a flag.
pub const MAX_VARIATIONS: usize = 256;
/// Most conditions of a flag that are no `all`, `any`, or `not`.
pub const MAX_LEAVES: usize = 4_096;
/// Most operands written inline in one test.
pub const MAX_OPERANDS: usize = 1_000;
/// Longest operand string, in bytes of UTF-8.
pub const MAX_OPERAND_BYTES: usize = 1_024;
/// Most segments of an attribute path.
pub const MAX_PATH_SEGMENTS: usize = 8;
/// Most instructions ([`Pattern::instructions`](crate::pattern::Pattern::instructions)) of the expressions of one line.
/// Reader.
pub const MAX_LINE_INSTRUCTIONS: usize = 32_000;
/// Most instructions of the expressions of an environment.
pub const MAX_ENVIRONMENT_INSTRUCTIONS: usize = 256_000;
/// Most ranges of a split or bucket condition.
pub const MAX_RANGES: usize = 256;
/// Most points of a ramp.
pub const MAX_RAMP_POINTS: usize = 64;
/// Most references, counted per mention and through, that a flag or segment may cost.
pub const MAX_REFERENCE_COST: u64 = 256;
/// Longest key of a flag, segment, or list, in bytes.
pub const MAX_KEY_BYTES: usize = 128;
/// Longest id of a project, environment, or view, in bytes.
pub const MAX_ID_BYTES: usize = 40;
/// Longest key of a variation, in bytes.
pub const MAX_VARIATION_KEY_BYTES: usize = 64;
/// Longest rule id, in code points.
pub const MAX_RULE_ID_CHARS: usize = 80;
/// Longest `exp` of a rule, in code points.
pub const MAX_EXP_CHARS: usize = 128;
/// Weights and percentages are parts of this; also the default `of` of a split.
pub const BUCKETS: u64 = 100_000;
