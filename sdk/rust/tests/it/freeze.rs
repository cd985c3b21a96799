//! FAULTS A8, A9, A17, F21, F22: nothing newer arrives, under clocks that cannot be relied on.

use std::time::Duration;

use flagstone::StatusBits;

use crate::world::World;
use crate::world::cdn::Reply;

const TEN_YEARS_MS: i64 = 315_576_000_000;

async fn minutes(minutes: u64) {
    tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
}

/// A8, F22: the CDN answers 304 for ever.
#[tokio::test(start_paused = true)]
async fn a_stream_that_only_answers_304_is_frozen() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;
    assert!(client.status().bits.is_empty());

    minutes(14).await;
    assert!(client.status().bits.is_empty(), "{}", client.status().bits);
    minutes(2).await;
    assert_eq!(client.status().bits, StatusBits::FROZEN);
    world.serves_newest(&client);
    let details = client.string_details("release", "none", &flagstone::Context::new());
    assert!(details.stale);
    assert_eq!(details.reason, flagstone::Reason::Static);

    world.legitimate_update(&client).await;
    assert!(client.status().bits.is_empty());
}

/// A8: the same 200 for ever.
#[tokio::test(start_paused = true)]
async fn a_stream_that_repeats_itself_is_frozen() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;

    let manifest = world.cdn.object("a.example", &world.publisher.manifest_path()).unwrap();
    world.cdn.attack("a.example", move |_| Some(Reply::Bytes(200, manifest.clone())));
    minutes(16).await;
    assert_eq!(client.status().bits, StatusBits::FROZEN);
    assert_eq!(client.status().code(), None);
    world.serves_newest(&client);

    world.cdn.relent("a.example");
    world.legitimate_update(&client).await;
    assert!(client.status().bits.is_empty());
}

/// A5 with A8: older manifests are answers, not news.
#[tokio::test(start_paused = true)]
async fn older_manifests_do_not_stop_the_freeze_clock() {
    let mut world = World::new();
    let client = world.client().await;
    let old = world.next();
    world.upload(&old);
    world.legitimate_update(&client).await;

    world.announce(&old.file);
    minutes(16).await;
    assert_eq!(client.status().bits, StatusBits::FROZEN);
    assert_eq!(client.status().code(), Some("older"));
    world.serves_newest(&client);

    world.legitimate_update(&client).await;
    assert!(client.status().bits.is_empty());
}

/// A9: the wall clock is ten years off, and steps.
#[tokio::test(start_paused = true)]
async fn a_frozen_stream_is_noticed_under_a_broken_wall_clock() {
    for off in [-TEN_YEARS_MS, TEN_YEARS_MS] {
        let mut world = World::new();
        world.clock.set_wall_off_ms(off);
        let client = world.client().await;
        world.legitimate_update(&client).await;
        let behind = client.status().bits.contains(StatusBits::CLOCK_BEHIND);
        assert_eq!(behind, off < 0);

        minutes(8).await;
        world.clock.set_wall_off_ms(-off);
        minutes(8).await;
        assert!(client.status().bits.contains(StatusBits::FROZEN), "{}", client.status().bits);
        world.serves_newest(&client);

        // No clock locks the client out.
        world.legitimate_update(&client).await;
        assert!(!client.status().bits.contains(StatusBits::FROZEN));
    }
}

/// A9: `clock-ahead` is said only when the HTTP date sides with the manifest.
#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_ahead_is_hinted_at() {
    let mut world = World::new();
    world.cdn.attack("a.example", |path| {
        path.ends_with("/manifest").then(|| Reply::Header("date", "Sat, 21 Nov 2026 09:25:30 GMT".to_owned()))
    });
    world.clock.set_wall_off_ms(TEN_YEARS_MS);
    let client = world.client().await;
    let bits = client.status().bits;
    assert!(bits.contains(StatusBits::CLOCK_AHEAD) && bits.contains(StatusBits::EXPIRED), "{bits}");
    world.serves_newest(&client);
    world.clock.set_wall_off_ms(0);
    world.legitimate_update(&client).await;
    assert!(client.status().bits.is_empty());
}

/// A17: signed manifests of a month ago, newest serial first at their real pace.
#[tokio::test(start_paused = true)]
async fn a_slow_replay_is_expired_though_serials_rise() {
    let mut world = World::new();
    let mut recorded = vec![world.next()];
    world.upload(&recorded[0]);
    for _ in 0..4 {
        let at = world.clock.true_ms() + 300_000 * i64::try_from(recorded.len()).unwrap();
        let next = world.publisher.heartbeat(&recorded[0], at);
        recorded.push(next);
    }
    world.clock.set_wall_off_ms(30 * 86_400_000);
    let client = world.client().await;
    for replayed in &recorded[1..] {
        world.upload(replayed);
        client.refresh().await.unwrap();
        assert!(client.status().bits.contains(StatusBits::EXPIRED));
        minutes(5).await;
    }
    assert!(!client.status().bits.contains(StatusBits::FROZEN));
    world.clock.set_wall_off_ms(0);
    world.legitimate_update(&client).await;
}

/// F21: heartbeats stop; the flags evaluate on, and say so in time and not before.
#[tokio::test(start_paused = true)]
async fn a_manifest_expires_only_after_its_time() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;
    minutes(60).await;
    assert_eq!(client.status().bits, StatusBits::FROZEN);
    minutes(2).await;
    assert_eq!(client.status().bits.to_string(), "frozen expired");
    world.serves_newest(&client);

    world.legitimate_update(&client).await;
    assert!(client.status().bits.is_empty());
}

/// Heartbeats are news, without a download and without a swap.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_keeps_a_quiet_stream_current() {
    let mut world = World::new();
    let client = world.client().await;
    let update = world.next();
    world.upload(&update);
    client.refresh().await.unwrap();
    let swaps = client.status().counters.swaps;
    for _ in 0..30 {
        minutes(5).await;
        let heartbeat = world.publisher.heartbeat(&update, world.clock.true_ms());
        world.announce(&heartbeat.file);
        assert_eq!(client.refresh().await.unwrap(), flagstone::Refreshed::Announced);
        assert!(client.status().bits.is_empty());
        assert_eq!(client.status().serial, Some(heartbeat.body.serial));
    }
    assert_eq!(client.status().counters.swaps, swaps);
    assert_eq!(client.status().version, Some(update.body.version));
}
