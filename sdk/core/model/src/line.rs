//! Heads of snapshot lines: what a line is about, without reading its JSON.

use crate::key::{EnvironmentId, FlagKey};
use crate::limits;

/// The kind of entity a line describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// An expected evaluation.
    Check,
    /// The environment itself; exactly one.
    Environment,
    /// A flag.
    Flag,
    /// A large set of keys.
    List,
    /// A named condition.
    Segment,
    /// A kind of a later level: kept for the content hash, otherwise ignored.
    Unknown,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        match name {
            "check" => Some(Self::Check),
            "environment" => Some(Self::Environment),
            "flag" => Some(Self::Flag),
            "list" => Some(Self::List),
            "segment" => Some(Self::Segment),
            // Reserved: the line of a delta that takes an entity away.
            "drop" => None,
            other => is_unknown_kind(other).then_some(Self::Unknown),
        }
    }

    /// Longest line of this kind, in bytes without the newline.
    pub const fn max_line_bytes(self) -> usize {
        match self {
            Self::Segment => limits::MAX_SEGMENT_LINE_BYTES,
            _ => limits::MAX_LINE_BYTES,
        }
    }

    fn takes_key(self, key: &str) -> bool {
        match self {
            Self::Flag | Self::List | Self::Segment => FlagKey::parse(key).is_ok(),
            Self::Environment => EnvironmentId::parse(key).is_ok(),
            Self::Check => key.rsplit_once('/').is_some_and(|(flag, number)| {
                FlagKey::parse(flag).is_ok()
                    && (1..=9).contains(&number.len())
                    && number.bytes().all(|byte| byte.is_ascii_digit())
            }),
            Self::Unknown => {
                (1..=256).contains(&key.len())
                    && key.bytes().all(|byte| (0x23..=0x7e).contains(&byte) && byte != b'\\')
            }
        }
    }
}

fn is_unknown_kind(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// What a line is about: `{"flag":"new-cart",…` has the kind [`Kind::Flag`], the name `flag`, the key `new-cart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head<'a> {
    /// The kind's name as it stands: the first member's name.
    pub name: &'a str,
    /// The entity's key: the first member's value.
    pub key: &'a str,
}

impl<'a> Head<'a> {
    /// Reads the head of a line by position and alphabet alone (FORMAT T-3.2).
    ///
    /// `None` means the line has no valid name, which fails a whole snapshot; a bad rest costs only its entity.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"{\"")?;
        let (name, rest) = until_quote(rest)?;
        let rest = rest.strip_prefix(b":\"")?;
        let (key, rest) = until_quote(rest)?;
        let closed = matches!(rest.first(), Some(b',' | b'}'));
        (closed && Kind::of(name)?.takes_key(key)).then_some(Self { name, key })
    }

    /// The kind of entity.
    pub fn kind(&self) -> Kind {
        Kind::of(self.name).unwrap_or(Kind::Unknown)
    }
}

/// A line of a delta that takes an entity away: `{"drop":"flag","key":"old-banner"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropLine<'a> {
    /// What goes.
    pub head: Head<'a>,
}

impl<'a> DropLine<'a> {
    /// Reads exactly `{"drop":"KIND","key":"KEY"}`.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"{\"drop\":\"")?;
        let (name, rest) = until_quote(rest)?;
        let rest = rest.strip_prefix(b",\"key\":\"")?;
        let (key, rest) = until_quote(rest)?;
        (rest == b"}" && Kind::of(name)?.takes_key(key)).then_some(Self { head: Head { name, key } })
    }
}

fn until_quote(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'"')?;
    let (text, rest) = bytes.split_at_checked(end)?;
    Some((core::str::from_utf8(text).ok()?, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_without_json() {
        let head = Head::parse(br#"{"flag":"new-cart","type"#).unwrap();
        assert_eq!((head.kind(), head.name, head.key), (Kind::Flag, "flag", "new-cart"));
        assert_eq!(Head::parse(br#"{"environment":"production"}"#).unwrap().kind(), Kind::Environment);
        assert_eq!(Head::parse(br#"{"check":"new-cart/12","#).unwrap().kind(), Kind::Check);
        assert_eq!(Head::parse(br##"{"geo_fence":"#a(b)","##).unwrap().kind(), Kind::Unknown);
    }

    #[test]
    fn a_line_without_a_valid_name_has_no_head() {
        for line in [
            &b""[..],
            b"{}",
            br#"{ "flag":"a"}"#,
            br#"{"flag": "a"}"#,
            br#"{"flag":"a"x"#,
            br#"{"flag":"a"#,
            br#"{"flag":"a b"}"#,
            br#"{"flag":"\u0061"}"#,
            br#"{"Flag":"a"}"#,
            br#"{"1x":"a"}"#,
            br#"{"flag":1}"#,
            br#"{"check":"a"}"#,
            br#"{"check":"a/"}"#,
            br#"{"check":"a/1234567890"}"#,
            br#"{"check":"a/x"}"#,
            br#"{"environment":"Prod"}"#,
            br#"{"other":"a b"}"#,
            br#"{"other":""}"#,
            br#"{"drop":"flag","key":"a"}"#,
        ] {
            assert_eq!(Head::parse(line), None, "{}", String::from_utf8_lossy(line));
        }
        let kind = |length: usize| format!("{{\"{}\":\"a\"}}", "k".repeat(length));
        assert!(Head::parse(kind(32).as_bytes()).is_some());
        assert!(Head::parse(kind(33).as_bytes()).is_none());
        let key = |length: usize| format!("{{\"other\":\"{}\"}}", "k".repeat(length));
        assert!(Head::parse(key(256).as_bytes()).is_some());
        assert!(Head::parse(key(257).as_bytes()).is_none());
    }

    #[test]
    fn drop_lines_are_exact() {
        let line = DropLine::parse(br#"{"drop":"flag","key":"old-banner"}"#).unwrap();
        assert_eq!((line.head.name, line.head.key), ("flag", "old-banner"));
        for line in [
            &br#"{"drop":"flag","key":"old-banner"} "#[..],
            br#"{"drop":"flag","key":"a","x":1}"#,
            br#"{"drop":"drop","key":"a"}"#,
            br#"{"key":"a","drop":"flag"}"#,
            br#"{"drop":"flag","key":"a b"}"#,
        ] {
            assert_eq!(DropLine::parse(line), None);
        }
    }
}
