//! Public views: what clients get of an environment, and that it says no more than it may (FORMAT M-9).
//!
//! [`Redactor`] is a function from a line as keyed views have it to the line of a public view, or to everything that
//! makes it [`Unfit`]. Nothing is left out silently: a condition left out would change who is served. What was built
//! is examined anew, by code that knows nothing of the redactor: [`examine`] that no operand is shown which is not
//! public, [`compare`] that both views answer the same. [`sift`] leaves out what fails, and nothing else.

mod equal;
mod hashed;
mod proof;
mod redact;
mod salt;
mod sift;
mod unfit;

pub use equal::{Compared, MAX_COMPARISONS, Unequal, compare};
pub use hashed::{HASH_DIGITS, operand_hash, segment_key};
pub use proof::{Exposed, examine};
pub use redact::Redactor;
pub(crate) use salt::ANY_SALT;
pub use salt::{CLIENT_SALT_CHARS, ClientSalt};
pub use sift::{Before, sift};
pub use unfit::{MAX_CLIENT_VALUE_BYTES, MIN_HASHED_BYTES, Unfit};
