//! Entity tags: reading `If-Match` and `If-None-Match`, writing `ETag` (RFC 9110 §8.8.3, §13.1).

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// What a conditional header names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntityTags {
    /// `*`: any that there is.
    Any,
    /// One or more.
    These(Vec<EntityTag>),
}

/// One entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntityTag {
    /// Marked `W/`.
    pub(crate) weak: bool,
    /// What stands between the quotes.
    pub(crate) opaque: Vec<u8>,
}

/// A conditional header that is not of its grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What the header `name` says, all its lines together; `None` if there is none.
pub(crate) fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<EntityTags>, Malformed> {
    let mut lines = headers.get_all(name).iter();
    let Some(first) = lines.next() else { return Ok(None) };
    let mut text = first.as_bytes().to_vec();
    for line in lines {
        text.push(b',');
        text.extend_from_slice(line.as_bytes());
    }
    parse(&text).map(Some)
}

fn parse(text: &[u8]) -> Result<EntityTags, Malformed> {
    let mut rest = text.trim_ascii();
    if rest == b"*" {
        return Ok(EntityTags::Any);
    }
    let mut tags = Vec::new();
    // Empty elements of a list count for nothing (RFC 9110 §5.6.1.2).
    let skip = |rest: &mut &[u8]| {
        let before = rest.len();
        while let [b',' | b' ' | b'\t', tail @ ..] = *rest {
            *rest = tail;
        }
        before != rest.len()
    };
    skip(&mut rest);
    while !rest.is_empty() {
        let (weak, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let opaque = quoted.strip_prefix(b"\"").ok_or(Malformed)?;
        let end = opaque.iter().position(|byte| *byte == b'"').ok_or(Malformed)?;
        let (opaque, tail) = opaque.split_at_checked(end).ok_or(Malformed)?;
        if !opaque.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)) {
            return Err(Malformed);
        }
        tags.push(EntityTag { weak, opaque: opaque.to_vec() });
        rest = tail.strip_prefix(b"\"").ok_or(Malformed)?;
        let between = rest;
        if skip(&mut rest) && !rest.is_empty() {
            let gap = between.len().saturating_sub(rest.len());
            if !between.iter().take(gap).any(|byte| *byte == b',') {
                return Err(Malformed);
            }
        } else if !rest.is_empty() {
            return Err(Malformed);
        }
    }
    if tags.is_empty() { Err(Malformed) } else { Ok(EntityTags::These(tags)) }
}

impl EntityTags {
    /// Whether one of these names `etag`, quotes included, by weak comparison: what `If-None-Match` asks.
    pub(crate) fn matches_weakly(&self, etag: &str) -> bool {
        let strong = etag.strip_prefix("W/").unwrap_or(etag).as_bytes();
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|tag| {
                let inner = strong.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\""));
                inner == Some(&tag.opaque[..])
            }),
        }
    }
}

impl EntityTag {
    /// The revision this names, if it is the strong tag of one.
    pub(crate) fn revision(&self) -> Option<u64> {
        let text = core::str::from_utf8(&self.opaque).ok().filter(|_| !self.weak)?;
        text.parse().ok().filter(|revision: &u64| revision.to_string() == text)
    }
}

/// The strong `ETag` of a revision.
pub(crate) fn of_revision(revision: u64) -> String {
    format!("\"{revision}\"")
}

/// The same as a header's value.
pub(crate) fn value_of_revision(revision: u64) -> HeaderValue {
    HeaderValue::try_from(of_revision(revision)).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

#[cfg(test)]
mod tests {
    use axum::http::header::IF_MATCH;

    use super::*;

    fn tag(weak: bool, opaque: &str) -> EntityTag {
        EntityTag { weak, opaque: opaque.as_bytes().to_vec() }
    }

    #[test]
    fn lists_weak_tags_and_the_star_are_read() {
        let these = |tags: &[EntityTag]| Ok(EntityTags::These(tags.to_vec()));
        assert_eq!(parse(b"*"), Ok(EntityTags::Any));
        assert_eq!(parse(b" \"7\" "), these(&[tag(false, "7")]));
        assert_eq!(
            parse(b"\"7\",\"8\" , W/\"a,b\""),
            these(&[tag(false, "7"), tag(false, "8"), tag(true, "a,b")])
        );
        assert_eq!(parse(b", \"\" ,, \"x\","), these(&[tag(false, ""), tag(false, "x")]));
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in [
            "",
            " ",
            ",",
            "7",
            "\"7",
            "7\"",
            "\"7\" \"8\"",
            "\"7\"8",
            "w/\"7\"",
            "W/7",
            "*, \"7\"",
            "\"7\", *",
            "\"a b\"",
            "'7'",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn only_the_strong_canonical_tag_names_a_revision() {
        assert_eq!(tag(false, "7").revision(), Some(7));
        for none in [
            tag(true, "7"),
            tag(false, "07"),
            tag(false, "+7"),
            tag(false, ""),
            tag(false, "x"),
            tag(false, "99999999999999999999"),
        ] {
            assert_eq!(none.revision(), None, "{none:?}");
        }
    }

    #[test]
    fn several_lines_of_a_header_are_one_list() {
        let mut headers = HeaderMap::new();
        assert_eq!(read(&headers, &IF_MATCH), Ok(None));
        headers.append(IF_MATCH, HeaderValue::from_static("\"1\""));
        headers.append(IF_MATCH, HeaderValue::from_static("\"2\""));
        assert_eq!(
            read(&headers, &IF_MATCH),
            Ok(Some(EntityTags::These(vec![tag(false, "1"), tag(false, "2")])))
        );
    }

    #[test]
    fn weak_comparison_ignores_the_mark() {
        let tags = parse(b"W/\"7\", \"x\"").unwrap();
        assert!(tags.matches_weakly("\"7\"") && tags.matches_weakly("W/\"x\""));
        assert!(!tags.matches_weakly("\"8\"") && !tags.matches_weakly("7"));
    }
}
