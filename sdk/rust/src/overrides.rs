//! Local overrides: which values a client takes, and how many (FORMAT M-8.6).

use std::collections::BTreeMap;
use std::sync::Arc;

use flagstone_eval::Override;
use flagstone_model::json::Json;
use flagstone_model::key::FlagKey;
use flagstone_model::value::Value;

/// Most overrides that a client keeps at a time.
pub const MAX_OVERRIDES: usize = 1_000;

/// Overrides by flag key.
pub(crate) type Overrides = BTreeMap<Arc<str>, Override>;

/// Why an override is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OverrideError {
    /// The key is none that a flag can have.
    #[error(
        "an override names a flag by its key: 1 to 128 of `A-Z a-z 0-9 . _ : @ | + ~ -`, a letter or digit first"
    )]
    Key,
    /// An int beyond ±(2⁵³−1), or a float that is not finite.
    #[error("an int lies within ±(2^53-1), and a float is finite")]
    Value,
    /// There are [`MAX_OVERRIDES`] already.
    #[error("a client keeps at most {MAX_OVERRIDES} overrides")]
    TooMany,
}

impl OverrideError {
    /// The stable code of this error.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Key => "override-key",
            Self::Value => "override-value",
            Self::TooMany => "too-many-overrides",
        }
    }
}

/// Puts an override in, in place of the flag's former one.
pub(crate) fn insert(overrides: &mut Overrides, key: &str, wanted: Override) -> Result<(), OverrideError> {
    FlagKey::parse(key).map_err(|_| OverrideError::Key)?;
    if let Override::Value(value) = &wanted {
        check(value)?;
    }
    if overrides.len() >= MAX_OVERRIDES && !overrides.contains_key(key) {
        return Err(OverrideError::TooMany);
    }
    overrides.insert(key.into(), wanted);
    Ok(())
}

/// Whether a flag can have this value (FORMAT M-2.2).
pub(crate) fn check(value: &Value) -> Result<(), OverrideError> {
    let fits = match value {
        Value::Int(number) => Json::from(*number).as_integer() == Some(*number),
        Value::Float(number) => number.is_finite(),
        Value::Bool(_) | Value::String(_) | Value::Json(_) => true,
    };
    fits.then_some(()).ok_or(OverrideError::Value)
}
