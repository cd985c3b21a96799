//! What a sweep puts right: somebody wrote to the bucket, or took from it.

use std::fs::{self, File};
use std::sync::Arc;

use flagstone_bundle::manifest::UnverifiedManifest;
use flagstone_publisher::publish::{Layout, Ports};
use flagstone_publisher::store::{DirectoryStore, MAX_OBJECT_BYTES, ObjectPath, ObjectStore};

use super::world::{Client, Poll, World, flag, manifest_path, stream};

#[tokio::test]
async fn a_manifest_that_is_gone_or_garbage_is_announced_again() {
    let world = World::announced().await;
    let publisher = world.publisher();
    let old = world.manifest_bytes().await;
    let mut flipped = old.clone();
    flipped[30] ^= 1;
    let mut serial = 1;
    for bytes in [None, Some(b"<html>".to_vec()), Some(vec![0; 100_000]), Some(flipped)] {
        world.memory.overwrite(&manifest_path(), bytes);
        serial += 1;
        assert_eq!(publisher.sweep(&stream()).await.unwrap().serial, serial);
        assert_eq!(world.poll().await, Poll::Heartbeat);
    }
    world.assert_current().await;
}

#[tokio::test]
async fn a_pointer_put_back_to_an_older_manifest_is_announced_again() {
    let world = World::announced().await;
    let publisher = world.publisher();
    let old = world.manifest_bytes().await;
    world.append([("b", None)]).await;
    world.publish(&publisher).await.unwrap();
    assert_eq!(world.poll().await, Poll::Inline);
    world.memory.overwrite(&manifest_path(), Some(old));
    assert_eq!(publisher.sweep(&stream()).await.unwrap().serial, 3);
    assert_eq!(world.poll().await, Poll::Heartbeat);
}

#[tokio::test]
async fn an_archive_squatted_with_an_earlier_manifest_is_replaced() {
    let world = World::announced().await;
    let publisher = world.publisher();
    let path = |version| Layout::of(&stream()).archive(1, version).unwrap();
    for version in 2..=3 {
        world.memory.overwrite(&path(version), Some(world.manifest_bytes().await));
    }
    for version in 2..=3 {
        world.append([("a", Some(flag("a", version, true)))]).await;
        world.publish(&publisher).await.unwrap();
        assert_eq!(world.manifest().await.version(), version);
        let archived = world.memory.get(&path(version)).await.unwrap().unwrap().bytes;
        assert_eq!(archived, world.manifest_bytes().await);
    }
    world.assert_current().await;
}

#[tokio::test]
async fn a_snapshot_that_is_gone_or_torn_is_stored_again_by_the_next_sweep() {
    for restarted in [false, true] {
        let world = World::announced().await;
        let mut publisher = world.publisher();
        world.append([("b", None)]).await;
        world.publish(&publisher).await.unwrap();
        if restarted {
            publisher = world.publisher();
        }
        for damage in [None, Some(b"torn".to_vec())] {
            let path = Layout::of(&stream()).snapshot(world.manifest().await.snapshot()).unwrap();
            world.memory.overwrite(&path, damage);
            publisher.sweep(&stream()).await.unwrap();
            world.assert_current().await;
            let announced = world.manifest_bytes().await;
            publisher.sweep(&stream()).await.unwrap();
            assert_eq!(world.manifest_bytes().await, announced, "once is enough");
        }
    }
}

#[tokio::test]
async fn a_delta_that_is_gone_or_damaged_is_no_longer_named() {
    for damage in [None, Some(b"torn".to_vec())] {
        let world = World::announced().await;
        let publisher = world.publisher();
        world.append([("b", None)]).await;
        world.publish(&publisher).await.unwrap();
        let path = Layout::of(&stream()).delta(&world.manifest().await.deltas()[0].object).unwrap();
        world.memory.overwrite(&path, damage);
        world.clock.advance(300_000);
        publisher.sweep(&stream()).await.unwrap();
        assert!(world.manifest().await.deltas().is_empty() && world.manifest().await.inline().is_none());
        world.assert_current().await;
    }
}

#[tokio::test]
async fn every_object_damaged_and_then_gone_is_survived() {
    type Damage = fn(Vec<u8>) -> Option<Vec<u8>>;
    let world = World::announced().await;
    let publisher = world.publisher();
    world.append([("b", None)]).await;
    world.publish(&publisher).await.unwrap();
    let damages: [Damage; 4] = [
        |_| Some(b"everything is overwritten".to_vec()),
        |bytes| Some(vec![b'x'; bytes.len()]),
        |bytes| Some(bytes.iter().rev().copied().collect()),
        |_| None,
    ];
    for (damage, on) in damages.into_iter().zip([false, true, false, true]) {
        for path in world.memory.paths() {
            let bytes = world.memory.get(&path).await.unwrap().unwrap().bytes;
            world.memory.overwrite(&path, damage(bytes));
        }
        world.clock.advance(300_000);
        world.publisher().sweep(&stream()).await.unwrap();
        world.assert_current().await;
        // Contents that were published before, and whose snapshots and deltas are damaged too.
        world.append([("a", Some(flag("a", 1, on)))]).await;
        world.publish(&publisher).await.unwrap();
        world.assert_current().await;
    }
}

#[tokio::test]
async fn a_damaged_snapshot_of_the_last_version_costs_the_delta_and_not_the_change() {
    let world = World::announced().await;
    let path = Layout::of(&stream()).snapshot(world.manifest().await.snapshot()).unwrap();
    let size = world.memory.paths().len();
    world
        .memory
        .overwrite(&path, Some(vec![7; usize::try_from(world.manifest().await.snapshot().size).unwrap()]));
    world.append([("b", None)]).await;
    world.publish(&world.publisher()).await.unwrap();
    assert_eq!(world.poll().await, Poll::Full);
    assert!(world.memory.paths().len() > size);
    world.assert_current().await;
}

#[tokio::test]
async fn objects_larger_than_any_that_is_published_are_replaced() {
    let place = tempfile::tempdir().unwrap();
    let world = World::new().await;
    let directory = Arc::new(DirectoryStore::open(place.path()).await.unwrap());
    let publisher = || world.publisher_with(Ports { store: directory.clone(), ..world.ports() });
    let load = async || {
        let mut client = Client::new(world.keys.root().clone());
        assert_eq!(client.poll(&*directory).await, Poll::Full);
        client.seen.unwrap()
    };
    let plant = |path: &ObjectPath| {
        let file = place.path().join(path.as_str());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        File::create(file).unwrap().set_len(MAX_OBJECT_BYTES + 1).unwrap();
    };
    for rev in 1..=2 {
        world.append([("a", Some(flag("a", rev, true)))]).await;
        world.publish(&publisher()).await.unwrap();
    }
    let at = stream();
    let layout = Layout::of(&at);
    let version = 2;
    for heartbeat in [true, false] {
        let bytes = directory.get(&manifest_path()).await.unwrap().unwrap().bytes;
        let manifest = UnverifiedManifest::parse(&bytes).unwrap().verify(world.keys.root(), &at).unwrap();
        let serial = manifest.serial();
        assert_eq!(manifest.version(), version);
        plant(&manifest_path());
        plant(&layout.snapshot(manifest.snapshot()).unwrap());
        for delta in manifest.deltas() {
            plant(&layout.delta(&delta.object).unwrap());
        }
        plant(&layout.archive(1, version + 1).unwrap());
        if heartbeat {
            world.clock.advance(300_000);
            publisher().sweep(&at).await.unwrap();
            assert_eq!((load().await.version, load().await.serial), (version, serial + 1));
        } else {
            world.append([("a", Some(flag("a", 3, true)))]).await;
            world.publish(&publisher()).await.unwrap();
            assert_eq!(load().await.version, version + 1);
            let archived = directory.get(&layout.archive(1, version + 1).unwrap()).await.unwrap().unwrap();
            let current = directory.get(&manifest_path()).await.unwrap().unwrap();
            assert_eq!(archived.bytes, current.bytes);
        }
    }
}

#[tokio::test]
async fn an_archived_manifest_that_is_gone_is_stored_again_by_the_next_sweep() {
    let world = World::announced().await;
    let publisher = world.publisher();
    world.append([("b", None)]).await;
    world.publish(&publisher).await.unwrap();
    world.poll().await;
    let path = Layout::of(&stream()).archive(1, 2).unwrap();
    world.memory.overwrite(&path, None);
    assert_eq!(publisher.sweep(&stream()).await.unwrap().serial, 3);
    let archived = world.memory.get(&path).await.unwrap().unwrap().bytes;
    let archived =
        UnverifiedManifest::parse(&archived).unwrap().verify(world.keys.root(), &stream()).unwrap();
    assert_eq!((archived.version(), archived.content()), (2, world.manifest().await.content()));
    assert_eq!(world.poll().await, Poll::Heartbeat);
    assert_eq!(publisher.sweep(&stream()).await.unwrap().serial, 3, "once is enough");

    // Garbage of any size is found with the next heartbeat.
    world.memory.overwrite(&path, Some(b"garbage".to_vec()));
    world.clock.advance(300_000);
    assert_eq!(publisher.sweep(&stream()).await.unwrap().serial, 4);
    assert_eq!(world.memory.get(&path).await.unwrap().unwrap().bytes, world.manifest_bytes().await);
}
