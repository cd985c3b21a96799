//! Types and values of flags.

use core::fmt;
use std::sync::Arc;

use crate::json::{Json, write_number, write_string};

/// The type of a flag; every one of its values has it (FORMAT M-2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlagType {
    /// `true` or `false`.
    Bool,
    /// Text.
    String,
    /// An integer within ±(2⁵³−1).
    Int,
    /// A finite IEEE double.
    Float,
    /// Any JSON value.
    Json,
}

impl FlagType {
    /// All types.
    pub const ALL: [Self; 5] = [Self::Bool, Self::String, Self::Int, Self::Float, Self::Json];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Json => "json",
        }
    }

    /// The type of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether a getter of type `wanted` may read a flag of this type (FORMAT M-2.3): its own type, `float` also
    /// `int`, `json` everything. Decided by type, never by value.
    pub fn is_readable_as(self, wanted: Self) -> bool {
        wanted == self || wanted == Self::Json || (wanted == Self::Float && self == Self::Int)
    }
}

impl fmt::Display for FlagType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a variation serves. Cheap to clone: text and JSON are shared.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a `bool` flag.
    Bool(bool),
    /// Of a `string` flag.
    String(Arc<str>),
    /// Of an `int` flag.
    Int(i64),
    /// Of a `float` flag.
    Float(f64),
    /// Of a `json` flag.
    Json(Arc<Json<'static>>),
}

impl Value {
    /// The value that `json` is for a flag of this type, if it is one.
    pub fn from_json(kind: FlagType, json: &Json<'_>) -> Option<Self> {
        match kind {
            FlagType::Bool => json.as_bool().map(Self::Bool),
            FlagType::String => json.as_str().map(|text| Self::String(text.into())),
            FlagType::Int => json.as_integer().map(Self::Int),
            FlagType::Float => json.as_f64().map(Self::Float),
            FlagType::Json => Some(Self::Json(Arc::new(json.clone().into_owned()))),
        }
    }

    /// The type of flag this is a value of.
    pub const fn flag_type(&self) -> FlagType {
        match self {
            Self::Bool(_) => FlagType::Bool,
            Self::String(_) => FlagType::String,
            Self::Int(_) => FlagType::Int,
            Self::Float(_) => FlagType::Float,
            Self::Json(_) => FlagType::Json,
        }
    }

    /// The value as JSON.
    pub fn to_json(&self) -> Json<'_> {
        match self {
            Self::Bool(truth) => Json::Bool(*truth),
            Self::String(text) => Json::from(&**text),
            Self::Int(number) => Json::from(*number),
            Self::Float(number) => Json::from(*number),
            Self::Json(json) => (**json).clone(),
        }
    }

    /// Appends the canonical text.
    #[expect(clippy::cast_precision_loss, reason = "an int value is within 53 bits, which a double holds")]
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Self::String(text) => write_string(text, out),
            Self::Int(number) => write_number(*number as f64, out),
            Self::Float(number) => write_number(*number, out),
            Self::Json(json) => json.write_sorted(out),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value.into())
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Json<'static>> for Value {
    fn from(value: Json<'static>) -> Self {
        Self::Json(Arc::new(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: FlagType, text: &str) -> Option<String> {
        let mut out = String::new();
        Value::from_json(kind, &Json::parse(text.as_bytes()).unwrap())?.write(&mut out);
        Some(out)
    }

    #[test]
    fn a_value_is_of_its_flags_type_or_none() {
        assert_eq!(value(FlagType::Bool, "true").as_deref(), Some("true"));
        assert_eq!(value(FlagType::Bool, "1"), None);
        assert_eq!(value(FlagType::Int, "9007199254740991").as_deref(), Some("9007199254740991"));
        assert_eq!(value(FlagType::Int, "9007199254740992"), None);
        assert_eq!(value(FlagType::Int, "1.5"), None);
        assert_eq!(value(FlagType::Float, "1e-7").as_deref(), Some("1e-7"));
        assert_eq!(value(FlagType::Float, "\"1\""), None);
        assert_eq!(value(FlagType::Json, r#"{"b":1,"a":null}"#).as_deref(), Some(r#"{"a":null,"b":1}"#));
    }

    #[test]
    fn getters_read_by_type() {
        let readable = |from: FlagType| {
            FlagType::ALL.into_iter().filter(|wanted| from.is_readable_as(*wanted)).collect::<Vec<_>>()
        };
        assert_eq!(readable(FlagType::Bool), [FlagType::Bool, FlagType::Json]);
        assert_eq!(readable(FlagType::Int), [FlagType::Int, FlagType::Float, FlagType::Json]);
        assert_eq!(readable(FlagType::Float), [FlagType::Float, FlagType::Json]);
        assert_eq!(readable(FlagType::Json), [FlagType::Json]);
    }
}
