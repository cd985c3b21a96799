//! JSON as Flagstone reads and writes it.
//!
//! Reading is strict where a signature or a snapshot depends on it (duplicate members and depth are refused) and
//! keeps members in the order they stood. Writing is canonical (FORMAT M-1.9, M-1.10): no white space, the shortest
//! escapes, numbers as ECMAScript's `Number::toString` writes them (RFC 8785).

mod read;

use core::fmt;
use std::borrow::Cow;

use crate::limits;

pub use read::{Duplicates, JsonError, ParseOptions};

/// A JSON text, its strings borrowed from the input where they need no unescaping.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number
    Number(Number),
    /// A string
    String(Cow<'a, str>),
    /// An array
    Array(Vec<Json<'a>>),
    /// An object, its members in the order they stood
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// A number, by how it was spelled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Digits only, up to 2⁶⁴−1.
    Unsigned(u64),
    /// A minus and digits, down to −2⁶³.
    Negative(i64),
    /// Anything else: a fraction, an exponent, `-0`, or an integer beyond 64 bits.
    Float(f64),
}

impl Number {
    /// The value as an IEEE double, which is what every Flagstone number is.
    #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles; rounding is the definition")]
    pub const fn as_f64(self) -> f64 {
        match self {
            Self::Unsigned(number) => number as f64,
            Self::Negative(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    /// The integer, if the value is one within ±(2⁵³−1). By value: `1.0` is 1, as it is to JavaScript.
    #[expect(clippy::cast_possible_truncation, reason = "the bounds are checked on the line before")]
    pub fn as_integer(self) -> Option<i64> {
        match self {
            Self::Unsigned(number) => i64::try_from(number).ok().filter(|n| *n <= limits::MAX_INTEGER),
            Self::Negative(number) => Some(number).filter(|n| *n >= -limits::MAX_INTEGER),
            Self::Float(number) => {
                let integral = number.trunc() == number && number.abs() <= MAX_INTEGER_F64;
                integral.then_some(number as i64)
            }
        }
    }
}

/// [`limits::MAX_INTEGER`] as a double, which holds it exactly.
pub const MAX_INTEGER_F64: f64 = 9_007_199_254_740_991.0;

impl<'a> Json<'a> {
    /// Reads a line of a snapshot or anything else that must be strict: depth ≤ 32, no duplicate member.
    pub fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        let strict = ParseOptions { max_depth: limits::MAX_JSON_DEPTH, duplicates: Duplicates::Refuse };
        Self::parse_with(text, strict)
    }

    /// Reads one JSON text that fills `text`.
    pub fn parse_with(text: &'a [u8], options: ParseOptions) -> Result<Self, JsonError> {
        read::read(text, options)
    }

    /// The members, if this is an object.
    pub fn as_object(&self) -> Option<&[(Cow<'a, str>, Json<'a>)]> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The elements, if this is an array.
    pub fn as_array(&self) -> Option<&[Json<'a>]> {
        if let Self::Array(elements) = self { Some(elements) } else { None }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The truth, if this is a boolean.
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The number as a double, if this is a number.
    pub const fn as_f64(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(number.as_f64()) } else { None }
    }

    /// The integer, if this is a number that is one within ±(2⁵³−1).
    pub fn as_integer(&self) -> Option<i64> {
        if let Self::Number(number) = self { number.as_integer() } else { None }
    }

    /// Whether this is `null`.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The member called `name`, if this is an object that has one.
    pub fn member(&self, name: &str) -> Option<&Json<'a>> {
        self.as_object()?.iter().find_map(|(member, value)| (member == name).then_some(value))
    }

    /// An object of the given members, in their order.
    pub fn object<N: Into<Cow<'a, str>>>(members: impl IntoIterator<Item = (N, Json<'a>)>) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// The same, owning its strings.
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(truth) => Json::Bool(truth),
            Self::Number(number) => Json::Number(number),
            Self::String(text) => Json::String(Cow::Owned(text.into_owned())),
            Self::Array(elements) => Json::Array(elements.into_iter().map(Json::into_owned).collect()),
            Self::Object(members) => Json::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned()))
                    .collect(),
            ),
        }
    }

    /// Appends the canonical text, members in the order they stand.
    pub fn write(&self, out: &mut String) {
        self.write_with(out, false);
    }

    /// Appends the canonical text, members sorted by the UTF-8 bytes of their names at every depth.
    pub fn write_sorted(&self, out: &mut String) {
        self.write_with(out, true);
    }

    /// The canonical text with sorted members.
    pub fn to_canonical(&self) -> String {
        let mut out = String::new();
        self.write_sorted(&mut out);
        out
    }

    fn write_with(&self, out: &mut String, sorted: bool) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Self::Number(number) => write_number(number.as_f64(), out),
            Self::String(text) => write_string(text, out),
            Self::Array(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    element.write_with(out, sorted);
                }
                out.push(']');
            }
            Self::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if sorted {
                    members.sort_by(|(a, _), (b, _)| a.cmp(b));
                }
                out.push('{');
                for (index, (name, value)) in members.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(name, out);
                    out.push(':');
                    value.write_with(out, sorted);
                }
                out.push('}');
            }
        }
    }
}

/// The canonical text, members in the order they stand.
impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text))
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Self::String(Cow::Owned(text))
    }
}

impl From<bool> for Json<'_> {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<u64> for Json<'_> {
    fn from(number: u64) -> Self {
        Self::Number(Number::Unsigned(number))
    }
}

impl From<i64> for Json<'_> {
    fn from(number: i64) -> Self {
        Self::Number(u64::try_from(number).map_or(Number::Negative(number), Number::Unsigned))
    }
}

impl From<f64> for Json<'_> {
    fn from(number: f64) -> Self {
        Self::Number(Number::Float(number))
    }
}

impl<'a> FromIterator<Json<'a>> for Json<'a> {
    fn from_iter<I: IntoIterator<Item = Json<'a>>>(elements: I) -> Self {
        Self::Array(elements.into_iter().collect())
    }
}

/// The number that a text is, spelled as JSON spells numbers and with nothing around it.
///
/// `None` too if no double can hold it. Allocates nothing.
pub fn number_of(text: &str) -> Option<f64> {
    if !is_number(text) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether a text is a number as JSON spells it, with nothing around it.
pub fn is_number(text: &str) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let (whole, rest) = text.split_at(digits(text));
    if whole.is_empty() || whole.len() > 1 && whole.starts_with(b"0") {
        return false;
    }
    let rest = match rest.strip_prefix(b".") {
        None => rest,
        Some(fraction) => match fraction.split_at(digits(fraction)) {
            ([], _) => return false,
            (_, rest) => rest,
        },
    };
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
        _ => false,
    }
}

/// Appends a string with the shortest escapes: only `"`, `\`, and U+0000 to U+001F are escaped.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{0}'..='\u{1f}' => {
                const HEX: [char; 16] =
                    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
                let code = u32::from(character);
                out.push_str("\\u00");
                out.push(if code >= 16 { '1' } else { '0' });
                out.extend(HEX.get(code as usize % 16));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Appends a number as ECMAScript writes it; `-0` is `0`, and what is not finite is `null`.
pub fn write_number(number: f64, out: &mut String) {
    if number == 0.0 {
        out.push('0');
    } else if number.is_finite() {
        out.push_str(ryu_js::Buffer::new().format_finite(number));
    } else {
        out.push_str("null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        Json::parse(text.as_bytes()).unwrap().to_canonical()
    }

    #[test]
    fn canonical_text_has_sorted_members_short_escapes_and_ecmascript_numbers() {
        assert_eq!(
            canonical(
                r#" { "b" : [1.0, -0, 1e21, 1E-7, 100, 0.1], "a": "\u0041\u001f\u2028\/\"\n\u007f" } "#
            ),
            "{\"a\":\"A\\u001f\u{2028}/\\\"\\n\u{7f}\",\"b\":[1,0,1e+21,1e-7,100,0.1]}"
        );
        assert_eq!(canonical("9007199254740993"), "9007199254740992");
        assert_eq!(canonical("123456789012345680000"), "123456789012345680000");
    }

    #[test]
    fn duplicates_are_refused_or_the_last_wins() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"x":{"\u0061":1,"a":2}}"#] {
            assert_eq!(Json::parse(text.as_bytes()).unwrap_err().code(), "duplicate-member");
        }
        let many: String = (0..20).map(|n| format!("\"m{n}\":{n},")).collect();
        let text = format!("{{{many}\"m3\":99}}");
        assert!(matches!(Json::parse(text.as_bytes()), Err(JsonError::Duplicate { .. })));
        let options = ParseOptions { max_depth: 32, duplicates: Duplicates::LastWins };
        let json = Json::parse_with(text.as_bytes(), options).unwrap();
        assert_eq!(json.member("m3").and_then(Json::as_integer), Some(99));
        assert_eq!(json.as_object().unwrap().len(), 20);
    }

    #[test]
    fn depth_32_is_read_and_33_is_not() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(nested(32).as_bytes()).is_ok());
        assert_eq!(Json::parse(nested(33).as_bytes()), Err(JsonError::TooDeep { max: 32 }));
        assert!(Json::parse(nested(100_000).as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            &b"\xef\xbb\xbf{}"[..],
            b"",
            b"{}{}",
            b"01",
            b"+1",
            b"1.",
            b"NaN",
            b"1e999",
            b"\"\\ud800\"",
            b"\"\xff\"",
            b"{a:1}",
            b"[1,]",
            b"'a'",
            b"\"\n\"",
            b"nul",
        ] {
            assert!(matches!(Json::parse(text), Err(JsonError::Syntax { .. })), "{text:?}");
        }
    }

    #[test]
    fn a_number_in_a_text_is_spelled_as_json_spells_it() {
        for (text, number) in [
            ("0", 0.0),
            ("-0", 0.0),
            ("42", 42.0),
            ("-7.50", -7.5),
            ("1e3", 1_000.0),
            ("1E+3", 1_000.0),
            ("12.5e-1", 1.25),
            ("0.1", 0.1),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("1e308", 1e308),
            ("1e-999", 0.0),
        ] {
            assert_eq!(number_of(text), Some(number), "{text}");
        }
        for text in [
            "", "-", "+1", "01", "-01", "00", ".5", "1.", "1.e3", "1e", "1e+", "1e1.5", "1e3x", "1e-+3",
            "0x10", " 1", "1 ", "1_000", "inf", "NaN", "infinity", "1,5", "--1", "1e999", "-1e999",
            "\u{661}",
        ] {
            assert_eq!(number_of(text), None, "{text}");
        }
    }

    #[test]
    fn integers_are_taken_by_value_within_53_bits() {
        let integer = |text: &str| Json::parse(text.as_bytes()).unwrap().as_integer();
        assert_eq!(integer("9007199254740991"), Some(limits::MAX_INTEGER));
        assert_eq!(integer("-9007199254740991"), Some(-limits::MAX_INTEGER));
        assert_eq!(integer("1.0"), Some(1));
        assert_eq!(integer("-0"), Some(0));
        for none in ["9007199254740992", "-9007199254740992", "1.5", "1e300", "18446744073709551616", "\"1\""]
        {
            assert_eq!(integer(none), None, "{none}");
        }
    }
}
