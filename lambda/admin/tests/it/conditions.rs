//! Entity tags and the conditions that name them.

use axum::http::StatusCode;
use flagstone_model::json::Json;

use crate::world::{Ask, World, delete, get, patch, post, put};

const E: &str = "/v1/projects/demo/environments/production";
const FLAG: &str = "/v1/projects/demo/flags/new-checkout";

#[tokio::test]
async fn every_entity_has_the_strong_tag_of_its_revision() {
    let world = World::with_flags().await;
    for path in [
        FLAG.to_owned(),
        format!("{E}/flags/new-checkout"),
        format!("{E}/segments/beta"),
        "/v1/projects/demo/environments/production".to_owned(),
    ] {
        let answer = world.ask(get(&path)).await;
        let revision = answer.json().member("revision").and_then(Json::as_integer).unwrap();
        assert_eq!(answer.header("etag").unwrap(), format!("\"{revision}\""), "{path}");
    }
}

#[tokio::test]
async fn a_read_of_what_the_caller_has_is_304_without_a_body() {
    let world = World::with_flags().await;
    let tag = world.ask(get(FLAG)).await.header("etag").unwrap().to_owned();
    for known in [tag.clone(), "*".to_owned(), format!("W/{tag}"), format!("\"x\", {tag}")] {
        let answer = world.ask(get(FLAG).header("if-none-match", &known)).await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{known}");
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
    }
    let answer = world.ask(get(FLAG).header("if-none-match", "\"999\"")).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn if_match_takes_a_revision_a_list_or_the_star_and_no_weak_tag() {
    let world = World::with_flags().await;
    let targeting = format!("{E}/flags/new-checkout");
    let tag = world.ask(get(&targeting)).await.header("etag").unwrap().to_owned();
    let off = |condition: &str| post(&format!("{targeting}/off"), "").header("if-match", condition);
    for stale in ["\"998\", \"999\"", &format!("W/{tag}"), "\"other\"", "\"\"", "\"01\""] {
        let answer = world.ask(off(stale)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::PRECONDITION_FAILED, "stale-revision"),
            "{stale}"
        );
    }
    let first = world.expect(StatusCode::OK, off(&format!("\"999\", {tag}"))).await;
    let tag = first.header("etag").unwrap().to_owned();
    let second = world.expect(StatusCode::OK, off(&tag)).await;
    assert_ne!(second.header("etag"), Some(tag.as_str()));
    world.expect(StatusCode::OK, off("*")).await;
    let missing: [Ask; 2] =
        [put(&format!("{E}/segments/new"), "{}"), put(&format!("{E}/segments/new"), "{}")];
    for (ask, condition) in missing.into_iter().zip(["*", "\"1\""]) {
        let before = world.log_head().await;
        let answer = world.ask(ask.header("if-match", condition)).await;
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{condition}: {}", answer.text());
        assert_eq!(world.log_head().await, before);
    }
}

#[tokio::test]
async fn if_none_match_star_writes_only_what_nobody_has_written() {
    let world = World::with_flags().await;
    let segment = |key: &str| put(&format!("{E}/segments/{key}"), "{}").header("if-none-match", "*");
    world.expect(StatusCode::CREATED, segment("fresh")).await;
    let before = world.log_head().await;
    let again = world.ask(segment("fresh")).await;
    assert_eq!(again.code(), "already-exists");
    assert_eq!(world.log_head().await, before);
}

#[tokio::test]
async fn a_targetings_revision_rises_with_its_definition() {
    let world = World::with_flags().await;
    let targeting = format!("{E}/flags/new-checkout");
    let tag = world.ask(get(&targeting)).await.header("etag").unwrap().to_owned();
    world.expect(StatusCode::OK, patch(FLAG, r#"{"owner":"team-x"}"#)).await;
    let answer = world.ask(put(&targeting, r#"{"on":true}"#).header("if-match", &tag)).await;
    assert_eq!(answer.code(), "stale-revision");
}

#[tokio::test]
async fn what_is_deleted_has_no_tag_and_its_key_stays_retired() {
    let world = World::with_flags().await;
    let segment = format!("{E}/segments/fresh");
    world.expect(StatusCode::CREATED, put(&segment, "{}")).await;
    let gone = world.expect(StatusCode::OK, delete(&segment)).await;
    assert_eq!(gone.header("etag"), None);
    assert_eq!(world.ask(get(&segment)).await.code(), "segment-not-found");
    assert_eq!(world.ask(put(&segment, "{}")).await.code(), "key-retired");
}
