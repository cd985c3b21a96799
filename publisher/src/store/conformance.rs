//! What every object store must do, as a suite its adapters run.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! use std::sync::Arc;
//! use flagstone_publisher::store::{MemoryStore, ObjectStore, conformance};
//!
//! let store = Arc::new(MemoryStore::new());
//! conformance::run(&|| Arc::clone(&store) as Arc<dyn ObjectStore>).await;
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
#![expect(clippy::unwrap_used, reason = "a suite for tests: a store that fails it is to be told loudly")]

use std::sync::Arc;

use super::{Etag, Expect, MAX_OBJECT_BYTES, Object, ObjectPath, ObjectStore, PutIf, PutNew, StoreError};

/// How many writers race for one object.
const WRITERS: usize = 16;
/// How many races are run.
const ROUNDS: usize = 12;

/// Opens one more handle on the store under test; all handles must see the same objects.
pub type Open<'a> = &'a (dyn Fn() -> Arc<dyn ObjectStore> + Sync);

/// Runs the suite on an empty store.
///
/// # Panics
///
/// At the first thing that is not as it must be.
pub async fn run(open: Open<'_>) {
    a_missing_object_is_not_an_error(open).await;
    what_was_written_is_read_back_through_every_handle(open).await;
    a_create_never_overwrites(open).await;
    a_replace_needs_the_state_it_was_told(open).await;
    an_etag_changes_when_the_bytes_change(open).await;
    of_racing_creators_exactly_one_wins(open).await;
    of_racing_replacers_none_is_lost(open).await;
}

/// Runs the part of the suite that needs somebody to put objects into the store behind its back: `plant` makes one of
/// that many bytes, more than the store takes, or replaces it by another.
///
/// # Panics
///
/// At the first thing that is not as it must be.
pub async fn run_oversize(open: Open<'_>, plant: &(dyn Fn(&ObjectPath, u64) + Sync)) {
    let store = open();
    let name = path("conformance/oversize");
    let head = async || store.head(&name).await.unwrap().unwrap();
    let is_too_large = |error: StoreError, is: u64| {
        assert!(matches!(error, StoreError::TooLarge { size, .. } if size == is), "{error}");
    };
    plant(&name, MAX_OBJECT_BYTES + 1);
    is_too_large(store.get(&name).await.unwrap_err(), MAX_OBJECT_BYTES + 1);
    let seen = head().await;
    assert_eq!((seen.size, &seen), (MAX_OBJECT_BYTES + 1, &head().await));
    assert_eq!(store.put_new(&name, b"x").await.unwrap(), PutNew::Exists { size: MAX_OBJECT_BYTES + 1 });
    assert_eq!(store.put_if(&name, b"x", &Expect::Absent).await.unwrap(), PutIf::Lost);

    plant(&name, MAX_OBJECT_BYTES + 2);
    let expect = Expect::Is(seen.etag);
    assert_eq!(store.put_if(&name, b"x", &expect).await.unwrap(), PutIf::Lost, "replaced another state");
    let expect = Expect::Is(head().await.etag);
    assert!(matches!(store.put_if(&name, b"x", &expect).await.unwrap(), PutIf::Written { .. }));
    assert_eq!(store.get(&name).await.unwrap().unwrap().bytes, b"x");

    let oversize = vec![0; usize::try_from(MAX_OBJECT_BYTES).unwrap() + 1];
    let other = path("conformance/oversize-write");
    is_too_large(store.put_new(&other, &oversize).await.unwrap_err(), MAX_OBJECT_BYTES + 1);
    let absent = Expect::Absent;
    is_too_large(store.put_if(&other, &oversize, &absent).await.unwrap_err(), MAX_OBJECT_BYTES + 1);
    assert_eq!(store.head(&other).await.unwrap(), None);
}

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).unwrap()
}

async fn a_missing_object_is_not_an_error(open: Open<'_>) {
    let store = open();
    let missing = path("conformance/missing");
    assert_eq!(store.get(&missing).await.unwrap(), None);
    assert_eq!(store.head(&missing).await.unwrap(), None);
    let never = Expect::Is(Etag::of(b"never"));
    assert_eq!(
        store.put_if(&missing, b"x", &never).await.unwrap(),
        PutIf::Lost,
        "replaced what is not there"
    );
    assert_eq!(store.get(&missing).await.unwrap(), None, "a refused replace wrote");
}

async fn what_was_written_is_read_back_through_every_handle(open: Open<'_>) {
    let (one, other) = (open(), open());
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let cases = [("conformance/empty", &b""[..]), ("conformance/deep/er/binary.jsonl.zst", &bytes)];
    for (name, bytes) in cases {
        let name = path(name);
        assert_eq!(one.put_new(&name, bytes).await.unwrap(), PutNew::Created);
        let Object { bytes: read, etag } = other.get(&name).await.unwrap().unwrap();
        assert!(read == bytes, "{name} came back changed");
        let head = other.head(&name).await.unwrap().unwrap();
        assert_eq!((head.size, head.etag), (bytes.len() as u64, etag), "{name}");
    }
}

async fn a_create_never_overwrites(open: Open<'_>) {
    let (one, other) = (open(), open());
    let name = path("conformance/create");
    assert_eq!(one.put_new(&name, b"first").await.unwrap(), PutNew::Created);
    for again in [&b"first"[..], b"second one"] {
        assert_eq!(other.put_new(&name, again).await.unwrap(), PutNew::Exists { size: 5 });
        assert_eq!(other.put_if(&name, again, &Expect::Absent).await.unwrap(), PutIf::Lost);
    }
    assert_eq!(one.get(&name).await.unwrap().unwrap().bytes, b"first");
}

async fn a_replace_needs_the_state_it_was_told(open: Open<'_>) {
    let (one, other) = (open(), open());
    let name = path("conformance/replace");
    let PutIf::Written { etag: first } = one.put_if(&name, b"1", &Expect::Absent).await.unwrap() else {
        unreachable!("nothing was there");
    };
    assert_eq!(other.get(&name).await.unwrap().unwrap().etag, first);
    let PutIf::Written { etag: second } =
        other.put_if(&name, b"2", &Expect::Is(first.clone())).await.unwrap()
    else {
        unreachable!("the state was the expected one");
    };
    assert_eq!(one.put_if(&name, b"3", &Expect::Is(first)).await.unwrap(), PutIf::Lost);
    assert_eq!(one.put_if(&name, b"3", &Expect::Absent).await.unwrap(), PutIf::Lost);
    let present = one.get(&name).await.unwrap().unwrap();
    assert_eq!((present.bytes.as_slice(), present.etag), (&b"2"[..], second));
}

async fn an_etag_changes_when_the_bytes_change(open: Open<'_>) {
    let store = open();
    let name = path("conformance/etag");
    let mut expect = Expect::Absent;
    let mut seen: Vec<Etag> = Vec::new();
    for bytes in [&b"a"[..], b"b", b"bb"] {
        let PutIf::Written { etag } = store.put_if(&name, bytes, &expect).await.unwrap() else {
            unreachable!("nobody else writes");
        };
        assert!(!seen.contains(&etag), "two states share an ETag");
        seen.push(etag.clone());
        expect = Expect::Is(etag);
    }
}

async fn of_racing_creators_exactly_one_wins(open: Open<'_>) {
    for round in 0..ROUNDS {
        let name = path(&format!("conformance/race/{round}"));
        let racers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, name) = (open(), name.clone());
                let bytes = format!("{writer:04}").into_bytes();
                tokio::spawn(async move { (store.put_new(&name, &bytes).await.unwrap(), bytes) })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            match racer.await.unwrap() {
                (PutNew::Created, bytes) => winners.push(bytes),
                (PutNew::Exists { size }, _) => assert_eq!(size, 4, "a half-written object was seen"),
            }
        }
        assert_eq!(winners.len(), 1, "{} writers created one object", winners.len());
        assert_eq!(Some(open().get(&name).await.unwrap().unwrap().bytes), winners.pop());
    }
}

/// Each writer raises one counter by read and compare-and-set, so a lost update is a number too low.
async fn of_racing_replacers_none_is_lost(open: Open<'_>) {
    let name = path("conformance/counter");
    assert_eq!(open().put_new(&name, b"0").await.unwrap(), PutNew::Created);
    let racers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (store, name) = (open(), name.clone());
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    loop {
                        let Object { bytes, etag } = store.get(&name).await.unwrap().unwrap();
                        let count: usize = String::from_utf8(bytes).unwrap().parse().unwrap();
                        let next = (count + 1).to_string();
                        let put = store.put_if(&name, next.as_bytes(), &Expect::Is(etag)).await.unwrap();
                        if matches!(put, PutIf::Written { .. }) {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    for racer in racers {
        racer.await.unwrap();
    }
    let total = (WRITERS * ROUNDS).to_string();
    assert_eq!(open().get(&name).await.unwrap().unwrap().bytes, total.as_bytes());
}
