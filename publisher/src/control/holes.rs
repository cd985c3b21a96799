//! What is not known any more of an earlier state: data of it has been erased.

use std::collections::BTreeSet;

use flagstone_eval::Entity;
use flagstone_model::key::{FlagKey, SegmentKey};

use super::ControlPlane;
use super::error::ControlError;
use crate::state::{EnvironmentState, FlagInEnvironment, Reach, State};

/// The entries whose data is gone.
///
/// Folding goes on over them, with what was there before, or with a placeholder. That may be told to nobody: an entity
/// that stands at such an entry is not known.
#[derive(Debug, Clone, Default)]
pub(super) struct Holes(BTreeSet<u64>);

impl ControlPlane {
    /// The holes that matter where `state` is read; none in the newest state, where all that stands has its data.
    pub(super) async fn holes(&self, state: &State) -> Result<Holes, ControlError> {
        let newest = self.inner.folded.state().await?;
        if newest.seq() <= state.seq() {
            return Ok(Holes::default());
        }
        Ok(Holes::of(&newest))
    }
}

impl Holes {
    /// All that a state knows of.
    pub(super) fn of(newest: &State) -> Self {
        Self(newest.erasures().map(|(erased, _)| erased).collect())
    }

    /// Lets what an entry left be read, unless its data is gone.
    pub(super) fn check(&self, seq: u64) -> Result<(), ControlError> {
        if self.0.contains(&seq) { Err(ControlError::DataErased { seq }) } else { Ok(()) }
    }

    /// The same of a flag in an environment: its definition and its targeting.
    pub(super) fn check_flag(&self, flag: &FlagInEnvironment) -> Result<(), ControlError> {
        self.check(flag.flag.seq).and_then(|()| self.check(flag.seq))
    }

    /// The same of all that a flag's answer depends on.
    pub(super) fn check_reach(
        &self,
        environment: &EnvironmentState,
        reach: &Reach,
    ) -> Result<(), ControlError> {
        if self.0.is_empty() {
            return Ok(());
        }
        reach.lines.keys().try_for_each(|entity| match entity {
            Entity::Flag(key) => {
                let found = FlagKey::parse(key).ok().and_then(|key| environment.flags.get(&key));
                found.map_or(Ok(()), |flag| self.check_flag(flag))
            }
            Entity::Segment(key) => {
                let found = SegmentKey::parse(key).ok().and_then(|key| environment.segments.get(&key));
                found.map_or(Ok(()), |segment| self.check(segment.seq))
            }
            // Lists follow: a reach keeps their lines apart.
            Entity::List(_) => Ok(()),
        })?;
        let lists = reach.lists.keys().filter_map(|key| environment.lists.get(key));
        lists.into_iter().try_for_each(|list| self.check(list.seq))
    }

    /// The same of everything in an environment.
    pub(super) fn check_all(&self, environment: &EnvironmentState) -> Result<(), ControlError> {
        if self.0.is_empty() {
            return Ok(());
        }
        environment.live_flags().try_for_each(|(_, flag)| self.check_flag(flag))?;
        environment.segments.iter().try_for_each(|(_, segment)| self.check(segment.seq))?;
        environment.lists.iter().try_for_each(|(_, list)| self.check(list.seq))
    }
}
