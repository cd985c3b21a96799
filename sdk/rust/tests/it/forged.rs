//! FAULTS A1 to A3: manifests that the stream's keys did not sign, or not for this.

use flagstone_bundle::framing::{PayloadType, assemble};
use flagstone_bundle::key::SigningKey;

use crate::world::World;
use crate::world::publisher::{Publisher, key, sign_with};

/// A1: another key.
#[tokio::test(start_paused = true)]
async fn a_manifest_signed_by_another_key_is_untrusted() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let mut forged =
        world.publisher.heartbeat(&world.publisher.clone().publish(0), world.clock.true_ms()).body;
    forged.version += 1_000;
    let payload = forged.to_payload();
    world.announce(&sign_with(&[&key("thief")], &payload, None));
    world.refuses(&client, "untrusted").await;

    world.legitimate_update(&client).await;
}

/// A1: every byte flipped in turn.
#[tokio::test(start_paused = true)]
async fn a_manifest_with_any_signed_byte_flipped_is_refused() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let next = world.publisher.clone().publish(world.clock.true_ms());
    let signed =
        next.file.windows(2).position(|pair| pair == b"{\"").map(|_| signed_length(&next.file)).unwrap();
    for at in 0..signed {
        let mut flipped = next.file.clone();
        flipped[at] ^= 1;
        world.announce(&flipped);
        let refused = client.refresh().await.unwrap_err();
        assert!(["malformed", "untrusted"].contains(&refused.code()), "byte {at}: {}", refused.code());
        world.serves_newest(&client);
    }

    world.legitimate_update(&client).await;
}

/// A1: the inline line is not signed, its digest is; so what is served is the old or the true new value.
#[tokio::test(start_paused = true)]
async fn a_flipped_inline_delta_costs_a_download_and_nothing_else() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let next = world.next();
    world.upload_objects(&next);
    let mut flipped = next.file.clone();
    let at = signed_length(&flipped) + 40;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    world.announce(&flipped);
    client.refresh().await.unwrap();
    world.serves_newest(&client);
    assert_eq!(client.status().counters.failed_deltas, 1);

    world.legitimate_update(&client).await;
}

/// Bytes of payload and signature lines.
fn signed_length(file: &[u8]) -> usize {
    let inline = file.windows(11).position(|window| window == b"{\"inline\":\"");
    inline.unwrap_or(file.len())
}

/// A2: bytes signed as a root.
#[tokio::test(start_paused = true)]
async fn a_signature_made_for_a_root_does_not_sign_a_manifest() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let payload = world.publisher.clone().publish(world.clock.true_ms()).body.to_payload();
    let borrowed = world.publisher.manifest_key.sign(PayloadType::Root, &payload);
    world.announce(&assemble(PayloadType::Manifest, &payload, &[borrowed], None).unwrap());
    world.refuses(&client, "untrusted").await;
    world.announce(&world.publisher.root_file());
    let refused = client.refresh().await.unwrap_err();
    assert!(["malformed", "untrusted"].contains(&refused.code()));
    world.serves_newest(&client);

    world.legitimate_update(&client).await;
}

/// A2: the same keys sign several streams; names tell them apart.
#[tokio::test(start_paused = true)]
async fn the_manifest_of_another_stream_is_wrong_here() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let staging = Publisher::new("shop", "staging").publish(world.clock.true_ms());
    let other_project = Publisher::new("bank", "production").publish(world.clock.true_ms());
    let mut other_view = world.publisher.clone().publish(world.clock.true_ms());
    other_view.body.stream.view = flagstone_model::key::ViewId::parse("client").unwrap();
    other_view.file = world.publisher.sign(&other_view.body, None);
    for foreign in [staging, other_project, other_view] {
        world.announce(&foreign.file);
        world.refuses(&client, "wrong-stream").await;
    }

    world.legitimate_update(&client).await;
}

/// A3, with two keys asked for.
#[tokio::test(start_paused = true)]
async fn a_threshold_counts_distinct_keys_and_nothing_else() {
    let mut publisher = Publisher::new("shop", "production");
    publisher.threshold = 2;
    let mut world = World::with_publisher(&["a.example"], publisher);
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let payload = world.publisher.clone().publish(world.clock.true_ms()).body.to_payload();
    let (good, cold) = (key("manifest"), key("cold"));

    // One of two.
    world.announce(&sign_with(&[&good], &payload, None));
    world.refuses(&client, "untrusted").await;

    // One key twice.
    let once = String::from_utf8(sign_with(&[&good], &payload, None)).unwrap();
    let line = once.lines().nth(1).unwrap();
    world.announce(format!("{once}{line}\n").as_bytes());
    world.refuses(&client, "malformed").await;

    // One key id twice, over different signatures.
    let other = String::from_utf8(sign_with(&[&good], b"{}", None)).unwrap();
    world.announce(format!("{once}{}\n", other.lines().nth(1).unwrap()).as_bytes());
    world.refuses(&client, "malformed").await;

    // Seven unknown and one good.
    let unknown: Vec<SigningKey> = (0..7).map(|n| key(&format!("unknown {n}"))).collect();
    let mut keys: Vec<_> = unknown.iter().collect();
    keys.push(&good);
    world.announce(&sign_with(&keys, &payload, None));
    world.refuses(&client, "untrusted").await;

    // Nine lines.
    let eighth = key("unknown 7");
    keys.push(&eighth);
    let nine: Vec<_> = keys.iter().map(|key| key.sign(PayloadType::Manifest, &payload)).collect();
    assert!(assemble(PayloadType::Manifest, &payload, &nine, None).is_err());

    // Both, among strangers: that is what was asked for.
    let update = world.next();
    world.upload_objects(&update);
    let mut keys: Vec<_> = unknown.iter().take(6).collect();
    keys.extend([&good, &cold]);
    world.announce(&sign_with(&keys, &update.body.to_payload(), update.inline.as_deref()));
    client.refresh().await.unwrap();
    world.serves_newest(&client);
    world.legitimate_update(&client).await;
}
