//! Views of the project, and what clients may know of attributes.

use axum::extract::State;
use axum::http::header::ETAG;
use flagstone_publisher::control::Operation;

use super::past::Past;
use super::{Answer, Subject, authored, revision, write};
use crate::call::{Call, Media};
use crate::{Service, answer};

/// The one entity that holds what is declared of attributes.
const ATTRIBUTES: Subject<'static> = Subject { key: "attributes", environment: None };

pub(crate) async fn attributes(State(service): State<Service>, call: Call) -> Answer {
    let past = Past::of_one(&service, &call).await?;
    past.answer(&call, None, past.moment.attributes()?)
}

pub(crate) async fn declare(State(service): State<Service>, call: Call) -> Answer {
    let body = authored(call.json(Media::Json)?, ATTRIBUTES)?;
    let terms = call.write(None, async { revision(service.control.attributes().await) }).await?;
    write(&service, Operation::PutAttributes(body), terms, ATTRIBUTES).await
}

pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    let query = call.query(&["limit", "cursor", "at", "seq"])?;
    let past = Past::of(&service, &query).await?;
    let list = past.list(&call);
    let page = query.page(&list)?;
    Ok(answer::entities(&list, &page, None, past.moment.views()?, past.seq))
}

pub(crate) async fn read(State(service): State<Service>, call: Call) -> Answer {
    let past = Past::of_one(&service, &call).await?;
    past.answer(&call, None, past.moment.view(&call.view()?)?)
}

pub(crate) async fn put(State(service): State<Service>, call: Call) -> Answer {
    let view = call.view()?;
    let subject = Subject { key: view.as_str(), environment: None };
    let body = authored(call.json(Media::Json)?, subject)?;
    let terms = call.write(None, async { revision(service.control.view(&view).await) }).await?;
    write(&service, Operation::PutView(view.clone(), body), terms, subject).await
}

pub(crate) async fn delete(State(service): State<Service>, call: Call) -> Answer {
    let view = call.view()?;
    let subject = Subject { key: view.as_str(), environment: None };
    let terms = call.write(None, async { revision(service.control.view(&view).await) }).await?;
    let mut response = write(&service, Operation::DeleteView(view.clone()), terms, subject).await?;
    // What is gone has no state that a tag could name.
    response.headers_mut().remove(ETAG);
    Ok(response)
}
