//! Why an invocation failed, as Lambda is told.

use lambda_runtime::Diagnostic;

/// An invocation that gave no answer. Lambda counts it as an error of the function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} ({code})")]
pub struct Failure {
    /// The stable code: `errorType` in what the caller is told.
    pub code: String,
    /// What is wrong, and what to do.
    pub detail: String,
}

impl Failure {
    /// The code of an event that the function does not take.
    pub const WRONG_EVENT: &'static str = "wrong-event";
    /// The code of work that was given up before Lambda would end the process.
    pub const DEADLINE: &'static str = "deadline";

    pub(crate) fn sweep_given_up() -> Self {
        let detail = "the sweep was given up at the deadline, and the next one goes on".to_owned();
        Self { code: Self::DEADLINE.to_owned(), detail }
    }

    pub(crate) fn wrong_event(detail: impl Into<String>) -> Self {
        Self { code: Self::WRONG_EVENT.to_owned(), detail: detail.into() }
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.code, error_message: failure.detail }
    }
}
