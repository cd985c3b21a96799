//! Why somebody gets what they get, and what was there before.

use axum::http::StatusCode;
use flagstone_model::json::Json;

use crate::world::{World, get, post, put};

const E: &str = "/v1/projects/demo/environments/production";

fn member(json: &Json<'_>, name: &str) -> String {
    json.member(name).unwrap().to_string()
}

#[tokio::test]
async fn an_explanation_tells_each_rule_and_condition() {
    let world = World::with_flags().await;
    let body = r#"{"on":true,"off":"off","rules":[{"id":"beta","if":[{"segment":["beta"]},{"attr":"age","gte":18}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#;
    world.expect(StatusCode::OK, put(&format!("{E}/flags/new-checkout"), body)).await;
    let asked = r#"{"context":{"email":"mina@example.com"},"flag":"new-checkout"}"#;
    let told = world.expect(StatusCode::OK, post(&format!("{E}/explain"), asked)).await.text();
    let seq = world.log_head().await.unwrap();
    let expected = format!(
        r#"{{"flag":"new-checkout","on":true,"version":10,"seq":{seq},"at":"2026-11-21T12:00:00Z","details":{{"value":false,"variation":"off","reason":"DEFAULT"}},"exit":{{"step":10,"code":"fallthrough"}},"needs":[],"rules":[{{"id":"beta","outcome":"unknown","serve":"on","conditions":[{{"condition":{{"segment":["beta"]}},"outcome":"true","segments":[{{"segment":"beta","outcome":"true","conditions":[{{"condition":{{"attr":"email","ends":["@example.com"]}},"outcome":"true","value":"mina@example.com","tests":[{{"test":{{"ends":["@example.com"]}},"outcome":"true"}}]}}]}}]}},{{"condition":{{"attr":"age","gte":18}},"outcome":"unknown","why":"attribute-missing","tests":[{{"test":{{"gte":18}},"outcome":"unknown","why":"attribute-missing"}}]}}]}}]}}"#
    );
    let version = |text: &str| {
        let json = Json::parse(text.as_bytes()).unwrap();
        json.member("version").unwrap().to_string()
    };
    let numbered = |text: &str, number: &str| text.replace(&format!("\"version\":{number}"), "\"version\":N");
    assert_eq!(numbered(&told, &version(&told)), numbered(&expected, "10"));
}

#[tokio::test]
async fn an_explanation_is_of_a_flag_that_is_there_and_of_a_time_that_can_be_known() {
    let world = World::with_flags().await;
    for (body, status, code) in [
        (r#"{"context":{},"flag":"nobody"}"#, StatusCode::NOT_FOUND, "flag-not-found"),
        (r#"{"context":{},"flag":"payments","seq":1}"#, StatusCode::NOT_FOUND, "environment-not-found"),
        (r#"{"context":{},"flag":"payments","seq":999}"#, StatusCode::BAD_REQUEST, "seq-beyond-head"),
        (r#"{"context":{},"flag":"payments","seq":0}"#, StatusCode::BAD_REQUEST, "seq-beyond-head"),
        (r#"{"context":{},"flag":"payments","seq":"1"}"#, StatusCode::BAD_REQUEST, "invalid-request"),
        (r#"{"context":{},"flag":"payments","at":"yesterday"}"#, StatusCode::BAD_REQUEST, "invalid-request"),
        (r#"{"context":{}}"#, StatusCode::BAD_REQUEST, "invalid-request"),
        (r#"{"context":[],"flag":"payments"}"#, StatusCode::BAD_REQUEST, "invalid-request"),
        (r#"{"context":{},"flag":"payments","user":1}"#, StatusCode::BAD_REQUEST, "invalid-request"),
    ] {
        let told = world.expect(status, post(&format!("{E}/explain"), body)).await;
        assert_eq!(told.code(), code, "{body}");
    }
}

#[tokio::test]
async fn entities_are_read_as_an_earlier_entry_left_them() {
    let world = World::with_flags().await;
    let before = world.log_head().await.unwrap();
    world.expect(StatusCode::OK, post(&format!("{E}/flags/payments/on"), "")).await;
    let targeting = format!("{E}/flags/payments");
    let now = world.expect(StatusCode::OK, get(&targeting)).await;
    let then = world.expect(StatusCode::OK, get(&format!("{targeting}?seq={before}"))).await;
    assert_eq!((member(&now.json(), "on"), member(&then.json(), "on")), ("true".into(), "false".into()));
    assert_eq!(member(&then.json(), "seq"), before.to_string());
    assert_eq!((now.header("etag"), then.header("etag")), (Some("\"2\""), None));
    for list in [
        "/v1/projects/demo/flags".to_owned(),
        "/v1/projects/demo/environments".to_owned(),
        format!("{E}/flags"),
        format!("{E}/segments"),
    ] {
        let told = world.expect(StatusCode::OK, get(&format!("{list}?seq={before}&limit=1"))).await.json();
        assert_eq!(member(&told, "seq"), before.to_string(), "{list}");
        let cursor = told.member("next").and_then(Json::as_str).map(ToOwned::to_owned);
        if let Some(cursor) = cursor {
            let more = format!("{list}?seq={before}&limit=1&cursor={cursor}");
            world.expect(StatusCode::OK, get(&more)).await;
        }
    }
    for one in ["/v1/projects/demo/flags/payments".to_owned(), E.to_owned(), format!("{E}/segments/beta")] {
        let told = world.expect(StatusCode::OK, get(&format!("{one}?seq={before}"))).await;
        assert_eq!((member(&told.json(), "seq"), told.header("etag")), (before.to_string(), None), "{one}");
    }
}

#[tokio::test]
async fn what_was_not_there_yet_is_not_found_and_what_is_to_come_is_refused() {
    let world = World::with_flags().await;
    for (uri, status, code) in [
        (format!("{E}/flags/payments?seq=3"), StatusCode::NOT_FOUND, "flag-not-found"),
        (format!("{E}/flags/payments?seq=1"), StatusCode::NOT_FOUND, "environment-not-found"),
        (
            format!("{E}/flags/payments?at=2026-11-21T11:59:59Z"),
            StatusCode::NOT_FOUND,
            "environment-not-found",
        ),
        (format!("{E}/segments/beta?seq=4"), StatusCode::NOT_FOUND, "segment-not-found"),
        (format!("{E}/flags?at=2026-11-21T12:00:01Z"), StatusCode::BAD_REQUEST, "at-in-future"),
        (format!("{E}/flags?seq=1000"), StatusCode::BAD_REQUEST, "seq-beyond-head"),
        (format!("{E}/flags?seq=2&at=2026-11-21T12:00:00Z"), StatusCode::BAD_REQUEST, "invalid-request"),
        (format!("{E}/flags?at=now"), StatusCode::BAD_REQUEST, "invalid-request"),
    ] {
        let told = world.expect(status, get(&uri)).await;
        assert_eq!(told.code(), code, "{uri}");
    }
    let all = world.expect(StatusCode::OK, get(&format!("{E}/flags?at=2026-11-21T12:00:00Z"))).await.json();
    assert_eq!(member(&all, "seq"), world.log_head().await.unwrap().to_string());
}
