//! How long an announcement has stood, as this process saw it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use flagstone_bundle::manifest::Stream;

/// For each stream, how long its newest serial has been seen.
///
/// The time of an announcement is no measure of that once the clock is set back: it is in the future then, perhaps for
/// days, and clients would call the stream frozen. What passes between two looks at the clock is, whatever it is set
/// to.
#[derive(Debug, Default)]
pub(super) struct Pulses(Mutex<HashMap<Stream, Pulse>>);

#[derive(Debug, Clone, Copy)]
struct Pulse {
    serial: u64,
    seen_ms: i64,
    waited_ms: u64,
}

impl Pulses {
    /// Notes that `serial` stands, and says how long it has been seen by `now_ms`, in milliseconds. Time that the clock
    /// was set back is left out.
    pub(super) fn saw(&self, stream: &Stream, serial: u64, now_ms: i64) -> u64 {
        let mut pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited_ms = pulses.get(stream).filter(|pulse| pulse.serial == serial).map_or(0, |pulse| {
            let passed = now_ms.saturating_sub(pulse.seen_ms);
            pulse.waited_ms.saturating_add(u64::try_from(passed).unwrap_or(0))
        });
        pulses.insert(stream.clone(), Pulse { serial, seen_ms: now_ms, waited_ms });
        waited_ms
    }
}
