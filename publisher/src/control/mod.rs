//! The control plane of one project: what an API asks of it.
//!
//! [`ControlPlane::write`] makes changes, the other methods read. A change is made when its entry is in the log; then
//! it is published, and the answer says how far that has got. [`ControlPlane::sweep`] does what was left undone.

mod alterations;
mod credential;
mod difference;
mod erase;
mod error;
mod experiments;
mod explain;
mod folded;
mod holes;
mod lists;
mod mint;
mod moment;
mod preview;
mod publication;
mod read;
mod several;
mod source;
mod streams;
mod words;
mod write;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use flagstone_bundle::manifest::Stream;
use flagstone_bundle::root::Root;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};

pub use alterations::{Alteration, AlterationPlace, Alterations, AlteredBy, MAX_AUDITED_ENTRIES};
pub use credential::token_named_in;
pub use difference::{Change, Difference};
pub use erase::{Erased, Erasure, Kept, MAX_ERASED_AT_ONCE};
pub use error::{ControlError, Kind};
pub use experiments::Recorded;
pub use explain::Explained;
pub use mint::Minted;
pub use moment::{Moment, When};
pub use preview::{Asked, Contexts, Preview, Trial};
pub use read::{Entity, Evaluated, HistoryItem, LogPage};
pub use several::{Action, Changed, ChangedEntity, Several};
pub use streams::StreamAge;
pub use write::{Operation, Published, Write, Written};

pub use crate::publish::PublicationState;
pub use crate::state::change::Precondition;

use crate::author::Audience;
use crate::checkpoint::Checkpoints;
use crate::clock::Clock;
use crate::keys::ManifestSigner;
use crate::log::ChangeLog;
use crate::observe::{Observer, Watch};
use crate::private_object::PrivateObjects;
use crate::publication::Publications;
use crate::publish::{self, Options, Publisher, Publishing};
use crate::state::State;
use crate::store::ObjectStore;
use folded::Folded;

/// What a control plane is built of.
#[derive(Clone)]
pub struct Ports {
    /// The log.
    pub log: Arc<dyn ChangeLog>,
    /// The checkpoints of its state.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// Large data of the log: the keys of lists.
    pub objects: Arc<dyn PrivateObjects>,
    /// The publication items.
    pub publications: Arc<dyn Publications>,
    /// The objects that clients fetch.
    pub store: Arc<dyn ObjectStore>,
    /// The signatures of manifests.
    pub signer: Arc<dyn ManifestSigner>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What a control plane is built of whose streams are published elsewhere: it signs nothing, and writes nothing that
/// clients fetch.
#[derive(Clone)]
pub struct AppendPorts {
    /// The log.
    pub log: Arc<dyn ChangeLog>,
    /// The checkpoints of its state.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// Large data of the log: the keys of lists.
    pub objects: Arc<dyn PrivateObjects>,
    /// The publication items, which are only read.
    pub publications: Arc<dyn Publications>,
    /// Who publishes.
    pub publishing: Arc<dyn Publishing>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// How far a change has got in the streams of one environment.
pub type Views = BTreeMap<ViewId, Published>;

/// How far a change has got in the streams of each environment.
pub type Publication = BTreeMap<EnvironmentId, Views>;

/// The control plane of one project. Clones are the same.
#[derive(Clone)]
pub struct ControlPlane {
    inner: Arc<Inner>,
}

struct Inner {
    folded: Arc<Folded>,
    objects: Arc<dyn PrivateObjects>,
    publications: Arc<dyn Publications>,
    publishing: Arc<dyn Publishing>,
    watch: Watch,
    clock: Arc<dyn Clock>,
    /// Held from folding to appending, so that the writers of one process do not race each other.
    writing: tokio::sync::Mutex<()>,
    /// Shared from keeping a private object to appending the entry that names it; alone while objects that no entry
    /// names are deleted.
    keeping: tokio::sync::RwLock<()>,
    compiled: Mutex<read::Compiled>,
    /// The keys of the lists that were asked last.
    lists: lists::Held,
    /// The entry up to which everything that is said to be erased is.
    erased_through: AtomicU64,
}

impl ControlPlane {
    /// The control plane of a project, whose newest trusted root is `root`, that publishes its streams itself.
    pub fn new(project: ProjectId, root: Root, ports: Ports, options: Options) -> Self {
        let Ports { log, checkpoints, objects, publications, store, signer, clock } = ports;
        let folded = Arc::new(Folded::new(project, Arc::clone(&log), checkpoints));
        let source = Arc::new(source::Lines {
            folded: Arc::clone(&folded),
            objects: Arc::clone(&objects),
            built: Mutex::default(),
        });
        let ports = publish::Ports {
            log,
            publications: Arc::clone(&publications),
            store,
            source,
            signer,
            clock: Arc::clone(&clock),
        };
        let publisher = Publisher::new(root, ports, options);
        let watch = publisher.watch().clone();
        Self::over(folded, objects, publications, Arc::new(publisher), watch, clock)
    }

    /// The control plane of a project that appends, and asks another one to publish.
    pub fn appending(project: ProjectId, ports: AppendPorts) -> Self {
        let AppendPorts { log, checkpoints, objects, publications, publishing, clock } = ports;
        let folded = Arc::new(Folded::new(project, log, checkpoints));
        Self::over(folded, objects, publications, publishing, Watch::default(), clock)
    }

    fn over(
        folded: Arc<Folded>,
        objects: Arc<dyn PrivateObjects>,
        publications: Arc<dyn Publications>,
        publishing: Arc<dyn Publishing>,
        watch: Watch,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (writing, keeping, compiled, lists, erased_through) = Default::default();
        let inner = Inner {
            folded,
            objects,
            publications,
            publishing,
            watch,
            clock,
            writing,
            keeping,
            compiled,
            lists,
            erased_through,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Who publishes its streams. The log is to be folded first: [`Self::known_stream`].
    pub fn publishing(&self) -> &dyn Publishing {
        &*self.inner.publishing
    }

    /// The project.
    pub fn project(&self) -> &ProjectId {
        self.inner.folded.project()
    }

    /// The time by its clock.
    pub fn now(&self) -> flagstone_model::instant::Instant {
        flagstone_model::instant::Instant::from_millis(self.inner.clock.now_ms())
    }

    /// Tells this observer about the work from now on. The first one stays; returns whether this is it.
    pub fn observe(&self, observer: Arc<dyn Observer>) -> bool {
        self.inner.watch.tell(observer)
    }

    /// The time, by its clock, in Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    /// The streams of an environment, in the order in which they are published. One that is older than public views
    /// has none of these before it has a salt for them.
    fn streams(&self, state: &State, environment: &EnvironmentId) -> Vec<Stream> {
        let found = state.environment(environment.as_str());
        let has_salt = found.is_some_and(|found| found.client_salt.is_some());
        let views = state.views().into_iter();
        let views = views.filter(|(_, view)| has_salt || view.audience == Audience::Keyed);
        let stream =
            |view| Stream { project: self.project().clone(), environment: environment.clone(), view };
        views.map(|(view, _)| stream(view)).collect()
    }

    /// The stream of an environment that servers follow.
    fn stream(&self, environment: &EnvironmentId) -> Stream {
        Stream { project: self.project().clone(), environment: environment.clone(), view: ViewId::server() }
    }
}

impl Inner {
    fn erased_through(&self) -> u64 {
        self.erased_through.load(Ordering::Relaxed)
    }

    fn erased_through_now(&self, seq: u64) {
        self.erased_through.fetch_max(seq, Ordering::Relaxed);
    }
}
