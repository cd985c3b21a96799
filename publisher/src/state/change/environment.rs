//! Changes of environments and of the project itself.

use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;

use super::together::{Place, Together};
use super::{Confirmation, Edit, Refusal, Terms, merge};
use crate::author::{Environment, Project};
use crate::list::ListContent;
use crate::log::Entity;
use crate::state::State;
use crate::state::entity::{environment_to_json, segment_to_json};
use crate::view::ClientSalt;

/// Most environments of a project.
pub(super) const MAX_ENVIRONMENTS: usize = 64;

/// Says what the project is: what its first entry records.
pub fn create_project(state: &State, body: &Json<'_>) -> Result<Vec<Edit>, Refusal> {
    let project = Project::parse(body)?;
    if state.project().is_some() {
        return Err(Refusal::AlreadyExists);
    }
    if project.id != *state.id() {
        return Err(Refusal::invalid("/id", format!("this is the project `{}`", state.id())));
    }
    Ok(vec![Edit::of(state, Entity::Project, &project.to_json())])
}

/// Adds an environment. Every flag in it is off, unless the member `copy_from` names another environment: then it has
/// that one's segments and targetings, whose salts and ranges are copied too, so that the same users get the same.
///
/// `salt` is what its public views are hashed with.
pub fn create_environment(state: &State, body: &Json<'_>, salt: &ClientSalt) -> Result<Vec<Edit>, Refusal> {
    let (body, source) = copy_from(body)?;
    let environment = Environment::parse(&body)?;
    if state.environment(environment.id.as_str()).is_some() {
        return Err(Refusal::AlreadyExists);
    }
    if state.environments().count() >= MAX_ENVIRONMENTS {
        return Err(Refusal::invalid("", format!("a project has at most {MAX_ENVIRONMENTS} environments")));
    }
    let source = source.map(|id| {
        let found = state.environment(id.as_str());
        found.ok_or_else(|| Refusal::no_environment(state, id.as_str()).at("/copy_from"))
    });
    let source = source.transpose()?;
    let id = environment.id.clone();
    let created = environment_to_json(&environment, Some(salt));
    let edit = Edit::of(state, Entity::Environment(id.clone()), &created);
    let next = state.with([&edit])?;
    let Some(source) = source else {
        Refusal::unless_room(state, &next, "")?;
        return Ok(vec![edit]);
    };
    let place = || Place { pointer: "/copy_from".to_owned(), is_document: false, is_kill: false };
    let mut together = Together::default();
    together.add(edit, place());
    for (key, list) in source.live_lists() {
        let entity = Entity::List(id.clone(), key.clone());
        // The same object: keys are copied by its digest.
        let fresh =
            |content: &ListContent| ListContent { changed: Some((content.count, 0)), ..content.clone() };
        let copy =
            list.content.iter().map(|content| Edit::of(&next, entity.clone(), &fresh(content).to_json()));
        copy.for_each(|edit| together.add(edit, place()));
    }
    for (key, segment) in source.live_segments() {
        let entity = Entity::Segment(id.clone(), key.clone());
        let copy =
            segment.segment.iter().map(|segment| Edit::of(&next, entity.clone(), &segment_to_json(segment)));
        copy.for_each(|edit| together.add(edit, place()));
    }
    for (key, flag) in source.live_flags().filter(|(_, flag)| flag.edits > 0) {
        let entity = Entity::Targeting(id.clone(), key.clone());
        together.add(Edit::of(&next, entity, &flag.targeting.settled_down().to_json()), place());
    }
    // A check that is broken there is broken here; nothing else of a copy asks.
    together.check(state, Confirmation::Given, "/copy_from")
}

/// Takes the environment to be copied out of a body.
fn copy_from<'j>(body: &Json<'j>) -> Result<(Json<'j>, Option<EnvironmentId>), Refusal> {
    let mut body = body.clone();
    let Json::Object(members) = &mut body else { return Ok((body, None)) };
    let Some(at) = members.iter().position(|(name, _)| name == "copy_from") else { return Ok((body, None)) };
    let (_, source) = members.remove(at);
    let wrong = |detail: String| Refusal::invalid("/copy_from", detail);
    let id = source.as_str().ok_or_else(|| wrong("the id of an environment is wanted here".to_owned()))?;
    let id = EnvironmentId::parse(id).map_err(|error| wrong(error.to_string()))?;
    Ok((body, Some(id)))
}

/// Changes what an environment is called, and whether it is production, by a merge patch (RFC 7396).
pub fn patch_environment(
    state: &State,
    id: &EnvironmentId,
    patch: &Json<'_>,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    let present =
        state.environment(id.as_str()).ok_or_else(|| Refusal::no_environment(state, id.as_str()))?;
    terms.check(present.revision, true)?;
    let environment = Environment::parse(&merge(&present.environment.to_json(), patch))?;
    if environment.id != *id {
        return Err(Refusal::invalid("/id", "the id of an environment does not change"));
    }
    let changed = environment_to_json(&environment, present.client_salt.as_ref());
    Ok(vec![Edit::of(state, Entity::Environment(id.clone()), &changed)])
}
