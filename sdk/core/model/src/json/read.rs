//! Reading JSON: what is refused, and where.

use core::cell::Cell;
use core::fmt;
use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{Json, Number};

/// What to do with an object that names a member twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// Refuse the text: for whatever is signed or written by a publisher.
    Refuse,
    /// The last one counts, as `JSON.parse` has it: for contexts.
    LastWins,
}

/// How to read.
#[derive(Debug, Clone, Copy)]
pub struct ParseOptions {
    /// Deepest nesting; the outermost array or object is 1. At most 127.
    pub max_depth: usize,
    /// What to do with duplicate members.
    pub duplicates: Duplicates,
}

/// Why a text could not be read. Says where, never what stood there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// No JSON: bad syntax, bad UTF-8, a lone surrogate, or a number no double can hold.
    #[error("no JSON at line {line}, column {column}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Nested too deeply.
    #[error("nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// An object names a member twice.
    #[error("a member stands twice in one object, at line {line}, column {column}")]
    Duplicate {
        /// Line on which the object ends, from 1.
        line: usize,
        /// Column at which the object ends, from 1.
        column: usize,
    },
}

impl JsonError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "invalid-json",
            Self::TooDeep { .. } => "too-deep",
            Self::Duplicate { .. } => "duplicate-member",
        }
    }
}

/// Reads one JSON text that fills `text`.
pub(super) fn read(text: &[u8], options: ParseOptions) -> Result<Json<'_>, JsonError> {
    let fault = Cell::new(Fault::Syntax);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let reader = Reader { options, depth_left: options.max_depth, fault: &fault };
    reader.deserialize(&mut deserializer).and_then(|json| deserializer.end().map(|()| json)).map_err(
        |error| {
            let (line, column) = (error.line(), error.column());
            match fault.get() {
                Fault::Syntax => JsonError::Syntax { line, column },
                Fault::TooDeep => JsonError::TooDeep { max: options.max_depth },
                Fault::Duplicate => JsonError::Duplicate { line, column },
            }
        },
    )
}

#[derive(Clone, Copy)]
enum Fault {
    Syntax,
    TooDeep,
    Duplicate,
}

#[derive(Clone, Copy)]
struct Reader<'f> {
    options: ParseOptions,
    depth_left: usize,
    fault: &'f Cell<Fault>,
}

impl Reader<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => {
                self.fault.set(Fault::TooDeep);
                Err(E::custom("too deep"))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Unsigned(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Negative(number)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Float(number)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json<'de>, A::Error> {
        let inner = self.inner()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(inner)? {
            array.push(element);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let inner = self.inner()?;
        let mut object: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        while let Some(name) = members.next_key_seed(Name)? {
            object.push((name, members.next_value_seed(inner)?));
        }
        if has_duplicate(&object) {
            match self.options.duplicates {
                Duplicates::Refuse => {
                    self.fault.set(Fault::Duplicate);
                    return Err(A::Error::custom("duplicate member"));
                }
                Duplicates::LastWins => keep_last(&mut object),
            }
        }
        Ok(Json::Object(object))
    }
}

fn has_duplicate(members: &[(Cow<'_, str>, Json<'_>)]) -> bool {
    const SCANNED: usize = 8;
    if members.len() <= SCANNED {
        let mut rest = members.iter();
        while let Some((name, _)) = rest.next() {
            if rest.as_slice().iter().any(|(other, _)| other == name) {
                return true;
            }
        }
        return false;
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
}

fn keep_last(members: &mut Vec<(Cow<'_, str>, Json<'_>)>) {
    let mut seen = std::collections::HashSet::new();
    members.reverse();
    members.retain(|(name, _)| seen.insert(name.clone().into_owned()));
    members.reverse();
}

/// Reads a member's name, borrowed where it can be.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
