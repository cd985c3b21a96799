//! The state that readers, the poll loop, and observers share.

use core::fmt;
use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use flagstone_bundle::manifest::Position;
use flagstone_eval::Snapshot;
use flagstone_model::instant::Instant;
use tokio::sync::{broadcast, watch};

use crate::clock::Clock;
use crate::failure::Failure;
use crate::fetch::Traffic;
use crate::freshness::{Anchor, Freshness, Moment, StatusBits};
use crate::status::{Change, Counters, Disk, Equivocation, Event, EventKind, Events, Source, Status};

/// Events kept for a reader that is slow.
const EVENTS: usize = 256;
/// Events kept for a first reader that has not come yet.
const EARLY_EVENTS: usize = 32;

type Listener = Box<dyn Fn(&Change) + Send + Sync>;

/// What is evaluated, all of one moment.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) snapshot: Snapshot,
    pub(crate) position: Position,
    pub(crate) issued_ms: i64,
    pub(crate) source: Source,
    pub(crate) anchor: Option<Anchor>,
}

/// What a poll cost, for the event it ends in.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) fetched: u64,
    pub(crate) requests: u64,
    pub(crate) apply: Duration,
}

pub(crate) struct Shared {
    served: ArcSwapOption<Served>,
    /// Whether a bit was set when the loop last looked; read with every evaluation.
    stale: AtomicBool,
    board: Mutex<Board>,
    listeners: Mutex<Vec<Arc<Listener>>>,
    events: Mutex<Outlet>,
    ready: watch::Sender<bool>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Where events go.
struct Outlet {
    sender: Option<broadcast::Sender<Event>>,
    /// Keeps the events since the start for whoever subscribes first, unless nobody does for long.
    early: Option<broadcast::Receiver<Event>>,
}

/// All that is behind the lock; no reader of flags takes it.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) freshness: Freshness,
    pub(crate) last_error: Option<Failure>,
    pub(crate) equivocation: Option<Equivocation>,
    pub(crate) disk: Disk,
    pub(crate) counters: Counters,
    /// What observers were told last.
    told: (StatusBits, Option<&'static str>),
    /// Served once and perhaps still read: freed here, never by a reader.
    retired: Vec<Arc<Served>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("board", &self.board).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(interval: Duration, disk: Disk, clock: Arc<dyn Clock>) -> Self {
        let board = Board {
            freshness: Freshness::new(Moment::of(&*clock), interval),
            last_error: None,
            equivocation: None,
            disk,
            counters: Counters::default(),
            told: (StatusBits::default(), None),
            retired: Vec::new(),
        };
        let (sender, early) = broadcast::channel(EVENTS);
        Self {
            served: ArcSwapOption::empty(),
            stale: AtomicBool::new(false),
            board: Mutex::new(board),
            listeners: Mutex::new(Vec::new()),
            events: Mutex::new(Outlet { sender: Some(sender), early: Some(early) }),
            ready: watch::Sender::new(false),
            traffic: Arc::default(),
            clock,
        }
    }

    /// Calls `read` with what is served, the `now` to evaluate at, and whether it may be stale.
    ///
    /// The guard lives for one evaluation, takes no lock, and allocates nothing.
    pub(crate) fn with_served<T>(&self, read: impl FnOnce(Option<&Served>, Instant, bool) -> T) -> T {
        let served = self.served.load();
        let served = served.as_deref();
        let anchor = served.and_then(|served| served.anchor);
        let now = Anchor::now_ms(anchor, Moment::of(&*self.clock));
        read(served, Instant::from_millis(now), self.stale.load(Ordering::Relaxed))
    }

    pub(crate) fn served(&self) -> Option<Arc<Served>> {
        self.served.load_full()
    }

    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment::of(&*self.clock)
    }

    pub(crate) fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Serves something, and tells of it: with `keys` if the content is new.
    pub(crate) fn swap(&self, served: Served, keys: Option<Vec<Arc<str>>>, cost: Cost) {
        let version = served.position.version;
        let mut board = self.board();
        let before = self.served.swap(Some(Arc::new(served)));
        let first = before.is_none();
        board.retired.extend(before);
        board.retired.retain(|old| Arc::strong_count(old) > 1);
        let Some(keys) = keys else { return };
        let keys: Arc<[Arc<str>]> = if first { Arc::default() } else { keys.into() };
        if !first {
            board.counters.swaps = board.counters.swaps.saturating_add(1);
        }
        let kind = if first { EventKind::Ready } else { EventKind::Swap };
        self.look(&mut board);
        self.tell(&board, kind, &keys, cost);
        drop(board);
        if first {
            self.ready.send_replace(true);
        } else {
            self.notify(&Change { version, keys });
        }
    }

    /// Looks at the clocks; tells if bits or code are not what observers were told last.
    pub(crate) fn review(&self, cost: Cost) {
        let mut board = self.board();
        board.retired.retain(|old| Arc::strong_count(old) > 1);
        if self.look(&mut board) {
            self.tell(&board, EventKind::Status, &Arc::default(), cost);
        }
    }

    /// Time until the next status bit would be set if nothing arrived.
    pub(crate) fn next_change(&self) -> Option<Duration> {
        self.board().freshness.next_change(self.moment())
    }

    pub(crate) fn status(&self) -> Status {
        let served = self.served();
        let moment = self.moment();
        let board = self.board();
        let now = Anchor::now_ms(board.freshness.anchor(), moment);
        let age = served.as_ref().map(|served| {
            Duration::from_millis(u64::try_from(now.saturating_sub(served.issued_ms)).unwrap_or(0))
        });
        Status {
            ready: served.is_some(),
            epoch: served.as_ref().map(|served| served.position.epoch),
            version: served.as_ref().map(|served| served.position.version),
            serial: served.as_ref().map(|served| served.position.serial),
            content: served.as_ref().map(|served| served.position.content),
            age,
            source: served.as_ref().map(|served| served.source),
            bits: board.freshness.bits(moment),
            last_error: board.last_error.clone(),
            equivocation: board.equivocation,
            disk: board.disk,
            counters: self.counters(&board),
        }
    }

    pub(crate) fn on_change(&self, listener: Listener) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(listener));
    }

    pub(crate) fn subscribe(&self) -> Events {
        // Under the lock nothing is told, so the first event and the receiver fit together.
        let board = self.board();
        let mut outlet = self.outlet();
        if let Some(receiver) = outlet.early.take() {
            return Events { first: None, receiver };
        }
        let ready = self.served.load().is_some();
        let first = ready.then(|| self.event(&board, EventKind::Ready, &Arc::default(), Cost::default()));
        let receiver = match &outlet.sender {
            Some(sender) => sender.subscribe(),
            None => broadcast::channel(1).1,
        };
        Events { first, receiver }
    }

    /// Ends all event streams.
    pub(crate) fn hush(&self) {
        self.outlet().sender.take();
    }

    fn outlet(&self) -> MutexGuard<'_, Outlet> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, board: &mut Board) -> bool {
        let bits = board.freshness.bits(self.moment());
        self.stale.store(!bits.is_empty(), Ordering::Relaxed);
        let now = (bits, board.last_error.as_ref().map(Failure::code));
        let changed = board.told != now;
        board.told = now;
        changed
    }

    fn tell(&self, board: &Board, kind: EventKind, keys: &Arc<[Arc<str>]>, cost: Cost) {
        let event = self.event(board, kind, keys, cost);
        tracing::debug!(
            event = kind.as_str(),
            version = event.version,
            serial = event.serial,
            status = %event.bits,
            code = event.code,
            keys = event.keys.len(),
            "flags"
        );
        let mut outlet = self.outlet();
        if let Some(sender) = &outlet.sender {
            // Nobody listening is fine.
            let _ = sender.send(event);
        }
        if outlet.early.as_ref().is_some_and(|early| early.len() > EARLY_EVENTS) {
            outlet.early = None;
        }
    }

    fn event(&self, board: &Board, kind: EventKind, keys: &Arc<[Arc<str>]>, cost: Cost) -> Event {
        let served = self.served.load();
        Event {
            kind,
            version: served.as_ref().map(|served| served.position.version),
            serial: served.as_ref().map(|served| served.position.serial),
            source: served.as_ref().map(|served| served.source),
            bits: board.told.0,
            code: board.told.1,
            keys: Arc::clone(keys),
            fetched: cost.fetched,
            requests: cost.requests,
            apply: cost.apply,
            totals: self.counters(board),
        }
    }

    fn counters(&self, board: &Board) -> Counters {
        Counters { requests: self.traffic.requests(), bytes: self.traffic.bytes(), ..board.counters }
    }

    /// Calls the listeners. One that panics is told of in the log and harms nobody else.
    fn notify(&self, change: &Change) {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in listeners {
            if std::panic::catch_unwind(AssertUnwindSafe(|| listener(change))).is_err() {
                tracing::error!("a listener of flag changes panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use flagstone_model::context::Context;
    use flagstone_model::digest::Digest;

    fn served(version: u64) -> Served {
        let line = format!(
            "{{\"flag\":\"n\",\"type\":\"int\",\"rev\":1,\"on\":true,\"values\":{{\"v\":{version}}},\"fallthrough\":\"v\"}}"
        );
        let (snapshot, report) = Snapshot::compile([line.as_bytes()]);
        assert!(report.is_clean());
        let digest = Digest::of(line.as_bytes());
        let position = Position { epoch: 1, version, serial: version, content: digest, payload: digest };
        Served { snapshot, position, issued_ms: 0, source: Source::Network, anchor: None }
    }

    /// FAULTS F18: readers see versions rise, each whole, while a writer swaps as fast as it can.
    #[test]
    fn readers_never_wait_and_the_writer_frees_what_they_left() {
        const SWAPS: u64 = 2_000;
        let shared = Shared::new(Duration::from_secs(10), Disk::Off, Arc::new(SystemClock::new()));
        shared.swap(served(1), Some(Vec::new()), Cost::default());
        let weak = Arc::downgrade(&shared.served().unwrap());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut newest = 0;
                    while newest < SWAPS {
                        newest = shared.with_served(|served, now, _| {
                            let served = served.unwrap();
                            let details = served.snapshot.evaluate("n", None, &Context::new(), now);
                            let value = details.value.unwrap().to_json().as_integer().unwrap();
                            let version = served.position.version;
                            assert_eq!(u64::try_from(value).unwrap(), version);
                            assert!(version >= newest);
                            version
                        });
                    }
                });
            }
            for version in 2..=SWAPS {
                shared.swap(served(version), Some(Vec::new()), Cost::default());
            }
        });
        shared.review(Cost::default());
        assert!(shared.board().retired.is_empty());
        assert!(weak.upgrade().is_none());
        assert_eq!(shared.status().counters.swaps, SWAPS - 1);
    }
}
