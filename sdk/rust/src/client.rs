//! The client: getters on one side, the poll loop on the other, one pointer between them.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flagstone_eval::Override;
use flagstone_model::context::Context;
use flagstone_model::details::ErrorCode;
use flagstone_model::json::Json;
use flagstone_model::value::{FlagType, Value};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::builder::Builder;
use crate::connection::Connection;
use crate::details::{Circumstances, Details, Readable};
use crate::failure::Failure;
use crate::follow::{Follower, Refreshed};
use crate::message;
use crate::overrides::{self, OverrideError};
use crate::record::{self, Recorder, TrackError};
use crate::run::{Waiting, run};
use crate::shared::Shared;
use crate::status::{Change, Events, Status};

/// Requests for a poll that may queue up.
const QUEUE: usize = 16;
/// How long `close` waits for sinks.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Follows one stream and evaluates its flags.
///
/// Clones share everything. The last clone dropped ends the polling; what was handed out stays valid.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    mode: Mode,
}

/// Who makes polls.
#[derive(Debug, Clone)]
enum Mode {
    /// A task of the client's own.
    Polling(Arc<Polling>),
    /// Whoever calls `refresh`. None once the client was closed.
    Manual(Arc<tokio::sync::Mutex<Option<Follower>>>),
    /// Whoever calls `refresh`, which reads a file. None once the client was closed.
    File(Arc<tokio::sync::Mutex<Option<Follower>>>, Arc<Path>),
    /// Nobody.
    Offline,
}

#[derive(Debug)]
struct Polling {
    requests: mpsc::Sender<Waiting>,
    task: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

impl Polling {
    /// Ends the poll loop at its next pause, which it has at least once a poll.
    fn stop(&self) -> Option<JoinHandle<()>> {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        task.abort();
        self.shared.hush();
        Some(task)
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Nothing was loaded in time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no snapshot was loaded in time")]
pub struct NotReady {
    /// What the last poll ran into, if one ended.
    #[source]
    pub failure: Option<Failure>,
}

impl NotReady {
    /// The stable code: that of the last failure, or `timeout`.
    pub fn code(&self) -> &'static str {
        self.failure.as_ref().map_or("timeout", Failure::code)
    }
}

/// Why a refresh brought nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The client was closed or is offline.
    #[error("the client does not poll")]
    NotPolling,
    /// The poll failed; what was served is served on.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl RefreshError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotPolling => "not-polling",
            Self::Failed(failure) => failure.code(),
        }
    }
}

impl Client {
    /// Starts to set up a client for a connection string that was read.
    pub fn builder(connection: Connection) -> Builder {
        Builder::new(connection)
    }

    pub(crate) fn polling(follower: Follower, shared: Arc<Shared>, runtime: &Handle) -> Self {
        let (requests, receiver) = mpsc::channel(QUEUE);
        let task = runtime.spawn(run(follower, Arc::clone(&shared), receiver));
        let polling = Polling { requests, task: Mutex::new(Some(task)), shared: Arc::clone(&shared) };
        Self { shared, mode: Mode::Polling(Arc::new(polling)) }
    }

    pub(crate) fn manual(follower: Follower, shared: Arc<Shared>) -> Self {
        Self { shared, mode: Mode::Manual(Arc::new(tokio::sync::Mutex::new(Some(follower)))) }
    }

    pub(crate) fn following_file(follower: Follower, file: PathBuf, shared: Arc<Shared>) -> Self {
        let follower = Arc::new(tokio::sync::Mutex::new(Some(follower)));
        Self { shared, mode: Mode::File(follower, file.into()) }
    }

    pub(crate) const fn offline(shared: Arc<Shared>) -> Self {
        Self { shared, mode: Mode::Offline }
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

    /// Calls `listener` with the flags that changed, after each swap and each change of overrides.
    ///
    /// It runs where the change was made, mostly in the poll loop: it should be quick. The first load is no change.
    pub fn on_change(&self, listener: impl Fn(&Change) + Send + Sync + 'static) {
        self.shared.on_change(Box::new(listener));
    }

    /// What happens to the client, event by event.
    pub fn events(&self) -> Events {
        self.shared.subscribe()
    }

    /// Waits until there is a snapshot to evaluate, from wherever.
    ///
    /// A client without a background task polls once for it.
    pub async fn wait_for_ready(&self, timeout: Duration) -> Result<(), NotReady> {
        let mut ready = self.shared.ready();
        if *ready.borrow() {
            return Ok(());
        }
        if matches!(self.mode, Mode::Manual(_)) {
            // How it went is on the board, whoever polled.
            let _ = tokio::time::timeout(timeout, self.refresh()).await;
            return self.is_ready_or_why();
        }
        let waited = tokio::time::timeout(timeout, ready.wait_for(|ready| *ready)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            _ => self.is_ready_or_why(),
        }
    }

    fn is_ready_or_why(&self) -> Result<(), NotReady> {
        let ready = *self.shared.ready().borrow();
        ready.then_some(()).ok_or_else(|| NotReady { failure: self.shared.board().last_error.clone() })
    }

    /// Polls now, after the poll in flight if there is one, and says what that found.
    ///
    /// An offline client with a bundle file reads it again, on the thread that asks; without one it does not poll.
    /// `older` is among the errors here, though it only says that nothing was taken.
    pub async fn refresh(&self) -> Result<Refreshed, RefreshError> {
        match &self.mode {
            Mode::Polling(polling) => {
                let (sender, receiver) = oneshot::channel();
                polling.requests.send(sender).await.map_err(|_| RefreshError::NotPolling)?;
                Ok(receiver.await.map_err(|_| RefreshError::NotPolling)??)
            }
            Mode::Manual(follower) | Mode::File(follower, _) => {
                let mut follower = follower.lock().await;
                self.refresh_with(follower.as_mut()).await
            }
            Mode::Offline => Err(RefreshError::NotPolling),
        }
    }

    /// Polls if the last poll that went well is at least this long ago; `None` if it is not.
    ///
    /// What a function calls at the beginning of each invocation. After a poll that failed, pauses are kept as by the
    /// poll loop: `None` then too, while [`Status::last_error`] says why. Time is that of either clock, whichever ran
    /// further: one of them stands still in a process that was frozen.
    pub async fn refresh_if_older_than(&self, age: Duration) -> Result<Option<Refreshed>, RefreshError> {
        let (Mode::Manual(follower) | Mode::File(follower, _)) = &self.mode else {
            let is_due = self.shared.is_poll_due(age);
            return if is_due { self.refresh().await.map(Some) } else { Ok(None) };
        };
        // Whoever comes while another asks waits for that answer, and may find it new enough.
        let mut follower = follower.lock().await;
        if !self.shared.is_poll_due(age) {
            return Ok(None);
        }
        self.refresh_with(follower.as_mut()).await.map(Some)
    }

    async fn refresh_with(&self, follower: Option<&mut Follower>) -> Result<Refreshed, RefreshError> {
        let follower = follower.ok_or(RefreshError::NotPolling)?;
        Ok(match &self.mode {
            Mode::File(_, file) => follower.reload(file)?,
            _ => follower.poll().await.result?,
        })
    }

    /// What the client knows about itself. The status bits are those of this moment.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Ends the polling of all clones, and gives the sinks up to five seconds for what was recorded. Evaluation goes on
    /// with what is loaded.
    pub async fn close(&self) {
        match &self.mode {
            Mode::Polling(polling) => {
                if let Some(task) = polling.stop() {
                    // It was aborted, so an error is what it ends with.
                    let _ = task.await;
                }
            }
            Mode::Manual(follower) | Mode::File(follower, _) => {
                follower.lock().await.take();
                self.shared.hush();
            }
            Mode::Offline => self.shared.hush(),
        }
        if let Some(recorder) = self.recorder()
            && !recorder.close(CLOSE_PATIENCE).await
        {
            tracing::warn!("a sink did not take all flag records before the client was closed");
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
