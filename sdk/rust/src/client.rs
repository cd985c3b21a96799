//! The client: getters on one side, the poll loop on the other, one pointer between them.

mod lifecycle;

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use flagstone_eval::Override;
use flagstone_model::context::Context;
use flagstone_model::details::ErrorCode;
use flagstone_model::json::Json;
use flagstone_model::value::{FlagType, Value};

use crate::builder::Builder;
use crate::connection::Connection;
use crate::details::{Circumstances, Details, Readable};
use crate::message;
use crate::overrides::{self, OverrideError};
use crate::record::{self, Recorder, TrackError};
use crate::shared::Shared;
use lifecycle::Mode;
pub use lifecycle::{NotReady, RefreshError};

/// Follows one stream and evaluates its flags.
///
/// Clones share everything. The last clone dropped ends the polling; what was handed out stays valid.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    mode: Mode,
}

impl Client {
    /// Starts to set up a client for a connection string that was read.
    pub fn builder(connection: Connection) -> Builder {
        Builder::new(connection)
    }

    /// The value of a `bool` flag.
    pub fn bool(&self, key: &str, default: bool, context: &Context) -> bool {
        self.read(key, context, || default)
    }

    /// Whether a `bool` flag serves `true`; `false` by default.
    pub fn is_enabled(&self, key: &str, context: &Context) -> bool {
        self.bool(key, false, context)
    }

    /// The value of a `string` flag. The default becomes an `Arc` only if it is returned.
    pub fn string(&self, key: &str, default: impl Into<Arc<str>>, context: &Context) -> Arc<str> {
        self.read(key, context, || default.into())
    }

    /// The value of an `int` flag.
    pub fn int(&self, key: &str, default: i64, context: &Context) -> i64 {
        self.read(key, context, || default)
    }

    /// The value of a `float` or `int` flag.
    pub fn float(&self, key: &str, default: f64, context: &Context) -> f64 {
        self.read(key, context, || default)
    }

    /// The value of a flag of any type, as JSON.
    pub fn json(
        &self,
        key: &str,
        default: impl Into<Arc<Json<'static>>>,
        context: &Context,
    ) -> Arc<Json<'static>> {
        self.read(key, context, || default.into())
    }

    /// The value of a `bool` flag, and why.
    pub fn bool_details(&self, key: &str, default: bool, context: &Context) -> Details<bool> {
        self.explain(key, context, || default)
    }

    /// The value of a `string` flag, and why.
    pub fn string_details(
        &self,
        key: &str,
        default: impl Into<Arc<str>>,
        context: &Context,
    ) -> Details<Arc<str>> {
        self.explain(key, context, || default.into())
    }

    /// The value of an `int` flag, and why.
    pub fn int_details(&self, key: &str, default: i64, context: &Context) -> Details<i64> {
        self.explain(key, context, || default)
    }

    /// The value of a `float` or `int` flag, and why.
    pub fn float_details(&self, key: &str, default: f64, context: &Context) -> Details<f64> {
        self.explain(key, context, || default)
    }

    /// The value of a flag of any type as JSON, and why.
    pub fn json_details(
        &self,
        key: &str,
        default: impl Into<Arc<Json<'static>>>,
        context: &Context,
    ) -> Details<Arc<Json<'static>>> {
        self.explain(key, context, || default.into())
    }

    /// The value of a flag as its own type, and why; no value where a default value would stand.
    pub fn details(&self, key: &str, context: &Context) -> Details<Option<Value>> {
        self.evaluate(key, None, context, |details, circumstances| {
            Details::of(details, circumstances, |value| Some(Some(value.clone())), || None)
        })
    }

    /// The key of the variation a flag serves; none where a default value would stand.
    pub fn variation(&self, key: &str, context: &Context) -> Option<Arc<str>> {
        self.evaluate(key, None, context, |details, _| details.variation.cloned())
    }

    /// The details of every flag, by key, all of one snapshot; none before one was loaded.
    ///
    /// Nobody asks for *that* flag here, so no exposure is recorded and no hook is called.
    pub fn all_flags(&self, context: &Context) -> BTreeMap<Arc<str>, Details<Option<Value>>> {
        self.shared.with_served(|served, stale| {
            let Some(served) = served else { return BTreeMap::new() };
            let now = self.shared.now(served.anchor);
            let details = |key: &Arc<str>| {
                let details = served.snapshot.evaluate(key, None, context, now);
                let circumstances = served.circumstances(key, stale);
                Details::of(&details, circumstances, |value| Some(Some(value.clone())), || None)
            };
            served.snapshot.flag_keys().map(|key| (Arc::clone(key), details(key))).collect()
        })
    }

    /// What details of this flag mean, in a sentence for a person, where something is wrong: a key misspelled, a type
    /// mixed up. `None` where nothing is.
    ///
    /// It is made only here, when somebody asks: it looks at all keys for one that is alike.
    pub fn message<T>(&self, key: &str, details: &Details<T>) -> Option<String> {
        self.shared.with_served(|served, _| {
            message::of(key, details.reason, details.error_code, served.map(|served| &served.snapshot))
        })
    }

    /// The keys of all flags, ascending; none before a snapshot was loaded.
    pub fn flag_keys(&self) -> Vec<Arc<str>> {
        let mut keys: Vec<_> = self
            .shared
            .served()
            .iter()
            .flat_map(|served| served.snapshot.flag_keys().cloned().collect::<Vec<_>>())
            .collect();
        keys.sort_unstable();
        keys
    }

    /// Puts a value, or one of the flag's variations, in place of what was published, in this process only.
    ///
    /// It holds for all clones, before and after every update, and inside conditions on the flag: a prerequisite sees
    /// the overridden variation. Details say [`Reason::Static`](crate::Reason::Static) and
    /// [`overridden`](Details::overridden); no exposure is recorded. Listeners are told. A value of another type than
    /// the getter's is a type mismatch, as with any flag; a variation that the flag does not have overrides nothing.
    pub fn set_override(&self, key: &str, wanted: impl Into<Override>) -> Result<(), OverrideError> {
        self.shared.override_with(|all| overrides::insert(all, key, wanted.into()))
    }

    /// Takes the override of a flag away; whether there was one.
    pub fn clear_override(&self, key: &str) -> bool {
        self.shared.override_with(|all| all.remove(key).is_some())
    }

    /// Takes all overrides away.
    pub fn clear_overrides(&self) {
        self.shared.override_with(BTreeMap::clear);
    }

    /// The overrides by flag key, also those that are not in force for want of the flag or variation.
    pub fn overrides(&self) -> BTreeMap<Arc<str>, Override> {
        self.shared.overrides()
    }

    /// Records that something happened to whom the context is about, with a value if it has one.
    ///
    /// The event goes to the sinks with the targeting key and no other attribute. It never waits; without a sink
    /// nothing is recorded.
    pub fn track(&self, event: &str, value: Option<f64>, context: &Context) -> Result<(), TrackError> {
        record::check(event, value)?;
        let Some(recorder) = self.recorder() else { return Ok(()) };
        self.shared.with_served(|served, _| {
            let now = || self.shared.now(served.and_then(|served| served.anchor));
            recorder.track(served, event, value, context, now)
        })
    }

    /// Waits until the sinks have all that was recorded before, at most so long; whether they have.
    pub async fn flush(&self, patience: Duration) -> bool {
        match self.recorder() {
            Some(recorder) => recorder.flush(patience).await,
            None => true,
        }
    }

    fn recorder(&self) -> Option<&Recorder> {
        self.shared.observers.as_ref()?.recorder.as_ref()
    }

    fn read<T: Readable>(&self, key: &str, context: &Context, default: impl FnOnce() -> T) -> T {
        self.evaluate(key, Some(T::TYPE), context, |details, _| {
            details.value.and_then(T::read).unwrap_or_else(default)
        })
    }

    fn explain<T: Readable>(&self, key: &str, context: &Context, default: impl FnOnce() -> T) -> Details<T> {
        self.evaluate(key, Some(T::TYPE), context, |details, circumstances| {
            Details::of(details, circumstances, T::read, default)
        })
    }

    fn evaluate<T>(
        &self,
        key: &str,
        wanted: Option<FlagType>,
        context: &Context,
        answer: impl FnOnce(&flagstone_eval::Details<'_>, Circumstances) -> T,
    ) -> T {
        self.shared.with_served(|served, stale| {
            let now = || self.shared.now(served.and_then(|served| served.anchor));
            let details = match served {
                Some(served) => served.evaluate(key, wanted, context, now),
                None => flagstone_eval::Details::error(ErrorCode::ProviderNotReady),
            };
            let circumstances = match served {
                Some(served) => served.circumstances(key, stale),
                None => Circumstances { version: None, stale, overridden: false },
            };
            if let Some(observers) = &self.shared.observers {
                observers.evaluated(key, &details, circumstances, context, served, now);
            }
            answer(&details, circumstances)
        })
    }
}
