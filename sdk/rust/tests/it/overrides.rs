//! Overrides: a value of one's own in place of what was published.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flagstone::{
    BuildError, Context, ErrorCode, MAX_OVERRIDES, OVERRIDE_VARIATION, Override, OverrideError, Reason,
    TestData,
};

use crate::world::cdn::Reply;
use crate::world::{FLAG, World, value};

#[test]
fn an_override_is_served_by_every_getter_and_says_so() {
    let client = TestData::new().flag("a", false).flag("b", "text").client().unwrap();
    let (twin, context) = (client.clone(), Context::new());
    client.set_override("a", true).unwrap();
    client.set_override("b", "other").unwrap();
    assert!(twin.is_enabled("a", &context));
    assert_eq!(&*twin.string("b", "", &context), "other");
    let details = twin.bool_details("a", false, &context);
    assert!(details.overridden && details.value);
    assert_eq!((details.variation.as_deref(), details.reason), (Some("on"), Reason::Static));
    assert_eq!(twin.variation("b", &context).as_deref(), Some(OVERRIDE_VARIATION));
    assert!(twin.all_flags(&context).values().all(|details| details.overridden));

    assert!(client.clear_override("a"));
    assert!(!client.clear_override("a"));
    let details = twin.bool_details("a", true, &context);
    assert!(!details.overridden && !details.value);
    client.clear_overrides();
    assert!(client.overrides().is_empty());
    assert_eq!(&*twin.string("b", "", &context), "text");
}

#[test]
fn an_override_of_another_type_is_a_type_mismatch() {
    let client = TestData::new().flag("a", false).client().unwrap();
    client.set_override("a", "yes").unwrap();
    let details = client.bool_details("a", true, &Context::new());
    assert_eq!((details.value, details.error_code), (true, Some(ErrorCode::TypeMismatch)));
    assert!(details.overridden);
}

#[test]
fn a_prerequisite_sees_the_overridden_variation_and_listeners_are_told_of_both() {
    let needs = r#"{"flag":"child","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","needs":[{"flag":"base","is":["on"]}],"fallthrough":"on"}"#;
    let client = TestData::new().flag("base", false).flag("other", 1).line(needs).client().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    client.on_change(move |change| {
        heard.lock().unwrap().push(change.keys.iter().map(ToString::to_string).collect::<Vec<_>>());
    });
    assert!(!client.is_enabled("child", &Context::new()));
    client.set_override("base", Override::Variation("on".into())).unwrap();
    assert!(client.is_enabled("child", &Context::new()));
    // The same once more changes nothing.
    client.set_override("base", Override::Variation("on".into())).unwrap();
    client.clear_overrides();
    assert!(!client.is_enabled("child", &Context::new()));
    assert_eq!(*told.lock().unwrap(), [["base", "child"], ["base", "child"]]);
}

#[tokio::test(start_paused = true)]
async fn an_override_holds_before_anything_is_loaded_and_after_every_update() {
    let mut world = World::new();
    world.cdn.attack("a.example", |_| Some(Reply::Refused));
    let client = world.builder().overrides([(FLAG, "mine")]).build().unwrap();
    assert_eq!(value(&client), "mine");
    assert!(!client.status().ready);
    assert_eq!(client.status().version, None);
    let missing = client.bool_details("missing", false, &Context::new());
    assert_eq!(missing.error_code, Some(ErrorCode::ProviderNotReady));

    world.cdn.relent("a.example");
    client.wait_for_ready(Duration::from_mins(2)).await.unwrap();
    for _ in 0..2 {
        let update = world.next();
        world.upload(&update);
        client.refresh().await.unwrap();
        assert_eq!(value(&client), "mine");
        assert_eq!(client.status().version, Some(update.body.version));
    }
    client.clear_override(FLAG);
    world.serves_newest(&client);
}

#[test]
fn a_named_variation_waits_for_the_flag_to_have_it() {
    let flags = TestData::new().flag("a", 1);
    let client = flags.client().unwrap();
    client.set_override("a", Override::Variation("big".into())).unwrap();
    assert_eq!(client.int("a", 0, &Context::new()), 1);
    assert_eq!(client.overrides().len(), 1);
    let flags = flags.variations("a", [("small", 1), ("big", 1_000)]);
    assert_eq!(client.int("a", 0, &Context::new()), 1_000);
    flags.check().unwrap();
}

#[test]
fn what_no_flag_can_have_is_refused_and_loses_nothing() {
    let client = TestData::new().flag("a", false).client().unwrap();
    client.set_override("a", true).unwrap();
    for key in ["", "a b", "-a", &"k".repeat(129)] {
        assert_eq!(client.set_override(key, true), Err(OverrideError::Key), "{key}");
    }
    assert_eq!(client.set_override("a", f64::NAN), Err(OverrideError::Value));
    assert_eq!(client.set_override("a", 1_i64 << 53), Err(OverrideError::Value));
    client.set_override(&"k".repeat(128), (1_i64 << 53) - 1).unwrap();
    assert!(client.is_enabled("a", &Context::new()));

    let refused = TestData::new().builder().overrides([("a b", true)]).build().unwrap_err();
    assert!(matches!(refused, BuildError::Override(OverrideError::Key)), "{refused:?}");
    assert_eq!(refused.code(), "override-key");
}

#[test]
fn a_client_keeps_so_many_overrides_and_no_more() {
    let all = (0..MAX_OVERRIDES).map(|n| (format!("flag-{n}"), true));
    let client = TestData::new().builder().overrides(all).build().unwrap();
    assert_eq!(client.set_override("one-more", true), Err(OverrideError::TooMany));
    client.set_override("flag-0", false).unwrap();
    assert!(!client.is_enabled("flag-0", &Context::new()) && client.is_enabled("flag-999", &Context::new()));
    assert!(client.clear_override("flag-0"));
    client.set_override("one-more", true).unwrap();
}
