//! Definitions of flags.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::LOCATION;
use flagstone_model::json::Json;
use flagstone_publisher::control::Operation;

use super::{Answer, Subject, authored, plain, revision, without_own, write};
use crate::call::{Call, Media};
use crate::{Service, answer, percent};

pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    let page = call.query(&["limit", "cursor"])?.page(call.path())?;
    Ok(answer::entities(call.path(), &page, None, service.control.flags().await?))
}

pub(crate) async fn create(State(service): State<Service>, call: Call) -> Answer {
    let body = call.json(Media::Json)?.into_owned();
    let key = body.member("key").and_then(Json::as_str).unwrap_or_default().to_owned();
    let terms = call.creation(None).await?;
    let body = without_own(body, &["revision", "seq", "publication"]);
    let subject = Subject { key: &key, environment: None };
    let mut response = write(&service, Operation::CreateFlag(body), terms, subject).await?;
    let location = format!("{}/{}", call.path(), percent::encode_segment(&key));
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(crate) async fn read(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let known = call.if_none_match()?;
    Ok(answer::entity(None, service.control.flag(&call.flag()?).await?, known.as_ref()))
}

pub(crate) async fn patch(State(service): State<Service>, call: Call) -> Answer {
    let flag = call.flag()?;
    let subject = Subject { key: flag.as_str(), environment: None };
    let body = authored(call.json(Media::MergePatch)?, subject)?;
    let terms = call.write(None, async { revision(service.control.flag(&flag).await) }).await?;
    write(&service, Operation::PatchFlag(flag.clone(), body), terms, subject).await
}

pub(crate) async fn archive(State(service): State<Service>, call: Call) -> Answer {
    let flag = call.flag()?;
    let subject = Subject { key: flag.as_str(), environment: None };
    let terms = call.write(None, async { revision(service.control.flag(&flag).await) }).await?;
    write(&service, Operation::ArchiveFlag(flag.clone()), terms, subject).await
}
