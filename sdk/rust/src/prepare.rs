//! From verified manifest and fetched bytes to something to serve. Pure work, done off the async threads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flagstone_bundle::content::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::manifest::{Delta, Manifest};
use flagstone_eval::{List, Report, Snapshot};
use flagstone_model::digest::Digest;
use flagstone_model::line::{Head, Kind};

use crate::failure::{Failure, Object};
use crate::status::FailedCheck;

/// Content, and what is served of it.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) content: Content,
    /// All lines, compiled.
    compiled: Snapshot,
    /// The same, but for flags whose checks fail: their lines are those of before (FORMAT M-1.8).
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

    /// The same content with lists that were missing.
    pub(crate) fn with_lists(&self, lists: &BTreeMap<Digest, Arc<List>>) -> Prepared {
        let (content, compiled) = (self.content.clone(), self.compiled.with_lists(lists));
        Prepared { content, compiled, checked_anew: BTreeSet::new() }
    }

    /// Another content in place of this one; what they share is not compiled again.
    pub(crate) fn replace(&self, next: Content) -> Prepared {
        let difference = next.diff(&self.content);
        self.update(next, &difference)
    }

    fn update(&self, next: Content, touched: &DeltaLines) -> Prepared {
        let update = self.compiled.update(touched.upserts(), touched.drops());
        log(&update.report);
        let checked_anew = touched.upserts().filter_map(|line| {
            let head = Head::parse(line).filter(|head| head.kind() == Kind::Check)?;
            head.key.rsplit_once('/').map(|(flag, _)| Arc::from(flag))
        });
        Prepared { content: next, compiled: update.snapshot, checked_anew: checked_anew.collect() }
    }
}

/// The next thing to serve, before its checks were run.
pub(crate) struct Prepared {
    content: Content,
    pub(crate) compiled: Snapshot,
    /// The flags that have a new check.
    checked_anew: BTreeSet<Arc<str>>,
}

impl Prepared {
    pub(crate) fn compile(content: Content) -> Self {
        let (compiled, report) = Snapshot::compile(content.lines());
        log(&report);
        Self { content, compiled, checked_anew: BTreeSet::new() }
    }

    /// With lists that are there already.
    pub(crate) fn with_lists(self, lists: &BTreeMap<Digest, Arc<List>>) -> Self {
        Self { compiled: self.compiled.with_lists(lists), ..self }
    }

    /// Runs the checks of what changed, and of what failed before. A flag whose checks fail is held back: its line stays
    /// what it was in what is served, and every other line changes, also those that it reaches and that reach it (FORMAT
    /// M-1.8). Also the keys of the flags that changed in what is served.
    pub(crate) fn check(self, before: Option<&Loaded>) -> (Loaded, Vec<Arc<str>>) {
        let Self { content, compiled, checked_anew: mut run } = self;
        let Some(before) = before else {
            let snapshot = compiled.clone();
            return (Loaded { content, compiled, snapshot, failed: Arc::default() }, Vec::new());
        };
        run.extend(compiled.changed_since(&before.compiled));
        run.extend(before.failed.iter().map(|failed| failed.flag.clone()));
        let failed = told(compiled.failed_checks(&run));
        let snapshot = if failed.is_empty() {
            compiled.clone()
        } else {
            compiled.holding_back(&before.snapshot, failed.iter().map(|failed| &failed.flag))
        };
        let changed = snapshot.changed_since(&before.snapshot);
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
