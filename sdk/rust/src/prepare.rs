//! From verified manifest and fetched bytes to something to serve. Pure work, done off the async threads.

use std::sync::Arc;

use flagstone_bundle::content::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::manifest::{Delta, Manifest};
use flagstone_eval::{Report, Snapshot};

use crate::failure::{Failure, Object};

/// Content and its compiled form.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) content: Content,
    pub(crate) snapshot: Snapshot,
}

impl Loaded {
    pub(crate) fn compile(content: Content) -> Self {
        let (snapshot, report) = Snapshot::compile(content.lines());
        log(&report);
        Self { content, snapshot }
    }

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

    /// Another content in place of this one; what they share is not compiled again.
    pub(crate) fn replace(&self, next: Content) -> Prepared {
        let difference = next.diff(&self.content);
        self.update(next, &difference)
    }

    fn update(&self, next: Content, touched: &DeltaLines) -> Prepared {
        let update = self.snapshot.update(touched.upserts(), touched.drops());
        log(&update.report);
        Prepared { loaded: Self { content: next, snapshot: update.snapshot }, changed: update.changed }
    }
}

/// The next thing to serve.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) loaded: Loaded,
    /// The flags that changed.
    pub(crate) changed: Vec<Arc<str>>,
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
        None => Prepared { loaded: Loaded::compile(next), changed: Vec::new() },
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
