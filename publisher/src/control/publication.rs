//! Publishing what was written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use flagstone_bundle::container::StoredObject;
use flagstone_bundle::content::{Content, ContentError};
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::manifest::{LogHead, Stream};
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ListKey, ViewId};
use flagstone_model::line::Head;
use tokio::task::JoinSet;

use super::ControlPlane;
use super::error::ControlError;
use super::folded::Folded;
use super::lists::stored_object;
use super::write::{Published, Write};
use crate::build::build;
use crate::log::Entity as LogEntity;
use crate::private_object::PrivateObjects;
use crate::publish::{Built, LineSource, Progress, PublicationState, PublishError, SourceError};
use crate::state::State;
use crate::state::change::{Edit, Refusal};

/// How long a write waits for its announcement (FORMAT T-4.6).
const BUDGET: Duration = Duration::from_millis(2_500);
/// How long the sweep of one stream may take.
const SWEEP_LIMIT: Duration = Duration::from_secs(30);

impl ControlPlane {
    /// Publishes an environment up to the head of the log, and waits for it within the budget.
    pub async fn publish(&self, environment: &EnvironmentId) -> Result<Published, ControlError> {
        let seq = self.known(environment).await?;
        Ok(self.inner.publisher.publish(&self.stream(environment), seq, BUDGET).await?.into())
    }

    /// Publishes an environment up to the head of the log and builds it anew, whatever it holds: a step of deploying a
    /// newer builder. Equal lines announce nothing.
    pub async fn rebuild(&self, environment: &EnvironmentId) -> Result<Published, ControlError> {
        self.known(environment).await?;
        Ok(self.inner.publisher.rebuild(&self.stream(environment)).await?.into())
    }

    /// Goes on from what an environment announces, although it is not what the log and the claims say: after they were
    /// restored from a copy (FORMAT T-4.7). Then publishes what the log says, as the next version.
    ///
    /// An entry of the log names what is given up. A request whose id is in the log already only publishes.
    ///
    /// # Errors
    ///
    /// [`PublishError::NothingToAdopt`] if the stream does not stand still.
    pub async fn adopt(&self, environment: &EnvironmentId, write: Write) -> Result<Published, ControlError> {
        self.known(environment).await?;
        let state = self.state().await?;
        let (stream, inner) = (self.stream(environment), &*self.inner);
        let is_retry = |id: &String| state.requests().find(&write.actor.id, id).is_some();
        if !write.request_id.as_ref().is_some_and(is_retry) {
            let lost = inner.publisher.lost(&stream).await?;
            let named = lost.to_json();
            let entity = LogEntity::Restoration(environment.clone(), ViewId::server());
            let edits = |state: &State| Ok(vec![Edit::of(state, entity.clone(), &named)]);
            // The next run has the entry itself to publish, and with it all that the log says.
            if let Some((entry, _)) = self.append(edits, &write).await?
                && let Some(before) =
                    inner.folded.log().entry(self.project(), entry.seq().saturating_sub(1)).await?
            {
                let covered = LogHead { seq: before.seq(), hash: before.hash };
                inner.publisher.adopt(&stream, &lost, covered).await?;
            }
        }
        self.publish(environment).await
    }

    /// How far an environment has been published, by view.
    pub async fn publication(&self, environment: &EnvironmentId) -> Result<Json<'static>, ControlError> {
        let head = self.known(environment).await?;
        let item = self.inner.publications.read(&self.stream(environment)).await?;
        let state = if item.is_announced() && item.covered_seq() >= head {
            PublicationState::Announced
        } else {
            PublicationState::Pending
        };
        let mut members = vec![
            ("version", Json::from(item.version())),
            ("state", Json::from(state.as_str())),
            ("serial", Json::from(item.serial())),
            ("announced_serial", Json::from(item.announced_serial)),
            ("covered_seq", Json::from(item.covered_seq())),
            ("head_seq", Json::from(head)),
        ];
        if let Some(claim) = &item.claim {
            members.push(("content", Json::from(claim.content.to_string())));
            members.push(("lines", Json::from(claim.lines)));
            members.push(("size", Json::from(claim.snapshot.size)));
            members.push(("issued_ms", Json::from(claim.issued_ms)));
        }
        if let Some(alarm) = self.inner.publisher.alarm(&self.stream(environment)).await? {
            let alarm = [("code", Json::from(alarm.code())), ("detail", Json::from(alarm.to_string()))];
            members.push(("alarm", Json::object(alarm)));
        }
        Ok(Json::object([(ViewId::server().to_string(), Json::object(members))]))
    }

    /// Puts right what is not, in every environment: changes that nobody published, announcements that a crash cut
    /// off, manifests that want a heartbeat; writes a checkpoint if it is time; and warns of a root
    /// that is about to expire; finishes erasures. To be called every few seconds to every minute.
    ///
    /// Environments are swept side by side: one that fails or hangs does not keep the others from it. The last error
    /// is returned.
    pub async fn sweep(&self) -> Result<(), ControlError> {
        self.inner.publisher.watch_root();
        if let Err(error) = self.finish_erasures().await {
            tracing::error!(code = error.code(), %error, "an erasure is not finished");
        }
        let state = self.state().await?;
        let mut sweeps = JoinSet::new();
        for (environment, _) in state.environments() {
            let (publisher, stream) = (self.inner.publisher.clone(), self.stream(environment));
            sweeps.spawn(async move {
                let swept = tokio::time::timeout(SWEEP_LIMIT, publisher.sweep(&stream)).await;
                let swept = swept.unwrap_or(Err(PublishError::Stopped));
                swept.inspect_err(|error| {
                    tracing::error!(%stream, code = error.code(), %error, "a stream could not be swept");
                })
            });
        }
        self.inner.folded.checkpoint().await;
        let mut result = Ok(());
        while let Some(swept) = sweeps.join_next().await {
            if let Err(error) = swept.unwrap_or(Err(PublishError::Stopped)) {
                result = Err(error.into());
            }
        }
        result
    }

    /// Publishes a change that is in the log, and says how far it has got. Whatever fails is left to the sweep: the
    /// change is made.
    ///
    /// Production comes last, and no environment waits for one that fails (FORMAT T-4.8); all share one budget.
    pub(super) async fn publish_to(
        &self,
        environments: &[EnvironmentId],
        seq: u64,
        wait: bool,
    ) -> BTreeMap<EnvironmentId, BTreeMap<ViewId, Published>> {
        let begun = tokio::time::Instant::now();
        let budget = if wait { BUDGET } else { Duration::ZERO };
        let mut all = BTreeMap::new();
        // What can not be read now is published in any order: the change is made.
        let state = self.state().await.ok();
        let is_production = |id: &EnvironmentId| {
            let found = state.as_ref().and_then(|state| state.environment(id.as_str()));
            found.is_some_and(|found| found.environment.is_production())
        };
        let (last, first): (Vec<_>, Vec<_>) =
            environments.iter().partition(|environment| is_production(environment));
        for environment in first.into_iter().chain(last) {
            let stream = self.stream(environment);
            let left = budget.saturating_sub(begun.elapsed());
            let progress = match self.inner.publisher.publish(&stream, seq, left).await {
                Ok(progress) => progress.into(),
                Err(error) => {
                    tracing::error!(%environment, seq, code = error.code(), %error, "a change is not yet published");
                    let version =
                        self.inner.publications.read(&stream).await.map_or(0, |item| item.version());
                    let alarm = error.is_alarm().then(|| error.code());
                    Published { version, state: PublicationState::Pending, alarm }
                }
            };
            all.insert(environment.clone(), BTreeMap::from([(stream.view, progress)]));
        }
        all
    }

    /// The seq the log is at, if it knows the environment.
    async fn known(&self, environment: &EnvironmentId) -> Result<u64, ControlError> {
        let state = self.state().await?;
        if state.environment(environment.as_str()).is_none() {
            return Err(Refusal::no_environment(&state, environment.as_str()).into());
        }
        Ok(state.seq())
    }
}

impl From<Progress> for Published {
    fn from(progress: Progress) -> Self {
        Self { version: progress.version, state: progress.state, alarm: None }
    }
}

/// Builds lines from the folded log, and remembers what it built: the next content shares what did not change.
pub(super) struct Lines {
    pub(super) folded: Arc<Folded>,
    pub(super) objects: Arc<dyn PrivateObjects>,
    pub(super) built: Mutex<BTreeMap<Stream, Last>>,
}

/// The lines last built for a stream, and the content they make.
pub(super) type Last = (Vec<Arc<str>>, Content);

#[async_trait]
impl LineSource for Lines {
    async fn build(&self, stream: &Stream, seq: u64) -> Result<Built, SourceError> {
        let state = self.folded.state().await.map_err(|error| SourceError::new(error.code(), error))?;
        let Some(head) = state.head().copied().filter(|head| head.seq >= seq) else {
            return Err(SourceError::new(
                "log-behind",
                "the log ends before the change that is to be published",
            ));
        };
        let lines = build(&state, &stream.environment, &stream.view);
        let lines = lines.map_err(|error| SourceError::new(error.code(), error))?;
        let content = self.content(stream, lines).map_err(|error| SourceError::new(error.detail(), error))?;
        Ok(Built { head, content })
    }

    async fn list_object(
        &self,
        stream: &Stream,
        list: &ListKey,
        object: &StoredObject,
    ) -> Result<Vec<u8>, SourceError> {
        let stored = stored_object(&*self.objects, &stream.project, list, object).await;
        stored.map_err(|error| SourceError::new(error.code(), error))
    }
}

impl Lines {
    fn content(&self, stream: &Stream, lines: Vec<Arc<str>>) -> Result<Content, ContentError> {
        let last = self.built.lock().unwrap_or_else(PoisonError::into_inner).get(stream).cloned();
        let content = match last {
            Some((before, content)) => content.apply(&difference(&before, &lines)?)?.0,
            None => Content::from_lines(lines.iter().map(|line| line.as_bytes()))?,
        };
        let kept = (lines, content.clone());
        self.built.lock().unwrap_or_else(PoisonError::into_inner).insert(stream.clone(), kept);
        Ok(content)
    }
}

/// The delta from one sorted list of lines to another. Lines that did not change are the same allocation, so that
/// most comparisons are of two pointers.
fn difference(before: &[Arc<str>], after: &[Arc<str>]) -> Result<DeltaLines, ContentError> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    let (mut upserts, mut drops) = (String::new(), String::new());
    loop {
        match (before.peek(), after.peek()) {
            (None, None) => break,
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) => {
                before.next();
                after.next();
            }
            (Some(old), new)
                if new.is_none_or(|new| Head::parse(old.as_bytes()) < Head::parse(new.as_bytes())) =>
            {
                if let Some(Head { name, key }) = Head::parse(old.as_bytes()) {
                    drops.extend(["{\"drop\":\"", name, "\",\"key\":\"", key, "\"}\n"]);
                }
                before.next();
            }
            (old, Some(new)) => {
                if old.is_some_and(|old| Head::parse(old.as_bytes()) == Head::parse(new.as_bytes())) {
                    before.next();
                }
                upserts += new;
                upserts.push('\n');
                after.next();
            }
            (Some(_), None) => {
                before.next();
            }
        }
    }
    DeltaLines::parse((upserts + &drops).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(keys: &[(&str, u32)]) -> Vec<Arc<str>> {
        keys.iter().map(|(key, rev)| format!("{{\"flag\":\"{key}\",\"rev\":{rev}}}").into()).collect()
    }

    #[test]
    fn the_difference_leads_from_any_lines_to_any_others() {
        let states = [
            lines(&[]),
            lines(&[("a", 1)]),
            lines(&[("a", 2), ("b", 1)]),
            lines(&[("b", 1), ("c", 1), ("d", 1)]),
            lines(&[("a", 1), ("a-b", 1), ("a.b", 1), ("d", 2)]),
        ];
        let content =
            |lines: &[Arc<str>]| Content::from_lines(lines.iter().map(|line| line.as_bytes())).unwrap();
        for before in &states {
            for after in &states {
                let delta = difference(before, after).unwrap();
                let (reached, _) = content(before).apply(&delta).unwrap();
                assert_eq!(reached.content_hash(), content(after).content_hash());
                assert!(delta.is_empty() == (before == after) || before == after);
            }
        }
    }

    #[test]
    fn lines_that_are_shared_are_no_difference() {
        let before = lines(&[("a", 1), ("b", 1)]);
        let mut after = before.clone();
        after[1] = "{\"flag\":\"b\",\"rev\":2}".into();
        let delta = difference(&before, &after).unwrap();
        assert_eq!(delta.encode(), b"{\"flag\":\"b\",\"rev\":2}\n");
    }
}
