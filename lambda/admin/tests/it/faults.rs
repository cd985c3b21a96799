//! What is below breaks.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;

use crate::world::{PRODUCTION_KEY, World, get, post, put};

const P: &str = "/v1/projects/demo";
const E: &str = "/v1/projects/demo/environments/production";

#[tokio::test]
async fn a_log_out_of_reach_is_503_changes_nothing_and_clients_do_not_notice() {
    let world = World::with_flags().await;
    let before = world.log_head().await;
    world.log.is_blocked.store(true, Ordering::SeqCst);
    let on = || post(&format!("{E}/flags/payments/on"), "").header("idempotency-key", "again");
    for ask in
        [on(), put(&format!("{E}/flags/payments"), r#"{"on":true}"#), get(&format!("{P}/flags")), get(E)]
    {
        let answer = world.ask(ask).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let manifest = get("/cdn/closed/demo/v1/e/production/server/manifest").authorization(None);
    world.expect(StatusCode::OK, manifest.header("x-flagstone-key", PRODUCTION_KEY)).await;
    world.expect(StatusCode::OK, get("/healthz")).await;
    world.log.is_blocked.store(false, Ordering::SeqCst);
    assert_eq!(world.log_head().await, before);
    world.expect(StatusCode::OK, on()).await;
    assert_eq!(world.log_head().await, before.map(|seq| seq + 1));
}

#[tokio::test]
async fn a_damaged_entry_is_500_tells_nothing_of_the_inside_and_stays_as_it_is() {
    let world = World::with_flags().await;
    world.log.inner.tamper(&world.project, 2, |row| {
        row.map(|mut row| {
            row.header.push(b' ');
            row
        })
    });
    let answer = world.ask(get(&format!("{P}/log"))).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "internal"));
    assert!(!answer.text().contains("entry") && !answer.text().contains("damaged"), "{}", answer.text());
    let head = world.log_head().await;
    assert_eq!(world.ask(get(&format!("{P}/log"))).await.code(), "internal");
    assert_eq!(world.log_head().await, head);
}
