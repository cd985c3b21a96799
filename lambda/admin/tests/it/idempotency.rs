//! Requests that are sent again.

use axum::http::StatusCode;

use crate::world::{World, delete, post, put};

const E: &str = "/v1/projects/demo/environments/production";
const ON: &str = "/v1/projects/demo/environments/production/flags/new-checkout/on";

#[tokio::test]
async fn the_same_request_twice_is_one_entry_and_one_answer() {
    let world = World::with_flags().await;
    let before = world.log_head().await.unwrap();
    for key in ["7f3c0b2e", "\"a quoted key\""] {
        let ask = || post(ON, r#"{"reason":"canary"}"#).header("idempotency-key", key);
        let first = world.expect(StatusCode::OK, ask()).await;
        let second = world.expect(StatusCode::OK, ask()).await;
        assert_eq!(first.text(), second.text());
        assert_eq!(first.header("etag"), second.header("etag"));
    }
    assert_eq!(world.log_head().await.unwrap(), before + 2);
}

#[tokio::test]
async fn a_retry_is_answered_even_where_its_condition_no_longer_holds() {
    let world = World::with_flags().await;
    let read = world.ask(crate::world::get(&format!("{E}/flags/new-checkout"))).await;
    let tag = read.header("etag").unwrap().to_owned();
    for condition in [tag.clone(), format!("{tag}, \"999\"")] {
        let ask = || {
            let put = put(&format!("{E}/flags/new-checkout"), r#"{"on":true}"#);
            put.header("idempotency-key", "canary-once").header("if-match", &condition)
        };
        if condition == tag {
            let first = world.expect(StatusCode::OK, ask()).await;
            let second = world.expect(StatusCode::OK, ask()).await;
            assert_eq!(first.text(), second.text());
        } else {
            assert_eq!(world.ask(ask()).await.code(), "idempotency-key-reused");
        }
    }
    let segment = format!("{E}/segments/fresh");
    world.expect(StatusCode::CREATED, put(&segment, "{}")).await;
    let gone = || delete(&segment).header("idempotency-key", "gone").header("if-match", "*");
    let first = world.expect(StatusCode::OK, gone()).await;
    assert_eq!(world.expect(StatusCode::OK, gone()).await.text(), first.text());
}

#[tokio::test]
async fn twenty_twins_at_once_are_one_entry_and_twenty_equal_answers() {
    let world = World::with_flags().await;
    let before = world.log_head().await.unwrap();
    let mut twins = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let world = world.clone();
        twins.spawn(async move { world.ask(post(ON, "").header("idempotency-key", "canary-twin")).await });
    }
    let answers: Vec<_> = twins.join_all().await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    let seqs: Vec<_> = answers.iter().map(|answer| answer.json().member("seq").cloned()).collect();
    assert!(seqs.iter().all(|seq| seq.is_some() && *seq == seqs[0]));
    assert_eq!(world.log_head().await.unwrap(), before + 1);
}

#[tokio::test]
async fn a_key_of_another_request_is_refused_and_nothing_is_written() {
    let world = World::with_flags().await;
    let keyed = |path: &str, body: &str| post(path, body).header("idempotency-key", "k1");
    world.expect(StatusCode::OK, keyed(ON, "")).await;
    let before = world.log_head().await;
    for other in [
        keyed(ON, r#"{"reason":"x"}"#),
        keyed(&ON.replace("/on", "/off"), ""),
        keyed(&ON.replace("production", "staging"), ""),
        keyed(&format!("{ON}?confirm=true"), ""),
        keyed(ON, "").header("if-match", "*"),
    ] {
        let answer = world.ask(other).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused")
        );
    }
    assert_eq!(world.log_head().await, before);
}

#[tokio::test]
async fn a_refused_request_is_not_remembered() {
    let world = World::with_flags().await;
    let flag = |body: &str| put(&format!("{E}/flags/new-checkout"), body).header("idempotency-key", "k2");
    assert_eq!(world.ask(flag(r#"{"on":1}"#)).await.code(), "invalid-request");
    world.expect(StatusCode::OK, flag(r#"{"on":true}"#)).await;
}
