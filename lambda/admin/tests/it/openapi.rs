//! The OpenAPI document: that it says what is there, and that what it shows works.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::contract::{self, Asked, Contract, escaped};
use crate::world::{Ask, Told, World, get, put};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// A world in which everything is that the parameters' examples name.
async fn exemplary() -> World {
    let world = World::with_flags().await;
    let segment = "/v1/projects/demo/environments/production/segments/staff";
    world.expect(StatusCode::CREATED, put(segment, r#"{"include":["u-1"]}"#)).await;
    let list = "/v1/projects/demo/environments/production/lists/vip-keys";
    world.expect(StatusCode::CREATED, put(list, r#"{"keys":["u-1"]}"#)).await;
    world.add_examples().await;
    let targeting = "/v1/projects/demo/environments/production/flags/new-checkout";
    let ramp = r#"{"on":true,"off":"off","fallthrough":{"ramp":{"rollout":{"weights":{"on":50000,"off":50000}},"steps":[["2098-12-02T09:00:00Z","10%"]]},"experiment":{"name":"checkout"}}}"#;
    world.expect(StatusCode::OK, put(targeting, ramp)).await;
    world
}

/// Each operation: its template, its method, its place in the document.
fn operations(contract: &Contract) -> Vec<(String, &'static str, String)> {
    let paths = contract.document()["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(template, item)| {
        METHODS
            .into_iter()
            .filter(|method| item.get(method).is_some())
            .map(move |method| (template.clone(), method, format!("/paths/{}/{method}", escaped(template))))
    });
    all.collect()
}

/// The path with the examples of its parameters, and of those that a query must have.
fn example_path(contract: &Contract, template: &str, operation: &str) -> String {
    let mut path = template.to_owned();
    for parameter in contract.parameters(template, operation) {
        if parameter["in"] == "path" {
            let name = parameter["name"].as_str().unwrap();
            let example = parameter["example"].as_str().unwrap_or_else(|| panic!("{name} has no example"));
            path = path.replace(&format!("{{{name}}}"), example);
        } else if parameter["in"] == "query" && parameter["required"] == true {
            let name = parameter["name"].as_str().unwrap();
            let example = parameter["example"].as_str().unwrap_or_else(|| panic!("{name} has no example"));
            path = format!("{path}?{name}={example}");
        }
    }
    path
}

#[tokio::test]
async fn every_documented_operation_works_with_each_of_its_examples() {
    let contract = contract::of(&World::new().await).await;
    let mut seen = 0;
    for (template, method, place) in operations(contract) {
        let operation = contract.document().pointer(&place).unwrap();
        let path = example_path(contract, &template, &place);
        let content = operation.pointer("/requestBody/content").and_then(Value::as_object);
        let mut bodies: Vec<(String, String)> = Vec::new();
        for (media, content) in content.into_iter().flatten() {
            let examples = content["examples"].as_object();
            let examples = examples.unwrap_or_else(|| panic!("{method} {template} has no examples"));
            bodies.extend(examples.values().map(|example| (media.clone(), example["value"].to_string())));
        }
        if operation.pointer("/requestBody/required") != Some(&json!(true)) {
            bodies.push(("application/json".to_owned(), String::new()));
        }
        for (media, body) in bodies {
            let world = exemplary().await;
            let body = match serde_json::from_str(&body) {
                Ok(Value::String(text)) if media == "text/plain" => text,
                _ => body,
            };
            let ask = Ask::new(&method.to_uppercase(), &path, &body).header("content-type", &media);
            let told = world.ask(ask).await;
            assert!(told.status.is_success(), "{method} {path} {body}: {}", told.text());
            seen += 1;
        }
    }
    assert!(seen >= 30, "{seen}");
}

#[tokio::test]
async fn every_path_has_the_methods_that_are_documented_and_no_other() {
    let world = exemplary().await;
    let contract = contract::of(&world).await;
    let mut documented: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (template, method, place) in operations(contract) {
        let methods = documented.entry(example_path(contract, &template, &place)).or_default();
        methods.extend(if method == "get" { &["GET", "HEAD"][..] } else { &[] });
        methods.extend(
            METHODS
                .iter()
                .zip(["", "POST", "PUT", "PATCH", "DELETE"])
                .find_map(|(known, shown)| (*known == method && !shown.is_empty()).then_some(shown)),
        );
    }
    for (path, mut methods) in documented {
        let told = world.ask(Ask::new("BREW", &path, "")).await;
        let mut allowed: Vec<&str> = told.header("allow").unwrap().split(',').map(str::trim).collect();
        allowed.sort_unstable();
        methods.sort_unstable();
        assert_eq!(allowed, methods, "{path}: routed, documented");
    }
}

#[tokio::test]
async fn the_document_is_for_everybody_and_every_operation_has_a_name() {
    let world = World::new().await;
    let told = world.expect(StatusCode::OK, get("/openapi.json").authorization(None)).await;
    assert_eq!(told.header("content-type"), Some("application/json"));
    let contract = contract::of(&world).await;
    let mut names: Vec<&str> = Vec::new();
    for (template, method, place) in operations(contract) {
        let operation = contract.document().pointer(&place).unwrap();
        let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {template}"));
        assert!(!names.contains(&name), "{name} stands twice");
        names.push(name);
        let secured = operation.get("security") != Some(&json!([]));
        assert_eq!(secured, template.starts_with("/v1/"), "{template}");
        assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_documented_is_found() {
    let world = World::with_flags().await;
    let contract = contract::of(&world).await;
    let honest = world.expect(StatusCode::OK, get("/v1/projects/demo/flags/payments")).await;
    let ask = |method: &str, uri: &str| Asked { method: method.into(), uri: uri.into(), body: Vec::new() };
    let flag = ask("GET", "/v1/projects/demo/flags/payments");
    let changed = |edit: fn(&mut Told)| {
        let mut told =
            Told { status: honest.status, headers: honest.headers.clone(), body: honest.body.clone() };
        edit(&mut told);
        told
    };
    let fault = |asked: &Asked, told: &Told| contract.fault(asked, told).unwrap_err();
    assert_eq!(contract.fault(&flag, &changed(|_| {})), Ok(()));
    for (edit, words) in [
        ((|told| told.status = StatusCode::ACCEPTED) as fn(&mut Told), "the status is not documented"),
        (|told| drop(told.headers.remove("x-request-id")), "the header `x-request-id` is missing"),
        (|told| drop(told.headers.insert("etag", "W/\"1\"".parse().unwrap())), "the header `etag`"),
        (|told| drop(told.headers.insert("x-new", "1".parse().unwrap())), "the header `x-new`"),
        (|told| drop(told.headers.insert("content-type", "text/html".parse().unwrap())), "text/html"),
        (|told| told.body.splice(1..1, *br#""new":1,"#).for_each(drop), "new"),
        (|told| told.body = b"{}".to_vec(), "required"),
        (|told| told.body = b"{".to_vec(), "EOF"),
    ] {
        let fault = fault(&flag, &changed(edit));
        assert!(fault.contains(words) && fault.contains("lambda/admin/openapi/flags.json"), "{fault}");
    }
    let answer = changed(|_| {});
    assert!(fault(&ask("GET", "/v1/new"), &answer).contains("the route is not documented"));
    assert!(fault(&ask("PUT", "/v1/projects/demo/flags/payments"), &answer).contains("the method is not"));
    assert!(fault(&ask("GET", "/v1/projects/demo/flags/payments?new=1"), &answer).contains("`new`"));
}
