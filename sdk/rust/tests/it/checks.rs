//! Checks: a flag that this SDK evaluates otherwise than its author expects is held back, and nothing else is.

use std::future::Future as _;
use std::time::Duration;

use flagstone::{Client, Context, EventKind, Events, Refreshed};

use crate::world::World;
use crate::world::cdn::Reply;
use crate::world::publisher::flag;

/// A check of the flag `cart`, which serves `on` to everybody.
fn check(variation: &str) -> String {
    format!(
        r#"{{"check":"cart/1","flag":"cart","at":"2026-11-21T00:00:00Z","context":{{"email":"canary@example.com"}},"expect":{{"variation":"{variation}","reason":"STATIC"}}}}"#
    )
}

/// A flag that says what it sees of `cart`.
const SHELF: &str = r#"{"flag":"shelf","type":"string","rev":1,"on":true,"values":{"empty":"empty","full":"full"},"off":"empty","rules":[{"id":"r","if":[{"flag":"cart","is":["on"]}],"serve":"full"}],"fallthrough":"empty"}"#;

/// The flags that the last swap since the last look is told to have changed.
fn told(events: &mut Events) -> Vec<String> {
    let swaps = std::iter::from_fn(|| events.try_next()).filter(|event| event.kind == EventKind::Swap);
    swaps.last().unwrap().keys.iter().map(ToString::to_string).collect()
}

fn cart(client: &Client) -> String {
    client.string("cart", "none", &Context::new()).to_string()
}

fn failing(client: &Client) -> Vec<(String, String)> {
    let status = client.status();
    assert!(!format!("{status:?}").contains("canary"), "{status:?}");
    status.failed_checks.iter().map(|failed| (failed.flag.to_string(), failed.check.to_string())).collect()
}

fn bits(client: &Client) -> String {
    client.status().bits.to_string()
}

fn of_cart() -> Vec<(String, String)> {
    vec![("cart".to_owned(), "cart/1".to_owned())]
}

/// A world in which these lines are announced.
fn announced(lines: &[(&str, &str)]) -> World {
    let mut world = World::new();
    for (name, line) in lines {
        world.publisher.set_line(name, line);
    }
    let first = world.next();
    world.upload(&first);
    world
}

#[tokio::test(start_paused = true)]
async fn a_flag_whose_check_fails_stays_what_it_was_and_every_other_line_changes() {
    let mut world = announced(&[("cart", &flag("cart", "v1")), ("shelf", SHELF), ("check", &check("on"))]);
    let client = world.client().await;
    let mut events = client.events();
    assert_eq!((cart(&client).as_str(), bits(&client)), ("v1", String::new()));
    world.publisher.set_line("cart", &flag("cart", "v2"));
    world.publisher.set_line("check", &check("off"));
    world.legitimate_update(&client).await;
    assert_eq!((cart(&client).as_str(), bits(&client).as_str()), ("v1", "check-failed"));
    assert_eq!(failing(&client), of_cart());
    assert_eq!(told(&mut events), ["release"], "what is held back is no change");
    // As long as it fails, whatever else is announced, and whatever it becomes.
    world.legitimate_update(&client).await;
    world.publisher.set_line("cart", &flag("cart", "v3"));
    world.legitimate_update(&client).await;
    assert_eq!((cart(&client).as_str(), failing(&client)), ("v1", of_cart()));
    // Once it holds, the newest line serves, though only the check was changed.
    told(&mut events);
    world.publisher.set_line("check", &check("on"));
    world.legitimate_update(&client).await;
    assert_eq!((cart(&client).as_str(), bits(&client), failing(&client)), ("v3", String::new(), Vec::new()));
    assert_eq!(told(&mut events), ["cart", "release", "shelf"], "also what reaches it");
}

/// What is held back is a line, and no other line with it: another flag may see one that was not published beside it.
#[tokio::test(start_paused = true)]
async fn a_flag_that_reaches_one_that_is_held_back_is_not_held_back() {
    let mut world = announced(&[("cart", &flag("cart", "v1")), ("shelf", SHELF), ("check", &check("on"))]);
    let client = world.client().await;
    let shelf = || client.string("shelf", "none", &Context::new()).to_string();
    assert_eq!(shelf(), "full");
    // The new `cart` has another variation, which the new `shelf` and its check are about.
    world.publisher.set_line(
        "cart",
        &flag("cart", "v2").replace(r#""on":"v2""#, r#""new":"v2""#).replace(r#":"on"}"#, r#":"new"}"#),
    );
    world.publisher.set_line("check", &check("on"));
    world.publisher.set_line("shelf", &SHELF.replace("[\"on\"]", "[\"new\"]"));
    world.publisher.set_line(
        "check of shelf",
        r#"{"check":"shelf/1","flag":"shelf","at":"2026-11-21T00:00:00Z","context":{},"expect":{"variation":"full","reason":"TARGETING_MATCH","rule":"r"}}"#,
    );
    world.legitimate_update(&client).await;
    assert_eq!((cart(&client).as_str(), failing(&client)), ("v1", of_cart()));
    assert_eq!(shelf(), "empty", "its new line sees the cart that serves");
}

/// The first poll, left once something is served: its checks are still run.
async fn served_and_left(client: &Client) {
    let mut events = client.events();
    tokio::select! {
        biased;
        ready = events.next() => assert_eq!(ready.unwrap().kind, EventKind::Ready),
        refreshed = client.refresh() => assert!(refreshed.is_ok()),
    }
}

/// A function may run out of time in the middle of anything.
#[tokio::test(start_paused = true)]
async fn checks_of_the_first_load_are_told_though_nobody_waited_for_them() {
    let world = announced(&[("cart", &flag("cart", "v1")), ("check", &check("off"))]);
    let client = world.builder().manual().unwrap();
    served_and_left(&client).await;
    assert_eq!(cart(&client), "v1");
    assert_eq!(client.refresh().await.unwrap(), Refreshed::Unchanged);
    assert_eq!((bits(&client).as_str(), failing(&client)), ("check-failed", of_cart()));
}

#[tokio::test(start_paused = true)]
async fn checks_of_the_first_load_that_break_off_are_run_by_the_next_poll() {
    let world = announced(&[("cart", &flag("cart", "v1")), ("check", &check("off"))]);
    let client = loop {
        let client = world.builder().manual().unwrap();
        served_and_left(&client).await;
        // They may have been quicker than who left.
        if failing(&client).is_empty() {
            break client;
        }
    };
    // What is begun in a runtime that has ended is cancelled at once. The answer that nothing is new comes late, and so
    // the checks are the only such thing.
    let ended = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = ended.handle().clone();
    ended.shutdown_background();
    world.cdn.attack("a.example", |_| Some(Reply::Later(Duration::from_secs(1))));
    let mut poll = std::pin::pin!(client.refresh());
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut poll).await.is_err());
    let broken_off = std::future::poll_fn(|cx| {
        let _ended = handle.enter();
        poll.as_mut().poll(cx)
    });
    assert_eq!(broken_off.await.unwrap(), Refreshed::Unchanged);
    assert_eq!((bits(&client), failing(&client)), (String::new(), Vec::new()));
    assert_eq!(client.refresh().await.unwrap(), Refreshed::Unchanged);
    assert_eq!((bits(&client).as_str(), failing(&client)), ("check-failed", of_cart()));
}

#[tokio::test(start_paused = true)]
async fn at_the_first_load_a_check_that_fails_is_only_told() {
    let place = tempfile::tempdir().unwrap();
    let world = announced(&[("cart", &flag("cart", "v1")), ("check", &check("off"))]);
    let client = world.builder().cache_dir(place.path()).build().unwrap();
    client.wait_for_ready(std::time::Duration::from_mins(1)).await.unwrap();
    client.refresh().await.unwrap();
    assert_eq!((cart(&client).as_str(), bits(&client).as_str()), ("v1", "check-failed"));
    assert_eq!(failing(&client), of_cart());
    client.close().await;
    let offline = world.builder().cache_dir(place.path()).offline().unwrap();
    assert_eq!((cart(&offline).as_str(), bits(&offline).as_str()), ("v1", "check-failed"));
    assert_eq!(failing(&offline), of_cart());
}

#[tokio::test(start_paused = true)]
async fn a_changed_segment_runs_the_checks_of_the_flags_that_reach_it() {
    let beta = r#"{"flag":"cart","type":"string","rev":1,"on":true,"values":{"off":"old","on":"new"},"off":"off","rules":[{"id":"beta","if":[{"segment":["beta"]}],"serve":"on"}],"fallthrough":"off"}"#;
    let segment = |end: &str| format!(r#"{{"segment":"beta","if":[{{"attr":"email","ends":["{end}"]}}]}}"#);
    let check = r#"{"check":"cart/1","flag":"cart","at":"2026-11-21T00:00:00Z","context":{"email":"canary@example.com"},"expect":{"variation":"on","reason":"TARGETING_MATCH","rule":"beta"}}"#;
    let mut world = announced(&[("cart", beta), ("segment", &segment("@example.com")), ("check", check)]);
    let client = world.client().await;
    assert_eq!(bits(&client), "");
    let of = |email: &str| client.string("cart", "none", &Context::new().set("email", email)).to_string();
    assert_eq!((of("a@example.com"), of("a@example.org")), ("new".to_owned(), "old".to_owned()));
    world.publisher.set_line("segment", &segment("@example.org"));
    world.legitimate_update(&client).await;
    assert_eq!((bits(&client).as_str(), failing(&client)), ("check-failed", of_cart()));
    // The segment is not held back: other flags may reach it, and a kill switch may be in it.
    assert_eq!((of("a@example.com"), of("a@example.org")), ("old".to_owned(), "new".to_owned()));
    world.publisher.set_line("segment", &segment("@example.com"));
    world.legitimate_update(&client).await;
    assert_eq!((bits(&client).as_str(), failing(&client)), ("", Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_flag_that_is_taken_out_is_gone_whatever_its_check_expects() {
    let mut world = announced(&[("cart", &flag("cart", "v1")), ("check", &check("on"))]);
    let client = world.client().await;
    world.publisher.set_line("cart", &flag("other", "v1"));
    world.legitimate_update(&client).await;
    assert_eq!((cart(&client).as_str(), bits(&client).as_str()), ("none", "check-failed"));
    assert_eq!(failing(&client), of_cart());
}
