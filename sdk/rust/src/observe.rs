//! Those who see evaluations: the application's hooks, and the recorder of exposures.

use core::fmt;
use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicU64, Ordering};

use flagstone_model::context::Context;
use flagstone_model::instant::Instant;

use crate::details::Circumstances;
use crate::hook::{Evaluation, Hook};
use crate::overrides::{self, OverrideError, Overrides};
use crate::record::{Recorder, Setup, Sink};
use crate::served::Served;
use crate::status::Counters;

/// Records that wait for the sinks, unless another number is given.
pub const DEFAULT_RECORD_QUEUE: usize = 10_000;
/// Most records that can be made to wait.
pub const MAX_RECORD_QUEUE: usize = 1_000_000;

pub(crate) struct Observers {
    hooks: Vec<Box<dyn Hook>>,
    pub(crate) recorder: Option<Recorder>,
    /// `PROJECT/ENVIRONMENT`
    set: String,
    hook_panics: AtomicU64,
}

/// What builders of clients collect, whatever the flags come from.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) hooks: Vec<Box<dyn Hook>>,
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    pub(crate) record_queue: Option<usize>,
    /// In the order given; checked when the client is built.
    pub(crate) overrides: Vec<(String, flagstone_eval::Override)>,
}

/// Why extras cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExtrasError {
    #[error(transparent)]
    Override(#[from] OverrideError),
    #[error("the queue is out of bounds")]
    Queue,
    #[error(transparent)]
    Thread(std::io::Error),
}

impl Extras {
    pub(crate) fn overrides<K: Into<String>, V: Into<flagstone_eval::Override>>(
        &mut self,
        overrides: impl IntoIterator<Item = (K, V)>,
    ) {
        self.overrides.extend(overrides.into_iter().map(|(key, wanted)| (key.into(), wanted.into())));
    }

    pub(crate) fn start(
        self,
        project: &str,
        environment: &str,
    ) -> Result<(Overrides, Option<Box<Observers>>), ExtrasError> {
        let mut all = Overrides::new();
        for (key, wanted) in self.overrides {
            overrides::insert(&mut all, &key, wanted)?;
        }
        let capacity = self.record_queue.unwrap_or(DEFAULT_RECORD_QUEUE);
        if !(1..=MAX_RECORD_QUEUE).contains(&capacity) {
            return Err(ExtrasError::Queue);
        }
        let setup = Setup { project, environment, capacity, sinks: self.sinks };
        let recorder = if setup.sinks.is_empty() {
            None
        } else {
            Some(Recorder::start(setup).map_err(ExtrasError::Thread)?)
        };
        let observers = (recorder.is_some() || !self.hooks.is_empty()).then(|| {
            Box::new(Observers {
                hooks: self.hooks,
                recorder,
                set: format!("{project}/{environment}"),
                hook_panics: AtomicU64::new(0),
            })
        });
        Ok((all, observers))
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers")
            .field("hooks", &self.hooks.len())
            .field("recorder", &self.recorder)
            .finish_non_exhaustive()
    }
}

impl Observers {
    /// Shows an evaluation to those who want to see it. Takes no lock of its own.
    pub(crate) fn evaluated(
        &self,
        flag: &str,
        details: &flagstone_eval::Details<'_>,
        circumstances: Circumstances,
        context: &Context,
        served: Option<&Served>,
        now: impl FnOnce() -> Instant,
    ) {
        if let (Some(recorder), Some(_), Some(served)) = (&self.recorder, details.exp, served) {
            recorder.expose(served, flag, details, context, now);
        }
        if self.hooks.is_empty() {
            return;
        }
        let evaluation = Evaluation {
            flag,
            set: &self.set,
            value: details.value,
            variation: details.variation.map(|variation| &**variation),
            reason: details.reason,
            error_code: details.error_code,
            rule: details.rule.map(|rule| &**rule),
            exp: details.exp.map(|exp| &**exp),
            rev: details.rev,
            version: circumstances.version,
            stale: circumstances.stale,
            overridden: circumstances.overridden,
        };
        for hook in &self.hooks {
            if std::panic::catch_unwind(AssertUnwindSafe(|| hook.on_evaluation(&evaluation))).is_err() {
                self.hook_panics.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The counters with those of hooks and records.
    pub(crate) fn count(&self, counters: Counters) -> Counters {
        let counters = Counters { hook_panics: self.hook_panics.load(Ordering::Relaxed), ..counters };
        self.recorder.as_ref().map_or(counters, |recorder| recorder.count(counters))
    }
}
