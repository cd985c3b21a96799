//! Definitions of flags.

use axum::extract::State;
use flagstone_model::json::Json;
use flagstone_publisher::control::Operation;

use super::past::Past;
use super::{Answer, Subject, add, authored, revision, without_own, write};
use crate::call::{Call, Media};
use crate::{Service, answer};

pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    let query = call.query(&["limit", "cursor", "at", "seq"])?;
    let past = Past::of(&service, &query).await?;
    let list = past.list(&call);
    let page = query.page(&list)?;
    Ok(answer::entities(&list, &page, None, past.moment.flags()?, past.seq))
}

pub(crate) async fn create(State(service): State<Service>, call: Call) -> Answer {
    let body = call.json(Media::Json)?.into_owned();
    let key = body.member("key").and_then(Json::as_str).unwrap_or_default().to_owned();
    let body = without_own(body, &["revision", "seq", "publication"]);
    add(&service, &call, Operation::CreateFlag(body), &key).await
}

pub(crate) async fn read(State(service): State<Service>, call: Call) -> Answer {
    let past = Past::of_one(&service, &call).await?;
    past.answer(&call, None, past.moment.flag(&call.flag()?)?)
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
