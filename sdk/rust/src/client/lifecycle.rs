//! How a client lives: who makes its polls, when it is ready, and how it ends.

use core::fmt;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Client;
use crate::failure::Failure;
use crate::follow::{Follower, Refreshed};
use crate::run::{Waiting, run};
use crate::shared::{Cost, Shared};
use crate::status::{Change, Events, Status};

/// Requests for a poll that may queue up.
const QUEUE: usize = 16;
/// How long `close` waits for sinks.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Who makes polls.
#[derive(Clone)]
pub(super) enum Mode {
    /// A task of the client's own.
    Polling(Arc<Polling>),
    /// Whoever calls `refresh`. None once the client was closed.
    Manual(Arc<tokio::sync::Mutex<Option<Follower>>>),
    /// Whoever calls `refresh`, which reads a file. None once the client was closed.
    File(Arc<tokio::sync::Mutex<Option<Follower>>>, Arc<Path>),
    /// Nobody.
    Offline,
}

pub(super) struct Polling {
    requests: mpsc::Sender<Waiting>,
    task: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

/// Says only which it is: what a follower holds is not for logs.
impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Polling(_) => "Polling",
            Self::Manual(_) => "Manual",
            Self::File(..) => "File",
            Self::Offline => "Offline",
        })
    }
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
    /// An offline client with a bundle file reads it again, and the lists beside it; without one it does not poll.
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
            // Silence may have set a bit.
            self.shared.review(Cost::default());
            return Ok(None);
        }
        self.refresh_with(follower.as_mut()).await.map(Some)
    }

    async fn refresh_with(&self, follower: Option<&mut Follower>) -> Result<Refreshed, RefreshError> {
        let follower = follower.ok_or(RefreshError::NotPolling)?;
        Ok(match &self.mode {
            Mode::File(_, file) => follower.reload(file).await?,
            _ => follower.poll().await.result?,
        })
    }

    /// What the client knows about itself. The status bits are those of this moment.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Ends the polling of all clones, of a manual client after the refresh in flight, and gives the sinks up to five
    /// seconds for what was recorded. Evaluation goes on with what is loaded; what happens from here on is not recorded.
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
}
