//! What stops a stream until an operator has looked, and what stops a publisher.

use std::sync::Arc;

use flagstone_bundle::framing::{PayloadType, assemble};
use flagstone_bundle::manifest::ManifestBody;
use flagstone_model::digest::Digest;
use flagstone_publisher::keys::ManifestSigner;
use flagstone_publisher::log::ChangeLog;
use flagstone_publisher::log::{Entry, MemoryLog, conformance};
use flagstone_publisher::publication::{Claim, MemoryPublications};
use flagstone_publisher::publish::{Layout, Ports, PublishError};

use super::world::{Poll, World, flag, manifest_path, stream};

/// Signs a manifest with the stream's own key, as a thief of it would.
async fn forge(world: &World, change: impl FnOnce(&mut ManifestBody)) -> Vec<u8> {
    let mut body = world.manifest().await.body().clone();
    change(&mut body);
    let payload = body.to_payload();
    let signatures = world.keys.sign(&stream(), &payload).await.unwrap();
    assemble(PayloadType::Manifest, &payload, &signatures, None).unwrap()
}

async fn stops(world: &World, code: &str) {
    let before = world.manifest_bytes().await;
    let publisher = world.publisher();
    world.append([("b", Some(flag("b", 2, false)))]).await;
    for _ in 0..2 {
        let error = world.publish(&publisher).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.is_alarm());
        assert_eq!(publisher.sweep(&stream()).await.unwrap_err().code(), code);
    }
    assert_eq!(world.manifest_bytes().await, before);
}

#[tokio::test]
async fn a_manifest_above_what_was_claimed_stops_the_stream() {
    let world = World::announced().await;
    let forged = forge(&world, |body| {
        body.serial += 1;
        body.deltas.clear();
    });
    let forged = forged.await;
    world.memory.overwrite(&manifest_path(), Some(forged));
    stops(&world, "unclaimed-manifest").await;
}

#[tokio::test]
async fn other_content_under_a_claimed_version_stops_the_stream() {
    let world = World::announced().await;
    let forged = forge(&world, |body| body.content = Digest::of(b"other")).await;
    world.memory.overwrite(&manifest_path(), Some(forged));
    stops(&world, "unclaimed-manifest").await;
}

#[tokio::test]
async fn publication_items_that_were_lost_stop_the_stream() {
    let mut world = World::announced().await;
    world.items = Arc::new(MemoryPublications::new());
    stops(&world, "unclaimed-manifest").await;
    assert_eq!(world.items.read(&stream()).await.unwrap().claim, None);
}

#[tokio::test]
async fn an_archive_with_other_content_stops_the_stream() {
    let world = World::announced().await;
    let forged = forge(&world, |body| {
        body.version = 2;
        body.content = Digest::of(b"other");
    });
    let path = Layout::of(&stream()).archive(1, 2).unwrap();
    world.memory.overwrite(&path, Some(forged.await));
    let before = world.manifest_bytes().await;
    world.append([("b", None)]).await;
    let error = world.publish(&world.publisher()).await.unwrap_err();
    assert!(matches!(error, PublishError::ArchiveDiffers { version: 2 }), "{error}");
    assert_eq!(world.manifest_bytes().await, before);
    assert_eq!(world.poll().await, Poll::Same);
}

#[tokio::test]
async fn a_log_that_lost_its_end_or_was_replaced_and_grew_stops_the_stream() {
    let world = World::announced().await;
    world.append([("b", None)]).await;
    world.publish(&world.publisher()).await.unwrap();
    let before = world.manifest_bytes().await;
    let shorter = Arc::new(MemoryLog::new());
    let other = Entry::seal(conformance::draft(&stream().project, 1, "other"), None).unwrap();
    for log in [Arc::new(MemoryLog::new()), shorter.clone()] {
        let publisher = world.publisher_with(Ports { log: log.clone(), ..world.ports() });
        assert_eq!(publisher.sweep(&stream()).await.unwrap_err().code(), "log-behind");
        shorter.append(&other).await.unwrap();
    }
    let second = Entry::seal(conformance::draft(&stream().project, 2, "other"), Some(&other.head())).unwrap();
    let third = Entry::seal(conformance::draft(&stream().project, 3, "other"), Some(&second.head())).unwrap();
    for entry in [second, third] {
        shorter.append(&entry).await.unwrap();
        let ports = Ports { log: shorter.clone(), ..world.ports() };
        let error = world.publisher_with(ports).sweep(&stream()).await.unwrap_err();
        assert_eq!(error.code(), "log-behind", "{} other entries", entry.seq());
        assert!(error.is_alarm());
    }
    assert_eq!(world.manifest_bytes().await, before);
}

#[tokio::test]
async fn a_publisher_that_is_older_than_the_announced_root_does_not_write() {
    let world = World::announced().await;
    let forged = forge(&world, |body| body.root = 2).await;
    world.memory.overwrite(&manifest_path(), Some(forged.clone()));
    world.append([("b", None)]).await;
    let error = world.publish(&world.publisher()).await.unwrap_err();
    assert_eq!(error.code(), "publisher-outdated");
    assert_eq!(world.manifest_bytes().await, forged);
}

#[tokio::test]
async fn a_publisher_that_is_older_than_the_claimed_epoch_does_not_write() {
    let world = World::announced().await;
    let announced = world.manifest_bytes().await;
    let item = world.items.read(&stream()).await.unwrap();
    let claim = Claim { epoch: 2, serial: 2, version: 2, ..item.claim.unwrap() };
    assert!(world.items.claim(&stream(), 1, &claim, item.covered.unwrap()).await.unwrap());
    world.append([("b", None)]).await;
    // Before its announcement, and where that was taken away.
    for manifest in [Some(announced), None] {
        world.memory.overwrite(&manifest_path(), manifest.clone());
        let objects = world.memory.paths();
        let publisher = world.publisher();
        for error in [
            world.publish(&publisher).await.unwrap_err(),
            publisher.sweep(&stream()).await.unwrap_err(),
            publisher.rebuild(&stream()).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), "publisher-outdated");
        }
        assert_eq!(world.items.read(&stream()).await.unwrap().claim.as_ref(), Some(&claim));
        assert_eq!(world.memory.paths(), objects);
    }
}
