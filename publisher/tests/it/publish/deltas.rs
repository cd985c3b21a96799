//! Cumulative deltas: how far they reach, and that every base within reach converges.

use super::world::{Client, Poll, World, flag, stream};

/// Lines that compress badly.
fn noisy(key: &str, seed: u64, bytes: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let noise: String = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state % 26) as u8)
    })
    .take(bytes)
    .collect();
    format!(
        r#"{{"flag":"{key}","type":"string","rev":1,"on":true,"values":{{"off":"","on":"{noise}"}},"off":"off","fallthrough":"on"}}"#
    )
}

#[tokio::test]
async fn every_base_in_reach_converges_and_every_other_loads_in_full() {
    let world = World::announced().await;
    let publisher = world.publisher();
    let mut clients: Vec<Client> = vec![world.fresh_client().await];
    for round in 0..80_u64 {
        let key = ["a", "b", "c", "d", "e"][usize::try_from(round % 5).unwrap()];
        let line = (round % 7 != 3).then(|| flag(key, round + 2, round % 2 == 0));
        world.append([(key, line)]).await;
        world.publish(&publisher).await.unwrap();
        clients.push(world.fresh_client().await);
    }
    let newest = world.manifest().await;
    let (delta, _) = newest.inline_delta().unwrap();
    assert!(delta.object.size <= 2048, "{}", delta.object.size);
    assert_eq!(newest.version() - delta.since, 64, "five flags fit for as many versions as may be");
    let wanted = world.fresh_client().await.lines();
    let (mut inline, mut full) = (0, 0);
    for mut client in clients {
        let own = client.seen.as_ref().unwrap().version;
        match client.poll(&*world.memory).await {
            Poll::Same => assert_eq!(own, newest.version()),
            Poll::Inline => {
                assert!(own >= delta.since);
                inline += 1;
            }
            Poll::Full => {
                assert!(own < delta.since);
                full += 1;
            }
            other => panic!("{other:?} from {own}"),
        }
        assert_eq!(client.lines(), wanted);
    }
    assert!(inline >= 64 && full > 5, "{inline} inline, {full} in full");
}

#[tokio::test]
async fn a_flag_changed_and_changed_back_stays_in_the_delta() {
    let world = World::announced().await;
    let publisher = world.publisher();
    let mut sleeper = world.fresh_client().await;
    world.append([("a", None)]).await;
    world.publish(&publisher).await.unwrap();
    let mut between = world.fresh_client().await;
    world.append([("a", Some(flag("a", 1, true)))]).await;
    world.publish(&publisher).await.unwrap();
    for client in [&mut sleeper, &mut between] {
        assert_eq!(client.poll(&*world.memory).await, Poll::Inline);
        assert_eq!(client.lines(), world.fresh_client().await.lines());
    }
}

#[tokio::test]
async fn what_does_not_fit_inline_is_listed_as_far_back_as_64_versions() {
    let world = World::announced().await;
    let publisher = world.publisher();
    // A snapshot so large that a delta of many versions is less than half of it.
    let keys: Vec<String> = (0..100).map(|n| format!("f{n:03}")).collect();
    let line = |n: usize, seed: u64| (keys[n].as_str(), Some(noisy(&keys[n], seed, 1_000)));
    world.append((0..100).map(|n| line(n, n as u64 + 1))).await;
    world.publish(&publisher).await.unwrap();
    let mut clients: Vec<Client> = vec![world.fresh_client().await];
    for round in 0..70_u64 {
        // Five lines take turns, and `f007` changes once and changes back.
        let change = match round {
            10 => line(7, 777),
            20 => line(7, 8),
            _ => line(usize::try_from(round % 5).unwrap(), 1_000 + round),
        };
        world.append([change]).await;
        world.publish(&publisher).await.unwrap();
        clients.push(world.fresh_client().await);
        let manifest = world.manifest().await;
        let since: Vec<u64> = manifest.deltas().iter().map(|delta| delta.since).collect();
        assert!(since.len() <= 2 && since.is_sorted_by(|newer, older| newer > older), "{since:?}");
    }
    let newest = world.manifest().await;
    let [inline, listed] = newest.deltas() else { panic!("{:?}", newest.deltas()) };
    assert!(inline.object.size <= 2_048 && newest.inline_delta().unwrap().0 == inline);
    assert_eq!(newest.version() - listed.since, 64);
    assert!(listed.object.size < newest.snapshot().size / 2);
    let wanted = world.fresh_client().await.lines();
    let mut met = std::collections::BTreeMap::new();
    for mut client in clients {
        let own = client.seen.as_ref().unwrap().version;
        let expected = match own {
            own if own == newest.version() => Poll::Same,
            own if own >= inline.since => Poll::Inline,
            own if own >= listed.since => Poll::Listed,
            _ => Poll::Full,
        };
        assert_eq!(client.poll(&*world.memory).await, expected, "from version {own}");
        assert_eq!(client.lines(), wanted, "from version {own}");
        *met.entry(format!("{expected:?}")).or_insert(0) += 1;
    }
    assert_eq!(met.len(), 4, "{met:?}");
    assert!(met["Listed"] > 40, "{met:?}");

    // The inline one is listed in its turn, and one that is gone is named no longer.
    let missing = flagstone_publisher::publish::Layout::of(&stream()).delta(&listed.object).unwrap();
    world.memory.overwrite(&missing, None);
    world.clock.advance(900_000);
    publisher.sweep(&stream()).await.unwrap();
    let manifest = world.manifest().await;
    assert!(manifest.inline().is_none());
    assert_eq!(manifest.deltas(), std::slice::from_ref(inline));
}

#[tokio::test]
async fn a_delta_reaches_back_only_as_far_as_fits() {
    let world = World::announced().await;
    let publisher = world.publisher();
    // Five versions of some 650 bytes each, however they are compressed: three or so fit into 2 KiB.
    for (round, key) in ["p", "q", "r", "s", "t"].into_iter().enumerate() {
        world.append([(key, Some(noisy(key, round as u64 + 1, 1_000)))]).await;
        world.publish(&publisher).await.unwrap();
    }
    let manifest = world.manifest().await;
    let (delta, _) = manifest.inline_delta().unwrap();
    assert!(delta.object.size <= 2048);
    let reach = manifest.version() - delta.since;
    assert!((1..5).contains(&reach), "{reach}");
}

#[tokio::test]
async fn one_version_may_be_inline_up_to_8_kib_and_is_listed_or_left_out_above() {
    let world = World::announced().await;
    let publisher = world.publisher();
    world.append([("big", Some(noisy("big", 7, 9_000)))]).await;
    world.publish(&publisher).await.unwrap();
    let manifest = world.manifest().await;
    let (delta, _) = manifest.inline_delta().unwrap();
    assert!((2_049..=8_192).contains(&delta.object.size), "{}", delta.object.size);
    assert_eq!(delta.since, 1);
    assert_eq!(world.poll().await, Poll::Inline);

    world.append([("huge", Some(noisy("huge", 8, 40_000)))]).await;
    world.publish(&publisher).await.unwrap();
    assert!(world.manifest().await.inline().is_none());
    assert!(world.manifest().await.deltas().is_empty(), "most of the snapshot is new");
    assert_eq!(world.poll().await, Poll::Full);

    world.append([("other", Some(noisy("other", 9, 16_000)))]).await;
    world.publish(&publisher).await.unwrap();
    let manifest = world.manifest().await;
    assert!(manifest.inline().is_none() && manifest.deltas().len() == 1);
    assert_eq!(world.poll().await, Poll::Listed);
    world.assert_current().await;
}

#[tokio::test]
async fn a_delta_stays_inline_for_two_heartbeats_and_listed_after() {
    let world = World::announced().await;
    let publisher = world.publisher();
    let mut late = world.fresh_client().await;
    world.append([("b", None)]).await;
    world.publish(&publisher).await.unwrap();
    for (heartbeat, inline) in [(1, true), (2, true), (3, false)] {
        world.clock.advance(300_000);
        publisher.sweep(&stream()).await.unwrap();
        assert_eq!(world.manifest().await.inline().is_some(), inline, "heartbeat {heartbeat}");
    }
    assert_eq!(late.poll(&*world.memory).await, Poll::Listed);
    world.assert_current().await;
}

#[tokio::test]
async fn another_publisher_goes_on_with_the_history_it_finds() {
    let world = World::announced().await;
    let mut sleeper = world.fresh_client().await;
    for round in 0..6 {
        world.append([("a", Some(flag("a", round + 2, round % 2 == 0)))]).await;
        world.publish(&world.publisher()).await.unwrap();
    }
    assert_eq!(world.manifest().await.deltas()[0].since, 1);
    assert_eq!(sleeper.poll(&*world.memory).await, Poll::Inline);
    world.assert_current().await;
}
