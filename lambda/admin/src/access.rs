//! Request ids, the access log, and headers that every answer has.
//!
//! A log line says which route answered what, and never what stood in the request: no path beyond the route's
//! pattern, no query, no header, no body.

use axum::extract::{MatchedPath, Request};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;

use crate::problem::ProblemCode;

/// Longest request id that is taken over from the caller, in characters.
const MAX_REQUEST_ID_CHARS: usize = 128;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TARGET: &str = "flagstone_admin::access";

/// Gives the request an id, answers it, and writes one line about it.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let begun = tokio::time::Instant::now();
    let mut response = next.run(request).await;
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    let code = response.extensions().get::<ProblemCode>().map(|code| code.0);
    let quiet = route == "/healthz" || route.starts_with("/cdn/");
    if status >= 500 {
        tracing::error!(target: TARGET, request_id = id, method, route, status, duration_ms, code, "request");
    } else if quiet {
        tracing::debug!(target: TARGET, request_id = id, method, route, status, duration_ms, code, "request");
    } else {
        tracing::info!(target: TARGET, request_id = id, method, route, status, duration_ms, code, "request");
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
fn method(method: &Method) -> &'static str {
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
