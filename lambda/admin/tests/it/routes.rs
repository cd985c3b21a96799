//! Which paths there are, with which methods, and for whom.

use axum::http::StatusCode;
use flagstone_model::json::Json;

use crate::world::{Ask, TOKEN, World, get, post};

const ROUTES: [(&str, &str); 28] = [
    ("/v1/projects/demo/flags", "GET,HEAD,POST"),
    ("/v1/projects/demo/flags/payments", "DELETE,GET,HEAD,PATCH"),
    ("/v1/projects/demo/environments", "GET,HEAD,POST"),
    ("/v1/projects/demo/environments/production", "GET,HEAD,PATCH"),
    ("/v1/projects/demo/log", "GET,HEAD"),
    ("/v1/projects/demo/environments/production/flags", "GET,HEAD"),
    ("/v1/projects/demo/environments/production/flags/payments", "GET,HEAD,PUT"),
    ("/v1/projects/demo/environments/production/flags/payments/on", "POST"),
    ("/v1/projects/demo/environments/production/flags/payments/off", "POST"),
    ("/v1/projects/demo/environments/production/flags/payments/rollout", "POST"),
    ("/v1/projects/demo/environments/production/flags/payments/restore", "POST"),
    ("/v1/projects/demo/environments/production/flags/payments/pause", "POST"),
    ("/v1/projects/demo/environments/production/flags/payments/history", "GET,HEAD"),
    ("/v1/projects/demo/environments/production/segments", "GET,HEAD"),
    ("/v1/projects/demo/environments/production/segments/beta", "DELETE,GET,HEAD,PUT"),
    ("/v1/projects/demo/environments/production/evaluate", "POST"),
    ("/v1/projects/demo/environments/production/publication", "GET,HEAD"),
    ("/v1/projects/demo/environments/production/publish", "POST"),
    ("/v1/projects/demo/access", "GET,HEAD"),
    ("/v1/projects/demo/tokens", "GET,HEAD,POST"),
    ("/v1/projects/demo/tokens/self", "GET,HEAD"),
    ("/v1/projects/demo/tokens/t_example", "DELETE,GET,HEAD"),
    ("/v1/projects/demo/environments/production/keys", "GET,HEAD,POST"),
    ("/v1/projects/demo/environments/production/keys/k_example", "DELETE,GET,HEAD"),
    ("/healthz", "GET,HEAD"),
    ("/metrics", "GET,HEAD"),
    ("/openapi.json", "GET,HEAD"),
    ("/cdn/open/demo/v1/root/1", "GET,HEAD"),
];

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_405_and_says_which_it_has() {
    let world = World::with_flags().await;
    for (path, methods) in ROUTES {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            if methods.split(',').any(|known| known == method) {
                continue;
            }
            let answer = world.ask(Ask::new(method, path, "")).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            if method != "HEAD" {
                assert_eq!(answer.code(), "method-not-allowed");
            }
            let mut allowed: Vec<_> = answer.header("allow").unwrap().split(',').map(str::trim).collect();
            allowed.sort_unstable();
            assert_eq!(allowed.join(","), methods, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_other_path_is_the_problem_not_found() {
    let world = World::with_flags().await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/projects/demo/flags",
        "/v1/projects",
        "/v1/projects/demo",
        "/v1/projects/demo/flags/",
        "/v1/projects/demo//flags",
        "/v1/projects/demo/flags/payments/on",
        "/v1/projects/demo/environments/production/flags/payments/toggle",
        "/v1/projects/demo/flags/a/b",
        "/healthz/",
        "/cdn",
        "/cdn/",
        "/favicon.ico",
    ] {
        for ask in [get(path), post(path, "{}"), get(path).authorization(None)] {
            let answer = world.ask(ask).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (StatusCode::NOT_FOUND, "not-found"),
                "{path}"
            );
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        }
    }
}

#[tokio::test]
async fn without_the_token_nothing_of_the_api_is_answered() {
    let world = World::with_flags().await;
    let before = world.log_head().await;
    let almost = format!("Bearer {}", &TOKEN[..TOKEN.len() - 1]);
    let longer = format!("Bearer {TOKEN}x");
    let basic = format!("Basic {TOKEN}");
    for (path, methods) in ROUTES.iter().filter(|(path, _)| path.starts_with("/v1/")) {
        for method in methods.split(',') {
            for authorization in
                [None, Some(""), Some("Bearer"), Some(&*almost), Some(&*longer), Some(&*basic), Some(TOKEN)]
            {
                let answer = world.ask(Ask::new(method, path, "{}").authorization(authorization)).await;
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path} {authorization:?}");
                assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"), "{method} {path}");
                if method != "HEAD" {
                    assert_eq!(answer.code(), "unauthenticated");
                }
            }
        }
    }
    assert_eq!(world.log_head().await, before);
    let twice = get(ROUTES[0].0).header("authorization", &format!("Bearer {TOKEN}"));
    assert_eq!(world.ask(twice).await.status, StatusCode::UNAUTHORIZED, "two credentials are none");
}

#[tokio::test]
async fn the_token_is_not_looked_for_in_the_query() {
    let world = World::with_flags().await;
    let ask = get(&format!("/v1/projects/demo/flags?token={TOKEN}&access_token={TOKEN}")).authorization(None);
    assert_eq!(world.ask(ask).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn health_asks_for_nothing() {
    let world = World::new().await;
    let answer = world.expect(StatusCode::OK, get("/healthz").authorization(None)).await;
    assert_eq!(answer.text(), r#"{"status":"ok"}"#);
}

#[tokio::test]
async fn every_answer_has_an_id_and_is_not_kept_or_guessed_at() {
    let world = World::with_flags().await;
    for ask in [
        get("/v1/projects/demo/flags"),
        get("/nowhere"),
        get("/healthz"),
        get("/v1/projects/demo/flags").authorization(None),
    ] {
        let answer = world.ask(ask).await;
        let id = answer.header("x-request-id").unwrap();
        assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    for taken in ["trace-42_a", "Root=1-5759e988:a.b+c/d", &"x".repeat(128)] {
        let told = world.ask(get("/healthz").header("x-request-id", taken)).await;
        assert_eq!(told.header("x-request-id"), Some(taken));
    }
    for junk in ["", "a b", "ä", "a\"b", "a@b", &"x".repeat(129)] {
        let answer = world.ask(get("/healthz").header("x-request-id", junk)).await;
        assert_ne!(answer.header("x-request-id"), Some(junk), "{junk}");
    }
}

#[tokio::test]
async fn a_key_may_be_escaped_in_the_path() {
    let world = World::new().await;
    let body = r#"{"key":"a|b+c@d:e~f","type":"bool"}"#;
    let created = world.expect(StatusCode::CREATED, post("/v1/projects/demo/flags", body)).await;
    let location = created.header("location").unwrap().to_owned();
    assert_eq!(location, "/v1/projects/demo/flags/a%7Cb+c@d:e~f");
    for path in [location.as_str(), "/v1/projects/demo/flags/%61%7cb%2Bc%40d%3Ae%7Ef"] {
        let flag = world.expect(StatusCode::OK, get(path)).await;
        assert_eq!(flag.json().member("key").and_then(Json::as_str), Some("a|b+c@d:e~f"), "{path}");
    }
}
