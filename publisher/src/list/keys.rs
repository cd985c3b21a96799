//! A set of keys as it was written.

use core::fmt;

use flagstone_bundle::container::{Caps, StoredObject, encode_zstd_level};
use flagstone_eval::{MAX_LIST_BYTES, MAX_LIST_KEYS};
use flagstone_model::json::Json;
use flagstone_model::limits::MAX_OPERAND_BYTES;

use super::LIST_ZSTD_LEVEL;
use crate::author::Problem;

/// A set of keys: sorted by bytes, each once.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ListKeys {
    /// One a line.
    text: String,
    count: usize,
}

/// Why keys are no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListFault {
    /// A key is none.
    #[error("{place} {why}")]
    Key {
        /// Which: `line 3`, or `the key`.
        place: String,
        /// Where, as a JSON Pointer; empty in a text.
        pointer: String,
        /// What is wrong with it.
        why: KeyFault,
    },
    /// Not of the shape that is wanted.
    #[error("{detail}")]
    Shape {
        /// Where, as a JSON Pointer.
        pointer: String,
        /// What is wanted.
        detail: String,
    },
    /// More keys than a list has.
    #[error("a list has at most {MAX_LIST_KEYS} keys")]
    TooMany,
    /// More bytes than a list has.
    #[error("the keys of a list, one a line, have at most {MAX_LIST_BYTES} bytes")]
    TooLong,
    /// More bytes than its object may have, packed.
    #[error("the keys of this list, packed, have {size} bytes; at most {} are allowed", Caps::LIST.stored)]
    Unpackable {
        /// How many it has.
        size: u64,
    },
    /// The compressor failed.
    #[error("the keys could not be packed")]
    Compressor,
}

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFault {
    /// Nothing stands there.
    #[error("is empty; a key has at least one character")]
    Empty,
    /// The bytes are no UTF-8.
    #[error("is not UTF-8")]
    Utf8,
    /// A control character, which no key has.
    #[error("has a control character")]
    Control,
    /// A carriage return at its end: the line ends of another system.
    #[error("ends in a carriage return; lines end in one line feed")]
    CarriageReturn,
    /// A byte order mark, which would be part of the key.
    #[error("begins with a byte order mark; write UTF-8 without one")]
    ByteOrderMark,
    /// More bytes than a key has.
    #[error("has more than {MAX_OPERAND_BYTES} bytes")]
    TooLong,
}

impl ListFault {
    /// Whether there is too much of it.
    pub const fn is_too_large(&self) -> bool {
        matches!(self, Self::TooMany | Self::TooLong | Self::Unpackable { .. })
    }

    /// What is wrong with the request, and where.
    pub fn problem(&self) -> Problem {
        let pointer = match self {
            Self::Key { pointer, .. } | Self::Shape { pointer, .. } => pointer.as_str(),
            _ => "",
        };
        Problem::invalid(pointer, self.to_string())
    }
}

/// Reads one key: text without control characters, of 1 to 1,024 bytes.
pub(super) fn key(bytes: &[u8]) -> Result<&str, KeyFault> {
    if bytes.is_empty() {
        return Err(KeyFault::Empty);
    }
    if bytes.len() > MAX_OPERAND_BYTES {
        return Err(KeyFault::TooLong);
    }
    let text = core::str::from_utf8(bytes).map_err(|_| KeyFault::Utf8)?;
    if text.starts_with('\u{FEFF}') {
        return Err(KeyFault::ByteOrderMark);
    }
    match text.bytes().all(|byte| (b' '..0x7F).contains(&byte)) || !text.chars().any(char::is_control) {
        true => Ok(text),
        false if text.ends_with('\r') => Err(KeyFault::CarriageReturn),
        false => Err(KeyFault::Control),
    }
}

impl ListKeys {
    /// Reads one key a line; the last line break may be left out. What stands there twice counts once.
    ///
    /// # Errors
    ///
    /// The first line that is no key, or that there is too much.
    pub fn from_text(text: &[u8]) -> Result<Self, ListFault> {
        if text.len() > MAX_LIST_BYTES {
            return Err(ListFault::TooLong);
        }
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if text.is_empty() {
            return Ok(Self::default());
        }
        let fault = |line: usize, why| ListFault::Key {
            place: format!("line {}", line.saturating_add(1)),
            pointer: String::new(),
            why,
        };
        let lines = text.split(|byte| *byte == b'\n').enumerate();
        Self::of(lines.map(|(line, bytes)| key(bytes).map_err(|why| fault(line, why))))
    }

    /// Reads `{"keys":[…]}`.
    ///
    /// # Errors
    ///
    /// The first element that is no key, or that there is too much.
    pub fn from_json(body: &Json<'_>) -> Result<Self, ListFault> {
        let shape = |pointer: String, detail: &str| ListFault::Shape { pointer, detail: detail.to_owned() };
        let members = body.as_object().unwrap_or_default();
        if let Some((name, _)) = members.iter().find(|(name, _)| name != "keys") {
            return Err(shape(crate::author::pointer([&**name]), "unknown member; a list has `keys`"));
        }
        let keys = body.member("keys").and_then(Json::as_array);
        let keys = keys.ok_or_else(|| shape("/keys".to_owned(), "an array of keys is wanted here"))?;
        Self::of(keys.iter().enumerate().map(|(index, element)| element_key(element, "keys", index)))
    }

    fn of<'k>(keys: impl Iterator<Item = Result<&'k str, ListFault>>) -> Result<Self, ListFault> {
        let mut found: Vec<&str> = Vec::new();
        let (mut sorted, mut size) = (true, 0_usize);
        for key in keys {
            let key = key?;
            if found.len() >= MAX_LIST_KEYS {
                return Err(ListFault::TooMany);
            }
            sorted = sorted && found.last().is_none_or(|before| *before < key);
            size = size.saturating_add(key.len()).saturating_add(1);
            found.push(key);
        }
        if !sorted {
            found.sort_unstable();
            found.dedup();
        }
        let mut text = String::with_capacity(size);
        for key in &found {
            text.push_str(key);
            text.push('\n');
        }
        if text.len() > MAX_LIST_BYTES {
            return Err(ListFault::TooLong);
        }
        Ok(Self { text, count: found.len() })
    }

    /// Takes keys that are sorted, each once.
    pub(super) fn of_sorted<'k>(keys: impl Iterator<Item = &'k str>) -> Result<Self, ListFault> {
        Self::of(keys.map(Ok))
    }

    /// How many keys there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The keys, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.split_terminator('\n')
    }

    /// The keys as text, one a line: the raw bytes of a list object.
    pub fn as_text(&self) -> &str {
        &self.text
    }

    /// The stored bytes of their list object, and what it is called. The same keys are the same object.
    pub fn pack(&self) -> Result<(Vec<u8>, StoredObject), ListFault> {
        let packed = encode_zstd_level(self.text.as_bytes(), LIST_ZSTD_LEVEL);
        let (stored, object) = packed.map_err(|_| ListFault::Compressor)?;
        if object.size > Caps::LIST.stored {
            return Err(ListFault::Unpackable { size: object.size });
        }
        Ok((stored, object))
    }
}

/// The key that an element of an array is.
pub(super) fn element_key<'k>(
    element: &'k Json<'_>,
    member: &str,
    index: usize,
) -> Result<&'k str, ListFault> {
    let pointer = format!("/{member}/{index}");
    let Json::String(text) = element else {
        return Err(ListFault::Shape { pointer, detail: "a key of a list is a string".to_owned() });
    };
    key(text.as_bytes()).map_err(|why| ListFault::Key { place: "the key".to_owned(), pointer, why })
}

/// Says how many there are: keys may be personal.
impl fmt::Debug for ListKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListKeys({})", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(keys: &ListKeys) -> &str {
        keys.as_text()
    }

    #[test]
    fn keys_are_sorted_by_bytes_and_each_stands_once() {
        let keys = ListKeys::from_text("u-2\nu-10\nñ\nu-2\nZ\n".as_bytes()).unwrap();
        assert_eq!((text(&keys), keys.len()), ("Z\nu-10\nu-2\nñ\n", 4));
        let json = Json::parse(r#"{"keys":["u-2","u-10","ñ","Z"]}"#.as_bytes()).unwrap();
        assert_eq!(ListKeys::from_json(&json).unwrap(), keys);
        assert_eq!(keys.iter().collect::<Vec<_>>(), ["Z", "u-10", "u-2", "ñ"]);
        assert_eq!(format!("{keys:?}"), "ListKeys(4)");
    }

    #[test]
    fn the_last_line_break_may_be_left_out_and_nothing_is_a_list_without_keys() {
        assert_eq!(ListKeys::from_text(b"a\nb").unwrap(), ListKeys::from_text(b"a\nb\n").unwrap());
        for nothing in [&b""[..], b"\n"] {
            assert!(ListKeys::from_text(nothing).unwrap().is_empty());
        }
        let long = "x".repeat(MAX_OPERAND_BYTES);
        assert_eq!(ListKeys::from_text(long.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_line() {
        let long = format!("a\n{}\n", "x".repeat(MAX_OPERAND_BYTES + 1));
        for (bytes, said) in [
            (&b"a\n\nb\n"[..], "line 2 is empty; a key has at least one character"),
            (b"\n\n", "line 1 is empty; a key has at least one character"),
            (b"a\nb\n\xFF\n", "line 3 is not UTF-8"),
            (b"a\tb\n", "line 1 has a control character"),
            ("a\nb\u{85}c\n".as_bytes(), "line 2 has a control character"),
            (b"a\r\nb\r\n", "line 1 ends in a carriage return; lines end in one line feed"),
            ("\u{FEFF}a\n".as_bytes(), "line 1 begins with a byte order mark; write UTF-8 without one"),
            (long.as_bytes(), "line 2 has more than 1024 bytes"),
        ] {
            let fault = ListKeys::from_text(bytes).unwrap_err();
            assert_eq!((fault.to_string().as_str(), fault.is_too_large()), (said, false));
        }
    }

    #[test]
    fn a_body_that_is_no_list_is_refused_with_its_member() {
        for (body, pointer) in [
            ("{}", "/keys"),
            (r#"{"keys":"a"}"#, "/keys"),
            (r#"{"keys":["a",7]}"#, "/keys/1"),
            (r#"{"keys":["a",""]}"#, "/keys/1"),
            (r#"{"keys":["a\n"]}"#, "/keys/0"),
            (r#"{"keys":[],"name":"x"}"#, "/name"),
        ] {
            let json = Json::parse(body.as_bytes()).unwrap();
            assert_eq!(ListKeys::from_json(&json).unwrap_err().problem().pointer, pointer, "{body}");
        }
    }

    #[test]
    fn a_list_over_its_limits_is_refused_whole() {
        let keys = |count: usize| "k\n".repeat(count);
        assert_eq!(ListKeys::from_text(keys(MAX_LIST_KEYS).as_bytes()).unwrap().len(), 1);
        let fault = ListKeys::from_text(keys(MAX_LIST_KEYS + 1).as_bytes()).unwrap_err();
        assert!(fault == ListFault::TooMany && fault.is_too_large());
        let bytes = vec![b'k'; MAX_LIST_BYTES + 1];
        assert_eq!(ListKeys::from_text(&bytes).unwrap_err(), ListFault::TooLong);
    }

    #[test]
    fn the_same_keys_are_the_same_object_and_it_reads_back() {
        let one = ListKeys::from_text(b"b\na\nc\n").unwrap().pack().unwrap();
        assert_eq!(one, ListKeys::from_text(b"a\nb\nc").unwrap().pack().unwrap());
        assert_eq!(one.1.open(&one.0, Caps::LIST).unwrap(), b"a\nb\nc\n");
        let (stored, object) = ListKeys::default().pack().unwrap();
        assert_eq!((object.raw_size, object.open(&stored, Caps::LIST).unwrap()), (0, Vec::new()));
    }
}
