//! Trials of stores: honest ones, and ones that ignore a condition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use flagstone_bundle::manifest::{LogHead, Stream};
use flagstone_model::key::ProjectId;
use flagstone_publisher::publication::{
    Claim, Lease, MemoryPublications, Publication, PublicationError, Publications,
};
use flagstone_publisher::storage::Misconfiguration;
use flagstone_publisher::store::{
    Etag, Expect, MemoryStore, Object, ObjectHead, ObjectPath, ObjectStore, PutIf, PutNew, StoreError,
};
use flagstone_publisher::trial::{self, Course, RACERS, Race, Verdict};

/// What a store gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ignores {
    Nothing,
    /// Creates although something is there.
    Absence,
    /// Replaces although it is another state.
    State,
    /// Writes what it says it refused.
    Refusals,
    /// Loses the answer of the first write of each kind.
    Answers,
    /// Is not set up as it must be.
    Setup,
}

struct Careless {
    store: MemoryStore,
    ignores: Ignores,
    lost_create: AtomicBool,
}

impl Careless {
    fn that(ignores: Ignores) -> Arc<Self> {
        Arc::new(Self { store: MemoryStore::new(), ignores, lost_create: AtomicBool::new(false) })
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError> {
        self.store.get(path).await
    }

    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError> {
        self.store.head(path).await
    }

    async fn put_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError> {
        if self.ignores == Ignores::Absence {
            self.store.overwrite(path, Some(bytes.to_vec()));
            return Ok(PutNew::Created);
        }
        let put = self.store.put_new(path, bytes).await?;
        if self.ignores == Ignores::Answers
            && put == PutNew::Created
            && !self.lost_create.swap(true, Ordering::SeqCst)
        {
            return Ok(PutNew::Exists { size: bytes.len() as u64 });
        }
        Ok(put)
    }

    async fn put_if(&self, path: &ObjectPath, bytes: &[u8], expect: &Expect) -> Result<PutIf, StoreError> {
        let put = self.store.put_if(path, bytes, expect).await?;
        if put != PutIf::Lost || !matches!(self.ignores, Ignores::State | Ignores::Refusals) {
            return Ok(put);
        }
        self.store.overwrite(path, Some(bytes.to_vec()));
        let is_told = self.ignores == Ignores::State;
        Ok(if is_told { PutIf::Written { etag: Etag::of(bytes) } } else { PutIf::Lost })
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        if self.ignores == Ignores::Setup {
            let (what, detail) = (Misconfiguration::Unversioned, "the bucket".to_owned());
            return Err(StoreError::Misconfigured { what, detail });
        }
        Ok(())
    }
}

/// Items that anybody may claim at any time.
struct CarelessItems(MemoryPublications);

#[async_trait]
impl Publications for CarelessItems {
    async fn read(&self, stream: &Stream) -> Result<Publication, PublicationError> {
        self.0.read(stream).await
    }

    async fn claim(
        &self,
        stream: &Stream,
        _: u64,
        claim: &Claim,
        covered: LogHead,
    ) -> Result<bool, PublicationError> {
        let now = self.0.read(stream).await?.serial();
        self.0.claim(stream, now, claim, covered).await
    }

    async fn adopt(
        &self,
        stream: &Stream,
        at: u64,
        claim: &Claim,
        head: LogHead,
    ) -> Result<bool, PublicationError> {
        self.0.adopt(stream, at, claim, head).await
    }

    async fn cover(&self, stream: &Stream, serial: u64, covered: LogHead) -> Result<bool, PublicationError> {
        self.0.cover(stream, serial, covered).await
    }

    async fn want(&self, stream: &Stream, seq: u64) -> Result<(), PublicationError> {
        self.0.want(stream, seq).await
    }

    async fn announced(&self, stream: &Stream, serial: u64) -> Result<(), PublicationError> {
        self.0.announced(stream, serial).await
    }

    async fn lease(&self, stream: &Stream, lease: &Lease, now_ms: i64) -> Result<bool, PublicationError> {
        self.0.lease(stream, lease, now_ms).await
    }

    async fn release(&self, stream: &Stream, holder: &str) -> Result<(), PublicationError> {
        self.0.release(stream, holder).await
    }
}

fn project() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

async fn races_of(ignores: Ignores) -> Vec<Race> {
    let items = Arc::new(MemoryPublications::new());
    trial::run(Careless::that(ignores), items, &project()).await.unwrap().races
}

fn race(course: Course, won: usize, verdict: Verdict) -> Race {
    Race { course, won, verdict }
}

#[tokio::test]
async fn honest_stores_are_trusted_again_and_again() {
    let (store, items) = (Careless::that(Ignores::Nothing), Arc::new(MemoryPublications::new()));
    for _ in 0..2 {
        let told = trial::run(store.clone(), items.clone(), &project()).await.unwrap();
        assert_eq!(
            told.races,
            [
                race(Course::Create, 1, Verdict::Fair),
                race(Course::Replace, 1, Verdict::Fair),
                race(Course::Stale, 0, Verdict::Fair),
                race(Course::Claim, 1, Verdict::Fair),
            ]
        );
        assert!(told.is_trusted() && !told.is_ignored());
    }
    let paths = store.store.paths();
    assert_eq!(paths.len(), 2, "each trial leaves one object");
    assert!(paths.iter().all(|path| path.as_str().starts_with("doctor/shop/")), "a reader might see it");
}

#[tokio::test]
async fn a_store_that_creates_what_is_there_is_found() {
    let races = races_of(Ignores::Absence).await;
    assert_eq!(races[0], race(Course::Create, RACERS, Verdict::Ignored));
    assert_eq!(races[2], race(Course::Stale, 1, Verdict::Ignored));
}

#[tokio::test]
async fn a_store_that_replaces_what_it_should_not_is_found() {
    let races = races_of(Ignores::State).await;
    assert_eq!(races[1], race(Course::Replace, RACERS, Verdict::Ignored));
    assert_eq!(races[2], race(Course::Stale, 2, Verdict::Ignored));
}

#[tokio::test]
async fn a_store_that_writes_what_it_refuses_is_found() {
    let races = races_of(Ignores::Refusals).await;
    assert_eq!(races[2], race(Course::Stale, 0, Verdict::Ignored));
}

#[tokio::test]
async fn a_lost_answer_is_unclear_and_no_fault_of_the_store() {
    let races = races_of(Ignores::Answers).await;
    assert_eq!(races[0], race(Course::Create, 0, Verdict::Unclear));
    assert_eq!(races[1].verdict, Verdict::Fair);
}

#[tokio::test]
async fn items_that_anybody_may_claim_are_found() {
    let (store, items) = (Arc::new(MemoryStore::new()), Arc::new(CarelessItems(MemoryPublications::new())));
    let told = trial::run(store, items, &project()).await.unwrap();
    assert_eq!(told.races[3].verdict, Verdict::Ignored);
    assert!(told.races[3].won > 1 && told.is_ignored() && !told.is_trusted());
}

#[tokio::test]
async fn a_store_that_is_not_set_up_as_it_must_be_is_not_written_to() {
    let store = Careless::that(Ignores::Setup);
    let items = Arc::new(MemoryPublications::new());
    let error = trial::run(store.clone(), items, &project()).await.unwrap_err();
    assert_eq!(error.code(), "bucket-unversioned");
    assert!(store.store.paths().is_empty());
}
