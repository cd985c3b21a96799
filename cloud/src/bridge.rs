//! API Gateway on one machine: HTTP becomes events in payload format 2.0, answers become HTTP again.
//!
//! A Function URL sends the same events, with the stage `$default`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::CloudError;
use crate::lambda::{Function, InvokeError, Outcome};

/// The stage without a name, whose paths have no prefix.
pub const DEFAULT_STAGE: &str = "$default";
/// The largest body that API Gateway takes, in bytes.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
/// Media types whose bodies stand in events as text.
const TEXT: [&str; 4] =
    ["application/json", "application/javascript", "application/xml", "application/x-www-form-urlencoded"];

/// A front door of a function, on a port of this machine. It ends with the value.
#[derive(Debug)]
pub struct Bridge {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Door {
    function: Function,
    stage: String,
    requests: Arc<AtomicU64>,
}

impl Bridge {
    /// Serves a function under a stage.
    ///
    /// # Errors
    ///
    /// If no port can be had.
    pub async fn start(function: Function, stage: &str) -> Result<Self, CloudError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(CloudError::io("listen for HTTP"))?;
        let address = listener.local_addr().map_err(CloudError::io("listen for HTTP"))?;
        let requests = Arc::new(AtomicU64::new(0));
        let door = Door { function, stage: stage.to_owned(), requests: Arc::clone(&requests) };
        let app = Router::new().fallback(pass).with_state(door);
        let serve = async move {
            // It ends with the task.
            let _ = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await;
        };
        Ok(Self { address, requests, server: tokio::spawn(serve) })
    }

    /// `http://127.0.0.1:PORT`, without the stage.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let number = door.requests.fetch_add(1, Ordering::SeqCst);
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    let headers = parts.headers;
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let method = parts.method.as_str();
    let mut event = json!({
        "version": "2.0",
        "routeKey": DEFAULT_STAGE,
        "rawPath": path,
        "rawQueryString": query,
        "headers": joined(&headers),
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": headers.get(HOST).and_then(|host| host.to_str().ok()),
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": peer.ip().to_string(),
                "userAgent": headers.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default(),
            },
            "requestId": format!("local-{number}"),
            "routeKey": DEFAULT_STAGE,
            "stage": door.stage,
            "time": "21/Nov/2026:00:00:00 +0000",
            "timeEpoch": 0,
        },
        "isBase64Encoded": false,
    });
    let cookies: Vec<&str> =
        headers.get_all(COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()).collect();
    if let Some(members) = event.as_object_mut() {
        if !cookies.is_empty() {
            let cookies = cookies.iter().flat_map(|cookies| cookies.split("; ")).collect::<Vec<_>>();
            members.insert("cookies".to_owned(), json!(cookies));
        }
        if !body.is_empty() {
            let text = std::str::from_utf8(&body).ok().filter(|_| is_text(&headers));
            let (body, is_base64) =
                text.map_or_else(|| (BASE64.encode(&body), true), |text| (text.to_owned(), false));
            members.insert("body".to_owned(), Value::from(body));
            members.insert("isBase64Encoded".to_owned(), Value::from(is_base64));
        }
    }
    match door.function.invoke(event.to_string().into_bytes()).await {
        Ok(Outcome::Answered(answer)) => answered(&answer),
        Ok(Outcome::Failed(_)) => message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        Err(InvokeError::TooLarge { .. }) => {
            message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
        }
        Err(_) => message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
    }
}

/// Headers as an event has them: small letters, those of one name joined by commas.
fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| *name != COOKIE) {
        let value = String::from_utf8_lossy(value.as_bytes());
        all.entry(name.to_string())
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(&value);
            })
            .or_insert_with(|| value.clone().into_owned());
    }
    all
}

fn is_text(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    media.starts_with("text/") || TEXT.contains(&media)
}

/// An answer in format 2.0; what has no status is the body of a good answer.
fn answered(answer: &[u8]) -> Response {
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
        return message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    };
    let Some(status) = answer.get("statusCode") else {
        return ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response();
    };
    let status = status.as_u64().and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let text = answer.get("body").and_then(Value::as_str).unwrap_or_default();
    let is_base64 = answer.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or_default();
    let body = if is_base64 { BASE64.decode(text).ok() } else { Some(text.as_bytes().to_vec()) };
    let (Some(status), Some(body)) = (status, body) else {
        return message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    for (name, value) in answer.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let name = HeaderName::try_from(name.as_str()).ok();
        let value = value.as_str().and_then(|value| HeaderValue::try_from(value).ok());
        if let Some((name, value)) = name.zip(value) {
            headers.insert(name, value);
        }
    }
    for cookie in answer.get("cookies").and_then(Value::as_array).into_iter().flatten() {
        if let Some(Ok(cookie)) = cookie.as_str().map(HeaderValue::try_from) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    response
}

fn message(status: StatusCode, text: &str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], json!({ "message": text }).to_string()).into_response()
}
