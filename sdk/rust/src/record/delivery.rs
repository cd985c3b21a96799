//! From the getters to the sinks: a bounded queue without locks, and the one thread that empties it.

use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use crossbeam_queue::ArrayQueue;
use flagstone_model::instant::Instant;

use super::recent::{Delivered, Recent};
use super::{Exposure, Id, Identity, Record, Sink, Tracked};

/// What getters and `track` put into the queue; the rest is done by the thread.
#[derive(Debug)]
pub(crate) enum Pending {
    Exposure {
        /// Under which [`Recent`] knows it.
        hash: u64,
        exp: Arc<str>,
        flag: Arc<str>,
        variation: Arc<str>,
        by: Arc<str>,
        unit: Arc<str>,
        rule: Arc<str>,
        version: u64,
        at: Instant,
    },
    Tracked(Tracked),
}

/// What is shared by those who put in and the one who takes out.
#[derive(Debug)]
pub(crate) struct Delivery {
    queue: ArrayQueue<Pending>,
    pub(crate) recent: Recent,
    pub(crate) counts: Counts,
    project: Arc<str>,
    environment: Arc<str>,
    thread: OnceLock<Thread>,
    /// No record is taken any more.
    closing: AtomicBool,
    /// How many flushes were asked for.
    asked: AtomicU64,
    progress: Mutex<Progress>,
    progressed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// Flushes up to this one have been made.
    flushed: u64,
    /// The thread has ended.
    ended: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) exposures: AtomicU64,
    pub(crate) tracked: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) undelivered: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) forgotten: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Delivery {
    /// Starts the thread.
    pub(crate) fn start(
        capacity: usize,
        project: &str,
        environment: &str,
        sinks: Vec<Box<dyn Sink>>,
    ) -> io::Result<Arc<Self>> {
        let delivery = Arc::new(Self {
            queue: ArrayQueue::new(capacity.max(1)),
            recent: Recent::new(),
            counts: Counts::default(),
            project: project.into(),
            environment: environment.into(),
            thread: OnceLock::new(),
            closing: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            progress: Mutex::default(),
            progressed: Condvar::new(),
        });
        let own = Arc::clone(&delivery);
        let work = move || own.run(sinks);
        let handle = std::thread::Builder::new().name("flagstone-records".to_owned()).spawn(work)?;
        let _ = delivery.thread.set(handle.thread().clone());
        Ok(delivery)
    }

    /// Puts a record in, at the cost of the oldest if there is no room. Never waits.
    pub(crate) fn push(&self, pending: Pending) {
        if self.closing.load(Ordering::Acquire) {
            self.lost(&pending);
            return;
        }
        if let Some(oldest) = self.queue.force_push(pending) {
            self.lost(&oldest);
        }
        self.wake();
    }

    /// Waits until all that was put in before is with the sinks, at most so long; whether it is.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let mine = self.asked.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        self.wake();
        self.wait(patience, |progress| progress.flushed >= mine || progress.ended)
    }

    /// Takes no more records. The thread delivers those it has, and ends.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake();
    }

    /// Waits until the thread has ended after [`Delivery::close`], at most so long; whether it has.
    pub(crate) fn join(&self, patience: Duration) -> bool {
        self.wait(patience, |progress| progress.ended)
    }

    fn wait(&self, patience: Duration, reached: impl Fn(&Progress) -> bool) -> bool {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.progressed.wait_timeout_while(progress, patience, |progress| !reached(progress));
        reached(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn lost(&self, pending: &Pending) {
        count(&self.counts.dropped);
        self.forget(pending);
    }

    /// An exposure that nobody got is new the next time.
    fn forget(&self, pending: &Pending) {
        if let Pending::Exposure { hash, .. } = pending {
            self.recent.remove(*hash);
        }
    }

    fn run(&self, mut sinks: Vec<Box<dyn Sink>>) {
        // Whoever started the thread may not have noted it yet, and would not wake it then.
        let _ = self.thread.set(std::thread::current());
        let mut delivered = Delivered::default();
        loop {
            let closing = self.closing.load(Ordering::Acquire);
            let asked = self.asked.load(Ordering::Acquire);
            // Those that are there now, and no more: a flush must end though others go on.
            for _ in 0..self.queue.len() {
                let Some(pending) = self.queue.pop() else { break };
                self.deliver(&pending, &mut sinks, &mut delivered);
            }
            for sink in &mut sinks {
                attempt(|| sink.flush());
            }
            let ends = closing && self.queue.is_empty();
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            (progress.flushed, progress.ended) = (asked, ends);
            drop(progress);
            self.progressed.notify_all();
            if ends {
                return;
            }
            if self.queue.is_empty() && self.asked.load(Ordering::Acquire) == asked {
                std::thread::park();
            }
        }
    }

    fn deliver(&self, pending: &Pending, sinks: &mut [Box<dyn Sink>], delivered: &mut Delivered) {
        let (record, id) = self.record(pending);
        if id.is_some_and(|id| delivered.contains(id)) {
            return count(&self.counts.repeated);
        }
        let mut taken = true;
        for sink in sinks {
            taken &= attempt(|| sink.deliver(&record));
        }
        if !taken {
            count(&self.counts.undelivered);
            return self.forget(pending);
        }
        count(&self.counts.delivered);
        if id.is_some_and(|id| delivered.insert(id)) {
            count(&self.counts.forgotten);
        }
    }

    /// What sinks are given, and of an exposure its id.
    fn record(&self, pending: &Pending) -> (Record, Option<Id>) {
        match pending {
            Pending::Tracked(tracked) => (Record::Tracked(tracked.clone()), None),
            Pending::Exposure { hash: _, exp, flag, variation, by, unit, rule, version, at } => {
                let identity = Identity {
                    project: &self.project,
                    environment: &self.environment,
                    exp,
                    flag,
                    variation,
                    by,
                    unit,
                };
                let id = identity.id();
                let exposure = Exposure {
                    id: id.to_string(),
                    exp: Arc::clone(exp),
                    flag: Arc::clone(flag),
                    variation: Arc::clone(variation),
                    by: Arc::clone(by),
                    unit: Arc::clone(unit),
                    rule: Arc::clone(rule),
                    version: *version,
                    at: *at,
                };
                (Record::Exposure(exposure), Some(id))
            }
        }
    }
}

/// Whether a sink did what it was asked to.
fn attempt(work: impl FnOnce() -> io::Result<()>) -> bool {
    match std::panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(kind = %error.kind(), "a sink of flag records refused one");
            false
        }
        Err(_) => {
            tracing::error!("a sink of flag records panicked");
            false
        }
    }
}
