//! Experiments over HTTP: what a write says of phases, and what is recorded.

use axum::http::StatusCode;

use crate::world::*;

const E: &str = "/v1/projects/demo/environments/production";
const FLAG: &str = "/v1/projects/demo/environments/production/flags/payments";

fn targeting(weights: &str) -> String {
    format!(
        r#"{{"on":true,"off":"off","holdouts":[{{"name":"h","share":"5%","serve":"off"}}],"rules":[{{"id":"test","layer":{{"name":"l","share":"40%"}},"rollout":{{"weights":{weights}}},"experiment":{{"name":"pay"}}}}],"fallthrough":{{"serve":"off"}}}}"#
    )
}

const NEW: &str = r#"[{"rule":"h","from":null,"to":"h","because":["new"]},{"rule":"test","from":null,"to":"pay.1","because":["new"]}]"#;

fn phases(told: &Told) -> String {
    told.json().member("phases").map_or_else(String::new, ToString::to_string)
}

#[tokio::test]
async fn a_write_says_which_phases_it_began_and_so_does_its_retry() {
    let world = World::with_flags().await;
    let body = targeting(r#"{"on":10000,"off":10000}"#);
    let ask = || put(FLAG, &body).header("idempotency-key", "first");
    let told = world.expect(StatusCode::OK, ask()).await;
    assert_eq!(phases(&told), NEW);
    assert_eq!(phases(&world.expect(StatusCode::OK, ask()).await), NEW);
    // It is no part of the targeting; what was answered may be sent back.
    assert_eq!(phases(&world.expect(StatusCode::OK, get(FLAG)).await), "");
    let again = world.expect(StatusCode::OK, put(FLAG, &told.text())).await;
    assert_eq!(phases(&again), "");
    let grown = world.expect(StatusCode::OK, put(FLAG, &targeting(r#"{"on":"50%","off":"50%"}"#))).await;
    assert_eq!(phases(&grown), "");
    let reshuffled =
        world.expect(StatusCode::OK, post(&format!("{FLAG}/reshuffle"), r#"{"reason":"anew"}"#)).await;
    let began = r#"[{"rule":"test","from":"pay.1","to":"pay.2","because":["salt","variation"]}]"#;
    assert_eq!(phases(&reshuffled), began);
    let history = world.expect(StatusCode::OK, get(&format!("{FLAG}/history?limit=1"))).await.json();
    let item = &history.member("items").unwrap().as_array().unwrap()[0];
    assert_eq!(item.member("phases").unwrap().to_string(), began);
    assert_eq!(
        item.member("summary").unwrap().as_str().unwrap(),
        "written again as it was; phase pay.2 begins (its salt changed, some are served another variation, or left)"
    );
    let refused = world.ask(post(&format!("{FLAG}/reshuffle"), r#"{"rule":"h"}"#)).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::BAD_REQUEST, "invalid-request".to_owned()));
}

#[tokio::test]
async fn several_changes_say_it_of_each_and_a_trial_before_anything_is_written() {
    let world = World::with_flags().await;
    let body = targeting(r#"{"on":10000,"off":10000}"#);
    let changes =
        format!(r#"{{"changes":[{{"flag":"payments","environment":"production","targeting":{body}}}]}}"#);
    let path = "/v1/projects/demo/changes";
    for path in [format!("{path}?dry_run=true"), path.to_owned()] {
        let told = world.expect(StatusCode::OK, post(&path, &changes)).await.json();
        let change = &told.member("changes").unwrap().as_array().unwrap()[0];
        assert_eq!(change.member("phases").unwrap().to_string(), NEW, "{path}");
    }
}

#[tokio::test]
async fn what_is_recorded_is_listed_with_its_phase_slot_and_holdouts() {
    let world = World::with_flags().await;
    let none = world.expect(StatusCode::OK, get(&format!("{E}/experiments"))).await;
    assert_eq!(none.text(), r#"{"items":[]}"#);
    let seq = world.log_head().await.unwrap();
    world.expect(StatusCode::OK, put(FLAG, &targeting(r#"{"on":10000,"off":10000}"#))).await;
    let items = [
        r#"{"kind":"experiment","name":"pay","flag":"payments","rule":"test","on":true,"phase":1,"exp":"pay.1","by":"targetingKey","salt":"pay.1","weights":{"off":10000,"on":10000},"layer":{"name":"l","share":40000,"in":[[0,40000]]},"holdouts":["h"]}"#,
        r#"{"kind":"holdout","name":"h","by":"targetingKey","share":5000,"flags":[{"flag":"payments","rule":"h","on":true,"serve":"off","exp":"h"}]}"#,
        r#"{"kind":"layer","name":"l","by":"targetingKey","free":60000,"slots":[{"flag":"payments","rule":"test","experiment":"pay","share":40000,"in":[[0,40000]]}]}"#,
    ];
    let all = world.expect(StatusCode::OK, get(&format!("{E}/experiments"))).await;
    assert_eq!(all.text(), format!(r#"{{"items":[{}]}}"#, items.join(",")));
    let mut cursor = String::new();
    for (index, item) in items.iter().enumerate() {
        let page =
            world.expect(StatusCode::OK, get(&format!("{E}/experiments?limit=1{cursor}"))).await.json();
        assert_eq!(page.member("items").unwrap().to_string(), format!("[{item}]"));
        let next = page.member("next").and_then(|next| next.as_str());
        assert_eq!(next.is_some(), index < 2);
        cursor = next.map(|next| format!("&cursor={next}")).unwrap_or_default();
    }
    let before = world.expect(StatusCode::OK, get(&format!("{E}/experiments?seq={seq}"))).await;
    assert_eq!(before.text(), format!(r#"{{"items":[],"seq":{seq}}}"#));
}
