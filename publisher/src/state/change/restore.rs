//! An environment as it stood earlier.

use std::sync::Arc;

use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;

use super::together::{Place, Together};
use super::{Edit, Refusal, Terms};
use crate::author::Targeting;
use crate::list::ListContent;
use crate::log::Entity;
use crate::lower::Splits;
use crate::lower::phase::LastPhases;
use crate::state::entity::segment_to_json;
use crate::state::{EnvironmentState, SettledTargeting, State};

/// An entity of an environment that stood otherwise then.
#[derive(Debug, Clone)]
pub struct Difference {
    /// A targeting, a segment, or a list.
    pub entity: Entity,
    /// The last entry that had written it by then; 0 if none had.
    pub seq: u64,
    /// Its state then, as an entry keeps it; `Null`: it was not there.
    then: Json<'static>,
}

/// What stands otherwise in an environment than it stood `then`: lists, segments, then flags, each by key.
///
/// Archived flags stay archived, and are not told. A flag that nobody had targeted, or that was not there, was
/// untouched; that of its present definition is what counts. A segment or a list that was deleted since comes back.
pub fn differences(now: &EnvironmentState, then: &EnvironmentState) -> Vec<Difference> {
    let id = &now.environment.id;
    let lists = now.lists.iter().filter_map(|(key, present)| {
        let earlier = then.lists.get(key);
        let wanted = earlier.and_then(|earlier| earlier.content.as_ref());
        let same = match (&present.content, wanted) {
            (Some(present), Some(wanted)) => present.is_said_like(wanted),
            (present, wanted) => present.is_none() && wanted.is_none(),
        };
        // How many keys come and go is not known without looking at all of them.
        let again = |content: &ListContent| ListContent { changed: None, ..content.clone() }.to_json();
        (!same).then(|| Difference {
            entity: Entity::List(id.clone(), key.clone()),
            seq: earlier.map_or(0, |earlier| earlier.seq),
            then: wanted.map_or(Json::Null, again),
        })
    });
    let segments = now.segments.iter().filter_map(|(key, present)| {
        let earlier = then.segments.get(key);
        let wanted = earlier.and_then(|earlier| earlier.segment.as_ref());
        (present.segment.as_ref() != wanted).then(|| Difference {
            entity: Entity::Segment(id.clone(), key.clone()),
            seq: earlier.map_or(0, |earlier| earlier.seq),
            then: wanted.map_or(Json::Null, segment_to_json),
        })
    });
    let flags = now.live_flags().filter_map(|(key, present)| {
        let earlier = then.flags.get(key).filter(|earlier| earlier.edits > 0);
        let wanted = earlier.map_or_else(
            || {
                let untouched = Targeting::untouched(&present.flag.definition);
                Arc::new(SettledTargeting::new(untouched, Splits::default()))
            },
            |earlier| Arc::clone(&earlier.targeting),
        );
        (!present.targeting.is_like(&wanted)).then(|| Difference {
            entity: Entity::Targeting(id.clone(), key.clone()),
            seq: earlier.map_or(0, |earlier| earlier.seq),
            then: wanted.to_json().into_owned(),
        })
    });
    lists.chain(segments).chain(flags).collect()
}

/// Makes all targetings, segments, and lists of an environment what they were `then`, with the salts and ranges they had.
///
/// References are checked over the result: a flag that was archived since, or a variation that its flag has lost, may
/// stand in the way. If all of it is so already there are no edits.
pub fn restore_environment(
    state: &State,
    id: &EnvironmentId,
    then: &EnvironmentState,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    let now = state.environment(id.as_str()).ok_or_else(|| Refusal::no_environment(state, id.as_str()))?;
    terms.check(now.revision, true)?;
    let mut together = Together::default();
    let phases = now.last_phases();
    for Difference { entity, then, .. } in differences(now, then) {
        let then = continued(now, &entity, then, &phases);
        let is_kill = is_kill(now, &entity, &then);
        let place = Place { pointer: "/seq".to_owned(), is_document: false, is_kill };
        together.add(Edit::of(state, entity, &then), place);
    }
    together.check(state, terms.confirmation, "/seq")
}

/// What comes back of a targeting: its phases go on, for between then and now others were compared.
fn continued(
    now: &EnvironmentState,
    entity: &Entity,
    then: Json<'static>,
    phases: &LastPhases,
) -> Json<'static> {
    let Entity::Targeting(_, key) = entity else { return then };
    match now.flags.get(key).zip(SettledTargeting::from_json(&then)) {
        Some((present, wanted)) => wanted.continued(&present.targeting, phases).to_json().into_owned(),
        None => then,
    }
}

/// Whether a flag is only switched off.
fn is_kill(now: &EnvironmentState, entity: &Entity, then: &Json<'_>) -> bool {
    let Entity::Targeting(_, key) = entity else { return false };
    let Some((present, then)) = now.flags.get(key).zip(SettledTargeting::from_json(then)) else {
        return false;
    };
    let off = Targeting { on: false, ..present.targeting.authored.clone() };
    off == then.authored && present.targeting.splits.buckets_like(&then.splits)
}
