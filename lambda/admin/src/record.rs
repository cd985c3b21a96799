//! What becomes of the access log: uses of writes, sign-ins, and refusals.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use flagstone_model::key::{EnvironmentId, ProjectId};
use flagstone_publisher::access::{Access, AccessLog, Bounds};
use tracing::Instrument as _;

use crate::access::{RequestId, method};
use crate::call::via;
use crate::metrics::Metrics;
use crate::problem::ProblemCode;

/// The entry of the change log that a request made, in the extensions of its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made(pub(crate) u64);

/// Records uses and refusals. One that can not be recorded is logged and counted; the answer stays what it is.
#[derive(Clone)]
pub(crate) struct Recorder {
    project: ProjectId,
    log: Arc<dyn AccessLog>,
    metrics: Arc<Metrics>,
}

/// What is known of a request before it is answered.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    access: Access,
}

impl Asked {
    /// A request to the route of this template.
    pub(crate) fn of(request: &Request, template: &str, now_ms: i64) -> Self {
        let id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
        let access = Access {
            time_ms: now_ms,
            principal: None,
            via: via(request.headers()).to_owned(),
            method: method(request.method()).to_owned(),
            route: template.to_owned(),
            environment: None,
            status: 0,
            code: None,
            request_id: id.unwrap_or_default(),
            seq: None,
            count: 1,
        };
        Self { access }
    }

    /// The same, by somebody who is known.
    pub(crate) fn by(mut self, principal: &str) -> Self {
        self.access.principal = Some(principal.to_owned());
        self
    }

    /// What there is to record of it, answered so `count` times.
    pub(crate) fn answered(self, response: &Response, count: u64) -> Access {
        Access {
            status: response.status().as_u16(),
            code: response.extensions().get::<ProblemCode>().map(|code| code.0.to_owned()),
            seq: response.extensions().get::<Made>().map(|made| made.0),
            count,
            ..self.access
        }
    }

    /// The same, about an environment. Only of who is known: others could send any text.
    pub(crate) fn about(mut self, environment: Option<EnvironmentId>) -> Self {
        self.access.environment = environment;
        self
    }
}

/// Whether an answer refuses somebody.
pub(crate) fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS)
}

impl Recorder {
    pub(crate) fn new(project: ProjectId, log: Arc<dyn AccessLog>, metrics: Arc<Metrics>) -> Self {
        Self { project, log, metrics }
    }

    /// The log that it writes.
    pub(crate) fn log(&self) -> &dyn AccessLog {
        &*self.log
    }

    /// Records an access. It is finished though the caller goes away.
    pub(crate) async fn record(&self, access: Access) {
        let recorder = self.clone();
        let recording = async move {
            let done = recorder.log.record(&recorder.project, &access, Bounds::DEFAULT).await;
            if let Err(error) = done {
                let lost = recorder.metrics.lost();
                tracing::error!(
                    target: "flagstone_admin",
                    code = error.code(),
                    error = &error as &(dyn std::error::Error + 'static),
                    lost,
                    "a use or a refusal was not recorded"
                );
            }
        };
        // What a task can fail by is logged in it.
        let _ = tokio::spawn(recording.in_current_span()).await;
    }
}
