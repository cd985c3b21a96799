//! How old the announcements are, and how far they are behind the log.

use flagstone_model::key::{EnvironmentId, ViewId};

use super::ControlPlane;
use super::error::ControlError;

/// What a stream looks like from outside, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamAge {
    /// Whose stream it is.
    pub environment: EnvironmentId,
    /// Its view.
    pub view: ViewId,
    /// How long ago the announced manifest was issued, in milliseconds; 0 if the clock says that it is in the future.
    /// None if the bucket has no manifest that a client would take, or cannot be read.
    pub announced_age_ms: Option<u64>,
    /// Entries of the log that are not published.
    pub lag: u64,
}

impl ControlPlane {
    /// The age and the lag of every stream: what an operator watches.
    pub async fn stream_ages(&self) -> Result<Vec<StreamAge>, ControlError> {
        let state = self.state().await?;
        let mut ages = Vec::new();
        let streams = state.environments().flat_map(|(environment, _)| self.streams(&state, environment));
        for stream in streams {
            let covered = self.inner.publications.read(&stream).await?.covered_seq();
            let announced_ms = self.inner.publishing.announced_ms(&stream).await.unwrap_or_else(|error| {
                tracing::warn!(%stream, code = error.code(), %error, "the announced manifest cannot be read");
                None
            });
            let now_ms = self.inner.clock.now_ms();
            ages.push(StreamAge {
                environment: stream.environment,
                view: stream.view,
                announced_age_ms: announced_ms
                    .map(|issued_ms| u64::try_from(now_ms.saturating_sub(issued_ms)).unwrap_or(0)),
                lag: state.seq().saturating_sub(covered),
            });
        }
        Ok(ages)
    }
}
