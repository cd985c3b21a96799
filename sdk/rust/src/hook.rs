//! Hooks: code of the application that sees each evaluation.

mod counts;
mod telemetry;

use flagstone_model::details::{ErrorCode, Reason};
use flagstone_model::value::Value;

pub use counts::{EvaluationCount, EvaluationCounts, MAX_COUNTED};
pub use telemetry::EvaluationEvents;

/// Sees each evaluation that the application asks for by a getter, after the answer is known.
///
/// It runs on the thread that asked, so that it should be quick; it can change nothing. One that panics is counted in
/// [`Counters::hook_panics`](crate::Counters::hook_panics) and harms nobody. Flags asked in conditions and
/// [`Client::all_flags`](crate::Client::all_flags) are not shown.
///
/// A closure that takes an `&Evaluation<'_>` is a hook.
pub trait Hook: Send + Sync {
    /// Sees one evaluation.
    fn on_evaluation(&self, evaluation: &Evaluation<'_>);
}

impl<F: Fn(&Evaluation<'_>) + Send + Sync> Hook for F {
    fn on_evaluation(&self, evaluation: &Evaluation<'_>) {
        self(evaluation);
    }
}

/// One evaluation, borrowed from the snapshot. It says nothing of the context: not even whose it was.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Evaluation<'a> {
    /// The flag's key as the application spelled it; there may be no such flag.
    pub flag: &'a str,
    /// Project and environment, as `PROJECT/ENVIRONMENT`.
    pub set: &'a str,
    /// The value served; none where the caller's default value stands.
    pub value: Option<&'a Value>,
    /// The variation served.
    pub variation: Option<&'a str>,
    /// Why.
    pub reason: Reason,
    /// With [`Reason::Error`]: what was wrong.
    pub error_code: Option<ErrorCode>,
    /// The rule that decided, or that could not be decided.
    pub rule: Option<&'a str>,
    /// The experiment and its phase.
    pub exp: Option<&'a str>,
    /// The flag's own edit number.
    pub rev: Option<u64>,
    /// The version of the snapshot.
    pub version: Option<u64>,
    /// Whether the answer may be old.
    pub stale: bool,
    /// Whether a local override was served.
    pub overridden: bool,
}
