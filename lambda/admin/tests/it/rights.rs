//! Who may do what: every operation, by every role.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use flagstone_admin::rights::RIGHTS;

use crate::contract;
use crate::world::{Ask, World, get, patch, post};

/// How far an operation reaches for a token that is limited to `staging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limited {
    /// Open to it.
    Open,
    /// Only in its environment.
    Inside,
    /// Closed to it.
    Closed,
}
use Limited::{Closed, Inside, Open};

/// Method, path (`P` the project, `E` an environment), body, the least role, and what a limited token may.
/// Written by hand from the documentation: a row of the program that changes has to change here too.
const TABLE: &[(&str, &str, &str, &str, Limited)] = &[
    ("GET", "P/flags", "", "viewer", Open),
    ("POST", "P/flags", r#"{"key":"new","type":"bool"}"#, "editor", Closed),
    ("GET", "P/flags/payments", "", "viewer", Open),
    ("PATCH", "P/flags/payments", r#"{"owner":"x"}"#, "editor", Closed),
    ("DELETE", "P/flags/dark-mode", "", "editor", Closed),
    ("GET", "P/environments", "", "viewer", Open),
    ("POST", "P/environments", r#"{"id":"new"}"#, "admin", Closed),
    ("GET", "P/log", "", "viewer", Closed),
    ("POST", "P/changes", STAGING_CHANGE, "editor", Open),
    ("POST", "P/erase", r#"{"seq":1}"#, "admin", Closed),
    ("POST", "P/doctor", "", "admin", Closed),
    ("GET", "P/access", "", "admin", Closed),
    ("GET", "P/tokens", "", "admin", Open),
    ("POST", "P/tokens", r#"{"name":"x","role":"viewer","environments":["staging"]}"#, "admin", Open),
    ("GET", "P/tokens/self", "", "viewer", Open),
    ("GET", "P/tokens/t_example", "", "admin", Open),
    ("DELETE", "P/tokens/t_example", "", "admin", Open),
    ("GET", "P/attributes", "", "viewer", Open),
    ("PUT", "P/attributes", r#"{"attributes":{"country":"public"}}"#, "admin", Closed),
    ("GET", "P/views", "", "viewer", Open),
    ("GET", "P/views/mobile", "", "viewer", Open),
    ("PUT", "P/views/mobile", r#"{"audience":"public","include":"client"}"#, "admin", Closed),
    ("DELETE", "P/views/mobile", "", "admin", Closed),
    ("GET", "E", "", "viewer", Inside),
    ("PATCH", "E", r#"{"name":"x"}"#, "admin", Inside),
    ("GET", "E/flags", "", "viewer", Inside),
    ("GET", "E/flags/payments", "", "viewer", Inside),
    ("PUT", "E/flags/payments", r#"{"on":true}"#, "editor", Inside),
    ("POST", "E/flags/payments/on", "", "editor", Inside),
    ("POST", "E/flags/payments/off", "", "editor", Inside),
    ("POST", "E/flags/payments/rollout", r#"{"variation":"on","percent":1}"#, "editor", Inside),
    ("POST", "E/flags/payments/restore", r#"{"seq":1}"#, "editor", Inside),
    ("POST", "E/flags/payments/pause", "", "editor", Inside),
    ("POST", "E/flags/payments/reshuffle", "", "editor", Inside),
    ("GET", "E/experiments", "", "viewer", Inside),
    ("GET", "E/flags/payments/history", "", "viewer", Inside),
    ("GET", "E/segments", "", "viewer", Inside),
    ("GET", "E/segments/beta", "", "viewer", Inside),
    ("PUT", "E/segments/new", r#"{"include":["u"]}"#, "editor", Inside),
    ("DELETE", "E/segments/new", "", "editor", Inside),
    ("GET", "E/lists", "", "viewer", Inside),
    ("GET", "E/lists/vips", "", "viewer", Inside),
    ("PUT", "E/lists/new", r#"{"keys":["u"]}"#, "editor", Inside),
    ("PATCH", "E/lists/vips", r#"{"add":["u"]}"#, "editor", Inside),
    ("DELETE", "E/lists/new", "", "editor", Inside),
    ("GET", "E/lists/vips/keys", "", "viewer", Inside),
    ("GET", "E/lists/vips/history", "", "viewer", Inside),
    ("POST", "E/evaluate", r#"{"context":{}}"#, "viewer", Inside),
    ("POST", "E/explain", r#"{"context":{},"flag":"payments"}"#, "viewer", Inside),
    ("POST", "E/preview", r#"{"flag":"payments","on":true}"#, "viewer", Inside),
    ("GET", "E/flags/payments/audit?user_id=u", "", "viewer", Inside),
    ("GET", "E/history", "", "viewer", Inside),
    ("GET", "E/segments/beta/history", "", "viewer", Inside),
    ("GET", "P/flags/payments/history", "", "viewer", Open),
    ("GET", "E/publication", "", "viewer", Inside),
    ("POST", "E/publish", "", "editor", Inside),
    ("POST", "E/restore", r#"{"seq":1}"#, "editor", Inside),
    ("GET", "E/keys", "", "admin", Inside),
    ("POST", "E/keys", "", "admin", Inside),
    ("GET", "E/keys/k_example", "", "admin", Inside),
    ("DELETE", "E/keys/k_example", "", "admin", Inside),
];

const STAGING_CHANGE: &str =
    r#"{"changes":[{"flag":"payments","environment":"staging","targeting":{"on":true}}]}"#;

const ROLES: [&str; 3] = ["viewer", "editor", "admin"];

fn rank(role: &str) -> usize {
    ROLES.iter().position(|known| *known == role).unwrap()
}

fn ask((method, path, body): (&str, &str, &str), environment: &str) -> Ask {
    let path = match path.split_at(1) {
        ("P", rest) => format!("/v1/projects/demo{rest}"),
        (_, rest) => format!("/v1/projects/demo/environments/{environment}{rest}"),
    };
    Ask::new(method, &path, body)
}

#[tokio::test]
async fn every_documented_operation_has_a_row_among_the_rights_and_every_row_is_documented() {
    let contract = contract::of(&World::new().await).await;
    let paths = contract.document()["paths"].as_object().unwrap();
    let mut documented = BTreeSet::new();
    for (template, item) in paths.iter().filter(|(template, _)| template.starts_with("/v1/")) {
        let methods = ["get", "post", "put", "patch", "delete"].into_iter();
        let there = methods.filter(|method| item.get(method).is_some());
        documented.extend(there.map(|method| (method.to_uppercase(), template.clone())));
    }
    let rows: BTreeSet<_> = RIGHTS.iter().map(|right| (right.method.to_owned(), right.template())).collect();
    assert_eq!(rows, documented);
}

/// A path with `*` for each parameter.
fn shape(path: &str) -> String {
    let known = [
        "flags",
        "environments",
        "log",
        "erase",
        "doctor",
        "access",
        "tokens",
        "self",
        "segments",
        "lists",
        "keys",
        "attributes",
        "views",
    ];
    let path = path.split('?').next().unwrap();
    let words = path.split('/').enumerate().map(|(at, part)| {
        let named = at > 1
            && !part.is_empty()
            && path.split('/').nth(at - 1).is_some_and(|before| {
                ["flags", "tokens", "segments", "lists", "keys", "views"].contains(&before) && part != "self"
            });
        if named && !known.contains(&part) || part.starts_with('{') { "*" } else { part }
    });
    words.collect::<Vec<_>>().join("/")
}

#[test]
fn the_table_of_this_test_has_every_operation() {
    let tested: BTreeSet<_> = TABLE.iter().map(|row| (row.0, shape(row.1))).collect();
    let there: BTreeSet<_> = RIGHTS.iter().map(|right| (right.method, shape(right.path))).collect();
    assert_eq!(tested, there);
}

#[tokio::test]
async fn each_role_may_do_what_the_table_says_and_nothing_more() {
    for role in ROLES {
        let world = World::with_flags().await;
        world.add_examples().await;
        let (_, token) = world.token(&format!(r#"{{"name":"x","role":"{role}"}}"#)).await;
        for &(method, path, body, least, _) in TABLE {
            let before = world.log_head().await;
            let told = world.ask(ask((method, path, body), "production").by(&token)).await;
            let asked = format!("{role}: {method} {path}: {}", told.text());
            if rank(role) >= rank(least) {
                assert_ne!(told.status, StatusCode::FORBIDDEN, "{asked}");
            } else {
                assert_eq!((told.status, &*told.code()), (StatusCode::FORBIDDEN, "forbidden"), "{asked}");
                assert_eq!(world.log_head().await, before, "{asked}");
            }
        }
    }
}

#[tokio::test]
async fn a_limited_token_acts_and_reads_in_its_environments_only() {
    for role in ROLES {
        let world = World::with_flags().await;
        world.add_examples().await;
        let body = format!(r#"{{"name":"x","role":"{role}","environments":["staging"]}}"#);
        let (_, token) = world.token(&body).await;
        for &(method, path, body, least, limited) in TABLE {
            for environment in ["staging", "production", "nowhere"] {
                let before = world.log_head().await;
                let told = world.ask(ask((method, path, body), environment).by(&token)).await;
                let asked = format!("{role}: {method} {path} {environment}: {}", told.text());
                let inside = limited == Open || limited == Inside && environment == "staging";
                if rank(role) >= rank(least) && inside {
                    assert_ne!(told.status, StatusCode::FORBIDDEN, "{asked}");
                } else {
                    assert_eq!((told.status, &*told.code()), (StatusCode::FORBIDDEN, "forbidden"), "{asked}");
                    assert_eq!(world.log_head().await, before, "{asked}");
                }
            }
        }
    }
}

#[tokio::test]
async fn of_several_changes_none_is_made_if_one_lies_outside() {
    let world = World::with_flags().await;
    let (_, token) = world.token(r#"{"name":"x","role":"admin","environments":["staging"]}"#).await;
    let before = world.log_head().await;
    for other in [
        r#"{"flag":"payments","environment":"production","targeting":{"on":true}}"#,
        r#"{"flag":"payments","definition":{"key":"payments","type":"bool"}}"#,
        r#"{"segment":"x","environment":"production","definition":{"include":["u"]}}"#,
    ] {
        let body = STAGING_CHANGE.replace("]}", &format!(",{other}]}}"));
        let told = world.ask(post("/v1/projects/demo/changes", &body).by(&token)).await;
        assert_eq!(told.status, StatusCode::FORBIDDEN, "{other}: {}", told.text());
    }
    assert_eq!(world.log_head().await, before);
}

#[tokio::test]
async fn an_environment_cannot_be_reached_by_writing_it_otherwise() {
    let world = World::with_flags().await;
    let (_, token) = world.token(r#"{"name":"x","role":"admin","environments":["staging"]}"#).await;
    let p = "/v1/projects/demo/environments";
    for ask in [
        get(&format!("{p}/%70roduction/flags")),
        get(&format!("{p}/production%2F/flags")),
        get(&format!("{p}/staging%2F..%2Fproduction/flags")),
        patch(&format!("{p}/%70roduction"), r#"{"name":"mine"}"#),
        post(&format!("{p}/production/flags/payments/on?environment=staging"), ""),
    ] {
        let asked = format!("{ask:?}");
        let told = world.ask(ask.by(&token)).await;
        assert_eq!(told.status, StatusCode::FORBIDDEN, "{asked}: {}", told.text());
    }
    world.expect(StatusCode::OK, get(&format!("{p}/%73taging/flags")).by(&token)).await;
}
