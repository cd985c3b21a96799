//! HTTP as API Gateway (HTTP API, payload format 2.0) and Function URLs put it into events.
//!
//! It is read here and not by `lambda_http`: that panics at a body that is no base64, makes the path of a request out of
//! its `Host` header, and puts the stage before the path, where no route begins.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The largest answer that Lambda passes on, in bytes.
pub const MAX_ANSWER_BYTES: usize = 6_291_556;
/// The code of an answer that is larger.
pub const ANSWER_TOO_LARGE: &str = "answer-too-large";
/// The stage whose paths have no prefix.
const DEFAULT_STAGE: &str = "$default";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROBLEM_JSON: &str = "application/problem+json";

/// An event of format 2.0, as far as it is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    version: String,
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    request_context: Context,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    http: Http,
    #[serde(default)]
    stage: Option<String>,
    #[serde(default)]
    request_id: Option<String>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

/// An answer of format 2.0. Nothing that is answered sets cookies.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    status_code: u16,
    headers: BTreeMap<String, String>,
    body: String,
    is_base64_encoded: bool,
}

impl Event {
    /// The request, as the routes of the API know it.
    pub(crate) fn into_request(self) -> Result<Request<Body>, Failure> {
        let wrong = |what: &str| Failure::wrong_event(format!("the event of a request has {what}"));
        if self.version != "2.0" {
            return Err(Failure::wrong_event("the payload format is not 2.0; set it to 2.0"));
        }
        let method = Method::from_bytes(self.request_context.http.method.as_bytes());
        let method = method.map_err(|_| wrong("no method"))?;
        let stage = self.request_context.stage.as_deref().filter(|stage| *stage != DEFAULT_STAGE);
        let mut target = escaped(without_stage(&self.raw_path, stage));
        if !self.raw_query_string.is_empty() {
            target.push('?');
            target.push_str(&escaped(&self.raw_query_string));
        }
        let uri =
            Some(target).filter(|target| target.starts_with('/')).and_then(|target| target.parse().ok());
        let uri: Uri = uri.ok_or_else(|| wrong("no path"))?;
        let body = match self.body {
            Some(body) if self.is_base64_encoded => {
                BASE64.decode(body).map_err(|_| wrong("a body that is not base64"))?
            }
            body => body.unwrap_or_default().into_bytes(),
        };
        let length = body.len();
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| wrong("a header without a name"))?;
            let value = HeaderValue::from_bytes(value.as_bytes());
            headers.insert(name, value.map_err(|_| wrong("a header that is none"))?);
        }
        // What came is what counts: a large list is only taken with its length.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        // So that the log of the gateway and this one can be joined.
        let request_id = self.request_context.request_id.and_then(|id| HeaderValue::try_from(id).ok());
        if let Some(request_id) = request_id {
            headers.entry(REQUEST_ID).or_insert(request_id);
        }
        Ok(request)
    }
}

/// The path as the routes know it: without the stage, unless a route of its own name is meant.
fn without_stage<'p>(path: &'p str, stage: Option<&str>) -> &'p str {
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    match rest {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// The same with everything escaped that can not stand in a path or a query: the gateway decodes some of it.
fn escaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let mut escaped = String::with_capacity(text.len());
    for (at, byte) in bytes.iter().enumerate() {
        let is_escape = *byte == b'%' && is_hex(at.saturating_add(1)) && is_hex(at.saturating_add(2));
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(byte);
        if is_plain || is_escape {
            escaped.push(char::from(*byte));
        } else {
            escaped.push('%');
            escaped.extend([byte >> 4, byte & 15].map(hex));
        }
    }
    escaped
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or_default().to_ascii_uppercase()
}

impl Answer {
    /// The answer to a request of this method; one that is larger than Lambda passes on says so instead.
    pub(crate) async fn of(method: &Method, response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let request_id = parts.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let too_large = || {
            tracing::warn!(code = ANSWER_TOO_LARGE, "an answer is larger than Lambda passes on");
            let detail = if method.is_safe() {
                format!(
                    "the answer would have more than the {MAX_ANSWER_BYTES} bytes that Lambda passes on; ask for less \
                     at a time (`limit`)"
                )
            } else {
                format!(
                    "it is done, but the answer would have more than the {MAX_ANSWER_BYTES} bytes that Lambda passes \
                     on; read what there is now in parts"
                )
            };
            Self::problem(ANSWER_TOO_LARGE, "the answer is too large", &detail, request_id.clone(), None)
        };
        let Ok(body) = to_bytes(body, MAX_ANSWER_BYTES).await else { return too_large() };
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &parts.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let joined = headers.entry(name.to_string()).or_default();
            if !joined.is_empty() {
                joined.push_str(", ");
            }
            joined.push_str(&value);
        }
        let (body, is_base64_encoded) = match String::from_utf8(body.into()) {
            Ok(text) => (text, false),
            Err(bytes) => (BASE64.encode(bytes.as_bytes()), true),
        };
        let answer = Self { status_code: parts.status.as_u16(), headers, body, is_base64_encoded };
        // Escapes make a text longer than its bytes.
        match serde_json::to_vec(&answer) {
            Ok(whole) if whole.len() <= MAX_ANSWER_BYTES => answer,
            _ => too_large(),
        }
    }

    /// The answer when the deadline came first.
    pub(crate) fn late() -> Self {
        let detail = "it took too long; try again with the same `Idempotency-Key`, which does nothing twice";
        Self::problem("busy", "too busy", detail, None, Some(1))
    }

    fn problem(
        code: &str,
        title: &str,
        detail: &str,
        request_id: Option<String>,
        retry_after_s: Option<u32>,
    ) -> Self {
        let status = if retry_after_s.is_some() {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        let body = serde_json::json!({
            "type": format!("urn:flagstone:problem:{code}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
        });
        let mut headers = BTreeMap::from([
            (CONTENT_TYPE.to_string(), PROBLEM_JSON.to_owned()),
            ("cache-control".to_owned(), "no-store".to_owned()),
        ]);
        headers.extend(request_id.map(|id| (REQUEST_ID.to_string(), id)));
        headers.extend(retry_after_s.map(|seconds| ("retry-after".to_owned(), seconds.to_string())));
        Self { status_code: status.as_u16(), headers, body: body.to_string(), is_base64_encoded: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(members: &serde_json::Value) -> Result<Request<Body>, Failure> {
        let mut event = serde_json::json!({
            "version": "2.0",
            "rawPath": "/v1/projects/shop/flags",
            "rawQueryString": "",
            "headers": {"content-length": "9", "if-match": "\"1\",\"2\"", "x-forwarded-for": "203.0.113.9"},
            "requestContext": {
                "http": {"method": "GET", "path": "/", "sourceIp": "192.0.2.1"},
                "stage": "$default",
                "requestId": "gw-1",
            },
            "isBase64Encoded": false,
        });
        for (name, value) in members.as_object().unwrap() {
            event[name] = value.clone();
        }
        serde_json::from_value::<Event>(event).unwrap().into_request()
    }

    fn context(stage: &str) -> serde_json::Value {
        serde_json::json!({"http": {"method": "PUT"}, "stage": stage})
    }

    #[tokio::test]
    async fn an_event_becomes_the_request_that_it_was() {
        let body = serde_json::json!({"rawQueryString": "limit=2&cursor=a%2Bb", "body": "{\"a\":1}"});
        let request = event(&body).unwrap();
        assert_eq!(request.uri(), "/v1/projects/shop/flags?limit=2&cursor=a%2Bb");
        assert_eq!(request.headers()["if-match"], "\"1\",\"2\"");
        assert_eq!(request.headers()["x-request-id"], "gw-1");
        assert_eq!(request.headers()["content-length"], "7", "whatever the caller said");
        assert_eq!(to_bytes(request.into_body(), 99).await.unwrap(), "{\"a\":1}");
        let binary =
            serde_json::json!({"body": "AP8=", "isBase64Encoded": true, "requestContext": context("x")});
        let request = event(&binary).unwrap();
        assert_eq!(request.method(), Method::PUT);
        assert_eq!(to_bytes(request.into_body(), 99).await.unwrap(), [0, 255].as_slice());
    }

    #[test]
    fn a_stage_is_no_part_of_the_path() {
        let path = |raw: &str, stage: &str| {
            let request = event(&serde_json::json!({"rawPath": raw, "requestContext": context(stage)}));
            request.unwrap().uri().path().to_owned()
        };
        assert_eq!(path("/prod/healthz", "prod"), "/healthz");
        assert_eq!(path("/prod", "prod"), "/");
        assert_eq!(path("/production/x", "prod"), "/production/x");
        assert_eq!(path("/healthz", "prod"), "/healthz");
        assert_eq!(path("/prod/healthz", "$default"), "/prod/healthz");
    }

    #[test]
    fn what_the_gateway_has_decoded_is_escaped_again() {
        for (raw, path) in [
            ("/a b", "/a%20b"),
            ("/a%20b", "/a%20b"),
            ("/a%b", "/a%25b"),
            ("/a%2", "/a%252"),
            ("/a\u{e4}", "/a%C3%A4"),
            ("/a\"<>\\^`{|}#", "/a%22%3C%3E%5C%5E%60%7B%7C%7D%23"),
        ] {
            let request = event(&serde_json::json!({ "rawPath": raw })).unwrap();
            assert_eq!(request.uri().path(), path);
        }
    }

    #[test]
    fn an_event_that_is_no_request_is_refused_by_name() {
        for (members, detail) in [
            (serde_json::json!({"version": "1.0"}), "the payload format is not 2.0; set it to 2.0"),
            (
                serde_json::json!({"body": "canary", "isBase64Encoded": true, "rawPath": "/"}),
                "the event of a request has a body that is not base64",
            ),
            (serde_json::json!({"rawPath": "canary"}), "the event of a request has no path"),
            (
                serde_json::json!({"headers": {"a": "canary\n"}}),
                "the event of a request has a header that is none",
            ),
            (
                serde_json::json!({"headers": {"": "canary"}}),
                "the event of a request has a header without a name",
            ),
        ] {
            let failure = event(&members).unwrap_err();
            assert_eq!((failure.code.as_str(), failure.detail.as_str()), ("wrong-event", detail));
        }
    }

    async fn answer(method: Method, body: Vec<u8>) -> Answer {
        let mut response = Response::new(Body::from(body));
        response.headers_mut().insert(REQUEST_ID, HeaderValue::from_static("r-1"));
        response.headers_mut().append("vary", HeaderValue::from_static("a"));
        response.headers_mut().append("vary", HeaderValue::from_static("b"));
        Answer::of(&method, response).await
    }

    #[tokio::test]
    async fn text_stays_text_and_anything_else_is_base64() {
        let text = answer(Method::GET, b"{}".to_vec()).await;
        assert_eq!((text.body.as_str(), text.is_base64_encoded, text.status_code), ("{}", false, 200));
        assert_eq!(text.headers["vary"], "a, b");
        let binary = answer(Method::GET, vec![0, 255]).await;
        assert_eq!((binary.body.as_str(), binary.is_base64_encoded), ("AP8=", true));
    }

    #[tokio::test]
    async fn an_answer_is_passed_on_up_to_the_limit_of_lambda() {
        let frame = serde_json::to_vec(&answer(Method::GET, Vec::new()).await).unwrap().len();
        let most = MAX_ANSWER_BYTES - frame;
        let whole = answer(Method::GET, vec![b'a'; most]).await;
        assert_eq!((whole.status_code, serde_json::to_vec(&whole).unwrap().len()), (200, MAX_ANSWER_BYTES));
        for (method, body, word) in [
            (Method::GET, vec![b'a'; most + 1], "`limit`"),
            (Method::POST, vec![b'a'; most + 1], "it is done"),
            // Escaped it is twice as long.
            (Method::GET, vec![b'"'; MAX_ANSWER_BYTES / 2], "`limit`"),
            (Method::GET, vec![0xff; MAX_ANSWER_BYTES * 2], "`limit`"),
        ] {
            let answer = answer(method, body).await;
            assert_eq!((answer.status_code, answer.headers["content-type"].as_str()), (500, PROBLEM_JSON));
            assert_eq!(answer.headers["x-request-id"], "r-1");
            let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(problem["code"], ANSWER_TOO_LARGE);
            assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
        }
    }
}
