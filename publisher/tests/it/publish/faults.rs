//! A crash, or a fault of any port, at each call of a publication: the next run converges and clients never notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flagstone_bundle::key::Signature;
use flagstone_bundle::manifest::{LogHead, Stream};
use flagstone_model::key::ProjectId;
use flagstone_publisher::clock::Clock as _;
use flagstone_publisher::keys::{ManifestSigner, SignError};
use flagstone_publisher::log::{Appended, ChangeLog, Entry, Head, LogError};
use flagstone_publisher::publication::{Claim, Lease, Publication, PublicationError, Publications};
use flagstone_publisher::publish::{Built, LineSource, Ports, PublicationState, SourceError};
use flagstone_publisher::storage::StorageError;
use flagstone_publisher::store::{
    Expect, Object, ObjectHead, ObjectPath, ObjectStore, PutIf, PutNew, StoreError,
};

use super::world::{BUDGET, Poll, World, flag, stream};

/// When the fault strikes, counted in calls of all ports, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The call fails and does nothing; later ones work.
    Refused,
    /// The call works and its answer is lost; later ones work.
    AnswerLost,
    /// Nothing works from this call on: the process is dead.
    DeadBefore,
    /// This call still works, and nothing after it.
    DeadAfter,
}

struct Plan {
    at: usize,
    fault: Fault,
    calls: AtomicUsize,
}

impl Plan {
    /// Whether this call does its work, and whether it tells.
    fn next(&self) -> (bool, bool) {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let (dead, here) = (call > self.at, call == self.at);
        match self.fault {
            Fault::Refused => (!here, !here),
            Fault::AnswerLost => (true, !here),
            Fault::DeadBefore => (!here && !dead, !here && !dead),
            Fault::DeadAfter => (!dead, !here && !dead),
        }
    }

    fn struck(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > self.at
    }
}

struct Flaky<T: ?Sized> {
    plan: Arc<Plan>,
    inner: Arc<T>,
}

macro_rules! flaky {
    ($self:ident, $error:expr, $call:expr) => {{
        let (works, tells) = $self.plan.next();
        if !works {
            return Err($error);
        }
        let answer = $call.await;
        if tells { answer } else { Err($error) }
    }};
}

fn store_error() -> StoreError {
    StoreError::Unavailable { action: "reach", location: "the test".into(), source: "injected".into() }
}

fn storage_error() -> StorageError {
    StorageError::Unavailable { source: "injected".into() }
}

#[async_trait]
impl ObjectStore for Flaky<dyn ObjectStore> {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError> {
        flaky!(self, store_error(), self.inner.get(path))
    }

    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError> {
        flaky!(self, store_error(), self.inner.head(path))
    }

    async fn put_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError> {
        flaky!(self, store_error(), self.inner.put_new(path, bytes))
    }

    async fn put_if(&self, path: &ObjectPath, bytes: &[u8], expect: &Expect) -> Result<PutIf, StoreError> {
        flaky!(self, store_error(), self.inner.put_if(path, bytes, expect))
    }
}

#[async_trait]
impl ChangeLog for Flaky<dyn ChangeLog> {
    async fn append(&self, entry: &Entry) -> Result<Appended, LogError> {
        self.inner.append(entry).await
    }

    async fn read(&self, project: &ProjectId, after_seq: u64, limit: usize) -> Result<Vec<Entry>, LogError> {
        self.inner.read(project, after_seq, limit).await
    }

    async fn head(&self, project: &ProjectId) -> Result<Option<Head>, LogError> {
        flaky!(self, storage_error().into(), self.inner.head(project))
    }

    async fn entry(&self, project: &ProjectId, seq: u64) -> Result<Option<Entry>, LogError> {
        flaky!(self, storage_error().into(), self.inner.entry(project, seq))
    }

    async fn erase(&self, project: &ProjectId, seq: u64) -> Result<(), LogError> {
        self.inner.erase(project, seq).await
    }
}

#[async_trait]
impl Publications for Flaky<dyn Publications> {
    async fn read(&self, stream: &Stream) -> Result<Publication, PublicationError> {
        flaky!(self, storage_error().into(), self.inner.read(stream))
    }

    async fn claim(
        &self,
        stream: &Stream,
        expected: u64,
        claim: &Claim,
        covered: LogHead,
    ) -> Result<bool, PublicationError> {
        flaky!(self, storage_error().into(), self.inner.claim(stream, expected, claim, covered))
    }

    async fn adopt(
        &self,
        stream: &Stream,
        expected: u64,
        claim: &Claim,
        covered: LogHead,
    ) -> Result<bool, PublicationError> {
        flaky!(self, storage_error().into(), self.inner.adopt(stream, expected, claim, covered))
    }

    async fn cover(&self, stream: &Stream, serial: u64, covered: LogHead) -> Result<bool, PublicationError> {
        flaky!(self, storage_error().into(), self.inner.cover(stream, serial, covered))
    }

    async fn want(&self, stream: &Stream, seq: u64) -> Result<(), PublicationError> {
        flaky!(self, storage_error().into(), self.inner.want(stream, seq))
    }

    async fn announced(&self, stream: &Stream, serial: u64) -> Result<(), PublicationError> {
        flaky!(self, storage_error().into(), self.inner.announced(stream, serial))
    }

    async fn lease(&self, stream: &Stream, lease: &Lease, now_ms: i64) -> Result<bool, PublicationError> {
        flaky!(self, storage_error().into(), self.inner.lease(stream, lease, now_ms))
    }

    async fn release(&self, stream: &Stream, holder: &str) -> Result<(), PublicationError> {
        flaky!(self, storage_error().into(), self.inner.release(stream, holder))
    }
}

#[async_trait]
impl ManifestSigner for Flaky<dyn ManifestSigner> {
    async fn sign(&self, stream: &Stream, payload: &[u8]) -> Result<Vec<Signature>, SignError> {
        let error = SignError::Unavailable { source: "injected".into() };
        flaky!(self, error, self.inner.sign(stream, payload))
    }
}

#[async_trait]
impl LineSource for Flaky<dyn LineSource> {
    async fn build(&self, stream: &Stream, seq: u64) -> Result<Built, SourceError> {
        flaky!(self, SourceError::new("injected", "injected"), self.inner.build(stream, seq))
    }
}

fn flaky(plan: &Arc<Plan>, ports: Ports) -> Ports {
    fn wrap<T: ?Sized>(plan: &Arc<Plan>, inner: Arc<T>) -> Arc<Flaky<T>> {
        Arc::new(Flaky { plan: Arc::clone(plan), inner })
    }
    Ports {
        log: wrap(plan, ports.log),
        publications: wrap(plan, ports.publications),
        store: wrap(plan, ports.store),
        source: wrap(plan, ports.source),
        signer: wrap(plan, ports.signer),
        clock: ports.clock,
    }
}

/// What the faulty publisher is to do, in a world that is announced.
#[derive(Debug, Clone, Copy)]
enum Task {
    Change,
    Cover,
    Heartbeat,
}

/// Runs `task` with the fault at each call in turn; returns how many calls there are.
async fn at_each_call(task: Task, fault: Fault) -> usize {
    for at in 0.. {
        let what = format!("{task:?}, {fault:?} at call {at}");
        let world = World::announced().await;
        match task {
            Task::Change => drop(world.append([("b", Some(flag("b", 2, false)))]).await),
            Task::Cover => drop(world.append([("b", Some(flag("b", 1, true)))]).await),
            Task::Heartbeat => world.clock.advance(300_000),
        }
        let plan = Arc::new(Plan { at, fault, calls: AtomicUsize::new(0) });
        let publisher = world.publisher_with(flaky(&plan, world.ports()));
        let done = match task {
            Task::Heartbeat => publisher.sweep(&stream()).await.is_ok(),
            _ => publisher.publish(&stream(), 2, BUDGET).await.is_ok(),
        };
        if !plan.struck() {
            assert!(done, "{what}: nothing failed");
            return at;
        }
        // Whatever state this is, what clients are pointed at is whole and in order.
        let met = world.poll().await;
        assert!(matches!(met, Poll::Same | Poll::Inline | Poll::Heartbeat), "{what}: {met:?}");
        assert!(!done || fault != Fault::DeadBefore, "{what}: a dead process reported success");

        // A lease may have been left behind; another process waits it out.
        world.clock.advance(5_001);
        let next = world.publisher();
        let progress = next.sweep(&stream()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let item = world.items.read(&stream()).await.unwrap();
        assert!(item.is_announced(), "{what}: {item:?}");
        let held = item.lease.as_ref().is_some_and(|lease| lease.until_ms > world.clock.now_ms());
        assert!(!held, "{what}: {item:?}");
        assert_eq!(
            progress.covered_seq,
            world.log.head(&stream().project).await.unwrap().unwrap().seq,
            "{what}"
        );
        world.assert_current().await;
        let wanted = if matches!(task, Task::Change) { 2 } else { 1 };
        assert_eq!(world.manifest().await.version(), wanted, "{what}");
        assert_eq!(world.manifest().await.serial(), item.serial(), "{what}");
        for version in 1..=wanted {
            let path =
                ObjectPath::parse(&format!("closed/shop/v1/e/production/server/m/1-{version}")).unwrap();
            assert!(
                world.store.get(&path).await.unwrap().is_some(),
                "{what}: version {version} is not archived"
            );
        }
        // And the next legitimate change is taken, by the publisher that met the fault if it lives.
        world.append([("c", None)]).await;
        let dead = matches!(fault, Fault::DeadBefore | Fault::DeadAfter);
        world
            .publish(if dead { &next } else { &publisher })
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(world.poll().await, Poll::Inline, "{what}");
        world.assert_current().await;
    }
    unreachable!("a publication has an end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_survives_a_fault_at_each_call() {
    for fault in [Fault::Refused, Fault::AnswerLost, Fault::DeadBefore, Fault::DeadAfter] {
        assert!(at_each_call(Task::Change, fault).await >= 14, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_only_covered_survives_a_fault_at_each_call() {
    for fault in [Fault::Refused, Fault::AnswerLost, Fault::DeadBefore, Fault::DeadAfter] {
        assert!(at_each_call(Task::Cover, fault).await >= 6, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_survives_a_fault_at_each_call() {
    for fault in [Fault::Refused, Fault::AnswerLost, Fault::DeadBefore, Fault::DeadAfter] {
        assert!(at_each_call(Task::Heartbeat, fault).await >= 9, "{fault:?}");
    }
}

#[tokio::test]
async fn a_lone_change_costs_a_fixed_number_of_requests() {
    fn counted<T: ?Sized>(inner: Arc<T>) -> (Arc<Flaky<T>>, Arc<Plan>) {
        let plan = Arc::new(Plan { at: usize::MAX, fault: Fault::Refused, calls: AtomicUsize::new(0) });
        (Arc::new(Flaky { plan: plan.clone(), inner }), plan)
    }
    let world = World::announced().await;
    let ports = world.ports();
    let (store, objects) = counted(ports.store);
    let (publications, items) = counted(ports.publications);
    let (log, entries) = counted(ports.log);
    let (signer, signatures) = counted(ports.signer);
    let publisher = world.publisher_with(Ports { store, publications, log, signer, ..world.ports() });
    for flags in ["b", "c"] {
        world.append([(flags, None)]).await;
        world.publish(&publisher).await.unwrap();
    }
    let count = |plan: &Plan| plan.calls.swap(0, Ordering::SeqCst);
    for plan in [&objects, &items, &entries, &signatures] {
        assert_ne!(count(plan), 0);
    }
    world.append([("d", Some(flag("d", 1, true)))]).await;
    world.publish(&publisher).await.unwrap();
    // Manifest, snapshot, delta, archive, manifest; see whether there is anything to do, take the lease, read, claim,
    // read before the put, announced, look for more, release, answer; head, the entry covered last, look for more.
    assert_eq!((count(&objects), count(&items), count(&entries), count(&signatures)), (5, 9, 3, 1));
    // A sweep that finds nothing to do only reads: manifest, snapshot, and archive; item and answer; head.
    publisher.sweep(&stream()).await.unwrap();
    assert_eq!((count(&objects), count(&items), count(&entries), count(&signatures)), (3, 2, 1, 0));
}

#[tokio::test]
async fn who_waits_for_another_publisher_says_what_it_wants_once_and_tries_for_no_lease() {
    let world = World::announced().await;
    let ports = world.ports();
    let plan = Arc::new(Plan { at: usize::MAX, fault: Fault::Refused, calls: AtomicUsize::new(0) });
    let publications = Arc::new(Flaky { plan: plan.clone(), inner: ports.publications });
    let publisher = world.publisher_with(Ports { publications, ..world.ports() });
    world.append([("a", Some(flag("a", 2, false)))]).await;
    let until_ms = world.clock.now_ms() + 5_000;
    let lease = Lease { holder: "another".to_owned(), until_ms };
    assert!(world.items.lease(&stream(), &lease, world.clock.now_ms()).await.unwrap());
    // Read and want, the answer, and one more look before it leaves.
    for calls in [4, 3] {
        publisher.publish(&stream(), 2, Duration::from_millis(10)).await.unwrap();
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(plan.calls.swap(0, Ordering::SeqCst), calls);
        assert_eq!(world.items.read(&stream()).await.unwrap().wanted_seq, 2);
    }
    world.items.release(&stream(), "another").await.unwrap();
    let done = publisher.publish(&stream(), 2, Duration::from_secs(30)).await.unwrap();
    assert_eq!(done.state, PublicationState::Announced);
}
