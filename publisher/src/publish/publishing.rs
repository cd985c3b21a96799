//! The port behind which streams are published: in this process, or by whoever else may sign.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use flagstone_bundle::manifest::{LogHead, Stream};
use flagstone_model::key::ProjectId;

use super::{Lost, Progress, PublishError, Publisher};
use crate::trial::{self, Trial, TrialError};

/// How a stream stands: why it is not announced as it was written, if it is not.
#[derive(Debug, Default)]
pub struct Standing {
    /// The flags that are not announced as they were written, as far as the publisher that was asked has built them.
    pub withheld: BTreeSet<String>,
    /// Why the stream stands still until an operator has looked, if it does.
    pub alarm: Option<PublishError>,
}

/// Publishes the streams of a project. A control plane appends to the log and asks this for the rest, so that it needs
/// no key to sign with and no right to write what clients fetch (FORMAT T-4.6).
///
/// [`Publisher`] does it in this process.
#[async_trait]
pub trait Publishing: Send + Sync {
    /// Announces what the log holds up to `seq`, and waits for it for at most `budget`. What outlasts the budget, or
    /// can not be asked for, is [`PublicationState::Pending`](super::PublicationState::Pending): the sweep sees to it.
    async fn publish(&self, stream: &Stream, seq: u64, budget: Duration) -> Result<Progress, PublishError>;

    /// Builds the stream anew at the same seq; equal lines announce nothing.
    async fn rebuild(&self, stream: &Stream) -> Result<Progress, PublishError>;

    /// Puts right whatever is not, and sends a heartbeat when it is time.
    async fn sweep(&self, stream: &Stream) -> Result<Progress, PublishError>;

    /// How the stream stands.
    async fn standing(&self, stream: &Stream) -> Result<Standing, PublishError>;

    /// When what clients are announced was issued, in Unix milliseconds; none if there is nothing that a client would
    /// take.
    async fn announced_ms(&self, stream: &Stream) -> Result<Option<i64>, PublishError>;

    /// What an adoption would take over, and what it gives up; [`PublishError::NothingToAdopt`] if the stream does not
    /// stand still.
    async fn lost(&self, stream: &Stream) -> Result<Lost, PublishError>;

    /// Goes on from what `lost` says; [`PublishError::Contended`] if that is not how the stream stands any more.
    async fn adopt(&self, stream: &Stream, lost: &Lost, covered: LogHead) -> Result<(), PublishError>;

    /// Lets writers race for the stores that this publisher writes ([`trial::run`]).
    async fn try_stores(&self, project: &ProjectId) -> Result<Trial, TrialError>;
}

#[async_trait]
impl Publishing for Publisher {
    async fn publish(&self, stream: &Stream, seq: u64, budget: Duration) -> Result<Progress, PublishError> {
        Self::publish(self, stream, seq, budget).await
    }

    async fn rebuild(&self, stream: &Stream) -> Result<Progress, PublishError> {
        Self::rebuild(self, stream).await
    }

    async fn sweep(&self, stream: &Stream) -> Result<Progress, PublishError> {
        self.watch_root();
        Self::sweep(self, stream).await
    }

    async fn standing(&self, stream: &Stream) -> Result<Standing, PublishError> {
        Ok(Standing { withheld: self.withheld(stream), alarm: self.alarm(stream).await? })
    }

    async fn announced_ms(&self, stream: &Stream) -> Result<Option<i64>, PublishError> {
        Self::announced_ms(self, stream).await
    }

    async fn lost(&self, stream: &Stream) -> Result<Lost, PublishError> {
        Self::lost(self, stream).await
    }

    async fn adopt(&self, stream: &Stream, lost: &Lost, covered: LogHead) -> Result<(), PublishError> {
        Self::adopt(self, stream, lost, covered).await
    }

    async fn try_stores(&self, project: &ProjectId) -> Result<Trial, TrialError> {
        let (store, items) = self.stores();
        trial::run(store, items, project).await
    }
}
