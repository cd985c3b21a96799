//! Why a change is not made.

use flagstone_model::key::ViewId;

use super::{Confirmation, MAX_SDK_KEYS, MAX_TOKENS};
use flagstone_model::key::{EnvironmentId, FlagKey};

use crate::author::{Problem, code, did_you_mean};
use crate::list::ListFault;
use crate::state::checks::Failure;
use crate::state::{FoldError, State};

/// How many checks that do not hold are told at once.
const MAX_TOLD: usize = 16;

/// Why a change is not made. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The document is not acceptable.
    #[error("{}", problems.first().map_or("not acceptable", |problem| &problem.detail))]
    Invalid {
        /// Everything that is wrong with it; at least one.
        problems: Vec<Problem>,
    },
    /// It is there already.
    #[error("it exists already")]
    AlreadyExists,
    /// It was there once: a key is never used again.
    #[error("this key was used before and is retired; choose another")]
    KeyRetired,
    /// There is no such flag.
    #[error("there is no flag `{key}`{hint}")]
    FlagNotFound {
        /// The key asked for.
        key: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },
    /// There is no such environment.
    #[error("there is no environment `{id}`{hint}")]
    EnvironmentNotFound {
        /// The id asked for.
        id: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },
    /// There is no such segment.
    #[error("there is no segment `{key}`{hint}")]
    SegmentNotFound {
        /// The key asked for.
        key: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },
    /// There is no such list.
    #[error("there is no list `{key}`{hint}")]
    ListNotFound {
        /// The key asked for.
        key: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },
    /// A list would have more than a list may have.
    #[error("{fault}")]
    ListTooLarge {
        /// How.
        fault: ListFault,
    },
    /// There is no such token, or it is revoked.
    #[error("there is no token `{id}`")]
    TokenNotFound {
        /// The id asked for.
        id: String,
    },
    /// There is no such SDK key in the environment, or it is revoked.
    #[error("there is no SDK key `{id}` in this environment")]
    KeyNotFound {
        /// The id asked for.
        id: String,
    },
    /// There is no such view, or it was deleted.
    #[error("there is no view `{id}`{hint}")]
    ViewNotFound {
        /// The id asked for.
        id: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },
    /// The view is there in every project, and is what it is.
    #[error("the view `{id}` is built in and does not change; make one of another id")]
    BuiltInView {
        /// Its id.
        id: ViewId,
    },
    /// The project has as many tokens as it may have.
    #[error("a project has at most {MAX_TOKENS} tokens that are not expired; revoke one")]
    TooManyTokens,
    /// The environment has as many SDK keys as it may have.
    #[error("an environment has at most {MAX_SDK_KEYS} SDK keys; revoke the one that nobody uses any more")]
    TooManyKeys,
    /// It has been changed since the caller read it.
    #[error("it has been changed since; it is at revision {current}")]
    StaleRevision {
        /// The revision there is; 0 if there is none.
        current: u64,
    },
    /// The change reaches many flags, and nobody has said that it should.
    #[error("this touches {touched} of {of} flags; confirm that it should")]
    NeedsConfirmation {
        /// How many flags it reaches.
        touched: usize,
        /// How many there are.
        of: usize,
    },
    /// A part of the request is refused.
    #[error("{refusal}")]
    At {
        /// Where, as a JSON Pointer into the request.
        pointer: String,
        /// Why.
        refusal: Box<Refusal>,
    },
    /// A ramp that runs would lose some of those it has reached, and nobody has said that it should.
    #[error(
        "the ramp of `{rule}` has reached {from}, of whom only {to} would stay in; pause it to keep them, or \
         confirm that they should lose it"
    )]
    RampShrinks {
        /// The id of its rule; `rollout` is the fallthrough.
        rule: String,
        /// The share it has reached.
        from: String,
        /// The share that would stay.
        to: String,
    },
    /// A ramp takes the place of a rollout and would not reach all that were served by that, and nobody has said that
    /// they should lose it.
    #[error(
        "`{variation}` is served to {from} by the rollout of `{rule}`, of whom only {to} would be in the ramp now; \
         confirm that the others should lose it"
    )]
    RolloutShrinks {
        /// The id of its rule; `rollout` is the fallthrough.
        rule: String,
        /// What the ramp serves.
        variation: String,
        /// The share that is served it.
        from: String,
        /// The share of these that would stay.
        to: String,
    },
    /// Checks of targetings that the request does not write would not hold any more, or those of one that it writes still
    /// do not, and nobody has said that they may be left out.
    #[error("{}; confirm that {} left out", told.join("; "), if told.len() == 1 { "it may be" } else { "they may be" })]
    ChecksBreak {
        /// Each of them, with what was expected and what came.
        told: Vec<String>,
    },
    /// The state can not take the change: a fault of the program.
    #[error(transparent)]
    Fold(#[from] FoldError),
}

impl Refusal {
    /// The stable code of this refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { problems } => match problems.first() {
                Some(first) if problems.iter().all(|problem| problem.code == first.code) => first.code,
                _ => code::INVALID_REQUEST,
            },
            Self::AlreadyExists => "already-exists",
            Self::KeyRetired => "key-retired",
            Self::FlagNotFound { .. } => "flag-not-found",
            Self::EnvironmentNotFound { .. } => "environment-not-found",
            Self::SegmentNotFound { .. } => "segment-not-found",
            Self::ListNotFound { .. } => "list-not-found",
            Self::ListTooLarge { .. } => "too-large",
            Self::TokenNotFound { .. } => "token-not-found",
            Self::KeyNotFound { .. } => "key-not-found",
            Self::ViewNotFound { .. } => "view-not-found",
            Self::BuiltInView { .. } => "view-built-in",
            Self::TooManyTokens => "too-many-tokens",
            Self::TooManyKeys => "too-many-keys",
            Self::StaleRevision { .. } => "stale-revision",
            Self::NeedsConfirmation { .. }
            | Self::RampShrinks { .. }
            | Self::RolloutShrinks { .. }
            | Self::ChecksBreak { .. } => "needs-confirmation",
            Self::At { refusal, .. } => refusal.code(),
            Self::Fold(error) => error.code(),
        }
    }

    /// What is wrong with the document, if that is it.
    pub fn problems(&self) -> &[Problem] {
        if let Self::Invalid { problems } = self { problems } else { &[] }
    }

    /// Where in the request, if only a part of it is refused, and the refusal of that part.
    pub fn place(&self) -> (Option<&str>, &Self) {
        match self {
            Self::At { pointer, refusal } => (Some(pointer), refusal),
            other => (None, other),
        }
    }

    /// The same, of a part of a request.
    pub(super) fn at(self, pointer: impl Into<String>) -> Self {
        Self::At { pointer: pointer.into(), refusal: Box::new(self) }
    }

    /// A refusal for one reason.
    pub(super) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid { problems: vec![Problem::invalid(pointer, detail)] }
    }

    /// Refuses a change after which an environment has more than it may, and more than before.
    pub(super) fn unless_room(before: &State, next: &State, pointer: &str) -> Result<(), Self> {
        next.overfull(before).map_or(Ok(()), |overfull| Err(Self::invalid(pointer, overfull.to_string())))
    }

    /// Refuses a change after which checks of authors do not hold that held. `place` says where the request has the
    /// targeting of a flag, if it has it: there the check can be mended. Of any other check, and of one that did not hold
    /// before, it is asked whether it may be left out, so that none stands in the way of an incident.
    pub(super) fn unless_checked(
        before: &State,
        next: &State,
        confirmation: Confirmation,
        place: impl Fn(&EnvironmentId, &FlagKey) -> Option<String>,
    ) -> Result<(), Self> {
        let (mut problems, mut breaking) = (Vec::new(), Vec::new());
        for Failure { environment, flag, index, detail, is_new } in next.failures(before) {
            let told = |how: &str| {
                let number = index.saturating_add(1);
                format!("check {number} of flag `{flag}` in environment `{environment}` {how}: {detail}")
            };
            match place(&environment, &flag) {
                Some(pointer) if is_new => {
                    let pointer = format!("{pointer}/checks/{index}");
                    problems.push(Problem::new(code::CHECK_FAILED, pointer, detail));
                }
                Some(_) => breaking.push(told("still does not hold")),
                None if is_new => breaking.push(told("would not hold any more")),
                None => {}
            }
        }
        problems.truncate(MAX_TOLD);
        Self::unless_none(problems)?;
        breaking.truncate(MAX_TOLD);
        if breaking.is_empty() || confirmation == Confirmation::Given {
            return Ok(());
        }
        Err(Self::ChecksBreak { told: breaking })
    }

    /// A refusal for some problems, if there are any.
    pub(super) fn unless_none(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self::Invalid { problems }) }
    }

    /// No flag of this key.
    pub fn no_flag(state: &State, key: &str) -> Self {
        let live = state.flags().iter().filter(|(_, flag)| !flag.definition.archived);
        let hint = did_you_mean(key, live.map(|(key, _)| key.as_str()));
        Self::FlagNotFound { key: key.to_owned(), hint }
    }

    /// No environment of this id.
    pub fn no_environment(state: &State, id: &str) -> Self {
        let hint = did_you_mean(id, state.environments().map(|(id, _)| id.as_str()));
        Self::EnvironmentNotFound { id: id.to_owned(), hint }
    }

    /// No segment of this key.
    pub fn no_segment(environment: &super::EnvironmentState, key: &str) -> Self {
        let hint = did_you_mean(key, environment.live_segments().map(|(key, _)| key.as_str()));
        Self::SegmentNotFound { key: key.to_owned(), hint }
    }

    /// No list of this key.
    pub fn no_list(environment: &super::EnvironmentState, key: &str) -> Self {
        let hint = did_you_mean(key, environment.live_lists().map(|(key, _)| key.as_str()));
        Self::ListNotFound { key: key.to_owned(), hint }
    }
}

impl From<ListFault> for Refusal {
    fn from(fault: ListFault) -> Self {
        if fault.is_too_large() {
            return Self::ListTooLarge { fault };
        }
        Self::Invalid { problems: vec![fault.problem()] }
    }
}

impl Refusal {
    /// No view of this id.
    pub fn no_view(state: &State, id: &str) -> Self {
        let views = state.views();
        let hint = did_you_mean(id, views.iter().map(|(id, _)| id.as_str()));
        Self::ViewNotFound { id: id.to_owned(), hint }
    }
}

impl From<Vec<Problem>> for Refusal {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Invalid { problems }
    }
}
