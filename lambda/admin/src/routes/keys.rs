//! SDK keys of an environment, of which two may live while one replaces the other.

use axum::extract::State;
use axum::http::header::ETAG;
use flagstone_publisher::control::Operation;
use flagstone_publisher::log::SdkKeyId;

use super::{Answer, Subject, authored, created, plain, revision, run_on, without_own, write};
use crate::call::{Call, Media};
use crate::problem::Problem;
use crate::{Service, answer};

pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    let page = call.query(&["limit", "cursor"])?.page(call.path())?;
    let environment = call.environment()?;
    let keys = service.control.sdk_keys(&environment).await?;
    Ok(answer::entities(call.path(), &page, Some(&environment), keys, None))
}

pub(crate) async fn create(State(service): State<Service>, call: Call) -> Answer {
    let environment = call.environment()?;
    let body = call.optional_json(Media::Json)?.unwrap_or(flagstone_model::json::Json::Object(Vec::new()));
    let body = without_own(body.into_owned(), &["key", "id"]);
    let body = authored(body, Subject { key: "", environment: Some(&environment) })?;
    let terms = call.creation(None).await?;
    let (control, of) = (service.control.clone(), environment.clone());
    let waited = terms.wait;
    let (written, minted) = run_on(async move { control.create_sdk_key(&of, body, terms).await }).await?;
    let secret = ("sdk_key", minted.text);
    let response = answer::told_once(minted.id.as_str(), Some(&environment), waited, written, secret);
    Ok(created(response, &call, minted.id.as_str()))
}

pub(crate) async fn read(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let known = call.if_none_match()?;
    let environment = call.environment()?;
    let key = service.control.sdk_key(&environment, &key_id(&call)?).await?;
    Ok(answer::entity(Some(&environment), key, known.as_ref()))
}

pub(crate) async fn revoke(State(service): State<Service>, call: Call) -> Answer {
    let (environment, id) = (call.environment()?, key_id(&call)?);
    let subject = Subject { key: id.as_str(), environment: Some(&environment) };
    let current = async { revision(service.control.sdk_key(&environment, &id).await) };
    let terms = call.write(None, current).await?;
    let operation = Operation::RevokeSdkKey(environment.clone(), id.clone());
    let mut response = write(&service, operation, terms, subject).await?;
    // What is gone has no state that a tag could name.
    response.headers_mut().remove(ETAG);
    Ok(response)
}

fn key_id(call: &Call) -> Result<SdkKeyId, Problem> {
    SdkKeyId::parse(call.raw_parameter("key")).map_err(|error| Problem::parameter("key", error))
}
