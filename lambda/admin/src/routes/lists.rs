//! Lists of an environment.

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, ETAG};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use flagstone_model::json::Json;
use flagstone_publisher::control::{ControlError, Operation, When, Written};
use flagstone_publisher::list::{Base, ListEdits, ListFault, ListKeys};
use flagstone_publisher::state::change::Refusal;

use super::past::Past;
use super::{Answer, Subject, authored, revision, run_on, write};
use crate::call::{Call, Media};
use crate::problem::{Problem, code};
use crate::{MAX_BODY_BYTES, Service, answer, etag};

pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    let query = call.query(&["limit", "cursor", "at", "seq"])?;
    let environment = call.environment()?;
    let past = Past::of(&service, &query).await?;
    let list = past.list(&call);
    let page = query.page(&list)?;
    let lists = past.moment.lists(&environment)?;
    Ok(answer::entities(&list, &page, Some(&environment), lists, past.seq))
}

/// What a list is; with `key`, also whether it has that key.
pub(crate) async fn read(State(service): State<Service>, call: Call) -> Answer {
    let (environment, list) = (call.environment()?, call.list()?);
    let query = call.query(&["key", "at", "seq"])?;
    let past = Past::of(&service, &query).await?;
    let mut found = past.moment.list(&environment, &list)?;
    if let Some(key) = query.text("key") {
        let when = past.seq.map_or(When::NOW, When::seq);
        let (expanded, revision) = service.control.list_keys(&environment, &list, when).await?;
        let is_in = ("contains".into(), Json::from(expanded.contains(key)));
        // Of the state that the keys were read from, whatever came between.
        (found.body, found.revision) = (expanded.content().told(), revision);
        if let Json::Object(members) = &mut found.body {
            members.push(is_in);
        }
    }
    past.answer(&call, Some(&environment), found)
}

/// The keys of a list: a page of them, or all, one a line.
pub(crate) async fn keys(State(service): State<Service>, call: Call) -> Answer {
    let (environment, list) = (call.environment()?, call.list()?);
    let query = call.query(&["limit", "cursor", "at", "seq"])?;
    let past = Past::of(&service, &query).await?;
    let when = past.seq.map_or(When::NOW, When::seq);
    if call.header(ACCEPT).is_some_and(prefers_text) {
        let (expanded, revision) = service.control.list_keys(&environment, &list, when).await?;
        let text = blocking(move || Ok(expanded.to_text())).await?;
        let mut response = text.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(ETAG, etag::value_of_revision(revision));
        return Ok(response);
    }
    let at = past.list(&call);
    let page = query.page(&at)?;
    let (expanded, _) = service.control.list_keys(&environment, &list, when).await?;
    let (after, limit) = (page.after.clone(), page.limit.saturating_add(1));
    let found = blocking(move || {
        let later =
            expanded.keys().skip_while(|key| after.as_ref().is_some_and(|after| *key <= after.as_str()));
        Ok(later.take(limit).map(|key| (key.to_owned(), Json::from(key.to_owned()))).collect())
    });
    Ok(answer::page(&at, &page, found.await?))
}

/// Whether somebody asks for text rather than JSON.
fn prefers_text(accept: &HeaderValue) -> bool {
    let first = accept.to_str().unwrap_or_default().split([',', ';']).next().unwrap_or_default();
    first.trim().eq_ignore_ascii_case("text/plain")
}

/// Just these keys: `{"keys":[…]}`, or text, one a line.
pub(crate) async fn put(State(service): State<Service>, mut call: Call) -> Answer {
    let (environment, list) = (call.environment()?, call.list()?);
    let subject = Subject { key: list.as_str(), environment: Some(&environment) };
    let query = call.query(&["confirm", "rebase"])?;
    let base = if query.truth("rebase")? { Base::New } else { Base::Kept };
    let keys = if call.is_text()? {
        let text = call.body();
        blocking(move || ListKeys::from_text(&text)).await?
    } else if call.body().len() > MAX_BODY_BYTES {
        let detail = format!(
            "JSON has at most {MAX_BODY_BYTES} bytes; send more keys as `text/plain`, one a line, in UTF-8"
        );
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, detail));
    } else {
        ListKeys::from_json(&authored(call.json(Media::Json)?, subject)?).map_err(refused)?
    };
    let current = async { revision(service.control.list(&environment, &list).await) };
    let terms = call.write_with(&query, None, current).await?;
    let (control, waited) = (service.control.clone(), terms.wait);
    let place = (environment.clone(), list.clone());
    let room = call.take_room();
    let written = run_on(async move {
        let written = control.put_list(&place.0, &place.1, keys, base, terms).await;
        drop(room);
        written
    });
    Ok(written_list(subject, waited, written.await?))
}

/// Some keys more, and some fewer: `{"add":[…],"drop":[…]}`.
pub(crate) async fn patch(State(service): State<Service>, call: Call) -> Answer {
    let (environment, list) = (call.environment()?, call.list()?);
    let subject = Subject { key: list.as_str(), environment: Some(&environment) };
    let edits = ListEdits::from_json(&authored(call.json(Media::Json)?, subject)?).map_err(refused)?;
    let current = async { revision(service.control.list(&environment, &list).await) };
    let terms = call.write(None, current).await?;
    let (control, waited) = (service.control.clone(), terms.wait);
    let place = (environment.clone(), list.clone());
    let written = run_on(async move { control.edit_list(&place.0, &place.1, edits, terms).await });
    Ok(written_list(subject, waited, written.await?))
}

pub(crate) async fn delete(State(service): State<Service>, call: Call) -> Answer {
    let (environment, list) = (call.environment()?, call.list()?);
    let subject = Subject { key: list.as_str(), environment: Some(&environment) };
    let current = async { revision(service.control.list(&environment, &list).await) };
    let terms = call.write(None, current).await?;
    let mut response =
        write(&service, Operation::DeleteList(environment.clone(), list.clone()), terms, subject).await?;
    // What is gone has no state that a tag could name.
    response.headers_mut().remove(ETAG);
    Ok(response)
}

fn written_list(subject: Subject<'_>, waited: bool, written: Written) -> Response {
    answer::written(subject.key, subject.environment, waited, written)
}

fn refused(fault: ListFault) -> Problem {
    ControlError::from(Refusal::from(fault)).into()
}

/// Work over many keys, away from the threads that answer.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ListFault> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(refused),
        Err(_) => Err(Problem::internal()),
    }
}
