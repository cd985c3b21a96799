//! Environments.

use axum::extract::State;
use flagstone_model::json::Json;
use flagstone_publisher::control::Operation;

use super::past::Past;
use super::{Answer, Subject, add, authored, revision, without_own, write};
use crate::call::{Call, Media};
use crate::problem::Problem;
use crate::{Service, answer};

pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    let query = call.query(&["limit", "cursor", "at", "seq"])?;
    let past = Past::of(&service, &query).await?;
    let list = past.list(&call);
    let page = query.page(&list)?;
    Ok(answer::entities(&list, &page, None, past.moment.environments()?, past.seq))
}

pub(crate) async fn create(State(service): State<Service>, call: Call) -> Answer {
    let mut body = without_own(call.json(Media::Json)?.into_owned(), &["revision", "seq", "publication"]);
    // An answer has the id as `key` too, so a body may.
    if let Json::Object(members) = &mut body
        && let Some(at) = members.iter().position(|(name, _)| name == "key")
    {
        let (_, key) = members.remove(at);
        match members.iter().find(|(name, _)| name == "id") {
            Some((_, id)) if *id != key => return Err(Problem::body("/key", "`id` says something else")),
            Some(_) => {}
            None => members.push(("id".into(), key)),
        }
    }
    let id = body.member("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    add(&service, &call, Operation::CreateEnvironment(body), &id).await
}

pub(crate) async fn read(State(service): State<Service>, call: Call) -> Answer {
    let past = Past::of_one(&service, &call).await?;
    past.answer(&call, None, past.moment.environment(&call.environment()?)?)
}

pub(crate) async fn patch(State(service): State<Service>, call: Call) -> Answer {
    let environment = call.environment()?;
    let subject = Subject { key: environment.as_str(), environment: None };
    let body = authored(call.json(Media::MergePatch)?, subject)?;
    let terms = call.write(None, async { revision(service.control.environment(&environment).await) }).await?;
    write(&service, Operation::PatchEnvironment(environment.clone(), body), terms, subject).await
}
