//! Tokens: who may use this API, and for what.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::ETAG;
use flagstone_model::json::Json;
use flagstone_publisher::author::Token;
use flagstone_publisher::control::{ControlError, Operation};
use flagstone_publisher::log::TokenId;
use flagstone_publisher::state::change::Refusal;

use super::{Answer, Subject, created, plain, revision, run_on, without_own, write};
use crate::auth::{Principal, outside};
use crate::call::{Call, Media};
use crate::problem::{Problem, code};
use crate::{Service, answer};

pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    let page = call.query(&["limit", "cursor"])?.page(call.path())?;
    let tokens = service.control.tokens().await?.into_iter();
    let tokens = tokens.filter(|(_, token)| is_within(call.principal(), token));
    Ok(answer::entities(call.path(), &page, None, tokens.map(|(entity, _)| entity).collect(), None))
}

pub(crate) async fn create(State(service): State<Service>, call: Call) -> Answer {
    let body =
        without_own(call.json(Media::Json)?.into_owned(), &["key", "id", "revision", "seq", "publication"]);
    let token = Token::parse(&body).map_err(|problems| ControlError::from(Refusal::from(problems)))?;
    let principal = call.principal();
    if token.role > principal.role || !is_within(principal, &token) || outlives(principal, &token) {
        let detail =
            "a token makes no token that may do more, act in more environments, or end later than itself";
        return Err(Problem::new(StatusCode::FORBIDDEN, code::FORBIDDEN, detail));
    }
    let terms = call.creation(None).await?;
    let control = service.control.clone();
    let waited = terms.wait;
    let (written, minted) = run_on(async move { control.create_token(body, terms).await }).await?;
    let response = answer::told_once(minted.id.as_str(), None, waited, written, ("token", minted.text));
    Ok(created(response, &call, minted.id.as_str()))
}

/// Who asks.
pub(crate) async fn whoami(call: Call) -> Answer {
    plain(&call)?;
    let Principal { kind: _, id, name, role, environments, expires } = call.principal();
    let members = [
        Some(("id", Json::from(id.clone()))),
        name.as_ref().map(|name| ("name", Json::from(name.clone()))),
        Some(("role", Json::from(role.as_str()))),
        environments.as_ref().map(|environments| {
            ("environments", environments.iter().map(|id| Json::from(id.to_string())).collect())
        }),
        expires.map(|expires| ("expires", Json::from(expires.to_string()))),
    ];
    Ok(answer::json(StatusCode::OK, Json::object(members.into_iter().flatten()).to_string()))
}

pub(crate) async fn read(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let known = call.if_none_match()?;
    let (entity, token) = service.control.token(&token_id(&call)?).await?;
    if !is_within(call.principal(), &token) {
        return Err(outside());
    }
    Ok(answer::entity(None, entity, known.as_ref()))
}

pub(crate) async fn revoke(State(service): State<Service>, call: Call) -> Answer {
    let id = token_id(&call)?;
    let subject = Subject { key: id.as_str(), environment: None };
    match service.control.token(&id).await.map_err(Problem::from) {
        Ok((_, token)) if !is_within(call.principal(), &token) => return Err(outside()),
        // A retry of a revocation is answered from its entry, though the token is gone.
        Err(problem) if !problem.is_not_found() => return Err(problem),
        _ => {}
    }
    let current = async { revision(service.control.token(&id).await.map(|(entity, _)| entity)) };
    let terms = call.write(None, current).await?;
    let mut response = write(&service, Operation::RevokeToken(id.clone()), terms, subject).await?;
    // What is gone has no state that a tag could name.
    response.headers_mut().remove(ETAG);
    Ok(response)
}

fn token_id(call: &Call) -> Result<TokenId, Problem> {
    TokenId::parse(call.raw_parameter("token")).map_err(|error| Problem::parameter("token", error))
}

/// Whether a token would still work when that of its maker has ended.
fn outlives(principal: &Principal, token: &Token) -> bool {
    principal.expires.is_some_and(|end| token.expires.is_none_or(|expires| expires > end))
}

/// Whether a token reaches no further than somebody does.
fn is_within(principal: &Principal, token: &Token) -> bool {
    match (&principal.environments, &token.environments) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(own), Some(its)) => its.is_subset(own),
    }
}
