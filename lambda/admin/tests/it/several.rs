//! Several changes in one entry, copies of environments, and environments restored.

use axum::http::StatusCode;
use flagstone_admin::auth::Principal;
use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;
use flagstone_publisher::author::Role;
use tokio::task::JoinSet;

use crate::world::*;

const CHANGES: &str = "/v1/projects/demo/changes";
const P: &str = "/v1/projects/demo";
const E: &str = "/v1/projects/demo/environments/production";

fn text<'j>(json: &'j Json<'_>, name: &str) -> &'j str {
    json.member(name).and_then(Json::as_str).unwrap_or("none")
}

fn number(json: &Json<'_>, name: &str) -> i64 {
    json.member(name).and_then(Json::as_integer).unwrap_or(-1)
}

fn several(changes: &[String]) -> String {
    format!(r#"{{"changes":[{}],"reason":"all at once"}}"#, changes.join(","))
}

fn on(flag: &str, environment: &str) -> String {
    format!(
        r#"{{"flag":"{flag}","environment":"{environment}","targeting":{{"on":true,"fallthrough":{{"serve":"on"}}}}}}"#
    )
}

#[tokio::test]
async fn a_hundred_changes_are_one_entry_and_are_announced_in_every_environment_they_touch() {
    let world = World::new().await;
    let mut changes = Vec::new();
    for number in 0..50 {
        let flag = format!("f-{number}");
        changes.push(on(&flag, "staging"));
        changes.push(format!(r#"{{"flag":"{flag}","definition":{{"type":"bool"}},"revision":0}}"#));
    }
    let head = world.log_head().await.unwrap();
    let told = world.expect(StatusCode::OK, post(CHANGES, &several(&changes))).await.json();
    assert_eq!(world.log_head().await, Some(head + 1));
    assert_eq!(number(&told, "seq"), i64::try_from(head + 1).unwrap());
    let made = told.member("changes").unwrap().as_array().unwrap();
    assert_eq!(made.len(), 100);
    assert_eq!(made[0].to_string(), r#"{"flag":"f-0","action":"created","revision":1}"#);
    assert_eq!(
        made[50].to_string(),
        r#"{"flag":"f-0","environment":"staging","action":"updated","revision":2}"#
    );
    for environment in ["production", "staging"] {
        let stream = told.member("publication").unwrap().member(environment).unwrap();
        assert_eq!(text(stream.member("server").unwrap(), "state"), "announced", "{environment}");
    }
    let history =
        world.expect(StatusCode::OK, get(&format!("{P}/environments/staging/flags/f-7/history"))).await;
    let items = history.json();
    let newest = &items.member("items").unwrap().as_array().unwrap()[0];
    assert_eq!((text(newest, "reason"), number(newest, "seq")), ("all at once", number(&told, "seq")));
}

#[tokio::test]
async fn twins_of_one_request_make_one_entry_and_get_one_answer() {
    let world = World::with_flags().await;
    let head = world.log_head().await.unwrap();
    let body = several(&[on("payments", "production"), on("dark-mode", "staging")]);
    let mut twins = JoinSet::new();
    for _ in 0..20 {
        let (world, body) = (world.clone(), body.clone());
        twins.spawn(async move {
            let ask = post(CHANGES, &body).header("idempotency-key", "apply-1");
            let told = world.expect(StatusCode::OK, ask).await.json();
            (number(&told, "seq"), told.member("changes").unwrap().to_string())
        });
    }
    let answers = twins.join_all().await;
    assert_eq!(world.log_head().await, Some(head + 1));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let other = post(CHANGES, &several(&[on("payments", "staging")])).header("idempotency-key", "apply-1");
    assert_eq!(world.expect(StatusCode::UNPROCESSABLE_ENTITY, other).await.code(), "idempotency-key-reused");
}

#[tokio::test]
async fn a_conflict_in_the_middle_is_named_and_nothing_is_written() {
    let world = World::with_flags().await;
    let head = world.log_head().await;
    let stale = r#"{"flag":"new-checkout","environment":"production","targeting":{"on":true},"revision":1}"#;
    let changes = [on("dark-mode", "production"), stale.into(), on("payments", "production")];
    let told = world.expect(StatusCode::PRECONDITION_FAILED, post(CHANGES, &several(&changes))).await.json();
    assert_eq!(
        (text(&told, "code"), text(&told, "pointer"), number(&told, "current_revision")),
        ("stale-revision", "/changes/1/revision", 2)
    );
    let unknown = [on("dark-mode", "production"), on("paymnts", "production")];
    let told = world.expect(StatusCode::NOT_FOUND, post(CHANGES, &several(&unknown))).await.json();
    assert_eq!(
        (text(&told, "code"), text(&told, "pointer"), text(&told, "suggestion")),
        ("flag-not-found", "/changes/1/flag", "payments")
    );
    let wrong = [on("dark-mode", "production").replace("\"on\"}", "\"onn\"}")];
    let told = world.expect(StatusCode::BAD_REQUEST, post(CHANGES, &several(&wrong))).await.json();
    assert_eq!(text(&told, "pointer"), "/changes/0/targeting/fallthrough/serve");
    let condition = post(CHANGES, &several(&[on("dark-mode", "production")])).header("if-match", "\"1\"");
    let told = world.expect(StatusCode::BAD_REQUEST, condition).await.json();
    assert_eq!(text(&told, "header"), "If-Match");
    assert_eq!(world.log_head().await, head);
}

#[tokio::test]
async fn what_is_so_already_makes_no_entry() {
    let world = World::with_flags().await;
    let body = several(&[on("payments", "production")]);
    world.expect(StatusCode::OK, post(CHANGES, &body)).await;
    let head = world.log_head().await;
    let told = world.expect(StatusCode::OK, post(CHANGES, &body)).await;
    assert_eq!(told.text(), r#"{"seq":null,"changes":[],"publication":{}}"#);
    assert_eq!(world.log_head().await, head);
}

#[tokio::test]
async fn a_dry_run_tells_from_what_to_what_and_writes_nothing() {
    let world = World::with_flags().await;
    let head = world.log_head().await.unwrap();
    let dry = format!("{CHANGES}?dry_run=true");
    let changes = [
        on("dark-mode", "production"),
        r#"{"flag":"new","definition":{"type":"bool"}}"#.to_owned(),
        on("new", "staging"),
        r#"{"flag":"payments","archive":true}"#.to_owned(),
        r#"{"flag":"needs-payments","environment":"production","targeting":{"on":false}}"#.to_owned(),
    ];
    let told = world.expect(StatusCode::OK, post(&dry, &several(&changes))).await.json();
    assert_eq!((told.member("seq"), told.member("dry_run")), (Some(&Json::Null), Some(&Json::Bool(true))));
    assert_eq!(number(&told, "head"), i64::try_from(head).unwrap());
    let planned: Vec<_> = told
        .member("changes")
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            (
                text(change, "flag"),
                text(change, "environment"),
                text(change, "action"),
                number(change, "revision"),
            )
        })
        .collect();
    assert_eq!(
        planned,
        [
            ("new", "none", "created", 0),
            ("payments", "none", "archived", 1),
            ("dark-mode", "production", "updated", 1),
            ("needs-payments", "production", "updated", 2),
            ("new", "staging", "updated", 0),
        ]
    );
    let dark = &told.member("changes").unwrap().as_array().unwrap()[2];
    assert_eq!(
        dark.member("from").unwrap().to_string(),
        r#"{"on":false,"off":"off","fallthrough":{"serve":"on"}}"#
    );
    assert_eq!(
        dark.member("to").unwrap().to_string(),
        r#"{"on":true,"off":"off","fallthrough":{"serve":"on"}}"#
    );
    let refused = [r#"{"flag":"payments","archive":true}"#.to_owned()];
    let told = world.expect(StatusCode::BAD_REQUEST, post(&dry, &several(&refused))).await.json();
    assert_eq!((text(&told, "code"), text(&told, "pointer")), ("dangling-reference", "/changes/0/archive"));
    assert_eq!(world.log_head().await, Some(head));
}

#[tokio::test]
async fn an_environment_is_copied_in_one_entry_and_called_otherwise_later() {
    let world = World::with_flags().await;
    let head = world.log_head().await.unwrap();
    let body = r#"{"id":"preview","copy_from":"production"}"#;
    let told = world.expect(StatusCode::CREATED, post(&format!("{P}/environments"), body)).await.json();
    assert_eq!((text(&told, "id"), number(&told, "revision")), ("preview", 1));
    assert!(told.member("copy_from").is_none());
    assert_eq!(world.log_head().await, Some(head + 1));
    for path in ["flags/needs-payments", "flags/new-checkout", "segments/beta"] {
        let read = |environment: &str| get(&format!("{P}/environments/{environment}/{path}"));
        let (from, to) = (world.ask(read("production")).await, world.ask(read("preview")).await);
        let body = |told: &Told| {
            let Json::Object(members) = told.json() else { panic!("an object") };
            let own = ["environment", "revision"];
            let members = members.into_iter().filter(|(name, _)| !own.contains(&&**name));
            Json::Object(members.collect()).to_string()
        };
        assert_eq!(body(&to), body(&from), "{path}");
    }
    let preview = format!("{P}/environments/preview");
    let told = world.expect(StatusCode::OK, patch(&preview, r#"{"name":"Preview"}"#)).await.json();
    assert_eq!((text(&told, "name"), number(&told, "revision")), ("Preview", 2));
    for (body, at) in
        [(r#"{"id":"x"}"#, "/id"), (r#"{"copy_from":"staging"}"#, "/copy_from"), (r#"{"nam":"x"}"#, "/nam")]
    {
        let told = world.expect(StatusCode::BAD_REQUEST, patch(&preview, body)).await.json();
        assert_eq!(text(&told, "pointer"), at, "{body}");
    }
    let unknown = r#"{"id":"other","copy_from":"prodution"}"#;
    let told = world.expect(StatusCode::NOT_FOUND, post(&format!("{P}/environments"), unknown)).await.json();
    assert_eq!(
        (text(&told, "code"), text(&told, "pointer"), text(&told, "suggestion")),
        ("environment-not-found", "/copy_from", "production")
    );
}

#[tokio::test]
async fn an_environment_is_restored_in_one_entry() {
    let world = World::with_flags().await;
    let good = world.log_head().await.unwrap();
    let before = world.expect(StatusCode::OK, get(&format!("{E}/flags"))).await.json();
    let wrong = [
        on("payments", "production"),
        r#"{"flag":"new-checkout","environment":"production","targeting":{"on":true}}"#.to_owned(),
        r#"{"segment":"beta","environment":"production","delete":true}"#.to_owned(),
        r#"{"flag":"dark-mode","archive":true}"#.to_owned(),
    ];
    world.expect(StatusCode::OK, post(CHANGES, &several(&wrong))).await;
    let restore = format!("{E}/restore");
    let body = format!(r#"{{"seq":{good},"reason":"as it was"}}"#);
    let dry = world.expect(StatusCode::OK, post(&format!("{restore}?dry_run=true"), &body)).await.json();
    assert_eq!(dry.member("changes").unwrap().as_array().unwrap().len(), 3);
    let stale = post(&restore, &body).header("if-match", "\"7\"");
    assert_eq!(world.expect(StatusCode::PRECONDITION_FAILED, stale).await.code(), "stale-revision");
    let ask = || post(&restore, &body).header("idempotency-key", "back").header("if-match", "\"1\"");
    let told = world.expect(StatusCode::OK, ask()).await.json();
    assert_eq!(number(&told, "seq"), i64::try_from(good + 2).unwrap());
    assert_eq!(told.member("skipped").unwrap().to_string(), r#"[{"flag":"dark-mode"}]"#);
    let again = world.expect(StatusCode::OK, ask()).await.json();
    assert_eq!(again.to_string(), told.to_string(), "a retry gets the same answer");
    let after = world.expect(StatusCode::OK, get(&format!("{E}/flags"))).await.json();
    let authored = |list: &Json<'_>| -> Vec<_> {
        let items = list.member("items").unwrap().as_array().unwrap().iter();
        let kept = items.filter(|item| text(item, "key") != "dark-mode");
        kept.map(|item| {
            (
                text(item, "key").to_owned(),
                item.member("on").and_then(Json::as_bool),
                item.member("rules").map(ToString::to_string),
            )
        })
        .collect()
    };
    assert_eq!(authored(&after), authored(&before));
    world.expect(StatusCode::OK, get(&format!("{E}/segments/beta"))).await;
    let nothing = world.expect(StatusCode::OK, post(&restore, &body)).await.json();
    assert_eq!(nothing.member("seq"), Some(&Json::Null));
    assert_eq!(world.log_head().await, Some(good + 2));
}

#[tokio::test]
async fn whoever_is_limited_to_an_environment_changes_nothing_beyond_it() {
    let mut world = World::with_flags().await;
    let head = world.log_head().await.unwrap();
    let limited = |role| Principal {
        role,
        environments: Some([EnvironmentId::parse("staging").unwrap()].into()),
        ..Principal::admin("limited")
    };
    world.serve_to(limited(Role::Editor));
    let within = on("payments", "staging");
    for beyond in [
        on("payments", "production"),
        r#"{"flag":"payments","archive":true}"#.to_owned(),
        r#"{"flag":"new","definition":{"type":"bool"}}"#.to_owned(),
        r#"{"segment":"beta","environment":"production","delete":true}"#.to_owned(),
    ] {
        for path in [CHANGES.to_owned(), format!("{CHANGES}?dry_run=true")] {
            let body = several(&[within.clone(), beyond.clone()]);
            let told = world.expect(StatusCode::FORBIDDEN, post(&path, &body)).await;
            assert_eq!(told.code(), "forbidden", "{beyond}");
        }
    }
    let restore = post(&format!("{E}/restore"), &format!(r#"{{"seq":{head}}}"#));
    assert_eq!(world.expect(StatusCode::FORBIDDEN, restore).await.code(), "forbidden");
    assert_eq!(world.log_head().await, Some(head));
    world.expect(StatusCode::OK, post(CHANGES, &several(&[within]))).await;
    assert_eq!(world.log_head().await, Some(head + 1));
    world.serve_to(limited(Role::Viewer));
    let told =
        world.expect(StatusCode::FORBIDDEN, post(CHANGES, &several(&[on("payments", "staging")]))).await;
    assert_eq!(told.code(), "forbidden");
}

#[tokio::test]
async fn what_an_environment_can_not_be_restored_to_is_named() {
    let world = World::with_flags().await;
    let restore = format!("{E}/restore");
    for (body, at) in [
        (r#"{"seq":1}"#, "/seq"),
        (r#"{"seq":0}"#, "/seq"),
        (r#"{"seq":999}"#, "/seq"),
        (r#"{"seq":"2"}"#, "/seq"),
        (r#"{"seq":2,"x":1}"#, "/x"),
        ("{}", "/seq"),
    ] {
        let told = world.expect(StatusCode::BAD_REQUEST, post(&restore, body)).await.json();
        assert_eq!((text(&told, "code"), text(&told, "pointer")), ("invalid-request", at), "{body}");
    }
    let nowhere = post(&format!("{P}/environments/nowhere/restore"), r#"{"seq":1}"#);
    assert_eq!(world.expect(StatusCode::NOT_FOUND, nowhere).await.code(), "environment-not-found");
}
