//! The bucket as a CDN serves it.

use axum::http::{StatusCode, Uri};
use flagstone_admin::cdn::{KeyScope, StaticSdkKeys};
use flagstone_model::digest::Digest;
use flagstone_model::key::{EnvironmentId, ProjectId};
use flagstone_publisher::store::{ObjectPath, ObjectStore};
use serde_json::Value;

use crate::world::{Ask, FOREIGN_KEY, PRODUCTION_KEY, STAGING_KEY, TOKEN, Told, World, get};

const MANIFEST: &str = "closed/demo/v1/e/production/server/manifest";
const MANIFEST_CACHE: &str =
    "public, max-age=0, s-maxage=1, stale-while-revalidate=0, stale-if-error=86400, no-transform";
const OBJECT_CACHE: &str = "public, max-age=31536000, immutable, no-transform";

fn fetch(path: &str, key: Option<&str>) -> Ask {
    let ask = get(&format!("/cdn/{path}")).authorization(None);
    match key {
        Some(key) => ask.header("x-flagstone-key", key),
        None => ask,
    }
}

fn head(path: &str, key: &str) -> Ask {
    Ask::new("HEAD", &format!("/cdn/{path}"), "").authorization(None).header("x-flagstone-key", key)
}

fn paths(world: &World, part: &str) -> Vec<String> {
    let all = world.store.paths();
    all.iter().map(|path| path.as_str().to_owned()).filter(|path| path.contains(part)).collect()
}

fn assert_object(told: &Told, cache: &str) {
    assert_eq!(told.status, StatusCode::OK, "{}", told.text());
    assert_eq!(told.header("content-type"), Some("application/octet-stream"));
    assert_eq!(told.header("cache-control"), Some(cache));
    assert_eq!(told.header("content-encoding"), None);
    assert_eq!(told.header("x-content-type-options"), Some("nosniff"));
    let etag = told.header("etag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
}

#[tokio::test]
async fn every_published_object_is_served_byte_for_byte_with_its_headers() {
    let world = World::with_flags().await;
    let all = paths(&world, "");
    for part in ["/manifest", "/m/1-", "/s/", "/d/", "/root/1"] {
        assert!(all.iter().any(|path| path.contains(part)), "{part} among {all:?}");
    }
    for path in all {
        let key = if path.contains("/e/staging/") { STAGING_KEY } else { PRODUCTION_KEY };
        let cache = if path.ends_with("/manifest") { MANIFEST_CACHE } else { OBJECT_CACHE };
        let told = world.ask(fetch(&path, Some(key))).await;
        assert_object(&told, cache);
        let stored = world.store.get(&ObjectPath::parse(&path).unwrap()).await.unwrap().unwrap();
        assert_eq!(told.body, stored.bytes, "{path}");
        assert_eq!(told.header("content-length"), Some(stored.bytes.len().to_string().as_str()));
        let headed = world.ask(head(&path, key)).await;
        assert_object(&headed, cache);
        assert!(headed.body.is_empty());
        assert_eq!(headed.header("content-length"), told.header("content-length"), "{path}");
        assert_eq!(headed.header("etag"), told.header("etag"));
    }
}

#[tokio::test]
async fn what_the_client_has_is_304_until_it_changes() {
    let world = World::with_flags().await;
    let etag = world.ask(fetch(MANIFEST, Some(PRODUCTION_KEY))).await.header("etag").unwrap().to_owned();
    let conditional = |etag: &str| fetch(MANIFEST, Some(PRODUCTION_KEY)).header("if-none-match", etag);
    for known in [etag.clone(), format!("W/{etag}"), "*".to_owned(), format!("\"x\",{etag}")] {
        let told = world.ask(conditional(&known)).await;
        assert_eq!(told.status, StatusCode::NOT_MODIFIED, "{known}");
        assert!(told.body.is_empty());
        assert_eq!(told.header("etag"), Some(etag.as_str()));
        assert_eq!(told.header("cache-control"), Some(MANIFEST_CACHE));
    }
    assert_object(&world.ask(conditional("not a tag")).await, MANIFEST_CACHE);
    let on = "/v1/projects/demo/environments/production/flags/payments/on";
    world.expect(StatusCode::OK, crate::world::post(on, "")).await;
    let told = world.ask(conditional(&etag)).await;
    assert_object(&told, MANIFEST_CACHE);
    assert_ne!(told.header("etag"), Some(etag.as_str()));
}

#[tokio::test]
async fn closed_objects_take_the_key_of_their_environment_or_project() {
    let world = World::with_flags().await;
    let archived = paths(&world, "/e/production/server/m/").remove(0);
    let snapshot = paths(&world, "/s/").remove(0);
    for path in [MANIFEST, &archived, &snapshot] {
        for ask in [
            fetch(path, None),
            fetch(path, Some("")),
            fetch(path, Some(PRODUCTION_KEY)).header("x-flagstone-key", PRODUCTION_KEY),
        ] {
            let told = world.ask(ask).await;
            assert_eq!(
                (told.status, told.code().as_str()),
                (StatusCode::UNAUTHORIZED, "unauthenticated"),
                "{path}"
            );
            assert!(told.header("www-authenticate").is_some());
            assert_eq!(told.header("cache-control"), Some("no-store"));
        }
        for wrong in [FOREIGN_KEY, "fsk_nobody's", TOKEN] {
            let told = world.ask(fetch(path, Some(wrong))).await;
            assert_eq!(
                (told.status, told.code().as_str()),
                (StatusCode::FORBIDDEN, "forbidden"),
                "{path} {wrong}"
            );
        }
        assert_eq!(world.ask(fetch(path, Some(PRODUCTION_KEY))).await.status, StatusCode::OK, "{path}");
    }
    for path in [MANIFEST, &archived] {
        assert_eq!(world.ask(fetch(path, Some(STAGING_KEY))).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(world.ask(fetch(&snapshot, Some(STAGING_KEY))).await.status, StatusCode::OK);
    let bearer = get(&format!("/cdn/{MANIFEST}"));
    assert_eq!(world.ask(bearer).await.status, StatusCode::UNAUTHORIZED, "the admin token is no SDK key");
    let query = fetch(&format!("{MANIFEST}?x-flagstone-key={PRODUCTION_KEY}"), None);
    assert_eq!(world.ask(query).await.status, StatusCode::UNAUTHORIZED, "a key does not stand in the query");
    assert_eq!(world.ask(fetch("open/demo/v1/root/1", None)).await.status, StatusCode::OK, "open is open");
}

#[tokio::test]
async fn a_missing_key_is_told_before_whether_there_is_anything() {
    let world = World::with_flags().await;
    for path in [
        "closed/demo/v1/e/nowhere/server/manifest",
        "closed/demo/v1/s/none.jsonl.zst",
        "closed/nobody/v1/s/x",
    ] {
        assert_eq!(world.ask(fetch(path, None)).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(
        world.ask(fetch("closed/nobody/v1/s/x", Some(PRODUCTION_KEY))).await.status,
        StatusCode::FORBIDDEN
    );
    for path in [
        "closed/demo/v1/s/none.jsonl.zst",
        "closed/demo/v1/e/production/client/manifest",
        "open/demo/v1/root/2",
    ] {
        let told = world.ask(fetch(path, Some(PRODUCTION_KEY))).await;
        assert_eq!((told.status, told.code().as_str()), (StatusCode::NOT_FOUND, "not-found"), "{path}");
        assert_eq!(
            told.header("cache-control"),
            Some("no-store"),
            "a 404 must not be kept: the object may come"
        );
    }
}

#[tokio::test]
async fn nothing_but_published_objects_is_served_however_the_path_is_spelled() {
    let world = World::with_flags().await;
    let secret = b"canary of the private bucket";
    for private in [
        "demo/state/17-ab.jsonl.zst",
        "demo/x/ab",
        "closed/demo/v1/e/production/server/lock",
        "open/demo/v2/root/1",
        "open/demo/v1/k/ab",
        "keys",
        "open/demo/v1/root/x",
    ] {
        world.store.overwrite(&ObjectPath::parse(private).unwrap(), Some(secret.to_vec()));
        let told = world.ask(fetch(private, Some(PRODUCTION_KEY))).await;
        assert_eq!(told.status, StatusCode::NOT_FOUND, "{private}");
    }
    for path in [
        "..%2fkeys",
        "%2e%2e/keys",
        "open/..%2f..%2fkeys",
        "open/%2e%2e/demo/x/ab",
        "open/../demo/x/ab",
        "./open/demo/v1/root/1",
        "open//demo/v1/root/1",
        "/open/demo/v1/root/1",
        "open/demo/v1/root/1/",
        "open/demo/v1/root/1%00",
        "open/demo/v1/root/%31",
        "open%2fdemo%2fv1%2froot%2f1",
        "open\\demo\\v1\\root\\1",
        "open/demo/v1/root/1/../1",
        "open/demo/v1/root/",
        "open/demo/v1/root",
        "open/demo/v1",
        "open",
        "closed/demo/v1/e/production/server",
        "closed/demo/v1/s/..%2f..%2f..%2fkeys",
        "open/demo/v1/e/production/server/m",
        "closed/demo/v1/e/production/server/manifest/",
        "closed/demo/v1/e/%70roduction/server/manifest",
        "OPEN/demo/v1/root/1",
        "open/demo/v1/root/.lock",
    ] {
        let told = world.ask(fetch(path, Some(PRODUCTION_KEY))).await;
        assert_eq!(told.status, StatusCode::NOT_FOUND, "{path}: {}", told.text());
        assert!(!told.text().contains("canary") && !told.text().contains("manifest"), "{path}");
    }
}

/// The table of requests to which every edge gives the same answers.
const TABLE: &str = include_str!("../../../../cdn/requests.json");

fn text(json: &Value) -> &str {
    json.as_str().unwrap()
}

/// What stands for a key of the table.
fn filled(table: &Value, given: &str, etag: &str) -> String {
    let mut filled = given.replace("{etag}", etag);
    for row in table["keys"].as_array().unwrap() {
        let (name, key) = (text(&row["name"]), text(&row["key"]));
        filled = filled
            .replace(&format!("{{key:{name}}}"), key)
            .replace(&format!("{{upper:{name}}}"), &key.to_ascii_uppercase())
            .replace(&format!("{{sha256:{name}}}"), &Digest::of(key.as_bytes()).to_string());
    }
    filled
}

/// A world that has the objects and knows the keys of the table.
async fn world_of(table: &Value) -> World {
    let mut world = World::new().await;
    let rows = |name: &str| table[name].as_array().unwrap().clone();
    for object in rows("objects") {
        let path = ObjectPath::parse(&text(&object["path"])[1..]).unwrap();
        world.store.overwrite(&path, Some(text(&object["body"]).into()));
    }
    for private in rows("private") {
        let path = ObjectPath::parse(&text(&private)[1..]).unwrap();
        world.store.overwrite(&path, Some(b"canary".to_vec()));
    }
    let keys = rows("keys").into_iter().filter(|key| key["project"].is_string()).map(|key| {
        let scope = KeyScope {
            project: ProjectId::parse(text(&key["project"])).unwrap(),
            environment: EnvironmentId::parse(text(&key["environment"])).unwrap(),
        };
        (text(&key["key"]).to_owned(), scope)
    });
    world.serve_cdn_to(StaticSdkKeys::new(keys));
    world
}

#[tokio::test]
async fn every_request_of_the_table_is_answered_as_every_edge_answers_it() {
    let table: Value = serde_json::from_str(TABLE).unwrap();
    let world = world_of(&table).await;
    let mut faults = Vec::new();
    for row in table["requests"].as_array().unwrap() {
        let target = format!("/cdn{}", filled(&table, text(&row["target"]), ""));
        let path = text(&row["target"]).split('?').next().unwrap();
        let object = table["objects"].as_array().unwrap().iter().find(|object| object["path"] == *path);
        let body = object.map(|object| text(&object["body"]).as_bytes());
        let etag = body.map_or(String::new(), |body| format!("\"{}\"", Digest::of(body)));
        let mut ask = Ask::new(row["method"].as_str().unwrap_or("GET"), &target, "").authorization(None);
        if let Some(name) = row["key"].as_str() {
            ask = ask.header("x-flagstone-key", &filled(&table, &format!("{{key:{name}}}"), ""));
        }
        for header in row["headers"].as_array().into_iter().flatten() {
            ask = ask.header(text(&header[0]), &filled(&table, text(&header[1]), &etag));
        }
        let statuses = match &row["status"] {
            Value::Array(statuses) => statuses.clone(),
            one => vec![one.clone()],
        };
        let mut fault = |what: String| faults.push(format!("{}: {what}", row["name"]));
        if target.parse::<Uri>().is_err() {
            // What is no URI at all, the server refuses before anybody is asked.
            if !statuses.contains(&Value::from(400)) {
                fault("no URI".to_owned());
            }
            continue;
        }
        let told = world.ask_freely(ask).await;
        let status = told.status.as_u16();
        if !statuses.contains(&Value::from(status)) {
            fault(format!("status {status} and not {statuses:?}"));
        } else if status == 200 {
            let sent = if row["method"] == *"HEAD" { Some(&b""[..]) } else { body };
            if sent != Some(&told.body) || told.header("etag") != Some(&etag) {
                fault(format!("another object: {}", told.text()));
            }
        } else if status != 304 && told.header("cache-control") != Some("no-store") {
            fault(format!("a refusal may be kept: {:?}", told.header("cache-control")));
        }
        if told.text().contains("canary") {
            fault("what is private was told".to_owned());
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
