//! Tests on one attribute.

use std::collections::HashSet;

use flagstone_model::context::{Attribute, Context};
use flagstone_model::path::Path;

use crate::truth::Truth;

/// `{"attr":path, …tests}`: all tests, on the same value.
#[derive(Debug)]
pub(crate) struct AttributeTest {
    pub(crate) path: Path,
    /// The operand of `exists`, which sees the whole attribute.
    pub(crate) exists: Option<bool>,
    /// Tests of a value, or of each element of an array.
    pub(crate) tests: Box<[Test]>,
    pub(crate) absent: Option<bool>,
}

/// A test of one scalar.
#[derive(Debug)]
pub(crate) enum Test {
    In(Operands),
    Starts(Box<[Box<str>]>),
    Ends(Box<[Box<str>]>),
    Contains(Box<[Box<str>]>),
    Lt(f64),
    Lte(f64),
    Gt(f64),
    Gte(f64),
}

/// The operands of `in`, by type: `42` is not `"42"`.
#[derive(Debug, Default)]
pub(crate) struct Operands {
    pub(crate) booleans: Box<[bool]>,
    pub(crate) numbers: Box<[f64]>,
    pub(crate) strings: Strings,
}

/// A set of strings: few are compared, many are hashed.
#[derive(Debug)]
pub(crate) enum Strings {
    Few(Box<[Box<str>]>),
    Many(HashSet<Box<str>>),
}

impl Strings {
    const FEW: usize = 8;

    pub(crate) fn new(strings: Vec<Box<str>>) -> Self {
        if strings.len() <= Self::FEW {
            Self::Few(strings.into())
        } else {
            Self::Many(strings.into_iter().collect())
        }
    }

    fn contains(&self, text: &str) -> bool {
        match self {
            Self::Few(strings) => strings.iter().any(|string| **string == *text),
            Self::Many(strings) => strings.contains(text),
        }
    }
}

impl Default for Strings {
    fn default() -> Self {
        Self::Few(Box::default())
    }
}

impl AttributeTest {
    // One function, called from where conditions are: with its parts inlined and itself not, it is what it was before
    // explanations asked for the parts.
    #[inline(never)]
    pub(crate) fn truth(&self, context: &Context) -> Truth {
        self.unreplaced(context).or_absent(self.absent)
    }

    /// The truth before `absent` takes the place of *unknown*.
    #[expect(clippy::inline_always, reason = "the hot path is counted in instructions")]
    #[inline(always)]
    pub(crate) fn unreplaced(&self, context: &Context) -> Truth {
        let attribute = context.resolve(&self.path);
        let exists = self.exists.map_or(Truth::True, |wanted| Truth::from(attribute.is_some() == wanted));
        let tested = if self.tests.is_empty() {
            Truth::True
        } else {
            match attribute {
                None => Truth::Unknown,
                Some(Attribute::Array(elements)) => {
                    Truth::any(elements.iter().map(|element| self.scalar(element)))
                }
                Some(scalar) => self.scalar(scalar),
            }
        };
        exists.min(tested)
    }

    #[expect(clippy::inline_always, reason = "the hot path is counted in instructions")]
    #[inline(always)]
    fn scalar(&self, value: &Attribute) -> Truth {
        Truth::all(self.tests.iter().map(|test| test.truth(value)))
    }
}

impl Test {
    fn truth(&self, value: &Attribute) -> Truth {
        match self {
            Self::In(operands) => operands.hold(value),
            Self::Starts(parts) => text(value, |text| parts.iter().any(|part| text.starts_with(&**part))),
            Self::Ends(parts) => text(value, |text| parts.iter().any(|part| text.ends_with(&**part))),
            Self::Contains(parts) => text(value, |text| parts.iter().any(|part| text.contains(&**part))),
            Self::Lt(bound) => number(value, |number| number < *bound),
            Self::Lte(bound) => number(value, |number| number <= *bound),
            Self::Gt(bound) => number(value, |number| number > *bound),
            Self::Gte(bound) => number(value, |number| number >= *bound),
        }
    }
}

impl Operands {
    fn hold(&self, value: &Attribute) -> Truth {
        match value {
            Attribute::Bool(truth) => self.booleans.contains(truth).into(),
            Attribute::String(string) => self.strings.contains(string).into(),
            other => number(other, |number| self.numbers.contains(&number)),
        }
    }
}

fn text(value: &Attribute, holds: impl FnOnce(&str) -> bool) -> Truth {
    match value {
        Attribute::String(string) => holds(string).into(),
        _ => Truth::Unknown,
    }
}

fn number(value: &Attribute, holds: impl FnOnce(f64) -> bool) -> Truth {
    value.as_number().map_or(Truth::Unknown, |number| holds(number).into())
}
