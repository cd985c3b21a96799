//! Versions and ranges of them (FORMAT M-4.6).

use core::cmp::Ordering;

use flagstone_model::version::{Version, VersionRange};
use flagstone_publisher::lower::lower_version;

use crate::shape::{Choices, Shaped};

/// Two versions and a range, one a line.
pub(crate) fn body(bytes: &[u8]) -> bool {
    let Some(text) = crate::text(bytes, shaped) else { return false };
    let mut parts = text.splitn(3, '\n');
    let mut next = || parts.next().unwrap_or_default();
    let (left, right, range) = (next(), next(), next());
    let versions = (Version::parse(left), Version::parse(right));
    for text in [left, right] {
        agrees_with_semver(text);
    }
    if let (Some(a), Some(b)) = (versions.0, versions.1) {
        assert_eq!(a.cmp(&b), b.cmp(&a).reverse(), "order is antisymmetric");
        assert_eq!(a == b, a.cmp(&b) == Ordering::Equal, "equality is that of the order");
        if let (Ok(x), Ok(y)) = (semver::Version::parse(left), semver::Version::parse(right)) {
            assert_eq!(a.cmp(&b), x.cmp_precedence(&y), "SemVer 2.0 §11, as another implementation has it");
        }
    }
    let read = VersionRange::parse(range);
    if let (Ok(range), Some(version)) = (&read, versions.0) {
        // Build metadata never counts.
        assert_eq!(range.contains(&version), range.contains(&Version::parse(strip_build(left)).unwrap()));
    }
    let lowered = lower_version(range);
    if let Ok(lowered) = &lowered {
        assert!(VersionRange::parse(lowered).is_ok(), "what the publisher writes is read: {lowered}");
        assert_eq!(lower_version(lowered).as_ref(), Ok(lowered), "lowering what is lowered changes nothing");
    }
    assert!(read.is_err() || lowered.is_ok(), "what the wire takes can be written: {range}");
    versions.0.is_some() || versions.1.is_some() || lowered.is_ok()
}

fn strip_build(text: &str) -> &str {
    text.split_once('+').map_or(text, |(text, _)| text)
}

/// The `semver` crate takes numbers up to 2⁶⁴−1 and full versions only; where it and we can read, both do.
fn agrees_with_semver(text: &str) {
    let longest = text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    if longest <= flagstone_model::version::MAX_VERSION_DIGITS
        && text.starts_with(|c: char| c.is_ascii_digit())
    {
        let theirs = semver::Version::parse(text).is_ok();
        assert!(!theirs || Version::parse(text).is_some(), "a SemVer 2.0 version is read: {text:?}");
    }
}

fn number(u: &mut Choices<'_>) -> Shaped<String> {
    Ok(match u.int_in_range(0..=11)? {
        0..=7 => u.int_in_range(0..=12)?.to_string(),
        8 => u.int_in_range(0..=u64::MAX)?.to_string(),
        9 => "999999999999999".into(),
        10 => "1000000000000000".into(),
        _ => "01".into(),
    })
}

fn identifiers(u: &mut Choices<'_>) -> Shaped<String> {
    const WORDS: [&str; 12] =
        ["0", "1", "rc", "alpha", "beta", "-", "0a", "00", "10", "", "x-y", "9999999999999999"];
    let count = u.int_in_range(1..=3)?;
    let words: Shaped<Vec<_>> = (0..count).map(|_| u.choose(&WORDS).copied()).collect();
    Ok(words?.join("."))
}

fn version(u: &mut Choices<'_>) -> Shaped<String> {
    let mut text = String::from(*u.choose(&["", "", "", "v", "V"])?);
    let parts = *u.choose(&[3, 3, 3, 2, 1, 4])?;
    for index in 0..parts {
        if index > 0 {
            text.push('.');
        }
        text += &number(u)?;
    }
    if u.int_in_range(0..=2)? == 1 {
        text.push('-');
        text += &identifiers(u)?;
    }
    if u.int_in_range(0..=4)? == 1 {
        text.push('+');
        text += &identifiers(u)?;
    }
    Ok(text)
}

fn shaped(u: &mut Choices<'_>) -> Shaped<String> {
    const COMPARATORS: [&str; 10] = ["", "=", "<", "<=", ">", ">=", "^", "~", "==", "!"];
    let (left, right) = (version(u)?, version(u)?);
    let mut range = String::new();
    for index in 0..u.int_in_range(1..=5)? {
        if index > 0 {
            range += u.choose(&[" ", " ", "  ", ", ", ""])?;
        }
        range += u.choose(&COMPARATORS)?;
        let operand = match u.int_in_range(0..=5)? {
            0 => left.clone(),
            1 => right.clone(),
            2 => number(u)? + ".x",
            _ => version(u)?,
        };
        range += &operand;
    }
    Ok(format!("{left}\n{right}\n{range}"))
}
