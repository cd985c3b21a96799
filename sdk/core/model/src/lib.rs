//! The words of Flagstone: keys, values, contexts, instants, JSON, and the heads of snapshot lines.
//!
//! Every other crate speaks in these types. Text becomes one of them at the edge, and nothing inside checks again:
//!
//! ```
//! use flagstone_model::context::Context;
//! use flagstone_model::key::FlagKey;
//!
//! let key = FlagKey::parse("new-checkout")?;
//! let context = Context::with_targeting_key("user-42").set("country", "DE");
//! assert_eq!(key.as_str(), "new-checkout");
//! assert!(context.attribute("country").is_some());
//! # Ok::<(), flagstone_model::key::KeyError>(())
//! ```
//!
//! # Reading order
//!
//! 1. [`json`]: one strict reader (duplicates and depth refused) and the canonical writer.
//! 2. [`key`]: keys and ids as newtypes.
//! 3. [`value`] and [`details`]: what a flag serves, and what an evaluation answers.
//! 4. [`context`] and [`path`]: what is evaluated, and how a condition points into it.
//! 5. [`line`](mod@line): the head of a snapshot line, readable without a JSON parser.
//!
//! # Invariants
//!
//! * Parsing takes untrusted bytes: it is total, bounded by [`limits`], and never panics.
//! * Errors name members and positions, never values: a context attribute cannot reach a log through them.
//! * Numbers are IEEE doubles; integers are exact within ±(2⁵³−1).
//!
//! # What it does not do
//!
//! No I/O, clock, randomness, or async. It does not evaluate (`flagstone-eval`) and knows no signature or
//! compression (`flagstone-bundle`).

pub mod context;
pub mod details;
pub mod digest;
pub mod instant;
pub mod json;
pub mod key;
pub mod limits;
pub mod line;
pub mod network;
pub mod path;
pub mod pattern;
pub mod value;
pub mod version;
