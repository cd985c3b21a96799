//! Lists: large sets of keys (FORMAT M-1.7, T-3.5).
#![deny(clippy::arithmetic_side_effects)]

use core::fmt;

use flagstone_model::limits::MAX_LIST_RAW_BYTES;

/// Most keys of a list object.
pub const MAX_LIST_KEYS: usize = 4_000_000;
/// Largest unpacked list object, in bytes.
pub const MAX_LIST_BYTES: usize = 128 * 1024 * 1024;
const _: () = assert!(MAX_LIST_BYTES as u64 == MAX_LIST_RAW_BYTES, "a list that may be sent may be read");

/// The keys of one list object: exact, sorted, found by halving.
///
/// It holds the object's bytes and four more for each key.
///
/// ```
/// use flagstone_eval::List;
///
/// let list = List::parse(b"u-1\nu-10\nu-22\n".as_slice())?;
/// assert!(list.contains(b"u-10"));
/// assert!(!list.contains(b"u-2"));
/// # Ok::<(), flagstone_eval::ListError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct List {
    bytes: Box<[u8]>,
    /// Where each key begins, and where the one after the last would.
    starts: Box<[u32]>,
}

/// Why bytes are no list object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// More bytes than a list object has.
    #[error("a list object has at most {MAX_LIST_BYTES} bytes")]
    TooLong,
    /// More keys than a list object has.
    #[error("a list object has at most {MAX_LIST_KEYS} keys")]
    TooMany,
    /// The last line has no end.
    #[error("the last key has no line break after it")]
    Unfinished,
    /// A key that no unit is.
    #[error("key {index} is empty, or not text without control characters")]
    Key {
        /// Which, from 0.
        index: usize,
    },
    /// A key that is not after the one before it.
    #[error("key {index} does not come after the one before it")]
    Order {
        /// Which, from 0.
        index: usize,
    },
}

impl List {
    /// Reads a list object: keys in ascending order of their bytes, each with a line break after it.
    pub fn parse(bytes: impl Into<Box<[u8]>>) -> Result<Self, ListError> {
        let bytes = bytes.into();
        if bytes.len() > MAX_LIST_BYTES {
            return Err(ListError::TooLong);
        }
        let text = match bytes.strip_suffix(b"\n") {
            Some(text) => text,
            None if bytes.is_empty() => return Ok(Self { bytes, starts: [0].into() }),
            None => return Err(ListError::Unfinished),
        };
        let mut starts = vec![0];
        let mut before: &[u8] = b"";
        let mut end = 0_usize;
        for (index, key) in text.split(|byte| *byte == b'\n').enumerate() {
            if index >= MAX_LIST_KEYS {
                return Err(ListError::TooMany);
            }
            if !is_key(key) {
                return Err(ListError::Key { index });
            }
            if key <= before {
                return Err(ListError::Order { index });
            }
            before = key;
            end = end.saturating_add(key.len()).saturating_add(1);
            starts.push(u32::try_from(end).map_err(|_| ListError::TooLong)?);
        }
        Ok(Self { starts: starts.into(), bytes })
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether it holds no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it holds this key, given as its bytes.
    pub fn contains(&self, key: &[u8]) -> bool {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.key(middle).cmp(key) {
                core::cmp::Ordering::Equal => return true,
                core::cmp::Ordering::Less => low = middle.saturating_add(1),
                core::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }

    /// The keys, ascending.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|index| core::str::from_utf8(self.key(index)).unwrap_or_default())
    }

    fn key(&self, index: usize) -> &[u8] {
        let at = |index: usize| self.starts.get(index).copied().and_then(|at| usize::try_from(at).ok());
        let bounds = at(index).zip(at(index.saturating_add(1)).and_then(|end| end.checked_sub(1)));
        bounds.and_then(|(start, end)| self.bytes.get(start..end)).unwrap_or_default()
    }
}

/// Whether bytes are a key that a list may hold: text that is not empty, without control characters.
fn is_key(key: &[u8]) -> bool {
    !key.is_empty() && core::str::from_utf8(key).is_ok_and(|text| !text.chars().any(char::is_control))
}

/// Says how many there are: keys may be personal.
impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({} keys)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_its_keys_and_no_other() {
        let list = List::parse("u-1\nu-10\nu-22\nu-3\nñ\n".as_bytes()).unwrap();
        assert_eq!(list.keys().collect::<Vec<_>>(), ["u-1", "u-10", "u-22", "u-3", "ñ"]);
        for key in list.keys() {
            assert!(list.contains(key.as_bytes()), "{key}");
        }
        for key in ["", "u", "u-", "u-2", "u-100", "u-4", "z", "ñn", "\n", "u-1\nu-10"] {
            assert!(!list.contains(key.as_bytes()), "{key}");
        }
        assert!(!list.is_empty());
        let empty = List::parse(b"".as_slice()).unwrap();
        assert!(empty.is_empty() && !empty.contains(b"") && !empty.contains(b"u"));
    }

    #[test]
    fn a_million_keys_are_fine() {
        let text: String = (0..1_000_000).map(|number| format!("user-{number:07}\n")).collect();
        let list = List::parse(text.into_bytes()).unwrap();
        assert_eq!(list.len(), 1_000_000);
        assert!(
            list.contains(b"user-0000000")
                && list.contains(b"user-0999999")
                && !list.contains(b"user-1000000")
        );
    }

    #[test]
    fn as_many_keys_as_a_list_may_have_are_read_and_one_more_is_not() {
        let (mut text, mut key) = (Vec::new(), *b"aaaaaa\n");
        for _ in 0..=MAX_LIST_KEYS {
            text.extend_from_slice(&key);
            let digit = key[..6].iter().rposition(|byte| *byte < b'z').unwrap();
            key[digit] += 1;
            key[digit + 1..6].fill(b'a');
        }
        assert_eq!(List::parse(text.as_slice()), Err(ListError::TooMany));
        text.truncate(MAX_LIST_KEYS * key.len());
        assert_eq!(List::parse(text).unwrap().len(), MAX_LIST_KEYS);
    }

    #[test]
    fn as_many_bytes_as_a_list_may_have_are_read_and_one_more_is_not() {
        let long = |bytes: usize| {
            let mut key = "\u{1F3F3}".repeat(bytes / 4 - 1).into_bytes();
            key.resize(bytes - 1, b'x');
            key.push(b'\n');
            List::parse(key)
        };
        assert_eq!(long(MAX_LIST_BYTES + 1), Err(ListError::TooLong));
        assert_eq!(long(MAX_LIST_BYTES).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_list_object_is_refused() {
        for (bytes, error) in [
            (b"u-1".as_slice(), ListError::Unfinished),
            (b"\n", ListError::Key { index: 0 }),
            (b"a\n\nb\n", ListError::Key { index: 1 }),
            (b"a\r\n", ListError::Key { index: 0 }),
            (b"a\tb\n", ListError::Key { index: 0 }),
            ("a\u{85}\n".as_bytes(), ListError::Key { index: 0 }),
            (b"a\n\xFF\n", ListError::Key { index: 1 }),
            (b"b\na\n", ListError::Order { index: 1 }),
            (b"a\na\n", ListError::Order { index: 1 }),
        ] {
            assert_eq!(List::parse(bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", List::parse(b"mina@example.com\n".as_slice()).unwrap()), "List(1 keys)");
    }
}
