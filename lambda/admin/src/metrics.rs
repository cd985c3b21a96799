//! What `/metrics` tells, as OpenMetrics text.
//!
//! The names are a contract (docs/OPERATIONS.md). Labels are of few values: templates of routes, stages, stable codes,
//! and the ids of environments, which a project has few of. No flag, segment, token, or person is named.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use flagstone_publisher::control::StreamAge;
use flagstone_publisher::observe::{Append, Observer, Stage};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::Service;
use crate::problem::Problem;

/// The media type of OpenMetrics, which Prometheus reads too.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds of the durations, in seconds: from a read in memory to a publication that used up its budget.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The numbers of one router.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    refusals: Family<CodeLabels, Counter>,
    rate_limited: Counter,
    access_lost: Counter,
    appends: Family<AppendLabels, Counter>,
    stages: Family<StageLabels, Histogram>,
    stage_failures: Family<FailureLabels, Counter>,
    failures: Family<CodeLabels, Counter>,
    ages: Family<StreamLabels, Gauge<f64, AtomicU64>>,
    lags: Family<StreamLabels, Gauge>,
    /// Held while the numbers of the streams are set and written, so that two readers do not mix theirs.
    telling: Mutex<()>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AppendLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    stage: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    environment: String,
    view: String,
}

/// A request that was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered<'a> {
    /// The template of its route.
    pub(crate) route: &'a str,
    pub(crate) method: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) took: Duration,
    /// The code of the problem it was answered with.
    pub(crate) code: Option<&'static str>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let histogram = || Histogram::new(SECONDS);
        let mut registry = Registry::with_prefix("flagstone");
        let durations = Family::new_with_constructor(histogram as fn() -> Histogram);
        let stages = Family::new_with_constructor(histogram as fn() -> Histogram);
        let metrics = Self {
            requests: Family::default(),
            durations,
            refusals: Family::default(),
            rate_limited: Counter::default(),
            access_lost: Counter::default(),
            appends: Family::default(),
            stages,
            stage_failures: Family::default(),
            failures: Family::default(),
            ages: Family::default(),
            lags: Family::default(),
            telling: Mutex::default(),
            registry: Registry::default(),
        };
        registry.register("http_requests", "Requests that were answered", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "How long requests took",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register(
            "token_refusals",
            "Requests whose token was missing, not known, or not allowed to",
            metrics.refusals.clone(),
        );
        registry.register("rate_limited", "Requests that were one too many", metrics.rate_limited.clone());
        registry.register(
            "access_records_lost",
            "Uses and refusals that could not be recorded",
            metrics.access_lost.clone(),
        );
        registry.register(
            "log_appends",
            "Entries that were to be appended to the log",
            metrics.appends.clone(),
        );
        registry.register_with_unit(
            "publication_stage_duration",
            "How long stages of publications took",
            Unit::Seconds,
            metrics.stages.clone(),
        );
        registry.register(
            "publication_stage_failures",
            "Stages of publications that failed",
            metrics.stage_failures.clone(),
        );
        registry.register(
            "publication_failures",
            "Publications and sweeps of a stream that failed",
            metrics.failures.clone(),
        );
        registry.register_with_unit(
            "announced_age",
            "Time since the announced manifest was issued; absent if there is none that a client would take",
            Unit::Seconds,
            metrics.ages.clone(),
        );
        registry.register(
            "covered_lag_entries",
            "Entries of the log that are not published",
            metrics.lags.clone(),
        );
        // What has not happened yet is zero, not absent: an alarm on its rate then works from the first time on.
        for append in [Append::Written, Append::Lost, Append::Failed] {
            metrics.appends.get_or_create(&AppendLabels { outcome: append.as_str() }).inc_by(0);
        }
        for stage in Stage::ALL {
            drop(metrics.stages.get_or_create(&StageLabels { stage: stage.as_str() }));
        }
        Self { registry, ..metrics }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, Answered { route, method, status, took, code }: Answered<'_>) {
        let route = route.to_owned();
        self.durations
            .get_or_create(&RouteLabels { route: route.clone(), method })
            .observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { route, method, status: status.as_u16() }).inc();
        match (status, code) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(code)) => {
                self.refusals.get_or_create(&CodeLabels { code }).inc();
            }
            (StatusCode::TOO_MANY_REQUESTS, _) => {
                self.rate_limited.inc();
            }
            _ => {}
        }
    }

    /// Counts a use or a refusal that could not be recorded; how many there were by now.
    pub(crate) fn lost(&self) -> u64 {
        self.access_lost.inc().saturating_add(1)
    }

    /// The text, with what the streams are like now.
    fn text(&self, streams: &[StreamAge]) -> Option<String> {
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        // An environment that is gone, or whose announcement cannot be read, has no number.
        self.ages.clear();
        self.lags.clear();
        for stream in streams {
            let labels =
                StreamLabels { environment: stream.environment.to_string(), view: stream.view.to_string() };
            if let Some(age_ms) = stream.announced_age_ms {
                self.ages.get_or_create(&labels).set(Duration::from_millis(age_ms).as_secs_f64());
            }
            self.lags.get_or_create(&labels).set(i64::try_from(stream.lag).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        text::encode(&mut text, &self.registry).ok().map(|()| text)
    }
}

impl Observer for Metrics {
    fn appended(&self, append: Append) {
        self.appends.get_or_create(&AppendLabels { outcome: append.as_str() }).inc();
    }

    fn staged(&self, stage: Stage, took: Duration, outcome: Result<(), &'static str>) {
        let stage = stage.as_str();
        self.stages.get_or_create(&StageLabels { stage }).observe(took.as_secs_f64());
        if let Err(code) = outcome {
            self.stage_failures.get_or_create(&FailureLabels { stage, code }).inc();
        }
    }

    fn failed(&self, code: &'static str) {
        self.failures.get_or_create(&CodeLabels { code }).inc();
    }
}

/// `GET /metrics`. Whatever the streams are like, the other numbers are told.
pub(crate) async fn read(State(service): State<Service>) -> Response {
    let streams = service.control.stream_ages().await.unwrap_or_else(|error| {
        tracing::warn!(target: "flagstone_admin", code = error.code(), "the streams cannot be measured");
        Vec::new()
    });
    match service.metrics.text(&streams) {
        Some(text) => (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        None => Problem::internal().into_response(),
    }
}
