//! Building: the lines of a stream from the state of its project.
//!
//! The same state gives the same lines, byte for byte. Each line is lowered once and kept beside the entity it
//! belongs to; states share them, so that one change lowers one flag.

use std::sync::Arc;

use flagstone_model::key::{EnvironmentId, ViewId};

use crate::state::State;

/// Why a stream can not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no such environment.
    #[error("there is no environment `{environment}`")]
    EnvironmentNotFound {
        /// What was asked for.
        environment: EnvironmentId,
    },
    /// The environment was made before there were public views, and its salt is not in the log yet.
    #[error("the environment `{environment}` has no salt for public views yet")]
    NoClientSalt {
        /// What was asked for.
        environment: EnvironmentId,
    },
    /// There is no such view.
    #[error("there is no view `{view}`")]
    ViewNotFound {
        /// What was asked for.
        view: ViewId,
    },
}

impl BuildError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::EnvironmentNotFound { .. } => "environment-not-found",
            Self::NoClientSalt { .. } => "client-salt-missing",
            Self::ViewNotFound { .. } => "view-not-found",
        }
    }
}

/// The lines of one environment as a view shows it, without newlines, in the order of a snapshot.
pub fn build(state: &State, environment: &EnvironmentId, view: &ViewId) -> Result<Vec<Arc<str>>, BuildError> {
    let definition = state.view(view).ok_or_else(|| BuildError::ViewNotFound { view: view.clone() })?;
    let found = state.environment(environment.as_str());
    let found = found.ok_or_else(|| BuildError::EnvironmentNotFound { environment: environment.clone() })?;
    found
        .lines_in(state.id(), view, &definition)
        .ok_or_else(|| BuildError::NoClientSalt { environment: environment.clone() })
}
