//! What a sweep puts right: somebody wrote to the bucket, or took from it.

use flagstone_publisher::publish::Layout;

use super::world::{Poll, World, manifest_path, stream};

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
async fn a_snapshot_that_is_gone_is_stored_again_by_the_next_heartbeat() {
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
            world.clock.advance(300_000);
            publisher.sweep(&stream()).await.unwrap();
            world.assert_current().await;
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
    let world = World::announced().await;
    let publisher = world.publisher();
    world.append([("b", None)]).await;
    world.publish(&publisher).await.unwrap();
    for damage in [Some(b"everything is overwritten".to_vec()), None] {
        for path in world.memory.paths() {
            world.memory.overwrite(&path, damage.clone());
        }
        world.clock.advance(300_000);
        world.publisher().sweep(&stream()).await.unwrap();
        world.assert_current().await;
        world.append([("a", None)]).await;
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
