//! Two roles: one appends and may not sign, the other signs and may not append (FORMAT T-4.6).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flagstone_bundle::manifest::{LogHead, Stream};
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
use flagstone_publisher::checkpoint::MemoryCheckpoints;
use flagstone_publisher::control::{
    AppendPorts, ControlError, ControlPlane, Erasure, Kind, Operation, Ports, PublicationState, Write,
};
use flagstone_publisher::log::{Appended, ChangeLog, Entry, Head, LogError};
use flagstone_publisher::publication::{MemoryPublications, Publications};
use flagstone_publisher::publish::{Lost, Options, Progress, PublishError, Publishing, Standing};
use flagstone_publisher::storage::StorageError;
use flagstone_publisher::trial::{Trial, TrialError};

use super::control::{Bench, request};
use super::project::{flag, json, production};

/// Asks the publisher of another process, as far as that can be reached.
struct Elsewhere {
    publisher: ControlPlane,
    is_down: AtomicBool,
}

impl Elsewhere {
    /// Like any other publisher, it folds the log before it does something for a stream.
    async fn reach(&self, stream: &Stream) -> Result<&dyn Publishing, PublishError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(PublishError::Unavailable { source: "nobody listens".into() });
        }
        self.publisher.known_stream(stream).await.unwrap();
        Ok(self.publisher.publishing())
    }
}

#[async_trait]
impl Publishing for Elsewhere {
    async fn publish(&self, stream: &Stream, seq: u64, budget: Duration) -> Result<Progress, PublishError> {
        self.reach(stream).await?.publish(stream, seq, budget).await
    }

    async fn rebuild(&self, stream: &Stream) -> Result<Progress, PublishError> {
        self.reach(stream).await?.rebuild(stream).await
    }

    async fn sweep(&self, stream: &Stream) -> Result<Progress, PublishError> {
        self.reach(stream).await?.sweep(stream).await
    }

    async fn standing(&self, stream: &Stream) -> Result<Standing, PublishError> {
        self.reach(stream).await?.standing(stream).await
    }

    async fn announced_ms(&self, stream: &Stream) -> Result<Option<i64>, PublishError> {
        self.reach(stream).await?.announced_ms(stream).await
    }

    async fn lost(&self, stream: &Stream) -> Result<Lost, PublishError> {
        self.reach(stream).await?.lost(stream).await
    }

    async fn adopt(&self, stream: &Stream, lost: &Lost, covered: LogHead) -> Result<(), PublishError> {
        self.reach(stream).await?.adopt(stream, lost, covered).await
    }

    async fn try_stores(&self, project: &ProjectId) -> Result<Trial, TrialError> {
        self.reach(&stream()).await?.try_stores(project).await
    }
}

/// A log that the publisher may only read, and of which the other role can not erase while it is told so.
struct Guarded {
    log: Arc<dyn ChangeLog>,
    erases: AtomicBool,
    appends: bool,
}

#[async_trait]
impl ChangeLog for Guarded {
    async fn append(&self, entry: &Entry) -> Result<Appended, LogError> {
        assert!(self.appends, "a publisher appends nothing");
        self.log.append(entry).await
    }

    async fn read(&self, project: &ProjectId, after: u64, limit: usize) -> Result<Vec<Entry>, LogError> {
        self.log.read(project, after, limit).await
    }

    async fn head(&self, project: &ProjectId) -> Result<Option<Head>, LogError> {
        self.log.head(project).await
    }

    async fn entry(&self, project: &ProjectId, seq: u64) -> Result<Option<Entry>, LogError> {
        self.log.entry(project, seq).await
    }

    async fn erase(&self, project: &ProjectId, seq: u64) -> Result<(), LogError> {
        assert!(self.appends, "a publisher erases nothing");
        if self.erases.load(Ordering::SeqCst) {
            return self.log.erase(project, seq).await;
        }
        Err(StorageError::Busy.into())
    }
}

struct Roles {
    bench: Bench,
    admin: ControlPlane,
    elsewhere: Arc<Elsewhere>,
    log: Arc<Guarded>,
}

fn project() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

fn stream() -> Stream {
    Stream { project: project(), environment: production(), view: ViewId::server() }
}

impl Roles {
    async fn new() -> Self {
        Self::over(Bench::new().await)
    }

    fn over(bench: Bench) -> Self {
        let guarded = |appends| Guarded { log: bench.log.clone(), erases: AtomicBool::new(true), appends };
        let ports = Ports { log: Arc::new(guarded(false)), ..bench.ports.clone() };
        let publisher = ControlPlane::new(project(), bench.keys.root().clone(), ports, Options::default());
        let elsewhere = Arc::new(Elsewhere { publisher, is_down: AtomicBool::new(false) });
        let log = Arc::new(guarded(true));
        let ports = AppendPorts {
            log: log.clone(),
            checkpoints: Arc::new(MemoryCheckpoints::new()),
            objects: bench.objects.clone(),
            publications: bench.ports.publications.clone(),
            publishing: elsewhere.clone(),
            clock: bench.clock.clone(),
        };
        let admin = ControlPlane::appending(project(), ports);
        Self { bench, admin, elsewhere, log }
    }

    async fn create(&self, key: &str) -> (u64, PublicationState, u64) {
        let body = json(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
        let written = self.admin.write(Operation::CreateFlag(body), request(None, "")).await.unwrap();
        let published = written.publication[&production()][&ViewId::server()];
        (written.seq, published.state, published.version)
    }

    fn down(&self, is_down: bool) {
        self.elsewhere.is_down.store(is_down, Ordering::SeqCst);
    }

    async fn is_announced(&self, seq: u64) -> bool {
        let item = self.bench.ports.publications.read(&stream()).await.unwrap();
        item.is_announced() && item.covered_seq() >= seq
    }
}

#[tokio::test]
async fn what_one_role_appends_the_other_announces() {
    let roles = Roles::new().await;
    let (seq, state, version) = roles.create("a").await;
    assert_eq!((seq, state), (3, PublicationState::Announced));
    let manifest = roles.bench.manifest().await;
    assert_eq!((manifest.version(), manifest.log().map(|log| log.seq)), (version, Some(3)));
    assert!(roles.admin.rebuild(&production()).await.is_ok());
    let ages = roles.admin.stream_ages().await.unwrap();
    assert_eq!((ages[0].announced_age_ms, ages[0].lag), (Some(0), 0));
}

#[tokio::test]
async fn a_change_is_pending_while_the_publisher_is_away_and_its_sweep_announces_it() {
    let roles = Roles::new().await;
    let (_, _, before) = roles.create("a").await;
    roles.down(true);
    let (seq, state, version) = roles.create("b").await;
    assert_eq!((state, version), (PublicationState::Pending, before), "the newest that there is");
    let refused = roles.admin.publish(&production()).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.kind()),
        ("publisher-unavailable", Kind::Busy { retry_after_s: 1 }),
        "whoever asks for nothing else is told"
    );
    assert_eq!(roles.admin.stream_ages().await.unwrap()[0].announced_age_ms, None);
    roles.admin.sweep_log().await;
    assert!(!roles.is_announced(seq).await);

    roles.down(false);
    roles.elsewhere.publisher.sweep_streams().await.unwrap();
    assert!(roles.is_announced(seq).await);
    assert_eq!(roles.bench.manifest().await.version(), before + 1);
}

/// Takes what is handed over, each time after a second.
struct Slow(Arc<dyn Publications>);

#[async_trait]
impl Publishing for Slow {
    async fn publish(&self, stream: &Stream, seq: u64, budget: Duration) -> Result<Progress, PublishError> {
        assert_eq!(budget, Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Progress::of(&self.0.read(stream).await?, seq))
    }

    async fn rebuild(&self, _: &Stream) -> Result<Progress, PublishError> {
        Err(PublishError::Contended)
    }

    async fn sweep(&self, _: &Stream) -> Result<Progress, PublishError> {
        Err(PublishError::Contended)
    }

    async fn standing(&self, _: &Stream) -> Result<Standing, PublishError> {
        Err(PublishError::Unavailable { source: "nobody listens".into() })
    }

    async fn announced_ms(&self, _: &Stream) -> Result<Option<i64>, PublishError> {
        Err(PublishError::Contended)
    }

    async fn lost(&self, _: &Stream) -> Result<Lost, PublishError> {
        Err(PublishError::Contended)
    }

    async fn adopt(&self, _: &Stream, _: &Lost, _: LogHead) -> Result<(), PublishError> {
        Err(PublishError::Contended)
    }

    async fn try_stores(&self, _: &ProjectId) -> Result<Trial, TrialError> {
        Err(TrialError::Taken)
    }
}

#[tokio::test]
async fn what_nobody_waits_for_is_handed_over_side_by_side() {
    let bench = Bench::new().await;
    for id in ["e-1", "e-2", "e-3", "e-4", "e-5"] {
        bench.write(Operation::CreateEnvironment(json(&format!(r#"{{"id":"{id}"}}"#)))).await.unwrap();
    }
    let publications = bench.ports.publications.clone();
    let ports = AppendPorts {
        log: bench.log.clone(),
        checkpoints: Arc::new(MemoryCheckpoints::new()),
        objects: bench.objects.clone(),
        publications: publications.clone(),
        publishing: Arc::new(Slow(publications)),
        clock: bench.clock.clone(),
    };
    let admin = ControlPlane::appending(project(), ports);
    admin.state().await.unwrap();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let body = json(r#"{"key":"a","type":"bool"}"#);
    let write = Write { wait: false, ..request(None, "") };
    let written = admin.write(Operation::CreateFlag(body), write).await.unwrap();
    assert_eq!(
        written.publication.values().map(BTreeMap::len).sum::<usize>(),
        12,
        "six environments, two views"
    );
    assert_eq!(
        begun.elapsed().as_secs(),
        2,
        "production after all others, on a clock that only waiting moves"
    );
    let told = admin.publication(&production()).await.unwrap();
    let alarm = told.member("server").and_then(|server| server.member("alarm")?.member("code")?.as_str());
    assert_eq!(alarm, Some("publisher-unavailable"), "how far it has got is told all the same");
}

#[tokio::test]
async fn an_erasure_is_finished_by_whoever_appends() {
    let roles = Roles::new().await;
    roles.create("a").await;
    let rename =
        |name: &str| Operation::PatchFlag(flag("a"), json(&format!(r#"{{"description":"{name}"}}"#)));
    let named = roles.admin.write(rename("Mina's"), request(None, "")).await.unwrap().seq;
    roles.admin.write(rename("nobody's"), request(None, "")).await.unwrap();
    roles.log.erases.store(false, Ordering::SeqCst);
    let erased = roles.admin.erase(&Erasure::Entries([named].into()), request(None, "")).await;
    assert_eq!(erased.unwrap_err().code(), "storage-busy");
    let has_data = async || roles.bench.log.entry(&project(), named).await.unwrap().unwrap().data.is_some();

    roles.log.erases.store(true, Ordering::SeqCst);
    roles.elsewhere.publisher.sweep_streams().await.unwrap();
    assert!(has_data().await, "the publisher may not");
    roles.admin.sweep_log().await;
    assert!(!has_data().await);
}

#[tokio::test]
async fn an_alarm_is_seen_and_adopted_through_the_other_role() {
    let mut bench = Bench::new().await;
    bench.ports.publications = Arc::new(MemoryPublications::new());
    let roles = Roles::over(bench);
    let alarm = async || {
        let told = roles.admin.publication(&production()).await.unwrap();
        told.member("server")?.member("alarm")?.member("code")?.as_str().map(str::to_owned)
    };
    assert_eq!(alarm().await.as_deref(), Some("unclaimed-manifest"));
    let (_, state, _) = roles.create("a").await;
    assert_eq!(state, PublicationState::Pending);
    let before = roles.bench.manifest().await;
    let views = roles.admin.adopt(&production(), request(None, "adopt")).await.unwrap();
    let server = views[&ViewId::server()];
    assert_eq!((server.version, server.state), (before.version() + 1, PublicationState::Announced));
    assert_eq!(alarm().await, None);
    let entry = roles.bench.log.head(&project()).await.unwrap().unwrap();
    let entry = roles.bench.log.entry(&project(), entry.seq).await.unwrap().unwrap();
    assert_eq!(entry.header.changes[0].entity.to_string(), "restore/production/server");
}

#[tokio::test]
async fn what_is_adopted_is_what_the_publisher_finds_and_not_what_it_is_told() {
    let mut bench = Bench::new().await;
    bench.ports.publications = Arc::new(MemoryPublications::new());
    let roles = Roles::over(bench);
    let publishing = roles.elsewhere.reach(&stream()).await.unwrap();
    let lost = publishing.lost(&stream()).await.unwrap();
    let head = roles.bench.log.head(&project()).await.unwrap().unwrap();
    let covered = LogHead { seq: head.seq, hash: head.hash };
    let other = Lost { version: lost.version + 100, ..lost.clone() };
    assert_eq!(publishing.adopt(&stream(), &other, covered).await.unwrap_err().code(), "contended");
    assert!(roles.bench.ports.publications.read(&stream()).await.unwrap().claim.is_none());
    publishing.adopt(&stream(), &lost, covered).await.unwrap();
    assert_eq!(publishing.lost(&stream()).await.unwrap_err().code(), "nothing-to-adopt");
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_not_known() {
    let roles = Roles::new().await;
    let known = async |stream: Stream| roles.elsewhere.publisher.known_stream(&stream).await;
    assert_eq!(known(stream()).await.unwrap(), 2);
    let environment = EnvironmentId::parse("staging").unwrap();
    let view = ViewId::parse("kiosk").unwrap();
    let other = ProjectId::parse("other").unwrap();
    let code = |refused: Result<u64, ControlError>| refused.unwrap_err().code();
    assert_eq!(code(known(Stream { environment, ..stream() }).await), "environment-not-found");
    assert_eq!(code(known(Stream { view, ..stream() }).await), "view-not-found");
    assert_eq!(code(known(Stream { project: other, ..stream() }).await), "view-not-found");
}

#[test]
fn what_a_publisher_elsewhere_says_is_told_with_its_code() {
    let failed = PublishError::Failed { code: "signing-key-missing".into(), detail: "no key".into() };
    assert_eq!((failed.code(), failed.is_alarm()), ("publisher-failed", false));
    assert_eq!(failed.to_string(), "the publisher failed: no key (signing-key-missing)");
    assert_eq!(ControlError::from(failed).kind(), Kind::Internal);
}
