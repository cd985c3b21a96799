//! Publishing: from the log to a manifest that clients see (FORMAT T-4.5 to T-4.8).
//!
//! read the item, then the log's head → fold and build → prove with the SDK's own loader → create-only uploads →
//! **claim** → sign and verify → archive → compare-and-set the manifest → note that it is announced. Everything before
//! the claim may be done twice and harms nothing; everything after it is done again, under a later serial, by whoever
//! comes next. So a crash anywhere converges, and two publishers lose nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flagstone_bundle::manifest::Stream;
use flagstone_bundle::root::Root;
use tracing::Instrument as _;

use crate::clock::Clock;
use crate::keys::ManifestSigner;
use crate::log::ChangeLog;
use crate::observe::{Observer, Watch};
use crate::publication::{Lease, Publication, Publications};
use crate::store::ObjectStore;

mod adopt;
mod announce;
mod checked;
mod cumulative;
mod error;
mod expiry;
mod known;
mod layout;
mod lists;
mod packing;
mod proof;
mod publishing;
mod pulse;
mod run;
mod source;
mod withheld;

pub use adopt::Lost;
pub use error::PublishError;
pub use expiry::ROOT_EXPIRY_ALARM_DAYS;
pub use layout::{Access, Layout};
pub use proof::Refusal;
pub use publishing::{Publishing, Standing};
pub use source::{Built, LineSource, SourceError};
pub use withheld::{Fault, Withheld};

use known::Known;
use pulse::Pulses;
use run::Ask;

/// Shortest time for which a manifest of a keyed view is current: one hour.
const KEYED_LIFETIME_MS: u64 = 60 * 60 * 1_000;
/// The same of a public view: a day, for clients that are not always on.
const PUBLIC_LIFETIME_MS: u64 = 24 * 60 * 60 * 1_000;
/// How often a publisher without the lease looks whether it is done.
const WAIT: Duration = Duration::from_millis(50);
/// And each later time twice as long, up to this.
const LONGEST_WAIT: Duration = Duration::from_millis(400);
/// How long a rebuild waits until others in this process are done.
const TURN: Duration = Duration::from_secs(10);
/// How long a run may take before it is given up, with everything it waits for: a store that hangs does not hold its
/// stream for ever. Nothing that a run leaves undone is lost.
pub const RUN_LIMIT: Duration = Duration::from_secs(30);
/// How often the holder of the lease looks for what came in meanwhile.
const ROUNDS: usize = 3;

/// How streams are published.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of the code that makes the lines.
    pub builder: u64,
    /// A newer serial appears at least this often, in milliseconds.
    pub heartbeat_ms: u64,
    /// How often clients should poll, in milliseconds.
    pub poll_ms: Option<u64>,
    /// The zstd level of snapshots. Each change waits for it once, and each client that starts cold downloads the
    /// result: at 10 000 flags (2.5 MB) level 3 takes 3 ms for 221 kB, 7 takes 18 ms for 176 kB, 9 takes 25 ms for
    /// 168 kB, 12 takes 83 ms for 163 kB.
    pub zstd_level: i32,
    /// How long others leave a publisher alone with a stream, in milliseconds: after one that was killed, a change
    /// waits that long.
    pub lease_ms: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { builder: 1, heartbeat_ms: 300_000, poll_ms: None, zstd_level: 7, lease_ms: 5_000 }
    }
}

/// The ports of a publisher.
#[derive(Clone)]
pub struct Ports {
    /// The log.
    pub log: Arc<dyn ChangeLog>,
    /// The publication items.
    pub publications: Arc<dyn Publications>,
    /// The objects.
    pub store: Arc<dyn ObjectStore>,
    /// The lines.
    pub source: Arc<dyn LineSource>,
    /// The signatures.
    pub signer: Arc<dyn ManifestSigner>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// How far a stream has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Newest claimed version.
    pub version: u64,
    /// Newest claimed serial.
    pub serial: u64,
    /// The seq up to which the log is in that version.
    pub covered_seq: u64,
    /// Whether clients see it.
    pub state: PublicationState,
}

/// Whether clients see a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicationState {
    /// They do.
    Announced,
    /// Not yet; the sweep will see to it.
    Pending,
}

impl PublicationState {
    /// The word in an API answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Pending => "pending",
        }
    }
}

impl Progress {
    /// How far an item says that its stream has got, for whoever waits for the entry `seq`.
    pub fn of(item: &Publication, seq: u64) -> Self {
        let done = item.is_announced() && item.covered_seq() >= seq;
        Self {
            version: item.version(),
            serial: item.serial(),
            covered_seq: item.covered_seq(),
            state: if done { PublicationState::Announced } else { PublicationState::Pending },
        }
    }
}

/// Publishes streams. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
}

struct Inner {
    log: Arc<dyn ChangeLog>,
    publications: Arc<dyn Publications>,
    store: Arc<dyn ObjectStore>,
    source: Arc<dyn LineSource>,
    signer: Arc<dyn ManifestSigner>,
    clock: Arc<dyn Clock>,
    root: Root,
    options: Options,
    holder: String,
    streams: Mutex<HashMap<Stream, Arc<tokio::sync::Mutex<Known>>>>,
    pulses: Pulses,
    watch: Watch,
    expiry: expiry::Expiry,
    lists: lists::Stored,
    withheld: withheld::Told,
}

impl Publisher {
    /// A publisher under the newest trusted root.
    pub fn new(root: Root, ports: Ports, options: Options) -> Self {
        let mut random = [0; 8];
        // Two holders of one name would only publish side by side, which the claim allows for.
        let _ = getrandom::fill(&mut random);
        let holder = format!("{}-{:016x}", std::process::id(), u64::from_le_bytes(random));
        let Ports { log, publications, store, source, signer, clock } = ports;
        let (streams, pulses, watch, expiry, lists, withheld) = Default::default();
        let inner = Inner {
            log,
            publications,
            store,
            source,
            signer,
            clock,
            root,
            options,
            holder,
            streams,
            pulses,
            watch,
            expiry,
            lists,
            withheld,
        };
        Self { inner: Arc::new(inner) }
    }

    /// When what clients are announced was issued, in Unix milliseconds: what stands in the bucket, verified. None if
    /// there is nothing, or nothing that a client would take.
    pub async fn announced_ms(&self, stream: &Stream) -> Result<Option<i64>, PublishError> {
        Ok(self.inner.bucket(stream).await?.manifest.map(|manifest| manifest.issued_ms()))
    }

    /// Tells this observer about the work from now on. The first one stays; returns whether this is it.
    pub fn observe(&self, observer: Arc<dyn Observer>) -> bool {
        self.inner.watch.tell(observer)
    }

    /// The stores that it writes.
    fn stores(&self) -> (Arc<dyn ObjectStore>, Arc<dyn Publications>) {
        (Arc::clone(&self.inner.store), Arc::clone(&self.inner.publications))
    }

    /// Whom the work is told to.
    pub(crate) fn watch(&self) -> &Watch {
        &self.inner.watch
    }

    /// Announces what the log holds up to `seq`, or waits for whoever does, for at most `budget` (FORMAT T-4.6).
    ///
    /// A lone change waits for nothing. Of many at once the first publishes for all that are there by then. Work that
    /// outlasts the budget goes on, and the answer is that it is pending. Nobody stays in the queue for longer than
    /// the budget and a lease, so that a stream that hangs gathers no crowd: the sweep sees to those who left.
    pub async fn publish(
        &self,
        stream: &Stream,
        seq: u64,
        budget: Duration,
    ) -> Result<Progress, PublishError> {
        let (publisher, owned) = (self.clone(), stream.clone());
        let span = tracing::info_span!("publish", %stream, seq);
        let work = async move { publisher.publish_through(&owned, seq, budget).await };
        let work = tokio::spawn(work.instrument(span));
        match tokio::time::timeout(budget, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(PublishError::Stopped),
            Err(_) => self.progress(stream, seq).await,
        }
    }

    /// How far the stream has got, and whether clients see the log up to `seq`.
    pub async fn progress(&self, stream: &Stream, seq: u64) -> Result<Progress, PublishError> {
        Ok(Progress::of(&self.inner.publications.read(stream).await?, seq))
    }

    /// Puts right whatever is not: changes nobody published, announcements a crash cut off, a pointer that was
    /// overwritten, a snapshot that is gone; and sends a heartbeat when it is time, with which a damaged snapshot is
    /// stored anew. To be called every minute or so.
    pub async fn sweep(&self, stream: &Stream) -> Result<Progress, PublishError> {
        // Nearly always there is nothing to do, and then nothing is written, the lease neither.
        if self.told(self.inner.is_quiet(stream).await)? {
            return self.progress(stream, 0).await;
        }
        // Somebody in this process publishes it; the next sweep looks again.
        let known = self.known(stream);
        let Ok(mut known) = known.try_lock() else { return self.progress(stream, 0).await };
        self.alone(stream, &mut known, Ask::Sweep).instrument(tracing::info_span!("publish", %stream)).await
    }

    /// Builds the stream anew at the same seq: a step of deploying a newer builder. Equal lines announce nothing.
    ///
    /// # Errors
    ///
    /// [`PublishError::OlderBuilder`] if a newer builder built it: two releases would take turns.
    pub async fn rebuild(&self, stream: &Stream) -> Result<Progress, PublishError> {
        let known = self.known(stream);
        let Ok(mut known) = tokio::time::timeout(TURN, known.lock()).await else {
            return Err(PublishError::Contended);
        };
        self.alone(stream, &mut known, Ask::Rebuild).instrument(tracing::info_span!("publish", %stream)).await
    }

    /// Runs under the lease, or leaves the stream to its holder.
    async fn alone(&self, stream: &Stream, known: &mut Known, ask: Ask) -> Result<Progress, PublishError> {
        let alone = async {
            if self.take_lease(stream).await? {
                let done = self.run(stream, known, ask).await;
                let released = self.release(stream).await;
                done.and(released)?;
            }
            self.progress(stream, 0).await
        };
        self.told(within_limit(alone).await)
    }

    async fn publish_through(
        &self,
        stream: &Stream,
        seq: u64,
        budget: Duration,
    ) -> Result<Progress, PublishError> {
        // In this process callers take turns; those who waited mostly find that they are done. Who does not want to
        // wait still does so for a lease, in the background, so that a change just too late for the holder is taken.
        let turn = budget.max(self.lease_time());
        let known = self.known(stream);
        let Ok(mut known) = tokio::time::timeout(turn, known.lock()).await else {
            return self.progress(stream, seq).await;
        };
        self.told(within_limit(self.publish_in_turn(stream, &mut known, seq, budget)).await)
    }

    /// Tells the observer if it failed.
    fn told<T>(&self, done: Result<T, PublishError>) -> Result<T, PublishError> {
        done.inspect_err(|error| self.watch().failed(error.code()))
    }

    async fn publish_in_turn(
        &self,
        stream: &Stream,
        known: &mut Known,
        seq: u64,
        budget: Duration,
    ) -> Result<Progress, PublishError> {
        // Whoever holds the lease is done by then, or is gone, and this one leads.
        let budget = budget.min(self.lease_time().saturating_add(LONGEST_WAIT));
        let (mut waited, mut wait) = (Duration::ZERO, WAIT);
        loop {
            let item = self.inner.publications.read(stream).await?;
            let progress = Progress::of(&item, seq);
            if progress.state == PublicationState::Announced {
                return Ok(progress);
            }
            // A store may charge for a whole item where a condition does not hold, so no lease is tried for that is
            // held, and nothing wanted that is.
            if self.may_lead(&item) && self.take_lease(stream).await? {
                let done = self.lead(stream, known).await;
                let released = self.release(stream).await;
                done.and(released)?;
                return self.progress(stream, seq).await;
            }
            if item.wanted_seq < seq {
                self.inner.publications.want(stream, seq).await?;
            }
            if waited >= budget {
                return Ok(progress);
            }
            tokio::time::sleep(wait).await;
            waited = waited.saturating_add(wait);
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        }
    }

    /// Publishes, and again what came in meanwhile, a few times.
    async fn lead(&self, stream: &Stream, known: &mut Known) -> Result<(), PublishError> {
        for _ in 0..ROUNDS {
            self.run(stream, known, Ask::Changes).await?;
            let covered = self.inner.publications.read(stream).await?.covered_seq();
            let head = self.inner.log.head(&stream.project).await?.map_or(0, |head| head.seq);
            if head <= covered {
                break;
            }
        }
        Ok(())
    }

    fn lease_time(&self) -> Duration {
        Duration::from_millis(self.inner.options.lease_ms.into())
    }

    /// The lease that this publisher would take now.
    fn lease(&self, now_ms: i64) -> Lease {
        let until_ms = now_ms.saturating_add(i64::from(self.inner.options.lease_ms));
        Lease { holder: self.inner.holder.clone(), until_ms }
    }

    /// Whether nobody else held the lease when the item was read.
    fn may_lead(&self, item: &Publication) -> bool {
        let now_ms = self.inner.clock.now_ms();
        item.lease.as_ref().is_none_or(|held| self.lease(now_ms).takes_over(held, now_ms))
    }

    async fn take_lease(&self, stream: &Stream) -> Result<bool, PublishError> {
        let now_ms = self.inner.clock.now_ms();
        let lease = self.lease(now_ms);
        Ok(self.inner.publications.lease(stream, &lease, now_ms).await?)
    }

    async fn release(&self, stream: &Stream) -> Result<(), PublishError> {
        Ok(self.inner.publications.release(stream, &self.inner.holder).await?)
    }

    fn known(&self, stream: &Stream) -> Arc<tokio::sync::Mutex<Known>> {
        let mut streams = self.inner.streams.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(streams.entry(stream.clone()).or_default())
    }
}

const fn minimum_lifetime_ms(access: Access) -> u64 {
    match access {
        Access::Closed => KEYED_LIFETIME_MS,
        Access::Open => PUBLIC_LIFETIME_MS,
    }
}

async fn within_limit<T>(work: impl Future<Output = Result<T, PublishError>>) -> Result<T, PublishError> {
    tokio::time::timeout(RUN_LIMIT, work).await.unwrap_or(Err(PublishError::TimedOut))
}
