//! What the log has, or had at an earlier time.

use std::sync::Arc;

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, SegmentKey, ViewId};

use super::ControlPlane;
use super::error::ControlError;
use super::holes::Holes;
use super::read::{Entity, environment_of};
use crate::list::ListContent;
use crate::state::State;
use crate::state::change::Refusal;

/// Which state is meant, and what time it is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct When {
    /// The time. Decides schedules and ramps, and the state too, unless an entry is named.
    pub at: Option<Instant>,
    /// The entry whose state is meant. Without a time, the time is that of the entry.
    pub seq: Option<u64>,
}

impl When {
    /// The newest state, now.
    pub const NOW: Self = Self { at: None, seq: None };

    /// The state at a time.
    pub const fn at(at: Instant) -> Self {
        Self { at: Some(at), seq: None }
    }

    /// The state that an entry left.
    pub const fn seq(seq: u64) -> Self {
        Self { at: None, seq: Some(seq) }
    }

    /// Whether this is about now.
    pub fn is_now(self) -> bool {
        self == Self::NOW
    }
}

impl From<Option<Instant>> for When {
    fn from(at: Option<Instant>) -> Self {
        Self { at, seq: None }
    }
}

/// The entities of a project at one point of its log.
#[derive(Debug, Clone)]
pub struct Moment {
    pub(super) state: Arc<State>,
    pub(super) holes: Holes,
}

impl ControlPlane {
    /// The entities, now or as they were. A time to come is refused: nobody knows what is there.
    ///
    /// What has been erased is refused where it is read, as [`ControlError::DataErased`].
    pub async fn moment(&self, when: When) -> Result<Moment, ControlError> {
        let now = self.inner.clock.now_ms();
        if when.at.is_some_and(|at| at.millis() > now) {
            return Err(ControlError::AtInFuture);
        }
        let (state, _) = self.state_and_time(when).await?;
        let holes = self.holes(&state).await?;
        Ok(Moment { state, holes })
    }

    /// The state that is meant, and the time it is evaluated at.
    pub(super) async fn state_and_time(&self, when: When) -> Result<(Arc<State>, Instant), ControlError> {
        let folded = &self.inner.folded;
        let now = Instant::from_millis(self.inner.clock.now_ms());
        let at = when.at.unwrap_or(now);
        let Some(seq) = when.seq else {
            return Ok(match when.at {
                Some(at) if at < now => (folded.state_at(at.millis()).await?, at),
                _ => (folded.state().await?, at),
            });
        };
        let newest = folded.state().await?.seq();
        if !(1..=newest).contains(&seq) {
            return Err(ControlError::SeqBeyondHead { newest });
        }
        let state = folded.state_at_seq(seq).await?;
        let written = state.head().map_or(now, |head| Instant::from_millis(head.time_ms));
        Ok((state, when.at.unwrap_or(written)))
    }
}

impl Moment {
    /// The entry it stands at.
    pub fn seq(&self) -> u64 {
        self.state.seq()
    }

    /// All flags that are not archived, by key.
    pub fn flags(&self) -> Result<Vec<Entity>, ControlError> {
        let live = self.state.flags().iter().filter(|(_, flag)| !flag.definition.archived);
        live.map(|(key, flag)| {
            self.holes.check(flag.seq)?;
            Ok(entity(key.as_str(), flag.revision, &flag.definition.to_json()))
        })
        .collect()
    }

    /// One flag's definition, an archived one's too.
    pub fn flag(&self, key: &FlagKey) -> Result<Entity, ControlError> {
        let flag = self.state.flag(key.as_str());
        let flag = flag.ok_or_else(|| Refusal::no_flag(&self.state, key.as_str()))?;
        self.holes.check(flag.seq)?;
        Ok(entity(key.as_str(), flag.revision, &flag.definition.to_json()))
    }

    /// All environments, by id.
    pub fn environments(&self) -> Result<Vec<Entity>, ControlError> {
        self.state.environments().map(|(id, _)| self.environment(id)).collect()
    }

    /// One environment.
    pub fn environment(&self, id: &EnvironmentId) -> Result<Entity, ControlError> {
        let found = environment_of(&self.state, id)?;
        self.holes.check(found.seq)?;
        Ok(entity(id.as_str(), found.revision, &found.environment.to_json()))
    }

    /// The targeting of every flag in an environment, by key.
    pub fn targetings(&self, environment: &EnvironmentId) -> Result<Vec<Entity>, ControlError> {
        let live = environment_of(&self.state, environment)?.live_flags();
        live.map(|(key, flag)| {
            self.holes.check_flag(flag)?;
            Ok(entity(key.as_str(), flag.revision(), &flag.targeting.authored.to_json()))
        })
        .collect()
    }

    /// One flag's targeting in an environment.
    pub fn targeting(&self, environment: &EnvironmentId, flag: &FlagKey) -> Result<Entity, ControlError> {
        let found = environment_of(&self.state, environment)?.live_flag(flag.as_str());
        let found = found.ok_or_else(|| Refusal::no_flag(&self.state, flag.as_str()))?;
        self.holes.check_flag(found)?;
        Ok(entity(flag.as_str(), found.revision(), &found.targeting.authored.to_json()))
    }

    /// The segments of an environment, by key.
    pub fn segments(&self, environment: &EnvironmentId) -> Result<Vec<Entity>, ControlError> {
        let live = environment_of(&self.state, environment)?.live_segments();
        live.filter_map(|(key, found)| {
            let segment = found.segment.as_ref()?;
            let known = self.holes.check(found.seq);
            Some(known.map(|()| entity(key.as_str(), found.revision, &segment.to_json())))
        })
        .collect()
    }

    /// One segment.
    pub fn segment(&self, environment: &EnvironmentId, key: &SegmentKey) -> Result<Entity, ControlError> {
        let found = environment_of(&self.state, environment)?;
        let segment = found.live_segment(key.as_str()).zip(found.segments.get(key));
        let (segment, place) = segment.ok_or_else(|| Refusal::no_segment(found, key.as_str()))?;
        self.holes.check(place.seq)?;
        Ok(entity(key.as_str(), place.revision, &segment.to_json()))
    }

    /// The lists of an environment, by key: what they are, not their keys.
    pub fn lists(&self, environment: &EnvironmentId) -> Result<Vec<Entity>, ControlError> {
        let live = environment_of(&self.state, environment)?.live_lists();
        live.filter_map(|(key, found)| {
            let content = found.content.as_ref()?;
            let known = self.holes.check(found.seq);
            Some(known.map(|()| entity(key.as_str(), found.revision, &content.told())))
        })
        .collect()
    }

    /// One list: what it is, not its keys.
    pub fn list(&self, environment: &EnvironmentId, key: &ListKey) -> Result<Entity, ControlError> {
        let (content, revision) = self.list_content(environment, key)?;
        Ok(entity(key.as_str(), revision, &content.told()))
    }

    /// What the log keeps of a list, and its revision.
    pub(super) fn list_content(
        &self,
        environment: &EnvironmentId,
        key: &ListKey,
    ) -> Result<(&ListContent, u64), ControlError> {
        let found = environment_of(&self.state, environment)?;
        let list = found.live_list(key.as_str()).zip(found.lists.get(key));
        let (content, place) = list.ok_or_else(|| Refusal::no_list(found, key.as_str()))?;
        self.holes.check(place.seq)?;
        Ok((content, place.revision))
    }

    /// What is declared of attributes; nothing, at revision 0, if nothing ever was.
    pub fn attributes(&self) -> Result<Entity, ControlError> {
        let declared = self.state.attributes();
        self.holes.check(declared.seq)?;
        Ok(entity("attributes", declared.revision, &declared.attributes.to_json()))
    }

    /// All views, by id; those that are built in have revision 0.
    pub fn views(&self) -> Result<Vec<Entity>, ControlError> {
        let mut views: Vec<_> = self.state.views();
        views.sort_by(|(a, _), (b, _)| a.cmp(b));
        views.iter().map(|(id, _)| self.view(id)).collect()
    }

    /// One view: who may read it, and which flags it has.
    pub fn view(&self, id: &ViewId) -> Result<Entity, ControlError> {
        let definition = self.state.view(id).ok_or_else(|| Refusal::no_view(&self.state, id.as_str()))?;
        let own = self.state.own_view(id);
        self.holes.check(own.map_or(0, |own| own.seq))?;
        Ok(entity(id.as_str(), own.map_or(0, |own| own.revision), &definition.to_json()))
    }
}

fn entity(key: &str, revision: u64, body: &Json<'_>) -> Entity {
    Entity { key: key.to_owned(), revision, body: body.clone().into_owned() }
}
