//! What readers of flags see: one immutable value, swapped whole.

use std::sync::Arc;

use flagstone_bundle::manifest::Position;
use flagstone_eval::{Details, Snapshot};
use flagstone_model::context::Context;
use flagstone_model::details::ErrorCode;
use flagstone_model::instant::Instant;
use flagstone_model::value::FlagType;

use crate::details::Circumstances;
use crate::freshness::Anchor;
use crate::overrides::Overrides;
use crate::status::Source;

/// What was loaded, all of one moment.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) snapshot: Snapshot,
    pub(crate) position: Position,
    pub(crate) issued_ms: i64,
    pub(crate) source: Source,
    pub(crate) anchor: Option<Anchor>,
}

/// What is evaluated: what was loaded, with the overrides in force.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) snapshot: Snapshot,
    /// Of what was loaded; none if only overrides are served.
    pub(crate) version: Option<u64>,
    pub(crate) anchor: Option<Anchor>,
    /// Ascending.
    overridden: Vec<Arc<str>>,
    pub(crate) loaded: Option<Arc<Loaded>>,
}

impl Served {
    pub(crate) fn new(loaded: Option<Arc<Loaded>>, overrides: &Overrides) -> Self {
        let snapshot = loaded.as_ref().map_or_else(Snapshot::empty, |loaded| loaded.snapshot.clone());
        let (snapshot, overridden) =
            if overrides.is_empty() { (snapshot, Vec::new()) } else { snapshot.with_overrides(overrides) };
        let version = loaded.as_ref().map(|loaded| loaded.position.version);
        let anchor = loaded.as_ref().and_then(|loaded| loaded.anchor);
        Self { snapshot, version, anchor, overridden, loaded }
    }

    /// Evaluates a flag. Where only overrides are served, another flag is not missing: nothing was loaded.
    pub(crate) fn evaluate(
        &self,
        key: &str,
        wanted: Option<FlagType>,
        context: &Context,
        now: impl FnOnce() -> Instant,
    ) -> Details<'_> {
        let details = self.snapshot.evaluate_when(key, wanted, context, now);
        if details.error_code == Some(ErrorCode::FlagNotFound) && self.version.is_none() {
            return Details::error(ErrorCode::ProviderNotReady);
        }
        details
    }

    /// What goes with the details of a flag.
    pub(crate) fn circumstances(&self, key: &str, stale: bool) -> Circumstances {
        let overridden = !self.overridden.is_empty()
            && self.overridden.binary_search_by(|other| (**other).cmp(key)).is_ok();
        Circumstances { version: self.version, stale, overridden }
    }
}
