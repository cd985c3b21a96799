//! `/metrics`.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use flagstone_admin::{Limits, MetricsAccess, Options};

use crate::world::{World, get, post};

const P: &str = "/v1/projects/demo";
const E: &str = "/v1/projects/demo/environments/production";

/// The number of a sample, by its name and labels as they are written.
fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

async fn read(world: &World) -> String {
    let told = world.expect(StatusCode::OK, get("/metrics").authorization(None)).await;
    assert_eq!(
        told.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    told.text()
}

#[tokio::test]
async fn requests_are_counted_by_template_method_and_status() {
    let world = World::with_flags().await;
    for flag in ["payments", "dark-mode"] {
        world.expect(StatusCode::OK, get(&format!("{P}/flags/{flag}"))).await;
    }
    world.expect(StatusCode::NOT_FOUND, get(&format!("{P}/flags/nope"))).await;
    world.expect(StatusCode::NOT_FOUND, get("/nowhere/at/all")).await;
    let text = read(&world).await;
    let of = |route: &str, status: u16| {
        let labels = format!("{{route=\"{route}\",method=\"GET\",status=\"{status}\"}}");
        sample(&text, &format!("flagstone_http_requests_total{labels}"))
    };
    assert_eq!(of("/v1/projects/{project}/flags/{flag}", 200), Some(2.0), "{text}");
    assert_eq!(of("/v1/projects/{project}/flags/{flag}", 404), Some(1.0));
    assert_eq!(of("none", 404), Some(1.0), "what is no route is one");
    let count = "flagstone_http_request_duration_seconds_count\
                 {route=\"/v1/projects/{project}/flags/{flag}\",method=\"GET\"}";
    assert_eq!(sample(&text, count), Some(3.0));
}

#[tokio::test]
async fn appends_and_stages_of_publications_are_counted_from_zero_on() {
    let world = World::new().await;
    let appended = |text: &str, outcome: &str| {
        sample(text, &format!("flagstone_log_appends_total{{outcome=\"{outcome}\"}}")).unwrap()
    };
    let staged = |text: &str, stage: &str| {
        let name = format!("flagstone_publication_stage_duration_seconds_count{{stage=\"{stage}\"}}");
        sample(text, &name).unwrap_or_else(|| panic!("{stage}: {text}"))
    };
    let before = read(&world).await;
    assert_eq!(appended(&before, "lost") + appended(&before, "failed"), 0.0);
    world.expect(StatusCode::CREATED, post(&format!("{P}/flags"), r#"{"key":"a","type":"bool"}"#)).await;
    let after = read(&world).await;
    assert_eq!(appended(&after, "written") - appended(&before, "written"), 1.0);
    for stage in ["build", "prove", "upload", "claim", "sign", "archive", "announce"] {
        // The view `client` is built too, and nothing of it has changed.
        let times = if stage == "build" { 4.0 } else { 2.0 };
        assert_eq!(staged(&after, stage) - staged(&before, stage), times, "{stage}, once a stream");
    }
    assert!(!after.contains("flagstone_publication_stage_failures_total{"), "{after}");
}

#[tokio::test]
async fn each_stream_has_the_age_of_its_announcement_and_its_lag() {
    let world = World::with_flags().await;
    world.clock.advance(90_500);
    let text = read(&world).await;
    for environment in ["production", "staging"] {
        let labels = format!("{{environment=\"{environment}\",view=\"server\"}}");
        assert_eq!(sample(&text, &format!("flagstone_announced_age_seconds{labels}")), Some(90.5), "{text}");
        // What another environment's changes brought needs no publication here.
        let lag = sample(&text, &format!("flagstone_covered_lag_entries{labels}")).unwrap();
        assert_eq!(lag, if environment == "production" { 0.0 } else { 3.0 }, "{environment}");
    }
    world.log.is_blocked.store(true, Ordering::SeqCst);
    let blind = read(&world).await;
    assert!(!blind.contains("flagstone_announced_age_seconds{"), "no number instead of a wrong one");
    assert!(blind.contains("flagstone_http_requests_total{"), "the others are told");
}

#[tokio::test]
async fn refused_tokens_are_counted_by_code() {
    let world = World::new().await;
    for authorization in [None, Some("Bearer fat_canary-wrong")] {
        let ask = get(&format!("{P}/flags")).authorization(authorization);
        world.expect(StatusCode::UNAUTHORIZED, ask).await;
    }
    let text = read(&world).await;
    let refused = "flagstone_token_refusals_total{code=\"unauthenticated\"}";
    assert_eq!(sample(&text, refused), Some(2.0), "{text}");
    assert_eq!(sample(&text, "flagstone_rate_limited_total"), Some(0.0));
}

#[tokio::test]
async fn nothing_that_people_wrote_but_ids_of_environments_is_told() {
    let world = World::with_flags().await;
    world.expect(StatusCode::OK, post(&format!("{E}/flags/payments/on"), r#"{"reason":"canary"}"#)).await;
    let text = read(&world).await;
    for told in ["payments", "checkout", "beta", "demo", "canary", "Canary", "admin", "example.com"] {
        assert!(!text.contains(told), "{told}: {text}");
    }
}

#[tokio::test]
async fn a_server_may_ask_for_a_token() {
    let mut world = World::new().await;
    world.serve(Options { metrics: MetricsAccess::TokenHolders, limits: Limits::NONE, ..Options::default() });
    world.expect(StatusCode::UNAUTHORIZED, get("/metrics").authorization(None)).await;
    world.expect(StatusCode::OK, get("/metrics")).await;
}
