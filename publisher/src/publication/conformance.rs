//! What every store of publication items must do, as a suite its adapters run.
#![expect(clippy::unwrap_used, reason = "a suite for tests: a store that fails it is to be told loudly")]

use std::sync::Arc;

use flagstone_bundle::container::{Encoding, StoredObject};
use flagstone_bundle::manifest::{Delta, LogHead, Stream};
use flagstone_model::digest::Digest;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};

use super::{Claim, Lease, Publication, Publications, Step};

/// How many publishers race for one claim.
const PUBLISHERS: u64 = 16;
/// How many claims are raced for.
const ROUNDS: u64 = 8;

/// Opens one more handle on the items under test; all handles must see the same ones.
pub type Open<'a> = &'a (dyn Fn() -> Arc<dyn Publications> + Sync);

/// Runs the suite on a store without items.
///
/// # Panics
///
/// At the first thing that is not as it must be.
pub async fn run(open: Open<'_>) {
    a_stream_never_published_has_the_default_item(open).await;
    a_claim_needs_the_serial_it_was_told(open).await;
    a_claim_never_covers_less_than_is_covered(open).await;
    an_adoption_needs_the_serial_it_was_told_and_covers_whatever_it_says(open).await;
    covering_is_for_the_claim_it_was_built_against(open).await;
    wanted_and_announced_only_rise(open).await;
    a_lease_is_one_holders_until_it_runs_out(open).await;
    a_lease_of_a_fast_clock_stops_nobody(open).await;
    of_racing_claims_exactly_one_is_made(open).await;
}

/// A stream of the project `conformance`.
///
/// # Panics
///
/// If `environment` is no id.
pub fn stream(environment: &str) -> Stream {
    Stream {
        project: ProjectId::parse("conformance").unwrap(),
        environment: EnvironmentId::parse(environment).unwrap(),
        view: ViewId::server(),
    }
}

/// A claim with every member filled.
pub fn claim(version: u64, serial: u64) -> Claim {
    let object = |name: &str| StoredObject {
        encoding: Encoding::Zstd,
        sha256: Digest::of(name.as_bytes()),
        size: 288,
        raw_size: 547,
    };
    Claim {
        epoch: 1,
        version,
        serial,
        issued_ms: 1_795_253_123_456,
        builder: 7,
        content: Digest::of(&version.to_be_bytes()),
        lines: 4,
        snapshot: object("snapshot"),
        deltas: vec![Delta { since: version.saturating_sub(1), object: object("delta") }],
        inline: true,
        history: vec![Step {
            version,
            at_ms: 1_795_253_123_456,
            touched: vec![("flag".to_owned(), "a".to_owned()), ("segment".to_owned(), "b".to_owned())],
        }],
    }
}

fn head(seq: u64) -> LogHead {
    LogHead { seq, hash: Digest::of(&seq.to_be_bytes()) }
}

async fn a_stream_never_published_has_the_default_item(open: Open<'_>) {
    assert_eq!(open().read(&stream("never")).await.unwrap(), Publication::default());
}

async fn a_claim_needs_the_serial_it_was_told(open: Open<'_>) {
    let (one, other, stream) = (open(), open(), stream("claims"));
    assert!(!one.claim(&stream, 1, &claim(1, 2), head(5)).await.unwrap(), "claimed what was not there");
    assert!(one.claim(&stream, 0, &claim(1, 1), head(5)).await.unwrap());
    assert!(!other.claim(&stream, 0, &claim(9, 9), head(6)).await.unwrap(), "a serial was claimed twice");
    let item = other.read(&stream).await.unwrap();
    assert_eq!((item.claim, item.covered), (Some(claim(1, 1)), Some(head(5))));
    assert!(other.claim(&stream, 1, &claim(2, 2), head(5)).await.unwrap());
    assert_eq!(one.read(&stream).await.unwrap().claim, Some(claim(2, 2)));
}

async fn a_claim_never_covers_less_than_is_covered(open: Open<'_>) {
    let (items, stream) = (open(), stream("backwards"));
    assert!(items.claim(&stream, 0, &claim(1, 1), head(5)).await.unwrap());
    assert!(items.cover(&stream, 1, head(7)).await.unwrap());
    assert!(
        !items.claim(&stream, 1, &claim(2, 2), head(6)).await.unwrap(),
        "an older fold replaced a newer one"
    );
    assert!(items.claim(&stream, 1, &claim(2, 2), head(7)).await.unwrap());
}

async fn an_adoption_needs_the_serial_it_was_told_and_covers_whatever_it_says(open: Open<'_>) {
    let (items, stream) = (open(), stream("adopted"));
    assert!(!items.adopt(&stream, 1, &claim(9, 12), head(3)).await.unwrap());
    assert!(items.adopt(&stream, 0, &claim(9, 12), head(9)).await.unwrap());
    assert!(!items.adopt(&stream, 11, &claim(10, 13), head(9)).await.unwrap());
    assert!(items.adopt(&stream, 12, &claim(10, 13), head(4)).await.unwrap());
    let item = open().read(&stream).await.unwrap();
    assert_eq!((item.claim, item.covered), (Some(claim(10, 13)), Some(head(4))));
}

async fn covering_is_for_the_claim_it_was_built_against(open: Open<'_>) {
    let (items, stream) = (open(), stream("covering"));
    assert!(items.claim(&stream, 0, &claim(1, 1), head(5)).await.unwrap());
    assert!(items.claim(&stream, 1, &claim(2, 2), head(6)).await.unwrap());
    assert!(!items.cover(&stream, 1, head(9)).await.unwrap(), "an overtaken claim covered");
    assert_eq!(items.read(&stream).await.unwrap().covered, Some(head(6)));
    assert!(items.cover(&stream, 2, head(8)).await.unwrap());
    assert!(items.cover(&stream, 2, head(7)).await.unwrap());
    assert_eq!(items.read(&stream).await.unwrap().covered, Some(head(8)), "what is covered went back");
}

async fn wanted_and_announced_only_rise(open: Open<'_>) {
    let (items, stream) = (open(), stream("rising"));
    items.want(&stream, 9).await.unwrap();
    items.want(&stream, 4).await.unwrap();
    assert!(items.claim(&stream, 0, &claim(1, 1), head(3)).await.unwrap());
    items.announced(&stream, 2).await.unwrap();
    items.announced(&stream, 1).await.unwrap();
    let item = open().read(&stream).await.unwrap();
    assert_eq!((item.wanted_seq, item.announced_serial), (9, 2));
    assert_eq!(item.claim, Some(claim(1, 1)));
}

async fn a_lease_is_one_holders_until_it_runs_out(open: Open<'_>) {
    let (items, stream) = (open(), stream("leases"));
    let lease = |holder: &str, until_ms| Lease { holder: holder.to_owned(), until_ms };
    assert!(items.lease(&stream, &lease("a", 100), 50).await.unwrap());
    assert!(!open().lease(&stream, &lease("b", 150), 99).await.unwrap());
    assert!(items.lease(&stream, &lease("a", 120), 60).await.unwrap(), "a holder may prolong");
    assert!(open().lease(&stream, &lease("b", 200), 120).await.unwrap(), "it had run out");
    items.release(&stream, "a").await.unwrap();
    assert_eq!(items.read(&stream).await.unwrap().lease, Some(lease("b", 200)), "released by a stranger");
    items.release(&stream, "b").await.unwrap();
    assert_eq!(items.read(&stream).await.unwrap().lease, None);
}

async fn a_lease_of_a_fast_clock_stops_nobody(open: Open<'_>) {
    let (items, stream) = (open(), stream("fast-clock"));
    let lease = |holder: &str, until_ms| Lease { holder: holder.to_owned(), until_ms };
    for (fast, taken) in [(1_100, false), (1_101, true), (i64::MAX, true)] {
        assert!(items.lease(&stream, &lease("fast", fast), 0).await.unwrap());
        // A lease of 100 ms, taken at 900.
        let void = open().lease(&stream, &lease("right", 1_000), 900).await.unwrap();
        assert_eq!(void, taken, "a lease until {fast}");
        for holder in ["fast", "right"] {
            items.release(&stream, holder).await.unwrap();
        }
    }
}

async fn of_racing_claims_exactly_one_is_made(open: Open<'_>) {
    let stream = stream("race");
    for serial in 0..ROUNDS {
        let racers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let (items, stream) = (open(), stream.clone());
                let mut mine = claim(serial + 1, serial + 1);
                // Of each two the claims are equal to the last byte: of different logs they may be.
                mine.builder = publisher / 2;
                tokio::spawn(async move {
                    items.claim(&stream, serial, &mine, head(serial)).await.unwrap().then_some(publisher)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            winners.extend(racer.await.unwrap());
        }
        assert_eq!(winners.len(), 1, "{} publishers made one claim", winners.len());
        let made = open().read(&stream).await.unwrap().claim.unwrap();
        assert_eq!(Some(made.builder), winners.pop().map(|publisher| publisher / 2));
    }
}
