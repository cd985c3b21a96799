//! What the control plane tells about its work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flagstone_bundle::manifest::Stream;
use flagstone_model::key::{ProjectId, ViewId};
use flagstone_publisher::checkpoint::MemoryCheckpoints;
use flagstone_publisher::clock::ManualClock;
use flagstone_publisher::control::{ControlPlane, Operation, Ports, Precondition, Write};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::{Actor, ActorKind};
use flagstone_publisher::observe::{Append, Observer, Stage};
use flagstone_publisher::private_object::MemoryObjects;
use flagstone_publisher::publication::MemoryPublications;
use flagstone_publisher::publish::{Layout, Options};
use flagstone_publisher::store::{
    Expect, MemoryStore, Object, ObjectHead, ObjectPath, ObjectStore, PutIf, PutNew, StoreError,
};

use super::faulty_log::{Fault, FaultyLog};
use super::project::{json, production};

const NOW_MS: i64 = 1_796_212_800_000;

/// A stage, and how it ended.
type Staged = (Stage, Result<(), &'static str>);

#[derive(Default)]
struct Notes {
    appends: Mutex<Vec<Append>>,
    stages: Mutex<Vec<Staged>>,
    failures: Mutex<Vec<&'static str>>,
}

impl Notes {
    fn take(&self) -> (Vec<Append>, Vec<Staged>) {
        (std::mem::take(&mut self.appends.lock().unwrap()), std::mem::take(&mut self.stages.lock().unwrap()))
    }
}

impl Observer for Notes {
    fn appended(&self, append: Append) {
        self.appends.lock().unwrap().push(append);
    }

    fn staged(&self, stage: Stage, _took: Duration, outcome: Result<(), &'static str>) {
        self.stages.lock().unwrap().push((stage, outcome));
    }

    fn failed(&self, code: &'static str) {
        self.failures.lock().unwrap().push(code);
    }
}

/// A store that may be full.
#[derive(Default)]
struct Full {
    store: MemoryStore,
    is_full: AtomicBool,
}

#[async_trait]
impl ObjectStore for Full {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError> {
        self.store.get(path).await
    }

    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError> {
        self.store.head(path).await
    }

    async fn put_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError> {
        if self.is_full.load(Ordering::SeqCst) {
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(StoreError::Full { location: "the test".into(), source });
        }
        self.store.put_new(path, bytes).await
    }

    async fn put_if(&self, path: &ObjectPath, bytes: &[u8], expect: &Expect) -> Result<PutIf, StoreError> {
        self.store.put_if(path, bytes, expect).await
    }
}

async fn add(control: &ControlPlane, operation: Operation) -> bool {
    let write = Write {
        actor: Actor { kind: ActorKind::System, id: "setup".into(), via: "test".into() },
        actor_name: None,
        request_id: None,
        request_bytes: Vec::new(),
        reason: None,
        precondition: Precondition::Any,
        confirm: false,
        wait: true,
        until: None,
    };
    control.write(operation, write).await.is_ok()
}

fn flag(key: &str) -> Operation {
    Operation::CreateFlag(json(&format!(r#"{{"key":"{key}","type":"bool"}}"#)))
}

#[tokio::test]
async fn each_append_and_each_stage_is_told_with_its_outcome() {
    let project = ProjectId::parse("shop").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let keys = Keys::open(directory.path(), &project, NOW_MS).await.unwrap();
    let (log, full) = (Arc::new(FaultyLog::default()), Arc::new(Full::default()));
    let ports = Ports {
        log: Arc::<FaultyLog>::clone(&log),
        checkpoints: Arc::new(MemoryCheckpoints::new()),
        objects: Arc::new(MemoryObjects::new()),
        publications: Arc::new(MemoryPublications::new()),
        store: Arc::<Full>::clone(&full),
        signer: Arc::new(keys.clone()),
        clock: Arc::new(ManualClock::at(NOW_MS)),
    };
    let control = ControlPlane::new(project.clone(), keys.root().clone(), ports, Options::default());
    let (notes, later) = (Arc::new(Notes::default()), Arc::new(Notes::default()));
    assert!(control.observe(Arc::<Notes>::clone(&notes)));
    assert!(!control.observe(Arc::<Notes>::clone(&later)), "the first one stays");
    add(&control, Operation::CreateProject(json(r#"{"id":"shop"}"#))).await;
    add(&control, Operation::CreateEnvironment(json(r#"{"id":"production"}"#))).await;
    notes.take();

    assert!(add(&control, flag("a")).await);
    // The view `client` is built too, and what it holds is what it held.
    let stages = Stage::ALL.into_iter().chain([Stage::Build]);
    let all: Vec<_> = stages.map(|stage| (stage, Ok(()))).collect();
    assert_eq!(notes.take(), (vec![Append::Written], all.clone()));

    log.tell(Some(Fault::Lost));
    assert!(add(&control, flag("b")).await);
    assert_eq!(notes.take(), (vec![Append::Lost, Append::Written], all));

    log.tell(Some(Fault::Down));
    assert!(!add(&control, flag("c")).await);
    assert_eq!(notes.take(), (vec![Append::Failed], vec![]));
    log.tell(None);

    full.is_full.store(true, Ordering::SeqCst);
    assert!(add(&control, flag("c")).await, "it is in the log");
    let (appends, stages) = notes.take();
    assert_eq!(appends, [Append::Written]);
    let last: BTreeMap<_, _> = stages.into_iter().collect();
    assert_eq!(last.get(&Stage::Upload), Some(&Err("store-full")));
    assert_eq!(last.get(&Stage::Claim), None, "nothing was claimed");
    assert_eq!(*notes.failures.lock().unwrap(), ["store-full"]);
    notes.failures.lock().unwrap().clear();

    // Somebody damages the announced manifest.
    let stream = Stream { project, environment: production(), view: ViewId::server() };
    let path = Layout::of(&stream).manifest().unwrap();
    let object = full.store.get(&path).await.unwrap().unwrap();
    let broken = [&object.bytes[..], b"x"].concat();
    full.store.put_if(&path, &broken, &Expect::Is(object.etag)).await.unwrap();
    assert!(control.sweep().await.is_err());
    assert_eq!(*notes.failures.lock().unwrap(), ["store-full"], "one failure of one sweep");
    let ages = control.stream_ages().await.unwrap();
    assert_eq!((ages[0].announced_age_ms, ages[0].lag), (None, 1), "no age instead of a wrong one");
    full.is_full.store(false, Ordering::SeqCst);
    control.sweep().await.unwrap();

    let ages = control.stream_ages().await.unwrap();
    assert_eq!((ages.len(), ages[0].announced_age_ms, ages[0].lag), (2, Some(0), 0));
    assert_eq!(later.take(), (vec![], vec![]));
}
