//! Previews over HTTP: every shape of a body, what is refused and where, and that nothing is written.

use axum::http::StatusCode;
use flagstone_admin::MAX_PREVIEW_BODY_BYTES;
use flagstone_model::json::Json;

use crate::world::{World, post, put};

const E: &str = "/v1/projects/demo/environments/production";

fn path() -> String {
    format!("{E}/preview")
}

async fn told(world: &World, body: &str) -> Json<'static> {
    world.expect(StatusCode::OK, post(&path(), body)).await.json()
}

#[tokio::test]
async fn a_preview_tells_moves_and_the_exact_share_and_writes_nothing() {
    let world = World::with_flags().await;
    world.expect(StatusCode::OK, post(&format!("{E}/flags/payments/on"), "")).await;
    let flags = "/v1/projects/demo/flags";
    world.expect(StatusCode::CREATED, post(flags, r#"{"key":"search","type":"bool"}"#)).await;
    world.expect(StatusCode::OK, post(&format!("{E}/flags/search/on"), "")).await;
    let head = world.log_head().await.unwrap();
    // The buckets of the salt `search`: `u-3` lies in 93920, 42 in 40458 (FORMAT M-12.8).
    let body = r#"{"flag":"search","rollout":{"variation":"off","percent":50},"contexts":[{"targetingKey":"u-3"},{"targetingKey":42},{"plan":"pro"}]}"#;
    let answer = told(&world, body).await.to_string();
    let expected = format!(
        r#"{{"head":{head},"at":"2026-11-21T12:00:00Z","contexts":3,"changes":[{{"flag":"search","environment":"production","action":"updated","revision":2}}],"moved":1,"flags":[{{"flag":"search","moved":1,"otherwise":2,"groups":[{{"from":{{"value":true,"variation":"on","reason":"STATIC"}},"to":{{"value":false,"variation":"off","reason":"SPLIT","rule":"rollout"}},"contexts":1}}],"units":[{{"index":1,"unit":42,"group":0}}],"share":{{"among":"all","by":"targetingKey","of":100000,"moved":50000,"percent":50,"moves":[{{"from":"on","to":"off","buckets":50000,"percent":50}}]}}}}]}}"#
    );
    assert_eq!(answer, expected);
    let off = told(&world, r#"{"flag":"payments","on":false,"contexts":[{"targetingKey":7}]}"#).await;
    let flags = off.member("flags").and_then(Json::as_array).unwrap();
    assert_eq!(
        flags[1].to_string(),
        r#"{"flag":"payments","moved":1,"otherwise":0,"groups":[{"from":{"value":true,"variation":"on","reason":"STATIC"},"to":{"value":false,"variation":"off","reason":"DISABLED"},"contexts":1}],"units":[{"index":0,"unit":7,"group":0}],"share":{"among":"all","of":100000,"moved":100000,"percent":100,"moves":[{"from":"on","to":"off","buckets":100000,"percent":100}]}}"#
    );
    assert_eq!(world.log_head().await, Some(head));
}

#[tokio::test]
async fn every_shape_of_a_change_can_be_previewed() {
    let world = World::with_flags().await;
    world.expect(StatusCode::OK, post(&format!("{E}/flags/payments/on"), "")).await;
    let head = world.log_head().await.unwrap();
    for (body, reached) in [
        (r#"{"flag":"payments","on":false}"#.to_owned(), "needs-payments payments"),
        (r#"{"flag":"payments","targeting":{"on":true,"fallthrough":{"serve":"off"}}}"#.to_owned(), "needs-payments payments"),
        // What was read comes back as it is.
        (
            r#"{"flag":"payments","targeting":{"key":"payments","environment":"production","on":false,"revision":2},"revision":2}"#.to_owned(),
            "needs-payments payments",
        ),
        (r#"{"flag":"payments","definition":{"type":"bool","owner":"web"}}"#.to_owned(), "needs-payments payments"),
        (r#"{"flag":"dark-mode","archive":true}"#.to_owned(), "dark-mode"),
        (r#"{"segment":"beta","definition":{"key":"beta","include":["u-1"],"revision":1}}"#.to_owned(), "new-checkout"),
        (r#"{"segment":"other","definition":{"include":["u-1"]},"sample":{"size":3,"seed":9}}"#.to_owned(), ""),
        (format!(r#"{{"flag":"payments","restore":{{"seq":{head}}}}}"#), "needs-payments payments"),
        (format!(r#"{{"restore":{{"seq":{}}}}}"#, head - 1), "needs-payments payments"),
        (
            r#"{"changes":[{"segment":"beta","environment":"production","definition":{}},{"flag":"dark-mode","environment":"staging","targeting":{"on":true}}],"at":1795262400000}"#.to_owned(),
            "new-checkout",
        ),
    ] {
        let answer = told(&world, &body).await;
        let flags = answer.member("flags").and_then(Json::as_array).unwrap();
        let keys: Vec<_> = flags.iter().map(|flag| flag.member("flag").and_then(Json::as_str).unwrap()).collect();
        assert_eq!(keys.join(" "), reached, "{body}");
    }
    assert_eq!(world.log_head().await, Some(head));
}

#[tokio::test]
async fn a_reshuffle_moves_whom_its_preview_named_and_a_pause_those_who_would_have_joined() {
    const FLAG: &str = "/v1/projects/demo/environments/production/flags/payments";
    let world = World::with_flags().await;
    let halves = r#"{"weights":{"on":50000,"off":50000}}"#;
    let body = format!(r#"{{"on":true,"fallthrough":{{"rollout":{halves},"experiment":{{"name":"pay"}}}}}}"#);
    world.expect(StatusCode::OK, put(FLAG, &body)).await;
    let served = async || {
        let mut served = Vec::new();
        for number in 0..20 {
            let body = format!(r#"{{"flag":"payments","context":{{"targetingKey":"u-{number}"}}}}"#);
            let told = world.expect(StatusCode::OK, post(&format!("{E}/evaluate"), &body)).await;
            served.push(told.text().contains(r#""variation":"on""#));
        }
        served
    };
    let contexts: Vec<_> = (0..20).map(|number| format!(r#"{{"targetingKey":"u-{number}"}}"#)).collect();
    let body = format!(r#"{{"flag":"payments","reshuffle":{{}},"contexts":[{}]}}"#, contexts.join(","));
    let answer = told(&world, &body).await;
    let flags = answer.member("flags").and_then(Json::as_array).unwrap();
    let of = flags.iter().find(|of| of.member("flag").and_then(Json::as_str) == Some("payments")).unwrap();
    let units = of.member("units").and_then(Json::as_array).unwrap();
    let named: Vec<_> =
        units.iter().map(|unit| unit.member("index").and_then(Json::as_integer).unwrap()).collect();
    let before = served().await;
    world.expect(StatusCode::OK, post(&format!("{FLAG}/reshuffle"), "")).await;
    let after = served().await;
    let both = (0..).zip(before.iter().zip(&after));
    let moved: Vec<i64> =
        both.filter(|(_, (before, after))| before != after).map(|(index, _)| index).collect();
    assert!(!named.is_empty() && moved == named, "{moved:?} {named:?}");

    let steps = r#"[["2026-11-21T12:00:00Z","10%"],["2026-11-23T12:00:00Z","100%"]]"#;
    let body =
        format!(r#"{{"on":true,"fallthrough":{{"ramp":{{"serve":"on","steps":{steps}}},"serve":"off"}}}}"#);
    let written = world.ask(put(&format!("{FLAG}?confirm=true"), &body)).await;
    assert_eq!(written.status, StatusCode::OK, "{}", written.text());
    let moved = async |at: &str| {
        let body = format!(r#"{{"flag":"payments","pause":{{}},"sample":{{"size":200}}{at}}}"#);
        told(&world, &body).await.member("moved").and_then(Json::as_integer)
    };
    assert_eq!(moved("").await, Some(0));
    assert!(moved(r#","at":"2026-11-24T00:00:00Z""#).await > Some(100));
}

#[tokio::test]
async fn what_is_wrong_is_told_where_it_stands_in_the_body() {
    let world = World::with_flags().await;
    for (body, code, pointer) in [
        ("{}", "invalid-request", ""),
        (r#"{"flag":"payments"}"#, "invalid-request", ""),
        (r#"{"flag":"payments","on":true,"of":1}"#, "invalid-request", "/of"),
        (r#"{"flag":"payments","on":1}"#, "invalid-request", "/on"),
        (r#"{"on":true}"#, "invalid-request", "/flag"),
        (r#"{"flag":"payments","on":true,"revision":-1}"#, "invalid-request", "/revision"),
        (r#"{"flag":"payments","rollout":{"variation":"on"}}"#, "invalid-request", "/rollout/percent"),
        (r#"{"flag":"payments","rollout":1}"#, "invalid-request", "/rollout"),
        (
            r#"{"flag":"payments","targeting":{"on":true,"fallthrough":{"serve":"x"}}}"#,
            "invalid-request",
            "/targeting/fallthrough/serve",
        ),
        (
            r#"{"flag":"payments","targeting":{"on":true,"rules":[{"id":"r","if":[{"segment":["x"]}],"serve":"on"}]}}"#,
            "dangling-reference",
            "/targeting/rules/0/if/0/segment",
        ),
        (
            r#"{"flag":"payments","environment":"staging","targeting":{"on":true}}"#,
            "invalid-request",
            "/environment",
        ),
        (
            r#"{"changes":[{"flag":"payments","environment":"production","targeting":{}}]}"#,
            "invalid-request",
            "/changes/0/targeting/on",
        ),
        (r#"{"flag":"payments","on":true,"contexts":[{},1]}"#, "invalid-request", "/contexts/1"),
        (r#"{"flag":"payments","on":true,"contexts":[]}"#, "invalid-request", "/contexts"),
        (r#"{"flag":"payments","on":true,"contexts":{}}"#, "invalid-request", "/contexts"),
        (r#"{"flag":"payments","on":true,"sample":{"size":0}}"#, "invalid-request", "/sample/size"),
        (r#"{"flag":"payments","on":true,"sample":{"of":1}}"#, "invalid-request", "/sample/of"),
        (r#"{"flag":"payments","on":true,"sample":{},"contexts":[{}]}"#, "invalid-request", "/sample"),
        (r#"{"flag":"payments","on":true,"at":"soon"}"#, "invalid-request", "/at"),
        (r#"{"flag":"payments","restore":{"seq":999}}"#, "invalid-request", "/restore/seq"),
    ] {
        let answer = world.expect(StatusCode::BAD_REQUEST, post(&path(), body)).await;
        let at = answer.json().member("pointer").and_then(Json::as_str).map(str::to_owned);
        assert_eq!(
            (&*answer.code(), at.unwrap_or_default().as_str()),
            (code, pointer),
            "{body}: {}",
            answer.text()
        );
    }
    for (body, status, code) in [
        (r#"{"flag":"nobody","on":true}"#, StatusCode::NOT_FOUND, "flag-not-found"),
        (r#"{"flag":"payments","on":true,"revision":7}"#, StatusCode::PRECONDITION_FAILED, "stale-revision"),
        (
            r#"{"flag":"payments","targeting":{"on":true},"revision":7}"#,
            StatusCode::PRECONDITION_FAILED,
            "stale-revision",
        ),
        (r#"{"flag":"old-banner","definition":{"type":"bool"}}"#, StatusCode::CONFLICT, "key-retired"),
    ] {
        assert_eq!(world.expect(status, post(&path(), body)).await.code(), code, "{body}");
    }
    let matched = post(&path(), r#"{"flag":"payments","on":true}"#).header("if-match", "\"1\"");
    world.expect(StatusCode::BAD_REQUEST, matched).await;
}

#[tokio::test]
async fn a_body_may_bring_more_contexts_than_other_bodies_have_bytes() {
    let world = World::with_flags().await;
    let context = format!(r#"{{"targetingKey":"u-1","about":"{}"}}"#, "x".repeat(300));
    let of = |count: usize| {
        let contexts = vec![context.clone(); count].join(",");
        format!(r#"{{"flag":"dark-mode","on":true,"contexts":[{contexts}]}}"#)
    };
    let body = of(10_000);
    assert!(body.len() > flagstone_admin::MAX_BODY_BYTES);
    let answer = told(&world, &body).await;
    assert_eq!(answer.member("moved").and_then(Json::as_integer), Some(10_000));
    let body = of(MAX_PREVIEW_BODY_BYTES / 300);
    world.expect(StatusCode::PAYLOAD_TOO_LARGE, post(&path(), &body)).await;
    let elsewhere =
        world.expect(StatusCode::PAYLOAD_TOO_LARGE, put(&format!("{E}/segments/beta"), &of(10_000))).await;
    assert_eq!(elsewhere.code(), "too-large");
}

#[tokio::test]
async fn a_viewer_previews_where_he_may_read() {
    let world = World::with_flags().await;
    let (_, token) = world.token(r#"{"name":"x","role":"viewer","environments":["production"]}"#).await;
    let here = r#"{"flag":"payments","on":true}"#;
    world.expect(StatusCode::OK, post(&path(), here).by(&token)).await;
    for elsewhere in [
        r#"{"changes":[{"flag":"payments","environment":"staging","targeting":{"on":true}}]}"#,
        r#"{"flag":"payments","definition":{"type":"bool"}}"#,
    ] {
        let answer = world.expect(StatusCode::FORBIDDEN, post(&path(), elsewhere).by(&token)).await;
        assert_eq!(answer.code(), "forbidden", "{elsewhere}");
    }
}
