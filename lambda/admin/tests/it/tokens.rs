//! Tokens: made once, told once, revoked and expired at once.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_publisher::log::ChangeLog as _;

use crate::world::{NOW_MS, TOKEN, Told, World, delete, get, post};

const TOKENS: &str = "/v1/projects/demo/tokens";
const SELF: &str = "/v1/projects/demo/tokens/self";

fn ids(told: &Told) -> Vec<String> {
    let json = told.json();
    let items = json.member("items").and_then(Json::as_array).unwrap();
    items.iter().map(|item| item.member("id").and_then(Json::as_str).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_token_is_told_once_and_kept_as_its_digest() {
    let world = World::new().await;
    let body = r#"{"name":"ci","role":"editor","environments":["staging"],"expires":"2027-06-01T00:00:00Z"}"#;
    let created = world.expect(StatusCode::CREATED, post(TOKENS, body)).await;
    let json = created.json();
    let text = json.member("token").and_then(Json::as_str).unwrap();
    let id = json.member("id").and_then(Json::as_str).unwrap();
    assert_eq!(created.header("location"), Some(&*format!("{TOKENS}/{id}")));
    assert_eq!(created.header("etag"), Some("\"1\""));
    assert!(text.starts_with(&format!("fat_{id}_")));
    let secret = text.rsplit('_').next().unwrap();

    let read = world.expect(StatusCode::OK, get(&format!("{TOKENS}/{id}"))).await;
    let wanted = format!(
        r#"{{"key":"{id}","id":"{id}","name":"ci","role":"editor","environments":["staging"],"expires":"2027-06-01T00:00:00Z","created":"2026-11-21T12:00:00Z","revision":1}}"#
    );
    assert_eq!(read.text(), wanted);
    let digest = Digest::of(text.as_bytes()).to_string();
    let log = world.expect(StatusCode::OK, get("/v1/projects/demo/log")).await;
    assert!(log.text().contains(&digest), "the log knows it by its digest");
    for told in [log, read, world.expect(StatusCode::OK, get(TOKENS)).await] {
        assert!(!told.text().contains(secret));
    }
    assert!(!format!("{:?}", world.control.state().await.unwrap()).contains(secret));
}

#[tokio::test]
async fn who_asks_is_told_what_the_token_is() {
    let world = World::new().await;
    let (id, token) = world.token(r#"{"name":"Ada","role":"viewer","environments":["production"]}"#).await;
    let told = world.expect(StatusCode::OK, get(SELF).by(&token)).await;
    let wanted = format!(r#"{{"id":"{id}","name":"Ada","role":"viewer","environments":["production"]}}"#);
    assert_eq!(told.text(), wanted);
    let told = world.expect(StatusCode::OK, get(SELF)).await;
    assert_eq!(told.text(), r#"{"id":"admin","name":"Ada Canary","role":"admin"}"#);
}

#[tokio::test]
async fn a_change_stands_under_the_id_and_the_name_of_its_token() {
    let world = World::with_flags().await;
    let (id, token) = world.token(r#"{"name":"Grace","role":"editor"}"#).await;
    let e = "/v1/projects/demo/environments/production/flags/payments";
    world.expect(StatusCode::OK, post(&format!("{e}/on"), "").by(&token)).await;
    let history = world.expect(StatusCode::OK, get(&format!("{e}/history"))).await.json();
    let newest = &history.member("items").and_then(Json::as_array).unwrap()[0];
    let actor = newest.member("actor").unwrap();
    assert_eq!(actor.to_string(), format!(r#"{{"type":"token","id":"{id}","via":"api","name":"Grace"}}"#));
}

#[tokio::test]
async fn a_revoked_token_is_answered_like_one_that_never_was() {
    let world = World::new().await;
    let (id, token) = world.token(r#"{"name":"a","role":"viewer"}"#).await;
    world.expect(StatusCode::OK, get(SELF).by(&token)).await;
    let gone = world.expect(StatusCode::OK, delete(&format!("{TOKENS}/{id}"))).await;
    assert_eq!(gone.header("etag"), None);
    let revoked = world.expect(StatusCode::UNAUTHORIZED, get(SELF).by(&token)).await;
    let unknown = world.expect(StatusCode::UNAUTHORIZED, get(SELF).by("fat_t_a_b")).await;
    assert_eq!(revoked.text(), unknown.text());
    assert_eq!(revoked.header("www-authenticate"), unknown.header("www-authenticate"));
    for ask in [get(&format!("{TOKENS}/{id}")), delete(&format!("{TOKENS}/{id}"))] {
        assert_eq!(world.expect(StatusCode::NOT_FOUND, ask).await.code(), "token-not-found");
    }
    assert_eq!(ids(&world.expect(StatusCode::OK, get(TOKENS)).await), [""; 0]);
}

#[tokio::test]
async fn a_token_expires_at_its_instant() {
    let world = World::new().await;
    let body = r#"{"name":"a","role":"viewer","expires":"2026-11-21T12:00:01Z"}"#;
    let (_, token) = world.token(body).await;
    world.clock.set(NOW_MS + 999);
    world.expect(StatusCode::OK, get(SELF).by(&token)).await;
    world.clock.set(NOW_MS + 1_000);
    let expired = world.expect(StatusCode::UNAUTHORIZED, get(SELF).by(&token)).await;
    let unknown = world.expect(StatusCode::UNAUTHORIZED, get(SELF).by("fat_t_a_b")).await;
    assert_eq!(expired.text(), unknown.text());
    world.clock.set(NOW_MS);
    world.expect(StatusCode::OK, get(SELF).by(&token)).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_named_and_nothing_is_made() {
    let world = World::new().await;
    let before = world.log_head().await;
    for (body, pointer) in [
        (r#"{"role":"viewer"}"#, "/name"),
        (r#"{"name":"a","role":"owner"}"#, "/role"),
        (r#"{"name":"a","role":"viewer","environments":["staging","stagin"]}"#, "/environments"),
        (r#"{"name":"a","role":"viewer","expires":"2026-11-21T12:00:00Z"}"#, "/expires"),
        (r#"{"name":"a","role":"viewer","expires":"2026-11-21T11:59:59Z"}"#, "/expires"),
        (r#"{"name":"a","role":"viewer","expires":"2036-12-01T00:00:00Z"}"#, "/expires"),
        (r#"{"name":"a","role":"viewer","token":"mine"}"#, "/token"),
        (r#"{"name":"a","role":"viewer","sha256":"00"}"#, "/sha256"),
    ] {
        let told = world.expect(StatusCode::BAD_REQUEST, post(TOKENS, body)).await;
        assert_eq!(told.code(), "invalid-request", "{body}");
        assert_eq!(told.json().member("pointer").and_then(Json::as_str), Some(pointer), "{body}");
    }
    assert_eq!(world.log_head().await, before);
    world.token(r#"{"name":"a","role":"viewer","expires":"2036-11-18T00:00:00Z"}"#).await;
}

#[tokio::test]
async fn a_retry_makes_no_second_token_and_says_which_it_made() {
    let world = World::new().await;
    let ask = || post(TOKENS, r#"{"name":"a","role":"viewer"}"#).header("idempotency-key", "once");
    let made = world.expect(StatusCode::CREATED, ask()).await.json();
    let id = made.member("id").and_then(Json::as_str).unwrap().to_owned();
    let again = world.expect(StatusCode::CONFLICT, ask()).await;
    assert_eq!(again.code(), "already-created");
    assert!(again.text().contains(&id) && !again.text().contains("fat_"));
    assert_eq!(ids(&world.expect(StatusCode::OK, get(TOKENS)).await), std::slice::from_ref(&id));
    world.expect(StatusCode::OK, delete(&format!("{TOKENS}/{id}"))).await;
    assert_eq!(world.expect(StatusCode::CONFLICT, ask()).await.code(), "already-created");
}

#[tokio::test]
async fn nobody_gives_away_more_than_is_theirs() {
    let world = World::new().await;
    let (own, limited) = world.token(r#"{"name":"s","role":"admin","environments":["staging"]}"#).await;
    let (whole, _) = world.token(r#"{"name":"w","role":"viewer"}"#).await;
    let (other, _) = world.token(r#"{"name":"p","role":"viewer","environments":["production"]}"#).await;
    for body in [
        r#"{"name":"x","role":"admin"}"#,
        r#"{"name":"x","role":"viewer"}"#,
        r#"{"name":"x","role":"viewer","environments":["production"]}"#,
        r#"{"name":"x","role":"viewer","environments":["staging","production"]}"#,
    ] {
        let told = world.expect(StatusCode::FORBIDDEN, post(TOKENS, body).by(&limited)).await;
        assert_eq!(told.code(), "forbidden", "{body}");
    }
    for id in [&whole, &other] {
        world.expect(StatusCode::FORBIDDEN, get(&format!("{TOKENS}/{id}")).by(&limited)).await;
        world.expect(StatusCode::FORBIDDEN, delete(&format!("{TOKENS}/{id}")).by(&limited)).await;
    }
    assert_eq!(
        ids(&world.expect(StatusCode::OK, get(TOKENS).by(&limited)).await),
        std::slice::from_ref(&own)
    );
    let body = r#"{"name":"x","role":"admin","environments":["staging"]}"#;
    world.expect(StatusCode::CREATED, post(TOKENS, body).by(&limited)).await;
    world.expect(StatusCode::OK, delete(&format!("{TOKENS}/{own}")).by(&limited)).await;
    world.expect(StatusCode::UNAUTHORIZED, get(SELF).by(&limited)).await;
}

#[tokio::test]
async fn a_token_that_ends_makes_none_that_goes_on() {
    let world = World::new().await;
    let (_, ending) = world.token(r#"{"name":"e","role":"admin","expires":"2027-06-01T00:00:00Z"}"#).await;
    for body in [
        r#"{"name":"x","role":"viewer"}"#,
        r#"{"name":"x","role":"viewer","expires":"2027-06-01T00:00:01Z"}"#,
    ] {
        let told = world.expect(StatusCode::FORBIDDEN, post(TOKENS, body).by(&ending)).await;
        assert_eq!(told.code(), "forbidden", "{body}");
    }
    let same = r#"{"name":"x","role":"viewer","expires":"2027-06-01T00:00:00Z"}"#;
    world.expect(StatusCode::CREATED, post(TOKENS, same).by(&ending)).await;
}

#[tokio::test]
async fn the_bootstrap_token_works_though_the_log_does_not_answer_and_no_token_can_end_it() {
    let world = World::new().await;
    let (_, token) = world.token(r#"{"name":"a","role":"admin"}"#).await;
    assert_eq!(
        world.ask(delete(&format!("{TOKENS}/admin")).by(&token)).await.status,
        StatusCode::BAD_REQUEST
    );
    world.log.is_blocked.store(true, std::sync::atomic::Ordering::SeqCst);
    world.expect(StatusCode::OK, get(SELF).by(TOKEN)).await;
    let told = world.expect(StatusCode::SERVICE_UNAVAILABLE, get(SELF).by(&token)).await;
    assert_eq!((&*told.code(), told.header("retry-after")), ("busy", Some("1")));
}

#[tokio::test]
async fn a_stale_revocation_is_refused() {
    let world = World::new().await;
    let (id, _) = world.token(r#"{"name":"a","role":"viewer"}"#).await;
    let ask = delete(&format!("{TOKENS}/{id}")).header("if-match", "\"2\"");
    assert_eq!(world.expect(StatusCode::PRECONDITION_FAILED, ask).await.code(), "stale-revision");
    let ask = delete(&format!("{TOKENS}/{id}")).header("if-match", "\"1\"");
    world.expect(StatusCode::OK, ask).await;
}

#[tokio::test]
async fn a_text_that_names_no_token_is_refused_without_asking_the_log() {
    let world = World::new().await;
    let (id, token) = world.token(r#"{"name":"a","role":"viewer"}"#).await;
    let (other, _) = world.token(r#"{"name":"b","role":"viewer"}"#).await;
    let secret = token.rsplit('_').next().unwrap();
    let wrong = [
        format!("fat_{other}_{secret}"),
        format!("fat_{id}_{secret}a"),
        format!("fat_{id}_a"),
        format!("{token}_"),
        format!("fat_{}_{secret}", id.to_uppercase()),
        secret.to_owned(),
    ];
    for text in &wrong {
        let told = world.expect(StatusCode::UNAUTHORIZED, get(SELF).by(text)).await;
        assert_eq!(told.code(), "unauthenticated", "the secret of one token opens none else");
    }
    world.log.is_blocked.store(true, Ordering::SeqCst);
    for text in &wrong[3..] {
        world.expect(StatusCode::UNAUTHORIZED, get(SELF).by(text)).await;
    }
    world.expect(StatusCode::OK, get(SELF)).await;
    world.expect(StatusCode::SERVICE_UNAVAILABLE, get(SELF).by(&token)).await;
    world.log.is_blocked.store(false, Ordering::SeqCst);
    world.expect(StatusCode::OK, get(SELF).by(&token)).await;
}

#[tokio::test]
async fn a_clock_that_jumps_back_an_hour_turns_no_time_of_the_log_back_and_ends_tokens_at_their_instant() {
    const HOUR_MS: i64 = 3_600_000;
    let world = World::with_flags().await;
    let ends = world.token(r#"{"name":"a","role":"editor","expires":"2026-11-21T12:00:01Z"}"#).await.1;
    let on = "/v1/projects/demo/environments/production/flags/payments/on";
    let time_of_head = async || world.log.inner.head(&world.project).await.unwrap().unwrap().time_ms;
    world.clock.set(NOW_MS + HOUR_MS);
    world.expect(StatusCode::OK, post(on, "")).await;
    assert_eq!(time_of_head().await, NOW_MS + HOUR_MS);
    world.expect(StatusCode::UNAUTHORIZED, get(SELF).by(&ends)).await;
    let life = r#"{"name":"b","role":"viewer","expires":"2026-11-21T13:00:01Z"}"#;
    let (id, later) = world.token(life).await;

    world.clock.set(NOW_MS);
    let off = on.replace("/on", "/off");
    world.expect(StatusCode::OK, post(&off, "").by(&ends)).await;
    assert_eq!(time_of_head().await, NOW_MS + HOUR_MS, "an entry is never older than the one before it");
    world.expect(StatusCode::OK, get(SELF).by(&later)).await;
    let revoked = world.ask(delete(&format!("{TOKENS}/{id}"))).await.status;
    assert_eq!(revoked, StatusCode::OK);
    world.expect(StatusCode::UNAUTHORIZED, get(SELF).by(&later)).await;
    assert_eq!(time_of_head().await, NOW_MS + HOUR_MS);

    world.clock.set(NOW_MS + HOUR_MS + 1);
    world.expect(StatusCode::OK, post(on, "")).await;
    assert_eq!(time_of_head().await, NOW_MS + HOUR_MS + 1);
    world.expect(StatusCode::UNAUTHORIZED, get(SELF).by(&ends)).await;
}
