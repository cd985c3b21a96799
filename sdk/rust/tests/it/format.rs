//! FAULTS A16, F13: what this version does not know, and what nobody should have written.

use flagstone::{Context, ErrorCode, Reason};

use crate::world::publisher::sign_with;
use crate::world::{World, value};

/// F13: a later format of the manifest.
#[tokio::test(start_paused = true)]
async fn a_later_format_is_unsupported_and_the_last_good_state_stays() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let payload = world.publisher.clone().publish(world.clock.true_ms()).body.to_payload();
    let later = String::from_utf8(payload).unwrap().replace("manifest/1", "manifest/2");
    world.announce(&sign_with(&[&world.publisher.manifest_key], later.as_bytes(), None));
    world.refuses(&client, "unsupported").await;

    world.legitimate_update(&client).await;
}

/// F13: unknown kinds, members, and conditions cost their own flag only.
#[tokio::test(start_paused = true)]
async fn what_is_not_understood_costs_its_own_flag() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    world.publisher.set_line("hologram", "{\"hologram\":\"h-1\",\"depth\":3}");
    world.publisher.set_line(
        "geo",
        "{\"flag\":\"geo\",\"type\":\"bool\",\"rev\":1,\"on\":true,\"values\":{\"off\":false,\"on\":true},\"off\":\"off\",\
         \"rules\":[{\"id\":\"near\",\"if\":[{\"attr\":\"pos\",\"geo_within\":[\"x\"]}],\"serve\":\"on\"}],\"fallthrough\":\"on\"}",
    );
    world.publisher.set_line("twice", "{\"flag\":\"twice\",\"type\":\"bool\",\"type\":\"bool\"}");
    world.legitimate_update(&client).await;

    let context = Context::with_targeting_key("u-1").set("pos", "here");
    let details = client.bool_details("geo", true, &context);
    assert_eq!((details.value, details.reason), (false, Reason::Unknown));
    let details = client.bool_details("twice", true, &context);
    assert_eq!((details.value, details.error_code), (true, Some(ErrorCode::ParseError)));
    world.legitimate_update(&client).await;
}

/// A root or epoch above the trusted one is untrusted until walking to newer roots is built.
#[tokio::test(start_paused = true)]
async fn a_newer_root_or_epoch_is_untrusted_here() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;
    let mut root = world.publisher.clone().publish(world.clock.true_ms()).body;
    let mut epoch = root.clone();
    root.root = 2;
    epoch.epoch = 2;
    for body in [root, epoch] {
        world.announce(&world.publisher.sign(&body, None));
        world.refuses(&client, "untrusted").await;
    }
    world.legitimate_update(&client).await;
}

/// A root that is not the pinned one never becomes trusted.
#[tokio::test(start_paused = true)]
async fn a_root_other_than_the_pinned_one_is_untrusted() {
    let world = World::new();
    let mut other = world.publisher.root_body();
    other.expires_ms += 1;
    let payload = other.to_payload();
    let signature = world.publisher.root_key.sign(flagstone_bundle::framing::PayloadType::Root, &payload);
    let file = flagstone_bundle::framing::assemble(
        flagstone_bundle::framing::PayloadType::Root,
        &payload,
        &[signature],
        None,
    );
    let honest = world.publisher.root_file();
    world.cdn.put_everywhere("/open/shop/v1/root/1", &file.unwrap());
    let client = world.builder().build().unwrap();
    assert_eq!(client.refresh().await.unwrap_err().code(), "untrusted");
    assert_eq!(value(&client), "none");
    world.cdn.put_everywhere("/open/shop/v1/root/1", &honest);
    client.refresh().await.unwrap();
    world.serves_newest(&client);
}
