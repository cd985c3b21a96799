//! Segments of an environment.

use axum::extract::State;
use axum::http::header::ETAG;
use flagstone_publisher::control::Operation;

use super::{Answer, Subject, authored, plain, revision, write};
use crate::call::{Call, Media};
use crate::{Service, answer};

pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    let page = call.query(&["limit", "cursor"])?.page(call.path())?;
    let environment = call.environment()?;
    let segments = service.control.segments(&environment).await?;
    Ok(answer::entities(call.path(), &page, Some(&environment), segments))
}

pub(crate) async fn read(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let known = call.if_none_match()?;
    let environment = call.environment()?;
    let segment = service.control.segment(&environment, &call.segment()?).await?;
    Ok(answer::entity(Some(&environment), segment, known.as_ref()))
}

pub(crate) async fn put(State(service): State<Service>, call: Call) -> Answer {
    let (environment, segment) = (call.environment()?, call.segment()?);
    let subject = Subject { key: segment.as_str(), environment: Some(&environment) };
    let body = authored(call.json(Media::Json)?, subject)?;
    let current = async { revision(service.control.segment(&environment, &segment).await) };
    let terms = call.write(None, current).await?;
    let operation = Operation::PutSegment(environment.clone(), segment.clone(), body);
    write(&service, operation, terms, subject).await
}

pub(crate) async fn delete(State(service): State<Service>, call: Call) -> Answer {
    let (environment, segment) = (call.environment()?, call.segment()?);
    let subject = Subject { key: segment.as_str(), environment: Some(&environment) };
    let current = async { revision(service.control.segment(&environment, &segment).await) };
    let terms = call.write(None, current).await?;
    let operation = Operation::DeleteSegment(environment.clone(), segment.clone());
    let mut response = write(&service, operation, terms, subject).await?;
    // What is gone has no state that a tag could name.
    response.headers_mut().remove(ETAG);
    Ok(response)
}
