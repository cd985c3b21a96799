//! The Runtime API of one instance (2018-06-01): it asks for an event, and posts what became of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::{MAX_ANSWER_BYTES, Outcome};
use crate::CloudError;

const NEXT: &str = "/2018-06-01/runtime/invocation/next";
const RESPONSE: &str = "/2018-06-01/runtime/invocation/{id}/response";
const ERROR: &str = "/2018-06-01/runtime/invocation/{id}/error";
const INIT_ERROR: &str = "/2018-06-01/runtime/init/error";
/// Bodies are read whole up to this size, so that one that is too large for Lambda can be told apart.
const MAX_READ_BYTES: usize = 64 * 1024 * 1024;
const TRACE_ID: &str = "Root=1-00000000-000000000000000000000000;Sampled=0";

/// An event on its way to the instance.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) request_id: String,
    pub(super) deadline_ms: u128,
    pub(super) arn: String,
    pub(super) event: Vec<u8>,
}

/// Whose answer is awaited.
#[derive(Debug)]
struct Awaited {
    request_id: String,
    answer: oneshot::Sender<Outcome>,
}

#[derive(Debug)]
struct Shared {
    deliveries: Mutex<mpsc::Receiver<Delivery>>,
    awaited: std::sync::Mutex<Option<Awaited>>,
    /// How often the instance has asked for an event.
    polls: watch::Sender<u64>,
    init_error: watch::Sender<Option<Vec<u8>>>,
}

#[derive(Debug)]
pub(super) struct RuntimeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    deliveries: mpsc::Sender<Delivery>,
    server: JoinHandle<()>,
}

impl RuntimeApi {
    pub(super) async fn start() -> Result<Self, CloudError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.await.map_err(CloudError::io("listen for a function"))?;
        let address = listener.local_addr().map_err(CloudError::io("listen for a function"))?;
        let (deliveries, receiver) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            deliveries: Mutex::new(receiver),
            awaited: std::sync::Mutex::new(None),
            polls: watch::Sender::new(0),
            init_error: watch::Sender::new(None),
        });
        let app = Router::new()
            .route(NEXT, get(next))
            .route(RESPONSE, post(response))
            .route(ERROR, post(error))
            .route(INIT_ERROR, post(init_error))
            .layer(DefaultBodyLimit::max(MAX_READ_BYTES))
            .with_state(Arc::clone(&shared));
        let serve = async move {
            // It ends with the task.
            let _ = axum::serve(listener, app).await;
        };
        Ok(Self { address, shared, deliveries, server: tokio::spawn(serve) })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often the instance has asked for an event.
    pub(super) fn polls(&self) -> u64 {
        *self.shared.polls.borrow()
    }

    /// Ends when it has asked more often than that.
    pub(super) async fn polled(&self, times: u64) {
        let mut polls = self.shared.polls.subscribe();
        let is_over = polls.wait_for(|polls| *polls > times).await.is_err();
        if is_over {
            std::future::pending::<()>().await;
        }
    }

    /// What it said when it could not get ready.
    pub(super) async fn init_error(&self) -> Vec<u8> {
        let mut told = self.shared.init_error.subscribe();
        let told = told.wait_for(Option::is_some).await.ok().and_then(|told| told.clone());
        match told {
            Some(told) => told,
            None => std::future::pending().await,
        }
    }

    /// Hands over an event; what it answers.
    pub(super) async fn deliver(&self, delivery: Delivery) -> Option<Outcome> {
        let (answer, answered) = oneshot::channel();
        let awaited = Awaited { request_id: delivery.request_id.clone(), answer };
        *super::lock(&self.shared.awaited) = Some(awaited);
        self.deliveries.send(delivery).await.ok()?;
        answered.await.ok()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let mut deliveries = shared.deliveries.lock().await;
    shared.polls.send_modify(|polls| *polls = polls.saturating_add(1));
    let Some(Delivery { request_id, deadline_ms, arn, event }) = deliveries.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (HeaderName::from_static("lambda-runtime-aws-request-id"), request_id),
        (HeaderName::from_static("lambda-runtime-deadline-ms"), deadline_ms.to_string()),
        (HeaderName::from_static("lambda-runtime-invoked-function-arn"), arn),
        (HeaderName::from_static("lambda-runtime-trace-id"), TRACE_ID.to_owned()),
    ];
    (headers, event).into_response()
}

async fn response(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    if body.len() <= MAX_ANSWER_BYTES {
        return shared.settle(&id, Outcome::Answered(body.into()));
    }
    let message = format!(
        "Response payload size ({} bytes) exceeded maximum allowed payload size ({MAX_ANSWER_BYTES} bytes).",
        body.len()
    );
    let settled = shared.settle(&id, Outcome::failed("Function.ResponseSizeTooLarge", &message));
    if settled.status() != StatusCode::ACCEPTED {
        return settled;
    }
    refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
}

async fn error(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    shared.settle(&id, Outcome::Failed(body.into()))
}

async fn init_error(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.init_error.send_replace(Some(body.into()));
    accepted()
}

impl Shared {
    fn settle(&self, id: &str, outcome: Outcome) -> Response {
        let awaited = super::lock(&self.awaited).take_if(|awaited| awaited.request_id == id);
        match awaited {
            // Nobody may wait any more: its deadline is over.
            Some(awaited) => drop(awaited.answer.send(outcome)),
            None => return refusal(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        }
        accepted()
    }
}

fn accepted() -> Response {
    let json = [(CONTENT_TYPE, "application/json")];
    (StatusCode::ACCEPTED, json, r#"{"status":"OK"}"#).into_response()
}

fn refusal(status: StatusCode, kind: &str, message: &str) -> Response {
    let told = serde_json::json!({ "errorType": kind, "errorMessage": message });
    (status, [(CONTENT_TYPE, "application/json")], told.to_string()).into_response()
}
