//! Changes of tokens and SDK keys.

use flagstone_model::digest::Digest;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;

use super::{Edit, Refusal, Terms};
use crate::author::{Problem, SdkKey, Token, did_you_mean};
use crate::log::{Entity, SdkKeyId, TokenId};
use crate::state::{Credential, State};

/// Most tokens of a project that are neither revoked nor expired.
pub const MAX_TOKENS: usize = 1_000;
/// The furthest that a token's end may lie ahead, in milliseconds: ten years.
pub const MAX_TOKEN_LIFE_MS: i64 = 10 * 366 * 24 * 60 * 60 * 1_000;
/// Most SDK keys of an environment that are not revoked: the old one and the new one.
pub const MAX_SDK_KEYS: usize = 2;

/// Something secret that is about to be known.
#[derive(Debug, Clone)]
pub struct New<Id> {
    /// Its id.
    pub id: Id,
    /// The SHA-256 of its text.
    pub sha256: Digest,
    /// What its author wrote.
    pub body: Json<'static>,
    /// The time, in Unix milliseconds.
    pub now_ms: i64,
}

/// Adds a token.
pub fn create_token(state: &State, new: &New<TokenId>) -> Result<Vec<Edit>, Refusal> {
    let token = Token::parse(&new.body)?;
    let mut problems = Vec::new();
    for id in token.environments.iter().flatten() {
        if state.environment(id.as_str()).is_none() {
            let hint = did_you_mean(id.as_str(), state.environments().map(|(id, _)| id.as_str()));
            let detail = format!("there is no environment `{id}`{hint}");
            problems.push(Problem::invalid("/environments", detail));
        }
    }
    match token.expires {
        Some(expires) if expires.millis() <= new.now_ms => {
            problems.push(Problem::invalid("/expires", "this is over already"));
        }
        Some(expires) if expires.millis() > new.now_ms.saturating_add(MAX_TOKEN_LIFE_MS) => {
            problems.push(Problem::invalid("/expires", "at most ten years ahead"));
        }
        _ => {}
    }
    Refusal::unless_none(problems)?;
    if state.tokens().filter(|(_, token)| is_live(&token.authored, new.now_ms)).count() >= MAX_TOKENS {
        return Err(Refusal::TooManyTokens);
    }
    let credential =
        Credential { authored: token, sha256: new.sha256, created: Instant::from_millis(new.now_ms) };
    Ok(vec![Edit::of(state, Entity::Token(new.id.clone()), &credential.to_json())])
}

/// Whether a token is not expired.
pub(crate) fn is_live(token: &Token, now_ms: i64) -> bool {
    token.expires.is_none_or(|expires| now_ms < expires.millis())
}

/// Revokes a token, an expired one too.
pub fn revoke_token(state: &State, id: &TokenId, terms: Terms) -> Result<Vec<Edit>, Refusal> {
    let present = state.token(id).filter(|token| token.credential.is_some());
    let present = present.ok_or_else(|| Refusal::TokenNotFound { id: id.to_string() })?;
    terms.check(present.revision, true)?;
    Ok(vec![Edit::of(state, Entity::Token(id.clone()), &Json::Null)])
}

/// Adds an SDK key to an environment.
pub fn create_sdk_key(
    state: &State,
    environment: &EnvironmentId,
    new: &New<SdkKeyId>,
) -> Result<Vec<Edit>, Refusal> {
    if state.environment(environment.as_str()).is_none() {
        return Err(Refusal::no_environment(state, environment.as_str()));
    }
    let key = SdkKey::parse(&new.body)?;
    if state.sdk_keys(environment).count() >= MAX_SDK_KEYS {
        return Err(Refusal::TooManyKeys);
    }
    let credential =
        Credential { authored: key, sha256: new.sha256, created: Instant::from_millis(new.now_ms) };
    let entity = Entity::SdkKey(environment.clone(), new.id.clone());
    Ok(vec![Edit::of(state, entity, &credential.to_json())])
}

/// Revokes an SDK key.
pub fn revoke_sdk_key(
    state: &State,
    environment: &EnvironmentId,
    id: &SdkKeyId,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    if state.environment(environment.as_str()).is_none() {
        return Err(Refusal::no_environment(state, environment.as_str()));
    }
    let present = state.sdk_key(environment, id).filter(|key| key.credential.is_some());
    let present = present.ok_or_else(|| Refusal::KeyNotFound { id: id.to_string() })?;
    terms.check(present.revision, true)?;
    Ok(vec![Edit::of(state, Entity::SdkKey(environment.clone(), id.clone()), &Json::Null)])
}
