//! The change logs, each against the port's suite, and the proof that nothing in one can be altered.

use std::sync::Arc;

use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;
use flagstone_publisher::log::conformance::{self, draft};
use flagstone_publisher::log::verify::{Chain, VerifyError, verify_chain, verify_log};
use flagstone_publisher::log::{
    Appended, ChangeLog, Damage, Draft, Entity, Entry, LogError, MemoryLog, StoredEntry, chain_hash,
};

fn shop() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_log_conforms() {
    let log = Arc::new(MemoryLog::new());
    conformance::run(&|| Arc::clone(&log) as Arc<dyn ChangeLog>).await;
}

/// Entries 1 to `count`, each after the other.
fn entries(count: u64) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for number in 1..=count {
        let head = entries.last().map(Entry::head);
        entries.push(Entry::seal(draft(&shop(), number, "some words"), head.as_ref()).unwrap());
    }
    entries
}

async fn filled(entries: &[Entry]) -> MemoryLog {
    let log = MemoryLog::new();
    for entry in entries {
        assert_eq!(log.append(entry).await.unwrap(), Appended::Written);
    }
    log
}

async fn fault(log: &MemoryLog) -> Option<(u64, Damage)> {
    match verify_log(log, &shop(), []).await {
        Ok(_) => None,
        Err(VerifyError::Fault(fault)) => Some((fault.seq, fault.what)),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_hash_of_an_entry_is_the_published_formula() {
    // Reproduced with: printf 'flagstone/log/1\n' | cat - <(head -c 32 /dev/zero) <(printf '{}') | sha256sum
    assert_eq!(
        chain_hash(None, b"{}").to_string(),
        "100bab83cf06cb2a70c4631b27e89654ec53571c65a84803e0a9fb2f317c8dea"
    );
    let zero = Digest::from_bytes([0; 32]);
    assert_eq!(chain_hash(Some(&zero), b"{}"), chain_hash(None, b"{}"));
}

#[test]
fn the_commitments_are_the_published_formulas() {
    let entry = Entry::seal_with(draft(&shop(), 1, "w"), None, [7; 16], [9; 16]).unwrap();
    let data = entry.data.as_ref().unwrap();
    assert_eq!(data.bytes, br#"{"reason":"w","states":[{"n":1}]}"#);
    assert_eq!(
        entry.header.data.to_string(),
        "3d24ff7cfbad1d7920a3a7f20ef4b4ce4324cd29b5d5072b46e8579816e5072c"
    );
    assert_eq!(
        entry.header.request.sha256.to_string(),
        "7a1dc02c2ccef48bbf05d25cd27c01564976c1fd219e1d8b0ee0b80871039508"
    );
    assert_eq!(entry.records(b"w"), Some(true));
    assert_eq!(entry.records(b"x"), Some(false));
}

#[test]
fn time_never_runs_backwards_in_a_log() {
    let first = Entry::seal(draft(&shop(), 1, "w"), None).unwrap();
    let earlier = Draft { time_ms: first.header.time_ms - 3_600_000, ..draft(&shop(), 2, "w") };
    let second = Entry::seal(earlier, Some(&first.head())).unwrap();
    assert_eq!(second.header.time_ms, first.header.time_ms);
}

#[tokio::test]
async fn any_flipped_byte_of_any_row_is_found_and_named() {
    let entries = entries(4);
    let log = filled(&entries).await;
    assert_eq!(fault(&log).await, None);
    let mut flips = 0;
    for entry in &entries {
        let seq = entry.seq();
        let row = StoredEntry::from(entry);
        let parts: [fn(&mut StoredEntry) -> &mut Vec<u8>; 4] = [
            |row| &mut row.hash,
            |row| &mut row.header,
            |row| row.salt.as_mut().unwrap(),
            |row| row.data.as_mut().unwrap(),
        ];
        for part in parts {
            for place in 0..part(&mut row.clone()).len() {
                for bit in [0x01, 0x20, 0x80] {
                    let mut damaged = row.clone();
                    part(&mut damaged)[place] ^= bit;
                    log.tamper(&shop(), seq, |_| Some(damaged));
                    let (at, what) = fault(&log).await.expect("a flipped byte went unnoticed");
                    assert_eq!(at, seq, "{what} (byte {place})");
                    flips += 1;
                }
            }
        }
        log.tamper(&shop(), seq, |_| Some(row));
    }
    assert_eq!(fault(&log).await, None);
    assert!(flips > 4 * 3 * 400, "{flips}");
}

#[tokio::test]
async fn a_row_that_is_dropped_swapped_or_shortened_is_found() {
    let entries = entries(4);
    let row = |seq: usize| StoredEntry::from(&entries[seq - 1]);
    let log = filled(&entries).await;
    log.tamper(&shop(), 2, |_| None);
    assert_eq!(fault(&log).await, Some((2, Damage::Missing)));
    log.tamper(&shop(), 2, |_| Some(row(3)));
    assert_eq!(fault(&log).await, Some((2, Damage::Seq { found: 3 })));
    log.tamper(&shop(), 2, |_| Some(StoredEntry { hash: vec![1], ..row(2) }));
    assert_eq!(fault(&log).await, Some((2, Damage::HashLength)));
    log.tamper(&shop(), 2, |_| Some(StoredEntry { salt: Some(vec![1]), ..row(2) }));
    assert_eq!(fault(&log).await, Some((2, Damage::SaltLength)));
    log.tamper(&shop(), 2, |_| Some(StoredEntry { salt: None, ..row(2) }));
    assert_eq!(fault(&log).await, Some((2, Damage::HalfErased)));
    log.tamper(&shop(), 2, |_| Some(row(2)));
    assert_eq!(fault(&log).await, None);
}

#[tokio::test]
async fn a_rewritten_end_is_found_by_whoever_kept_a_head() {
    let entries = entries(3);
    let anchor = entries[2].head();
    let log = filled(&entries).await;
    let verified = verify_log(&log, &shop(), [(3, anchor.hash)]).await.unwrap();
    assert_eq!((verified.head, verified.anchors), (Some(anchor), 1));

    let forged = Entry::seal(draft(&shop(), 3, "forged"), Some(&entries[1].head())).unwrap();
    log.tamper(&shop(), 3, |_| Some(StoredEntry::from(&forged)));
    assert_eq!(fault(&log).await, None, "without an anchor a consistent end is what it is");
    let found = verify_log(&log, &shop(), [(3, anchor.hash)]).await.unwrap_err();
    assert_eq!(found.code(), "anchor-mismatch");

    log.tamper(&shop(), 3, |_| None);
    let found = verify_log(&log, &shop(), [(3, anchor.hash)]).await.unwrap_err();
    assert_eq!(found.code(), "entry-missing");
}

#[tokio::test]
async fn erased_data_is_a_named_hole_if_an_entry_says_so_and_a_fault_if_not() {
    let mut entries = entries(3);
    let log = filled(&entries).await;
    log.tamper(&shop(), 2, |row| row.map(|row| StoredEntry { salt: None, data: None, ..row }));
    assert_eq!(fault(&log).await, Some((2, Damage::Unexplained)));

    let mut erasure = draft(&shop(), 4, "asked to");
    erasure.changes[0].entity = Entity::Erasure(2);
    entries.push(Entry::seal(erasure, Some(&entries[2].head())).unwrap());
    log.append(&entries[3]).await.unwrap();
    let verified = verify_log(&log, &shop(), []).await.unwrap();
    assert_eq!(verified.erased.into_iter().collect::<Vec<_>>(), [2]);
    assert_eq!(log.entry(&shop(), 2).await.unwrap().unwrap().records(b"some words"), None);
}

#[test]
fn an_entry_of_another_log_does_not_fit_into_a_chain() {
    let (ours, theirs) = (entries(3), entries(3));
    let mixed = [&ours[0], &theirs[1], &ours[2]];
    let found = verify_chain(&shop(), mixed).unwrap_err();
    assert_eq!((found.seq, found.what), (2, Damage::Link));
    let mut chain = Chain::new(ProjectId::parse("other").unwrap());
    assert_eq!(chain.push(&ours[0]).unwrap_err().what, Damage::Project);
}

#[tokio::test]
async fn an_append_that_skips_or_does_not_follow_is_refused() {
    let ours = entries(3);
    let log = filled(&ours[..1]).await;
    let skipped = log.append(&ours[2]).await.unwrap_err();
    assert!(matches!(skipped, LogError::NotNext { offered: 3, head: 1, .. }), "{skipped}");
    let foreign = log.append(&entries(2)[1]).await.unwrap_err();
    assert_eq!(foreign.code(), "log-not-next");
    assert_eq!(log.head(&shop()).await.unwrap(), Some(ours[0].head()));
}
