//! Flags that are not announced as they were written, because a proof of them failed: they alone, and never silently.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use flagstone_bundle::manifest::Stream;

use super::{Inner, Publisher};

/// What is not announced as it was written, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Withheld {
    /// The flags, by key.
    pub flags: BTreeSet<String>,
    /// What was found.
    pub faults: Vec<Fault>,
}

/// Something of a stream that may not be announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The stable code of the fault.
    pub code: &'static str,
    /// Where, in words.
    pub detail: String,
}

/// The flags that each stream was last announced without, as far as this process has published it.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<HashMap<Stream, BTreeSet<String>>>);

impl Publisher {
    /// The flags that are not announced as they were written, because a proof of them failed when this process built the
    /// stream last.
    pub fn withheld(&self, stream: &Stream) -> BTreeSet<String> {
        let told = self.inner.withheld.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(stream).cloned().unwrap_or_default()
    }
}

impl Inner {
    /// Tells the log and the observer of what a stream is announced without.
    pub(super) fn withhold(&self, stream: &Stream, withheld: &Withheld) {
        for Fault { code, detail } in &withheld.faults {
            self.watch.failed(code);
            tracing::error!(%stream, code, detail, "a flag is not announced as it was built, or without a check");
        }
        let mut told = self.withheld.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.entry(stream.clone()).or_default().extend(withheld.flags.iter().cloned());
    }

    /// A stream was built anew: what was withheld of it is looked for again.
    pub(super) fn withhold_nothing(&self, stream: &Stream) {
        self.withheld.0.lock().unwrap_or_else(PoisonError::into_inner).remove(stream);
    }
}
