//! Lists: there before the swap that names them, or told as missing, and never in the way of anything else.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flagstone::{Client, Context, EventKind, Refreshed, StatusBits};
use flagstone_bundle::container::encode_zstd;
use flagstone_model::digest::Digest;
use tokio::time::Instant;

use crate::world::cdn::Reply;
use crate::world::{World, value};

const LOUNGE: &str = r#"{"flag":"lounge","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","rules":[{"id":"vip","if":[{"segment":["vip"]}],"serve":"on"}],"fallthrough":"off"}"#;
const VIP: &str = r#"{"segment":"vip","if":[{"attr":"targetingKey","listed":"vip-keys"}]}"#;

/// The object of a list.
pub(crate) struct Object {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) line: String,
}

pub(crate) fn object(keys: &[&str], edits: &str) -> Object {
    object_of("vip-keys", keys, edits)
}

/// The object of a list with this key.
pub(crate) fn object_of(key: &str, keys: &[&str], edits: &str) -> Object {
    let raw: String = keys.iter().map(|key| format!("{key}\n")).collect();
    let (bytes, stored) = encode_zstd(raw.as_bytes()).unwrap();
    let (sha256, size, raw_size, count) = (stored.sha256, stored.size, stored.raw_size, keys.len());
    let line = format!(
        r#"{{"list":"{key}","encoding":"zstd","sha256":"{sha256}","size":{size},"raw_size":{raw_size},"count":{count}{edits}}}"#
    );
    Object { path: format!("/closed/shop/v1/k/{sha256}.txt.zst"), bytes, line }
}

pub(crate) fn name(world: &mut World, line: &str) {
    world.publisher.set_line("lounge", LOUNGE);
    world.publisher.set_line("segment vip", VIP);
    world.publisher.set_line("list vip-keys", line);
}

/// Announces an update whose lines name a list, and puts the list there.
pub(crate) async fn with_list(world: &mut World, client: &Client, object: &Object) {
    world.cdn.put_everywhere(&object.path, &object.bytes);
    name(world, &object.line);
    world.legitimate_update(client).await;
}

pub(crate) fn lounge(client: &Client, user: &str) -> (bool, String) {
    let details = client.bool_details("lounge", false, &Context::with_targeting_key(user));
    (details.value, details.reason.as_str().to_owned())
}

pub(crate) fn is_in(client: &Client, user: &str) -> bool {
    let (value, reason) = lounge(client, user);
    assert_ne!(reason, "UNKNOWN", "{:?}", client.status());
    value
}

fn is_undecided(client: &Client) -> bool {
    lounge(client, "u-1").1 == "UNKNOWN"
}

pub(crate) fn bits(client: &Client) -> String {
    client.status().bits.to_string()
}

pub(crate) fn lists_asked(world: &World) -> usize {
    world.cdn.take_seen().iter().filter(|seen| seen.path.contains("/k/")).count()
}

#[tokio::test(start_paused = true)]
async fn a_list_is_there_before_the_swap_that_names_it() {
    let mut world = World::new();
    let client = world.client().await;
    world.cdn.take_seen();
    with_list(&mut world, &client, &object(&["u-1", "u-3"], "")).await;
    assert_eq!((is_in(&client, "u-1"), is_in(&client, "u-2"), is_in(&client, "u-3")), (true, false, true));
    let seen = world.cdn.take_seen();
    let of_list: Vec<_> = seen.iter().filter(|seen| seen.path.contains("/k/")).collect();
    assert_eq!(of_list.len(), 1);
    assert_eq!(of_list[0].headers["x-flagstone-key"], crate::world::SDK_KEY);
    assert_eq!(bits(&client), "");
    // An edit is a line, and no download.
    name(&mut world, &object(&["u-1", "u-3"], r#","add":["u-2"],"drop":["u-3"]"#).line);
    world.legitimate_update(&client).await;
    assert_eq!((is_in(&client, "u-1"), is_in(&client, "u-2"), is_in(&client, "u-3")), (true, true, false));
    assert_eq!(lists_asked(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_had_holds_up_nothing_else_and_is_looked_for_again() {
    let mut world = World::new();
    let client = world.client().await;
    let mut events = client.events();
    let vip = object(&["u-1"], "");
    name(&mut world, &vip.line);
    world.legitimate_update(&client).await;
    assert!(is_undecided(&client));
    assert_eq!(bits(&client), "lists-incomplete");
    let missing = client.status().missing_lists;
    assert_eq!(missing.iter().map(|key| &**key).collect::<Vec<_>>(), ["vip-keys"]);
    // It rests, and longer each time.
    tokio::time::sleep(Duration::from_mins(10)).await;
    let asked = lists_asked(&world);
    assert!((3..10).contains(&asked), "{asked}");
    assert_eq!(bits(&client), "lists-incomplete");
    while events.try_next().is_some() {}
    world.cdn.put_everywhere(&vip.path, &vip.bytes);
    tokio::time::sleep(Duration::from_mins(11)).await;
    assert!(is_in(&client, "u-1") && !is_in(&client, "u-2"));
    assert!(!client.status().bits.contains(StatusBits::LISTS_INCOMPLETE));
    assert!(client.status().missing_lists.is_empty());
    let swap = std::iter::from_fn(|| events.try_next()).find(|event| event.kind == EventKind::Swap).unwrap();
    assert_eq!(swap.keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["lounge"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_hangs_delays_a_kill_switch_by_the_deadline_and_the_next_one_not_at_all() {
    let mut world = World::new();
    let client = world.client().await;
    let hangs = |path: &str| path.contains("/k/").then_some(Reply::Hang);
    world.cdn.attack("a.example", hangs);
    name(&mut world, &object(&["u-1"], "").line);
    let start = Instant::now();
    world.legitimate_update(&client).await;
    assert!(start.elapsed() <= Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(bits(&client), "lists-incomplete");
    let start = Instant::now();
    world.legitimate_update(&client).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    // Neither does one that is asked for anew after its rest.
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert!(lists_asked(&world) > 1);
    let start = Instant::now();
    world.legitimate_update(&client).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_object_before_serves_until_the_new_one_is_there() {
    let mut world = World::new();
    let client = world.client().await;
    with_list(&mut world, &client, &object(&["u-1"], "")).await;
    let next = object(&["u-2"], "");
    name(&mut world, &next.line);
    world.legitimate_update(&client).await;
    assert_eq!((is_in(&client, "u-1"), is_in(&client, "u-2")), (true, false));
    assert_eq!(bits(&client), "lists-incomplete");
    world.cdn.put_everywhere(&next.path, &next.bytes);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!((is_in(&client, "u-1"), is_in(&client, "u-2")), (false, true));
    assert_eq!(bits(&client), "");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_other_bytes_is_refused_and_the_next_base_url_asked() {
    let mut world = World::with_hosts(&["a.example", "b.example"]);
    let client = world.client().await;
    let (vip, mut other) = (object(&["u-1"], ""), object(&["u-1"], "").bytes);
    other.reverse();
    world.cdn.attack("a.example", move |path| path.contains("/k/").then(|| Reply::Bytes(200, other.clone())));
    with_list(&mut world, &client, &vip).await;
    assert!(is_in(&client, "u-1"));
    assert_eq!(bits(&client), "");
    // Bytes that are signed and no list, from everywhere.
    let wrong = object(&["u-2", "u-1"], "");
    world.cdn.relent("a.example");
    with_list(&mut world, &client, &wrong).await;
    assert_eq!((is_in(&client, "u-1"), is_in(&client, "u-2")), (true, false));
    assert_eq!(bits(&client), "lists-incomplete");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_larger_than_one_may_be_is_never_asked_for() {
    let mut world = World::new();
    let client = world.client().await;
    world.cdn.take_seen();
    let digest = Digest::of(b"large");
    for (size, raw_size) in [(64 * 1024 * 1024 + 1, 1), (1, 128 * 1024 * 1024 + 1)] {
        let line = format!(
            r#"{{"list":"vip-keys","encoding":"zstd","sha256":"{digest}","size":{size},"raw_size":{raw_size},"count":1}}"#
        );
        name(&mut world, &line);
        world.legitimate_update(&client).await;
        assert!(is_undecided(&client));
    }
    assert_eq!(lists_asked(&world), 0);
}

pub(crate) async fn cached(world: &World, directory: &Path) -> Client {
    let client = world.builder().cache_dir(directory).build().unwrap();
    client.wait_for_ready(Duration::from_mins(1)).await.unwrap();
    client
}

/// The files of a directory that end so.
pub(crate) fn files(directory: &Path, end: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_str().unwrap().ends_with(end)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_restart_needs_no_download_of_lists() {
    let place = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let client = cached(&world, place.path()).await;
    for keys in [["u-1"], ["u-3"], ["u-2"]] {
        with_list(&mut world, &client, &object(&keys, "")).await;
    }
    client.close().await;
    world.cdn.take_seen();
    let offline = world.builder().cache_dir(place.path()).offline().unwrap();
    assert_eq!(
        (is_in(&offline, "u-1"), is_in(&offline, "u-2"), bits(&offline)),
        (false, true, String::new())
    );
    let client = cached(&world, place.path()).await;
    assert!(is_in(&client, "u-2"));
    assert_eq!(client.refresh().await.unwrap(), Refreshed::Unchanged);
    assert_eq!(lists_asked(&world), 0);
    client.close().await;

    // What somebody has altered on disk is no list, and is fetched again.
    let [folder] = &files(place.path(), ".k")[..] else { panic!("one folder") };
    let newest = object(&["u-2"], "").path;
    let stored = folder.join(newest.rsplit('/').next().unwrap());
    fs::write(&stored, b"altered").unwrap();
    assert_eq!(files(folder, "").len(), 3, "those that were named before stay for a while");
    let client = world.builder().cache_dir(place.path()).build().unwrap();
    assert!(is_undecided(&client));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(is_in(&client, "u-2"));
    assert_eq!((lists_asked(&world), bits(&client)), (1, String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_bundle_file_has_its_lists_in_the_folder_k_beside_it() {
    let (cache, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut world = World::new();
    let client = cached(&world, cache.path()).await;
    let vip = object(&["u-1"], "");
    with_list(&mut world, &client, &vip).await;
    client.close().await;
    let file = image.path().join("flags.bundle");
    fs::copy(&files(cache.path(), ".bundle")[0], &file).unwrap();
    let without = world.builder().bundle_file(&file).offline().unwrap();
    assert!(is_undecided(&without));
    assert_eq!(bits(&without), "lists-incomplete");
    assert_eq!(value(&without), value(&client));
    fs::create_dir(image.path().join("k")).unwrap();
    fs::write(image.path().join("k").join(vip.path.rsplit('/').next().unwrap()), &vip.bytes).unwrap();
    let with = world.builder().bundle_file(&file).offline().unwrap();
    assert_eq!((is_in(&with, "u-1"), bits(&with)), (true, String::new()));
    // Whoever brings a file may bring its lists later: the same file is read again, and what is new is told.
    let changes = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&changes);
    without.on_change(move |change| told.lock().unwrap().push(change.keys.to_vec()));
    assert_eq!(without.refresh().await.unwrap(), Refreshed::Unchanged);
    assert_eq!((is_in(&without, "u-1"), bits(&without)), (true, String::new()));
    assert_eq!(*changes.lock().unwrap(), [["lounge".into()]]);
    assert_eq!(without.refresh().await.unwrap(), Refreshed::Unchanged);
    assert_eq!(changes.lock().unwrap().len(), 1);
}
