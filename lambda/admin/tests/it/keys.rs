//! SDK keys: rotated through the bucket without a moment in which none works.

use axum::http::StatusCode;
use flagstone_model::digest::Digest;
use flagstone_model::json::Json;

use crate::world::{PRODUCTION_KEY, World, delete, get, post};

const KEYS: &str = "/v1/projects/demo/environments/production/keys";
const MANIFEST: &str = "/cdn/closed/demo/v1/e/production/server/manifest";

async fn key(world: &World) -> (String, String) {
    let told = world.expect(StatusCode::CREATED, post(KEYS, r#"{"name":"servers"}"#)).await.json();
    let text = |name| told.member(name).and_then(Json::as_str).unwrap().to_owned();
    (text("id"), text("sdk_key"))
}

async fn opens(world: &World, key: &str) -> StatusCode {
    world.ask(get(MANIFEST).header("x-flagstone-key", key)).await.status
}

#[tokio::test]
async fn a_key_opens_at_once_two_live_during_a_rotation_and_a_revoked_one_stops() {
    let world = World::with_flags().await;
    let (old_id, old) = key(&world).await;
    let (_, new) = key(&world).await;
    for key in [&*old, &*new, PRODUCTION_KEY] {
        assert_eq!(opens(&world, key).await, StatusCode::OK);
    }
    let third = world.expect(StatusCode::CONFLICT, post(KEYS, "")).await;
    assert_eq!(third.code(), "too-many-keys");
    world.expect(StatusCode::OK, delete(&format!("{KEYS}/{old_id}"))).await;
    assert_eq!(opens(&world, &old).await, StatusCode::FORBIDDEN);
    assert_eq!(opens(&world, &new).await, StatusCode::OK);
    key(&world).await;
    let gone = world.expect(StatusCode::NOT_FOUND, delete(&format!("{KEYS}/{old_id}"))).await;
    assert_eq!(gone.code(), "key-not-found");
}

#[tokio::test]
async fn a_key_opens_its_own_environment_only() {
    let world = World::with_flags().await;
    let staging = "/v1/projects/demo/environments/staging/keys";
    let told = world.expect(StatusCode::CREATED, post(staging, "")).await.json();
    let text = told.member("sdk_key").and_then(Json::as_str).unwrap();
    assert_eq!(opens(&world, text).await, StatusCode::FORBIDDEN);
    let path = MANIFEST.replace("production", "staging");
    world.expect(StatusCode::OK, get(&path).header("x-flagstone-key", text)).await;
    let id = told.member("id").and_then(Json::as_str).unwrap();
    let elsewhere = world.expect(StatusCode::NOT_FOUND, get(&format!("{KEYS}/{id}"))).await;
    assert_eq!(elsewhere.code(), "key-not-found");
}

#[tokio::test]
async fn the_text_of_a_key_is_told_once() {
    let world = World::new().await;
    let ask = || post(KEYS, r#"{"name":"servers"}"#).header("idempotency-key", "once");
    let made = world.expect(StatusCode::CREATED, ask()).await.json();
    let member = |name| made.member(name).and_then(Json::as_str).unwrap().to_owned();
    let (id, text) = (member("id"), member("sdk_key"));
    let again = world.expect(StatusCode::CONFLICT, ask()).await;
    assert_eq!(again.code(), "already-created");
    assert!(again.text().contains(&id));
    let read = world.expect(StatusCode::OK, get(&format!("{KEYS}/{id}"))).await;
    let wanted = format!(
        r#"{{"key":"{id}","environment":"production","id":"{id}","name":"servers","created":"2026-11-21T12:00:00Z","sha256":"{}","revision":1}}"#,
        Digest::of(text.as_bytes())
    );
    assert_eq!(read.text(), wanted);
    let log = world.expect(StatusCode::OK, get("/v1/projects/demo/log")).await;
    let list = world.expect(StatusCode::OK, get(KEYS)).await;
    let secret = text.rsplit('_').next().unwrap();
    for told in [again, read, log, list] {
        assert!(!told.text().contains(secret));
    }
}

#[tokio::test]
async fn a_key_for_an_environment_that_is_not_there_is_refused() {
    let world = World::new().await;
    let ask = post("/v1/projects/demo/environments/nowhere/keys", "");
    assert_eq!(world.expect(StatusCode::NOT_FOUND, ask).await.code(), "environment-not-found");
    for (body, pointer) in [(r#"{"name":""}"#, "/name"), (r#"{"nam":"x"}"#, "/nam")] {
        let told = world.expect(StatusCode::BAD_REQUEST, post(KEYS, body)).await;
        assert_eq!(told.json().member("pointer").and_then(Json::as_str), Some(pointer));
    }
}
