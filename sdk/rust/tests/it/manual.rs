//! A client without a background task, in a process that may be frozen between two calls.

use std::time::Duration;

use flagstone::{Context, Refreshed, Source, StatusBits};

use crate::world::cdn::Reply;
use crate::world::{World, value};

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn it_polls_when_the_caller_says_and_never_else() {
    let mut world = World::new();
    let client = world.builder().manual().unwrap();
    tokio::time::sleep(10 * MINUTE).await;
    assert!(world.cdn.take_seen().is_empty() && !client.status().ready);

    client.wait_for_ready(MINUTE).await.unwrap();
    world.serves_newest(&client);
    client.wait_for_ready(MINUTE).await.unwrap();
    assert_eq!(world.cdn.take_kinds(), ["root", "manifest", "snapshot"]);

    let update = world.next();
    world.upload(&update);
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(value(&client), "r1");
    assert_eq!(client.refresh().await.unwrap(), Refreshed::Swapped);
    world.serves_newest(&client);
    assert_eq!(world.cdn.take_kinds(), ["manifest"]);
}

#[tokio::test(start_paused = true)]
async fn it_polls_only_what_is_older_than_asked_for() {
    let mut world = World::new();
    let client = world.builder().manual().unwrap();
    assert_eq!(client.refresh_if_older_than(MINUTE).await.unwrap(), Some(Refreshed::Swapped));
    world.cdn.take_seen();
    let update = world.next();
    world.upload(&update);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(client.refresh_if_older_than(MINUTE).await.unwrap(), None);
    assert!(world.cdn.take_seen().is_empty());
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Two invocations at once: the second is content with what the first brought.
    let (first, second) =
        tokio::join!(client.refresh_if_older_than(MINUTE), client.refresh_if_older_than(MINUTE));
    assert_eq!((first.unwrap(), second.unwrap()), (Some(Refreshed::Swapped), None));
    world.serves_newest(&client);
    assert_eq!(world.cdn.take_seen().len(), 1);
}

/// The monotonic clock stands still in a frozen process; the one on the wall tells.
#[tokio::test(start_paused = true)]
async fn a_process_that_was_frozen_knows_how_old_its_flags_are() {
    let mut world = World::new();
    let client = world.builder().manual().unwrap();
    client.refresh().await.unwrap();
    let update = world.next();
    world.upload(&update);
    world.clock.set_wall_off_ms(3_600_000);
    assert_eq!(client.refresh_if_older_than(MINUTE).await.unwrap(), Some(Refreshed::Swapped));
    world.serves_newest(&client);
    // And a clock set back makes nothing young.
    world.clock.set_wall_off_ms(-3_600_000);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(client.refresh_if_older_than(MINUTE).await.unwrap(), Some(Refreshed::Unchanged));
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_it_keeps_the_pause_and_serves_on() {
    let mut world = World::new();
    let client = world.builder().manual().unwrap();
    client.refresh().await.unwrap();
    let update = world.next();
    world.upload(&update);
    world.cdn.attack("a.example", |_| Some(Reply::Bytes(503, Vec::new())));
    assert!(client.refresh_if_older_than(Duration::ZERO).await.is_err());
    world.cdn.take_seen();
    assert_eq!(client.refresh_if_older_than(Duration::ZERO).await.unwrap(), None);
    assert!(world.cdn.take_seen().is_empty());
    assert!(client.status().last_error.is_some());
    assert_eq!(value(&client), "r1");

    world.cdn.relent("a.example");
    tokio::time::sleep(2 * MINUTE).await;
    let refreshed = client.refresh_if_older_than(Duration::ZERO).await.unwrap();
    assert_eq!(refreshed, Some(Refreshed::Swapped));
    world.serves_newest(&client);
}

/// A function may run out of time in the middle of anything.
#[tokio::test(start_paused = true)]
async fn a_refresh_that_nobody_waits_for_any_more_loses_nothing() {
    let mut world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let client = world.builder().cache_dir(directory.path()).manual().unwrap();
    for kind in ["/root/", "/e/", "/s/"] {
        world.cdn.attack("a.example", move |path| path.contains(kind).then_some(Reply::Hang));
        assert!(tokio::time::timeout(Duration::from_millis(10), client.refresh()).await.is_err());
        assert_eq!(value(&client), "none");
    }
    world.cdn.relent("a.example");
    assert_eq!(client.refresh().await.unwrap(), Refreshed::Swapped);

    for _ in 0..3 {
        let update = world.next();
        world.upload(&update);
        world.cdn.attack("a.example", |_| Some(Reply::Hang));
        assert!(tokio::time::timeout(Duration::from_millis(10), client.refresh()).await.is_err());
        world.cdn.relent("a.example");
        world.cdn.take_kinds();
        assert_eq!(client.refresh().await.unwrap(), Refreshed::Swapped);
        assert_eq!(world.cdn.take_kinds(), ["manifest"], "the delta still fits");
        world.serves_newest(&client);
    }
    world.serves_newest(&world.builder().cache_dir(directory.path()).offline().unwrap());
}

#[tokio::test(start_paused = true)]
async fn it_says_that_its_flags_are_stale_when_it_was_not_told_to_poll_for_long() {
    let world = World::new();
    let client = world.builder().manual().unwrap();
    client.refresh().await.unwrap();
    let is_stale = || client.string_details("release", "none", &Context::new()).stale;
    assert!(!client.status().is_stale() && !is_stale());
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(client.refresh_if_older_than(60 * MINUTE).await.unwrap(), None);
    assert!(is_stale());
    assert_eq!(client.status().bits, StatusBits::UNREACHABLE);
    client.refresh().await.unwrap();
    assert!(!client.status().is_stale() && !is_stale());
}

#[tokio::test(start_paused = true)]
async fn a_closed_one_polls_no_more() {
    let world = World::new();
    let client = world.builder().manual().unwrap();
    client.refresh().await.unwrap();
    let twin = client.clone();
    client.close().await;
    world.cdn.take_seen();
    assert_eq!(twin.refresh().await.unwrap_err().code(), "not-polling");
    assert_eq!(twin.refresh_if_older_than(Duration::ZERO).await.unwrap_err().code(), "not-polling");
    assert!(world.cdn.take_seen().is_empty());
    world.serves_newest(&twin);
}

#[test]
fn it_is_built_outside_a_runtime() {
    let text = "flagstone://cdn.example?project=shop&environment=production&view=client\
                &root=1:04862e2461b74b1612c58325e4dba3edca6c1330dcef495a72cc6ed5bfbd2565";
    let client = flagstone::Client::builder(text.parse().unwrap()).manual().unwrap();
    assert!(!client.status().ready);
}

/// Also of a client that polls by itself.
#[tokio::test(start_paused = true)]
async fn a_polling_client_is_asked_only_when_it_is_late() {
    let world = World::new();
    let client = world.builder().poll_interval(Duration::from_hours(1)).build().unwrap();
    client.wait_for_ready(MINUTE).await.unwrap();
    client.refresh().await.unwrap();
    assert_eq!(client.refresh_if_older_than(MINUTE).await.unwrap(), None);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(client.refresh_if_older_than(MINUTE).await.unwrap(), Some(Refreshed::Unchanged));
}

#[tokio::test(start_paused = true)]
async fn a_bundle_file_is_served_alone_or_until_the_network_is_newer() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let cached = world.builder().cache_dir(directory.path()).build().unwrap();
    cached.wait_for_ready(MINUTE).await.unwrap();
    cached.close().await;
    let is_bundle = |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "bundle");
    let mut entries = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let file = entries.find(is_bundle).unwrap();
    // As mounted configuration is: through a link.
    let link = directory.path().join("link");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&file, &link).unwrap();

    let alone = world.builder().bundle_file(&link).offline().unwrap();
    assert_eq!((value(&alone).as_str(), alone.status().source), ("r1", Some(Source::Bundle)));
    let update = world.next();
    world.upload(&update);
    let client = world.builder().bundle_file(&link).manual().unwrap();
    assert_eq!(value(&client), "r1");
    client.refresh().await.unwrap();
    world.serves_newest(&client);

    let missing = world.builder().bundle_file(directory.path().join("none"));
    assert_eq!(missing.offline().unwrap_err().code(), "not-found");
    let folder = world.builder().bundle_file(directory.path());
    assert_eq!(folder.offline().unwrap_err().code(), "malformed");
    // A service starts all the same, and says what is wrong.
    let client = world.builder().bundle_file(directory.path().join("none")).manual().unwrap();
    assert_eq!(client.status().code(), Some("not-found"));
    client.refresh().await.unwrap();
    world.serves_newest(&client);
}

/// Something else on the machine keeps the file current.
#[tokio::test(start_paused = true)]
async fn an_offline_client_reads_its_file_again_and_takes_only_what_is_newer() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let keeper = world.builder().cache_dir(directory.path()).manual().unwrap();
    keeper.refresh().await.unwrap();
    let is_bundle = |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "bundle");
    let mut entries = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let file = entries.find(is_bundle).unwrap();
    let older = std::fs::read(&file).unwrap();
    let client = world.builder().bundle_file(&file).offline().unwrap();
    world.cdn.take_seen();
    let changes = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = std::sync::Arc::clone(&changes);
    client.on_change(move |change| told.lock().unwrap().push((change.version, change.keys.len())));

    assert_eq!(client.refresh().await.unwrap(), Refreshed::Unchanged);
    world.legitimate_update(&keeper).await;
    world.cdn.take_seen();
    assert_eq!(client.refresh_if_older_than(MINUTE).await.unwrap(), None);
    assert_eq!(client.refresh().await.unwrap(), Refreshed::Swapped);
    world.serves_newest(&client);
    assert_eq!(*changes.lock().unwrap(), [(client.status().version, 1)]);
    // The file is this client's network.
    assert!(client.status().bits.is_empty());
    for _ in 0..16 {
        tokio::time::sleep(MINUTE).await;
        assert_eq!(client.refresh().await.unwrap(), Refreshed::Unchanged);
    }
    assert_eq!(client.status().bits, StatusBits::FROZEN);

    let newest = std::fs::read(&file).unwrap();
    for (bytes, code) in
        [(older.as_slice(), "older"), (&newest[..newest.len() - 1], "malformed"), (b"", "malformed")]
    {
        std::fs::write(&file, bytes).unwrap();
        world.refuses(&client, code).await;
        world.serves_newest(&client);
    }
    std::fs::remove_file(&file).unwrap();
    world.refuses(&client, "not-found").await;

    std::fs::write(&file, &newest).unwrap();
    assert_eq!(client.refresh().await.unwrap(), Refreshed::Unchanged);
    assert_eq!(client.status().code(), None);
    assert!(world.cdn.take_seen().is_empty(), "no network is asked");
    client.close().await;
    assert_eq!(client.refresh().await.unwrap_err().code(), "not-polling");
}

/// Nor does it need tokio: what reads it asks for its own thread only where there is one.
#[test]
fn an_offline_client_reads_its_file_again_without_a_runtime() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("flags.bundle");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let world = runtime.block_on(async {
        let world = World::new();
        let keeper = world.builder().cache_dir(directory.path()).manual().unwrap();
        keeper.refresh().await.unwrap();
        world
    });
    let is_bundle = |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "bundle");
    let mut entries = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    std::fs::rename(entries.find(is_bundle).unwrap(), &file).unwrap();
    let client = world.builder().bundle_file(&file).offline().unwrap();
    let refresh = std::pin::pin!(client.refresh());
    let polled = refresh.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(matches!(polled, std::task::Poll::Ready(Ok(Refreshed::Unchanged))), "{polled:?}");
}
