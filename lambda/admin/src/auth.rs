//! Who asks: bearer tokens behind a port, and what they may do.

use std::collections::BTreeSet;

use async_trait::async_trait;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flagstone_model::digest::Digest;
use flagstone_model::instant::Instant;
use flagstone_model::key::EnvironmentId;
use flagstone_publisher::author::Role;
use flagstone_publisher::control::{ControlPlane, token_named_in};
use flagstone_publisher::log::{ActorKind, TokenId};

use tracing::Instrument as _;

use crate::Service;
use crate::access::Asker;
use crate::limit::TooMany;
use crate::problem::{Problem, code};
use crate::record::{self, Asked};
use crate::rights::{Reach, Right};

/// Longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 512;
const CHALLENGE: &str = "Bearer realm=\"flagstone\"";
const CHALLENGE_INVALID: &str = "Bearer realm=\"flagstone\", error=\"invalid_token\"";

/// Who a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// What it is.
    pub kind: ActorKind,
    /// Its opaque id. It enters the log's chain and is never erased: nothing personal.
    pub id: String,
    /// Its name for people, kept where it can be erased.
    pub name: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Where; `None`: in the whole project.
    pub environments: Option<BTreeSet<EnvironmentId>>,
    /// When its token ends, if it does.
    pub expires: Option<Instant>,
}

impl Principal {
    /// A token that may do everything, without a name.
    pub fn admin(id: &str) -> Self {
        Self {
            kind: ActorKind::Token,
            id: id.to_owned(),
            name: None,
            role: Role::Admin,
            environments: None,
            expires: None,
        }
    }

    /// Whether it may act in an environment.
    pub fn reaches(&self, environment: &str) -> bool {
        self.environments.as_ref().is_none_or(|own| own.iter().any(|id| id.as_str() == environment))
    }

    /// Lets what takes this role in an environment pass; without one, in the whole project.
    pub(crate) fn require(&self, role: Role, environment: Option<&EnvironmentId>) -> Result<(), Problem> {
        self.at_least(role)?;
        let within = match environment {
            Some(environment) => self.reaches(environment.as_str()),
            None => self.environments.is_none(),
        };
        if within { Ok(()) } else { Err(outside()) }
    }

    fn at_least(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        let detail = format!("this takes the role `{role}`; the token has `{}`", self.role);
        Err(Problem::new(StatusCode::FORBIDDEN, code::FORBIDDEN, detail))
    }
}

/// The refusal of a token that is limited to other environments.
pub(crate) fn outside() -> Problem {
    let detail = "the token is limited to environments, and this reaches beyond them";
    Problem::new(StatusCode::FORBIDDEN, code::FORBIDDEN, detail)
}

/// Why credentials could not be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// Where they are kept did not answer; trying later may help.
    #[error("credentials cannot be checked now")]
    Unavailable {
        /// What the adapter met.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl AuthError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "auth-unavailable",
        }
    }
}

/// A token as somebody presents it: the id that its text names, and the SHA-256 of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The id, which is no secret; `None`: its text names none.
    pub id: Option<TokenId>,
    /// What is compared.
    pub sha256: Digest,
}

impl Presented {
    /// What there is to know of a token's text.
    pub fn of(text: &[u8]) -> Self {
        Self { id: token_named_in(text), sha256: Digest::of(text) }
    }
}

/// Knows tokens, by their SHA-256 only.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Whose token this is, if it is anybody's. What it costs does not grow with the tokens there are.
    async fn authenticate(&self, token: &Presented) -> Result<Option<Principal>, AuthError>;
}

/// One token that may do everything.
#[derive(Debug)]
pub struct AdminToken {
    sha256: Digest,
    principal: Principal,
}

impl AdminToken {
    /// Knows `token`, and keeps only its SHA-256.
    pub fn new(token: &str, principal: Principal) -> Self {
        Self::of_sha256(Digest::of(token.as_bytes()), principal)
    }

    /// Knows the token with this SHA-256, for whoever is not to see the token itself.
    pub const fn of_sha256(sha256: Digest, principal: Principal) -> Self {
        Self { sha256, principal }
    }
}

#[async_trait]
impl Tokens for AdminToken {
    async fn authenticate(&self, token: &Presented) -> Result<Option<Principal>, AuthError> {
        Ok(same(&self.sha256, &token.sha256).then(|| self.principal.clone()))
    }
}

/// The tokens that a project's log knows, and beside them one that always works.
///
/// A token that was made works with the next request, and a revoked or expired one is refused with it.
pub struct ProjectTokens {
    control: ControlPlane,
    bootstrap: Option<AdminToken>,
}

impl ProjectTokens {
    /// The tokens of a project. `bootstrap` is the way in that nobody can revoke: without it a project whose last
    /// token is gone has none.
    pub const fn new(control: ControlPlane, bootstrap: Option<AdminToken>) -> Self {
        Self { control, bootstrap }
    }
}

impl core::fmt::Debug for ProjectTokens {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ProjectTokens").field("project", self.control.project()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Tokens for ProjectTokens {
    async fn authenticate(&self, token: &Presented) -> Result<Option<Principal>, AuthError> {
        // First, so that it works though the log does not answer.
        if let Some(bootstrap) = &self.bootstrap
            && let Some(principal) = bootstrap.authenticate(token).await?
        {
            return Ok(Some(principal));
        }
        // What names no token is nobody's: neither the log is asked, nor any token compared.
        let Some(id) = &token.id else { return Ok(None) };
        let found = self.control.token_with(id, &token.sha256).await;
        let found = found.map_err(|error| AuthError::Unavailable { source: error.into() })?;
        Ok(found.map(|token| Principal {
            kind: ActorKind::Token,
            id: id.to_string(),
            name: Some(token.name),
            role: token.role,
            environments: token.environments,
            expires: token.expires,
        }))
    }
}

/// Whether two digests are equal, in a time that tells nothing of where they differ.
pub(crate) fn same(a: &Digest, b: &Digest) -> bool {
    let differing = a.as_bytes().iter().zip(b.as_bytes()).fold(0, |bits, (a, b)| bits | (a ^ b));
    core::hint::black_box(differing) == 0
}

/// Lets a request pass whose token is known and may do this, with its [`Principal`] in the extensions. Refusals, uses of
/// writes, and sign-ins are recorded.
pub(crate) async fn require(State(service): State<Service>, request: Request, next: Next) -> Response {
    let template = request.extensions().get::<MatchedPath>().cloned();
    let template = template.as_ref().map_or("", MatchedPath::as_str);
    let now_ms = service.control.now_ms();
    let asked = Asked::of(&request, template, now_ms);
    let principal = match principal(&service, request.headers()).await {
        Ok(principal) => principal,
        Err(problem) if problem.is_unauthenticated() => {
            return match service.limiter.take(None, now_ms) {
                Ok(()) => refused(&service, asked, problem, 1).await,
                Err(many) => slowed(&service, asked, many).await,
            };
        }
        Err(problem) => return problem.into_response(),
    };
    Asker::note(&request, &principal.id);
    let asked = asked.by(&principal.id);
    if let Err(many) = service.limiter.take(Some(&principal.id), now_ms) {
        return slowed(&service, asked, many).await;
    }
    let Some(right) = Right::of(request.method().as_str(), template) else {
        tracing::error!(target: "flagstone_admin", template, "the route has no row among the rights");
        return Problem::internal().into_response();
    };
    let (mut parts, body) = request.into_parts();
    let named = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
    let named = named.as_ref().and_then(|named| named.iter().find(|(name, _)| *name == "environment"));
    let environment = named.map_or("", |(_, id)| id);
    let asked = asked.about(EnvironmentId::parse(environment).ok());
    if let Err(problem) = admit(&principal, right, environment) {
        return refused(&service, asked, problem, 1).await;
    }
    parts.extensions.insert(principal);
    let request = Request::from_parts(parts, body);
    let response = if right.is_write() {
        // A write that has begun is recorded though its caller goes away.
        let writing = tokio::spawn(next.run(request).in_current_span()).await;
        writing.unwrap_or_else(|_| Problem::internal().into_response())
    } else {
        next.run(request).await
    };
    if right.is_write() || right.is_sign_in() || record::is_refusal(response.status()) {
        let access = asked.answered(&response, 1);
        service.recorder.record(access).await;
    }
    response
}

/// Whether somebody may do this.
fn admit(principal: &Principal, right: &Right, environment: &str) -> Result<(), Problem> {
    principal.at_least(right.role)?;
    let within = match right.reach {
        Reach::Shared | Reach::Named => true,
        Reach::Project => principal.environments.is_none(),
        Reach::Environment => principal.reaches(environment),
    };
    if within { Ok(()) } else { Err(outside()) }
}

async fn refused(service: &Service, asked: Asked, problem: Problem, count: u64) -> Response {
    let response = problem.into_response();
    let access = asked.answered(&response, count);
    service.recorder.record(access).await;
    response
}

/// The answer to too many requests, recorded now and then.
async fn slowed(service: &Service, asked: Asked, many: TooMany) -> Response {
    let problem = Problem::rate_limited(many.retry_after_s);
    match many.unrecorded {
        0 => problem.into_response(),
        count => refused(service, asked, problem, count).await,
    }
}

/// Lets a request pass whose token is known, whatever it may do.
pub(crate) async fn require_any(State(service): State<Service>, request: Request, next: Next) -> Response {
    match principal(&service, request.headers()).await {
        Ok(principal) => {
            Asker::note(&request, &principal.id);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn principal(service: &Service, headers: &HeaderMap) -> Result<Principal, Problem> {
    let Some(token) = bearer(headers) else {
        return Err(Problem::unauthenticated("send `Authorization: Bearer TOKEN`", CHALLENGE));
    };
    match service.tokens.authenticate(&Presented::of(token)).await {
        Ok(Some(principal)) => Ok(principal),
        Ok(None) => Err(Problem::unauthenticated("the token is not known", CHALLENGE_INVALID)),
        Err(error) => {
            tracing::error!(
                target: "flagstone_admin",
                code = error.code(),
                error = &error as &(dyn std::error::Error + 'static),
                "a token could not be checked"
            );
            Err(Problem::busy(1))
        }
    }
}

/// The token of the one `Authorization` header there may be.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    let plausible = !token.is_empty() && token.len() <= MAX_TOKEN_BYTES;
    (scheme.eq_ignore_ascii_case(b"Bearer ") && plausible).then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_bearer_token_is_read_from_one_header_only() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            bearer(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(read(&["Bearer abc"]), Some(b"abc".to_vec()));
        assert_eq!(read(&["bearer  abc "]), Some(b"abc".to_vec()));
        let long = format!("Bearer {}", "x".repeat(MAX_TOKEN_BYTES + 1));
        for none in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &["Basic abc"],
            &["abc"],
            &["Bearer a", "Bearer a"],
            &[&long],
        ] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_principal_may_do_what_its_role_and_its_environments_say() {
        let environment = |id: &str| EnvironmentId::parse(id).unwrap();
        let (staging, production) = (environment("staging"), environment("production"));
        let admin = Principal::admin("a");
        let editor = Principal {
            role: Role::Editor,
            environments: Some(BTreeSet::from([staging.clone()])),
            ..Principal::admin("b")
        };
        assert!(admin.require(Role::Admin, None).is_ok());
        assert!(admin.require(Role::Admin, Some(&production)).is_ok());
        for role in [Role::Viewer, Role::Editor] {
            assert!(editor.require(role, Some(&staging)).is_ok());
            assert!(editor.require(role, Some(&production)).is_err());
            assert!(editor.require(role, None).is_err());
        }
        assert!(editor.require(Role::Admin, Some(&staging)).is_err());
    }

    #[test]
    fn digests_are_the_same_only_if_every_bit_is() {
        let digest = Digest::of(b"token");
        assert!(same(&digest, &Digest::of(b"token")));
        for byte in 0..32 {
            let mut other = *digest.as_bytes();
            other[byte] ^= 1;
            assert!(!same(&digest, &Digest::from_bytes(other)), "{byte}");
        }
    }
}
