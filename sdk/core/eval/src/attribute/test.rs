//! Tests of one value.

use flagstone_model::context::Unit;
use flagstone_model::instant::Instant;
use flagstone_model::network::{self, Network};
use flagstone_model::pattern::MAX_SUBJECT_BYTES;
use flagstone_model::version::{Version, VersionRange};
use regex::Regex;

use super::hashed::Hashed;
use super::scalar::Scalar;
use super::strings::{Strings, contains_folded, ends_folded, equals_folded, starts_folded};
use crate::lists::Members;
use crate::truth::Truth;

/// A test of one scalar.
#[derive(Debug)]
pub(crate) enum Test {
    In(Operands),
    Starts(Box<[Box<str>]>),
    Ends(Box<[Box<str>]>),
    Contains(Box<[Box<str>]>),
    /// `starts`, `ends`, or `contains` of a text whose A–Z count as a–z.
    Folded(Edge, Box<[Box<str>]>),
    Lt(f64),
    Lte(f64),
    Gt(f64),
    Gte(f64),
    Matches(Expression),
    Semver(VersionRange),
    /// From this epoch millisecond on.
    Since(i64),
    /// Before this epoch millisecond.
    Before(i64),
    Cidr(Box<[Network]>),
    /// In the list of the leaf.
    Listed,
    Hashed(Box<Hashed>),
}

/// An expression of the kernel, compiled.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) regex: Regex,
    /// As FORMAT M-4.7 counts them.
    pub(crate) instructions: usize,
}

/// Where in a text an operand has to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    Start,
    End,
    Anywhere,
}

/// The operands of `in`, by type: `42` is not `"42"`.
#[derive(Debug, Default)]
pub(crate) struct Operands {
    pub(crate) booleans: Box<[bool]>,
    pub(crate) numbers: Box<[f64]>,
    pub(crate) strings: Strings,
}

/// One operand of `has_all`.
#[derive(Debug)]
pub(crate) enum Operand {
    Bool(bool),
    Number(f64),
    Text(Box<str>),
}

impl Test {
    pub(super) fn truth(&self, value: Scalar<'_>, list: Option<&Members>) -> Truth {
        match self {
            Self::In(operands) => operands.hold(value),
            Self::Starts(parts) => text(value, |text| parts.iter().any(|part| text.starts_with(&**part))),
            Self::Ends(parts) => text(value, |text| parts.iter().any(|part| text.ends_with(&**part))),
            Self::Contains(parts) => text(value, |text| parts.iter().any(|part| text.contains(&**part))),
            Self::Folded(edge, parts) => text(value, |text| parts.iter().any(|part| edge.holds(text, part))),
            Self::Lt(bound) => number(value, |number| number < *bound),
            Self::Lte(bound) => number(value, |number| number <= *bound),
            Self::Gt(bound) => number(value, |number| number > *bound),
            Self::Gte(bound) => number(value, |number| number >= *bound),
            Self::Matches(expression) => match value {
                Scalar::Text(text) => expression.is_found(text).map_or(Truth::Unknown, Truth::from),
                _ => Truth::Unknown,
            },
            Self::Semver(range) => read(value, Version::parse, |version| range.contains(&version)),
            Self::Since(bound) => instant(value, |millis| millis >= *bound),
            Self::Before(bound) => instant(value, |millis| millis < *bound),
            Self::Cidr(networks) => read(value, network::address, |address| {
                networks.iter().any(|network| network.contains(address))
            }),
            Self::Listed => match (list, unit(value)) {
                (None, _) => Truth::Unsupported,
                (Some(_), None) => Truth::Unknown,
                (Some(members), Some(unit)) => members.contains(unit.as_str()).into(),
            },
            Self::Hashed(hashed) => text(value, |text| hashed.holds(text.as_bytes())),
        }
    }
}

impl Expression {
    /// `None`: the subject is too long.
    pub(crate) fn is_found(&self, subject: &str) -> Option<bool> {
        (subject.len() <= MAX_SUBJECT_BYTES).then(|| self.regex.is_match(subject))
    }
}

impl Edge {
    fn holds(self, text: &str, operand: &str) -> bool {
        let (text, operand) = (text.as_bytes(), operand.as_bytes());
        match self {
            Self::Start => starts_folded(text, operand),
            Self::End => ends_folded(text, operand),
            Self::Anywhere => contains_folded(text, operand),
        }
    }
}

impl Operands {
    fn hold(&self, value: Scalar<'_>) -> Truth {
        match value {
            Scalar::Bool(truth) => self.booleans.contains(&truth).into(),
            Scalar::Number(number) => self.numbers.contains(&number).into(),
            Scalar::Text(text) => self.strings.contains(text).into(),
            Scalar::Other => Truth::Unknown,
        }
    }
}

impl Operand {
    pub(super) fn equals(&self, value: Scalar<'_>, fold: bool) -> bool {
        match (self, value) {
            (Self::Bool(wanted), Scalar::Bool(truth)) => *wanted == truth,
            (Self::Number(wanted), Scalar::Number(number)) => *wanted == number,
            (Self::Text(wanted), Scalar::Text(text)) if fold => {
                equals_folded(text.as_bytes(), wanted.as_bytes())
            }
            (Self::Text(wanted), Scalar::Text(text)) => **wanted == *text,
            _ => false,
        }
    }
}

fn text(value: Scalar<'_>, holds: impl FnOnce(&str) -> bool) -> Truth {
    match value {
        Scalar::Text(text) => holds(text).into(),
        _ => Truth::Unknown,
    }
}

fn number(value: Scalar<'_>, holds: impl FnOnce(f64) -> bool) -> Truth {
    match value {
        Scalar::Number(number) => holds(number).into(),
        _ => Truth::Unknown,
    }
}

/// A text that reads as something else, or is unknown.
fn read<'v, T>(
    value: Scalar<'v>,
    parse: impl FnOnce(&'v str) -> Option<T>,
    holds: impl FnOnce(T) -> bool,
) -> Truth {
    match value {
        Scalar::Text(text) => parse(text).map_or(Truth::Unknown, |read| holds(read).into()),
        _ => Truth::Unknown,
    }
}

/// An RFC 3339 text, or integral epoch milliseconds.
fn instant(value: Scalar<'_>, holds: impl FnOnce(i64) -> bool) -> Truth {
    let millis = match value {
        Scalar::Text(text) => Instant::parse_rfc3339(text).map(Instant::millis),
        Scalar::Number(number) => integer(number),
        Scalar::Bool(_) | Scalar::Other => None,
    };
    millis.map_or(Truth::Unknown, |millis| holds(millis).into())
}

#[expect(clippy::cast_possible_truncation, reason = "a scalar's number is within 53 bits")]
fn integer(number: f64) -> Option<i64> {
    (number.trunc() == number).then_some(number as i64)
}

fn unit(value: Scalar<'_>) -> Option<Unit<'_>> {
    match value {
        Scalar::Text(text) => Unit::of_text(text),
        Scalar::Number(number) => Unit::of_number(number),
        Scalar::Bool(_) | Scalar::Other => None,
    }
}
