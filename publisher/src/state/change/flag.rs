//! Changes of a flag's definition.

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey};
use flagstone_model::limits::MAX_LINE_BYTES;

use super::client::{self, Spoken};
use super::{Edit, Refusal, Terms, merge};
use crate::author::{FlagDefinition, Problem, code};
use crate::log::Entity;
use crate::state::State;
use crate::state::references::{Node, check, unknown_variations};

/// Adds a flag, which is off in every environment.
pub fn create_flag(state: &State, body: &Json<'_>) -> Result<Vec<Edit>, Refusal> {
    let definition = FlagDefinition::parse(body)?;
    match state.flag(definition.key.as_str()) {
        Some(present) if present.definition.archived => return Err(Refusal::KeyRetired),
        Some(_) => return Err(Refusal::AlreadyExists),
        None => {}
    }
    if definition.archived {
        return Err(Refusal::invalid("/archived", "a new flag is not archived"));
    }
    let edit = Edit::of(state, Entity::Flag(definition.key.clone()), &definition.to_json());
    let next = state.with([&edit])?;
    unless_long(state, &next, &definition.key)?;
    Refusal::unless_none(client::check(state, &next, &Spoken::of(Entity::Flag(definition.key.clone()))))?;
    Refusal::unless_room(state, &next, "")?;
    Ok(vec![edit])
}

/// Changes a flag's definition by a merge patch (RFC 7396). Key and type stay; archiving is its own operation.
pub fn patch_flag(
    state: &State,
    key: &FlagKey,
    patch: &Json<'_>,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    let present = live(state, key)?;
    let revision = state.place(&Entity::Flag(key.clone())).0;
    terms.check(revision, true)?;
    let definition = FlagDefinition::parse(&merge(&present.to_json(), patch))?;
    let mut problems = Vec::new();
    if definition.key != present.key {
        problems.push(Problem::invalid("/key", "the key of a flag does not change; make a new flag"));
    }
    if definition.flag_type != present.flag_type {
        problems.push(Problem::invalid("/type", "the type of a flag does not change; make a new flag"));
    }
    if definition.archived {
        problems.push(Problem::invalid("/archived", "a flag is archived by DELETE"));
    }
    Refusal::unless_none(problems)?;
    redefine(state, &definition, terms)
}

/// Takes a flag out of every environment for good. Its key is never used again.
pub fn archive_flag(state: &State, key: &FlagKey, terms: Terms) -> Result<Vec<Edit>, Refusal> {
    let present = live(state, key)?;
    terms.check(state.place(&Entity::Flag(key.clone())).0, true)?;
    redefine(state, &FlagDefinition { archived: true, ..present.clone() }, terms)
}

/// The definition of a flag that is not archived.
pub(super) fn live<'s>(state: &'s State, key: &FlagKey) -> Result<&'s FlagDefinition, Refusal> {
    let flag = state.flag(key.as_str()).filter(|flag| !flag.definition.archived);
    flag.map(|flag| &flag.definition).ok_or_else(|| Refusal::no_flag(state, key.as_str()))
}

fn redefine(state: &State, definition: &FlagDefinition, terms: Terms) -> Result<Vec<Edit>, Refusal> {
    let key = &definition.key;
    let edit = Edit::of(state, Entity::Flag(key.clone()), &definition.to_json());
    let next = state.with([&edit])?;
    let mut problems = Vec::new();
    for (id, environment) in next.environments() {
        if let Some(flag) = environment.live_flag(key.as_str()) {
            let mentions = flag.targeting.authored.mentions();
            let unknown = unknown_variations(&mentions, definition, code::DANGLING_REFERENCE);
            problems.extend(unknown.into_iter().map(|problem| Problem {
                pointer: "/variations".to_owned(),
                detail: format!(
                    "{}, but its targeting in environment `{id}` names it at `{}`",
                    problem.detail, problem.pointer
                ),
                ..problem
            }));
        }
        problems.extend(check(environment, Node::Flag(key.as_str()), &[]).err().unwrap_or_default());
    }
    Refusal::unless_none(problems)?;
    unless_long(state, &next, key)?;
    Refusal::unless_checked(state, &next, terms.confirmation, |_, _| None)?;
    Refusal::unless_none(client::check(state, &next, &Spoken::of(Entity::Flag(key.clone()))))?;
    Refusal::unless_room(state, &next, "")?;
    for (_, environment) in state.environments() {
        terms.confirm(environment, Node::Flag(key.as_str()))?;
    }
    Ok(vec![edit])
}

/// Refuses a flag whose line would be too long in an environment.
pub(super) fn unless_long(before: &State, next: &State, key: &FlagKey) -> Result<(), Refusal> {
    let told = next.environments().find_map(|(id, _)| long_line(before, next, id, key));
    told.map_or(Ok(()), |detail| Err(Refusal::invalid("", detail)))
}

/// That the line of a flag would be too long in an environment. One that was as long before may be switched off.
pub(super) fn long_line(before: &State, next: &State, id: &EnvironmentId, key: &FlagKey) -> Option<String> {
    let live = |state: &State| {
        let flag = state.environment(id.as_str())?.live_flag(key.as_str())?;
        Some((flag.size_of(flag.line()), flag.line().len()))
    };
    let (size, bytes) = live(next)?;
    let has_grown = live(before).is_none_or(|(then, _)| then < size);
    let is_too_long = size > MAX_LINE_BYTES && (has_grown || bytes > MAX_LINE_BYTES);
    is_too_long.then(|| {
        let spare = size.saturating_sub(bytes);
        format!(
            "the flag would have {bytes} bytes in environment `{id}`, at most {} are allowed; {spare} more are kept free \
             for switching it off",
            MAX_LINE_BYTES.saturating_sub(spare)
        )
    })
}
