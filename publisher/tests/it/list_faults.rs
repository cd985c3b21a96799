//! Lists where an object is lost, a store refuses, a process stops, or two writers meet.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flagstone_model::context::Context;
use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;
use flagstone_publisher::control::{Erasure, Operation, PublicationState, When, Written};
use flagstone_publisher::list::{Base, ListKeys};
use flagstone_publisher::private_object::{MemoryObjects, ORPHAN_MS, PrivateObjects};
use flagstone_publisher::storage::StorageError;
use flagstone_publisher::store::{
    Expect, Object, ObjectHead, ObjectPath, ObjectStore, PutIf, PutNew, StoreError,
};
use tokio::sync::Notify;

use super::control::{Bench, NOW_MS, request};
use super::faulty_log::{Fault, FaultyLog};
use super::lists::{lines, shop, vips};
use super::project::{flag, json, production};

impl Bench {
    /// Writes the list as an object of its own.
    async fn put_anew(&self, text: &str) -> Written {
        let keys = ListKeys::from_text(text.as_bytes()).unwrap();
        self.control.put_list(&production(), &vips(), keys, Base::New, request(None, "")).await.unwrap()
    }
}

#[tokio::test]
async fn a_list_whose_object_is_lost_or_altered_says_so_and_other_flags_still_publish() {
    for (spoil, code) in [
        ((|_| None) as fn(Vec<u8>) -> Option<Vec<u8>>, "list-object-missing"),
        (
            |mut bytes| {
                bytes[9] ^= 1;
                Some(bytes)
            },
            "list-object-damaged",
        ),
    ] {
        let bench = Bench::new().await;
        bench.create("a").await;
        bench.put(&lines(0..100)).await.unwrap();
        let object = bench.base().await;
        bench.objects.tamper(&shop(), &object.sha256, spoil);
        // A process that holds none of it.
        let bench = bench.restarted();
        assert_eq!(bench.expanded().await.unwrap_err().code(), code);
        assert_eq!(bench.patch(r#"{"add":["x"]}"#).await.unwrap_err().code(), code);
        bench.name_it().await;
        let on = bench.write(Operation::Switch(production(), flag("a"), true)).await.unwrap();
        let published = on.publication[&production()].values().next().unwrap();
        assert_eq!((published.state.as_str(), bench.published().await), ("announced", None));
        // Written whole it is there again, the same object.
        bench.put(&lines(0..100)).await.unwrap();
        assert_eq!((bench.base().await, bench.expanded().await.unwrap().content().count), (object, 100));
        bench.clock.advance(300_000);
        bench.control.sweep().await.unwrap();
        assert!(object.is(&bench.published().await.unwrap()));
    }
}

#[tokio::test]
async fn an_object_that_can_not_be_read_any_more_may_hold_whom_an_erasure_is_about() {
    let bench = Bench::new().await;
    let first = bench.put("mina\nu-1\n").await.unwrap();
    let object = bench.base().await;
    bench.objects.tamper(&shop(), &object.sha256, |mut bytes| {
        bytes[9] ^= 1;
        Some(bytes)
    });
    let bench = bench.restarted();
    let erase = async || {
        let user = Erasure::UserId("nobody".into());
        bench.control.erase(&user, request(None, "")).await
    };
    // As long as the list stands on it, it is told which.
    let in_use = erase().await.unwrap_err();
    assert_eq!((in_use.code(), in_use.to_string().contains("list/production/vips")), ("still-in-use", true));
    bench.put_anew("u-1\n").await;
    assert_eq!(erase().await.unwrap().erased, [first.seq]);
    assert!(bench.objects.all(&shop()).await.unwrap().iter().all(|(sha256, _)| *sha256 != object.sha256));
    assert_eq!(bench.expanded().await.unwrap().to_text(), "u-1\n");
}

#[tokio::test]
async fn a_list_that_comes_back_is_evaluated_at_once() {
    let bench = Bench::new().await;
    bench.create("a").await;
    bench.put("u-1\n").await.unwrap();
    let rules = r#"{"on":true,"off":"off","rules":[{"id":"vip","if":[{"attr":"targetingKey","listed":"vips"}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#;
    bench.write(Operation::PutTargeting(production(), flag("a"), json(rules))).await.unwrap();
    let object = bench.base().await;
    let stored = bench.objects.stored(&shop(), &object.sha256).await.unwrap().unwrap();
    bench.objects.tamper(&shop(), &object.sha256, |_| None);
    let bench = bench.restarted();
    let is_on = async || {
        let context = Context::from_json(&json(r#"{"targetingKey":"u-1"}"#)).unwrap();
        let told = bench.control.evaluate(&production(), Some("a"), &context, When::NOW).await.unwrap();
        told.flags[0].2.contains(r#""variation":"on""#)
    };
    assert!(!is_on().await);
    bench.objects.keep(&shop(), &object.sha256, &stored, NOW_MS).await.unwrap();
    assert!(is_on().await);
}

#[tokio::test]
async fn a_crash_between_the_object_and_its_entry_leaves_the_list_as_it_was() {
    let log = Arc::new(FaultyLog::default());
    let bench = Bench::over(log.clone()).await;
    bench.put("a\nb\n").await.unwrap();
    let head = bench.head().await;
    log.tell(Some(Fault::Down));
    let lost = bench.put(&lines(0..5_000)).await.unwrap_err();
    assert_eq!(lost.code(), "storage-unavailable");
    log.tell(None);
    assert_eq!((bench.head().await, bench.expanded().await.unwrap().to_text().as_str()), (head, "a\nb\n"));
    // What nobody names is forgotten with the next erasure, once it is old; what is named stays.
    assert_eq!(bench.objects.all(&shop()).await.unwrap().len(), 2);
    let gone = bench.create("old").await.seq;
    bench.write(Operation::ArchiveFlag(flag("old"))).await.unwrap();
    bench.clock.advance(ORPHAN_MS + 1);
    let what = Erasure::Entries([gone].into());
    bench.control.erase(&what, request(None, "")).await.unwrap();
    let left = bench.objects.all(&shop()).await.unwrap();
    assert_eq!(left, [(bench.base().await.sha256, NOW_MS)]);
}

/// Objects of which one that is kept can be made to wait before its writer goes on.
struct Gate {
    inner: Arc<MemoryObjects>,
    is_shut: AtomicBool,
    kept: Notify,
    opened: Notify,
}

impl Gate {
    fn over(inner: Arc<MemoryObjects>) -> Arc<Self> {
        let (is_shut, kept, opened) = Default::default();
        Arc::new(Self { inner, is_shut, kept, opened })
    }
}

#[async_trait]
impl PrivateObjects for Gate {
    async fn keep(
        &self,
        project: &ProjectId,
        sha256: &Digest,
        stored: &[u8],
        now_ms: i64,
    ) -> Result<(), StorageError> {
        self.inner.keep(project, sha256, stored, now_ms).await?;
        if self.is_shut.swap(false, Ordering::SeqCst) {
            self.kept.notify_one();
            self.opened.notified().await;
        }
        Ok(())
    }

    async fn stored(&self, project: &ProjectId, sha256: &Digest) -> Result<Option<Vec<u8>>, StorageError> {
        self.inner.stored(project, sha256).await
    }

    async fn all(&self, project: &ProjectId) -> Result<Vec<(Digest, i64)>, StorageError> {
        self.inner.all(project).await
    }

    async fn forget(&self, project: &ProjectId, sha256: &Digest, before_ms: i64) -> Result<(), StorageError> {
        self.inner.forget(project, sha256, before_ms).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_erasure_that_meets_a_writer_of_equal_keys_leaves_the_list_whole() {
    let mut bench = Bench::new().await;
    let gate = Gate::over(bench.objects.clone());
    bench.ports.objects = gate.clone();
    let bench = Arc::new(bench.restarted());
    let first = bench.put_anew("a\nb\n").await.seq;
    let object = bench.base().await;
    bench.put_anew("c\n").await;
    gate.is_shut.store(true, Ordering::SeqCst);
    let writer = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.put_anew("a\nb\n").await }
    });
    gate.kept.notified().await;
    let mut erasing = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.control.erase(&Erasure::Entries([first].into()), request(None, "")).await.unwrap() }
    });
    // The time passes once nobody can go on: the erasure gets as far as it may before the writer's entry is there.
    let early = tokio::time::timeout(Duration::from_secs(1), &mut erasing).await;
    gate.opened.notify_one();
    writer.await.unwrap();
    let done = match early {
        Ok(done) => done,
        Err(_) => erasing.await,
    };
    assert_eq!(done.unwrap().erased, [first]);
    assert_eq!(bench.base().await, object);
    assert_eq!(bench.restarted().expanded().await.unwrap().to_text(), "a\nb\n");
}

/// A store that can be told to take no keys of lists, or not to answer where they are, and tells which it was asked for.
struct Picky {
    inner: Arc<dyn ObjectStore>,
    refuses: AtomicBool,
    hangs: AtomicBool,
    asked: Mutex<BTreeSet<ObjectPath>>,
}

impl Picky {
    fn over(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        let (refuses, hangs, asked) = Default::default();
        Arc::new(Self { inner, refuses, hangs, asked })
    }

    async fn look(&self, path: &ObjectPath) -> bool {
        let is_list = path.as_str().contains("/k/");
        if is_list {
            self.asked.lock().unwrap().insert(path.clone());
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
        }
        is_list
    }

    async fn may_put(&self, path: &ObjectPath) -> Result<(), StoreError> {
        if self.look(path).await && self.refuses.load(Ordering::SeqCst) {
            let location = path.to_string();
            return Err(StoreError::Unavailable { action: "write", location, source: "refused".into() });
        }
        Ok(())
    }
}

fn is_announced(written: &Written) -> bool {
    written.publication[&production()].values().all(|view| view.state == PublicationState::Announced)
}

#[async_trait]
impl ObjectStore for Picky {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError> {
        self.look(path).await;
        self.inner.get(path).await
    }

    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError> {
        self.look(path).await;
        self.inner.head(path).await
    }

    async fn put_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError> {
        self.may_put(path).await?;
        self.inner.put_new(path, bytes).await
    }

    async fn put_if(&self, path: &ObjectPath, bytes: &[u8], expect: &Expect) -> Result<PutIf, StoreError> {
        self.may_put(path).await?;
        self.inner.put_if(path, bytes, expect).await
    }
}

#[tokio::test]
async fn a_store_that_takes_no_lists_holds_up_no_change_and_gets_them_later() {
    let mut bench = Bench::new().await;
    let picky = Picky::over(bench.store.clone());
    picky.refuses.store(true, Ordering::SeqCst);
    bench.ports.store = picky.clone();
    let bench = bench.restarted();
    bench.create("a").await;
    bench.put(&lines(0..100)).await.unwrap();
    assert!(is_announced(&bench.name_it().await));
    assert_eq!((bench.published().await, picky.asked.lock().unwrap().len()), (None, 1));

    // What a change does not bring is not looked at, by the process that has tried and by one that has not.
    for (bench, on) in [(&bench, true), (&bench.restarted(), false)] {
        picky.asked.lock().unwrap().clear();
        let switched = bench.write(Operation::Switch(production(), flag("a"), on)).await.unwrap();
        assert!(is_announced(&switched));
        assert_eq!(*picky.asked.lock().unwrap(), BTreeSet::new());
    }

    let bench = bench.restarted();
    for (refuses, is_there) in [(true, false), (false, true)] {
        picky.refuses.store(refuses, Ordering::SeqCst);
        bench.clock.advance(300_000);
        bench.control.sweep().await.unwrap();
        assert_eq!(bench.published().await.is_some(), is_there);
    }
    assert!(bench.base().await.is(&bench.published().await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_where_lists_are_holds_up_neither_a_change_nor_a_heartbeat() {
    let mut bench = Bench::new().await;
    let picky = Picky::over(bench.store.clone());
    bench.ports.store = picky.clone();
    let bench = bench.restarted();
    bench.create("a").await;
    bench.put(&lines(0..100)).await.unwrap();
    picky.hangs.store(true, Ordering::SeqCst);
    // It waits for the list that it brings, longer than the answer does, and then goes on without.
    assert!(!is_announced(&bench.name_it().await));
    let published = async || bench.control.publish(&production()).await.unwrap();
    published().await;
    assert!(published().await.values().all(|view| view.state == PublicationState::Announced));
    assert_eq!(bench.published().await, None);
    assert!(is_announced(&bench.write(Operation::Switch(production(), flag("a"), true)).await.unwrap()));

    // A heartbeat of a process that has seen no list is out before it looks.
    let bench = bench.restarted();
    for (hangs, is_there) in [(true, false), (false, true)] {
        picky.hangs.store(hangs, Ordering::SeqCst);
        let before = bench.manifest().await;
        bench.clock.advance(300_000);
        bench.control.sweep().await.unwrap();
        assert!(bench.manifest().await.serial() > before.serial());
        assert_eq!(bench.published().await.is_some(), is_there);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_waits_for_a_writer_of_a_list_has_swept_the_streams() {
    let mut bench = Bench::new().await;
    let gate = Gate::over(bench.objects.clone());
    bench.ports.objects = gate.clone();
    let bench = Arc::new(bench.restarted());
    let first = bench.put_anew("a\n").await.seq;
    bench.put_anew("b\n").await;
    gate.is_shut.store(true, Ordering::SeqCst);
    let spawned = Arc::clone(&bench);
    let writer = tokio::spawn(async move { spawned.put_anew("c\n").await });
    gate.kept.notified().await;
    let what = Erasure::Entries([first].into());
    let erasing = bench.control.erase(&what, request(None, ""));
    tokio::time::timeout(Duration::from_secs(1), erasing).await.unwrap_err();
    let before = bench.manifest().await;
    bench.clock.advance(300_000);
    let swept = tokio::time::timeout(Duration::from_hours(1), bench.control.sweep()).await;
    swept.expect("it waits for no writer without end").unwrap();
    assert!(bench.manifest().await.serial() > before.serial());
    let has_data = async || {
        let entry = bench.log.entry(&shop(), first).await.unwrap().unwrap();
        entry.data.is_some()
    };
    assert!(has_data().await);
    gate.opened.notify_one();
    writer.await.unwrap();
    bench.control.sweep().await.unwrap();
    assert!(!has_data().await);
}
