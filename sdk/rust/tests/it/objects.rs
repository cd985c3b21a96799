//! FAULTS A11, A15, A21, A22, F14, and the ETag rule: right manifests, wrong or missing objects.

use std::time::Duration;

use flagstone::Client;
use flagstone_bundle::container::encode_gzip;

use crate::world::cdn::Reply;
use crate::world::{World, value};

/// A11: a new manifest with an older object.
#[tokio::test(start_paused = true)]
async fn an_older_object_under_a_new_name_is_a_digest_mismatch() {
    let mut world = World::new();
    let client = world.client().await;
    let old = world.next();
    world.upload(&old);
    client.refresh().await.unwrap();

    world.publisher.inline = false;
    let mut next = world.next();
    for (_, bytes) in &mut next.objects {
        bytes.clone_from(&old.objects[0].1);
    }
    let serving = value(&client);
    world.upload(&next);
    let refused = client.refresh().await.unwrap_err();
    // The older snapshot is longer than the delta it stands in for; both are refused.
    assert!(["digest-mismatch", "too-large"].contains(&refused.code()), "{}", refused.code());
    assert_eq!(value(&client), serving);
    assert_eq!(client.status().version, Some(old.body.version));

    world.legitimate_update(&client).await;
}

/// A11: a delta of another pair of versions, inline.
#[tokio::test(start_paused = true)]
async fn a_delta_of_another_pair_is_refused_and_the_snapshot_fetched() {
    let mut world = World::new();
    let client = world.client().await;
    let old = world.next();
    world.upload(&old);
    client.refresh().await.unwrap();

    let mut next = world.next();
    next.file = world.publisher.sign(&next.body, old.inline.as_deref());
    world.upload(&next);
    world.cdn.take_kinds();
    client.refresh().await.unwrap();
    assert_eq!(world.cdn.take_kinds(), ["manifest", "snapshot"]);
    world.serves_newest(&client);
    assert_eq!(client.status().counters.failed_deltas, 1);

    world.legitimate_update(&client).await;
}

/// A15: a frame shorter than signed.
#[tokio::test(start_paused = true)]
async fn a_short_object_is_refused() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let mut next = world.next();
    world.announce(&world.publisher.sign(&next.body, None));
    next.objects[0].1.pop();
    world.upload_objects(&next);
    world.refuses(&client, "digest-mismatch").await;

    world.legitimate_update(&client).await;
}

/// A21: everything in the bucket overwritten, then deleted, then repaired.
#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_overwritten_and_emptied_changes_nothing() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    world.cdn.attack("a.example", |_| Some(Reply::Bytes(200, b"overwritten\n".to_vec())));
    world.refuses(&client, "malformed").await;
    world.cdn.attack("a.example", |_| Some(Reply::Bytes(404, Vec::new())));
    world.refuses(&client, "unreachable").await;

    world.cdn.relent("a.example");
    world.legitimate_update(&client).await;
}

/// A22: a wrong body under a digest at the first URL; the second has the right one.
#[tokio::test(start_paused = true)]
async fn a_poisoned_object_is_fetched_from_the_next_url() {
    let mut world = World::with_hosts(&["a.example", "b.example"]);
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let next = world.next();
    world.upload_objects(&next);
    world.announce(&world.publisher.sign(&next.body, None));
    let (path, bytes) = &next.objects[0];
    world.cdn.put("a.example", path, &vec![0; bytes.len()]);
    client.refresh().await.unwrap();
    world.serves_newest(&client);

    world.legitimate_update(&client).await;
}

/// A22: poisoned everywhere, the digest rests for five minutes.
#[tokio::test(start_paused = true)]
async fn a_digest_poisoned_everywhere_rests_for_five_minutes() {
    let mut world = World::with_hosts(&["a.example", "b.example"]);
    let client = world.client().await;
    world.legitimate_update(&client).await;
    let serving = value(&client);

    let next = world.next();
    world.announce(&world.publisher.sign(&next.body, None));
    let (path, bytes) = &next.objects[0];
    world.cdn.put_everywhere(path, &vec![0; bytes.len()]);
    world.cdn.take_kinds();
    world.refuses(&client, "digest-mismatch").await;
    assert_eq!(world.cdn.take_kinds(), ["manifest", "delta", "snapshot", "snapshot"]);

    // Many polls later nothing was asked for again.
    tokio::time::sleep(Duration::from_secs(280)).await;
    let kinds = world.cdn.take_kinds();
    assert!(kinds.len() > 5 && kinds.iter().all(|kind| *kind == "manifest"), "{kinds:?}");
    assert_eq!(client.status().code(), Some("digest-mismatch"));
    assert_eq!(value(&client), serving);

    // The cache is purged; the next attempt succeeds.
    world.upload_objects(&next);
    tokio::time::sleep(Duration::from_secs(200)).await;
    world.serves_newest(&client);
    world.legitimate_update(&client).await;
}

/// F14: a wrong delta, signed.
#[tokio::test(start_paused = true)]
async fn a_wrong_signed_delta_costs_one_download_and_no_loop() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let next = world.next();
    let faulty = world.publisher.with_wrong_delta(&next);
    world.upload(&faulty);
    world.cdn.take_kinds();
    client.refresh().await.unwrap();
    world.serves_newest(&client);
    assert_eq!(world.cdn.take_kinds(), ["manifest", "snapshot"]);
    assert_eq!(client.status().counters.failed_deltas, 1);
    client.refresh().await.unwrap();
    assert_eq!(world.cdn.take_kinds(), ["manifest"]);
    assert_eq!(client.status().counters.failed_deltas, 1);

    world.legitimate_update(&client).await;
}

/// F14: a wrong content hash, signed: no delta and no snapshot can be right, and none is fetched for ever.
#[tokio::test(start_paused = true)]
async fn a_wrong_signed_content_hash_is_a_content_mismatch_that_rests() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let mut next = world.publisher.clone().publish(world.clock.true_ms());
    world.next();
    next.body.content = flagstone_model::digest::Digest::of(b"something else");
    next.file = world.publisher.sign(&next.body, next.inline.as_deref());
    // What the serial meant stays refused, so the honest publisher goes on above it.
    world.upload(&next);
    let serving = value(&client);
    assert_eq!(client.refresh().await.unwrap_err().code(), "content-mismatch");
    world.cdn.take_kinds();
    assert_eq!(client.refresh().await.unwrap_err().code(), "content-mismatch");
    assert_eq!(world.cdn.take_kinds(), ["manifest"]);
    assert_eq!(value(&client), serving);

    world.legitimate_update(&client).await;
}

/// A listed delta is fetched when none is inline.
#[tokio::test(start_paused = true)]
async fn a_listed_delta_is_preferred_to_the_snapshot() {
    let mut world = World::new();
    world.publisher.inline = false;
    let client = world.client().await;
    world.cdn.take_kinds();
    world.legitimate_update(&client).await;
    assert_eq!(world.cdn.take_kinds(), ["manifest", "delta"]);
    assert_eq!(client.status().counters.failed_deltas, 0);
}

/// A listed delta that is gone means the snapshot, at once.
#[tokio::test(start_paused = true)]
async fn a_listed_delta_that_expired_means_the_snapshot() {
    let mut world = World::new();
    world.publisher.inline = false;
    let client = world.client().await;
    let next = world.next();
    world.upload(&next);
    world.cdn.remove_everywhere(&next.objects[1].0);
    world.cdn.take_kinds();
    client.refresh().await.unwrap();
    assert_eq!(world.cdn.take_kinds(), ["manifest", "delta", "snapshot"]);
    world.serves_newest(&client);
    world.legitimate_update(&client).await;
}

/// A change is detected and delivered by one request.
#[tokio::test(start_paused = true)]
async fn an_inline_delta_needs_one_request() {
    let mut world = World::new();
    let client = world.client().await;
    world.cdn.take_kinds();
    world.legitimate_update(&client).await;
    assert_eq!(world.cdn.take_kinds(), ["manifest"]);
}

/// The ETag rule: a snapshot that was missing once is fetched though the manifest did not change.
#[tokio::test(start_paused = true)]
async fn a_failed_download_leaves_no_etag_behind() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let next = world.next();
    world.announce(&world.publisher.sign(&next.body, None));
    world.refuses(&client, "not-found").await;
    world.refuses(&client, "not-found").await;
    world.upload_objects(&next);
    client.refresh().await.unwrap();
    world.serves_newest(&client);

    world.legitimate_update(&client).await;
}

/// The ETag rule: a refused manifest leaves no ETag, so the same bytes are looked at again.
#[tokio::test(start_paused = true)]
async fn a_refused_manifest_leaves_no_etag_behind() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    world.announce(b"{}\n");
    world.refuses(&client, "malformed").await;
    world.refuses(&client, "malformed").await;
    let conditions: Vec<_> =
        world.cdn.take_seen().iter().map(|seen| seen.headers.get("if-none-match").cloned()).collect();
    let [.., first, second] = &conditions[..] else { panic!("two requests") };
    assert_eq!(first, second, "both ask by the ETag of what is applied");

    world.legitimate_update(&client).await;
    client.refresh().await.unwrap();
    assert_eq!(client.refresh().await.unwrap(), flagstone::Refreshed::Unchanged);
}

#[tokio::test(start_paused = true)]
async fn an_open_stream_packed_by_gzip_needs_no_key() {
    let mut world = World::new();
    let mut next = world.next();
    let (bytes, snapshot) = encode_gzip(&world.publisher.content().raw()).unwrap();
    (next.body.snapshot, next.body.deltas) = (snapshot, Vec::new());
    let manifest = world.publisher.sign(&next.body, None);
    world.cdn.put_everywhere("/open/shop/v1/e/production/server/manifest", &manifest);
    world.cdn.put_everywhere(&format!("/open/shop/v1/s/{}.jsonl.gz", snapshot.sha256), &bytes);
    let pin = world.publisher.pin();
    let connection = format!(
        "flagstone://a.example?project=shop&environment=production&view=server&access=open&root={pin}"
    );
    world.cdn.take_seen();
    let builder = Client::builder(connection.parse().unwrap()).transport(world.cdn.clone());
    let client = builder.clock(world.clock.clone()).build().unwrap();
    client.wait_for_ready(Duration::from_mins(1)).await.unwrap();
    world.serves_newest(&client);
    let seen = world.cdn.take_seen();
    assert!(
        seen.iter()
            .all(|seen| seen.path.starts_with("/open/") && !seen.headers.contains_key("x-flagstone-key"))
    );
}
