//! What is published, and doing it by hand.

use axum::http::StatusCode;
use flagstone_model::json::Json;

use crate::world::{World, get, post};

const E: &str = "/v1/projects/demo/environments/production";

fn publish(body: &str) -> crate::world::Ask {
    post(&format!("{E}/publish"), body)
}

#[tokio::test]
async fn publishing_anew_announces_nothing_that_is_announced() {
    let world = World::with_flags().await;
    let head = world.log_head().await;
    let told = world.expect(StatusCode::OK, publish("")).await;
    for body in ["{}", r#"{"rebuild":true}"#, r#"{"rebuild":false,"adopt":false,"reason":"deploy"}"#] {
        assert_eq!(world.expect(StatusCode::OK, publish(body)).await.text(), told.text());
    }
    assert_eq!(world.log_head().await, head, "there is nothing to record");
}

#[tokio::test]
async fn there_is_nothing_to_adopt_where_nothing_is_wrong() {
    let world = World::with_flags().await;
    let head = world.log_head().await;
    let refused = world.expect(StatusCode::CONFLICT, publish(r#"{"adopt":true}"#)).await;
    assert_eq!(refused.code(), "nothing-to-adopt");
    assert_eq!(world.log_head().await, head);
}

#[tokio::test]
async fn publishing_says_what_it_does_not_understand() {
    let world = World::with_flags().await;
    for (body, pointer) in [
        (r#"{"adopt":"yes"}"#, "/adopt"),
        (r#"{"adopt":true,"rebuild":true}"#, "/rebuild"),
        (r#"{"force":true}"#, "/force"),
        (r#"{"reason":1}"#, "/reason"),
    ] {
        let refused = world.expect(StatusCode::BAD_REQUEST, publish(body)).await;
        assert_eq!(refused.json().member("pointer").and_then(Json::as_str), Some(pointer), "{body}");
    }
}

#[tokio::test]
async fn a_stream_that_stands_still_says_so() {
    let world = World::with_flags().await;
    let last = world.log_head().await.unwrap();
    world.log.inner.tamper(&world.project, last, |_| None);
    let told = world.expect(StatusCode::OK, get(&format!("{E}/publication"))).await.json();
    let alarm = told.member("server").unwrap().member("alarm").unwrap();
    assert_eq!(alarm.member("code").and_then(Json::as_str), Some("log-behind"));
    let refused = world.expect(StatusCode::CONFLICT, publish(r#"{"rebuild":true}"#)).await;
    assert_eq!(refused.code(), "log-behind");
}
