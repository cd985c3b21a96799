//! Checks: expected evaluations that the publisher runs, and SDKs before they take new lines (FORMAT M-1.8, P8).
//!
//! Authors write some. Others are [generated](generate) from lines alone: contexts made of the operands of conditions,
//! aimed at each rule, and at just missing each test on which languages could disagree. The same lines give the same
//! checks.

mod asking;
mod example;
mod generate;
mod reached;

use core::fmt;

use flagstone_eval::{Details, Snapshot};
use flagstone_model::context::Context;
use flagstone_model::details::Reason;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

pub use asking::{Asking, entity, flag_of_check};
pub(crate) use example::put;
pub use generate::{MAX_PUBLISHED, generate, published};
pub use reached::{Reached, references};

/// An expected evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The time of the evaluation.
    pub at: Instant,
    /// The context, an object.
    pub context: Json<'static>,
    /// What it answers.
    pub outcome: Outcome,
}

/// What an evaluation answers, as far as a check compares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The variation served, if any.
    pub variation: Option<String>,
    /// Why.
    pub reason: Reason,
    /// The rule that decided, if one did.
    pub rule: Option<String>,
}

impl Check {
    /// What a snapshot answers to it; `None` if its context is none.
    pub fn answer_of(&self, snapshot: &Snapshot, flag: &str) -> Option<Outcome> {
        let context = Context::from_json(&self.context)?;
        Some(Outcome::from(&snapshot.evaluate(flag, None, &context, self.at)))
    }

    /// Its line, without its newline: the `number`th of a flag (FORMAT M-1.8).
    pub fn line(&self, flag: &str, number: usize) -> String {
        let Self { at, context, outcome } = self;
        let is_empty = context.as_object().is_none_or(<[_]>::is_empty);
        let members = [
            ("check", Some(Json::from(format!("{flag}/{number}")))),
            ("flag", Some(Json::from(flag))),
            ("at", Some(Json::from(at.to_string()))),
            ("context", (!is_empty).then(|| context.clone())),
            ("expect", Some(outcome.to_json())),
        ];
        Json::object(members.into_iter().filter_map(|(name, value)| Some((name, value?)))).to_string()
    }
}

impl Outcome {
    fn to_json(&self) -> Json<'_> {
        let members = [
            ("variation", self.variation.as_deref()),
            ("reason", Some(self.reason.as_str())),
            ("rule", self.rule.as_deref()),
        ];
        Json::object(members.into_iter().filter_map(|(name, text)| Some((name, Json::from(text?)))))
    }
}

impl From<&Details<'_>> for Outcome {
    fn from(details: &Details<'_>) -> Self {
        Self {
            variation: details.variation.map(ToString::to_string),
            reason: details.reason,
            rule: details.rule.map(ToString::to_string),
        }
    }
}

/// ``variation `on`, reason SPLIT, rule `eu` ``.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variation {
            Some(variation) => write!(f, "variation `{variation}`, ")?,
            None => f.write_str("no variation, ")?,
        }
        write!(f, "reason {}, ", self.reason)?;
        match &self.rule {
            Some(rule) => write!(f, "rule `{rule}`"),
            None => f.write_str("no rule"),
        }
    }
}
