//! Why a flag serves what it serves, and which changes made it so.

use std::sync::Arc;

use flagstone_eval::{Entity, Snapshot};
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey};

use super::ControlPlane;
use super::error::ControlError;
use super::moment::When;
use super::read::environment_of;
use crate::state::change::Refusal;
use crate::state::{EnvironmentState, Reach};

/// The explanation of one evaluation.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The newest version of the stream; 0 before the first.
    pub version: u64,
    /// The entry whose state was evaluated.
    pub seq: u64,
    /// The time it was evaluated for.
    pub at: Instant,
    /// The flag's switch.
    pub on: bool,
    /// The explanation as JSON: `flag`, `details`, `exit`, `needs`, `rules`, `truncated`.
    pub told: Json<'static>,
}

impl ControlPlane {
    /// Evaluates a flag as [`ControlPlane::evaluate`] does, and tells each rule and condition with its outcome.
    pub async fn explain(
        &self,
        environment: &EnvironmentId,
        flag: &FlagKey,
        context: &Context,
        when: When,
    ) -> Result<Explained, ControlError> {
        let (state, at) = self.state_and_time(when).await?;
        let found = environment_of(&state, environment)?;
        let live = found.live_flag(flag.as_str());
        let live = live.ok_or_else(|| Refusal::no_flag(&state, flag.as_str()))?;
        let compiled = Compiled::of(self, found, flag).await?;
        self.holes(&state).await?.check_reach(found, &compiled.reach)?;
        let told = compiled.explain(flag, context, at);
        let version = self.inner.publications.read(&self.stream(environment)).await?.version();
        Ok(Explained { version, seq: state.seq(), at, on: live.targeting.authored.on, told })
    }
}

/// A flag compiled with what its answer depends on, and with nothing else.
pub(super) struct Compiled {
    pub(super) reach: Reach,
    pub(super) snapshot: Snapshot,
}

impl Compiled {
    pub(super) async fn of(
        control: &ControlPlane,
        environment: &Arc<EnvironmentState>,
        flag: &FlagKey,
    ) -> Result<Self, ControlError> {
        let reach = environment.reach(flag.as_str());
        let lines = reach.lines.values().chain(reach.lists.values()).flatten().map(|line| line.as_bytes());
        let snapshot = Snapshot::compile(lines).0;
        let snapshot = control.with_lists(snapshot).await?;
        Ok(Self { reach, snapshot })
    }

    /// Whether there is the flag.
    pub(super) fn has(&self, flag: &FlagKey) -> bool {
        self.reach.line(&Entity::Flag(flag.as_str().into())).is_some()
    }

    fn explain(&self, flag: &FlagKey, context: &Context, at: Instant) -> Json<'static> {
        let line = |entity: &Entity| self.reach.line(entity).map(|line| line.as_bytes());
        self.snapshot.explain(flag.as_str(), None, context, at, &line).to_json()
    }
}
