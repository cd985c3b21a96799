//! Who changed what, when, why, from what to what.

use axum::extract::State;
use flagstone_publisher::log::Entity;

use super::Answer;
use super::targeting::history_page;
use crate::Service;
use crate::call::Call;
use crate::problem::Problem;

/// Changes of a flag's definition.
pub(crate) async fn flag(State(service): State<Service>, call: Call) -> Answer {
    of(&service, &call, Entity::Flag(call.flag()?)).await
}

/// Changes of a segment.
pub(crate) async fn segment(State(service): State<Service>, call: Call) -> Answer {
    of(&service, &call, Entity::Segment(call.environment()?, call.segment()?)).await
}

/// Changes of a list.
pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    of(&service, &call, Entity::List(call.environment()?, call.list()?)).await
}

/// Changes of an environment itself.
pub(crate) async fn environment(State(service): State<Service>, call: Call) -> Answer {
    of(&service, &call, Entity::Environment(call.environment()?)).await
}

async fn of(service: &Service, call: &Call, entity: Entity) -> Answer {
    let page = call.query(&["limit", "cursor"])?.page(call.path())?;
    let before = page.after.as_ref().and_then(|seq| seq.parse().ok());
    let limit = page.limit.saturating_add(1);
    let items = service.control.history_of(entity, before, limit).await.map_err(Problem::from)?;
    Ok(history_page(call, &page, items))
}
