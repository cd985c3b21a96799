//! What happens when nothing goes wrong.

use flagstone_publisher::publish::PublicationState;
use flagstone_publisher::store::ObjectPath;

use super::world::{BUDGET, NOW, Poll, World, append, flag, stream};

#[tokio::test]
async fn the_first_publication_is_a_full_snapshot_under_the_published_paths() {
    let world = World::new().await;
    let seq = world.append([("a", Some(flag("a", 1, true)))]).await;
    let publisher = world.publisher();
    let progress = publisher.publish(&stream(), seq, BUDGET).await.unwrap();
    assert_eq!((progress.version, progress.serial, progress.covered_seq), (1, 1, 1));
    assert_eq!(progress.state, PublicationState::Announced);
    assert_eq!(world.poll().await, Poll::Full);

    let manifest = world.manifest().await;
    assert_eq!((manifest.root(), manifest.epoch(), manifest.lines()), (1, 1, 2));
    assert_eq!((manifest.issued_ms(), manifest.expires_ms()), (NOW, NOW + 3_600_000));
    assert_eq!(manifest.log().unwrap().seq, 1);
    assert_eq!(manifest.log().unwrap().hash, world.log.head(&stream().project).await.unwrap().unwrap().hash);
    assert!(manifest.deltas().is_empty() && manifest.inline().is_none());
    let sha256 = manifest.snapshot().sha256;
    let paths: Vec<_> = world.memory.paths().iter().map(ObjectPath::to_string).collect();
    let e = "closed/shop/v1/e/production/server";
    assert_eq!(
        paths,
        [format!("{e}/m/1-1"), format!("{e}/manifest"), format!("closed/shop/v1/s/{sha256}.jsonl.zst")]
    );
}

#[tokio::test]
async fn a_change_travels_inline() {
    let world = World::announced().await;
    let publisher = world.publisher();
    world.append([("b", Some(flag("b", 2, false)))]).await;
    world.publish(&publisher).await.unwrap();
    assert_eq!(world.poll().await, Poll::Inline);
    world.append([("b", None), ("d", Some(flag("d", 1, true)))]).await;
    world.publish(&publisher).await.unwrap();
    assert_eq!(world.poll().await, Poll::Inline);
    world.assert_current().await;
    assert_eq!(world.manifest().await.version(), 3);
    assert!(world.manifest_bytes().await.len() < 2_000);
}

#[tokio::test]
async fn a_change_of_nothing_in_this_stream_announces_nothing() {
    let world = World::announced().await;
    let before = world.manifest_bytes().await;
    let seq = world.append([("a", Some(flag("a", 1, true)))]).await;
    let progress = world.publish(&world.publisher()).await.unwrap();
    assert_eq!((progress.version, progress.serial, progress.covered_seq), (1, 1, seq));
    assert_eq!(world.manifest_bytes().await, before);
    assert_eq!(world.poll().await, Poll::Same);
}

#[tokio::test]
async fn a_version_given_back_to_an_earlier_content_is_a_version_of_its_own() {
    let world = World::announced().await;
    let publisher = world.publisher();
    for on in [false, true] {
        world.append([("a", Some(flag("a", 1, on)))]).await;
        world.publish(&publisher).await.unwrap();
    }
    assert_eq!(world.manifest().await.version(), 3);
    assert_eq!(world.poll().await, Poll::Inline);
    world.assert_current().await;
}

#[tokio::test]
async fn every_version_is_archived_as_it_was_announced_first() {
    let world = World::announced().await;
    let publisher = world.publisher();
    world.append([("b", None)]).await;
    world.publish(&publisher).await.unwrap();
    let second = world.manifest_bytes().await;
    world.clock.advance(600_000);
    publisher.sweep(&stream()).await.unwrap();
    assert_ne!(world.manifest_bytes().await, second, "a heartbeat was sent");
    let archived = ObjectPath::parse("closed/shop/v1/e/production/server/m/1-2").unwrap();
    assert_eq!(world.store.get(&archived).await.unwrap().unwrap().bytes, second);
}

#[tokio::test]
async fn a_sweep_sends_a_heartbeat_when_it_is_time_and_not_before() {
    let world = World::announced().await;
    let publisher = world.publisher();
    world.clock.advance(200_000);
    assert_eq!(publisher.sweep(&stream()).await.unwrap().serial, 1);
    world.clock.advance(50_000);
    assert_eq!(publisher.sweep(&stream()).await.unwrap().serial, 2);
    assert_eq!(world.poll().await, Poll::Heartbeat);
    let manifest = world.manifest().await;
    assert_eq!((manifest.version(), manifest.issued_ms()), (1, NOW + 250_000));
    world.assert_current().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_never_issues_an_earlier_time() {
    let world = World::announced().await;
    let publisher = world.publisher();
    world.clock.advance(-3_600_000);
    world.append([("b", None)]).await;
    world.publish(&publisher).await.unwrap();
    assert_eq!(world.manifest().await.issued_ms(), NOW);
    assert_eq!(world.poll().await, Poll::Inline);
}

#[tokio::test]
async fn heartbeats_go_on_when_the_clock_is_set_back() {
    let world = World::announced().await;
    let publisher = world.publisher();
    world.clock.advance(120_000);
    publisher.sweep(&stream()).await.unwrap();
    world.clock.advance(-86_400_000);
    let mut serials = Vec::new();
    for _ in 0..12 {
        serials.push(publisher.sweep(&stream()).await.unwrap().serial);
        world.clock.advance(60_000);
    }
    // Each four minutes after it saw the one before, and not at every sweep.
    assert_eq!(serials, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
    assert_eq!(world.poll().await, Poll::Heartbeat);
    assert_eq!(world.manifest().await.issued_ms(), NOW);
    world.assert_current().await;
}

#[tokio::test]
async fn a_heartbeat_names_the_head_that_was_covered_meanwhile() {
    let world = World::announced().await;
    let publisher = world.publisher();
    world.append([("a", Some(flag("a", 1, true)))]).await;
    world.publish(&publisher).await.unwrap();
    world.clock.advance(300_000);
    publisher.sweep(&stream()).await.unwrap();
    assert_eq!(world.manifest().await.log().unwrap().seq, 2);
}

#[tokio::test]
async fn a_sweep_publishes_what_nobody_published() {
    let world = World::announced().await;
    append(&*world.log, [("c", None)]).await;
    world.publisher().sweep(&stream()).await.unwrap();
    assert_eq!(world.poll().await, Poll::Inline);
    world.assert_current().await;
}

#[tokio::test]
async fn a_log_without_entries_publishes_nothing() {
    let world = World::new().await;
    let progress = world.publisher().sweep(&stream()).await.unwrap();
    assert_eq!((progress.version, progress.state), (0, PublicationState::Pending));
    assert_eq!(world.memory.paths(), []);
}

#[tokio::test]
async fn a_rebuild_of_the_same_lines_announces_nothing() {
    let world = World::announced().await;
    let progress = world.publisher().rebuild(&stream()).await.unwrap();
    assert_eq!((progress.version, progress.serial), (1, 1));
}
