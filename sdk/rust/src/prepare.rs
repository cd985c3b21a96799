//! From verified manifest and fetched bytes to something to serve. Pure work, done off the async threads.

use std::collections::BTreeSet;
use std::sync::Arc;

use flagstone_bundle::content::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::manifest::{Delta, Manifest};
use flagstone_eval::{Report, Snapshot};
use flagstone_model::line::{Head, Kind};

use crate::failure::{Failure, Object};
use crate::status::FailedCheck;

/// Content, and what is served of it.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) content: Content,
    /// All lines, compiled.
    compiled: Snapshot,
    /// The same, but for flags whose checks fail: they are what they were before (FORMAT M-1.8).
    pub(crate) snapshot: Snapshot,
    /// The checks of `compiled` that fail, as far as they were run.
    failed: Arc<[FailedCheck]>,
}

impl Loaded {
    /// The next version by a delta: digest, frame, lines, content hash, then only what changed is compiled.
    pub(crate) fn by_delta(
        &self,
        manifest: &Manifest,
        delta: &Delta,
        stored: &[u8],
    ) -> Result<Prepared, Failure> {
        let (next, touched) = manifest
            .apply_delta(delta, stored, &self.content)
            .map_err(|error| Failure::refused(Object::Delta, error.code(), error))?;
        Ok(self.update(next, &touched))
    }

    /// Runs all checks that there are, of something that is served already: they are only reported.
    pub(crate) fn all_failed_checks(&self) -> Arc<[FailedCheck]> {
        told(self.compiled.all_failed_checks())
    }

    /// Keeps what fails in mind, to be run again.
    pub(crate) fn note_failed(&mut self, failed: Arc<[FailedCheck]>) {
        self.failed = failed;
    }

    /// The checks that fail.
    pub(crate) const fn failed_checks(&self) -> &Arc<[FailedCheck]> {
        &self.failed
    }

    /// The lists that are missing, or older than the lines say.
    pub(crate) fn missing_lists(&self) -> Arc<[Arc<str>]> {
        self.compiled.wanted_lists().into_iter().map(|wanted| wanted.key).collect()
    }

    /// All lines, compiled.
    pub(crate) const fn compiled(&self) -> &Snapshot {
        &self.compiled
    }

    /// The same content with the objects of `lists` in `compiled`.
    pub(crate) fn with_lists(&self, compiled: &Snapshot, lists: &[Arc<str>]) -> Prepared {
        // Their lines are put in anew, so that all that reaches them is known to have changed.
        let named = |line: &&[u8]| {
            let head = Head::parse(line).filter(|head| head.kind() == Kind::List);
            head.is_some_and(|head| lists.iter().any(|key| **key == *head.key))
        };
        let lines: Vec<&[u8]> = self.content.lines().filter(named).collect();
        let update = compiled.update(lines, core::iter::empty());
        let content = self.content.clone();
        Prepared {
            content,
            compiled: update.snapshot,
            checks: update.changed.clone(),
            changed: update.changed,
        }
    }

    /// Another content in place of this one; what they share is not compiled again.
    pub(crate) fn replace(&self, next: Content) -> Prepared {
        let difference = next.diff(&self.content);
        self.update(next, &difference)
    }

    fn update(&self, next: Content, touched: &DeltaLines) -> Prepared {
        let update = self.compiled.update(touched.upserts(), touched.drops());
        log(&update.report);
        let of_checks = touched.upserts().filter_map(|line| {
            let head = Head::parse(line).filter(|head| head.kind() == Kind::Check)?;
            head.key.rsplit_once('/').map(|(flag, _)| Arc::from(flag))
        });
        let checks = update.changed.iter().cloned().chain(of_checks).collect();
        Prepared { content: next, compiled: update.snapshot, checks, changed: update.changed }
    }
}

/// The next thing to serve, before its checks were run.
#[derive(Debug)]
pub(crate) struct Prepared {
    content: Content,
    pub(crate) compiled: Snapshot,
    /// The flags whose checks are to be run.
    checks: Vec<Arc<str>>,
    /// The flags that changed.
    changed: Vec<Arc<str>>,
}

impl Prepared {
    pub(crate) fn compile(content: Content) -> Self {
        let (compiled, report) = Snapshot::compile(content.lines());
        log(&report);
        Self { content, compiled, checks: Vec::new(), changed: Vec::new() }
    }

    /// Runs the checks of what changed, and of what failed before. A flag whose checks fail is held back: it stays what it
    /// was in what is served, and every other flag changes (FORMAT M-1.8). Also the keys of the flags that changed.
    pub(crate) fn check(self, before: Option<&Loaded>) -> (Loaded, Vec<Arc<str>>) {
        let Self { content, compiled, checks, mut changed } = self;
        let Some(before) = before else {
            let snapshot = compiled.clone();
            return (Loaded { content, compiled, snapshot, failed: Arc::default() }, changed);
        };
        let failed_before: BTreeSet<Arc<str>> =
            before.failed.iter().map(|failed| failed.flag.clone()).collect();
        let run: BTreeSet<Arc<str>> = checks.into_iter().chain(failed_before.iter().cloned()).collect();
        let failed = told(compiled.failed_checks(&run));
        let held: BTreeSet<&Arc<str>> = failed.iter().map(|failed| &failed.flag).collect();
        // A flag that was taken out is gone, whatever is expected of it.
        let held: BTreeSet<&Arc<str>> = if held.is_empty() {
            held
        } else {
            compiled.flag_keys().filter(|flag| held.contains(flag)).collect()
        };
        let snapshot = if held.is_empty() {
            compiled.clone()
        } else {
            compiled.holding_back(&before.snapshot, held.iter().copied())
        };
        // Those that are not held back any more are another now.
        changed.extend(failed_before.into_iter().filter(|flag| !held.contains(flag)));
        changed.sort_unstable();
        changed.dedup();
        (Loaded { content, compiled, snapshot, failed }, changed)
    }
}

/// Says which checks fail: the flag and the check, never what was evaluated.
fn told(failed: Vec<flagstone_eval::FailedCheck>) -> Arc<[FailedCheck]> {
    let failed = failed.into_iter().map(|failed| {
        let flagstone_eval::FailedCheck { flag, check, .. } = failed;
        tracing::warn!(flag = &*flag, check = &*check, "a check fails");
        FailedCheck { flag, check }
    });
    failed.collect()
}

/// The content of a whole snapshot: digest, frame, lines, content hash.
pub(crate) fn by_snapshot(
    before: Option<&Loaded>,
    manifest: &Manifest,
    stored: &[u8],
) -> Result<Prepared, Failure> {
    let next = manifest
        .open_snapshot(stored)
        .map_err(|error| Failure::refused(Object::Snapshot, error.code(), error))?;
    // The format lets this wait for the first delta (FORMAT T-3.1); the digests are kept, so it costs nothing more.
    manifest.check(&next).map_err(|error| Failure::refused(Object::Snapshot, error.code(), error))?;
    Ok(match before {
        Some(before) => before.replace(next),
        None => Prepared::compile(next),
    })
}

/// Says what was not understood: the places, never the values.
fn log(report: &Report) {
    const MOST: usize = 20;
    for problem in report.problems.iter().take(MOST) {
        tracing::warn!(
            kind = &*problem.kind,
            key = &*problem.key,
            pointer = problem.pointer,
            code = problem.why.code(),
            "a line is not understood here"
        );
    }
    if report.problems.len() > MOST {
        tracing::warn!(more = report.problems.len() - MOST, "further places are not understood");
    }
}
