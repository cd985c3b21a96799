//! Published objects over HTTP, as a CDN serves them (FORMAT T-3.7).
//!
//! Only the shapes of published objects are served: a bucket may also hold what is nobody's business, and there is no
//! way to list it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flagstone_model::digest::Digest;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
use flagstone_publisher::control::ControlPlane;
use flagstone_publisher::store::{Etag, ObjectPath, ObjectStore, StoreError, served};

use crate::auth::AuthError;
use crate::problem::{Problem, code};
use crate::{access, etag};

/// Where the router serves.
const ROUTE: &str = "/cdn/{*path}";
const PREFIX: &str = "/cdn/";
/// The header with the SDK key: `Authorization` belongs to the bucket's own access control.
const KEY_HEADER: HeaderName = HeaderName::from_static("x-flagstone-key");
/// Longest SDK key that is looked at, in bytes.
const MAX_KEY_BYTES: usize = 512;
/// Longest last part of a path, in bytes: what names an object within its folder.
const MAX_LEAF_BYTES: usize = 128;
/// Most digits of a root's number: those of the largest one.
const MAX_ROOT_DIGITS: usize = 20;

/// What an SDK key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyScope {
    /// The project whose snapshots, deltas, and lists it reads.
    pub project: ProjectId,
    /// The environment whose manifests it reads.
    pub environment: EnvironmentId,
}

/// Knows SDK keys, by their SHA-256 only.
#[async_trait]
pub trait SdkKeys: Send + Sync {
    /// What the key with this SHA-256 opens, if it is one.
    async fn scope(&self, key_sha256: &Digest) -> Result<Option<KeyScope>, AuthError>;
}

/// SDK keys that are known from the start. One scope may have several, so that they can be rotated.
#[derive(Clone, Default)]
pub struct StaticSdkKeys {
    scopes: BTreeMap<Digest, KeyScope>,
}

impl StaticSdkKeys {
    /// Knows these keys, and keeps only their SHA-256.
    pub fn new(keys: impl IntoIterator<Item = (String, KeyScope)>) -> Self {
        let scopes = keys.into_iter().map(|(key, scope)| (Digest::of(key.as_bytes()), scope));
        Self { scopes: scopes.collect() }
    }
}

impl fmt::Debug for StaticSdkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.scopes.values()).finish()
    }
}

#[async_trait]
impl SdkKeys for StaticSdkKeys {
    async fn scope(&self, key_sha256: &Digest) -> Result<Option<KeyScope>, AuthError> {
        Ok(self.scopes.get(key_sha256).cloned())
    }
}

/// The SDK keys that a project's log knows, and beside them others, such as those of `flagstone dev`.
///
/// A key that was made opens the next request, and a revoked one no more.
pub struct ProjectSdkKeys {
    control: ControlPlane,
    others: Arc<dyn SdkKeys>,
}

impl ProjectSdkKeys {
    /// The SDK keys of a project, and others that are looked at first.
    pub const fn new(control: ControlPlane, others: Arc<dyn SdkKeys>) -> Self {
        Self { control, others }
    }
}

impl fmt::Debug for ProjectSdkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectSdkKeys").field("project", self.control.project()).finish_non_exhaustive()
    }
}

#[async_trait]
impl SdkKeys for ProjectSdkKeys {
    async fn scope(&self, key_sha256: &Digest) -> Result<Option<KeyScope>, AuthError> {
        if let Some(scope) = self.others.scope(key_sha256).await? {
            return Ok(Some(scope));
        }
        let found = self.control.sdk_key_by_sha256(key_sha256).await;
        let found = found.map_err(|error| AuthError::Unavailable { source: error.into() })?;
        let project = self.control.project();
        Ok(found.map(|environment| KeyScope { project: project.clone(), environment }))
    }
}

#[derive(Clone)]
struct Edge {
    store: Arc<dyn ObjectStore>,
    keys: Arc<dyn SdkKeys>,
}

/// `GET` and `HEAD` of `/cdn/{path}`.
///
/// It has no fallback of its own, so that it can be merged into the router of the API.
pub fn router(store: Arc<dyn ObjectStore>, keys: Arc<dyn SdkKeys>) -> Router {
    Router::new()
        .route(ROUTE, get(serve).fallback(async || Problem::method_not_allowed()))
        .layer(middleware::from_fn_with_state((None, None), access::observe))
        .with_state(Edge { store, keys })
}

async fn serve(State(edge): State<Edge>, request: Request) -> Result<Response, Problem> {
    // The path is taken as it came: no object's name needs an escape, so an escape is nobody's.
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let asked = Asked::parse(path).ok_or_else(missing)?;
    if let Some(need) = &asked.need {
        edge.admit(request.headers(), need).await?;
    }
    let known = etag::read(request.headers(), &IF_NONE_MATCH).ok().flatten();
    if let Some(known) = known {
        let head = edge.store.head(&asked.path).await.map_err(broken)?.ok_or_else(missing)?;
        if known.matches_weakly(head.etag.as_str()) {
            return Ok(asked.answer(StatusCode::NOT_MODIFIED.into_response(), &head.etag));
        }
    }
    if request.method() == Method::HEAD {
        let head = edge.store.head(&asked.path).await.map_err(broken)?.ok_or_else(missing)?;
        let length = [(CONTENT_LENGTH, HeaderValue::from(head.size))];
        return Ok(asked.answer(length.into_response(), &head.etag));
    }
    let object = edge.store.get(&asked.path).await.map_err(broken)?.ok_or_else(missing)?;
    Ok(asked.answer(object.bytes.into_response(), &object.etag))
}

impl Edge {
    async fn admit(&self, headers: &HeaderMap, need: &Need) -> Result<(), Problem> {
        let mut given = headers.get_all(&KEY_HEADER).iter();
        let key = match (given.next(), given.next()) {
            (Some(key), None) if !key.is_empty() && key.len() <= MAX_KEY_BYTES => key,
            _ => {
                return Err(Problem::unauthenticated(
                    "send the SDK key of this environment as `x-flagstone-key`",
                    "FlagstoneKey",
                ));
            }
        };
        match self.keys.scope(&Digest::of(key.as_bytes())).await {
            Ok(Some(scope)) if need.is_met_by(&scope) => Ok(()),
            Ok(_) => {
                let detail = "the SDK key does not open this";
                Err(Problem::new(StatusCode::FORBIDDEN, code::FORBIDDEN, detail))
            }
            Err(error) => {
                tracing::error!(
                    target: "flagstone_admin",
                    code = error.code(),
                    error = &error as &(dyn std::error::Error + 'static),
                    "an SDK key could not be checked"
                );
                Err(Problem::busy(1))
            }
        }
    }
}

/// An object that has the shape of a published one.
struct Asked {
    path: ObjectPath,
    /// The key it takes; none for what is open.
    need: Option<Need>,
}

/// What a key must open.
struct Need {
    project: String,
    /// For what belongs to one environment alone.
    environment: Option<String>,
}

impl Need {
    fn is_met_by(&self, scope: &KeyScope) -> bool {
        self.project == scope.project.as_str()
            && self.environment.as_ref().is_none_or(|environment| environment == scope.environment.as_str())
    }
}

impl Asked {
    fn parse(text: &str) -> Option<Self> {
        let path = ObjectPath::parse(text).ok()?;
        let parts: Vec<&str> = text.split('/').collect();
        let [access, project, "v1", ref rest @ ..] = parts[..] else { return None };
        if rest.last().is_some_and(|leaf| leaf.len() > MAX_LEAF_BYTES) {
            return None;
        }
        ProjectId::parse(project).ok()?;
        let environment = match *rest {
            ["e", environment, view, "manifest"] | ["e", environment, view, "m", _] => {
                ViewId::parse(view).ok()?;
                Some(EnvironmentId::parse(environment).ok()?.to_string())
            }
            ["s" | "d", _] => None,
            ["k", _] if access == "closed" => None,
            ["root", number] if access == "open" && is_root(number) => None,
            _ => return None,
        };
        let need = match access {
            "open" => None,
            "closed" => Some(Need { project: project.to_owned(), environment }),
            _ => return None,
        };
        Some(Self { path, need })
    }

    fn answer(&self, mut response: Response, etag: &Etag) -> Response {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(served::CONTENT_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(served::cache_control(&self.path)));
        if let Ok(etag) = HeaderValue::try_from(etag.as_str()) {
            headers.insert(ETAG, etag);
        }
        response
    }
}

fn is_root(number: &str) -> bool {
    number.len() <= MAX_ROOT_DIGITS && number.bytes().all(|digit| digit.is_ascii_digit())
}

fn missing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, code::NOT_FOUND, "there is no such object")
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function of `map_err`")]
fn broken(error: StoreError) -> Problem {
    tracing::error!(
        target: "flagstone_admin",
        code = error.code(),
        error = &error as &(dyn std::error::Error + 'static),
        "an object could not be read"
    );
    Problem::busy(1)
}
