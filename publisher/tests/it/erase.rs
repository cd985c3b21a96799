//! Erasing: what may go, what stays, and that nothing is left of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flagstone_model::key::ProjectId;
use flagstone_publisher::checkpoint::{self, CAPS, Checkpoints};
use flagstone_publisher::clock::ManualClock;
use flagstone_publisher::control::{
    ControlError, ControlPlane, Erased, Erasure, Kind, MAX_ERASED_AT_ONCE, Operation, Ports, Precondition,
    Several, Write,
};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::verify::verify_log;
use flagstone_publisher::log::{
    Actor, ActorKind, Appended, ChangeLog, Draft, Entity, EntityChange, Entry, EntryData, Head, LogError,
};
use flagstone_publisher::publish::Options;
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::storage::StorageError;
use flagstone_publisher::store::MemoryStore;

use super::project::{flag, json, production, segment};

/// 2026-12-02T12:00:00Z
const NOW_MS: i64 = 1_796_212_800_000;
/// Whom the entries are about, and who wrote them.
const PERSON: &str = "user-canary-4711";
const NAME: &str = "Mina Canary";
const REASON: &str = "because canary asked";

fn project() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

struct Bench {
    control: ControlPlane,
    records: Arc<SqliteStore>,
    directory: tempfile::TempDir,
}

impl Bench {
    /// Entries 1 to 3: the project, `production`, and the flag `a`.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let control = start(directory.path()).await;
        let bench = Self { control: control.0, records: control.1, directory };
        bench.write(Operation::CreateProject(json(r#"{"id":"shop"}"#))).await;
        bench.write(Operation::CreateEnvironment(json(r#"{"id":"production"}"#))).await;
        bench.write(Operation::CreateFlag(json(r#"{"key":"a","type":"bool"}"#))).await;
        bench
    }

    async fn write(&self, operation: Operation) -> u64 {
        self.control.write(operation, by("u_1")).await.unwrap().seq
    }

    async fn target(&self, user: &str) -> u64 {
        let body = format!(r#"{{"on":true,"targets":{{"on":["{user}"]}},"fallthrough":{{"serve":"off"}}}}"#);
        self.write(Operation::PutTargeting(production(), flag("a"), json(&body))).await
    }

    async fn erase(&self, what: Erasure) -> Result<Erased, ControlError> {
        self.control.erase(&what, Write { actor_name: None, reason: None, ..by("u_op") }).await
    }

    async fn head(&self) -> u64 {
        self.records.head(&project()).await.unwrap().unwrap().seq
    }

    /// Whether the bytes stand in the records' files, or in a checkpoint when it is unpacked.
    async fn holds(&self, text: &str) -> bool {
        let mut files = Vec::new();
        for file in std::fs::read_dir(self.directory.path()).unwrap() {
            let path = file.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("log.sqlite") {
                files.push(std::fs::read(path).unwrap());
            }
        }
        for mark in self.records.marks(&project()).await.unwrap() {
            let stored = self.records.stored(&project(), mark.seq()).await.unwrap().unwrap();
            files.push(mark.object.open(&stored, CAPS).unwrap());
        }
        files.iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    }
}

async fn start(place: &Path) -> (ControlPlane, Arc<SqliteStore>) {
    let keys = Keys::open(place.join("keys"), &project(), NOW_MS).await.unwrap();
    let records = Arc::new(SqliteStore::open(place.join("log.sqlite")).await.unwrap());
    (plane(&keys, records.clone(), &records), records)
}

/// A control plane over a log that goes to these records.
fn plane(keys: &Keys, log: Arc<dyn ChangeLog>, records: &Arc<SqliteStore>) -> ControlPlane {
    let ports = Ports {
        log,
        checkpoints: records.clone(),
        objects: records.clone(),
        publications: records.clone(),
        store: Arc::new(MemoryStore::new()),
        signer: Arc::new(keys.clone()),
        clock: Arc::new(ManualClock::at(NOW_MS)),
    };
    ControlPlane::new(project(), keys.root().clone(), ports, Options::default())
}

/// A log in which something happens in between.
struct Eventful {
    records: Arc<SqliteStore>,
    path: PathBuf,
    /// Erased by another process just before the next append.
    erased_first: Mutex<Option<(ControlPlane, u64)>>,
    /// Whether the next erasure finds somebody who reads, so that the write-ahead log can not be cut.
    busy: AtomicBool,
    /// What was to be erased, in order.
    erased: Mutex<Vec<u64>>,
}

impl Eventful {
    fn new(bench: &Bench) -> Arc<Self> {
        let path = bench.directory.path().join("log.sqlite");
        let (erased_first, busy, erased) = Default::default();
        Arc::new(Self { records: bench.records.clone(), path, erased_first, busy, erased })
    }

    async fn start(self: &Arc<Self>, bench: &Bench) -> ControlPlane {
        let keys = Keys::open(bench.directory.path().join("keys"), &project(), NOW_MS).await.unwrap();
        plane(&keys, self.clone(), &bench.records)
    }
}

#[async_trait]
impl ChangeLog for Eventful {
    async fn append(&self, entry: &Entry) -> Result<Appended, LogError> {
        let first = self.erased_first.lock().unwrap().take();
        if let Some((other, seq)) = first {
            other.erase(&entries([seq]), by("u_op")).await.unwrap();
        }
        self.records.append(entry).await
    }

    async fn read(&self, project: &ProjectId, after: u64, limit: usize) -> Result<Vec<Entry>, LogError> {
        ChangeLog::read(&*self.records, project, after, limit).await
    }

    async fn head(&self, project: &ProjectId) -> Result<Option<Head>, LogError> {
        self.records.head(project).await
    }

    async fn entry(&self, project: &ProjectId, seq: u64) -> Result<Option<Entry>, LogError> {
        self.records.entry(project, seq).await
    }

    async fn erase(&self, project: &ProjectId, seq: u64) -> Result<(), LogError> {
        self.erased.lock().unwrap().push(seq);
        if !self.busy.swap(false, Ordering::SeqCst) {
            return self.records.erase(project, seq).await;
        }
        let file = rusqlite::Connection::open(&self.path).unwrap();
        file.execute("UPDATE entry SET salt = NULL, data = NULL WHERE seq = ?1", [seq.cast_signed()])
            .unwrap();
        Err(StorageError::Busy.into())
    }
}

fn by(actor: &str) -> Write {
    Write {
        actor: Actor { kind: ActorKind::User, id: actor.into(), via: "test".into() },
        actor_name: Some(NAME.into()),
        request_id: None,
        request_bytes: b"request".to_vec(),
        reason: Some(REASON.into()),
        precondition: Precondition::Any,
        confirm: false,
        wait: true,
        until: None,
    }
}

fn entries(seqs: impl IntoIterator<Item = u64>) -> Erasure {
    Erasure::Entries(seqs.into_iter().collect())
}

async fn keep_checkpoint(bench: &Bench) {
    let (mark, stored) = checkpoint::write(&bench.control.state().await.unwrap()).unwrap().unwrap();
    assert!(bench.records.keep(&project(), &mark, &stored).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_is_erased_once_everything_it_changed_has_a_later_entry() {
    let bench = Bench::new().await;
    let first = bench.target(PERSON).await;
    let refused = bench.erase(entries([first])).await.unwrap_err();
    let expected = vec!["flag/production/a".to_owned()];
    assert!(
        matches!(&refused, ControlError::NotYetSuperseded { seq, entities } if *seq == first && *entities == expected)
    );
    assert_eq!((refused.code(), refused.kind()), ("not-yet-superseded", Kind::Conflict));
    assert_eq!(bench.head().await, first, "a refusal is not recorded");

    let second = bench.target("u-2").await;
    let erased = bench.erase(entries([first])).await.unwrap();
    assert_eq!((erased.entries, erased.erased), (vec![second + 1], vec![first]));
    let entry = bench.records.entry(&project(), first).await.unwrap().unwrap();
    assert!(entry.data.is_none());
    let says = bench.records.entry(&project(), second + 1).await.unwrap().unwrap();
    assert_eq!(says.header.changes[0].entity, Entity::Erasure(first));
    assert_eq!(says.header.actor.id, "u_op");
    let verified = verify_log(&*bench.records, &project(), []).await.unwrap();
    assert_eq!(verified.erased, BTreeSet::from([first]));

    // Once more is nothing; what is not there is said.
    assert_eq!(bench.erase(entries([first])).await.unwrap(), Erased::default());
    assert_eq!(bench.erase(entries([99])).await.unwrap_err().code(), "entry-not-found");
    assert_eq!(bench.head().await, second + 1);
    // Reading over the hole goes on.
    let history = bench.control.history(&production(), &flag("a"), None, 10).await.unwrap();
    assert!(history.iter().any(|item| item.seq == first && item.to.is_none()));
    assert_eq!(bench.control.state_at_seq(first).await.unwrap().seq(), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_person_in_any_file_of_the_records() {
    let bench = Bench::new().await;
    let first = bench.target(PERSON).await;
    let include = json(&format!(r#"{{"include":["{PERSON}"]}}"#));
    let second = bench.write(Operation::PutSegment(production(), segment("s"), include)).await;
    keep_checkpoint(&bench).await;
    assert!(bench.holds(PERSON).await);

    let refused = bench.erase(Erasure::UserId(PERSON.into())).await.unwrap_err();
    let expected = ["flag/production/a".to_owned(), "segment/production/s".to_owned()];
    assert!(matches!(&refused, ControlError::StillInUse { entities } if *entities == expected), "{refused}");
    assert_eq!((refused.code(), refused.kind()), ("still-in-use", Kind::Conflict));

    bench.target("u-2").await;
    bench.write(Operation::DeleteSegment(production(), segment("s"))).await;
    keep_checkpoint(&bench).await;
    let kept = bench.records.marks(&project()).await.unwrap().len();
    assert_eq!(kept, 2);
    let erased = bench.erase(Erasure::UserId(PERSON.into())).await.unwrap();
    assert_eq!(erased.erased, [first, second]);
    assert!(!bench.holds(PERSON).await);
    assert!(bench.records.marks(&project()).await.unwrap().is_empty());
    assert_eq!(bench.erase(Erasure::UserId(PERSON.into())).await.unwrap(), Erased::default());
    verify_log(&*bench.records, &project(), []).await.unwrap();

    // A process that starts now folds the holes to the same state.
    let (again, _) = start(bench.directory.path()).await;
    let (one, other) = (bench.control.state().await.unwrap(), again.state().await.unwrap());
    assert_eq!(one.to_lines(), other.to_lines());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_actor_wrote_goes_and_what_still_stands_is_told() {
    let bench = Bench::new().await;
    let first = bench.target("u-1").await;
    let write = Write { actor_name: None, reason: None, ..by("u_other") };
    let off = bench.control.write(Operation::Switch(production(), flag("a"), false), write).await.unwrap();
    assert!(bench.holds(NAME).await && bench.holds(REASON).await);
    let erased = bench.erase(Erasure::Actor("u_1".into())).await.unwrap();
    assert_eq!(erased.erased, [first]);
    let kept: Vec<_> = erased.kept.iter().map(|kept| (kept.seq, kept.entities.join(" "))).collect();
    let expected =
        [(1, "project".to_owned()), (2, "environment/production".to_owned()), (3, "flag/a".to_owned())];
    assert_eq!(kept, expected);
    assert!(bench.holds(NAME).await, "what stands still names its author");

    for (operation, _) in [
        (Operation::PatchEnvironment(production(), json(r#"{"name":"P"}"#)), 0),
        (Operation::PatchFlag(flag("a"), json(r#"{"owner":"team"}"#)), 0),
    ] {
        let write = Write { actor_name: None, reason: None, ..by("u_other") };
        bench.control.write(operation, write).await.unwrap();
    }
    let erased = bench.erase(Erasure::Actor("u_1".into())).await.unwrap();
    assert_eq!((erased.erased, erased.kept.len()), (vec![2, 3], 1));
    assert!(bench.records.entry(&project(), off.seq).await.unwrap().unwrap().data.is_some());
    verify_log(&*bench.records, &project(), []).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_a_crash_cut_off_is_finished_by_the_sweep() {
    let bench = Bench::new().await;
    let first = bench.target(PERSON).await;
    bench.target("u-2").await;
    keep_checkpoint(&bench).await;
    // The entry is there, and the process is gone.
    let head = bench.records.head(&project()).await.unwrap().unwrap();
    let draft = Draft {
        project: project(),
        time_ms: NOW_MS,
        actor: by("u_op").actor,
        request_id: "r-1".into(),
        request: Vec::new(),
        changes: vec![EntityChange { entity: Entity::Erasure(first), revision: (0, 1), prior_seq: 0 }],
        data: EntryData { states: vec![json("null")], ..EntryData::default() },
    };
    bench.records.append(&Entry::seal(draft, Some(&head)).unwrap()).await.unwrap();
    assert!(bench.holds(PERSON).await);
    let (next, _) = start(bench.directory.path()).await;
    next.sweep().await.unwrap();
    assert!(!bench.holds(PERSON).await);
    assert!(bench.records.marks(&project()).await.unwrap().is_empty());
    verify_log(&*bench.records, &project(), []).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_erasure_is_one_entry() {
    let bench = Bench::new().await;
    let first = bench.target(PERSON).await;
    bench.target("u-2").await;
    let write = || Write { request_id: Some("erase-1".into()), ..by("u_op") };
    let once = bench.control.erase(&entries([first]), write()).await.unwrap();
    let head = bench.head().await;
    assert_eq!(bench.control.erase(&entries([first]), write()).await.unwrap(), once);
    let other = Write { request_bytes: b"another".to_vec(), ..write() };
    assert_eq!(
        bench.control.erase(&entries([first]), other).await.unwrap_err().code(),
        "idempotency-key-reused"
    );
    assert_eq!(bench.head().await, head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_entries_than_one_entry_can_name_are_erased_by_several() {
    let bench = Bench::new().await;
    let total = MAX_ERASED_AT_ONCE as u64 + 1;
    for round in 0..=total {
        bench.write(Operation::Switch(production(), flag("a"), round % 2 == 0)).await;
    }
    let erased = bench.erase(entries(4..4 + total)).await.unwrap();
    assert_eq!(erased.erased, (4..4 + total).collect::<Vec<_>>());
    assert_eq!(erased.entries.len(), 2);
    let verified = verify_log(&*bench.records, &project(), []).await.unwrap();
    assert_eq!(verified.erased.len() as u64, total);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_of_a_large_erasure_goes_on_where_the_first_try_was_cut_off() {
    let bench = Bench::new().await;
    let total = MAX_ERASED_AT_ONCE as u64 + 1;
    for round in 0..=total {
        bench.write(Operation::Switch(production(), flag("a"), round % 2 == 0)).await;
    }
    let log = Eventful::new(&bench);
    let control = log.start(&bench).await;
    let write = || Write { request_id: Some("once".to_owned()), ..by("u_op") };
    log.busy.store(true, Ordering::SeqCst);
    let refused = control.erase(&entries(4..4 + total), write()).await.unwrap_err();
    assert_eq!(refused.code(), "storage-busy");

    let erased = control.erase(&entries(4..4 + total), write()).await.unwrap();
    assert_eq!(erased.erased, (4..4 + total).collect::<Vec<_>>());
    assert_eq!(erased.entries.len(), 2);
    let verified = verify_log(&*bench.records, &project(), []).await.unwrap();
    assert_eq!(verified.erased.len() as u64, total);
    let again = control.erase(&entries(4..4 + total), write()).await.unwrap();
    assert_eq!(again.entries, erased.entries[..1], "what is erased is not erased again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_busy_store_kept_of_an_erasure_goes_with_a_later_sweep() {
    let bench = Bench::new().await;
    let first = bench.target(PERSON).await;
    bench.target("u-2").await;
    let log = Eventful::new(&bench);
    let control = log.start(&bench).await;
    log.busy.store(true, Ordering::SeqCst);
    let refused = control.erase(&entries([first]), by("u_op")).await.unwrap_err();
    assert_eq!(refused.code(), "storage-busy");
    assert!(bench.records.entry(&project(), first).await.unwrap().unwrap().data.is_none());
    assert!(bench.holds(PERSON).await, "older pages stand in the write-ahead log");

    log.busy.store(true, Ordering::SeqCst);
    control.sweep().await.unwrap();
    assert!(bench.holds(PERSON).await, "still busy");
    control.sweep().await.unwrap();
    assert!(!bench.holds(PERSON).await);
    verify_log(&*bench.records, &project(), []).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_starts_erases_everything_once_more() {
    let bench = Bench::new().await;
    let mut erased = BTreeSet::new();
    for _ in 0..8 {
        erased.insert(bench.target(PERSON).await);
    }
    bench.target("u-2").await;
    bench.erase(entries(erased.iter().copied().filter(|seq| seq % 2 == 0))).await.unwrap();
    bench.erase(entries(erased.iter().copied())).await.unwrap();
    let log = Eventful::new(&bench);
    let control = log.start(&bench).await;
    log.busy.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        control.sweep().await.unwrap();
    }
    let again = std::mem::take(&mut *log.erased.lock().unwrap());
    // The first of four by one entry fails; the four by the other are done, and all once more, for those came later.
    assert_eq!(again.len(), 1 + 4 + 8, "{again:?}");
    assert_eq!(again[5..].iter().copied().collect::<BTreeSet<_>>(), erased);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_erased_while_it_was_restored_is_not_brought_back() {
    let bench = Bench::new().await;
    let log = Eventful::new(&bench);
    let control = log.start(&bench).await;
    let body = |seq: u64| json(&format!(r#"{{"seq":{seq}}}"#));
    for whole in [false, true] {
        let first = bench.target(PERSON).await;
        let second = bench.target("u-2").await;
        // It is there when the restore looks, and gone before the restore has its entry.
        let (other, _) = start(bench.directory.path()).await;
        *log.erased_first.lock().unwrap() = Some((other, first));
        let write = Write { wait: false, ..by("u_1") };
        let refused = if whole {
            control.change(&Several::RestoreEnvironment(production(), body(first)), &write).await.err()
        } else {
            let operation = Operation::RestoreTargeting(production(), flag("a"), body(first));
            control.write(operation, write.clone()).await.err()
        };
        let refused = refused.unwrap();
        assert_eq!(refused.code(), "invalid-request", "{refused}");
        assert_eq!(bench.head().await, second + 1, "the erasure is the last entry");
        assert!(!bench.holds(PERSON).await);
        // And so it is when it was erased before.
        let refused = if whole {
            control.change(&Several::RestoreEnvironment(production(), body(first)), &write).await.err()
        } else {
            let operation = Operation::RestoreTargeting(production(), flag("a"), body(first));
            control.write(operation, write).await.err()
        };
        assert_eq!(refused.unwrap().code(), "invalid-request");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_expires_and_a_key_that_is_a_number_are_found() {
    let bench = Bench::new().await;
    let listed = |key: &str| {
        let targets = format!(r#"{{"on":[{{"key":{key},"until":"2027-01-01T00:00:00Z"}}]}}"#);
        json(&format!(r#"{{"on":true,"targets":{targets},"fallthrough":{{"serve":"off"}}}}"#))
    };
    let mut seqs = Vec::new();
    for key in [format!("\"{PERSON}\""), "4711".to_owned()] {
        seqs.push(bench.write(Operation::PutTargeting(production(), flag("a"), listed(&key))).await);
    }
    // Shares are no keys, though they are the same number.
    let split = json(r#"{"on":true,"fallthrough":{"rollout":{"weights":{"on":4711,"off":95289}}}}"#);
    let refused = bench.erase(Erasure::UserId("4711".into())).await.unwrap_err();
    assert_eq!(refused.code(), "still-in-use");
    bench.write(Operation::PutTargeting(production(), flag("a"), split)).await;
    for (key, seq) in [(PERSON, seqs[0]), ("4711", seqs[1])] {
        let erased = bench.erase(Erasure::UserId(key.into())).await.unwrap();
        assert_eq!(erased.erased, [seq], "{key}");
    }
    assert!(!bench.holds(PERSON).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_found_in_what_conditions_compare_with_and_in_contexts_of_checks() {
    let bench = Bench::new().await;
    let with = |condition: &str, checks: &str| {
        let rule = format!(r#"{{"id":"r","if":[{condition}],"serve":"on"}}"#);
        json(&format!(
            r#"{{"on":true,"rules":[{rule}],"fallthrough":{{"serve":"off"}},"checks":[{checks}]}}"#
        ))
    };
    let check =
        r#"{"at":"2026-12-02T12:00:00Z","context":{"user":{"id":4711}},"expect":{"variation":"off"}}"#;
    // A bound, a bucket, and a share are no keys, though they are the same number.
    let none = with(r#"{"attr":"n","gt":4711},{"bucket":{"salt":"s","in":[[0,4711]]}}"#, "");
    for holding in [
        with(r#"{"attr":"targetingKey","in":[4711]}"#, ""),
        with(r#"{"any":[{"attr":"user.id","not_in":[4711]}]}"#, ""),
        with(r#"{"attr":"team","has_all":[4711]}"#, ""),
        with(r#"{"attr":"n","gt":1}"#, check),
    ] {
        let seq = bench.write(Operation::PutTargeting(production(), flag("a"), holding)).await;
        let refused = bench.erase(Erasure::UserId("4711".into())).await.unwrap_err();
        assert_eq!(refused.code(), "still-in-use");
        bench.write(Operation::PutTargeting(production(), flag("a"), none.clone())).await;
        assert_eq!(bench.erase(Erasure::UserId("4711".into())).await.unwrap().erased, [seq]);
    }
}
