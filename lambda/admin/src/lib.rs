//! The Flagstone admin API over HTTP, cloud-free.
//!
//! Two routers: [`router`] is the API over a [`ControlPlane`], [`cdn::router`] serves published objects as a CDN
//! would. Both are plain axum routers without a server, so that `flagstone dev`, a Lambda function, and a test run the
//! same code:
//!
//! ```
//! use std::sync::Arc;
//!
//! use flagstone_admin::auth::{AdminToken, Principal};
//! use flagstone_admin::cdn::{self, KeyScope, StaticSdkKeys};
//! use flagstone_model::key::{EnvironmentId, ProjectId};
//! use flagstone_publisher::control::ControlPlane;
//! use flagstone_publisher::store::ObjectStore;
//!
//! fn app(control: ControlPlane, bucket: Arc<dyn ObjectStore>) -> Result<axum::Router, Box<dyn std::error::Error>> {
//!     let admin = Principal::admin("admin");
//!     let scope = KeyScope {
//!         project: ProjectId::parse("demo")?,
//!         environment: EnvironmentId::parse("production")?,
//!     };
//!     let keys = StaticSdkKeys::new([("fsk_3vD9".into(), scope)]);
//!     let tokens = Arc::new(AdminToken::new("fat_Yq81", admin));
//!     Ok(flagstone_admin::router(control, tokens).merge(cdn::router(bucket, Arc::new(keys))))
//! }
//! ```
//!
//! # Reading order
//!
//! 1. [`router`]: the table of routes.
//! 2. [`auth`]: who asks; [`auth::Tokens`] is the port behind which tokens are kept. [`rights`]: who may do what.
//! 3. [`cdn`]: objects, cache headers, and [`cdn::SdkKeys`].
//!
//! # Invariants
//!
//! * A request is read whole and checked before anything is written. What is refused is a problem document (RFC 9457)
//!   with a stable `code` that names the member (`pointer`), the parameter, or the header at fault.
//! * Bodies are read strictly: at most [`MAX_BODY_BYTES`] (of a preview [`MAX_PREVIEW_BODY_BYTES`], of a list as text
//!   [`MAX_LIST_BODY_BYTES`]), 32 levels, no member twice, none that is unknown.
//! * Tokens and SDK keys are compared by their SHA-256. Neither they nor query strings, bodies, or attributes of
//!   contexts stand in an answer to somebody else or in a log line.
//! * A write that has begun goes on when its caller goes away.
//! * Every path, status, header, and member stands in the OpenAPI document, whose fragments are in `openapi/`, one for
//!   each area. The tests hold every answer against the served document.
//!
//! # What it does not do
//!
//! It opens no socket and ends no TLS. It decides nothing about flags: that is `flagstone-publisher`.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::HeaderMap;
use axum::middleware;
use axum::routing::{MethodRouter, get, post, put};
use axum::{Extension, Router};
use flagstone_publisher::access::{AccessLog, MemoryAccessLog};
use flagstone_publisher::control::ControlPlane;
use tokio::sync::Semaphore;

mod access;
mod answer;
pub mod auth;
mod call;
pub mod cdn;
mod cursor;
mod etag;
mod limit;
mod metrics;
mod openapi;
mod percent;
mod problem;
mod query;
mod record;
pub mod rights;
mod routes;

use auth::Tokens;
use call::BodyLimit;
use limit::Limiter;
pub use limit::{Limits, Rate};
use metrics::Metrics;
use problem::Problem;
use record::Recorder;
use routes::{
    changes, doctor, environments, erase, evaluate, experiments, explain, flags, history, keys, lists, log,
    preview, publication, segments, targeting, tokens, views,
};

/// Largest body of a request, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Largest body of a preview, in bytes: it may bring its contexts along.
pub const MAX_PREVIEW_BODY_BYTES: usize = 8 * 1024 * 1024;

/// Largest body of a list that is written as text, in bytes: one list as large as a list may be.
pub const MAX_LIST_BODY_BYTES: usize = 128 * 1024 * 1024;
/// How many bodies larger than [`MAX_BODY_BYTES`] are held at once; one more is asked to come again later.
pub const MAX_LARGE_BODIES: usize = 2;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Service {
    control: ControlPlane,
    tokens: Arc<dyn Tokens>,
    metrics: Arc<Metrics>,
    limiter: Arc<Limiter>,
    recorder: Recorder,
    large_bodies: Arc<Semaphore>,
}

/// How the API is served.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Who may read `/metrics`.
    pub metrics: MetricsAccess,
    /// Is told of the span of each request, and of its headers, before anything is done in it: where a trace that the
    /// caller has begun is continued.
    pub adopt: Option<Adopt>,
    /// How often somebody may ask.
    pub limits: Limits,
    /// Where uses and refusals are recorded; without it, in memory.
    pub access: Option<Arc<dyn AccessLog>>,
}

/// When a request is given up: an extension of one that has a deadline. Its caller is answered then, and nothing is
/// appended for it any more, however long the process stands still in between.
#[derive(Debug, Clone, Copy)]
pub struct Until(pub tokio::time::Instant);

/// Is told of the span of a request, and of its headers.
pub type Adopt = fn(&tracing::Span, &HeaderMap);

/// Who may read `/metrics`. It names environments, and nothing else that people wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetricsAccess {
    /// Everybody who reaches the port, as with `/healthz`.
    #[default]
    Everybody,
    /// Whoever has a token.
    TokenHolders,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

/// The API of one project: everything under `/v1`, `/healthz`, `/metrics`, and `/openapi.json`.
///
/// Every other path is the problem `not-found`, and every other method `method-not-allowed`. All answers have
/// `x-request-id`.
pub fn router(control: ControlPlane, tokens: Arc<dyn Tokens>) -> Router {
    router_with(control, tokens, Options::default())
}

/// The same, served in another way than by default.
///
/// Each router counts for itself. The control plane tells its work to the first one that is made over it.
pub fn router_with(control: ControlPlane, tokens: Arc<dyn Tokens>, options: Options) -> Router {
    let metrics = Arc::new(Metrics::new());
    control.observe(Arc::<Metrics>::clone(&metrics));
    let log = options.access.unwrap_or_else(|| Arc::new(MemoryAccessLog::new()));
    let recorder = Recorder::new(control.project().clone(), log, Arc::clone(&metrics));
    let limiter = Arc::new(Limiter::new(options.limits));
    let large_bodies = Arc::new(Semaphore::new(MAX_LARGE_BODIES));
    let service = Service { control, tokens, metrics: Arc::clone(&metrics), limiter, recorder, large_bodies };
    let add = |router: Router<Service>, (path, methods): (String, _)| router.route(&path, methods);
    let metrics_routes = metrics_table().into_iter().fold(Router::new(), add);
    let metrics_routes = match options.metrics {
        MetricsAccess::Everybody => metrics_routes,
        MetricsAccess::TokenHolders => {
            metrics_routes.route_layer(middleware::from_fn_with_state(service.clone(), auth::require_any))
        }
    };
    table()
        .into_iter()
        .fold(Router::new(), add)
        .route_layer(middleware::from_fn_with_state(service.clone(), auth::require))
        .merge(open_table().into_iter().fold(Router::new(), add))
        .merge(metrics_routes)
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state((Some(metrics), options.adopt), access::observe))
        .with_state(service)
}

/// A path and what is there.
type Routes = Vec<(String, MethodRouter<Service>)>;

/// The routes that ask for a token. Each operation has a row in [`rights::RIGHTS`], which says for whom it is, and
/// stands in a fragment of the OpenAPI document.
fn table() -> Routes {
    // Whole paths, not nested routers: those would hide the part of the path that tells two lists or requests apart.
    let p = |rest: &str| format!("/v1/projects/{{project}}{rest}");
    let e = |rest: &str| format!("/v1/projects/{{project}}/environments/{{environment}}{rest}");
    vec![
        (p("/flags"), get(flags::list).post(flags::create)),
        (p("/flags/{flag}"), get(flags::read).patch(flags::patch).delete(flags::archive)),
        (p("/environments"), get(environments::list).post(environments::create)),
        (e(""), get(environments::read).patch(environments::patch)),
        (e("/flags"), get(targeting::list)),
        (e("/flags/{flag}"), get(targeting::read).put(targeting::put)),
        (e("/flags/{flag}/on"), post(targeting::on)),
        (e("/flags/{flag}/off"), post(targeting::off)),
        (e("/flags/{flag}/rollout"), post(targeting::rollout)),
        (e("/flags/{flag}/restore"), post(targeting::restore)),
        (e("/flags/{flag}/pause"), post(targeting::pause)),
        (e("/flags/{flag}/reshuffle"), post(targeting::reshuffle)),
        (e("/experiments"), get(experiments::list)),
        (e("/flags/{flag}/history"), get(targeting::history)),
        (e("/segments"), get(segments::list)),
        (e("/segments/{segment}"), get(segments::read).put(segments::put).delete(segments::delete)),
        (e("/lists"), get(lists::list)),
        (e("/lists/{list}"), list_methods()),
        (e("/lists/{list}/keys"), get(lists::keys)),
        (e("/lists/{list}/history"), get(history::list)),
        (e("/evaluate"), post(evaluate::evaluate)),
        (e("/explain"), post(explain::explain)),
        (e("/preview"), up_to(MAX_PREVIEW_BODY_BYTES, post(preview::preview))),
        (e("/flags/{flag}/audit"), get(explain::audit)),
        (e("/history"), get(history::environment)),
        (e("/segments/{segment}/history"), get(history::segment)),
        (p("/flags/{flag}/history"), get(history::flag)),
        (e("/publication"), get(publication::read)),
        (e("/publish"), post(publication::publish)),
        (p("/log"), get(log::list)),
        (p("/erase"), post(erase::erase)),
        (p("/changes"), post(changes::make)),
        (p("/doctor"), post(doctor::try_stores)),
        (e("/restore"), post(changes::restore)),
        (p("/access"), get(routes::access::list)),
        (p("/tokens"), get(tokens::list).post(tokens::create)),
        (p("/tokens/self"), get(tokens::whoami)),
        (p("/tokens/{token}"), get(tokens::read).delete(tokens::revoke)),
        (e("/keys"), get(keys::list).post(keys::create)),
        (e("/keys/{key}"), get(keys::read).delete(keys::revoke)),
        (p("/attributes"), get(views::attributes).put(views::declare)),
        (p("/views"), get(views::list)),
        (p("/views/{view}"), get(views::read).put(views::put).delete(views::delete)),
    ]
}

/// The same with another limit of bodies.
fn up_to(bytes: usize, methods: MethodRouter<Service>) -> MethodRouter<Service> {
    methods.layer::<_, Infallible>(Extension(BodyLimit(bytes))).layer(DefaultBodyLimit::max(bytes))
}

/// A list may be written by a larger body than anything else.
fn list_methods() -> MethodRouter<Service> {
    let large = up_to(MAX_LIST_BODY_BYTES, put(lists::put));
    get(lists::read).patch(lists::patch).delete(lists::delete).merge(large)
}

/// The routes that ask for nothing.
fn open_table() -> Routes {
    vec![("/healthz".to_owned(), get(health)), ("/openapi.json".to_owned(), get(openapi::read))]
}

/// What monitoring reads.
fn metrics_table() -> Routes {
    vec![("/metrics".to_owned(), get(metrics::read))]
}

async fn health() -> axum::response::Response {
    answer::json(axum::http::StatusCode::OK, r#"{"status":"ok"}"#.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_has_the_paths_of_the_routes_and_no_other() {
        let routes: BTreeSet<String> =
            table().into_iter().chain(open_table()).chain(metrics_table()).map(|(path, _)| path).collect();
        let documented = openapi::paths();
        let undocumented: Vec<_> = routes.difference(&documented).collect();
        assert!(undocumented.is_empty(), "add to a fragment in lambda/admin/openapi/: {undocumented:?}");
        let unrouted: Vec<_> = documented.difference(&routes).collect();
        assert!(unrouted.is_empty(), "take out of lambda/admin/openapi/, or add a route: {unrouted:?}");
    }
}
