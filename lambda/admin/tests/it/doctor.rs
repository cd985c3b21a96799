//! Trials of the stores over HTTP.

use axum::http::StatusCode;
use serde_json::json;

use crate::world::{Ask, World};

#[tokio::test]
async fn a_trial_tells_how_each_race_ended_and_writes_no_entry() {
    let world = World::with_flags().await;
    let before = world.log_head().await;
    let told = world.ask(Ask::new("POST", "/v1/projects/demo/doctor", "")).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.text());
    let race = |name: &str, won: u64| json!({ "race": name, "won": won, "may_win": won, "verdict": "fair" });
    let races = [race("create", 1), race("replace", 1), race("stale", 0), race("claim", 1)];
    let body: serde_json::Value = serde_json::from_str(&told.text()).unwrap();
    assert_eq!(body, json!({ "trusted": true, "racers": 32, "races": races }));
    assert_eq!(world.log_head().await, before);
}

#[tokio::test]
async fn an_environment_where_a_trial_would_write_is_left_alone() {
    let world = World::with_flags().await;
    let made =
        world.ask(Ask::new("POST", "/v1/projects/demo/environments", r#"{"id":"flagstone-doctor"}"#)).await;
    assert!(made.status.is_success(), "{}", made.text());
    let told = world.ask(Ask::new("POST", "/v1/projects/demo/doctor", "")).await;
    assert_eq!((told.status, &*told.code()), (StatusCode::CONFLICT, "trial-place-taken"));
}
