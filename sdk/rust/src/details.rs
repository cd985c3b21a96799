//! What a getter answers.

use std::sync::Arc;

use flagstone_model::details::{ErrorCode, Reason};
use flagstone_model::json::Json;
use flagstone_model::value::{FlagType, Value};

/// A value and why it was served (FORMAT M-8.4). Text is shared with the snapshot: a clone counts up.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Details<T> {
    /// The value, or the default value of the call.
    pub value: T,
    /// The variation served; none where the default value stands.
    pub variation: Option<Arc<str>>,
    /// Why.
    pub reason: Reason,
    /// With [`Reason::Error`]: what was wrong.
    pub error_code: Option<ErrorCode>,
    /// The rule that decided, or that could not be decided.
    pub rule: Option<Arc<str>>,
    /// The experiment and phase an exposure counts for.
    pub exp: Option<Arc<str>>,
    /// The unit's bucket, when a split served.
    pub bucket: Option<u64>,
    /// The flag's own edit number.
    pub rev: Option<u64>,
    /// The version of the snapshot that was asked; none before one was loaded.
    pub version: Option<u64>,
    /// Whether a status bit was set when the client last looked: the answer may be old.
    pub stale: bool,
    /// Whether a local override was served.
    pub overridden: bool,
}

/// What the snapshot itself does not say of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    pub(crate) version: Option<u64>,
    pub(crate) stale: bool,
    pub(crate) overridden: bool,
}

impl<T> Details<T> {
    /// Takes over all but the value, which `read` turns into the wanted type or refuses.
    pub(crate) fn of(
        details: &flagstone_eval::Details<'_>,
        circumstances: Circumstances,
        read: impl FnOnce(&Value) -> Option<T>,
        default: impl FnOnce() -> T,
    ) -> Self {
        // The evaluator has checked the type; what `read` refuses nevertheless becomes the default value.
        let value = details.value.and_then(read).unwrap_or_else(default);
        Self {
            value,
            variation: details.variation.cloned(),
            reason: details.reason,
            error_code: details.error_code,
            rule: details.rule.cloned(),
            exp: details.exp.cloned(),
            bucket: details.bucket,
            rev: details.rev,
            version: circumstances.version,
            stale: circumstances.stale,
            overridden: circumstances.overridden,
        }
    }
}

/// A type a getter reads.
pub(crate) trait Readable: Sized {
    const TYPE: FlagType;

    fn read(value: &Value) -> Option<Self>;
}

impl Readable for bool {
    const TYPE: FlagType = FlagType::Bool;

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

impl Readable for Arc<str> {
    const TYPE: FlagType = FlagType::String;

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(value) => Some(Self::clone(value)),
            _ => None,
        }
    }
}

impl Readable for i64 {
    const TYPE: FlagType = FlagType::Int;

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }
}

impl Readable for f64 {
    const TYPE: FlagType = FlagType::Float;

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Float(value) => Some(*value),
            Value::Int(value) => Json::from(*value).as_f64(),
            _ => None,
        }
    }
}

impl Readable for Arc<Json<'static>> {
    const TYPE: FlagType = FlagType::Json;

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Json(value) => Some(Self::clone(value)),
            other => Some(Self::new(other.to_json().into_owned())),
        }
    }
}
