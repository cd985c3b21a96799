//! Contexts: what a flag is evaluated for.

use core::fmt;

use crate::json::{Json, MAX_INTEGER_F64};
use crate::path::Path;

/// One JSON object: who or what a flag is evaluated for (FORMAT M-3.1).
///
/// `targetingKey` is an attribute like any other. Attributes are private: `Debug` shows names, never values.
///
/// ```
/// use flagstone_model::context::Context;
///
/// let context = Context::with_targeting_key("user-42")
///     .set("plan", "pro")
///     .set("age", 41)
///     .set("org", Context::new().set("id", "o-9"));
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Context {
    attributes: Vec<(Box<str>, Attribute)>,
}

/// A member of a context.
#[derive(Clone, PartialEq)]
pub enum Attribute {
    /// `null`: the same as missing.
    Null,
    /// A truth.
    Bool(bool),
    /// A number. Usable if it is finite and within ±(2⁵³−1); otherwise of the wrong type for every test.
    Number(f64),
    /// Text.
    String(Box<str>),
    /// Several; a test on it asks for any element.
    Array(Vec<Attribute>),
    /// A nested object, reached by a path.
    Object(Context),
}

impl Context {
    /// The name of the attribute that is bucketed by default.
    pub const TARGETING_KEY: &'static str = "targetingKey";

    /// A context without attributes.
    pub const fn new() -> Self {
        Self { attributes: Vec::new() }
    }

    /// A context with a targeting key.
    pub fn with_targeting_key(key: impl Into<Attribute>) -> Self {
        Self::new().set(Self::TARGETING_KEY, key)
    }

    /// The same with one attribute set, in place of what it was.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Attribute>) -> Self {
        self.insert(name, value);
        self
    }

    /// Sets one attribute, in place of what it was.
    pub fn insert(&mut self, name: &str, value: impl Into<Attribute>) {
        let value = value.into();
        match self.attributes.iter_mut().find(|(present, _)| **present == *name) {
            Some((_, attribute)) => *attribute = value,
            None => self.attributes.push((name.into(), value)),
        }
    }

    /// The context that `json` is, if it is an object.
    pub fn from_json(json: &Json<'_>) -> Option<Self> {
        let attributes = json
            .as_object()?
            .iter()
            .map(|(name, value)| (name.as_ref().into(), Attribute::from_json(value)))
            .collect();
        Some(Self { attributes })
    }

    /// The attribute of this name, `null` included.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find_map(|(present, value)| (**present == *name).then_some(value))
    }

    /// The names of the attributes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|(name, _)| &**name)
    }

    /// What `path` leads to; nowhere and `null` are both missing.
    pub fn resolve(&self, path: &Path) -> Option<&Attribute> {
        let mut segments = path.segments();
        let mut attribute = self.attribute(segments.next()?)?;
        for segment in segments {
            let Attribute::Object(inner) = attribute else { return None };
            attribute = inner.attribute(segment)?;
        }
        (!matches!(attribute, Attribute::Null)).then_some(attribute)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Attribute {
    /// The attribute that `json` is.
    pub fn from_json(json: &Json<'_>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(number) => Self::Number(number.as_f64()),
            Json::String(text) => Self::String(text.as_ref().into()),
            Json::Array(elements) => Self::Array(elements.iter().map(Self::from_json).collect()),
            Json::Object(_) => Context::from_json(json).map_or(Self::Null, Self::Object),
        }
    }

    /// The number, if it is usable: finite and within ±(2⁵³−1).
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) if number.abs() <= MAX_INTEGER_F64 => Some(*number),
            _ => None,
        }
    }

    /// What is bucketed or listed (FORMAT M-3.6): a non-empty string, or an integer as its decimal digits.
    pub fn as_unit(&self) -> Option<Unit<'_>> {
        match self {
            Self::String(text) => Unit::of_text(text),
            Self::Number(number) => Unit::of_number(*number),
            _ => None,
        }
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        })
    }
}

/// The bytes of a unit, without an allocation.
#[derive(Clone)]
pub struct Unit<'a>(Spelling<'a>);

#[derive(Clone)]
enum Spelling<'a> {
    Text(&'a str),
    Digits { buffer: [u8; Unit::MAX_DIGITS], start: usize },
}

impl<'a> Unit<'a> {
    /// A minus and the 16 digits of 2⁵³−1.
    const MAX_DIGITS: usize = 17;

    /// The unit that a text is: every one but the empty one.
    pub fn of_text(text: &'a str) -> Option<Self> {
        (!text.is_empty()).then_some(Unit(Spelling::Text(text)))
    }

    /// The unit that a number is: its decimal digits, if it is integral and within ±(2⁵³−1).
    pub fn of_number(number: f64) -> Option<Unit<'static>> {
        if number.abs() <= MAX_INTEGER_F64 { Self::of_integer(number) } else { None }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number is integral and within 53 bits; a digit is below 10"
    )]
    fn of_integer(number: f64) -> Option<Unit<'static>> {
        if number.trunc() != number {
            return None;
        }
        let mut buffer = [0; Self::MAX_DIGITS];
        let mut rest = number.abs() as u64;
        let mut start = Self::MAX_DIGITS;
        loop {
            start = start.checked_sub(1)?;
            *buffer.get_mut(start)? = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0.0 {
            start = start.checked_sub(1)?;
            *buffer.get_mut(start)? = b'-';
        }
        Some(Unit(Spelling::Digits { buffer, start }))
    }

    /// The unit as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Spelling::Text(text) => text,
            // Digits, and a minus.
            Spelling::Digits { .. } => core::str::from_utf8(self.as_bytes()).unwrap_or_default(),
        }
    }

    /// The bytes that are hashed.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Spelling::Text(text) => text.as_bytes(),
            Spelling::Digits { buffer, start } => buffer.get(*start..).unwrap_or_default(),
        }
    }
}

impl From<bool> for Attribute {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<Context> for Attribute {
    fn from(object: Context) -> Self {
        Self::Object(object)
    }
}

impl<T: Into<Attribute>> From<Vec<T>> for Attribute {
    fn from(elements: Vec<T>) -> Self {
        Self::Array(elements.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Attribute>> From<Option<T>> for Attribute {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

macro_rules! numbers {
    ($($kind:ty)*) => {$(
        impl From<$kind> for Attribute {
            #[allow(clippy::cast_precision_loss, clippy::cast_lossless, reason = "what is rounded is beyond 53 bits, where every test refuses it")]
            fn from(number: $kind) -> Self {
                Self::Number(number as f64)
            }
        }
    )*};
}

numbers!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize f32 f64);

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(text: &str) -> Attribute {
        Attribute::from_json(&Json::parse(text.as_bytes()).unwrap())
    }

    fn unit(text: &str) -> Option<String> {
        let attribute = attribute(text);
        attribute.as_unit().map(|unit| String::from_utf8(unit.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn a_unit_is_a_string_or_an_integer_spelled_in_digits() {
        for (text, spelled) in [
            ("42", "42"),
            ("42.0", "42"),
            ("\"42\"", "42"),
            ("-0", "0"),
            ("-7", "-7"),
            ("\"ñ\"", "ñ"),
            ("9007199254740991", "9007199254740991"),
            ("-9007199254740991", "-9007199254740991"),
        ] {
            assert_eq!(unit(text).as_deref(), Some(spelled), "{text}");
        }
        for text in ["1.5", "true", "null", "\"\"", "[]", "{}", "[\"u\"]", "9007199254740992", "1e300"] {
            assert_eq!(unit(text), None, "{text}");
        }
        assert!(Attribute::from(f64::NAN).as_unit().is_none());
        assert!(Attribute::from(f64::INFINITY).as_number().is_none());
    }

    #[test]
    fn a_path_leads_through_objects_only_and_null_is_missing() {
        let json = Json::parse(br#"{"a":{"b.c":{"d":1},"n":null},"l":[{"x":1}],"n":null}"#).unwrap();
        let context = Context::from_json(&json).unwrap();
        let leads = |path: &str| context.resolve(&Path::parse(path).unwrap()).is_some();
        assert!(leads("a.b~1c.d"));
        assert!(leads("l"));
        for missing in ["a.b", "a.n", "n", "l.0", "l.x", "a.b~1c.d.e", "z"] {
            assert!(!leads(missing), "{missing}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let context = Context::with_targeting_key("mina@example.com").set("age", 41);
        assert_eq!(format!("{context:?}"), r#"{"targetingKey", "age"}"#);
        assert_eq!(format!("{:?}", Attribute::from("secret")), "string");
    }
}
