//! Why a verb did not do what it was asked, and the exit codes.

use std::process::ExitCode;

use flagstone_model::json::Json;
use flagstone_publisher::causes::with_causes;

/// What a script can do about a failure. The numbers are part of the interface: see `flagstone --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Refused, not found, or wrong.
    Refused = 1,
    /// The command line or what it names is wrong.
    Usage = 2,
    /// No answer, or busy: the same again later may work.
    Unreachable = 3,
    /// Somebody else changed the entity first: look, then try again.
    Stale = 4,
    /// No failure: `plan --detailed-exitcode` has found what would change.
    Differs = 5,
}

/// One detail of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Where, as a JSON Pointer.
    pub(crate) pointer: String,
    /// The stable code.
    pub(crate) code: String,
    /// What is wrong there.
    pub(crate) detail: String,
}

/// A failure as it is shown. Boxed, for it is rare and the answers it stands in for are small.
#[derive(Debug, Clone)]
pub(crate) struct Failure(Box<Facts>);

/// What is known about a failure.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) exit: Exit,
    /// The stable code.
    pub(crate) code: String,
    /// One sentence, without a full stop.
    pub(crate) detail: String,
    /// What was probably meant.
    pub(crate) suggestion: Option<String>,
    /// What to do now, a sentence of its own.
    pub(crate) hint: Option<String>,
    /// The current revision, if that is the trouble.
    pub(crate) current_revision: Option<u64>,
    /// Each place that is wrong.
    pub(crate) spots: Vec<Spot>,
    /// The server's name for the request.
    pub(crate) request_id: Option<String>,
    /// Nobody reads what is printed any more.
    pub(crate) silent: bool,
}

impl Failure {
    /// A failure with a code and a sentence.
    pub(crate) fn new(exit: Exit, code: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Facts {
            exit,
            code: code.to_owned(),
            detail: detail.into(),
            suggestion: None,
            hint: None,
            current_revision: None,
            spots: Vec::new(),
            request_id: None,
            silent: false,
        }))
    }

    /// Something is refused, missing, or wrong.
    pub(crate) fn refused(code: &str, detail: impl Into<String>) -> Self {
        Self::new(Exit::Refused, code, detail)
    }

    /// The command line, or something it names, is wrong.
    pub(crate) fn usage(detail: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", detail)
    }

    /// Standard output is closed: there is nobody to tell.
    pub(crate) fn closed() -> Self {
        let mut failure = Self::refused("output-closed", "standard output is closed");
        failure.silent = true;
        failure
    }

    /// Adds what was probably meant.
    pub(crate) fn suggest(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = self.suggestion.take().or(suggestion);
        self
    }

    /// Adds what to do now.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }

    /// What `--json` prints.
    pub(crate) fn to_json(&self) -> Json<'static> {
        let text = |text: &String| Json::from(text.clone());
        let mut members = vec![("code", text(&self.code)), ("detail", text(&self.detail))];
        members.extend(self.suggestion.as_ref().map(|suggestion| ("suggestion", text(suggestion))));
        members.extend(self.hint.as_ref().map(|hint| ("hint", text(hint))));
        members.extend(self.current_revision.map(|revision| ("current_revision", Json::from(revision))));
        if !self.spots.is_empty() {
            let spots = self.spots.iter().map(|spot| {
                let Spot { pointer, code, detail } = spot;
                Json::object([("pointer", text(pointer)), ("code", text(code)), ("detail", text(detail))])
            });
            members.push(("errors", spots.collect()));
        }
        members.extend(self.request_id.as_ref().map(|id| ("request_id", text(id))));
        Json::object([("error", Json::object(members))])
    }
}

impl core::ops::Deref for Failure {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl core::ops::DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Facts {
        &mut self.0
    }
}

/// A failure that an error of another crate tells of, with everything below it in one sentence.
pub(crate) fn sentence(code: &str, error: &dyn core::error::Error) -> Failure {
    Failure::refused(code, with_causes(error))
}

/// The candidate that a name is most likely a slip of, if one is near enough.
pub(crate) fn closest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    flagstone_publisher::author::closest(name, candidates).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_stranger_is_not() {
        let keys = ["new-checkout", "dark-mode"];
        assert_eq!(closest("new-chekout", keys).as_deref(), Some("new-checkout"));
        assert_eq!(closest("payments", keys), None);
    }
}
