//! What observers are told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flagstone::{EventKind, StatusBits};

use crate::world::World;
use crate::world::cdn::Reply;

#[tokio::test(start_paused = true)]
async fn listeners_get_the_keys_that_changed_and_those_that_reach_them() {
    let mut world = World::new();
    world.publisher.set_line("seg", "{\"segment\":\"staff\",\"if\":[{\"attr\":\"plan\",\"in\":[\"free\"]}]}");
    world.publisher.set_line(
        "gated",
        "{\"flag\":\"gated\",\"type\":\"bool\",\"rev\":1,\"on\":true,\"values\":{\"off\":false,\"on\":true},\"off\":\"off\",\
         \"rules\":[{\"id\":\"staff\",\"if\":[{\"segment\":[\"staff\"]}],\"serve\":\"on\"}],\"fallthrough\":\"off\"}",
    );
    let with_segment = world.next();
    world.upload(&with_segment);
    let client = world.client().await;
    let changes: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let sink = Arc::clone(&changes);
    client.on_change(|_| panic!("a listener that panics harms nobody"));
    client.on_change(move |change| {
        sink.lock().unwrap().push(change.keys.iter().map(ToString::to_string).collect());
    });

    world.legitimate_update(&client).await;
    world.publisher.set_line("seg", "{\"segment\":\"staff\",\"if\":[{\"attr\":\"plan\",\"in\":[\"paid\"]}]}");
    world.legitimate_update(&client).await;
    assert_eq!(*changes.lock().unwrap(), [vec!["release"], vec!["gated", "release"]]);

    // By a whole snapshot the keys are the same.
    let next = world.next();
    world.upload_objects(&next);
    world.announce(&world.publisher.sign(&next.body, None));
    client.refresh().await.unwrap();
    assert_eq!(changes.lock().unwrap().last().unwrap(), &["release"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_subscriber_gets_every_event_since_the_start() {
    let mut world = World::new();
    let client = world.client().await;
    let update = world.next();
    world.upload(&update);
    client.refresh().await.unwrap();

    let mut events = client.events();
    let ready = events.next().await.unwrap();
    assert_eq!((ready.kind, ready.version), (EventKind::Ready, Some(1)));
    assert_eq!(ready.requests, 3);
    let swap = events.next().await.unwrap();
    assert_eq!((swap.kind, swap.version, swap.serial), (EventKind::Swap, Some(2), Some(2)));
    assert_eq!(swap.keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["release"]);
    assert_eq!((swap.requests, swap.fetched), (1, update.file.len() as u64));
    assert_eq!(swap.totals.requests, 4);
    assert_eq!(swap.bits, StatusBits::default());
    assert!(events.try_next().is_none());

    let mut late = client.events();
    let ready = late.next().await.unwrap();
    assert_eq!((ready.kind, ready.version), (EventKind::Ready, Some(2)));

    client.close().await;
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn bits_and_codes_are_told_when_they_change_and_only_then() {
    let mut world = World::new();
    let client = world.client().await;
    let mut events = client.events();
    events.next().await.unwrap();
    world.cdn.attack("a.example", |_| Some(Reply::Refused));
    let lost = events.next().await.unwrap();
    assert_eq!((lost.kind, lost.code), (EventKind::Status, Some("unreachable")));
    assert!(lost.bits.is_empty());
    let silent = events.next().await.unwrap();
    assert_eq!(silent.bits, StatusBits::UNREACHABLE);
    assert_eq!(silent.version, Some(1));
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(events.try_next().is_none());

    world.cdn.relent("a.example");
    world.legitimate_update(&client).await;
    let swap = events.next().await.unwrap();
    assert_eq!((swap.kind, swap.code), (EventKind::Swap, None));
    assert!(swap.bits.is_empty());
}
