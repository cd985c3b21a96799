//! The publish function: signs, and writes what clients fetch. It appends nothing.
//!
//! One invocation does one thing and answers when it is done, or just before Lambda would end the process. What was cut
//! off, in whatever step, is found by the next sweep and goes on from there (FORMAT T-4.5); what is frozen in the middle
//! of a step may go on later, and changes nothing then that somebody else has done since.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use flagstone_bundle::manifest::Stream;
use flagstone_bundle::root::Root;
use flagstone_publisher::clock::Clock;
use flagstone_publisher::control::{ControlError, ControlPlane, Ports};
use flagstone_publisher::keys::publish_root;
use flagstone_publisher::publish::{Options, PublishError};
use flagstone_publisher::store::ObjectStore;
use serde::Serialize;
use serde_json::Value;

use crate::asked::{Answer, Asked, ErrorWire, LostWire, ProgressWire, StandingWire, TrialWire};
use crate::failure::Failure;

/// How long before its deadline an invocation gives up what it does, so that it can still answer.
pub const RESERVE: Duration = Duration::from_millis(500);
/// How long a bucket that was found as it must be is not looked at again, in milliseconds: an hour.
pub const INSPECTED_MS: i64 = 3_600_000;
/// Most members of a strange event that are named.
const MAX_NAMED: usize = 8;

/// The publish function, without Lambda around it.
#[derive(Clone)]
pub struct PublishFunction {
    control: ControlPlane,
    store: Arc<dyn ObjectStore>,
    root: Root,
    clock: Arc<dyn Clock>,
    /// When the bucket was last found as it must be, in Unix milliseconds.
    inspected_ms: Arc<AtomicI64>,
}

impl PublishFunction {
    /// Publishes under this root.
    pub fn new(root: Root, ports: Ports, options: Options) -> Self {
        let (store, clock) = (Arc::clone(&ports.store), Arc::clone(&ports.clock));
        let control = ControlPlane::new(root.project().clone(), root.clone(), ports, options);
        Self { control, store, root, clock, inspected_ms: Arc::new(AtomicI64::new(i64::MIN)) }
    }

    /// Does what an event asks for, with that much time until Lambda ends the process.
    ///
    /// # Errors
    ///
    /// An event that is none of its own, and a sweep that did not put everything right: Lambda counts these as errors
    /// of the function. Whatever else goes wrong is an answer with a code.
    pub async fn handle(&self, event: &str, left: Duration) -> Result<Value, Failure> {
        let asked = asked(event)?;
        let left = left.saturating_sub(RESERVE);
        let is_whole_sweep = matches!(asked, Asked::Sweep { stream: None });
        match within(left, self.one(asked, left)).await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(ErrorWire { code, detail, .. })) if is_whole_sweep => Err(Failure { code, detail }),
            None if is_whole_sweep => Err(Failure::sweep_given_up()),
            Some(Err(error)) => Ok(answered(&Answer::<()>::Error(error))),
            None => Ok(answered(&Answer::<()>::Error((&PublishError::TimedOut).into()))),
        }
    }

    /// Does one thing.
    async fn one(&self, asked: Asked, left: Duration) -> Result<Value, ErrorWire> {
        let publishing = self.control.publishing();
        let told = |error: PublishError| {
            tracing::error!(code = error.code(), %error, "what was asked for is not done");
            ErrorWire::from(&error)
        };
        Ok(match asked {
            Asked::Publish { stream, seq } => {
                let stream = self.known(&stream.0).await?;
                done::<ProgressWire>(publishing.publish(stream, seq, left).await.map_err(told)?)
            }
            Asked::Rebuild { stream } => {
                let stream = self.known(&stream.0).await?;
                done::<ProgressWire>(publishing.rebuild(stream).await.map_err(told)?)
            }
            Asked::Sweep { stream: Some(stream) } => {
                let stream = self.known(&stream.0).await?;
                done::<ProgressWire>(publishing.sweep(stream).await.map_err(told)?)
            }
            Asked::Sweep { stream: None } => {
                self.sweep().await?;
                answered(&Answer::Done(()))
            }
            Asked::Standing { stream } => {
                let stream = self.known(&stream.0).await?;
                done::<StandingWire>(publishing.standing(stream).await.map_err(told)?)
            }
            Asked::Announced { stream } => {
                let stream = self.known(&stream.0).await?;
                done::<Option<i64>>(publishing.announced_ms(stream).await.map_err(told)?)
            }
            Asked::Lost { stream } => {
                let stream = self.known(&stream.0).await?;
                done::<LostWire>(publishing.lost(stream).await.map_err(told)?)
            }
            Asked::Adopt { stream, lost, covered } => {
                let stream = self.known(&stream.0).await?;
                publishing.adopt(stream, &lost.into(), covered.into()).await.map_err(told)?;
                answered(&Answer::Done(()))
            }
            Asked::Try => {
                let tried = self.control.try_stores().await;
                done::<TrialWire>(tried.map_err(|error| {
                    tracing::error!(code = error.code(), %error, "the stores are not tried");
                    ErrorWire::plain(error.code(), &error)
                })?)
            }
        })
    }

    /// Folds the log, so that the newest state is known, and looks whether there is such a stream.
    async fn known<'s>(&self, stream: &'s Stream) -> Result<&'s Stream, ErrorWire> {
        match self.control.known_stream(stream).await {
            Ok(_) => Ok(stream),
            Err(error) => {
                tracing::error!(%stream, code = error.code(), %error, "the stream can not be published");
                Err(ErrorWire::from(&error))
            }
        }
    }

    /// The bucket is as it must be, the root document where clients find it, and every stream as it should be. What is
    /// wrong with one of them holds up none of the others.
    async fn sweep(&self) -> Result<(), ErrorWire> {
        let (inspected, rooted, swept) =
            tokio::join!(self.inspect_bucket(), self.put_root(), self.control.sweep_streams());
        inspected.and(rooted).and(swept.map_err(|error| ErrorWire::plain(error.code(), &error)))
    }

    /// Whether the bucket is as it must be; one that was is not looked at again for a while.
    async fn inspect_bucket(&self) -> Result<(), ErrorWire> {
        let now_ms = self.clock.now_ms();
        if (0..INSPECTED_MS).contains(&now_ms.saturating_sub(self.inspected_ms.load(Ordering::Relaxed))) {
            return Ok(());
        }
        self.store.inspect().await.map_err(|error| {
            tracing::error!(code = error.code(), %error, "the public bucket is not as it must be");
            ErrorWire::plain(error.code(), &error)
        })?;
        self.inspected_ms.store(now_ms, Ordering::Relaxed);
        Ok(())
    }

    /// Puts the root document where clients find it, unless these very bytes are there.
    async fn put_root(&self) -> Result<(), ErrorWire> {
        publish_root(&self.root, &*self.store).await.map_err(|error| {
            tracing::error!(code = error.code(), %error, "the root document is not where clients find it");
            ErrorWire::plain(error.code(), &error)
        })
    }
}

impl From<&ControlError> for ErrorWire {
    fn from(error: &ControlError) -> Self {
        Self::plain(error.code(), error)
    }
}

/// What the work gives, unless it takes longer; without any time left it is not begun.
pub(crate) async fn within<T>(left: Duration, work: impl Future<Output = T>) -> Option<T> {
    if left.is_zero() {
        return None;
    }
    tokio::time::timeout(left, work).await.ok()
}

fn done<T: Serialize>(done: impl Into<T>) -> Value {
    answered(&Answer::Done(done.into()))
}

fn answered<T: Serialize>(answer: &Answer<T>) -> Value {
    // Nothing of it can fail to be JSON: no map has other keys than texts.
    serde_json::to_value(answer).unwrap_or_default()
}

/// What an event asks for: one of the admin function or of a person, or the schedule's.
fn asked(event: &str) -> Result<Asked, Failure> {
    let event: Value =
        serde_json::from_str(event).map_err(|_| Failure::wrong_event("the event is not JSON"))?;
    if is_scheduled(&event) {
        return Ok(Asked::Sweep { stream: None });
    }
    if event.get("do").is_some() {
        let wrong = |error| Failure::wrong_event(format!("the event can not be read: {error}"));
        return serde_json::from_value(event).map_err(wrong);
    }
    Err(strange("the publish function takes `{\"do\":…}` (docs/LAMBDA.md) or a scheduled event", &event))
}

/// Whether EventBridge sent it because it was time.
pub(crate) fn is_scheduled(event: &Value) -> bool {
    let member = |name: &str| event.get(name).and_then(Value::as_str);
    member("source") == Some("aws.events") && member("detail-type") == Some("Scheduled Event")
}

/// The refusal of an event by the names of its members; what stands in it is nobody's business.
pub(crate) fn strange(takes: &str, event: &Value) -> Failure {
    let names = event.as_object().into_iter().flat_map(|members| members.keys());
    let names: Vec<String> = names.take(MAX_NAMED).map(|name| name.chars().take(32).collect()).collect();
    if names.is_empty() {
        return Failure::wrong_event(format!("{takes}; this event has no members"));
    }
    Failure::wrong_event(format!("{takes}; this event has `{}`", names.join("`, `")))
}

impl crate::start::Function for PublishFunction {
    async fn handle(&self, event: &str, left: Duration) -> Result<Value, Failure> {
        Self::handle(self, event, left).await
    }
}
