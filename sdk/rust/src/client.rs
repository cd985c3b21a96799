//! The client: getters on one side, the poll loop on the other, one pointer between them.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use flagstone_model::context::Context;
use flagstone_model::details::ErrorCode;
use flagstone_model::json::Json;
use flagstone_model::value::{FlagType, Value};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::builder::Builder;
use crate::connection::Connection;
use crate::details::{Details, Readable};
use crate::failure::Failure;
use crate::follow::{Follower, Refreshed};
use crate::run::{Waiting, run};
use crate::shared::Shared;
use crate::status::{Change, Events, Status};

/// Requests for a poll that may queue up.
const QUEUE: usize = 16;

/// Follows one stream and evaluates its flags.
///
/// Clones share everything. The last clone dropped ends the polling; what was handed out stays valid.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    polling: Option<Arc<Polling>>,
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
        Self { shared, polling: Some(Arc::new(polling)) }
    }

    pub(crate) const fn offline(shared: Arc<Shared>) -> Self {
        Self { shared, polling: None }
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
        self.evaluate(key, None, context, |details, version, stale| {
            Details::of(details, version, stale, |value| Some(Some(value.clone())), || None)
        })
    }

    /// The key of the variation a flag serves; none where a default value would stand.
    pub fn variation(&self, key: &str, context: &Context) -> Option<Arc<str>> {
        self.evaluate(key, None, context, |details, _, _| details.variation.cloned())
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

    /// Calls `listener` after each swap with the flags that changed, for as long as the client polls.
    ///
    /// It runs in the poll loop: it should be quick. The first load is no change.
    pub fn on_change(&self, listener: impl Fn(&Change) + Send + Sync + 'static) {
        self.shared.on_change(Box::new(listener));
    }

    /// What happens to the client, event by event.
    pub fn events(&self) -> Events {
        self.shared.subscribe()
    }

    /// Waits until there is a snapshot to evaluate, from wherever.
    pub async fn wait_for_ready(&self, timeout: Duration) -> Result<(), NotReady> {
        let mut ready = self.shared.ready();
        let waited = tokio::time::timeout(timeout, ready.wait_for(|ready| *ready)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            _ => Err(NotReady { failure: self.shared.board().last_error.clone() }),
        }
    }

    /// Polls now, after the poll in flight if there is one, and says what that found.
    ///
    /// `older` is among the errors here, though it only says that nothing was taken.
    pub async fn refresh(&self) -> Result<Refreshed, RefreshError> {
        let polling = self.polling.as_ref().ok_or(RefreshError::NotPolling)?;
        let (sender, receiver) = oneshot::channel();
        polling.requests.send(sender).await.map_err(|_| RefreshError::NotPolling)?;
        Ok(receiver.await.map_err(|_| RefreshError::NotPolling)??)
    }

    /// What the client knows about itself. The status bits are those of this moment.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Ends the polling of all clones. Evaluation goes on with what is loaded.
    pub async fn close(&self) {
        if let Some(task) = self.polling.as_ref().and_then(|polling| polling.stop()) {
            // It was aborted, so an error is what it ends with.
            let _ = task.await;
        }
    }

    fn read<T: Readable>(&self, key: &str, context: &Context, default: impl FnOnce() -> T) -> T {
        self.evaluate(key, Some(T::TYPE), context, |details, _, _| {
            details.value.and_then(T::read).unwrap_or_else(default)
        })
    }

    fn explain<T: Readable>(&self, key: &str, context: &Context, default: impl FnOnce() -> T) -> Details<T> {
        self.evaluate(key, Some(T::TYPE), context, |details, version, stale| {
            Details::of(details, version, stale, T::read, default)
        })
    }

    fn evaluate<T>(
        &self,
        key: &str,
        wanted: Option<FlagType>,
        context: &Context,
        answer: impl FnOnce(&flagstone_eval::Details<'_>, Option<u64>, bool) -> T,
    ) -> T {
        self.shared.with_served(|served, now, stale| match served {
            Some(served) => {
                let details = served.snapshot.evaluate(key, wanted, context, now);
                answer(&details, Some(served.position.version), stale)
            }
            None => answer(&flagstone_eval::Details::error(ErrorCode::ProviderNotReady), None, stale),
        })
    }
}
