//! The records are put back to an older copy while the bucket goes on: what an operator meets after a restore.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flagstone_bundle::manifest::{Manifest, Outcome, Stream, UnverifiedManifest, order};
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
use flagstone_publisher::clock::ManualClock;
use flagstone_publisher::control::{
    ControlError, ControlPlane, Kind, Operation, Ports, Precondition, PublicationState, Write, Written,
};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::{Actor, ActorKind, ChangeLog, Entity};
use flagstone_publisher::publish::{Layout, Options};
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::store::{DirectoryStore, ObjectStore};

use super::project::{flag, json, production};

/// 2026-12-02T12:00:00Z
const NOW_MS: i64 = 1_796_212_800_000;

fn project() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

/// A process over a data directory.
struct Process {
    control: ControlPlane,
    records: Arc<SqliteStore>,
    bucket: Arc<DirectoryStore>,
    keys: Keys,
}

impl Process {
    async fn start(data: &Path) -> Self {
        let keys = Keys::open(data.join("keys"), &project(), NOW_MS).await.unwrap();
        let records = Arc::new(SqliteStore::open(data.join("log.sqlite")).await.unwrap());
        let bucket = Arc::new(DirectoryStore::open(data.join("bucket")).await.unwrap());
        let ports = Ports {
            log: records.clone(),
            checkpoints: records.clone(),
            objects: records.clone(),
            publications: records.clone(),
            store: bucket.clone(),
            signer: Arc::new(keys.clone()),
            clock: Arc::new(ManualClock::at(NOW_MS)),
        };
        let control = ControlPlane::new(project(), keys.root().clone(), ports, Options::default());
        Self { control, records, bucket, keys }
    }

    async fn write(&self, operation: Operation) -> Result<Written, ControlError> {
        self.control.write(operation, operator(None)).await
    }

    async fn switch(&self, key: &str, on: bool) -> Written {
        self.write(Operation::Switch(production(), flag(key), on)).await.unwrap()
    }

    async fn manifest(&self, environment: &EnvironmentId) -> Manifest {
        let stream = Stream { project: project(), environment: environment.clone(), view: ViewId::server() };
        let path = Layout::of(&stream).manifest().unwrap();
        let bytes = self.bucket.get(&path).await.unwrap().unwrap().bytes;
        UnverifiedManifest::parse(&bytes).unwrap().verify(self.keys.root(), &stream).unwrap()
    }

    async fn alarm(&self) -> Option<String> {
        let told = self.control.publication(&production()).await.unwrap();
        let code = told.member("server")?.member("alarm")?.member("code")?;
        Some(code.as_str().unwrap().to_owned())
    }
}

fn operator(request_id: Option<&str>) -> Write {
    Write {
        actor: Actor { kind: ActorKind::User, id: "u_op".into(), via: "test".into() },
        actor_name: None,
        request_id: request_id.map(Into::into),
        request_bytes: Vec::new(),
        reason: Some("restored from a copy".into()),
        precondition: Precondition::Any,
        confirm: false,
        wait: true,
        until: None,
    }
}

/// Copies the file of the records; nobody has it open.
fn copy(data: &Path, name: &str) -> PathBuf {
    let to = data.join(name);
    std::fs::copy(data.join("log.sqlite"), &to).unwrap();
    to
}

async fn settled(process: Process, data: &Path) {
    drop(process);
    // The last handle is closed by a task of its own.
    let wal = data.join("log.sqlite-wal");
    while wal.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_restored_from_an_older_copy_are_noticed_and_adopted() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let process = Process::start(data).await;
    process.write(Operation::CreateProject(json(r#"{"id":"shop"}"#))).await.unwrap();
    for id in ["production", "staging"] {
        process.write(Operation::CreateEnvironment(json(&format!(r#"{{"id":"{id}"}}"#)))).await.unwrap();
    }
    for key in ["a", "b"] {
        let body = json(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
        process.write(Operation::CreateFlag(body)).await.unwrap();
    }
    settled(process, data).await;
    let older = copy(data, "older.sqlite");

    let process = Process::start(data).await;
    for (key, on) in [("a", true), ("b", true), ("a", false)] {
        process.switch(key, on).await;
    }
    let lost = process.manifest(&production()).await;
    let staging = process.manifest(&EnvironmentId::parse("staging").unwrap()).await;
    settled(process, data).await;
    std::fs::rename(older, data.join("log.sqlite")).unwrap();

    // Noticed: by whoever asks, by each change, by the sweep; and clients keep what they have.
    let process = Process::start(data).await;
    assert_eq!(process.alarm().await.as_deref(), Some("unclaimed-manifest"));
    let written = process.switch("b", true).await;
    let published = written.publication[&production()][&ViewId::server()];
    assert_eq!((published.state, published.alarm), (PublicationState::Pending, Some("unclaimed-manifest")));
    assert_eq!(process.control.sweep().await.unwrap_err().code(), "unclaimed-manifest");
    let refused = process.control.publish(&production()).await.unwrap_err();
    assert_eq!((refused.code(), refused.kind()), ("unclaimed-manifest", Kind::Conflict));
    assert_eq!(process.manifest(&production()).await.file(), lost.file());
    let untouched = process.manifest(&staging.stream().environment).await;
    assert_eq!(untouched.version(), staging.version(), "another stream goes on");
    assert_eq!(
        process.control.adopt(&untouched.stream().environment, operator(None)).await.unwrap_err().code(),
        "nothing-to-adopt"
    );

    let adopted = process.control.adopt(&production(), operator(Some("adopt-1"))).await.unwrap();
    let adopted = adopted[&ViewId::server()];
    assert_eq!((adopted.version, adopted.state), (lost.version() + 1, PublicationState::Announced));
    let next = process.manifest(&production()).await;
    assert_eq!(order(Some(&lost.position()), &next.position()), Outcome::Accept, "clients take it");
    assert_eq!(process.alarm().await, None);

    // The entry names what is given up.
    let head = process.records.head(&project()).await.unwrap().unwrap();
    let entry = process.records.entry(&project(), head.seq).await.unwrap().unwrap();
    assert_eq!(entry.header.changes[0].entity, Entity::parse("restore/production/server").unwrap());
    let data_of = entry.read_data().unwrap().unwrap();
    let anchor = lost.log().unwrap();
    let told = data_of.states[0].member("log").unwrap();
    assert_eq!(told.member("seq").and_then(Json::as_integer), Some(i64::try_from(anchor.seq).unwrap()));
    assert_eq!(told.member("hash").and_then(Json::as_str), Some(&*anchor.hash.to_string()));
    assert_eq!(data_of.reason.as_deref(), Some("restored from a copy"));

    // The same request again only publishes.
    let again = process.control.adopt(&production(), operator(Some("adopt-1"))).await.unwrap();
    assert_eq!(again[&ViewId::server()].version, adopted.version);
    assert_eq!(process.records.head(&project()).await.unwrap().unwrap().seq, head.seq);
    let written = process.switch("a", true).await;
    assert_eq!(written.publication[&production()][&ViewId::server()].state, PublicationState::Announced);
    process.control.sweep().await.unwrap();
}
