//! The state that readers, the poll loop, and observers share.

use core::fmt;
use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use flagstone_model::instant::Instant;
use tokio::sync::{broadcast, watch};

use crate::clock::Clock;
use crate::failure::Failure;
use crate::fetch::Traffic;
use crate::freshness::{Anchor, Freshness, Moment, StatusBits};
use crate::observe::Observers;
use crate::overrides::Overrides;
use crate::served::{Loaded, Served};
use crate::status::{Change, Counters, Disk, Equivocation, Event, EventKind, Events, FailedCheck, Status};

/// Events kept for a reader that is slow.
const EVENTS: usize = 256;
/// Events kept for a first reader that has not come yet.
const EARLY_EVENTS: usize = 32;

type Listener = Box<dyn Fn(&Change) + Send + Sync>;

/// What a poll cost, for the event it ends in.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) fetched: u64,
    pub(crate) requests: u64,
    pub(crate) apply: Duration,
}

pub(crate) struct Shared {
    /// None before anything was loaded or overridden.
    served: ArcSwapOption<Served>,
    /// Whether a bit was set when the loop last looked; read with every evaluation.
    stale: AtomicBool,
    board: Mutex<Board>,
    listeners: Mutex<Vec<Arc<Listener>>>,
    events: Mutex<Outlet>,
    ready: watch::Sender<bool>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Hooks and sinks; none costs one comparison.
    pub(crate) observers: Option<Box<Observers>>,
}

/// Where events go.
struct Outlet {
    sender: Option<broadcast::Sender<Event>>,
    /// Keeps the events since the start for whoever subscribes first, unless nobody does for long.
    early: Option<broadcast::Receiver<Event>>,
}

/// All that is behind the lock; no reader of flags takes it.
pub(crate) struct Board {
    pub(crate) freshness: Freshness,
    pub(crate) last_error: Option<Failure>,
    pub(crate) equivocation: Option<Equivocation>,
    pub(crate) disk: Disk,
    pub(crate) counters: Counters,
    pub(crate) missing_lists: Arc<[Arc<str>]>,
    pub(crate) failed_checks: Arc<[FailedCheck]>,
    /// When the last poll ended, and how long to wait if it failed.
    pub(crate) last_poll: Option<(Moment, Duration)>,
    /// When the last poll ended that did not fail.
    pub(crate) last_answer: Option<Moment>,
    /// What was loaded last, without overrides.
    loaded: Option<Arc<Loaded>>,
    overrides: Overrides,
    /// What observers were told last.
    told: (StatusBits, Option<&'static str>),
    /// Served once and perhaps still read: freed here, never by a reader.
    retired: Vec<Arc<Served>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is served and overridden is not for logs, and no lock is taken.
        let version = self.served.load().as_ref().and_then(|served| served.version);
        f.debug_struct("Shared").field("version", &version).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        interval: Duration,
        disk: Disk,
        overrides: Overrides,
        observers: Option<Box<Observers>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let served = (!overrides.is_empty()).then(|| Arc::new(Served::new(None, &overrides)));
        let board = Board {
            freshness: Freshness::new(Moment::of(&*clock), interval),
            last_error: None,
            equivocation: None,
            disk,
            counters: Counters::default(),
            missing_lists: Arc::default(),
            failed_checks: Arc::default(),
            last_poll: None,
            last_answer: None,
            loaded: None,
            overrides,
            told: (StatusBits::default(), None),
            retired: Vec::new(),
        };
        let (sender, early) = broadcast::channel(EVENTS);
        Self {
            served: ArcSwapOption::new(served),
            stale: AtomicBool::new(false),
            board: Mutex::new(board),
            listeners: Mutex::new(Vec::new()),
            events: Mutex::new(Outlet { sender: Some(sender), early: Some(early) }),
            ready: watch::Sender::new(false),
            traffic: Arc::default(),
            clock,
            observers,
        }
    }

    /// Calls `read` with what is served, and whether it may be stale.
    ///
    /// The guard lives for one evaluation, takes no lock, and allocates nothing.
    pub(crate) fn with_served<T>(&self, read: impl FnOnce(Option<&Served>, bool) -> T) -> T {
        read(self.served.load().as_deref(), self.stale.load(Ordering::Relaxed))
    }

    /// The `now` to evaluate at: it reads both clocks.
    pub(crate) fn now(&self, anchor: Option<Anchor>) -> Instant {
        Instant::from_millis(Anchor::now_ms(anchor, self.moment()))
    }

    pub(crate) fn served(&self) -> Option<Arc<Served>> {
        self.served.load_full()
    }

    fn loaded(&self) -> Option<Arc<Loaded>> {
        self.served.load().as_ref()?.loaded.clone()
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
    pub(crate) fn swap(&self, loaded: Loaded, keys: Option<Vec<Arc<str>>>, cost: Cost) {
        let version = Some(loaded.position.version);
        let mut board = self.board();
        let first = board.loaded.replace(Arc::new(loaded)).is_none();
        drop(self.serve(&mut board));
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

    /// Serves what was loaded with the overrides of this moment, and returns what was served until now.
    fn serve(&self, board: &mut Board) -> Option<Arc<Served>> {
        let nothing = board.loaded.is_none() && board.overrides.is_empty();
        let next = (!nothing).then(|| Arc::new(Served::new(board.loaded.clone(), &board.overrides)));
        let before = self.served.swap(next);
        board.retired.extend(before.clone());
        before
    }

    /// Changes the overrides, and tells listeners of the flags whose answer that may alter.
    pub(crate) fn override_with<T>(&self, change: impl FnOnce(&mut Overrides) -> T) -> T {
        let mut board = self.board();
        let old = board.overrides.clone();
        let answer = change(&mut board.overrides);
        let touched: Vec<_> = old
            .iter()
            .filter(|(key, wanted)| board.overrides.get(*key) != Some(wanted))
            .chain(board.overrides.iter().filter(|(key, wanted)| old.get(*key) != Some(wanted)))
            .map(|(key, _)| Arc::clone(key))
            .collect();
        if touched.is_empty() {
            return answer;
        }
        let before = self.serve(&mut board);
        let now = self.served();
        let keys: BTreeSet<_> = [&before, &now]
            .into_iter()
            .flatten()
            .flat_map(|served| served.snapshot.dependents(&touched))
            .collect();
        let version = board.loaded.as_ref().map(|loaded| loaded.position.version);
        drop((before, now));
        board.retired.retain(|old| Arc::strong_count(old) > 1);
        drop(board);
        self.notify(&Change { version, keys: keys.into_iter().collect() });
        answer
    }

    /// The overrides, in force or not.
    pub(crate) fn overrides(&self) -> Overrides {
        self.board().overrides.clone()
    }

    /// Looks at the clocks; tells if bits or code are not what observers were told last.
    pub(crate) fn review(&self, cost: Cost) {
        let mut board = self.board();
        board.retired.retain(|old| Arc::strong_count(old) > 1);
        if self.look(&mut board) {
            self.tell(&board, EventKind::Status, &Arc::default(), cost);
        }
    }

    /// Whether the last poll that went well is this long ago, and one that failed has had its pause.
    pub(crate) fn is_poll_due(&self, age: Duration) -> bool {
        let now = self.moment();
        let board = self.board();
        board.last_answer.is_none_or(|answer| now.since(answer) >= age)
            && board.last_poll.is_none_or(|(poll, pause)| now.since(poll) >= pause)
    }

    /// Time until the next status bit would be set if nothing arrived.
    pub(crate) fn next_change(&self) -> Option<Duration> {
        self.board().freshness.next_change(self.moment())
    }

    pub(crate) fn status(&self) -> Status {
        let served = self.loaded();
        let moment = self.moment();
        let board = self.board();
        let bits = board.freshness.bits(moment);
        // Where nobody polls, nobody else looks in between.
        self.stale.store(!bits.is_empty(), Ordering::Relaxed);
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
            bits,
            last_error: board.last_error.clone(),
            equivocation: board.equivocation,
            missing_lists: Arc::clone(&board.missing_lists),
            failed_checks: Arc::clone(&board.failed_checks),
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
        let ready = board.loaded.is_some();
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
        let served = board.loaded.as_ref();
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
        let counters =
            Counters { requests: self.traffic.requests(), bytes: self.traffic.bytes(), ..board.counters };
        self.observers.as_ref().map_or(counters, |observers| observers.count(counters))
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
    use crate::status::Source;
    use flagstone_bundle::manifest::Position;
    use flagstone_eval::Snapshot;
    use flagstone_model::context::Context;
    use flagstone_model::digest::Digest;

    fn loaded(version: u64) -> Loaded {
        let line = format!(
            "{{\"flag\":\"n\",\"type\":\"int\",\"rev\":1,\"on\":true,\"values\":{{\"v\":{version}}},\"fallthrough\":\"v\"}}"
        );
        let (snapshot, report) = Snapshot::compile([line.as_bytes()]);
        assert!(report.is_clean());
        let digest = Digest::of(line.as_bytes());
        let position = Position { epoch: 1, version, serial: version, content: digest, payload: digest };
        Loaded { snapshot, position, issued_ms: 0, source: Source::Network, anchor: None }
    }

    /// FAULTS F18: readers see versions rise, each whole, while a writer swaps as fast as it can.
    #[test]
    fn readers_never_wait_and_the_writer_frees_what_they_left() {
        const SWAPS: u64 = 2_000;
        let shared = Shared::new(
            Duration::from_secs(10),
            Disk::Off,
            Overrides::default(),
            None,
            Arc::new(SystemClock::new()),
        );
        shared.swap(loaded(1), Some(Vec::new()), Cost::default());
        let weak = Arc::downgrade(&shared.served().unwrap());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut newest = 0;
                    while newest < SWAPS {
                        newest = shared.with_served(|served, _| {
                            let served = served.unwrap();
                            let details =
                                served.snapshot.evaluate("n", None, &Context::new(), Instant::from_millis(0));
                            let value = details.value.unwrap().to_json().as_integer().unwrap();
                            let version = served.version.unwrap();
                            assert_eq!(u64::try_from(value).unwrap(), version);
                            assert!(version >= newest);
                            version
                        });
                    }
                });
            }
            for version in 2..=SWAPS {
                shared.swap(loaded(version), Some(Vec::new()), Cost::default());
            }
        });
        shared.review(Cost::default());
        assert!(shared.board().retired.is_empty());
        assert!(weak.upgrade().is_none());
        assert_eq!(shared.status().counters.swaps, SWAPS - 1);
    }
}
