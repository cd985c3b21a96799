//! Request ids, the access log, and headers that every answer has.
//!
//! A log line says which route answered what, and never what stood in the request: no path beyond the route's
//! pattern, no query, no header, no body.

use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::Adopt;
use crate::metrics::{Answered, Metrics};
use crate::problem::ProblemCode;

/// Longest request id that is taken over from the caller, in characters.
const MAX_REQUEST_ID_CHARS: usize = 128;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Routes that are asked all the time, by machines.
const QUIET: [&str; 2] = ["/healthz", "/metrics"];
const TARGET: &str = "flagstone_admin::access";

/// The id of a request, for whoever records it.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Who makes a request, once that is known: an opaque id, for the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asker(Arc<OnceLock<String>>);

impl Asker {
    /// Notes who makes this request, in its span and for its line.
    pub(crate) fn note(request: &Request, principal: &str) {
        Span::current().record("principal", principal);
        if let Some(Self(asker)) = request.extensions().get() {
            let _ = asker.set(principal.to_owned());
        }
    }
}

/// Gives the request an id, answers it inside of a span, counts it, and writes one line about it.
///
/// The span `request` has the id, so that everything that is logged on the way has it too; whatever goes on by itself
/// takes the span along.
pub(crate) async fn observe(
    State((metrics, adopt)): State<(Option<Arc<Metrics>>, Option<Adopt>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers());
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let asker = Asker::default();
    request.extensions_mut().insert(asker.clone());
    request.extensions_mut().insert(RequestId(id.clone()));
    let begun = tokio::time::Instant::now();
    // As severe as any line, for a line has no span that is filtered out.
    let span =
        tracing::error_span!(target: TARGET, "request", request_id = id, method, route, principal = Empty);
    if let Some(adopt) = adopt {
        adopt(&span, request.headers());
    }
    let mut response = next.run(request).instrument(span).await;
    let took = begun.elapsed();
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let code = response.extensions().get::<ProblemCode>().map(|code| code.0);
    if let Some(metrics) = metrics {
        metrics.answered(Answered { route, method, status: response.status(), took, code });
    }
    let principal = asker.0.get();
    let status = response.status().as_u16();
    let quiet = QUIET.contains(&route) || route.starts_with("/cdn/");
    if status >= 500 {
        tracing::error!(target: TARGET, request_id = id, method, route, status, duration_ms, principal, code, "request");
    } else if quiet {
        tracing::debug!(target: TARGET, request_id = id, method, route, status, duration_ms, principal, code, "request");
    } else {
        tracing::info!(target: TARGET, request_id = id, method, route, status, duration_ms, principal, code, "request");
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The caller's id, if it is plain, so that its log and ours can be joined; else one of our own.
///
/// Plain is what makes up UUIDs, Base64, and the trace ids of load balancers: letters, digits, and `-_.:=+/`.
fn request_id(headers: &HeaderMap) -> String {
    let told = headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok());
    let plain = |id: &&str| {
        (1..=MAX_REQUEST_ID_CHARS).contains(&id.len())
            && id.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'=' | b'+' | b'/')
            })
    };
    told.filter(plain).map_or_else(
        || {
            let mut bytes = [0; 8];
            // Without randomness the id is not unique; the request is answered all the same.
            let _ = getrandom::fill(&mut bytes);
            format!("{:016x}", u64::from_be_bytes(bytes))
        },
        str::to_owned,
    )
}

/// The method, if it is one that anybody sends in earnest: an invented one could carry anything into the log.
pub(crate) fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}
