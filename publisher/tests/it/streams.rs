//! One change that concerns several streams.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
use flagstone_publisher::checkpoint::MemoryCheckpoints;
use flagstone_publisher::clock::ManualClock;
use flagstone_publisher::control::{
    ControlPlane, Operation, Ports, Precondition, PublicationState, Write, Written,
};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::{Actor, ActorKind, MemoryLog};
use flagstone_publisher::private_object::MemoryObjects;
use flagstone_publisher::publication::MemoryPublications;
use flagstone_publisher::publish::Options;
use flagstone_publisher::store::{
    Expect, MemoryStore, Object, ObjectHead, ObjectPath, ObjectStore, PutIf, PutNew, StoreError,
};

use super::project::json;

/// 2026-12-02T12:00:00Z
const NOW_MS: i64 = 1_796_212_800_000;

/// A store that notes whose manifest is written, and has no room for one environment's.
#[derive(Default)]
struct Picky {
    store: MemoryStore,
    refused: Mutex<Option<&'static str>>,
    written: Mutex<Vec<String>>,
}

#[async_trait]
impl ObjectStore for Picky {
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
        let environment = path.as_str().split('/').nth(4).unwrap().to_owned();
        if *self.refused.lock().unwrap() == Some(environment.as_str()) {
            let location = path.as_str().to_owned();
            return Err(StoreError::Unavailable { action: "write", location, source: "no room".into() });
        }
        self.written.lock().unwrap().push(environment);
        self.store.put_if(path, bytes, expect).await
    }
}

struct Bench {
    control: ControlPlane,
    store: Arc<Picky>,
    _directory: tempfile::TempDir,
}

impl Bench {
    /// A project with three environments, one of them `production`.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let project = ProjectId::parse("shop").unwrap();
        let keys = Keys::open(directory.path(), &project, NOW_MS).await.unwrap();
        let store = Arc::new(Picky::default());
        let ports = Ports {
            log: Arc::new(MemoryLog::new()),
            checkpoints: Arc::new(MemoryCheckpoints::new()),
            objects: Arc::new(MemoryObjects::new()),
            publications: Arc::new(MemoryPublications::new()),
            store: store.clone(),
            signer: Arc::new(keys.clone()),
            clock: Arc::new(ManualClock::at(NOW_MS)),
        };
        let control = ControlPlane::new(project, keys.root().clone(), ports, Options::default());
        let bench = Self { control, store, _directory: directory };
        bench.write(Operation::CreateProject(json(r#"{"id":"shop"}"#))).await;
        for id in ["dev", "production", "staging"] {
            bench.write(Operation::CreateEnvironment(json(&format!(r#"{{"id":"{id}"}}"#)))).await;
        }
        bench
    }

    async fn write(&self, operation: Operation) -> Written {
        let write = Write {
            actor: Actor { kind: ActorKind::User, id: "u_1".into(), via: "test".into() },
            actor_name: None,
            request_id: None,
            request_bytes: Vec::new(),
            reason: None,
            precondition: Precondition::Any,
            confirm: false,
            wait: true,
            until: None,
        };
        self.control.write(operation, write).await.unwrap()
    }

    /// Makes a flag, which changes every environment; says whose manifests were written, in order.
    async fn create(&self, key: &str) -> (Written, Vec<String>) {
        self.store.written.lock().unwrap().clear();
        let body = json(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
        let written = self.write(Operation::CreateFlag(body)).await;
        (written, self.store.written.lock().unwrap().clone())
    }
}

fn state(written: &Written, environment: &str) -> PublicationState {
    let environment = EnvironmentId::parse(environment).unwrap();
    written.publication[&environment][&ViewId::server()].state
}

#[tokio::test]
async fn production_is_published_last() {
    let bench = Bench::new().await;
    let (_, order) = bench.create("a").await;
    assert_eq!(order, ["dev", "staging", "production"]);
}

#[tokio::test]
async fn what_is_said_to_be_production_is_published_last() {
    let bench = Bench::new().await;
    for (id, patch) in [("dev", r#"{"production":true}"#), ("production", r#"{"production":false}"#)] {
        let id = EnvironmentId::parse(id).unwrap();
        bench.write(Operation::PatchEnvironment(id, json(patch))).await;
    }
    let (_, order) = bench.create("a").await;
    assert_eq!(order, ["production", "staging", "dev"]);
    let dev = EnvironmentId::parse("dev").unwrap();
    bench.write(Operation::PatchEnvironment(dev, json(r#"{"production":null}"#))).await;
    let (_, order) = bench.create("b").await;
    assert_eq!(order, ["dev", "production", "staging"]);
}

#[tokio::test]
async fn a_stream_that_fails_blocks_no_other_and_is_swept_later() {
    let bench = Bench::new().await;
    *bench.store.refused.lock().unwrap() = Some("dev");
    let (written, order) = bench.create("a").await;
    assert_eq!(order, ["staging", "production"]);
    assert_eq!(state(&written, "dev"), PublicationState::Pending);
    assert_eq!(state(&written, "staging"), PublicationState::Announced);
    assert_eq!(state(&written, "production"), PublicationState::Announced);

    bench.store.written.lock().unwrap().clear();
    bench.control.sweep().await.unwrap_err();
    *bench.store.refused.lock().unwrap() = None;
    bench.control.sweep().await.unwrap();
    assert_eq!(*bench.store.written.lock().unwrap(), ["dev"]);
    let published = bench.control.publish(&EnvironmentId::parse("dev").unwrap()).await.unwrap();
    assert!(published.values().all(|view| view.state == PublicationState::Announced));
}
