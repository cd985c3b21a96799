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
            for elsewhere in [String::new(), format!("seq={}&", before - 1)] {
                let mixed = format!("{list}?{elsewhere}limit=1&cursor={cursor}");
                world.expect(StatusCode::BAD_REQUEST, get(&mixed)).await;
            }
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

#[tokio::test]
async fn an_audit_tells_a_user_what_altered_his_result() {
    let world = World::with_flags().await;
    let e = format!("{E}/flags/payments");
    world.expect(StatusCode::OK, post(&format!("{e}/on"), r#"{"reason":"launch"}"#)).await;
    let body = r#"{"on":true,"off":"off","deny":{"off":["u-42"]},"fallthrough":{"serve":"on"}}"#;
    world.expect(StatusCode::OK, put(&e, body)).await;
    let seq = world.log_head().await.unwrap();
    let audit = format!("{e}/audit?user_id=u-42");
    let told = world.expect(StatusCode::OK, get(&audit)).await.json();
    assert_eq!(
        told.member("exit").and_then(|exit| exit.member("code")).and_then(Json::as_str),
        Some("rule-served")
    );
    let changes = told.member("changes").unwrap().as_array().unwrap();
    assert_eq!(
        changes[0].to_string(),
        format!(
            r#"{{"seq":{seq},"time":"2026-11-21T12:00:00Z","by":"entry","actor":{{"type":"token","id":"admin","via":"api","name":"Ada Canary"}},"entities":["flag/production/payments"],"from":{{"value":true,"variation":"on","reason":"STATIC"}},"to":{{"value":false,"variation":"off","reason":"TARGETING_MATCH","rule":"deny:off"}}}}"#
        )
    );
    assert_eq!(member(&changes[1], "reason"), "\"launch\"");
    assert_eq!((changes.len(), member(&changes[2], "from").as_str()), (3, "null"));
    let first = world.expect(StatusCode::OK, get(&format!("{audit}&limit=1"))).await.json();
    let cursor = first.member("next").and_then(Json::as_str).unwrap().to_owned();
    let rest = world.expect(StatusCode::OK, get(&format!("{audit}&limit=9&cursor={cursor}"))).await.json();
    assert_eq!(rest.member("changes").unwrap().as_array().unwrap(), &changes[1..]);
    for (query, code) in [
        ("", "invalid-request"),
        ("?user_id=", "invalid-request"),
        ("?user_id=u&at=2030-01-01T00:00:00Z&seq=1", "invalid-request"),
        ("?user_id=u&cursor=AAAA", "invalid-request"),
    ] {
        let told = world.expect(StatusCode::BAD_REQUEST, get(&format!("{e}/audit{query}"))).await;
        assert_eq!(told.code(), code, "{query}");
    }
}

#[tokio::test]
async fn segments_definitions_and_environments_have_histories_in_words() {
    let world = World::with_flags().await;
    let segment = format!("{E}/segments/beta");
    world.expect(StatusCode::OK, put(&segment, r#"{"include":["u-1"]}"#)).await;
    for (list, summary, count) in [
        (format!("{segment}/history"), "inclusion of u-1 added; rules changed", 2),
        ("/v1/projects/demo/flags/old-banner/history".to_owned(), "archived", 2),
        (format!("{E}/history"), "created", 1),
    ] {
        let told = world.expect(StatusCode::OK, get(&list)).await.json();
        let items = told.member("items").unwrap().as_array().unwrap();
        assert_eq!((items[0].member("summary").and_then(Json::as_str), items.len()), (Some(summary), count));
    }
    let missing = world.expect(StatusCode::NOT_FOUND, get(&format!("{E}/segments/nobody/history"))).await;
    assert_eq!(missing.code(), "segment-not-found");
}

#[tokio::test]
async fn a_time_of_which_the_data_has_been_erased_is_refused() {
    let world = World::with_flags().await;
    let targeting = |user: &str| {
        format!(r#"{{"on":true,"targets":{{"on":["{user}"]}},"fallthrough":{{"serve":"off"}}}}"#)
    };
    let path = format!("{E}/flags/dark-mode");
    let first = world.expect(StatusCode::OK, put(&path, &targeting("user-4711"))).await;
    let seq = first.json().member("seq").and_then(Json::as_integer).unwrap();
    world.expect(StatusCode::OK, put(&path, &targeting("user-2"))).await;
    world.expect(StatusCode::OK, post("/v1/projects/demo/erase", r#"{"user_id":"user-4711"}"#)).await;
    let body = format!(r#"{{"flag":"dark-mode","context":{{"targetingKey":"u"}},"seq":{seq}}}"#);
    for request in [
        get(&format!("{path}?seq={seq}")),
        get(&format!("{E}/flags?seq={seq}")),
        post(&format!("{E}/evaluate"), &body),
        post(&format!("{E}/explain"), &body),
    ] {
        let refused = world.expect(StatusCode::NOT_FOUND, request).await;
        assert_eq!(refused.code(), "data-erased");
    }
    world.expect(StatusCode::OK, get(&format!("{path}/audit?user_id=u"))).await;
}
