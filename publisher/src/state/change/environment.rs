//! Changes of environments and of the project itself.

use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;

use super::{Edit, Refusal, Terms, merge};
use crate::author::{Environment, Project};
use crate::log::Entity;
use crate::state::State;

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

/// Adds an environment, in which every flag is off.
pub fn create_environment(state: &State, body: &Json<'_>) -> Result<Vec<Edit>, Refusal> {
    let environment = Environment::parse(body)?;
    if state.environment(environment.id.as_str()).is_some() {
        return Err(Refusal::AlreadyExists);
    }
    if state.environments().count() >= MAX_ENVIRONMENTS {
        return Err(Refusal::invalid("", format!("a project has at most {MAX_ENVIRONMENTS} environments")));
    }
    let entity = Entity::Environment(environment.id.clone());
    Ok(vec![Edit::of(state, entity, &environment.to_json())])
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
    Ok(vec![Edit::of(state, Entity::Environment(id.clone()), &environment.to_json())])
}
