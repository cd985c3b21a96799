//! What is recorded, and what is not: decided in the getter, without waiting.

use core::fmt;
use core::hash::BuildHasher as _;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::hash::RandomState;
use std::io;
use std::sync::Arc;

use flagstone_model::context::{Attribute, Context, Unit};
use flagstone_model::instant::Instant;
use flagstone_model::path::Path;
use tokio::sync::oneshot;

use super::delivery::{Delivery, Pending, count};
use super::{Sink, Tracked};
use crate::served::Served;
use crate::status::Counters;

/// Longest name of a tracked event, in characters.
pub const MAX_EVENT_CHARS: usize = 128;

/// Why an event is not tracked. Nothing else comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// The name is empty or longer than [`MAX_EVENT_CHARS`] characters.
    #[error("an event has a name of 1 to {MAX_EVENT_CHARS} characters")]
    Name,
    /// The value is not finite.
    #[error("the value of an event is a finite number")]
    Value,
    /// Nothing was loaded yet, so that nobody knows what the environment keeps private.
    #[error("nothing was loaded yet that says what is private")]
    NotReady,
    /// The context has no targeting key: a text that is not empty, or an integer.
    #[error("the context has no targeting key to track the event by")]
    NoUnit,
    /// The environment keeps targeting keys private.
    #[error("the targeting key is private in this environment")]
    Private,
}

impl TrackError {
    /// The stable code of this error.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Name => "event-name",
            Self::Value => "event-value",
            Self::NotReady => "not-ready",
            Self::NoUnit => "no-unit",
            Self::Private => "private-unit",
        }
    }
}

/// What a recorder is made of.
pub(crate) struct Setup<'a> {
    pub(crate) project: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) capacity: usize,
    pub(crate) sinks: Vec<Box<dyn Sink>>,
}

/// Records exposures and tracked events. Dropped, it lets the thread deliver what it has, and end.
pub(crate) struct Recorder {
    delivery: Arc<Delivery>,
    hasher: RandomState,
    targeting_key: Path,
    withheld: AtomicU64,
    without_unit: AtomicU64,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("counts", &self.delivery.counts).finish_non_exhaustive()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.delivery.close();
    }
}

impl Recorder {
    pub(crate) fn start(setup: Setup<'_>) -> io::Result<Self> {
        let Setup { project, environment, capacity, sinks } = setup;
        Ok(Self {
            delivery: Delivery::start(capacity, project, environment, sinks)?,
            hasher: RandomState::new(),
            targeting_key: Path::of_name(Context::TARGETING_KEY),
            withheld: AtomicU64::new(0),
            without_unit: AtomicU64::new(0),
        })
    }

    /// Records that a rule with `exp` decided, unless this process has recorded it already.
    pub(crate) fn expose(
        &self,
        served: &Served,
        flag: &str,
        details: &flagstone_eval::Details<'_>,
        context: &Context,
        now: impl FnOnce() -> Instant,
    ) {
        let (Some(exp), Some(rule), Some(variation), Some(version)) =
            (details.exp, details.rule, details.variation, served.version)
        else {
            return;
        };
        let by = served.snapshot.unit_path(flag, rule).unwrap_or(&self.targeting_key);
        if served.snapshot.is_private(by) {
            return count(&self.withheld);
        }
        let Some(unit) = context.resolve(by).and_then(Attribute::as_unit) else {
            return count(&self.without_unit);
        };
        let hash = self.hasher.hash_one((&**exp, flag, &**variation, by, unit.as_bytes()));
        if !self.delivery.recent.insert(hash) {
            return;
        }
        count(&self.delivery.counts.exposures);
        self.delivery.push(Pending::Exposure {
            hash,
            exp: Arc::clone(exp),
            flag: flag.into(),
            variation: Arc::clone(variation),
            by: by.to_string().into(),
            unit: text(&unit),
            rule: Arc::clone(rule),
            version,
            at: now(),
        });
    }

    /// Records that something happened to whom the context is about.
    pub(crate) fn track(
        &self,
        served: Option<&Served>,
        event: &str,
        value: Option<f64>,
        context: &Context,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), TrackError> {
        let served = served.filter(|served| served.version.is_some()).ok_or(TrackError::NotReady)?;
        if served.snapshot.is_private(&self.targeting_key) {
            count(&self.withheld);
            return Err(TrackError::Private);
        }
        let unit = context.resolve(&self.targeting_key).and_then(Attribute::as_unit);
        let unit = text(&unit.ok_or(TrackError::NoUnit)?);
        count(&self.delivery.counts.tracked);
        self.delivery.push(Pending::Tracked(Tracked { event: event.into(), value, unit, at: now() }));
        Ok(())
    }

    /// Waits until all that was recorded is with the sinks, without a runtime; whether it is.
    pub(crate) async fn flush(&self, patience: Duration) -> bool {
        self.wait(move |delivery| delivery.flush(patience)).await
    }

    /// Takes no more records, and waits until those there are were delivered; whether they were.
    pub(crate) async fn close(&self, patience: Duration) -> bool {
        self.delivery.close();
        self.wait(move |delivery| delivery.join(patience)).await
    }

    /// Waits on a thread made for it: flushes are rare, and no runtime needs to be there.
    async fn wait(&self, wait: impl FnOnce(&Delivery) -> bool + Send + 'static) -> bool {
        let (sender, receiver) = oneshot::channel();
        let delivery = Arc::clone(&self.delivery);
        let work = move || {
            // Who stopped waiting does not mind.
            let _ = sender.send(wait(&delivery));
        };
        let spawned = std::thread::Builder::new().name("flagstone-flush".to_owned()).spawn(work);
        spawned.is_ok() && receiver.await.unwrap_or(false)
    }

    /// The counters with those of this recorder.
    pub(crate) fn count(&self, counters: Counters) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.delivery.counts;
        Counters {
            exposures: read(&counts.exposures),
            tracked: read(&counts.tracked),
            delivered: read(&counts.delivered),
            undelivered: read(&counts.undelivered),
            dropped: read(&counts.dropped),
            repeated: read(&counts.repeated),
            forgotten: read(&counts.forgotten),
            withheld: read(&self.withheld),
            without_unit: read(&self.without_unit),
            ..counters
        }
    }
}

/// Whether an event can be tracked at all, sink or not.
pub(crate) fn check(event: &str, value: Option<f64>) -> Result<(), TrackError> {
    if !(1..=MAX_EVENT_CHARS).contains(&event.chars().count()) {
        return Err(TrackError::Name);
    }
    if value.is_some_and(|value| !value.is_finite()) {
        return Err(TrackError::Value);
    }
    Ok(())
}

fn text(unit: &Unit<'_>) -> Arc<str> {
    // Text or digits, so nothing is lost.
    String::from_utf8_lossy(unit.as_bytes()).into()
}
