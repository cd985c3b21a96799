//! FAULTS A12 to A14: bodies without end, without haste, and with more inside than they say.

use std::time::Duration;

use flagstone_bundle::container::encode_zstd;
use flagstone_model::digest::Digest;

use crate::world::cdn::Reply;
use crate::world::{World, value};

/// A12: for the manifest; with and without a length, true or not.
#[tokio::test(start_paused = true)]
async fn an_endless_manifest_is_cut_off_at_its_limit() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let attacks: [fn(&str) -> Option<Reply>; 3] = [
        |_| Some(Reply::Endless),
        |_| Some(Reply::EndlessWith("content-length", "10".to_owned())),
        |_| Some(Reply::EndlessWith("content-length", u64::MAX.to_string())),
    ];
    for attack in attacks {
        let before = client.status().counters.bytes;
        world.cdn.attack("a.example", attack);
        world.refuses(&client, "too-large").await;
        let read = client.status().counters.bytes - before;
        assert!(read <= 16_384 + 1_024, "{read}");
    }

    world.cdn.relent("a.example");
    world.legitimate_update(&client).await;
}

/// A12: for the root, the snapshot, and a delta.
#[tokio::test(start_paused = true)]
async fn an_endless_object_is_cut_off_at_its_signed_size() {
    let world = World::new();
    world.cdn.attack("a.example", |path| path.contains("/root/").then_some(Reply::Endless));
    let client = world.builder().build().unwrap();
    assert_eq!(client.refresh().await.unwrap_err().code(), "too-large");
    assert_eq!(value(&client), "none");
    world.cdn.relent("a.example");
    client.refresh().await.unwrap();
    world.serves_newest(&client);

    for inline in [true, false] {
        let mut world = World::new();
        let client = world.client().await;
        world.legitimate_update(&client).await;
        world.publisher.inline = inline;
        let next = world.next();
        world.upload(&next);
        if inline {
            world.announce(&world.publisher.sign(&next.body, None));
        }
        world.cdn.attack("a.example", |path| (!path.ends_with("/manifest")).then_some(Reply::Endless));
        let before = client.status().counters.bytes;
        world.refuses(&client, "too-large").await;
        let read = client.status().counters.bytes - before;
        let allowed =
            next.file.len() as u64 + next.body.snapshot.size + next.body.deltas[0].object.size + 2 * 1_024;
        assert!(read <= allowed, "{read} of {allowed}");
        world.cdn.relent("a.example");
        world.legitimate_update(&client).await;
    }
}

/// A13: one byte a second, for each kind of object; the second URL is as it should be.
#[tokio::test(start_paused = true)]
async fn a_slow_source_is_left_at_its_deadline() {
    for slow in ["/manifest", "/s/", "/d/"] {
        let mut world = World::with_hosts(&["a.example", "b.example"]);
        world.publisher.inline = slow == "/manifest";
        let client = world.client().await;
        world.legitimate_update(&client).await;

        world.cdn.attack("a.example", move |path| {
            (path.contains(slow) || (slow == "/s/" && path.contains("/d/"))).then_some(Reply::Slow)
        });
        let start = tokio::time::Instant::now();
        let next = world.next();
        world.upload(&next);
        client.refresh().await.unwrap();
        world.serves_newest(&client);
        assert!(start.elapsed() <= Duration::from_secs(31), "{slow}: {:?}", start.elapsed());

        world.cdn.relent("a.example");
        world.legitimate_update(&client).await;
    }
}

/// A13: with one URL it is a `timeout`, whether slow or silent.
#[tokio::test(start_paused = true)]
async fn a_source_that_never_ends_or_begins_is_a_timeout() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;
    for attack in [|_: &str| Some(Reply::Slow), |_: &str| Some(Reply::Hang)] {
        world.cdn.attack("a.example", attack);
        let start = tokio::time::Instant::now();
        world.refuses(&client, "timeout").await;
        assert!(start.elapsed() <= Duration::from_secs(6));
    }
    world.cdn.relent("a.example");
    world.legitimate_update(&client).await;
}

/// A14: a small frame that unpacks to more than signed, two frames, trailing bytes.
#[tokio::test(start_paused = true)]
async fn a_frame_that_is_more_than_signed_is_refused_whoever_signed_it() {
    let bomb = encode_zstd(&vec![b'a'; 1 << 25]).unwrap().0;
    let small = encode_zstd(b"{}\n").unwrap().0;
    let doubled = [small.clone(), small.clone()].concat();
    let trailing = [small, b"x".to_vec()].concat();
    for stored in [bomb, doubled, trailing] {
        let mut world = World::new();
        let client = world.client().await;
        world.legitimate_update(&client).await;

        // The thief of this scenario can sign, so that the frame itself has to be refused.
        let mut next = world.next();
        let object = &mut next.body.snapshot;
        (object.sha256, object.size, object.raw_size) = (Digest::of(&stored), stored.len() as u64, 3);
        let path = format!("/closed/shop/v1/s/{}.jsonl.zst", object.sha256);
        next.body.deltas.clear();
        world.cdn.put_everywhere(&path, &stored);
        world.announce(&world.publisher.sign(&next.body, None));
        world.refuses(&client, "malformed").await;

        world.legitimate_update(&client).await;
    }
}
