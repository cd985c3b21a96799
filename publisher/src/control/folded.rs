//! The folded state of one project, kept up with its log.

use std::sync::{Arc, Mutex, PoisonError};

use flagstone_model::key::ProjectId;

use super::error::ControlError;
use crate::checkpoint::{self, CheckpointFault, Checkpoints, MAX_TAIL_BYTES, MAX_TAIL_ENTRIES, Mark};
use crate::log::{ChangeLog, Entry};
use crate::state::State;

/// Entries read from the log at a time.
const PAGE: usize = 1_000;

/// A state, the log it is folded from, and the checkpoints that make that quick.
pub(super) struct Folded {
    project: ProjectId,
    log: Arc<dyn ChangeLog>,
    checkpoints: Arc<dyn Checkpoints>,
    newest: Mutex<Arc<State>>,
    tail: Mutex<Tail>,
    /// Held while folding, so that many readers fold the tail once.
    folding: tokio::sync::Mutex<()>,
}

/// What this process has seen of the log behind the newest checkpoint it knows.
#[derive(Debug, Clone, Copy, Default)]
struct Tail {
    since_seq: u64,
    bytes: u64,
}

impl Folded {
    pub(super) fn new(
        project: ProjectId,
        log: Arc<dyn ChangeLog>,
        checkpoints: Arc<dyn Checkpoints>,
    ) -> Self {
        let newest = Mutex::new(Arc::new(State::new(project.clone())));
        let (tail, folding) = Default::default();
        Self { project, log, checkpoints, newest, tail, folding }
    }

    pub(super) fn project(&self) -> &ProjectId {
        &self.project
    }

    pub(super) fn log(&self) -> &dyn ChangeLog {
        &*self.log
    }

    pub(super) fn checkpoints(&self) -> &dyn Checkpoints {
        &*self.checkpoints
    }

    /// The state as of a moment after the call.
    pub(super) async fn state(&self) -> Result<Arc<State>, ControlError> {
        let _folding = self.folding.lock().await;
        let mut state = self.newest();
        if state.seq() == 0
            && let Some(found) = self.checkpointed(|_| true).await?
        {
            self.tail().since_seq = found.seq();
            state = Arc::new(found);
        }
        loop {
            let entries = self.log.read(&self.project, state.seq(), PAGE).await?;
            if entries.is_empty() {
                self.keep(&state);
                return Ok(state);
            }
            let next = Arc::make_mut(&mut state);
            for entry in &entries {
                next.apply(entry)?;
                self.count(entry);
            }
            self.keep(&state);
        }
    }

    /// The state as it was at a time: with every entry that has this time or an earlier one.
    pub(super) async fn state_at(&self, time_ms: i64) -> Result<Arc<State>, ControlError> {
        self.state_when(|head_ms, _| head_ms <= time_ms).await
    }

    /// The state as the entry `seq` left it; of a later entry than the last one, the state there is.
    pub(super) async fn state_at_seq(&self, seq: u64) -> Result<Arc<State>, ControlError> {
        self.state_when(|_, head_seq| head_seq <= seq).await
    }

    /// The state after the last entry whose time and seq are `within`, folded from the last checkpoint that is so.
    async fn state_when(
        &self,
        within: impl Fn(i64, u64) -> bool + Send + Sync,
    ) -> Result<Arc<State>, ControlError> {
        let newest = self.state().await?;
        if newest.head().is_none_or(|head| within(head.time_ms, head.seq)) {
            return Ok(newest);
        }
        let found = self.checkpointed(|mark| within(mark.head.time_ms, mark.head.seq)).await?;
        let mut state = found.unwrap_or_else(|| State::new(self.project.clone()));
        loop {
            let entries = self.log.read(&self.project, state.seq(), PAGE).await?;
            if entries.is_empty() {
                return Ok(Arc::new(state));
            }
            for entry in &entries {
                if !within(entry.header.time_ms, entry.seq()) {
                    return Ok(Arc::new(state));
                }
                state.apply(entry)?;
            }
        }
    }

    /// The state at the last checkpoint that is `wanted` and holds. One that does not is told and passed over: the
    /// log has it all.
    async fn checkpointed(
        &self,
        wanted: impl Fn(&Mark) -> bool + Send,
    ) -> Result<Option<State>, ControlError> {
        let marks = match self.checkpoints.marks(&self.project).await {
            Ok(marks) => marks,
            Err(error) => {
                tracing::warn!(project = %self.project, code = error.code(), %error, "no checkpoint can be used");
                return Ok(None);
            }
        };
        for mark in marks.iter().rev().filter(|mark| wanted(mark)) {
            match self.read(mark).await? {
                Ok(state) => return Ok(Some(state)),
                Err((code, detail)) => {
                    let seq = mark.seq();
                    tracing::warn!(project = %self.project, seq, code, detail, "a checkpoint is passed over");
                }
            }
        }
        Ok(None)
    }

    /// Reads a checkpoint of this very log; else code and detail of what is wrong with it.
    async fn read(&self, mark: &Mark) -> Result<Result<State, (&'static str, String)>, ControlError> {
        let told = |fault: &CheckpointFault| (fault.code(), fault.to_string());
        let entry = self.log.entry(&self.project, mark.seq()).await?;
        if entry.is_none_or(|entry| entry.head() != mark.head) {
            return Ok(Err(told(&CheckpointFault::Foreign)));
        }
        let stored = match self.checkpoints.stored(&self.project, mark.seq()).await {
            Ok(stored) => stored,
            Err(error) => return Ok(Err((error.code(), error.to_string()))),
        };
        let (project, mark) = (self.project.clone(), *mark);
        let read = tokio::task::spawn_blocking(move || checkpoint::read(&project, &mark, stored.as_deref()));
        match read.await {
            Ok(read) => Ok(read.map_err(|fault| told(&fault))),
            Err(_) => Ok(Err(("stopped", "the work was stopped".to_owned()))),
        }
    }

    /// Writes a checkpoint if the log has grown enough since the last one. What fails is told and tried again later.
    pub(super) async fn checkpoint(&self) {
        let (state, tail) = (self.newest(), *self.tail());
        let entries = state.seq().saturating_sub(tail.since_seq);
        if entries == 0 || (entries < MAX_TAIL_ENTRIES && tail.bytes < MAX_TAIL_BYTES) {
            return;
        }
        let seq = state.seq();
        let written = tokio::task::spawn_blocking(move || checkpoint::write(&state)).await;
        let (mark, stored) = match written {
            Ok(Ok(Some(written))) => written,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::warn!(project = %self.project, seq, code = error.code(), %error, "no checkpoint is written");
                return;
            }
        };
        let kept = async {
            let kept = self.checkpoints.keep(&self.project, &mark, &stored).await?;
            while let Some(seq) = checkpoint::surplus(&self.checkpoints.marks(&self.project).await?) {
                self.checkpoints.forget(&self.project, seq..=seq).await?;
            }
            Ok::<_, checkpoint::CheckpointError>(kept)
        };
        match kept.await {
            Ok(kept) => {
                *self.tail() = Tail { since_seq: seq, bytes: 0 };
                tracing::debug!(project = %self.project, seq, kept, bytes = stored.len(), "checkpoint");
            }
            Err(error) => {
                tracing::warn!(project = %self.project, seq, code = error.code(), %error, "no checkpoint is kept");
            }
        }
    }

    /// The seq of the newest state this process knows.
    pub(super) fn newest_seq(&self) -> u64 {
        self.newest().seq()
    }

    /// Keeps a state to which an entry has led that this process appended.
    pub(super) fn advance(&self, state: Arc<State>, entry: &Entry) -> Arc<State> {
        self.count(entry);
        self.keep(&state);
        state
    }

    fn count(&self, entry: &Entry) {
        let data = entry.data.as_ref().map_or(0, |data| data.bytes.len());
        let size = entry.header_bytes.len().saturating_add(data);
        let mut tail = self.tail();
        tail.bytes = tail.bytes.saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
    }

    fn tail(&self) -> std::sync::MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest state this process knows.
    pub(super) fn newest(&self) -> Arc<State> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, state: &Arc<State>) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.seq() < state.seq() {
            *newest = Arc::clone(state);
        }
    }
}
