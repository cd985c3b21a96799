//! Changes of segments.

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, SegmentKey};
use flagstone_model::limits::MAX_SEGMENT_LINE_BYTES;

use super::client::{self, Spoken};
use super::{Edit, Refusal, Terms};
use crate::author::{Mentioned, Segment};
use crate::log::Entity;
use crate::lower::{lower_segment, take};
use crate::state::State;
use crate::state::entity::segment_to_json;
use crate::state::references::{Node, check};

/// Writes a segment, new or whole.
pub fn put_segment(
    state: &State,
    id: &EnvironmentId,
    key: &SegmentKey,
    body: &Json<'_>,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    let environment =
        state.environment(id.as_str()).ok_or_else(|| Refusal::no_environment(state, id.as_str()))?;
    let present = environment.segments.get(key);
    if present.is_some_and(|present| present.segment.is_none()) {
        return Err(Refusal::KeyRetired);
    }
    terms.check(present.map_or(0, |present| present.revision), present.is_some())?;
    let before = present.and_then(|present| present.segment.as_ref()).map(Segment::instants);
    let segment = Segment::parse_after(body, before.unwrap_or_default())?;
    let size = lower_segment(key, &segment).len();
    if size > MAX_SEGMENT_LINE_BYTES {
        let detail =
            format!("the segment would have {size} bytes, at most {MAX_SEGMENT_LINE_BYTES} are allowed");
        return Err(Refusal::invalid("", detail));
    }
    let mentions = segment.mentions();
    let mut salts = environment.salts(None, Some(key.as_str()));
    let mut problems = Vec::new();
    for mention in &mentions {
        if let Mentioned::Salt(salt) = mention.of {
            take(salt, mention.pointer.clone(), &mut salts, &mut problems);
        }
    }
    let edit = Edit::of(state, Entity::Segment(id.clone(), key.clone()), &segment_to_json(&segment));
    let next = state.with([&edit])?;
    if let Some(environment) = next.environment(id.as_str()) {
        problems.extend(check(environment, Node::Segment(key.as_str()), &mentions).err().unwrap_or_default());
    }
    Refusal::unless_none(problems)?;
    Refusal::unless_checked(state, &next, terms.confirmation, |_, _| None)?;
    let spoken = Spoken::of(Entity::Segment(id.clone(), key.clone()));
    Refusal::unless_none(client::check(state, &next, &spoken))?;
    Refusal::unless_room(state, &next, "")?;
    if present.is_some() {
        terms.confirm(environment, Node::Segment(key.as_str()))?;
    }
    Ok(vec![edit])
}

/// Deletes a segment nothing refers to. Its key is never used again.
pub fn delete_segment(
    state: &State,
    id: &EnvironmentId,
    key: &SegmentKey,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    let environment =
        state.environment(id.as_str()).ok_or_else(|| Refusal::no_environment(state, id.as_str()))?;
    let present = environment.segments.get(key).filter(|present| present.segment.is_some());
    let present = present.ok_or_else(|| Refusal::no_segment(environment, key.as_str()))?;
    terms.check(present.revision, true)?;
    let edit = Edit::of(state, Entity::Segment(id.clone(), key.clone()), &Json::Null);
    let next = state.with([&edit])?;
    if let Some(environment) = next.environment(id.as_str()) {
        check(environment, Node::Segment(key.as_str()), &[])?;
    }
    Ok(vec![edit])
}
