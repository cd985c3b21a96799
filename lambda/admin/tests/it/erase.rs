//! Erasing over HTTP.

use axum::http::StatusCode;
use flagstone_model::json::Json;

use crate::world::{World, get, post, put};

const ERASE: &str = "/v1/projects/demo/erase";
const T: &str = "/v1/projects/demo/environments/production/flags/dark-mode";

#[tokio::test]
async fn what_nobody_needs_any_more_is_erased_and_the_log_says_so() {
    let world = World::with_flags().await;
    let targeting =
        |user: &str| format!(r#"{{"on":true,"targets":{{"on":["{user}"]}},"fallthrough":{{"serve":"on"}}}}"#);
    let first = world.expect(StatusCode::OK, put(T, &targeting("user-4711"))).await;
    let first = first.json().member("seq").and_then(Json::as_integer).unwrap();
    let refused = world.expect(StatusCode::CONFLICT, post(ERASE, r#"{"user_id":"user-4711"}"#)).await;
    assert_eq!(refused.code(), "still-in-use");
    assert!(refused.text().contains("flag/production/dark-mode"));
    let refused = world.expect(StatusCode::CONFLICT, post(ERASE, &format!(r#"{{"seq":{first}}}"#))).await;
    assert_eq!(refused.code(), "not-yet-superseded");

    world.expect(StatusCode::OK, put(T, &targeting("user-2"))).await;
    let erased =
        world.expect(StatusCode::OK, post(ERASE, r#"{"user_id":"user-4711","reason":"asked"}"#)).await;
    assert_eq!(erased.json().member("erased").unwrap().to_canonical(), format!("[{first}]"));
    let log = world.expect(StatusCode::OK, get(&format!("/v1/projects/demo/log?after={}", first - 1))).await;
    let log = log.json();
    let items = log.member("items").and_then(Json::as_array).unwrap();
    assert_eq!(items[0].member("data"), Some(&Json::Null));
    let last = items.last().unwrap().member("header").unwrap();
    assert_eq!(last.member("entity").and_then(Json::as_str), Some(&*format!("erase/{first}")));
}

#[tokio::test]
async fn an_erasure_says_what_it_does_not_understand() {
    let world = World::with_flags().await;
    for (body, pointer) in [
        ("{}", ""),
        (r#"{"seq":1,"actor":"u"}"#, ""),
        (r#"{"seq":0}"#, "/seq"),
        (r#"{"seq":[]}"#, "/seq"),
        (r#"{"seq":"1"}"#, "/seq"),
        (r#"{"actor":""}"#, "/actor"),
        (r#"{"user_id":7}"#, "/user_id"),
        (r#"{"user":"u"}"#, "/user"),
    ] {
        let refused = world.expect(StatusCode::BAD_REQUEST, post(ERASE, body)).await;
        assert_eq!(refused.json().member("pointer").and_then(Json::as_str), Some(pointer), "{body}");
    }
    let missing = world.expect(StatusCode::NOT_FOUND, post(ERASE, r#"{"seq":9999}"#)).await;
    assert_eq!(missing.code(), "entry-not-found");
}
