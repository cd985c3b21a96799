//! From nothing to ready, and what the getters answer.

use std::sync::Arc;
use std::time::Duration;

use flagstone::{Access, BuildError, Context, ErrorCode, Json, MAX_PRODUCT_BYTES, Reason, Value};

use crate::world::cdn::Reply;
use crate::world::{SDK_KEY, World, value};

#[tokio::test(start_paused = true)]
async fn before_anything_is_loaded_the_default_value_is_served_and_says_so() {
    let world = World::new();
    world.cdn.attack("a.example", |_| Some(Reply::Refused));
    let client = world.builder().build().unwrap();
    let details = client.string_details("release", "none", &Context::new());
    assert_eq!(&*details.value, "none");
    assert_eq!((details.reason, details.error_code), (Reason::Error, Some(ErrorCode::ProviderNotReady)));
    assert_eq!((details.version, details.variation), (None, None));
    let not_ready = client.wait_for_ready(Duration::from_secs(20)).await.unwrap_err();
    assert_eq!(not_ready.code(), "unreachable");
    assert!(!client.status().ready);
    assert!(client.flag_keys().is_empty());

    world.cdn.relent("a.example");
    client.wait_for_ready(Duration::from_secs(61)).await.unwrap();
    world.serves_newest(&client);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_is_missing_from_the_start_is_not_found() {
    let world = World::new();
    world.cdn.remove_everywhere(&world.publisher.manifest_path());
    let client = world.builder().build().unwrap();
    assert_eq!(client.refresh().await.unwrap_err().code(), "not-found");
    let wrong_key = world.builder().sdk_key("wrong").build().unwrap();
    assert_eq!(wrong_key.refresh().await.unwrap_err().code(), "not-found");
}

#[tokio::test(start_paused = true)]
async fn requests_say_who_asks_and_show_the_key_to_closed_paths_only() {
    let world = World::new();
    let client = world.builder().user_agent("shop/3.1").build().unwrap();
    client.wait_for_ready(Duration::from_secs(5)).await.unwrap();
    let seen = world.cdn.take_seen();
    assert_eq!(seen.len(), 3);
    for request in &seen {
        assert_eq!(request.headers["accept-encoding"], "identity");
        let agent = format!("flagstone-rust/{} level/1 -hash shop/3.1", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.headers["user-agent"], agent);
        let key = request.headers.get("x-flagstone-key").map(String::as_str);
        assert_eq!(key, request.path.starts_with("/closed/").then_some(SDK_KEY));
    }
    let shown = format!("{client:?} {:?}", world.builder().build().unwrap());
    assert!(!shown.contains(SDK_KEY));
}

#[tokio::test(start_paused = true)]
async fn a_client_says_its_level_and_what_it_lacks_whatever_the_application_adds() {
    let world = World::new();
    let own = format!("flagstone-rust/{} level/1 -hash", env!("CARGO_PKG_VERSION"));
    let longest = "x".repeat(MAX_PRODUCT_BYTES);
    for (product, agent) in [
        (None, own.clone()),
        (Some("shop/3.1 (linux)"), format!("{own} shop/3.1 (linux)")),
        (Some(&*longest), format!("{own} {longest}")),
    ] {
        let builder = world.builder();
        let builder = product.into_iter().fold(builder, flagstone::Builder::user_agent);
        builder.manual().unwrap().refresh().await.unwrap();
        assert!(world.cdn.take_seen().iter().all(|request| request.headers["user-agent"] == agent));
    }
    for product in ["", " shop", "shop ", "shop\t3", "sh\u{f6}p", "shop\r\nx: y", &format!("{longest}x")] {
        let refused = world.builder().user_agent(product).manual().unwrap_err();
        assert!(matches!(refused, BuildError::UserAgent), "{product:?}");
        assert_eq!(refused.code(), "user-agent");
    }
}

#[tokio::test(start_paused = true)]
async fn polls_after_the_first_are_conditional() {
    let mut world = World::new();
    let client = world.client().await;
    let bytes = client.status().counters.bytes;
    client.refresh().await.unwrap();
    assert_eq!(client.status().counters.bytes, bytes);
    assert!(world.cdn.take_seen().last().unwrap().headers.contains_key("if-none-match"));
    world.legitimate_update(&client).await;
}

#[tokio::test(start_paused = true)]
async fn polling_goes_on_by_itself_at_the_interval_of_the_manifest() {
    let mut world = World::new();
    let client = world.client().await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let polls = client.status().counters.polls;
    assert!((9..=13).contains(&polls), "{polls}");
    let next = world.next();
    world.upload(&next);
    tokio::time::sleep(Duration::from_secs(12)).await;
    world.serves_newest(&client);

    world.cdn.take_seen();
    let eager = world.builder().poll_interval(Duration::from_secs(1)).build().unwrap();
    eager.wait_for_ready(Duration::from_secs(5)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!((90..=115).contains(&eager.status().counters.polls));
}

#[tokio::test(start_paused = true)]
async fn getters_read_by_type_and_json_reads_everything() {
    let mut world = World::new();
    let line = |key: &str, kind: &str, value: &str| {
        format!(
            "{{\"flag\":\"{key}\",\"type\":\"{kind}\",\"rev\":7,\"on\":true,\"values\":{{\"v\":{value}}},\"fallthrough\":\"v\"}}"
        )
    };
    for (key, kind, value) in
        [("b", "bool", "true"), ("i", "int", "42"), ("f", "float", "0.5"), ("j", "json", "{\"a\":[1]}")]
    {
        world.publisher.set_line(key, &line(key, kind, value));
    }
    let next = world.next();
    world.upload(&next);
    let client = world.builder().build().unwrap();
    client.wait_for_ready(Duration::from_secs(5)).await.unwrap();
    let context = Context::new();
    assert!(client.bool("b", false, &context) && client.is_enabled("b", &context));
    assert_eq!(client.int("i", 0, &context), 42);
    assert!((client.float("f", 0.0, &context) - 0.5).abs() < f64::EPSILON);
    assert!((client.float("i", 0.0, &context) - 42.0).abs() < f64::EPSILON);
    let json = |key: &str| client.json(key, Json::Null, &context).to_string();
    assert_eq!([json("b"), json("i"), json("f"), json("j")], ["true", "42", "0.5", "{\"a\":[1]}"]);
    assert_eq!(client.int("b", -1, &context), -1);
    let details = client.int_details("b", -1, &context);
    assert_eq!((details.value, details.error_code), (-1, Some(ErrorCode::TypeMismatch)));
    let details = client.details("i", &context);
    assert_eq!(details.value, Some(Value::Int(42)));
    assert_eq!((details.variation.as_deref(), details.rev), (Some("v"), Some(7)));
    assert_eq!(details.version, Some(next.body.version));
    assert_eq!(client.variation("j", &context).as_deref(), Some("v"));
    assert_eq!(client.details("missing", &context).error_code, Some(ErrorCode::FlagNotFound));
    assert!(client.flag_keys().contains(&Arc::from("release")));
}

#[tokio::test(start_paused = true)]
async fn a_closed_client_evaluates_on_and_polls_no_more() {
    let mut world = World::new();
    let client = world.client().await;
    let twin = client.clone();
    client.close().await;
    world.cdn.take_seen();
    let serving = value(&client);
    let next = world.next();
    world.upload(&next);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(world.cdn.take_seen().len(), 0);
    assert_eq!(value(&twin), serving);
    assert_eq!(twin.refresh().await.unwrap_err().code(), "not-polling");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_client_polls_no_more() {
    let world = World::new();
    drop(world.client().await);
    tokio::task::yield_now().await;
    world.cdn.take_seen();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(world.cdn.take_seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_work_is_not_built() {
    let world = World::new();
    let plain = || flagstone::Client::builder(world.connection()).transport(world.cdn.clone());
    assert_eq!(world.connection().access(), Access::Closed);
    assert!(matches!(plain().build(), Err(BuildError::SdkKeyMissing)));
    assert!(matches!(plain().sdk_key("a b").build(), Err(BuildError::SdkKeyMalformed)));
    assert!(matches!(plain().sdk_key("").build(), Err(BuildError::SdkKeyMalformed)));
    assert!(matches!(plain().sdk_key("k").user_agent("a\r\nb").build(), Err(BuildError::UserAgent)));
    assert_eq!(plain().offline().unwrap_err().code(), "not-found");
}

#[test]
fn outside_a_runtime_a_client_is_not_built() {
    let text = "flagstone://cdn.example?project=shop&environment=production&view=client\
                &root=1:04862e2461b74b1612c58325e4dba3edca6c1330dcef495a72cc6ed5bfbd2565";
    let built = flagstone::Client::builder(text.parse().unwrap()).build();
    assert!(matches!(built, Err(BuildError::NoRuntime)));
}

#[tokio::test(start_paused = true)]
async fn nothing_prints_the_sdk_key_or_a_bundle() {
    let world = World::new();
    let builder = world.builder().bundle([77_u8; 9]);
    let shown = format!("{builder:?} {builder:#?}");
    assert!(!shown.contains(SDK_KEY) && !shown.contains("77, 77") && !shown.contains("77,\n"), "{shown}");
    let client = builder.build().unwrap();
    assert!(!format!("{client:?} {:?}", client.status()).contains(SDK_KEY));
}
