//! What must never stand in a log line: every test of this suite runs with all logs on, and no line may sing.
//!
//! Whatever is secret or personal in these tests has `canary` in it: tokens, SDK keys, names of actors, attributes,
//! reasons, idempotency keys, headers that nobody asked for. A test that adds such a value names it like that.

use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};

/// What is secret has this in it, in any case.
pub(crate) const CANARY: &str = "canary";

/// How tokens and SDK keys begin, those too that the server makes.
const SECRETS: [&str; 2] = ["fat_", "fsk_"];

/// Log lines with a canary in them.
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Reads every line that is logged from here on, at every level and of every crate.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let lines = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(|| Ear(&FOUND));
        tracing::subscriber::set_global_default(lines.finish()).unwrap();
    });
}

/// Fails if any line so far had a canary in it, of whatever test.
pub(crate) fn check() {
    let found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(found.is_empty(), "logged: {found:#?}");
}

/// Whether a text has a canary in it.
pub(crate) fn sings(text: &str) -> bool {
    text.to_ascii_lowercase().contains(CANARY)
}

/// Reads lines, and keeps those that tell.
struct Ear(&'static Mutex<Vec<String>>);

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        if sings(&line) || SECRETS.iter().any(|secret| line.contains(secret)) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.into_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_with_a_canary_in_it_is_heard() {
    // Not the list of the others: one of them could look just now.
    static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let lines = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE);
    let lines = lines.with_writer(|| Ear(&HEARD)).finish();
    tracing::subscriber::with_default(lines, || {
        tracing::trace!(target: "it", secret = "a-cAnArY-1", "never");
        tracing::trace!(target: "it", secret = "fat_heard-1", "never");
        tracing::trace!(target: "it", "anything else");
    });
    assert_eq!(HEARD.lock().unwrap().len(), 2);
}
