//! The access log and the rate limit: who used what, who was refused, and who asked too often.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use flagstone_admin::{Limits, Options, Rate};
use flagstone_model::json::Json;
use flagstone_model::key::ProjectId;
use flagstone_publisher::access::{Access, AccessLog, AccessRow, Bounds};
use flagstone_publisher::storage::StorageError;

use crate::world::{Ask, World, get, post};

const ACCESS: &str = "/v1/projects/demo/access";
const SELF: &str = "/v1/projects/demo/tokens/self";
const FLAGS: &str = "/v1/projects/demo/flags";

/// Principal, method, last part of the route, status, code, count, and seq of each row.
async fn rows(world: &World, after: u64) -> Vec<String> {
    let told = world.expect(StatusCode::OK, get(&format!("{ACCESS}?after={after}&limit=1000"))).await.json();
    let items = told.member("items").and_then(Json::as_array).unwrap();
    let text = |item: &Json<'_>, name| {
        item.member(name)
            .map_or("-".to_owned(), |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    items
        .iter()
        .map(|item| {
            let route = text(item, "route");
            let last = route.rsplit('/').next().unwrap().to_owned();
            let [principal, method, status, code, count, seq] =
                ["principal", "method", "status", "code", "count", "seq"].map(|name| text(item, name));
            format!("{principal} {method} {last} {status} {code} {count} {seq}")
        })
        .collect()
}

async fn newest(world: &World) -> u64 {
    let told = world.expect(StatusCode::OK, get(&format!("{ACCESS}?limit=1"))).await.json();
    told.member("newest").and_then(Json::as_integer).unwrap().try_into().unwrap()
}

#[tokio::test]
async fn writes_sign_ins_and_refusals_are_recorded_and_reads_are_not() {
    let world = World::with_flags().await;
    let (id, token) = world.token(r#"{"name":"x","role":"viewer"}"#).await;
    let before = newest(&world).await;
    let on = "/v1/projects/demo/environments/production/flags/payments/on";
    world.expect(StatusCode::OK, get(FLAGS).by(&token)).await;
    world.expect(StatusCode::OK, post(on, "").header("user-agent", "flagstone-cli/1")).await;
    let head = world.log_head().await.unwrap();
    world.expect(StatusCode::OK, get(SELF).by(&token)).await;
    for _ in 0..3 {
        world.expect(StatusCode::FORBIDDEN, post(on, "").by(&token)).await;
        world.expect(StatusCode::UNAUTHORIZED, get(FLAGS).by("fat_t_canary_x")).await;
    }
    world.expect(StatusCode::NOT_FOUND, post(&on.replace("payments", "canary-flag"), "")).await;
    assert_eq!(
        rows(&world, before).await,
        [
            format!("admin POST on 200 - 1 {head}"),
            format!("{id} GET self 200 - 1 -"),
            format!("{id} POST on 403 forbidden 3 -"),
            "- GET flags 401 unauthenticated 3 -".to_owned(),
            "admin POST on 404 flag-not-found 1 -".to_owned(),
        ]
    );
    let told = world.expect(StatusCode::OK, get(ACCESS)).await.text();
    assert!(!told.contains("canary") && !told.contains(token.rsplit('_').next().unwrap()), "{told}");
    assert!(told.contains(r#""via":"cli""#) && told.contains(r#""environment":"production""#));
}

#[tokio::test]
async fn the_access_log_is_walked_page_by_page() {
    let world = World::with_flags().await;
    let last = newest(&world).await;
    let (mut seen, mut page) = (0, format!("{ACCESS}?limit=3"));
    loop {
        let told = world.expect(StatusCode::OK, get(&page)).await.json();
        seen += told.member("items").and_then(Json::as_array).unwrap().len();
        let Some(next) = told.member("next").and_then(Json::as_str) else { break };
        page = format!("{ACCESS}?limit=3&cursor={next}");
    }
    assert_eq!(u64::try_from(seen).unwrap(), last);
}

#[tokio::test]
async fn each_token_has_its_own_rate_and_nobody_one_together() {
    let mut world = World::with_flags().await;
    let (_, token) = world.token(r#"{"name":"x","role":"viewer"}"#).await;
    let rate = |per_second, burst| Some(Rate { per_second, burst });
    world
        .serve(Options { limits: Limits { token: rate(2, 3), anonymous: rate(1, 1) }, ..Options::default() });
    for _ in 0..3 {
        world.expect(StatusCode::OK, get(FLAGS).by(&token)).await;
    }
    let told = world.expect(StatusCode::TOO_MANY_REQUESTS, get(FLAGS).by(&token)).await;
    assert_eq!((&*told.code(), told.header("retry-after")), ("rate-limited", Some("1")));
    world.clock.advance(499);
    world.expect(StatusCode::TOO_MANY_REQUESTS, get(FLAGS).by(&token)).await;
    world.clock.advance(1);
    world.expect(StatusCode::OK, get(FLAGS).by(&token)).await;
    world.expect(StatusCode::UNAUTHORIZED, get(FLAGS).authorization(None)).await;
    world.expect(StatusCode::TOO_MANY_REQUESTS, get(FLAGS).by("fat_t_a_b")).await;
    world.expect(StatusCode::OK, get("/healthz").authorization(None)).await;
    let rows = rows(&world, 0).await;
    assert!(rows.iter().any(|row| row.contains("429 rate-limited")), "{rows:?}");
}

/// An access log on a disk that is full.
#[derive(Debug)]
struct Full;

#[async_trait]
impl AccessLog for Full {
    async fn record(&self, _: &ProjectId, _: &Access, _: Bounds) -> Result<(), StorageError> {
        Err(StorageError::Busy)
    }

    async fn read(&self, _: &ProjectId, _: u64, _: usize) -> Result<Vec<AccessRow>, StorageError> {
        Err(StorageError::Busy)
    }

    async fn newest(&self, _: &ProjectId) -> Result<u64, StorageError> {
        Err(StorageError::Busy)
    }
}

#[tokio::test]
async fn an_access_log_that_fails_changes_no_answer_and_what_it_lost_is_counted() {
    let mut world = World::with_flags().await;
    let (_, viewer) = world.token(r#"{"name":"x","role":"viewer"}"#).await;
    let on = "/v1/projects/demo/environments/production/flags/payments/on";
    let anonymous = Some(Rate { per_second: 1, burst: 1 });
    let limits = Limits { token: None, anonymous };
    world.serve(Options { limits, access: Some(Arc::new(Full)), ..Options::default() });
    let before = world.log_head().await.unwrap();
    let told = world.expect(StatusCode::OK, post(on, "")).await.json();
    assert_eq!(told.member("seq").and_then(Json::as_integer), i64::try_from(before + 1).ok(), "{told}");
    assert_eq!(world.log_head().await, Some(before + 1), "the write is whole");
    world.expect(StatusCode::OK, get(SELF).by(&viewer)).await;
    let refused = |ask: Ask, status, code: &'static str| {
        let world = &world;
        async move { assert_eq!(world.expect(status, ask).await.code(), code) }
    };
    refused(post(on, "").by(&viewer), StatusCode::FORBIDDEN, "forbidden").await;
    refused(get(FLAGS).authorization(None), StatusCode::UNAUTHORIZED, "unauthenticated").await;
    refused(get(FLAGS).authorization(None), StatusCode::TOO_MANY_REQUESTS, "rate-limited").await;
    assert_eq!(world.log_head().await, Some(before + 1));
    // A read that answers from it says that it cannot, and is none of the five.
    assert_eq!(world.ask(get(ACCESS)).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let text = world.expect(StatusCode::OK, get("/metrics").authorization(None)).await.text();
    assert!(text.contains("\nflagstone_access_records_lost_total 5\n"), "{text}");
}
