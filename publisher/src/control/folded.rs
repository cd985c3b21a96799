//! The folded state of one project, kept up with its log.

use std::sync::{Arc, Mutex, PoisonError};

use flagstone_model::key::ProjectId;

use super::error::ControlError;
use crate::log::ChangeLog;
use crate::state::State;

/// Entries read from the log at a time.
const PAGE: usize = 1_000;

/// A state and the log it is folded from.
pub(super) struct Folded {
    project: ProjectId,
    log: Arc<dyn ChangeLog>,
    newest: Mutex<Arc<State>>,
    /// Held while folding, so that many readers fold the tail once.
    folding: tokio::sync::Mutex<()>,
}

impl Folded {
    pub(super) fn new(project: ProjectId, log: Arc<dyn ChangeLog>) -> Self {
        let newest = Mutex::new(Arc::new(State::new(project.clone())));
        Self { project, log, newest, folding: tokio::sync::Mutex::default() }
    }

    pub(super) fn project(&self) -> &ProjectId {
        &self.project
    }

    pub(super) fn log(&self) -> &dyn ChangeLog {
        &*self.log
    }

    /// The state as of a moment after the call.
    pub(super) async fn state(&self) -> Result<Arc<State>, ControlError> {
        let _folding = self.folding.lock().await;
        let mut state = self.newest();
        loop {
            let entries = self.log.read(&self.project, state.seq(), PAGE).await?;
            if entries.is_empty() {
                return Ok(state);
            }
            let next = Arc::make_mut(&mut state);
            for entry in &entries {
                next.apply(entry)?;
            }
            self.keep(&state);
        }
    }

    /// The state as it was at a time, folded from the first entry.
    pub(super) async fn state_at(&self, time_ms: i64) -> Result<State, ControlError> {
        let mut state = State::new(self.project.clone());
        loop {
            let entries = self.log.read(&self.project, state.seq(), PAGE).await?;
            if entries.is_empty() {
                return Ok(state);
            }
            for entry in &entries {
                if entry.header.time_ms > time_ms {
                    return Ok(state);
                }
                state.apply(entry)?;
            }
        }
    }

    /// Keeps a state to which an entry has led that this process appended.
    pub(super) fn advance(&self, state: Arc<State>) -> Arc<State> {
        self.keep(&state);
        state
    }

    fn newest(&self) -> Arc<State> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, state: &Arc<State>) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.seq() < state.seq() {
            *newest = Arc::clone(state);
        }
    }
}
