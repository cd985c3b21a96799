//! Changes of lists.

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ListKey};

use super::{Edit, Refusal, Terms};
use crate::list::ListContent;
use crate::log::Entity;
use crate::state::State;
use crate::state::references::{Node, check};

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListWrite {
    /// Whole: it is made if it is not there, and a change that reaches many flags asks.
    Whole,
    /// By some keys: it is there, and nothing asks.
    Edit,
}

/// Whether a list may be written, whatever with; its revision, 0 if there is none yet.
pub fn may_write_list(
    state: &State,
    id: &EnvironmentId,
    key: &ListKey,
    how: ListWrite,
    terms: Terms,
) -> Result<u64, Refusal> {
    let environment =
        state.environment(id.as_str()).ok_or_else(|| Refusal::no_environment(state, id.as_str()))?;
    let present = environment.lists.get(key);
    match (present, how) {
        (Some(present), ListWrite::Edit) if present.content.is_none() => {
            return Err(Refusal::no_list(environment, key.as_str()));
        }
        (None, ListWrite::Edit) => return Err(Refusal::no_list(environment, key.as_str())),
        (Some(present), ListWrite::Whole) if present.content.is_none() => return Err(Refusal::KeyRetired),
        _ => {}
    }
    let revision = present.map_or(0, |present| present.revision);
    terms.check(revision, present.is_some())?;
    if present.is_some() && how == ListWrite::Whole {
        terms.confirm(environment, Node::List(key.as_str()))?;
    }
    Ok(revision)
}

/// Writes a list.
pub fn put_list(
    state: &State,
    id: &EnvironmentId,
    key: &ListKey,
    content: &ListContent,
    how: ListWrite,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    may_write_list(state, id, key, how, terms)?;
    let edit = Edit::of(state, Entity::List(id.clone(), key.clone()), &content.to_json());
    Refusal::unless_room(state, &state.with([&edit])?, "")?;
    Ok(vec![edit])
}

/// Deletes a list that nothing refers to. Its key is never used again.
pub fn delete_list(
    state: &State,
    id: &EnvironmentId,
    key: &ListKey,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    let environment =
        state.environment(id.as_str()).ok_or_else(|| Refusal::no_environment(state, id.as_str()))?;
    let present = environment.lists.get(key).filter(|present| present.content.is_some());
    let present = present.ok_or_else(|| Refusal::no_list(environment, key.as_str()))?;
    terms.check(present.revision, true)?;
    let edit = Edit::of(state, Entity::List(id.clone(), key.clone()), &Json::Null);
    let next = state.with([&edit])?;
    if let Some(environment) = next.environment(id.as_str()) {
        check(environment, Node::List(key.as_str()), &[])?;
    }
    Ok(vec![edit])
}
