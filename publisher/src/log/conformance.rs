//! What every change log must do, as a suite its adapters run.
#![expect(clippy::unwrap_used, reason = "a suite for tests: a log that fails it is to be told loudly")]

use std::sync::Arc;

use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::ProjectId;

use super::verify::{verify_chain, verify_log};
use super::{
    Actor, ActorKind, Appended, ChangeLog, Draft, Entity, EntityChange, Entry, EntryData, Head,
    MAX_DATA_BYTES, MAX_READ_BYTES,
};

/// How many writers race for the end of one log.
const WRITERS: u64 = 50;
/// How many entries each of them must get in.
const EACH: u64 = 4;

/// Opens one more handle on the logs under test; all handles must see the same entries.
pub type Open<'a> = &'a (dyn Fn() -> Arc<dyn ChangeLog> + Sync);

/// Runs the suite on an adapter without entries.
///
/// # Panics
///
/// At the first thing that is not as it must be.
pub async fn run(open: Open<'_>) {
    a_log_starts_without_entries(open).await;
    entries_read_back_as_they_were_written(open).await;
    a_taken_seq_is_lost_and_shows_who_took_it(open).await;
    a_retried_append_is_its_own(open).await;
    logs_of_two_projects_are_apart(open).await;
    an_erased_entry_keeps_its_place_and_nothing_else(open).await;
    a_read_of_large_entries_stops_before_it_fills_the_memory(open).await;
    racing_writers_lose_nothing(open).await;
}

/// A draft that changes the definition of the flag `f{number}`, with the given words in it.
///
/// # Panics
///
/// Never: the flag's key is valid.
pub fn draft(project: &ProjectId, number: u64, words: &str) -> Draft {
    Draft {
        project: project.clone(),
        time_ms: 1_795_000_000_000,
        actor: Actor { kind: ActorKind::System, id: "conformance".to_owned(), via: "suite".to_owned() },
        request_id: format!("{number}-{}", Digest::of(words.as_bytes())),
        request: words.as_bytes().to_vec(),
        changes: vec![EntityChange {
            entity: Entity::parse(&format!("flag/f{number}")).unwrap(),
            revision: (0, 1),
            prior_seq: 0,
        }],
        data: EntryData {
            reason: Some(words.to_owned()),
            states: vec![Json::object([("n", Json::from(number))])],
            ..EntryData::default()
        },
    }
}

fn project(id: &str) -> ProjectId {
    ProjectId::parse(id).unwrap()
}

async fn append(log: &dyn ChangeLog, project: &ProjectId, words: &str) -> Entry {
    let head = log.head(project).await.unwrap();
    let entry = Entry::seal(draft(project, 1, words), head.as_ref()).unwrap();
    assert_eq!(log.append(&entry).await.unwrap(), Appended::Written);
    entry
}

async fn a_log_starts_without_entries(open: Open<'_>) {
    let (log, empty) = (open(), project("empty"));
    assert_eq!(log.head(&empty).await.unwrap(), None);
    assert_eq!(log.read(&empty, 0, 10).await.unwrap(), []);
    assert_eq!(log.entry(&empty, 1).await.unwrap(), None);
}

async fn entries_read_back_as_they_were_written(open: Open<'_>) {
    let (one, other, name) = (open(), open(), project("read-back"));
    let mut written = Vec::new();
    for words in ["first", "zweitens: ü \u{2028} \0 🏁", &"long ".repeat(60_000)] {
        written.push(append(&*one, &name, words).await);
    }
    assert_eq!(other.read(&name, 0, 10).await.unwrap(), written);
    assert_eq!(other.read(&name, 1, 1).await.unwrap(), written.get(1..2).unwrap_or_default());
    assert_eq!(other.read(&name, 3, 10).await.unwrap(), []);
    assert_eq!(other.entry(&name, 3).await.unwrap().as_ref(), written.get(2));
    assert_eq!(other.head(&name).await.unwrap(), written.last().map(Entry::head));
    assert_eq!(verify_chain(&name, &written).unwrap().head.map(|head| head.seq), Some(3));
}

async fn a_taken_seq_is_lost_and_shows_who_took_it(open: Open<'_>) {
    let (log, name) = (open(), project("taken"));
    let first = append(&*log, &name, "mine").await;
    let late = Entry::seal(draft(&name, 2, "late"), None).unwrap();
    let lost = open().append(&late).await.unwrap();
    assert_eq!(lost, Appended::Lost { existing: Box::new(first.clone()) });
    assert_eq!(log.read(&name, 0, 10).await.unwrap(), [first], "a lost append wrote");
}

async fn a_retried_append_is_its_own(open: Open<'_>) {
    let (log, name) = (open(), project("retried"));
    let first = append(&*log, &name, "one").await;
    append(&*log, &name, "two").await;
    assert_eq!(open().append(&first).await.unwrap(), Appended::Written);
    assert_eq!(log.head(&name).await.unwrap().map(|head| head.seq), Some(2), "a retry wrote again");
}

async fn logs_of_two_projects_are_apart(open: Open<'_>) {
    let (log, one, other) = (open(), project("apart"), project("apart-2"));
    append(&*log, &one, "a").await;
    append(&*log, &one, "b").await;
    append(&*log, &other, "c").await;
    assert_eq!(log.head(&one).await.unwrap().map(|head| head.seq), Some(2));
    assert_eq!(log.head(&other).await.unwrap().map(|head| head.seq), Some(1));
}

async fn an_erased_entry_keeps_its_place_and_nothing_else(open: Open<'_>) {
    let (log, name, other) = (open(), project("erased"), project("erased-2"));
    let mut written = Vec::new();
    for words in ["one", "two", "three"] {
        written.push(append(&*log, &name, words).await);
        append(&*log, &other, words).await;
    }
    open().erase(&name, 2).await.unwrap();
    open().erase(&name, 2).await.unwrap();
    log.erase(&name, 9).await.unwrap();
    let found = log.read(&name, 0, 10).await.unwrap();
    for (before, now) in written.iter().zip(&found) {
        assert_eq!((&before.header_bytes, before.hash), (&now.header_bytes, now.hash));
        assert_eq!(now.data.as_ref(), before.data.as_ref().filter(|_| now.seq() != 2));
    }
    assert_eq!(found.len(), 3);
    assert!(log.entry(&other, 2).await.unwrap().is_some_and(|entry| entry.data.is_some()));
    // The retry of the append that was erased is still its own.
    let second = written.get(1).unwrap();
    assert_eq!(log.append(second).await.unwrap(), Appended::Written);
    assert!(log.entry(&name, 2).await.unwrap().is_some_and(|entry| entry.data.is_none()), "it came back");
}

async fn a_read_of_large_entries_stops_before_it_fills_the_memory(open: Open<'_>) {
    let (log, name) = (open(), project("large"));
    // Three of them are more than one read takes.
    let large = "w".repeat(MAX_DATA_BYTES - 1_000);
    for words in [&*large, &large, &large, "small", &large] {
        append(&*log, &name, words).await;
    }
    let (mut after, mut reads) = (0, Vec::new());
    loop {
        let entries = log.read(&name, after, 10).await.unwrap();
        let Some(last) = entries.last() else { break };
        after = last.seq();
        let bytes =
            |entry: &Entry| entry.header_bytes.len() + entry.data.as_ref().map_or(0, |data| data.bytes.len());
        let size: usize = entries.iter().map(bytes).sum();
        assert!(size <= MAX_READ_BYTES, "{size} bytes were read at once");
        reads.push(entries.len());
    }
    assert_eq!((after, reads.iter().sum()), (5, 5_usize), "{reads:?}");
    assert_eq!(log.read(&name, 2, 1).await.unwrap().len(), 1);
    assert_eq!(verify_log(&*log, &name, []).await.unwrap().head.map(|head| head.seq), Some(5));
}

/// Each writer appends, and when it is beaten folds the tail and tries again, as the admin does.
async fn racing_writers_lose_nothing(open: Open<'_>) {
    let name = project("race");
    let racers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (log, name) = (open(), name.clone());
            tokio::spawn(async move {
                let mut head: Option<Head> = None;
                let mut written = Vec::new();
                for turn in 0..EACH {
                    loop {
                        let words = format!("{writer}/{turn}");
                        let entry = Entry::seal(draft(&name, writer, &words), head.as_ref()).unwrap();
                        if log.append(&entry).await.unwrap() == Appended::Written {
                            written.push(entry.seq());
                            head = Some(entry.head());
                            break;
                        }
                        head = log.head(&name).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                }
                written
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for racer in racers {
        acknowledged.extend(racer.await.unwrap());
    }
    acknowledged.sort_unstable();
    let all: Vec<u64> = (1..=WRITERS * EACH).collect();
    assert_eq!(acknowledged, all, "an acknowledged entry is lost, or two got one seq");
    let verified = verify_log(&*open(), &name, []).await.unwrap();
    assert_eq!(verified.head.map(|head| head.seq), all.last().copied());
}
