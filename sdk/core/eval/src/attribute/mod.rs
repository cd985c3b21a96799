//! Tests on one attribute (FORMAT M-4.3 to M-4.9).

mod hashed;
mod scalar;
mod strings;
mod test;

use flagstone_model::context::{Attribute, Context};
use flagstone_model::path::Path;

use crate::lists::{ListEntry, Members};
use crate::table::{Reference, Table};
use crate::truth::Truth;

pub(crate) use hashed::{Hashed, HashedParts};
pub(crate) use scalar::As;
use scalar::Scalar;
pub(crate) use strings::Strings;
pub(crate) use test::{Edge, Expression, Operand, Operands, Test};

/// `{"attr":path, …tests}`: all tests, on the same value.
#[derive(Debug)]
pub(crate) struct AttributeTest {
    pub(crate) path: Path,
    /// The operand of `exists`, which sees the whole attribute.
    pub(crate) exists: Option<bool>,
    /// The operands of `has_all`, which sees the whole attribute too.
    pub(crate) has_all: Option<HasAll>,
    /// Tests of a value, or of each element of an array.
    pub(crate) tests: Box<[Test]>,
    /// The list that [`Test::Listed`] asks: without it the whole leaf is unsupported.
    pub(crate) list: Option<Reference>,
    /// What each value is converted to first.
    pub(crate) convert: Option<As>,
    pub(crate) absent: Option<bool>,
}

/// `has_all`: each operand equals some element.
#[derive(Debug)]
pub(crate) struct HasAll {
    pub(crate) operands: Box<[Operand]>,
    pub(crate) fold: bool,
}

impl AttributeTest {
    /// Those of its expression, if it has one.
    pub(crate) fn instructions(&self) -> usize {
        let of = |test: &Test| if let Test::Matches(expression) = test { expression.instructions } else { 0 };
        self.tests.iter().map(of).fold(0, usize::saturating_add)
    }

    // One function, called from where conditions are: with its parts inlined and itself not, it is what it was before
    // explanations asked for the parts.
    #[inline(never)]
    pub(crate) fn truth(&self, context: &Context, lists: &Table<ListEntry>) -> Truth {
        self.unreplaced(context, lists).or_absent(self.absent)
    }

    /// The truth before `absent` takes the place of *unknown*.
    #[expect(clippy::inline_always, reason = "the hot path is counted in instructions")]
    #[inline(always)]
    pub(crate) fn unreplaced(&self, context: &Context, lists: &Table<ListEntry>) -> Truth {
        let list = match &self.list {
            None => None,
            Some(reference) => match lists.follow(reference).and_then(|entry| entry.members()) {
                None => return Truth::Unsupported,
                found => found,
            },
        };
        let attribute = context.resolve(&self.path);
        let exists = self.exists.map_or(Truth::True, |wanted| Truth::from(attribute.is_some() == wanted));
        let has_all = self.has_all.as_ref().map_or(Truth::True, |test| self.has_all(test, attribute));
        let tested = if self.tests.is_empty() {
            Truth::True
        } else {
            match attribute {
                None => Truth::Unknown,
                Some(Attribute::Array(elements)) => {
                    Truth::any(elements.iter().map(|element| self.scalar(element, list)))
                }
                Some(scalar) => self.scalar(scalar, list),
            }
        };
        exists.min(has_all).min(tested)
    }

    #[expect(clippy::inline_always, reason = "the hot path is counted in instructions")]
    #[inline(always)]
    fn scalar(&self, value: &Attribute, list: Option<&Members>) -> Truth {
        let value = Scalar::of(value);
        match self.convert {
            None => self.tests(value, list),
            Some(to) => self.converted(value, to, list),
        }
    }

    #[expect(clippy::inline_always, reason = "the hot path is counted in instructions")]
    #[inline(always)]
    fn tests(&self, value: Scalar<'_>, list: Option<&Members>) -> Truth {
        Truth::all(self.tests.iter().map(|test| test.truth(value, list)))
    }

    #[inline(never)]
    fn converted(&self, value: Scalar<'_>, to: As, list: Option<&Members>) -> Truth {
        value.converted(to, |value| self.tests(value, list))
    }

    /// An array is what it holds, and a scalar an array of one. What equals nothing in an array is unknown alone.
    #[inline(never)]
    fn has_all(&self, test: &HasAll, attribute: Option<&Attribute>) -> Truth {
        let elements = match attribute {
            Some(Attribute::Array(elements)) => elements.as_slice(),
            Some(scalar) if self.is_usable(scalar) => core::slice::from_ref(scalar),
            Some(_) | None => return Truth::Unknown,
        };
        let is_there =
            |operand: &Operand| elements.iter().any(|element| self.equals(element, operand, test.fold));
        test.operands.iter().all(is_there).into()
    }

    fn is_usable(&self, value: &Attribute) -> bool {
        self.as_converted(value, |value| !matches!(value, Scalar::Other))
    }

    fn equals(&self, value: &Attribute, operand: &Operand, fold: bool) -> bool {
        self.as_converted(value, |value| operand.equals(value, fold))
    }

    fn as_converted<R>(&self, value: &Attribute, then: impl FnOnce(Scalar<'_>) -> R) -> R {
        let value = Scalar::of(value);
        match self.convert {
            None => then(value),
            Some(to) => value.converted(to, then),
        }
    }
}
