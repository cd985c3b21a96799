//! The store is ahead of the log: noticed, nothing overwritten, and adopted by an operator.

use std::sync::Arc;

use async_trait::async_trait;
use flagstone_bundle::manifest::LogHead;
use flagstone_publisher::log::{ChangeLog, MemoryLog};
use flagstone_publisher::publication::{MemoryPublications, Publications};
use flagstone_publisher::publish::{Layout, Options, Ports, PublishError, RUN_LIMIT};
use flagstone_publisher::store::{
    Expect, Object, ObjectHead, ObjectPath, ObjectStore, PutIf, PutNew, StoreError,
};

use super::world::{BUDGET, Poll, World, append, flag, stream};

/// A world whose records were put back to a copy: its log and its items are those of version 2, its bucket announces
/// version 4 with serial 5.
async fn restored() -> World {
    let mut world = World::announced().await;
    let publisher = world.publisher();
    world.append([("a", None)]).await;
    world.publish(&publisher).await.unwrap();
    let log = Arc::new(MemoryLog::new());
    for entry in world.log.read(&stream().project, 0, 10).await.unwrap() {
        log.append(&entry).await.unwrap();
    }
    let items = Arc::new(MemoryPublications::new());
    let item = world.items.read(&stream()).await.unwrap();
    assert!(items.adopt(&stream(), 0, &item.claim.unwrap(), item.covered.unwrap()).await.unwrap());
    for change in [("b", None), ("c", None)] {
        world.append([change]).await;
        world.publish(&publisher).await.unwrap();
    }
    world.clock.advance(300_000);
    publisher.sweep(&stream()).await.unwrap();
    world.poll().await;
    (world.log, world.items) = (log, items);
    world
}

async fn head(world: &World) -> LogHead {
    let head = world.log.head(&stream().project).await.unwrap().unwrap();
    LogHead { seq: head.seq, hash: head.hash }
}

#[tokio::test]
async fn records_restored_from_a_copy_are_noticed_and_nothing_is_overwritten() {
    let world = restored().await;
    let announced = world.manifest_bytes().await;
    let objects = world.memory.paths();
    let publisher = world.publisher();
    // Also once the log has grown past the numbers of what it lost.
    for round in 0..4 {
        let alarm = publisher.alarm(&stream()).await.unwrap().unwrap();
        assert!(matches!(alarm, PublishError::Unclaimed { version: 4, serial: 5, .. }), "{alarm}");
        assert_eq!(publisher.sweep(&stream()).await.unwrap_err().code(), "unclaimed-manifest");
        assert_eq!(publisher.rebuild(&stream()).await.unwrap_err().code(), "unclaimed-manifest");
        let seq = append(&*world.log, [("d", Some(flag("d", round + 1, true)))]).await;
        let error = publisher.publish(&stream(), seq, BUDGET).await.unwrap_err();
        assert_eq!(error.code(), "unclaimed-manifest");
        assert_eq!(world.manifest_bytes().await, announced);
        assert_eq!(world.memory.paths(), objects);
    }
}

#[tokio::test]
async fn what_is_announced_is_adopted_and_clients_take_the_next_version() {
    let world = restored().await;
    let publisher = world.publisher();
    let anchor = world.manifest().await.log();
    let lost = publisher.lost(&stream()).await.unwrap();
    assert_eq!(lost.anchor, anchor);
    let told = lost.to_json();
    let member = |name: &str| told.member(name).and_then(flagstone_model::json::Json::as_integer);
    assert_eq!((member("version"), member("serial"), member("epoch")), (Some(4), Some(5), Some(1)));

    let covered = head(&world).await;
    // What an operator's entry is in this world.
    world.append([("d", Some(flag("d", 1, true)))]).await;
    publisher.adopt(&stream(), &lost, covered).await.unwrap();
    assert_eq!(publisher.adopt(&stream(), &lost, covered).await.unwrap_err().code(), "contended");
    world.publish(&publisher).await.unwrap();
    let manifest = world.manifest().await;
    assert_eq!((manifest.version(), manifest.serial()), (5, 6));
    assert_eq!(world.poll().await, Poll::Inline);
    world.assert_current().await;
    assert!(publisher.alarm(&stream()).await.unwrap().is_none());
    assert_eq!(publisher.lost(&stream()).await.unwrap_err().code(), "nothing-to-adopt");
}

#[tokio::test]
async fn items_that_were_lost_altogether_are_adopted() {
    let mut world = World::announced().await;
    world.items = Arc::new(MemoryPublications::new());
    let publisher = world.publisher();
    let (lost, covered) = (publisher.lost(&stream()).await.unwrap(), head(&world).await);
    publisher.adopt(&stream(), &lost, covered).await.unwrap();
    publisher.sweep(&stream()).await.unwrap();
    assert_eq!(world.poll().await, Poll::Same, "the log gives the very content");
    world.append([("b", None)]).await;
    world.publish(&publisher).await.unwrap();
    assert_eq!(world.poll().await, Poll::Inline);
    world.assert_current().await;
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_adopted() {
    let mut world = World::announced().await;
    let publisher = world.publisher();
    let first = world.log.read(&stream().project, 0, 1).await.unwrap();
    world.append([("b", None)]).await;
    world.publish(&publisher).await.unwrap();
    let lost_head = head(&world).await;
    world.poll().await;
    world.log = Arc::new(MemoryLog::new());
    world.log.append(&first[0]).await.unwrap();

    let publisher = world.publisher();
    let alarm = publisher.alarm(&stream()).await.unwrap().unwrap();
    assert!(matches!(alarm, PublishError::LogBehind { head: 1, covered: 2 }), "{alarm}");
    let (lost, covered) = (publisher.lost(&stream()).await.unwrap(), head(&world).await);
    assert_eq!(lost.anchor, Some(lost_head));
    world.append([("c", None)]).await;
    publisher.adopt(&stream(), &lost, covered).await.unwrap();
    world.publish(&publisher).await.unwrap();
    let manifest = world.manifest().await;
    assert_eq!((manifest.version(), manifest.serial()), (3, 3));
    assert_ne!(world.poll().await, Poll::Same);
    world.assert_current().await;
}

#[tokio::test]
async fn an_archive_with_other_content_is_adopted_and_its_version_passed_over() {
    let mut world = World::announced().await;
    // The archive holds a version 2 that a lost publisher announced, and the pointer is back at version 1.
    let pointer = world.manifest_bytes().await;
    let items = Arc::new(MemoryPublications::new());
    let item = world.items.read(&stream()).await.unwrap();
    assert!(items.adopt(&stream(), 0, &item.claim.unwrap(), item.covered.unwrap()).await.unwrap());
    let log = Arc::new(MemoryLog::new());
    log.append(&world.log.entry(&stream().project, 1).await.unwrap().unwrap()).await.unwrap();
    world.append([("b", None)]).await;
    world.publish(&world.publisher()).await.unwrap();
    world.memory.overwrite(&super::world::manifest_path(), Some(pointer));

    (world.log, world.items) = (log, items);
    let publisher = world.publisher();
    let seq = world.append([("c", None)]).await;
    let error = publisher.publish(&stream(), seq, BUDGET).await.unwrap_err();
    assert!(matches!(error, PublishError::ArchiveDiffers { version: 2 }), "{error}");
    assert_eq!(publisher.alarm(&stream()).await.unwrap().unwrap().code(), "archive-differs");
    let (lost, covered) = (publisher.lost(&stream()).await.unwrap(), head(&world).await);
    world.append([("d", Some(flag("d", 1, true)))]).await;
    publisher.adopt(&stream(), &lost, covered).await.unwrap();
    world.publish(&publisher).await.unwrap();
    assert_eq!(world.manifest().await.version(), 3);
    assert_ne!(world.poll().await, Poll::Same);
    world.assert_current().await;
}

#[tokio::test]
async fn an_older_builder_publishes_changes_and_rebuilds_nothing() {
    let mut world = World::announced().await;
    world.options = Options { builder: 7, ..Options::default() };
    world.append([("b", None)]).await;
    world.publish(&world.publisher()).await.unwrap();
    assert_eq!(world.manifest().await.builder(), 7);
    world.publisher().rebuild(&stream()).await.unwrap();
    world.options.builder = 6;
    let older = world.publisher();
    let announced = world.manifest_bytes().await;
    let error = older.rebuild(&stream()).await.unwrap_err();
    assert!(matches!(error, PublishError::OlderBuilder { own: 6, claimed: 7 }), "{error}");
    assert_eq!(error.code(), "builder-older");
    older.sweep(&stream()).await.unwrap();
    assert_eq!(world.manifest_bytes().await, announced);
    world.append([("c", None)]).await;
    world.publish(&older).await.unwrap();
    assert_eq!(world.manifest().await.builder(), 6);
}

/// A file system that hangs where the archive is written.
struct Hung(Arc<dyn ObjectStore>);

#[async_trait]
impl ObjectStore for Hung {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError> {
        self.0.get(path).await
    }

    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError> {
        self.0.head(path).await
    }

    async fn put_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError> {
        if path.as_str().contains("/m/") {
            std::future::pending::<()>().await;
        }
        self.0.put_new(path, bytes).await
    }

    async fn put_if(&self, path: &ObjectPath, bytes: &[u8], expect: &Expect) -> Result<PutIf, StoreError> {
        self.0.put_if(path, bytes, expect).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_hangs_gives_its_stream_back() {
    let world = World::announced().await;
    let publisher =
        world.publisher_with(Ports { store: Arc::new(Hung(world.store.clone())), ..world.ports() });
    let seq = world.append([("b", None)]).await;
    let before = tokio::time::Instant::now();
    let work = tokio::time::timeout(RUN_LIMIT * 2, publisher.publish(&stream(), seq, RUN_LIMIT * 2)).await;
    assert_eq!(work.unwrap().unwrap_err().code(), "publication-timeout");
    assert!(before.elapsed() >= RUN_LIMIT);
    assert_eq!(
        publisher.sweep(&stream()).await.unwrap_err().code(),
        "publication-timeout",
        "it was its turn"
    );
    assert_eq!(world.poll().await, Poll::Same);

    world.clock.advance(10_000);
    world.publish(&world.publisher()).await.unwrap();
    assert_ne!(world.poll().await, Poll::Same);
    let archived = Layout::of(&stream()).archive(1, 2).unwrap();
    assert!(world.memory.get(&archived).await.unwrap().is_some());
    world.assert_current().await;
}
