//! FAULTS A5 to A7: validly signed manifests that are not the next ones.

use crate::world::{World, value};

/// A5: an older manifest.
#[tokio::test(start_paused = true)]
async fn an_older_manifest_is_ignored_and_reported() {
    let mut world = World::new();
    let client = world.client().await;
    let old = world.next();
    world.upload(&old);
    client.refresh().await.unwrap();
    world.legitimate_update(&client).await;

    world.announce(&old.file);
    world.refuses(&client, "older").await;
    assert_eq!(client.status().equivocation, None);

    world.legitimate_update(&client).await;
}

/// A5: after a restart the file on disk is the floor.
#[tokio::test(start_paused = true)]
async fn an_older_manifest_is_ignored_after_a_restart_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let old = world.next();
    {
        let client = world.builder().cache_dir(directory.path()).build().unwrap();
        client.wait_for_ready(std::time::Duration::from_secs(9)).await.unwrap();
        world.legitimate_update(&client).await;
        client.close().await;
    }

    world.upload(&old);
    let client = world.builder().cache_dir(directory.path()).build().unwrap();
    world.serves_newest(&client);
    world.refuses(&client, "older").await;

    world.legitimate_update(&client).await;
}

/// A5: from the second URL.
#[tokio::test(start_paused = true)]
async fn an_older_manifest_is_ignored_from_the_second_url_too() {
    let mut world = World::with_hosts(&["a.example", "b.example"]);
    let client = world.client().await;
    let old = world.next();
    world.upload(&old);
    world.legitimate_update(&client).await;

    world.cdn.put("b.example", &world.publisher.manifest_path(), &old.file);
    world.cdn.attack("a.example", |_| Some(crate::world::cdn::Reply::Refused));
    let serving = value(&client);
    assert_eq!(client.refresh().await.unwrap_err().code(), "older");
    assert_eq!(value(&client), serving);

    world.cdn.relent("a.example");
    world.legitimate_update(&client).await;
}

/// A6: the next serial with an older version.
#[tokio::test(start_paused = true)]
async fn an_older_version_under_a_newer_serial_is_an_equivocation() {
    let mut world = World::new();
    let client = world.client().await;
    let old = world.next();
    world.upload(&old);
    client.refresh().await.unwrap();
    world.legitimate_update(&client).await;

    let kept = world.cdn.object("a.example", &world.publisher.manifest_path()).unwrap();
    let again = world.publisher.heartbeat(&old, world.clock.true_ms());
    world.announce(&again.file);
    world.refuses(&client, "equivocation").await;
    let latched = client.status().equivocation.unwrap();
    assert_eq!(latched.kept, payload_digest(&kept));
    assert_eq!(latched.offered, payload_digest(&again.file));

    world.legitimate_update(&client).await;
    assert_eq!(client.status().equivocation, Some(latched), "it stays latched");
}

/// A7: one serial, two payloads.
#[tokio::test(start_paused = true)]
async fn two_manifests_of_one_serial_are_an_equivocation() {
    let mut world = World::new();
    let client = world.client().await;
    let first = world.next();
    world.upload(&first);
    client.refresh().await.unwrap();

    let mut second = first.body.clone();
    second.builder += 1;
    let second = world.publisher.sign(&second, None);
    world.announce(&second);
    world.refuses(&client, "equivocation").await;
    let latched = client.status().equivocation.unwrap();
    assert_eq!((latched.kept, latched.offered), (payload_digest(&first.file), payload_digest(&second)));

    world.legitimate_update(&client).await;
}

/// Other signature lines over the same payload are the same manifest.
#[tokio::test(start_paused = true)]
async fn a_manifest_signed_again_is_the_same() {
    let mut world = World::new();
    let client = world.client().await;
    let update = world.next();
    world.upload(&update);
    client.refresh().await.unwrap();

    let payload = update.body.to_payload();
    let cold = &world.publisher.cold_key;
    world.announce(&crate::world::publisher::sign_with(&[cold], &payload, None));
    assert_eq!(client.refresh().await.unwrap(), flagstone::Refreshed::Unchanged);
    world.serves_newest(&client);
    world.legitimate_update(&client).await;
}

fn payload_digest(file: &[u8]) -> flagstone_model::digest::Digest {
    flagstone_model::digest::Digest::of(file.split(|&byte| byte == b'\n').next().unwrap())
}
