//! What the client knows about itself, and the events that say when it changed.

use core::time::Duration;
use std::sync::Arc;

use flagstone_model::digest::Digest;
use tokio::sync::broadcast;

use crate::failure::Failure;
use crate::freshness::StatusBits;

/// Where what is served came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The network.
    Network,
    /// The cache directory.
    Disk,
    /// A bundle given to the builder.
    Bundle,
    /// Flags that a test made up.
    TestData,
}

impl Source {
    /// The source's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Bundle => "bundle",
            Self::TestData => "test-data",
        }
    }
}

/// How the cache directory is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Disk {
    /// No cache directory was given.
    #[default]
    Off,
    /// A cache directory was given, and nothing has gone wrong with it.
    Fine,
    /// The last save went wrong, for this reason: what is served is in memory only.
    MemoryOnly(std::io::ErrorKind),
}

/// Two manifests of one announcement that contradict each other: somebody signs two histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equivocation {
    /// SHA-256 of the payload that came first and is kept.
    pub kept: Digest,
    /// SHA-256 of the payload that is refused.
    pub offered: Digest,
}

/// A check that fails (FORMAT M-1.8): this SDK comes to something else than the flag's author expects.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedCheck {
    /// The flag. If its line was changed, the line before serves on, evaluated with everything else as it is now. At
    /// the first load, and where only what the flag reaches was changed, nothing is held back: it is only reported.
    pub flag: Arc<str>,
    /// The check's key.
    pub check: Arc<str>,
}

/// Counts since the client was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// HTTP requests sent.
    pub requests: u64,
    /// Body bytes read.
    pub bytes: u64,
    /// Polls made.
    pub polls: u64,
    /// Times new content was swapped in.
    pub swaps: u64,
    /// Deltas that could not be used, so that the whole snapshot was fetched.
    pub failed_deltas: u64,
    /// Exposures handed to the queue.
    pub exposures: u64,
    /// Tracked events handed to the queue.
    pub tracked: u64,
    /// Records that every sink took.
    pub delivered: u64,
    /// Records that a sink refused, by an error or a panic. Such an exposure is recorded anew when it recurs.
    pub undelivered: u64,
    /// Records that the full queue lost, oldest first, or that came after `close`.
    pub dropped: u64,
    /// Exposures found to be repetitions only on their way to the sinks.
    pub repeated: u64,
    /// Exposures forgotten for want of room: each may be sent once more.
    pub forgotten: u64,
    /// Exposures and tracked events not recorded because their unit is private.
    pub withheld: u64,
    /// Exposures not recorded because the context has no unit to count them by.
    pub without_unit: u64,
    /// Calls of hooks that ended in a panic.
    pub hook_panics: u64,
}

/// What the client knows about itself at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// Whether there is a snapshot to evaluate.
    pub ready: bool,
    /// Trust generation of what is served.
    pub epoch: Option<u64>,
    /// Version of what is served.
    pub version: Option<u64>,
    /// Newest announcement of it.
    pub serial: Option<u64>,
    /// Content hash of what is served.
    pub content: Option<Digest>,
    /// Time since that announcement was issued.
    pub age: Option<Duration>,
    /// Where what is served came from.
    pub source: Option<Source>,
    /// The status bits; none set means current.
    pub bits: StatusBits,
    /// What went wrong in the last poll, at any of the base URLs; gone after a poll in which nothing did.
    pub last_error: Option<Failure>,
    /// The first contradiction ever met. It stays until the process ends.
    pub equivocation: Option<Equivocation>,
    /// Lists whose newest object is not there yet, by key. One that had an older object goes on with that; tests on
    /// another are undecidable.
    pub missing_lists: Arc<[Arc<str>]>,
    /// Checks that fail, of the newest content: also those of flags whose line before serves on.
    pub failed_checks: Arc<[FailedCheck]>,
    /// How the cache directory is doing.
    pub disk: Disk,
    /// Counts since the client was built.
    pub counters: Counters,
}

impl Status {
    /// The stable code of [`last_error`](Self::last_error).
    pub fn code(&self) -> Option<&'static str> {
        self.last_error.as_ref().map(Failure::code)
    }

    /// Whether a status bit is set: what is served may be old.
    pub const fn is_stale(&self) -> bool {
        !self.bits.is_empty()
    }
}

/// What kind of change an [`Event`] tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// There is a snapshot to evaluate, for the first time.
    Ready,
    /// New content was swapped in.
    Swap,
    /// The status bits or the code changed, and the content did not.
    Status,
}

impl EventKind {
    /// The event's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Swap => "swap",
            Self::Status => "status",
        }
    }
}

/// One change of the client's state.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Event {
    /// What changed.
    pub kind: EventKind,
    /// Version of what is served.
    pub version: Option<u64>,
    /// Serial of what is served.
    pub serial: Option<u64>,
    /// Where what is served came from.
    pub source: Option<Source>,
    /// The status bits.
    pub bits: StatusBits,
    /// The code of what went wrong in the last poll.
    pub code: Option<&'static str>,
    /// With [`EventKind::Swap`]: the flags that changed or reach something that did, ascending.
    pub keys: Arc<[Arc<str>]>,
    /// Body bytes read in the poll that brought this; 0 where no poll did.
    pub fetched: u64,
    /// Requests of that poll.
    pub requests: u64,
    /// Time from the bytes to the swap: digest, decompress, apply, compile, swap.
    pub apply: Duration,
    /// Counts since the client was built.
    pub totals: Counters,
}

/// The flags that a swap or an override changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Change {
    /// The version that is served now; none if an override came before anything was loaded.
    pub version: Option<u64>,
    /// Keys of flags whose line changed or that reach a flag or segment that did, ascending.
    pub keys: Arc<[Arc<str>]>,
}

/// The events of a client: for the first subscriber since the client was built, for others from then on.
///
/// Those others get [`EventKind::Ready`] with the state of that moment first, if the client is ready by then. A
/// reader that falls more than 256 events behind loses the oldest; a first one has 32 to come in time.
#[derive(Debug)]
pub struct Events {
    pub(crate) first: Option<Event>,
    pub(crate) receiver: broadcast::Receiver<Event>,
}

impl Events {
    /// The next event, or `None` once the client was closed or dropped.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next event if one is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            match self.receiver.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}
