//! Runs one target under libFuzzer, and counts how many inputs get past its parser.

use std::sync::atomic::{AtomicU64, Ordering};

static RUNS: AtomicU64 = AtomicU64::new(0);
static PAST: AtomicU64 = AtomicU64::new(0);

/// How many runs lie between two lines of the count.
const TOLD_EVERY: u64 = 1 << 18;

/// Runs the target of this name once; tells now and then how far its inputs get.
pub fn run(name: &str, bytes: &[u8]) {
    let past = PAST.fetch_add(u64::from((flagstone_fuzz::target(name).body)(bytes)), Ordering::Relaxed);
    let runs = RUNS.fetch_add(1, Ordering::Relaxed) + 1;
    if runs.is_multiple_of(TOLD_EVERY) {
        eprintln!("{name}: {past} of {runs} executions got past the parser ({} %)", past * 100 / runs);
    }
}
