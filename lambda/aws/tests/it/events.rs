//! The publish function without Lambda and without servers: which events it takes, and what it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flagstone_aws::publish::{INSPECTED_MS, PublishFunction, RESERVE};
use flagstone_model::json::Json;
use flagstone_model::key::ProjectId;
use flagstone_publisher::checkpoint::MemoryCheckpoints;
use flagstone_publisher::clock::ManualClock;
use flagstone_publisher::control::{ControlPlane, Operation, Ports, Precondition, Write};
use flagstone_publisher::keys::{Keys, root_path};
use flagstone_publisher::log::{Actor, ActorKind, MemoryLog};
use flagstone_publisher::private_object::MemoryObjects;
use flagstone_publisher::publication::MemoryPublications;
use flagstone_publisher::publish::Options;
use flagstone_publisher::storage::Misconfiguration;
use flagstone_publisher::store::{
    Expect, MemoryStore, Object, ObjectHead, ObjectPath, ObjectStore, PutIf, PutNew, StoreError,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// 2026-12-02T12:00:00Z
const NOW_MS: i64 = 1_796_212_800_000;
const LEFT: Duration = Duration::from_secs(20);
const STREAM: &str = "shop/production/server";

struct Bench {
    function: PublishFunction,
    ports: Ports,
    store: Arc<MemoryStore>,
    keys: Keys,
    _directory: TempDir,
}

impl Bench {
    /// A function over a log with a project and an environment that nobody has published.
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let project = ProjectId::parse("shop").unwrap();
        let keys = Keys::open(directory.path(), &project, NOW_MS).await.unwrap();
        let store = Arc::new(MemoryStore::new());
        let ports = Ports {
            log: Arc::new(MemoryLog::new()),
            checkpoints: Arc::new(MemoryCheckpoints::new()),
            objects: Arc::new(MemoryObjects::new()),
            publications: Arc::new(MemoryPublications::new()),
            store: store.clone(),
            signer: Arc::new(keys.clone()),
            clock: Arc::new(ManualClock::at(NOW_MS)),
        };
        let function = PublishFunction::new(keys.root().clone(), ports.clone(), Options::default());
        let bench = Self { function, ports, store, keys, _directory: directory };
        bench.append(Operation::CreateProject(parsed(r#"{"id":"shop"}"#))).await;
        bench.append(Operation::CreateEnvironment(parsed(r#"{"id":"production"}"#))).await;
        bench
    }

    /// Appends, and leaves what it publishes to a store of its own, which nobody reads.
    async fn append(&self, operation: Operation) {
        let ports = Ports {
            store: Arc::new(MemoryStore::new()),
            publications: Arc::new(MemoryPublications::new()),
            ..self.ports.clone()
        };
        let root = self.keys.root().clone();
        let control = ControlPlane::new(root.project().clone(), root, ports, Options::default());
        let write = Write {
            actor: Actor { kind: ActorKind::User, id: "u_1".into(), via: "test".into() },
            actor_name: None,
            request_id: None,
            request_bytes: Vec::new(),
            reason: None,
            precondition: Precondition::Any,
            confirm: false,
            wait: false,
            until: None,
        };
        control.write(operation, write).await.unwrap();
    }

    async fn ask(&self, event: Value) -> Value {
        self.function.handle(&event.to_string(), LEFT).await.unwrap()
    }
}

fn parsed(text: &str) -> Json<'static> {
    Json::parse(text.as_bytes()).unwrap().into_owned()
}

#[tokio::test]
async fn a_stream_is_published_asked_for_and_swept() {
    let bench = Bench::new().await;
    assert_eq!(bench.ask(json!({"do": "announced", "stream": STREAM})).await, json!({"done": null}));
    let done = json!({"done": {"version": 1, "serial": 1, "covered_seq": 2, "announced": true}});
    assert_eq!(bench.ask(json!({"do": "publish", "stream": STREAM, "seq": 2})).await, done);
    assert_eq!(bench.ask(json!({"do": "announced", "stream": STREAM})).await, json!({"done": NOW_MS}));
    let standing = json!({"done": {"withheld": [], "alarm": null}});
    assert_eq!(bench.ask(json!({"do": "standing", "stream": STREAM})).await, standing);
    assert_eq!(bench.ask(json!({"do": "rebuild", "stream": STREAM})).await["done"]["announced"], true);
    let lost = bench.ask(json!({"do": "lost", "stream": STREAM})).await;
    assert_eq!(lost["error"]["code"], "nothing-to-adopt");
    bench.append(Operation::CreateFlag(parsed(r#"{"key":"a","type":"bool"}"#))).await;
    let swept = bench.ask(json!({"do": "sweep", "stream": STREAM})).await;
    assert_eq!((&swept["done"]["version"], &swept["done"]["covered_seq"]), (&json!(2), &json!(3)));
}

#[tokio::test]
async fn a_schedule_sweeps_everything_and_puts_the_root_where_clients_find_it() {
    let bench = Bench::new().await;
    let root = root_path(bench.keys.root().project(), 1).unwrap();
    let scheduled = json!({
        "version": "0", "id": "5", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {},
    });
    assert_eq!(bench.ask(scheduled).await, json!({"done": null}));
    assert_eq!(bench.store.get(&root).await.unwrap().unwrap().bytes, bench.keys.root().file());
    let announced = bench.ask(json!({"do": "announced", "stream": STREAM})).await;
    assert_eq!(announced, json!({"done": NOW_MS}));
    bench.store.overwrite(&root, None);
    assert_eq!(bench.ask(json!({"do": "sweep"})).await, json!({"done": null}));
    assert!(bench.store.get(&root).await.unwrap().is_some(), "it was gone, and is there again");
    for damage in [b"{}".to_vec(), bench.keys.root().file()[1..].to_vec()] {
        bench.store.overwrite(&root, Some(damage));
        assert_eq!(bench.ask(json!({"do": "sweep"})).await, json!({"done": null}));
        assert_eq!(bench.store.get(&root).await.unwrap().unwrap().bytes, bench.keys.root().file());
    }
}

#[tokio::test]
async fn stores_are_tried_by_the_function_that_writes_them() {
    let bench = Bench::new().await;
    let fair = |race: &str, won: u64| json!({"race": race, "won": won, "verdict": "fair"});
    let races = [fair("create", 1), fair("replace", 1), fair("stale", 0), fair("claim", 1)];
    assert_eq!(bench.ask(json!({"do": "try"})).await, json!({"done": {"races": races}}));
    bench.append(Operation::CreateEnvironment(parsed(r#"{"id":"flagstone-doctor"}"#))).await;
    assert_eq!(bench.ask(json!({"do": "try"})).await["error"]["code"], "trial-place-taken");
}

/// A bucket that keeps versions only once somebody has turned that on.
struct Unversioned {
    store: Arc<MemoryStore>,
    is_on: AtomicBool,
}

#[async_trait]
impl ObjectStore for Unversioned {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError> {
        self.store.get(path).await
    }

    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError> {
        self.store.head(path).await
    }

    async fn put_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError> {
        self.store.put_new(path, bytes).await
    }

    async fn put_if(&self, path: &ObjectPath, bytes: &[u8], expect: &Expect) -> Result<PutIf, StoreError> {
        self.store.put_if(path, bytes, expect).await
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        if self.is_on.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(StoreError::Misconfigured { what: Misconfiguration::Unversioned, detail: "the bucket".into() })
    }
}

#[tokio::test]
async fn a_bucket_without_versions_fails_every_sweep_and_holds_nothing_up() {
    let bench = Bench::new().await;
    let store = Arc::new(Unversioned { store: bench.store.clone(), is_on: AtomicBool::new(false) });
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let ports = Ports { store: store.clone(), clock: clock.clone(), ..bench.ports.clone() };
    let function = PublishFunction::new(bench.keys.root().clone(), ports, Options::default());
    for _ in 0..2 {
        let failure = function.handle(r#"{"do":"sweep"}"#, LEFT).await.unwrap_err();
        assert_eq!(failure.code, "bucket-unversioned");
    }
    let announced = bench.ask(json!({"do": "announced", "stream": STREAM})).await;
    assert_eq!(announced, json!({"done": NOW_MS}), "the sweep has published all the same");
    store.is_on.store(true, Ordering::SeqCst);
    function.handle(r#"{"do":"sweep"}"#, LEFT).await.unwrap();
    // Turned off later, it is noticed within an hour.
    store.is_on.store(false, Ordering::SeqCst);
    clock.advance(INSPECTED_MS - 1);
    function.handle(r#"{"do":"sweep"}"#, LEFT).await.unwrap();
    clock.advance(1);
    let failure = function.handle(r#"{"do":"sweep"}"#, LEFT).await.unwrap_err();
    assert_eq!(failure.code, "bucket-unversioned");
}

#[tokio::test]
async fn what_an_adoption_gives_up_goes_there_and_back() {
    let mut bench = Bench::new().await;
    bench.ask(json!({"do": "publish", "stream": STREAM, "seq": 2})).await;
    bench.ports.publications = Arc::new(MemoryPublications::new());
    bench.function = PublishFunction::new(bench.keys.root().clone(), bench.ports.clone(), Options::default());
    let standing = bench.ask(json!({"do": "standing", "stream": STREAM})).await;
    assert_eq!(standing["done"]["alarm"]["code"], "unclaimed-manifest");
    assert_eq!(standing["done"]["alarm"]["figures"]["version"], 1);
    let lost = bench.ask(json!({"do": "lost", "stream": STREAM})).await["done"].take();
    assert_eq!((&lost["version"], &lost["replaced"]), (&json!(1), &json!(0)));
    let covered = lost["anchor"].clone();
    let adopt = |lost: &Value| json!({"do": "adopt", "stream": STREAM, "lost": lost, "covered": covered});
    let mut other = lost.clone();
    other["version"] = json!(9);
    assert_eq!(bench.ask(adopt(&other)).await["error"]["code"], "contended");
    assert_eq!(bench.ask(adopt(&lost)).await, json!({"done": null}));
    let standing = bench.ask(json!({"do": "standing", "stream": STREAM})).await;
    assert_eq!(standing["done"]["alarm"], Value::Null);
}

#[tokio::test]
async fn an_event_that_is_none_is_refused_by_the_names_of_its_members() {
    let bench = Bench::new().await;
    for (event, detail) in [
        (r#"{"canary":"secret","b":1}"#, "; this event has `b`, `canary`"),
        ("[]", "; this event has no members"),
        (r#""canary""#, "; this event has no members"),
        (r#"{"do":"dance"}"#, "the event can not be read: unknown variant `dance`"),
        (
            r#"{"do":"publish","stream":"shop"}"#,
            "the event can not be read: `stream` is not PROJECT/ENVIRONMENT/VIEW",
        ),
        (r#"{"source":"aws.s3","detail-type":"Object Created"}"#, "; this event has `detail-type`, `source`"),
        ("canary", "the event is not JSON"),
    ] {
        let failure = bench.function.handle(event, LEFT).await.unwrap_err();
        assert_eq!(failure.code, "wrong-event");
        assert!(failure.detail.contains(detail), "{failure}");
        assert!(!failure.detail.contains("secret"), "{failure}");
    }
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_an_answer_and_no_failure() {
    let bench = Bench::new().await;
    let code = async |stream: &str| {
        bench.ask(json!({"do": "publish", "stream": stream, "seq": 1})).await["error"]["code"].take()
    };
    assert_eq!(code("shop/staging/server").await, "environment-not-found");
    assert_eq!(code("shop/production/kiosk").await, "view-not-found");
    assert_eq!(code("other/production/server").await, "view-not-found");
}

#[tokio::test]
async fn what_has_no_time_left_says_so_and_does_nothing() {
    let bench = Bench::new().await;
    let failure = bench.function.handle(r#"{"do":"sweep"}"#, RESERVE).await.unwrap_err();
    assert_eq!(failure.code, "deadline");
    let event = json!({"do": "rebuild", "stream": STREAM}).to_string();
    let told = bench.function.handle(&event, RESERVE).await.unwrap();
    assert_eq!(told["error"]["code"], "publication-timeout");
}
