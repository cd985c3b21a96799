//! Publishers side by side: on one directory and one SQLite file, as two processes have them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flagstone_bundle::key::Signature;
use flagstone_bundle::manifest::Stream;
use flagstone_publisher::clock::SystemClock;
use flagstone_publisher::keys::{Keys, ManifestSigner, SignError};
use flagstone_publisher::log::ChangeLog;
use flagstone_publisher::publication::Publications;
use flagstone_publisher::publish::{
    Built, LineSource, Options, Ports, PublicationState, Publisher, SourceError,
};
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::store::{
    DirectoryStore, Expect, Object, ObjectHead, ObjectPath, ObjectStore, PutIf, PutNew, StoreError,
};

use super::world::{BUDGET, Client, Folding, NOW, Poll, World, append, flag, fold, stream};

/// What a process opens: handles of its own on everything.
struct Process {
    publisher: Publisher,
    sqlite: Arc<SqliteStore>,
    directory: Arc<DirectoryStore>,
    keys: Arc<Keys>,
}

async fn process(place: &Path) -> Process {
    let sqlite = Arc::new(SqliteStore::open(place.join("data.sqlite")).await.unwrap());
    let directory = Arc::new(DirectoryStore::open(place.join("bucket")).await.unwrap());
    let keys = Arc::new(Keys::open(place.join("keys"), &stream().project, NOW).await.unwrap());
    let ports = Ports {
        log: sqlite.clone(),
        publications: sqlite.clone(),
        store: directory.clone(),
        source: Arc::new(Folding(sqlite.clone())),
        signer: keys.clone(),
        clock: Arc::new(SystemClock),
    };
    let publisher = Publisher::new(keys.root().clone(), ports, Options::default());
    Process { publisher, sqlite, directory, keys }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_publishers_on_one_directory_lose_nothing() {
    const WRITERS: usize = 8;
    const EACH: u64 = 6;
    let place = tempfile::tempdir().unwrap();
    let processes = [Arc::new(process(place.path()).await), Arc::new(process(place.path()).await)];
    assert_eq!(processes[0].keys.pin(), processes[1].keys.pin());

    // A client polls all the while, and panics at anything but a manifest that follows the last one.
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn({
        let (stop, process) = (stop.clone(), processes[0].clone());
        async move {
            let mut client = Client::new(process.keys.root().clone());
            let mut swaps = 0;
            while !stop.load(Ordering::SeqCst) {
                swaps +=
                    u64::from(!matches!(client.poll(&*process.directory).await, Poll::Nothing | Poll::Same));
                tokio::task::yield_now().await;
            }
            (client, swaps)
        }
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let process = processes[writer % 2].clone();
            tokio::spawn(async move {
                for turn in 0..EACH {
                    let key = format!("w{writer}-{turn}");
                    let seq =
                        append(&*process.sqlite, [(key.as_str(), Some(flag(&key, turn + 1, true)))]).await;
                    let progress = process.publisher.publish(&stream(), seq, BUDGET).await.unwrap();
                    assert_eq!(progress.state, PublicationState::Announced);
                    assert!(progress.covered_seq >= seq);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    let (mut client, swaps) = watcher.await.unwrap();
    assert!(swaps > 1, "the client saw {swaps} announcements");
    client.poll(&*processes[1].directory).await;
    let (_, lines) = fold(&*processes[0].sqlite, &stream()).await;
    let mut wanted: Vec<_> = lines.into_values().collect();
    wanted.sort();
    assert_eq!(wanted.len(), WRITERS * usize::try_from(EACH).unwrap() + 1);
    assert_eq!(client.lines(), wanted);
    let item = Publications::read(&*processes[0].sqlite, &stream()).await.unwrap();
    let head = ChangeLog::head(&*processes[0].sqlite, &stream().project).await.unwrap().unwrap();
    assert_eq!((item.covered_seq(), item.is_announced()), (head.seq, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_changes_at_once_become_few_publications() {
    let world = Arc::new(World::announced().await);
    let publisher = world.publisher();
    let writers: Vec<_> = (0..50)
        .map(|writer| {
            let (world, publisher) = (world.clone(), publisher.clone());
            tokio::spawn(async move {
                let key = format!("w{writer}");
                let seq = world.append([(key.as_str(), Some(flag(&key, 1, true)))]).await;
                assert!(publisher.publish(&stream(), seq, BUDGET).await.unwrap().covered_seq >= seq);
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    world.assert_current().await;
    let versions = world.manifest().await.version();
    assert!(versions < 30, "50 changes became {versions} versions");
}

/// A store that ignores every condition of a compare-and-set, and sometimes answers that it lost.
struct Dishonest {
    inner: Arc<dyn ObjectStore>,
    calls: AtomicU64,
}

#[async_trait]
impl ObjectStore for Dishonest {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError> {
        self.inner.get(path).await
    }

    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError> {
        self.inner.head(path).await
    }

    async fn put_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError> {
        self.inner.put_new(path, bytes).await
    }

    async fn put_if(&self, path: &ObjectPath, bytes: &[u8], _expect: &Expect) -> Result<PutIf, StoreError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call % 5 == 4 {
            return Ok(PutIf::Lost);
        }
        let expect = match self.inner.get(path).await? {
            Some(present) => Expect::Is(present.etag),
            None => Expect::Absent,
        };
        let put = self.inner.put_if(path, bytes, &expect).await?;
        Ok(if call % 7 == 6 { PutIf::Lost } else { put })
    }
}

#[tokio::test]
async fn a_store_without_honest_conditions_gives_the_same_guarantees() {
    let mut world = World::announced().await;
    world.store = Arc::new(Dishonest { inner: world.memory.clone(), calls: AtomicU64::new(0) });
    let publishers = [world.publisher(), world.publisher()];
    for round in 0..40_u64 {
        let publisher = &publishers[usize::try_from(round % 2).unwrap()];
        world.append([("a", Some(flag("a", round + 2, round % 3 == 0)))]).await;
        world.publish(publisher).await.unwrap();
        world.assert_current().await;
    }
}

/// A port that stops at its first call until it is told to go on: a writer that is stalled there.
struct Stalling<T: ?Sized> {
    inner: Arc<T>,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    passed: AtomicBool,
    reached: tokio::sync::Notify,
    go: tokio::sync::Notify,
}

impl Gate {
    async fn pass(&self) {
        if !self.passed.swap(true, Ordering::SeqCst) {
            self.reached.notify_one();
            self.go.notified().await;
        }
    }
}

#[async_trait]
impl ObjectStore for Stalling<dyn ObjectStore> {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError> {
        self.inner.get(path).await
    }

    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError> {
        self.inner.head(path).await
    }

    async fn put_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError> {
        self.inner.put_new(path, bytes).await
    }

    async fn put_if(&self, path: &ObjectPath, bytes: &[u8], expect: &Expect) -> Result<PutIf, StoreError> {
        self.gate.pass().await;
        self.inner.put_if(path, bytes, expect).await
    }
}

#[async_trait]
impl LineSource for Stalling<dyn LineSource> {
    async fn build(&self, stream: &Stream, seq: u64) -> Result<Built, SourceError> {
        let built = self.inner.build(stream, seq).await;
        self.gate.pass().await;
        built
    }
}

#[async_trait]
impl ManifestSigner for Stalling<dyn ManifestSigner> {
    async fn sign(&self, stream: &Stream, payload: &[u8]) -> Result<Vec<Signature>, SignError> {
        let signatures = self.inner.sign(stream, payload).await;
        self.gate.pass().await;
        signatures
    }
}

/// One publisher stalls while it publishes `a` off; its lease runs out, and another publishes `then`. After that the
/// first goes on.
async fn overtaken(
    world: World,
    stall: impl FnOnce(Ports, Arc<Gate>) -> Ports,
    then: (&str, Option<String>),
) -> World {
    let gate = Arc::new(Gate::default());
    let stalled = world.publisher_with(stall(world.ports(), gate.clone()));
    world.append([("a", Some(flag("a", 2, false)))]).await;
    let work = tokio::spawn(async move { stalled.publish(&stream(), 2, BUDGET).await });
    gate.reached.notified().await;

    world.clock.advance(5_001);
    world.append([then]).await;
    world.publish(&world.publisher()).await.unwrap();
    let newest = world.manifest_bytes().await;
    world.poll().await;

    gate.go.notify_one();
    assert_eq!(work.await.unwrap().unwrap().state, PublicationState::Announced);
    assert_eq!(world.manifest_bytes().await, newest, "the stalled writer moved the pointer");
    assert_eq!(world.poll().await, Poll::Same);
    world.assert_current().await;
    world
}

#[tokio::test]
async fn a_writer_stalled_before_the_put_for_longer_than_its_lease_overwrites_nothing() {
    let stall =
        |ports: Ports, gate| Ports { store: Arc::new(Stalling { inner: ports.store, gate }), ..ports };
    overtaken(World::announced().await, stall, ("b", None)).await;
}

#[tokio::test]
async fn a_writer_stalled_after_signing_overwrites_nothing_on_a_store_without_conditions_either() {
    let mut world = World::announced().await;
    world.store = Arc::new(Dishonest { inner: world.memory.clone(), calls: AtomicU64::new(0) });
    let stall =
        |ports: Ports, gate| Ports { signer: Arc::new(Stalling { inner: ports.signer, gate }), ..ports };
    overtaken(world, stall, ("b", None)).await;
}

#[tokio::test]
async fn a_writer_stalled_before_its_claim_does_not_get_it() {
    let mut world = World::announced().await;
    world.store = Arc::new(Dishonest { inner: world.memory.clone(), calls: AtomicU64::new(0) });
    let stall =
        |ports: Ports, gate| Ports { source: Arc::new(Stalling { inner: ports.source, gate }), ..ports };
    let world = overtaken(world, stall, ("b", None)).await;
    assert_eq!((world.manifest().await.version(), world.manifest().await.serial()), (2, 2));
}

#[tokio::test]
async fn an_older_fold_never_replaces_a_newer_one_that_found_nothing_to_announce() {
    let stall =
        |ports: Ports, gate| Ports { source: Arc::new(Stalling { inner: ports.source, gate }), ..ports };
    let world = overtaken(World::announced().await, stall, ("a", Some(flag("a", 1, true)))).await;
    assert_eq!((world.manifest().await.version(), world.manifest().await.serial()), (1, 1));
    assert_eq!(world.items.read(&stream()).await.unwrap().covered_seq(), 3);
}

/// Lets everything else run until no more than `tasks` are left.
async fn settled(tasks: usize) {
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() > tasks {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nobody_waits_for_ever_behind_a_publication_that_hangs() {
    let mut world = World::announced().await;
    world.options.lease_ms = 20;
    let gate = Arc::new(Gate::default());
    let ports = world.ports();
    let source = Arc::new(Stalling { inner: ports.source.clone(), gate: gate.clone() });
    let publisher = world.publisher_with(Ports { source, ..ports });
    world.append([("a", Some(flag("a", 2, false)))]).await;
    let hangs = tokio::spawn({
        let publisher = publisher.clone();
        async move { publisher.sweep(&stream()).await }
    });
    gate.reached.notified().await;

    let limit = Duration::from_secs(30);
    let swept = tokio::time::timeout(limit, publisher.sweep(&stream())).await;
    assert_eq!(swept.expect("a sweep leaves the stream to the other").unwrap().version, 1);
    for budget in [Duration::ZERO, Duration::from_millis(10)] {
        let progress = publisher.publish(&stream(), 2, budget).await.unwrap();
        assert_eq!((progress.version, progress.state), (1, PublicationState::Pending));
    }
    tokio::time::timeout(limit, settled(1)).await.expect("who was told that it is pending waits no longer");

    gate.go.notify_one();
    hangs.await.unwrap().unwrap();
    world.assert_current().await;
    assert_eq!(world.manifest().await.version(), 2);
}
