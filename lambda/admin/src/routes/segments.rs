//! Segments of an environment.

use axum::extract::State;
use axum::http::header::ETAG;
use flagstone_publisher::control::Operation;

use super::past::Past;
use super::{Answer, Subject, authored, revision, write};
use crate::call::{Call, Media};
use crate::{Service, answer};

pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    let query = call.query(&["limit", "cursor", "at", "seq"])?;
    let environment = call.environment()?;
    let past = Past::of(&service, &query).await?;
    let list = past.list(&call);
    let page = query.page(&list)?;
    let segments = past.moment.segments(&environment)?;
    Ok(answer::entities(&list, &page, Some(&environment), segments, past.seq))
}

pub(crate) async fn read(State(service): State<Service>, call: Call) -> Answer {
    let environment = call.environment()?;
    let past = Past::of_one(&service, &call).await?;
    past.answer(&call, Some(&environment), past.moment.segment(&environment, &call.segment()?)?)
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
