//! How lists are fetched: over slow links too, a few at once, and with pauses; and what is told and kept meanwhile.

use std::collections::BTreeSet;
use std::future::Future as _;
use std::task::Poll;
use std::time::Duration;

use flagstone::{Client, MAX_LISTS_BYTES, Refreshed};
use flagstone_model::digest::Digest;

use crate::lists::{
    Object, bits, cached, files, is_in, lists_asked, lounge, name, object, object_of, with_list,
};
use crate::world::cdn::Reply;
use crate::world::publisher::flag;
use crate::world::{World, value};

const SECOND: Duration = Duration::from_secs(1);

/// An object with the key `u-1` that takes so many seconds, and the rate at which it does: above the least one.
fn lasting(seconds: usize) -> (Object, usize) {
    lasting_of("vip-keys", "u-1", seconds)
}

/// The same for a list of that key, which has the key `user`.
fn lasting_of(key: &str, user: &str, seconds: usize) -> (Object, usize) {
    let mut keys: Vec<String> =
        (0..seconds * 500).map(|n| Digest::of(format!("{user} {n}").as_bytes()).to_string()).collect();
    keys.push(user.to_owned());
    keys.sort();
    let object = object_of(key, &keys.iter().map(String::as_str).collect::<Vec<_>>(), "");
    let rate = object.bytes.len().div_ceil(seconds);
    assert!(rate > 12_000, "{rate}");
    (object, rate)
}

/// Lists come at this rate.
fn at_rate(world: &World, object: &Object, rate: usize) {
    world.cdn.put_everywhere(&object.path, &object.bytes);
    let path = object.path.clone();
    world.cdn.attack("a.example", move |asked| (asked == path).then_some(Reply::AtRate(rate)));
}

/// Polls without waiting for it.
fn refresh(client: &Client) -> tokio::task::JoinHandle<Refreshed> {
    let client = client.clone();
    tokio::spawn(async move { client.refresh().await.unwrap() })
}

#[tokio::test(start_paused = true)]
async fn a_swap_waits_for_a_list_that_takes_its_time() {
    let mut world = World::new();
    let client = world.client().await;
    let (vip, rate) = lasting(20);
    at_rate(&world, &vip, rate);
    name(&mut world, &vip.line);
    let update = world.next();
    world.upload(&update);
    let polled = refresh(&client);
    let mut reasons = BTreeSet::new();
    while !polled.is_finished() {
        reasons.insert(lounge(&client, "u-1").1);
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(polled.await.unwrap(), Refreshed::Swapped);
    assert_eq!(reasons, ["ERROR".to_owned()].into(), "there is no such flag until its list is there");
    assert!(is_in(&client, "u-1") && !is_in(&client, "u-2"));
    assert_eq!(bits(&client), "");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_takes_longer_than_a_swap_waits_arrives_all_the_same() {
    let mut world = World::new();
    let client = world.client().await;
    let (vip, rate) = lasting(50);
    at_rate(&world, &vip, rate);
    name(&mut world, &vip.line);
    world.legitimate_update(&client).await;
    assert_eq!(bits(&client), "lists-incomplete");
    world.legitimate_update(&client).await;
    tokio::time::sleep(35 * SECOND).await;
    assert!(is_in(&client, "u-1"));
    assert_eq!((lists_asked(&world), bits(&client)), (1, String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_list_below_the_least_rate_is_given_up() {
    let mut world = World::new();
    let client = world.client().await;
    let (vip, _) = lasting(20);
    at_rate(&world, &vip, 5_000);
    name(&mut world, &vip.line);
    world.legitimate_update(&client).await;
    assert_eq!(bits(&client), "lists-incomplete");
    assert_eq!(lists_asked(&world), 1);
    tokio::time::sleep(40 * SECOND).await;
    assert_eq!((lists_asked(&world), bits(&client)), (1, "lists-incomplete".to_owned()));
}

/// The hosts that were asked for lists since the last look.
fn hosts_asked(world: &World) -> Vec<String> {
    let seen = world.cdn.take_seen().into_iter().filter(|seen| seen.path.contains("/k/"));
    seen.map(|seen| seen.host).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_slow_at_one_url_is_fetched_from_the_next() {
    // More than a megabyte, at the rate and at half of it.
    for (rate, asked) in [(100_000, &["a.example"][..]), (50_000, &["a.example", "b.example"])] {
        let mut world = World::with_hosts(&["a.example", "b.example"]);
        let client = world.client().await;
        let (vip, _) = lasting(75);
        assert!(vip.bytes.len() > 1_100_000, "{}", vip.bytes.len());
        at_rate(&world, &vip, rate);
        name(&mut world, &vip.line);
        world.legitimate_update(&client).await;
        assert_eq!(hosts_asked(&world), asked, "{rate}");
        assert!(is_in(&client, "u-1") && !is_in(&client, "u-2"));
        assert_eq!(bits(&client), "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_url_that_hangs_keeps_no_swap_from_its_list() {
    let mut world = World::with_hosts(&["a.example", "b.example"]);
    let client = world.client().await;
    world.cdn.attack("a.example", |path| path.contains("/k/").then_some(Reply::Hang));
    with_list(&mut world, &client, &object(&["u-1"], "")).await;
    assert_eq!(hosts_asked(&world), ["a.example", "b.example"]);
    assert!(is_in(&client, "u-1"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_url_is_asked_again_for_a_list_that_no_other_one_has() {
    let mut world = World::with_hosts(&["a.example", "b.example"]);
    let client = world.client().await;
    let (vip, rate) = lasting(50);
    at_rate(&world, &vip, rate);
    world.cdn.attack("b.example", |path| path.contains("/k/").then_some(Reply::Refused));
    name(&mut world, &vip.line);
    world.legitimate_update(&client).await;
    assert_eq!(hosts_asked(&world), ["a.example", "b.example", "a.example"]);
    tokio::time::sleep(45 * SECOND).await;
    assert!(is_in(&client, "u-1"));
    assert_eq!((lists_asked(&world), bits(&client)), (0, String::new()));
}

#[tokio::test(start_paused = true)]
async fn four_lists_that_take_long_hold_up_no_fifth() {
    let mut world = World::new();
    let client = world.client().await;
    let slow: Vec<_> = (0..4).map(|n| lasting_of(&format!("k-{n}"), &format!("s-{n}"), 60)).collect();
    for (n, (object, _)) in slow.iter().enumerate() {
        world.cdn.put_everywhere(&object.path, &object.bytes);
        world.publisher.set_line(&format!("list k-{n}"), &object.line);
    }
    let vip = object(&["u-1"], "");
    world.cdn.put_everywhere(&vip.path, &vip.bytes);
    name(&mut world, &vip.line);
    let rates: Vec<_> = slow.iter().map(|(object, rate)| (object.path.clone(), *rate)).collect();
    world.cdn.attack("a.example", move |asked| {
        rates.iter().find(|(path, _)| path == asked).map(|(_, rate)| Reply::AtRate(*rate))
    });
    world.legitimate_update(&client).await;
    tokio::time::sleep(15 * SECOND).await;
    assert!(is_in(&client, "u-1"));
    assert_eq!((lists_asked(&world), client.status().missing_lists.len()), (5, 4));
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!((lists_asked(&world), bits(&client)), (0, String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_list_is_no_silence() {
    let mut world = World::new();
    let client = world.client().await;
    let mut events = client.events();
    world.publisher.inline = false;
    world.cdn.attack("a.example", |path| {
        let is_content = path.contains("/d/") || path.contains("/s/");
        let slow = is_content.then_some(Reply::Later(Duration::from_millis(100)));
        slow.or_else(|| path.contains("/k/").then_some(Reply::Hang))
    });
    name(&mut world, &object(&["u-1"], "").line);
    let update = world.next();
    world.upload(&update);
    let polled = refresh(&client);
    tokio::time::sleep(Duration::from_millis(30_050)).await;
    assert_eq!((value(&client).as_str(), bits(&client).as_str()), ("r1", ""), "it still waits");
    // Whoever looks before the timer that is due was heard.
    let mut late = std::pin::pin!(tokio::time::advance(SECOND));
    std::future::poll_fn(|cx| Poll::Ready(late.as_mut().poll(cx).is_ready())).await;
    assert_eq!((value(&client).as_str(), bits(&client).as_str()), ("r1", ""), "it waits too long");
    assert_eq!(polled.await.unwrap(), Refreshed::Swapped);
    world.serves_newest(&client);
    assert_eq!(bits(&client), "lists-incomplete");
    while let Some(event) = events.try_next() {
        assert!(["", "lists-incomplete"].contains(&event.bits.to_string().as_str()), "{event:?}");
    }
    // It is silence if nothing is answered after that.
    world.cdn.attack("a.example", |_| Some(Reply::Refused));
    tokio::time::sleep(31 * SECOND).await;
    assert_eq!(bits(&client), "unreachable lists-incomplete");
}

/// A function may run out of time while its flags wait for a list.
#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_for_a_swap_gets_it_with_its_list_later() {
    let mut world = World::new();
    let client = world.builder().manual().unwrap();
    client.refresh().await.unwrap();
    let (vip, rate) = lasting(20);
    at_rate(&world, &vip, rate);
    name(&mut world, &vip.line);
    let update = world.next();
    world.upload(&update);
    for _ in 0..3 {
        assert!(tokio::time::timeout(2 * SECOND, client.refresh()).await.is_err());
        assert_eq!(lounge(&client, "u-1").1, "ERROR", "the content before is served");
    }
    assert_eq!(client.refresh().await.unwrap(), Refreshed::Swapped);
    assert!(is_in(&client, "u-1"));
    assert_eq!(lists_asked(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_begins_when_somebody_stops_waiting_for_a_list() {
    let mut world = World::new();
    let client = world.builder().manual().unwrap();
    client.refresh().await.unwrap();
    world.cdn.attack("a.example", |path| path.contains("/k/").then_some(Reply::Hang));
    name(&mut world, &object(&["u-1"], "").line);
    let update = world.next();
    world.upload(&update);
    assert!(tokio::time::timeout(2 * SECOND, client.refresh()).await.is_err());
    world.cdn.attack("a.example", |_| Some(Reply::Refused));
    tokio::time::sleep(29 * SECOND).await;
    assert_eq!(bits(&client), "");
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(bits(&client), "unreachable");
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_line_is_gone_is_not_fetched_on() {
    let mut world = World::new();
    let client = world.client().await;
    let (vip, rate) = lasting(60);
    at_rate(&world, &vip, rate);
    name(&mut world, &vip.line);
    world.legitimate_update(&client).await;
    world.publisher.set_line("list vip-keys", &flag("other", "x"));
    world.legitimate_update(&client).await;
    let bytes = || client.status().counters.bytes;
    let before = bytes();
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(bytes(), before);
}

#[tokio::test(start_paused = true)]
async fn four_lists_are_fetched_at_once() {
    let mut world = World::new();
    let client = world.client().await;
    world.cdn.attack("a.example", |path| path.contains("/k/").then_some(Reply::Later(SECOND)));
    for n in 0..6 {
        let object = object_of(&format!("k-{n}"), &[&format!("u-{n}")], "");
        world.cdn.put_everywhere(&object.path, &object.bytes);
        world.publisher.set_line(&format!("list k-{n}"), &object.line);
    }
    let update = world.next();
    world.upload(&update);
    let polled = refresh(&client);
    tokio::time::sleep(SECOND / 2).await;
    assert_eq!(lists_asked(&world), 4);
    polled.await.unwrap();
    assert_eq!((lists_asked(&world), bits(&client)), (2, String::new()));
}

#[tokio::test(start_paused = true)]
async fn lists_beyond_what_a_client_holds_stay_missing_in_the_order_of_their_keys() {
    let mut world = World::new();
    let client = world.client().await;
    let largest = 128 * 1024 * 1024;
    assert_eq!(MAX_LISTS_BYTES, 8 * largest);
    let digest = |n: usize| Digest::of(&n.to_le_bytes());
    for n in 0..9 {
        let line = format!(
            r#"{{"list":"k-{n}","encoding":"zstd","sha256":"{}","size":1,"raw_size":{largest},"count":1}}"#,
            digest(n)
        );
        world.publisher.set_line(&format!("list k-{n}"), &line);
    }
    world.cdn.take_seen();
    world.legitimate_update(&client).await;
    let asked = |world: &World| -> BTreeSet<String> {
        let seen = world.cdn.take_seen().into_iter().map(|seen| seen.path);
        seen.filter(|path| path.contains("/k/")).collect()
    };
    let path = |n: usize| format!("/closed/shop/v1/k/{}.txt.zst", digest(n));
    assert_eq!(asked(&world), (0..8).map(path).collect());
    assert_eq!(client.status().missing_lists.len(), 9, "they are told all the same");
    world.publisher.set_line("list k-3", &flag("other", "x"));
    world.legitimate_update(&client).await;
    assert_eq!(asked(&world), [path(8)].into());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_comes_late_removes_none_from_disk_that_newer_lines_name() {
    let place = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let client = cached(&world, place.path()).await;
    let (slow, rate) = lasting(45);
    at_rate(&world, &slow, rate);
    name(&mut world, &slow.line);
    world.legitimate_update(&client).await;
    let quick = object_of("more-keys", &["u-2"], "");
    world.cdn.put_everywhere(&quick.path, &quick.bytes);
    world.publisher.set_line("list more-keys", &quick.line);
    world.legitimate_update(&client).await;
    tokio::time::sleep(30 * SECOND).await;
    assert!(is_in(&client, "u-1"));
    let [folder] = &files(place.path(), ".k")[..] else { panic!("one folder") };
    let kept: BTreeSet<_> = files(folder, "").into_iter().collect();
    let named = [&slow, &quick].map(|object| folder.join(object.path.rsplit('/').next().unwrap()));
    assert_eq!(kept, named.into());
}

#[tokio::test(start_paused = true)]
async fn a_list_is_not_asked_for_before_the_pause_that_a_server_asks_for() {
    for (asked_for, nearly) in [("240", 239), ("86400", 3_599)] {
        let mut world = World::new();
        let client = world.client().await;
        let busy =
            |path: &str| path.contains("/k/").then(|| Reply::Header("retry-after", asked_for.to_owned()));
        world.cdn.attack("a.example", busy);
        name(&mut world, &object(&["u-1"], "").line);
        world.legitimate_update(&client).await;
        assert_eq!(lists_asked(&world), 1);
        tokio::time::sleep(nearly * SECOND).await;
        assert_eq!(lists_asked(&world), 0, "{asked_for}");
        tokio::time::sleep(15 * SECOND).await;
        assert_eq!(lists_asked(&world), 1, "{asked_for}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_other_bytes_from_everywhere_rests_for_five_minutes() {
    let mut world = World::new();
    let client = world.client().await;
    let other = object(&["u-2"], "").bytes;
    world.cdn.attack("a.example", move |path| path.contains("/k/").then(|| Reply::Bytes(200, other.clone())));
    with_list(&mut world, &client, &object(&["u-1"], "")).await;
    assert_eq!((lists_asked(&world), bits(&client)), (1, "lists-incomplete".to_owned()));
    tokio::time::sleep(299 * SECOND).await;
    assert_eq!(lists_asked(&world), 0);
    world.cdn.relent("a.example");
    tokio::time::sleep(25 * SECOND).await;
    assert!(is_in(&client, "u-1"));
}
