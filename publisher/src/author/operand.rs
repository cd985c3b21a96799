//! Operands of tests and the paths they are compared at.

use core::cmp::Ordering;
use std::borrow::Cow;
use std::sync::Arc;

use flagstone_model::json::{Json, Number, write_number};
use flagstone_model::limits;
use flagstone_model::path::Path;

use super::read::Reader;

/// A string, number, or boolean that an attribute is compared with.
///
/// Ordered as a set of them is written: booleans, numbers by value, strings by their bytes (FORMAT M-1.13).
#[derive(Debug, Clone)]
pub enum Operand {
    /// `true` or `false`.
    Bool(bool),
    /// A finite number; never `-0`.
    Number(f64),
    /// Text of at most 1 024 bytes.
    String(Arc<str>),
}

impl Operand {
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        match json {
            Json::Bool(truth) => Some(Self::Bool(*truth)),
            Json::Number(_) => reachable(reader, json).map(Self::Number),
            Json::String(_) => string(reader, json).map(Self::String),
            _ => reader.none("an operand is a string, a number, or a boolean"),
        }
    }

    /// A key of a context: a string or a number.
    pub(super) fn parse_key(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        match json {
            Json::String(_) | Json::Number(_) => Self::parse(reader, json),
            _ => reader.none("a key is a string or a number"),
        }
    }

    /// The operand as JSON.
    pub fn to_json(&self) -> Json<'_> {
        match self {
            Self::Bool(truth) => Json::Bool(*truth),
            Self::Number(number) => number_json(*number),
            Self::String(text) => Json::from(&**text),
        }
    }

    /// The same, `A`–`Z` being `a`–`z` (FORMAT M-4.8).
    pub(super) fn folded(&self) -> Self {
        match self {
            Self::String(text) => Self::String(text.to_ascii_lowercase().into()),
            other => other.clone(),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Number(_) => 1,
            Self::String(_) => 2,
        }
    }
}

impl Ord for Operand {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Operand {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Operand {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Operand {}

/// A number in the class a reader of its canonical text would give it, so that JSON made and JSON read compare.
pub(super) fn number_json(number: f64) -> Json<'static> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "guarded by the ranges of both integers, and integral"
    )]
    let number = if number.trunc() != number {
        Number::Float(number)
    } else if (0.0..18_446_744_073_709_551_616.0).contains(&number) {
        Number::Unsigned(number as u64)
    } else if (-9_223_372_036_854_775_808.0..0.0).contains(&number) {
        Number::Negative(number as i64)
    } else {
        Number::Float(number)
    };
    Json::Number(number)
}

pub(super) fn number(reader: &mut Reader, json: &Json<'_>) -> Option<f64> {
    exact(reader, json)?;
    match json.as_f64() {
        // Adding zero turns `-0` into `0` and nothing else into anything.
        Some(number) if number.is_finite() => Some(number + 0.0),
        _ => reader.none("a number is wanted here"),
    }
}

/// A number that an attribute can be equal to (FORMAT M-3.5).
fn reachable(reader: &mut Reader, json: &Json<'_>) -> Option<f64> {
    let number = number(reader, json)?;
    #[expect(clippy::cast_precision_loss, reason = "2⁵³−1 is exact")]
    let limit = limits::MAX_INTEGER as f64;
    if number.abs() > limit && reader.is_new() {
        return reader.none(
            "no attribute is a number beyond ±9007199254740991, where numbers are not exact any more: write a string",
        );
    }
    Some(number)
}

pub(super) fn string(reader: &mut Reader, json: &Json<'_>) -> Option<Arc<str>> {
    reader.text(json, limits::MAX_OPERAND_BYTES).map(Arc::from)
}

/// What is said of more operands than may stand there, with the way out.
pub(super) fn too_many(count: usize) -> String {
    format!(
        "at most {} stand here, these are {count}; put the keys into a list (`flagstone list put`) and name it: \
         {{\"attr\":…,\"listed\":LIST}}",
        limits::MAX_OPERANDS
    )
}

/// A set: sorted, each once.
pub(super) fn set<T: Ord>(
    reader: &mut Reader,
    json: &Json<'_>,
    read: impl FnMut(&mut Reader, &Json<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let count = json.as_array().map_or(0, <[_]>::len);
    if count > limits::MAX_OPERANDS {
        return reader.none(too_many(count));
    }
    let mut set = reader.array(json, limits::MAX_OPERANDS, read)?;
    set.sort_unstable();
    set.dedup();
    Some(set)
}

pub(super) fn path(reader: &mut Reader, json: &Json<'_>) -> Option<Path> {
    let text = reader.text(json, limits::MAX_OPERAND_BYTES)?;
    let path = Path::parse(&text).map_err(|error| reader.refuse(error.to_string())).ok()?;
    let segments = path.segments().len();
    if segments > limits::MAX_PATH_SEGMENTS {
        return reader
            .none(format!("a path has at most {} segments, this has {segments}", limits::MAX_PATH_SEGMENTS));
    }
    Some(path)
}

/// Refuses integers, at any depth, that a double has not: they would be published as others.
pub(super) fn exact(reader: &mut Reader, json: &Json<'_>) -> Option<()> {
    match json {
        Json::Number(number) if changes(*number) => reader.none(
            "an integer beyond ±9007199254740991 is not exact any more, and would be published as another: write a string",
        ),
        Json::Array(elements) => elements.iter().try_for_each(|element| exact(reader, element)),
        Json::Object(members) => members.iter().try_for_each(|(_, value)| exact(reader, value)),
        _ => Some(()),
    }
}

/// Whether an integer is spelled otherwise once it was a double. What is spelled with a fraction or an exponent is meant
/// as one.
fn changes(number: Number) -> bool {
    let written = match number {
        Number::Unsigned(integer) => integer.to_string(),
        Number::Negative(integer) => integer.to_string(),
        Number::Float(_) => return false,
    };
    let mut published = String::new();
    write_number(number.as_f64(), &mut published);
    published != written
}

/// Sorts members and normalises numbers at every depth, so that equal JSON values are equal.
pub(super) fn normal(json: &Json<'_>) -> Json<'static> {
    match json {
        Json::Null => Json::Null,
        Json::Bool(truth) => Json::Bool(*truth),
        Json::Number(number) => number_json(number.as_f64() + 0.0),
        Json::String(text) => Json::from(text.to_string()),
        Json::Array(elements) => elements.iter().map(normal).collect(),
        Json::Object(members) => {
            let mut members: Vec<(Cow<'static, str>, Json<'static>)> =
                members.iter().map(|(name, value)| (name.to_string().into(), normal(value))).collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Json::Object(members)
        }
    }
}
