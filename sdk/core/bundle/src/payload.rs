//! Reading the members of a signed payload strictly (FORMAT T-1.5).

use flagstone_model::digest::Digest;
use flagstone_model::json::{Json, JsonError, Number};

use crate::base64;
use crate::limits::MAX_INTEGER;

/// Why a payload whose signatures are good is not what its format says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// No JSON, nested too deeply, or a member twice.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A number that is no plain integer within 2⁵³−1, at any depth.
    #[error("holds a number that is no integer within 2^53-1")]
    Number,
    /// A required member is not there.
    #[error("`{member}` is missing")]
    Missing {
        /// Its path.
        member: String,
    },
    /// A member does not have the form its rule asks for.
    #[error("`{member}` is not {expected}")]
    Shape {
        /// Its path.
        member: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl PayloadError {
    /// The stable code of this error (FORMAT T-5.6).
    pub const fn code(&self) -> &'static str {
        "malformed"
    }

    /// What exactly is wrong, stable too.
    pub const fn detail(&self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::Number => "number",
            Self::Missing { .. } => "missing-member",
            Self::Shape { .. } => "member-shape",
        }
    }
}

/// Parses a payload: one object, no member twice, integers only.
pub(crate) fn parse(payload: &[u8]) -> Result<Json<'_>, PayloadError> {
    let json = Json::parse(payload)?;
    if !integers_only(&json) {
        return Err(PayloadError::Number);
    }
    Ok(json)
}

fn integers_only(json: &Json<'_>) -> bool {
    match json {
        Json::Number(Number::Unsigned(number)) => *number <= MAX_INTEGER,
        Json::Number(Number::Negative(number)) => number.unsigned_abs() <= MAX_INTEGER,
        Json::Number(Number::Float(_)) => false,
        Json::Array(elements) => elements.iter().all(integers_only),
        Json::Object(members) => members.iter().all(|(_, value)| integers_only(value)),
        Json::Null | Json::Bool(_) | Json::String(_) => true,
    }
}

/// An object and where it stands, so that errors can say which member is wrong.
pub(crate) struct Members<'j> {
    json: &'j Json<'j>,
    path: String,
}

impl<'j> Members<'j> {
    pub(crate) fn of(json: &'j Json<'j>) -> Result<Self, PayloadError> {
        Self::at(json, String::new())
    }

    pub(crate) fn at(json: &'j Json<'j>, path: String) -> Result<Self, PayloadError> {
        if json.as_object().is_none() {
            return Err(PayloadError::Shape { member: path, expected: "an object" });
        }
        Ok(Self { json, path })
    }

    fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(crate) fn wrong(&self, name: &str, expected: &'static str) -> PayloadError {
        PayloadError::Shape { member: self.path(name), expected }
    }

    pub(crate) fn optional(&self, name: &str) -> Option<&'j Json<'j>> {
        self.json.member(name)
    }

    pub(crate) fn required(&self, name: &str) -> Result<&'j Json<'j>, PayloadError> {
        self.optional(name).ok_or_else(|| PayloadError::Missing { member: self.path(name) })
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'j str, PayloadError> {
        self.required(name)?.as_str().ok_or_else(|| self.wrong(name, "a string"))
    }

    /// A member read by `parse`, which gives `None` where the text is not `expected`.
    pub(crate) fn parsed<T>(
        &self,
        name: &str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, PayloadError> {
        parse(self.text(name)?).ok_or_else(|| self.wrong(name, expected))
    }

    pub(crate) fn digest(&self, name: &str) -> Result<Digest, PayloadError> {
        self.parsed(name, "64 lower-case hex digits", Digest::parse)
    }

    pub(crate) fn bytes<const N: usize>(&self, name: &str) -> Result<[u8; N], PayloadError> {
        self.parsed(name, "padded base64 of the right length", |text| base64::decode(text)?.try_into().ok())
    }

    pub(crate) fn integer(&self, name: &str) -> Result<u64, PayloadError> {
        match self.required(name)? {
            Json::Number(Number::Unsigned(number)) => Ok(*number),
            _ => Err(self.wrong(name, "a non-negative integer")),
        }
    }

    pub(crate) fn positive(&self, name: &str) -> Result<u64, PayloadError> {
        match self.integer(name)? {
            0 => Err(self.wrong(name, "an integer of at least 1")),
            number => Ok(number),
        }
    }

    /// Epoch milliseconds.
    pub(crate) fn time(&self, name: &str) -> Result<i64, PayloadError> {
        i64::try_from(self.integer(name)?).map_err(|_| self.wrong(name, "a time"))
    }

    pub(crate) fn array(&self, name: &str) -> Result<&'j [Json<'j>], PayloadError> {
        self.required(name)?.as_array().ok_or_else(|| self.wrong(name, "an array"))
    }

    pub(crate) fn object(&self, name: &str) -> Result<Self, PayloadError> {
        Self::at(self.required(name)?, self.path(name))
    }

    /// The objects of an array, each with its place.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Self>, PayloadError> {
        let elements = self.array(name)?.iter().enumerate();
        elements.map(|(i, json)| Self::at(json, format!("{}[{i}]", self.path(name)))).collect()
    }

    /// Each member of this object with its name.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'j str, &'j Json<'j>)> {
        self.json.as_object().unwrap_or_default().iter().map(|(name, value)| (name.as_ref(), value))
    }
}
