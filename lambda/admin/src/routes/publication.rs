//! What is published of an environment, and doing it now.

use axum::extract::State;
use axum::http::StatusCode;
use flagstone_model::json::Json;
use flagstone_model::key::ViewId;

use super::{Answer, only_reason, plain, run_on};
use crate::call::{Call, Media};
use crate::{Service, answer};

pub(crate) async fn read(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let publication = service.control.publication(&call.environment()?).await?;
    Ok(answer::json(StatusCode::OK, publication.to_string()))
}

/// Brings the stream up to date with the log. Changes nothing in it, so there is nothing to record.
pub(crate) async fn publish(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let environment = call.environment()?;
    only_reason(call.optional_json(Media::Json)?)?;
    let control = service.control.clone();
    let stream = environment.clone();
    let published = run_on(async move { control.publish(&stream).await }).await?;
    let views = [(ViewId::server(), published)].into();
    let publication = answer::publication(&[(environment, views)].into());
    Ok(answer::json(StatusCode::OK, Json::object([("publication", publication)]).to_string()))
}
