//! Lists: large sets of keys.

use axum::http::StatusCode;
use flagstone_admin::{MAX_BODY_BYTES, MAX_LIST_BODY_BYTES};
use flagstone_model::json::Json;

use crate::world::{Ask, Told, World, delete, get, patch, put};

const E: &str = "/v1/projects/demo/environments/production";
const VIPS: &str = "/v1/projects/demo/environments/production/lists/vips";

fn text(uri: &str, body: &str) -> Ask {
    put(uri, body).header("content-type", "text/plain; charset=utf-8")
}

fn number(told: &Told, path: &[&str]) -> i64 {
    let json = told.json();
    path.iter().try_fold(&json, |json, name| json.member(name)).and_then(Json::as_integer).unwrap()
}

async fn contains(world: &World, key: &str) -> bool {
    let told = world.expect(StatusCode::OK, get(&format!("{VIPS}?key={key}"))).await.json();
    told.member("contains").and_then(Json::as_bool).unwrap()
}

async fn keys(world: &World) -> String {
    let ask = get(&format!("{VIPS}/keys")).header("accept", "text/plain");
    let told = world.expect(StatusCode::OK, ask).await;
    assert_eq!(told.header("content-type"), Some("text/plain; charset=utf-8"));
    told.text()
}

#[tokio::test]
async fn a_list_is_written_edited_looked_at_and_deleted() {
    let world = World::new().await;
    let made = world.expect(StatusCode::CREATED, put(VIPS, r#"{"keys":["u-2","u-1","u-2"]}"#)).await;
    assert_eq!((number(&made, &["count"]), made.header("etag")), (2, Some("\"1\"")));
    assert_eq!(keys(&world).await, "u-1\nu-2\n");
    let edited =
        world.expect(StatusCode::OK, patch(VIPS, r#"{"add":["u-3","u-1"],"drop":["u-2","u-9"]}"#)).await;
    assert_eq!((number(&edited, &["changed", "added"]), number(&edited, &["changed", "dropped"])), (1, 1));
    assert_eq!((number(&edited, &["edits", "add"]), number(&edited, &["edits", "drop"])), (1, 1));
    assert!(contains(&world, "u-3").await && contains(&world, "u-1").await && !contains(&world, "u-2").await);
    // Written whole, as text: what differs little stays an edit of the object that is there.
    let whole = world.expect(StatusCode::OK, text(VIPS, "u-1\nu-3\nu-4")).await;
    let object = |told: &Told| told.json().member("object").unwrap().to_string();
    assert_eq!((number(&whole, &["count"]), object(&whole)), (3, object(&made)));
    let anew = world.expect(StatusCode::OK, text(&format!("{VIPS}?rebase=true"), "u-1\nu-3\nu-4\n")).await;
    assert_ne!(object(&anew), object(&made));
    assert_eq!(number(&anew, &["edits", "add"]), 0);
    assert_eq!(keys(&world).await, "u-1\nu-3\nu-4\n");
    let listed = world.expect(StatusCode::OK, get(&format!("{E}/lists"))).await.json();
    assert_eq!(listed.member("items").and_then(Json::as_array).unwrap().len(), 1);
    world.expect(StatusCode::OK, delete(VIPS)).await;
    assert_eq!(world.expect(StatusCode::NOT_FOUND, get(VIPS)).await.code(), "list-not-found");
    assert_eq!(world.expect(StatusCode::CONFLICT, put(VIPS, r#"{"keys":[]}"#)).await.code(), "key-retired");
}

#[tokio::test]
async fn keys_come_in_pages_and_as_they_were() {
    let world = World::new().await;
    world.expect(StatusCode::CREATED, text(VIPS, "a\nb\nc\n")).await;
    let first = world.log_head().await.unwrap();
    world.expect(StatusCode::OK, patch(VIPS, r#"{"add":["aa","ü"],"drop":["b"]}"#)).await;
    let mut found = Vec::new();
    let mut next = String::new();
    loop {
        let page = world.expect(StatusCode::OK, get(&format!("{VIPS}/keys?limit=2{next}"))).await.json();
        let items = page.member("items").and_then(Json::as_array).unwrap().iter();
        found.extend(items.map(|key| key.as_str().unwrap().to_owned()));
        match page.member("next").and_then(Json::as_str) {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(found, ["a", "aa", "c", "ü"]);
    let then = get(&format!("{VIPS}/keys?seq={first}")).header("accept", "text/plain");
    assert_eq!(world.expect(StatusCode::OK, then).await.text(), "a\nb\nc\n");
    let was = world.expect(StatusCode::OK, get(&format!("{VIPS}?seq={first}&key=b"))).await.json();
    assert_eq!(was.member("contains").and_then(Json::as_bool), Some(true));
}

#[tokio::test]
async fn a_change_of_a_list_is_told_by_how_many_keys_moved() {
    let world = World::new().await;
    world.expect(StatusCode::CREATED, text(VIPS, "a\nb\nc\n")).await;
    world.expect(StatusCode::OK, patch(VIPS, r#"{"add":["d","e","f"],"drop":["b"]}"#)).await;
    world.expect(StatusCode::OK, patch(VIPS, r#"{"add":["d"]}"#)).await;
    world.expect(StatusCode::OK, text(&format!("{VIPS}?rebase=true"), "a\nc\nd\ne\nf\n")).await;
    let history = world.expect(StatusCode::OK, get(&format!("{VIPS}/history"))).await.json();
    let items = history.member("items").and_then(Json::as_array).unwrap().iter();
    let words: Vec<_> = items.map(|item| item.member("summary").and_then(Json::as_str).unwrap()).collect();
    assert_eq!(words, ["written again as it was", "+3 keys, −1 key", "created"]);
}

#[tokio::test]
async fn what_is_no_list_is_refused_with_its_line_and_nothing_is_written() {
    let world = World::new().await;
    world.expect(StatusCode::CREATED, text(VIPS, "a\n")).await;
    let before = world.log_head().await;
    for (body, said) in [
        (&b"a\n\nb\n"[..], "line 2 is empty"),
        (b"a\nb\n\xFF\n", "line 3 is not UTF-8"),
        (b"a\tb\n", "line 1 has a control character"),
        (b"a\r\n", "line 1 ends in a carriage return"),
    ] {
        let ask = text(VIPS, "").bytes(body);
        let told = world.expect(StatusCode::BAD_REQUEST, ask).await;
        assert_eq!(told.code(), "invalid-request");
        assert!(told.text().contains(said), "{}", told.text());
    }
    for (method, body, pointer) in [
        ("PUT", r#"{"keys":["a",""]}"#, "/keys/1"),
        ("PUT", r#"{"key":"vips"}"#, "/keys"),
        ("PATCH", "{}", ""),
        ("PATCH", r#"{"add":["a"],"drop":["a"]}"#, "/drop"),
    ] {
        let told = world.expect(StatusCode::BAD_REQUEST, Ask::new(method, VIPS, body)).await;
        assert!(told.text().contains(&format!(r#""pointer":"{pointer}""#)), "{}", told.text());
    }
    let missing = format!("{E}/lists/vip");
    assert_eq!(
        world.expect(StatusCode::NOT_FOUND, patch(&missing, r#"{"add":["a"]}"#)).await.code(),
        "list-not-found"
    );
    let latin = put(VIPS, "a\n").header("content-type", "text/plain; charset=latin1");
    assert_eq!(
        world.expect(StatusCode::UNSUPPORTED_MEDIA_TYPE, latin).await.code(),
        "unsupported-media-type"
    );
    assert_eq!((world.log_head().await, keys(&world).await.as_str()), (before, "a\n"));
}

#[tokio::test]
async fn a_body_may_be_large_only_where_a_list_is_written_as_text() {
    let world = World::new().await;
    let lines: String = (0..150_000).map(|number| format!("user-{number:06}\n")).collect();
    assert!(lines.len() > MAX_BODY_BYTES);
    let length = lines.len().to_string();
    let large = text(VIPS, &lines).header("content-length", &length);
    let made = world.expect(StatusCode::CREATED, large).await;
    assert_eq!(number(&made, &["count"]), 150_000);
    assert!(contains(&world, "user-149999").await);
    let large = |ask: Ask| ask.bytes(lines.as_bytes()).header("content-length", &length);
    for ask in [patch(VIPS, ""), put(&format!("{E}/segments/x"), "")] {
        assert_eq!(world.expect(StatusCode::PAYLOAD_TOO_LARGE, large(ask)).await.code(), "too-large");
    }
    let keys: Vec<_> = (0..150_000).map(|number| format!("\"u-{number:06}\"")).collect();
    let json = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
    let ask = put(VIPS, &json).header("content-length", &json.len().to_string());
    let told = world.expect(StatusCode::PAYLOAD_TOO_LARGE, ask).await;
    assert!(told.code() == "too-large" && told.text().contains("text/plain"), "{}", told.text());
    // A length that is told is believed before a byte is read.
    let over = (MAX_LIST_BODY_BYTES + 1).to_string();
    let told =
        world.expect(StatusCode::PAYLOAD_TOO_LARGE, text(VIPS, "a\n").header("content-length", &over)).await;
    assert_eq!(told.code(), "too-large");
    assert!(contains(&world, "user-149999").await);
}

#[tokio::test]
async fn a_retry_of_a_large_list_happens_once_and_another_body_under_its_key_is_refused() {
    let world = World::new().await;
    let large: String = (0..1_100).map(|number| format!("{number:01000}\n")).collect();
    let ask = |body: String| {
        let length = body.len().to_string();
        text(VIPS, &body).header("content-length", &length).header("idempotency-key", "nightly-1")
    };
    let first = world.expect(StatusCode::CREATED, ask(large.clone())).await;
    let again = world.expect(StatusCode::CREATED, ask(large.clone())).await;
    assert_eq!(number(&first, &["seq"]), number(&again, &["seq"]));
    let other = world.expect(StatusCode::UNPROCESSABLE_ENTITY, ask(large + "z\n")).await;
    assert_eq!(other.code(), "idempotency-key-reused");
}

#[tokio::test]
async fn a_stale_write_of_a_list_is_refused() {
    let world = World::new().await;
    world.expect(StatusCode::CREATED, put(VIPS, r#"{"keys":["a"]}"#).header("if-none-match", "*")).await;
    world.expect(StatusCode::OK, patch(VIPS, r#"{"add":["b"]}"#).header("if-match", "\"1\"")).await;
    for ask in [put(VIPS, r#"{"keys":[]}"#), patch(VIPS, r#"{"drop":["a"]}"#), delete(VIPS)] {
        let told = world.expect(StatusCode::PRECONDITION_FAILED, ask.header("if-match", "\"1\"")).await;
        assert_eq!((told.code().as_str(), number(&told, &["current_revision"])), ("stale-revision", 2));
    }
    assert_eq!(keys(&world).await, "a\nb\n");
}

#[tokio::test]
async fn a_list_that_is_named_is_not_deleted_and_one_that_is_not_there_is_not_named() {
    let world = World::with_flags().await;
    let rule = r#"{"rules":[{"if":[{"attr":"targetingKey","listed":"vips"}]}]}"#;
    let segment = format!("{E}/segments/vip");
    let refused = world.expect(StatusCode::BAD_REQUEST, put(&segment, rule)).await;
    assert_eq!(refused.code(), "dangling-reference");
    assert!(refused.text().contains("/rules/0/if/0/listed"), "{}", refused.text());
    world.expect(StatusCode::CREATED, put(VIPS, r#"{"keys":["u-1"]}"#)).await;
    world.expect(StatusCode::CREATED, put(&segment, rule)).await;
    let kept = world.expect(StatusCode::BAD_REQUEST, delete(VIPS)).await;
    assert!(kept.code() == "dangling-reference" && kept.text().contains("segment `vip`"), "{}", kept.text());
    world.expect(StatusCode::OK, delete(&segment)).await;
    world.expect(StatusCode::OK, delete(VIPS)).await;
}
