//! What stands in logs and answers, and what must not.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use flagstone_model::json::Json;
use tracing_subscriber::fmt::MakeWriter;

use crate::canary::sings;
use crate::world::{PRODUCTION_KEY, TOKEN, World, get, post, put};

const E: &str = "/v1/projects/demo/environments/production";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn captured(lines: &Lines) -> impl tracing::Subscriber + Send + Sync + use<> {
    tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_writer(lines.clone()).finish()
}

#[tokio::test]
async fn no_secret_query_body_or_attribute_is_logged_or_told() {
    let world = World::with_flags().await;
    let lines = Lines::default();
    let guard = tracing::subscriber::set_default(captured(&lines));
    let context =
        r#"{"targetingKey":"canary-user-5","email":"canary@example.com","canary-name":["canary-6"]}"#;
    let asks = [
        post(&format!("{E}/evaluate?canary-query=canary-7"), &format!(r#"{{"context":{context}}}"#)),
        post(&format!("{E}/evaluate"), &format!(r#"{{"context":{context}}}"#)),
        post(&format!("{E}/evaluate"), &format!(r#"{{"context":{context},"flag":"nope"}}"#)),
        post(&format!("{E}/evaluate"), &format!(r#"{{"context":{context},"at":"canary-8"}}"#)),
        post(&format!("{E}/evaluate"), &format!(r#"{{"context":{context},"canary-9":1}}"#)),
        post(&format!("{E}/evaluate"), &format!(r#"{{"context":{context}"#)),
        post(&format!("{E}/evaluate"), &format!(r#"{{"context":{context},"context":{context}}}"#)),
        post(&format!("{E}/evaluate"), r#"{"context":"canary-10"}"#),
        post(&format!("{E}/evaluate"), context),
        get("/v1/projects/demo/flags").authorization(Some("Bearer canary-11")),
        get("/v1/projects/demo/flags").authorization(Some("Basic canary-12")),
        get("/cdn/closed/demo/v1/s/x").header("x-flagstone-key", "canary-13"),
        get("/cdn/closed/demo/v1/s/x?canary-14").header("x-flagstone-key", PRODUCTION_KEY),
        get("/canary-15").header("cookie", "canary-16"),
        crate::world::Ask::new("CANARY17", "/healthz", ""),
        get("/healthz").header("x-request-id", "canary 18"),
        post(&format!("{E}/flags/payments/on"), r#"{"reason":"canary-19"}"#)
            .header("idempotency-key", "canary-20"),
    ];
    for ask in asks {
        let asked = format!("{ask:?}");
        let answer = world.ask(ask).await;
        assert!(!sings(&answer.text().replace("canary-query", "")), "{asked}: {}", answer.text());
    }
    drop(guard);
    let text = lines.text();
    assert!(text.contains("flagstone_admin::access"), "something was logged");
    assert!(!sings(&text), "{text}");
    for secret in [TOKEN, PRODUCTION_KEY] {
        assert!(!text.contains(secret));
    }
}

#[tokio::test]
async fn a_request_is_one_line_with_id_method_route_status_and_duration() {
    let world = World::with_flags().await;
    let lines = Lines::default();
    let guard = tracing::subscriber::set_default(captured(&lines));
    let asks = [
        (get(&format!("{E}/flags/payments?")), StatusCode::OK, None),
        (put(&format!("{E}/flags/nope"), r#"{"on":true}"#), StatusCode::NOT_FOUND, Some("flag-not-found")),
    ];
    for (ask, status, code) in asks {
        let answer = world.expect(status, ask.header("x-request-id", "r-1")).await;
        let text = std::mem::take(&mut *lines.0.lock().unwrap());
        let text = String::from_utf8(text).unwrap();
        let access: Vec<_> = text.lines().filter(|line| line.contains("flagstone_admin::access")).collect();
        assert_eq!(access.len(), 1, "{text}");
        let line = Json::parse(access[0].as_bytes()).unwrap();
        let fields = line.member("fields").unwrap();
        let field = |name: &str| fields.member(name).and_then(Json::as_str);
        assert_eq!(field("request_id"), Some("r-1"));
        assert_eq!(field("route"), Some("/v1/projects/{project}/environments/{environment}/flags/{flag}"));
        assert!(matches!(field("method"), Some("GET" | "PUT")));
        assert_eq!(fields.member("status").and_then(Json::as_integer), Some(answer.status.as_u16().into()));
        assert!(fields.member("duration_ms").and_then(Json::as_integer).is_some());
        assert_eq!(field("code"), code);
        assert_eq!(field("principal"), Some("admin"));
    }
    drop(guard);
}

#[tokio::test]
async fn what_a_request_leads_to_is_logged_with_its_id() {
    let world = World::with_flags().await;
    let lines = Lines::default();
    let guard = tracing::subscriber::set_default(captured(&lines));
    let ask = post(&format!("{E}/flags/payments/on"), "").header("x-request-id", "r-2");
    world.expect(StatusCode::OK, ask).await;
    drop(guard);
    let text = lines.text();
    let line = text.lines().find(|line| line.contains("announced")).unwrap();
    let line = Json::parse(line.as_bytes()).unwrap();
    let spans = line.member("spans").and_then(Json::as_array).unwrap();
    let names: Vec<_> = spans.iter().filter_map(|span| span.member("name").and_then(Json::as_str)).collect();
    assert_eq!(names, ["request", "publish"]);
    let field = |name: &str| spans[0].member(name).and_then(Json::as_str);
    assert_eq!((field("request_id"), field("principal")), (Some("r-2"), Some("admin")));
}
