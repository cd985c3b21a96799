//! One value that is tested, and the types it may be converted to.

use flagstone_model::context::{Attribute, Unit};
use flagstone_model::json::number_of;

/// A value as tests see it.
#[derive(Clone, Copy)]
pub(crate) enum Scalar<'a> {
    Bool(bool),
    /// Finite and within ±(2⁵³−1).
    Number(f64),
    Text(&'a str),
    /// Of the wrong type for every test: null, an array, an object, or a number beyond that (FORMAT M-3.5).
    Other,
}

/// The operand of `as` (FORMAT M-4.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    Number,
    Text,
}

impl As {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "number" => Some(Self::Number),
            "string" => Some(Self::Text),
            _ => None,
        }
    }
}

impl<'a> Scalar<'a> {
    #[expect(clippy::inline_always, reason = "the hot path is counted in instructions")]
    #[inline(always)]
    pub(crate) fn of(value: &'a Attribute) -> Self {
        match value {
            Attribute::Bool(truth) => Self::Bool(*truth),
            Attribute::String(text) => Self::Text(text),
            other => other.as_number().map_or(Self::Other, Self::Number),
        }
    }

    /// Hands over what `to` makes of the value; what cannot be converted is [`Scalar::Other`].
    pub(crate) fn converted<R>(self, to: As, then: impl FnOnce(Scalar<'_>) -> R) -> R {
        match (to, self) {
            (As::Number, Self::Number(_)) | (As::Text, Self::Text(_)) => then(self),
            (As::Number, Self::Text(text)) => {
                let number = number_of(text).map(Attribute::Number);
                then(number.as_ref().map_or(Scalar::Other, Scalar::of))
            }
            (As::Text, Self::Bool(truth)) => then(Scalar::Text(if truth { "true" } else { "false" })),
            (As::Text, Self::Number(number)) => match Unit::of_number(number) {
                Some(digits) => then(Scalar::Text(digits.as_str())),
                None => then(Scalar::Other),
            },
            _ => then(Scalar::Other),
        }
    }
}
