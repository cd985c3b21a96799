//! Traces for OpenTelemetry: a request, the append it led to, and the stages of its publication.
//!
//! They are sent as OTLP over HTTP, where `OTEL_EXPORTER_OTLP_ENDPOINT` says; without it there are none. The other
//! `OTEL_…` variables mean what OpenTelemetry says they mean. A `traceparent` header (W3C) is continued.

use std::sync::OnceLock;
use std::thread;

use axum::http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use crate::failure::Failure;
use crate::surroundings::Surroundings;

/// What spans are told by: the modules of this project, and nothing that came with a library.
const OURS: &str = "flagstone";

/// Held so that the last spans are sent before the process ends.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// A layer of log lines or spans.
pub(super) type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Where spans go, if anybody wants them.
pub(super) fn layer(surroundings: &Surroundings) -> Result<Option<BoxedLayer>, Failure> {
    if !surroundings.traces {
        return Ok(None);
    }
    let refused = |error: &dyn std::fmt::Display| {
        Failure::refused("no-traces", format!("no traces can be sent: {error}"))
            .hint("is OTEL_EXPORTER_OTLP_ENDPOINT a URL, such as http://127.0.0.1:4318?")
    };
    // A client that blocks may not be made where a runtime is running.
    let client = thread::spawn(|| {
        // An error says that another one is installed already, which will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::blocking::Client::builder().build()
    });
    let client = client
        .join()
        .map_err(|_| refused(&"the HTTP client cannot be made"))?
        .map_err(|error| refused(&error))?;
    let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
    let exporter = exporter.map_err(|error| refused(&error))?;
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("flagstone").build())
        .with_batch_exporter(exporter)
        .build();
    Ok(Some(spans(PROVIDER.get_or_init(|| provider))))
}

fn spans(provider: &SdkTracerProvider) -> BoxedLayer {
    let tracer = provider.tracer(OURS);
    let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false);
    layer.with_filter(filter_fn(|of| of.is_span() && of.target().starts_with(OURS))).boxed()
}

/// Continues the trace that the caller of a request has begun.
pub(super) fn adopt(span: &Span, headers: &HeaderMap) {
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    // An error says that nobody collects spans.
    let _ = span.set_parent(parent);
}

/// Sends what is left.
pub(super) fn end() {
    if let Some(provider) = PROVIDER.get() {
        // What cannot be sent any more is lost, and that is all.
        let _ = provider.shutdown();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};
    use std::sync::{Arc, Mutex};

    use axum::body::Body;
    use axum::http::Request;
    use flagstone_admin::{Limits, MetricsAccess};
    use flagstone_publisher::publish::Options;
    use opentelemetry::SpanId;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::SpanData;
    use tower::ServiceExt;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::verbs::host::data::DataDirectory;
    use crate::verbs::host::{Allowed, Host};
    use crate::verbs::init;

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl opentelemetry_sdk::trace::SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    fn post(list: &str, body: &'static str) -> Request<Body> {
        Request::post(format!("/v1/projects/demo/{list}"))
            .header("authorization", "Bearer fat_canary")
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .body(Body::from(body))
            .unwrap()
    }

    #[tokio::test]
    async fn a_request_its_append_and_the_stages_of_its_publication_are_one_trace_of_the_callers() {
        let directory = tempfile::tempdir().unwrap();
        let project = flagstone_model::key::ProjectId::parse("demo").unwrap();
        let host =
            Host::open(directory.path(), project, Options::default(), DataDirectory::share).await.unwrap();
        init::project(&host, None).await.unwrap();
        let allowed = Allowed { limits: Limits::NONE, metrics: MetricsAccess::Everybody };
        let app = host.app("fat_canary", &host.sdk_keys().await.unwrap(), allowed);

        let asked = app.clone().oneshot(post("environments", r#"{"id":"production"}"#)).await.unwrap();
        assert_eq!(asked.status(), 201);

        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
        let collected = tracing_subscriber::registry().with(vec![spans(&provider)]);
        let guard = tracing::subscriber::set_default(collected);
        let asked = app.oneshot(post("flags", r#"{"key":"canary","type":"bool"}"#)).await.unwrap();
        assert_eq!(asked.status(), 201);
        drop(guard);
        provider.force_flush().unwrap();

        let spans = kept.0.lock().unwrap();
        let names: HashMap<SpanId, &str> =
            spans.iter().map(|span| (span.span_context.span_id(), &*span.name)).collect();
        let mut seen = BTreeSet::new();
        for span in &*spans {
            let trace = span.span_context.trace_id().to_string();
            assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c", "{}", span.name);
            let parent = names.get(&span.parent_span_id).copied();
            let wanted = match &*span.name {
                "request" => {
                    assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
                    None
                }
                "append" | "publish" => Some("request"),
                _ => Some("publish"),
            };
            assert_eq!(parent, wanted, "{}", span.name);
            assert!(!format!("{span:?}").contains("canary"), "{span:?}");
            seen.insert(span.name.to_string());
        }
        let all = [
            "announce", "append", "archive", "build", "claim", "prove", "publish", "request", "sign",
            "upload",
        ];
        assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), all);
    }
}
