//! The Invoke API of Lambda (2015-03-31) over functions of this machine, for programs that invoke others.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Function, InvokeError, MAX_EVENT_BYTES, Outcome};
use crate::CloudError;

const INVOKE: &str = "/2015-03-31/functions/{function}/invocations";
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");

/// The Invoke API on a port of this machine. It ends with the value.
#[derive(Debug)]
pub struct InvokeApi {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Functions {
    by_name: Arc<BTreeMap<String, Function>>,
    requests: Arc<AtomicU64>,
}

impl InvokeApi {
    /// Serves these functions, by their names.
    ///
    /// # Errors
    ///
    /// If no port can be had.
    pub async fn start(functions: impl IntoIterator<Item = Function>) -> Result<Self, CloudError> {
        let by_name = functions.into_iter().map(|function| (function.name().to_owned(), function));
        let requests = Arc::new(AtomicU64::new(0));
        let functions = Functions { by_name: Arc::new(by_name.collect()), requests: Arc::clone(&requests) };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(CloudError::io("listen for invocations"))?;
        let address = listener.local_addr().map_err(CloudError::io("listen for invocations"))?;
        let app = Router::new()
            .route(INVOKE, post(invoke))
            // What is larger is refused below, in Lambda's words.
            .layer(DefaultBodyLimit::max(MAX_EVENT_BYTES.saturating_mul(2)))
            .with_state(functions);
        let serve = async move {
            // It ends with the task.
            let _ = axum::serve(listener, app).await;
        };
        Ok(Self { address, requests, server: tokio::spawn(serve) })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for InvokeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn invoke(
    State(functions): State<Functions>,
    Path(named): Path<String>,
    headers: HeaderMap,
    event: Bytes,
) -> Response {
    functions.requests.fetch_add(1, Ordering::SeqCst);
    // A name, or the end of an ARN.
    let name = named.rsplit(':').next().unwrap_or_default();
    let Some(function) = functions.by_name.get(name) else {
        return refusal(StatusCode::NOT_FOUND, "ResourceNotFoundException", "Function not found");
    };
    let kind = headers.get("x-amz-invocation-type").and_then(|kind| kind.to_str().ok());
    if kind == Some("Event") {
        let function = function.clone();
        tokio::spawn(async move { function.invoke(event.into()).await });
        return StatusCode::ACCEPTED.into_response();
    }
    let json = [(CONTENT_TYPE, "application/json")];
    match function.invoke(event.into()).await {
        Ok(Outcome::Answered(answer)) => (json, answer).into_response(),
        Ok(Outcome::Failed(told)) => ([(FUNCTION_ERROR, "Unhandled")], json, told).into_response(),
        Err(error @ InvokeError::TooLarge { .. }) => {
            refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", &error.to_string())
        }
        Err(InvokeError::Throttled) => {
            refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", "Rate Exceeded.")
        }
        Err(error @ InvokeError::Cloud(_)) => {
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", &error.to_string())
        }
    }
}

fn refusal(status: StatusCode, kind: &'static str, message: &str) -> Response {
    let told = serde_json::json!({ "Type": "User", "Message": message });
    let headers = [(CONTENT_TYPE, "application/json"), (ERROR_TYPE, kind)];
    (status, headers, told.to_string()).into_response()
}
