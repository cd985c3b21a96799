//! Pages of lists.

use axum::http::StatusCode;
use flagstone_model::json::Json;

use crate::world::{World, get, post};

const P: &str = "/v1/projects/demo";
const E: &str = "/v1/projects/demo/environments/production";

/// The members `name` of all items, page by page.
async fn walk(world: &World, path: &str, name: &str, limit: usize) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = String::new();
    loop {
        let answer = world.expect(StatusCode::OK, get(&format!("{path}?limit={limit}{next}"))).await.json();
        let items = answer.member("items").and_then(Json::as_array).unwrap();
        let of = |item: &Json<'_>| item.member(name).map(|value| value.to_string().replace('"', ""));
        pages.push(items.iter().filter_map(of).collect());
        match answer.member("next").and_then(Json::as_str) {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn pages_hold_every_item_once_and_in_order() {
    let world = World::with_flags().await;
    let all = ["dark-mode", "needs-payments", "new-checkout", "payments"];
    for path in [format!("{P}/flags"), format!("{E}/flags")] {
        assert_eq!(walk(&world, &path, "key", 100).await, [all]);
        assert_eq!(walk(&world, &path, "key", 4).await, [all], "no empty page at the end");
        assert_eq!(walk(&world, &path, "key", 3).await.concat(), all);
        assert_eq!(walk(&world, &path, "key", 1).await.len(), 4);
    }
    assert_eq!(
        walk(&world, &format!("{P}/environments"), "key", 1).await.concat(),
        ["production", "staging"]
    );
    assert_eq!(walk(&world, &format!("{E}/segments"), "key", 1).await.concat(), ["beta"]);
}

#[tokio::test]
async fn a_cursor_holds_in_its_own_list_only_and_survives_the_item_it_names() {
    let world = World::with_flags().await;
    let answer = world.ask(get(&format!("{P}/flags?limit=1"))).await.json();
    let cursor = answer.member("next").and_then(Json::as_str).unwrap().to_owned();
    for other in [
        format!("{E}/flags"),
        format!("{P}/environments"),
        format!("{P}/log"),
        format!("{E}/flags/payments/history"),
    ] {
        let answer = world.ask(get(&format!("{other}?cursor={cursor}"))).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::BAD_REQUEST, "invalid-request"),
            "{other}"
        );
    }
    world.expect(StatusCode::OK, crate::world::delete(&format!("{P}/flags/dark-mode"))).await;
    let rest = world.expect(StatusCode::OK, get(&format!("{P}/flags?limit=1&cursor={cursor}"))).await.json();
    let items = rest.member("items").and_then(Json::as_array).unwrap();
    assert_eq!(items[0].member("key").and_then(Json::as_str), Some("needs-payments"));
}

#[tokio::test]
async fn history_and_log_are_walked_page_by_page() {
    let world = World::with_flags().await;
    for action in ["on", "off", "on"] {
        world.expect(StatusCode::OK, post(&format!("{E}/flags/dark-mode/{action}"), "")).await;
    }
    let history = format!("{E}/flags/dark-mode/history");
    let whole = walk(&world, &history, "seq", 100).await.concat();
    assert_eq!(whole.len(), 4, "three switches and the definition");
    assert_eq!(walk(&world, &history, "seq", 1).await.concat(), whole);
    let head = world.log_head().await.unwrap();
    let hashes = walk(&world, &format!("{P}/log"), "hash", 2).await;
    assert_eq!(hashes.concat().len() as u64, head);
    let tail = world.expect(StatusCode::OK, get(&format!("{P}/log?after={}", head - 1))).await.json();
    assert_eq!(tail.member("items").and_then(Json::as_array).unwrap().len(), 1);
    let beyond = world.expect(StatusCode::OK, get(&format!("{P}/log?after={head}"))).await;
    assert_eq!(beyond.text(), r#"{"items":[]}"#);
}
