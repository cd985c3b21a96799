//! The control plane: from a request to an entry, a manifest, and an answer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flagstone_bundle::manifest::{Manifest, Stream, UnverifiedManifest};
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::key::{ProjectId, ViewId};
use flagstone_publisher::checkpoint::MemoryCheckpoints;
use flagstone_publisher::clock::ManualClock;
use flagstone_publisher::control::{
    ControlError, ControlPlane, Kind, Operation, Ports, Precondition, PublicationState, When, Write, Written,
};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::verify::verify_log;
use flagstone_publisher::log::{Actor, ActorKind, Appended, ChangeLog, Entry, Head, LogError, MemoryLog};
use flagstone_publisher::private_object::MemoryObjects;
use flagstone_publisher::publication::{MemoryPublications, Publications};
use flagstone_publisher::publish::{Layout, Options};
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::storage::StorageError;
use flagstone_publisher::store::{DirectoryStore, MemoryStore, ObjectStore};

use super::faulty_log::{Fault, FaultyLog};
use super::project::{flag, json, production, segment};

/// 2026-12-02T12:00:00Z
pub(super) const NOW_MS: i64 = 1_796_212_800_000;

pub(super) struct Bench {
    pub(super) control: ControlPlane,
    pub(super) log: Arc<dyn ChangeLog>,
    pub(super) objects: Arc<MemoryObjects>,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) ports: Ports,
    pub(super) keys: Keys,
    directory: Arc<tempfile::TempDir>,
}

fn project() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

impl Bench {
    /// A project with the environment `production`, in memory.
    pub(super) async fn new() -> Self {
        Self::over(Arc::new(MemoryLog::new())).await
    }

    pub(super) async fn over(log: Arc<dyn ChangeLog>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::open(directory.path(), &project(), NOW_MS).await.unwrap();
        let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(ManualClock::at(NOW_MS)));
        let objects = Arc::new(MemoryObjects::new());
        let ports = Ports {
            log: log.clone(),
            checkpoints: Arc::new(MemoryCheckpoints::new()),
            objects: objects.clone(),
            publications: Arc::new(MemoryPublications::new()),
            store: store.clone(),
            signer: Arc::new(keys.clone()),
            clock: clock.clone(),
        };
        let control = ControlPlane::new(project(), keys.root().clone(), ports.clone(), Options::default());
        let directory = Arc::new(directory);
        let bench = Self { control, log, objects, store, clock, ports, keys, directory };
        bench.write(Operation::CreateProject(json(r#"{"id":"shop"}"#))).await.unwrap();
        bench.write(Operation::CreateEnvironment(json(r#"{"id":"production"}"#))).await.unwrap();
        bench
    }

    /// The same after a restart: nothing is remembered.
    pub(super) fn restarted(&self) -> Self {
        let root = self.keys.root().clone();
        let control = ControlPlane::new(project(), root, self.ports.clone(), Options::default());
        let Self { log, objects, store, clock, ports, keys, directory, .. } = self;
        let (log, objects, store, clock) = (log.clone(), objects.clone(), store.clone(), clock.clone());
        let (ports, keys, directory) = (ports.clone(), keys.clone(), directory.clone());
        Self { control, log, objects, store, clock, ports, keys, directory }
    }

    pub(super) async fn write(&self, operation: Operation) -> Result<Written, ControlError> {
        self.control.write(operation, request(None, "")).await
    }

    pub(super) async fn create(&self, key: &str) -> Written {
        self.write(Operation::CreateFlag(json(&format!(r#"{{"key":"{key}","type":"bool"}}"#)))).await.unwrap()
    }

    pub(super) async fn head(&self) -> u64 {
        self.log.head(&project()).await.unwrap().map_or(0, |head| head.seq)
    }

    pub(super) async fn manifest(&self) -> Manifest {
        manifest(&*self.store, &self.keys).await
    }
}

async fn manifest(store: &dyn ObjectStore, keys: &Keys) -> Manifest {
    let stream = Stream { project: project(), environment: production(), view: ViewId::server() };
    let path = Layout::of(&stream).manifest().unwrap();
    let bytes = store.get(&path).await.unwrap().unwrap().bytes;
    UnverifiedManifest::parse(&bytes).unwrap().verify(keys.root(), &stream).unwrap()
}

pub(super) fn request(id: Option<&str>, bytes: &str) -> Write {
    Write {
        actor: Actor { kind: ActorKind::User, id: "u_1".into(), via: "test".into() },
        actor_name: Some("Mina".into()),
        request_id: id.map(Into::into),
        request_bytes: bytes.as_bytes().to_vec(),
        reason: Some("because".into()),
        precondition: Precondition::Any,
        confirm: false,
        wait: true,
        until: None,
    }
}

#[tokio::test]
async fn a_change_is_in_the_log_and_in_a_manifest_that_verifies_when_it_is_answered() {
    let bench = Bench::new().await;
    let created = bench.create("new-checkout").await;
    assert!(created.created);
    let on = bench.write(Operation::Switch(production(), flag("new-checkout"), true)).await.unwrap();
    assert_eq!((on.seq, on.revision, on.created), (4, 2, false));
    let published = on.publication[&production()][&ViewId::server()];
    assert_eq!(published.state, PublicationState::Announced);
    let manifest = bench.manifest().await;
    assert_eq!(manifest.version(), published.version);
    let head = bench.log.head(&project()).await.unwrap().unwrap();
    assert_eq!(manifest.log().map(|log| (log.seq, log.hash)), Some((4, head.hash)));
}

#[tokio::test]
async fn what_is_refused_leaves_log_and_manifest_as_they_were() {
    let bench = Bench::new().await;
    bench.create("a").await;
    let (head, before) = (bench.head().await, bench.manifest().await.payload_sha256());
    let stale = Write { precondition: Precondition::Revision(9), ..request(None, "") };
    let cases = [
        (Operation::CreateFlag(json(r#"{"key":"a","type":"bool"}"#)), request(None, ""), "already-exists"),
        (Operation::Switch(production(), flag("b"), true), request(None, ""), "flag-not-found"),
        (Operation::Switch(production(), flag("a"), true), stale, "stale-revision"),
        (
            Operation::PutTargeting(production(), flag("a"), json(r#"{"on":true,"bogus":1}"#)),
            request(None, ""),
            "invalid-request",
        ),
        (
            Operation::PutTargeting(
                production(),
                flag("a"),
                json(r#"{"on":true,"prerequisites":[{"flag":"a","is":["on"]}]}"#),
            ),
            request(None, ""),
            "prerequisite-cycle",
        ),
        (
            Operation::RestoreTargeting(production(), flag("a"), json(r#"{"seq":1}"#)),
            request(None, ""),
            "invalid-request",
        ),
        (Operation::DeleteSegment(production(), segment("s")), request(None, ""), "segment-not-found"),
    ];
    for (operation, write, code) in cases {
        let refused = bench.control.write(operation, write).await.unwrap_err();
        assert_eq!(refused.code(), code);
        assert_eq!(bench.head().await, head, "{code}");
    }
    assert_eq!(bench.manifest().await.payload_sha256(), before);
}

#[tokio::test]
async fn twenty_twins_make_one_entry_and_get_one_answer() {
    let bench = Bench::new().await;
    bench.create("a").await;
    let head = bench.head().await;
    let twins = (0..20).map(|_| {
        let control = bench.control.clone();
        tokio::spawn(async move {
            let operation = Operation::Switch(production(), flag("a"), true);
            let written = control.write(operation, request(Some("r-1"), "POST on")).await.unwrap();
            (written.seq, written.revision, written.entity.to_string(), written.created)
        })
    });
    let mut answers = Vec::new();
    for twin in twins.collect::<Vec<_>>() {
        answers.push(twin.await.unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(bench.head().await, head + 1);
}

#[tokio::test]
async fn an_id_of_another_request_is_refused_but_not_another_actors() {
    let bench = Bench::new().await;
    bench.create("a").await;
    let switch = |on| Operation::Switch(production(), flag("a"), on);
    bench.control.write(switch(true), request(Some("r-1"), "POST on")).await.unwrap();
    let reused = bench.control.write(switch(false), request(Some("r-1"), "POST off")).await.unwrap_err();
    assert_eq!((reused.code(), reused.kind()), ("idempotency-key-reused", Kind::Unprocessable));
    let mut other = request(Some("r-1"), "POST off");
    other.actor.id = "u_2".into();
    assert!(bench.control.write(switch(false), other).await.is_ok());
}

#[tokio::test]
async fn a_lost_answer_of_the_log_is_looked_up_so_that_nobody_retries() {
    let log = Arc::new(FaultyLog::default());
    let bench = Bench::over(log.clone()).await;
    bench.create("a").await;
    let head = bench.head().await;
    log.tell(Some(Fault::Deaf));
    let written = bench.write(Operation::Switch(production(), flag("a"), true)).await.unwrap();
    assert_eq!((written.seq, bench.head().await), (head + 1, head + 1));
    let published = written.publication[&production()][&ViewId::server()];
    assert_eq!(published.state, PublicationState::Announced);
}

#[tokio::test]
async fn a_retry_after_a_lost_answer_finds_its_entry() {
    let bench = Bench::new().await;
    bench.create("a").await;
    let on = async || {
        let operation = Operation::Switch(production(), flag("a"), true);
        bench.control.write(operation, request(Some("r-1"), "on")).await.unwrap()
    };
    let (first, again) = (on().await, on().await);
    assert_eq!((first.seq, first.revision), (again.seq, again.revision));
    assert_eq!(bench.head().await, first.seq);
}

#[tokio::test]
async fn history_goes_from_what_was_to_what_became_and_a_restore_brings_it_back() {
    let bench = Bench::new().await;
    bench.create("a").await;
    let body = json(r#"{"variation":"on","percent":25}"#);
    let quarter = bench.write(Operation::Rollout(production(), flag("a"), body)).await.unwrap();
    bench.write(Operation::Switch(production(), flag("a"), true)).await.unwrap();
    bench.write(Operation::PatchFlag(flag("a"), json(r#"{"description":"words"}"#))).await.unwrap();
    let restore = json(&format!(r#"{{"seq":{}}}"#, quarter.seq));
    let restored = bench.write(Operation::RestoreTargeting(production(), flag("a"), restore)).await.unwrap();
    assert_eq!(restored.entity.to_string(), quarter.entity.to_string());

    let history = bench.control.history(&production(), &flag("a"), None, 100).await.unwrap();
    let told: Vec<_> = history.iter().map(|item| (item.entity.as_str(), item.revision)).collect();
    assert_eq!(
        told,
        [
            ("flag/production/a", (4, 5)),
            ("flag/a", (1, 2)),
            ("flag/production/a", (2, 3)),
            ("flag/production/a", (1, 2)),
            ("flag/a", (0, 1)),
        ]
    );
    let untouched = r#"{"on":false,"off":"off","fallthrough":{"serve":"on"}}"#;
    assert_eq!(history[3].from.as_ref().map(ToString::to_string).as_deref(), Some(untouched));
    assert_eq!(history[4].from, None);
    assert_eq!(history[0].from, history[2].to, "the edit of the definition is not one of the targeting");
    assert_eq!(
        (history[0].actor_name.as_deref(), history[0].reason.as_deref()),
        (Some("Mina"), Some("because"))
    );
    let page = bench.control.history(&production(), &flag("a"), Some(history[1].seq), 2).await.unwrap();
    assert_eq!(page.iter().map(|item| item.seq).collect::<Vec<_>>(), [history[2].seq, history[3].seq]);
}

#[tokio::test]
async fn an_evaluation_sees_the_log_as_it_is_or_as_it_was() {
    let bench = Bench::new().await;
    bench.create("alpha").await;
    bench.clock.advance(60_000);
    bench.write(Operation::Switch(production(), flag("alpha"), true)).await.unwrap();
    let ask = async |at: Option<i64>| {
        let at = at.map(Instant::from_millis);
        let found =
            bench.control.evaluate(&production(), Some("alpha"), &Context::new(), at.into()).await.unwrap();
        (found.flags[0].1, found.flags[0].2.clone())
    };
    assert_eq!(ask(None).await, (true, r#""value":true,"variation":"on","reason":"STATIC""#.into()));
    assert_eq!(
        ask(Some(NOW_MS + 30_000)).await,
        (false, r#""value":false,"variation":"off","reason":"DISABLED""#.into())
    );
    let unknown =
        bench.control.evaluate(&production(), Some("alhpa"), &Context::new(), When::NOW).await.unwrap_err();
    assert_eq!(unknown.code(), "flag-not-found");
    assert!(unknown.to_string().contains("did you mean `alpha`"), "{unknown}");
}

#[tokio::test]
async fn a_log_that_is_down_refuses_a_change_whole() {
    struct Down;
    #[async_trait]
    impl ChangeLog for Down {
        async fn append(&self, _: &Entry) -> Result<Appended, LogError> {
            Err(StorageError::Busy.into())
        }
        async fn read(&self, _: &ProjectId, _: u64, _: usize) -> Result<Vec<Entry>, LogError> {
            Ok(Vec::new())
        }
        async fn head(&self, _: &ProjectId) -> Result<Option<Head>, LogError> {
            Ok(None)
        }
        async fn entry(&self, _: &ProjectId, _: u64) -> Result<Option<Entry>, LogError> {
            Ok(None)
        }
        async fn erase(&self, _: &ProjectId, _: u64) -> Result<(), LogError> {
            Err(StorageError::Busy.into())
        }
    }
    let bench = Bench::new().await;
    let ports = Ports {
        log: Arc::new(Down),
        checkpoints: Arc::new(MemoryCheckpoints::new()),
        objects: Arc::new(MemoryObjects::new()),
        publications: Arc::new(MemoryPublications::new()),
        store: bench.store.clone(),
        signer: Arc::new(bench.keys.clone()),
        clock: bench.clock.clone(),
    };
    let control = ControlPlane::new(project(), bench.keys.root().clone(), ports, Options::default());
    let refused = control.write(Operation::CreateProject(json(r#"{"id":"shop"}"#)), request(None, "")).await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.code(), refused.kind()), ("storage-busy", Kind::Busy { retry_after_s: 1 }));
    assert_eq!(control.state().await.unwrap().seq(), 0);
}

/// Two processes' worth of control planes on one file and one directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_control_planes_on_one_directory_lose_nothing() {
    const WRITERS: usize = 10;
    const EACH: usize = 4;
    let directory = tempfile::tempdir().unwrap();
    let open = async || {
        let keys = Keys::open(directory.path().join("keys"), &project(), NOW_MS).await.unwrap();
        let records = Arc::new(SqliteStore::open(directory.path().join("log.sqlite")).await.unwrap());
        let store = Arc::new(DirectoryStore::open(directory.path().join("bucket")).await.unwrap());
        let ports = Ports {
            log: records.clone(),
            checkpoints: records.clone(),
            objects: records.clone(),
            publications: records.clone(),
            store: store.clone(),
            signer: Arc::new(keys.clone()),
            clock: Arc::new(ManualClock::at(NOW_MS)),
        };
        let control = ControlPlane::new(project(), keys.root().clone(), ports, Options::default());
        (control, records, store, keys)
    };
    let (first, records, store, keys) = open().await;
    let (second, ..) = open().await;
    first.write(Operation::CreateProject(json(r#"{"id":"shop"}"#)), request(None, "")).await.unwrap();
    first
        .write(Operation::CreateEnvironment(json(r#"{"id":"production"}"#)), request(None, ""))
        .await
        .unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let control = if writer % 2 == 0 { first.clone() } else { second.clone() };
        tokio::spawn(async move {
            let mut seqs = Vec::new();
            for n in 0..EACH {
                let body = json(&format!(r#"{{"key":"f-{writer}-{n}","type":"bool"}}"#));
                let written = loop {
                    match control.write(Operation::CreateFlag(body.clone()), request(None, "")).await {
                        Err(error) if matches!(error.kind(), Kind::Busy { .. }) => {}
                        done => break done.unwrap(),
                    }
                };
                seqs.push(written.seq);
            }
            seqs
        })
    });
    let mut seqs = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        seqs.extend(writer.await.unwrap());
    }
    seqs.sort_unstable();
    assert_eq!(
        seqs,
        (3..3 + (WRITERS * EACH) as u64).collect::<Vec<_>>(),
        "no seq is missing, and none is shared"
    );
    second.sweep().await.unwrap();
    first.sweep().await.unwrap();
    let manifest = manifest(&*store, &keys).await;
    let head = records.head(&project()).await.unwrap().unwrap();
    assert_eq!(manifest.lines(), 1 + (WRITERS * EACH) as u64, "every flag is announced");
    assert_eq!(manifest.log().map(|log| log.seq), Some(head.seq));
    let stream = Stream { project: project(), environment: production(), view: ViewId::server() };
    let item = records.read_item(&stream).await;
    assert!(item.is_announced());
    verify_log(&*records, &project(), [(head.seq, head.hash)]).await.unwrap();
}

/// `SqliteStore` is both a log and the keeper of publication items; this names which `read` is meant.
trait ReadItem {
    async fn read_item(&self, stream: &Stream) -> flagstone_publisher::publication::Publication;
}

impl ReadItem for SqliteStore {
    async fn read_item(&self, stream: &Stream) -> flagstone_publisher::publication::Publication {
        Publications::read(self, stream).await.unwrap()
    }
}

#[tokio::test]
async fn nothing_is_appended_for_a_request_that_was_given_up() {
    let log = Arc::new(FaultyLog::default());
    let bench = Bench::over(log.clone()).await;
    let by = |until| Write { until: Some(until), ..request(None, "") };
    let flag = |key: &str| Operation::CreateFlag(json(&format!(r#"{{"key":"{key}","type":"bool"}}"#)));
    let now = tokio::time::Instant::now;
    let late = bench.control.write(flag("a"), by(now())).await.unwrap_err();
    assert_eq!((late.code(), late.kind()), ("late", Kind::Busy { retry_after_s: 1 }));
    log.tell(Some(Fault::Stuck));
    let late = bench.control.write(flag("b"), by(now() + Duration::from_millis(20))).await.unwrap_err();
    assert_eq!(late.code(), "late");
    assert_eq!(bench.head().await, 2);
    // Others go on, and so does whoever asks again.
    let written = bench.control.write(flag("b"), by(now() + Duration::from_hours(1))).await.unwrap();
    assert_eq!(written.seq, 3);
}
