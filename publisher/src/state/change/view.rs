//! Changes of views, and of what is declared of attributes.

use flagstone_model::json::Json;
use flagstone_model::key::ViewId;
use flagstone_model::limits::MAX_LINE_BYTES;

use super::client::{self, Spoken};
use super::{Edit, Refusal, Terms};
use crate::author::{Attributes, ViewDefinition};
use crate::log::Entity;
use crate::state::State;
use crate::state::entity::environment_to_json;
use crate::view::ClientSalt;

/// Most views of a project beside `server` and `client`: each is a stream in every environment.
pub const MAX_VIEWS: usize = 8;

/// Declares what clients may know of attributes, whole.
pub fn put_attributes(state: &State, body: &Json<'_>, terms: Terms) -> Result<Vec<Edit>, Refusal> {
    let present = state.attributes();
    terms.check(present.revision, present.revision > 0)?;
    let attributes = Attributes::parse(body)?;
    let edit = Edit::of(state, Entity::Attributes, &attributes.to_json());
    let next = state.with([&edit])?;
    check_private_lines(&next, "/attributes")?;
    Refusal::unless_none(client::check(state, &next, &Spoken::of(Entity::Attributes)))?;
    Refusal::unless_room(state, &next, "/attributes")?;
    Ok(vec![edit])
}

/// What is declared private fits into the line of every environment.
pub(super) fn check_private_lines(next: &State, pointer: &str) -> Result<(), Refusal> {
    for (_, environment) in next.environments() {
        let size = environment.own_line(next.id(), &ViewId::server()).len();
        if size > MAX_LINE_BYTES {
            let detail = format!(
                "the paths that are declared private would make a line of {size} bytes, at most {MAX_LINE_BYTES} \
                 are allowed"
            );
            return Err(Refusal::invalid(pointer, detail));
        }
    }
    Ok(())
}

/// Writes a view, new or whole. Its audience stays.
pub fn put_view(state: &State, id: &ViewId, body: &Json<'_>, terms: Terms) -> Result<Vec<Edit>, Refusal> {
    let definition = ViewDefinition::parse(body)?;
    check_view(state, id, &definition, state.views().len().saturating_add(1))?;
    let present = state.own_view(id);
    terms.check(present.map_or(0, |present| present.revision), present.is_some())?;
    Ok(vec![Edit::of(state, Entity::View(id.clone()), &definition.to_json())])
}

/// Whether a view may be this; if it is new there are `views` then.
pub(super) fn check_view(
    state: &State,
    id: &ViewId,
    definition: &ViewDefinition,
    views: usize,
) -> Result<(), Refusal> {
    if is_built_in(id) {
        return Err(Refusal::BuiltInView { id: id.clone() });
    }
    match state.own_view(id).map(|view| &view.definition) {
        Some(None) => return Err(Refusal::KeyRetired),
        Some(Some(present)) if present.audience != definition.audience => {
            let detail =
                "the audience of a view does not change, for its objects lie elsewhere; make a new view";
            return Err(Refusal::invalid("/audience", detail));
        }
        Some(Some(_)) => {}
        None => {
            let built_in = 2;
            if views > MAX_VIEWS.saturating_add(built_in) {
                let detail = format!(
                    "a project has at most {MAX_VIEWS} views beside `server` and `client`; delete one"
                );
                return Err(Refusal::invalid("", detail));
            }
        }
    }
    Ok(())
}

/// Deletes a view. Its streams are published no more, and its id is retired.
pub fn delete_view(state: &State, id: &ViewId, terms: Terms) -> Result<Vec<Edit>, Refusal> {
    if let Some(refusal) = change_of_missing_view(state, id) {
        return Err(refusal);
    }
    terms.check(state.place(&Entity::View(id.clone())).0, true)?;
    Ok(vec![Edit::of(state, Entity::View(id.clone()), &Json::Null)])
}

/// Why a view can not be deleted, if it can not.
pub(super) fn change_of_missing_view(state: &State, id: &ViewId) -> Option<Refusal> {
    if is_built_in(id) {
        return Some(Refusal::BuiltInView { id: id.clone() });
    }
    let present = state.own_view(id).filter(|view| view.definition.is_some());
    present.is_none().then(|| Refusal::no_view(state, id.as_str()))
}

fn is_built_in(id: &ViewId) -> bool {
    [ViewId::server(), ViewId::client()].contains(id)
}

/// Gives every environment that has none a salt for its public views.
pub fn add_client_salts(state: &State, mut salt: impl FnMut() -> Option<ClientSalt>) -> Option<Vec<Edit>> {
    let without = state.without_client_salt().map(|(id, found)| {
        let json = environment_to_json(&found.environment, Some(&salt()?));
        Some(Edit::of(state, Entity::Environment(id.clone()), &json))
    });
    without.collect()
}
