//! A flag's life over HTTP.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use flagstone_model::json::Json;

use crate::world::{World, delete, get, patch, post, put};

const FLAGS: &str = "/v1/projects/demo/flags";
const E: &str = "/v1/projects/demo/environments/production";

fn text<'j>(json: &'j Json<'_>, path: &[&str]) -> Option<&'j str> {
    path.iter().try_fold(json, |json, name| json.member(name)).and_then(Json::as_str)
}

#[tokio::test]
async fn a_flag_is_made_switched_rolled_out_restored_and_archived() {
    let world = World::new().await;
    let body = r#"{"key":"search","type":"string","variations":{"classic":"c","neural":"n"},"kind":"release","owner":"team-search","meta":{"team":"web","tier":1.5,"beta":true}}"#;
    let created = world.expect(StatusCode::CREATED, post(FLAGS, body)).await;
    assert_eq!(created.header("location"), Some("/v1/projects/demo/flags/search"));
    assert_eq!(created.header("etag"), Some("\"1\""));
    let json = created.json();
    assert_eq!(text(&json, &["key"]), Some("search"));
    assert_eq!(text(&json, &["meta", "team"]), Some("web"));
    assert_eq!(json.member("revision").and_then(Json::as_integer), Some(1));
    for environment in ["production", "staging"] {
        assert_eq!(text(&json, &["publication", environment, "server", "state"]), Some("announced"));
    }

    let flag = format!("{E}/flags/search");
    let targeting = r#"{"on":false,"off":"classic","fallthrough":{"serve":"classic"}}"#;
    let first = world.expect(StatusCode::OK, put(&flag, targeting)).await;
    let first_seq = first.json().member("seq").and_then(Json::as_integer).unwrap();
    assert_eq!(text(&first.json(), &["environment"]), Some("production"));
    let only_here = first.json();
    assert!(only_here.member("publication").unwrap().member("staging").is_none());

    let reason = "canary%20%E2%86%92%20EU";
    world.expect(StatusCode::OK, post(&format!("{flag}/on"), "").header("x-flagstone-reason", reason)).await;
    let half = r#"{"variation":"neural","percent":50,"reason":"canary half"}"#;
    let rolled = world.expect(StatusCode::OK, post(&format!("{flag}/rollout"), half)).await;
    let rolled = rolled.json();
    let weights = rolled.member("fallthrough").and_then(|f| f.member("rollout")?.member("weights")).unwrap();
    assert_eq!(weights.to_canonical(), r#"{"classic":50000,"neural":50000}"#);
    let cli = post(&format!("{flag}/restore"), &format!(r#"{{"seq":{first_seq}}}"#));
    let restored =
        world.expect(StatusCode::OK, cli.header("user-agent", "flagstone-cli/0.1.0 (linux)")).await;
    assert_eq!(restored.json().member("on"), Some(&Json::Bool(false)));

    let history = world.expect(StatusCode::OK, get(&format!("{flag}/history"))).await;
    let history = history.json();
    let items = history.member("items").and_then(Json::as_array).unwrap();
    let reasons: Vec<_> = items.iter().map(|item| text(item, &["reason"])).collect();
    assert_eq!(reasons, [None, Some("canary half"), Some("canary → EU"), None, None]);
    let vias: Vec<_> = items.iter().map(|item| text(item, &["actor", "via"]).unwrap()).collect();
    assert_eq!(vias, ["cli", "api", "api", "api", "api"]);
    assert_eq!(items[2].member("from").unwrap().member("on"), Some(&Json::Bool(false)));
    assert_eq!(items[2].member("to").unwrap().member("on"), Some(&Json::Bool(true)));
    assert_eq!(text(&items[2], &["actor", "type"]), Some("token"));
    assert_eq!(text(&items[2], &["actor", "name"]), Some("Ada Canary"));
    assert_eq!(text(&items[2], &["time"]), Some("2026-11-21T12:00:00Z"));
    assert_eq!(items[4].member("from"), Some(&Json::Null));
    assert_eq!(text(&items[4], &["entity"]), Some("flag/search"));

    world.expect(StatusCode::OK, delete(&format!("{FLAGS}/search"))).await;
    let archived = world.expect(StatusCode::OK, get(&format!("{FLAGS}/search"))).await;
    assert_eq!(archived.json().member("archived"), Some(&Json::Bool(true)));
    assert_eq!(world.ask(get(&flag)).await.code(), "flag-not-found");
    assert_eq!(world.ask(post(FLAGS, body)).await.code(), "key-retired");
}

#[tokio::test]
async fn what_was_read_can_be_edited_and_sent_back() {
    let world = World::with_flags().await;
    for (path, members) in [
        (format!("{E}/flags/new-checkout"), ["key", "environment", "revision"].as_slice()),
        (format!("{E}/segments/beta"), &["key", "environment", "revision"]),
    ] {
        let read = world.expect(StatusCode::OK, get(&path)).await;
        for member in members {
            assert!(read.json().member(member).is_some(), "{path} {member}");
        }
        let tag = read.header("etag").unwrap().to_owned();
        let written = world.expect(StatusCode::OK, put(&path, &read.text()).header("if-match", &tag)).await;
        let again = world.expect(StatusCode::OK, put(&path, &written.text())).await;
        let without = |json: &Json<'_>| {
            let own = ["revision", "seq", "publication"];
            let members = json.as_object().unwrap().iter().filter(|(name, _)| !own.contains(&&**name));
            members.map(|(name, value)| (name.to_string(), value.to_canonical())).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(without(&again.json()), without(&read.json()));
    }
    let flag = format!("{FLAGS}/new-checkout");
    let read = world.ask(get(&flag)).await;
    world.expect(StatusCode::OK, patch(&flag, &read.text())).await;
    let copy = read.text().replace("new-checkout", "copy");
    world.expect(StatusCode::CREATED, post(FLAGS, &copy)).await;
    let environment = world.ask(get(E)).await.text().replace("production", "qa");
    world.expect(StatusCode::CREATED, post("/v1/projects/demo/environments", &environment)).await;
    world.expect(StatusCode::CREATED, post("/v1/projects/demo/environments", r#"{"key":"qb"}"#)).await;
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names_and_takes_away_what_is_null() {
    let world = World::with_flags().await;
    let flag = format!("{FLAGS}/payments");
    let merge = patch(&flag, r#"{"owner":"team-pay","description":"pays"}"#);
    world.expect(StatusCode::OK, merge.header("content-type", "application/merge-patch+json")).await;
    let json = patch(&flag, r#"{"description":null,"tags":["b","a"]}"#);
    let answer =
        world.expect(StatusCode::OK, json.header("content-type", "application/json; charset=UTF-8")).await;
    let answer = answer.json();
    assert_eq!(text(&answer, &["owner"]), Some("team-pay"));
    assert_eq!(answer.member("description"), None);
    assert_eq!(answer.member("tags").unwrap().to_string(), r#"["a","b"]"#);
    assert_eq!(answer.member("revision").and_then(Json::as_integer), Some(3));
    let named = world.expect(StatusCode::OK, patch(E, r#"{"name":"Production"}"#)).await;
    assert_eq!(text(&named.json(), &["name"]), Some("Production"));
    assert_eq!(text(&named.json(), &["id"]), Some("production"));
}

#[tokio::test]
async fn evaluation_answers_one_flag_or_all_with_version_and_switch() {
    let world = World::with_flags().await;
    world.expect(StatusCode::OK, post(&format!("{E}/flags/new-checkout/on"), "")).await;
    let ask = |body: &str| post(&format!("{E}/evaluate"), body);
    let body =
        r#"{"flag":"new-checkout","context":{"targetingKey":"canary-1","email":"canary@example.com"}}"#;
    let one = world.expect(StatusCode::OK, ask(body)).await;
    let one = one.json();
    assert_eq!(text(&one, &["flag"]), Some("new-checkout"));
    assert_eq!(one.member("on"), Some(&Json::Bool(true)));
    assert_eq!(one.member("value"), Some(&Json::Bool(true)));
    assert_eq!((text(&one, &["reason"]), text(&one, &["rule"])), (Some("TARGETING_MATCH"), Some("beta")));
    let version = one.member("version").and_then(Json::as_integer).unwrap();
    let publication = world.expect(StatusCode::OK, get(&format!("{E}/publication"))).await;
    let published = publication.json().member("server").and_then(|view| view.member("version")?.as_integer());
    assert_eq!(Some(version), published);

    let all = world.expect(StatusCode::OK, ask(r#"{"context":{}}"#)).await;
    let all = all.json();
    assert_eq!(all.member("version").and_then(Json::as_integer), Some(version));
    let flags = all.member("flags").and_then(Json::as_object).unwrap();
    let keys: Vec<_> = flags.iter().map(|(key, _)| &**key).collect();
    assert_eq!(keys, ["dark-mode", "needs-payments", "new-checkout", "payments"]);
    assert_eq!(text(&all, &["flags", "dark-mode", "reason"]), Some("DISABLED"));
    for at in [r#""2026-11-21T12:00:00Z""#, "1795262400000"] {
        world.expect(StatusCode::OK, ask(&format!(r#"{{"context":{{}},"at":{at}}}"#))).await;
    }
}

#[tokio::test]
async fn publishing_again_changes_nothing_and_a_write_need_not_wait() {
    let world = World::with_flags().await;
    let before = world.log_head().await;
    let answer = world.expect(StatusCode::OK, post(&format!("{E}/publish"), "")).await;
    assert_eq!(text(&answer.json(), &["publication", "production", "server", "state"]), Some("announced"));
    assert_eq!(world.log_head().await, before);
    let ask = post(&format!("{E}/flags/payments/on"), "").header("prefer", "wait=5, respond-async");
    let answer = world.expect(StatusCode::OK, ask).await;
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));
    assert!(answer.json().member("publication").is_some());
}

#[tokio::test]
async fn a_json_body_is_read_though_curl_calls_it_a_form() {
    let world = World::with_flags().await;
    let body = post(FLAGS, r#"{"key":"by-curl","type":"bool"}"#);
    world.expect(StatusCode::CREATED, body.header("content-type", "application/x-www-form-urlencoded")).await;
}
