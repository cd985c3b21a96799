//! The admin function: the API behind API Gateway or a Function URL. It appends, and asks the publish function for the
//! rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use flagstone_admin::auth::{AdminToken, Principal, ProjectTokens};
use flagstone_admin::{Limits, MetricsAccess, Until};
use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::ProjectId;
use flagstone_publisher::access::AccessLog;
use flagstone_publisher::control::{AppendPorts, ControlError, ControlPlane, Operation, Precondition, Write};
use flagstone_publisher::log::{Actor, ActorKind};
use flagstone_publisher::state::change::Refusal;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt as _;

use crate::failure::Failure;
use crate::gateway::{Answer, Event};
use crate::publish::{RESERVE, is_scheduled, strange, within};

/// How long before a request is given up the last of its writes has ended.
const SETTLED: Duration = Duration::from_millis(100);

/// The admin function, without Lambda around it.
#[derive(Clone)]
pub struct AdminFunction {
    control: ControlPlane,
    router: Router,
    /// Whether the log is known to have its first entry.
    has_begun: Arc<AtomicBool>,
}

impl AdminFunction {
    /// Serves a project. `token` is the SHA-256 of a token that may do everything, if there is one beside those that
    /// the log knows.
    pub fn new(
        project: ProjectId,
        ports: AppendPorts,
        token: Option<Digest>,
        limits: Limits,
        access: Arc<dyn AccessLog>,
    ) -> Self {
        let control = ControlPlane::appending(project, ports);
        let token = token.map(|sha256| AdminToken::of_sha256(sha256, Principal::admin("admin")));
        let tokens = Arc::new(ProjectTokens::new(control.clone(), token));
        let options = flagstone_admin::Options {
            // The address of a function is everybody's.
            metrics: MetricsAccess::TokenHolders,
            adopt: None,
            limits,
            access: Some(access),
        };
        let router = flagstone_admin::router_with(control.clone(), tokens, options);
        Self { control, router, has_begun: Arc::default() }
    }

    /// Writes the first entry of a log that has none: what the project is. Nothing else can come before it.
    async fn begin(&self) {
        if self.has_begun.load(Ordering::Relaxed) {
            return;
        }
        let begun = async {
            if self.control.state().await?.seq() > 0 {
                return Ok(());
            }
            let id = Json::from(self.control.project().to_string());
            let first = Operation::CreateProject(Json::object([("id", id)]));
            match self.control.write(first, by_itself()).await {
                // Another instance was faster.
                Err(ControlError::Refused(Refusal::AlreadyExists)) => Ok(()),
                done => done.map(|_| ()),
            }
        };
        match begun.await {
            Ok(()) => self.has_begun.store(true, Ordering::Relaxed),
            // Whatever it is, the request meets it too, and its answer says so.
            Err(error) => {
                tracing::error!(code = error.code(), %error, "the log can not be begun");
            }
        }
    }

    /// Answers a request, or sweeps the log when it is time, with that much time until Lambda ends the process.
    ///
    /// # Errors
    ///
    /// An event that is neither.
    pub async fn handle(&self, event: &str, left: Duration) -> Result<Value, Failure> {
        let left = left.saturating_sub(RESERVE);
        let takes = "the admin function takes requests of API Gateway (HTTP API, payload format 2.0) or of a Function \
                     URL, `{\"do\":\"sweep\"}`, and scheduled events";
        let shape: Value =
            serde_json::from_str(event).map_err(|_| Failure::wrong_event("the event is not JSON"))?;
        if shape.pointer("/requestContext/http").is_some() {
            let event: Event = serde_json::from_value(shape).map_err(|error| {
                Failure::wrong_event(format!("the event of a request can not be read: {error}"))
            })?;
            let mut request = event.into_request()?;
            // What still runs when the answer is given is frozen, and would go on whenever the instance is used again.
            if let Some(until) = Instant::now().checked_add(left.saturating_sub(SETTLED)) {
                request.extensions_mut().insert(Until(until));
            }
            let method = request.method().clone();
            let answer = async {
                self.begin().await;
                // A router fails at nothing.
                let Ok(response) = self.router.clone().oneshot(request).await;
                Answer::of(&method, response).await
            };
            let answer = within(left, answer).await.unwrap_or_else(|| {
                tracing::error!(code = Failure::DEADLINE, "a request was given up at the deadline");
                Answer::late()
            });
            return serde_json::to_value(answer).map_err(|error| Failure::wrong_event(error.to_string()));
        }
        if shape.get("httpMethod").is_some() {
            return Err(Failure::wrong_event("the payload format is 1.0; set it to 2.0"));
        }
        let is_sweep = shape.as_object().is_some_and(|members| members.len() == 1)
            && shape.get("do").and_then(Value::as_str) == Some("sweep");
        if !is_sweep && !is_scheduled(&shape) {
            return Err(strange(takes, &shape));
        }
        let swept = within(left, self.control.sweep_log()).await;
        swept.map(|()| serde_json::json!({ "done": null })).ok_or_else(Failure::sweep_given_up)
    }
}

/// As whom the function writes what nobody has asked for.
fn by_itself() -> Write {
    Write {
        actor: Actor { kind: ActorKind::System, id: "admin".to_owned(), via: "function".to_owned() },
        actor_name: None,
        request_id: None,
        request_bytes: Vec::new(),
        reason: None,
        precondition: Precondition::Any,
        confirm: false,
        wait: false,
        until: None,
    }
}

impl crate::start::Function for AdminFunction {
    async fn handle(&self, event: &str, left: Duration) -> Result<Value, Failure> {
        Self::handle(self, event, left).await
    }
}
