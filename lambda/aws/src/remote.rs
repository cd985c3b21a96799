//! The publisher of another function: the port [`Publishing`] over invocations.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use flagstone_bundle::manifest::{LogHead, Stream};
use flagstone_model::key::ProjectId;
use flagstone_publisher::publication::Publications;
use flagstone_publisher::publish::{Lost, Progress, PublishError, Publishing, Standing};
use flagstone_publisher::trial::{Trial, TrialError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::asked::{Answer, Asked, LostWire, ProgressWire, StandingWire, StreamWire, TrialWire};
use crate::fault::At;

/// How long an answer is waited for that somebody asks for who is not waiting for an announcement.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an answer is waited for that says how a stream stands: more than a function needs that starts for it.
const LOOK: Duration = Duration::from_secs(5);
/// How long a connection to Lambda may take.
const CONNECT: Duration = Duration::from_secs(1);
/// How long the request may take with which nobody's announcement is waited for.
const HAND_OVER: Duration = Duration::from_secs(1);

/// Publishes by invoking the publish function.
///
/// A function that does not answer within the budget goes on until it is done: it is not told the budget, because a
/// function that has answered is frozen, whatever it has left to do.
#[derive(Clone)]
pub struct RemotePublisher {
    client: Client,
    function: Arc<str>,
    publications: Arc<dyn Publications>,
}

/// What Lambda says of a function that gave no answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionError {
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error_message: String,
}

impl RemotePublisher {
    /// Asks the function of this name or ARN, over Lambda at `endpoint` or at its usual address. How far a stream has
    /// got without an answer stands in `publications`.
    pub fn new(
        shared: &SdkConfig,
        endpoint: Option<String>,
        function: &str,
        publications: Arc<dyn Publications>,
    ) -> Self {
        // An answer is waited for as long as its caller has patience, and a publication takes as long as it takes: it
        // is not asked for a second time because the first is not done.
        let patience = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .disable_read_timeout()
            .disable_operation_timeout()
            .disable_operation_attempt_timeout()
            .build();
        let mut config = aws_sdk_lambda::config::Builder::from(shared).timeout_config(patience);
        config.set_endpoint_url(endpoint);
        let client = Client::from_conf(config.build());
        Self { client, function: function.into(), publications }
    }

    async fn ask<T: DeserializeOwned>(&self, asked: &Asked, patience: Duration) -> Result<T, PublishError> {
        let payload = serde_json::to_vec(asked).map_err(unavailable)?;
        let request = self.client.invoke().function_name(&*self.function).payload(Blob::new(payload));
        let invoked = tokio::time::timeout(patience, request.send()).await;
        let invoked = invoked.map_err(|_| unavailable("no answer in time"))?.map_err(|error| {
            let at = At::of("invoke", format!("the function `{}`", self.function), &error);
            tracing::warn!(%at, "the publish function could not be invoked");
            PublishError::from(at)
        })?;
        let payload = invoked.payload().map(AsRef::as_ref).unwrap_or_default();
        if invoked.function_error().is_some() {
            let told = serde_json::from_slice::<FunctionError>(payload);
            let told = told.map_err(|_| unavailable("the publish function failed and did not say why"))?;
            return Err(PublishError::Failed { code: told.error_type, detail: told.error_message });
        }
        match serde_json::from_slice(payload) {
            Ok(Answer::Done(done)) => Ok(done),
            Ok(Answer::Error(error)) => Err(error.into()),
            Err(_) => Err(unavailable("the answer is not the publish function's: is it another function?")),
        }
    }

    /// Leaves a publication to the function without waiting for it.
    async fn hand_over(&self, asked: &Asked) {
        let Ok(payload) = serde_json::to_vec(asked) else { return };
        let request = self
            .client
            .invoke()
            .function_name(&*self.function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload));
        match tokio::time::timeout(HAND_OVER, request.send()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                let code = error.code().unwrap_or("no answer");
                tracing::warn!(code, "a publication could not be handed over, and is left to the sweep");
            }
            Err(_) => tracing::warn!("a publication may not be handed over, and is left to the sweep"),
        }
    }

    /// How far the stream has got, as its item says.
    async fn progress(&self, stream: &Stream, seq: u64) -> Result<Progress, PublishError> {
        Ok(Progress::of(&self.publications.read(stream).await?, seq))
    }
}

#[async_trait]
impl Publishing for RemotePublisher {
    async fn publish(&self, stream: &Stream, seq: u64, budget: Duration) -> Result<Progress, PublishError> {
        let asked = Asked::Publish { stream: StreamWire(stream.clone()), seq };
        if budget.is_zero() {
            self.hand_over(&asked).await;
            return self.progress(stream, seq).await;
        }
        match tokio::time::timeout(budget, self.ask::<ProgressWire>(&asked, PATIENCE)).await {
            Ok(answered) => answered.map(Into::into),
            Err(_) => self.progress(stream, seq).await,
        }
    }

    async fn rebuild(&self, stream: &Stream) -> Result<Progress, PublishError> {
        let asked = Asked::Rebuild { stream: StreamWire(stream.clone()) };
        self.ask::<ProgressWire>(&asked, PATIENCE).await.map(Into::into)
    }

    async fn sweep(&self, stream: &Stream) -> Result<Progress, PublishError> {
        let asked = Asked::Sweep { stream: Some(StreamWire(stream.clone())) };
        self.ask::<ProgressWire>(&asked, PATIENCE).await.map(Into::into)
    }

    async fn standing(&self, stream: &Stream) -> Result<Standing, PublishError> {
        let asked = Asked::Standing { stream: StreamWire(stream.clone()) };
        self.ask::<StandingWire>(&asked, LOOK).await.map(Into::into)
    }

    /// Nearly always the claim says it; only of a stream that is not announced as it was claimed the other function is
    /// asked.
    async fn announced_ms(&self, stream: &Stream) -> Result<Option<i64>, PublishError> {
        let item = self.publications.read(stream).await?;
        if let Some(claim) = item.claim.as_ref().filter(|_| item.is_announced()) {
            return Ok(Some(claim.issued_ms));
        }
        self.ask(&Asked::Announced { stream: StreamWire(stream.clone()) }, LOOK).await
    }

    async fn lost(&self, stream: &Stream) -> Result<Lost, PublishError> {
        let asked = Asked::Lost { stream: StreamWire(stream.clone()) };
        self.ask::<LostWire>(&asked, PATIENCE).await.map(Into::into)
    }

    async fn adopt(&self, stream: &Stream, lost: &Lost, covered: LogHead) -> Result<(), PublishError> {
        let (lost, covered) = (lost.clone().into(), covered.into());
        let asked = Asked::Adopt { stream: StreamWire(stream.clone()), lost, covered };
        self.ask(&asked, PATIENCE).await
    }

    async fn try_stores(&self, _: &ProjectId) -> Result<Trial, TrialError> {
        let tried: TrialWire = self.ask(&Asked::Try, PATIENCE).await?;
        Ok(tried.read().ok_or_else(|| unavailable("the publish function is of a later release"))?)
    }
}

fn unavailable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PublishError {
    PublishError::Unavailable { source: why.into() }
}
