//! FAULTS A24, F16: the cache directory in the hands of others, full, gone, or shared.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flagstone::{Client, Disk, Refreshed, Source};

use crate::world::cdn::Reply;
use crate::world::{World, value};

async fn cached(world: &World, directory: &Path) -> Client {
    let client = world.builder().cache_dir(directory).build().unwrap();
    client.wait_for_ready(Duration::from_mins(1)).await.unwrap();
    client
}

fn bundle(directory: &Path) -> PathBuf {
    let mut bundles = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bundle"));
    bundles.next().unwrap()
}

/// A restart without a network serves what was served last, at once.
#[tokio::test(start_paused = true)]
async fn a_restart_offline_serves_what_was_served_last() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let client = cached(&world, directory.path()).await;
    for _ in 0..5 {
        world.legitimate_update(&client).await;
    }
    assert_eq!(client.status().disk, Disk::Fine);
    client.close().await;

    world.cdn.attack("a.example", |_| Some(Reply::Refused));
    let client = world.builder().cache_dir(directory.path()).build().unwrap();
    world.serves_newest(&client);
    assert_eq!(client.status().source, Some(Source::Disk));
    world.refuses(&client, "unreachable").await;

    world.cdn.relent("a.example");
    world.cdn.take_kinds();
    world.legitimate_update(&client).await;
    assert_eq!(world.cdn.take_kinds(), ["manifest"], "the delta is applied to what was on disk");
    let offline = world.builder().cache_dir(directory.path()).offline().unwrap();
    world.serves_newest(&offline);
}

/// Deltas pile up in the file until they are compacted; it loads at every length.
#[tokio::test(start_paused = true)]
async fn the_file_loads_after_any_number_of_deltas() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let client = cached(&world, directory.path()).await;
    let mut sizes = Vec::new();
    for _ in 0..30 {
        world.legitimate_update(&client).await;
        world.serves_newest(&world.builder().cache_dir(directory.path()).offline().unwrap());
        sizes.push(fs::metadata(bundle(directory.path())).unwrap().len());
    }
    assert!(sizes.windows(2).any(|pair| pair[1] < pair[0]), "it was compacted: {sizes:?}");
}

/// A24: every byte flipped in turn; the file is refused, and the network serves.
#[tokio::test(start_paused = true)]
async fn a_tampered_file_is_refused_whatever_byte_was_flipped() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let client = cached(&world, directory.path()).await;
    world.legitimate_update(&client).await;
    client.close().await;
    let path = bundle(directory.path());
    let good = fs::read(&path).unwrap();

    let inline = good.windows(11).position(|window| window == b"{\"inline\":\"").unwrap();
    let inline_end = inline + good[inline..].iter().position(|&byte| byte == b'\n').unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut tampered = good.clone();
        tampered[at] ^= 1;
        fs::write(&path, &tampered).unwrap();
        let loaded = world.builder().cache_dir(directory.path()).offline();
        if (inline..inline_end).contains(&at) {
            // Not signed, and not used for loading.
            if let Ok(loaded) = loaded {
                world.serves_newest(&loaded);
            }
        } else {
            assert!(loaded.is_err(), "byte {at}");
        }
    }

    fs::write(&path, &good[..good.len() - 1]).unwrap();
    let client = world.builder().cache_dir(directory.path()).build().unwrap();
    assert_eq!(client.status().code(), Some("malformed"));
    assert_eq!(value(&client), "none");
    client.wait_for_ready(Duration::from_secs(9)).await.unwrap();
    world.legitimate_update(&client).await;
    world.serves_newest(&world.builder().cache_dir(directory.path()).offline().unwrap());
}

/// A24: an older pair put back is taken at a start, for it was signed, and left with the first poll.
#[tokio::test(start_paused = true)]
async fn an_older_file_put_back_is_never_below_what_the_process_saw() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let client = cached(&world, directory.path()).await;
    let path = bundle(directory.path());
    let older = fs::read(&path).unwrap();
    world.legitimate_update(&client).await;

    // While running: the file is overtaken again with the next update, and memory is the floor.
    fs::write(&path, &older).unwrap();
    world.serves_newest(&client);
    world.legitimate_update(&client).await;
    world.serves_newest(&world.builder().cache_dir(directory.path()).offline().unwrap());

    // At a start: the network overtakes it.
    client.close().await;
    fs::write(&path, &older).unwrap();
    let client = world.builder().cache_dir(directory.path()).build().unwrap();
    assert_eq!(value(&client), "r1");
    client.refresh().await.unwrap();
    world.serves_newest(&client);
}

/// A24: another environment's file under this name.
#[tokio::test(start_paused = true)]
async fn the_file_of_another_environment_is_refused() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut world = World::new();
    let client = cached(&world, ours.path()).await;
    client.close().await;

    // The same keys and project, so that only the names differ.
    let staging = crate::world::publisher::Publisher::new("shop", "staging");
    let mut other = World::with_publisher(&["a.example"], staging);
    let text = other.connection().to_string().replace("production", "staging");
    let client = Client::builder(text.parse().unwrap())
        .sdk_key(crate::world::SDK_KEY)
        .transport(other.cdn.clone())
        .clock(other.clock.clone())
        .cache_dir(theirs.path())
        .build()
        .unwrap();
    client.wait_for_ready(Duration::from_secs(9)).await.unwrap();
    other.legitimate_update(&client).await;

    fs::copy(bundle(theirs.path()), bundle(ours.path())).unwrap();
    let client = world.builder().cache_dir(ours.path()).build().unwrap();
    assert_eq!(client.status().code(), Some("wrong-stream"));
    assert_eq!(value(&client), "none");
    client.wait_for_ready(Duration::from_secs(9)).await.unwrap();
    world.legitimate_update(&client).await;
}

/// A24: a link in place of the file.
#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_link_in_place_of_the_file_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let client = cached(&world, directory.path()).await;
    client.close().await;
    let path = bundle(directory.path());
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();

    let client = world.builder().cache_dir(directory.path()).build().unwrap();
    assert_eq!(value(&client), "none");
    client.wait_for_ready(Duration::from_secs(9)).await.unwrap();
    world.legitimate_update(&client).await;
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}

/// F16: a directory that cannot be written.
#[tokio::test(start_paused = true)]
async fn an_unwritable_directory_means_memory_only() {
    let directory = tempfile::tempdir().unwrap();
    let occupied = directory.path().join("occupied");
    fs::write(&occupied, b"a file where the directory should be").unwrap();
    let mut world = World::new();
    let client = cached(&world, &occupied.join("cache")).await;
    client.refresh().await.unwrap();
    assert!(matches!(client.status().disk, Disk::MemoryOnly(_)), "{:?}", client.status().disk);
    world.legitimate_update(&client).await;
    world.legitimate_update(&client).await;
}

/// F16: two clients share a directory; the one that is behind has reason to write, and does not go back.
#[tokio::test(start_paused = true)]
async fn clients_that_share_a_directory_never_put_an_older_file_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let first = world.next();
    world.upload(&first);
    let ahead = cached(&world, directory.path()).await;
    let day = Duration::from_hours(24);
    let behind = world.builder().cache_dir(directory.path()).poll_interval(day).build().unwrap();
    behind.refresh().await.unwrap();
    // Announced before the next version, two hours after the file was written.
    let heartbeat = world.publisher.heartbeat(&first, world.clock.true_ms() + 7_200_000);
    world.legitimate_update(&ahead).await;

    world.announce(&heartbeat.file);
    assert_eq!(behind.refresh().await.unwrap(), Refreshed::Announced);
    assert_eq!(behind.status().version, Some(first.body.version));
    assert_eq!(behind.status().disk, Disk::Fine);
    world.serves_newest(&world.builder().cache_dir(directory.path()).offline().unwrap());
    world.legitimate_update(&behind).await;
}

/// A bundle baked into an image serves until the network does; the newer of it and the disk wins.
#[tokio::test(start_paused = true)]
async fn the_newer_of_disk_and_given_bundle_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let client = cached(&world, directory.path()).await;
    let baked = fs::read(bundle(directory.path())).unwrap();
    world.legitimate_update(&client).await;
    client.close().await;

    let only_baked = world.builder().bundle(baked.clone()).offline().unwrap();
    assert_eq!(value(&only_baked), "r1");
    assert_eq!(only_baked.status().source, Some(Source::Bundle));
    let both = world.builder().bundle(baked).cache_dir(directory.path()).offline().unwrap();
    world.serves_newest(&both);
    assert_eq!(both.status().source, Some(Source::Disk));
    assert_eq!(world.builder().bundle(b"nonsense".to_vec()).offline().unwrap_err().code(), "malformed");
}
