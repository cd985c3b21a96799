//! The routes, and what they have in common.

use axum::http::HeaderValue;
use axum::http::header::LOCATION;
use axum::response::Response;
use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;
use flagstone_publisher::author;
use flagstone_publisher::control::{ControlError, Entity, Operation, Write};
use tracing::Instrument as _;

use crate::call::{Call, check_reason};
use crate::problem::Problem;
use crate::{Service, answer, percent};

pub(crate) mod access;
pub(crate) mod changes;
pub(crate) mod doctor;
pub(crate) mod environments;
pub(crate) mod erase;
pub(crate) mod evaluate;
pub(crate) mod experiments;
pub(crate) mod explain;
pub(crate) mod flags;
pub(crate) mod history;
pub(crate) mod keys;
pub(crate) mod lists;
pub(crate) mod log;
pub(crate) mod past;
pub(crate) mod preview;
pub(crate) mod publication;
pub(crate) mod segments;
pub(crate) mod targeting;
pub(crate) mod tokens;
pub(crate) mod views;

/// What a handler answers.
pub(crate) type Answer = Result<Response, Problem>;

/// The entity that an operation is about, as its path names it.
#[derive(Debug, Clone, Copy)]
struct Subject<'a> {
    key: &'a str,
    environment: Option<&'a EnvironmentId>,
}

/// Does something that goes on when its caller goes away, in the span of the request.
async fn run_on<T: Send + 'static>(
    work: impl Future<Output = Result<T, ControlError>> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::spawn(work.in_current_span()).await;
    Ok(done.map_err(|_| Problem::internal())??)
}

/// Makes a change and answers with what it led to.
///
/// The change runs on even if the caller goes away: what is in the log should be announced.
async fn write(service: &Service, operation: Operation, write: Write, subject: Subject<'_>) -> Answer {
    let control = service.control.clone();
    let waited = write.wait;
    let written = run_on(async move { control.write(operation, write).await }).await?;
    Ok(answer::written(subject.key, subject.environment, waited, written))
}

/// Makes what the list in the path did not have, and answers where it is now.
async fn add(service: &Service, call: &Call, operation: Operation, key: &str) -> Answer {
    let terms = call.creation(None).await?;
    let response = write(service, operation, terms, Subject { key, environment: None }).await?;
    Ok(created(response, call, key))
}

/// The same answer with where it is that was made.
fn created(mut response: Response, call: &Call, key: &str) -> Response {
    let location = format!("{}/{}", call.path(), percent::encode_segment(key));
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The revision of an entity; 0 if there is none.
fn revision(found: Result<Entity, ControlError>) -> Result<u64, Problem> {
    match found {
        Ok(entity) => Ok(entity.revision),
        Err(error) => match Problem::from(error) {
            problem if problem.is_not_found() => Ok(0),
            problem => Err(problem),
        },
    }
}

/// A body without the members the server adds. `key` and `environment` must say what the path says.
fn authored(body: Json<'_>, subject: Subject<'_>) -> Result<Json<'static>, Problem> {
    let members = match body.into_owned() {
        Json::Object(members) => members,
        other => return Ok(other),
    };
    let environment = subject.environment.map(EnvironmentId::as_str);
    let mut kept = Vec::with_capacity(members.len());
    for (name, value) in members {
        let path_says = match &*name {
            "key" => Some(subject.key),
            "environment" if environment.is_some() => environment,
            "revision" | "seq" | "notes" | "publication" | "phases" => continue,
            _ => {
                kept.push((name, value));
                continue;
            }
        };
        if value.as_str() != path_says {
            return Err(Problem::body(&format!("/{name}"), format!("the path has another {name}")));
        }
    }
    Ok(Json::Object(kept))
}

/// A body without some members.
fn without_own(mut body: Json<'static>, names: &[&str]) -> Json<'static> {
    if let Json::Object(members) = &mut body {
        members.retain(|(name, _)| !names.contains(&&**name));
    }
    body
}

/// Takes `reason` out of the body of an action, which may be left out altogether.
fn reason(body: Option<Json<'_>>) -> Result<(Json<'static>, Option<String>), Problem> {
    let mut members = match body.map(Json::into_owned) {
        Some(Json::Object(members)) => members,
        _ => Vec::new(),
    };
    let at = members.iter().position(|(name, _)| name == "reason");
    let reason = match at.map(|at| members.remove(at).1) {
        None => None,
        Some(Json::String(text)) => {
            check_reason(&text).map_err(|detail| Problem::body("/reason", detail))?;
            Some(text.into_owned())
        }
        Some(_) => return Err(Problem::body("/reason", "a string is wanted here")),
    };
    Ok((Json::Object(members), reason))
}

/// The same for an action that has nothing else to say.
fn only_reason(body: Option<Json<'_>>) -> Result<Option<String>, Problem> {
    let (rest, reason) = reason(body)?;
    match rest.as_object().and_then(<[_]>::first) {
        None => Ok(reason),
        Some((name, _)) => {
            let detail = format!("the body has the member `reason` and no other, not `{name}`");
            Err(Problem::body(&author::pointer([&**name]), detail))
        }
    }
}

/// A read has no parameters.
fn plain(call: &Call) -> Result<(), Problem> {
    call.query(&[]).map(|_| ())
}
